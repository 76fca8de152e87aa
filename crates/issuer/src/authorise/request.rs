//! What is asked and what is answered, free of any network's wire format.

use cards::{Expiry, Pan, Psn};
use hsm::ZonePin;
use serde::{Deserialize, Serialize};
use store::MessageRecord;

/// What tells one network message from another, and a repeat from a forgery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageIdentity {
    /// See [`MessageRecord::identity`].
    pub identity: [u8; 16],
    /// Hash of everything in the message that a repeat must repeat.
    pub content: [u8; 32],
}

/// What the transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    Purchase,
    Cash,
    Balance,
}

/// How the card met the terminal, as the terminal claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardEntry {
    Contact,
    Contactless,
    MagneticStripe,
    /// Card number without card: e-commerce, mail or telephone order, keyed.
    NotPresent,
}

/// An authorisation request, free of any network's wire format.
#[derive(Clone, Debug)]
pub struct AuthorisationRequest {
    pub message: MessageIdentity,
    pub pan: Pan,
    pub psn: Option<Psn>,
    pub expiry: Option<Expiry>,
    pub transaction: Transaction,
    /// In minor units of `currency`.
    pub amount_minor: u64,
    /// ISO 4217 numeric.
    pub currency: u16,
    pub entry: CardEntry,
    pub pin: Option<ZonePin>,
    /// Chip data, BER-TLV, as in ISO 8583 field 55.
    pub chip: Option<Vec<u8>>,
    /// Name of the link, for the audit trail.
    pub link: String,
}

/// The decision, by name. Each surface maps it to its own codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    Approved,
    /// No such card here.
    UnknownCard,
    CardInactive,
    CardBlocked,
    ExpiredCard,
    /// The expiry in the request is not the card's.
    ExpiryDiffers,
    /// The chip data can't be read, or contradicts itself.
    ChipDataUnusable,
    CryptogramInvalid,
    /// The chip's transaction counter is not above the last one seen.
    CryptogramReplayed,
    /// The amount that the chip signed is not the request's.
    AmountDiffers,
    /// The terminal claims an offline PIN that the chip did not check (the wedge).
    OfflinePinClaimFalse,
    IncorrectPin,
    PinTriesExceeded,
    PinBlockUnreadable,
    /// A PIN was sent for a card that has none.
    PinNotSet,
    PinRequired,
    /// A PIN came without proof of the card.
    ChipRequired,
    AmountTooHigh,
    CurrencyNotServed,
    /// The transaction was reversed before it arrived.
    ReversedBefore,
    /// Another message has this identity.
    DuplicateDiffers,
    SystemMalfunction,
}

/// The answer, and what is recorded for repeats of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorisationAnswer {
    pub decision: Decision,
    /// Six digits, ASCII, when approved.
    pub approval_code: Option<[u8; 6]>,
    /// What the cardmember may spend now, in minor units, for a balance inquiry.
    pub balance_minor: Option<u64>,
    /// Answer for the chip, BER-TLV: 91, and 72 when a script rides along.
    pub chip: Option<Vec<u8>>,
    /// The chip's transaction counter, so that a reversal finds the script that rode along.
    pub atc: Option<u16>,
}

impl AuthorisationAnswer {
    pub(crate) fn declined(decision: Decision) -> Self {
        Self {
            decision,
            approval_code: None,
            balance_minor: None,
            chip: None,
            atc: None,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("an answer always encodes")
    }

    pub(crate) fn decode(record: &MessageRecord) -> Option<Self> {
        postcard::from_bytes(&record.answer).ok()
    }
}
