//! The only room with keys.
//!
//! [`PaymentHsm`] is the seam: what Pinward asks of a payment HSM, in the vocabulary of the public payment-HSM
//! APIs. [`KeyAdmin`] is its second half, for people who look after keys. [`SoftwareHsm`] implements both; it runs
//! in a process of its own ([`serve()`]), and [`RemoteHsm`] is the client that the rest of the program holds.
//!
//! Nothing that crosses the seam is a clear PIN or a clear key. No function of [`PaymentHsm`] takes a decimalisation
//! table, a PVKI, a PIN reference of the caller's choosing or two cards at once (`docs/architecture.md`, "No oracle"). A
//! decimalisation table is part of its key: set once by [`KeyAdmin::set_ibm3624_rule`], never varied.

#![warn(missing_docs)]

mod chip;
mod desk_records;
mod dice;
mod ecdh;
mod envelopes;
mod harden;
mod history;
mod ibm3624;
mod key_admin;
mod key_block;
mod key_material;
mod key_purpose;
mod keyring;
mod keystore;
mod message_mac;
mod octets;
mod pins;
mod records;
mod remote;
mod sealed_messages;
mod seam;
mod serve;
mod software;
mod wire;

pub use keystore::OpenError;
pub use remote::RemoteHsm;
pub use seam::*;
pub use serve::{ServeError, ServeOptions, serve};
pub use software::SoftwareHsm;
