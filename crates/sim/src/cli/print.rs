//! What the commands print.

use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cards::Pan;
use zeroize::Zeroizing;

use super::{EXIT_DECLINED, EXIT_UNAVAILABLE, Failure};
use crate::bureau::first_pins;
use crate::card::chip::Chip;
use crate::card::data_groups;
use crate::crypto::{self, CryptoCommand, StreamError};
use crate::load::report::LoadReport;
use crate::replay::Replayed;
use crate::terminal::journey::Journey;

pub(super) fn print_first_pins(zone_key: &Path, components: &[PathBuf]) -> Result<ExitCode, Failure> {
    let zone_key = first_pins::read_zone_key(zone_key, components).map_err(Failure::usage)?;
    let mut out = io::stdout().lock();
    for (number, line) in (1..).zip(io::stdin().lock().lines()) {
        let line = line.map(Zeroizing::new).map_err(Failure::usage)?;
        let pan =
            Pan::parse(line.trim()).map_err(|error| Failure::usage(format!("line {number}: {error}")))?;
        let block = first_pins::pin_block(&zone_key, &pan).map_err(Failure::usage)?;
        writeln!(out, "{block}").map_err(Failure::unavailable)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn answer_cases(command: CryptoCommand) -> Result<ExitCode, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    crypto::answer_lines(command, io::stdin().lock(), &mut out)
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| match error {
            StreamError::Input(_) => Failure::usage(error),
            StreamError::Output(_) => Failure::unavailable(error),
        })
}

pub(super) fn print_paths(paths: &[PathBuf]) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    for path in paths {
        writeln!(out, "{}", path.display()).map_err(Failure::unavailable)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a person may see of a simulated card: never its PIN or keys.
pub(super) fn print_card(chip: &Chip) -> Result<ExitCode, Failure> {
    let (perso, state) = (chip.perso(), chip.state());
    let mut out = io::stdout().lock();
    let has_pin = if state.pin.is_some() { "yes" } else { "no" };
    writeln!(
        out,
        "card {}\nnumber …{}\nexpires {}\ntransactions {}\nPIN {has_pin}\nPIN tries left {} of {}",
        perso.card_ref,
        perso.pan.last_four(),
        perso.expiry.printed(),
        state.atc,
        state.pin_tries_left,
        perso.pin_try_limit,
    )
    .map_err(Failure::unavailable)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn print_report(report: &LoadReport, json: bool) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report).map_err(Failure::unavailable)?;
        writeln!(out).map_err(Failure::unavailable)?;
    } else {
        report.print(&mut out).map_err(Failure::unavailable)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn print_journey(journey: &Journey, json: bool) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    let outcome = &journey.outcome;
    if json {
        serde_json::to_writer_pretty(&mut out, journey).map_err(Failure::unavailable)?;
        writeln!(out).map_err(Failure::unavailable)?;
    } else {
        for line in outcome.display.iter().chain(&outcome.receipt) {
            writeln!(out, "{line}").map_err(Failure::unavailable)?;
        }
    }
    Ok(match outcome {
        outcome if outcome.approved => ExitCode::SUCCESS,
        outcome if outcome.host_unreachable => ExitCode::from(EXIT_UNAVAILABLE),
        _ => ExitCode::from(EXIT_DECLINED),
    })
}

/// A card's whole personalisation, keys and PIN included.
pub(super) fn print_personalisation(chip: &Chip) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &data_groups::expose_all(chip.perso()))
        .map_err(Failure::unavailable)?;
    writeln!(out).map_err(Failure::unavailable)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn print_replay(replayed: &Replayed, json: bool) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, replayed).map_err(Failure::unavailable)?;
        writeln!(out).map_err(Failure::unavailable)?;
    } else {
        for entry in &replayed.entries {
            let (line, title, got) = (entry.line, &entry.title, &entry.got);
            if entry.is_as_expected() {
                writeln!(out, "line {line}: {title}: {got}").map_err(Failure::unavailable)?;
            } else {
                let wanted = entry.wanted_instead.join(", ");
                writeln!(
                    out,
                    "line {line}: {title}: NOT AS EXPECTED: {got}; wanted {wanted}"
                )
                .map_err(Failure::unavailable)?;
            }
        }
        let (right, wrong) = (replayed.as_expected, replayed.not_as_expected);
        writeln!(out, "{right} as expected, {wrong} not").map_err(Failure::unavailable)?;
    }
    Ok(if replayed.not_as_expected == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_DECLINED)
    })
}
