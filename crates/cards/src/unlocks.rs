//! How often a card's PIN was unlocked lately (`security.md` A11, invariant I9).

use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

use crate::{TRIES_WINDOW_MS, Timestamp};

/// Unlocks allowed within [`TRIES_WINDOW_MS`] where the programme doesn't say otherwise.
pub const UNLOCKS_MAX: NonZeroU8 = NonZeroU8::new(2).expect("two isn't zero");

/// The unlocks of one card, by whichever channel. Neither a new PIN nor a new plastic takes any of them back: only time
/// does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlocks {
    /// Oldest first; those that were within the window at the latest unlock.
    recent: Vec<Timestamp>,
}

impl Unlocks {
    /// Until when the card can't be unlocked again; `None` where it can be now.
    #[must_use]
    pub fn used_up(&self, unlocks_max: NonZeroU8, now: Timestamp) -> Option<Timestamp> {
        let mut newest_first = self.recent.iter().rev();
        let oldest_that_counts = newest_first.nth(usize::from(unlocks_max.get()) - 1)?;
        let until = oldest_that_counts.plus_ms(TRIES_WINDOW_MS);
        (now < until).then_some(until)
    }

    /// Counts one unlock.
    pub(crate) fn add(&mut self, now: Timestamp) {
        self.recent.retain(|at| now < at.plus_ms(TRIES_WINDOW_MS));
        self.recent.push(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;

    fn day(number: i64) -> Timestamp {
        NOW.plus_ms(number * DAY_MS)
    }

    #[test]
    fn two_unlocks_within_thirty_days_are_all_until_the_first_of_them_is_thirty_days_ago() {
        let mut unlocks = Unlocks::default();
        unlocks.add(day(0));
        assert_eq!(unlocks.used_up(UNLOCKS_MAX, day(1)), None);
        unlocks.add(day(10));
        assert_eq!(unlocks.used_up(UNLOCKS_MAX, day(10)), Some(day(30)));
        assert_eq!(unlocks.used_up(UNLOCKS_MAX, day(30).plus_ms(-1)), Some(day(30)));
        assert_eq!(unlocks.used_up(UNLOCKS_MAX, day(30)), None);
        unlocks.add(day(30));
        assert_eq!(unlocks.used_up(UNLOCKS_MAX, day(30)), Some(day(40)));
    }

    #[test]
    fn a_clock_that_was_set_back_gives_no_unlock_away() {
        let mut unlocks = Unlocks::default();
        unlocks.add(day(0));
        unlocks.add(day(1));
        assert_eq!(unlocks.used_up(UNLOCKS_MAX, day(-400)), Some(day(30)));
    }

    #[test]
    fn a_programme_that_lowers_its_limit_waits_for_the_latest_unlocks() {
        let mut unlocks = Unlocks::default();
        unlocks.add(day(0));
        unlocks.add(day(10));
        assert_eq!(unlocks.used_up(NonZeroU8::MIN, day(30)), Some(day(40)));
    }
}
