//! The request to the host, its answer, and the reversal that a missing answer asks for.

use iso8583::mti::{MTI_0400_REVERSAL_REQUEST, Mti};
use iso8583::values::{CardEntry, EntryMode};

use super::deal::Deal;
use super::journey::{Faults, Party};
use super::profile::TerminalProfile;
use super::trace::Trace;
use crate::acquirer::Acquirer;
use crate::acquirer::link::ExchangeError;
use crate::acquirer::message::Message;

/// How the host was asked.
pub(super) enum Asked {
    Answered(Message),
    /// The answer is missing, and the transaction was reversed.
    Reversed,
    /// The host was not reached.
    Unreachable,
}

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

/// Sends the request; where no answer comes, or it is lost on purpose, sends the reversal.
pub(super) async fn ask(acquirer: &Acquirer, request: &Message, faults: Faults, trace: &mut Trace) -> Asked {
    trace.message(Party::Terminal, Party::Host, request, acquirer.dialect());
    match acquirer.exchange(request).await {
        Ok(_) if faults.lose_answer => {
            trace.event(Party::Host, Party::Terminal, "the answer is lost on its way");
        }
        Ok(answer) => {
            trace.message(Party::Host, Party::Terminal, &answer, acquirer.dialect());
            return Asked::Answered(answer);
        }
        Err(cause @ (ExchangeError::Unreachable(_) | ExchangeError::Build(_))) => {
            trace.event(Party::Host, Party::Terminal, &cause.to_string());
            return Asked::Unreachable;
        }
        Err(cause) => trace.event(Party::Host, Party::Terminal, &cause.to_string()),
    }
    reverse(acquirer, request, MTI_0400_REVERSAL_REQUEST, None, trace).await;
    Asked::Reversed
}

/// Sends a reversal. Where it isn't answered either, a real terminal would keep it and send it again; this one says so.
pub(super) async fn reverse(
    acquirer: &Acquirer,
    original: &Message,
    mti: Mti,
    chip_data: Option<Vec<u8>>,
    trace: &mut Trace,
) {
    let reversal = acquirer.reversal(original, mti, chip_data);
    trace.message(Party::Terminal, Party::Host, &reversal, acquirer.dialect());
    match acquirer.exchange(&reversal).await {
        Ok(answer) => trace.message(Party::Host, Party::Terminal, &answer, acquirer.dialect()),
        Err(cause) => trace.event(
            Party::Host,
            Party::Terminal,
            &format!("the reversal is not answered: {cause}"),
        ),
    }
}
