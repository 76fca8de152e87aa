//! What Pinward asks of a payment HSM.
//!
//! The calls on the authorisation path take batches and answer item by item, in order: one bad item never
//! spoils its neighbours. What holds a PIN block, even an enciphered one, prints without it, so that none lands in a log.

use std::fmt;

use async_trait::async_trait;
use cards::{CardKey, Pan, PinReference, Psn, SealedPan, SealedPin};
use serde::{Deserialize, Serialize};

mod check;
mod desk_records;
mod envelopes;
mod history;
mod keys;
mod messages;
mod pins;

pub use check::*;
pub use desk_records::*;
pub use envelopes::*;
pub use history::*;
pub use keys::*;
pub use messages::*;
pub use pins::*;

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
    /// What else the desk keeps of it (whose it is, how long it is valid), in the desk's own encoding: the HSM only
    /// authenticates it.
    #[serde(with = "crate::octets")]
    pub particulars: Vec<u8>,
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

/// AES-CMAC of a card's identity, particulars and encoded state.
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
    #[error("the key can't be taken: {0}")]
    KeyBlock(KeyFlaw),
    #[error("the key block is for another use, mode or algorithm")]
    KeyUsage,
    #[error("the key check value isn't the key's")]
    KeyCheckValue,
    #[error("the key has, or had before, this value already")]
    KeyUnchanged,
    #[error("too many PIN envelopes are open")]
    Busy,
}

/// Why a key, or what it is put together from, isn't acceptable. Says which check failed, and nothing of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the error text of each variant says it")]
pub enum KeyFlaw {
    #[error("its key block is damaged, or not under this key exchange key")]
    NotAuthentic,
    #[error("it is too short, too long or too weak for its use")]
    Value,
    #[error("a name is 1 to 64 of a-z, 0-9 and -; Visa PVV keys, and no others, are pvk-1 to pvk-6")]
    Name,
    #[error("2 to 9 component files are needed")]
    ComponentCount,
    #[error(
        "component file {number} doesn't hold 64 hexadecimal digits and, on the next line, their check value"
    )]
    Component { number: u8 },
    #[error("the components cancel each other out: is one of them there twice?")]
    ComponentsCancel,
}

/// The HSM can't be reached or is broken. For the operator; the caller can't tell whether anything was evaluated,
/// and must give no answer that depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum HsmFault {
    /// Says why; never what was asked.
    #[error("the HSM can't answer: {0}")]
    NoAnswer(String),
    /// It does nothing about cards with this database, and has evaluated nothing.
    #[error("the HSM takes no part in this: {0}")]
    History(#[from] HistoryFault),
}

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

/// A state to authenticate.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateToSeal {
    /// The card's key.
    pub key: CardKey,
    /// Its sealed PAN.
    pub pan: SealedPan,
    /// Its card sequence number.
    pub psn: Psn,
    /// See [`HsmCard::particulars`].
    #[serde(with = "crate::octets")]
    pub particulars: Vec<u8>,
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

/// What Pinward asks of a payment HSM. Calls answer in the order of their batch.
#[async_trait]
pub trait PaymentHsm: Send + Sync {
    /// Card keys of PANs: HMAC-SHA-256 under the card index key.
    async fn card_keys(&self, pans: Vec<Pan>) -> Result<Vec<CardKey>, HsmFault>;

    /// Encrypts PANs for the store.
    async fn seal_pans(&self, pans: Vec<Pan>) -> Result<Vec<SealedPan>, HsmFault>;

    /// Makes the MACs of new card states.
    async fn seal_states(&self, states: Vec<StateToSeal>) -> Result<Vec<StateMac>, HsmFault>;

    /// Verifies cryptograms, compares online PINs, and seals new ones where the current one matched. Charges nothing:
    /// the caller commits before it answers (I1).
    async fn check(&self, requests: Vec<CheckRequest>) -> Result<Vec<Item<CheckReply>>, HsmFault>;

    /// Makes ARPCs and scripts for chips whose cryptogram this batch proves again.
    async fn answer_chip(&self, requests: Vec<ChipAnswerRequest>) -> Result<Vec<Item<ChipAnswer>>, HsmFault>;

    /// Makes MACs of messages, 8 bytes each.
    ///
    /// Under a TDES key: ISO/IEC 9797-1:2011 MAC algorithm 3 (ANSI X9.19) with padding method 1, zeros up to whole
    /// blocks and none where the message ends with a block. Under an AES key: CMAC, the left 8 bytes.
    async fn make_macs(&self, messages: Vec<MessageToMac>) -> Result<Vec<Item<[u8; 8]>>, HsmFault>;

    /// Checks MACs as [`PaymentHsm::make_macs`] makes them, in constant time.
    async fn check_macs(&self, messages: Vec<MessageWithMac>) -> Result<Vec<Item<bool>>, HsmFault>;

    /// Re-encrypts PINs from a zone key to the PIN storage key, in and out PAN being the same.
    async fn import_pins(&self, pins: Vec<ImportPin>) -> Result<Vec<Item<SealedPin>>, HsmFault>;

    /// Whether it has what it compares PINs with: refuses with [`HsmRefusal::NoSuchKey`] a PVV or an offset whose key
    /// isn't there, or has no rule yet.
    async fn can_compare(&self, references: Vec<PinReference>) -> Result<Vec<Item<()>>, HsmFault>;

    /// Seals the card's present PIN anew for the PAN of the card that replaces it.
    ///
    /// The one act that carries a PIN to another PAN, which PCI PIN Security v3.1 3-3 leaves to card issuance. Whoever may
    /// ask for it may ask for [`PaymentHsm::reveal_pin`] too: it gives no more away. Refuses with
    /// [`HsmRefusal::Unsupported`] a card without a PIN, or whose PIN is known by a PVV or an offset only.
    async fn move_pin(&self, card: HsmCard, pan: Pan) -> Result<SealedPin, HsmError>;

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

    /// Seals messages for the store: AES-256-GCM under a key for nothing else. Each is longer by 28 bytes.
    async fn seal_messages(&self, messages: Vec<ClearMessage>) -> Result<Vec<Vec<u8>>, HsmFault>;

    /// Opens what [`PaymentHsm::seal_messages`] made; `None` for anything else, sealed PANs among it.
    async fn open_messages(&self, sealed: Vec<Vec<u8>>) -> Result<Vec<Option<ClearMessage>>, HsmFault>;

    /// Makes the MACs of the desk's rows, in order: when a row is written, and again whenever it is relied on.
    async fn mac_desk_records(&self, records: Vec<DeskRecord>) -> Result<Vec<DeskRecordMac>, HsmFault>;

    /// MAC of the audit chain's head, so that a cut tail or a rewritten chain shows.
    async fn anchor_audit(&self, sequence: u64, hash: [u8; 32]) -> Result<[u8; 16], HsmFault>;
}
