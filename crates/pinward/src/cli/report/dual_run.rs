//! `pinward report dual-run`: counts the journal's comparisons with an existing PIN verifier.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use cards::{CardRef, Timestamp};
use clap::Args;
use issuer::dual_run::AUDIT_KIND;
use serde::{Deserialize, Serialize};
use store::{AuditRecord, Store, StoreFault};

use super::super::place::Place;
use crate::clock;
use crate::failure::Failure;

/// Records read at a time.
const PAGE_LEN: u32 = 1_000;
const MS_PER_DAY: i64 = 24 * 60 * 60 * 1000;
/// Cards named per kind of difference; JSON names them all.
const CARDS_SHOWN: usize = 5;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only comparisons of this many days
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    days: u16,
    /// The report as JSON, with every card
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// What dual running has shown.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Requests that both judged alike.
    agreed: u64,
    /// Requests that they judged differently.
    differed: u64,
    /// Requests of which one of them told nothing about the PIN: declined for another reason, or a fault.
    not_compared: u64,
    /// The two latter, most requests first.
    differences: Vec<Difference>,
}

#[derive(Debug, Serialize)]
struct Difference {
    /// Names as in [`issuer::dual_run::Verdict::name`].
    ours: String,
    theirs: String,
    requests: u64,
    /// References of the cards concerned.
    cards: Vec<String>,
}

/// The detail of a `dual_run` record.
#[derive(Deserialize)]
struct Compared {
    /// Null where one of them told nothing about the PIN.
    agree: Option<bool>,
    ours: String,
    theirs: String,
}

pub(super) async fn run(arguments: Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let opened = arguments.place.open().await?;
    let since = clock::now().plus_ms(-i64::from(arguments.days) * MS_PER_DAY);
    let report = count(opened.desk.store.as_ref(), since).await;
    opened.hsm.close().await;
    let report = report?;
    if arguments.json {
        return super::json(&report, out);
    }
    Ok(tell(&report, arguments.days, out)?)
}

async fn count(store: &dyn Store, since: Timestamp) -> Result<Report, StoreFault> {
    let mut report = Report::default();
    let mut kinds: BTreeMap<(String, String), (u64, BTreeSet<CardRef>)> = BTreeMap::new();
    let mut next = 1;
    loop {
        let page = store.audit_from(next, PAGE_LEN).await?;
        let Some(last) = page.last() else { break };
        next = last.sequence + 1;
        for record in page.iter().filter(|record| record.at >= since) {
            let Some(Compared { agree, ours, theirs }) = compared(record) else {
                continue;
            };
            let count = match agree {
                Some(true) => &mut report.agreed,
                Some(false) => &mut report.differed,
                None => &mut report.not_compared,
            };
            *count += 1;
            if agree != Some(true) {
                let (requests, cards) = kinds.entry((ours, theirs)).or_default();
                *requests += 1;
                cards.extend(record.card);
            }
        }
    }
    report.differences = kinds
        .into_iter()
        .map(|((ours, theirs), (requests, cards))| Difference {
            ours,
            theirs,
            requests,
            cards: cards.iter().map(CardRef::to_string).collect(),
        })
        .collect();
    report
        .differences
        .sort_by_key(|difference| Reverse(difference.requests));
    Ok(report)
}

fn compared(record: &AuditRecord) -> Option<Compared> {
    if record.kind != AUDIT_KIND {
        return None;
    }
    serde_json::from_str(&record.detail).ok()
}

fn tell(report: &Report, days: u16, out: &mut dyn Write) -> io::Result<()> {
    let compared = report.agreed + report.differed;
    writeln!(
        out,
        "{compared} PINs were judged by both in {}: {} alike, {} differently.",
        super::days(days.into()),
        report.agreed,
        report.differed
    )?;
    if report.not_compared > 0 {
        writeln!(out, "Judged by one alone: {}.", report.not_compared)?;
    }
    for difference in &report.differences {
        let shown: Vec<&str> = difference
            .cards
            .iter()
            .take(CARDS_SHOWN)
            .map(String::as_str)
            .collect();
        let more = difference.cards.len().saturating_sub(CARDS_SHOWN);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        writeln!(
            out,
            "  here {:<12} there {:<12} {:>6} requests  cards {}{more}",
            difference.ours,
            difference.theirs,
            difference.requests,
            shown.join(" ")
        )?;
    }
    Ok(())
}
