//! Changes a PIN against the current one.

use cards::{CardRef, Timestamp};
use hsm::{PinChange, SealedEnvelope};

use crate::desk::Effect;
use crate::{ActError, Actor, Desk, Refusal};

/// A cardmember's sealed current and new PIN.
#[derive(Clone, Debug)]
pub struct ChangePin {
    pub card: CardRef,
    pub actor: Actor,
    pub envelope: SealedEnvelope,
}

/// Replaces the host's PIN at once, queues the chip's, and tells the cardmember by mail: all in one commit.
///
/// A wrong current PIN is charged before it is answered. When the card changed meanwhile, the comparison is thrown
/// away and the answer is [`Refusal::TryAgain`], whatever it was (I1).
///
/// Refuses: another's card; a card that isn't active or has no PIN; a locked PIN; an envelope that is used, expired
/// or for something else; a wrong current PIN.
pub async fn change_pin(desk: &Desk, request: ChangePin, now: Timestamp) -> Result<(), ActError> {
    let card = desk.open_own(request.card, &request.actor).await?;
    card.require_active(now)?;
    if !card.state.has_pin() {
        return Err(Refusal::NoPin.into());
    }
    card.require_unlocked(now)?;
    let judged = desk.hsm.change_pin(card.for_hsm(), request.envelope).await;
    let mut next = card.state.next();
    match judged.map_err(|error| ActError::from_hsm(error, request.card))? {
        PinChange::Matched(sealed) => {
            next.set_pin(
                sealed,
                card.programme.tries_max,
                &card.programme.script_rules(),
                now,
            );
            let detail = format!(
                r#"{{"channel":"{}","pin_version":{}}}"#,
                request.actor.channel, next.host.version
            );
            let notice = card.notice(
                "new_pin_set",
                now,
                format!(r#"{{"cause":"changed","channel":"{}"}}"#, request.actor.channel),
            );
            let audit = card.audit("pin_changed", &request.actor, now, detail);
            let effect = Effect {
                next: Some(next),
                notices: vec![notice],
                ..Effect::default()
            };
            desk.commit_act(&card, effect, audit).await
        }
        PinChange::NoMatch => {
            next.tries.charge(now);
            let tries_left = next.tries.left();
            let detail = format!(
                r#"{{"channel":"{}","during":"change","tries_left":{tries_left}}}"#,
                request.actor.channel
            );
            let audit = card.audit("pin_wrong", &request.actor, now, detail);
            let effect = Effect {
                next: Some(next),
                ..Effect::default()
            };
            desk.commit_act(&card, effect, audit).await?;
            Err(Refusal::WrongPin { tries_left }.into())
        }
    }
}
