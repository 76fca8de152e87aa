//! ISO 8583 messages: a codec over dialects kept as data, framing, and the small values both ends of a link share.
//!
//! A received frame is walked once: bitmap, lengths and characters are checked in the same pass. Values have one
//! canonical form, ASCII text and digits or raw bytes, whatever the wire; where the wire is like that, they are slices of
//! the frame. Nothing here does I/O, reads a clock, or knows what a field means to an issuer;
//! DE55 stays bytes (room `emv`) and DE52 stays enciphered (room `hsm`). No error and no `Debug` shows content.
//!
//! ```
//! use iso8583::build::MessageBuilder;
//! use iso8583::dialect::Dialect;
//! use iso8583::message::Message;
//!
//! let dialect = Dialect::named("ascii-1987")?;
//! let frame = b"0100\x70\x20\0\0\0\0\0\0164111111111111111000000000000001000000042";
//! let request = Message::parse(frame, &dialect)?;
//! assert_eq!(request.field(4), Some(&b"000000001000"[..]));
//!
//! let cut = Message::parse(&frame[..20], &dialect).unwrap_err();
//! assert_eq!(cut.to_string(), "field 2 at byte 14: wanted 16 bytes, the message has 6 left");
//!
//! let mut response = MessageBuilder::new(&dialect, request.mti().response().ok_or("a request")?);
//! response.echo(&request, &[2, 3, 4, 11])?.set(39, b"00")?;
//! let mut answer = Vec::new();
//! response.write_to(&mut answer);
//! assert!(answer.starts_with(b"0110"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

pub mod build;
pub mod dialect;
mod dialect_file;
pub mod framing;
pub mod mac;
pub mod message;
pub mod mti;
pub mod original_data;
pub mod response_code;
pub mod values;
pub mod wire;
