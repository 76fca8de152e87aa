//! Fraud signals: what in a transaction speaks against it, and the short memory of what terminals sent.
//!
//! A signal is never a verdict: the programme's table ([`cards::FraudRules`]) decides whether it declines. Signals that
//! rest on chip data count only with a valid cryptogram, so that nobody can forge them for another's card.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cards::{FraudSignal, Timestamp};

use crate::authorise::chip_data::ChipData;
use crate::authorise::{AuthorisationRequest, CardEntry, RequestKind, Transaction};
use crate::desk::OpenCard;

/// How long an unpredictable number is remembered at least: 10 minutes, in milliseconds; at most twice that.
const REMEMBERED_MS: i64 = 10 * 60 * 1000;
/// Numbers that one half of the memory holds; more push the older half out. Both together stay below 8 MB.
const REMEMBERED_MAX: usize = 1 << 16;

/// What the message itself gives away, valid cryptogram or not.
pub(crate) fn of_message(request: &AuthorisationRequest, chip: Option<&ChipData>) -> Vec<FraudSignal> {
    let mut signals = Vec::new();
    if request.entry == CardEntry::Fallback {
        signals.push(FraudSignal::Fallback);
    }
    if chip.is_some_and(|chip| chip.entry_disagrees) {
        signals.push(FraudSignal::EntryModeDisagrees);
    }
    let asks_elsewhere = request.kind == RequestKind::Request && !request.decided_here();
    let has_amount = request.transaction != Transaction::Other;
    if asks_elsewhere && has_amount && chip.is_some_and(|chip| !chip.covers_amount(request)) {
        signals.push(FraudSignal::AmountDiffers);
    }
    signals
}

/// What shows when the cryptogram is valid.
///
/// The wedge is seen by 9F34 against the chip's verification results: the terminal verification results (95) have no bit
/// for an offline PIN that was right. Nothing signs 9F34, but who leaves it out gains nothing: without the chip's word no
/// offline PIN counts as verified.
pub(crate) fn of_chip(card: &OpenCard<'_>, chip: &ChipData, signals: &mut Vec<FraudSignal>) {
    if chip.terminal_claims_offline_pin && !chip.offline_pin_verified() {
        signals.push(FraudSignal::Wedge);
    }
    let near = card.programme.fraud.atc_far_ahead_by;
    if card.state.atc_jump(chip.atc).is_some_and(|jump| jump > near) {
        signals.push(FraudSignal::AtcFarAhead);
    }
}

/// One unpredictable number (9F37) of one terminal (DE41).
type TerminalNumber = ([u8; 8], [u8; 4]);

/// The unpredictable numbers that terminals used lately, each with the cryptogram that it went into. Kept in memory
/// only: a restart forgets them.
///
/// Two halves, a newer and an older: when the newer is full or old enough, it becomes the older, and what was the older
/// is forgotten.
#[derive(Debug, Default)]
pub struct UnpredictableNumbers(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    newer: HashMap<TerminalNumber, [u8; 8]>,
    older: HashMap<TerminalNumber, [u8; 8]>,
    newer_since: Option<Timestamp>,
}

impl UnpredictableNumbers {
    /// Remembers a number with its valid cryptogram, and tells whether the terminal used it for another cryptogram
    /// before. The same cryptogram again is a repeat of the same transaction.
    pub(crate) fn is_repeated(
        &self,
        terminal: [u8; 8],
        number: [u8; 4],
        cryptogram: [u8; 8],
        now: Timestamp,
    ) -> bool {
        let used = (terminal, number);
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.age(now);
        let earlier = halves
            .newer
            .get(&used)
            .or_else(|| halves.older.get(&used))
            .copied();
        halves.newer.insert(used, cryptogram);
        earlier.is_some_and(|earlier| earlier != cryptogram)
    }
}

impl Halves {
    fn age(&mut self, now: Timestamp) {
        let since = *self.newer_since.get_or_insert(now);
        if now >= since.plus_ms(REMEMBERED_MS) || self.newer.len() >= REMEMBERED_MAX {
            self.older = std::mem::take(&mut self.newer);
            self.newer_since = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn is_repeated(seen: &UnpredictableNumbers, number: u32, cryptogram: u8, now: Timestamp) -> bool {
        seen.is_repeated(*b"ATM00001", number.to_be_bytes(), [cryptogram; 8], now)
    }

    #[test]
    fn a_number_is_repeated_only_with_another_cryptogram_at_the_same_terminal() {
        let seen = UnpredictableNumbers::default();
        assert!(!is_repeated(&seen, 1, 1, NOW));
        assert!(!is_repeated(&seen, 1, 1, NOW), "a retransmission");
        assert!(!seen.is_repeated(*b"ATM00002", 1_u32.to_be_bytes(), [2; 8], NOW));
        assert!(!is_repeated(&seen, 2, 3, NOW));
        assert!(is_repeated(&seen, 1, 4, NOW));
    }

    #[test]
    fn numbers_are_forgotten_after_at_most_twenty_minutes() {
        let seen = UnpredictableNumbers::default();
        is_repeated(&seen, 1, 1, NOW);
        let half = NOW.plus_ms(REMEMBERED_MS);
        is_repeated(&seen, 2, 2, half);
        let whole = half.plus_ms(REMEMBERED_MS);
        is_repeated(&seen, 3, 3, whole);
        assert!(!is_repeated(&seen, 1, 4, whole));
        assert!(is_repeated(&seen, 2, 5, whole));
    }

    #[test]
    fn the_memory_is_bounded() {
        let seen = UnpredictableNumbers::default();
        let many = u32::try_from(3 * REMEMBERED_MAX).unwrap();
        for number in 0..many {
            is_repeated(&seen, number, 0, NOW);
        }
        let halves = seen.0.lock().unwrap();
        assert!(halves.newer.len() + halves.older.len() <= 2 * REMEMBERED_MAX);
    }
}
