//! Endpoints for the scripts of the PIN pages. PINs pass through sealed; only the HSM opens them.
//!
//! Bytes are lower-case hex. Answers are JSON, refusals as everywhere in the API.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
};
use cards::CardRef;
use hsm::{EnvelopeOffer, PinOperation, RevealWhich, SealedEnvelope};
use issuer::{
    OpenEnvelope,
    change_pin::{ChangePin, change_pin},
    create_pin::{CreatePin, create_pin},
    open_envelope,
    view_pin::{ViewPin, view_pin},
};
use serde::{Deserialize, Serialize};

use super::{
    Web,
    page::card_ref,
    session::SignedIn,
    told::{JsonError, Told},
};

#[derive(Deserialize)]
pub(super) struct EnvelopeForm {
    operation: PinOperation,
}

/// [`EnvelopeOffer`] as JSON.
#[derive(Serialize)]
pub(super) struct EnvelopeAnswer {
    nonce: String,
    operation: PinOperation,
    account: String,
    expires_ms: i64,
    hsm_public: String,
    signature: String,
}

impl From<EnvelopeOffer> for EnvelopeAnswer {
    fn from(offer: EnvelopeOffer) -> Self {
        Self {
            nonce: data_encoding::HEXLOWER.encode(&offer.nonce),
            operation: offer.operation,
            account: offer.account,
            expires_ms: offer.expires.0,
            hsm_public: data_encoding::HEXLOWER.encode(&offer.hsm_public),
            signature: data_encoding::HEXLOWER.encode(&offer.signature),
        }
    }
}

/// A single-use envelope for the device to seal PINs in.
pub(super) async fn envelope(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Path(card): Path<String>,
    form: Result<Json<EnvelopeForm>, JsonRejection>,
) -> Result<Json<EnvelopeAnswer>, JsonError> {
    let Json(form) = form?;
    let request = OpenEnvelope {
        card: card_ref(&card)?,
        actor: signed_in.actor,
        operation: form.operation,
    };
    Ok(Json(open_envelope(&web.desk, request, web.now()).await?.into()))
}

/// What comes back from the device; see [`SealedEnvelope`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SealedForm {
    nonce: String,
    device_public: String,
    current_pin: Option<String>,
    new_pin: Option<String>,
    /// For a view: the version that the chip still asks for, instead of the host's.
    version: Option<u32>,
}

impl SealedForm {
    fn envelope(&self, web: &Web, signed_in: &SignedIn) -> Result<SealedEnvelope, Told> {
        Ok(SealedEnvelope {
            nonce: fixed(&self.nonce)?,
            session: signed_in.actor.session,
            device_public: fixed::<65>(&self.device_public)?.to_vec(),
            current_pin: self.current_pin.as_deref().map(fixed).transpose()?,
            new_pin: self.new_pin.as_deref().map(fixed).transpose()?,
            now: web.now(),
        })
    }
}

fn fixed<const LEN: usize>(hex: &str) -> Result<[u8; LEN], Told> {
    let bytes = data_encoding::HEXLOWER
        .decode(hex.as_bytes())
        .map_err(|_| Told::bad_request())?;
    bytes.try_into().map_err(|_| Told::bad_request())
}

/// Where the device goes next.
#[derive(Serialize)]
pub(super) struct Next {
    next: String,
}

fn next(card: CardRef, done: &str) -> Json<Next> {
    Json(Next {
        next: format!("/cards/{card}/pin?done={done}"),
    })
}

/// Sets the card's first PIN, or one that replaces a worn-out one.
pub(super) async fn create(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Path(card): Path<String>,
    form: Result<Json<SealedForm>, JsonRejection>,
) -> Result<Json<Next>, JsonError> {
    let Json(form) = form?;
    let card = card_ref(&card)?;
    let envelope = form.envelope(&web, &signed_in)?;
    create_pin(
        &web.desk,
        CreatePin {
            card,
            actor: signed_in.actor,
            envelope,
        },
        web.now(),
    )
    .await?;
    Ok(next(card, "created"))
}

/// Changes the PIN against the current one.
pub(super) async fn change(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Path(card): Path<String>,
    form: Result<Json<SealedForm>, JsonRejection>,
) -> Result<Json<Next>, JsonError> {
    let Json(form) = form?;
    let card = card_ref(&card)?;
    let envelope = form.envelope(&web, &signed_in)?;
    change_pin(
        &web.desk,
        ChangePin {
            card,
            actor: signed_in.actor,
            envelope,
        },
        web.now(),
    )
    .await?;
    Ok(next(card, "changed"))
}

/// A PIN as an ISO format 4 block that only the asking device can open.
#[derive(Serialize)]
pub(super) struct Revealed {
    block: String,
}

/// Shows a PIN to the device.
pub(super) async fn view(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Path(card): Path<String>,
    form: Result<Json<SealedForm>, JsonRejection>,
) -> Result<Json<Revealed>, JsonError> {
    let Json(form) = form?;
    let card = card_ref(&card)?;
    let envelope = form.envelope(&web, &signed_in)?;
    let which = form
        .version
        .map_or(RevealWhich::Current, |version| RevealWhich::OnChip { version });
    let request = ViewPin {
        card,
        actor: signed_in.actor,
        which,
        envelope,
    };
    let revealed = view_pin(&web.desk, request, web.now()).await?;
    Ok(Json(Revealed {
        block: data_encoding::HEXLOWER.encode(&revealed.0),
    }))
}
