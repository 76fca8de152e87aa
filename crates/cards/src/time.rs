//! A moment, as an argument. Only the edges of the program read a clock.

use serde::{Deserialize, Serialize};

const MS_PER_DAY: i64 = 86_400_000;
const DAYS_PER_400_YEARS: i64 = 146_097;

/// Milliseconds since 1970-01-01T00:00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment plus `ms` milliseconds, saturating at the ends of time.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; negative when `earlier` is later.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Year and month (1 to 12) in UTC, by the proleptic Gregorian calendar.
    #[must_use]
    pub fn utc_year_month(self) -> (u16, u8) {
        // Days are counted from 1 March of year 0, so that the leap day ends a year; 719,468 of them precede 1970.
        let days = self.0.div_euclid(MS_PER_DAY) + 719_468;
        let era = days.div_euclid(DAYS_PER_400_YEARS);
        let day_of_era = days.rem_euclid(DAYS_PER_400_YEARS);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        (
            u16::try_from(year).unwrap_or(u16::MAX),
            u8::try_from(month).expect("1 to 12 by construction"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_turn_at_midnight_utc_leap_years_included() {
        let rows = [
            (0, (1970, 1)),
            (951_782_400_000 - 1, (2000, 2)),
            (951_782_400_000, (2000, 2)),
            (951_868_800_000, (2000, 3)),
            (1_798_761_599_999, (2026, 12)),
            (1_798_761_600_000, (2027, 1)),
            (4_107_542_400_000, (2100, 3)),
        ];
        for (ms, expect) in rows {
            assert_eq!(Timestamp(ms).utc_year_month(), expect, "{ms}");
        }
    }
}
