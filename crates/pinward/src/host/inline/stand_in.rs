//! Approvals in the upstream's stead: which, with what code, and what goes on record about them.
//!
//! The desk approves alone what it could answer for: a right PIN or a chip that proved itself, and a payment that the card's
//! programme would approve ([`AuthorisationAnswer::may_stand_in`]), up to the link's own limit.

use cards::{Pan, Timestamp};
use iso8583::message::Message;
use iso8583::mti::Function;
use iso8583::values;
use issuer::Fault;
use issuer::authorise::AuthorisationAnswer;
use store::AuditEvent;

use super::{Passed, UpstreamSettings};
use crate::config::OnLate;
use crate::host::{HostLink, request};

/// Whether a request is approved where the upstream doesn't answer it.
pub(super) fn is_due(
    message: &Message<'_>,
    decided: Option<&AuthorisationAnswer>,
    settings: &UpstreamSettings,
) -> bool {
    let amount = message.field(4).and_then(values::number);
    settings.on_late == OnLate::StandIn
        && message.mti().function() == Function::Request
        && decided.is_some_and(|decided| decided.may_stand_in)
        && amount.is_some_and(|amount| amount <= settings.stand_in_amount_max_minor)
}

/// The approval, the same for a repeat, also after a restart. `None` for what must never be approved like this.
pub(super) fn approval(passed: &Passed) -> Option<AuthorisationAnswer> {
    let decided = passed.decided.as_deref().filter(|decided| decided.may_stand_in)?;
    Some(AuthorisationAnswer {
        approval_code: Some(approval_code(passed.content)),
        ..decided.clone()
    })
}

/// Six digits out of what a repeat must repeat: the same for a repeat, unlike for another message.
fn approval_code([a, b, c, d, e, f, ..]: [u8; 32]) -> [u8; 6] {
    [a, b, c, d, e, f].map(|byte| b'0' + byte % 10)
}

/// A line for the journal.
pub(in crate::host) struct StandIn {
    pan: Pan,
    kind: &'static str,
    detail: serde_json::Value,
}

impl StandIn {
    /// The desk approves.
    pub(super) fn approved(request: &Message<'_>, approved: &AuthorisationAnswer) -> Self {
        let detail = serde_json::json!({
            "trace": text(request, 11),
            "amount_minor": request.field(4).and_then(values::number),
            "currency": text(request, 49),
            "approval_code": approved.approval_code.as_ref().map(|code| String::from_utf8_lossy(code)),
        });
        Self::of(request, "stood_in", detail)
    }

    /// After that the upstream answers.
    pub(super) fn answered_late(request: &Message<'_>, answer: &Message<'_>, approved: bool) -> Self {
        let detail = serde_json::json!({
            "trace": text(request, 11),
            "approved": approved,
            "code": text(answer, 39),
        });
        Self::of(request, "stood_in_answered", detail)
    }

    fn of(request: &Message<'_>, kind: &'static str, detail: serde_json::Value) -> Self {
        let pan = request::pan(request).expect("the desk found the card of what it approves");
        Self { pan, kind, detail }
    }
}

fn text(message: &Message<'_>, field: u8) -> Option<String> {
    let value = message.field(field)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Puts lines into the journal: durable when it returns.
pub(super) async fn record(lines: Vec<StandIn>, link: &HostLink, now: Timestamp) -> Result<(), Fault> {
    if lines.is_empty() {
        return Ok(());
    }
    let pans = lines.iter().map(|line| line.pan.clone()).collect();
    let keys = link.desk.hsm.card_keys(pans).await?;
    let events = lines.into_iter().zip(keys).map(|(line, key)| AuditEvent {
        at: now,
        kind: line.kind,
        card: Some(key.row),
        actor: format!("link:{}", link.name),
        detail: line.detail.to_string(),
    });
    link.desk.store.append_audit(events.collect()).await?;
    Ok(())
}
