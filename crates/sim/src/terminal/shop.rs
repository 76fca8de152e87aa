//! A sale on the web: number and expiry, no chip, no PIN.

use iso8583::values::CardEntry;

use super::deal::Deal;
use super::journey::{Faults, Journey};
use super::online;
use super::profile::TerminalProfile;
use super::trace::Trace;
use crate::acquirer::Acquirer;
use crate::card::perso::Perso;

/// Sells for an amount in minor units at the bookseller's.
pub async fn buy(card: &Perso, amount: u64, acquirer: &Acquirer, faults: Faults) -> Journey {
    buy_at(&TerminalProfile::web_shop(), card, amount, acquirer, faults).await
}

/// The same at a shop of one's choice.
pub async fn buy_at(
    profile: &TerminalProfile,
    card: &Perso,
    amount: u64,
    acquirer: &Acquirer,
    faults: Faults,
) -> Journey {
    let deal = Deal::Sale(amount);
    let mut request = online::request(acquirer, profile, deal, CardEntry::Ecommerce);
    request.put(2, card.pan.expose_digits());
    request.put(14, card.expiry.yymm());
    let mut trace = Trace::default();
    let outcome = online::decide(acquirer, profile, deal, &request, faults, &mut trace).await;
    Journey {
        outcome,
        trace: trace.0,
    }
}
