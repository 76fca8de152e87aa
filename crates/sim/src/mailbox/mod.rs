//! The demo's mailbox: a small real SMTP server that keeps what it is sent as `.eml` files.
//!
//! It accepts mail for everybody, forwards nothing, and knows no TLS and no sign-in: it listens on loopback, for
//! people who want to see which mails Pinward sends. Tests can tell it to misbehave ([`Trouble`]).

mod folder;
mod message;
mod smtp;

#[cfg(test)]
mod smtp_tests;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};

use self::folder::Folder;
pub use self::{
    folder::{MailCounts, MailRow},
    message::Mail,
};

/// Connections served at once; the next one is told 421 and closed.
const CONNECTIONS_MAX: usize = 32;

/// What the server does to the next messages instead of taking them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Answers `451` after the message's last line and keeps nothing.
    TryLater,
    /// Closes the connection after the message's last line and keeps nothing.
    HangUpUnkept,
    /// Keeps the message, then closes the connection without an answer: the sender cannot know.
    HangUpKept,
}

/// How much a peer may send and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub message_bytes: usize,
    /// A command line with its CRLF. RFC 5321 4.5.3.1.4 asks for at least 512.
    pub command_bytes: usize,
    /// A text line with its CRLF, RFC 5321 4.5.3.1.6. Longer ones are refused here, where a relay would
    /// break them.
    pub text_line_bytes: usize,
    pub recipients: usize,
    /// One connection, from greeting to close.
    pub connection: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1024 * 1024,
            command_bytes: 1024,
            text_line_bytes: 1000,
            recipients: 100,
            connection: Duration::from_secs(300),
        }
    }
}

/// The mailbox; clones share one folder and one mood.
#[derive(Clone, Debug)]
pub struct Mailbox {
    folder: Arc<Mutex<Folder>>,
    trouble: Arc<Mutex<Option<(Trouble, u32)>>>,
    limits: Limits,
}

impl Mailbox {
    /// Opens, and where needed creates, the folder that holds the messages.
    ///
    /// Refuses a path that cannot be created or read.
    pub fn open(dir: &Path, limits: Limits) -> io::Result<Self> {
        Ok(Self {
            folder: Arc::new(Mutex::new(Folder::open(dir)?)),
            trouble: Arc::default(),
            limits,
        })
    }

    /// Lets the next `messages` messages, on whatever connection, run into trouble.
    pub fn next_messages(&self, messages: u32, trouble: Trouble) {
        *lock(&self.trouble) = (messages > 0).then_some((trouble, messages));
    }

    /// Every kept message, newest first.
    pub fn rows(&self) -> io::Result<Vec<MailRow>> {
        lock(&self.folder).rows()
    }

    /// How many there are, without opening them.
    pub fn counts(&self) -> io::Result<MailCounts> {
        lock(&self.folder).counts()
    }

    /// One message, and marks it as read. `None` where there is no such number.
    pub fn open_mail(&self, number: u32) -> io::Result<Option<Mail>> {
        let folder = lock(&self.folder);
        let Some(raw) = folder.raw(number)? else {
            return Ok(None);
        };
        folder.mark_read(number)?;
        Ok(Mail::parse(&raw))
    }

    /// One message as it came, headers and all.
    pub fn raw(&self, number: u32) -> io::Result<Option<Vec<u8>>> {
        lock(&self.folder).raw(number)
    }

    /// Serves SMTP until the task is dropped.
    pub async fn serve(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "mailbox: no connection could be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let mailbox = self.clone();
                    tokio::spawn(async move {
                        mailbox.converse(stream).await;
                        drop(place);
                    });
                }
                Err(_) => {
                    let busy = b"421 4.3.2 too many connections, try again later\r\n";
                    if let Err(error) = stream.try_write(busy) {
                        tracing::debug!(%error, "mailbox: a turned-away peer didn't listen");
                    }
                }
            }
        }
    }

    async fn converse(&self, mut stream: TcpStream) {
        let (reader, writer) = stream.split();
        match timeout(self.limits.connection, smtp::converse(self, reader, writer)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "mailbox: connection ended early"),
            Err(_) => tracing::debug!("mailbox: connection took too long and was closed"),
        }
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn keep(&self, message: &[u8]) -> io::Result<u32> {
        lock(&self.folder).keep(message)
    }

    fn trouble_now(&self) -> Option<Trouble> {
        let mut mood = lock(&self.trouble);
        let (trouble, left) = (*mood)?;
        *mood = (left > 1).then(|| (trouble, left.saturating_sub(1)));
        Some(trouble)
    }
}

/// A poisoned lock is taken all the same: the folder's truth is on disk and the mood is one value.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
