//! `pinward sim …`: the simulators on the command line.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | approved, or done |
//! | 1 | declined; in a replay: something came out other than expected |
//! | 2 | the command line or a file it names can't be used |
//! | 69 | the host (or the reader) can't be reached |

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use self::print::{
    answer_cases, print_card, print_first_pins, print_paths, print_personalisation, print_replay,
    print_report,
};
use self::transaction::{AtmOptions, CardFiles, PosOptions, ShopOptions, TapOptions, TerminalOptions};
use crate::acquirer::Acquirer;
use crate::bureau::{self, components};
use crate::card::profile::CardProfile;
use crate::crypto::CryptoCommand;
use crate::load::client::{self, LoadOptions};
use crate::load::reference::{self, ReferenceHostOptions};
use crate::load::stock::{self, StockOptions};
use crate::replay;
use crate::sandbox::{self, SandboxOptions};
use crate::vpcd;

mod print;
pub mod transaction;

const EXIT_DECLINED: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_UNAVAILABLE: u8 = 69;

/// A simulated card, terminal, acquirer or bureau.
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// Make two new key components for the key that issuer, bureau and acquirer share
    Components {
        /// Folder for component-1.txt and component-2.txt
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Choose first PINs for card numbers, read from standard input one per line, and print their PIN blocks as an import
    /// file wants them
    FirstPins {
        /// The zone key: file with its TR-31 block
        #[arg(long, value_name = "FILE")]
        zone_key: PathBuf,
        /// A component file; give it twice or more
        #[arg(long = "component", value_name = "FILE", required = true)]
        components: Vec<PathBuf>,
    },
    /// Make cards of the issuer's export
    Bureau {
        /// The issuer's export, JSON
        #[arg(long, value_name = "FILE")]
        export: PathBuf,
        /// A component file; give it twice or more
        #[arg(long = "component", value_name = "FILE", required = true)]
        components: Vec<PathBuf>,
        /// Folder for the cards
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// What the cards are like, a card profile's name or TOML file [default: the profile that the export names]
        #[arg(long, value_name = "NAME|FILE")]
        profile: Option<String>,
    },
    /// Show a card, put it into a virtual reader, or export it
    Card {
        #[command(flatten)]
        card: CardFiles,
        /// Address of a vpcd reader, usually 127.0.0.1:35963
        #[arg(long, value_name = "HOST:PORT")]
        vpcd: Option<String>,
        /// Print the card's personalisation as JSON data groups, for another card simulator. It gives away the card's
        /// keys and its PIN in the clear: for test cards only
        #[arg(long, conflicts_with = "vpcd")]
        export: bool,
    },
    /// Pay in a shop with the card in the reader
    Pos(PosOptions),
    /// Take cash, ask for the balance, change or unlock the PIN
    Atm(AtmOptions),
    /// Pay in a shop with a tap
    Tap(TapOptions),
    /// Pay on the web
    Shop(ShopOptions),
    /// Wait for a virtual card of anybody (vpcd protocol), and run one transaction with it
    Terminal(TerminalOptions),
    /// Run a log of transactions again, and say what came out other than it expects
    #[command(after_long_help = REPLAY_HELP)]
    Replay {
        /// The log, JSON lines, as --record writes it
        file: PathBuf,
        /// The acquirer's file: host, dialect and keys
        #[arg(long, value_name = "FILE")]
        acquirer: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Serve wallet, terminals and mailbox as web pages
    Sandbox(SandboxOptions),
    /// Make cards by the hundred thousand, as import files and as a file for the load
    Cards(StockOptions),
    /// Load a host with PINs and measure its answers
    Load(LoadOptions),
    /// Run the host that the issuer's is measured beside: it reads, appends and syncs, and approves everything
    ReferenceHost(ReferenceHostOptions),
    /// Compute test cases with test keys, JSON lines in and out, to compare another tool with
    #[command(subcommand)]
    Crypto(CryptoCommand),
}

const REPLAY_HELP: &str = r#"A line of the log is a JSON object:
  act          pay, tap, web, cash, balance, change_pin or unlock
  terminal     name or file; null for the usual one
  card, state  the card's file, and its memory (null: beside it)
  amount       "12.50", for goods and cash
  pin          the PIN keyed, or a list of them in order; recorded as null
  pin_from     "card" for the PIN that the card holds, or a file with a PIN a line; recorded as "missing" where the
               PIN keyed was not the card's
  new_pin, new_pin_from  the same for a new PIN; "random" for a random one
  faults       {"lose_answer": true, "pull_card": "before-script"}
  expect       what has to come out: approved, response_code, host_unreachable, script
or
  raw          a frame without its length, hexadecimal, sent as it is
  expect       mti and response_code of its answer
Files are relative to the log. Empty lines and lines that begin with # are passed over.
Example:
  {"act": "pay", "card": "a.perso.json", "amount": "12.50", "pin_from": "card", "expect": {"approved": true}}"#;

/// Why a command gives no result.
#[derive(Debug)]
enum Failure {
    Usage(String),
    Unavailable(String),
}

impl Failure {
    fn usage(cause: impl Display) -> Self {
        Self::Usage(cause.to_string())
    }

    fn unavailable(cause: impl Display) -> Self {
        Self::Unavailable(cause.to_string())
    }
}

/// Runs a command, prints to standard output, and gives the exit code of the table above.
pub async fn run(command: SimCommand) -> ExitCode {
    match run_command(command).await {
        Ok(code) => code,
        Err(failure) => {
            let (text, code) = match failure {
                Failure::Usage(text) => (text, EXIT_USAGE),
                Failure::Unavailable(text) => (text, EXIT_UNAVAILABLE),
            };
            // Where standard error is closed, the exit code alone has to do.
            let _ = writeln!(io::stderr(), "pinward sim: {text}");
            ExitCode::from(code)
        }
    }
}

async fn run_command(command: SimCommand) -> Result<ExitCode, Failure> {
    match command {
        SimCommand::Components { out } => {
            let paths = components::generate(&out).map_err(Failure::usage)?;
            print_paths(&paths)
        }
        SimCommand::FirstPins { zone_key, components } => print_first_pins(&zone_key, &components),
        SimCommand::Bureau {
            export,
            components,
            out,
            profile,
        } => {
            let open = |name: String| CardProfile::open(&name, Path::new(""));
            let profile = profile.map(open).transpose().map_err(Failure::usage)?;
            let paths = bureau::personalise(&export, &components, &out, profile.as_ref());
            let paths = paths.map_err(Failure::usage)?;
            print_paths(&paths)
        }
        SimCommand::Card { card, vpcd, export } => {
            let mut chip = card.open()?;
            match vpcd {
                Some(reader) => vpcd::card::serve(&mut chip, &reader)
                    .await
                    .map(|()| ExitCode::SUCCESS)
                    .map_err(|cause| Failure::unavailable(format!("{reader}: {cause}"))),
                None if export => print_personalisation(&chip),
                None => print_card(&chip),
            }
        }
        SimCommand::Pos(options) => transaction::pos(options).await,
        SimCommand::Atm(options) => transaction::atm(options).await,
        SimCommand::Tap(options) => transaction::tap(options).await,
        SimCommand::Shop(options) => transaction::shop(options).await,
        SimCommand::Terminal(options) => transaction::terminal(options).await,
        SimCommand::Replay { file, acquirer, json } => {
            let acquirer = Acquirer::open(&acquirer).map_err(Failure::usage)?;
            let replayed = replay::run(&file, &acquirer).await.map_err(Failure::usage)?;
            print_replay(&replayed, json)
        }
        SimCommand::Sandbox(options) => sandbox::run(options)
            .await
            .map(|()| ExitCode::SUCCESS)
            .map_err(Failure::unavailable),
        SimCommand::Cards(options) => print_paths(&stock::make(&options).map_err(Failure::usage)?),
        SimCommand::Load(options) => {
            let json = options.json;
            let report = client::run(options).await.map_err(Failure::unavailable)?;
            print_report(&report, json)
        }
        SimCommand::ReferenceHost(options) => reference::run(options)
            .await
            .map(|()| ExitCode::SUCCESS)
            .map_err(Failure::unavailable),
        SimCommand::Crypto(command) => answer_cases(command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_of_a_pin_does_not_repeat_it() {
        let refusal = transaction::pin("12a4").unwrap_err();
        assert!(!refusal.contains("12a4"));
    }

    #[derive(clap::Parser)]
    struct Simulators {
        #[command(subcommand)]
        command: SimCommand,
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Simulators::command().debug_assert();
    }

    #[test]
    fn a_parsed_command_prints_no_pin() {
        use clap::Parser;
        let arguments = [
            "sim",
            "pos",
            "--card",
            "c",
            "--pin",
            "7391",
            "--amount",
            "1",
            "--acquirer",
            "a",
        ];
        let parsed = Simulators::parse_from(arguments);
        assert!(!format!("{:?}", parsed.command).contains("7391"));
    }
}
