//! The reasons to decline a request, in the order in which they are told.

use cards::{CardStatus, FraudSignal, Timestamp};
use emv::iad::OfflinePin;
use hsm::{CheckReply, NewPinVerdict, PinVerdict};

use super::chip_data::ChipData;
use super::{Authority, CardEntry, Case, Decision, Transaction};
use crate::fraud;

/// Reasons to decline before anything is compared: the PIN in such a request is not even deciphered.
pub(super) fn outright(case: &Case<'_>, now: Timestamp) -> Option<Decision> {
    let Case { request, card, .. } = case;
    match card.state.status {
        CardStatus::Inactive => return Some(Decision::CardInactive),
        CardStatus::Blocked => return Some(Decision::CardBlocked),
        CardStatus::Active => {}
    }
    if card.is_expired(now) {
        return Some(Decision::ExpiredCard);
    }
    if request.expiry.is_some_and(|expiry| expiry != card.record.expiry) {
        return Some(Decision::ExpiryDiffers);
    }
    let Ok(chip) = &case.chip else {
        return Some(Decision::ChipDataUnusable);
    };
    if let Some(chip) = chip {
        if request.psn.is_some_and(|psn| psn != card.record.psn) {
            return Some(Decision::ChipDataUnusable);
        }
        if request.decided_here() && !chip.covers_amount(request) {
            return Some(Decision::AmountDiffers);
        }
    }
    for_service(case, now).or_else(|| for_fraud(case, &fraud::of_message(request, chip.as_ref())))
}

/// A PIN service needs an inserted card, the current PIN and, for a change, the new one; an unblock, that the card wasn't
/// unlocked too often lately (I9).
fn for_service(case: &Case<'_>, now: Timestamp) -> Option<Decision> {
    let Case { request, card, .. } = case;
    if !request.transaction.is_pin_service() || !request.decided_here() {
        return None;
    }
    if !case.chip().is_some_and(ChipData::is_inserted) {
        return Some(Decision::ChipRequired);
    }
    if request.pin.is_none() {
        return Some(Decision::PinRequired);
    }
    let lacks_new = request.transaction == Transaction::PinChange && request.new_pin.is_none();
    if lacks_new {
        return Some(Decision::NewPinMissing);
    }
    let unlocks_used_up = card.state.unlocks.used_up(card.programme.unlocks_max, now);
    (request.transaction == Transaction::PinUnblock && unlocks_used_up.is_some())
        .then_some(Decision::UnlocksUsedUp)
}

/// A fraud signal that the programme declines.
pub(super) fn for_fraud(case: &Case<'_>, signals: &[FraudSignal]) -> Option<Decision> {
    let rules = &case.card.programme.fraud;
    let declined = signals.iter().copied().find(|signal| rules.declines(*signal))?;
    Some(match declined {
        FraudSignal::Wedge => Decision::OfflinePinClaimFalse,
        FraudSignal::AtcBehind => Decision::CryptogramReplayed,
        FraudSignal::AtcFarAhead => Decision::CounterFarAhead,
        FraudSignal::RepeatedUnpredictableNumber => Decision::UnpredictableNumberRepeated,
        FraudSignal::EntryModeDisagrees => Decision::EntryModeDisagrees,
        FraudSignal::AmountDiffers => Decision::AmountDiffers,
        FraudSignal::Fallback => Decision::FallbackRefused,
    })
}

/// The PIN: wrong, unreadable, or missing where one is needed.
pub(super) fn for_pin(
    case: &Case<'_>,
    proved: Option<&ChipData>,
    reply: &CheckReply,
    now: Timestamp,
) -> Option<Decision> {
    let request = case.request;
    if reply.new_pin == Some(NewPinVerdict::Unacceptable) {
        return Some(Decision::NewPinUnacceptable);
    }
    if request.pin.is_some() {
        return match reply.pin {
            Some(PinVerdict::Match) => None,
            Some(PinVerdict::NoMatch) => Some(Decision::IncorrectPin),
            Some(PinVerdict::Unreadable) => Some(Decision::PinBlockUnreadable),
            Some(PinVerdict::NoReference) => Some(Decision::PinNotSet),
            None if case.card.state.tries.locked(now).is_some() => Some(Decision::PinTriesExceeded),
            None => Some(Decision::ChipRequired),
        };
    }
    let offline_pin = proved.map(|chip| chip.report.offline_pin);
    if offline_pin == Some(OfflinePin::Failed) {
        return Some(Decision::IncorrectPin);
    }
    let is_judged = request.transaction != Transaction::Purchase || request.decided_here();
    if is_judged && needs_pin(case, proved) {
        return Some(Decision::PinRequired);
    }
    let is_chip = matches!(request.entry, CardEntry::Contact | CardEntry::Contactless);
    let needs_chip = is_chip && request.transaction != Transaction::Other;
    (needs_chip && proved.is_none()).then_some(Decision::ChipRequired)
}

/// Whether a transaction without an online PIN needs one, by the programme.
fn needs_pin(case: &Case<'_>, proved: Option<&ChipData>) -> bool {
    let Case { request, card, .. } = case;
    match request.transaction {
        Transaction::Other => false,
        Transaction::Cash | Transaction::Balance | Transaction::PinChange | Transaction::PinUnblock => true,
        Transaction::Purchase => match request.entry {
            CardEntry::NotPresent => false,
            CardEntry::MagneticStripe | CardEntry::Fallback | CardEntry::Unknown => true,
            CardEntry::Contact | CardEntry::Contactless => {
                !proved.is_some_and(ChipData::offline_pin_verified)
                    && request.amount_minor > card.programme.amount_without_pin_max_minor
            }
        },
    }
}

/// The money, where it is decided here.
pub(super) fn for_amount(case: &Case<'_>) -> Option<Decision> {
    let decides = case.request.decided_here() && !case.request.transaction.is_pin_service();
    decides.then(|| beyond_programme(case)).flatten()
}

/// Whether what another host is asked may be approved in its stead: nothing spoke against it so far, card or cardmember
/// proved themselves, and the programme would approve the payment by itself.
pub(super) fn may_stand_in(case: &Case<'_>, proved: Option<&ChipData>, reply: &CheckReply) -> bool {
    let request = case.request;
    let is_asked = request.authority == Authority::Elsewhere && request.transaction.pays();
    let right_pin = reply.pin == Some(PinVerdict::Match);
    is_asked
        && (right_pin || proved.is_some())
        && (right_pin || !needs_pin(case, proved))
        && beyond_programme(case).is_none()
        && case.chip().is_none_or(|chip| chip.covers_amount(request))
}

fn beyond_programme(case: &Case<'_>) -> Option<Decision> {
    let Case { request, card, .. } = case;
    if request.currency != card.programme.currency {
        return Some(Decision::CurrencyNotServed);
    }
    (request.amount_minor > card.programme.amount_max_minor).then_some(Decision::AmountTooHigh)
}
