//! The issuer's vocabulary, rules and state machines.
//!
//! Pure: no I/O, no clock, no randomness, no async. What a card is, what its PIN state may become, how many
//! wrong PINs it has left, and the one truthful answer to "which PIN works where". Clear PINs have no type
//! here on purpose: they exist in `paycrypto`, which only `hsm` and `sim` may use.

mod advice;
mod card;
mod chip;
mod fraud;
mod pan;
mod programme;
mod script;
mod script_rules;
mod state;
mod time;
mod tries;
mod unlocks;

pub use advice::{Advice, AdviceCode, PlaceState};
pub use card::{CardKey, CardRef, CardRole, CardStatus, CardmemberId, ParseCardRefError, SealedPan};
pub use chip::{ChipBasis, ChipEvidence, ChipPin, ChipVersion, Occasion, Report};
pub use fraud::{FraudAction, FraudRules, FraudSignal};
pub use pan::{Expiry, Pan, ParsePanError, Psn};
pub use programme::{Programme, ProgrammeId, ReissueRules, Scheme};
pub use script::{Attention, Delivery, NotMade, Resolution, Script, ScriptEnd, ScriptKind, ScriptSent, Wish};
pub use script_rules::{
    ReportCounts, ReportKept, ScriptRules, ScriptSettingError, ScriptSettings, ScriptTemplate,
};
pub use state::{CantUnlock, CardState, DecodeStateError, HostPin, PinReference, SealedPin, SetPinCause};
pub use time::Timestamp;
pub use tries::{Locked, TRIES_LONG_RUN_MAX, TRIES_PER_VERSION_MAX, TRIES_WINDOW_MS, Tries};
pub use unlocks::{UNLOCKS_MAX, Unlocks};
