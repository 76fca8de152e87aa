//! A reader for cards of others: waits for a virtual card to connect, and gives a terminal its contacts.
//!
//! A terminal waits for the card's answers, as a real one does: reading blocks the thread, up to a time limit.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::{CONTROL_00_OFF, CONTROL_01_ON, CONTROL_04_ATR};
use crate::card::chip::Interface;
use crate::card::tear::Tear;
use crate::terminal::slot::Card;

/// How long a card may take for a whole answer.
pub const ANSWER_TIMEOUT_S: u64 = 10;

/// Most bytes of an answer to reset (ISO/IEC 7816-3:2006 8.2.1), and of a response to a short command.
const ATR_LEN_MAX: usize = 33;
const RESPONSE_LEN_MAX: usize = 258;

/// First bytes of answers to reset: direct and inverse convention.
const TS_DIRECT_3B: u8 = 0x3B;
const TS_INVERSE_3F: u8 = 0x3F;

/// First bytes of answers of T=0 cards: the data is to be fetched; the command is to be repeated with another length.
const SW1_61_BYTES_AVAILABLE: u8 = 0x61;
const SW1_6C_WRONG_LE: u8 = 0x6C;
const GET_RESPONSE: [u8; 4] = [0x00, 0xC0, 0x00, 0x00];

/// Times that a card may keep part of one answer back.
const FETCHES_MAX: usize = 4;

/// Why what connected can't be used as a card.
#[derive(Debug, thiserror::Error)]
pub enum ForeignCardError {
    #[error("the card's connection: {0}")]
    Io(#[from] io::Error),
    #[error("the card doesn't answer within {ANSWER_TIMEOUT_S} seconds")]
    Mute,
    #[error("the card left")]
    Left,
    #[error("no card: an answer of {len} bytes is announced, and a card gives at most {len_max}")]
    TooLong { len: usize, len_max: usize },
    #[error("no card: its answer to reset begins neither with 3B nor with 3F")]
    NoAnswerToReset,
}

/// A card that connected.
#[derive(Debug)]
pub struct ForeignCard {
    stream: TcpStream,
    atr: Vec<u8>,
    tear: Option<Tear>,
    /// An answer failed: what comes late must not be taken for the next one's.
    gone: bool,
}

impl ForeignCard {
    /// Waits for a card, gives it power and asks who it is.
    ///
    /// Refuses a peer that gives no answer to reset, or none in time. Waiting for the peer itself has no end: a terminal
    /// stands there until a card comes.
    pub async fn wait(listener: &TcpListener) -> Result<Self, ForeignCardError> {
        let (stream, _) = listener.accept().await?;
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_secs(ANSWER_TIMEOUT_S)))?;
        let mut card = Self {
            stream,
            atr: Vec::new(),
            tear: None,
            gone: false,
        };
        card.send(&[CONTROL_01_ON])?;
        card.send(&[CONTROL_04_ATR])?;
        card.atr = card.receive(ATR_LEN_MAX)?;
        match card.atr.as_slice() {
            [TS_DIRECT_3B | TS_INVERSE_3F, _, ..] => Ok(card),
            _ => Err(ForeignCardError::NoAnswerToReset),
        }
    }

    /// Answer to reset (ISO/IEC 7816-3:2006 8.2).
    #[must_use]
    pub fn atr(&self) -> &[u8] {
        &self.atr
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let len = u16::try_from(message.len()).map_err(io::Error::other)?;
        self.stream.write_all(&[&len.to_be_bytes()[..], message].concat())
    }

    fn receive(&mut self, len_max: usize) -> Result<Vec<u8>, ForeignCardError> {
        let deadline = now() + Duration::from_secs(ANSWER_TIMEOUT_S);
        let mut len = [0; 2];
        self.fill(&mut len, deadline)?;
        let len = usize::from(u16::from_be_bytes(len));
        if len > len_max {
            return Err(ForeignCardError::TooLong { len, len_max });
        }
        let mut answer = vec![0; len];
        self.fill(&mut answer, deadline)?;
        Ok(answer)
    }

    fn fill(&mut self, bytes: &mut [u8], deadline: Instant) -> Result<(), ForeignCardError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let left = deadline.saturating_duration_since(now());
            if left.is_zero() {
                return Err(ForeignCardError::Mute);
            }
            self.stream.set_read_timeout(Some(left))?;
            let len = match self.stream.read(rest) {
                Ok(0) => return Err(ForeignCardError::Left),
                Ok(len) => len,
                Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(ForeignCardError::Mute);
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => 0,
                Err(cause) => return Err(cause.into()),
            };
            rest = rest.split_at_mut_checked(len).map_or(&mut [], |(_, rest)| rest);
        }
        Ok(())
    }

    fn ask(&mut self, command: &[u8]) -> Result<Vec<u8>, ForeignCardError> {
        self.send(command)?;
        self.receive(RESPONSE_LEN_MAX)
    }

    /// Sends a command, and fetches what a T=0 card keeps back.
    fn exchange(&mut self, apdu: &[u8]) -> Result<Vec<u8>, ForeignCardError> {
        let mut answer = self.ask(apdu)?;
        if let (&[SW1_6C_WRONG_LE, len], [head @ .., _]) = (answer.as_slice(), apdu) {
            answer = self.ask(&[head, &[len]].concat())?;
        }
        for _ in 0..FETCHES_MAX {
            let [data @ .., SW1_61_BYTES_AVAILABLE, len] = answer.as_slice() else {
                break;
            };
            let fetch = [&GET_RESPONSE[..], &[*len]].concat();
            let mut joined = data.to_vec();
            joined.extend(self.ask(&fetch)?);
            answer = joined;
        }
        Ok(answer)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a foreign card takes is measured where its bytes come in"
)]
fn now() -> Instant {
    Instant::now()
}

impl Card for ForeignCard {
    /// The card's power is on from the moment it connects; this resets it.
    fn power_on(&mut self, _: Interface) {
        // A card that is gone answers no command either, and that is noticed.
        let _ = self.send(&[super::CONTROL_02_RESET]);
    }

    fn power_off(&mut self) {
        let _ = self.send(&[CONTROL_00_OFF]);
    }

    /// Of a foreign card, the next command only can be cut: before it is sent, or by cutting the power right behind it.
    fn tear(&mut self, tear: Tear) {
        self.tear = Some(tear);
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        if self.gone {
            return Vec::new();
        }
        match self.tear.take() {
            None => self.exchange(apdu).unwrap_or_else(|error| {
                tracing::warn!(%error, "the foreign card");
                self.gone = true;
                Vec::new()
            }),
            Some(Tear::BeforeCommand(_)) => {
                self.power_off();
                Vec::new()
            }
            Some(Tear::BeforeWrite(_) | Tear::AfterCommand(_) | Tear::AfterBytes(_)) => {
                let sent = self.send(apdu);
                self.power_off();
                // Whatever it still answers is lost on its way.
                let _ = sent.map(|()| self.receive(RESPONSE_LEN_MAX));
                Vec::new()
            }
        }
    }
}
