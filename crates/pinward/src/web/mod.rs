//! The web: the cardmember's portal, the endpoints that take sealed PINs, and the JSON API.
//!
//! Pages are rendered here and work without scripts, except where a PIN is keyed or shown: that happens in the
//! browser (`crates/pinward/web`), sealed for the HSM. No clear PIN ever reaches this process.

mod activation;
mod api;
mod assets;
mod card_list;
mod connections;
mod headers;
mod manage_pin;
mod page;
mod password;
mod pin_pages;
mod sealed_pins;
mod session;
mod sign_in;
mod step_up;
mod told;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    routing::{get, post},
};
use cards::Timestamp;
use issuer::Desk;
use tower_http::{csrf::CsrfLayer, timeout::TimeoutLayer};

pub(crate) use assets::Colour;
pub(crate) use connections::serve;
pub(crate) use password::hash as hash_password;

use assets::Assets;
use password::PasswordGate;

/// Longest request body, in bytes: no form and no sealed PIN needs more.
const BODY_LEN_MAX_BYTES: usize = 8 * 1024;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// What the web works with.
#[derive(Clone)]
pub(crate) struct WebState {
    pub(crate) desk: Desk,
    /// Public half of the key that signs envelope offers: uncompressed P-256 point, 65 bytes.
    pub(crate) envelope_identity: Vec<u8>,
    pub(crate) settings: WebSettings,
    pub(crate) clock: fn() -> Timestamp,
}

/// What an issuer sets for the web.
#[derive(Clone, Debug)]
pub(crate) struct WebSettings {
    /// As cardmembers know the issuer ("Larkfield Bank").
    pub(crate) issuer_name: String,
    pub(crate) accent: Colour,
    /// A session ends after this long without a request, in milliseconds.
    pub(crate) session_idle_ms: i64,
    /// A session ends this long after sign-in, whatever happens, in milliseconds.
    pub(crate) session_absolute_ms: i64,
    /// Whether the session cookie is for HTTPS only. False only for `http://localhost`.
    pub(crate) secure_cookies: bool,
    /// SHA-256 of the bearer token of the JSON API. `None`: the API answers 401 to everybody.
    pub(crate) api_token_sha256: Option<[u8; 32]>,
    /// Address of the sandbox. `Some`: pages carry a demo banner that links to it.
    pub(crate) demo_sandbox_url: Option<String>,
}

/// [`WebState`] with what the router makes of it.
struct Web {
    desk: Desk,
    /// Lower-case hex.
    envelope_identity: String,
    settings: WebSettings,
    clock: fn() -> Timestamp,
    assets: Assets,
    passwords: PasswordGate,
}

impl Web {
    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// The whole web, ready to be served.
///
/// Reads the session from the cookie `pinward` (`__Host-pinward` with secure cookies). Every answer carries the
/// security headers; every dynamic one is `no-store`.
pub(crate) fn router(state: WebState) -> Router {
    let assets = Assets::new(&state.settings);
    let web = Arc::new(Web {
        envelope_identity: data_encoding::HEXLOWER.encode(&state.envelope_identity),
        assets,
        passwords: PasswordGate::new(),
        desk: state.desk,
        settings: state.settings,
        clock: state.clock,
    });
    Router::new()
        .merge(portal())
        .route("/assets/{build}/{name}", get(assets::serve))
        .nest("/v1", api::v1())
        .route("/healthz", get(api::health))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_TIMEOUT,
        ))
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX_BYTES))
        .layer(middleware::from_fn_with_state(web.clone(), page::dress_errors))
        .layer(middleware::map_response_with_state(web.clone(), headers::secure))
        .with_state(web)
}

fn portal() -> Router<Arc<Web>> {
    Router::new()
        .route("/", get(card_list::show))
        .route("/sign-in", get(sign_in::form).post(sign_in::enter))
        .route("/sign-out", post(sign_in::leave))
        .route("/session/stay", post(session::stay))
        .route("/step-up", get(step_up::form).post(step_up::grant))
        .route(
            "/cards/{card}/activate",
            get(activation::form).post(activation::activate),
        )
        .route("/cards/{card}/pin", get(manage_pin::show))
        .route(
            "/cards/{card}/pin/create",
            get(pin_pages::create).post(sealed_pins::create),
        )
        .route(
            "/cards/{card}/pin/change",
            get(pin_pages::change).post(sealed_pins::change),
        )
        .route(
            "/cards/{card}/pin/view",
            get(pin_pages::view).post(sealed_pins::view),
        )
        .route(
            "/cards/{card}/pin/unlock",
            get(pin_pages::unlock).post(pin_pages::unlock_now),
        )
        .route("/cards/{card}/pin/envelope", post(sealed_pins::envelope))
        .layer(CsrfLayer::new())
}
