//! A sale on the web: number and expiry, no chip, no PIN.

use iso8583::values::CardEntry;

use super::deal::Deal;
use super::journey::{Faults, Journey, Outcome};
use super::online::{self, Asked};
use super::profile::TerminalProfile;
use super::receipt::{self, ReceiptCvm};
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
    let mut outcome = Outcome::default();
    match online::ask(acquirer, &request, faults, &mut trace).await {
        Asked::Answered(answer) => {
            outcome.approved = acquirer.approves(&answer);
            outcome.response_code = answer.response_code();
            outcome.display = receipt::decision(
                deal,
                &answer,
                acquirer.response_code_1987(&answer),
                outcome.approved,
            );
            let cvm = ReceiptCvm::None;
            outcome.receipt = receipt::lines(profile, deal, &request, Some(&answer), cvm, outcome.approved);
        }
        Asked::Reversed | Asked::Unreachable => {
            outcome.host_unreachable = true;
            outcome.display.push("NO CONNECTION, DECLINED".to_owned());
        }
    }
    Journey {
        outcome,
        trace: trace.0,
    }
}
