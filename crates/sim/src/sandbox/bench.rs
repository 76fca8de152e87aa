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
    acts::with_card,
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

/// Plays one story with one card.
pub(super) async fn play(
    State(sandbox): State<Arc<Sandbox>>,
    Path((card, story)): Path<(String, Story)>,
) -> Result<Json<Played>, Refusal> {
    let name = card.clone();
    let perform =
        move |sandbox: Arc<Sandbox>, chip| async move { Player::new(&sandbox, name, chip).play(story).await };
    let played = with_card(&sandbox, sandbox.bench.as_ref(), &card, perform).await?;
    played.map(Json).map_err(|error| {
        tracing::warn!(%error, "sandbox: the bench can't ask the bank");
        Refusal {
            status: StatusCode::BAD_GATEWAY,
            error: "The bank can't be reached",
        }
    })
}
