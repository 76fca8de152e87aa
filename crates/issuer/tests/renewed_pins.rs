//! PINs that an existing system has set since its cards were brought in (I5, I7, I9).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use cards::{CardRole, CardState, CardStatus, PinReference, Programme, ScriptKind};
use issuer::{
    Fault,
    authorise::{CardEntry, Decision},
    import::{NewCard, NewCardPin, import_cards},
    renew_pins::{RenewReport, renew_pins},
};
use tempfile::TempDir;

use common::{
    Bank, NOW, TRIES_MAX, TestCard,
    bare_chip::{BareChip, INSERTED},
    expiry, programme, psn, zone_pin,
};

const PIN: &str = "7394";
const NEW_PIN: &str = "2580";
const OTHER_PIN: &str = "6071";
const WRONG_PIN: &str = "1111";
const PVV: NewCardPin = NewCardPin::Pvv {
    pvki: 1,
    pvv: [4, 0, 2, 1],
};

/// PINs are compared without a chip.
fn rules() -> Programme {
    Programme {
        pin_without_chip: true,
        ..programme()
    }
}

/// A line of the existing system's later file.
fn line(card: &TestCard, pin: NewCardPin) -> NewCard {
    NewCard {
        cardmember: "m-1".into(),
        pan: card.pan.clone(),
        psn: psn(),
        expiry: expiry(),
        programme: programme().id,
        role: CardRole::Basic,
        status: CardStatus::Active,
        pin,
    }
}

fn block(card: &TestCard, pin: &str) -> NewCardPin {
    NewCardPin::Block(zone_pin(&card.pan, pin))
}

async fn renew(bank: &Bank, card: &TestCard, pin: NewCardPin) -> RenewReport {
    renew_pins(&bank.desk, &[line(card, pin)], "operator:7", NOW)
        .await
        .unwrap()
}

const RENEWED: RenewReport = RenewReport { renewed: 1, moved: 0 };
const AS_IT_WAS: RenewReport = RenewReport { renewed: 0, moved: 0 };

async fn try_pin(bank: &Bank, card: &TestCard, pin: &str) -> Decision {
    bank.decide(&bank.balance_inquiry(card, pin, None)).await.decision
}

/// The chip inserted; it takes what the answer brings.
async fn insert(bank: &Bank, card: &TestCard, chip: &mut BareChip) {
    let spoken = chip.speak(INSERTED);
    let request = bank.request(card, CardEntry::Contact, Some(spoken.field_55.clone()));
    let answer = bank.decide(&request).await;
    chip.take(&spoken, &answer.chip.expect("a proved chip gets an answer"));
}

fn versions(state: &CardState) -> Vec<u32> {
    let possible = state.chip.possible().iter();
    possible.map(|possible| possible.version).collect()
}

#[tokio::test]
async fn a_renewed_pin_works_at_once_and_the_chip_may_have_either_until_it_proves_one() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), rules(), 2, PIN).await;
    // Whether the other system has told the chip, only the chip knows.
    for (card, on_chip) in cards.iter().zip([PIN, NEW_PIN]) {
        assert_eq!(renew(&bank, card, block(card, NEW_PIN)).await, RENEWED);
        assert_eq!(try_pin(&bank, card, NEW_PIN).await, Decision::Approved);
        assert_eq!(try_pin(&bank, card, PIN).await, Decision::IncorrectPin);
        let state = bank.state(card).await;
        assert_eq!(versions(&state), [1, 2]);
        assert_eq!(state.script.queued(), Some(ScriptKind::ChangePin));

        let mut chip = BareChip::new(programme().scheme, &card.pan, on_chip);
        insert(&bank, card, &mut chip).await;
        assert_eq!(bank.state(card).await.chip.known(), None);
        insert(&bank, card, &mut chip).await;
        assert_eq!(chip.pin, NEW_PIN);
        assert_eq!(bank.state(card).await.chip.known(), Some(2));
    }
}

#[tokio::test]
async fn a_report_of_the_other_systems_script_is_not_taken_for_ours() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), rules(), 1, PIN).await;
    let card = &cards[0];
    let mut chip = BareChip::new(programme().scheme, &card.pan, PIN);
    bank.change_in_portal(card, PIN, NEW_PIN).await;
    // Our script is lost; the other system's reaches the chip.
    let spoken = chip.speak(INSERTED);
    let request = bank.request(card, CardEntry::Contact, Some(spoken.field_55));
    bank.decide(&request).await;
    assert!(bank.state(card).await.script.in_flight.is_some());
    renew(&bank, card, block(card, OTHER_PIN)).await;
    let attempts = bank.desk.store.attempts(card.row).await.unwrap();
    assert_eq!(attempts[0].outcome, "unknown");
    (chip.pin, chip.script_commands) = (OTHER_PIN.to_owned(), 1);

    insert(&bank, card, &mut chip).await;
    assert_eq!(versions(&bank.state(card).await), [1, 2, 3]);
    insert(&bank, card, &mut chip).await;
    insert(&bank, card, &mut chip).await;
    assert_eq!(bank.state(card).await.chip.known(), Some(3));
    assert_eq!(chip.pin, OTHER_PIN);
}

#[tokio::test]
async fn the_same_file_again_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), rules(), 2, PIN).await;
    let (sealed, by_value) = (&cards[0], &cards[1]);
    renew(&bank, by_value, PVV).await;
    let journal = bank.journal().await.len();
    for (card, pin) in [
        (sealed, block(sealed, PIN)),
        (sealed, NewCardPin::None),
        (by_value, PVV),
        (by_value, NewCardPin::None),
    ] {
        let before = bank.state(card).await;
        assert_eq!(renew(&bank, card, pin).await, AS_IT_WAS);
        assert_eq!(bank.state(card).await, before);
    }
    assert_eq!(bank.journal().await.len(), journal);
}

#[tokio::test]
async fn a_verification_value_is_never_sent_and_a_pin_block_in_its_place_is() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), rules(), 1, PIN).await;
    let card = &cards[0];
    renew(&bank, card, PVV).await;
    let state = bank.state(card).await;
    assert!(matches!(state.host.reference, PinReference::Pvv { .. }));
    assert_eq!(state.script.queued(), None);
    assert!(state.chip_lags());
    assert_eq!(renew(&bank, card, block(card, NEW_PIN)).await, RENEWED);
    let state = bank.state(card).await;
    assert_eq!(versions(&state), [1, 2, 3]);
    assert_eq!(state.script.queued(), Some(ScriptKind::ChangePin));
}

#[tokio::test]
async fn the_file_wins_over_a_pin_set_here_and_brings_full_tries_and_a_record() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), rules(), 1, PIN).await;
    let card = &cards[0];
    bank.change_in_portal(card, PIN, NEW_PIN).await;
    assert_eq!(try_pin(&bank, card, WRONG_PIN).await, Decision::IncorrectPin);
    renew(&bank, card, block(card, OTHER_PIN)).await;
    assert_eq!(try_pin(&bank, card, OTHER_PIN).await, Decision::Approved);
    assert_eq!(bank.state(card).await.tries.left(), TRIES_MAX);
    let journal = bank.journal().await;
    let renewed: Vec<_> = journal
        .iter()
        .filter(|record| record.kind == "pin_renewed")
        .map(|record| (record.card, record.actor.as_str(), record.detail.as_str()))
        .collect();
    assert_eq!(renewed, [(Some(card.row), "operator:7", r#"{"pin_version":3}"#)]);
}

#[tokio::test]
async fn a_card_that_changes_at_the_same_moment_keeps_its_pin_and_is_counted() {
    const RACES: u32 = 12;
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), rules(), RACES, PIN).await;
    let mut moved = 0;
    for card in &cards {
        let (first, second) = tokio::join!(
            renew(&bank, card, block(card, NEW_PIN)),
            renew(&bank, card, block(card, OTHER_PIN))
        );
        let versions = 1 + first.renewed + second.renewed;
        assert_eq!(u64::from(bank.state(card).await.host.version), versions);
        assert_eq!(versions + first.moved + second.moved, 3);
        moved += first.moved + second.moved;
    }
    assert!(moved > 0, "no pair met");
}

#[tokio::test]
async fn an_import_alone_leaves_the_pin_as_it_is() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), rules(), 1, PIN).await;
    let card = &cards[0];
    let again = vec![line(card, block(card, NEW_PIN))];
    let report = import_cards(&bank.desk, again, "operator:7", NOW, &mut |_| {})
        .await
        .unwrap();
    assert_eq!((report.inserted, report.unchanged), (0, 1));
    assert_eq!(try_pin(&bank, card, PIN).await, Decision::Approved);
}

#[tokio::test]
async fn a_forged_record_ends_the_renewal() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), rules(), 1, PIN).await;
    let card = &cards[0];
    let mut forged = bank.state(card).await.next();
    forged.tries = cards::Tries::full(9);
    bank.forge(card, &forged).await;
    let renewed = renew_pins(&bank.desk, &[line(card, block(card, NEW_PIN))], "operator:7", NOW).await;
    assert!(matches!(renewed, Err(Fault::CardTampered(row)) if row == card.row));
}
