//! What Pinward asks of a payment HSM.
//!
//! The calls on the authorisation path take batches and answer item by item, in order: one bad item never
//! spoils its neighbours. What holds a PIN block, even an enciphered one, prints without it, so that none lands in a log.

use std::fmt;

use async_trait::async_trait;
use cards::{CardKey, CardRef, Pan, Psn, Scheme, SealedPan, SealedPin, Timestamp};
use serde::{Deserialize, Serialize};

/// A card as the HSM needs it: who it is and its authenticated state.
///
/// `mac` covers all other fields. Every call that uses a card checks it first and refuses with
/// [`HsmRefusal::CardTampered`] when the record was edited, swapped or made elsewhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HsmCard {
    /// The card's key; its row number names the card in refusals.
    pub key: CardKey,
    /// Its PAN, sealed by this HSM.
    pub pan: SealedPan,
    /// Its card sequence number.
    pub psn: Psn,
    /// [`cards::CardState::encode`].
    #[serde(with = "crate::octets")]
    pub state: Vec<u8>,
    /// By [`PaymentHsm::seal_states`].
    pub mac: StateMac,
}

impl fmt::Debug for HsmCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HsmCard")
            .field("key", &self.key.row)
            .field("psn", &self.psn)
            .finish_non_exhaustive()
    }
}

/// AES-CMAC of a card's identity and encoded state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateMac(pub [u8; 16]);

/// What an HSM says no to. Safe to write to a log; carries no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the error text of each variant says it")]
pub enum HsmRefusal {
    /// Also when the PIN in an authentic record was sealed for another card, and when a chip's answer is asked for
    /// with a cryptogram that isn't valid.
    #[error("the card's record doesn't carry the HSM's MAC")]
    CardTampered,
    /// One answer for every fault of a PIN block, so that nothing can be learnt from it (security.md A2).
    #[error("the PIN block is not acceptable")]
    PinBlock,
    /// Unknown, used, expired, or made for another card, session or operation.
    #[error("the PIN envelope is not, or no longer, valid")]
    Envelope,
    #[error("the back end doesn't offer this function or PIN reference")]
    Unsupported,
    #[error("no key with this name and usage")]
    NoSuchKey,
    #[error("a key with this name exists already")]
    KeyExists,
    #[error("the key block or its components are not acceptable")]
    KeyBlock,
    #[error("too many PIN envelopes are open")]
    Busy,
}

/// The HSM can't be reached or is broken. For the operator; the caller can't tell whether anything was evaluated,
/// and must give no answer that depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the HSM can't answer: {0}")]
pub struct HsmFault(pub String);

/// Why a call has no result: refused by the HSM, or not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the error text of each variant says it")]
pub enum HsmError {
    #[error(transparent)]
    Refused(#[from] HsmRefusal),
    #[error(transparent)]
    Fault(#[from] HsmFault),
}

/// One answer of a batch.
pub type Item<T> = Result<T, HsmRefusal>;

/// Name of a key in the HSM's key store (`zpk-demo-acquirer`): 1 to 64 of `a-z 0-9 -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyName(pub String);

/// How DE52 is formatted and enciphered on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZonePinFormat {
    /// ISO 9564 format 0 under a TDES zone PIN key, 8 bytes.
    Iso0,
    /// ISO 9564 format 4 under an AES zone PIN key, 16 bytes.
    Iso4,
}

/// An enciphered PIN as it arrived from a network.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZonePin {
    /// The key that the block is under.
    pub zone_key: KeyName,
    /// Its format, and by that the algorithm of its key.
    pub format: ZonePinFormat,
    /// 8 bytes for [`ZonePinFormat::Iso0`], 16 for [`ZonePinFormat::Iso4`].
    #[serde(with = "crate::octets")]
    pub block: Vec<u8>,
}

impl fmt::Debug for ZonePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZonePin")
            .field("zone_key", &self.zone_key.0)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// An application cryptogram with what it was computed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cryptogram {
    /// Decides keys, session keys and padding.
    pub scheme: Scheme,
    /// Application transaction counter.
    pub atc: u16,
    /// The cryptogram to verify, tag 9F26.
    pub arqc: [u8; 8],
    /// The cryptogram input of the scheme, unpadded, IAD part included.
    #[serde(with = "crate::octets")]
    pub data: Vec<u8>,
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
}

/// What the check found. `None` where the request had nothing to check.
///
/// When a cryptogram is present and wrong, the PIN is not looked at and `pin` is `None`: a PIN is compared only
/// after proof of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReply {
    /// Whether the cryptogram is the card's.
    pub cryptogram_valid: Option<bool>,
    /// How the PIN compares.
    pub pin: Option<PinVerdict>,
}

/// The result of comparing one PIN with the card's reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinVerdict {
    /// It is the card's PIN.
    Match,
    /// It is another PIN: to be charged before anybody is told.
    NoMatch,
    /// The block is malformed, or under another key: says nothing about the PIN (and is never charged).
    Unreadable,
    /// The card has no PIN.
    NoReference,
}

/// Issuer authentication data for the chip, with a script when one rides along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChipAnswerRequest {
    /// The card, in the state that the script takes its PIN from.
    pub card: HsmCard,
    /// The verified cryptogram that the answer belongs to.
    pub cryptogram: Cryptogram,
    /// Card status update for ARPC method 2.
    pub csu: [u8; 4],
    /// The script that rides along, if any.
    pub script: Option<ScriptOrder>,
}

/// The script to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScriptOrder {
    /// `84 24 00 02` with the PIN that is the reference in [`ChipAnswerRequest::card`]'s state.
    ChangePin,
    /// `84 24 00 00`.
    UnblockPin,
}

/// The chip's answer parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChipAnswer {
    /// Tag 91: ARPC (4 bytes) and CSU (4 bytes).
    pub issuer_authentication_data: [u8; 8],
    /// The complete command APDU for tag 86, without Le.
    pub script_command: Option<Vec<u8>>,
}

/// A state to authenticate.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateToSeal {
    /// The card's key.
    pub key: CardKey,
    /// Its sealed PAN.
    pub pan: SealedPan,
    /// Its card sequence number.
    pub psn: Psn,
    /// [`cards::CardState::encode`] of the next state.
    #[serde(with = "crate::octets")]
    pub state: Vec<u8>,
}

impl fmt::Debug for StateToSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateToSeal")
            .field("key", &self.key.row)
            .field("psn", &self.psn)
            .finish_non_exhaustive()
    }
}

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

/// A PIN brought in with a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPin {
    /// The PAN that the block was made with, and will be sealed for.
    pub pan: Pan,
    /// The PIN as it came.
    pub pin: ZonePin,
}

/// What Pinward asks of a payment HSM. Calls answer in the order of their batch.
#[async_trait]
pub trait PaymentHsm: Send + Sync {
    /// Card keys of PANs: HMAC-SHA-256 under the card index key.
    async fn card_keys(&self, pans: Vec<Pan>) -> Result<Vec<CardKey>, HsmFault>;

    /// Encrypts PANs for the store.
    async fn seal_pans(&self, pans: Vec<Pan>) -> Result<Vec<SealedPan>, HsmFault>;

    /// Makes the MACs of new card states.
    async fn seal_states(&self, states: Vec<StateToSeal>) -> Result<Vec<StateMac>, HsmFault>;

    /// Verifies cryptograms and compares online PINs. Charges nothing: the caller commits before it answers (I1).
    async fn check(&self, requests: Vec<CheckRequest>) -> Result<Vec<Item<CheckReply>>, HsmFault>;

    /// Makes ARPCs and scripts for chips whose cryptogram this batch proves again.
    async fn answer_chip(&self, requests: Vec<ChipAnswerRequest>) -> Result<Vec<Item<ChipAnswer>>, HsmFault>;

    /// Re-encrypts PINs from a zone key to the PIN storage key, in and out PAN being the same.
    async fn import_pins(&self, pins: Vec<ImportPin>) -> Result<Vec<Item<SealedPin>>, HsmFault>;

    /// Opens a single-use PIN envelope. It expires [`ENVELOPE_TTL_MS`] after `now`.
    async fn open_envelope(&self, request: EnvelopeRequest) -> Result<EnvelopeOffer, HsmError>;

    /// Takes a new PIN out of its envelope and seals it for the card's state.
    async fn create_pin(&self, card: HsmCard, envelope: SealedEnvelope) -> Result<SealedPin, HsmError>;

    /// Compares the current PIN and, only when it matches, seals the new one. One act: the envelope is spent
    /// either way.
    async fn change_pin(&self, card: HsmCard, envelope: SealedEnvelope) -> Result<PinChange, HsmError>;

    /// Gives a PIN of the card to the device that opened the envelope.
    async fn reveal_pin(
        &self,
        card: HsmCard,
        which: RevealWhich,
        envelope: SealedEnvelope,
    ) -> Result<RevealedPin, HsmError>;

    /// MAC of the audit chain's head, so that a cut tail or a rewritten chain shows.
    async fn anchor_audit(&self, sequence: u64, hash: [u8; 32]) -> Result<[u8; 16], HsmFault>;
}

/// How long an envelope may be open: 120 seconds, in milliseconds.
pub const ENVELOPE_TTL_MS: i64 = 120_000;

/// What a key is for. One key, one purpose; the key block says which (ANSI X9.143 key usage).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPurpose {
    /// `K0`/`K1`: wraps keys that are exchanged with another party.
    KeyExchange,
    /// `P0`: zone PIN key, TDES.
    ZonePinTdes,
    /// `P0`: zone PIN key, AES.
    ZonePinAes,
    /// `E0`: issuer master key for application cryptograms.
    IssuerCryptogram,
    /// `E2`: issuer master key for script integrity.
    IssuerScriptIntegrity,
    /// `E1`: issuer master key for script confidentiality.
    IssuerScriptConfidentiality,
    /// `V2`: Visa PVV key.
    PinVerificationVisa,
    /// `P0`, numeric usage kept local: PIN storage key, AES.
    PinStorage,
    /// `D0`, local: PAN storage key, AES.
    PanStorage,
    /// `M7`, local: card index key (HMAC-SHA-256).
    CardIndex,
    /// `M6`, local: MAC over card states and the audit head.
    RecordMac,
    /// `S0`, local: the P-256 key that signs envelope offers.
    EnvelopeIdentity,
}

/// A key as the inventory shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// Unique among all keys.
    pub name: KeyName,
    /// Its one use.
    pub purpose: KeyPurpose,
    /// As people name it: `AES-256`, `TDES-128`, `HMAC-SHA-256`, `P-256`.
    pub algorithm: String,
    /// Check value, upper-case hex.
    pub kcv: String,
    /// When it was made or brought in.
    pub created: Timestamp,
}

/// What the personalisation bureau gets for one card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalisedCard {
    /// For embossing and for the chip.
    pub pan: Pan,
    /// TR-31 blocks under the bureau's key exchange key: ICC master keys for AC, script MAC, script encipherment.
    pub icc_key_ac: String,
    /// The same for script integrity.
    pub icc_key_smi: String,
    /// The same for script confidentiality.
    pub icc_key_smc: String,
    /// ISO format 0 block of the chip's first PIN under `zone_key`; `None` when the card is delivered without.
    pub pin_block: Option<[u8; 8]>,
}

impl fmt::Debug for PersonalisedCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonalisedCard")
            .field("pan", &self.pan)
            .finish_non_exhaustive()
    }
}

/// Looking after keys.
#[async_trait]
pub trait KeyAdmin: Send + Sync {
    /// Every key, without its value.
    async fn keys(&self) -> Result<Vec<KeyInfo>, HsmFault>;

    /// Makes a random key.
    async fn generate_key(
        &self,
        name: KeyName,
        purpose: KeyPurpose,
        now: Timestamp,
    ) -> Result<KeyInfo, HsmError>;

    /// Loads a key exchange key from component files that the HSM reads itself (XOR of 32-byte AES components, hex,
    /// each with its check value on the second line).
    async fn load_components(
        &self,
        name: KeyName,
        component_paths: Vec<String>,
        now: Timestamp,
    ) -> Result<KeyInfo, HsmError>;

    /// A key as a TR-31 block (version D) under a key exchange key.
    async fn export_key(&self, name: KeyName, under: KeyName) -> Result<String, HsmError>;

    /// A key from a TR-31 block under a key exchange key; usage and algorithm must fit the purpose.
    async fn import_key(
        &self,
        name: KeyName,
        purpose: KeyPurpose,
        block: String,
        under: KeyName,
        now: Timestamp,
    ) -> Result<KeyInfo, HsmError>;

    /// ICC keys and first PIN of a card for the personalisation bureau.
    async fn personalise(
        &self,
        card: HsmCard,
        under: KeyName,
        zone_key: KeyName,
    ) -> Result<PersonalisedCard, HsmError>;

    /// The public half of the envelope identity key: uncompressed P-256 point, 65 bytes.
    async fn envelope_identity(&self) -> Result<Vec<u8>, HsmError>;
}
