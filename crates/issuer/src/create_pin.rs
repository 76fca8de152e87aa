//! Gives a card its first PIN, or a new one where the old is worn out.

use cards::{CardRef, Locked, Timestamp};
use hsm::SealedEnvelope;

use crate::desk::Effect;
use crate::{ActError, Actor, Desk, Refusal};

/// Name under which a step-up for this act is granted and spent.
pub const OPERATION: &str = "create_pin";

/// A cardmember's sealed new PIN.
#[derive(Clone, Debug)]
pub struct CreatePin {
    pub card: CardRef,
    pub actor: Actor,
    pub envelope: SealedEnvelope,
}

/// Sets the PIN on the host at once and queues the chip's.
///
/// Refuses: another's card; a card that isn't active; a card whose PIN can be changed instead; no fresh step-up; an
/// envelope that is used, expired or for something else.
pub async fn create_pin(desk: &Desk, request: CreatePin, now: Timestamp) -> Result<(), ActError> {
    let card = desk.open_own(request.card, &request.actor).await?;
    card.require_active(now)?;
    match (card.state.has_pin(), card.state.tries.locked(now)) {
        (false, _) | (_, Some(Locked::ThisPin)) => {}
        (_, Some(Locked::InARow | Locked::LongRun { .. }) | None) => return Err(Refusal::PinExists.into()),
    }
    let step_up = desk
        .require_step_up(&card, &request.actor, OPERATION, now)
        .await?;
    let sealed = desk.hsm.create_pin(card.for_hsm(), request.envelope).await;
    let sealed = sealed.map_err(|error| ActError::from_hsm(error, request.card))?;
    let mut next = card.state.next();
    next.set_pin(
        sealed,
        card.programme.tries_max,
        &card.programme.script_rules(),
        now,
    );
    let channel = request.actor.channel;
    let detail = format!(r#"{{"channel":"{channel}","pin_version":{}}}"#, next.host.version);
    let audit = card.audit("pin_created", &request.actor, now, detail);
    let notice = card.notice(
        "new_pin_set",
        now,
        format!(r#"{{"cause":"created","channel":"{channel}"}}"#),
    );
    let effect = Effect {
        next: Some(next),
        step_up: Some(step_up),
        notices: vec![notice],
    };
    desk.commit_act(&card, effect, audit).await
}
