//! New plastic: reissue under the same number, replacement under a new one, and scripts sent again (I5, I7, I9).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::path::Path;

use cards::{
    CardRef, CardStatus, ChipBasis, Expiry, Pan, PinReference, Programme, Psn, ReissueRules, ScriptKind,
    ScriptSettings,
};
use hsm::{PinOperation, RevealWhich, SealedEnvelope};
use issuer::{
    ActError, Fault, OpenEnvelope,
    activate_card::{ActivateCard, activate_card},
    authorise::{AuthorisationRequest, CardEntry, Decision, RequestKind},
    card_status::card_status,
    chip_lag::chip_lag,
    create_pin::{self, CreatePin, create_pin},
    open_envelope,
    reissue_card::{NewPlastic, ReissueError, ReissueRefusal, reissue_card},
    resend_script::resend_script,
    view_pin::{self, ViewPin, view_pin},
};
use paycrypto::pin::Pin;
use sim::{
    card::chip::{Chip, Interface},
    device::{Envelope, Offer, Role},
};
use tempfile::TempDir;
use tokio::sync::Barrier;

use common::{
    Bank, NOW, SESSION, TRIES_MAX, TestCard,
    odd_hsm::Oddity,
    programme, psn,
    terminal::{CLAIMS_NOTHING, authenticate, new_chip, present, script, send_script},
};

const PIN: &str = "7394";
const NEW_PIN: &str = "2580";
const WRONG_PIN: &str = "1111";
/// A number that no card of the bank has.
const FREE_PAN: &str = "9999010000000011";

/// PINs are compared without a chip.
fn with_rules(reissue: ReissueRules) -> Programme {
    Programme {
        pin_without_chip: true,
        reissue,
        ..programme()
    }
}

/// The PIN goes along to a new number too.
fn keeps_always() -> Programme {
    with_rules(ReissueRules {
        replacement_keeps_pin: true,
        ..ReissueRules::default()
    })
}

fn new_expiry() -> Expiry {
    Expiry::parse_yymm("3111").unwrap()
}

/// The same number, valid longer.
fn longer(card: &TestCard) -> NewPlastic {
    NewPlastic {
        card: card.row,
        pan: None,
        psn: psn(),
        expiry: new_expiry(),
        personalised_version: None,
        actor: "operator:7".into(),
    }
}

fn replacement(card: &TestCard, pan: &Pan) -> NewPlastic {
    NewPlastic {
        pan: Some(pan.clone()),
        ..longer(card)
    }
}

fn free_pan() -> Pan {
    Pan::parse(FREE_PAN).unwrap()
}

/// The new plastic of a test card, as its cardmember holds it.
fn plastic(card: &TestCard, row: CardRef, pan: Pan) -> TestCard {
    TestCard {
        pan,
        row,
        actor: card.actor.clone(),
    }
}

/// What this PIN gets at a cash machine that reads the stripe of the new plastic.
async fn try_pin(bank: &Bank, card: &TestCard, pin: &str) -> Decision {
    let request = AuthorisationRequest {
        expiry: Some(new_expiry()),
        ..bank.balance_inquiry(card, pin, None)
    };
    bank.decide(&request).await.decision
}

/// The new plastic inserted in a shop for nothing; the chip takes what the answer brings. Gives the script's commands.
async fn insert(bank: &Bank, card: &TestCard, chip: &mut Chip) -> usize {
    let presented = present(chip, Interface::Contact, &[], CLAIMS_NOTHING);
    let request = AuthorisationRequest {
        expiry: Some(new_expiry()),
        ..bank.request(card, CardEntry::Contact, Some(presented.field_55.clone()))
    };
    let answer = bank.decide(&request).await;
    assert_eq!(answer.decision, Decision::Approved);
    let data = answer.chip.expect("a proved chip gets an answer");
    authenticate(chip, &presented, true, &data);
    let commands = script(&data).map_or_else(Vec::new, |script| script.commands);
    for command in &commands {
        send_script(chip, command);
    }
    chip.power_off();
    commands.len()
}

fn has(chip: &Chip, pin: &str) -> bool {
    chip.state().pin == Pin::parse(pin)
}

/// A chip that begins its life, apart from others of this number.
fn fresh_chip(directory: &Path, name: &str, pan: &Pan, pin: &str) -> Chip {
    let apart = directory.join(name);
    std::fs::create_dir(&apart).unwrap();
    new_chip(&apart, pan, pin)
}

async fn refusal(bank: &Bank, plastic: NewPlastic) -> ReissueRefusal {
    match reissue_card(&bank.desk, plastic, NOW).await {
        Err(ReissueError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Opens an envelope on the cardmember's device.
async fn envelope(
    bank: &Bank,
    card: &TestCard,
    operation: PinOperation,
    name: &'static str,
) -> (Envelope, [u8; 16]) {
    bank.step_up(card, name, NOW).await;
    let open = OpenEnvelope {
        card: card.row,
        actor: card.actor.clone(),
        operation,
    };
    let offer = open_envelope(&bank.desk, open, NOW).await.unwrap();
    let envelope = Envelope::open(&Offer {
        nonce: offer.nonce,
        operation: name,
        account: &offer.account,
        expires_ms: offer.expires.0,
        hsm_public: &offer.hsm_public,
        signature: &offer.signature,
    });
    (envelope.unwrap(), offer.nonce)
}

fn sealed(envelope: &Envelope, nonce: [u8; 16], new: Option<&str>) -> SealedEnvelope {
    SealedEnvelope {
        nonce,
        session: SESSION,
        device_public: envelope.device_public().to_vec(),
        current_pin: None,
        new_pin: new.map(|pin| envelope.seal(Role::New, &Pin::parse(pin).unwrap())),
        now: NOW,
    }
}

async fn shows(bank: &Bank, card: &TestCard) -> Pin {
    let (envelope, nonce) = envelope(bank, card, PinOperation::ViewPin, view_pin::OPERATION).await;
    let view = ViewPin {
        card: card.row,
        actor: card.actor.clone(),
        which: RevealWhich::Current,
        envelope: sealed(&envelope, nonce, None),
    };
    let revealed = view_pin(&bank.desk, view, NOW).await.unwrap();
    envelope.open_revealed(revealed.0).unwrap()
}

async fn create(bank: &Bank, card: &TestCard, pin: &str) {
    let (envelope, nonce) = envelope(bank, card, PinOperation::CreatePin, create_pin::OPERATION).await;
    let create = CreatePin {
        card: card.row,
        actor: card.actor.clone(),
        envelope: sealed(&envelope, nonce, Some(pin)),
    };
    create_pin(&bank.desk, create, NOW).await.unwrap();
}

async fn activate(bank: &Bank, card: &TestCard) {
    let activate = ActivateCard {
        card: card.row,
        actor: card.actor.clone(),
        expiry: new_expiry(),
    };
    activate_card(&bank.desk, activate, NOW).await.unwrap();
}

#[tokio::test]
async fn a_reissue_keeps_the_pin_and_speaks_to_a_chip_that_begins_anew() {
    let directory = TempDir::new().unwrap();
    let rules = with_rules(ReissueRules::default());
    let (bank, cards) = Bank::found(directory.path(), rules, 1, PIN).await;
    let card = &cards[0];
    let mut old_chip = new_chip(directory.path(), &card.pan, PIN);
    bank.change_in_portal(card, PIN, NEW_PIN).await;
    let presented = present(&mut old_chip, Interface::Contact, &[], CLAIMS_NOTHING);
    let request = bank.request(card, CardEntry::Contact, Some(presented.field_55));
    bank.decide(&request).await;
    let before = bank.state(card).await;
    assert!(before.script.in_flight.is_some());

    let row = reissue_card(&bank.desk, longer(card), NOW).await.unwrap();

    assert_eq!(row, card.row);
    let record = bank.desk.store.card(row).await.unwrap().unwrap();
    assert_eq!(record.expiry, new_expiry());
    let state = bank.state(card).await;
    assert_eq!(state.version, before.version + 1);
    assert_eq!(state.host, before.host);
    assert_eq!(state.chip.known(), Some(2), "personalised with the PIN of now");
    assert_eq!(
        (state.script.change, state.script.unblock, state.script.in_flight),
        (None, None, None)
    );
    assert_eq!(
        state.script.attempts_ever, 1,
        "numbers of attempts are never used twice"
    );
    assert_eq!((state.atc_last, state.contact_last), (None, None));
    assert_eq!(try_pin(&bank, card, NEW_PIN).await, Decision::Approved);

    let mut new_chip = fresh_chip(directory.path(), "new", &card.pan, NEW_PIN);
    assert_eq!(insert(&bank, card, &mut new_chip).await, 0);
    assert_eq!(bank.state(card).await.atc_last, Some(1));
    bank.change_in_portal(card, NEW_PIN, PIN).await;
    assert_eq!(insert(&bank, card, &mut new_chip).await, 1);
    assert!(has(&new_chip, PIN));
    insert(&bank, card, &mut new_chip).await;
    let state = bank.state(card).await;
    assert_eq!(
        (state.chip.known(), state.chip_basis()),
        (Some(3), ChipBasis::Proven)
    );

    let newer = NewPlastic {
        expiry: Expiry::parse_yymm("3612").unwrap(),
        ..longer(card)
    };
    reissue_card(&bank.desk, newer, NOW).await.unwrap();
    let state = bank.state(card).await;
    assert_eq!(
        (state.chip.known(), state.chip_basis()),
        (Some(3), ChipBasis::Personalised),
        "another chip's word says nothing of this one"
    );
}

#[tokio::test]
async fn the_old_plastics_sequence_number_is_refused_after_a_reissue() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), with_rules(ReissueRules::default()), 1, PIN).await;
    let card = &cards[0];
    let mut old_chip = new_chip(directory.path(), &card.pan, PIN);
    let plastic = NewPlastic {
        psn: Psn::new(2).unwrap(),
        expiry: common::expiry(),
        ..longer(card)
    };
    reissue_card(&bank.desk, plastic, NOW).await.unwrap();
    let presented = present(&mut old_chip, Interface::Contact, &[], CLAIMS_NOTHING);
    let named = bank.request(card, CardEntry::Contact, Some(presented.field_55));
    let unnamed = AuthorisationRequest {
        psn: None,
        ..bank.request(card, CardEntry::Contact, named.chip.clone())
    };
    assert_eq!(bank.decide(&named).await.decision, Decision::ChipDataUnusable);
    assert_ne!(bank.decide(&unnamed).await.decision, Decision::Approved);
    assert_eq!(bank.state(card).await.atc_last, None);
}

#[tokio::test]
async fn a_pin_set_after_the_personalisation_reaches_the_new_chip_by_script() {
    let directory = TempDir::new().unwrap();
    let rules = with_rules(ReissueRules::default());
    let (bank, cards) = Bank::found(directory.path(), rules, 1, PIN).await;
    let card = &cards[0];
    bank.change_in_portal(card, PIN, NEW_PIN).await;
    let plastic = NewPlastic {
        personalised_version: Some(1),
        ..longer(card)
    };
    reissue_card(&bank.desk, plastic, NOW).await.unwrap();
    let state = bank.state(card).await;
    assert_eq!(state.chip.known(), Some(1));
    assert_eq!(state.script.queued(), Some(ScriptKind::ChangePin));
    let mut chip = fresh_chip(directory.path(), "new", &card.pan, PIN);
    assert_eq!(insert(&bank, card, &mut chip).await, 1);
    assert!(has(&chip, NEW_PIN));
    assert_eq!(insert(&bank, card, &mut chip).await, 0);
    assert_eq!(bank.state(card).await.chip.known(), Some(2));
}

#[tokio::test]
async fn a_programme_that_keeps_no_pin_leaves_none_at_a_reissue() {
    let directory = TempDir::new().unwrap();
    let rules = with_rules(ReissueRules {
        reissue_keeps_pin: false,
        ..ReissueRules::default()
    });
    let (bank, cards) = Bank::found(directory.path(), rules, 1, PIN).await;
    let card = &cards[0];
    let claimed = NewPlastic {
        personalised_version: Some(1),
        ..longer(card)
    };
    assert_eq!(refusal(&bank, claimed).await, ReissueRefusal::NoPinKept);
    assert_eq!(
        try_pin_on_old(&bank, card, WRONG_PIN).await,
        Decision::IncorrectPin
    );

    reissue_card(&bank.desk, longer(card), NOW).await.unwrap();

    let state = bank.state(card).await;
    assert_eq!(state.host.reference, PinReference::None);
    assert_eq!(state.chip.known(), Some(0));
    assert!(state.chip.possible().iter().all(|kept| kept.sealed.is_none()));
    assert_eq!(try_pin(&bank, card, PIN).await, Decision::PinNotSet);
    assert_eq!(state.tries.left(), TRIES_MAX - 1);

    create(&bank, card, NEW_PIN).await;
    let state = bank.state(card).await;
    assert_eq!(state.host.version, 2, "no version comes twice");
    assert_eq!(state.script.queued(), Some(ScriptKind::ChangePin));
    assert_eq!(try_pin(&bank, card, NEW_PIN).await, Decision::Approved);
}

/// What this PIN gets with the plastic that the card was imported with.
async fn try_pin_on_old(bank: &Bank, card: &TestCard, pin: &str) -> Decision {
    bank.decide(&bank.balance_inquiry(card, pin, None)).await.decision
}

#[tokio::test]
async fn a_new_plastic_refills_no_tries() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), keeps_always(), 2, PIN).await;
    for card in &cards {
        for _ in 1..TRIES_MAX {
            assert_eq!(
                try_pin_on_old(&bank, card, WRONG_PIN).await,
                Decision::IncorrectPin
            );
        }
    }
    let (reissued, replaced) = (&cards[0], &cards[1]);
    reissue_card(&bank.desk, longer(reissued), NOW).await.unwrap();
    let row = reissue_card(&bank.desk, replacement(replaced, &free_pan()), NOW)
        .await
        .unwrap();
    let replaced = plastic(replaced, row, free_pan());
    activate(&bank, &replaced).await;
    for card in [reissued, &replaced] {
        assert_eq!(bank.state(card).await.tries.left(), 1);
        assert_eq!(try_pin(&bank, card, WRONG_PIN).await, Decision::IncorrectPin);
        assert_eq!(try_pin(&bank, card, PIN).await, Decision::PinTriesExceeded);
    }
}

#[tokio::test]
async fn a_kept_pin_works_under_the_new_number_and_the_old_card_is_blocked() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), keeps_always(), 1, PIN).await;
    let old = &cards[0];
    bank.change_in_portal(old, PIN, NEW_PIN).await;

    let row = reissue_card(&bank.desk, replacement(old, &free_pan()), NOW)
        .await
        .unwrap();

    let card = plastic(old, row, free_pan());
    assert_ne!(row, old.row);
    assert_eq!(bank.state(old).await.status, CardStatus::Blocked);
    assert_eq!(try_pin_on_old(&bank, old, NEW_PIN).await, Decision::CardBlocked);
    assert_eq!(bank.state(&card).await.status, CardStatus::Inactive);
    assert_eq!(try_pin(&bank, &card, NEW_PIN).await, Decision::CardInactive);
    activate(&bank, &card).await;
    assert_eq!(try_pin(&bank, &card, NEW_PIN).await, Decision::Approved);
    assert_eq!(try_pin(&bank, &card, PIN).await, Decision::IncorrectPin);
    assert!(shows(&bank, &card).await == Pin::parse(NEW_PIN).unwrap());

    let mut chip = fresh_chip(directory.path(), "new", &card.pan, NEW_PIN);
    bank.change_in_portal(&card, NEW_PIN, PIN).await;
    assert_eq!(insert(&bank, &card, &mut chip).await, 1);
    assert!(has(&chip, PIN));
}

#[tokio::test]
async fn a_replacement_takes_no_pin_along_unless_the_programme_says_so() {
    let directory = TempDir::new().unwrap();
    let rules = with_rules(ReissueRules::default());
    let (bank, cards) = Bank::found(directory.path(), rules, 1, PIN).await;
    let row = reissue_card(&bank.desk, replacement(&cards[0], &free_pan()), NOW)
        .await
        .unwrap();
    let card = plastic(&cards[0], row, free_pan());
    activate(&bank, &card).await;
    let state = bank.state(&card).await;
    assert_eq!(
        (state.host.version, &state.host.reference),
        (0, &PinReference::None)
    );
    assert_eq!(state.chip.known(), Some(0));
    assert_eq!(try_pin(&bank, &card, PIN).await, Decision::PinNotSet);
    create(&bank, &card, NEW_PIN).await;
    assert_eq!(try_pin(&bank, &card, NEW_PIN).await, Decision::Approved);
}

/// A card whose script is in flight.
async fn with_script_in_flight(bank: &Bank, card: &TestCard, directory: &Path) -> Chip {
    let mut chip = new_chip(directory, &card.pan, PIN);
    bank.change_in_portal(card, PIN, NEW_PIN).await;
    let presented = present(&mut chip, Interface::Contact, &[], CLAIMS_NOTHING);
    let request = bank.request(card, CardEntry::Contact, Some(presented.field_55));
    bank.decide(&request).await;
    assert!(bank.state(card).await.script.in_flight.is_some());
    chip
}

#[tokio::test]
async fn an_attempt_that_was_in_flight_to_the_old_plastic_ends_with_it() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), keeps_always(), 2, PIN).await;
    for (card, plastic) in [
        (&cards[0], longer(&cards[0])),
        (&cards[1], replacement(&cards[1], &free_pan())),
    ] {
        with_script_in_flight(&bank, card, directory.path()).await;
        reissue_card(&bank.desk, plastic, NOW).await.unwrap();
        let report = card_status(&bank.desk, card.row, NOW).await.unwrap();
        let attempt = &report.script.attempts[0];
        assert_eq!(
            (attempt.outcome.as_str(), attempt.resolved_at_ms),
            ("plastic_gone", Some(NOW.0))
        );
        assert!(report.script.in_flight.is_none());
    }
}

#[tokio::test]
async fn an_advice_of_the_old_plastic_changes_no_resolution_after_a_replacement() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), keeps_always(), 1, PIN).await;
    let card = &cards[0];
    let mut chip = with_script_in_flight(&bank, card, directory.path()).await;
    let plastic = replacement(card, &free_pan());
    reissue_card(&bank.desk, plastic, NOW).await.unwrap();
    chip.power_off();
    let presented = present(&mut chip, Interface::Contact, &[], CLAIMS_NOTHING);
    let advice = AuthorisationRequest {
        kind: RequestKind::Advice,
        ..bank.request(card, CardEntry::Contact, Some(presented.field_55))
    };
    bank.decide(&advice).await;
    let attempts = bank.desk.store.attempts(card.row).await.unwrap();
    assert_eq!(attempts[0].outcome, "plastic_gone");
}

/// Two replacements that have both read their cards before either is written: one wins.
async fn race(bank: &mut Bank, plastics: [NewPlastic; 2]) -> ReissueRefusal {
    bank.with_odd_hsm(Oddity::SealsTogether(Barrier::new(2)));
    let [one, other] = plastics;
    let (one, other) = tokio::join!(
        reissue_card(&bank.desk, one, NOW),
        reissue_card(&bank.desk, other, NOW)
    );
    match (one, other) {
        (Ok(_), Err(ReissueError::Refused(refusal))) | (Err(ReissueError::Refused(refusal)), Ok(_)) => {
            refusal
        }
        both => panic!("{both:?}"),
    }
}

#[tokio::test]
async fn of_two_replacements_with_one_number_one_wins_and_the_other_card_is_as_it_was() {
    let directory = TempDir::new().unwrap();
    let (mut bank, cards) = Bank::found(directory.path(), keeps_always(), 2, PIN).await;
    let plastics = [&cards[0], &cards[1]].map(|card| replacement(card, &free_pan()));
    assert_eq!(race(&mut bank, plastics).await, ReissueRefusal::NumberInUse);
    let mut statuses = Vec::new();
    for card in &cards {
        statuses.push(bank.state(card).await.status);
    }
    statuses.sort_by_key(|status| *status == CardStatus::Active);
    assert_eq!(statuses, [CardStatus::Blocked, CardStatus::Active]);
}

#[tokio::test]
async fn of_two_replacements_of_one_card_one_wins_whether_with_one_number_or_two() {
    for other_pan in [FREE_PAN, "9999010000000029"] {
        let directory = TempDir::new().unwrap();
        let (mut bank, cards) = Bank::found(directory.path(), keeps_always(), 1, PIN).await;
        let other = replacement(&cards[0], &Pan::parse(other_pan).unwrap());
        let plastics = [replacement(&cards[0], &free_pan()), other];
        assert_eq!(race(&mut bank, plastics).await, ReissueRefusal::TryAgain);
        let cards = bank.desk.store.cards_from(None, 10).await.unwrap();
        assert_eq!(cards.len(), 2, "the card, and the one in its place");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_leaves_the_card_as_it_was() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), keeps_always(), 2, PIN).await;
    let card = &cards[0];
    let same = NewPlastic {
        expiry: common::expiry(),
        ..longer(card)
    };
    let version = |version| NewPlastic {
        personalised_version: Some(version),
        ..longer(card)
    };
    let over = NewPlastic {
        expiry: Expiry::parse_yymm("2612").unwrap(),
        ..longer(card)
    };
    let unknown = NewPlastic {
        card: CardRef(0x0123_4567_89AB_CDEF),
        ..longer(card)
    };
    let short = Pan::parse("999902000000018").unwrap();
    let newest = 1;
    let rows = [
        (unknown, ReissueRefusal::NoSuchCard),
        (same, ReissueRefusal::SamePlastic),
        (over, ReissueRefusal::Expired),
        (version(2), ReissueRefusal::NoSuchVersion { version: 2, newest }),
        (version(0), ReissueRefusal::NoSuchVersion { version: 0, newest }),
        (replacement(card, &card.pan), ReissueRefusal::SameNumber),
        (replacement(card, &cards[1].pan), ReissueRefusal::NumberInUse),
        (
            replacement(card, &short),
            ReissueRefusal::NumberLength { wanted: 16 },
        ),
    ];
    let (before, journal) = (bank.state(card).await, bank.journal().await.len());
    for (plastic, expected) in rows {
        assert_eq!(refusal(&bank, plastic).await, expected);
    }
    assert_eq!(bank.state(card).await, before);
    assert_eq!(bank.journal().await.len(), journal);
}

#[tokio::test]
async fn a_blocked_card_gets_no_plastic_but_a_new_number() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), keeps_always(), 1, PIN).await;
    let card = &cards[0];
    let row = reissue_card(&bank.desk, replacement(card, &free_pan()), NOW)
        .await
        .unwrap();
    assert_eq!(refusal(&bank, longer(card)).await, ReissueRefusal::CardBlocked);
    let second = Pan::parse("9999010000000029").unwrap();
    let again = reissue_card(&bank.desk, replacement(card, &second), NOW)
        .await
        .unwrap();
    assert_ne!(again, row);
}

/// Pairs of acts that race; some may come one after the other all the same.
const RACES: u32 = 12;

#[tokio::test]
async fn of_acts_at_the_same_moment_one_is_told_to_try_again_and_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), keeps_always(), RACES, PIN).await;
    let mut told = 0;
    for (race, card) in cards.iter().enumerate() {
        let number = numbered(race);
        let (reissued, replaced) = tokio::join!(
            reissue_card(&bank.desk, longer(card), NOW),
            reissue_card(&bank.desk, replacement(card, &number), NOW)
        );
        let key = bank.desk.hsm.card_keys(vec![number]).await.unwrap()[0];
        let is_there = bank.desk.store.card(key.row).await.unwrap().is_some();
        assert_eq!(is_there, replaced.is_ok(), "a loser leaves no new card");
        let state = bank.state(card).await;
        assert_eq!(state.status == CardStatus::Blocked, replaced.is_ok());
        let written = u64::from(reissued.is_ok()) + u64::from(replaced.is_ok());
        assert_eq!(state.version, 1 + written);
        for outcome in [reissued, replaced] {
            match outcome {
                Err(ReissueError::Refused(ReissueRefusal::TryAgain)) => told += 1,
                Ok(_) | Err(ReissueError::Refused(ReissueRefusal::CardBlocked)) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(told > 0, "no pair met");
}

/// A number that no card of the bank has.
fn numbered(number: usize) -> Pan {
    let with = |digit: u8| Pan::parse(&format!("999901{number:09}{digit}")).ok();
    (0..10)
        .find_map(with)
        .expect("one of ten digits is the check digit")
}

#[tokio::test]
async fn each_new_plastic_is_on_record_without_a_number() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), keeps_always(), 1, PIN).await;
    let card = &cards[0];
    reissue_card(&bank.desk, longer(card), NOW).await.unwrap();
    let row = reissue_card(&bank.desk, replacement(card, &free_pan()), NOW)
        .await
        .unwrap();
    let journal = bank.journal().await;
    let told: Vec<_> = journal
        .iter()
        .filter(|record| record.actor == "operator:7")
        .map(|record| (record.kind.as_str(), record.card))
        .collect();
    assert_eq!(
        told,
        [
            ("card_reissued", Some(card.row)),
            ("card_blocked", Some(card.row)),
            ("card_replaced", Some(row)),
        ]
    );
    let text = format!("{journal:?}");
    for pan in [&card.pan, &free_pan()] {
        assert!(!text.contains(pan.expose_digits()));
    }
    assert!(
        text.contains(r#"\"expiry\":\"3111\",\"psn\":1,\"pin_kept\":true"#),
        "{text}"
    );
}

#[tokio::test]
async fn a_stopped_wish_is_sent_again_when_an_operator_says_so() {
    let directory = TempDir::new().unwrap();
    let rules = Programme {
        script: ScriptSettings {
            attempts_max: Some(1),
            ..ScriptSettings::default()
        },
        ..with_rules(ReissueRules::default())
    };
    let (bank, cards) = Bank::found(directory.path(), rules, 1, PIN).await;
    let card = &cards[0];
    let resend = async || {
        resend_script(&bank.desk, card.row, "operator:7".into(), NOW)
            .await
            .unwrap()
    };
    bank.change_in_portal(card, PIN, NEW_PIN).await;
    assert!(!resend().await, "it has all its attempts yet");
    // The first answer is lost, the second insertion proves that: the only attempt is used up.
    let mut chip = new_chip(directory.path(), &card.pan, PIN);
    for _ in 0..2 {
        let presented = present(&mut chip, Interface::Contact, &[], CLAIMS_NOTHING);
        let request = bank.request(card, CardEntry::Contact, Some(presented.field_55));
        bank.decide(&request).await;
        chip.power_off();
    }
    let page = chip_lag(&bank.desk, None, NOW).await.unwrap();
    assert_eq!(page.lagging.len(), 1);
    assert!(page.lagging[0].needs_attention);

    assert!(resend().await);
    let page = chip_lag(&bank.desk, None, NOW).await.unwrap();
    assert!(!page.lagging[0].needs_attention);
    assert_eq!(page.lagging[0].queued, Some("change_pin"));
    let kinds: Vec<_> = bank
        .journal()
        .await
        .into_iter()
        .map(|record| record.kind)
        .collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "script_resend").count(), 1);
    let presented = present(&mut chip, Interface::Contact, &[], CLAIMS_NOTHING);
    let request = bank.request(card, CardEntry::Contact, Some(presented.field_55));
    let answer = bank.decide(&request).await;
    assert!(script(&answer.chip.unwrap()).is_some());
}

#[tokio::test]
async fn a_forged_record_gets_no_plastic_and_no_script() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), keeps_always(), 1, PIN).await;
    let card = &cards[0];
    bank.change_in_portal(card, PIN, NEW_PIN).await;
    bank.forge(card, &bank.state(card).await.next()).await;
    for plastic in [longer(card), replacement(card, &free_pan())] {
        let refused = reissue_card(&bank.desk, plastic, NOW).await;
        assert!(
            matches!(refused, Err(ReissueError::Fault(Fault::CardTampered(row))) if row == card.row),
            "{refused:?}"
        );
    }
    let resent = resend_script(&bank.desk, card.row, "operator:7".into(), NOW).await;
    assert!(matches!(resent, Err(ActError::Fault(Fault::CardTampered(_)))));
}

#[tokio::test]
async fn a_script_of_no_card_is_not_sent_again() {
    let directory = TempDir::new().unwrap();
    let (bank, _) = Bank::found(directory.path(), programme(), 1, PIN).await;
    let resent = resend_script(&bank.desk, CardRef(7), "operator:7".into(), NOW).await;
    assert!(matches!(
        resent,
        Err(ActError::Refused(issuer::Refusal::NotYourCard))
    ));
}

/// Cards that fill two pages of the report and begin a third.
const MANY: u32 = 2_001;

#[tokio::test]
async fn the_report_of_lagging_chips_goes_through_all_pages_and_ends_at_a_forged_record() {
    let directory = TempDir::new_in("/dev/shm").unwrap();
    let (bank, mut cards) = Bank::found(directory.path(), programme(), MANY, PIN).await;
    cards.sort_by_key(|card| card.row);
    let lagging = [&cards[0], &cards[1_500], cards.last().unwrap()];
    for card in lagging {
        bank.change_in_portal(card, PIN, NEW_PIN).await;
    }
    let (found, looked_at) = report(&bank).await.unwrap();
    assert_eq!(looked_at, usize::try_from(MANY).unwrap());
    let mut wanted = lagging.map(|card| card.row.to_string()).to_vec();
    wanted.sort();
    assert_eq!(found, wanted);

    bank.forge(lagging[2], &bank.state(lagging[2]).await.next()).await;
    match report(&bank).await {
        Err(Fault::CardTampered(row)) => assert_eq!(row, lagging[2].row),
        other => panic!("{other:?}"),
    }
}

/// The cards that the report names, in their references' order, and how many it looked at.
async fn report(bank: &Bank) -> Result<(Vec<String>, usize), Fault> {
    let (mut named, mut looked_at, mut after) = (Vec::new(), 0, None);
    loop {
        let page = chip_lag(&bank.desk, after, NOW).await?;
        looked_at += page.looked_at;
        for card in page.lagging {
            assert_eq!((card.host_version, card.chip_versions), (2, vec![1]));
            assert_eq!(card.waits_since_ms, Some(NOW.0));
            assert_eq!(card.contact_last_ms, None);
            named.push(card.card);
        }
        if page.next.is_none() {
            named.sort();
            return Ok((named, looked_at));
        }
        after = page.next;
    }
}
