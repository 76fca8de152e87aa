//! The test bench: stories that every chip profile has to come through, played with simulated cards at simulated
//! terminals over the real host, each step compared with what the plastic really holds.
//!
//! | file | holds |
//! |---|---|
//! | `story` | the stories |
//! | `player` | one card at the terminals, and what bank and plastic say after each step |

mod player;
mod story;

use std::sync::Arc;

use askama::Template;
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};

use self::player::Player;
pub(super) use self::story::Story;
use super::{
    BANK_NAME, Refusal, Sandbox,
    acts::CardsInUse,
    pages::{missing, page, unread},
    wallet::Plastic,
};

pub(super) use player::Played;

#[derive(Template)]
#[template(path = "bench.html")]
struct BenchPage {
    bank: &'static str,
    here: &'static str,
    unread: usize,
    has_bench: bool,
    cards: Vec<Plastic>,
    stories: [Story; 4],
}

pub(super) async fn bench(State(sandbox): State<Arc<Sandbox>>) -> Response {
    let cards = sandbox
        .bench
        .as_ref()
        .map_or(Ok(Vec::new()), super::wallet::Wallet::cards);
    match cards {
        Ok(cards) => page(
            StatusCode::OK,
            &BenchPage {
                bank: BANK_NAME,
                here: "bench",
                unread: unread(&sandbox),
                has_bench: true,
                cards,
                stories: Story::ALL,
            },
        ),
        Err(error) => {
            tracing::error!(%error, "sandbox: the bench's cards can't be read");
            missing(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The bench's cards can't be read.",
                "The sandbox's log says why.",
            )
        }
    }
}

/// Plays one story with one card to its end, whatever happens to the browser meanwhile.
pub(super) async fn play(
    State(sandbox): State<Arc<Sandbox>>,
    Path((card, story)): Path<(String, Story)>,
) -> Result<Json<Played>, Refusal> {
    let held = CardsInUse::take(&sandbox, &card).ok_or(Refusal {
        status: StatusCode::CONFLICT,
        error: "This card is in another story",
    })?;
    let taken = sandbox.bench.as_ref().map_or(Ok(None), |bench| bench.take(&card));
    let chip = taken
        .inspect_err(|error| tracing::error!(%error, "sandbox: a card of the bench can't be used"))
        .ok()
        .flatten()
        .ok_or(Refusal {
            status: StatusCode::NOT_FOUND,
            error: "There is no such card on the bench",
        })?;
    let playing = tokio::spawn(async move {
        let played = Player::new(&sandbox, card, chip).play(story).await;
        drop(held);
        played
    });
    let played = playing.await.map_err(|error| {
        tracing::error!(%error, "sandbox: a story broke off");
        Refusal {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error: "Out of service",
        }
    })?;
    played.map(Json).map_err(|error| {
        tracing::warn!(%error, "sandbox: the bench can't ask the bank");
        Refusal {
            status: StatusCode::BAD_GATEWAY,
            error: "The bank can't be reached",
        }
    })
}
