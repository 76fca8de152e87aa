//! `pinward sim …`: the simulators on the command line.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | approved, or done |
//! | 1 | declined |
//! | 2 | the command line or a file it names can't be used |
//! | 69 | the host (or the reader) can't be reached |

use std::fmt::Display;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cards::Pan;
use clap::{Args, Subcommand};
use paycrypto::pin::Pin;
use zeroize::Zeroizing;

use crate::acquirer::Acquirer;
use crate::bureau::{self, components, first_pins};
use crate::card::chip::Chip;
use crate::crypto::{self, CryptoCommand, StreamError};
use crate::load::client::{self, LoadOptions};
use crate::load::reference::{self, ReferenceHostOptions};
use crate::load::report::LoadReport;
use crate::load::stock::{self, StockOptions};
use crate::sandbox::{self, SandboxOptions};
use crate::terminal::journey::{Faults, Journey, PullCard};
use crate::terminal::{atm, pos, shop, tap};
use crate::vpcd;

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
    },
    /// Show a card, or put it into a virtual reader
    Card {
        #[command(flatten)]
        card: CardFiles,
        /// Address of a vpcd reader, usually 127.0.0.1:35963
        #[arg(long, value_name = "HOST:PORT")]
        vpcd: Option<String>,
    },
    /// Pay in a shop with the card in the reader
    Pos {
        #[command(flatten)]
        card: CardFiles,
        #[command(flatten)]
        keyed: KeyedPins,
        #[command(flatten)]
        deal: Deal,
        #[command(flatten)]
        faults: FaultFlags,
    },
    /// Take cash, ask for the balance, change or unlock the PIN
    Atm {
        #[command(flatten)]
        card: CardFiles,
        #[command(flatten)]
        keyed: KeyedPins,
        /// Amount with two decimals, 40.00; without it, the balance
        #[arg(long, value_parser = minor_units)]
        amount: Option<u64>,
        /// Change the PIN to this one
        #[arg(long, value_name = "DIGITS", value_parser = pin, conflicts_with = "amount")]
        new_pin: Option<Pin>,
        /// Unlock the PIN
        #[arg(long, conflicts_with_all = ["amount", "new_pin"])]
        unlock: bool,
        #[command(flatten)]
        bank: Bank,
        #[command(flatten)]
        faults: FaultFlags,
    },
    /// Pay in a shop with a tap
    Tap {
        #[command(flatten)]
        card: CardFiles,
        #[command(flatten)]
        deal: Deal,
        /// The host's answer is lost on its way
        #[arg(long)]
        lose_answer: bool,
    },
    /// Pay on the web
    Shop {
        #[command(flatten)]
        card: CardFiles,
        #[command(flatten)]
        deal: Deal,
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

/// A card: what its bureau wrote, and what it remembers.
#[derive(Args, Debug)]
pub struct CardFiles {
    /// The card, `<card>.perso.json`
    #[arg(long = "card", alias = "perso", value_name = "FILE")]
    pub perso: PathBuf,
    /// The card's memory; without it, `<card>.state.json` beside the card
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}

/// PINs keyed at the terminal.
#[derive(Args)]
pub struct KeyedPins {
    /// PIN of the simulated card; again for a second try
    #[arg(long = "pin", value_name = "DIGITS", value_parser = pin)]
    pins: Vec<Pin>,
    /// Read PINs from standard input instead, one per line
    #[arg(long, conflicts_with = "pins")]
    pin_stdin: bool,
}

/// What is bought, and where it is authorised.
#[derive(Args, Debug)]
pub struct Deal {
    /// Amount with two decimals, 12.50
    #[arg(long, value_parser = minor_units)]
    amount: u64,
    #[command(flatten)]
    bank: Bank,
}

/// The acquirer, and how the result is printed.
#[derive(Args, Debug)]
pub struct Bank {
    /// The acquirer's file: host, dialect and zone key
    #[arg(long, value_name = "FILE")]
    acquirer: PathBuf,
    /// Print outcome and trace as JSON
    #[arg(long)]
    json: bool,
}

/// What goes wrong on purpose.
#[derive(Args, Debug)]
pub struct FaultFlags {
    /// The host's answer is lost on its way
    #[arg(long)]
    lose_answer: bool,
    /// The card is pulled out early
    #[arg(long, value_name = "WHEN")]
    pull_card: Option<PullCard>,
}

impl std::fmt::Debug for KeyedPins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedPins(•)")
    }
}

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
        } => {
            let paths = bureau::personalise(&export, &components, &out).map_err(Failure::usage)?;
            print_paths(&paths)
        }
        SimCommand::Card { card, vpcd } => {
            let mut chip = card.open()?;
            match vpcd {
                Some(reader) => vpcd::serve(&mut chip, &reader)
                    .await
                    .map(|()| ExitCode::SUCCESS)
                    .map_err(|cause| Failure::unavailable(format!("{reader}: {cause}"))),
                None => print_card(&chip),
            }
        }
        SimCommand::Pos {
            card,
            keyed,
            deal,
            faults,
        } => {
            let (mut chip, acquirer) = (card.open()?, deal.bank.open()?);
            let pins = keyed.read()?;
            let journey = pos::buy(&mut chip, &pins, deal.amount, &acquirer, faults.faults()).await;
            print_journey(&journey, deal.bank.json)
        }
        SimCommand::Atm {
            card,
            keyed,
            amount,
            new_pin,
            unlock,
            bank,
            faults,
        } => {
            let (mut chip, acquirer) = (card.open()?, bank.open()?);
            let pins = keyed.read()?;
            let [pin] = pins.as_slice() else {
                return Err(Failure::usage("a cash machine takes exactly one PIN"));
            };
            let faults = faults.faults();
            let journey = match (amount, new_pin) {
                (Some(amount), _) => atm::withdraw(&mut chip, pin, amount, &acquirer, faults).await,
                (None, Some(new)) => atm::change_pin(&mut chip, pin, &new, &acquirer, faults).await,
                (None, None) if unlock => atm::unblock_pin(&mut chip, pin, &acquirer, faults).await,
                (None, None) => atm::balance(&mut chip, pin, &acquirer, faults).await,
            };
            print_journey(&journey, bank.json)
        }
        SimCommand::Tap {
            card,
            deal,
            lose_answer,
        } => {
            let (mut chip, acquirer) = (card.open()?, deal.bank.open()?);
            let faults = Faults {
                lose_answer,
                pull_card: None,
            };
            let journey = tap::buy(&mut chip, deal.amount, &acquirer, faults).await;
            print_journey(&journey, deal.bank.json)
        }
        SimCommand::Shop { card, deal } => {
            let (chip, acquirer) = (card.open()?, deal.bank.open()?);
            let journey = shop::buy(chip.perso(), deal.amount, &acquirer, Faults::default()).await;
            print_journey(&journey, deal.bank.json)
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

impl CardFiles {
    fn open(&self) -> Result<Chip, Failure> {
        let state = self.state.clone().unwrap_or_else(|| state_path(&self.perso));
        Chip::open(&self.perso, &state).map_err(Failure::usage)
    }
}

/// The memory's file of a card: `<card>.state.json` beside `<card>.perso.json`.
#[must_use]
pub fn state_path(perso: &Path) -> PathBuf {
    let name = perso.file_name().unwrap_or_default().to_string_lossy();
    let card = name.strip_suffix(".perso.json").or(name.strip_suffix(".json"));
    perso.with_file_name(format!("{}.state.json", card.unwrap_or(&name)))
}

impl KeyedPins {
    fn read(self) -> Result<Vec<Pin>, Failure> {
        if !self.pin_stdin {
            return Ok(self.pins);
        }
        let lines = io::stdin().lock().lines();
        let parse = |line: io::Result<String>| {
            let line = line.map(Zeroizing::new).map_err(Failure::usage)?;
            pin(line.trim()).map_err(Failure::usage)
        };
        lines.map(parse).collect()
    }
}

impl Bank {
    fn open(&self) -> Result<Acquirer, Failure> {
        Acquirer::open(&self.acquirer).map_err(Failure::usage)
    }
}

impl FaultFlags {
    fn faults(&self) -> Faults {
        Faults {
            lose_answer: self.lose_answer,
            pull_card: self.pull_card,
        }
    }
}

/// Parses a PIN; the refusal doesn't repeat it.
fn pin(text: &str) -> Result<Pin, &'static str> {
    Pin::parse(text).ok_or("a PIN has 4 to 12 digits")
}

/// Parses `12`, `12.5` or `12.50` into minor units.
fn minor_units(text: &str) -> Result<u64, &'static str> {
    const REFUSED: &str = "an amount looks like 12.50, and is less than 10,000,000,000.00";
    const MINOR_UNITS_MAX: u64 = 999_999_999_999;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "00"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 2 {
        return Err(REFUSED);
    }
    let amount: u64 = format!("{whole}{decimals:0<2}").parse().map_err(|_| REFUSED)?;
    (amount <= MINOR_UNITS_MAX).then_some(amount).ok_or(REFUSED)
}

fn print_first_pins(zone_key: &Path, components: &[PathBuf]) -> Result<ExitCode, Failure> {
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

fn answer_cases(command: CryptoCommand) -> Result<ExitCode, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    crypto::answer_lines(command, io::stdin().lock(), &mut out)
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| match error {
            StreamError::Input(_) => Failure::usage(error),
            StreamError::Output(_) => Failure::unavailable(error),
        })
}

fn print_paths(paths: &[PathBuf]) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    for path in paths {
        writeln!(out, "{}", path.display()).map_err(Failure::unavailable)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a person may see of a simulated card: never its PIN or keys.
fn print_card(chip: &Chip) -> Result<ExitCode, Failure> {
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

fn print_report(report: &LoadReport, json: bool) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report).map_err(Failure::unavailable)?;
        writeln!(out).map_err(Failure::unavailable)?;
    } else {
        report.print(&mut out).map_err(Failure::unavailable)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_journey(journey: &Journey, json: bool) -> Result<ExitCode, Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_at_most_two_decimals() {
        assert_eq!(minor_units("12.50"), Ok(1250));
        assert_eq!(minor_units("12.5"), Ok(1250));
        assert_eq!(minor_units("12"), Ok(1200));
        for refused in ["", ".50", "12.", "12.500", "-1", "1e3", "10000000000.00"] {
            assert!(minor_units(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_cards_memory_is_beside_it_by_default() {
        assert_eq!(
            state_path(Path::new("wallet/a.perso.json")),
            Path::new("wallet/a.state.json")
        );
        assert_eq!(state_path(Path::new("b.json")), Path::new("b.state.json"));
    }

    #[test]
    fn the_refusal_of_a_pin_does_not_repeat_it() {
        let refusal = pin("12a4").unwrap_err();
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
