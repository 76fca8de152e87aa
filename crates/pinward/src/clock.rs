//! The clock: the one place of this program that reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use cards::Timestamp;

/// This moment. A clock that is set before 1970 reads as 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge at which this program learns the time"
)]
pub(crate) fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// A moment in UTC, by a pattern of `strftime`. A moment outside jiff's years is shown as 1970.
pub(crate) fn utc(at: Timestamp, pattern: &str) -> String {
    let moment = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    moment
        .to_zoned(jiff::tz::TimeZone::UTC)
        .strftime(pattern)
        .to_string()
}
