//! What is no proof, and what a person has to look at: commands without the chip's own bit, cards that may have been tapped,
//! claims of terminals, wishes that stop.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use cards::{Programme, ReportKept, Scheme, ScriptSettings, Timestamp};
use issuer::{
    authorise::{CardEntry, Decision},
    chip_lag::{LaggingCard, chip_lag},
    unlock_pin::{self, UnlockPin, unlock_pin},
};
use tempfile::TempDir;

use common::{
    Bank, NOW, TestCard,
    bare_chip::{BareChip, INSERTED, Manner, Spoken},
    programme,
};

const FIRST_PIN: &str = "7394";
/// Tag 9F66, as contactless terminals of Visa send it.
const CONTACTLESS: [u8; 7] = [0x9F, 0x66, 0x04, 0x36, 0x00, 0x40, 0x00];

/// A card of a profile with its settings, and its chip.
struct Held {
    _directory: TempDir,
    bank: Bank,
    card: TestCard,
    chip: BareChip,
}

impl Held {
    async fn new(scheme: Scheme, script: ScriptSettings) -> Self {
        let directory = TempDir::new_in("/dev/shm").unwrap();
        let programme = Programme {
            scheme,
            script,
            ..programme()
        };
        let (bank, cards) = Bank::found(directory.path(), programme, 1, FIRST_PIN).await;
        let card = cards[0].clone();
        Self {
            chip: BareChip::new(scheme, &card.pan, FIRST_PIN),
            _directory: directory,
            bank,
            card,
        }
    }

    /// A request with the card inserted, as field 22 says; gives what the chip said and its answer.
    async fn told_as_inserted(&mut self, manner: Manner) -> (Spoken, Option<Vec<u8>>) {
        let spoken = self.chip.speak(manner);
        let field_55 = Some(spoken.field_55.clone());
        let request = self.bank.request(&self.card, CardEntry::Contact, field_55);
        let answer = self.bank.decide(&request).await;
        assert_eq!(answer.decision, Decision::Approved);
        (spoken, answer.chip)
    }

    async fn changed_and_sent(&mut self) -> (Spoken, Vec<u8>) {
        self.bank.change_in_portal(&self.card, FIRST_PIN, "1001").await;
        let (spoken, answer) = self.told_as_inserted(INSERTED).await;
        (spoken, answer.unwrap())
    }

    async fn possible(&self) -> Vec<u32> {
        let state = self.bank.state(&self.card).await;
        let possible = state.chip.possible().iter();
        possible.map(|possible| possible.version).collect()
    }

    async fn outcome(&self) -> (String, String) {
        let attempts = self.bank.desk.store.attempts(self.card.row).await.unwrap();
        let first = attempts.into_iter().find(|attempt| attempt.attempt == 1).unwrap();
        (first.outcome, first.evidence)
    }

    async fn report(&self, now: Timestamp) -> Vec<LaggingCard> {
        chip_lag(&self.bank.desk, None, now).await.unwrap().lagging
    }
}

#[tokio::test]
async fn a_command_received_is_no_pin_changed_where_the_chip_says_so_itself() {
    for (failed, outcome, versions) in [(false, "unknown", vec![1, 2]), (true, "failed", vec![1])] {
        let mut held = Held::new(Scheme::MastercardCvn21, ScriptSettings::default()).await;
        let (spoken, answer) = held.changed_and_sent().await;
        held.chip.take_torn(&spoken, &answer);
        held.chip.script_failed = failed;
        let said = held.chip.speak(INSERTED);
        let request = held
            .bank
            .request(&held.card, CardEntry::Contact, Some(said.field_55));
        held.bank.decide(&request).await;
        assert_eq!(held.outcome().await.0, outcome);
        assert_eq!(held.possible().await, versions);
        assert_eq!(held.chip.pin, FIRST_PIN);
    }
}

#[tokio::test]
async fn a_tap_told_as_an_insertion_proves_nothing_by_silence() {
    for beside in [&CONTACTLESS[..], &[]] {
        let settings = ScriptSettings {
            report: Some(ReportKept::UntilIssuerAuthenticated),
            ..ScriptSettings::default()
        };
        let mut held = Held::new(Scheme::VisaCvn10, settings).await;
        let (spoken, answer) = held.changed_and_sent().await;
        held.chip.take(&spoken, &answer);
        let reported = held.chip.script_commands;
        held.chip.script_commands = 0;
        let tap = Manner {
            entry_mode: None,
            beside,
            ..INSERTED
        };
        let (_, answer) = held.told_as_inserted(tap).await;
        assert_eq!(
            answer.is_some(),
            beside.is_empty(),
            "a tap isn't authenticated to meanwhile"
        );
        assert_eq!(held.possible().await, [1, 2], "the plastic has version 2");
        held.chip.script_commands = reported;
        held.told_as_inserted(INSERTED).await;
        assert_eq!(held.possible().await, [2]);
    }
}

#[tokio::test]
async fn a_reversals_own_cryptogram_proves_and_a_terminals_claim_is_reported() {
    let mut held = Held::new(Scheme::VisaCvn10, ScriptSettings::default()).await;
    held.bank.change_in_portal(&held.card, FIRST_PIN, "1001").await;
    let spoken = held.chip.speak(INSERTED);
    let request = held
        .bank
        .request(&held.card, CardEntry::Contact, Some(spoken.field_55.clone()));
    let answer = held.bank.decide(&request).await.chip.unwrap();
    held.chip.take(&spoken, &answer);

    // 9F5B: the one script succeeded.
    let claim: &[u8] = &[0x9F, 0x5B, 0x05, 0x20, 0, 0, 0, 0];
    let reported = (held.chip.script_commands, held.chip.forget_report()).0;
    let tap = Manner {
        entry_mode: Some(0x07),
        beside: claim,
        ..INSERTED
    };
    let silent = held.chip.speak(tap);
    let tapped = held
        .bank
        .request(&held.card, CardEntry::Contactless, Some(silent.field_55));
    held.bank.decide(&tapped).await;
    let (outcome, evidence) = held.outcome().await;
    assert_eq!(outcome, "reported");
    assert!(evidence.contains("in a later request"), "{evidence}");
    assert_eq!(held.possible().await, [1, 2], "a claim proves nothing");

    held.chip.script_commands = reported;
    let later = held.chip.speak(INSERTED).field_55;
    held.bank.take_back_with(&held.card, &request, Some(later)).await;
    assert_eq!(held.outcome().await.0, "applied");
    assert_eq!(held.possible().await, [2]);
}

#[tokio::test]
async fn an_unlock_that_stops_has_its_record_and_is_in_the_report_and_so_is_what_is_under_way() {
    let settings = ScriptSettings {
        attempts_max: Some(1),
        ..ScriptSettings::default()
    };
    let mut held = Held::new(Scheme::VisaCvn10, settings).await;
    held.chip.pin_blocked = true;
    held.told_as_inserted(INSERTED).await;
    assert_eq!(held.report(NOW).await, []);
    held.bank.step_up(&held.card, unlock_pin::OPERATION, NOW).await;
    let unlock = UnlockPin {
        card: held.card.row,
        actor: held.card.actor.clone(),
    };
    unlock_pin(&held.bank.desk, unlock, NOW).await.unwrap();
    held.told_as_inserted(INSERTED).await;
    assert_eq!(held.report(NOW).await, []);
    held.told_as_inserted(INSERTED).await;
    held.told_as_inserted(INSERTED).await;
    let report = held.report(NOW).await;
    assert_eq!(
        report.len(),
        1,
        "the chip has the host's PIN, and is in the report for its unlock"
    );
    assert_eq!(report[0].attention, Some("attempts_used_up"));
    let journal = held.bank.journal().await;
    let stopped: Vec<_> = journal
        .iter()
        .filter(|record| record.kind == "script_stopped")
        .map(|record| record.detail.as_str())
        .collect();
    assert_eq!(
        stopped,
        [r#"{"script":"unblock_pin","reason":"attempts_used_up"}"#]
    );

    let mut held = Held::new(Scheme::VisaCvn10, ScriptSettings::default()).await;
    held.changed_and_sent().await;
    let report = held.report(NOW).await;
    assert_eq!((report[0].queued, report[0].sent), (None, Some("change_pin")));
}
