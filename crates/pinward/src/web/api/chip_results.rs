//! `POST /v1/chip/results`: what became of a transaction and its script, for a host that speaks JSON.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::HeaderMap,
};
use emv::tags::{TAG_9F5B_SCRIPT_RESULTS, TAG_9F26_APPLICATION_CRYPTOGRAM};
use emv::tlv::{self, Tag};
use issuer::chip_results::{ChipResults, ChipResultsOutcome, TransactionEnd, take_chip_results};
use serde::{Deserialize, Serialize};

use super::super::{Web, told::JsonError};
use super::message::{Named, chip, link, pan, unusable};
use super::require_token;

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
    /// The transaction was completed: the message that was checked. Not beside `reverses`.
    completes: Option<Named>,
    /// Chip data, BER-TLV in hex, as in ISO 8583 DE55: a later cryptogram, or the terminal's script results (9F5B).
    chip: Option<String>,
}

/// What was made of it.
#[derive(Serialize)]
pub(super) struct ResultAnswer {
    /// `recorded`, `unknown_card`, `unknown_original` (nothing was checked that could have been completed),
    /// `duplicate_differs`.
    outcome: &'static str,
    /// Whether the chip data's cryptogram is the card's; absent where none came that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    cryptogram_valid: Option<bool>,
}

/// Takes one result. Refused as in `authorisations/check`; also a result with none of `reverses`, `completes` and
/// `chip`, or with both of the first.
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
    let end = match (&message.reverses, &message.completes) {
        (Some(original), None) => Some(TransactionEnd::Reversed(original.row()?)),
        (None, Some(original)) => Some(TransactionEnd::Completed(original.row()?)),
        (None, None) if chip.is_some() => None,
        (None, None) => return Err(unusable("chip", "wanted where no transaction is named").into()),
        (Some(_), Some(_)) => return Err(unusable("completes", "not beside reverses").into()),
    };
    let value = |tag| chip.as_deref().and_then(|chip| value(chip, tag));
    let results = ChipResults {
        message: identity,
        pan,
        end,
        script_results: value(TAG_9F5B_SCRIPT_RESULTS),
        // Where the chip data hold the terminal's claims alone, there is nothing to prove.
        chip: chip
            .clone()
            .filter(|chip| tlv::parse(chip).is_err() || value(TAG_9F26_APPLICATION_CRYPTOGRAM).is_some()),
        link: link(),
    };
    let outcome = take_chip_results(&web.desk, &results, web.now()).await?;
    let (outcome, cryptogram_valid) = match outcome {
        ChipResultsOutcome::Accepted { cryptogram_valid } => ("recorded", cryptogram_valid),
        ChipResultsOutcome::UnknownCard => ("unknown_card", None),
        ChipResultsOutcome::UnknownOriginal => ("unknown_original", None),
        ChipResultsOutcome::DuplicateDiffers => ("duplicate_differs", None),
    };
    Ok(Json(ResultAnswer {
        outcome,
        cryptogram_valid,
    }))
}

fn value(chip: &[u8], tag: Tag) -> Option<Vec<u8>> {
    let objects = tlv::parse(chip).ok()?;
    let object = objects.iter().find(|object| object.tag == tag)?;
    Some(object.value.to_vec())
}
