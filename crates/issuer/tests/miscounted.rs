//! An HSM that answers fewer or more items than it was asked: a fault, and nothing is half done (I5, I10).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use cards::{CardRole, CardStatus, Expiry, Pan, Programme};
use issuer::{
    ActError, Fault,
    authorise::{CardEntry, authorise},
    card_status::card_status,
    chip_results::{ChipResults, take_chip_results},
    import::{NewCard, NewCardPin, import_cards},
    reissue_card::{NewPlastic, ReissueError, reissue_card},
    renew_pins::renew_pins,
    resend_script::resend_script,
};
use store::{AuditRecord, CardRecord};
use tempfile::TempDir;

use common::{
    Bank, NOW, TestCard, expiry,
    odd_hsm::{Call, Oddity},
    programme, psn, zone_pin,
};

const PIN: &str = "7394";
const NEW_PIN: &str = "2580";
const CARDS: u32 = 3;

/// Three cards, and what there is of them.
async fn bank() -> (TempDir, Bank, Vec<TestCard>) {
    let directory = TempDir::new_in("/dev/shm").unwrap();
    let programme = Programme {
        pin_without_chip: true,
        ..programme()
    };
    let (bank, cards) = Bank::found(directory.path(), programme, CARDS, PIN).await;
    (directory, bank, cards)
}

async fn everything(bank: &Bank) -> (Vec<CardRecord>, Vec<AuditRecord>) {
    let cards = bank.desk.store.cards_from(None, 1_000).await.unwrap();
    (cards, bank.journal().await)
}

/// Runs an act with the HSM short and long by one in these calls; each time it must fault and leave all as it was.
async fn check(calls: &[Call], act: impl AsyncFn(&Bank, &[TestCard]) -> Option<Fault>) {
    let (_directory, mut bank, cards) = bank().await;
    let sound = bank.desk.hsm.clone();
    let before = everything(&bank).await;
    for &call in calls {
        for oddity in [Oddity::Short(call), Oddity::Long(call)] {
            bank.desk.hsm = sound.clone();
            bank.with_odd_hsm(oddity);
            let fault = act(&bank, &cards).await;
            assert!(matches!(fault, Some(Fault::Hsm(_))), "{call:?}: {fault:?}");
            assert_eq!(everything(&bank).await, before, "{call:?}");
        }
    }
}

fn line(pan: &Pan, pin: &str) -> NewCard {
    NewCard {
        cardmember: "m-1".into(),
        pan: pan.clone(),
        psn: psn(),
        expiry: expiry(),
        programme: programme().id,
        role: CardRole::Basic,
        status: CardStatus::Active,
        pin: NewCardPin::Block(zone_pin(pan, pin)),
    }
}

fn new_pan() -> Pan {
    Pan::parse("9999010000000011").unwrap()
}

#[tokio::test]
async fn authorisations() {
    let calls = [Call::CardKeys, Call::Check, Call::SealStates];
    check(&calls, async |bank, cards| {
        let wrong = |card| bank.balance_inquiry(card, "1111", None);
        let requests: Vec<_> = cards.iter().map(wrong).collect();
        authorise(&bank.desk, &requests, NOW).await.err()
    })
    .await;
}

#[tokio::test]
async fn imports() {
    let calls = [
        Call::CardKeys,
        Call::SealPans,
        Call::ImportPins,
        Call::CanCompare,
        Call::SealStates,
    ];
    check(&calls, async |bank, _| {
        let without_pin = NewCard {
            pin: NewCardPin::None,
            ..line(&Pan::parse("9999010000000029").unwrap(), PIN)
        };
        let lines = vec![line(&new_pan(), PIN), without_pin];
        let imported = import_cards(&bank.desk, lines, "operator:7", NOW, &mut |_| {}).await;
        imported.err()
    })
    .await;
}

#[tokio::test]
async fn renewals() {
    let calls = [Call::CardKeys, Call::Check, Call::ImportPins, Call::SealStates];
    check(&calls, async |bank, cards| {
        let lines: Vec<NewCard> = cards.iter().map(|card| line(&card.pan, NEW_PIN)).collect();
        renew_pins(&bank.desk, &lines, "operator:7", NOW).await.err()
    })
    .await;
}

#[tokio::test]
async fn replacements() {
    let calls = [Call::CardKeys, Call::SealPans, Call::Check, Call::SealStates];
    check(&calls, async |bank, cards| {
        let plastic = NewPlastic {
            card: cards[0].row,
            pan: Some(new_pan()),
            psn: psn(),
            expiry: Expiry::parse_yymm("3111").unwrap(),
            personalised_version: None,
            actor: "operator:7".into(),
        };
        match reissue_card(&bank.desk, plastic, NOW).await {
            Err(ReissueError::Fault(fault)) => Some(fault),
            _ => None,
        }
    })
    .await;
}

#[tokio::test]
async fn results_of_a_chip() {
    check(&[Call::CardKeys, Call::Check], async |bank, cards| {
        let results = ChipResults {
            message: bank.request(&cards[0], CardEntry::Contact, None).message,
            pan: cards[0].pan.clone(),
            end: None,
            script_results: None,
            chip: None,
            link: "host-1".into(),
        };
        take_chip_results(&bank.desk, &results, NOW).await.err()
    })
    .await;
}

#[tokio::test]
async fn acts_on_one_card() {
    check(&[Call::Check], async |bank, cards| {
        let operator = "operator:7".to_owned();
        fault(resend_script(&bank.desk, cards[0].row, operator, NOW).await)
    })
    .await;
    check(&[Call::Check], async |bank, cards| {
        fault(card_status(&bank.desk, cards[0].row, NOW).await)
    })
    .await;
}

fn fault<T>(ended: Result<T, ActError>) -> Option<Fault> {
    match ended {
        Err(ActError::Fault(fault)) => Some(fault),
        _ => None,
    }
}
