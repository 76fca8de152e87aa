//! The pages of the four operations: Create, Change, View and Unlock PIN.
//!
//! PINs are keyed and shown by the page's script; see [`super::sealed_pins`] for where they go.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use cards::AdviceCode;
use issuer::{
    Refusal,
    unlock_pin::{UnlockPin, unlock_pin},
};
use serde::Deserialize;

use super::{
    Web,
    page::{CardView, Chrome, Place, html, own_card},
    session::SignedIn,
    step_up::{self, SteppedUp},
    told::PageError,
};

#[derive(Template)]
#[template(path = "web/choose_pin.html")]
struct ChoosePinPage {
    chrome: Chrome,
    card: CardView,
    place: Place,
    /// Name of the operation in the envelope.
    operation: &'static str,
    /// The HSM's public key that signs envelope offers, hex.
    identity: String,
}

#[derive(Template)]
#[template(path = "web/view_pin.html")]
struct ViewPinPage {
    chrome: Chrome,
    card: CardView,
    identity: String,
    version: Option<u32>,
}

#[derive(Template)]
#[template(path = "web/pin_locked.html")]
struct PinLockedPage {
    chrome: Chrome,
    card: CardView,
}

#[derive(Template)]
#[template(path = "web/unlock_pin.html")]
struct UnlockPinPage {
    chrome: Chrome,
    card: CardView,
}

/// Create PIN, after a step-up.
pub(super) async fn create(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Path(card): Path<String>,
) -> Result<Response, PageError> {
    let card = own_card(&web, &signed_in, &card).await?;
    match card.advice.code {
        AdviceCode::NoPin | AdviceCode::PinWornOut => {}
        AdviceCode::CardInactive => return Err(Refusal::CardInactive.into()),
        AdviceCode::CardBlocked => return Err(Refusal::CardBlocked.into()),
        AdviceCode::CardExpired => return Err(Refusal::CardExpired.into()),
        _ => return Err(Refusal::PinExists.into()),
    }
    if let Some(step_up) = step_up::needed(&web, &signed_in, card.row, SteppedUp::Create, None).await? {
        return Ok(step_up);
    }
    Ok(choose_pin(&web, &signed_in, card, Place::Create, "create_pin"))
}

/// Change PIN: authorised by the current one.
pub(super) async fn change(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Path(card): Path<String>,
) -> Result<Response, PageError> {
    let card = own_card(&web, &signed_in, &card).await?;
    match usable(&card)? {
        Usable::Locked => Ok(locked(&web, &signed_in, card, Place::Change)),
        Usable::Yes => Ok(choose_pin(&web, &signed_in, card, Place::Change, "change_pin")),
    }
}

fn choose_pin(
    web: &Web,
    signed_in: &SignedIn,
    card: CardView,
    place: Place,
    operation: &'static str,
) -> Response {
    let chrome = Chrome::inside(web, signed_in, Some(&card), place);
    let identity = web.envelope_identity.clone();
    html(
        StatusCode::OK,
        &ChoosePinPage {
            chrome,
            card,
            place,
            operation,
            identity,
        },
    )
}

/// Which PIN to view: the host's, or the version that the chip still asks for.
#[derive(Deserialize)]
pub(super) struct ViewQuery {
    version: Option<u32>,
}

/// View PIN, after a step-up. A locked PIN raises the alert that offers to unlock it.
pub(super) async fn view(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Path(card): Path<String>,
    Query(query): Query<ViewQuery>,
) -> Result<Response, PageError> {
    let card = own_card(&web, &signed_in, &card).await?;
    if let Usable::Locked = usable(&card)? {
        return Ok(locked(&web, &signed_in, card, Place::View));
    }
    let viewable = match query.version {
        None => card.report.host.viewable,
        Some(version) => card.report.chip.viewable_versions.contains(&version),
    };
    if !viewable {
        return Err(Refusal::PinNotViewable.into());
    }
    let needed = step_up::needed(&web, &signed_in, card.row, SteppedUp::View, query.version).await?;
    if let Some(step_up) = needed {
        return Ok(step_up);
    }
    let chrome = Chrome::inside(&web, &signed_in, Some(&card), Place::View);
    let identity = web.envelope_identity.clone();
    Ok(html(
        StatusCode::OK,
        &ViewPinPage {
            chrome,
            card,
            identity,
            version: query.version,
        },
    ))
}

fn locked(web: &Web, signed_in: &SignedIn, card: CardView, place: Place) -> Response {
    let chrome = Chrome::inside(web, signed_in, Some(&card), place);
    html(StatusCode::OK, &PinLockedPage { chrome, card })
}

/// Unlock PIN, after a step-up: says what will happen.
pub(super) async fn unlock(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Path(card): Path<String>,
) -> Result<Response, PageError> {
    let card = own_card(&web, &signed_in, &card).await?;
    match card.advice.code {
        AdviceCode::PinLocked | AdviceCode::ChipLocked => {}
        AdviceCode::PinUnlocksUsedUp
        | AdviceCode::ChipUnlocksUsedUp
        | AdviceCode::PinLockedForLong
        | AdviceCode::PinWornOut => {
            return Ok(locked(&web, &signed_in, card, Place::Unlock));
        }
        AdviceCode::CardInactive => return Err(Refusal::CardInactive.into()),
        AdviceCode::CardBlocked => return Err(Refusal::CardBlocked.into()),
        AdviceCode::CardExpired => return Err(Refusal::CardExpired.into()),
        AdviceCode::NoPin => return Err(Refusal::NoPin.into()),
        _ => return Err(Refusal::NotLocked.into()),
    }
    if let Some(step_up) = step_up::needed(&web, &signed_in, card.row, SteppedUp::Unlock, None).await? {
        return Ok(step_up);
    }
    let chrome = Chrome::inside(&web, &signed_in, Some(&card), Place::Unlock);
    Ok(html(StatusCode::OK, &UnlockPinPage { chrome, card }))
}

/// Unlocks it.
pub(super) async fn unlock_now(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Path(card): Path<String>,
) -> Result<Response, PageError> {
    let card = own_card(&web, &signed_in, &card).await?;
    let request = UnlockPin {
        card: card.row,
        actor: signed_in.actor,
    };
    unlock_pin(&web.desk, request, web.now()).await?;
    Ok(Redirect::to(&format!("/cards/{}/pin?done=unlocked", card.reference)).into_response())
}

/// Whether a PIN may be compared or shown now.
enum Usable {
    Yes,
    Locked,
}

fn usable(card: &CardView) -> Result<Usable, Refusal> {
    match card.advice.code {
        AdviceCode::CardInactive => Err(Refusal::CardInactive),
        AdviceCode::CardBlocked => Err(Refusal::CardBlocked),
        AdviceCode::CardExpired => Err(Refusal::CardExpired),
        AdviceCode::NoPin => Err(Refusal::NoPin),
        AdviceCode::PinLocked
        | AdviceCode::PinUnlocksUsedUp
        | AdviceCode::PinLockedForLong
        | AdviceCode::PinWornOut => Ok(Usable::Locked),
        AdviceCode::ChipLocked
        | AdviceCode::ChipUnlocksUsedUp
        | AdviceCode::ChipUnlockWaits
        | AdviceCode::ChipNeedsAttention
        | AdviceCode::ChipHasPrevious
        | AdviceCode::ChipHasNone
        | AdviceCode::ChipConfirming
        | AdviceCode::ChipUnknown
        | AdviceCode::UpToDate => Ok(Usable::Yes),
    }
}
