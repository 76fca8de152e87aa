//! Activates a card that was delivered inactive.

use std::slice;

use cards::{CardRef, CardStatus, Expiry, Timestamp};

use crate::desk::Effect;
use crate::{ActError, Actor, Desk, Refusal};

/// A cardmember has the card in hand: they type what is printed on it.
#[derive(Clone, Debug)]
pub struct ActivateCard {
    pub card: CardRef,
    pub actor: Actor,
    pub expiry: Expiry,
}

/// Makes the card usable.
///
/// Refuses: another's card; an active or blocked card; an expiry that isn't the card's, or is over.
pub async fn activate_card(desk: &Desk, request: ActivateCard, now: Timestamp) -> Result<(), ActError> {
    let card = desk.open_own(request.card, &request.actor).await?;
    match card.state.status {
        CardStatus::Inactive => {}
        CardStatus::Active => return Err(Refusal::CardActive.into()),
        CardStatus::Blocked => return Err(Refusal::CardBlocked.into()),
    }
    if card.record.expiry != request.expiry {
        return Err(Refusal::CardDetails.into());
    }
    if card.is_expired(now) {
        return Err(Refusal::CardExpired.into());
    }
    desk.require_untampered(slice::from_ref(&card)).await?;
    let mut next = card.state.next();
    next.status = CardStatus::Active;
    let detail = format!(r#"{{"channel":"{}"}}"#, request.actor.channel);
    let audit = card.audit("card_activated", &request.actor, now, detail);
    desk.commit_act(
        &card,
        Effect {
            next: Some(next),
            ..Effect::default()
        },
        audit,
    )
    .await
}
