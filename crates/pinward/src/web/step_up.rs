//! Step-up: the password once more, for one operation on one card, once (I8).

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::{Query, State, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use cards::CardRef;
use issuer::{GrantStepUp, create_pin, unlock_pin, view_pin};
use serde::Deserialize;
use store::{AuditEvent, SignInCharge};
use zeroize::Zeroizing;

use super::{
    Web,
    page::{CardView, Chrome, Place, html, own_card},
    session::{self, SignedIn},
    sign_in::{FAILURES_MAX, PAUSE_MS},
    told::{PageError, Told},
};

/// What a step-up may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum SteppedUp {
    #[serde(rename = "create_pin")]
    Create,
    #[serde(rename = "view_pin")]
    View,
    #[serde(rename = "unlock_pin")]
    Unlock,
}

impl SteppedUp {
    /// The name under which it is granted and spent.
    fn operation(self) -> &'static str {
        match self {
            Self::Create => create_pin::OPERATION,
            Self::View => view_pin::OPERATION,
            Self::Unlock => unlock_pin::OPERATION,
        }
    }

    fn place(self) -> Place {
        match self {
            Self::Create => Place::Create,
            Self::View => Place::View,
            Self::Unlock => Place::Unlock,
        }
    }
}

/// Sends the cardmember to the step-up unless an unspent one is there.
pub(super) async fn needed(
    web: &Web,
    signed_in: &SignedIn,
    card: CardRef,
    operation: SteppedUp,
    version: Option<u32>,
) -> Result<Option<Response>, PageError> {
    let has_step_up = web
        .desk
        .has_step_up(&signed_in.actor, card, operation.operation(), web.now())
        .await?;
    if has_step_up {
        return Ok(None);
    }
    let version = version
        .map(|version| format!("&version={version}"))
        .unwrap_or_default();
    let address = format!(
        "/step-up?card={card}&operation={}{version}",
        operation.operation()
    );
    Ok(Some(Redirect::to(&address).into_response()))
}

#[derive(Template)]
#[template(path = "web/step_up.html")]
struct StepUpPage {
    chrome: Chrome,
    card: CardView,
    operation: &'static str,
    place: Place,
    version: Option<u32>,
    /// Why the last try failed; empty before the first.
    error: String,
}

/// What for, and which card.
#[derive(Deserialize)]
pub(super) struct StepUpQuery {
    card: String,
    operation: SteppedUp,
    version: Option<u32>,
}

/// The form.
pub(super) async fn form(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Query(query): Query<StepUpQuery>,
) -> Result<Response, PageError> {
    let card = own_card(&web, &signed_in, &query.card).await?;
    Ok(show(
        &web,
        &signed_in,
        card,
        query.operation,
        query.version,
        StatusCode::OK,
        String::new(),
    ))
}

fn show(
    web: &Web,
    signed_in: &SignedIn,
    card: CardView,
    operation: SteppedUp,
    version: Option<u32>,
    status: StatusCode,
    error: String,
) -> Response {
    let page = StepUpPage {
        chrome: Chrome::inside(web, signed_in, Some(&card), operation.place()),
        card,
        operation: operation.operation(),
        place: operation.place(),
        version,
        error,
    };
    html(status, &page)
}

#[derive(Deserialize)]
pub(super) struct StepUpForm {
    card: String,
    operation: SteppedUp,
    version: Option<u32>,
    password: String,
}

/// Grants it where the password is right, and leads back. A wrong password counts as a wrong sign-in.
///
/// The session goes on under a new token: whoever saw the one before gets nothing by this step-up.
pub(super) async fn grant(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    form: Result<Form<StepUpForm>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(form) = form?;
    let password = Zeroizing::new(form.password);
    let card = own_card(&web, &signed_in, &form.card).await?;
    let place = web.passwords.place()?;
    let now = web.now();
    let cardmember = &signed_in.cardmember;
    let hash = web.desk.password_hash(Some(cardmember), now).await?;
    let error = match web
        .desk
        .store
        .charge_sign_in(cardmember.id, now, FAILURES_MAX, PAUSE_MS)
        .await?
    {
        SignInCharge::LockedUntil(until) => format!(
            "Too many wrong passwords. Try again after {}.",
            super::page::day_and_time(until),
        ),
        SignInCharge::Charged if place.matches(hash, password).await => {
            let audit = AuditEvent {
                at: now,
                kind: "step_up_granted",
                card: Some(card.row),
                actor: signed_in.actor.to_string(),
                detail: format!(
                    r#"{{"channel":"web","operation":"{}"}}"#,
                    form.operation.operation()
                ),
            };
            let (token, renewed) = session::new_token();
            let grant = GrantStepUp {
                actor: signed_in.actor,
                opened_at: signed_in.opened_at,
                renewed,
                card: card.row,
                operation: form.operation.operation(),
            };
            if !web.desk.grant_step_up(grant, audit).await? {
                return Err(Told::signed_out().into());
            }
            let next = Redirect::to(&target(&card, form.operation, form.version));
            return Ok((session::set_cookie(&web, token), next).into_response());
        }
        SignInCharge::Charged => "That isn't your password. Type it again.".to_owned(),
    };
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(show(
        &web,
        &signed_in,
        card,
        form.operation,
        form.version,
        status,
        error,
    ))
}

fn target(card: &CardView, operation: SteppedUp, version: Option<u32>) -> String {
    let version = version
        .map(|version| format!("?version={version}"))
        .unwrap_or_default();
    format!("{}{version}", operation.place().address(&card.reference))
}
