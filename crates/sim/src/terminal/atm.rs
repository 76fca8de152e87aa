//! A cash machine: card inserted, PIN checked by the host. It also changes and unlocks PINs.

use std::slice;

use paycrypto::pin::Pin;

use super::contact::Contact;
use super::deal::Deal;
use super::journey::{Faults, Journey};
use super::profile::TerminalProfile;
use super::slot::Card;
use crate::acquirer::Acquirer;

/// Pays out an amount in minor units.
pub async fn withdraw(
    card: &mut dyn Card,
    pin: &Pin,
    amount: u64,
    acquirer: &Acquirer,
    faults: Faults,
) -> Journey {
    at_machine(Deal::Cash(amount), None, acquirer, faults)
        .run(card, slice::from_ref(pin))
        .await
}

/// Asks for the balance (DE54).
pub async fn balance(card: &mut dyn Card, pin: &Pin, acquirer: &Acquirer, faults: Faults) -> Journey {
    at_machine(Deal::Balance, None, acquirer, faults)
        .run(card, slice::from_ref(pin))
        .await
}

/// Changes the PIN from the current one to a new one. Both travel as PIN blocks under the zone key, the new one in the
/// dialect's field for it.
pub async fn change_pin(
    card: &mut dyn Card,
    current: &Pin,
    new: &Pin,
    acquirer: &Acquirer,
    faults: Faults,
) -> Journey {
    at_machine(Deal::PinChange, Some(new), acquirer, faults)
        .run(card, slice::from_ref(current))
        .await
}

/// Gives the PIN its tries back, at the host and on the chip.
pub async fn unblock_pin(card: &mut dyn Card, pin: &Pin, acquirer: &Acquirer, faults: Faults) -> Journey {
    at_machine(Deal::PinUnblock, None, acquirer, faults)
        .run(card, slice::from_ref(pin))
        .await
}

fn at_machine<'a>(
    deal: Deal,
    new_pin: Option<&'a Pin>,
    acquirer: &'a Acquirer,
    faults: Faults,
) -> Contact<'a> {
    Contact {
        profile: TerminalProfile::cash_machine(),
        deal,
        new_pin,
        acquirer,
        faults,
    }
}
