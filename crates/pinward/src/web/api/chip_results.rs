//! `POST /v1/chip/results`: what became of a transaction and its script, for a host that speaks JSON.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::HeaderMap,
};
use issuer::authorise::{
    AuthorisationRequest, Authority, CardEntry, Decision, RequestKind, Transaction, authorise,
};
use issuer::reverse::{Reversal, ReversalOutcome, reverse};
use serde::{Deserialize, Serialize};

use super::super::{Web, told::JsonError};
use super::message::{Named, chip, link, pan, unusable};
use super::require_token;

/// ISO 4217 numeric of "no currency": a result moves no money.
const NO_CURRENCY: u16 = 999;

/// A result, told once per `id` and `at`; repeats change nothing.
#[derive(Deserialize, Serialize)]
pub(super) struct ResultMessage {
    #[serde(flatten)]
    named: Named,
    /// 12 to 19 digits.
    pan: String,
    /// The transaction was reversed, or its answer is not known to have arrived: the message that was checked, by its `id`
    /// and `at`.
    reverses: Option<Named>,
    /// Chip data, BER-TLV in hex, as in ISO 8583 DE55: a later cryptogram, or the terminal's script results (9F5B).
    chip: Option<String>,
}

/// What was made of it.
#[derive(Serialize)]
pub(super) struct ResultAnswer {
    /// `recorded`, `unknown_card`, `duplicate_differs`.
    outcome: &'static str,
}

/// Takes one result. Refused as in `authorisations/check`; also a result with neither `reverses` nor `chip`.
pub(super) async fn take(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    message: Result<Json<ResultMessage>, JsonRejection>,
) -> Result<Json<ResultAnswer>, JsonError> {
    require_token(&web, &headers)?;
    let Json(message) = message?;
    let content = serde_json::to_vec(&message).expect("it was read from JSON");
    let identity = message.named.identity(&content)?;
    let pan = pan(&message.pan)?;
    let chip = message.chip.as_deref().map(chip).transpose()?;
    let now = web.now();
    let outcome = match (&message.reverses, chip) {
        (Some(original), chip) => {
            let reversal = Reversal {
                message: identity,
                original: original.row()?,
                pan,
                script_results: chip.as_deref().and_then(script_results),
                link: link(),
            };
            match reverse(&web.desk, &reversal, now).await? {
                ReversalOutcome::Accepted => "recorded",
                ReversalOutcome::UnknownCard => "unknown_card",
                ReversalOutcome::DuplicateDiffers => "duplicate_differs",
            }
        }
        (None, Some(chip)) => {
            let advice = AuthorisationRequest {
                message: identity,
                kind: RequestKind::Advice,
                authority: Authority::Elsewhere,
                pan,
                psn: None,
                expiry: None,
                transaction: Transaction::Purchase,
                amount_minor: 0,
                currency: NO_CURRENCY,
                entry: CardEntry::Contact,
                terminal: None,
                pin: None,
                new_pin: None,
                chip: Some(chip),
                link: link(),
            };
            let answers = authorise(&web.desk, &[advice], now).await?;
            match answers.first().map(|answer| answer.decision) {
                Some(Decision::UnknownCard) => "unknown_card",
                Some(Decision::DuplicateDiffers) => "duplicate_differs",
                Some(_) | None => "recorded",
            }
        }
        (None, None) => return Err(unusable("chip", "wanted where reverses is not given").into()),
    };
    Ok(Json(ResultAnswer { outcome }))
}

fn script_results(chip: &[u8]) -> Option<Vec<u8>> {
    let objects = emv::tlv::parse(chip).ok()?;
    let results = objects
        .iter()
        .find(|object| object.tag == emv::tags::TAG_9F5B_SCRIPT_RESULTS)?;
    Some(results.value.to_vec())
}
