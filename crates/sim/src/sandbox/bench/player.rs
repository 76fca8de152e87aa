//! One card at the terminals. It remembers which PIN each version is, so that what the bank says of the chip can be
//! compared with what the chip holds.

use std::collections::BTreeMap;

use paycrypto::pin::Pin;
use serde::Serialize;

use super::story::Story;
use crate::card::chip::Chip;
use crate::sandbox::{
    Sandbox,
    bank::{AttemptView, BankError, BankView},
};
use crate::terminal::{
    atm,
    journey::{Faults, Journey},
    pos,
};

/// Amount of each purchase, in minor units: small, so that none is refused for its size.
const AMOUNT: u64 = 500;
/// Insertions that bring a card from any state to rest.
const INSERTIONS_MAX: usize = 4;

/// A story that was played.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Played {
    /// What the story is about happened, the bank said nothing wrong of the chip at any step, and in the end both have the
    /// same PIN and the bank knows it.
    right: bool,
    steps: Vec<Step>,
    /// The script attempts of this story, with the evidence for how each ended.
    attempts: Vec<AttemptView>,
}

/// One thing done, and what is so afterwards.
#[derive(Debug, Serialize)]
struct Step {
    title: String,
    /// PIN version at the bank.
    host_version: u32,
    /// What the bank says of the chip: one version when it knows, else those that it may have.
    chip_versions: Vec<u32>,
    /// The version that the plastic holds.
    plastic_version: Option<u32>,
    tries_left: u8,
    /// What the bank says of the chip isn't wrong.
    agrees: bool,
    journey: Journey,
}

/// A card of the bench in somebody's hand.
pub(super) struct Player<'s> {
    sandbox: &'s Sandbox,
    card: String,
    chip: Chip,
    /// The PIN of each version seen so far.
    pins: BTreeMap<u32, Pin>,
    steps: Vec<Step>,
}

impl<'s> Player<'s> {
    pub(super) fn new(sandbox: &'s Sandbox, card: String, chip: Chip) -> Self {
        Self {
            sandbox,
            card,
            chip,
            pins: BTreeMap::new(),
            steps: Vec::new(),
        }
    }

    /// Brings the card to rest, plays the story, brings it to rest again.
    pub(super) async fn play(mut self, story: Story) -> Result<Played, BankError> {
        let before = self.come_to_rest().await?;
        self.steps.clear();
        let attempts_before = before.script.attempts.len();
        story.play(&mut self).await?;
        let end = self.come_to_rest().await?;
        let tries_full = self.chip.state().pin_tries_left == self.chip.perso().pin_try_limit;
        let reached = end.host.version == before.host.version + story.new_pins()
            && self
                .steps
                .last()
                .is_some_and(|step| step.journey.outcome.approved)
            && (!story.uses_tries_up() || self.steps.iter().any(|step| step.tries_left == 0));
        let never_wrong = self.steps.iter().all(|step| step.agrees);
        Ok(Played {
            right: reached && never_wrong && tries_full && is_at_rest(&end),
            steps: self.steps,
            attempts: end.script.attempts.into_iter().skip(attempts_before).collect(),
        })
    }

    /// Inserts the card in the shop until bank and chip have the same PIN and the bank knows it.
    async fn come_to_rest(&mut self) -> Result<BankView, BankError> {
        let mut bank = self.bank().await?;
        for _ in 0..INSERTIONS_MAX {
            if is_at_rest(&bank) {
                break;
            }
            self.insert("Insert the card once more").await?;
            bank = self.bank().await?;
        }
        if let (true, Some(held)) = (is_at_rest(&bank), self.held()) {
            self.pins.insert(bank.host.version, held);
        }
        Ok(bank)
    }

    /// The PIN that the chip holds.
    pub(super) fn held(&self) -> Option<Pin> {
        self.chip.state().pin.clone()
    }

    /// Pays in the shop with the PIN that the chip holds.
    pub(super) async fn insert(&mut self, title: &str) -> Result<bool, BankError> {
        let keyed: Vec<Pin> = self.held().into_iter().collect();
        self.pay(title, &keyed).await
    }

    /// Pays in the shop, keying these PINs one after the other.
    pub(super) async fn pay(&mut self, title: &str, keyed: &[Pin]) -> Result<bool, BankError> {
        let journey = pos::buy(
            &mut self.chip,
            keyed,
            AMOUNT,
            &self.sandbox.acquirer,
            Faults::default(),
        )
        .await;
        self.note(title, journey, None).await
    }

    /// Changes the bank's PIN to another one at the cash machine.
    pub(super) async fn change_at_atm(&mut self, title: &str, faults: Faults) -> Result<bool, BankError> {
        let bank = self.bank().await?;
        let (current, new) = (self.pins.get(&bank.host.version).cloned(), self.new_pin());
        let Some(current) = current.or_else(|| self.held()) else {
            return Ok(false);
        };
        let acquirer = &self.sandbox.acquirer;
        let journey = atm::change_pin(&mut self.chip, &current, &new, acquirer, faults).await;
        self.note(title, journey, Some(new)).await
    }

    /// Unlocks the PIN at the cash machine, with the bank's PIN.
    pub(super) async fn unlock_at_atm(&mut self, title: &str) -> Result<bool, BankError> {
        let Some(pin) = self.held() else {
            return Ok(false);
        };
        let acquirer = &self.sandbox.acquirer;
        let journey = atm::unblock_pin(&mut self.chip, &pin, acquirer, Faults::default()).await;
        self.note(title, journey, None).await
    }

    /// A PIN that neither the bank nor the chip has had in this story.
    pub(super) fn new_pin(&self) -> Pin {
        loop {
            let random = getrandom::u32().expect("the system gives random numbers") % 10_000;
            let pin = Pin::parse(&format!("{random:04}")).expect("four digits are a PIN");
            let is_known = self.pins.values().any(|known| *known == pin) || self.held() == Some(pin.clone());
            if !is_known {
                return pin;
            }
        }
    }

    async fn bank(&self) -> Result<BankView, BankError> {
        self.sandbox.bank.pin_status(&self.card).await
    }

    /// Records a step. `proposed`: the PIN that the bank has now, if its version went up.
    async fn note(
        &mut self,
        title: &str,
        journey: Journey,
        proposed: Option<Pin>,
    ) -> Result<bool, BankError> {
        let bank = self.bank().await?;
        if let Some(proposed) = proposed {
            self.pins.entry(bank.host.version).or_insert(proposed);
        }
        let held = self.held();
        let plastic_version = self
            .pins
            .iter()
            .find_map(|(version, pin)| (Some(pin) == held.as_ref()).then_some(*version));
        let agrees = plastic_version.is_none_or(|version| bank.chip.possible_versions.contains(&version));
        let approved = journey.outcome.approved;
        self.steps.push(Step {
            title: title.to_owned(),
            host_version: bank.host.version,
            chip_versions: bank.chip.possible_versions,
            plastic_version,
            tries_left: self.chip.state().pin_tries_left,
            agrees,
            journey,
        });
        Ok(approved)
    }
}

/// Bank and chip have the same PIN, the bank knows it, and nothing is under way.
fn is_at_rest(bank: &BankView) -> bool {
    bank.chip.known_version == Some(bank.host.version)
        && bank.script.queued.is_none()
        && bank.script.in_flight.is_none()
}
