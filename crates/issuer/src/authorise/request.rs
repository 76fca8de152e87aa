//! What is asked and what is answered, free of any network's wire format.

use std::sync::Arc;

use cards::{Expiry, FraudSignal, Pan, Psn, Timestamp};
use hsm::{PinVerdict, ZonePin};
use serde::{Deserialize, Serialize};
use store::{AuditEvent, MessageRecord};

use super::record;

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
    /// PIN change at an ATM: `pin` is the current one, `new_pin` the new.
    PinChange,
    /// PIN unblock at an ATM: `pin` proves the cardmember, the chip's tries are refilled.
    PinUnblock,
    /// Any other, such as a refund, which an issuer's own host decides: card, PIN and cryptogram are judged where they come, and
    /// money isn't. The chip may have declined it.
    Other,
}

impl Transaction {
    /// A PIN service moves no money: the PIN desk alone decides it, whoever has the authority over money. Never pass
    /// one on to another host.
    #[must_use]
    pub fn is_pin_service(self) -> bool {
        match self {
            Self::PinChange | Self::PinUnblock => true,
            Self::Purchase | Self::Cash | Self::Balance | Self::Other => false,
        }
    }

    /// Whether its amount is what the cardmember is to pay.
    pub(crate) fn pays(self) -> bool {
        match self {
            Self::Purchase | Self::Cash => true,
            Self::Balance | Self::PinChange | Self::PinUnblock | Self::Other => false,
        }
    }
}

/// Whether the sender asks, or tells what has happened already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    Request,
    /// The transaction was decided elsewhere (by the chip, the terminal, or the network in our stead). Only its chip
    /// data count, as evidence: no PIN is compared, nothing is refused, no answer for the chip is made.
    Advice,
}

/// Who decides about the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    Here,
    /// The issuer's own host: [`Decision::Approved`] means that nothing speaks against it here, and the answer holds
    /// what the chip is to get for either of that host's decisions. PIN services are decided here all the same.
    Elsewhere,
    /// The issuer's host, whose answer goes back unchanged while both are compared: the PIN is judged and a wrong one
    /// charged, but nothing is made for the chip, and a PIN service has no effect here.
    Compared,
}

/// How the card met the terminal, as the terminal claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardEntry {
    Contact,
    Contactless,
    MagneticStripe,
    /// The magnetic stripe, because the chip is said to have failed.
    Fallback,
    /// Card number without card: e-commerce, mail or telephone order, keyed.
    NotPresent,
    /// In a way that the message doesn't tell, or that isn't known here: judged as strictly as a stripe, and never as
    /// an inserted card.
    Unknown,
}

/// An authorisation request, free of any network's wire format.
#[derive(Clone, Debug)]
pub struct AuthorisationRequest {
    pub message: MessageIdentity,
    pub kind: RequestKind,
    pub authority: Authority,
    pub pan: Pan,
    /// Card sequence number; the card's own where the message has none.
    pub psn: Option<Psn>,
    pub expiry: Option<Expiry>,
    pub transaction: Transaction,
    /// In minor units of `currency`.
    pub amount_minor: u64,
    /// ISO 4217 numeric.
    pub currency: u16,
    pub entry: CardEntry,
    /// Terminal identification (DE41), for fraud signals.
    pub terminal: Option<[u8; 8]>,
    pub pin: Option<ZonePin>,
    /// The new PIN of [`Transaction::PinChange`].
    pub new_pin: Option<ZonePin>,
    /// Chip data, BER-TLV, as in ISO 8583 field 55.
    pub chip: Option<Vec<u8>>,
    /// Name of the link, for the audit trail.
    pub link: Arc<str>,
}

impl AuthorisationRequest {
    /// Whether this is the last word on it.
    pub(crate) fn decided_here(&self) -> bool {
        match self.authority {
            Authority::Here => true,
            Authority::Elsewhere => self.transaction.is_pin_service(),
            Authority::Compared => false,
        }
    }

    /// The line in the journal where the card isn't ours.
    #[must_use]
    pub fn of_unknown_card(&self, now: Timestamp) -> AuditEvent {
        record::turned_away(self, None, Decision::UnknownCard, now)
    }

    /// Whether an answer of ours may reach the chip.
    pub(crate) fn reaches_chip(&self) -> bool {
        self.kind == RequestKind::Request && self.authority != Authority::Compared
    }
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
    /// The chip data can't be read, contradict themselves, or are of another cryptogram version than the card's.
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
    /// A PIN change without a new PIN.
    NewPinMissing,
    /// The new PIN can't be read or hasn't the programme's length. The current one was not compared.
    NewPinUnacceptable,
    /// A PIN came without proof of the card, or a PIN service without an inserted card.
    ChipRequired,
    /// The chip's transaction counter is too far ahead of the last one seen.
    CounterFarAhead,
    /// The terminal used its unpredictable number for another cryptogram before.
    UnpredictableNumberRepeated,
    /// The message and the chip data name different ways in which card and terminal met.
    EntryModeDisagrees,
    /// The magnetic stripe was read because the chip is said to have failed.
    FallbackRefused,
    AmountTooHigh,
    CurrencyNotServed,
    /// The transaction was reversed before it arrived, or arrives again after its reversal.
    ReversedBefore,
    /// Another message has this identity.
    DuplicateDiffers,
    /// A key that the request or the card needs isn't in the HSM.
    KeyMissing,
    SystemMalfunction,
    /// A PIN unblock of a card that was unlocked as often as its programme allows. No PIN was compared.
    UnlocksUsedUp,
}

/// How the PIN of a request compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinCheck {
    /// None came, or it was not looked at.
    #[default]
    NotCompared,
    Match,
    NoMatch,
    Unreadable,
    NoReference,
}

impl PinCheck {
    /// Its name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotCompared => "not_compared",
            Self::Match => "match",
            Self::NoMatch => "no_match",
            Self::Unreadable => "unreadable",
            Self::NoReference => "no_reference",
        }
    }
}

impl From<Option<PinVerdict>> for PinCheck {
    fn from(verdict: Option<PinVerdict>) -> Self {
        match verdict {
            None => Self::NotCompared,
            Some(PinVerdict::Match) => Self::Match,
            Some(PinVerdict::NoMatch) => Self::NoMatch,
            Some(PinVerdict::Unreadable) => Self::Unreadable,
            Some(PinVerdict::NoReference) => Self::NoReference,
        }
    }
}

/// What was found out about card and cardmember, for a host that decides further.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The PIN that came with the message.
    pub pin: PinCheck,
    /// Whether the chip's cryptogram is the card's; `None` where none came or it was not looked at.
    pub cryptogram_valid: Option<bool>,
    /// The chip's valid cryptogram says that the chip verified a PIN in this transaction.
    pub offline_pin_verified: bool,
}

/// The answer, and what is recorded for repeats of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorisationAnswer {
    pub decision: Decision,
    pub checked: Checked,
    /// Six digits, ASCII, when approved.
    pub approval_code: Option<[u8; 6]>,
    /// What the cardmember may spend now, in minor units, for a balance inquiry.
    pub balance_minor: Option<u64>,
    /// Answer for the chip, BER-TLV: 91, and 71 or 72 when a script rides along. It agrees with `decision`.
    pub chip: Option<Vec<u8>>,
    /// With [`Authority::Elsewhere`] and nothing against it here: the answer for the chip if the other host declines.
    /// The same script is in both.
    pub chip_if_declined: Option<Vec<u8>>,
    /// The chip's transaction counter, so that a reversal finds the script that rode along.
    pub atc: Option<u16>,
    /// What spoke against it, whether it was declined for that or not.
    pub signals: Vec<FraudSignal>,
    /// With [`Authority::Elsewhere`]: it may be approved in the other host's stead. The PIN was right or the chip proved itself,
    /// and with [`Authority::Here`] this payment would have been approved.
    pub may_stand_in: bool,
}

/// Room for an encoded answer without chip data, in bytes.
const ENCODED_LEN_USUAL: usize = 32;

impl AuthorisationAnswer {
    /// An answer that says nothing but why not.
    #[must_use]
    pub fn declined(decision: Decision) -> Self {
        Self {
            decision,
            checked: Checked::default(),
            approval_code: None,
            balance_minor: None,
            chip: None,
            chip_if_declined: None,
            atc: None,
            signals: Vec::new(),
            may_stand_in: false,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, Vec::with_capacity(ENCODED_LEN_USUAL))
            .expect("a growing Vec takes any answer")
    }

    pub(crate) fn decode(record: &MessageRecord) -> Option<Self> {
        postcard::from_bytes(&record.answer).ok()
    }
}
