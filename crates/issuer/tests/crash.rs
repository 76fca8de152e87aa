//! Kill -9 at every write of a PIN change leaves all of it or nothing (invariants I1, I5, I9; `security.md` R3).
//!
//! In the portal and at an ATM, where the script leaves with the answer. The change runs in a child, which is this test's own executable, under `strace`: it kills the child as it enters the
//! n-th call of one kind on one of the store's files. The n goes up until the child ends unharmed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "test helpers"
)]

mod common;

use std::{
    collections::BTreeSet,
    env, fs, io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{PoisonError, RwLock},
};

use cards::{CardState, ScriptKind};
use hsm::{CheckRequest, PinVerdict};
use issuer::{
    ActError, Refusal,
    authorise::Decision,
    change_pin::{ChangePin, change_pin},
};
use tempfile::TempDir;

use common::{
    Bank, NOW, TRIES_MAX, TestCard,
    bare_chip::{BareChip, INSERTED},
    programme, store_path,
    terminal::script,
    zone_pin,
};

const OLD_PIN: &str = "7394";
const NEW_PIN: &str = "2580";
const WRONG_PIN: &str = "1111";

/// System calls that change what a store's file holds, make it durable, or make and remove files.
const CALLS: [&str; 9] = [
    "pwrite64",
    "pwritev",
    "write",
    "fdatasync",
    "fsync",
    "ftruncate",
    "fallocate",
    "openat",
    "unlink",
];
/// More calls of one kind on one file than a change can make.
const CALLS_MAX: u32 = 200;
const SIGKILL: i32 = 9;
/// The database, its log, and the log's index.
const FILES: [&str; 3] = ["", "-wal", "-shm"];

/// Tells the child where it works; with it this executable is the child.
const ENV_DIRECTORY: &str = "PINWARD_CRASH_DIRECTORY";
/// Tells the child which current PIN to give.
const ENV_CURRENT_PIN: &str = "PINWARD_CRASH_CURRENT_PIN";
const ACKNOWLEDGED: &str = "the change was acknowledged";

#[test]
fn a_pin_change_killed_at_any_write_has_happened_as_a_whole_or_not_at_all() {
    if is_child() {
        return child(change_in_portal);
    }
    changes_as_a_whole_or_not_at_all(
        "a_pin_change_killed_at_any_write_has_happened_as_a_whole_or_not_at_all",
    );
}

#[test]
fn a_pin_change_at_an_atm_killed_at_any_write_has_happened_as_a_whole_or_not_at_all() {
    if is_child() {
        return child(change_at_atm);
    }
    changes_as_a_whole_or_not_at_all(
        "a_pin_change_at_an_atm_killed_at_any_write_has_happened_as_a_whole_or_not_at_all",
    );
}

fn changes_as_a_whole_or_not_at_all(test: &str) {
    let (mut none, mut whole) = (0, 0);
    kill_everywhere(test, OLD_PIN, |left| {
        assert!(left.parts == PARTS_NONE || left.parts == PARTS_ALL, "{left:?}");
        let changed = left.parts == PARTS_ALL;
        assert!(
            changed || !left.acknowledged,
            "an acknowledged change is gone: {left:?}"
        );
        assert_eq!(
            left.matching,
            [if changed { NEW_PIN } else { OLD_PIN }],
            "{left:?}"
        );
        assert_eq!(left.tries_left, TRIES_MAX);
        *(if changed { &mut whole } else { &mut none }) += 1;
    });
    println!("{none} points left nothing, {whole} the whole change");
    assert!(
        none > 20,
        "{none} points before the commit are too few: was the log traced?"
    );
    assert!(whole > 0, "no point lies after the commit");
}

#[test]
fn a_wrong_pin_killed_at_any_write_is_charged_before_it_is_answered() {
    if is_child() {
        return child(change_in_portal);
    }
    let name = "a_wrong_pin_killed_at_any_write_is_charged_before_it_is_answered";
    let (mut free, mut charged) = (0, 0);
    kill_everywhere(name, WRONG_PIN, |left| {
        let is_charged = left.tries_left < TRIES_MAX;
        assert_eq!(left.audit.contains("pin_wrong"), is_charged, "{left:?}");
        assert!(
            is_charged || !left.acknowledged,
            "a guess was answered and not charged: {left:?}"
        );
        assert_eq!(left.parts, PARTS_NONE);
        assert_eq!(left.matching, [OLD_PIN]);
        *(if is_charged { &mut charged } else { &mut free }) += 1;
    });
    println!("{free} points left no charge, {charged} a charge");
    assert!(
        free > 20,
        "{free} points before the commit are too few: was the log traced?"
    );
    assert!(charged > 0, "no point lies after the commit");
}

/// What a child left behind.
#[derive(Debug)]
struct Left {
    acknowledged: bool,
    parts: [bool; 4],
    /// Kinds of audit records since the bank was founded. The chain was whole.
    audit: BTreeSet<String>,
    /// Which of the old and the new PIN the HSM takes for the card's.
    matching: Vec<&'static str>,
    tries_left: u8,
}

/// PIN version, script queued or under way, notice, audit record.
const PARTS_NONE: [bool; 4] = [false; 4];
const PARTS_ALL: [bool; 4] = [true; 4];

/// Runs the child, killed at each point in turn, and has what it left judged.
///
/// `strace` counts calls by thread. So each of the files is taken by itself: of one file, the calls that matter are one
/// thread's.
fn kill_everywhere(test: &str, current_pin: &str, mut judge: impl FnMut(Left)) {
    let directory = TempDir::new().unwrap();
    let directory = directory.path();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cards = with_a_bank_of_ours(|| {
        let (_, cards) = runtime.block_on(Bank::found(directory, programme(), 1, OLD_PIN));
        cards
    });
    let founded = files_of(directory);
    for suffix in FILES {
        for call in CALLS {
            let mut nth = 1;
            loop {
                restore(directory, &founded);
                let ended = run_child(test, directory, current_pin, suffix, call, nth);
                let killed = ended.status.signal() == Some(SIGKILL);
                assert!(
                    killed || ended.status.success(),
                    "{}",
                    String::from_utf8_lossy(&ended.stderr)
                );
                let acknowledged = String::from_utf8_lossy(&ended.stdout).contains(ACKNOWLEDGED);
                let left = with_a_bank_of_ours(|| runtime.block_on(look(directory, &cards[0], acknowledged)));
                if !killed {
                    assert!(acknowledged, "a child that isn't killed gets its answer");
                    break;
                }
                judge(left);
                assert!(nth < CALLS_MAX, "the child never gets past {call}");
                nth += 1;
            }
            if nth > 1 {
                println!("pinward.sqlite{suffix}: {call}: killed at each of {}", nth - 1);
            }
        }
    }
}

/// The store's files, where they are. Its log stays where a reader was the last to close it.
fn files_of(directory: &Path) -> [Option<Vec<u8>>; 3] {
    FILES.map(|suffix| fs::read(file(directory, suffix)).ok())
}

/// The store as it was founded, without anything that a killed child has left beside it.
fn restore(directory: &Path, founded: &[Option<Vec<u8>>; 3]) {
    for (suffix, content) in FILES.into_iter().zip(founded) {
        let path = file(directory, suffix);
        if let Err(error) = fs::remove_file(&path) {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
        if let Some(content) = content {
            fs::write(path, content).unwrap();
        }
    }
}

fn file(directory: &Path, suffix: &str) -> PathBuf {
    let mut path = store_path(directory).into_os_string();
    path.push(suffix);
    path.into()
}

/// A process that begins while another test has its bank open holds that HSM's lock until it is a program of its own.
static BEGINNING: RwLock<()> = RwLock::new(());

fn with_a_bank_of_ours<T>(look: impl FnOnce() -> T) -> T {
    let _none_begins = BEGINNING.read().unwrap_or_else(PoisonError::into_inner);
    look()
}

fn run_child(test: &str, directory: &Path, current_pin: &str, suffix: &str, call: &str, nth: u32) -> Output {
    let mut strace = Command::new("strace");
    strace
        .args(["--follow-forks", "--quiet=all", "--output=/dev/null"])
        .arg(format!("--trace={call}"))
        .arg(format!("--inject={call}:signal=KILL:when={nth}"))
        .arg(format!(
            "--trace-path={}{suffix}",
            store_path(directory).display()
        ))
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ENV_DIRECTORY, directory)
        .env(ENV_CURRENT_PIN, current_pin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let begun = {
        let _no_bank_is_open = BEGINNING.write().unwrap_or_else(PoisonError::into_inner);
        strace.spawn()
    };
    let child = begun.expect("strace is installed (cargo xtask test installs it)");
    child.wait_with_output().unwrap()
}

async fn look(directory: &Path, card: &TestCard, acknowledged: bool) -> Left {
    let bank = Bank::open(directory, programme());
    let record = bank.desk.store.card(card.row).await.unwrap().unwrap();
    let state = CardState::decode(&record.state).unwrap();
    assert_eq!(record.version, state.version);
    let audit: BTreeSet<String> = bank
        .journal()
        .await
        .into_iter()
        .map(|record| record.kind)
        .collect();
    let notices = bank
        .desk
        .store
        .claim_notices(NOW, NOW.plus_ms(1), 10)
        .await
        .unwrap();
    let queued = state
        .script
        .queued()
        .is_some_and(|kind| kind == ScriptKind::ChangePin);
    let attempts = bank.desk.store.attempts(card.row).await.unwrap();
    assert_eq!(
        state.script.in_flight.is_some(),
        attempts.len() == 1,
        "what is under way is on record"
    );
    let hsm_card = issuer::hsm_card(&record);
    let mut matching = Vec::new();
    for pin in [OLD_PIN, NEW_PIN] {
        let pin_of = zone_pin(&card.pan, pin);
        let check = CheckRequest {
            card: hsm_card.clone(),
            cryptogram: None,
            pin: Some(pin_of),
            new_pin: None,
        };
        let reply = bank.desk.hsm.check(vec![check]).await.unwrap().remove(0);
        if reply.expect("the record carries the HSM's MAC").pin == Some(PinVerdict::Match) {
            matching.push(pin);
        }
    }
    Left {
        acknowledged,
        parts: [
            state.host.version == 2,
            queued || state.script.in_flight.is_some(),
            notices.len() == 1,
            audit.contains("pin_changed"),
        ],
        audit,
        matching,
        tries_left: state.tries.left(),
    }
}

fn is_child() -> bool {
    env::var_os(ENV_DIRECTORY).is_some()
}

/// One change of PIN, and a word on standard output when it is answered.
fn child(change: impl AsyncFnOnce(&Bank, &TestCard, &str)) {
    let directory = env::var_os(ENV_DIRECTORY).unwrap();
    let current_pin = env::var(ENV_CURRENT_PIN).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let bank = Bank::open(Path::new(&directory), programme());
        let card = bank.cards(1).await.remove(0);
        change(&bank, &card, &current_pin).await;
        println!("{ACKNOWLEDGED}");
    });
}

async fn change_in_portal(bank: &Bank, card: &TestCard, current_pin: &str) {
    let envelope = bank.sealed_change(card, current_pin, NEW_PIN, NOW).await.unwrap();
    let request = ChangePin {
        card: card.row,
        actor: card.actor.clone(),
        envelope,
    };
    match change_pin(&bank.desk, request, NOW).await {
        Ok(()) | Err(ActError::Refused(Refusal::WrongPin { .. })) => {}
        Err(error) => panic!("{error}"),
    }
}

async fn change_at_atm(bank: &Bank, card: &TestCard, current_pin: &str) {
    let mut chip = BareChip::new(programme().scheme, &card.pan, OLD_PIN);
    let field_55 = chip.speak(INSERTED).field_55;
    let answer = bank
        .decide(&bank.pin_change(card, current_pin, NEW_PIN, field_55))
        .await;
    assert_eq!(answer.decision, Decision::Approved);
    assert!(script(&answer.chip.unwrap()).is_some());
}
