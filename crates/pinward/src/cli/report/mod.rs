//! `pinward report`: what the operator looks at while cards move and chips follow.

mod chips;
mod dual_run;
mod owed;

use std::io::{self, Write};

use clap::Subcommand;

use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Cards whose chip isn't known to have the host's PIN, or that need attention
    Chips(chips::Arguments),
    /// How an existing PIN verifier and Pinward judged the same PINs
    DualRun(dual_run::Arguments),
    /// What issuers' own hosts have not answered so far: reversals and advices
    Owed(owed::Arguments),
}

pub(crate) async fn run(command: ReportCommand, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        ReportCommand::Chips(arguments) => chips::run(arguments, out).await,
        ReportCommand::DualRun(arguments) => dual_run::run(arguments, out).await,
        ReportCommand::Owed(arguments) => owed::run(arguments, out).await,
    }
}

fn json(report: &impl serde::Serialize, out: &mut dyn Write) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, report).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

fn days(count: i64) -> String {
    match count {
        1 => "1 day".to_owned(),
        count => format!("{count} days"),
    }
}
