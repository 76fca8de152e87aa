//! `pinward card status CARD`: which PIN works where, and the evidence for it.

use std::io::{self, Write};

use cards::{CardRef, Pan, Timestamp};
use clap::{Args, Subcommand};
use issuer::Desk;
use issuer::card_status::{AttemptReport, CardReport, card_status};
use zeroize::Zeroizing;

use super::place::Place;
use crate::clock;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum CardCommand {
    /// Which PIN works where, and the evidence for it
    Status(Status),
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The card's 16-digit hexadecimal reference, or - to read its number (PAN) from standard input
    card: String,
    /// The report as JSON, as the API gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn run(command: CardCommand, out: &mut dyn Write) -> Result<(), Failure> {
    let CardCommand::Status(arguments) = command;
    let asked = Asked::read(&arguments.card)?;
    let opened = arguments.place.open().await?;
    let report = report(&opened.desk, asked).await;
    opened.hsm.close().await;
    let report = report?;
    if arguments.json {
        let json =
            serde_json::to_string_pretty(&report).map_err(|error| Failure::Fault(error.to_string()))?;
        writeln!(out, "{json}")?;
    } else {
        tell(&report, out)?;
    }
    Ok(())
}

enum Asked {
    Reference(CardRef),
    Pan(Pan),
}

impl Asked {
    /// A PAN comes by standard input only: arguments are seen by everybody on the machine.
    fn read(argument: &str) -> Result<Self, Failure> {
        if argument != "-" {
            let reference = argument
                .parse()
                .map_err(|error| Failure::Usage(format!("CARD: {error}")))?;
            return Ok(Self::Reference(reference));
        }
        let mut line = Zeroizing::new(String::new());
        io::stdin().read_line(&mut line)?;
        let pan =
            Pan::parse(line.trim()).map_err(|error| Failure::BadData(format!("standard input: {error}")))?;
        Ok(Self::Pan(pan))
    }
}

async fn report(desk: &Desk, asked: Asked) -> Result<CardReport, Failure> {
    let card = match asked {
        Asked::Reference(card) => desk.store.card(card).await?.map(|record| record.key),
        Asked::Pan(pan) => {
            let keys = desk.hsm.card_keys(vec![pan]).await?;
            let records = desk.store.cards(keys).await?;
            records.into_iter().flatten().next().map(|record| record.key)
        }
    };
    let card = card.ok_or_else(|| Failure::Refused("there is no such card".to_owned()))?;
    Ok(card_status(desk, card.row, clock::now()).await?)
}

fn tell(report: &CardReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "Card {}  {} …{}  {}  {}  expires {}",
        report.card, report.programme, report.last_four, report.role, report.status, report.expiry
    )?;
    let host = &report.host;
    writeln!(out, "\nHost")?;
    match host.version {
        0 => writeln!(out, "  PIN       none")?,
        version => writeln!(
            out,
            "  PIN       version {version}{}",
            either(host.viewable, "", ", can't be viewed")
        )?,
    }
    writeln!(
        out,
        "  tries     {} left{}",
        host.tries_left,
        either(host.locked, ", locked", "")
    )?;
    let chip = &report.chip;
    writeln!(out, "\nChip")?;
    match chip.known_version {
        Some(0) => writeln!(out, "  PIN       none")?,
        Some(version) => writeln!(out, "  PIN       version {version}, proven")?,
        None => writeln!(
            out,
            "  PIN       one of versions {}",
            list(&chip.possible_versions)
        )?,
    }
    writeln!(
        out,
        "  tries     {}",
        either(
            chip.pin_blocked,
            "used up, says the chip",
            "not used up, as far as the chip said"
        )
    )?;
    match chip.atc_last {
        Some(atc) => writeln!(
            out,
            "  counter   {atc:04X}, the last that a valid cryptogram carried"
        )?,
        None => writeln!(out, "  counter   none seen yet")?,
    }
    writeln!(out, "\nScripts")?;
    writeln!(
        out,
        "  queued    {}{}",
        report.script.queued.unwrap_or("none"),
        either(report.script.needs_attention, ", stopped: needs attention", "")
    )?;
    if let Some(sent) = &report.script.in_flight {
        let reversed = either(sent.reversed, ", reversed", "");
        writeln!(
            out,
            "  in flight {} of version {} with counter {:04X}{reversed}",
            sent.kind, sent.version, sent.atc
        )?;
    }
    for attempt in &report.script.attempts {
        tell_attempt(attempt, out)?;
    }
    Ok(())
}

fn tell_attempt(attempt: &AttemptReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "  {:>3}. {} of version {}, sent {} with counter {:04X}: {}",
        attempt.attempt,
        attempt.kind,
        attempt.version,
        moment(attempt.sent_at_ms),
        attempt.atc,
        attempt.outcome
    )?;
    if let Some(at) = attempt.resolved_at_ms {
        writeln!(out, "       {} {}", moment(at), attempt.evidence)?;
    }
    Ok(())
}

fn moment(ms: i64) -> String {
    clock::utc(Timestamp(ms), "%Y-%m-%d %H:%M:%S UTC")
}

fn either(condition: bool, yes: &'static str, no: &'static str) -> &'static str {
    if condition { yes } else { no }
}

fn list(versions: &[u32]) -> String {
    let texts: Vec<String> = versions.iter().map(u32::to_string).collect();
    texts.join(", ")
}
