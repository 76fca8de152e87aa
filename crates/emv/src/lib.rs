//! EMV data objects: BER-TLV, tags, APDUs, issuer scripts, and the bit tables that card, terminal and host exchange.
//!
//! Only shapes: nothing here enciphers, makes or checks a cryptogram, keeps a key, or decides what a card or host does
//! with what it read. Reference: EMV 4.4 Books 1, 3 and 4; the schemes' layouts as public open-source tables give them.
//!
//! ```
//! use emv::field55::{CryptogramKind, Field55};
//! use emv::iad::{ChipReport, IadLayout, OfflinePin};
//!
//! let de55 = b"\x9F\x26\x08\x7A\x78\x8E\xA6\xB8\xA3\xE7\x33\x9F\x27\x01\x80\x9F\x10\x07\x06\x01\x12\x03\xA4\xB8\x00\
//!     \x9F\x37\x04\x52\xBF\x45\x85\x9F\x36\x02\x00\x1C\x95\x05\x80\x00\x04\x80\x00\x9A\x03\x19\x11\x05\x9C\x01\x01\
//!     \x9F\x02\x06\x00\x00\x00\x00\x40\x00\x9F\x03\x06\x00\x00\x00\x00\x00\x00\x5F\x2A\x02\x01\x24\x82\x02\x18\x00\
//!     \x9F\x1A\x02\x01\x24";
//! let chip = Field55::parse(de55)?;
//! assert_eq!(CryptogramKind::from_cid(chip.cid), Some(CryptogramKind::Arqc));
//! assert_eq!(chip.atc, [0x00, 0x1C]);
//! let report = ChipReport::read(IadLayout::Visa, chip.iad).ok_or("not laid out as Visa's")?;
//! assert_eq!((report.cvn, report.offline_pin), (0x12, OfflinePin::Verified));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

pub mod afl;
pub mod apdu;
pub mod bits;
pub mod csu;
pub mod cvm;
pub mod cvr;
pub mod dol;
pub mod field55;
pub mod iad;
pub mod script;
pub mod show;
pub mod tags;
pub mod tlv;
