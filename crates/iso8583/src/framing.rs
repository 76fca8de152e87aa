//! Framing: how messages are told apart on a byte stream. Sans-I/O: the caller reads and writes the stream.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::message::MESSAGE_LEN_MAX;

/// The length header before each message. The length never counts the header itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Framing {
    /// `binary2`: 2 bytes, big-endian (jPOS NACChannel and PostChannel, moov). The default.
    #[default]
    Binary2,
    /// `ascii4`: 4 ASCII digits (jPOS ASCIIChannel).
    Ascii4,
    /// `bcd2`: 2 bytes, 4 decimal digits in BCD (jPOS NCCChannel).
    Bcd2,
    /// `binary2-zero2`: 2 bytes, big-endian, then 2 zero bytes (jPOS VAPChannel).
    Binary2Zero2,
}

/// Why a stream cannot be read further. The link is to be closed: there is no place to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A header says more than a message may have.
    #[error("frame of {got} bytes by a header of {framing}, at most {max} are allowed")]
    TooLong {
        /// The link's framing: another one on the wire reads as a length like this.
        framing: Framing,
        /// Most bytes a message may have.
        max: usize,
        /// Bytes the header announces.
        got: usize,
    },
    /// A header is not of this framing: not digits, or not zero where it must be.
    #[error("not a header of {framing}")]
    Header {
        /// The link's framing.
        framing: Framing,
    },
}

/// A setting names no framing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no framing is named {name:?}; there are: binary2, ascii4, bcd2, binary2-zero2")]
pub struct UnknownFraming {
    /// The name given.
    pub name: String,
}

impl Framing {
    /// All framings.
    pub const ALL: [Self; 4] = [Self::Binary2, Self::Ascii4, Self::Bcd2, Self::Binary2Zero2];

    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary2 => "binary2",
            Self::Ascii4 => "ascii4",
            Self::Bcd2 => "bcd2",
            Self::Binary2Zero2 => "binary2-zero2",
        }
    }

    /// Bytes in a header.
    pub fn header_len(self) -> usize {
        match self {
            Self::Binary2 | Self::Bcd2 => 2,
            Self::Ascii4 | Self::Binary2Zero2 => 4,
        }
    }

    /// Appends what `write` writes, with its header before it. `write` only appends.
    ///
    /// Refuses more than [`MESSAGE_LEN_MAX`] bytes, and leaves the buffer as it was.
    pub fn append(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), FrameError> {
        let begin = out.len();
        out.resize(begin + self.header_len(), 0);
        let body = out.len();
        write(out);
        let got = out.len().saturating_sub(body);
        let Some(len) = u16::try_from(got).ok().filter(|_| got <= MESSAGE_LEN_MAX) else {
            out.truncate(begin);
            let max = MESSAGE_LEN_MAX;
            return Err(FrameError::TooLong {
                framing: self,
                max,
                got,
            });
        };
        if let Some(header) = out.get_mut(begin..body) {
            self.put_header(len, header);
        }
        Ok(())
    }

    fn put_header(self, len: u16, header: &mut [u8]) {
        let [high, low] = len.to_be_bytes();
        let digit = |divisor: u16| u8::try_from(len / divisor % 10).expect("a remainder of 10 is one digit");
        let [d1, d2, d3, d4] = [1000, 100, 10, 1].map(digit);
        match self {
            Self::Binary2 => header.copy_from_slice(&[high, low]),
            Self::Ascii4 => header.copy_from_slice(&[d1, d2, d3, d4].map(|digit| b'0' + digit)),
            Self::Bcd2 => header.copy_from_slice(&[d1 << 4 | d2, d3 << 4 | d4]),
            Self::Binary2Zero2 => header.copy_from_slice(&[high, low, 0, 0]),
        }
    }

    /// Length announced by a whole header.
    fn announced(self, header: &[u8]) -> Result<usize, FrameError> {
        let malformed = FrameError::Header { framing: self };
        let decimal = |digits: [u8; 4]| {
            digits.iter().try_fold(0, |len, &digit| match digit {
                0..=9 => Ok(len * 10 + usize::from(digit)),
                _ => Err(malformed),
            })
        };
        let got = match (self, header) {
            (Self::Binary2, &[high, low]) | (Self::Binary2Zero2, &[high, low, 0, 0]) => {
                usize::from(u16::from_be_bytes([high, low]))
            }
            (Self::Ascii4, &[a, b, c, d]) => decimal([a, b, c, d].map(|digit| digit.wrapping_sub(b'0')))?,
            (Self::Bcd2, &[high, low]) => decimal([high >> 4, high & 0xF, low >> 4, low & 0xF])?,
            _ => return Err(malformed),
        };
        if got > MESSAGE_LEN_MAX {
            let max = MESSAGE_LEN_MAX;
            return Err(FrameError::TooLong {
                framing: self,
                max,
                got,
            });
        }
        Ok(got)
    }
}

/// Its name and the shape of its header.
impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self {
            Self::Binary2 => "2 bytes, big-endian",
            Self::Ascii4 => "4 digits in ASCII",
            Self::Bcd2 => "4 digits in BCD",
            Self::Binary2Zero2 => "2 bytes, big-endian, then 2 zero bytes",
        };
        write!(f, "{} ({shape})", self.name())
    }
}

impl FromStr for Framing {
    type Err = UnknownFraming;

    fn from_str(name: &str) -> Result<Self, UnknownFraming> {
        let known = Self::ALL.into_iter().find(|framing| framing.name() == name);
        known.ok_or_else(|| UnknownFraming {
            name: name.to_owned(),
        })
    }
}

impl TryFrom<String> for Framing {
    type Error = UnknownFraming;

    fn try_from(name: String) -> Result<Self, UnknownFraming> {
        name.parse()
    }
}

impl From<Framing> for &'static str {
    fn from(framing: Framing) -> Self {
        framing.name()
    }
}

/// Collects received bytes and gives whole frames back, as slices of what was collected.
///
/// ```
/// use iso8583::framing::{FrameReader, Framing};
/// let mut stream = Vec::new();
/// Framing::Binary2.append(&mut stream, |out| out.extend_from_slice(b"0800"))?;
/// let mut reader = FrameReader::new(Framing::Binary2);
/// reader.push(&stream);
/// assert_eq!(reader.next_frame()?, Some(&b"0800"[..]));
/// assert_eq!(reader.next_frame()?, None);
/// # Ok::<(), iso8583::framing::FrameError>(())
/// ```
///
/// After each push, take frames until there are none: what stays is less than one frame, so the memory is bounded by
/// one push and [`MESSAGE_LEN_MAX`]. A frame of length zero is a keep-alive: it is skipped.
#[derive(Clone)]
pub struct FrameReader {
    framing: Framing,
    bytes: Vec<u8>,
    at: usize,
}

impl FrameReader {
    /// A reader at the beginning of a stream.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            bytes: Vec::new(),
            at: 0,
        }
    }

    /// Takes bytes received.
    pub fn push(&mut self, received: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(received);
    }

    /// The next whole frame, without its header; `None` until more bytes come.
    ///
    /// Refuses a header that is malformed or announces more than [`MESSAGE_LEN_MAX`] bytes, and refuses again when
    /// asked again.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let header_len = self.framing.header_len();
        while let Some(header) = self.unread().get(..header_len) {
            let end = header_len + self.framing.announced(header)?;
            if self.unread().len() < end {
                break;
            }
            let begin = self.at + header_len;
            self.at += end;
            if begin < self.at {
                return Ok(self.bytes.get(begin..self.at));
            }
        }
        Ok(None)
    }

    /// Whether the beginning of a frame is waiting for its rest: a peer that closes now, or stalls, cut it short.
    pub fn is_mid_frame(&self) -> bool {
        !self.unread().is_empty()
    }

    fn unread(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

/// Shows how much waits, never content.
impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "FrameReader({:?}, {} bytes)",
            self.framing,
            self.unread().len()
        )
    }
}
