//! EMV data objects: BER-TLV, tags, APDUs, issuer scripts, and the bit tables that card, terminal and host exchange.
//!
//! Only shapes: nothing here enciphers, makes or checks a cryptogram, keeps a key, or decides what a card or host does
//! with what it read. Reference: EMV 4.4 Books 1, 3 and 4; the schemes' layouts as public open-source tables give them.
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
