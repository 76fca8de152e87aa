//! The command line: one command per file.
//!
//! Results go to standard output, everything else to standard error.

mod audit;
mod card;
#[cfg(feature = "simulators")]
mod demo;
mod hsm;
mod import;
mod keys;
mod password;
mod place;
mod report;
mod serve;

use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::logging::{self, LogFormat};

use crate::failure::Failure;

#[derive(Debug, Parser)]
#[command(name = "pinward", version, about = "The PIN desk of a card issuer")]
struct Cli {
    /// How log lines look; PINWARD_LOG chooses which (for example pinward=debug)
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    log: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a demo issuer on this machine: portal, host, HSM, chip cards and shops
    #[cfg(feature = "simulators")]
    Demo(demo::Arguments),
    /// Run the PIN desk
    Serve(serve::Arguments),
    /// Run the software HSM
    Hsm(hsm::Arguments),
    /// Bring in cardmembers and cards from CSV files
    Import(import::Arguments),
    /// Look after the audit chain
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Ask about a card, give it a new plastic, send its script again
    #[command(subcommand)]
    Card(card::CardCommand),
    /// See how far a migration is: chips that lag, verifiers that differ
    #[command(subcommand)]
    Report(report::ReportCommand),
    /// Set a cardmember's password, read from standard input
    Password(password::Arguments),
    /// Look after the HSM's keys
    Keys(keys::Arguments),
    /// Simulated chip card, terminals, acquirer and bureau
    #[cfg(feature = "simulators")]
    #[command(subcommand)]
    Sim(sim::cli::SimCommand),
}

/// Runs the command of this process's arguments.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    logging::start(cli.log, default_log_level(&cli.command));
    match run_command(cli.command) {
        Ok(code) => code,
        Err(failure @ Failure::OutputClosed) => failure.exit_code(),
        Err(failure) => {
            // Where standard error is closed, the exit code alone has to do.
            let _ = writeln!(io::stderr(), "pinward: {failure}");
            failure.exit_code()
        }
    }
}

/// Services tell what they do; commands for people speak up only when something is wrong.
fn default_log_level(command: &Command) -> &'static str {
    match command {
        Command::Serve(_) | Command::Hsm(_) => "info",
        _ => "warn",
    }
}

fn run_command(command: Command) -> Result<ExitCode, Failure> {
    let out = &mut io::stdout();
    let done = match command {
        #[cfg(feature = "simulators")]
        Command::Demo(arguments) => on_runtime(demo::run(arguments, out)),
        Command::Serve(arguments) => on_runtime(serve::run(arguments)),
        Command::Hsm(arguments) => hsm::run(&arguments),
        Command::Import(arguments) => on_runtime(import::run(arguments, out)),
        Command::Audit(command) => on_runtime(audit::run(command, out)),
        Command::Card(command) => on_runtime(card::run(command, out)),
        Command::Report(command) => on_runtime(report::run(command, out)),
        Command::Password(arguments) => on_runtime(password::run(arguments, out)),
        Command::Keys(arguments) => on_runtime(keys::run(arguments, out)),
        #[cfg(feature = "simulators")]
        Command::Sim(command) => return on_runtime(async { Ok(sim::cli::run(command).await) }),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn on_runtime<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|cause| Failure::Unavailable(format!("no runtime: {cause}")))?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
