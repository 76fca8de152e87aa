//! Sign-in with user ID and password, and sign-out.
//!
//! A try is charged before the password is looked at. Whatever goes wrong, the answer has the same words, the same
//! length and the same pace, whether the user exists, is paused or typed a wrong password (I12).

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    Form,
    extract::{Query, State, rejection::FormRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use store::{AuditEvent, CardmemberRecord, SignInCharge};
use zeroize::Zeroizing;

use super::{
    Web,
    page::{Chrome, Place, html},
    password, session,
    told::PageError,
};

/// Wrong passwords in a row before a pause (RTS 2018/389 Art. 4(3)(b)).
pub(super) const FAILURES_MAX: u32 = 5;
/// The pause: 15 minutes, in milliseconds.
pub(super) const PAUSE_MS: i64 = 15 * 60 * 1000;
/// A refusal never leaves earlier than this, so that its time doesn't tell how far it got.
const REFUSAL_PACE: Duration = Duration::from_millis(400);

#[derive(Template)]
#[template(path = "web/sign_in.html")]
struct SignInPage {
    chrome: Chrome,
    user_id: String,
    next: String,
    failed: bool,
    notice: &'static str,
}

#[derive(Deserialize)]
pub(super) struct SignInQuery {
    #[serde(default)]
    next: String,
    #[serde(default)]
    why: String,
}

/// The form. Who is signed in already goes on to the cards: a second tab, or the second click of two.
pub(super) async fn form(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    Query(query): Query<SignInQuery>,
) -> Response {
    if let Ok(Some(_)) = session::find(&web, &headers).await {
        return Redirect::to(target(&query.next)).into_response();
    }
    let notice = match query.why.as_str() {
        "idle" => "You were signed out because nothing happened for a while. Nothing you typed was kept.",
        "out" => "You are signed out.",
        _ => "",
    };
    let page = SignInPage {
        chrome: Chrome::outside(&web),
        user_id: String::new(),
        next: query.next,
        failed: false,
        notice,
    };
    html(StatusCode::OK, &page)
}

#[derive(Deserialize)]
pub(super) struct SignInForm {
    user_id: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// Opens a session under a new token. A session that the browser still had ends first.
pub(super) async fn enter(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    form: Result<Form<SignInForm>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(form) = form?;
    let pace = tokio::time::sleep(REFUSAL_PACE);
    let user_id = form.user_id.trim().to_owned();
    let place = web.passwords.place()?;
    let found = web.desk.store.cardmember_by_user_id(&user_id).await?;
    let Some(cardmember) = recognised(&web, place, found, Zeroizing::new(form.password)).await? else {
        pace.await;
        let page = SignInPage {
            chrome: Chrome::outside(&web),
            user_id,
            next: form.next,
            failed: true,
            notice: "",
        };
        return Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page));
    };
    if let Some(before) = session::presented(&web, &headers) {
        web.desk.store.close_session(before).await?;
    }
    let (token, token_hash) = session::new_token();
    let audit = AuditEvent {
        at: web.now(),
        kind: "signed_in",
        card: None,
        actor: format!("cardmember:{}", cardmember.id.0),
        detail: r#"{"channel":"web"}"#.to_owned(),
    };
    web.desk.open_session(token_hash, cardmember.id, audit).await?;
    let next = Redirect::to(target(&form.next));
    Ok((session::set_cookie(&web, token), next).into_response())
}

/// Where sign-in leads: a page of a card, or the list of cards.
fn target(next: &str) -> &str {
    if session::is_card_page(next) { next } else { "/" }
}

/// The cardmember whose password it is. A paused one isn't recognised, right password or not. Nothing is charged where the
/// stored password isn't as it was set.
async fn recognised(
    web: &Web,
    place: password::Place<'_>,
    found: Option<CardmemberRecord>,
    password: Zeroizing<String>,
) -> Result<Option<CardmemberRecord>, PageError> {
    let hash = web.desk.password_hash(found.as_ref(), web.now()).await?;
    let charged = match &found {
        Some(cardmember) => {
            let charge = web
                .desk
                .store
                .charge_sign_in(cardmember.id, web.now(), FAILURES_MAX, PAUSE_MS)
                .await?;
            matches!(charge, SignInCharge::Charged)
        }
        None => false,
    };
    let right = place.matches(hash.filter(|_| charged), password).await;
    Ok(found.filter(|_| right))
}

/// Ends the session, here and in the browser.
pub(super) async fn leave(State(web): State<Arc<Web>>, headers: HeaderMap) -> Result<Response, PageError> {
    if let Some(token_hash) = session::presented(&web, &headers) {
        web.desk.store.close_session(token_hash).await?;
    }
    Ok((
        session::clear_cookie(&web, &headers),
        Redirect::to("/sign-in?why=out"),
    )
        .into_response())
}
