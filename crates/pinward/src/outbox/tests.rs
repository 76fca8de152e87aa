//! Mails as they are written, and as they get through when the simulators' mail server misbehaves.

#![cfg(feature = "simulators")]

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use ::store::{AuditEvent, CardRecord, Commit, CommitOutcome, NewCardmember, NewNotice, SqliteStore};
use cards::{CardKey, CardRef, CardRole, CardmemberId, Expiry, ProgrammeId, Psn, SealedPan};
use sim::mailbox::{Limits, Mailbox, Trouble};
use tokio::net::TcpListener;

use super::*;
use crate::config::{MailConfig, MailTls};
use crate::logging::guard::holds_a_pan;

const CARD: CardRef = CardRef(7);
/// 22 November 2026, 16:50:07 UTC.
const TOLD_AT: Timestamp = Timestamp(1_795_366_207_000);

fn notice(kind: &str, detail: &str) -> DueNotice {
    DueNotice {
        id: 1,
        message_id: "<notice-1@pinward>".into(),
        kind: kind.into(),
        name: "Ada Fenn".into(),
        email: "ada@larkfield.example".into(),
        last_four: "0011".into(),
        at: TOLD_AT,
        detail: detail.into(),
        tries: 0,
    }
}

fn check_mail(kind: &str, detail: &str, subject: &str, text: &str) {
    let mail = mail::render(&notice(kind, detail), "Larkfield Bank").unwrap();
    assert_eq!(mail.subject, subject);
    assert_eq!(mail.text, text);
    assert!(
        mail.text.lines().all(|line| line.chars().count() <= 60),
        "a line is too long"
    );
    assert!(mail.html.contains("Ada Fenn") && mail.html.contains("22 November 2026, 16:50 UTC"));
    assert!(
        !mail.html.contains("href") && !mail.text.contains("http"),
        "mails have no links"
    );
    assert!(!holds_a_pan(&mail.text) && !holds_a_pan(&mail.html));
}

#[test]
fn a_changed_pin_is_told_with_what_it_means_in_a_shop() {
    check_mail(
        "new_pin_set",
        r#"{"cause":"changed","channel":"web"}"#,
        "New PIN for your card ending in 0011",
        include_str!("golden/changed.txt"),
    );
}

#[test]
fn a_created_pin_is_told_with_what_it_means_in_a_shop() {
    check_mail(
        "new_pin_set",
        r#"{"cause":"created","channel":"app"}"#,
        "New PIN for your card ending in 0011",
        include_str!("golden/created.txt"),
    );
}

#[test]
fn the_chips_own_word_is_told() {
    check_mail(
        "chip_has_new_pin",
        "{}",
        "The chip of your card ending in 0011 has your new PIN",
        include_str!("golden/chip.txt"),
    );
}

#[test]
fn html_in_a_name_stays_text() {
    let mut notice = notice("chip_has_new_pin", "{}");
    notice.name = "<script>x</script>".into();
    let mail = mail::render(&notice, "Larkfield Bank").unwrap();
    assert!(!mail.html.contains("<script>"));
    assert!(
        mail.text.contains("<script>x</script>"),
        "a text mail shows it as it is"
    );
}

#[test]
fn a_notice_of_an_unknown_kind_or_shape_is_refused() {
    assert!(mail::render(&notice("lottery_won", "{}"), "Larkfield Bank").is_err());
    assert!(mail::render(&notice("new_pin_set", "{}"), "Larkfield Bank").is_err());
}

#[test]
fn the_wait_doubles_up_to_ten_minutes_and_varies() {
    for (tries, full) in [
        (0, 1_000),
        (1, 2_000),
        (5, 32_000),
        (10, 600_000),
        (u32::MAX, 600_000),
    ] {
        let wait = wait_ms(tries);
        assert!(wait > full / 2 && wait <= full, "{tries}: {wait}");
    }
}

/// Moves on by more than the longest wait each time it is read, so that every notice is due at the next look.
fn hurried_clock() -> Timestamp {
    static MOMENT: AtomicI64 = AtomicI64::new(TOLD_AT.0);
    Timestamp(MOMENT.fetch_add(600_001, Ordering::Relaxed))
}

struct Desk {
    outbox: Outbox,
    version: u64,
    _dir: tempfile::TempDir,
}

impl Desk {
    async fn new(smtp_port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(store_with_a_card(&dir.path().join("store")).await);
        let config = MailConfig {
            smtp_host: "127.0.0.1".into(),
            smtp_port,
            tls: MailTls::None,
            user: None,
            password_path: None,
            from: "Larkfield Bank <cards@larkfield.example>".into(),
        };
        let smtp = Smtp::new(&config).unwrap();
        let outbox = Outbox {
            store,
            smtp,
            issuer_name: "Larkfield Bank".into(),
            clock: hurried_clock,
        };
        Self {
            outbox,
            version: 1,
            _dir: dir,
        }
    }

    /// A change of PIN as the store sees it: a commit with a notice.
    async fn change_pin(&mut self) {
        let commit = Commit {
            card: CARD,
            expected_version: self.version,
            new_state: Some(::store::NewState {
                version: self.version + 1,
                state: vec![2],
                mac: [0; 16],
            }),
            message: None,
            tombstone: None,
            step_up: None,
            audit: vec![event("pin_changed")],
            attempts: vec![],
            notices: vec![NewNotice {
                kind: "new_pin_set",
                cardmember: CardmemberId(1),
                last_four: "0011".into(),
                at: TOLD_AT,
                detail: r#"{"cause":"changed","channel":"web"}"#.into(),
            }],
        };
        let outcomes = self.outbox.store.commit(vec![commit]).await.unwrap();
        assert!(
            matches!(outcomes.as_slice(), [CommitOutcome::Done { .. }]),
            "a change never waits for mail"
        );
        self.version += 1;
    }

    /// Looks until nothing is due any more.
    async fn deliver_all(&self) {
        for _ in 0..20 {
            if self.outbox.deliver_batch().await.unwrap() == 0 {
                return;
            }
        }
        panic!("notices are still due after 20 rounds");
    }
}

async fn store_with_a_card(path: &Path) -> SqliteStore {
    crate::logging::guard::install();
    let store = SqliteStore::open(path).unwrap();
    let ada = NewCardmember {
        reference: "LB-1".into(),
        name: "Ada Fenn".into(),
        email: "ada@larkfield.example".into(),
        user_id: None,
    };
    store
        .import_cardmembers(vec![ada], event("cardmembers_imported"))
        .await
        .unwrap();
    let ids = store.cardmembers_by_reference(vec!["LB-1".into()]).await.unwrap();
    let card = CardRecord {
        key: CardKey {
            row: CARD,
            check: [0; 24],
        },
        pan: SealedPan([0; 16]),
        psn: Psn::new(1).unwrap(),
        last_four: "0011".into(),
        expiry: Expiry::parse_yymm("3011").unwrap(),
        programme: ProgrammeId("credit".into()),
        cardmember: ids[0].unwrap(),
        role: CardRole::Basic,
        version: 1,
        state: vec![1],
        mac: [0; 16],
    };
    assert_eq!(
        store
            .import_cards(vec![card], event("cards_imported"))
            .await
            .unwrap()
            .inserted,
        1
    );
    store
}

fn event(kind: &'static str) -> AuditEvent {
    AuditEvent {
        at: TOLD_AT,
        kind,
        card: None,
        actor: "test".into(),
        detail: "{}".into(),
    }
}

async fn mailbox(dir: &Path) -> (Mailbox, u16) {
    let mailbox = Mailbox::open(dir, Limits::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(mailbox.clone().serve(listener));
    (mailbox, port)
}

fn message_ids(mailbox: &Mailbox) -> Vec<String> {
    let rows = mailbox.rows().unwrap();
    rows.iter()
        .map(|row| mailbox.open_mail(row.number).unwrap().unwrap().message_id)
        .collect()
}

async fn check_one_mail_in_spite_of(trouble: Trouble) {
    let dir = tempfile::tempdir().unwrap();
    let (mailbox, port) = mailbox(dir.path()).await;
    let mut desk = Desk::new(port).await;
    mailbox.next_messages(2, trouble);
    desk.change_pin().await;
    desk.deliver_all().await;
    let mut ids = message_ids(&mailbox);
    assert!(
        ids[0].starts_with("notice-") && ids[0].ends_with("@pinward"),
        "{ids:?}"
    );
    ids.dedup();
    assert_eq!(ids.len(), 1, "a mail that is sent again has the same Message-ID");
}

#[tokio::test]
async fn a_mail_follows_once_after_the_server_asked_to_try_later() {
    check_one_mail_in_spite_of(Trouble::TryLater).await;
}

#[tokio::test]
async fn a_mail_follows_once_after_the_server_hung_up() {
    check_one_mail_in_spite_of(Trouble::HangUpUnkept).await;
}

#[tokio::test]
async fn a_mail_whose_acceptance_got_lost_comes_again_under_the_same_message_id() {
    check_one_mail_in_spite_of(Trouble::HangUpKept).await;
}

#[tokio::test]
async fn changes_go_on_while_no_mail_server_is_there_and_their_mails_follow() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut desk = Desk::new(port).await;
    desk.change_pin().await;
    desk.change_pin().await;
    desk.outbox.deliver_batch().await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(dir.path(), Limits::default()).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(mailbox.clone().serve(listener));
    desk.deliver_all().await;
    assert_eq!(message_ids(&mailbox).len(), 2);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_within_the_lease() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut desk = Desk::new(silent.local_addr().unwrap().port()).await;
    desk.change_pin().await;
    let store = &desk.outbox.store;
    let due = store
        .claim_notices(hurried_clock(), Timestamp(i64::MAX), 1)
        .await
        .unwrap();
    // Time stands still but for waiting, and nothing waits here but for the server.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let reason = desk.outbox.send(&due[0]).await.unwrap_err();
    assert!(
        begun.elapsed() <= smtp::SEND_PATIENCE + Duration::from_secs(1),
        "{reason}"
    );
}
