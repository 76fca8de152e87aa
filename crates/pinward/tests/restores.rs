//! Restored databases: the HSM has seen more than they hold, so nothing is evaluated with them (I9, R17).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use common::{Installation, TestCard, Wishes};
use rustix::process::Signal;
use serde_json::Value;
use store::{AuditRecord, SqliteStore, Store};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);
const PIN: &str = "407195283614";
const WRONG_PIN: &str = "170495283614";
const DATABASE: [&str; 2] = ["pinward.sqlite", "pinward.sqlite-wal"];
const TRIES_MAX: usize = 3;
/// Each with at most two wrong PINs: a card takes ten in 30 days.
const RESTORES_PER_CARD: usize = 4;
const NONE: [&str; 0] = [];

/// An installation with card 0, which makes the traffic, and cards that are guessed at.
struct World {
    installation: Installation,
    trace: Arc<AtomicU32>,
    dice: u64,
}

impl World {
    /// With so many cards to guess at, from number 1 on.
    async fn new(seed: u64, cards: usize) -> Self {
        let pins = vec![PIN.to_owned(); 1 + cards];
        Self {
            installation: Installation::start(Wishes::cards(&pins)).await,
            trace: Arc::default(),
            dice: seed,
        }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    fn next_trace(&self) -> u32 {
        self.trace.fetch_add(1, Ordering::Relaxed)
    }

    /// The answer to a balance inquiry with a card.
    async fn ask(&self, card: usize, pin: &str) -> String {
        let message =
            self.installation
                .balance_inquiry(&self.installation.cards[card], pin, self.next_trace());
        let answer = self.installation.acquirer.exchange(&message).await.unwrap();
        answer.response_code().unwrap().to_owned()
    }

    /// Balance inquiries with card 0, until told to end; each answer is told.
    fn traffic(&self) -> Traffic {
        let (told, answers) = mpsc::unbounded_channel();
        let acquirer = self.installation.acquirer_at("acquirer-1", "ascii-1987");
        let card = &self.installation.cards[0];
        let card = TestCard {
            pan: card.pan.clone(),
            row: card.row,
        };
        let (trace, ended) = (self.trace.clone(), Arc::new(AtomicBool::new(false)));
        let ending = ended.clone();
        let task = tokio::spawn(async move {
            while !ending.load(Ordering::Relaxed) {
                let trace = trace.fetch_add(1, Ordering::Relaxed);
                let message = Installation::balance_inquiry_over(&acquirer, &card, PIN, trace);
                let answer = acquirer.exchange(&message).await.unwrap();
                told.send(answer.response_code().unwrap().to_owned()).unwrap();
            }
        });
        Traffic { answers, ended, task }
    }

    /// Guesses at a card under traffic, and restores the database as it was before the guesses.
    async fn guess_and_restore(&mut self, card: usize) -> Restored {
        self.guess_and_restore_after(card, |_| {}).await
    }

    /// The same; `at_snapshot` gets the data directory when the older database is copied.
    async fn guess_and_restore_after(&mut self, card: usize, at_snapshot: impl FnOnce(&Path)) -> Restored {
        assert_eq!(self.ask(card, PIN).await, "00");
        let mut traffic = self.traffic();
        traffic.flow(self.roll(4)).await;
        let older = self.snapshot(at_snapshot);
        traffic.flow(1).await;
        for _ in 0..=self.roll(2) {
            assert_eq!(self.ask(card, WRONG_PIN).await, "55");
        }
        traffic.flow(self.roll(3)).await;
        traffic.end().await;
        self.until_seen(self.newest().await).await;
        let seen = self.seen().await;
        let mut newer = None;
        let at_once = self.roll(2) == 0;
        self.installation.restart_desk(at_once, |data| {
            newer = Some(Snapshot::of(data));
            older.restore(data);
        });
        let newer = newer.unwrap();
        Restored { newer, seen }
    }

    /// Copies the database as it is at this moment, as a snapshot of its disk would.
    fn snapshot(&self, meanwhile: impl FnOnce(&Path)) -> Snapshot {
        self.installation.desk.signal(Signal::STOP);
        let snapshot = Snapshot::of(&self.installation.data);
        meanwhile(&self.installation.data);
        self.installation.desk.signal(Signal::CONT);
        snapshot
    }

    /// The newest record that the HSM remembers.
    async fn seen(&self) -> u64 {
        let mark = self.installation.remote.history_mark().await.unwrap();
        mark.unwrap().newest.sequence
    }

    /// The journal's newest record.
    async fn newest(&self) -> u64 {
        self.store().audit_head().await.unwrap().unwrap().sequence
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(self.installation.data.join(DATABASE[0])).unwrap()
    }

    /// How the PINs compared that came for a card, by the journal from a record on.
    async fn comparisons(&self, card: usize, from: u64) -> Vec<String> {
        let records = self.store().audit_from(from, 100_000).await.unwrap();
        let row = self.installation.cards[card].row;
        let about = records.into_iter().filter(|record| record.card == Some(row));
        let pin = |record: AuditRecord| {
            let detail: Value = serde_json::from_str(&record.detail).unwrap();
            detail["pin"].as_str().map(str::to_owned)
        };
        about.filter_map(pin).collect()
    }

    /// Waits until the HSM remembers a record.
    async fn until_seen(&self, sequence: u64) {
        let seen = async {
            while self.seen().await < sequence {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, seen).await.unwrap();
    }

    fn health(&self) -> (u16, Value) {
        let (status, body) = self.get("/healthz");
        (status, serde_json::from_str(&body).unwrap())
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.installation.web).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    /// `pinward audit` with these arguments and this on standard input: exit code and output.
    fn audit(&self, arguments: &[&str], input: &str) -> (i32, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pinward"))
            .arg("audit")
            .args(arguments)
            .arg("--data")
            .arg(&self.installation.data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may have refused before it asks.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }
}

/// The database was restored, and the desk started with it.
struct Restored {
    /// The one in whose place it was put.
    newer: Snapshot,
    /// The newest record that the HSM had seen.
    seen: u64,
}

struct Traffic {
    answers: mpsc::UnboundedReceiver<String>,
    ended: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Traffic {
    /// Waits for this many answers, each an approval.
    async fn flow(&mut self, count: u64) {
        for _ in 0..count {
            assert_eq!(self.answers.recv().await.unwrap(), "00");
        }
    }

    async fn end(self) {
        self.ended.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

/// A database, kept apart.
struct Snapshot(TempDir);

impl Snapshot {
    fn of(data: &Path) -> Self {
        let kept = TempDir::new().unwrap();
        for file in DATABASE.map(PathBuf::from) {
            // The log is gone where the desk has ended.
            if data.join(&file).exists() {
                fs::copy(data.join(&file), kept.path().join(&file)).unwrap();
            }
        }
        Self(kept)
    }

    fn restore(&self, data: &Path) {
        for file in [&DATABASE[..], &["pinward.sqlite-shm"]].concat() {
            let (kept, there) = (self.0.path().join(file), data.join(file));
            if there.exists() {
                fs::remove_file(&there).unwrap();
            }
            if kept.exists() {
                fs::copy(kept, there).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_restores_at_random_moments_are_each_noticed_before_anything_is_evaluated() {
    const SEED: u64 = 17;
    const RESTORES: usize = 50;
    let mut world = World::new(SEED, RESTORES.div_ceil(RESTORES_PER_CARD)).await;
    let card_of = |restore: usize| 1 + restore / RESTORES_PER_CARD;
    for restore in 0..RESTORES {
        println!("restore {restore} of seed {SEED}");
        let card = card_of(restore);
        let Restored { newer, seen } = world.guess_and_restore(card).await;
        let restored = world.newest().await;
        assert_eq!(world.ask(card, PIN).await, "91");
        assert_eq!(world.ask(card, WRONG_PIN).await, "91");
        assert_eq!(world.health().0, 503);
        assert_eq!(world.comparisons(card, restored + 1).await, NONE);
        assert_eq!(world.seen().await, seen, "nothing of it is taken over");
        world.installation.restart_desk(true, |data| newer.restore(data));
    }
    assert_eq!(world.health().0, 200);
    let cards = 1..=card_of(RESTORES - 1);
    for card in cards {
        assert_eq!(world.ask(card, PIN).await, "00");
        let compared = world.comparisons(card, 1).await;
        let mut in_a_row = compared.split(|compared| compared == "match");
        assert!(in_a_row.all(|wrong| wrong.len() <= TRIES_MAX), "{compared:?}");
        assert!(compared.iter().any(|compared| compared == "no_match"));
    }
    let (code, said) = world.audit(&["verify"], "");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("which is in the chain"), "{said}");
}

/// That the test above can fail; and what the mark doesn't protect from.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_together_with_the_hsms_own_memory_gives_tries_back_unnoticed() {
    let mut world = World::new(18, 1).await;
    let mut memory = Vec::new();
    let Restored { .. } = world
        .guess_and_restore_after(1, |data| memory = fs::read(data.join("hsm/history")).unwrap())
        .await;
    world
        .installation
        .restart_hsm(|data| fs::write(data.join("hsm/history"), &memory).unwrap());
    world.installation.restart_desk(true, |_| {});
    let restored = world.newest().await;
    for _ in 0..TRIES_MAX {
        assert_eq!(world.ask(1, WRONG_PIN).await, "55", "a try that was used before");
    }
    assert_eq!(world.comparisons(1, restored).await.len(), TRIES_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_is_told_calmly_and_goes_on_when_an_operator_accepts_it() {
    let mut world = World::new(19, 1).await;
    let Restored { seen, .. } = world.guess_and_restore(1).await;
    let (status, health) = world.health();
    assert_eq!(
        (status, &health["hsm"]["refuses"]),
        (503, &"database_older_than_hsm".into())
    );
    assert_eq!(health["hsm"]["answers"], true);
    world
        .installation
        .desk
        .wait_for("older than what the HSM has seen");

    let (code, said) = world.audit(&["verify"], "");
    assert_eq!(code, 1, "{said}");
    let fault =
        format!("this is not the history that the HSM has seen: its record {seen} is not in the chain");
    assert!(said.contains(&fault), "{said}");

    let reason = ["--reason", "disk of node 1 lost, restored from tonight's backup"];
    let accept = [&["accept"], &reason[..]].concat();
    for answer in ["", "yes\n", &format!("{seen}\n")] {
        let (code, said) = world.audit(&accept, answer);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("not accepted; nothing was changed"), "{said}");
        assert_eq!(world.ask(1, PIN).await, "91");
    }
    let last = world.newest().await;
    let (code, said) = world.audit(&accept, &format!("{last}\n"));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("generation 1 begins with record"), "{said}");
    // The desk that runs notices by itself.
    world.installation.desk.wait_for("takes the desk's history again");
    assert_eq!(world.ask(1, PIN).await, "00");
    assert_eq!(world.health().0, 200);

    let told = &world.installation.journal("history_accepted").await[0];
    assert_eq!(told["reason"], reason[1]);
    assert_eq!(told["given_up"]["sequence"], seen);
    let (code, said) = world.audit(&["verify"], "");
    assert_eq!(code, 0, "{said}");
    let (code, said) = world.audit(&accept, &format!("{last}\n"));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the HSM takes this database already"), "{said}");
}
