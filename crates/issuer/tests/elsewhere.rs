//! Beside an issuer's own host: the PIN desk judges PIN, cryptogram and fraud, the other host the money.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use cards::Programme;
use issuer::authorise::{AuthorisationRequest, Authority, CardEntry, Decision, PinCheck, Transaction};
use tempfile::TempDir;

use common::{
    Bank, Spoil, TestCard,
    bare_chip::{BareChip, INSERTED, Manner},
    programme,
    terminal::script,
    zone_pin,
};

const FIRST_PIN: &str = "7394";

#[tokio::test]
async fn the_chip_gets_an_answer_for_either_decision_of_the_other_host_and_the_script_with_both() {
    for scheme in cards::Scheme::ALL {
        for approves in [true, false] {
            let (_directory, bank, card) = issue(scheme).await;
            let mut chip = BareChip::new(scheme, &card.pan, FIRST_PIN);
            bank.change_in_portal(&card, FIRST_PIN, "2580").await;
            let spoken = chip.speak(INSERTED);
            let request = elsewhere(bank.request(&card, CardEntry::Contact, Some(spoken.field_55.clone())));
            let answer = bank.decide(&request).await;
            assert_eq!(
                (answer.decision, answer.approval_code),
                (Decision::Approved, None)
            );
            assert_eq!(bank.decide(&request).await, answer, "a repeat gets both again");

            let (approved, declined) = (answer.chip.unwrap(), answer.chip_if_declined.unwrap());
            assert_eq!(script(&approved), script(&declined));
            let taken = chip.take(&spoken, if approves { &approved } else { &declined });
            assert_eq!((taken.approved, taken.commands), (approves, 1), "{scheme:?}");
            assert_eq!(chip.pin, "2580");
        }
    }
}

#[tokio::test]
async fn amounts_limits_and_currencies_are_the_other_hosts_business() {
    let (_directory, bank, card) = issue(cards::Scheme::VisaCvn18).await;
    let mut chip = BareChip::new(cards::Scheme::VisaCvn18, &card.pan, FIRST_PIN);
    let rows: [(Decision, Spoil); 3] = [
        (Decision::PinRequired, |request| request.amount_minor = 90_000),
        (Decision::AmountTooHigh, |request| {
            request.amount_minor = 900_000;
            request.pin = Some(zone_pin(&request.pan, FIRST_PIN));
        }),
        (Decision::CurrencyNotServed, |request| request.currency = 840),
    ];
    for (here, spoil) in rows {
        for (authority, expected) in [
            (Authority::Here, here),
            (Authority::Elsewhere, Decision::Approved),
        ] {
            let mut request = bank.request(&card, CardEntry::Contact, None);
            spoil(&mut request);
            let amount = format!("{:012}", request.amount_minor);
            let amount = data_encoding::HEXUPPER.decode(amount.as_bytes()).unwrap();
            let currency = format!("{:04}", request.currency);
            let currency = data_encoding::HEXUPPER.decode(currency.as_bytes()).unwrap();
            let manner = Manner {
                amount: amount.try_into().unwrap(),
                currency: currency.try_into().unwrap(),
                ..INSERTED
            };
            request.chip = Some(chip.speak(manner).field_55);
            request.authority = authority;
            let answer = bank.decide(&request).await;
            assert_eq!(answer.decision, expected);
            assert_eq!(
                answer.chip_if_declined.is_some(),
                authority == Authority::Elsewhere
            );
        }
    }
}

#[tokio::test]
async fn what_the_pin_desk_declines_it_declines_for_good_and_says_what_it_found() {
    let (_directory, bank, card) = issue(cards::Scheme::VisaCvn18).await;
    let mut chip = BareChip::new(cards::Scheme::VisaCvn18, &card.pan, FIRST_PIN);
    let spoken = chip.speak(INSERTED);
    let wrong = elsewhere(bank.balance_inquiry(&card, "1111", Some(spoken.field_55.clone())));
    let answer = bank.decide(&wrong).await;
    assert_eq!(
        (answer.decision, answer.checked.pin),
        (Decision::IncorrectPin, PinCheck::NoMatch)
    );
    assert_eq!(answer.chip_if_declined, None);
    assert!(!chip.take(&spoken, &answer.chip.unwrap()).approved);
    assert_eq!(bank.state(&card).await.tries.left(), 2);

    let spoken = chip.speak(Manner {
        offline_pin: true,
        ..INSERTED
    });
    let right = elsewhere(bank.balance_inquiry(&card, FIRST_PIN, Some(spoken.field_55)));
    let checked = bank.decide(&right).await.checked;
    assert_eq!(
        (checked.pin, checked.cryptogram_valid),
        (PinCheck::Match, Some(true))
    );
    assert!(checked.offline_pin_verified);

    let missing = elsewhere(AuthorisationRequest {
        transaction: Transaction::Cash,
        ..bank.request(&card, CardEntry::Contact, Some(chip.speak(INSERTED).field_55))
    });
    assert_eq!(bank.decide(&missing).await.decision, Decision::PinRequired);
}

#[tokio::test]
async fn a_pin_service_is_decided_by_the_pin_desk_alone() {
    let (_directory, bank, card) = issue(cards::Scheme::VisaCvn18).await;
    let mut chip = BareChip::new(cards::Scheme::VisaCvn18, &card.pan, FIRST_PIN);
    let spoken = chip.speak(INSERTED);
    let request = elsewhere(bank.pin_change(&card, FIRST_PIN, "2580", spoken.field_55.clone()));
    let answer = bank.decide(&request).await;
    assert_eq!(answer.decision, Decision::Approved);
    assert!(answer.approval_code.is_some());
    assert_eq!(answer.chip_if_declined, None);
    chip.take(&spoken, &answer.chip.unwrap());
    assert_eq!(chip.pin, "2580");
}

#[tokio::test]
async fn a_desk_that_is_only_compared_judges_and_charges_and_sends_nothing() {
    let scheme = cards::Scheme::MastercardCvn16;
    let (_directory, bank, card) = issue(scheme).await;
    let mut chip = BareChip::new(scheme, &card.pan, FIRST_PIN);
    bank.change_in_portal(&card, FIRST_PIN, "2580").await;
    let compared = |request| AuthorisationRequest {
        authority: Authority::Compared,
        ..request
    };
    for (pin, expected) in [("2580", Decision::Approved), (FIRST_PIN, Decision::IncorrectPin)] {
        let request = compared(bank.balance_inquiry(&card, pin, Some(chip.speak(INSERTED).field_55)));
        let answer = bank.decide(&request).await;
        assert_eq!((answer.decision, answer.chip), (expected, None));
    }
    let request = compared(bank.pin_change(&card, "2580", "9999", chip.speak(INSERTED).field_55));
    let answer = bank.decide(&request).await;
    assert_eq!((answer.decision, answer.chip), (Decision::Approved, None));
    let state = bank.state(&card).await;
    assert_eq!(
        (state.host.version, state.tries.left()),
        (2, 3),
        "the last match refilled them"
    );
    assert_eq!(state.script.in_flight, None);
    assert_eq!(state.chip.known(), Some(1));
}

fn elsewhere(request: AuthorisationRequest) -> AuthorisationRequest {
    AuthorisationRequest {
        authority: Authority::Elsewhere,
        ..request
    }
}

async fn issue(scheme: cards::Scheme) -> (TempDir, Bank, TestCard) {
    let directory = TempDir::new_in("/dev/shm").unwrap();
    let programme = Programme {
        scheme,
        ..programme()
    };
    let (bank, mut cards) = Bank::found(directory.path(), programme, 1, FIRST_PIN).await;
    let card = cards.remove(0);
    (directory, bank, card)
}
