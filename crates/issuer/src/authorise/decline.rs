//! The reasons to decline a request, in the order in which they are told.

use cards::{CardStatus, FraudSignal, Timestamp};
use emv::iad::OfflinePin;
use hsm::{CheckReply, NewPinVerdict, PinVerdict};

use super::chip_data::ChipData;
use super::{CardEntry, Case, Decision, Transaction};
use crate::desk::OpenCard;
use crate::fraud;

/// Reasons to decline before anything is compared: the PIN in such a request is not even deciphered.
pub(super) fn outright(case: &Case<'_>, now: Timestamp) -> Option<Decision> {
    let Case { request, card, .. } = case;
    match card.state.status {
        CardStatus::Inactive => return Some(Decision::CardInactive),
        CardStatus::Blocked => return Some(Decision::CardBlocked),
        CardStatus::Active => {}
    }
    if is_expired(card, now) {
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

fn is_expired(card: &OpenCard<'_>, now: Timestamp) -> bool {
    let (year, month) = now.utc_year_month();
    card.record.expiry.is_past(year, month)
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
    if needs_pin(case, offline_pin == Some(OfflinePin::Verified)) {
        return Some(Decision::PinRequired);
    }
    let is_chip = matches!(request.entry, CardEntry::Contact | CardEntry::Contactless);
    (is_chip && proved.is_none()).then_some(Decision::ChipRequired)
}

/// Whether a transaction without an online PIN needs one. The amount counts only where the money is decided here.
fn needs_pin(case: &Case<'_>, verified_by_chip: bool) -> bool {
    let Case { request, card, .. } = case;
    match request.transaction {
        Transaction::Cash | Transaction::Balance | Transaction::PinChange | Transaction::PinUnblock => true,
        Transaction::Purchase if !request.decided_here() => false,
        Transaction::Purchase => match request.entry {
            CardEntry::NotPresent => false,
            CardEntry::MagneticStripe | CardEntry::Fallback | CardEntry::Unknown => true,
            CardEntry::Contact | CardEntry::Contactless => {
                !verified_by_chip && request.amount_minor > card.programme.amount_without_pin_max_minor
            }
        },
    }
}

/// The money, where it is decided here.
pub(super) fn for_amount(case: &Case<'_>) -> Option<Decision> {
    let Case { request, card, .. } = case;
    if !request.decided_here() || request.transaction.is_pin_service() {
        return None;
    }
    if request.currency != card.programme.currency {
        return Some(Decision::CurrencyNotServed);
    }
    (request.amount_minor > card.programme.amount_max_minor).then_some(Decision::AmountTooHigh)
}
