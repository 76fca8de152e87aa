//! An operator has a card's script sent again, after its attempts or its time were used up.

use std::slice;

use cards::{CardRef, Timestamp};
use store::{AuditEvent, Commit, CommitOutcome, StoreFault};

use crate::counted::only;
use crate::{ActError, Desk, Refusal};

/// Revives what the chip is still to be told. Whether there was anything to revive.
///
/// Refuses a reference that no card has, and a card that changed at the same moment.
pub async fn resend_script(
    desk: &Desk,
    card: CardRef,
    operator: String,
    now: Timestamp,
) -> Result<bool, ActError> {
    let record = desk.store.card(card).await?.ok_or(Refusal::NotYourCard)?;
    let card = desk.open(record)?;
    desk.require_untampered(slice::from_ref(&card)).await?;
    let mut next = card.state.next();
    if !next.resend(&card.programme.script_rules(), now) {
        return Ok(false);
    }
    let audit = AuditEvent {
        at: now,
        kind: "script_resend",
        card: Some(card.row()),
        actor: operator,
        detail: "{}".to_owned(),
    };
    let commit = Commit {
        new_state: Some(desk.seal(&card, &next).await?),
        ..card.commit(audit)
    };
    match only(desk.store.commit(vec![commit]).await?, StoreFault)? {
        CommitOutcome::Done { .. } => Ok(true),
        _ => Err(Refusal::TryAgain.into()),
    }
}
