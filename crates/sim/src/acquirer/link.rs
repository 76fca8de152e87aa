//! The link to the host: one TCP connection per exchange, each answered within a time limit, with MACs where there is a key.

use std::io;
use std::time::Duration;

use iso8583::build::BuildError;
use iso8583::framing::{FrameError, FrameReader, Framing};
use iso8583::mac::split_mac;
use iso8583::message::ParseError;
use iso8583::mti::{MTI_0800_NETWORK_REQUEST, Mti};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Acquirer;
use super::message::Message;

/// How long an acquirer waits for a connection and for an answer.
pub const ANSWER_TIMEOUT_S: u64 = 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error("the host can't be reached: {0}")]
    Unreachable(io::Error),
    /// The host may have acted on the request.
    #[error("no answer within {ANSWER_TIMEOUT_S} seconds")]
    NoAnswer,
    #[error("the host closed the connection without an answer")]
    Closed,
    #[error("the answer isn't a frame: {0}")]
    Frame(#[from] FrameError),
    #[error("the answer isn't a message of the dialect: {0}")]
    Parse(#[from] ParseError),
    #[error("the request doesn't fit the dialect: {0}")]
    Build(#[from] BuildError),
    #[error("the answer's MAC is missing or wrong")]
    Mac,
}

impl Acquirer {
    /// Sends a message and waits for its answer. Sending the same one again is a duplicate.
    pub async fn exchange(&self, request: &Message) -> Result<Message, ExchangeError> {
        let answer = self.exchange_raw(&self.frame(request)?).await?;
        let read = iso8583::message::Message::parse(&answer, self.dialect())?;
        if let Some(key) = &self.mac_key {
            let mac = read.mac().ok_or(ExchangeError::Mac)?;
            if !key.is_mac_of(mac.covered, mac.mac) {
                return Err(ExchangeError::Mac);
            }
        }
        Ok(Message::of(&read))
    }

    /// A message as it is sent, without its length: with a MAC where this acquirer has a key for it. Refuses what
    /// [`Message::to_frame`] refuses.
    pub fn frame(&self, message: &Message) -> Result<Vec<u8>, BuildError> {
        let mut builder = message.builder(self.dialect())?;
        let mut frame = Vec::new();
        match &self.mac_key {
            None => builder.write_to(&mut frame),
            Some(key) => {
                builder.reserve_mac()?.write_to(&mut frame);
                let (covered, place) = split_mac(&mut frame).expect("a MAC was reserved");
                *place = key.mac(covered);
            }
        }
        Ok(frame)
    }

    /// Sends any bytes as one frame, and gives the next frame that comes back, both without their length.
    pub async fn exchange_raw(&self, frame: &[u8]) -> Result<Vec<u8>, ExchangeError> {
        let limit = Duration::from_secs(ANSWER_TIMEOUT_S);
        let connecting = TcpStream::connect(&self.host);
        let mut stream = match timeout(limit, connecting).await {
            Ok(connected) => connected.map_err(ExchangeError::Unreachable)?,
            Err(_) => return Err(ExchangeError::Unreachable(io::ErrorKind::TimedOut.into())),
        };
        timeout(limit, send_and_receive(&mut stream, self.framing, frame))
            .await
            .map_err(|_| ExchangeError::NoAnswer)?
    }

    /// Reverses a request, naming it, as `0400` where an answer is missing, or `0420` where the transaction was
    /// given up after the answer. `chip_data` is DE55 of the reversal, such as script results.
    pub fn reversal(&self, original: &Message, mti: Mti, chip_data: Option<Vec<u8>>) -> Message {
        let mut reversal = original.reversal(mti, self.dialect());
        let reference = original.field(37).map(<[u8]>::to_vec);
        self.identify(&mut reversal);
        if let Some(reference) = reference {
            reversal.put(37, reference);
        }
        if let Some(chip_data) = chip_data {
            reversal.put(55, chip_data);
        }
        reversal
    }

    /// A network message with a code of the dialect: `001` sign-on, `002` sign-off, `301` echo in 1987.
    #[must_use]
    pub fn network_message(&self, code: [u8; 3]) -> Message {
        let mut message = self.message(MTI_0800_NETWORK_REQUEST);
        if let Some(place) = self.dialect().places().network_code {
            message.put(place, code);
        }
        message
    }
}

async fn send_and_receive(
    stream: &mut TcpStream,
    framing: Framing,
    frame: &[u8],
) -> Result<Vec<u8>, ExchangeError> {
    let mut out = Vec::new();
    framing.append(&mut out, |body| body.extend_from_slice(frame))?;
    stream.write_all(&out).await.map_err(|_| ExchangeError::Closed)?;
    let mut reader = FrameReader::new(framing);
    let mut received = [0; 4096];
    loop {
        let len = stream
            .read(&mut received)
            .await
            .map_err(|_| ExchangeError::Closed)?;
        let bytes = received.get(..len).unwrap_or_default();
        if bytes.is_empty() {
            return Err(ExchangeError::Closed);
        }
        reader.push(bytes);
        if let Some(answer) = reader.next_frame()? {
            return Ok(answer.to_vec());
        }
    }
}
