//! Logs of transactions: recorded without PINs, run again, and compared.

use std::fs;
use std::path::PathBuf;

use sim::acquirer::Acquirer;
use sim::replay::line::{Line, Told};
use sim::replay::order::{Act, Order};
use sim::replay::{self, ReplayError, Replayed};
use sim::terminal::journey::Faults;

use crate::host::{Host, Orders};
use crate::issuer::{Folder, new_card, pin};

fn log_of(folder: &Folder) -> PathBuf {
    folder.perso.with_file_name("log.jsonl")
}

/// Runs a transaction and records it.
async fn record(folder: &Folder, act: Act, keyed: &[&str], acquirer: &Acquirer) {
    let pins: Vec<_> = keyed.iter().map(|digits| pin(digits)).collect();
    let mut chip = folder.chip();
    let held = chip.state().pin.clone();
    let order = Order {
        act,
        profile: act.terminal(None).unwrap(),
        amount: 1250,
        pins: &pins,
        new_pin: None,
        faults: Faults::default(),
    };
    let journey = order.run(&mut chip, acquirer).await;
    let told = Told {
        terminal: None,
        card: &folder.perso,
        state: &folder.state,
    };
    let line = Line::of(&order, told, held.as_ref(), &journey.outcome).unwrap();
    line.append_to(&log_of(folder)).unwrap();
}

async fn run(folder: &Folder, log: &str, acquirer: &Acquirer) -> Result<Replayed, ReplayError> {
    let path = log_of(folder);
    fs::write(&path, log).unwrap();
    replay::run(&path, acquirer).await
}

#[tokio::test]
async fn a_recorded_log_holds_no_pin_and_runs_again_to_the_same_end() {
    let host = Host::start("ascii-1987").await;
    let acquirer = host.acquirer();
    let folder = new_card(Some("7391"));
    record(&folder, Act::Pay, &["7391"], &acquirer).await;
    record(&folder, Act::Cash, &["7391"], &acquirer).await;
    record(&folder, Act::Tap, &[], &acquirer).await;
    record(&folder, Act::Web, &[], &acquirer).await;
    let log = fs::read_to_string(log_of(&folder)).unwrap();
    assert_eq!(log.lines().count(), 4);
    assert!(!log.contains("7391"), "{log}");
    let replayed = run(&folder, &log, &acquirer).await.unwrap();
    assert_eq!((replayed.as_expected, replayed.not_as_expected), (4, 0));
    host.order(Orders {
        code: Some("51"),
        ..Orders::default()
    });
    let replayed = run(&folder, &log, &acquirer).await.unwrap();
    assert_eq!((replayed.as_expected, replayed.not_as_expected), (0, 4));
    assert_eq!(
        replayed.entries[0].wanted_instead,
        ["approved: true", "response_code: \"00\""]
    );
}

#[tokio::test]
async fn wrong_pins_are_for_people_to_fill_in_before_anything_is_run() {
    let host = Host::start("ascii-1987").await;
    let acquirer = host.acquirer();
    let folder = new_card(Some("7391"));
    record(&folder, Act::Pay, &["7391"], &acquirer).await;
    record(&folder, Act::Pay, &["0000", "7391"], &acquirer).await;
    host.got();
    let log = fs::read_to_string(log_of(&folder)).unwrap();
    let refused = run(&folder, &log, &acquirer).await.unwrap_err().to_string();
    assert!(refused.contains("line 2: pin_from: "), "{refused}");
    assert!(host.got().is_empty());
    let filled = log.replacen(
        "\"pin\":null,\"pin_from\":\"missing\"",
        "\"pin\":[\"0000\",\"7391\"]",
        1,
    );
    let replayed = run(&folder, &filled, &acquirer).await.unwrap();
    assert_eq!((replayed.as_expected, replayed.not_as_expected), (2, 0));
}

#[tokio::test]
async fn pins_come_from_files_and_new_ones_are_random() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("7391"));
    fs::write(folder.perso.with_file_name("pins.txt"), "0000\n7391\n").unwrap();
    let log = r#"
# Files are relative to the log.
{"act": "pay", "card": "card.perso.json", "amount": "9", "pin_from": "pins.txt", "expect": {"approved": true}}
{"act": "change_pin", "card": "card.perso.json", "pin_from": "card", "new_pin_from": "random", "expect": {"response_code": "00"}}
"#;
    let replayed = run(&folder, log, &host.acquirer()).await.unwrap();
    assert_eq!(replayed.not_as_expected, 0, "{replayed:?}");
    let [_, change] = host.got().try_into().unwrap();
    assert_ne!(change.field(52), change.field(125));
}

#[tokio::test]
async fn a_frame_is_sent_as_it_is() {
    let host = Host::start("ascii-1987").await;
    let acquirer = host.acquirer();
    let folder = new_card(None);
    let frame = acquirer.frame(&acquirer.network_message(*b"301")).unwrap();
    let hex = data_encoding::HEXUPPER.encode(&frame);
    let line = |mti| format!(r#"{{"raw": "{hex}", "expect": {{"mti": "{mti}", "response_code": "00"}}}}"#);
    let log = [line("0810"), line("0110")].join("\n");
    let replayed = run(&folder, &log, &acquirer).await.unwrap();
    assert_eq!((replayed.as_expected, replayed.not_as_expected), (1, 1));
    assert_eq!(replayed.entries[1].wanted_instead, ["mti: \"0110\""]);
}

#[tokio::test]
async fn a_line_that_cannot_be_run_is_named_and_not_quoted() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("7391"));
    for (line, wanted) in [
        (
            r#"{"act": "pay", "card": "c", "amount": "1", "pin": 7391}"#,
            "line 1: not a line of a log: a PIN has",
        ),
        (
            r#"{"act": "pay", "card": "c", "amount": "1", "pin": "739"}"#,
            "line 1: not a line of a log: a PIN has",
        ),
        (r#"{"act": "pay", "card": "c", "pin": "7391"}"#, "amount"),
        (r#"{"act": "balance", "card": "c", "amount": "1"}"#, "amount"),
        (r#"{"act": "dance", "card": "7391"}"#, "wrong value"),
        (
            r#"{"act": "tap", "card": "c", "amount": "1", "pn": "7391"}"#,
            "unknown field `pn`",
        ),
        (r#"{"act": "tap", "amount": "1"}"#, "missing field `card`"),
        (
            r#"{"act": "change_pin", "card": "card.perso.json", "pin": "7391"}"#,
            "new_pin",
        ),
        (
            r#"{"act": "web", "card": "card.perso.json", "amount": "1", "terminal": "7391"}"#,
            "corner-shop",
        ),
        (r#"{"raw": "xyz"}"#, "raw"),
    ] {
        let refused = run(&folder, line, &host.acquirer())
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains(wanted), "{line}: {refused}");
        assert!(!refused.contains("739") || line.contains("terminal"), "{refused}");
    }
}
