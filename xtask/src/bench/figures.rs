//! What the bench measures, and how it is printed.

use serde::Deserialize;

use super::WRONG_PIN_EVERY;
use crate::run::say;

/// What `pinward sim load --json` prints; its own documentation says what each is.
#[derive(Deserialize)]
pub(super) struct Report {
    pub(super) answers: u64,
    pub(super) answers_per_second: u64,
    pub(super) p50_us: u32,
    pub(super) p99_us: u32,
    pub(super) right_pins_declined: u64,
    pub(super) wrong_pins_approved: u64,
    pub(super) locked: u64,
    pub(super) client_cpu_ns: u64,
}

/// One load on one host.
pub(super) struct Round {
    pub(super) report: Report,
    /// Of the host's process, in nanoseconds per answer.
    pub(super) cpu_ns: u64,
    /// Of the HSM process.
    pub(super) hsm_cpu_ns: u64,
    /// Bytes that the host's process had written to the disk, per answer.
    pub(super) written: u64,
}

/// One load on each host, one after the other.
pub(super) struct Turn {
    pub(super) product: Round,
    pub(super) raw: Round,
    pub(super) bare: Round,
}

impl Turn {
    /// The two hosts that compare PINs did.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.product.report.wrong_pins_approved > 0 {
            return Err("the product approved a wrong PIN".to_owned());
        }
        // One wrong PIN in 10,000 has the right one's PVV; cards are few, so allow for a hundred times as many.
        if self.raw.report.wrong_pins_approved > self.raw.report.answers / (WRONG_PIN_EVERY * 100) {
            return Err("the raw host doesn't compare PINs".to_owned());
        }
        for (name, round) in [("product", &self.product), ("raw host", &self.raw)] {
            if round.report.right_pins_declined > round.report.locked {
                return Err(format!("the {name} declined a right PIN"));
            }
        }
        Ok(())
    }
}

pub(super) fn print_round(number: &str, host: &str, round: &Round) {
    let report = &round.report;
    say(&format!(
        "{number:<10} {host:<10} {:>9} {:>9} {:>9} {:>12} {:>11} {:>10} {:>14}",
        report.answers_per_second,
        report.p50_us,
        report.p99_us,
        thousandths(round.cpu_ns),
        thousandths(round.hsm_cpu_ns),
        thousandths(report.client_cpu_ns),
        round.written,
    ));
}

pub(super) fn print_medians(turns: &[Turn]) {
    let of_product = |figure: fn(&Round) -> u64| median(turns.iter().map(|turn| figure(&turn.product)));
    let of_raw = |figure: fn(&Round) -> u64| median(turns.iter().map(|turn| figure(&turn.raw)));
    let of_bare = |figure: fn(&Round) -> u64| median(turns.iter().map(|turn| figure(&turn.bare)));
    let ratio = |figure: fn(&Round) -> u64, reference: fn(&Turn) -> &Round| {
        let of_turn = |turn: &Turn| figure(&turn.product) * 1000 / figure(reference(turn)).max(1);
        thousandths(median(turns.iter().map(of_turn)))
    };
    let rate: fn(&Round) -> u64 = |round| round.report.answers_per_second;
    let p50: fn(&Round) -> u64 = |round| u64::from(round.report.p50_us);
    let cpu: fn(&Round) -> u64 = |round| round.cpu_ns + round.hsm_cpu_ns;
    let against = |name: &str, does: &str, reference: fn(&Turn) -> &Round| {
        say(&format!(
            "against {name} ({does}): rate {}, p50 {}, CPU {}",
            ratio(rate, reference),
            ratio(p50, reference),
            ratio(cpu, reference),
        ));
    };
    say(&format!(
        "medians    product {} durable PIN verifications/s with {} µs of host and {} µs of HSM CPU and {} bytes written for each; \
         raw {}/s with {} µs; bare {}/s with {} µs; {} locked",
        of_product(rate),
        thousandths(of_product(|round| round.cpu_ns)),
        thousandths(of_product(|round| round.hsm_cpu_ns)),
        of_product(|round| round.written),
        of_raw(rate),
        thousandths(of_raw(cpu)),
        of_bare(rate),
        thousandths(of_bare(cpu)),
        turns.iter().map(|turn| turn.product.report.locked).sum::<u64>(),
    ));
    against("raw", "checks the PIN in memory, appends, syncs", |turn| {
        &turn.raw
    });
    against("bare", "appends and syncs only", |turn| &turn.bare);
}

/// `1234` as `1.23`.
fn thousandths(number: u64) -> String {
    format!("{}.{:02}", number / 1000, number % 1000 / 10)
}

fn median(figures: impl Iterator<Item = u64>) -> u64 {
    let mut figures: Vec<u64> = figures.collect();
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
