//! Whoever writes into the database without the HSM gains nothing: an edited card row is refused, whichever part of it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::sync::Arc;

use cards::{Programme, ProgrammeId};
use hsm::{RevealWhich, SealedEnvelope};
use issuer::{
    ActError, Fault, Refusal,
    authorise::{CardEntry, Decision},
    view_pin::{self, ViewPin, view_pin},
};
use rusqlite::Connection;
use tempfile::TempDir;

use common::{Bank, NOW, SESSION, TRIES_MAX, programme, zone_pin};

const PIN: &str = "7394";

/// Every column that says something about the card, and an edit that an intruder might like.
const EDITS: [(&str, &str); 10] = [
    ("cardmember", "cardmember + 1"),
    ("role", "iif(role = 'basic', 'supplementary', 'basic')"),
    ("expiry", "'4912'"),
    ("programme", "'second'"),
    ("last_four", "'9999'"),
    ("psn", "psn + 1"),
    ("pan_check", "zeroblob(24)"),
    ("sealed_pan", "zeroblob(16)"),
    ("state", "CAST(state || x'00' AS BLOB)"),
    ("mac", "zeroblob(16)"),
];

#[tokio::test]
async fn an_edit_of_any_column_of_a_card_is_noticed_before_its_pin_is_compared() {
    let directory = TempDir::new().unwrap();
    let first = Programme {
        pin_without_chip: true,
        ..programme()
    };
    let (mut bank, cards) = Bank::found(directory.path(), first.clone(), 1, PIN).await;
    let card = &cards[0];
    let second = Programme {
        id: ProgrammeId("second".into()),
        ..first.clone()
    };
    let both = [first, second].map(|programme| (programme.id.clone(), programme));
    bank.desk.programmes = Arc::new(both.into());
    let database = Connection::open(common::store_path(directory.path())).unwrap();
    database.pragma_update(None, "foreign_keys", false).unwrap();
    let row = card.row.0.cast_signed();
    // The first decision may still rest on the row as it was, in memory; its commit notices the foreign write.
    let decide = || async {
        let mut decision = None;
        for _ in 0..2 {
            let mut request = bank.request(card, CardEntry::MagneticStripe, None);
            request.pin = Some(zone_pin(&card.pan, PIN));
            request.expiry = None;
            request.psn = None;
            decision = Some(bank.decide(&request).await.decision);
        }
        decision.unwrap()
    };
    assert_eq!(decide().await, Decision::Approved);
    for (column, edit) in EDITS {
        let kept: rusqlite::types::Value = database
            .query_row(
                &format!("SELECT {column} FROM card WHERE id = ?1"),
                [row],
                |row| row.get(0),
            )
            .unwrap();
        let edited = database
            .execute(&format!("UPDATE card SET {column} = {edit} WHERE id = ?1"), [row])
            .unwrap();
        assert_eq!(edited, 1, "{column}");
        let decision = decide().await;
        let refused = match column {
            // The card's number belongs to another row then.
            "pan_check" => Decision::UnknownCard,
            _ => Decision::SystemMalfunction,
        };
        assert_eq!(decision, refused, "{column}");
        database
            .execute(
                &format!("UPDATE card SET {column} = ?2 WHERE id = ?1"),
                (row, kept),
            )
            .unwrap();
        assert_eq!(decide().await, Decision::Approved, "{column} as it was");
    }
    assert_eq!(bank.state(card).await.tries.left(), TRIES_MAX);
}

#[tokio::test]
async fn a_step_up_that_was_put_there_shows_no_pin() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), programme(), 2, PIN).await;
    let database = Connection::open(common::store_path(directory.path())).unwrap();
    let view = async || {
        let nobodys_envelope = SealedEnvelope {
            nonce: [0; 16],
            session: SESSION,
            device_public: Vec::new(),
            current_pin: None,
            new_pin: None,
            now: NOW,
        };
        let view = ViewPin {
            card: cards[0].row,
            actor: cards[0].actor.clone(),
            which: RevealWhich::Current,
            envelope: nobodys_envelope,
        };
        view_pin(&bank.desk, view, NOW).await.unwrap_err()
    };
    let edits = [
        "INSERT INTO step_up (session, card, operation, granted_at, mac, spent)
            SELECT token_hash, ?1, ?2, opened_at, zeroblob(16), 0 FROM session",
        "UPDATE step_up SET card = ?1, operation = ?2",
    ];
    for edit in edits {
        database.execute("DELETE FROM step_up", []).unwrap();
        bank.step_up(&cards[1], view_pin::OPERATION, NOW).await;
        assert!(matches!(view().await, ActError::Refused(Refusal::StepUpNeeded)));
        let card = cards[0].row.0.cast_signed();
        let edited = database.execute(edit, (card, view_pin::OPERATION)).unwrap();
        assert_eq!(edited, 1, "{edit}");
        assert!(matches!(
            view().await,
            ActError::Fault(Fault::RecordEdited { .. })
        ));
    }
    bank.step_up(&cards[0], view_pin::OPERATION, NOW).await;
    assert!(matches!(
        view().await,
        ActError::Refused(Refusal::EnvelopeInvalid)
    ));
}
