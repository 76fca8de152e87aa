//! Unlocks a PIN: the host at once, the chip at its next insertion.

use std::slice;

use cards::{CantUnlock, CardRef, Timestamp};

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
/// the chip; a long-run lock; no fresh step-up; a card that was unlocked as often within 30 days as its programme allows,
/// which goes on record and spends the step-up too.
pub async fn unlock_pin(desk: &Desk, request: UnlockPin, now: Timestamp) -> Result<(), ActError> {
    let card = desk.open_own(request.card, &request.actor).await?;
    card.require_active(now)?;
    if !card.state.has_pin() {
        return Err(Refusal::NoPin.into());
    }
    if card.state.tries.locked(now).is_none() && !card.state.chip.pin_blocked {
        return Err(Refusal::NotLocked.into());
    }
    desk.require_untampered(slice::from_ref(&card)).await?;
    let mut next = card.state.next();
    let programme = card.programme;
    let unlocked = next.unlock(
        programme.tries_max,
        programme.unlocks_max,
        &programme.script_rules(),
        now,
    );
    let channel = request.actor.channel;
    let (next, kind, detail) = match unlocked {
        Ok(()) => (
            Some(next),
            "pin_unlocked",
            format!(r#"{{"channel":"{channel}"}}"#),
        ),
        Err(CantUnlock::UsedUp { .. }) => (
            None,
            "unlock_refused",
            format!(r#"{{"channel":"{channel}","reason":"unlocks_used_up"}}"#),
        ),
        Err(locked @ CantUnlock::Locked(_)) => return Err(Refusal::from(locked).into()),
    };
    let step_up = desk
        .require_step_up(&card, &request.actor, OPERATION, now)
        .await?;
    let audit = card.audit(kind, &request.actor, now, detail);
    let effect = Effect {
        next,
        step_up: Some(step_up),
        ..Effect::default()
    };
    desk.commit_act(&card, effect, audit).await?;
    Ok(unlocked.map_err(Refusal::from)?)
}
