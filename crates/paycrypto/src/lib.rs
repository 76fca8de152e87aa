//! What the card and PIN standards compute: PIN blocks, PIN verification values, key blocks, DUKPT, EMV cryptograms and scripts.
//!
//! Pure: no I/O, no clock, no dice. Random fill and padding are arguments. Keys carry their schedules, so that nothing
//! expands a key twice. Every table of DES and of AES without hardware support has data-dependent loads: this room
//! doesn't defend against an attacker who shares the processor's caches.
//!
//! ```
//! use paycrypto::account::AccountDigits;
//! use paycrypto::pin::Pin;
//! use paycrypto::pinblock::{PinBlockError, TdesFormat, decipher_tdes, encipher_tdes};
//! use paycrypto::tdes_key::Tdes2Key;
//!
//! let zone_key = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
//! let account = AccountDigits::parse("4012345678909").ok_or("8 to 19 digits")?;
//! let pin = Pin::parse("1234").ok_or("4 to 12 digits")?;
//! let de52 = encipher_tdes(&zone_key, TdesFormat::Iso0, &pin, &account, &[0; 10]);
//! assert_eq!(decipher_tdes(&zone_key, TdesFormat::Iso0, de52, &account), Ok(pin));
//! assert_eq!(decipher_tdes(&zone_key, TdesFormat::Iso3, de52, &account), Err(PinBlockError));
//! # Ok::<(), &str>(())
//! ```
//!
//! The rules that come before the mathematics (who may call, how often, with which key usage) are the HSM's.

#![warn(missing_docs)]
#![forbid(unsafe_code)]

pub mod account;
pub mod aes_key;
pub mod arpc;
pub mod cryptogram;
pub mod cvn;
pub mod dukpt;
pub mod emv_key;
pub mod ibm3624;
pub mod icc_keys;
pub mod pin;
pub mod pinblock;
pub mod pvv;
pub mod script;
pub mod session_keys;
pub mod tdes_key;
pub mod tr31;
