//! Who is signed in: a random token in a cookie, its SHA-256 in the store.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use cards::Timestamp;
use issuer::Actor;
use sha2::{Digest, Sha256};
use store::CardmemberRecord;

use super::{
    Web,
    told::{JsonError, PageError, Told},
};

/// Bytes of randomness in a session's token.
const TOKEN_LEN_BYTES: usize = 32;
const CHANNEL: &str = "web";

/// A request with a live session.
pub(super) struct SignedIn {
    pub(super) cardmember: CardmemberRecord,
    pub(super) actor: Actor,
    /// When the session was opened.
    pub(super) opened_at: Timestamp,
    /// Until the session ends whatever happens, in milliseconds.
    pub(super) left_ms: i64,
}

/// Makes a token and the hash under which the store knows it.
pub(super) fn new_token() -> (String, [u8; 32]) {
    let mut random = [0; TOKEN_LEN_BYTES];
    getrandom::fill(&mut random).expect("the operating system has randomness");
    let token = data_encoding::BASE64URL_NOPAD.encode(&random);
    let hash = token_hash(&token);
    (token, hash)
}

fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn cookie_name(web: &Web) -> &'static str {
    if web.settings.secure_cookies {
        "__Host-pinward"
    } else {
        "pinward"
    }
}

/// The hash of the token that came with a request, live or not.
pub(super) fn presented(web: &Web, headers: &HeaderMap) -> Option<[u8; 32]> {
    CookieJar::from_headers(headers)
        .get(cookie_name(web))
        .map(|cookie| token_hash(cookie.value()))
}

/// Sets the session's cookie for the browser's own lifetime.
pub(super) fn set_cookie(web: &Web, token: String) -> CookieJar {
    CookieJar::new().add(session_cookie(web, token))
}

/// Takes the session's cookie away.
pub(super) fn clear_cookie(web: &Web, headers: &HeaderMap) -> CookieJar {
    CookieJar::from_headers(headers).remove(session_cookie(web, String::new()))
}

fn session_cookie(web: &Web, token: String) -> Cookie<'static> {
    Cookie::build((cookie_name(web), token))
        .path("/")
        .http_only(true)
        .secure(web.settings.secure_cookies)
        .same_site(SameSite::Strict)
        .build()
}

/// The session is kept open by the request itself.
pub(super) async fn stay(_: SignedIn) -> StatusCode {
    StatusCode::NO_CONTENT
}

impl FromRequestParts<Arc<Web>> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        match find(web, &parts.headers).await {
            Ok(Some(signed_in)) => Ok(signed_in),
            Ok(None) => Err(turn_away(parts)),
            Err(told) => Err(PageError(told).into_response()),
        }
    }
}

/// The live session of a request, if it has one; it counts as seen.
pub(super) async fn find(web: &Web, headers: &HeaderMap) -> Result<Option<SignedIn>, Told> {
    let Some(token_hash) = presented(web, headers) else {
        return Ok(None);
    };
    let now = web.now();
    let idle_since = now.plus_ms(-web.settings.session_idle_ms);
    let opened_since = now.plus_ms(-web.settings.session_absolute_ms);
    let Some(session) = web
        .desk
        .session(token_hash, now, idle_since, opened_since)
        .await?
    else {
        return Ok(None);
    };
    let Some(cardmember) = web.desk.store.cardmember(session.cardmember).await? else {
        return Ok(None);
    };
    let actor = Actor {
        cardmember: session.cardmember,
        session: token_hash,
        channel: CHANNEL,
    };
    let left_ms = web
        .settings
        .session_absolute_ms
        .saturating_sub(now.ms_since(session.opened_at));
    Ok(Some(SignedIn {
        cardmember,
        actor,
        opened_at: session.opened_at,
        left_ms,
    }))
}

/// Our script gets an error it can read, a person the sign-in page, and then the page they wanted.
fn turn_away(parts: &Parts) -> Response {
    let accept = parts
        .headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.starts_with("application/json")) {
        return JsonError(Told::signed_out()).into_response();
    }
    let path = parts.uri.path();
    if parts.method == Method::GET && is_card_page(path) {
        Redirect::to(&format!("/sign-in?next={path}")).into_response()
    } else {
        Redirect::to("/sign-in").into_response()
    }
}

/// Whether a path is one of the pages of a card: the only places that sign-in leads back to.
pub(super) fn is_card_page(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'/';
    path.strip_prefix("/cards/")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain))
}
