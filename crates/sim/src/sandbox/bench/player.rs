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
const INSERTIONS_TO_REST_MAX: usize = 4;

/// A story that was played.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct Played {
    /// What the story is about happened, the bank said nothing wrong of the chip at any step, and after the contact uses that
    /// the story has itself both have the same PIN and the bank knows it.
    right: bool,
    /// Times that the card was at a terminal's contacts in the story.
    contact_uses: usize,
    /// Times more until bank and chip had the same PIN and the bank knew it. A story has as many as scripts need with any
    /// rules, so none is right.
    contact_uses_more: usize,
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
    /// The version that the plastic holds is among those that the bank calls possible.
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
        let contact_uses = self.steps.len();
        let end = self.come_to_rest().await?;
        let tries_full = self.chip.state().pin_tries_left == self.chip.perso().pin_try_limit;
        let reached = end.host.version == before.host.version + story.new_pins()
            && self
                .steps
                .last()
                .is_some_and(|step| step.journey.outcome.approved)
            && (!story.uses_tries_up() || self.steps.iter().any(|step| step.tries_left == 0));
        let never_wrong = self.steps.iter().all(|step| step.agrees);
        let contact_uses_more = self.steps.len() - contact_uses;
        Ok(Played {
            right: reached && never_wrong && tries_full && is_at_rest(&end) && contact_uses_more == 0,
            contact_uses,
            contact_uses_more,
            steps: self.steps,
            attempts: end.script.attempts.into_iter().skip(attempts_before).collect(),
        })
    }

    /// Inserts the card in the shop until bank and chip have the same PIN and the bank knows it.
    async fn come_to_rest(&mut self) -> Result<BankView, BankError> {
        let mut bank = self.bank().await?;
        for _ in 0..INSERTIONS_TO_REST_MAX {
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

    /// A PIN that neither the bank nor the chip has had in this story, and that no issuer's rule calls easy to guess.
    pub(super) fn new_pin(&self) -> Pin {
        let pan = &self.chip.perso().pan;
        let held = self.held();
        let mut free: Vec<Pin> = hard_to_guess(pan.expose_digits())
            .filter(|pin| Some(pin) != held.as_ref() && self.pins.values().all(|known| known != pin))
            .collect();
        let random = getrandom::u32().expect("the system gives random numbers");
        let at = usize::try_from(random).unwrap_or_default() % free.len().max(1);
        free.swap_remove(at)
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
        let agrees = plastic_version.is_some_and(|version| bank.chip.possible_versions.contains(&version));
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

/// PINs of four different digits that are no date, no year, no line on a keypad and no part of the card's number.
fn hard_to_guess(pan: &str) -> impl Iterator<Item = Pin> {
    let pins = (3300_u16..10_000).map(|number| format!("{number:04}"));
    pins.filter(|digits| is_hard_to_guess(digits.as_bytes(), pan))
        .filter_map(|digits| Pin::parse(&digits))
}

fn is_hard_to_guess(digits: &[u8], pan: &str) -> bool {
    let &[a, b, c, d] = digits else { return false };
    // Neighbours in a row or a column of a keypad differ by 1 or 3.
    let near = |(one, other): (u8, u8)| matches!(one.abs_diff(other), 0 | 1 | 3);
    let twice = a == c || a == d || b == d;
    let is_date = c <= b'3' || (a, b) <= (b'3', b'2');
    let in_number = pan.as_bytes().windows(4).any(|part| part == digits);
    !twice && !is_date && !in_number && ![(a, b), (b, c), (c, d)].into_iter().any(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_draw_is_easy_to_guess_and_there_are_enough_of_them() {
        let draws = |pan: &str| -> Vec<String> {
            let text = |pin: Pin| pin.expose_digits().iter().map(u8::to_string).collect();
            hard_to_guess(pan).map(text).collect()
        };
        let any = draws("9999030000000019");
        assert!(any.len() > 100, "{}", any.len());
        for easy in [
            "1234", "4321", "1111", "1212", "1990", "2024", "3112", "1478", "2580", "9630", "7531",
        ] {
            assert!(!any.contains(&easy.to_owned()), "{easy}");
        }
        let pan = format!("99990300{}0019", any[0]);
        assert_eq!(draws(&pan).len(), any.len() - 1);
    }
}
