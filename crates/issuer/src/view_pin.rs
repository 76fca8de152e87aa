//! Shows a PIN to its cardmember's device.

use cards::{CardRef, PinReference, Timestamp};
use hsm::{RevealWhich, RevealedPin, SealedEnvelope};

use crate::desk::Effect;
use crate::{ActError, Actor, Desk, Refusal};

/// Name under which a step-up for this act is granted and spent.
pub const OPERATION: &str = "view_pin";

/// A cardmember's device asks to see a PIN.
#[derive(Clone, Debug)]
pub struct ViewPin {
    pub card: CardRef,
    pub actor: Actor,
    pub which: RevealWhich,
    pub envelope: SealedEnvelope,
}

/// The PIN, for the envelope's device only. The disclosure is on record before it leaves (I11).
///
/// Refuses: another's card; a card that isn't active or has no PIN; a locked PIN; no fresh step-up; a PIN that is
/// stored as a verification value; a version that the chip doesn't hold any more.
pub async fn view_pin(desk: &Desk, request: ViewPin, now: Timestamp) -> Result<RevealedPin, ActError> {
    let card = desk.open_own(request.card, &request.actor).await?;
    card.require_active(now)?;
    card.require_unlocked(now)?;
    match (&card.state.host.reference, request.which) {
        (PinReference::None, _) => return Err(Refusal::NoPin.into()),
        (PinReference::Pvv { .. } | PinReference::Ibm3624 { .. }, RevealWhich::Current) => {
            return Err(Refusal::PinNotViewable.into());
        }
        (PinReference::Pvv { .. } | PinReference::Ibm3624 { .. } | PinReference::Sealed(_), _) => {}
    }
    if let RevealWhich::OnChip { version } = request.which {
        let kept = card
            .state
            .chip
            .possible()
            .iter()
            .any(|on_chip| on_chip.version == version && on_chip.sealed.is_some());
        if !kept {
            return Err(Refusal::PinNotViewable.into());
        }
    }
    let step_up = desk
        .require_step_up(&card, &request.actor, OPERATION, now)
        .await?;
    let revealed = desk
        .hsm
        .reveal_pin(card.for_hsm(), request.which, request.envelope)
        .await;
    let revealed = revealed.map_err(|error| ActError::from_hsm(error, request.card))?;
    let version = match request.which {
        RevealWhich::Current => card.state.host.version,
        RevealWhich::OnChip { version } => version,
    };
    let detail = format!(
        r#"{{"channel":"{}","pin_version":{version}}}"#,
        request.actor.channel
    );
    let audit = card.audit("pin_viewed", &request.actor, now, detail);
    let effect = Effect {
        step_up: Some(step_up),
        ..Effect::default()
    };
    desk.commit_act(&card, effect, audit).await?;
    Ok(revealed)
}
