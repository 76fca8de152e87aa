//! A network takes a transaction back: whether its script reached the chip is unknown from then on.

use std::sync::Arc;

use cards::{Pan, ScriptSent, Timestamp};
use store::{AttemptWrite, AuditEvent, Commit, CommitOutcome, MessageRecord, StoreFault};

use crate::authorise::{AuthorisationAnswer, Decision, MessageIdentity};
use crate::chip_report::{attempt_detail, reported_attempt};
use crate::desk::OpenCard;
use crate::refusal::only_fault;
use crate::{Desk, Fault};

/// How often a reversal is tried anew because its card changed under it.
const ROUNDS_MAX: usize = 64;

/// A reversal, request or advice.
#[derive(Clone, Debug)]
pub struct Reversal {
    /// Who it is itself.
    pub message: MessageIdentity,
    /// [`MessageIdentity::identity`] of the transaction that it takes back.
    pub original: [u8; 16],
    pub pan: Pan,
    /// Tag 9F5B as the terminal reports it: a claim, shown as such.
    pub script_results: Option<Vec<u8>>,
    /// Name of the link, for the audit trail.
    pub link: Arc<str>,
}

/// How a reversal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReversalOutcome {
    /// Taken back, or never there: it won't be approved any more.
    Accepted,
    /// The card isn't ours.
    UnknownCard,
    /// Another message has this identity.
    DuplicateDiffers,
}

/// Takes a transaction back. A script that rode on its answer is "unknown" until the chip itself tells; an original
/// that has not arrived yet will be answered as reversed. The online PIN is never touched.
pub async fn reverse(desk: &Desk, reversal: &Reversal, now: Timestamp) -> Result<ReversalOutcome, Fault> {
    let keys = desk.hsm.card_keys(vec![reversal.pan.clone()]).await?;
    for _ in 0..ROUNDS_MAX {
        let record = desk.store.cards(keys.clone()).await?.pop().flatten();
        let Some(record) = record else {
            return Ok(ReversalOutcome::UnknownCard);
        };
        let card = desk.open(record)?;
        desk.require_untampered(&card).await.map_err(only_fault)?;
        let original = desk
            .store
            .messages(vec![reversal.original])
            .await?
            .pop()
            .flatten();
        let commit = take_back(desk, &card, reversal, original.as_ref(), now).await?;
        let outcome = desk
            .store
            .commit(vec![commit])
            .await?
            .pop()
            .expect("one outcome for one commit");
        match outcome {
            CommitOutcome::Done { .. } => return Ok(ReversalOutcome::Accepted),
            CommitOutcome::Duplicate(recorded) if recorded.content == reversal.message.content => {
                return Ok(ReversalOutcome::Accepted);
            }
            CommitOutcome::Duplicate(_) => return Ok(ReversalOutcome::DuplicateDiffers),
            CommitOutcome::VersionConflict => {}
            CommitOutcome::StepUpMissing => unreachable!("no network message spends a step-up"),
        }
    }
    Err(Fault::Store(StoreFault(
        "the card kept changing under a reversal".to_owned(),
    )))
}

async fn take_back(
    desk: &Desk,
    card: &OpenCard<'_>,
    reversal: &Reversal,
    original: Option<&MessageRecord>,
    now: Timestamp,
) -> Result<Commit, Fault> {
    let row = card.record.key.row;
    let mut next = card.state.next();
    let atc = original
        .and_then(AuthorisationAnswer::decode)
        .and_then(|answer| answer.atc);
    let doubtful = atc.and_then(|atc| next.answer_reversed(atc));
    let new_state = match doubtful {
        Some(_) => Some(desk.seal(card, next).await.map_err(only_fault)?),
        None => None,
    };
    let actor = format!("link:{}", reversal.link);
    let found = original.is_some();
    let mut audit = vec![AuditEvent {
        at: now,
        kind: "reversal",
        card: Some(row),
        actor: actor.clone(),
        detail: format!(r#"{{"original_found":{found}}}"#),
    }];
    audit.extend(doubtful.map(|sent| AuditEvent {
        at: now,
        kind: "script_unknown",
        card: Some(row),
        actor,
        detail: attempt_detail(sent),
    }));
    Ok(Commit {
        card: row,
        expected_version: card.record.version,
        new_state,
        message: Some(record(
            reversal.message.identity,
            reversal.message.content,
            Decision::Approved,
        )),
        tombstone: Some(record(reversal.original, [0; 32], Decision::ReversedBefore)),
        step_up: None,
        audit,
        attempts: doubtful
            .map(|sent| doubt(sent, reversal, now))
            .into_iter()
            .collect(),
        notices: Vec::new(),
    })
}

/// What is known of the script of a reversed transaction: at most what the terminal claims.
fn doubt(sent: ScriptSent, reversal: &Reversal, now: Timestamp) -> AttemptWrite {
    let claim = reversal.script_results.as_deref();
    claim
        .and_then(|results| reported_attempt(sent, results, "the reversal", now))
        .unwrap_or_else(|| AttemptWrite::Resolved {
            attempt: sent.attempt,
            outcome: "unknown",
            evidence: "the transaction was reversed".to_owned(),
            at: now,
        })
}

fn record(identity: [u8; 16], content: [u8; 32], decision: Decision) -> MessageRecord {
    MessageRecord {
        identity,
        content,
        answer: AuthorisationAnswer::declined(decision).encode(),
    }
}
