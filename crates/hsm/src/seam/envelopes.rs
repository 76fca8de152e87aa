//! PIN envelopes: how a PIN gets from a cardmember's device into the HSM and back without anybody in between.

use std::fmt;

use cards::{CardRef, SealedPin, Timestamp};
use serde::{Deserialize, Serialize};

/// How long an envelope may be open: 120 seconds, in milliseconds.
pub const ENVELOPE_TTL_MS: i64 = 120_000;

/// What an envelope may be used for.
///
/// The HSM keeps it with the envelope's nonce and signs it in the offer, so that one can't stand for another. Its
/// name in the signature is its snake_case name: `create_pin`, `change_pin`, `view_pin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinOperation {
    /// Bring in a first PIN.
    CreatePin,
    /// Bring in the current and a new PIN.
    ChangePin,
    /// Take a PIN out.
    ViewPin,
}

/// Asks for a PIN envelope: the right to bring in, or take out, PINs of one card once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeRequest {
    /// The only card that it will work for.
    pub card: CardRef,
    /// SHA-256 of the session's token: the envelope works in this session only.
    pub session: [u8; 32],
    /// The only operation that it will work for.
    pub operation: PinOperation,
    /// Digits that a new PIN must have (the programme's), 4 to 12. Another length is refused as
    /// [`HsmRefusal::PinBlock`] before anything is compared.
    pub pin_len_digits: u8,
    /// The moment from which it expires.
    pub now: Timestamp,
}

/// What the cardmember's device needs to seal a PIN for the HSM, or to be shown one.
///
/// `signature` is ECDSA P-256 with SHA-256 by the HSM's identity key, as `r ‖ s`, 32 bytes each, big-endian
/// (IEEE P1363, what WebCrypto takes), over these bytes:
///
/// | part | bytes |
/// |---|---|
/// | `pinward envelope v1` | 19, ASCII |
/// | `nonce` | 16 |
/// | name of the operation: `create_pin`, `change_pin` or `view_pin` | 10, 10 or 8, ASCII |
/// | `account` | 16, ASCII digits |
/// | `expires`, milliseconds since 1970 | 8, big-endian, signed |
/// | `hsm_public` | 65 |
///
/// Vectors: `crates/hsm/vectors/envelope.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeOffer {
    /// Names the envelope when it comes back.
    pub nonce: [u8; 16],
    /// What it may be used for.
    pub operation: PinOperation,
    /// 16 random decimal digits that stand for the PAN in the ISO format 4 blocks of this envelope, so that the
    /// page never holds the PAN. ASCII.
    pub account: String,
    /// From this moment on it is refused.
    pub expires: Timestamp,
    /// Uncompressed P-256 point of a key made for this envelope, 65 bytes.
    pub hsm_public: Vec<u8>,
    /// The HSM's word for all of this, 64 bytes.
    pub signature: Vec<u8>,
}

/// A sealed envelope as it comes back from the device.
///
/// The device makes a one-time P-256 key pair. Z is the x coordinate of the ECDH shared point, 32 bytes,
/// big-endian. Each key is the leftmost 16 bytes (AES-128) of one SHA-256 (one-step concat KDF, NIST SP 800-56A
/// rev. 3, 5.8.2.1) over these bytes:
///
/// | part | bytes |
/// |---|---|
/// | `00 00 00 01` | 4 |
/// | Z | 32 |
/// | `pinward` | 7, ASCII |
/// | role: `current`, `new` or `reveal` | 7, 3 or 6, ASCII |
/// | `device_public` | 65, uncompressed point (`04 ‖ x ‖ y`) |
/// | `hsm_public` | 65, uncompressed point |
/// | `nonce` | 16 |
///
/// A PIN travels as ISO 9564-1:2017 format 4 block: PIN field `4 ‖ N ‖ PIN ‖ A…` (8 bytes) and 8 random bytes;
/// account field `4 ‖ account ‖ 0…` (16 bytes: the account has 16 digits, so its length digit is 4); block
/// E(E(PIN field) ⊕ account field).
///
/// | operation | `current_pin` | `new_pin` | the answer |
/// |---|---|---|---|
/// | create | absent | under `new` | |
/// | change | under `current` | under `new` | |
/// | view | absent | absent | a block under `reveal` |
///
/// Vectors: `crates/hsm/vectors/envelope.json`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedEnvelope {
    /// Of the offer.
    pub nonce: [u8; 16],
    /// SHA-256 of the token of the session that brings it.
    pub session: [u8; 32],
    /// Uncompressed P-256 point of the device's one-time key, 65 bytes.
    pub device_public: Vec<u8>,
    /// ISO format 4 block of the current PIN under the `current` key; only for a change.
    pub current_pin: Option<[u8; 16]>,
    /// ISO format 4 block of the new PIN under the `new` key; only for create and change.
    pub new_pin: Option<[u8; 16]>,
    /// The moment of its use.
    pub now: Timestamp,
}

impl fmt::Debug for SealedEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedEnvelope")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// How a change of PIN was judged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinChange {
    /// The current PIN matched; here is the new one for the card's state.
    Matched(SealedPin),
    /// It didn't: to be charged before anybody is told.
    NoMatch,
}

impl fmt::Debug for PinChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Matched(_) => "Matched(•)",
            Self::NoMatch => "NoMatch",
        })
    }
}

/// Which PIN to reveal to its cardmember.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RevealWhich {
    /// The host's.
    Current,
    /// The one the chip holds, or may hold, from before: needs `version` to be kept in the state.
    OnChip {
        /// The PIN version, as in the card's state.
        version: u32,
    },
}

/// A PIN for the device only: ISO format 4 block over the envelope's account under the `reveal` key.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevealedPin(pub [u8; 16]);

impl fmt::Debug for RevealedPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevealedPin(•)")
    }
}
