//! Transactions on the command line: a card, a terminal, PINs, and what goes wrong on purpose.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use paycrypto::pin::Pin;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::Failure;
use super::print::print_journey;
use crate::acquirer::Acquirer;
use crate::card::chip::Chip;
use crate::replay::line::{Line, Told};
use crate::replay::order::{Act, Order, minor_units, state_path};
use crate::terminal::journey::{Faults, Journey, PullCard};
use crate::terminal::profile::TerminalProfile;
use crate::vpcd::reader::ForeignCard;

/// Options of `pinward sim pos`.
#[derive(Args, Debug)]
pub struct PosOptions {
    #[command(flatten)]
    card: CardFiles,
    #[command(flatten)]
    keyed: KeyedPins,
    /// Amount with two decimals, 12.50
    #[arg(long, value_parser = minor_units)]
    amount: u64,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    recording: Recording,
    #[command(flatten)]
    faults: FaultFlags,
}

/// Options of `pinward sim atm`.
#[derive(Args, Debug)]
pub struct AtmOptions {
    #[command(flatten)]
    card: CardFiles,
    #[command(flatten)]
    keyed: KeyedPins,
    #[command(flatten)]
    wish: CashMachineWish,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    recording: Recording,
    #[command(flatten)]
    faults: FaultFlags,
}

/// Options of `pinward sim tap`.
#[derive(Args, Debug)]
pub struct TapOptions {
    #[command(flatten)]
    card: CardFiles,
    /// Amount with two decimals, 12.50
    #[arg(long, value_parser = minor_units)]
    amount: u64,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    recording: Recording,
    /// The host's answer is lost on its way
    #[arg(long)]
    lose_answer: bool,
}

/// Options of `pinward sim shop`.
#[derive(Args, Debug)]
pub struct ShopOptions {
    #[command(flatten)]
    card: CardFiles,
    /// Amount with two decimals, 12.50
    #[arg(long, value_parser = minor_units)]
    amount: u64,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    recording: Recording,
}

/// Options of `pinward sim terminal`.
#[derive(Args, Debug)]
pub struct TerminalOptions {
    /// Address and port where the card connects, usually 127.0.0.1:35963
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,
    #[command(flatten)]
    keyed: KeyedPins,
    #[command(flatten)]
    wish: CashMachineWish,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    faults: FaultFlags,
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

/// What a cash machine is used for.
#[derive(Args, Debug)]
pub struct CashMachineWish {
    /// Amount with two decimals, 40.00; without it, the balance
    #[arg(long, value_parser = minor_units)]
    amount: Option<u64>,
    /// Change the PIN to this one
    #[arg(long, value_name = "DIGITS", value_parser = pin, conflicts_with = "amount")]
    new_pin: Option<Pin>,
    /// Unlock the PIN
    #[arg(long, conflicts_with_all = ["amount", "new_pin"])]
    unlock: bool,
}

/// Where the card is used, and how the result is told.
#[derive(Args, Debug)]
pub struct Place {
    /// corner-shop, online-pin-shop, fuel-pump, offline-kiosk, cash-machine, web-shop, or a TOML file of a terminal
    /// [default: the usual one of the command]
    #[arg(long, value_name = "NAME|FILE")]
    terminal: Option<String>,
    /// The acquirer's file: host, dialect and keys
    #[arg(long, value_name = "FILE")]
    acquirer: PathBuf,
    /// Print outcome and trace as JSON
    #[arg(long)]
    json: bool,
}

/// Where the transaction is written down.
#[derive(Args, Debug)]
pub struct Recording {
    /// Append the transaction, without PINs, to a log for `pinward sim replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
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

pub(super) async fn pos(options: PosOptions) -> Result<ExitCode, Failure> {
    let pins = options.keyed.read()?;
    let order = Order {
        act: Act::Pay,
        profile: options.place.profile(Act::Pay)?,
        amount: options.amount,
        pins: &pins,
        new_pin: None,
        faults: options.faults.faults(),
    };
    run(&order, &options.card, &options.place, &options.recording).await
}

pub(super) async fn atm(options: AtmOptions) -> Result<ExitCode, Failure> {
    let pins = options.keyed.read()?;
    let [_] = pins.as_slice() else {
        return Err(Failure::usage(
            "a cash machine takes exactly one PIN: --pin or --pin-stdin",
        ));
    };
    let act = options.wish.act();
    let order = Order {
        act,
        profile: options.place.profile(act)?,
        amount: options.wish.amount.unwrap_or_default(),
        pins: &pins,
        new_pin: options.wish.new_pin.as_ref(),
        faults: options.faults.faults(),
    };
    run(&order, &options.card, &options.place, &options.recording).await
}

pub(super) async fn tap(options: TapOptions) -> Result<ExitCode, Failure> {
    let order = Order {
        act: Act::Tap,
        profile: options.place.profile(Act::Tap)?,
        amount: options.amount,
        pins: &[],
        new_pin: None,
        faults: Faults {
            lose_answer: options.lose_answer,
            pull_card: None,
        },
    };
    run(&order, &options.card, &options.place, &options.recording).await
}

pub(super) async fn shop(options: ShopOptions) -> Result<ExitCode, Failure> {
    let order = Order {
        act: Act::Web,
        profile: options.place.profile(Act::Web)?,
        amount: options.amount,
        pins: &[],
        new_pin: None,
        faults: Faults::default(),
    };
    run(&order, &options.card, &options.place, &options.recording).await
}

/// Waits for one card, and runs one transaction with it.
pub(super) async fn terminal(options: TerminalOptions) -> Result<ExitCode, Failure> {
    let place = &options.place;
    let named = place.terminal.as_deref().unwrap_or("corner-shop");
    let profile = TerminalProfile::open(named).map_err(Failure::usage)?;
    let act = if profile.is_cash_machine() {
        options.wish.act()
    } else {
        Act::Pay
    };
    let amount = match (options.wish.amount, act) {
        (None, Act::Pay) => return Err(Failure::usage("--amount is wanted at this terminal")),
        (amount, _) => amount.unwrap_or_default(),
    };
    let acquirer = place.open()?;
    let pins = options.keyed.read()?;
    let order = Order {
        act,
        profile,
        amount,
        pins: &pins,
        new_pin: options.wish.new_pin.as_ref(),
        faults: options.faults.faults(),
    };
    let listener = TcpListener::bind(&options.listen).await;
    let listener = listener.map_err(|cause| Failure::unavailable(format!("{}: {cause}", options.listen)))?;
    let mut card = ForeignCard::wait(&listener).await.map_err(Failure::unavailable)?;
    let journey = order.insert(&mut card, &acquirer).await;
    print_journey(&journey, place.json)
}

async fn run(
    order: &Order<'_>,
    card: &CardFiles,
    place: &Place,
    recording: &Recording,
) -> Result<ExitCode, Failure> {
    let (mut chip, acquirer) = (card.open()?, place.open()?);
    let held = chip.state().pin.clone();
    let journey = order.run(&mut chip, &acquirer).await;
    if let Some(log) = &recording.record {
        record(order, card, place, held.as_ref(), &journey, log)?;
    }
    print_journey(&journey, place.json)
}

fn record(
    order: &Order<'_>,
    card: &CardFiles,
    place: &Place,
    held: Option<&Pin>,
    journey: &Journey,
    log: &Path,
) -> Result<(), Failure> {
    let told = Told {
        terminal: place.terminal.as_deref(),
        card: &card.perso,
        state: &card.state_path(),
    };
    let line = Line::of(order, told, held, &journey.outcome);
    line.and_then(|line| line.append_to(log))
        .map_err(|cause| Failure::unavailable(format!("{}: {cause}", log.display())))
}

impl CardFiles {
    pub(super) fn open(&self) -> Result<Chip, Failure> {
        Chip::open(&self.perso, &self.state_path()).map_err(Failure::usage)
    }

    fn state_path(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| state_path(&self.perso))
    }
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

impl CashMachineWish {
    fn act(&self) -> Act {
        match (self.amount, &self.new_pin) {
            (Some(_), _) => Act::Cash,
            (None, Some(_)) => Act::ChangePin,
            (None, None) if self.unlock => Act::Unlock,
            (None, None) => Act::Balance,
        }
    }
}

impl Place {
    fn open(&self) -> Result<Acquirer, Failure> {
        Acquirer::open(&self.acquirer).map_err(Failure::usage)
    }

    fn profile(&self, act: Act) -> Result<TerminalProfile, Failure> {
        act.terminal(self.terminal.as_deref()).map_err(Failure::usage)
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
pub(super) fn pin(text: &str) -> Result<Pin, &'static str> {
    Pin::parse(text).ok_or("a PIN has 4 to 12 digits")
}
