//! Input that is missing, doubled, malformed or for which a key is missing: a named decision and a line in the journal;
//! never a guess, never a charge (issue 3, "Bad input").
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use cards::{Programme, Psn, Scheme};
use hsm::KeyName;
use issuer::authorise::{AuthorisationRequest, CardEntry, Decision};
use tempfile::TempDir;

use common::{
    Bank, Spoil, TRIES_MAX, TestCard,
    bare_chip::{BareChip, INSERTED},
    programme, zone_pin,
};

const PIN: &str = "7394";

#[tokio::test]
async fn every_bad_input_has_its_decision_and_its_line_and_charges_nothing() {
    let rows: [(&str, Decision, Spoil); 20] = [
        ("no card sequence number", Decision::Approved, |request| {
            request.psn = None
        }),
        (
            "another card sequence number",
            Decision::ChipDataUnusable,
            |request| {
                request.psn = Psn::new(7);
            },
        ),
        ("no expiry", Decision::Approved, |request| request.expiry = None),
        ("another expiry", Decision::ExpiryDiffers, |request| {
            request.expiry = cards::Expiry::parse_yymm("3111");
        }),
        ("a PAN that isn't ours", Decision::UnknownCard, |request| {
            request.pan = cards::Pan::parse("4761739001010010").unwrap();
        }),
        ("no chip data", Decision::ChipRequired, |request| {
            request.chip = None
        }),
        ("no bytes of chip data", Decision::ChipDataUnusable, |request| {
            request.chip = Some(Vec::new())
        }),
        ("a tag that comes twice", Decision::ChipDataUnusable, |request| {
            data(request).extend([0x9F, 0x36, 0x02, 0x00, 0x09]);
        }),
        (
            "an amount that comes twice, the same",
            Decision::ChipDataUnusable,
            |request| {
                data(request).extend([0x9F, 0x02, 0x06, 0, 0, 0, 0, 0, 0]);
            },
        ),
        ("chip data cut short", Decision::ChipDataUnusable, |request| {
            let len = data(request).len();
            data(request).truncate(len - 1);
        }),
        ("an unknown tag besides", Decision::Approved, |request| {
            data(request).extend([0xDF, 0x7F, 0x01, 0x00]);
        }),
        ("the card's own number in 5A", Decision::Approved, |request| {
            let number = request.pan.expose_digits().to_owned();
            let number = data_encoding::HEXUPPER.decode(number.as_bytes()).unwrap();
            data(request).extend([&[0x5A, 0x08], &number[..]].concat());
        }),
        ("another number in 5A", Decision::ChipDataUnusable, |request| {
            data(request).extend(*b"\x5A\x08\x47\x61\x73\x90\x01\x01\x00\x10");
        }),
        ("another number in 57", Decision::ChipDataUnusable, |request| {
            data(request).extend(*b"\x57\x0A\x47\x61\x73\x90\x01\x01\x00\x10\xD3\x91");
        }),
        (
            "another sequence number in 5F34",
            Decision::ChipDataUnusable,
            |request| {
                data(request).extend([0x5F, 0x34, 0x01, 0x07]);
            },
        ),
        (
            "another currency than the chip signed",
            Decision::AmountDiffers,
            |request| request.currency = 840,
        ),
        ("an AAC", Decision::ChipDataUnusable, |request| {
            replace(request, [0x9F, 0x27], 3, 0x00)
        }),
        ("an amount of letters", Decision::ChipDataUnusable, |request| {
            replace(request, [0x9F, 0x02], 3, 0xAB)
        }),
        (
            "a PIN block of the wrong length",
            Decision::PinBlockUnreadable,
            |request| {
                request.pin.as_mut().unwrap().block.pop();
            },
        ),
        ("a zone key that isn't there", Decision::KeyMissing, |request| {
            request.pin.as_mut().unwrap().zone_key = KeyName("zpk-nowhere".into());
        }),
    ];
    let (_directory, bank, card) = issue(Scheme::VisaCvn18, true).await;
    let mut chip = BareChip::new(Scheme::VisaCvn18, &card.pan, PIN);
    for (what, expected, spoil) in rows {
        let field_55 = chip.speak(INSERTED).field_55;
        let mut request = bank.request(&card, CardEntry::Contact, Some(field_55));
        request.pin = Some(zone_pin(&card.pan, PIN));
        spoil(&mut request);
        let before = bank.journal().await.len();
        let answer = bank.decide(&request).await;
        assert_eq!(answer.decision, expected, "{what}");
        let journal = bank.journal().await;
        assert_eq!(journal.len(), before + 1, "{what}");
        let line = &journal[before];
        assert_eq!(line.kind, "authorisation", "{what}");
        let named = format!(r#"{{"decision":"{expected:?}""#);
        assert!(line.detail.starts_with(&named), "{what}: {}", line.detail);
        let tells_why = line.detail.contains(r#","chip_data":""#);
        let unreadable = expected == Decision::ChipDataUnusable && request.psn != Psn::new(7);
        assert_eq!(tells_why, unreadable, "{what}: {}", line.detail);
        assert_eq!(bank.state(&card).await.tries.left(), TRIES_MAX, "{what}");
    }
}

#[tokio::test]
async fn a_card_whose_issuer_keys_are_missing_is_declined_by_that_name() {
    let (_directory, bank, card) = issue(Scheme::CcdAes, false).await;
    let field_55 = BareChip::new(Scheme::CcdAes, &card.pan, PIN)
        .speak(INSERTED)
        .field_55;
    let mut request = bank.request(&card, CardEntry::Contact, Some(field_55));
    request.pin = Some(zone_pin(&card.pan, "1111"));
    for _ in 0..2 {
        assert_eq!(bank.decide(&request).await.decision, Decision::KeyMissing);
    }
    let journal = bank.journal().await;
    let lines = journal
        .iter()
        .filter(|record| record.detail.contains("KeyMissing"));
    assert_eq!(
        lines.count(),
        2,
        "it is judged anew once the key is there: nothing is kept as its answer"
    );
    assert_eq!(bank.state(&card).await.tries.left(), TRIES_MAX);
}

#[tokio::test]
async fn one_bad_request_of_a_batch_spoils_no_other() {
    let (_directory, bank, card) = issue(Scheme::VisaCvn18, true).await;
    let mut chip = BareChip::new(Scheme::VisaCvn18, &card.pan, PIN);
    let mut batch: Vec<AuthorisationRequest> = (0..4)
        .map(|_| bank.balance_inquiry(&card, PIN, Some(chip.speak(INSERTED).field_55)))
        .collect();
    batch[0].pin.as_mut().unwrap().zone_key = KeyName("zpk-nowhere".into());
    batch[2].chip = Some(vec![0x9F]);
    let answers = issuer::authorise::authorise(&bank.desk, &batch, common::NOW)
        .await
        .unwrap();
    let decisions: Vec<Decision> = answers.iter().map(|answer| answer.decision).collect();
    let expected = [
        Decision::KeyMissing,
        Decision::Approved,
        Decision::ChipDataUnusable,
        Decision::Approved,
    ];
    assert_eq!(decisions, expected);
}

fn data(request: &mut AuthorisationRequest) -> &mut Vec<u8> {
    request.chip.as_mut().unwrap()
}

/// Another byte at a place after a tag.
fn replace(request: &mut AuthorisationRequest, tag: [u8; 2], place: usize, byte: u8) {
    let at = data(request).windows(2).position(|window| window == tag).unwrap();
    data(request)[at + place] = byte;
}

async fn issue(scheme: Scheme, aes_keys: bool) -> (TempDir, Bank, TestCard) {
    let directory = TempDir::new_in("/dev/shm").unwrap();
    let programme = Programme {
        scheme,
        ..programme()
    };
    let (bank, mut cards) = Bank::found_with(directory.path(), programme, 1, PIN, aes_keys).await;
    let card = cards.remove(0);
    (directory, bank, card)
}
