//! Unlocks are few, by all channels together, and tries rise by a match, an unlock or a new PIN only (I2, I9;
//! `security.md` A11).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::num::NonZeroU8;

use cards::{
    CardRef, CardRole, CardStatus, Expiry, Pan, Programme, ReissueRules, TRIES_LONG_RUN_MAX, TRIES_WINDOW_MS,
    Timestamp, Tries,
};
use issuer::{
    ActError, Refusal,
    activate_card::{ActivateCard, activate_card},
    authorise::{AuthorisationRequest, Decision, PinCheck, Transaction, authorise},
    change_pin::{ChangePin, change_pin},
    import::{NewCard, NewCardPin},
    reissue_card::{NewPlastic, reissue_card},
    renew_pins::renew_pins,
    resend_script::resend_script,
    unlock_pin::{self, UnlockPin, unlock_pin},
};
use tempfile::TempDir;

use common::{
    Bank, NOW, TRIES_MAX, TestCard,
    bare_chip::{BareChip, INSERTED},
    dice::Dice,
    expiry,
    odd_hsm::Oddity,
    programme, psn, zone_pin,
};

const PIN: &str = "7394";
const NEW_PIN: &str = "2580";
const WRONG_PIN: &str = "1111";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const LIVES: u32 = 20;
const STEPS: usize = 160;

#[tokio::test]
async fn a_third_unlock_within_thirty_days_is_refused_and_on_record_and_the_step_up_is_spent() {
    let mut life = Life::open(programme()).await;
    for _ in 0..2 {
        life.lock().await;
        assert_eq!(life.unlock_on_the_web().await, Ok(()));
    }
    life.lock().await;
    let before = life.bank.state(&life.card).await;
    let until = NOW.plus_ms(TRIES_WINDOW_MS);
    let refused = Err(Refusal::UnlocksUsedUp { until });
    assert_eq!(life.unlock_on_the_web().await, refused);
    assert_eq!(life.bank.state(&life.card).await, before);
    assert_eq!(life.unlock_again().await, Err(Refusal::StepUpNeeded));
    assert_eq!(
        life.refusals_on_record().await,
        [r#"{"channel":"web","reason":"unlocks_used_up"}"#]
    );

    life.now = until;
    assert_eq!(life.unlock_on_the_web().await, Ok(()));
    assert_eq!(life.inquire(PIN).await, Decision::Approved);
}

#[tokio::test]
async fn unlocks_on_the_web_and_unblocks_at_an_atm_count_together() {
    let mut life = Life::open(programme()).await;
    life.lock().await;
    assert_eq!(life.unlock_on_the_web().await, Ok(()));
    assert_eq!(life.unblock_at_an_atm(PIN).await.0, Decision::Approved);
    assert_eq!(
        life.unblock_at_an_atm(PIN).await,
        (Decision::UnlocksUsedUp, PinCheck::NotCompared)
    );
    assert_eq!(
        life.unblock_at_an_atm(WRONG_PIN).await,
        (Decision::UnlocksUsedUp, PinCheck::NotCompared),
        "nobody learns anything of the PIN by it"
    );
    assert_eq!(life.bank.state(&life.card).await.tries.left(), TRIES_MAX);
    assert_eq!(
        life.refusals_on_record().await,
        [r#"{"channel":"atm","reason":"unlocks_used_up"}"#; 2]
    );
    life.lock().await;
    assert!(matches!(
        life.unlock_on_the_web().await,
        Err(Refusal::UnlocksUsedUp { .. })
    ));
}

#[tokio::test]
async fn a_programme_sets_its_own_limit() {
    let mut life = Life::open(Programme {
        unlocks_max: NonZeroU8::MIN,
        ..programme()
    })
    .await;
    life.lock().await;
    assert_eq!(life.unlock_on_the_web().await, Ok(()));
    life.lock().await;
    assert!(matches!(
        life.unlock_on_the_web().await,
        Err(Refusal::UnlocksUsedUp { .. })
    ));
}

#[tokio::test]
async fn neither_a_new_plastic_nor_a_new_pin_gives_unlocks_back() {
    let mut life = Life::open(keeps_always()).await;
    for _ in 0..2 {
        life.lock().await;
        assert_eq!(life.unlock_on_the_web().await, Ok(()));
    }
    life.change_on_the_web(PIN).await.unwrap();
    life.reissue().await;
    life.replace().await;
    life.lock().await;
    assert!(matches!(
        life.unlock_on_the_web().await,
        Err(Refusal::UnlocksUsedUp { .. })
    ));
}

/// Random lives of all that can happen to a card. After each step the card's tries are what they must be by what was
/// told, and they have risen only by a match, an unlock or a new PIN.
#[tokio::test]
async fn whatever_happens_tries_rise_only_by_a_match_an_unlock_or_a_new_pin() {
    let mut seen = Seen::default();
    for seed in 1..=LIVES {
        let mut life = Life::open(keeps_always()).await;
        let mut dice = Dice(u64::from(seed));
        let mut expected = Tries::full(TRIES_MAX);
        let mut told = Vec::new();
        for _ in 0..STEPS {
            let before = life.bank.state(&life.card).await.tries;
            let (event, caused) = life.step(&mut dice).await;
            told.push((event, caused));
            match caused {
                Caused::Nothing => {}
                Caused::Match => expected.matched(TRIES_MAX),
                Caused::Wrong => expected.charge(life.now),
                Caused::Unlock => expected.unlock(TRIES_MAX, life.now).unwrap(),
                Caused::NewPin => expected.new_version(TRIES_MAX),
            }
            let tries = life.bank.state(&life.card).await.tries;
            assert_eq!(tries, expected, "seed {seed}: {told:?}");
            let may_rise = matches!(caused, Caused::Match | Caused::Unlock | Caused::NewPin);
            assert!(tries.left() <= before.left() || may_rise, "seed {seed}: {told:?}");
            life.note(caused, &mut seen);
        }
    }
    assert!(seen.matches > 100 && seen.wrongs > 100, "{seen:?}");
    assert!(seen.unlocks > 10 && seen.new_pins > 100, "{seen:?}");
    assert!(seen.unlocks_refused > 10, "{seen:?}");
}

/// What a step did to the tries, by what was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caused {
    Nothing,
    Match,
    Wrong,
    Unlock,
    NewPin,
}

#[derive(Debug, Default)]
struct Seen {
    matches: usize,
    wrongs: usize,
    unlocks: usize,
    new_pins: usize,
    unlocks_refused: usize,
}

fn keeps_always() -> Programme {
    Programme {
        reissue: ReissueRules {
            replacement_keeps_pin: true,
            ..ReissueRules::default()
        },
        ..programme()
    }
}

/// A card with its chip and its cardmember, at some moment.
struct Life {
    bank: Bank,
    card: TestCard,
    chip: BareChip,
    expiry: Expiry,
    pin: &'static str,
    now: Timestamp,
    last: Option<AuthorisationRequest>,
    numbers: u32,
    wrongs: Vec<Timestamp>,
    unlocks: Vec<Timestamp>,
    refused: usize,
    _directory: TempDir,
}

impl Life {
    async fn open(programme: Programme) -> Self {
        let directory = TempDir::new_in("/dev/shm").unwrap();
        let (bank, mut cards) = Bank::found(directory.path(), programme.clone(), 1, PIN).await;
        let card = cards.remove(0);
        let chip = BareChip::new(programme.scheme, &card.pan, PIN);
        Self {
            bank,
            card,
            chip,
            expiry: expiry(),
            pin: PIN,
            now: NOW,
            last: None,
            numbers: 0,
            wrongs: Vec::new(),
            unlocks: Vec::new(),
            refused: 0,
            _directory: directory,
        }
    }

    async fn step(&mut self, dice: &mut Dice) -> (&'static str, Caused) {
        let other = if self.pin == PIN { NEW_PIN } else { PIN };
        match dice.throw(21) {
            0..=2 => ("right PIN at an ATM", caused(self.inquire(self.pin).await)),
            3..=6 => ("wrong PIN at an ATM", caused(self.inquire(WRONG_PIN).await)),
            7 => (
                "change on the web",
                by_change(self.change_on_the_web(self.pin).await),
            ),
            8 => (
                "change with a wrong PIN",
                by_change(self.change_on_the_web(WRONG_PIN).await),
            ),
            9 | 10 => match self.unlock_on_the_web().await {
                Ok(()) => ("unlock", Caused::Unlock),
                Err(refusal) => {
                    self.refused += usize::from(matches!(refusal, Refusal::UnlocksUsedUp { .. }));
                    ("unlock refused", Caused::Nothing)
                }
            },
            11 => match self.unblock_at_an_atm(self.pin).await.0 {
                Decision::Approved => ("unblock", Caused::Unlock),
                decision => ("unblock refused", caused(decision)),
            },
            12 | 13 => ("change at an ATM", self.change_at_an_atm(other).await),
            14 => self.reissue().await,
            15 => self.replace().await,
            16 => self.repeat_and_take_back().await,
            17 if dice.throw(4) == 0 => self.renew(other).await,
            17 => self.renew(self.pin).await,
            18 => self.hsm_is_away().await,
            _ => {
                self.now = self.now.plus_ms(i64::try_from(dice.throw(12)).unwrap() * DAY_MS);
                let operator = "operator:7".to_owned();
                resend_script(&self.bank.desk, self.card.row, operator, self.now)
                    .await
                    .unwrap();
                ("time passes", Caused::Nothing)
            }
        }
    }

    /// What was told within 30 days stays within the bounds.
    fn note(&mut self, caused: Caused, seen: &mut Seen) {
        let since = self.now.plus_ms(-TRIES_WINDOW_MS);
        match caused {
            Caused::Nothing => {}
            Caused::Match => seen.matches += 1,
            Caused::NewPin => seen.new_pins += 1,
            Caused::Wrong => {
                seen.wrongs += 1;
                self.wrongs.push(self.now);
                let recent = self.wrongs.iter().filter(|at| **at > since).count();
                assert!(recent <= TRIES_LONG_RUN_MAX, "{recent} wrong PINs in 30 days");
            }
            Caused::Unlock => {
                seen.unlocks += 1;
                self.unlocks.push(self.now);
                let recent = self.unlocks.iter().filter(|at| **at > since).count();
                assert!(recent <= 2, "{recent} unlocks in 30 days");
            }
        }
        seen.unlocks_refused += std::mem::take(&mut self.refused);
    }

    async fn decide(&self, request: AuthorisationRequest) -> (Decision, PinCheck) {
        let answer = authorise(&self.bank.desk, &[request], self.now)
            .await
            .unwrap()
            .remove(0);
        (answer.decision, answer.checked.pin)
    }

    fn at_an_atm(&mut self, pin: &str, transaction: Transaction) -> AuthorisationRequest {
        let chip = self.chip.speak(INSERTED).field_55;
        let request = AuthorisationRequest {
            transaction,
            expiry: Some(self.expiry),
            ..self.bank.balance_inquiry(&self.card, pin, Some(chip))
        };
        self.last = Some(request.clone());
        request
    }

    async fn inquire(&mut self, pin: &str) -> Decision {
        let request = self.at_an_atm(pin, Transaction::Balance);
        self.decide(request).await.0
    }

    async fn unblock_at_an_atm(&mut self, pin: &str) -> (Decision, PinCheck) {
        let request = self.at_an_atm(pin, Transaction::PinUnblock);
        self.decide(request).await
    }

    async fn change_at_an_atm(&mut self, new: &'static str) -> Caused {
        let request = AuthorisationRequest {
            new_pin: Some(zone_pin(&self.card.pan, new)),
            ..self.at_an_atm(self.pin, Transaction::PinChange)
        };
        self.last = Some(request.clone());
        match self.decide(request).await.0 {
            Decision::Approved => {
                self.pin = new;
                Caused::NewPin
            }
            decision => caused(decision),
        }
    }

    async fn change_on_the_web(&mut self, current: &str) -> Result<(), Refusal> {
        let new = if self.pin == PIN { NEW_PIN } else { PIN };
        let envelope = self.bank.sealed_change(&self.card, current, new, self.now).await;
        let change = ChangePin {
            card: self.card.row,
            actor: self.card.actor.clone(),
            envelope: envelope.unwrap(),
        };
        told(change_pin(&self.bank.desk, change, self.now).await)?;
        self.pin = new;
        Ok(())
    }

    /// Three wrong PINs.
    async fn lock(&mut self) {
        for _ in 0..TRIES_MAX {
            assert_eq!(self.inquire(WRONG_PIN).await, Decision::IncorrectPin);
        }
    }

    async fn unlock_on_the_web(&self) -> Result<(), Refusal> {
        let operation = unlock_pin::OPERATION;
        self.bank.step_up(&self.card, operation, self.now).await;
        self.unlock_again().await
    }

    /// Without another step-up.
    async fn unlock_again(&self) -> Result<(), Refusal> {
        let unlock = UnlockPin {
            card: self.card.row,
            actor: self.card.actor.clone(),
        };
        told(unlock_pin(&self.bank.desk, unlock, self.now).await)
    }

    async fn reissue(&mut self) -> (&'static str, Caused) {
        let [one, other] = ["3012", "3111"].map(|yymm| Expiry::parse_yymm(yymm).unwrap());
        self.expiry = if self.expiry == one { other } else { one };
        self.put_plastic(None).await;
        ("reissue", Caused::Nothing)
    }

    async fn replace(&mut self) -> (&'static str, Caused) {
        self.numbers += 1;
        let with = |digit: u32| Pan::parse(&format!("99990100{:07}{digit}", self.numbers)).ok();
        let pan = (0..10).find_map(with).unwrap();
        let row = self.put_plastic(Some(pan.clone())).await;
        self.card = TestCard {
            pan,
            row,
            actor: self.card.actor.clone(),
        };
        let activate = ActivateCard {
            card: row,
            actor: self.card.actor.clone(),
            expiry: self.expiry,
        };
        activate_card(&self.bank.desk, activate, self.now).await.unwrap();
        self.chip = BareChip::new(programme().scheme, &self.card.pan, self.pin);
        self.last = None;
        ("replacement", Caused::Nothing)
    }

    async fn put_plastic(&mut self, pan: Option<Pan>) -> CardRef {
        let plastic = NewPlastic {
            card: self.card.row,
            pan,
            psn: psn(),
            expiry: self.expiry,
            personalised_version: None,
            actor: "operator:7".into(),
        };
        self.chip = BareChip::new(programme().scheme, &self.card.pan, self.pin);
        reissue_card(&self.bank.desk, plastic, self.now).await.unwrap()
    }

    /// The last request comes again, then is reversed.
    async fn repeat_and_take_back(&mut self) -> (&'static str, Caused) {
        if let Some(last) = self.last.clone() {
            self.decide(last.clone()).await;
            self.bank.take_back(&self.card, &last).await;
        }
        ("repeat and reversal", Caused::Nothing)
    }

    async fn hsm_is_away(&mut self) -> (&'static str, Caused) {
        let sound = self.bank.desk.hsm.clone();
        self.bank.with_odd_hsm(Oddity::Down);
        let request = self.at_an_atm(self.pin, Transaction::Balance);
        let ended = authorise(&self.bank.desk, &[request], self.now).await;
        assert!(ended.is_err());
        self.bank.desk.hsm = sound;
        self.last = None;
        ("no HSM", Caused::Nothing)
    }

    /// A later file of another system.
    async fn renew(&mut self, pin: &'static str) -> (&'static str, Caused) {
        let line = NewCard {
            cardmember: "m-1".into(),
            pan: self.card.pan.clone(),
            psn: psn(),
            expiry: self.expiry,
            programme: programme().id,
            role: CardRole::Basic,
            status: CardStatus::Active,
            pin: NewCardPin::Block(zone_pin(&self.card.pan, pin)),
        };
        let renewed = renew_pins(&self.bank.desk, &[line], "operator:7", self.now)
            .await
            .unwrap();
        if renewed.renewed == 0 {
            assert_eq!(pin, self.pin);
            return ("the same PIN by file", Caused::Nothing);
        }
        self.pin = pin;
        ("another PIN by file", Caused::NewPin)
    }

    async fn refusals_on_record(&self) -> Vec<String> {
        let journal = self.bank.journal().await;
        let refused = journal
            .into_iter()
            .filter(|record| record.kind == "unlock_refused");
        refused.map(|record| record.detail).collect()
    }
}

fn told(ended: Result<(), ActError>) -> Result<(), Refusal> {
    match ended {
        Ok(()) => Ok(()),
        Err(ActError::Refused(refusal)) => Err(refusal),
        Err(ActError::Fault(fault)) => panic!("{fault}"),
    }
}

fn caused(decision: Decision) -> Caused {
    match decision {
        Decision::Approved => Caused::Match,
        Decision::IncorrectPin => Caused::Wrong,
        Decision::PinTriesExceeded | Decision::UnlocksUsedUp => Caused::Nothing,
        other => panic!("{other:?}"),
    }
}

fn by_change(ended: Result<(), Refusal>) -> Caused {
    match ended {
        Ok(()) => Caused::NewPin,
        Err(Refusal::WrongPin { .. }) => Caused::Wrong,
        Err(_) => Caused::Nothing,
    }
}
