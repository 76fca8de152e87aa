//! `pinward report chips`: cards whose chip isn't known to have the host's PIN or that need attention, with age and last
//! contact use.

use std::io::{self, Write};

use cards::Timestamp;
use clap::Args;
use issuer::Desk;
use issuer::chip_lag::{LaggingCard, chip_lag};
use serde::Serialize;

use super::super::place::Place;
use crate::clock;
use crate::failure::Failure;

const MS_PER_DAY: i64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only cards whose new PIN or unlock has waited at least this many days
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    days: u16,
    /// The report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Serialize)]
struct Report {
    looked_at: usize,
    /// Longest waiting first.
    lagging: Vec<LaggingCard>,
}

pub(super) async fn run(arguments: Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let opened = arguments.place.open().await?;
    let now = clock::now();
    let report = collect(&opened.desk, now, arguments.days).await;
    opened.hsm.close().await;
    let report = report?;
    if arguments.json {
        return super::json(&report, out);
    }
    Ok(tell(&report, now, arguments.days, out)?)
}

async fn collect(desk: &Desk, now: Timestamp, days: u16) -> Result<Report, Failure> {
    let waits_from = now.0 - i64::from(days) * MS_PER_DAY;
    let mut report = Report {
        looked_at: 0,
        lagging: Vec::new(),
    };
    let mut after = None;
    loop {
        let page = chip_lag(desk, after, now).await?;
        report.looked_at += page.looked_at;
        let old_enough =
            |card: &LaggingCard| days == 0 || card.waits_since_ms.is_some_and(|since| since <= waits_from);
        report.lagging.extend(page.lagging.into_iter().filter(old_enough));
        if page.next.is_none() {
            break;
        }
        after = page.next;
    }
    report
        .lagging
        .sort_by_key(|card| card.waits_since_ms.unwrap_or(i64::MAX));
    Ok(report)
}

fn tell(report: &Report, now: Timestamp, days: u16, out: &mut dyn Write) -> io::Result<()> {
    let how_long = match days {
        0 => String::new(),
        days => format!(", for {} or longer", super::days(days.into())),
    };
    writeln!(
        out,
        "{} of {} cards have a chip that isn't known to have the host's PIN, or need attention{how_long}.",
        report.lagging.len(),
        report.looked_at
    )?;
    if report.lagging.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{:<16}  {:<5} {:<16} {:>4} {:>8}  {:>9}  {:<16}  next",
        "card", "last", "programme", "host", "chip", "waits", "last inserted"
    )?;
    for card in &report.lagging {
        let versions: Vec<String> = card.chip_versions.iter().map(version).collect();
        let waits = card.waits_since_ms.map_or_else(
            || "-".to_owned(),
            |since| super::days((now.0 - since) / MS_PER_DAY),
        );
        let inserted = card.contact_last_ms.map_or_else(
            || "never".to_owned(),
            |at| clock::utc(Timestamp(at), "%Y-%m-%d %H:%M"),
        );
        let next = match (card.attention, card.queued, card.sent) {
            (Some(why), _, _) => format!("needs attention ({why})"),
            (None, Some(queued), _) => queued.to_owned(),
            (None, None, Some(sent)) => format!("sent: {sent}"),
            (None, None, None) => "nothing to send".to_owned(),
        };
        writeln!(
            out,
            "{:<16}  …{:<4} {:<16} {:>4} {:>8}  {waits:>9}  {inserted:<16}  {next}",
            card.card,
            card.last_four,
            card.programme,
            card.host_version,
            versions.join(" or "),
        )?;
    }
    Ok(())
}

fn version(version: &u32) -> String {
    match version {
        0 => "none".to_owned(),
        version => version.to_string(),
    }
}
