//! The request to the host, its answer, and the reversal that a missing answer asks for.

use std::time::Duration;

use iso8583::mti::{MTI_0400_REVERSAL_REQUEST, Mti};
use iso8583::values::{CardEntry, EntryMode};

use super::deal::Deal;
use super::journey::{Faults, Outcome, Party, Reversal};
use super::profile::TerminalProfile;
use super::receipt::{self, ReceiptCvm};
use super::trace::Trace;
use crate::acquirer::Acquirer;
use crate::acquirer::link::ExchangeError;
use crate::acquirer::message::Message;

/// A request with everything that doesn't come from the card: who asks, for what, and how the card was read.
pub(super) fn request(
    acquirer: &Acquirer,
    profile: &TerminalProfile,
    deal: Deal,
    card: CardEntry,
) -> Message {
    let mut request = acquirer.message(deal.mti());
    let code = deal.transaction_type(acquirer.processing_codes());
    request.put(3, format!("{code:02X}0000"));
    request.put(4, format!("{:012}", deal.amount()));
    request.put(18, profile.category.as_str());
    acquirer.put_entry_mode(
        &mut request,
        EntryMode {
            card,
            pin_capability: profile.pin_capability(),
        },
    );
    acquirer.put_condition(&mut request, &profile.condition);
    request.put(41, profile.terminal_id.as_str());
    request.put(42, profile.merchant_id.as_str());
    request.put(49, format!("{:03}", profile.currency));
    request
}

/// Asks the host, which alone decides: no card is there any more to hear the answer.
pub(super) async fn decide(
    acquirer: &Acquirer,
    profile: &TerminalProfile,
    deal: Deal,
    request: &Message,
    faults: Faults,
    trace: &mut Trace,
) -> Outcome {
    let mut outcome = Outcome::default();
    if let Some(answer) = ask(acquirer, request, faults, trace, &mut outcome).await {
        outcome.approved = acquirer.approves(&answer);
        let code = acquirer.response_code_1987(&answer);
        outcome.display = receipt::decision(deal, &answer, code, outcome.approved);
        let cvm = ReceiptCvm::None;
        outcome.receipt = receipt::lines(profile, deal, request, Some(&answer), cvm, outcome.approved);
    }
    outcome
}

/// Sends the request. Where no answer comes, or it is lost on purpose, sends the reversal, and says in the outcome that
/// there was no connection.
pub(super) async fn ask(
    acquirer: &Acquirer,
    request: &Message,
    faults: Faults,
    trace: &mut Trace,
    outcome: &mut Outcome,
) -> Option<Message> {
    trace.message(Party::Terminal, Party::Host, request, acquirer.dialect());
    let (was_sent, told) = match acquirer.exchange(request).await {
        Ok(_) if faults.lose_answer => (true, "the answer is lost on its way".to_owned()),
        Ok(answer) => {
            trace.message(Party::Host, Party::Terminal, &answer, acquirer.dialect());
            outcome.response_code = answer.response_code();
            return Some(answer);
        }
        Err(cause @ (ExchangeError::Unreachable(_) | ExchangeError::Build(_))) => (false, cause.to_string()),
        Err(cause) => (true, cause.to_string()),
    };
    trace.event(Party::Host, Party::Terminal, &told);
    if was_sent {
        let reversal = reverse(acquirer, request, MTI_0400_REVERSAL_REQUEST, None, trace).await;
        outcome.reversal = Some(reversal);
    }
    outcome.host_unreachable = true;
    outcome.display.push("NO CONNECTION, DECLINED".to_owned());
    None
}

/// Sends a reversal, and repeats it (0401, 0421) while no answer comes, as an acquirer does: a bounded number of times here,
/// where a real one keeps it until the host is back.
pub(super) async fn reverse(
    acquirer: &Acquirer,
    original: &Message,
    mti: Mti,
    chip_data: Option<Vec<u8>>,
    trace: &mut Trace,
) -> Reversal {
    let mut reversal = acquirer.reversal(original, mti, chip_data);
    let mut sent = 1;
    loop {
        trace.message(Party::Terminal, Party::Host, &reversal, acquirer.dialect());
        let told = match acquirer.exchange(&reversal).await {
            Ok(answer) => {
                trace.message(Party::Host, Party::Terminal, &answer, acquirer.dialect());
                return Reversal { sent, answered: true };
            }
            Err(cause) => format!("the reversal is not answered: {cause}"),
        };
        trace.event(Party::Host, Party::Terminal, &told);
        if sent == REVERSALS_MAX {
            return Reversal {
                sent,
                answered: false,
            };
        }
        sent += 1;
        reversal = reversal.repeat();
        tokio::time::sleep(Duration::from_millis(REPEAT_AFTER_MS)).await;
    }
}

/// Times that a reversal is sent, and the pause between two. A host that says nothing takes the time limit of each as well.
const REVERSALS_MAX: u8 = 4;
const REPEAT_AFTER_MS: u64 = 200;
