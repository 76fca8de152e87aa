//! The decision itself: a plain function of the card, the request, what was found out, and the moment.

use cards::{
    Attention, CardState, Delivery, FraudSignal, NotMade, Resolution, ScriptKind, ScriptSent, Timestamp,
};
use hsm::{CheckReply, NewPinVerdict, PinVerdict};

use super::chip_data::ChipData;
use super::{Case, Checked, Decision, PinCheck, RequestKind, Transaction, decline};
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
    /// It may be approved in another host's stead.
    pub(super) may_stand_in: bool,
    /// What the answer brings the chip, where its cryptogram was right and new.
    pub(super) delivery: Option<Delivery>,
    /// The script attempts that the chip's word ended.
    pub(super) resolutions: Vec<Resolution>,
    /// The attempts that were due and that the HSM didn't make.
    pub(super) not_made: Vec<(ScriptSent, NotMade)>,
    /// Why the answer goes out without issuer authentication data, though the chip proved itself.
    pub(super) unauthenticated: Option<NotMade>,
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

fn judge_request(case: &Case<'_>, found: Found, now: Timestamp) -> Judgement {
    let Found {
        reply,
        number_repeated,
    } = found;
    let outright = decline::outright(case, now);
    let chip = case.chip().filter(|_| outright.is_none());
    let valid = chip.filter(|_| reply.cryptogram_valid == Some(true));
    let proved = valid.filter(|chip| !case.card.state.is_replay(chip.atc));
    let mut signals = fraud::of_message(case.request, case.chip());
    if let Some(chip) = proved {
        fraud::of_chip(&case.card, chip, &mut signals);
    } else if valid.is_some() {
        signals.push(FraudSignal::AtcBehind);
    }
    if number_repeated {
        signals.push(FraudSignal::RepeatedUnpredictableNumber);
    }
    let decision = outright
        .or_else(|| (chip.is_some() && valid.is_none()).then_some(Decision::CryptogramInvalid))
        .or_else(|| decline::for_fraud(case, &signals))
        .or_else(|| decline::for_pin(case, proved, &reply, now))
        .or_else(|| decline::for_amount(case))
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
        may_stand_in: decision == Decision::Approved && decline::may_stand_in(case, proved, &reply),
        pin_service: None,
        delivery: None,
        resolutions: Vec::new(),
        not_made: Vec::new(),
        unauthenticated: None,
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
        let evidence = proved.map(|chip| chip.evidence(case.request.reaches_chip() && chip.asks_issuer));
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

    /// What isn't sent to the chip any more from now on, unfulfilled.
    pub(super) fn stopped(&self, case: &Case<'_>, now: Timestamp) -> Vec<(ScriptKind, Attention)> {
        let next = self.next.as_ref();
        next.map_or_else(Vec::new, |next| next.stopped_since(&case.card.state, now))
    }

    /// The answer carries a PIN that this very transaction set, if it carries one.
    pub(super) fn sets_pin(&self) -> bool {
        matches!(self.pin_service, Some(PinService::Changed { .. }))
    }

    /// The HSM didn't make the script: the card's next state doesn't count it as sent. Whether there was one.
    pub(super) fn withhold_script(&mut self, case: &Case<'_>, why: NotMade) -> bool {
        let script = self.delivery.as_mut().and_then(|delivery| delivery.script.take());
        self.withhold(case, script, why);
        script.is_some()
    }

    /// Nor did it make issuer authentication data: nothing is for the chip.
    pub(super) fn withhold_authentication(&mut self, case: &Case<'_>, why: NotMade) {
        let csu = self.delivery.take().and_then(|delivery| delivery.csu);
        self.withhold(case, csu, why);
        self.unauthenticated = Some(why);
    }

    fn withhold(&mut self, case: &Case<'_>, sent: Option<ScriptSent>, why: NotMade) {
        if let (Some(sent), Some(next)) = (sent, &mut self.next) {
            next.withhold(sent, why, &case.card.programme.script_rules());
            self.not_made.push((sent, why));
        }
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
            next.unlock(tries_max, case.card.programme.unlocks_max, &rules, now)
                .expect("it is declined outright while a bound stands");
            Some(PinService::Unblocked)
        }
        (
            Transaction::PinChange
            | Transaction::Purchase
            | Transaction::Cash
            | Transaction::Balance
            | Transaction::Other,
            _,
        ) => None,
    }
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
        signals: fraud::of_message(case.request, case.chip()),
        next: None,
        proved: proved.is_some(),
        may_stand_in: false,
        pin_service: None,
        delivery: None,
        resolutions: Vec::new(),
        not_made: Vec::new(),
        unauthenticated: None,
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
