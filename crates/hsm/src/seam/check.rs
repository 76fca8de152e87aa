//! The authorisation path: cryptograms and PINs to check, chips to answer, messages to authenticate.

use std::fmt;

use cards::Scheme;
use serde::{Deserialize, Serialize};

use super::{HsmCard, KeyName, NewPinVerdict, NewZonePin, PinVerdict, ZonePin};

/// An application cryptogram with what it was computed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cryptogram {
    /// Decides keys, session keys, padding, and which part of `iad` the cryptogram covers.
    pub scheme: Scheme,
    /// The cryptogram to verify, tag 9F26.
    pub arqc: [u8; 8],
    /// The terminal's and the card's data in the order of EMV Book 2 table 26, 33 bytes: the values of 9F02, 9F03,
    /// 9F1A, 95, 5F2A, 9A, 9C, 9F37, 82, 9F36. Any other length is no valid cryptogram.
    #[serde(with = "crate::octets")]
    pub data: Vec<u8>,
    /// Issuer application data, all of tag 9F10. Shorter than the profile's part, or longer than 32 bytes: no valid
    /// cryptogram.
    #[serde(with = "crate::octets")]
    pub iad: Vec<u8>,
}

/// What to check of one authorisation request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// The card that the request is about.
    pub card: HsmCard,
    /// What its chip signed, if it spoke.
    pub cryptogram: Option<Cryptogram>,
    /// The PIN that came with the request, if any.
    pub pin: Option<ZonePin>,
    /// The PIN that shall take its place, if any. Looked at only beside `pin`.
    pub new_pin: Option<NewZonePin>,
}

/// What the check found. `None` where the request had nothing to check.
///
/// When a cryptogram is present and wrong, no PIN is looked at and `pin` and `new_pin` are `None`: a PIN is compared
/// only after proof of the card. When the new PIN is unacceptable, `pin` is `None` for the same reason: nothing was
/// compared. Otherwise `new_pin` is there only when `pin` is a match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReply {
    /// Whether the cryptogram is the card's.
    pub cryptogram_valid: Option<bool>,
    /// How the PIN compares.
    pub pin: Option<PinVerdict>,
    /// What became of the new PIN.
    pub new_pin: Option<NewPinVerdict>,
}

/// Issuer authentication data for the chip, with the script commands that ride along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChipAnswerRequest {
    /// The card, in the state that the script takes its PIN from.
    pub card: HsmCard,
    /// The verified cryptogram that the answer belongs to.
    pub cryptogram: Cryptogram,
    /// What the chip may be told. More than one where somebody else decides which it is.
    pub decisions: Vec<ChipDecision>,
    /// The script that rides along, command by command.
    pub scripts: Vec<ScriptOrder>,
}

/// What an answer tells the chip; the profile takes the one or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChipDecision {
    /// Authorisation response code (tag 8A, two ASCII digits) or, for M/Chip, ARPC response code: ARPC method 1.
    pub arc: [u8; 2],
    /// Card status update: ARPC method 2.
    pub csu: [u8; 4],
}

/// One script command to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScriptOrder {
    /// `84 24 00 02` with the PIN that is the reference in [`ChipAnswerRequest::card`]'s state.
    ChangePin,
    /// `84 24 00 00`.
    UnblockPin,
    /// `84 24 00 01` with the same PIN, and the one that the chip has by the state: the only one possible beside the
    /// reference. Refused as [`super::HsmRefusal::Unsupported`] where there is none or more than one, where it isn't in the state,
    /// and for versions for which no public source shows the block.
    ChangeKnownPin,
}

/// The chip's answer parts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChipAnswer {
    /// Value of tag 91 for each decision, in order: ARPC (8) ‖ response code (2) by method 1, ARPC (4) ‖ CSU (4) by
    /// method 2. EMV Book 2 8.2.
    pub issuer_authentication_data: Vec<Vec<u8>>,
    /// The complete command APDU for tag 86, without Le, for each order. The chip takes them in this order only: each
    /// MAC is made for its place.
    pub commands: Vec<Vec<u8>>,
}

impl fmt::Debug for ChipAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChipAnswer")
            .field("decisions", &self.issuer_authentication_data.len())
            .field("commands", &self.commands.len())
            .finish_non_exhaustive()
    }
}

/// A message for which a MAC is wanted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageToMac {
    /// A zone MAC key; it decides the algorithm, see [`super::PaymentHsm::make_macs`].
    pub key: KeyName,
    /// What the MAC covers.
    #[serde(with = "crate::octets")]
    pub message: Vec<u8>,
}

impl fmt::Debug for MessageToMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageToMac")
            .field("key", &self.key.0)
            .finish_non_exhaustive()
    }
}

/// A message that came with a MAC.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageWithMac {
    /// A zone MAC key.
    pub key: KeyName,
    /// What the MAC covers.
    #[serde(with = "crate::octets")]
    pub message: Vec<u8>,
    /// The MAC to check.
    pub mac: [u8; 8],
}

impl fmt::Debug for MessageWithMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWithMac")
            .field("key", &self.key.0)
            .finish_non_exhaustive()
    }
}
