//! Unlocks a PIN: the host at once, the chip at its next insertion.

use std::slice;

use cards::{CardRef, Timestamp};

use crate::desk::Effect;
use crate::{ActError, Actor, Desk, Refusal};

/// Name under which a step-up for this act is granted and spent.
pub const OPERATION: &str = "unlock_pin";

/// A cardmember asks to unlock their PIN.
#[derive(Clone, Debug)]
pub struct UnlockPin {
    pub card: CardRef,
    pub actor: Actor,
}

/// Refills the host's tries and queues the chip's.
///
/// Refuses: another's card; a card that isn't active or has no PIN; a PIN that is locked neither at the host nor on
/// the chip; a long-run lock; no fresh step-up.
pub async fn unlock_pin(desk: &Desk, request: UnlockPin, now: Timestamp) -> Result<(), ActError> {
    let card = desk.open_own(request.card, &request.actor).await?;
    card.require_active()?;
    if !card.state.has_pin() {
        return Err(Refusal::NoPin.into());
    }
    if card.state.tries.locked(now).is_none() && !card.state.chip.pin_blocked {
        return Err(Refusal::NotLocked.into());
    }
    desk.require_untampered(slice::from_ref(&card)).await?;
    let mut next = card.state.next();
    next.unlock(card.programme.tries_max, &card.programme.script_rules(), now)
        .map_err(Refusal::from)?;
    let detail = format!(r#"{{"channel":"{}"}}"#, request.actor.channel);
    let audit = card.audit("pin_unlocked", &request.actor, now, detail);
    let effect = Effect {
        next: Some(next),
        operation_spent: Some(OPERATION),
        ..Effect::default()
    };
    desk.commit_act(&card, &request.actor, effect, audit).await
}
