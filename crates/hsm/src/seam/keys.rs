//! Looking after keys: what each is for, and how it comes and goes.

use std::fmt;

use async_trait::async_trait;
use cards::{Pan, Scheme, Timestamp};
use serde::{Deserialize, Serialize};

use super::{HsmCard, HsmError, HsmFault, KeyName};

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
    /// `E0`: issuer master key for application cryptograms, TDES.
    IssuerCryptogram,
    /// `E2`: issuer master key for script integrity, TDES.
    IssuerScriptIntegrity,
    /// `E1`: issuer master key for script confidentiality, TDES.
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
    /// `M3`: zone MAC key, ISO/IEC 9797-1 MAC algorithm 3, TDES.
    ZoneMacTdes,
    /// `M6`: zone MAC key, CMAC, AES.
    ZoneMacAes,
    /// `B0`: DUKPT base derivation key, TDES.
    DukptBaseTdes,
    /// `B0`: DUKPT base derivation key, AES-128.
    DukptBaseAes,
    /// `V1`: IBM 3624 PIN verification key. Verifies nothing before [`KeyAdmin::set_ibm3624_rule`].
    PinVerificationIbm3624,
    /// `E0`: issuer master key for application cryptograms, AES.
    IssuerCryptogramAes,
    /// `E2`: issuer master key for script integrity, AES.
    IssuerScriptIntegrityAes,
    /// `E1`: issuer master key for script confidentiality, AES.
    IssuerScriptConfidentialityAes,
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
    /// Check value of the value that it had before its last replacement, while that is still read.
    pub former_kcv: Option<String>,
}

/// How the IBM 3624 method turns an account into validation data, and its result into digits.
///
/// A property of the key, set once: whoever can vary the table learns PINs (security.md A1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ibm3624Rule {
    /// Decimalisation table: 16 ASCII digits, the first for hexadecimal 0, at least 8 different ones.
    pub table: String,
    /// The PAN digits of the validation data, from its left end.
    pub digits: ValidationDigits,
    /// Hexadecimal digit, 0 to 15, that fills the validation data up to 16.
    pub pad: u8,
}

/// Which digits of the PAN, 1 to 16, make the validation data. A PAN with fewer gives those that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValidationDigits {
    /// The first ones; the check digit is one of them where the PAN is no longer.
    Leftmost(u8),
    /// The last ones before the check digit.
    RightmostWithoutCheckDigit(u8),
}

/// What the personalisation bureau gets for one card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalisedCard {
    /// For embossing and for the chip.
    pub pan: Pan,
    /// TR-31 blocks under the bureau's key exchange key: ICC master keys for AC, script MAC, script encipherment. The
    /// block's header says the algorithm, `T` or `A`, and the usage, `E0`, `E2`, `E1`.
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

    /// Gives a zone PIN key or zone MAC key a new value, from a TR-31 block under a key exchange key.
    ///
    /// From then on the new value makes and the new value reads; what can't be read with it is read with the former
    /// one, until the next replacement or [`KeyAdmin::drop_former_key`]. `kcv` is the new value's check value as the
    /// other party told it, upper-case hex, of at least 3 bytes; it is compared as far as it goes.
    ///
    /// Refuses, and changes nothing:
    /// - [`HsmRefusal::NoSuchKey`](super::HsmRefusal::NoSuchKey): no key of this name, or not one of a zone
    /// - [`HsmRefusal::KeyBlock`](super::HsmRefusal::KeyBlock): not authentic under `under`, or no usable key in it
    /// - [`HsmRefusal::KeyUsage`](super::HsmRefusal::KeyUsage): usage, algorithm or mode of another purpose
    /// - [`HsmRefusal::KeyCheckValue`](super::HsmRefusal::KeyCheckValue): `kcv`, or the block's own check value
    ///   (optional blocks `KC` and `KP` of ANSI X9.143:2022), isn't the key's
    /// - [`HsmRefusal::KeyUnchanged`](super::HsmRefusal::KeyUnchanged): it is a value that the key has or ever had
    ///   before; of those that can't read any more a fingerprint is kept
    async fn replace_key(
        &self,
        name: KeyName,
        block: String,
        under: KeyName,
        kcv: Option<String>,
        now: Timestamp,
    ) -> Result<KeyInfo, HsmError>;

    /// Forgets the value that a key had before its last replacement. Does nothing where there is none.
    async fn drop_former_key(&self, name: KeyName) -> Result<KeyInfo, HsmError>;

    /// Tells, once and for good, by what rule an IBM 3624 key verifies.
    ///
    /// Refuses with [`HsmRefusal::KeyExists`](super::HsmRefusal::KeyExists) a key that has another rule already, with
    /// [`HsmRefusal::Unsupported`](super::HsmRefusal::Unsupported) a rule outside the limits of [`Ibm3624Rule`].
    async fn set_ibm3624_rule(&self, name: KeyName, rule: Ibm3624Rule) -> Result<KeyInfo, HsmError>;

    /// ICC keys and first PIN of a card for the personalisation bureau; the scheme decides derivation and algorithm.
    async fn personalise(
        &self,
        card: HsmCard,
        scheme: Scheme,
        under: KeyName,
        zone_key: KeyName,
    ) -> Result<PersonalisedCard, HsmError>;

    /// The public half of the envelope identity key: uncompressed P-256 point, 65 bytes.
    async fn envelope_identity(&self) -> Result<Vec<u8>, HsmError>;
}
