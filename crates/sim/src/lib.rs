//! The other side of Pinward, for development and tests: a chip card, terminals, an acquirer, a personalisation bureau
//! and a cardmember's device.
//!
//! Knows only the standards and the product's public files and ports: nothing here is shared with the issuer's side but
//! `paycrypto`, so agreement between the two proves nothing that a published vector doesn't. Where a real terminal
//! reads a clock or throws dice, so does this room. No trace, error or `Debug` shows a PIN, a key or a full PAN.

pub mod acquirer;
pub mod bureau;
pub mod card;
pub mod cli;
pub mod crypto;
pub mod device;
pub mod load;
pub mod mailbox;
mod private_file;
pub mod profile_file;
pub mod replay;
pub mod rsa;
pub mod sandbox;
pub mod terminal;
pub mod vpcd;
