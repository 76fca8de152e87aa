//! `pinward import`: cardmembers and cards from CSV files.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use data_encoding::HEXLOWER;
use hsm::{HsmError, HsmRefusal, KeyAdmin, KeyName, KeyPurpose};
use indicatif::{ProgressBar, ProgressStyle};
use issuer::Desk;
use issuer::import::NewCard;
use issuer::renew_pins::{RenewReport, renew_pins};
use sha2::{Digest, Sha256};
use store::{AuditEvent, Store};

use super::keys::read_block;
use super::place::{Place, operator};
use crate::clock;
use crate::failure::Failure;
use crate::import::{BadLine, ImportError, ImportFile, Rows};

/// Bad lines told one by one; the rest is counted.
const BAD_LINES_SHOWN: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// cardmembers.csv, cards.csv or both, in any order; the header tells which is which
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Zone key of the PIN blocks, by its name in the HSM
    #[arg(long, value_name = "NAME", conflicts_with = "zone_key_block")]
    zone_key: Option<String>,
    /// Zone key of the PIN blocks, as a file with its TR-31 block
    #[arg(long, value_name = "FILE", requires = "zone_key_under")]
    zone_key_block: Option<PathBuf>,
    /// Key exchange key that the zone key's block is under
    #[arg(long, value_name = "NAME", requires = "zone_key_block")]
    zone_key_under: Option<String>,
    /// Cards that are there already take the file's PIN where it is another one, over one that was set here too
    #[arg(long)]
    renew_pins: bool,
    #[command(flatten)]
    place: Place,
}

/// Reads all files before it writes any; then each is brought in as a whole, cardmembers first.
pub(crate) async fn run(arguments: Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let block = arguments.zone_key_block.as_deref().map(read_block).transpose()?;
    let zone_key = arguments
        .zone_key
        .clone()
        .or_else(|| block.as_deref().map(zone_key_name))
        .map(KeyName);
    let mut files = Vec::new();
    for path in &arguments.files {
        files.push(ImportFile::read(path, zone_key.as_ref()).map_err(told)?);
    }
    files.sort_by_key(|file| matches!(file.rows, Rows::Cards(_)));

    let opened = arguments.place.open().await?;
    let (hsm, store) = (&opened.hsm.remote, opened.desk.store.as_ref());
    let ready = match (block, zone_key, arguments.zone_key_under) {
        (Some(block), Some(name), Some(under)) => {
            take_zone_key(hsm, store, name, block, KeyName(under)).await
        }
        _ => Ok(()),
    };
    let done = match ready {
        Ok(()) => bring_in(files, arguments.renew_pins, &opened.desk, out).await,
        Err(failure) => Err(failure),
    };
    opened.hsm.close().await;
    done
}

async fn bring_in(
    files: Vec<ImportFile>,
    renews_pins: bool,
    desk: &Desk,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    for file in files {
        let to_renew = match &file.rows {
            Rows::Cards(cards) if renews_pins => cards.clone(),
            Rows::Cards(_) | Rows::Cardmembers(_) => Vec::new(),
        };
        let (path, what) = (file.path.clone(), what(&file.rows));
        let bar = progress_bar(file.len());
        let mut progress = |count: usize| bar.inc(u64::try_from(count).unwrap_or_default());
        let brought = file
            .bring_in(desk, &operator(), clock::now(), &mut progress)
            .await;
        bar.finish_and_clear();
        let report = brought.map_err(told)?;
        let (path, inserted, unchanged) = (path.display(), report.inserted, report.unchanged);
        writeln!(
            out,
            "{path}: {inserted} {what} brought in, {unchanged} there already."
        )?;
        if !to_renew.is_empty() {
            renew(&to_renew, desk, out).await?;
        }
    }
    Ok(())
}

async fn renew(cards: &[NewCard], desk: &Desk, out: &mut dyn Write) -> Result<(), Failure> {
    let RenewReport { renewed, moved } = renew_pins(desk, cards, &operator(), clock::now()).await?;
    writeln!(out, "{renewed} of them have a new PIN.")?;
    match moved {
        0 => Ok(()),
        _ => Err(Failure::Refused(format!(
            "{moved} cards changed at the same moment and kept their PIN: run it again"
        ))),
    }
}

fn what(rows: &Rows) -> &'static str {
    match rows {
        Rows::Cardmembers(_) => "cardmembers",
        Rows::Cards(_) => "cards",
    }
}

/// Shown on standard error, and only where that is a terminal.
fn progress_bar(len: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(len).unwrap_or_default());
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len}, {eta} to go");
    bar.set_style(style.expect("the template is a constant"));
    bar
}

/// The same block gives the same name, so that a repeated import finds its key there.
fn zone_key_name(block: &str) -> String {
    let digest = Sha256::digest(block);
    format!(
        "zpk-import-{}",
        HEXLOWER.encode(digest.first_chunk::<8>().expect("SHA-256 has 32 bytes"))
    )
}

/// Gives the HSM the zone key, as one for PIN blocks only.
async fn take_zone_key(
    hsm: &dyn KeyAdmin,
    store: &dyn Store,
    name: KeyName,
    block: String,
    under: KeyName,
) -> Result<(), Failure> {
    // TR-31: the algorithm is the eighth character of the header.
    let purpose = match block.as_bytes().get(7) {
        Some(b'A') => KeyPurpose::ZonePinAes,
        _ => KeyPurpose::ZonePinTdes,
    };
    let now = clock::now();
    let detail = serde_json::json!({ "key": name.0 }).to_string();
    let event = AuditEvent {
        at: now,
        kind: "key_import",
        card: None,
        actor: operator(),
        detail,
    };
    store.append_audit(vec![event]).await?;
    match hsm.import_key(name, purpose, block, under, now).await {
        Ok(_) | Err(HsmError::Refused(HsmRefusal::KeyExists)) => Ok(()),
        Err(error) => Err(Failure::from(error)),
    }
}

/// Tells the bad lines one by one on standard error, so that the failure itself stays short.
fn told(error: ImportError) -> Failure {
    match error {
        ImportError::Fault(fault) => fault.into(),
        ImportError::Lines { ref path, ref bad } => {
            for BadLine { line, column, reason } in bad.iter().take(BAD_LINES_SHOWN) {
                // Where standard error is closed, the exit code alone has to do.
                let _ = writeln!(
                    io::stderr(),
                    "{}, line {line}, {column}: {reason}",
                    path.display()
                );
            }
            let more = bad.len().saturating_sub(BAD_LINES_SHOWN);
            if more > 0 {
                let _ = writeln!(io::stderr(), "and {more} more");
            }
            Failure::BadData(format!("{error}; nothing of the file was brought in"))
        }
        ImportError::Csv { .. } | ImportError::Header { .. } | ImportError::TooLong { .. } => {
            Failure::BadData(error.to_string())
        }
    }
}
