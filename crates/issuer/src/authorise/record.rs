//! What a judgement leaves behind: audit records, script attempts, notices.

use std::fmt::Write;

use cards::{CardRef, Timestamp};
use store::{AttemptWrite, AuditEvent, NewNotice};

use super::judge::{Judgement, PinService};
use super::{AuthorisationRequest, Authority, Case, Decision, RequestKind};
use crate::chip_report::{
    attempt_detail, attempt_detail_not_made, proof_notices, reported_attempt, resolution_attempt,
    resolution_audit, stopped_audit, terminals_claim,
};

const UNLOCKS_USED_UP: &str = r#"{"channel":"atm","reason":"unlocks_used_up"}"#;

/// One record for the evaluation, one for each fraud signal, one for a PIN service that took effect or was refused for
/// want of unlocks, one for each script that ended, went out, couldn't be made or isn't sent any more.
pub(super) fn audit(case: &Case<'_>, judgement: &Judgement, now: Timestamp) -> Vec<AuditEvent> {
    let by_link = |kind, detail| AuditEvent {
        at: now,
        kind,
        card: Some(case.card.row()),
        actor: actor(case.request),
        detail,
    };
    let kind = match case.request.kind {
        RequestKind::Request => "authorisation",
        RequestKind::Advice => "advice",
    };
    let mut events = vec![by_link(kind, evaluation(case, judgement))];
    for signal in &judgement.signals {
        let declines =
            case.card.programme.fraud.declines(*signal) && case.request.kind == RequestKind::Request;
        let action = if declines { "decline" } else { "allow" };
        let detail = format!(r#"{{"signal":"{}","action":"{action}"}}"#, signal.name());
        events.push(by_link("fraud_signal", detail));
    }
    match judgement.pin_service {
        Some(PinService::Changed { version }) => {
            let detail = format!(r#"{{"channel":"atm","pin_version":{version}}}"#);
            events.push(by_link("pin_changed", detail));
        }
        Some(PinService::Unblocked) => {
            events.push(by_link("pin_unlocked", r#"{"channel":"atm"}"#.to_owned()));
        }
        None if judgement.decision == Decision::UnlocksUsedUp => {
            events.push(by_link("unlock_refused", UNLOCKS_USED_UP.to_owned()));
        }
        None => {}
    }
    let ended = judgement.resolutions.iter();
    events.extend(ended.map(|resolution| resolution_audit(*resolution, case.card.row(), now)));
    events.extend(
        judgement
            .sent()
            .map(|sent| by_link("script_sent", attempt_detail(sent))),
    );
    let not_made = judgement.not_made.iter();
    events
        .extend(not_made.map(|(sent, why)| by_link("script_not_made", attempt_detail_not_made(*sent, *why))));
    let stopped = judgement.stopped(case, now).into_iter();
    events.extend(stopped.map(|stopped| stopped_audit(stopped, case.card.row(), now)));
    events.extend(judgement.unauthenticated.map(|why| {
        let detail = format!(r#"{{"reason":"{}"}}"#, why.name());
        by_link("issuer_authentication_not_made", detail)
    }));
    events
}

/// The record of a request that no card's commit holds.
pub(super) fn turned_away(
    request: &AuthorisationRequest,
    card: Option<CardRef>,
    decision: Decision,
    now: Timestamp,
) -> AuditEvent {
    AuditEvent {
        at: now,
        kind: "authorisation",
        card,
        actor: actor(request),
        detail: format!(
            r#"{{"decision":"{decision:?}","last_four":"{}"}}"#,
            request.pan.last_four()
        ),
    }
}

fn actor(request: &AuthorisationRequest) -> String {
    ["link:", &request.link].concat()
}

/// One JSON object. What it quotes are our own words and hexadecimal digits: nothing needs escaping.
fn evaluation(case: &Case<'_>, judgement: &Judgement) -> String {
    let request = case.request;
    let mut detail = String::with_capacity(224);
    write!(
        detail,
        r#"{{"decision":"{:?}","transaction":"{:?}","entry":"{:?}","amount_minor":{},"pin":"{}""#,
        judgement.decision,
        request.transaction,
        request.entry,
        request.amount_minor,
        judgement.checked.pin.name(),
    )
    .and_then(|()| match request.authority {
        Authority::Here => Ok(()),
        Authority::Elsewhere => detail.write_str(r#","authority":"elsewhere""#),
        Authority::Compared => detail.write_str(r#","authority":"compared""#),
    })
    .and_then(|()| match &case.chip {
        Ok(Some(chip)) if judgement.proved => write!(detail, r#","atc":{}"#, chip.atc),
        Ok(_) => Ok(()),
        Err(unusable) => write!(detail, r#","chip_data":"{unusable}""#),
    })
    .and_then(|()| detail.write_str("}"))
    .expect("a String takes everything");
    detail
}

pub(super) fn attempts(case: &Case<'_>, judgement: &Judgement, now: Timestamp) -> Vec<AttemptWrite> {
    let evidence = || {
        let chip = case.chip().expect("only chip data resolve an attempt");
        let cryptogram = match case.request.kind {
            RequestKind::Request => "the ARQC",
            RequestKind::Advice => "an advice",
        };
        let claim = chip.script_results.as_deref().and_then(terminals_claim);
        let claim = claim.map_or_else(String::new, |claim| format!("; {claim}"));
        format!(
            "CVR {} in {cryptogram} with ATC {:04X}{claim}",
            chip.report.cvr, chip.atc
        )
    };
    let resolved = judgement
        .resolutions
        .iter()
        .map(|resolution| resolution_attempt(*resolution, evidence(), now));
    let reported = claimed(case, judgement, now);
    let sent = judgement.sent().map(|sent| AttemptWrite::Sent {
        attempt: sent.attempt,
        kind: crate::card_status::script_name(sent.kind),
        version: sent.version,
        atc: sent.atc,
        at: now,
    });
    resolved.chain(reported).chain(sent).collect()
}

/// What the terminal claims (9F5B) of an attempt that the chip itself leaves open: in an advice, of the script of the very
/// transaction; in a request, of the one before.
fn claimed(case: &Case<'_>, judgement: &Judgement, now: Timestamp) -> Option<AttemptWrite> {
    let chip = case.chip()?;
    let next = judgement.next.as_ref().unwrap_or(&case.card.state);
    let (message, is_meant): (_, fn(u16, u16) -> bool) = match case.request.kind {
        RequestKind::Request => ("a later request", |sent, told| sent < told),
        RequestKind::Advice => ("an advice", |sent, told| sent == told),
    };
    let sent = next
        .script
        .in_flight
        .filter(|sent| is_meant(sent.atc, chip.atc))?;
    reported_attempt(sent, chip.script_results.as_deref()?, message, now)
}

/// The cardmember hears of a PIN set at an ATM, else of what the chip proved.
pub(super) fn notices(case: &Case<'_>, judgement: &Judgement, now: Timestamp) -> Vec<NewNotice> {
    if let Some(PinService::Changed { .. }) = judgement.pin_service {
        let detail = r#"{"cause":"changed","channel":"atm"}"#;
        return vec![case.card.notice("new_pin_set", now, detail.to_owned())];
    }
    proof_notices(&case.card, &judgement.resolutions, now)
}
