//! `pinward card …`: which PIN works where and the evidence for it, new plastic, and a script sent again.

use std::io::{self, Write};

use cards::{CardRef, ChipBasis, Expiry, Pan, Psn, Timestamp};
use clap::{Args, Subcommand};
use issuer::card_status::{AttemptReport, CardReport, card_status};
use issuer::reissue_card::{NewPlastic, ReissueError, reissue_card};
use issuer::resend_script::resend_script;
use issuer::{ActError, Desk, Refusal};
use zeroize::Zeroizing;

use super::place::{Place, operator};
use crate::clock;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum CardCommand {
    /// Which PIN works where, and the evidence for it
    Status(Status),
    /// The same number on a new plastic: the host speaks to the new chip from now on
    Reissue(Reissue),
    /// A new number, read from standard input, for a lost or stolen card, which is blocked
    Replace(Replace),
    /// Send a script again whose attempts or time are used up
    Resend(Resend),
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

#[derive(Debug, Args)]
pub(crate) struct Reissue {
    /// The card's 16-digit hexadecimal reference
    card: CardRef,
    /// Last month of validity
    #[arg(long, value_name = "YYMM", value_parser = expiry)]
    expiry: Expiry,
    /// Card sequence number, 0 to 99
    #[arg(long, value_parser = psn)]
    psn: Psn,
    /// PIN version that the new chip was personalised with, where it isn't the present one
    #[arg(long, value_name = "VERSION")]
    chip_version: Option<u32>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Replace {
    /// The card's 16-digit hexadecimal reference
    card: CardRef,
    /// Last month of validity
    #[arg(long, value_name = "YYMM", value_parser = expiry)]
    expiry: Expiry,
    /// Card sequence number, 0 to 99
    #[arg(long, value_parser = psn, default_value = "0")]
    psn: Psn,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Resend {
    /// The card's 16-digit hexadecimal reference
    card: CardRef,
    #[command(flatten)]
    place: Place,
}

fn expiry(text: &str) -> Result<Expiry, &'static str> {
    Expiry::parse_yymm(text).ok_or("four digits YYMM are wanted")
}

fn psn(text: &str) -> Result<Psn, &'static str> {
    text.parse().ok().and_then(Psn::new).ok_or("0 to 99 is wanted")
}

pub(crate) async fn run(command: CardCommand, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        CardCommand::Status(arguments) => status(arguments, out).await,
        CardCommand::Reissue(arguments) => {
            let plastic = NewPlastic {
                card: arguments.card,
                pan: None,
                psn: arguments.psn,
                expiry: arguments.expiry,
                personalised_version: arguments.chip_version,
                actor: operator(),
            };
            put_plastic(plastic, &arguments.place, out).await
        }
        CardCommand::Replace(arguments) => {
            let plastic = NewPlastic {
                card: arguments.card,
                pan: Some(read_pan()?),
                psn: arguments.psn,
                expiry: arguments.expiry,
                personalised_version: None,
                actor: operator(),
            };
            put_plastic(plastic, &arguments.place, out).await
        }
        CardCommand::Resend(arguments) => resend(arguments, out).await,
    }
}

async fn put_plastic(plastic: NewPlastic, place: &Place, out: &mut dyn Write) -> Result<(), Failure> {
    let opened = place.open().await?;
    let reissued = reissue_card(&opened.desk, plastic, clock::now()).await;
    opened.hsm.close().await;
    let card = reissued.map_err(|error| match error {
        ReissueError::Refused(refusal) => Failure::Refused(refusal.to_string()),
        ReissueError::Fault(fault) => fault.into(),
    })?;
    Ok(writeln!(out, "{card}")?)
}

async fn resend(arguments: Resend, out: &mut dyn Write) -> Result<(), Failure> {
    let opened = arguments.place.open().await?;
    let revived = resend_script(&opened.desk, arguments.card, operator(), clock::now()).await;
    opened.hsm.close().await;
    let told = match revived {
        Ok(true) => "It is sent again at the card's next insertion.",
        Ok(false) => "Nothing needs to be sent again.",
        Err(ActError::Refused(Refusal::NotYourCard)) => {
            return Err(Failure::Refused("there is no such card".to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    Ok(writeln!(out, "{told}")?)
}

async fn status(arguments: Status, out: &mut dyn Write) -> Result<(), Failure> {
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
        Ok(Self::Pan(read_pan()?))
    }
}

fn read_pan() -> Result<Pan, Failure> {
    let mut line = Zeroizing::new(String::new());
    io::stdin().read_line(&mut line)?;
    Pan::parse(line.trim()).map_err(|error| Failure::BadData(format!("standard input: {error}")))
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
    writeln!(
        out,
        "Chip profile {}{}",
        report.profile,
        either(report.profile_verified, "", ", unverified")
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
        Some(0) => writeln!(out, "  PIN       none, {}", basis(chip.basis))?,
        Some(version) => writeln!(out, "  PIN       version {version}, {}", basis(chip.basis))?,
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
        report
            .script
            .attention
            .map_or_else(String::new, |why| format!(", stopped: needs attention ({why})"))
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

fn basis(basis: ChipBasis) -> &'static str {
    match basis {
        ChipBasis::Personalised => "as personalised; the chip hasn't said so itself",
        ChipBasis::Proven => "proven by the chip",
        ChipBasis::Possible => "possible",
    }
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
