//! Manage Card PIN: which PIN works where, what to do next, and the operations that make sense now.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use cards::Timestamp;
use issuer::card_status::AttemptReport;
use serde::Deserialize;

use super::{
    Web,
    page::{CardView, Chrome, Place, day_and_time, html, own_card},
    session::SignedIn,
    told::PageError,
};

#[derive(Template)]
#[template(path = "web/manage_pin.html")]
struct ManagePinPage {
    chrome: Chrome,
    card: CardView,
    /// What was just done; empty when the page was merely opened.
    done: &'static str,
    history: Vec<Happening>,
}

/// One try to bring the PIN to the chip, told in a sentence.
struct Happening {
    when: String,
    what: String,
    /// The chip's own words, for those who want them.
    evidence: String,
}

/// What was just done, as the address says.
#[derive(Deserialize)]
pub(super) struct ManageQuery {
    #[serde(default)]
    done: String,
}

/// The page.
pub(super) async fn show(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Path(card): Path<String>,
    Query(query): Query<ManageQuery>,
) -> Result<Response, PageError> {
    let card = own_card(&web, &signed_in, &card).await?;
    let done = match query.done.as_str() {
        "created" => "Your PIN is set. An email about it is on its way.",
        "changed" => "Your new PIN is set. An email about it is on its way.",
        "unlocked" => "Your PIN is unlocked.",
        "activated" => "Your card is active.",
        _ => "",
    };
    let chrome = Chrome::inside(&web, &signed_in, Some(&card), Place::Manage);
    let history = card.report.script.attempts.iter().rev().map(happening).collect();
    Ok(html(
        StatusCode::OK,
        &ManagePinPage {
            chrome,
            card,
            done,
            history,
        },
    ))
}

fn happening(attempt: &AttemptReport) -> Happening {
    let carried = match attempt.kind.as_str() {
        "unblock_pin" | "unblock_by_csu" => "An unlock",
        "unblock_and_change_pin" => "An unlock with a new PIN",
        _ => "A new PIN",
    };
    let outcome = match attempt.outcome.as_str() {
        "applied" => "The card confirmed that it has it.",
        "failed" => "The card reported that it couldn't take it.",
        "not_applied" => "The card showed at its next use that it didn't get it.",
        "reported" => "The terminal reported on it; the card itself hasn't confirmed anything yet.",
        "unknown" => "The card didn't confirm it.",
        "plastic_gone" => "The card was exchanged for a new one before it could confirm it.",
        _ => "The card hasn't answered yet.",
    };
    Happening {
        when: day_and_time(Timestamp(attempt.sent_at_ms)),
        what: format!(
            "{carried} was sent to the chip with card transaction {}. {outcome}",
            attempt.atc
        ),
        evidence: attempt.evidence.clone(),
    }
}
