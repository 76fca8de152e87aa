//! What the card and PIN standards compute: PIN blocks, PIN verification values, key blocks, DUKPT, EMV cryptograms and scripts.
//!
//! Pure: no I/O, no clock, no dice. Random fill and padding are arguments. Keys carry their schedules, so that nothing
//! expands a key twice. Every table of DES and of AES without hardware support has data-dependent loads: this room
//! doesn't defend against an attacker who shares the processor's caches.
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
