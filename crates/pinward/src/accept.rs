//! Taking connections from a listening socket, whatever goes wrong with some of them.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// How long to wait for what was lacking (files, memory) to be given back.
const PAUSE: Duration = Duration::from_millis(100);

/// A listening socket and how often it failed.
pub(crate) struct Door {
    listener: TcpListener,
    /// For the operator: `web`, or the link's name.
    surface: String,
    failed: u64,
}

impl Door {
    /// Needs a Tokio runtime.
    pub(crate) fn new(listener: std::net::TcpListener, surface: &str) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::from_std(listener)?,
            surface: surface.to_owned(),
            failed: 0,
        })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection. A failure is told, counted and waited out: it never ends the listening.
    pub(crate) async fn next(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => self.bear(&error).await,
            }
        }
    }

    async fn bear(&mut self, error: &io::Error) {
        if is_of_the_peer(error) {
            return;
        }
        self.failed += 1;
        // The same thing fails many times a second: told at the first, second, fourth, eighth …
        if self.failed.is_power_of_two() {
            let so_far = self.failed;
            tracing::error!(surface = self.surface, %error, so_far, "a connection can't be accepted");
        }
        sleep(PAUSE).await;
    }
}

/// Whether that connection alone is gone, before anybody took it.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lack_of_files_is_waited_out_and_a_peer_that_left_is_not() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut door = Door::new(listener, "web").unwrap();
        let begin = tokio::time::Instant::now();
        door.bear(&ErrorKind::ConnectionAborted.into()).await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
        // EMFILE: too many open files.
        door.bear(&io::Error::from_raw_os_error(24)).await;
        assert!(begin.elapsed() >= PAUSE);
        let _peer = TcpStream::connect(door.address().unwrap()).await.unwrap();
        door.next().await;
    }
}
