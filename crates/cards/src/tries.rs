//! How many wrong PINs a card has left (invariants I1, I2 and I9 of `docs/architecture.md`).
//!
//! Three bounds stand beside each other: wrong PINs in a row (a match, an unlock or a new PIN refills them),
//! wrong PINs within 30 days, and wrong PINs against one PIN version. Nothing refills the last two but time
//! and a new PIN respectively.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Wrong PINs allowed within [`TRIES_WINDOW_MS`].
pub const TRIES_LONG_RUN_MAX: usize = 10;
/// The window of [`TRIES_LONG_RUN_MAX`]: 30 days, in milliseconds.
pub const TRIES_WINDOW_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Wrong PINs allowed against one PIN version, whatever happens between them.
pub const TRIES_PER_VERSION_MAX: u8 = 30;

/// The record of wrong PINs of one card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    left: u8,
    this_version: u8,
    /// Moments of the latest wrong PINs, oldest first, at most [`TRIES_LONG_RUN_MAX`].
    recent: Vec<Timestamp>,
}

/// Why no PIN may be compared now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// Too many wrong PINs in a row: the cardmember can unlock it.
    InARow,
    /// Too many wrong PINs within 30 days: only time helps, until the given moment.
    LongRun { until: Timestamp },
    /// Too many wrong PINs against this PIN: only a new PIN helps.
    ThisPin,
}

impl Tries {
    /// A card that has never seen a wrong PIN.
    #[must_use]
    pub fn full(tries_max: u8) -> Self {
        Self {
            left: tries_max,
            this_version: 0,
            recent: Vec::new(),
        }
    }

    /// Wrong PINs left before the PIN locks.
    #[must_use]
    pub fn left(&self) -> u8 {
        self.left
    }

    /// Whether comparing a PIN is forbidden now, and why. The longest-lasting reason wins.
    #[must_use]
    pub fn locked(&self, now: Timestamp) -> Option<Locked> {
        if self.this_version >= TRIES_PER_VERSION_MAX {
            return Some(Locked::ThisPin);
        }
        self.locked_by_window(now)
            .or((self.left == 0).then_some(Locked::InARow))
    }

    fn locked_by_window(&self, now: Timestamp) -> Option<Locked> {
        let oldest = *self.recent.first()?;
        let until = oldest.plus_ms(TRIES_WINDOW_MS);
        (self.recent.len() >= TRIES_LONG_RUN_MAX && now < until).then_some(Locked::LongRun { until })
    }

    /// Charges one wrong PIN.
    pub fn charge(&mut self, now: Timestamp) {
        self.left = self.left.saturating_sub(1);
        self.this_version = self.this_version.saturating_add(1);
        if self.recent.len() == TRIES_LONG_RUN_MAX {
            self.recent.remove(0);
        }
        self.recent.push(now);
    }

    /// A right PIN refills the tries in a row.
    pub fn matched(&mut self, tries_max: u8) {
        self.left = tries_max;
    }

    /// Refills the tries in a row on the cardmember's authorised request.
    ///
    /// Refuses while one of the two long-run bounds stands.
    pub fn unlock(&mut self, tries_max: u8, now: Timestamp) -> Result<(), Locked> {
        match self.locked(now) {
            Some(locked @ (Locked::LongRun { .. } | Locked::ThisPin)) => Err(locked),
            Some(Locked::InARow) | None => {
                self.left = tries_max;
                Ok(())
            }
        }
    }

    /// A new PIN starts its own count; the 30-day window goes on.
    pub fn new_version(&mut self, tries_max: u8) {
        self.left = tries_max;
        self.this_version = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const MINUTE_MS: i64 = 60_000;

    fn after_wrong_pins(count: i64) -> Tries {
        let mut tries = Tries::full(3);
        for minute in 0..count {
            tries.charge(NOW.plus_ms(minute * MINUTE_MS));
            tries.matched(3);
        }
        tries
    }

    #[test]
    fn the_third_wrong_pin_in_a_row_locks() {
        let mut tries = Tries::full(3);
        tries.charge(NOW);
        tries.charge(NOW);
        assert_eq!(tries.locked(NOW), None);
        tries.charge(NOW);
        assert_eq!(tries.locked(NOW), Some(Locked::InARow));
        assert_eq!(tries.unlock(3, NOW), Ok(()));
        assert_eq!(tries.left(), 3);
    }

    #[test]
    fn ten_wrong_pins_in_thirty_days_lock_whatever_lies_between_them() {
        let mut tries = after_wrong_pins(10);
        let until = NOW.plus_ms(TRIES_WINDOW_MS);
        let later = NOW.plus_ms(60 * MINUTE_MS);
        assert_eq!(tries.locked(later), Some(Locked::LongRun { until }));
        assert_eq!(tries.unlock(3, later), Err(Locked::LongRun { until }));
        tries.new_version(3);
        assert_eq!(tries.locked(later), Some(Locked::LongRun { until }));
        assert_eq!(tries.locked(until), None);
    }

    #[test]
    fn thirty_wrong_pins_against_one_pin_lock_it_until_a_new_pin_is_set() {
        let mut tries = Tries::full(3);
        for month in 0..30 {
            tries.charge(NOW.plus_ms(month * TRIES_WINDOW_MS));
            tries.matched(3);
        }
        let later = NOW.plus_ms(31 * TRIES_WINDOW_MS);
        assert_eq!(tries.locked(later), Some(Locked::ThisPin));
        assert_eq!(tries.unlock(3, later), Err(Locked::ThisPin));
        tries.new_version(3);
        assert_eq!(tries.locked(later), None);
    }
}
