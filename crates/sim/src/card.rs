//! An EMV chip card with Visa cryptogram version 18, as a state machine over APDUs.
//!
//! | file | holds |
//! |---|---|
//! | [`perso`] | what the bureau wrote into the card, once |
//! | [`state`] | what the card itself remembers, written before each answer leaves |
//! | [`chip`] | the commands |
//! | [`records`] | the data objects a terminal reads |
//!
//! What it computes with its keys is `paycrypto`'s.
//!
//! Left out, on purpose: offline data authentication, offline approval, enciphered offline PIN, card and application
//! block, extended lengths, logical channels.

pub mod chip;
pub mod perso;
pub mod records;
pub mod state;
