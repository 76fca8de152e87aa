//! Fraud signals: what in a transaction speaks against it, and the short memory of what terminals sent.
//!
//! A signal is never a verdict: the programme's table ([`cards::FraudRules`]) decides whether it declines. Signals that
//! rest on chip data count only with a valid cryptogram, so that nobody can forge them for another's card.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cards::Timestamp;

/// How long an unpredictable number is remembered at least: 10 minutes, in milliseconds; at most twice that.
const REMEMBERED_MS: i64 = 10 * 60 * 1000;
/// Numbers that one half of the memory holds; more push the older half out. Both together stay below 8 MB.
const REMEMBERED_MAX: usize = 1 << 16;

/// One number of one terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TerminalNumber {
    /// DE41.
    pub(crate) terminal: [u8; 8],
    /// Tag 9F37.
    pub(crate) number: [u8; 4],
}

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
    pub(crate) fn is_repeated(&self, used: TerminalNumber, cryptogram: [u8; 8], now: Timestamp) -> bool {
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

    fn number(number: u32) -> TerminalNumber {
        TerminalNumber {
            terminal: *b"ATM00001",
            number: number.to_be_bytes(),
        }
    }

    #[test]
    fn a_number_is_repeated_only_with_another_cryptogram_at_the_same_terminal() {
        let seen = UnpredictableNumbers::default();
        let elsewhere = TerminalNumber {
            terminal: *b"ATM00002",
            ..number(1)
        };
        assert!(!seen.is_repeated(number(1), [1; 8], NOW));
        assert!(!seen.is_repeated(number(1), [1; 8], NOW), "a retransmission");
        assert!(!seen.is_repeated(elsewhere, [2; 8], NOW));
        assert!(!seen.is_repeated(number(2), [3; 8], NOW));
        assert!(seen.is_repeated(number(1), [4; 8], NOW));
    }

    #[test]
    fn numbers_are_forgotten_after_at_most_twenty_minutes() {
        let seen = UnpredictableNumbers::default();
        seen.is_repeated(number(1), [1; 8], NOW);
        let half = NOW.plus_ms(REMEMBERED_MS);
        seen.is_repeated(number(2), [2; 8], half);
        seen.is_repeated(number(3), [3; 8], half.plus_ms(REMEMBERED_MS));
        assert!(!seen.is_repeated(number(1), [4; 8], half.plus_ms(REMEMBERED_MS)));
        assert!(seen.is_repeated(number(2), [5; 8], half.plus_ms(REMEMBERED_MS)));
    }

    #[test]
    fn the_memory_is_bounded() {
        let seen = UnpredictableNumbers::default();
        let many = u32::try_from(3 * REMEMBERED_MAX).unwrap();
        for each in 0..many {
            seen.is_repeated(number(each), [0; 8], NOW);
        }
        let halves = seen.0.lock().unwrap();
        assert!(halves.newer.len() + halves.older.len() <= 2 * REMEMBERED_MAX);
    }
}
