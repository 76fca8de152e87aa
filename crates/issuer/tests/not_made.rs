//! What the HSM doesn't make for a chip costs no decision; what it doesn't verify costs every one (I1, I7, I10;
//! `docs/adr/0012-scripts-not-made.md`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use cards::{NotMade, Programme, Scheme};
use hsm::HsmRefusal;
use issuer::{
    Fault,
    authorise::{
        AuthorisationAnswer, AuthorisationRequest, Authority, Decision, PinCheck, Transaction, authorise,
    },
    card_status::card_status,
    resend_script::resend_script,
};
use tempfile::TempDir;

use common::{
    Bank, NOW, TRIES_MAX, TestCard,
    bare_chip::{BareChip, INSERTED, Spoken},
    odd_hsm::{Call, Oddity},
    programme,
    terminal::script,
};

const PIN: &str = "7394";
const NEW_PIN: &str = "2580";
const WRONG_PIN: &str = "1111";
/// Says in the journal why: of a script, of issuer authentication data.
const SCRIPT_NOT_MADE: &str = "script_not_made";
const NOT_AUTHENTICATED: &str = "issuer_authentication_not_made";

#[tokio::test]
async fn a_script_that_the_hsm_refuses_leaves_the_decision_and_goes_out_later() {
    for (refusal, why) in [
        (HsmRefusal::NoSuchKey, NotMade::KeyMissing),
        (HsmRefusal::Unsupported, NotMade::Unsupported),
        (HsmRefusal::KeyUsage, NotMade::Refused),
    ] {
        let mut story = Story::open(programme()).await;
        story.bank.change_in_portal(&story.card, PIN, NEW_PIN).await;
        let sound = story.bank.desk.hsm.clone();
        story.bank.with_odd_hsm(Oddity::NoScripts(refusal));
        for (pin, expected) in [(NEW_PIN, Decision::Approved), (WRONG_PIN, Decision::IncorrectPin)] {
            let (answer, spoken) = story.inquire(pin).await;
            assert_eq!(answer.decision, expected, "{refusal:?}");
            let taken = story.chip.take(&spoken, &answer.chip.unwrap());
            assert_eq!(
                (taken.approved, taken.commands),
                (expected == Decision::Approved, 0)
            );
        }
        let state = story.bank.state(&story.card).await;
        assert_eq!(state.tries.left(), TRIES_MAX - 1, "the wrong PIN is charged");
        assert_eq!((state.chip.known(), state.script.in_flight), (Some(1), None));
        assert_eq!(state.not_made, Some(why));
        assert_eq!(story.reasons(SCRIPT_NOT_MADE).await, [why.name(); 2]);
        assert_eq!(story.attempts().await, 0, "nothing went out");

        story.bank.desk.hsm = sound;
        let (answer, spoken) = story.inquire(NEW_PIN).await;
        story.chip.take(&spoken, &answer.chip.unwrap());
        assert_eq!(story.chip.pin, NEW_PIN);
        story.inquire(NEW_PIN).await;
        assert_eq!(story.bank.state(&story.card).await.chip.known(), Some(2));
    }
}

#[tokio::test]
async fn a_script_that_is_never_made_needs_attention_with_its_reason_until_it_is_sent_again() {
    let mut story = Story::open(programme()).await;
    story.bank.change_in_portal(&story.card, PIN, NEW_PIN).await;
    let sound = story.bank.desk.hsm.clone();
    story.bank.with_odd_hsm(Oddity::NoScripts(HsmRefusal::NoSuchKey));
    let attempts_max = usize::from(programme().script_rules().attempts_max);
    for _ in 0..=attempts_max {
        let (answer, _) = story.inquire(NEW_PIN).await;
        assert_eq!(answer.decision, Decision::Approved);
    }
    assert_eq!(story.reasons(SCRIPT_NOT_MADE).await.len(), attempts_max);
    let report = card_status(&story.bank.desk, story.card.row, NOW).await.unwrap();
    assert_eq!(
        (report.script.needs_attention, report.script.attention),
        (true, Some("hsm_key_missing"))
    );

    story.bank.desk.hsm = sound;
    let (answer, _) = story.inquire(NEW_PIN).await;
    assert_eq!(script(&answer.chip.unwrap()), None, "it waits for the operator");
    resend_script(&story.bank.desk, story.card.row, "operator:7".into(), NOW)
        .await
        .unwrap();
    let (answer, _) = story.inquire(NEW_PIN).await;
    assert!(script(&answer.chip.unwrap()).is_some());
}

#[tokio::test]
async fn without_issuer_authentication_data_the_decision_goes_out_without_field_55() {
    let oddities: [(fn() -> Oddity, NotMade); 3] = [
        (|| Oddity::NoChipAnswers(HsmRefusal::Busy), NotMade::Refused),
        (|| Oddity::ChipAnswersFail, NotMade::NoAnswer),
        (|| Oddity::Short(Call::AnswerChip), NotMade::NoAnswer),
    ];
    for (oddity, why) in oddities {
        for scheme in [Scheme::VisaCvn10, Scheme::VisaCvn18] {
            let mut story = Story::open(Programme {
                scheme,
                ..programme()
            })
            .await;
            story.bank.change_in_portal(&story.card, PIN, NEW_PIN).await;
            story.bank.with_odd_hsm(oddity());
            let (answer, _) = story.inquire(NEW_PIN).await;
            assert_eq!((answer.decision, answer.chip), (Decision::Approved, None));
            assert!(answer.approval_code.is_some());
            let state = story.bank.state(&story.card).await;
            assert_eq!((state.chip.known(), state.script.in_flight), (Some(1), None));
            assert_eq!(story.reasons(SCRIPT_NOT_MADE).await, [why.name()]);
            assert_eq!(story.reasons(NOT_AUTHENTICATED).await, [why.name()]);
        }
    }
}

#[tokio::test]
async fn an_answer_with_fewer_commands_than_ordered_is_not_sent() {
    let mut story = Story::open(programme()).await;
    story.bank.change_in_portal(&story.card, PIN, NEW_PIN).await;
    story.bank.with_odd_hsm(Oddity::ScriptsCutShort);
    let (answer, _) = story.inquire(NEW_PIN).await;
    assert_eq!((answer.decision, answer.chip), (Decision::Approved, None));
    assert_eq!(story.attempts().await, 0);
}

#[tokio::test]
async fn a_pin_change_at_an_atm_stays_the_hosts_when_its_script_is_not_made() {
    let mut story = Story::open(programme()).await;
    let sound = story.bank.desk.hsm.clone();
    story.bank.with_odd_hsm(Oddity::NoScripts(HsmRefusal::NoSuchKey));
    let spoken = story.chip.speak(INSERTED);
    let request = story
        .bank
        .pin_change(&story.card, PIN, NEW_PIN, spoken.field_55.clone());
    let answer = story.bank.decide(&request).await;
    assert_eq!(answer.decision, Decision::Approved);
    assert_eq!(story.chip.take(&spoken, &answer.chip.unwrap()).commands, 0);
    let state = story.bank.state(&story.card).await;
    assert_eq!((state.host.version, state.chip.known()), (2, Some(1)));

    story.bank.desk.hsm = sound;
    let (answer, spoken) = story.inquire(NEW_PIN).await;
    assert_eq!(answer.decision, Decision::Approved);
    story.chip.take(&spoken, &answer.chip.unwrap());
    assert_eq!(story.chip.pin, NEW_PIN, "the next insertion brings it");
}

#[tokio::test]
async fn a_card_status_update_that_is_not_made_is_due_again() {
    let mut story = Story::open(programme()).await;
    story.chip.pin_blocked = true;
    let sound = story.bank.desk.hsm.clone();
    story.bank.with_odd_hsm(Oddity::NoChipAnswers(HsmRefusal::Busy));
    let spoken = story.chip.speak(INSERTED);
    let unblock = AuthorisationRequest {
        transaction: Transaction::PinUnblock,
        ..story
            .bank
            .balance_inquiry(&story.card, PIN, Some(spoken.field_55))
    };
    let answer = story.bank.decide(&unblock).await;
    assert_eq!((answer.decision, answer.chip), (Decision::Approved, None));
    assert_eq!(story.bank.state(&story.card).await.script.csu_in_flight, None);

    story.bank.desk.hsm = sound;
    let (answer, spoken) = story.inquire(PIN).await;
    let taken = story.chip.take(&spoken, &answer.chip.unwrap());
    assert_eq!(taken.tries_set, Some(TRIES_MAX));
}

#[tokio::test]
async fn either_decision_of_another_host_goes_without_the_script() {
    let mut story = Story::open(programme()).await;
    story.bank.change_in_portal(&story.card, PIN, NEW_PIN).await;
    story
        .bank
        .with_odd_hsm(Oddity::NoScripts(HsmRefusal::Unsupported));
    let spoken = story.chip.speak(INSERTED);
    let request = AuthorisationRequest {
        authority: Authority::Elsewhere,
        ..story
            .bank
            .balance_inquiry(&story.card, NEW_PIN, Some(spoken.field_55.clone()))
    };
    let answer = story.bank.decide(&request).await;
    let declined = answer.chip_if_declined.unwrap();
    assert_eq!((script(&answer.chip.unwrap()), script(&declined)), (None, None));
    assert!(!story.chip.take(&spoken, &declined).approved);
}

#[tokio::test]
async fn a_record_that_the_hsm_doubts_gets_no_answer_and_an_hsm_that_is_down_gives_none() {
    let mut story = Story::open(programme()).await;
    story.bank.change_in_portal(&story.card, PIN, NEW_PIN).await;
    let before = story.bank.state(&story.card).await;
    let sound = story.bank.desk.hsm.clone();
    story
        .bank
        .with_odd_hsm(Oddity::NoScripts(HsmRefusal::CardTampered));
    let (answer, _) = story.inquire(NEW_PIN).await;
    assert_eq!(
        (answer.decision, answer.checked.pin, answer.chip),
        (Decision::SystemMalfunction, PinCheck::NotCompared, None)
    );

    story.bank.desk.hsm = sound;
    story.bank.with_odd_hsm(Oddity::Down);
    let request = story.inquiry(NEW_PIN).0;
    let down = authorise(&story.bank.desk, &[request], NOW).await;
    assert!(matches!(down, Err(Fault::Hsm(_))), "{down:?}");
    assert_eq!(story.bank.state(&story.card).await, before);
}

/// A card with its chip at an ATM.
struct Story {
    bank: Bank,
    card: TestCard,
    chip: BareChip,
    _directory: TempDir,
}

impl Story {
    async fn open(programme: Programme) -> Self {
        let directory = TempDir::new_in("/dev/shm").unwrap();
        let scheme = programme.scheme;
        let (bank, mut cards) = Bank::found(directory.path(), programme, 1, PIN).await;
        let card = cards.remove(0);
        let chip = BareChip::new(scheme, &card.pan, PIN);
        Self {
            bank,
            card,
            chip,
            _directory: directory,
        }
    }

    fn inquiry(&mut self, pin: &str) -> (AuthorisationRequest, Spoken) {
        let spoken = self.chip.speak(INSERTED);
        let inquiry = self
            .bank
            .balance_inquiry(&self.card, pin, Some(spoken.field_55.clone()));
        (inquiry, spoken)
    }

    /// A balance inquiry with the card inserted. The chip hasn't got the answer yet.
    async fn inquire(&mut self, pin: &str) -> (AuthorisationAnswer, Spoken) {
        let (inquiry, spoken) = self.inquiry(pin);
        (self.bank.decide(&inquiry).await, spoken)
    }

    /// The reasons in the journal's records of this kind.
    async fn reasons(&self, kind: &str) -> Vec<String> {
        let journal = self.bank.journal().await;
        let details = journal.iter().filter(|record| record.kind == kind);
        details
            .map(|record| {
                let (_, reason) = record.detail.split_once(r#""reason":""#).unwrap();
                reason.trim_end_matches(r#""}"#).to_owned()
            })
            .collect()
    }

    /// How many script attempts are on record as sent.
    async fn attempts(&self) -> usize {
        self.bank.desk.store.attempts(self.card.row).await.unwrap().len()
    }
}
