//! `pinward report dual-run`: counts the journal's comparisons with an existing PIN verifier.
//!
//! The journal goes by page by page. What stays in memory is the cards of each kind of difference, 8 bytes each.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use cards::{CardRef, Timestamp};
use clap::Args;
use issuer::dual_run::AUDIT_KIND;
use serde::{Deserialize, Serialize, Serializer};
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
    #[serde(serialize_with = "references")]
    cards: BTreeSet<CardRef>,
}

fn references<S: Serializer>(cards: &BTreeSet<CardRef>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(cards.iter().map(CardRef::to_string))
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
            cards,
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
        let cards = difference.cards.iter().take(CARDS_SHOWN);
        let shown: Vec<String> = cards.map(CardRef::to_string).collect();
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

#[cfg(test)]
mod tests {
    use issuer::dual_run::Verdict;
    use store::{AuditEvent, SqliteStore};
    use tempfile::TempDir;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn comparison(card: u64, ours: Verdict, at: Timestamp) -> AuditEvent {
        let agree = ours == Verdict::Match;
        AuditEvent {
            at,
            kind: AUDIT_KIND,
            card: Some(CardRef(card)),
            actor: "link:acquirer-1".to_owned(),
            detail: format!(r#"{{"agree":{agree},"ours":"{}","theirs":"match"}}"#, ours.name()),
        }
    }

    #[tokio::test]
    async fn comparisons_of_the_days_wanted_are_counted_over_all_pages_of_the_journal() {
        let directory = TempDir::new().unwrap();
        let store = SqliteStore::open(directory.path().join("pinward.sqlite")).unwrap();
        let pages = 3 * u64::from(PAGE_LEN);
        let long_ago = NOW.plus_ms(-31 * MS_PER_DAY);
        let events = (0..pages).map(|number| match number % 3 {
            0 => comparison(number, Verdict::Match, NOW),
            1 => comparison(number % 10, Verdict::NoMatch, NOW),
            _ => comparison(number, Verdict::NoMatch, long_ago),
        });
        store.append_audit(events.collect()).await.unwrap();
        let report = count(&store, NOW.plus_ms(-30 * MS_PER_DAY)).await.unwrap();
        assert_eq!((report.agreed, report.differed), (pages / 3, pages / 3));
        assert_eq!(report.differences.len(), 1);
        assert_eq!(report.differences[0].cards.len(), 10);

        let mut json = Vec::new();
        super::super::json(&report, &mut json).unwrap();
        let json = String::from_utf8(json).unwrap();
        assert!(json.contains(r#""0000000000000009""#) && json.ends_with("}\n"));
    }
}
