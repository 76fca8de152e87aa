//! The decision itself: a plain function of the card, the request, what was found out, and the moment.

use cards::{CardState, CardStatus, Delivery, FraudSignal, Resolution, ScriptSent, Timestamp};
use emv::iad::OfflinePin;
use hsm::{CheckReply, NewPinVerdict, PinVerdict};

use super::chip_data::ChipData;
use super::{CardEntry, Case, Checked, Decision, PinCheck, RequestKind, Transaction};
use crate::desk::OpenCard;
use crate::fraud;

/// What HSM and terminal memory say about a request.
pub(super) struct Found {
    pub(super) reply: CheckReply,
    pub(super) number_repeated: bool,
}

/// What to answer, and what becomes of the card.
pub(super) struct Judgement {
    pub(super) decision: Decision,
    pub(super) checked: Checked,
    pub(super) signals: Vec<FraudSignal>,
    /// The card's next state, when anything of it changes.
    pub(super) next: Option<CardState>,
    /// The chip's cryptogram was right, and in a request also new.
    pub(super) proved: bool,
    /// A PIN service that took effect.
    pub(super) pin_service: Option<PinService>,
    /// What the answer brings the chip, where its cryptogram was right and new.
    pub(super) delivery: Option<Delivery>,
    /// The script attempts that the chip's word ended.
    pub(super) resolutions: Vec<Resolution>,
}

/// What a PIN service did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PinService {
    Changed { version: u32 },
    Unblocked,
}

/// Judges one request, or takes in one advice.
pub(super) fn judge(case: &Case<'_>, found: Found, now: Timestamp) -> Judgement {
    match case.request.kind {
        RequestKind::Request => judge_request(case, found, now),
        RequestKind::Advice => take_in(case, &found.reply, now),
    }
}

/// Reasons to decline before anything is compared: the PIN in such a request is not even deciphered.
pub(super) fn refused_outright(case: &Case<'_>, now: Timestamp) -> Option<Decision> {
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
        if card.state.is_replay(chip.atc) {
            return Some(Decision::CryptogramReplayed);
        }
        if request.decided_here() && chip.amount_minor != request.amount_minor {
            return Some(Decision::AmountDiffers);
        }
    }
    refused_service(case).or_else(|| {
        let declines = |signal: &FraudSignal| card.programme.fraud.declines(*signal);
        let of_message = fraud::of_message(request.entry, chip.as_ref());
        of_message
            .iter()
            .any(declines)
            .then_some(Decision::FraudSuspected)
    })
}

/// A PIN service needs an inserted card, the current PIN and, for a change, the new one.
fn refused_service(case: &Case<'_>) -> Option<Decision> {
    let request = case.request;
    if !request.transaction.is_pin_service() || !request.decided_here() {
        return None;
    }
    if !case.chip().is_some_and(|chip| chip.contact) {
        return Some(Decision::ChipRequired);
    }
    if request.pin.is_none() {
        return Some(Decision::PinRequired);
    }
    let lacks_new = request.transaction == Transaction::PinChange && request.new_pin.is_none();
    lacks_new.then_some(Decision::NewPinMissing)
}

fn judge_request(case: &Case<'_>, found: Found, now: Timestamp) -> Judgement {
    let Found {
        reply,
        number_repeated,
    } = found;
    let outright = refused_outright(case, now);
    let chip = case.chip().filter(|_| outright.is_none());
    let proved = chip.filter(|_| reply.cryptogram_valid == Some(true));
    let signals = signals(case, outright, proved, number_repeated);
    let decision = outright
        .or_else(|| (chip.is_some() && proved.is_none()).then_some(Decision::CryptogramInvalid))
        .or_else(|| refused_for_fraud(case, &signals))
        .or_else(|| refused_for_pin(case, proved, &reply, now))
        .or_else(|| refused_for_amount(case))
        .unwrap_or(Decision::Approved);
    let mut judgement = Judgement {
        decision,
        checked: Checked {
            pin: PinCheck::from(reply.pin),
            cryptogram_valid: reply.cryptogram_valid,
            offline_pin_verified: proved.is_some_and(ChipData::offline_pin_verified),
        },
        signals,
        next: None,
        proved: proved.is_some(),
        pin_service: None,
        delivery: None,
        resolutions: Vec::new(),
    };
    if moves_card(&case.card, proved, reply.pin) {
        judgement.move_card(case, proved, reply, now);
    }
    judgement
}

/// A right PIN with full tries and no chip leaves the card as it is: only the journal grows.
fn moves_card(card: &OpenCard<'_>, proved: Option<&ChipData>, pin: Option<PinVerdict>) -> bool {
    let tries_move = match pin {
        Some(PinVerdict::Match) => card.state.tries.left() < card.programme.tries_max,
        Some(PinVerdict::NoMatch) => true,
        Some(PinVerdict::Unreadable | PinVerdict::NoReference) | None => false,
    };
    tries_move || proved.is_some()
}

impl Judgement {
    /// Tries first, then what the chip says, then the PIN service, then the script that may bring it to the chip.
    fn move_card(&mut self, case: &Case<'_>, proved: Option<&ChipData>, reply: CheckReply, now: Timestamp) {
        let rules = case.card.programme.script_rules();
        let evidence = proved.map(|chip| chip.evidence(case.request.reaches_chip()));
        let mut next = case.card.state.next();
        match reply.pin {
            Some(PinVerdict::Match) => next.tries.matched(case.card.programme.tries_max),
            Some(PinVerdict::NoMatch) => next.tries.charge(now),
            Some(PinVerdict::Unreadable | PinVerdict::NoReference) | None => {}
        }
        if let Some(evidence) = evidence {
            self.resolutions = next.chip_spoke(evidence, &rules, now);
        }
        if self.decision == Decision::Approved && case.request.decided_here() {
            self.pin_service = serve(case, &mut next, reply.new_pin, now);
        }
        self.delivery = evidence.map(|evidence| next.deliver(evidence, &rules, now));
        self.next = Some(next);
    }

    /// The script attempts that ride on the answer.
    pub(super) fn sent(&self) -> impl Iterator<Item = ScriptSent> {
        let delivery = self.delivery.into_iter();
        delivery
            .flat_map(|delivery| [delivery.csu, delivery.script])
            .flatten()
    }
}

/// The effect of an approved PIN service on the card.
fn serve(
    case: &Case<'_>,
    next: &mut CardState,
    new_pin: Option<NewPinVerdict>,
    now: Timestamp,
) -> Option<PinService> {
    let tries_max = case.card.programme.tries_max;
    let rules = case.card.programme.script_rules();
    match (case.request.transaction, new_pin) {
        (Transaction::PinChange, Some(NewPinVerdict::Sealed(sealed))) => {
            next.set_pin(sealed, tries_max, &rules, now);
            Some(PinService::Changed {
                version: next.host.version,
            })
        }
        (Transaction::PinUnblock, _) => {
            next.unlock(tries_max, &rules, now)
                .expect("a PIN is compared only where no bound stands");
            Some(PinService::Unblocked)
        }
        (Transaction::PinChange | Transaction::Purchase | Transaction::Cash | Transaction::Balance, _) => {
            None
        }
    }
}

fn signals(
    case: &Case<'_>,
    outright: Option<Decision>,
    proved: Option<&ChipData>,
    number_repeated: bool,
) -> Vec<FraudSignal> {
    let mut signals = fraud::of_message(case.request.entry, case.chip());
    if outright == Some(Decision::CryptogramReplayed) {
        signals.push(FraudSignal::AtcBehind);
    }
    if let Some(chip) = proved {
        fraud::of_chip(&case.card, chip, &mut signals);
    }
    if number_repeated {
        signals.push(FraudSignal::RepeatedUnpredictableNumber);
    }
    signals
}

fn refused_for_fraud(case: &Case<'_>, signals: &[FraudSignal]) -> Option<Decision> {
    let rules = &case.card.programme.fraud;
    let declined = signals.iter().copied().find(|signal| rules.declines(*signal))?;
    Some(match declined {
        FraudSignal::Wedge => Decision::OfflinePinClaimFalse,
        FraudSignal::AtcBehind => Decision::CryptogramReplayed,
        FraudSignal::AtcFarAhead
        | FraudSignal::RepeatedUnpredictableNumber
        | FraudSignal::EntryModeDisagrees
        | FraudSignal::Fallback => Decision::FraudSuspected,
    })
}

fn refused_for_pin(
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
            CardEntry::MagneticStripe | CardEntry::Fallback => true,
            CardEntry::Contact | CardEntry::Contactless => {
                !verified_by_chip && request.amount_minor > card.programme.amount_without_pin_max_minor
            }
        },
    }
}

fn refused_for_amount(case: &Case<'_>) -> Option<Decision> {
    let Case { request, card, .. } = case;
    if !request.decided_here() || request.transaction.is_pin_service() {
        return None;
    }
    if request.currency != card.programme.currency {
        return Some(Decision::CurrencyNotServed);
    }
    (request.amount_minor > card.programme.amount_max_minor).then_some(Decision::AmountTooHigh)
}

fn is_expired(card: &OpenCard<'_>, now: Timestamp) -> bool {
    let (year, month) = now.utc_year_month();
    card.record.expiry.is_past(year, month)
}

/// An advice: what its cryptogram proves is taken in, also late. Nothing is refused: what it tells has happened.
fn take_in(case: &Case<'_>, reply: &CheckReply, now: Timestamp) -> Judgement {
    let proved = case.chip().filter(|_| reply.cryptogram_valid == Some(true));
    let mut judgement = Judgement {
        decision: Decision::Approved,
        checked: Checked {
            pin: PinCheck::NotCompared,
            cryptogram_valid: reply.cryptogram_valid,
            offline_pin_verified: proved.is_some_and(ChipData::offline_pin_verified),
        },
        signals: fraud::of_message(case.request.entry, case.chip()),
        next: None,
        proved: proved.is_some(),
        pin_service: None,
        delivery: None,
        resolutions: Vec::new(),
    };
    if let Some(chip) = proved {
        fraud::of_chip(&case.card, chip, &mut judgement.signals);
        let mut next = case.card.state.next();
        let rules = case.card.programme.script_rules();
        judgement.resolutions = next.chip_spoke(chip.evidence(false), &rules, now);
        let tells_something = !judgement.resolutions.is_empty() || !case.card.state.is_replay(chip.atc);
        judgement.next = tells_something.then_some(next);
    }
    judgement
}
