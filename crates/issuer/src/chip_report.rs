//! How the end of a script attempt goes on record.

use cards::{CardRef, Resolution, ScriptSent, Timestamp};
use store::{AttemptWrite, AuditEvent};

/// The audit record of a script's end, by the chip's own word.
pub(crate) fn resolution_audit(resolution: Resolution, card: CardRef, now: Timestamp) -> AuditEvent {
    let (kind, sent) = match resolution {
        Resolution::Applied(sent) => ("script_applied", sent),
        Resolution::Failed(sent) => ("script_failed", sent),
        Resolution::NotSeen(sent) => ("script_not_seen", sent),
    };
    AuditEvent {
        at: now,
        kind,
        card: Some(card),
        actor: "chip".to_owned(),
        detail: attempt_detail(sent),
    }
}

/// The same, for the list of attempts.
pub(crate) fn resolution_attempt(resolution: Resolution, evidence: String, at: Timestamp) -> AttemptWrite {
    let (outcome, sent) = match resolution {
        Resolution::Applied(sent) => ("applied", sent),
        Resolution::Failed(sent) => ("failed", sent),
        Resolution::NotSeen(sent) => ("unknown", sent),
    };
    AttemptWrite::Resolved {
        attempt: sent.attempt,
        outcome,
        evidence,
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
