//! Terminals: a shop's ([`pos`], [`tap`]), a bank's cash machine ([`atm`]) and an online shop ([`shop`]).
//!
//! Each runs one transaction from the card in the reader to the receipt, and keeps what was said on both sides of it,
//! decoded, without a PIN, a track or a full PAN.
//!
//! | file | holds |
//! |---|---|
//! | [`journey`] | what a transaction gives: outcome and trace; what may go wrong on purpose |
//! | [`merchant`] | who and what a terminal is |
//! | `reader` | selecting the card's application, reading it, asking for cryptograms |
//! | [`offline_auth`] | authenticating the card without the host, enciphering a PIN for it |
//! | `cvm` | verifying the cardmember by the card's list of methods |
//! | `contact` | a whole transaction with the card in the reader |
//! | `online` | the request to the host, its answer, the reversal |
//! | `receipt` | what is displayed and printed |
//! | `trace` | APDUs and messages for people |

pub mod atm;
mod contact;
mod cvm;
pub mod journey;
pub mod merchant;
pub mod offline_auth;
mod online;
pub mod pos;
mod reader;
mod receipt;
pub mod shop;
pub mod tap;
mod trace;
