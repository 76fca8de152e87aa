//! The decision itself: a plain function of the card, the request, what the HSM found, and the moment.

use cards::{CardRef, CardState, CardStatus, Delivery, Resolution, ScriptEnd, ScriptSent, Timestamp};
use hsm::{CheckReply, PinVerdict};
use store::{AttemptWrite, AuditEvent, NewNotice};

use super::chip_data::{ChipData, Unusable};
use super::{AuthorisationRequest, CardEntry, Checked, Decision, PinCheck, Transaction};
use crate::chip_report::{attempt_detail, resolution_attempt, resolution_audit};
use crate::desk::OpenCard;

/// What to answer, and what becomes of the card.
pub(super) struct Judgement {
    pub(super) decision: Decision,
    /// The card's next state, when anything of it changes.
    pub(super) next: Option<CardState>,
    pub(super) atc: Option<u16>,
    /// What the answer brings the chip, where its cryptogram was right and new.
    pub(super) delivery: Option<Delivery>,
    pub(super) checked: Checked,
    resolutions: Vec<Resolution>,
    cvr: [u8; 4],
}

/// Reasons to decline before anything is compared: the PIN in such a request is not even deciphered.
pub(super) fn refused_outright(
    card: &OpenCard<'_>,
    request: &AuthorisationRequest,
    chip: &Result<Option<ChipData>, Unusable>,
    now: Timestamp,
) -> Option<Decision> {
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
    match chip {
        Err(Unusable) => Some(Decision::ChipDataUnusable),
        Ok(Some(_)) if request.psn.is_some_and(|psn| psn != card.record.psn) => {
            Some(Decision::ChipDataUnusable)
        }
        Ok(Some(chip)) if card.state.is_replay(chip.evidence.atc) => Some(Decision::CryptogramReplayed),
        Ok(Some(chip)) if chip.amount_minor != request.amount_minor => Some(Decision::AmountDiffers),
        Ok(_) => None,
    }
}

/// Judges one request.
pub(super) fn judge(
    card: &OpenCard<'_>,
    request: &AuthorisationRequest,
    chip: &Result<Option<ChipData>, Unusable>,
    reply: &CheckReply,
    now: Timestamp,
) -> Judgement {
    let outright = refused_outright(card, request, chip, now);
    let chip = chip
        .as_ref()
        .ok()
        .and_then(Option::as_ref)
        .filter(|_| outright.is_none());
    let proved = chip.filter(|_| reply.cryptogram_valid == Some(true));
    let decision = outright
        .or_else(|| (chip.is_some() && proved.is_none()).then_some(Decision::CryptogramInvalid))
        .or_else(|| refused_for_pin(card, request, proved, reply, now))
        .or_else(|| refused_for_amount(card, request))
        .unwrap_or(Decision::Approved);
    let mut judgement = Judgement {
        decision,
        next: None,
        atc: proved.map(|chip| chip.evidence.atc),
        delivery: None,
        resolutions: Vec::new(),
        checked: Checked {
            pin: PinCheck::from(reply.pin),
            cryptogram_valid: reply.cryptogram_valid,
            offline_pin_verified: proved.is_some_and(|chip| chip.cvr.offline_pin_verified()),
        },
        cvr: proved.map_or([0; 4], |chip| chip.cvr.to_bytes()),
    };
    if moves_card(card, proved, reply) {
        let mut next = card.state.next();
        match reply.pin {
            Some(PinVerdict::Match) => next.tries.matched(card.programme.tries_max),
            Some(PinVerdict::NoMatch) => next.tries.charge(now),
            Some(PinVerdict::Unreadable | PinVerdict::NoReference) | None => {}
        }
        if let Some(chip) = proved {
            let rules = card.programme.script_rules();
            judgement.resolutions = next.chip_spoke(chip.evidence, &rules, now);
            judgement.delivery = Some(next.deliver(chip.evidence, &rules, now));
        }
        judgement.next = Some(next);
    }
    judgement
}

/// A right PIN with full tries and no chip leaves the card as it is: only the journal grows.
fn moves_card(card: &OpenCard<'_>, proved: Option<&ChipData>, reply: &CheckReply) -> bool {
    let tries_move = match reply.pin {
        Some(PinVerdict::Match) => card.state.tries.left() < card.programme.tries_max,
        Some(PinVerdict::NoMatch) => true,
        Some(PinVerdict::Unreadable | PinVerdict::NoReference) | None => false,
    };
    tries_move || proved.is_some()
}

fn refused_for_pin(
    card: &OpenCard<'_>,
    request: &AuthorisationRequest,
    proved: Option<&ChipData>,
    reply: &CheckReply,
    now: Timestamp,
) -> Option<Decision> {
    if request.pin.is_some() {
        return match reply.pin {
            Some(PinVerdict::Match) => None,
            Some(PinVerdict::NoMatch) => Some(Decision::IncorrectPin),
            Some(PinVerdict::Unreadable) => Some(Decision::PinBlockUnreadable),
            Some(PinVerdict::NoReference) => Some(Decision::PinNotSet),
            None if card.state.tries.locked(now).is_some() => Some(Decision::PinTriesExceeded),
            None => Some(Decision::ChipRequired),
        };
    }
    if let Some(chip) = proved {
        if chip.terminal_claims_offline_pin && !chip.cvr.offline_pin_verified() {
            return Some(Decision::OfflinePinClaimFalse);
        }
        if chip.cvr.offline_pin_performed && chip.cvr.offline_pin_failed {
            return Some(Decision::IncorrectPin);
        }
    }
    let verified_by_chip = proved.is_some_and(|chip| chip.cvr.offline_pin_verified());
    let needs_pin = match (request.transaction, request.entry) {
        (Transaction::Cash | Transaction::Balance | Transaction::PinChange | Transaction::PinUnblock, _) => {
            true
        }
        (Transaction::Purchase, CardEntry::NotPresent) => false,
        (Transaction::Purchase, CardEntry::MagneticStripe | CardEntry::Fallback) => true,
        (Transaction::Purchase, CardEntry::Contact | CardEntry::Contactless) => {
            !verified_by_chip && request.amount_minor > card.programme.amount_without_pin_max_minor
        }
    };
    if needs_pin {
        return Some(Decision::PinRequired);
    }
    let chip_missing =
        matches!(request.entry, CardEntry::Contact | CardEntry::Contactless) && proved.is_none();
    chip_missing.then_some(Decision::ChipRequired)
}

fn refused_for_amount(card: &OpenCard<'_>, request: &AuthorisationRequest) -> Option<Decision> {
    if request.currency != card.programme.currency {
        return Some(Decision::CurrencyNotServed);
    }
    (request.amount_minor > card.programme.amount_max_minor).then_some(Decision::AmountTooHigh)
}

fn is_expired(card: &OpenCard<'_>, now: Timestamp) -> bool {
    let (year, month) = now.utc_year_month();
    card.record.expiry.is_past(year, month)
}

impl Judgement {
    /// One record for the evaluation, one for each script that went out or ended.
    pub(super) fn audit(
        &self,
        request: &AuthorisationRequest,
        card: CardRef,
        now: Timestamp,
    ) -> Vec<AuditEvent> {
        let atc = self
            .atc
            .map_or_else(String::new, |atc| format!(r#","atc":{atc}"#));
        let detail = format!(
            r#"{{"decision":"{:?}","transaction":"{:?}","entry":"{:?}","amount_minor":{},"pin":"{}"{atc}}}"#,
            self.decision,
            request.transaction,
            request.entry,
            request.amount_minor,
            self.checked.pin.name(),
        );
        let actor = format!("link:{}", request.link);
        let mut events = vec![AuditEvent {
            at: now,
            kind: "authorisation",
            card: Some(card),
            actor: actor.clone(),
            detail,
        }];
        events.extend(
            self.resolutions
                .iter()
                .map(|resolution| resolution_audit(*resolution, card, now)),
        );
        events.extend(self.sent().map(|sent| AuditEvent {
            at: now,
            kind: "script_sent",
            card: Some(card),
            actor: actor.clone(),
            detail: attempt_detail(sent),
        }));
        events
    }

    pub(super) fn attempts(&self, now: Timestamp) -> Vec<AttemptWrite> {
        let evidence = || {
            let cvr: String = self.cvr.iter().map(|byte| format!("{byte:02X}")).collect();
            format!(
                "CVR {cvr} in the ARQC with ATC {:04X}",
                self.atc.unwrap_or_default()
            )
        };
        let resolved = self
            .resolutions
            .iter()
            .map(|resolution| resolution_attempt(*resolution, evidence(), now));
        let sent = self.sent().map(|sent| AttemptWrite::Sent {
            attempt: sent.attempt,
            kind: crate::card_status::script_name(sent.kind),
            version: sent.version,
            atc: sent.atc,
            at: now,
        });
        resolved.chain(sent).collect()
    }

    /// The cardmember hears that the chip has the PIN they know as new, not of one they replaced meanwhile.
    pub(super) fn notices(&self, card: &OpenCard<'_>, now: Timestamp) -> Vec<NewNotice> {
        self.resolutions
            .iter()
            .filter(|Resolution { sent, end }| {
                *end == ScriptEnd::Applied
                    && sent.kind.changes_pin()
                    && sent.version == card.state.host.version
            })
            .map(|_| card.notice("chip_has_new_pin", now, "{}".to_owned()))
            .collect()
    }

    /// The attempts that ride on the answer.
    fn sent(&self) -> impl Iterator<Item = ScriptSent> {
        let delivery = self.delivery;
        delivery
            .into_iter()
            .flat_map(|delivery| [delivery.csu, delivery.script])
            .flatten()
    }
}
