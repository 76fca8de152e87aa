//! Terminals: a shop's ([`pos`], [`tap`]), a bank's cash machine ([`atm`]) and an online shop ([`shop`]).
//!
//! Each runs one transaction from the card in the reader to the receipt, and keeps what was said on both sides of it,
//! decoded, without a PIN, a track or a full PAN.
//!
//! | file | holds |
//! |---|---|
//! | [`journey`] | what a transaction gives: outcome and trace |
//! | [`merchant`] | who and what a terminal is |
//! | [`chip_session`] | EMV with a card: selection, data, PIN, cryptograms, scripts |
//! | [`online`] | the request to the acquirer, the answer, the reversal |

pub mod atm;
pub mod journey;
pub mod merchant;
pub mod pos;
pub mod shop;
pub mod tap;
