//! An issuer's own host for tests: answers over TCP in the way that a test wants, and keeps what it was sent.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use iso8583::{
    dialect::Dialect,
    framing::{FrameReader, Framing},
    mti::{Class, Function, Mti},
};
use sim::acquirer::message::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Mutex as AsyncMutex, Notify},
    task::JoinHandle,
};

/// How it answers requests. Advices are always answered with 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// With this DE39, at once.
    Answers(&'static str),
    Silent,
    /// Answers nothing, not even advices.
    Deaf,
    /// With this DE39, after this many milliseconds.
    AnswersAfter(&'static str, u64),
    /// Bytes that are no message.
    Garbage,
    /// An answer without DE39.
    Misfit,
    /// Closes the connection.
    HangsUp,
    /// Approves when so many wait, the last one first.
    WaitsFor(usize),
}

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    mood: Mutex<Mood>,
    heard: Mutex<Vec<Message>>,
    raw: Mutex<Vec<u8>>,
    news: Notify,
    held: Mutex<Vec<(Message, Arc<AsyncMutex<tokio::net::tcp::OwnedWriteHalf>>)>>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Answers("00")),
            heard: Mutex::default(),
            raw: Mutex::default(),
            news: Notify::new(),
            held: Mutex::default(),
        });
        let host = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, host.clone()));
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// Everything it was sent so far.
    pub(crate) fn heard(&self) -> Vec<Message> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// The bytes of everything.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.shared.raw.lock().unwrap().clone()
    }

    /// Waits for a message of this type about this trace number.
    pub(crate) async fn wait_for(&self, mti: Mti, trace: &[u8]) -> Message {
        self.wait_for_after(0, mti, trace).await
    }

    /// The same among those that came after so many others.
    pub(crate) async fn wait_for_after(&self, heard: usize, mti: Mti, trace: &[u8]) -> Message {
        let wanted = |message: &Message| message.mti == mti && message.field(11) == Some(trace);
        self.wait_until(heard, &format!("{mti}"), wanted).await
    }

    /// Waits for a reversal of the request with this trace number, repeated or not.
    pub(crate) async fn wait_for_reversal_of(&self, trace: &[u8]) -> Message {
        let wanted =
            |message: &Message| message.mti.class() == Class::Reversal && message.field(11) == Some(trace);
        self.wait_until(0, "a reversal", wanted).await
    }

    async fn wait_until(&self, heard: usize, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        let waiting = async {
            loop {
                let news = self.shared.news.notified();
                if let Some(message) = self.heard().into_iter().skip(heard).find(&wanted) {
                    return message;
                }
                news.await;
            }
        };
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, waiting)
            .await
            .unwrap_or_else(|_| panic!("the upstream never heard {what}"))
    }

    /// Takes no connection any more. Those that stand end with their next message in the mood [`Mood::HangsUp`].
    pub(crate) fn stop_accepting(&self) {
        self.accepting.abort();
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let dialect = Dialect::named("ascii-1987").unwrap();
    let (mut read, write) = stream.into_split();
    let write = Arc::new(AsyncMutex::new(write));
    let mut reader = FrameReader::new(Framing::Binary2);
    let mut received = vec![0; 64 * 1024];
    loop {
        let len = match read.read(&mut received).await {
            Ok(0) | Err(_) => return,
            Ok(len) => len,
        };
        shared.raw.lock().unwrap().extend_from_slice(&received[..len]);
        reader.push(&received[..len]);
        while let Some(frame) = reader.next_frame().unwrap() {
            let message = Message::parse(frame, &dialect).unwrap();
            shared.heard.lock().unwrap().push(message.clone());
            shared.news.notify_waiters();
            let mood = *shared.mood.lock().unwrap();
            let is_request = message.mti.function() == Function::Request;
            let listens = is_request || mood == Mood::Deaf;
            match if listens { mood } else { Mood::Answers("00") } {
                Mood::Answers(code) => send(&write, &answer(&message, code)).await,
                Mood::Silent | Mood::Deaf => {}
                Mood::AnswersAfter(code, ms) => {
                    let (write, answer) = (write.clone(), answer(&message, code));
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        send(&write, &answer).await;
                    });
                }
                Mood::Garbage => {
                    let garbage = [&[0, 64][..], &[0xA5; 64]].concat();
                    // The other end may have hung up.
                    let _ = write.lock().await.write_all(&garbage).await;
                }
                Mood::Misfit => {
                    let mut misfit = answer(&message, "00");
                    misfit.remove(39);
                    send(&write, &misfit).await;
                }
                Mood::HangsUp => return,
                Mood::WaitsFor(wanted) => {
                    let mut held = shared.held.lock().unwrap();
                    held.push((message, write.clone()));
                    if held.len() >= wanted {
                        let held = std::mem::take(&mut *held);
                        tokio::spawn(async move {
                            for (message, write) in held.into_iter().rev() {
                                send(&write, &answer(&message, "00")).await;
                            }
                        });
                    }
                }
            }
        }
    }
}

fn answer(request: &Message, code: &str) -> Message {
    let mut answer = Message::new(request.mti.response().unwrap());
    for number in [2, 3, 4, 7, 11, 32, 37, 41, 49] {
        if let Some(value) = request.field(number) {
            answer.put(number, value);
        }
    }
    answer.put(38, *b"HOST42");
    answer.put(39, code);
    answer.put(44, *b"from the issuer's host");
    answer
}

async fn send(write: &AsyncMutex<tokio::net::tcp::OwnedWriteHalf>, message: &Message) {
    let dialect = Dialect::named("ascii-1987").unwrap();
    let frame = message.to_frame(&dialect).unwrap();
    let mut out = Vec::new();
    Framing::Binary2
        .append(&mut out, |out| out.extend_from_slice(&frame))
        .unwrap();
    // The other end may have hung up.
    let _ = write.lock().await.write_all(&out).await;
}
