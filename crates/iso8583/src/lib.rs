//! ISO 8583 messages: a codec over dialects kept as data, framing, and the small values both ends of a link share.
//!
//! A received frame is walked once: bitmap, lengths and characters are checked in the same pass. Values have one
//! canonical form, ASCII text and digits or raw bytes, whatever the wire; where the wire is like that, they are slices of
//! the frame. Nothing here does I/O, reads a clock, or knows what a field means to an issuer;
//! DE55 stays bytes (room `emv`) and DE52 stays enciphered (room `hsm`). No error and no `Debug` shows content.
//!
//! ```
//! use iso8583::dialect::Dialect;
//! use iso8583::message::Message;
//! use iso8583::build::MessageBuilder;
//! use iso8583::mti::MTI_0800_NETWORK_REQUEST;
//!
//! let dialect = Dialect::named("ascii-1987")?;
//! let mut echo = MessageBuilder::new(&dialect, MTI_0800_NETWORK_REQUEST);
//! echo.set(7, b"1122161500")?.set(11, b"000042")?.set(70, b"301")?;
//! let mut frame = Vec::new();
//! echo.write_to(&mut frame);
//! let received = Message::parse(&frame, &dialect)?;
//! assert_eq!(received.field(70), Some(&b"301"[..]));
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
