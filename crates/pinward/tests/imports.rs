//! `pinward import` as an operator drives it: what it refuses, and that one run tells all of it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::{fs, path::PathBuf, process::Command};

use cards::Pan;
use common::{Installation, Wishes};
use hsm::PaymentHsm;
use serde_json::Value;
use store::{SqliteStore, Store};

const MEMBERS: &str = "reference,name,email,user_id";
const CARDS: &str = "cardmember,pan,psn,expiry,programme,role,status,pin";
/// Numbers that no card of the installation has.
const PANS: [&str; 3] = ["9999010000000011", "9999010000000029", "9999010000000037"];

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

struct Desk {
    installation: Installation,
}

impl Desk {
    async fn start() -> Self {
        let installation = Installation::start(Wishes::cards(&[])).await;
        Self { installation }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_pinward"))
            .args(arguments)
            .arg("--data")
            .arg(&self.installation.data)
            .output()
            .unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path: PathBuf = self.installation.bureau.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn reference(&self, pan: &str) -> String {
        let pan = Pan::parse(pan).unwrap();
        let keys = self.installation.remote.card_keys(vec![pan]).await.unwrap();
        keys[0].row.to_string()
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(self.installation.data.join("pinward.sqlite")).unwrap()
    }
}

fn row(pan: &str, expiry: &str, pin: &str) -> String {
    format!("m-1,{pan},1,{expiry},credit,basic,active,{pin}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_tells_every_bad_line_of_every_file_by_whatever_it_is_refused() {
    let desk = Desk::start().await;
    let [first, second, third] = PANS;
    let members = desk.file(
        "members.csv",
        format!("{MEMBERS}\nm-2,Bea Moss,no address,bea\nm-3,Cy Hale,c@b.example,\n"),
    );
    let mut lines = format!("{CARDS}\n");
    for _ in 0..150 {
        lines.push_str(&row(first, "9913", "none"));
    }
    lines.push_str(&row(first, "3912", "none").replace("credit", "nobodys"));
    lines.push_str(&row(second, "3912", "pvv:2:1234"));
    lines.push_str(&row(third, "3912", "none").replace("m-1", "m-3"));
    lines.push_str(&row(third, "3911", "none").replace("m-1", "m-3"));
    let mut lines = lines.into_bytes();
    lines.extend_from_slice(b"m-1,\xff,1,3912,credit,basic,active,none\n");
    let cards = desk.file("cards.csv", lines);

    let ended = desk.run(&["import", &cards, &members]);
    assert_eq!(ended.code, 65, "{ended:?}");
    let told = |path: &str, line: usize, column: &str| {
        let start = format!("{path}, line {line}, {column}: ");
        ended.err.lines().filter(|line| line.starts_with(&start)).count()
    };
    for line in 2..152 {
        assert_eq!(told(&cards, line, "expiry"), 1, "line {line}");
    }
    assert_eq!(told(&members, 2, "email"), 1, "{}", ended.err);
    let rest = [(152, "programme"), (153, "pin"), (155, "expiry"), (156, "pan")];
    for (line, column) in rest {
        assert_eq!(told(&cards, line, column), 1, "{}", ended.err);
    }
    assert_eq!(
        told(&cards, 154, "cardmember"),
        0,
        "its cardmember would have come"
    );
    assert!(
        ended
            .err
            .contains("155 errors; nothing of the files was brought in"),
        "{}",
        ended.err
    );
    for pan in PANS {
        let keys = desk.installation.remote.card_keys(vec![Pan::parse(pan).unwrap()]);
        let there = desk.store().cards(keys.await.unwrap()).await.unwrap();
        assert_eq!(there, [None]);
        assert!(!ended.err.contains(pan), "no card number is told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_zone_key_is_told_once_and_before_all_cards() {
    let desk = Desk::start().await;
    let rows = PANS.map(|pan| row(pan, "3912", "iso0:0123456789ABCDEF")).concat();
    let cards = desk.file("cards.csv", format!("{CARDS}\n{rows}"));
    let ended = desk.run(&["import", &cards, "--zone-key", "nobodys"]);
    assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{ended:?}");
    assert_eq!(ended.err.matches("nobodys").count(), 1, "{ended:?}");
    // A key of another purpose is no zone key.
    let ended = desk.run(&["import", &cards, "--zone-key", "kek"]);
    assert_eq!(ended.code, 1, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_trail_says_what_became_of_a_zone_key() {
    let desk = Desk::start().await;
    let cards = desk.file("cards.csv", format!("{CARDS}\n{}", row(PANS[0], "3912", "none")));
    let torn = desk.file("torn.tr31", "D0112P0TE00E0000");
    let under = ["--zone-key-block", &torn, "--zone-key-under", "kek"];
    let ended = desk.run(&[&["import", &cards][..], &under].concat());
    assert_eq!(ended.code, 1, "{ended:?}");
    let records = desk.store().audit_from(1, 1_000).await.unwrap();
    let outcomes: Vec<Value> = records
        .iter()
        .filter(|record| record.kind == "key_import")
        .map(|record| serde_json::from_str::<Value>(&record.detail).unwrap()["outcome"].clone())
        .filter(|outcome| !outcome.is_null())
        .collect();
    assert_eq!(outcomes, ["asked", "refused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_personalised_is_never_called_proven_and_an_expired_card_is_called_so() {
    let desk = Desk::start().await;
    let rows = [row(PANS[0], "2001", "none"), row(PANS[1], "3912", "none")].concat();
    let cards = desk.file("cards.csv", format!("{CARDS}\n{rows}"));
    let ended = desk.run(&["import", &cards]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .err
            .contains("line 2, expiry: warning: the card has expired"),
        "{ended:?}"
    );
    assert!(!ended.err.contains("line 3"), "{ended:?}");
    assert!(
        ended
            .out
            .contains("1 of them has expired: its PIN works nowhere.\n"),
        "{ended:?}"
    );

    let (expired, good) = (desk.reference(PANS[0]).await, desk.reference(PANS[1]).await);
    let status = |card: &str| -> Value {
        serde_json::from_str(&desk.run(&["card", "status", card, "--json"]).out).unwrap()
    };
    assert_eq!(status(&expired)["status"], "expired");
    assert_eq!(status(&expired)["advice"]["code"], "card_expired");
    let report = status(&good);
    assert_eq!(report["status"], "active");
    assert_eq!(report["chip"]["basis"], "personalised");
    let told = desk.run(&["card", "status", &good]).out;
    assert!(told.contains("none, as personalised; "), "{told}");
    assert!(!told.contains("proven"), "{told}");
    let told = desk.run(&["card", "status", &expired]).out;
    assert!(told.contains("  expired  "), "{told}");
}
