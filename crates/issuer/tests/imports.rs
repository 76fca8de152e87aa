//! What an import refuses, and that it tells all of it at once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::collections::HashSet;

use cards::{CardRole, CardStatus, Expiry, Pan, ProgrammeId};
use hsm::{KeyName, ZonePin, ZonePinFormat};
use issuer::import::{NewCard, NewCardPin, import_cards, judge_cards};
use tempfile::TempDir;

use common::{Bank, NOW, TestCard, programme};

const PIN: &str = "4829";
/// Numbers that no card of the bank has.
const PANS: [&str; 5] = [
    "9999010000000011",
    "9999010000000029",
    "9999010000000037",
    "9999010000000045",
    "9999010000000052",
];

fn line(pan: &Pan, pin: NewCardPin) -> NewCard {
    NewCard {
        cardmember: "m-1".into(),
        pan: pan.clone(),
        psn: common::psn(),
        expiry: Expiry::parse_yymm("3011").unwrap(),
        programme: programme().id,
        role: CardRole::Basic,
        status: CardStatus::Active,
        pin,
    }
}

fn new(at: usize, pin: NewCardPin) -> NewCard {
    line(&Pan::parse(PANS[at]).unwrap(), pin)
}

/// The bank's own card as it came.
fn again(card: &TestCard) -> NewCard {
    NewCard {
        expiry: common::expiry(),
        ..line(&card.pan, NewCardPin::None)
    }
}

fn block(pan: &str, pin: &str) -> NewCardPin {
    let made = common::new_card(&programme(), &Pan::parse(pan).unwrap(), pin);
    assert!(matches!(made.pin, NewCardPin::Block(_)));
    made.pin
}

/// What an import of these lines refuses, which is also what judging them does.
async fn refused(bank: &Bank, lines: Vec<NewCard>) -> Vec<(usize, &'static str, String)> {
    let judged = judge_cards(&bank.desk, &lines, &HashSet::new(), &mut |_| {})
        .await
        .unwrap();
    let report = import_cards(&bank.desk, lines, "operator:7", NOW, &mut |_| {})
        .await
        .unwrap();
    assert_eq!(report.refused, judged);
    assert!(judged.is_empty() || (report.inserted, report.unchanged) == (0, 0));
    judged
}

fn places(refused: &[(usize, &'static str, String)]) -> Vec<(usize, &'static str)> {
    refused.iter().map(|(at, column, _)| (*at, *column)).collect()
}

#[tokio::test]
async fn pins_that_could_never_be_compared_are_refused_with_what_to_do() {
    let directory = TempDir::new().unwrap();
    let (bank, _) = Bank::found(directory.path(), programme(), 1, PIN).await;
    let pvv = |pvki| NewCardPin::Pvv {
        pvki,
        pvv: [1, 2, 3, 4],
    };
    let offset = |len| NewCardPin::Ibm3624 { offset: vec![1; len] };
    let aes = NewCardPin::Block(ZonePin {
        zone_key: KeyName("zpk".into()),
        format: ZonePinFormat::Iso4,
        ksn: None,
        block: vec![0; 16],
    });
    let rows = [
        (
            pvv(2),
            "pinward keys import pvk-2 --purpose pin-verification-visa",
        ),
        (offset(4), "pinward keys ibm3624-rule"),
        (offset(5), "this programme's PINs, which have 4 digits"),
        (block(PANS[0], "482915"), "hasn't this programme's 4 digits"),
        (block(PANS[0], "482915730264"), "hasn't this programme's 4 digits"),
        (block(PANS[1], PIN), "for another card number"),
        (aes, "no AES zone key zpk"),
    ];
    for (pin, words) in rows {
        let refused = refused(&bank, vec![new(4, NewCardPin::None), new(0, pin)]).await;
        assert_eq!(places(&refused), [(1, "pin")], "{words}");
        assert!(refused[0].2.contains(words), "{refused:?}");
    }
    let fits = vec![new(0, block(PANS[0], PIN))];
    assert_eq!(refused(&bank, fits).await, []);
}

#[tokio::test]
async fn a_status_that_differs_is_refused_and_an_activation_since_is_not() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), programme(), 2, PIN).await;
    let as_status = |status| NewCard {
        status,
        ..again(&cards[0])
    };
    assert_eq!(refused(&bank, vec![as_status(CardStatus::Active)]).await, []);
    // As the file had it before the cardmember activated the card.
    assert_eq!(refused(&bank, vec![as_status(CardStatus::Inactive)]).await, []);
    let blocked = refused(&bank, vec![again(&cards[1]), as_status(CardStatus::Blocked)]).await;
    assert_eq!(places(&blocked), [(1, "status")]);
    assert!(blocked[0].2.contains("pinward card replace"), "{blocked:?}");

    let inactive = NewCard {
        status: CardStatus::Inactive,
        ..new(0, NewCardPin::None)
    };
    assert_eq!(refused(&bank, vec![inactive.clone()]).await, []);
    let active = NewCard {
        status: CardStatus::Active,
        ..inactive
    };
    let refused = refused(&bank, vec![active]).await;
    assert!(refused[0].2.contains("activates it in the portal"), "{refused:?}");
}

#[tokio::test]
async fn all_that_is_wrong_with_all_lines_is_told_at_once() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), programme(), 1, PIN).await;
    let lines = vec![
        NewCard {
            programme: ProgrammeId("nobodys".into()),
            cardmember: "m-9".into(),
            ..new(0, NewCardPin::None)
        },
        NewCard {
            expiry: Expiry::parse_yymm("3112").unwrap(),
            role: CardRole::Supplementary,
            ..again(&cards[0])
        },
        new(1, block(PANS[1], PIN)),
        new(2, block(PANS[1], PIN)),
        // The card of the third line once more, otherwise.
        NewCard {
            status: CardStatus::Inactive,
            ..new(1, NewCardPin::None)
        },
        NewCard {
            role: CardRole::Supplementary,
            ..new(1, block(PANS[1], PIN))
        },
    ];
    assert_eq!(
        places(&refused(&bank, lines).await),
        [
            (0, "programme"),
            (0, "cardmember"),
            (1, "expiry"),
            (1, "role"),
            (3, "pin"),
            (4, "status"),
            (4, "pin"),
            (5, "role"),
        ]
    );
}

#[tokio::test]
async fn cardmembers_that_come_in_the_same_run_are_no_error_of_their_cards() {
    let directory = TempDir::new().unwrap();
    let (bank, _) = Bank::found(directory.path(), programme(), 1, PIN).await;
    let lines = ["m-2", "m-3"].map(|cardmember| NewCard {
        cardmember: cardmember.into(),
        ..new(0, NewCardPin::None)
    });
    let coming = HashSet::from(["m-2".to_owned()]);
    let judged = judge_cards(&bank.desk, &lines, &coming, &mut |_| {})
        .await
        .unwrap();
    assert_eq!(places(&judged), [(1, "cardmember")]);
}
