//! A card at real terminals of an acquirer, over links of every kind: wire dialects and framings, MACs, DUKPT, a network's
//! own processing codes. The host is the product's; the card's PIN goes from link to link by scripts.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Installation, Wishes};
use hsm::{KeyAdmin, KeyName, KeyPurpose};
use paycrypto::pin::Pin;
use serde_json::json;
use sim::acquirer::Acquirer;
use sim::acquirer::link::ExchangeError;
use sim::terminal::journey::{Faults, ScriptReport};
use sim::terminal::{atm, pos};

const PIN: &str = "503918274650";
const NOW: cards::Timestamp = cards::Timestamp(1_790_000_000_000);
const AMOUNT: u64 = 2_000;

/// A link and the acquirer at its other end.
struct Row {
    dialect: &'static str,
    framing: &'static str,
    pin_format: &'static str,
    key: &'static str,
    key_serial: Option<&'static str>,
    mac: bool,
    pin_change: &'static str,
    /// DE39 where it approves.
    approved: &'static str,
}

const PLAIN: Row = Row {
    dialect: "bcd-1987",
    framing: "bcd2",
    pin_format: "iso0",
    key: "zpk",
    key_serial: None,
    mac: false,
    pin_change: "92",
    approved: "00",
};

const TDES_SERIAL: Option<&str> = Some("FFFF9876543210E00000");

const ROWS: [Row; 6] = [
    PLAIN,
    Row {
        dialect: "ebcdic-1987",
        framing: "binary2-zero2",
        mac: true,
        pin_change: "70",
        ..PLAIN
    },
    Row {
        dialect: "ascii-1993",
        framing: "ascii4",
        mac: true,
        approved: "000",
        ..PLAIN
    },
    Row {
        dialect: "bcd-1993",
        framing: "binary2",
        pin_format: "dukpt-tdes",
        key: "bdk",
        key_serial: TDES_SERIAL,
        mac: true,
        approved: "000",
        ..PLAIN
    },
    Row {
        dialect: "ascii-1987-dukpt",
        pin_format: "dukpt-tdes",
        key: "bdk",
        key_serial: TDES_SERIAL,
        ..PLAIN
    },
    Row {
        dialect: "ascii-1987-aes-dukpt",
        pin_format: "dukpt-aes",
        key: "bdk-aes",
        key_serial: Some("1234567890123456"),
        ..PLAIN
    },
];

impl Row {
    fn link(&self) -> String {
        let Self {
            dialect,
            framing,
            pin_format,
            key,
            pin_change,
            ..
        } = self;
        let mac = if self.mac { "mac_key = \"zmac\"" } else { "" };
        format!(
            "[[host.link]]\nname = \"{dialect}\"\nlisten = \"127.0.0.1:0\"\ndialect = \"{dialect}\"\n\
             framing = \"{framing}\"\nzone_key = \"{key}\"\npin_format = \"{pin_format}\"\n{mac}\n\
             processing_codes = {{ pin_change = \"{pin_change}\" }}\n"
        )
    }

    async fn acquirer(&self, installation: &Installation) -> Acquirer {
        let mut file = json!({
            "host": installation.links[self.dialect].to_string(),
            "framing": self.framing,
            "dialect": self.dialect,
            "processing_codes": { "pin_change": self.pin_change },
            "acquirer_id": "123456",
            "zone_key": exported(installation, self.key).await,
            "component_paths": ["component-1.txt", "component-2.txt"],
        });
        if let Some(serial) = self.key_serial {
            file["key_serial"] = json!(serial);
        }
        if self.mac {
            file["mac_key"] = json!(exported(installation, "zmac").await);
        }
        open(installation, &file)
    }
}

fn open(installation: &Installation, file: &serde_json::Value) -> Acquirer {
    let path = installation.bureau.join("acquirer-of-row.json");
    fs::write(&path, file.to_string()).unwrap();
    Acquirer::open(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

async fn exported(installation: &Installation, key: &str) -> String {
    let name = |name: &str| KeyName(name.to_owned());
    installation
        .remote
        .export_key(name(key), name("kek"))
        .await
        .unwrap()
}

async fn start() -> Installation {
    let links: String = ROWS.iter().map(Row::link).collect();
    let pins = [PIN.to_owned()];
    let installation = Installation::start(Wishes {
        links: &links,
        ..Wishes::cards(&pins)
    })
    .await;
    for (key, purpose) in [
        ("bdk", KeyPurpose::DukptBaseTdes),
        ("bdk-aes", KeyPurpose::DukptBaseAes),
    ] {
        let name = KeyName(key.to_owned());
        installation
            .remote
            .generate_key(name, purpose, NOW)
            .await
            .unwrap();
    }
    installation
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_pays_changes_its_pin_and_is_reversed_over_every_kind_of_link() {
    let installation = start().await;
    let mut chip = installation.chip(&installation.cards[0]).await;
    let mut pin = Pin::parse(PIN).unwrap();
    for (row, digits) in ROWS.iter().zip(0_u8..) {
        let what = row.dialect;
        let acquirer = row.acquirer(&installation).await;
        let new = Pin::parse(&format!("91827364501{digits}")).unwrap();

        let wrong = Pin::parse("111222333444").unwrap();
        let refused = atm::withdraw(&mut chip, &wrong, AMOUNT, &acquirer, Faults::default()).await;
        assert!(!refused.outcome.approved, "{what}");
        assert!(
            refused.outcome.display.iter().any(|line| line.contains("PIN")),
            "{what}: {:?}",
            refused.outcome
        );

        let changed = atm::change_pin(&mut chip, &pin, &new, &acquirer, Faults::default()).await;
        let changed = changed.outcome;
        assert!(changed.approved, "{what}: {changed:?}");
        assert_eq!(changed.response_code.as_deref(), Some(row.approved), "{what}");
        assert_eq!(changed.script, Some(ScriptReport::Successful), "{what}");
        pin = new;

        // The shop's PIN is the chip's, the machine's is the bank's: both have the new one.
        let paid = pos::buy(
            &mut chip,
            std::slice::from_ref(&pin),
            AMOUNT,
            &acquirer,
            Faults::default(),
        )
        .await;
        assert!(paid.outcome.approved, "{what}: {:?}", paid.outcome);
        let cash = atm::withdraw(&mut chip, &pin, AMOUNT, &acquirer, Faults::default()).await;
        assert!(cash.outcome.approved, "{what}: {:?}", cash.outcome);

        let lost = Faults {
            lose_answer: true,
            pull_card: None,
        };
        let reversed = pos::buy(&mut chip, std::slice::from_ref(&pin), AMOUNT, &acquirer, lost).await;
        let accepted = reversed
            .trace
            .last()
            .unwrap_or_else(|| panic!("{what}: no trace"));
        let reversal = reversed.trace.iter().find(|step| step.title.ends_with("410"));
        let reversal =
            reversal.unwrap_or_else(|| panic!("{what}: the reversal isn't answered: {accepted:?}"));
        let code = reversal.lines.iter().find(|(label, _)| label.starts_with("DE39"));
        let code = &code.unwrap_or_else(|| panic!("{what}: no code")).1;
        assert!(
            ["00", "400"].iter().any(|wanted| code.starts_with(wanted)),
            "{what}: {code}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acquirer_with_another_mac_key_is_refused_and_refuses_the_answer() {
    let installation = start().await;
    let row = &ROWS[1];
    let name = |name: &str| KeyName(name.to_owned());
    installation
        .remote
        .generate_key(name("zmac-other"), KeyPurpose::ZoneMacTdes, NOW)
        .await
        .unwrap();
    let mut file = json!({
        "host": installation.links[row.dialect].to_string(),
        "framing": row.framing,
        "dialect": row.dialect,
        "acquirer_id": "123456",
        "zone_key": installation.zone_key,
        "component_paths": ["component-1.txt", "component-2.txt"],
    });
    let acquirer = open(&installation, &file);
    let request = Installation::balance_inquiry_over(&acquirer, &installation.cards[0], PIN, 1);
    let answer = acquirer.exchange(&request).await.unwrap();
    assert_eq!(answer.response_code().as_deref(), Some("63"), "no MAC at all");
    file["mac_key"] = json!(exported(&installation, "zmac-other").await);
    let acquirer = open(&installation, &file);
    let request = Installation::balance_inquiry_over(&acquirer, &installation.cards[0], PIN, 2);
    assert!(matches!(
        acquirer.exchange(&request).await,
        Err(ExchangeError::Mac)
    ));
    file["mac_key"] = json!(exported(&installation, "zmac").await);
    let acquirer = open(&installation, &file);
    let request = Installation::balance_inquiry_over(&acquirer, &installation.cards[0], PIN, 3);
    let answer = acquirer.exchange(&request).await.unwrap();
    assert_eq!(answer.response_code().as_deref(), Some("00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_command_line_a_recorded_transaction_runs_again_and_a_log_holds_no_pin() {
    let installation = start().await;
    drop(installation.chip(&installation.cards[0]).await);
    ROWS[3].acquirer(&installation).await;
    let card = format!("{}.perso.json", installation.cards[0].row);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinward"));
        command
            .current_dir(&installation.bureau)
            .arg("sim")
            .args(arguments);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let acquirer = ["--acquirer", "acquirer-of-row.json"];
    let pay = [
        "pos",
        "--card",
        &card,
        "--amount",
        "5",
        "--pin",
        PIN,
        "--record",
        "log.jsonl",
    ];
    let cash = [
        "atm",
        "--card",
        &card,
        "--amount",
        "5",
        "--pin",
        PIN,
        "--record",
        "log.jsonl",
    ];
    for transaction in [pay, cash] {
        let (code, said) = run(&[&transaction[..], &acquirer].concat());
        assert_eq!(code, Some(0), "{said}");
    }
    let log = installation.bureau.join("log.jsonl");
    let recorded = fs::read_to_string(&log).unwrap();
    assert!(!recorded.contains(PIN), "{recorded}");
    let replay = ["replay", "log.jsonl"];
    let (code, said) = run(&[&replay[..], &acquirer].concat());
    assert_eq!(
        (code, said.lines().last()),
        (Some(0), Some("2 as expected, 0 not")),
        "{said}"
    );
    expect_otherwise(&log, &recorded);
    let (code, said) = run(&[&replay[..], &acquirer].concat());
    assert_eq!(
        (code, said.lines().last()),
        (Some(1), Some("1 as expected, 1 not")),
        "{said}"
    );
}

/// Has the first line of a log expect another code.
fn expect_otherwise(log: &Path, recorded: &str) {
    let changed = recorded.replacen("\"response_code\":\"000\"", "\"response_code\":\"100\"", 1);
    assert_ne!(changed, recorded);
    fs::write(log, changed).unwrap();
}
