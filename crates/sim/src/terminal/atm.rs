//! A cash machine: card inserted, PIN checked by the host.

use paycrypto::pin::Pin;

use super::journey::{Faults, Journey};
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
    unimplemented!("{chip:?} {pin:?} {amount} {acquirer:?} {faults:?}")
}

/// Asks for the balance (DE54).
pub async fn balance(chip: &mut Chip, pin: &Pin, acquirer: &Acquirer, faults: Faults) -> Journey {
    unimplemented!("{chip:?} {pin:?} {acquirer:?} {faults:?}")
}
