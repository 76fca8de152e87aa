//! `POST /v1/authorisations/check`: has the PIN desk look at an authorisation, for a host that speaks JSON.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::HeaderMap,
};
use data_encoding::HEXUPPER;
use emv::tags::{
    TAG_71_SCRIPT_BEFORE_FINAL_AC, TAG_72_SCRIPT_AFTER_FINAL_AC, TAG_91_ISSUER_AUTHENTICATION_DATA,
};
use emv::tlv::Tag;
use issuer::authorise::{AuthorisationAnswer, Decision, authorise};
use serde::Serialize;

use super::super::{Web, told::JsonError};
use super::message::CheckMessage;
use super::require_token;

/// What the desk found. Names are stable.
#[derive(Serialize)]
pub(super) struct CheckAnswer {
    /// Whether nothing speaks against the transaction here.
    approved: bool,
    /// The decision's name, as in the journal (`IncorrectPin`).
    decision: Decision,
    /// `not_compared`, `match`, `no_match`, `unreadable`, `no_reference`.
    pin: &'static str,
    /// Whether the chip's cryptogram is the card's; null where none came or it was not looked at.
    cryptogram_valid: Option<bool>,
    /// By the chip's valid cryptogram, the chip verified a PIN in this transaction.
    offline_pin_verified: bool,
    /// Fraud signals by name, whether the transaction was declined for them or not.
    signals: Vec<&'static str>,
    approval_code: Option<String>,
    chip: ChipPart,
}

/// What the chip is to get.
#[derive(Serialize)]
struct ChipPart {
    /// Value of tag 91 if the transaction is approved, in hex; null where it can't be any more.
    issuer_authentication_approve: Option<String>,
    /// Value of tag 91 if it is declined.
    issuer_authentication_decline: Option<String>,
    /// Template 71 or 72, whole, to be sent with either.
    script: Option<String>,
}

/// Decides one message. Refused: without the token (401), JSON that isn't a message (400), a field that can't be used (422,
/// `field_unusable`).
pub(super) async fn check(
    State(web): State<Arc<Web>>,
    headers: HeaderMap,
    message: Result<Json<CheckMessage>, JsonRejection>,
) -> Result<Json<CheckAnswer>, JsonError> {
    require_token(&web, &headers)?;
    let Json(message) = message?;
    let request = message.read()?;
    let (now, request) = (web.now(), [request]);
    let answers = authorise(&web.desk, &request, now).await?;
    let answer = answers.into_iter().next().expect("one answer for one request");
    if answer.decision == Decision::UnknownCard {
        let lines = request
            .iter()
            .map(|request| request.of_unknown_card(now))
            .collect();
        web.desk.store.append_audit(lines).await?;
    }
    Ok(Json(CheckAnswer::of(&answer)))
}

impl CheckAnswer {
    fn of(answer: &AuthorisationAnswer) -> Self {
        let approved = answer.decision == Decision::Approved;
        let approve = answer.chip.as_deref().filter(|_| approved);
        let decline = if approved {
            answer.chip_if_declined.as_deref()
        } else {
            answer.chip.as_deref()
        };
        let chip = approve.or(decline);
        let script = chip.and_then(|chip| {
            whole(chip, TAG_72_SCRIPT_AFTER_FINAL_AC).or_else(|| whole(chip, TAG_71_SCRIPT_BEFORE_FINAL_AC))
        });
        Self {
            approved,
            decision: answer.decision,
            pin: answer.checked.pin.name(),
            cryptogram_valid: answer.checked.cryptogram_valid,
            offline_pin_verified: answer.checked.offline_pin_verified,
            signals: answer.signals.iter().map(|signal| signal.name()).collect(),
            approval_code: answer
                .approval_code
                .map(|code| code.iter().copied().map(char::from).collect()),
            chip: ChipPart {
                issuer_authentication_approve: approve.and_then(issuer_authentication),
                issuer_authentication_decline: decline.and_then(issuer_authentication),
                script,
            },
        }
    }
}

fn issuer_authentication(chip: &[u8]) -> Option<String> {
    let objects = emv::tlv::parse(chip).ok()?;
    let found = objects
        .iter()
        .find(|object| object.tag == TAG_91_ISSUER_AUTHENTICATION_DATA)?;
    Some(HEXUPPER.encode(found.value))
}

fn whole(chip: &[u8], tag: Tag) -> Option<String> {
    let objects = emv::tlv::parse(chip).ok()?;
    let found = objects.iter().find(|object| object.tag == tag)?;
    let mut bytes = Vec::new();
    emv::tlv::put(&mut bytes, found.tag, found.value);
    Some(HEXUPPER.encode(&bytes))
}
