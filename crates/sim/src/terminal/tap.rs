//! A contactless sale: one cryptogram, no PIN, no second cryptogram, no script.

use super::journey::{Faults, Journey};
use crate::acquirer::Acquirer;
use crate::card::chip::Chip;

/// Sells for an amount in minor units.
pub async fn buy(chip: &mut Chip, amount: u64, acquirer: &Acquirer, faults: Faults) -> Journey {
    unimplemented!("{chip:?} {amount} {acquirer:?} {faults:?}")
}
