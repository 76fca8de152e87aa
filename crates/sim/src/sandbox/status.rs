//! `GET /api/state`: every card as the bank sees it and as the plastic is, and the mailbox's counts.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;

use super::{Refusal, Sandbox, bank::BankView, wallet::Plastic};
use crate::{
    card::{perso::Perso, state::ChipState},
    mailbox::MailCounts,
};

#[derive(Debug, Serialize)]
pub(super) struct SandboxState {
    cards: Vec<CardView>,
    mail: MailCounts,
}

#[derive(Debug, Serialize)]
struct CardView {
    card: String,
    last_four: String,
    /// Null while the bank can't be reached.
    bank: Option<BankView>,
    /// Null when the card's files can't be read.
    plastic: Option<PlasticView>,
}

/// What the chip really holds. Never the PIN's digits: only how it compares with the one it was delivered with.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct PlasticView {
    pin: PlasticPin,
    tries_left: u8,
    tries_max: u8,
    /// Application transaction counter.
    transactions: u16,
    /// Script commands that the chip will report with its next cryptogram.
    scripts_to_report: u8,
    script_failed: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum PlasticPin {
    None,
    AsDelivered,
    Changed,
}

pub(super) async fn state(State(sandbox): State<Arc<Sandbox>>) -> Result<Json<SandboxState>, Refusal> {
    let cards = sandbox.wallet.cards().map_err(|error| unreadable(&error))?;
    let mail = sandbox.mailbox.counts().map_err(|error| unreadable(&error))?;
    let asked: Vec<_> = cards
        .into_iter()
        .map(|card| tokio::spawn(card_view(Arc::clone(&sandbox), card)))
        .collect();
    let mut cards = Vec::with_capacity(asked.len());
    for view in asked {
        cards.extend(
            view.await
                .inspect_err(|error| tracing::error!(%error, "sandbox: a status was lost")),
        );
    }
    Ok(Json(SandboxState { cards, mail }))
}

fn unreadable(error: &std::io::Error) -> Refusal {
    tracing::error!(%error, "sandbox: a folder can't be read");
    Refusal {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        error: "The sandbox can't read its folders. Its log says why.",
    }
}

async fn card_view(sandbox: Arc<Sandbox>, plastic: Plastic) -> CardView {
    let bank = sandbox
        .bank
        .pin_status(&plastic.card)
        .await
        .inspect_err(|error| tracing::debug!(%error, card = plastic.card, "sandbox: the bank gave no status"))
        .ok();
    let memory = sandbox
        .wallet
        .memory(&plastic.card)
        .inspect_err(|error| tracing::warn!(%error, "sandbox: a card can't be read"))
        .ok()
        .flatten();
    CardView {
        bank,
        plastic: memory.map(|(perso, state)| plastic_view(&perso, &state)),
        card: plastic.card,
        last_four: plastic.last_four,
    }
}

fn plastic_view(perso: &Perso, state: &ChipState) -> PlasticView {
    let pin = match &state.pin {
        None => PlasticPin::None,
        held if *held == perso.pin => PlasticPin::AsDelivered,
        Some(_) => PlasticPin::Changed,
    };
    let scripts = state.scripts.and(state.scripts_now);
    PlasticView {
        pin,
        tries_left: state.pin_tries_left,
        tries_max: perso.pin_try_limit,
        transactions: state.atc,
        scripts_to_report: scripts.commands,
        script_failed: scripts.failed,
    }
}
