//! What a load measured.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use iso8583::response_code::{RESPONSE_00_APPROVED, RESPONSE_75_PIN_TRIES_EXCEEDED};
use serde::Serialize;

/// One answer, as it is kept while the load runs.
#[derive(Clone, Copy)]
pub(super) struct Answered {
    pub(super) code: [u8; 2],
    pub(super) wrong_pin: bool,
    pub(super) latency: Duration,
    /// Whether it came within the measured time, not after it.
    pub(super) in_time: bool,
}

/// Counts while the load runs.
#[derive(Default)]
pub(super) struct Counts {
    codes: BTreeMap<[u8; 2], u64>,
    right_pins_declined: u64,
    wrong_pins_approved: u64,
    answers: u64,
    /// Of the answers in time, in microseconds.
    latencies_us: Vec<u32>,
}

/// The figures of one load.
#[derive(Debug, Serialize)]
pub struct LoadReport {
    /// Answers of the whole run, those to the last requests under way included.
    pub answers: u64,
    /// Answers within the measured time, per second of it.
    pub answers_per_second: u64,
    /// From a request's write to its answer's read, in microseconds.
    pub p50_us: u32,
    pub p99_us: u32,
    pub max_us: u32,
    /// How often each response code (DE39) came.
    pub codes: BTreeMap<String, u64>,
    /// Right PINs that weren't approved; 0 for a working issuer.
    pub right_pins_declined: u64,
    /// Wrong PINs that were approved: 0 for an issuer that compares PINs, one in 10,000 for one that compares PVVs, all of
    /// them for a host that compares nothing.
    pub wrong_pins_approved: u64,
    /// Answers with code 75.
    pub locked: u64,
    /// The client's own processor time per answer, in nanoseconds.
    pub client_cpu_ns: u64,
}

impl Counts {
    pub(super) fn count(&mut self, answered: Answered) {
        let approved = answered.code == RESPONSE_00_APPROVED;
        *self.codes.entry(answered.code).or_default() += 1;
        self.answers += 1;
        self.right_pins_declined += u64::from(!approved && !answered.wrong_pin);
        self.wrong_pins_approved += u64::from(approved && answered.wrong_pin);
        if answered.in_time {
            self.latencies_us
                .push(u32::try_from(answered.latency.as_micros()).unwrap_or(u32::MAX));
        }
    }

    pub(super) fn report(mut self, measured: Duration, cpu: Duration) -> LoadReport {
        self.latencies_us.sort_unstable();
        let in_time = self.latencies_us.len();
        let quantile = |permille: usize| {
            let place = (in_time * permille / 1000).min(in_time.saturating_sub(1));
            self.latencies_us.get(place).copied().unwrap_or_default()
        };
        let rounded = |whole: u128| u64::try_from(whole).unwrap_or(u64::MAX);
        let in_time_wide = u128::try_from(in_time).unwrap_or_default();
        LoadReport {
            answers: self.answers,
            answers_per_second: rounded(in_time_wide * 1000 / measured.as_millis().max(1)),
            p50_us: quantile(500),
            p99_us: quantile(990),
            max_us: quantile(1000),
            right_pins_declined: self.right_pins_declined,
            wrong_pins_approved: self.wrong_pins_approved,
            locked: self
                .codes
                .get(&RESPONSE_75_PIN_TRIES_EXCEEDED)
                .copied()
                .unwrap_or_default(),
            client_cpu_ns: rounded(cpu.as_nanos() / u128::from(self.answers.max(1))),
            codes: self
                .codes
                .iter()
                .map(|(code, count)| (String::from_utf8_lossy(code).into_owned(), *count))
                .collect(),
        }
    }
}

impl LoadReport {
    /// For people.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let codes: Vec<String> = self
            .codes
            .iter()
            .map(|(code, count)| format!("{code}: {count}"))
            .collect();
        writeln!(
            out,
            "answers     {}, {} per second\nlatency     p50 {} µs, p99 {} µs, max {} µs\ncodes       {}\n\
             right PINs declined {}, wrong PINs approved {}, locked {}\nclient      {} ns of processor time per answer",
            self.answers,
            self.answers_per_second,
            self.p50_us,
            self.p99_us,
            self.max_us,
            codes.join(", "),
            self.right_pins_declined,
            self.wrong_pins_approved,
            self.locked,
            self.client_cpu_ns
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_after_the_measured_time_count_but_not_towards_the_rate() {
        let mut counts = Counts::default();
        for (ms, in_time) in [(1, true), (2, true), (3, true), (900, false)] {
            counts.count(Answered {
                code: *b"00",
                wrong_pin: false,
                latency: Duration::from_millis(ms),
                in_time,
            });
        }
        let report = counts.report(Duration::from_secs(1), Duration::from_micros(8));
        assert_eq!((report.answers, report.answers_per_second), (4, 3));
        assert_eq!(
            (report.p50_us, report.max_us, report.client_cpu_ns),
            (2_000, 3_000, 2_000)
        );
    }

    #[test]
    fn a_wrong_pin_that_is_approved_and_a_right_one_that_is_declined_are_told() {
        let mut counts = Counts::default();
        for (code, wrong_pin) in [(*b"00", false), (*b"55", true), (*b"00", true), (*b"75", false)] {
            counts.count(Answered {
                code,
                wrong_pin,
                latency: Duration::ZERO,
                in_time: true,
            });
        }
        let report = counts.report(Duration::from_secs(1), Duration::ZERO);
        assert_eq!(
            (
                report.wrong_pins_approved,
                report.right_pins_declined,
                report.locked
            ),
            (1, 1, 1)
        );
    }
}
