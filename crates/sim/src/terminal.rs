//! Terminals: a shop's ([`pos`], [`tap`]), a bank's cash machine ([`atm`]) and an online shop ([`shop`]).
//!
//! Each runs one transaction from the card in the reader to the receipt, and keeps what was said on both sides of it,
//! decoded, without a PIN, a track or a full PAN.
//!
//! | file | holds |
//! |---|---|
//! | [`journey`] | what a transaction gives: outcome and trace; what may go wrong on purpose |
//! | [`deal`] | what the cardmember wants |
//! | [`profile`] | who and what a terminal is: a file, some with names |
//! | [`slot`] | any card that a terminal can reach |
//! | `terminal_data` | what it tells card and host |
//! | `selection` | choosing the card's application |
//! | `reader` | reading the card, asking for cryptograms |
//! | `authentication` | authenticating the card without the host |
//! | [`offline_auth`] | what that computes, and enciphering a PIN for a card |
//! | `cvm` | verifying the cardmember by the card's list of methods |
//! | [`contact`] | a whole transaction with the card in the reader |
//! | `online` | the request to the host, its answer, the reversal |
//! | `receipt` | what is displayed and printed |
//! | `trace` | APDUs and messages for people |

pub mod atm;
mod authentication;
pub mod contact;
mod cvm;
pub mod deal;
pub mod journey;
pub mod offline_auth;
mod online;
pub mod pos;
pub mod profile;
mod reader;
mod receipt;
mod selection;
pub mod shop;
pub mod slot;
pub mod tap;
mod terminal_data;
mod trace;
