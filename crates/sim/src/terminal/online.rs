//! The request to the host, its answer, and the reversal that a missing answer asks for.

use iso8583::mti::{
    MTI_0100_AUTHORISATION_REQUEST, MTI_0200_FINANCIAL_REQUEST, MTI_0400_REVERSAL_REQUEST, Mti,
};
use iso8583::response_code::RESPONSE_00_APPROVED;
use iso8583::values::{CardEntry, EntryMode};

use cards::Pan;
use paycrypto::pin::Pin;

use super::journey::{Faults, Party};
use super::merchant::Merchant;
use super::trace::Trace;
use crate::acquirer::Acquirer;
use crate::acquirer::link::ExchangeError;
use crate::acquirer::message::Message;

/// What the cardmember wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deal {
    /// Goods for an amount in minor units.
    Sale(u64),
    /// Cash, in minor units.
    Cash(u64),
    Balance,
    /// A new PIN, which travels beside the current one.
    PinChange,
    /// The PIN's tries, given back by its right PIN.
    PinUnblock,
}

/// How the host was asked.
pub(super) enum Asked {
    Answered(Message),
    /// The answer is missing, and the transaction was reversed.
    Reversed,
    /// The host was not reached.
    Unreachable,
}

impl Deal {
    /// Minor units; none but for goods and cash.
    pub(super) fn amount(self) -> u64 {
        match self {
            Self::Sale(amount) | Self::Cash(amount) => amount,
            Self::Balance | Self::PinChange | Self::PinUnblock => 0,
        }
    }

    /// Tag 9C: the first two digits of DE3, in BCD. PIN services as Mastercard numbers them, 91 and 92.
    pub(super) fn transaction_type(self) -> u8 {
        match self {
            Self::Sale(_) => 0x00,
            Self::Cash(_) => 0x01,
            Self::Balance => 0x31,
            Self::PinUnblock => 0x91,
            Self::PinChange => 0x92,
        }
    }

    fn mti(self) -> Mti {
        match self {
            Self::Sale(_) | Self::Balance | Self::PinChange | Self::PinUnblock => {
                MTI_0100_AUTHORISATION_REQUEST
            }
            Self::Cash(_) => MTI_0200_FINANCIAL_REQUEST,
        }
    }
}

/// A request with everything that doesn't come from the card: who asks, for what, and how the card was read.
pub(super) fn request(acquirer: &Acquirer, merchant: &Merchant, deal: Deal, card: CardEntry) -> Message {
    let mut request = Message::new(deal.mti());
    acquirer.identify(&mut request);
    request.put(3, format!("{:02X}0000", deal.transaction_type()));
    request.put(4, format!("{:012}", deal.amount()));
    request.put(18, merchant.category);
    let entry = EntryMode {
        card,
        pin_capability: merchant.pin_capability,
    };
    request.put(22, entry.digits());
    request.put(25, merchant.condition);
    request.put(41, merchant.terminal_id);
    request.put(42, merchant.merchant_id);
    request.put(49, format!("{:03}", merchant.currency));
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

/// Whether the host approves.
pub(super) fn is_approved(answer: &Message) -> bool {
    answer.field(39) == Some(&RESPONSE_00_APPROVED)
}

/// DE52 for a keyed PIN.
pub(super) fn pin_block(acquirer: &Acquirer, pin: &Pin, pan: &Pan) -> Vec<u8> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("the system gives random numbers");
    acquirer.zone_key().pin_block(pin, pan, &random)
}
