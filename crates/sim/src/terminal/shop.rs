//! A sale on the web: number and expiry, no chip, no PIN.

use super::journey::{Faults, Journey};
use crate::acquirer::Acquirer;
use crate::card::perso::Perso;

/// Sells for an amount in minor units.
pub async fn buy(card: &Perso, amount: u64, acquirer: &Acquirer, faults: Faults) -> Journey {
    unimplemented!("{card:?} {amount} {acquirer:?} {faults:?}")
}
