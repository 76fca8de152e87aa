//! A reader for cards of others: waits for a virtual card to connect, and gives a terminal its contacts.
//!
//! A terminal waits for the card's answers, as a real one does: reading blocks the thread, up to a time limit.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tokio::net::TcpListener;

use super::{CONTROL_00_OFF, CONTROL_01_ON, CONTROL_04_ATR};
use crate::card::chip::Interface;
use crate::card::tear::Tear;
use crate::terminal::slot::Card;

/// How long a card may take for an answer.
pub const ANSWER_TIMEOUT_S: u64 = 10;

/// First bytes of answers of T=0 cards: the data is to be fetched; the command is to be repeated with another length.
const SW1_61_BYTES_AVAILABLE: u8 = 0x61;
const SW1_6C_WRONG_LE: u8 = 0x6C;
const GET_RESPONSE: [u8; 4] = [0x00, 0xC0, 0x00, 0x00];

/// A card that connected.
#[derive(Debug)]
pub struct ForeignCard {
    stream: TcpStream,
    atr: Vec<u8>,
    tear: Option<Tear>,
}

impl ForeignCard {
    /// Waits for a card, gives it power and asks who it is.
    ///
    /// Refuses, as an error of its kind, a peer that gives no answer to reset.
    pub async fn wait(listener: &TcpListener) -> io::Result<Self> {
        let (stream, _) = listener.accept().await?;
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(ANSWER_TIMEOUT_S)))?;
        let mut card = Self {
            stream,
            atr: Vec::new(),
            tear: None,
        };
        card.send(&[CONTROL_01_ON])?;
        card.atr = card.ask(&[CONTROL_04_ATR])?;
        Ok(card)
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

    fn ask(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        self.send(message)?;
        self.receive()
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut len = [0; 2];
        self.stream.read_exact(&mut len)?;
        let mut answer = vec![0; u16::from_be_bytes(len).into()];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    /// Sends a command, and fetches what a T=0 card keeps back.
    fn exchange(&mut self, apdu: &[u8]) -> io::Result<Vec<u8>> {
        let answer = self.ask(apdu)?;
        match (answer.as_slice(), apdu) {
            (&[SW1_61_BYTES_AVAILABLE, len], _) => self.ask(&[&GET_RESPONSE[..], &[len]].concat()),
            (&[SW1_6C_WRONG_LE, len], [head @ .., _]) => self.ask(&[head, &[len]].concat()),
            _ => Ok(answer),
        }
    }
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
        match self.tear.take() {
            None => self.exchange(apdu).unwrap_or_default(),
            Some(Tear::BeforeCommand(_)) => {
                self.power_off();
                Vec::new()
            }
            Some(Tear::BeforeWrite(_) | Tear::AfterCommand(_) | Tear::AfterBytes(_)) => {
                let sent = self.send(apdu);
                self.power_off();
                // Whatever it still answers is lost on its way.
                let _ = sent.and_then(|()| self.receive());
                Vec::new()
            }
        }
    }
}
