//! Every chip profile: cryptogram, issuer authentication, PIN change and unblock, through the act and the software HSM.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use cards::{CardState, ChipBasis, Programme, Scheme};
use issuer::{
    authorise::{CardEntry, Decision, Transaction},
    chip_profile::ChipProfile,
    unlock_pin::{self, UnlockPin, unlock_pin},
};
use tempfile::TempDir;

use common::{
    Bank, NOW, TRIES_MAX, TestCard,
    bare_chip::{BareChip, INSERTED, Taken},
    programme, zone_pin,
};

const FIRST_PIN: &str = "7394";

#[tokio::test]
async fn a_card_of_every_profile_authenticates_its_issuer_and_takes_a_changed_pin() {
    for scheme in Scheme::ALL {
        let (_directory, bank, card, mut chip) = issue(scheme).await;
        assert_eq!(shop(&bank, &card, &mut chip).await, taken(true, 0), "{scheme:?}");
        let state = bank.state(&card).await;
        assert!(state.atc_last.is_some());
        assert_eq!(
            state.chip_basis(),
            ChipBasis::Personalised,
            "{scheme:?}: it said nothing of its PIN"
        );

        bank.change_in_portal(&card, FIRST_PIN, "2580").await;
        assert_eq!(shop(&bank, &card, &mut chip).await, taken(true, 1), "{scheme:?}");
        assert_eq!(chip.pin, "2580", "{scheme:?}");
        let state = bank.state(&card).await;
        assert_eq!(state.chip.known(), None, "{scheme:?}: nothing is proven yet");
        assert_eq!(state.chip_basis(), ChipBasis::Possible, "{scheme:?}");

        shop(&bank, &card, &mut chip).await;
        let state = bank.state(&card).await;
        assert_eq!(state.chip.known(), Some(2), "{scheme:?}");
        assert_eq!(state.chip_basis(), ChipBasis::Proven, "{scheme:?}");
    }
}

#[tokio::test]
async fn a_declined_chip_of_every_profile_learns_so_from_its_issuer() {
    for scheme in Scheme::ALL {
        let (_directory, bank, card, mut chip) = issue(scheme).await;
        let spoken = chip.speak(INSERTED);
        let mut request = bank.request(&card, CardEntry::Contact, Some(spoken.field_55.clone()));
        request.transaction = Transaction::Cash;
        request.pin = Some(zone_pin(&card.pan, "0000"));
        let answer = bank.decide(&request).await;
        assert_eq!(answer.decision, Decision::IncorrectPin, "{scheme:?}");
        assert_eq!(
            chip.take(&spoken, &answer.chip.unwrap()),
            taken(false, 0),
            "{scheme:?}"
        );
    }
}

#[tokio::test]
async fn an_unlock_reaches_the_chip_of_every_profile_by_the_answer_itself_or_by_a_script() {
    for scheme in Scheme::ALL {
        let (_directory, bank, card, mut chip) = issue(scheme).await;
        chip.pin_blocked = true;
        shop(&bank, &card, &mut chip).await;
        bank.step_up(&card, unlock_pin::OPERATION, NOW).await;
        let unlock = UnlockPin {
            card: card.row,
            actor: card.actor.clone(),
        };
        unlock_pin(&bank.desk, unlock, NOW).await.unwrap();

        let done = shop(&bank, &card, &mut chip).await;
        let by_csu = Taken {
            tries_set: Some(TRIES_MAX),
            ..taken(true, 0)
        };
        let expected = match scheme {
            Scheme::VisaCvn18 | Scheme::VisaCvn22 | Scheme::CcdTdes | Scheme::CcdAes => by_csu,
            Scheme::VisaCvn10
            | Scheme::MastercardCvn16
            | Scheme::MastercardCvn17
            | Scheme::MastercardCvn20
            | Scheme::MastercardCvn21
            | Scheme::InteracCvn133
            | Scheme::Emv2000
            | Scheme::AmexUnverified => taken(true, 1),
        };
        assert_eq!(done, expected, "{scheme:?}");
        shop(&bank, &card, &mut chip).await;
        let CardState { chip, script, .. } = bank.state(&card).await;
        assert!(!chip.pin_blocked, "{scheme:?}");
        assert_eq!(script.unblock, None, "{scheme:?}");
    }
}

#[tokio::test]
async fn a_cryptogram_of_another_version_or_layout_is_unusable_and_one_of_another_card_invalid() {
    let (directory, bank, card, _) = issue(Scheme::VisaCvn18).await;
    for scheme in Scheme::ALL
        .into_iter()
        .filter(|scheme| *scheme != Scheme::VisaCvn18)
    {
        let spoken = BareChip::new(scheme, &card.pan, FIRST_PIN).speak(INSERTED);
        let request = bank.request(&card, CardEntry::Contact, Some(spoken.field_55));
        let answer = bank.decide(&request).await;
        assert_eq!(answer.decision, Decision::ChipDataUnusable, "{scheme:?}");
        assert_eq!(answer.chip, None, "{scheme:?}");
    }
    let stranger = cards::Pan::parse("4761739001010010").unwrap();
    let spoken = BareChip::new(Scheme::VisaCvn18, &stranger, FIRST_PIN).speak(INSERTED);
    let request = bank.request(&card, CardEntry::Contact, Some(spoken.field_55));
    let answer = bank.decide(&request).await;
    assert_eq!(answer.decision, Decision::CryptogramInvalid);
    assert_eq!(
        (answer.checked.cryptogram_valid, answer.chip),
        (Some(false), None)
    );
    drop(directory);
}

#[test]
fn what_no_public_source_shows_is_called_unverified() {
    let unverified = [
        Scheme::CcdTdes,
        Scheme::CcdAes,
        Scheme::InteracCvn133,
        Scheme::Emv2000,
        Scheme::AmexUnverified,
    ];
    for scheme in Scheme::ALL {
        assert_eq!(
            ChipProfile::of(scheme).verified,
            !unverified.contains(&scheme),
            "{scheme:?}"
        );
    }
}

async fn issue(scheme: Scheme) -> (TempDir, Bank, TestCard, BareChip) {
    let directory = TempDir::new_in("/dev/shm").unwrap();
    let programme = Programme {
        scheme,
        ..programme()
    };
    let (bank, mut cards) = Bank::found(directory.path(), programme, 1, FIRST_PIN).await;
    let card = cards.remove(0);
    let chip = BareChip::new(scheme, &card.pan, FIRST_PIN);
    (directory, bank, card, chip)
}

/// An insertion that asks for nothing: approved, and the chip takes the whole answer.
async fn shop(bank: &Bank, card: &TestCard, chip: &mut BareChip) -> Taken {
    let spoken = chip.speak(INSERTED);
    let request = bank.request(card, CardEntry::Contact, Some(spoken.field_55.clone()));
    let answer = bank.decide(&request).await;
    assert_eq!(answer.decision, Decision::Approved);
    assert_eq!(answer.atc, Some(spoken.atc));
    chip.take(&spoken, &answer.chip.unwrap())
}

fn taken(approved: bool, commands: usize) -> Taken {
    Taken {
        approved,
        tries_set: None,
        commands,
    }
}
