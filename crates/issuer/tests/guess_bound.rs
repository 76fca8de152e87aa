//! Invariants I1 and I2 under parallel guessing, over the portal's act, inquiries and PIN changes at once, on SQLite
//! (`security.md` R1, A9).
//!
//! The same race against a store that forgets the version condition shows that this test can fail.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::{
    collections::BTreeMap,
    num::NonZeroU8,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use cards::{CardKey, CardRef, CardmemberId, Programme, TRIES_LONG_RUN_MAX, Timestamp};
use issuer::{
    ActError, Refusal,
    authorise::{AuthorisationRequest, Decision, authorise},
    change_pin::{ChangePin, change_pin},
    unlock_pin::{self, UnlockPin, unlock_pin},
};
use sim::card::chip::{Chip, Interface};
use store::{
    AttemptRecord, AuditAnchor, AuditEvent, AuditRecord, CardRecord, CardmemberRecord, Commit, CommitOutcome,
    DueNotice, ImportReport, MessageRecord, NewCardmember, NewOwed, OwedCount, OwedMessage, RefusedRow,
    Reissue, ReissueOutcome, SessionRecord, SignInCharge, StepUpGrant, StepUpRecord, StepUpSpend, Store,
    StoreFault,
};
use tempfile::TempDir;
use tokio::{sync::Barrier, task::JoinSet};

use common::{
    Bank, NOW, TestCard, programme,
    terminal::{CLAIMS_NOTHING, new_chip, present},
};

const RIGHT_PIN: &str = "7394";
const CARDS: u32 = 4;
/// Tasks of each of the two ways in.
const TASKS: usize = 48;
/// Guesses of one task on each card.
const GUESSES: usize = 3;

/// What one card's guessers were told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    not_the_pin: usize,
    locked: usize,
    /// Nothing was compared: a cryptogram that another one had overtaken.
    nothing: usize,
}

type Tally = Arc<Mutex<BTreeMap<CardRef, Told>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_guessers_learn_three_times_that_a_pin_is_wrong_and_then_nothing_even_if_it_is_right() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), pin_without_chip(), CARDS, RIGHT_PIN).await;
    let bank = Arc::new(bank);
    let mut chips: Vec<Chip> = cards
        .iter()
        .map(|card| new_chip(directory.path(), &card.pan, RIGHT_PIN))
        .collect();
    let mut told_wrong = 0;
    // Each round: race, locked, unlocked by the cardmember. The last has one try left of the ten of thirty days.
    for (round, allowed) in (0_i64..).zip([3, 3, 3, 1]) {
        let now = NOW.plus_ms(round * 60_000);
        let told = race(&bank, &cards, &mut chips, now).await;
        told_wrong += allowed;
        let journal = journal_of_wrong_pins(&bank).await;
        for card in &cards {
            let told = &told[&card.row];
            assert_eq!(
                told.not_the_pin, allowed,
                "card {} in round {round}: {told:?}",
                card.row
            );
            assert_eq!(
                journal[&card.row], told_wrong,
                "the journal of card {} in round {round}",
                card.row
            );
            assert!(
                told.locked > TASKS,
                "card {} in round {round}: {told:?}",
                card.row
            );
            assert_locked_for_the_right_pin(&bank, card, now).await;
        }
        if round < 3 {
            for card in &cards {
                bank.step_up(card, unlock_pin::OPERATION, now).await;
                let unlock = UnlockPin {
                    card: card.row,
                    actor: card.actor.clone(),
                };
                unlock_pin(&bank.desk, unlock, now).await.unwrap();
            }
        }
    }
    assert_eq!(told_wrong, TRIES_LONG_RUN_MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_reads_checks_and_writes_lets_more_than_three_through() {
    let directory = TempDir::new().unwrap();
    let (mut bank, cards) = Bank::found(directory.path(), pin_without_chip(), CARDS, RIGHT_PIN).await;
    bank.desk.store = Arc::new(Naive(bank.desk.store.clone()));
    let bank = Arc::new(bank);
    let mut chips: Vec<Chip> = cards
        .iter()
        .map(|card| new_chip(directory.path(), &card.pan, RIGHT_PIN))
        .collect();
    let told = race(&bank, &cards, &mut chips, NOW).await;
    let most = told.values().map(|told| told.not_the_pin).max();
    assert!(
        most > Some(3),
        "the race would not notice a missing condition: {told:?}"
    );
}

fn pin_without_chip() -> Programme {
    Programme {
        pin_without_chip: true,
        // Three, so that the bound of thirty days is reached before that of unlocks.
        unlocks_max: NonZeroU8::new(3).unwrap(),
        ..programme()
    }
}

/// Guesses on every card over both ways at once.
async fn race(
    bank: &Arc<Bank>,
    cards: &[TestCard],
    chips: &mut [Chip],
    now: Timestamp,
) -> BTreeMap<CardRef, Told> {
    let tally = Tally::default();
    let start = Arc::new(Barrier::new(2 * TASKS));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let guesses: Vec<String> = (0..GUESSES)
            .map(|guess| wrong_pin(task * GUESSES + guess))
            .collect();
        let portal = Portal {
            bank: bank.clone(),
            cards: cards.to_vec(),
            tally: tally.clone(),
            now,
        };
        let batch = batch(bank, cards, chips, &guesses, task);
        let (at_portal, at_host) = (start.clone(), start.clone());
        tasks.spawn(async move {
            at_portal.wait().await;
            portal.guess(&guesses).await;
        });
        let (bank, tally) = (bank.clone(), tally.clone());
        tasks.spawn(async move {
            at_host.wait().await;
            guess_at_host(&bank, &batch, &tally, now).await;
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    Arc::into_inner(tally)
        .expect("every guesser has ended")
        .into_inner()
        .unwrap()
}

/// One batch of a link: each guess on each card, every fourth task with the card's own cryptogram, every eighth as the
/// current PIN of a PIN change at an ATM.
fn batch(
    bank: &Bank,
    cards: &[TestCard],
    chips: &mut [Chip],
    guesses: &[String],
    task: usize,
) -> Vec<AuthorisationRequest> {
    let mut batch = Vec::new();
    for guess in guesses {
        for (card, chip) in cards.iter().zip(&mut *chips) {
            let field_55 = task
                .is_multiple_of(4)
                .then(|| present(chip, Interface::Contact, &[], CLAIMS_NOTHING).field_55);
            batch.push(match field_55 {
                Some(field_55) if task.is_multiple_of(8) => bank.pin_change(card, guess, "2580", field_55),
                field_55 => bank.balance_inquiry(card, guess, field_55),
            });
        }
    }
    batch
}

async fn guess_at_host(bank: &Bank, batch: &[AuthorisationRequest], tally: &Tally, now: Timestamp) {
    let answers = authorise(&bank.desk, batch, now).await.unwrap();
    let keys = bank
        .desk
        .hsm
        .card_keys(batch.iter().map(|request| request.pan.clone()).collect())
        .await
        .unwrap();
    for (key, answer) in keys.into_iter().zip(answers) {
        put(tally, key.row, |told| match answer.decision {
            Decision::IncorrectPin => told.not_the_pin += 1,
            Decision::PinTriesExceeded => told.locked += 1,
            Decision::CryptogramReplayed => told.nothing += 1,
            other => panic!("a wrong PIN is never answered {other:?}"),
        });
    }
}

struct Portal {
    bank: Arc<Bank>,
    cards: Vec<TestCard>,
    tally: Tally,
    now: Timestamp,
}

impl Portal {
    async fn guess(&self, guesses: &[String]) {
        for guess in guesses {
            for card in &self.cards {
                let refusal = change(&self.bank, card, guess, self.now).await.unwrap_err();
                put(&self.tally, card.row, |told| match refusal {
                    Refusal::WrongPin { .. } => told.not_the_pin += 1,
                    Refusal::PinLocked | Refusal::PinLockedUntil { .. } => told.locked += 1,
                    other => panic!("a wrong PIN is never answered {other:?}"),
                });
            }
        }
    }
}

/// A change from this current PIN, tried again while others move the card.
async fn change(bank: &Bank, card: &TestCard, current: &str, now: Timestamp) -> Result<(), Refusal> {
    loop {
        let envelope = bank.sealed_change(card, current, "2580", now).await.unwrap();
        let request = ChangePin {
            card: card.row,
            actor: card.actor.clone(),
            envelope,
        };
        match change_pin(&bank.desk, request, now).await {
            Ok(()) => return Ok(()),
            Err(ActError::Refused(Refusal::TryAgain)) => {}
            Err(ActError::Refused(refusal)) => return Err(refusal),
            Err(ActError::Fault(fault)) => panic!("{fault}"),
        }
    }
}

async fn assert_locked_for_the_right_pin(bank: &Bank, card: &TestCard, now: Timestamp) {
    let refusal = change(bank, card, RIGHT_PIN, now).await;
    assert!(
        matches!(refusal, Err(Refusal::PinLocked | Refusal::PinLockedUntil { .. })),
        "{refusal:?}"
    );
    let inquiry = bank.balance_inquiry(card, RIGHT_PIN, None);
    let answer = authorise(&bank.desk, &[inquiry], now).await.unwrap().remove(0);
    assert_eq!(answer.decision, Decision::PinTriesExceeded);
}

/// Comparisons that failed, by card, as the audit chain has them.
async fn journal_of_wrong_pins(bank: &Bank) -> BTreeMap<CardRef, usize> {
    let mut wrong = BTreeMap::new();
    for record in bank.journal().await {
        let compared = record.kind == "pin_wrong" || record.detail.contains(r#""pin":"no_match""#);
        if let Some(card) = record.card.filter(|_| compared) {
            *wrong.entry(card).or_default() += 1;
        }
    }
    wrong
}

fn wrong_pin(number: usize) -> String {
    let pin = format!("{:04}", 1_000 + number);
    assert_ne!(pin, RIGHT_PIN);
    pin
}

fn put(tally: &Tally, card: CardRef, add: impl FnOnce(&mut Told)) {
    add(tally.lock().unwrap().entry(card).or_default());
}

/// A store as it is often written: what was read before is written back, whatever has happened in between.
struct Naive(Arc<dyn Store>);

impl Naive {
    async fn write_back(&self, mut commit: Commit) -> Result<CommitOutcome, StoreFault> {
        loop {
            let present = self
                .0
                .card(commit.card)
                .await?
                .expect("cards are never removed")
                .version;
            commit.expected_version = present;
            if let Some(new_state) = &mut commit.new_state {
                new_state.version = present + 1;
            }
            let outcome = self.0.commit(vec![commit.clone()]).await?.remove(0);
            if outcome != CommitOutcome::VersionConflict {
                return Ok(outcome);
            }
        }
    }
}

/// All calls of the trait but `commit` go straight to the store beneath.
macro_rules! naive {
    ($($call:ident($($name:ident: $type:ty),*) -> $output:ty;)*) => {
        #[async_trait]
        impl Store for Naive {
            async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<CommitOutcome>, StoreFault> {
                let mut outcomes = Vec::with_capacity(batch.len());
                for commit in batch {
                    outcomes.push(self.write_back(commit).await?);
                }
                Ok(outcomes)
            }
            $(async fn $call(&self, $($name: $type),*) -> Result<$output, StoreFault> {
                self.0.$call($($name),*).await
            })*
        }
    };
}

naive! {
    cards(keys: Vec<CardKey>) -> Vec<Option<CardRecord>>;
    card(card: CardRef) -> Option<CardRecord>;
    cards_of(cardmember: CardmemberId) -> Vec<CardRecord>;
    cards_from(after: Option<CardRef>, limit: u32) -> Vec<CardRecord>;
    reissue_card(reissue: Reissue) -> ReissueOutcome;
    messages(identities: Vec<[u8; 16]>) -> Vec<Option<MessageRecord>>;
    attempts(card: CardRef) -> Vec<AttemptRecord>;
    import_cardmembers(batch: Vec<NewCardmember>, audit: AuditEvent) -> ImportReport;
    import_cards(batch: Vec<CardRecord>, audit: AuditEvent) -> ImportReport;
    judge_cardmembers(batch: Vec<NewCardmember>) -> Vec<RefusedRow>;
    judge_cards(batch: Vec<CardRecord>) -> Vec<RefusedRow>;
    cardmember(id: CardmemberId) -> Option<CardmemberRecord>;
    cardmember_by_user_id(user_id: &str) -> Option<CardmemberRecord>;
    cardmembers_by_reference(references: Vec<String>) -> Vec<Option<CardmemberId>>;
    set_password(cardmember: CardmemberId, password_hash: String, mac: [u8; 16], audit: AuditEvent) -> ();
    charge_sign_in(cardmember: CardmemberId, now: Timestamp, failures_max: u32, pause_ms: i64) -> SignInCharge;
    open_session(session: SessionRecord, audit: AuditEvent) -> ();
    grant_step_up(grant: StepUpGrant, audit: AuditEvent) -> bool;
    step_up(spend: StepUpSpend) -> Option<StepUpRecord>;
    session(token_hash: [u8; 32], now: Timestamp, idle_since: Timestamp, opened_since: Timestamp) -> Option<SessionRecord>;
    close_session(token_hash: [u8; 32]) -> ();
    claim_notices(now: Timestamp, lease_until: Timestamp, limit: u32) -> Vec<DueNotice>;
    notice_sent(id: i64, at: Timestamp) -> ();
    notice_failed(id: i64, next_try_at: Timestamp, reason: &str) -> ();
    keep_owed(owed: Vec<NewOwed>) -> Vec<i64>;
    owed(link: &str, after: i64, limit: u32) -> Vec<OwedMessage>;
    owed_by_link() -> Vec<OwedCount>;
    settle_owed(ids: Vec<i64>) -> ();
    try_write() -> ();
    audit_from(sequence: u64, limit: u32) -> Vec<AuditRecord>;
    append_audit(events: Vec<AuditEvent>) -> ();
    audit_head() -> Option<AuditRecord>;
    put_anchor(anchor: AuditAnchor) -> ();
    anchors() -> Vec<AuditAnchor>;
}
