//! How the end of a script attempt goes on record.

use cards::{Attention, CardRef, NotMade, Resolution, ScriptEnd, ScriptKind, ScriptSent, Timestamp};
use emv::script::ScriptResult;
use store::{AttemptWrite, AuditEvent, NewNotice};

use crate::desk::OpenCard;

/// The audit record of an attempt's end, by the chip's own word.
pub(crate) fn resolution_audit(resolution: Resolution, card: CardRef, now: Timestamp) -> AuditEvent {
    let kind = match resolution.end {
        ScriptEnd::Applied => "script_applied",
        ScriptEnd::Failed | ScriptEnd::FailedUnclear => "script_failed",
        ScriptEnd::NotApplied => "script_not_applied",
        ScriptEnd::NotSeen => "script_not_seen",
    };
    AuditEvent {
        at: now,
        kind,
        card: Some(card),
        actor: "chip".to_owned(),
        detail: attempt_detail(resolution.sent),
    }
}

/// The same, for the list of attempts; `heard` says which cryptogram told it.
pub(crate) fn resolution_attempt(resolution: Resolution, heard: String, at: Timestamp) -> AttemptWrite {
    let (outcome, meaning) = match resolution.end {
        ScriptEnd::Applied => ("applied", ""),
        ScriptEnd::Failed => ("failed", ""),
        ScriptEnd::FailedUnclear => ("failed", ", which leaves open whether the PIN was changed"),
        ScriptEnd::NotApplied => ("not_applied", ""),
        ScriptEnd::NotSeen => ("unknown", ", which proves nothing"),
    };
    AttemptWrite::Resolved {
        attempt: resolution.sent.attempt,
        outcome,
        evidence: format!("{heard}{meaning}"),
        at,
    }
}

/// What isn't sent any more, though the chip hasn't got it, and why.
pub(crate) fn stopped_audit(stopped: (ScriptKind, Attention), card: CardRef, now: Timestamp) -> AuditEvent {
    let (kind, why) = stopped;
    let script = crate::card_status::script_name(kind);
    AuditEvent {
        at: now,
        kind: "script_stopped",
        card: Some(card),
        actor: "pinward".to_owned(),
        detail: format!(r#"{{"script":"{script}","reason":"{}"}}"#, why.name()),
    }
}

/// Tells the operator the same, once it is durable.
pub(crate) fn tell_stopped(stopped: &[(ScriptKind, Attention)], card: CardRef) {
    for (kind, why) in stopped {
        let (script, reason) = (crate::card_status::script_name(*kind), why.name());
        tracing::warn!(%card, script, reason, "a card needs attention: the chip isn't told any more");
    }
}

/// The cardmember hears that the chip has the PIN they know as new, not of one that they replaced meanwhile.
pub(crate) fn proof_notices(
    card: &OpenCard<'_>,
    resolutions: &[Resolution],
    now: Timestamp,
) -> Vec<NewNotice> {
    let has_hosts = |Resolution { sent, end }: &&Resolution| {
        let is_hosts = sent.kind.changes_pin() && sent.version == card.state.host.version;
        is_hosts && *end == ScriptEnd::Applied
    };
    resolutions
        .iter()
        .filter(has_hosts)
        .map(|_| card.notice("chip_has_new_pin", now, "{}".to_owned()))
        .collect()
}

/// What a terminal claims about a script (9F5B) in a message: told as "reported", never as proof. `None` where it claims
/// nothing that can be read.
pub(crate) fn reported_attempt(
    sent: ScriptSent,
    script_results: &[u8],
    message: &str,
    at: Timestamp,
) -> Option<AttemptWrite> {
    Some(AttemptWrite::Resolved {
        attempt: sent.attempt,
        outcome: "reported",
        evidence: format!("{} in {message}", terminals_claim(script_results)?),
        at,
    })
}

/// In words; `None` where it can't be read.
pub(crate) fn terminals_claim(script_results: &[u8]) -> Option<String> {
    let claims: Vec<String> = ScriptResult::parse_all(script_results)?
        .iter()
        .map(|result| format!("{:?}", result.outcome))
        .collect();
    Some(format!("the terminal reports {} (9F5B)", claims.join(", ")))
}

/// What a record says about an attempt.
pub(crate) fn attempt_detail(sent: ScriptSent) -> String {
    format!("{{{}}}", attempt_members(sent))
}

/// The same for one that the HSM didn't make.
pub(crate) fn attempt_detail_not_made(sent: ScriptSent, why: NotMade) -> String {
    format!(r#"{{{},"reason":"{}"}}"#, attempt_members(sent), why.name())
}

fn attempt_members(sent: ScriptSent) -> String {
    let script = crate::card_status::script_name(sent.kind);
    format!(
        r#""attempt":{},"script":"{script}","pin_version":{},"atc":{}"#,
        sent.attempt, sent.version, sent.atc
    )
}
