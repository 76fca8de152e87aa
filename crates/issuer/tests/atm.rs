//! PIN services at an ATM: change and unblock, their refusals, repeats and reversals (`docs/adr/0008`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use cards::{CardState, Programme, Scheme};
use issuer::authorise::{AuthorisationAnswer, CardEntry, Decision, PinCheck, Transaction};
use tempfile::TempDir;

use common::{
    Bank, NOW, Spoil, TRIES_MAX, TestCard,
    bare_chip::{BareChip, INSERTED, Spoken},
    programme,
    terminal::script,
    zone_pin,
};

const FIRST_PIN: &str = "7394";
const NEW_PIN: &str = "2580";

#[tokio::test]
async fn a_pin_change_sets_host_and_chip_in_one_transaction_and_tells_the_cardmember() {
    let mut atm = Atm::open(Scheme::VisaCvn18).await;
    let (answer, spoken) = atm.change(FIRST_PIN, NEW_PIN).await;
    assert_eq!(answer.decision, Decision::Approved);
    assert!(answer.approval_code.is_some());
    atm.chip.take(&spoken, &answer.chip.unwrap());
    assert_eq!(atm.chip.pin, NEW_PIN);
    assert_eq!(atm.verdict(NEW_PIN).await, Decision::Approved);
    assert_eq!(atm.verdict(FIRST_PIN).await, Decision::IncorrectPin);
    assert_eq!(
        atm.state().await.chip.known(),
        Some(2),
        "the chip has reported it"
    );

    let journal = atm.bank.journal().await;
    let changed = journal
        .iter()
        .find(|record| record.kind == "pin_changed")
        .unwrap();
    assert_eq!(changed.detail, r#"{"channel":"atm","pin_version":2}"#);
    let until = NOW.plus_ms(1_000);
    let notices = atm.bank.desk.store.claim_notices(NOW, until, 10).await.unwrap();
    let kinds: Vec<&str> = notices.iter().map(|notice| notice.kind.as_str()).collect();
    assert_eq!(kinds, ["new_pin_set", "chip_has_new_pin"]);
    assert_eq!(notices[0].detail, r#"{"cause":"changed","channel":"atm"}"#);
}

#[tokio::test]
async fn a_wrong_current_pin_is_charged_and_changes_nothing() {
    let mut atm = Atm::open(Scheme::VisaCvn18).await;
    for tries_left in [2, 1, 0] {
        let (answer, spoken) = atm.change("1111", NEW_PIN).await;
        assert_eq!(answer.decision, Decision::IncorrectPin);
        assert_eq!(answer.checked.pin, PinCheck::NoMatch);
        assert!(!atm.chip.take(&spoken, &answer.chip.unwrap()).approved);
        let state = atm.state().await;
        assert_eq!((state.tries.left(), state.host.version), (tries_left, 1));
    }
    let (answer, _) = atm.change(FIRST_PIN, NEW_PIN).await;
    assert_eq!(
        answer.decision,
        Decision::PinTriesExceeded,
        "even with the right PIN"
    );
    assert_eq!(answer.checked.pin, PinCheck::NotCompared);
    assert_eq!(atm.chip.pin, FIRST_PIN);
}

#[tokio::test]
async fn a_new_pin_that_is_unacceptable_is_refused_before_anything_is_compared() {
    let mut atm = Atm::open(Scheme::VisaCvn18).await;
    let rows: [(&str, Spoil); 3] = [
        ("five digits", |request| {
            request.new_pin = Some(zone_pin(&request.pan, "25801"))
        }),
        ("a block under no such format", |request| {
            request.new_pin.as_mut().unwrap().block[0] ^= 0x10;
        }),
        ("a block cut short", |request| {
            request.new_pin.as_mut().unwrap().block.truncate(7)
        }),
    ];
    for current in [FIRST_PIN, "1111"] {
        for (what, spoil) in rows {
            let spoken = atm.chip.speak(INSERTED);
            let mut request = atm.bank.pin_change(&atm.card, current, NEW_PIN, spoken.field_55);
            spoil(&mut request);
            let answer = atm.bank.decide(&request).await;
            assert_eq!(answer.decision, Decision::NewPinUnacceptable, "{what}");
            assert_eq!(answer.checked.pin, PinCheck::NotCompared, "{what}");
            let state = atm.state().await;
            assert_eq!((state.tries.left(), state.host.version), (TRIES_MAX, 1), "{what}");
        }
    }
}

#[tokio::test]
async fn a_pin_service_needs_an_inserted_card_that_proves_itself_and_both_pins() {
    let mut atm = Atm::open_with(Programme {
        pin_without_chip: true,
        ..programme()
    })
    .await;
    let rows: [(Decision, Spoil); 6] = [
        (Decision::ChipRequired, |request| request.chip = None),
        (Decision::ChipRequired, |request| {
            request.entry = CardEntry::MagneticStripe
        }),
        (Decision::ChipRequired, |request| {
            request.entry = CardEntry::Contactless
        }),
        (Decision::PinRequired, |request| request.pin = None),
        (Decision::NewPinMissing, |request| request.new_pin = None),
        (Decision::CryptogramInvalid, |request| {
            let last = request.chip.as_mut().unwrap();
            let place = last.windows(2).position(|tag| tag == [0x9F, 0x26]).unwrap();
            last[place + 3] ^= 1;
        }),
    ];
    for (expected, spoil) in rows {
        let spoken = atm.chip.speak(INSERTED);
        let mut request = atm.bank.pin_change(&atm.card, "1111", NEW_PIN, spoken.field_55);
        spoil(&mut request);
        let answer = atm.bank.decide(&request).await;
        assert_eq!(answer.decision, expected);
        assert_eq!(answer.checked.pin, PinCheck::NotCompared, "{expected:?}");
    }
    let state = atm.state().await;
    assert_eq!((state.tries.left(), state.host.version), (TRIES_MAX, 1));
}

#[tokio::test]
async fn a_repeated_change_gets_its_answer_again_and_its_pins_are_not_looked_at() {
    let mut atm = Atm::open(Scheme::MastercardCvn17).await;
    let spoken = atm.chip.speak(INSERTED);
    let request = atm
        .bank
        .pin_change(&atm.card, FIRST_PIN, NEW_PIN, spoken.field_55.clone());
    let first = atm.bank.decide(&request).await;
    let journal = atm.bank.journal().await.len();
    assert_eq!(atm.bank.decide(&request).await, first);
    assert_eq!(atm.bank.journal().await.len(), journal);

    let replay = atm
        .bank
        .pin_change(&atm.card, NEW_PIN, "9999", spoken.field_55.clone());
    let replayed = atm.bank.decide(&replay).await;
    assert_eq!(replayed.decision, Decision::CryptogramReplayed);
    assert_eq!(replayed.checked.pin, PinCheck::NotCompared);

    let batch = [request.clone(), request.clone(), request];
    let answers = issuer::authorise::authorise(&atm.bank.desk, &batch, NOW)
        .await
        .unwrap();
    assert!(answers.iter().all(|answer| *answer == first));
    assert_eq!(atm.state().await.host.version, 2);
    atm.chip.take(&spoken, &first.chip.unwrap());
    assert_eq!(atm.chip.pin, NEW_PIN);
}

#[tokio::test]
async fn a_reversed_or_lost_change_stays_the_hosts_and_the_chip_follows() {
    for scheme in [Scheme::VisaCvn18, Scheme::MastercardCvn20, Scheme::CcdTdes] {
        for reversed in [false, true] {
            let mut atm = Atm::open(scheme).await;
            let spoken = atm.chip.speak(INSERTED);
            let request = atm
                .bank
                .pin_change(&atm.card, FIRST_PIN, NEW_PIN, spoken.field_55);
            atm.bank.decide(&request).await;
            if reversed {
                atm.bank.take_back(&atm.card, &request).await;
            }
            assert_eq!(atm.state().await.chip.known(), None);
            assert_eq!(atm.chip.pin, FIRST_PIN);

            assert_eq!(atm.verdict(NEW_PIN).await, Decision::Approved);
            assert_eq!(atm.chip.pin, NEW_PIN, "the next insertion brings it along");
            assert_eq!(atm.verdict(NEW_PIN).await, Decision::Approved);
            assert_eq!(atm.state().await.chip.known(), Some(2), "{scheme:?}");
        }
    }
}

#[tokio::test]
async fn a_change_that_was_reversed_before_it_arrived_never_happens() {
    let mut atm = Atm::open(Scheme::VisaCvn18).await;
    let spoken = atm.chip.speak(INSERTED);
    let request = atm
        .bank
        .pin_change(&atm.card, FIRST_PIN, NEW_PIN, spoken.field_55);
    atm.bank.take_back(&atm.card, &request).await;
    let answer = atm.bank.decide(&request).await;
    assert_eq!((answer.decision, answer.chip), (Decision::ReversedBefore, None));
    assert_eq!(atm.state().await.host.version, 1);
    assert_eq!(atm.verdict(FIRST_PIN).await, Decision::Approved);
}

#[tokio::test]
async fn an_unblock_frees_the_chip_when_the_current_pin_is_right() {
    for scheme in Scheme::ALL {
        let mut atm = Atm::open(scheme).await;
        atm.chip.pin_blocked = true;
        let (wrong, spoken) = atm.unblock("1111").await;
        assert_eq!(wrong.decision, Decision::IncorrectPin);
        atm.chip.take(&spoken, &wrong.chip.unwrap());
        assert!(atm.chip.pin_blocked);

        let (answer, spoken) = atm.unblock(FIRST_PIN).await;
        assert_eq!(answer.decision, Decision::Approved);
        atm.chip.take(&spoken, &answer.chip.unwrap());
        assert!(!atm.chip.pin_blocked, "{scheme:?}");
        let state = atm.state().await;
        assert_eq!(state.tries.left(), TRIES_MAX);
        let journal = atm.bank.journal().await;
        assert!(journal.iter().any(|record| record.kind == "pin_unlocked"));
    }
}

#[tokio::test]
async fn an_unblock_never_frees_a_pin_that_is_locked_at_the_host() {
    let mut atm = Atm::open(Scheme::VisaCvn18).await;
    for _ in 0..TRIES_MAX {
        atm.unblock("1111").await;
    }
    let (answer, _) = atm.unblock(FIRST_PIN).await;
    assert_eq!(answer.decision, Decision::PinTriesExceeded);
    assert_eq!(atm.state().await.tries.left(), 0);
}

#[tokio::test]
async fn an_insertion_without_a_pin_carries_the_script_whether_it_is_approved_or_not() {
    let rows = [
        (Transaction::Purchase, Decision::Approved),
        (Transaction::Balance, Decision::PinRequired),
    ];
    for (transaction, expected) in rows {
        let mut atm = Atm::open(Scheme::VisaCvn10).await;
        atm.bank.change_in_portal(&atm.card, FIRST_PIN, NEW_PIN).await;
        let spoken = atm.chip.speak(INSERTED);
        let mut request = atm
            .bank
            .request(&atm.card, CardEntry::Contact, Some(spoken.field_55.clone()));
        request.transaction = transaction;
        let answer = atm.bank.decide(&request).await;
        assert_eq!(answer.decision, expected);
        let data = answer.chip.unwrap();
        assert!(script(&data).is_some(), "{transaction:?}");
        atm.chip.take(&spoken, &data);
        assert_eq!(atm.chip.pin, NEW_PIN);
    }
}

/// An ATM with one card in it.
struct Atm {
    bank: Bank,
    card: TestCard,
    chip: BareChip,
    _directory: TempDir,
}

impl Atm {
    async fn open(scheme: Scheme) -> Self {
        Self::open_with(Programme {
            scheme,
            ..programme()
        })
        .await
    }

    async fn open_with(programme: Programme) -> Self {
        let directory = TempDir::new_in("/dev/shm").unwrap();
        let scheme = programme.scheme;
        let (bank, mut cards) = Bank::found(directory.path(), programme, 1, FIRST_PIN).await;
        let card = cards.remove(0);
        let chip = BareChip::new(scheme, &card.pan, FIRST_PIN);
        Self {
            bank,
            card,
            chip,
            _directory: directory,
        }
    }

    async fn state(&self) -> CardState {
        self.bank.state(&self.card).await
    }

    async fn change(&mut self, current: &str, new: &str) -> (AuthorisationAnswer, Spoken) {
        let spoken = self.chip.speak(INSERTED);
        let request = self
            .bank
            .pin_change(&self.card, current, new, spoken.field_55.clone());
        (self.bank.decide(&request).await, spoken)
    }

    async fn unblock(&mut self, pin: &str) -> (AuthorisationAnswer, Spoken) {
        let spoken = self.chip.speak(INSERTED);
        let mut request = self
            .bank
            .balance_inquiry(&self.card, pin, Some(spoken.field_55.clone()));
        request.transaction = Transaction::PinUnblock;
        (self.bank.decide(&request).await, spoken)
    }

    /// A balance inquiry with this PIN; the chip takes the whole answer.
    async fn verdict(&mut self, pin: &str) -> Decision {
        let spoken = self.chip.speak(INSERTED);
        let inquiry = self
            .bank
            .balance_inquiry(&self.card, pin, Some(spoken.field_55.clone()));
        let answer = self.bank.decide(&inquiry).await;
        self.chip.take(&spoken, &answer.chip.unwrap());
        answer.decision
    }
}
