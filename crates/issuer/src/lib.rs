//! What an issuer does with a PIN: one act, one file.
//!
//! An act reads the card, asks the HSM, decides by the pure rules of `cards`, and commits its whole effect in one
//! write: state, journal, script attempts, notices, step-up. Clock, HSM and store are arguments, so that the same
//! code runs in production and in a simulation. No HTTP, no ISO 8583, no JSON interface here: surfaces map
//! [`Refusal`] and [`Fault`] to their own words and codes.

pub mod activate_card;
pub mod authorise;
pub mod card_status;
pub mod change_pin;
pub mod chip_lag;
pub mod chip_profile;
pub mod chip_results;
pub mod create_pin;
pub mod dual_run;
pub mod fraud;
pub mod import;
pub mod reissue_card;
pub mod renew_pins;
pub mod resend_script;
pub mod reverse;
pub mod unlock_pin;
pub mod view_pin;

mod chip_report;
mod counted;
mod desk;
mod desk_records;
mod pin_envelope;
mod refusal;

pub use desk::{Actor, Desk, hsm_card, particulars};
pub use desk_records::{GrantStepUp, STEP_UP_TTL_MS};
pub use pin_envelope::{OpenEnvelope, open_envelope};
pub use refusal::{ActError, Fault, Refusal};
