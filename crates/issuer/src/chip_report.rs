//! How the end of a script attempt goes on record.

use cards::{CardRef, Resolution, ScriptEnd, ScriptSent, Timestamp};
use store::{AttemptWrite, AuditEvent};

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

/// What a record says about an attempt.
pub(crate) fn attempt_detail(sent: ScriptSent) -> String {
    let script = crate::card_status::script_name(sent.kind);
    format!(
        r#"{{"attempt":{},"script":"{script}","pin_version":{},"atc":{}}}"#,
        sent.attempt, sent.version, sent.atc
    )
}
