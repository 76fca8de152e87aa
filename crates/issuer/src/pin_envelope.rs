//! Opens a single-use PIN envelope for a cardmember's device.

use cards::{CardRef, Timestamp};
use hsm::{EnvelopeOffer, EnvelopeRequest, PinOperation};

use crate::{ActError, Actor, Desk};

/// A cardmember is about to bring in, or look at, a PIN of their card.
#[derive(Clone, Debug)]
pub struct OpenEnvelope {
    pub card: CardRef,
    pub actor: Actor,
    pub operation: PinOperation,
}

/// Asks the HSM for an envelope. Nothing is charged or disclosed by it.
///
/// Refuses: another's card; a card that isn't active.
pub async fn open_envelope(
    desk: &Desk,
    request: OpenEnvelope,
    now: Timestamp,
) -> Result<EnvelopeOffer, ActError> {
    let card = desk.open_own(request.card, &request.actor).await?;
    card.require_active(now)?;
    let envelope = EnvelopeRequest {
        card: request.card,
        session: request.actor.session,
        operation: request.operation,
        pin_len_digits: card.programme.pin_len_digits,
        now,
    };
    desk.hsm
        .open_envelope(envelope)
        .await
        .map_err(|error| ActError::from_hsm(error, request.card))
}
