//! An EMV chip card of any of the twelve profiles, as a state machine over APDUs.
//!
//! | file | holds |
//! |---|---|
//! | [`perso`] | what the bureau wrote into the card, once |
//! | [`profile`] | what a card of each scheme is like: a file |
//! | [`state`] | what the card itself remembers, written before each answer leaves |
//! | [`chip`] | the commands |
//! | `report` | what the card says it did, in each layout of tag 9F10 |
//! | [`records`] | the data objects a terminal reads |
//! | [`certified_key`] | the card's RSA key with its certificates |
//! | [`tear`] | cutting the power at a chosen moment |
//! | [`data_groups`] | all of it, as card personalisation writes it |
//!
//! What it computes with its symmetric keys is `paycrypto`'s.
//!
//! Left out, on purpose: static data authentication, offline approval, card and application block, extended lengths,
//! logical channels.

pub mod certified_key;
pub mod chip;
pub mod data_groups;
pub mod perso;
pub mod profile;
pub mod records;
mod report;
pub mod state;
pub mod tear;
