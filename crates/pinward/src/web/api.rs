//! The JSON API for the issuer's own systems, and the health check. `docs/integrate.md` shows it with examples.

mod authorisations;
mod chip_results;
mod message;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use cards::CardRef;
use hsm::HsmFault;
use issuer::{
    Refusal,
    card_status::{CardReport, card_status},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    Web,
    told::{JsonError, Told},
};

/// All with a bearer token: `GET cards/{card}/pin`, `POST authorisations/check`, `POST chip/results`.
pub(super) fn v1() -> Router<Arc<Web>> {
    Router::new()
        .route("/cards/{card}/pin", get(card_pin))
        .route("/authorisations/check", post(authorisations::check))
        .route("/chip/results", post(chip_results::take))
        .fallback(no_such_resource)
}

async fn no_such_resource() -> JsonError {
    JsonError(Told {
        advice: "See the API's documentation.".to_owned(),
        ..Told::no_such_page()
    })
}

/// The card's report: which PIN works where, and the evidence for it.
async fn card_pin(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    Path(card): Path<String>,
) -> Result<Json<CardReport>, JsonError> {
    require_token(&web, &headers)?;
    let card: CardRef = card.parse().map_err(|_| Refusal::NotYourCard)?;
    Ok(Json(card_status(&web.desk, card, web.now()).await?))
}

fn require_token(web: &Web, headers: &HeaderMap) -> Result<(), Told> {
    if is_authorised(web, headers) {
        Ok(())
    } else {
        Err(Told::unauthorised())
    }
}

fn is_authorised(web: &Web, headers: &HeaderMap) -> bool {
    let authorisation = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = authorisation.and_then(|value| value.strip_prefix("Bearer "));
    match (token, web.settings.api_token_sha256) {
        (Some(token), Some(wanted)) => {
            let presented: [u8; 32] = Sha256::digest(token).into();
            bool::from(presented.ct_eq(&wanted))
        }
        _ => false,
    }
}

/// Whether the HSM and the store answer and what is decided can be written down, and why the HSM does nothing about cards where it doesn't. Says that the HSM is
/// software: for development, pilots and closed loops.
pub(super) async fn health(State(web): State<Arc<Web>>) -> Response {
    let (hsm, store, writes) = tokio::join!(
        web.desk.hsm.check(Vec::new()),
        web.desk.store.audit_head(),
        web.desk.store.try_write(),
    );
    let healthy = hsm.is_ok() && store.is_ok() && writes.is_ok();
    let refuses = match &hsm {
        Err(HsmFault::History(fault)) => Some(fault.name()),
        Ok(_) | Err(HsmFault::NoAnswer(_)) => None,
    };
    let answers = hsm.is_ok() || refuses.is_some();
    let status = if healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({
        "status": if healthy { "ok" } else { "failing" },
        "hsm": { "answers": answers, "refuses": refuses, "kind": "software", "certified": false },
        "store": { "answers": store.is_ok(), "writes": writes.is_ok() },
    });
    (status, Json(body)).into_response()
}
