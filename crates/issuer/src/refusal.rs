//! The two ways an act ends badly.

use cards::{CantUnlock, CardRef, CardmemberId, DecodeStateError, Locked, Timestamp};
use hsm::{HsmError, HsmFault, HsmRefusal};
use store::StoreFault;

/// Expected, named, and safe to tell the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such card, or not this cardmember's: the same answer, so that nobody learns which (I12).
    #[error("there is no such card among this cardmember's cards")]
    NotYourCard,
    #[error("the card is not active")]
    CardInactive,
    #[error("the card is active already")]
    CardActive,
    #[error("the card is blocked")]
    CardBlocked,
    #[error("the card has expired")]
    CardExpired,
    #[error("the card details differ from the card's")]
    CardDetails,
    #[error("the card has no PIN")]
    NoPin,
    #[error("the card has a PIN already")]
    PinExists,
    /// The current PIN was wrong; this many tries are left.
    #[error("the current PIN is wrong")]
    WrongPin { tries_left: u8 },
    #[error("the PIN is locked")]
    PinLocked,
    #[error("the PIN is locked until a later moment")]
    PinLockedUntil { until: Timestamp },
    /// Too many wrong PINs against this PIN: only a new one helps.
    #[error("the PIN is worn out")]
    PinWornOut,
    #[error("the PIN is not locked")]
    NotLocked,
    /// Unlocked as often within 30 days as the programme allows, by all channels together.
    #[error("the PIN was unlocked too often to be unlocked again before a later moment")]
    UnlocksUsedUp { until: Timestamp },
    #[error("a fresh step-up is needed")]
    StepUpNeeded,
    /// Used, expired, or made for something else: open the page again.
    #[error("the PIN envelope is no longer valid")]
    EnvelopeInvalid,
    #[error("the PIN block is not acceptable")]
    PinUnreadable,
    /// The card changed at the same moment. Nothing was done and nothing was learnt; start again.
    #[error("the card changed at the same moment")]
    TryAgain,
    /// The PIN came as a verification value only: it can be replaced, not shown.
    #[error("this PIN can't be shown")]
    PinNotViewable,
}

/// Unexpected: for the operator, with its cause; nothing of it is shown to the person.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Hsm(#[from] HsmFault),
    #[error("the HSM refused what it should not: {0}")]
    HsmRefused(HsmRefusal),
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error("card {card}: {cause}")]
    State { card: CardRef, cause: DecodeStateError },
    #[error("card {0}: its record was edited outside Pinward")]
    CardTampered(CardRef),
    #[error("cardmember {}: their {record} was edited outside Pinward", cardmember.0)]
    RecordEdited {
        record: &'static str,
        cardmember: CardmemberId,
    },
    #[error("card {card} is of programme {programme}, which is not configured")]
    Programme { card: CardRef, programme: String },
}

/// How an act ends badly.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<StoreFault> for ActError {
    fn from(fault: StoreFault) -> Self {
        Self::Fault(fault.into())
    }
}

impl From<HsmFault> for ActError {
    fn from(fault: HsmFault) -> Self {
        Self::Fault(fault.into())
    }
}

impl From<Locked> for Refusal {
    fn from(locked: Locked) -> Self {
        match locked {
            Locked::InARow => Self::PinLocked,
            Locked::LongRun { until } => Self::PinLockedUntil { until },
            Locked::ThisPin => Self::PinWornOut,
        }
    }
}

impl From<CantUnlock> for Refusal {
    fn from(cause: CantUnlock) -> Self {
        match cause {
            CantUnlock::Locked(locked) => locked.into(),
            CantUnlock::UsedUp { until } => Self::UnlocksUsedUp { until },
        }
    }
}

impl Fault {
    /// What an HSM's refusal of one card means on the authorisation path.
    pub(crate) fn of_card(refusal: HsmRefusal, card: CardRef) -> Self {
        if refusal == HsmRefusal::CardTampered {
            Self::CardTampered(card)
        } else {
            Self::HsmRefused(refusal)
        }
    }

    /// The same of any bad end.
    pub(crate) fn of_hsm(error: HsmError, card: CardRef) -> Self {
        match error {
            HsmError::Fault(fault) => fault.into(),
            HsmError::Refused(refusal) => Self::of_card(refusal, card),
        }
    }
}

impl ActError {
    /// Reads an HSM's answer about one card.
    pub(crate) fn from_hsm(error: HsmError, card: CardRef) -> Self {
        match error {
            HsmError::Fault(fault) => fault.into(),
            HsmError::Refused(HsmRefusal::Envelope) => Refusal::EnvelopeInvalid.into(),
            HsmError::Refused(HsmRefusal::PinBlock) => Refusal::PinUnreadable.into(),
            HsmError::Refused(HsmRefusal::CardTampered) => Fault::CardTampered(card).into(),
            HsmError::Refused(
                refusal @ (HsmRefusal::Unsupported
                | HsmRefusal::NoSuchKey
                | HsmRefusal::KeyExists
                | HsmRefusal::KeyBlock(_)
                | HsmRefusal::KeyUsage
                | HsmRefusal::KeyCheckValue
                | HsmRefusal::KeyUnchanged
                | HsmRefusal::Busy),
            ) => Fault::HsmRefused(refusal).into(),
        }
    }
}
