//! What a terminal displays and prints.

use iso8583::response_code::{self, RESPONSE_00_APPROVED};

use super::deal::Deal;
use super::journey::{Outcome, Trouble};
use super::profile::TerminalProfile;
use super::trace::last_four;
use crate::acquirer::message::Message;

/// How the cardmember was verified, as the receipt says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiptCvm {
    PinByChip,
    PinByHost,
    None,
}

/// The printed lines of a transaction that went to the host.
pub(super) fn lines(
    profile: &TerminalProfile,
    deal: Deal,
    request: &Message,
    answer: Option<&Message>,
    cvm: ReceiptCvm,
    approved: bool,
) -> Vec<String> {
    let text = |message: &Message, number| {
        let value = message.field(number).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    let mut lines = vec![profile.name.clone(), format!("TERMINAL {}", text(request, 41))];
    lines.push(match deal {
        Deal::Sale(amount) => format!("SALE {}", money(amount, profile.currency)),
        Deal::Cash(amount) => format!("CASH {}", money(amount, profile.currency)),
        Deal::Balance => "BALANCE INQUIRY".to_owned(),
        Deal::PinChange => "PIN CHANGE".to_owned(),
        Deal::PinUnblock => "PIN UNLOCK".to_owned(),
    });
    lines.push(format!("CARD {}", last_four(&text(request, 2))));
    lines.push(match cvm {
        ReceiptCvm::PinByChip => "PIN VERIFIED BY CARD".to_owned(),
        ReceiptCvm::PinByHost => "PIN SENT TO BANK".to_owned(),
        ReceiptCvm::None => "NO PIN".to_owned(),
    });
    lines.push(format!("REFERENCE {}", text(request, 37)));
    if approved {
        let code = answer.map(|answer| text(answer, 38)).unwrap_or_default();
        lines.push(format!("APPROVED {code}").trim_end().to_owned());
    } else {
        lines.push("DECLINED".to_owned());
    }
    lines
}

/// What the display says of the host's answer. `code`: DE39 as a code of 1987.
pub(super) fn decision(deal: Deal, answer: &Message, code: Option<[u8; 2]>, approved: bool) -> Vec<String> {
    if !approved {
        let reason = code
            .and_then(|code| response_code::title(&code))
            .unwrap_or("declined");
        let shown = match code {
            Some(RESPONSE_00_APPROVED) => "DECLINED BY CARD".to_owned(),
            _ => format!("DECLINED: {}", reason.to_uppercase()),
        };
        return vec![shown];
    }
    match deal {
        Deal::Sale(_) => vec!["APPROVED".to_owned()],
        Deal::Cash(_) => vec!["APPROVED".to_owned(), "TAKE YOUR CASH".to_owned()],
        Deal::PinChange => vec!["PIN CHANGED".to_owned(), "USE IT FROM NOW ON".to_owned()],
        Deal::PinUnblock => vec!["PIN UNLOCKED".to_owned()],
        Deal::Balance => vec![balance(answer).unwrap_or_else(|| "BALANCE NOT AVAILABLE".to_owned())],
    }
}

/// First amount of DE54: account type 2, amount type 2, currency 3, `C` or `D`, 12 digits of minor units.
fn balance(answer: &Message) -> Option<String> {
    let amounts = std::str::from_utf8(answer.field(54)?).ok()?;
    let currency: u16 = amounts.get(4..7)?.parse().ok()?;
    let sign = if amounts.get(7..8)? == "D" { "-" } else { "" };
    let amount: u64 = amounts.get(8..20)?.parse().ok()?;
    Some(format!("BALANCE {sign}{}", money(amount, currency)))
}

/// `WRONG PIN, 2 TRIES LEFT`.
pub(super) fn wrong_pin(tries_left: u8) -> String {
    match tries_left {
        0 => "WRONG PIN, CARD'S PIN IS LOCKED".to_owned(),
        1 => "WRONG PIN, 1 TRY LEFT".to_owned(),
        more => format!("WRONG PIN, {more} TRIES LEFT"),
    }
}

/// Says on display and in the outcome why the terminal can't go on.
pub(super) fn say_trouble(outcome: &mut Outcome, trouble: Trouble) {
    let shown = match trouble {
        Trouble::CardRemoved => "CARD REMOVED TOO EARLY",
        Trouble::CardUnusable => "CARD ERROR",
        Trouble::NoCommonApplication => "CARD NOT ACCEPTED",
        Trouble::CardNotAuthentic => "CARD NOT AUTHENTIC",
        Trouble::NoPinKey => "PIN PAD HAS NO KEY",
    };
    outcome.trouble = Some(trouble);
    outcome.display.push(shown.to_owned());
}

/// Minor units with two decimals, and the currency's letters where they are known here.
fn money(amount: u64, currency: u16) -> String {
    let letters = match currency {
        978 => "EUR".to_owned(),
        826 => "GBP".to_owned(),
        840 => "USD".to_owned(),
        other => format!("{other:03}"),
    };
    format!("{}.{:02} {letters}", amount / 100, amount % 100)
}
