//! Issuer scripts against a simulated chip (invariants I4 and I7; `security.md` R13, R14).
//!
//! A random walk of purchases, taps, lost answers, pulled cards, reversals, broken scripts, changes and unlocks. The
//! test can look into the chip; Pinward has only its cryptograms. Whatever happens, Pinward's picture is never wrong.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::path::Path;

use cards::{CardState, Programme, ReportKept, ScriptSettings};
use emv::{
    apdu::SW_9000_OK,
    tags::{TAG_71_SCRIPT_BEFORE_FINAL_AC, TAG_72_SCRIPT_AFTER_FINAL_AC},
    tlv,
};
use issuer::{
    authorise::{AuthorisationAnswer, AuthorisationRequest, CardEntry, Decision, authorise},
    change_pin::{ChangePin, change_pin},
    unlock_pin::{self, UnlockPin, unlock_pin},
};
use sim::card::chip::{Chip, Interface};
use tempfile::TempDir;

use common::{
    Bank, NOW, TestCard,
    dice::Dice,
    programme,
    terminal::{
        CLAIMS_NOTHING, CLAIMS_OFFLINE_PIN, Presented, authenticate, new_chip, present, script, send_script,
    },
};

const SEEDS: u32 = 24;
const STEPS: usize = 60;
const FIRST_PIN: &str = "7394";

#[tokio::test]
async fn whatever_happens_to_card_and_answers_the_chips_pin_is_never_known_wrongly() {
    // In memory: the walk makes thousands of small files durable, and no power is cut here.
    let directory = TempDir::new_in("/dev/shm").unwrap();
    let programme = Programme {
        unlocks_max: std::num::NonZeroU8::MAX,
        script: ScriptSettings {
            report: Some(ReportKept::UntilIssuerAuthenticated),
            ..ScriptSettings::default()
        },
        ..programme()
    };
    let (bank, cards) = Bank::found(directory.path(), programme, SEEDS, FIRST_PIN).await;
    let mut scripts_taken = 0;
    for (seed, card) in (1..).zip(&cards) {
        let mut story = Story::new(&bank, card, directory.path(), seed);
        for _ in 0..STEPS {
            story.step().await;
            story.check().await;
        }
        story.settle().await;
        scripts_taken += story.scripts_taken;
    }
    assert!(
        scripts_taken > SEEDS,
        "only {scripts_taken} scripts reached a chip: the walks show too little"
    );
}

#[tokio::test]
async fn a_repeated_request_gets_its_recorded_answer_and_other_content_is_refused() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), programme(), 1, FIRST_PIN).await;
    let mut story = Story::new(&bank, &cards[0], directory.path(), 1);
    story.change().await;
    let presented = present(&mut story.chip, Interface::Contact, &[], CLAIMS_NOTHING);
    let request = bank.request(&cards[0], CardEntry::Contact, Some(presented.field_55.clone()));
    let first = decide(&bank, &request).await;
    assert!(script(first.chip.as_deref().unwrap()).is_some());
    let journal = bank.journal().await.len();
    assert_eq!(decide(&bank, &request).await, first);
    let mut forged = request.clone();
    forged.message.content[31] ^= 1;
    assert_eq!(decide(&bank, &forged).await.decision, Decision::DuplicateDiffers);
    assert_eq!(bank.journal().await.len(), journal, "a repeat has no effect");

    let replay = bank.request(&cards[0], CardEntry::Contact, Some(presented.field_55));
    assert_eq!(
        decide(&bank, &replay).await.decision,
        Decision::CryptogramReplayed
    );
}

#[tokio::test]
async fn a_reversal_that_overtakes_its_original_has_it_declined_without_a_script() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), programme(), 1, FIRST_PIN).await;
    let mut story = Story::new(&bank, &cards[0], directory.path(), 1);
    story.change().await;
    let presented = present(&mut story.chip, Interface::Contact, &[], CLAIMS_NOTHING);
    let request = bank.request(&cards[0], CardEntry::Contact, Some(presented.field_55));
    story.bank.take_back(story.card, &request).await;
    let answer = decide(&bank, &request).await;
    assert_eq!(answer.decision, Decision::ReversedBefore);
    assert_eq!(answer.chip, None);
    assert_eq!(bank.state(&cards[0]).await.chip.known(), Some(1));
    story.settle().await;
}

#[tokio::test]
async fn a_transaction_that_was_taken_back_is_not_approved_when_it_is_repeated() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), programme(), 1, FIRST_PIN).await;
    let mut story = Story::new(&bank, &cards[0], directory.path(), 1);
    story.change().await;
    let presented = present(&mut story.chip, Interface::Contact, &[], CLAIMS_NOTHING);
    let request = bank.request(&cards[0], CardEntry::Contact, Some(presented.field_55));
    let first = decide(&bank, &request).await;
    assert!(script(first.chip.as_deref().unwrap()).is_some());
    story.bank.take_back(story.card, &request).await;
    let repeated = decide(&bank, &request).await;
    assert_eq!(repeated.decision, Decision::ReversedBefore);
    assert_eq!(repeated.chip, None, "its script isn't given out again");
    story.settle().await;
}

#[tokio::test]
async fn a_terminal_that_claims_a_pin_check_which_the_chip_denies_is_declined() {
    let directory = TempDir::new().unwrap();
    let (bank, cards) = Bank::found(directory.path(), programme(), 1, FIRST_PIN).await;
    let mut chip = new_chip(directory.path(), &cards[0].pan, FIRST_PIN);
    let rows = [
        (&[][..], CLAIMS_OFFLINE_PIN, Decision::OfflinePinClaimFalse),
        (&["1111"][..], CLAIMS_OFFLINE_PIN, Decision::OfflinePinClaimFalse),
        (&["1111"][..], CLAIMS_NOTHING, Decision::IncorrectPin),
        (&[FIRST_PIN][..], CLAIMS_OFFLINE_PIN, Decision::Approved),
    ];
    for (keyed, claim, expected) in rows {
        let presented = present(&mut chip, Interface::Contact, keyed, claim);
        let request = bank.request(&cards[0], CardEntry::Contact, Some(presented.field_55));
        assert_eq!(
            decide(&bank, &request).await.decision,
            expected,
            "{keyed:?} {claim:?}"
        );
    }
}

/// One card's life, and what the test knows of it.
struct Story<'a> {
    bank: &'a Bank,
    card: &'a TestCard,
    chip: Chip,
    /// PIN of each version, from 1.
    pins: Vec<String>,
    seed: u64,
    dice: Dice,
    /// Of an earlier transaction, to be tried again.
    old_script: Option<Vec<u8>>,
    scripts_taken: u32,
    /// What happened, for a failure's message.
    told: Vec<&'static str>,
}

impl<'a> Story<'a> {
    fn new(bank: &'a Bank, card: &'a TestCard, directory: &Path, seed: u64) -> Self {
        Self {
            bank,
            card,
            chip: new_chip(directory, &card.pan, FIRST_PIN),
            pins: vec![FIRST_PIN.to_owned()],
            seed,
            dice: Dice(seed),
            old_script: None,
            scripts_taken: 0,
            told: Vec::new(),
        }
    }

    async fn step(&mut self) {
        match self.dice.throw(12) {
            0..3 => self.shop("shop", Delivery::Whole).await,
            3 => self.shop("answer lost", Delivery::Lost).await,
            4 => {
                self.shop("answer lost and reversed", Delivery::LostAndReversed)
                    .await
            }
            5 => {
                self.shop("card pulled before the script", Delivery::WithoutScript)
                    .await
            }
            6 => {
                self.shop("whole, then reversed", Delivery::WholeAndReversed)
                    .await
            }
            7 => {
                self.shop("script broken on its way", Delivery::BrokenScript)
                    .await
            }
            8 => self.tap().await,
            9 => self.request_lost(),
            10 => self.change().await,
            _ => self.block_and_unlock().await,
        }
    }

    /// A purchase with the card inserted.
    async fn shop(&mut self, told: &'static str, delivery: Delivery) {
        self.told.push(told);
        let keyed = (self.dice.throw(2) == 0).then(|| self.pins[self.version_on_chip() - 1].clone());
        let keyed: Vec<&str> = keyed.iter().map(String::as_str).collect();
        let claim = if keyed.is_empty() {
            CLAIMS_NOTHING
        } else {
            CLAIMS_OFFLINE_PIN
        };
        let presented = present(&mut self.chip, Interface::Contact, &keyed, claim);
        let request = self
            .bank
            .request(self.card, CardEntry::Contact, Some(presented.field_55.clone()));
        let answer = decide(self.bank, &request).await;
        let data = answer.chip.clone().expect("a proved chip gets an answer");
        let approved = answer.decision == Decision::Approved;
        match delivery {
            Delivery::Lost => self.chip.power_off(),
            Delivery::LostAndReversed => {
                self.chip.power_off();
                self.bank.take_back(self.card, &request).await;
            }
            Delivery::WithoutScript => authenticate(&mut self.chip, &presented, approved, &data),
            Delivery::Whole => self.deliver(&presented, approved, &data),
            Delivery::WholeAndReversed => {
                self.deliver(&presented, approved, &data);
                self.bank.take_back(self.card, &request).await;
            }
            Delivery::BrokenScript => self.deliver_broken(&presented, approved, &data),
        }
        self.chip.power_off();
    }

    /// The chip gets everything, after a script of an earlier transaction, which it refuses.
    fn deliver(&mut self, presented: &Presented, approved: bool, answer: &[u8]) {
        authenticate(&mut self.chip, presented, approved, answer);
        let Some(script) = script(answer) else { return };
        assert_eq!(
            send_script(&mut self.chip, &script.commands[0]),
            SW_9000_OK,
            "{}",
            self.story()
        );
        self.scripts_taken += 1;
        self.old_script = Some(script.commands[0].clone());
    }

    /// One bit of the script changes on its way, or an old script comes instead.
    fn deliver_broken(&mut self, presented: &Presented, approved: bool, answer: &[u8]) {
        authenticate(&mut self.chip, presented, approved, answer);
        let Some(script) = script(answer) else { return };
        let mut command = script.commands[0].clone();
        match self.old_script.take() {
            Some(old) if self.dice.throw(2) == 0 => command = old,
            _ => {
                let bit = self.dice.throw((command.len() - 5) * 8);
                command[5 + bit / 8] ^= 1 << (bit % 8);
            }
        }
        let before = self.chip.state().pin.clone();
        assert_ne!(
            send_script(&mut self.chip, &command),
            SW_9000_OK,
            "{}",
            self.story()
        );
        assert!(
            self.chip.state().pin == before,
            "a refused script changes nothing: {}",
            self.story()
        );
    }

    /// A tap, which some terminals call an insertion in DE22.
    async fn tap(&mut self) {
        self.told.push("tap");
        let presented = present(&mut self.chip, Interface::Contactless, &[], CLAIMS_NOTHING);
        let entry = [CardEntry::Contactless, CardEntry::Contact][self.dice.throw(2)];
        let request = self.bank.request(self.card, entry, Some(presented.field_55));
        let answer = decide(self.bank, &request).await;
        self.chip.power_off();
        let objects = answer
            .chip
            .as_deref()
            .map(|data| tlv::parse(data).unwrap())
            .unwrap_or_default();
        let scripts = [TAG_71_SCRIPT_BEFORE_FINAL_AC, TAG_72_SCRIPT_AFTER_FINAL_AC];
        let carries_one = objects.iter().any(|object| scripts.contains(&object.tag));
        assert!(!carries_one, "a tap's answer carries a script: {}", self.story());
    }

    /// The card gives a cryptogram that the host never sees.
    fn request_lost(&mut self) {
        self.told.push("request lost");
        present(&mut self.chip, Interface::Contact, &[], CLAIMS_NOTHING);
        self.chip.power_off();
    }

    async fn change(&mut self) {
        self.told.push("PIN changed");
        let current = self.pins.last().unwrap();
        let new = format!("{:04}", 1_000 + self.pins.len());
        let envelope = self
            .bank
            .sealed_change(self.card, current, &new, NOW)
            .await
            .unwrap();
        let request = ChangePin {
            card: self.card.row,
            actor: self.card.actor.clone(),
            envelope,
        };
        change_pin(&self.bank.desk, request, NOW).await.unwrap();
        self.pins.push(new);
    }

    /// Wrong PINs at a terminal until the chip blocks, and the cardmember unlocks it in the portal.
    async fn block_and_unlock(&mut self) {
        self.told.push("chip blocked and unlocked");
        let presented = present(&mut self.chip, Interface::Contact, &["0000"; 3], CLAIMS_NOTHING);
        let request = self
            .bank
            .request(self.card, CardEntry::Contact, Some(presented.field_55));
        decide(self.bank, &request).await;
        self.chip.power_off();
        self.bank.step_up(self.card, unlock_pin::OPERATION, NOW).await;
        let unlock = UnlockPin {
            card: self.card.row,
            actor: self.card.actor.clone(),
        };
        unlock_pin(&self.bank.desk, unlock, NOW).await.unwrap();
    }

    /// What Pinward thinks includes what is; what it calls known is.
    async fn check(&mut self) -> CardState {
        let state = self.bank.state(self.card).await;
        let truth = u32::try_from(self.version_on_chip()).unwrap();
        let possible: Vec<u32> = state
            .chip
            .possible()
            .iter()
            .map(|possible| possible.version)
            .collect();
        assert!(
            possible.contains(&truth),
            "{possible:?} lacks {truth}: {}",
            self.story()
        );
        let kept = state
            .chip
            .possible()
            .iter()
            .all(|possible| possible.sealed.is_some());
        assert!(
            kept,
            "a PIN that the chip may hold can't be looked up: {}",
            self.story()
        );
        state
    }

    /// From wherever the story has come: each insertion leaves nothing open but what its own answer brings, two make the
    /// chip's PIN the host's and known, and one more goes to a report that the chip still repeats.
    async fn settle(&mut self) {
        let mut state = self.check().await;
        let repeated = u32::from(self.chip.state().scripts.commands > 0);
        for _ in 0..2 + repeated {
            if state.script.needs_attention(NOW) {
                return;
            }
            self.shop("settling", Delivery::Whole).await;
            state = self.check().await;
            let brought = state.script.in_flight.is_some_and(|sent| sent.first_of_version);
            let open = state.chip.possible().len() - usize::from(brought);
            assert_eq!(open, 1, "{}", self.story());
        }
        let latest = u32::try_from(self.pins.len()).unwrap();
        assert_eq!(state.chip.known(), Some(latest), "{}", self.story());
        assert!(!self.chip.state().is_pin_blocked(), "{}", self.story());
    }

    /// For a failure's message: the seed is enough to see the same walk again.
    fn story(&self) -> String {
        format!("seed {}: {}", self.seed, self.told.join(", "))
    }

    /// The truth: which of the PINs the chip holds.
    fn version_on_chip(&self) -> usize {
        let pin = self.chip.state().pin.as_ref().unwrap().expose_digits().to_vec();
        let is_it = |text: &String| text.bytes().map(|digit| digit - b'0').eq(pin.iter().copied());
        self.pins
            .iter()
            .position(is_it)
            .expect("the chip holds one of the card's PINs")
            + 1
    }
}

/// How far an answer comes.
enum Delivery {
    Whole,
    Lost,
    LostAndReversed,
    WithoutScript,
    WholeAndReversed,
    BrokenScript,
}

async fn decide(bank: &Bank, request: &AuthorisationRequest) -> AuthorisationAnswer {
    let requests = std::slice::from_ref(request);
    authorise(&bank.desk, requests, NOW).await.unwrap().remove(0)
}
