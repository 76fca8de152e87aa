//! The sandbox's page, and how pages are written.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use super::{
    BANK_NAME, Sandbox,
    wallet::{Demo, Plastic},
};

#[derive(Template)]
#[template(path = "sandbox.html")]
struct SandboxPage {
    bank: &'static str,
    here: &'static str,
    unread: usize,
    has_bench: bool,
    cards: Vec<Plastic>,
    demo: Option<Demo>,
}

pub(super) async fn sandbox(State(sandbox): State<Arc<Sandbox>>) -> Response {
    let cards = match sandbox.wallet.cards() {
        Ok(cards) => cards,
        Err(error) => {
            tracing::error!(%error, "sandbox: the wallet can't be read");
            return missing(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The wallet can't be read.",
                "The sandbox's log says why.",
            );
        }
    };
    page(
        StatusCode::OK,
        &SandboxPage {
            bank: BANK_NAME,
            here: "sandbox",
            unread: unread(&sandbox),
            has_bench: sandbox.bench.is_some(),
            cards,
            demo: sandbox.wallet.demo(),
        },
    )
}

#[derive(Template)]
#[template(path = "missing.html")]
struct MissingPage {
    bank: &'static str,
    here: &'static str,
    unread: usize,
    has_bench: bool,
    headline: &'static str,
    advice: &'static str,
}

/// An address that leads nowhere.
pub(super) async fn no_such_page() -> Response {
    missing(
        StatusCode::NOT_FOUND,
        "There is no such page.",
        "The links above lead to all that is here.",
    )
}

/// A page that says what isn't there.
pub(super) fn missing(status: StatusCode, headline: &'static str, advice: &'static str) -> Response {
    page(
        status,
        &MissingPage {
            bank: BANK_NAME,
            here: "",
            unread: 0,
            has_bench: false,
            headline,
            advice,
        },
    )
}

/// For the page's head. A folder that can't be read has none; `/api/state` and the mailbox say so.
pub(super) fn unread(sandbox: &Sandbox) -> usize {
    sandbox.mailbox.counts().unwrap_or_default().unread
}

/// Writes a template.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "sandbox: a page can't be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
