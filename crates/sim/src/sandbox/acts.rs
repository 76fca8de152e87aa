//! What the page's buttons do: one transaction each, with a card of the wallet, over the acquirer's line.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use paycrypto::pin::Pin;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Refusal, Sandbox, wallet::Wallet};
use crate::{
    card::chip::Chip,
    terminal::{
        atm,
        journey::{Faults, Journey},
        pos, shop, tap,
    },
};

type Request<T> = Result<Json<T>, JsonRejection>;
type Answer = Result<Json<Journey>, Refusal>;

/// The card goes into the shop's terminal. Without a PIN, PIN entry is passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InsertInShop {
    card: String,
    amount: Amount,
    pin: Option<KeyedPin>,
}

pub(super) async fn insert_in_shop(
    State(sandbox): State<Arc<Sandbox>>,
    request: Request<InsertInShop>,
) -> Answer {
    let InsertInShop { card, amount, pin } = parsed(request)?;
    run(sandbox, card, Act::Insert { amount, pin }).await
}

/// The card touches the shop's terminal, or pays online.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PayWithoutPin {
    card: String,
    amount: Amount,
}

pub(super) async fn tap_in_shop(
    State(sandbox): State<Arc<Sandbox>>,
    request: Request<PayWithoutPin>,
) -> Answer {
    let PayWithoutPin { card, amount } = parsed(request)?;
    run(sandbox, card, Act::Tap { amount }).await
}

pub(super) async fn buy_online(
    State(sandbox): State<Arc<Sandbox>>,
    request: Request<PayWithoutPin>,
) -> Answer {
    let PayWithoutPin { card, amount } = parsed(request)?;
    run(sandbox, card, Act::BuyOnline { amount }).await
}

/// The card goes into the cash machine.
#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(super) enum UseCashMachine {
    Cash {
        card: String,
        pin: KeyedPin,
        amount: Amount,
    },
    /// An amount may stand beside it and says nothing.
    Balance { card: String, pin: KeyedPin },
}

pub(super) async fn use_cash_machine(
    State(sandbox): State<Arc<Sandbox>>,
    request: Request<UseCashMachine>,
) -> Answer {
    match parsed(request)? {
        UseCashMachine::Cash { card, pin, amount } => run(sandbox, card, Act::Cash { pin, amount }).await,
        UseCashMachine::Balance { card, pin } => run(sandbox, card, Act::Balance { pin }).await,
    }
}

/// The PIN in the letter that the card was delivered with.
pub(super) async fn open_letter(
    State(sandbox): State<Arc<Sandbox>>,
    Path(card): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let pin = sandbox.wallet.letter(&card).ok_or(Refusal {
        status: StatusCode::NOT_FOUND,
        error: "No PIN letter came with this card.",
    })?;
    Ok(Json(json!({ "pin": *pin })))
}

enum Act {
    Insert { amount: Amount, pin: Option<KeyedPin> },
    Tap { amount: Amount },
    Cash { pin: KeyedPin, amount: Amount },
    Balance { pin: KeyedPin },
    BuyOnline { amount: Amount },
}

impl Act {
    async fn perform(self, sandbox: &Sandbox, chip: &mut Chip) -> Journey {
        let acquirer = &sandbox.acquirer;
        let faults = Faults::default();
        match self {
            Self::Insert { amount, pin } => {
                let keyed: Vec<Pin> = pin.into_iter().map(|keyed| keyed.0).collect();
                pos::buy(chip, &keyed, amount.0, acquirer, faults).await
            }
            Self::Tap { amount } => tap::buy(chip, amount.0, acquirer, faults).await,
            Self::Cash { pin, amount } => atm::withdraw(chip, &pin.0, amount.0, acquirer, faults).await,
            Self::Balance { pin } => atm::balance(chip, &pin.0, acquirer, faults).await,
            Self::BuyOnline { amount } => shop::buy(chip.perso(), amount.0, acquirer, faults).await,
        }
    }
}

async fn run(sandbox: Arc<Sandbox>, card: String, act: Act) -> Answer {
    let perform =
        |sandbox: Arc<Sandbox>, mut chip: Chip| async move { act.perform(&sandbox, &mut chip).await };
    let journey = with_card(&sandbox, Some(&sandbox.wallet), &card, perform).await?;
    Ok(Json(journey))
}

/// Takes the card from its wallet and performs to the end, whatever happens to the browser meanwhile: a page that is
/// closed doesn't pull a card out of a terminal.
pub(super) async fn with_card<T, F>(
    sandbox: &Arc<Sandbox>,
    wallet: Option<&Wallet>,
    card: &str,
    perform: impl FnOnce(Arc<Sandbox>, Chip) -> F,
) -> Result<T, Refusal>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let held = CardsInUse::take(sandbox, card).ok_or(Refusal {
        status: StatusCode::CONFLICT,
        error: "This card is in another terminal",
    })?;
    let taken = wallet.map_or(Ok(None), |wallet| wallet.take(card));
    let taken = taken.map_err(|error| {
        tracing::error!(%error, "sandbox: a card can't be used");
        Refusal {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error: "This card can't be read",
        }
    })?;
    let chip = taken.ok_or(Refusal {
        status: StatusCode::NOT_FOUND,
        error: "There is no such card in the wallet",
    })?;
    let performing = perform(Arc::clone(sandbox), chip);
    let performed = tokio::spawn(async move {
        let done = performing.await;
        drop(held);
        done
    });
    performed.await.map_err(|error| {
        tracing::error!(%error, "sandbox: a transaction broke off");
        Refusal {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error: "Out of service",
        }
    })
}

/// Cards that are in a terminal now. A card is one piece of plastic.
#[derive(Debug, Default)]
pub(super) struct CardsInUse(Mutex<BTreeSet<String>>);

impl CardsInUse {
    /// `None` while the card is somewhere else.
    pub(super) fn take(sandbox: &Arc<Sandbox>, card: &str) -> Option<HeldCard> {
        let is_free = sandbox.in_use.lock().insert(card.to_owned());
        is_free.then(|| HeldCard {
            sandbox: Arc::clone(sandbox),
            card: card.to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the card back when dropped, also when the transaction broke off.
pub(super) struct HeldCard {
    sandbox: Arc<Sandbox>,
    card: String,
}

impl Drop for HeldCard {
    fn drop(&mut self) {
        self.sandbox.in_use.lock().remove(&self.card);
    }
}

/// An amount in minor units, 1 to 999,999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount(u64);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let minor = u64::deserialize(deserializer)?;
        let is_payable = (1..=999_999).contains(&minor);
        is_payable
            .then_some(Self(minor))
            .ok_or_else(|| D::Error::custom("amount"))
    }
}

/// A PIN as keyed at a simulated terminal.
pub(super) struct KeyedPin(Pin);

impl<'de> Deserialize<'de> for KeyedPin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = Zeroizing::new(String::deserialize(deserializer)?);
        Pin::parse(&digits)
            .map(Self)
            .ok_or_else(|| D::Error::custom("pin"))
    }
}

/// Says nothing of the content: it may hold a PIN.
fn parsed<T>(request: Request<T>) -> Result<T, Refusal> {
    let Json(request) = request.map_err(|rejection| Refusal {
        status: rejection.status(),
        error: "The terminal doesn't understand this",
    })?;
    Ok(request)
}
