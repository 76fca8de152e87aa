//! A cash machine: card inserted, PIN checked by the host.

use std::slice;

use paycrypto::pin::Pin;

use super::contact::Contact;
use super::journey::{Faults, Journey};
use super::merchant;
use super::online::Deal;
use crate::acquirer::Acquirer;
use crate::card::chip::Chip;

/// Pays out an amount in minor units.
pub async fn withdraw(
    chip: &mut Chip,
    pin: &Pin,
    amount: u64,
    acquirer: &Acquirer,
    faults: Faults,
) -> Journey {
    at_machine(Deal::Cash(amount), acquirer, faults)
        .run(chip, slice::from_ref(pin))
        .await
}

/// Asks for the balance (DE54).
pub async fn balance(chip: &mut Chip, pin: &Pin, acquirer: &Acquirer, faults: Faults) -> Journey {
    at_machine(Deal::Balance, acquirer, faults)
        .run(chip, slice::from_ref(pin))
        .await
}

fn at_machine(deal: Deal, acquirer: &Acquirer, faults: Faults) -> Contact<'_> {
    Contact {
        merchant: merchant::cash_machine(),
        deal,
        acquirer,
        faults,
    }
}
