//! What the desk needs goes away while it runs: the HSM's process, its answers, the disk. Every request is answered all the
//! same, nothing is compared without being charged, and the desk goes on when it is there again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cards::CardRef;
use common::{API_TOKEN, Installation, TestCard, Wishes, crowd::health, portal::Portal};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use store::{SqliteStore, Store};

const PIN: &str = "481516234299";
const WRONG_PIN: &str = "481516234200";
const NEW_PIN: &str = "135791357913";
/// Cards that are only guessed at.
const GUESSED: usize = 6;
const KILLS: usize = 3;
const TRIES_MAX: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_hsm_processes_are_replaced_and_what_they_compared_is_charged() {
    let pins = vec![PIN.to_owned(); 1 + GUESSED];
    let mut installation = with_own_hsm(&pins).await;
    let card = installation.cards[0].row;
    let mut portal = Portal::sign_in(installation.web);
    let (sealed, _) = portal.sealed_change(card, PIN, NEW_PIN);

    let over = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn(guess(
        installation.acquirer_at("acquirer-1", "ascii-1987"),
        guesses(&installation),
        over.clone(),
    ));
    for _ in 0..KILLS {
        kill_process(hsm_of(&installation), Signal::KILL).unwrap();
        installation.desk.wait_for("another HSM process took over");
        assert_eq!(code(&installation, &installation.cards[0], PIN, 1).await, "00");
    }
    over.store(true, Ordering::Relaxed);
    let told = traffic.await.unwrap();

    assert!(installation.desk.is_running());
    let charged = failed_comparisons(&installation).await;
    for guessed in &installation.cards[1..] {
        let told = told.get(&guessed.row).copied().unwrap_or_default();
        assert_eq!(told, charged.get(&guessed.row).copied().unwrap_or_default());
        assert!(told <= TRIES_MAX);
    }
    // The one who held its key is gone.
    assert_eq!(
        portal.send_change(card, &sealed),
        (409, "envelope_invalid".to_owned())
    );
    portal.change_pin(card, PIN, NEW_PIN);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_hsm_everybody_is_told_and_nobody_waits_for_a_connection() {
    let pins = [PIN.to_owned()];
    let mut installation = with_own_hsm(&pins).await;
    let mut portal = Portal::sign_in(installation.web);
    // What stands in the place of its directory keeps every new process from starting.
    let (directory, away) = (installation.data.join("hsm"), installation.data.join("away"));
    fs::rename(&directory, &away).unwrap();
    fs::write(&directory, "").unwrap();
    kill_process(hsm_of(&installation), Signal::KILL).unwrap();
    installation.desk.wait_for("no HSM process");
    assert_eq!(code(&installation, &installation.cards[0], PIN, 1).await, "91");
    let (status, text) = portal.page("/");
    assert_eq!(status, 503);
    assert!(text.contains("If you were changing something"), "{text}");
    let (status, body) = health(installation.web);
    assert_eq!((status, &body["hsm"]["answers"]), (503, &false.into()));
    assert_eq!(api_status(&installation), 503);

    fs::remove_file(&directory).unwrap();
    fs::rename(&away, &directory).unwrap();
    installation.desk.wait_for("another HSM process took over");
    assert_eq!(code(&installation, &installation.cards[0], PIN, 2).await, "00");
    assert_eq!(portal.page("/").0, 200);
    assert_eq!(health(installation.web).0, 200);
    assert!(installation.desk.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hsm_that_hangs_is_told_as_out_of_reach_and_missed_no_longer_than_it_hangs() {
    let pins = [PIN.to_owned()];
    let installation = with_own_hsm(&pins).await;
    let mut portal = Portal::sign_in(installation.web);
    let hsm = hsm_of(&installation);
    kill_process(hsm, Signal::STOP).unwrap();
    wait_until_stopped(hsm);
    let (status, text) = portal.page("/");
    assert_eq!(status, 503);
    assert!(text.contains("If you were changing something"), "{text}");
    assert_eq!(code(&installation, &installation.cards[0], PIN, 1).await, "91");
    kill_process(hsm, Signal::CONT).unwrap();
    assert_eq!(portal.page("/").0, 200);
    assert_eq!(code(&installation, &installation.cards[0], PIN, 2).await, "00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_shows_in_the_health_check_until_a_write_went_through() {
    let pins = [PIN.to_owned()];
    let installation = Installation::start(Wishes {
        before: "trap '' XFSZ",
        ..Wishes::cards(&pins)
    })
    .await;
    assert_eq!(health(installation.web).0, 200);
    // No file may grow beyond its first byte: what is written to the database or its log fails.
    limit_files(&installation, Some(1));
    assert_ne!(code(&installation, &installation.cards[0], PIN, 1).await, "00");
    for _ in 0..2 {
        let (status, body) = health(installation.web);
        assert_eq!((status, &body["store"]["writes"]), (503, &false.into()), "{body}");
    }
    limit_files(&installation, None);
    let (status, body) = health(installation.web);
    assert_eq!((status, &body["store"]["writes"]), (200, &true.into()), "{body}");
    assert_eq!(code(&installation, &installation.cards[0], PIN, 2).await, "00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_desk_over_the_same_database_is_refused_and_commands_work_beside_the_first() {
    let pins = [PIN.to_owned()];
    let mut installation = Installation::start(Wishes::cards(&pins)).await;
    let config = installation.data.join("pinward.toml");
    let second = pinward(&["serve", "--config"], &config);
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(69), "{said}");
    let process = format!("another desk (process {})", installation.desk.id());
    assert!(said.contains(&process), "{said}");
    let beside = pinward(&["audit", "verify", "--data"], &installation.data);
    assert!(
        beside.status.success(),
        "{}",
        String::from_utf8_lossy(&beside.stderr)
    );
    // Whoever goes, however, leaves the lock to the next.
    installation.kill_and_restart_desk();
    assert_eq!(code(&installation, &installation.cards[0], PIN, 1).await, "00");
}

#[test]
fn what_the_program_makes_is_readable_by_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let configuration = include_str!("../../../pinward.example.toml")
        .replace("api_token_path", "#api_token_path")
        .replace("user = ", "#user = ")
        .replace("password_path", "#password_path");
    fs::write(directory.path().join("pinward.toml"), configuration).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"umask 022; exec "$0" keys list --data "$1""#])
        .arg(env!("CARGO_BIN_EXE_pinward"))
        .arg(directory.path());
    assert!(command.status().unwrap().success());
    let mut made = Vec::new();
    gather(directory.path(), &mut made);
    assert!(
        made.iter().any(|(path, _)| path.ends_with("pinward.sqlite")),
        "{made:?}"
    );
    for (path, mode) in &made {
        assert_eq!(mode & 0o077, 0, "{path}: {mode:o}");
    }
}

/// All files and directories in one, but the configuration, with their modes.
fn gather(directory: &Path, made: &mut Vec<(String, u32)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            gather(&path, made);
        }
        if !path.ends_with("pinward.toml") {
            made.push((path.display().to_string(), metadata.permissions().mode()));
        }
    }
}

fn pinward(words: &[&str], path: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinward"));
    command.args(words).arg(path).output().unwrap()
}

async fn with_own_hsm(pins: &[String]) -> Installation {
    Installation::start(Wishes {
        own_hsm: true,
        ..Wishes::cards(pins)
    })
    .await
}

/// A signal is on its way when `kill` returns: the process still runs for a moment.
fn wait_until_stopped(process: Pid) {
    let stopped = |task: fs::DirEntry| {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap();
        let (_, after_name) = stat.rsplit_once(") ").unwrap();
        after_name.starts_with('T')
    };
    let tasks = format!("/proc/{}/task", process.as_raw_nonzero());
    while !fs::read_dir(&tasks).unwrap().all(|task| stopped(task.unwrap())) {
        std::thread::yield_now();
    }
}

/// The desk's only child.
fn hsm_of(installation: &Installation) -> Pid {
    let parent = installation.desk.id().to_string();
    let is_child = |process: &fs::DirEntry| {
        // Number, name in parentheses, state, parent.
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        after_name.split(' ').nth(1) == Some(&parent)
    };
    let found = fs::read_dir("/proc")
        .unwrap()
        .map_while(Result::ok)
        .find(is_child);
    let number = found.expect("the desk has an HSM").file_name();
    Pid::from_raw(number.to_str().unwrap().parse().unwrap()).unwrap()
}

fn limit_files(installation: &Installation, bytes_max: Option<u64>) {
    let desk = Pid::from_raw(installation.desk.id().try_into().unwrap());
    let limit = Rlimit {
        current: bytes_max,
        maximum: None,
    };
    prlimit(desk, Resource::Fsize, limit).unwrap();
}

async fn code(installation: &Installation, card: &TestCard, pin: &str, trace: u32) -> String {
    let request = installation.balance_inquiry(card, pin, trace);
    let answer = installation.acquirer.exchange(&request).await.unwrap();
    answer.response_code().unwrap()
}

fn api_status(installation: &Installation) -> u16 {
    use std::io::{Read, Write};

    let path = format!("/v1/cards/{}/pin", installation.cards[0].row);
    let mut stream = std::net::TcpStream::connect(installation.web).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {API_TOKEN}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

type Guess = (CardRef, sim::acquirer::message::Message);

/// A wrong PIN for each card in turn, far more often than it has tries.
fn guesses(installation: &Installation) -> Vec<Guess> {
    let cards = installation.cards[1..].iter().cycle();
    let guess =
        |(trace, card): (u32, &TestCard)| (card.row, installation.balance_inquiry(card, WRONG_PIN, trace));
    (1_000..100_000).zip(cards).map(guess).take(50_000).collect()
}

/// Guesses one after the other until it is over; how often each card's PIN was called wrong.
async fn guess(
    acquirer: sim::acquirer::Acquirer,
    guesses: Vec<Guess>,
    over: Arc<AtomicBool>,
) -> BTreeMap<CardRef, usize> {
    let mut told = BTreeMap::new();
    for (card, request) in guesses {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let answer = acquirer.exchange(&request).await.unwrap();
        match answer.response_code().as_deref() {
            Some("55") => *told.entry(card).or_default() += 1,
            Some("75" | "91") => {}
            other => panic!("a wrong PIN is never answered {other:?}"),
        }
    }
    told
}

/// As the audit chain has them.
async fn failed_comparisons(installation: &Installation) -> BTreeMap<CardRef, usize> {
    let store = SqliteStore::open(installation.data.join("pinward.sqlite")).unwrap();
    let mut failed = BTreeMap::new();
    for record in store.audit_from(1, 1_000_000).await.unwrap() {
        if let Some(card) = record
            .card
            .filter(|_| record.detail.contains(r#""pin":"no_match""#))
        {
            *failed.entry(card).or_default() += 1;
        }
    }
    failed
}
