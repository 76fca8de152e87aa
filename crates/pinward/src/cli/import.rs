//! `pinward import`: cardmembers and cards from CSV files.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use data_encoding::HEXLOWER;
use hsm::{HsmError, HsmRefusal, KeyAdmin, KeyInfo, KeyName, KeyPurpose};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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

/// Reads all files before it writes any; then each is brought in as a whole, cardmembers first. Where a line of any file
/// is bad by itself, nothing is brought in, and all files are judged to their end.
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
        (None, Some(name), _) => require_zone_key(hsm, &name).await,
        _ => Ok(()),
    };
    let done = match ready {
        Ok(()) if files.iter().any(ImportFile::has_bad_lines) => judge(files, &opened.desk).await,
        Ok(()) => bring_in(files, arguments.renew_pins, &opened.desk, out).await,
        Err(failure) => Err(failure),
    };
    opened.hsm.close().await;
    done
}

/// Tells all that is wrong with the files.
async fn judge(files: Vec<ImportFile>, desk: &Desk) -> Result<(), Failure> {
    let coming: HashSet<String> = files.iter().flat_map(ImportFile::cardmembers).collect();
    let what = if files.len() == 1 { "file" } else { "files" };
    let mut count = 0;
    for file in files {
        let path = file.path.clone();
        let bar = progress_bar(file.len(), ProgressDrawTarget::stderr());
        let judged = file
            .judge(desk, &coming, &mut |cards| bar.inc(as_count(cards)))
            .await;
        bar.finish_and_clear();
        let bad = judged.map_err(told)?;
        tell_bad_lines(&path, &bad);
        count += bad.len();
    }
    Err(Failure::BadData(format!(
        "{count} errors; nothing of the {what} was brought in"
    )))
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
        let (path, what, now) = (file.path.clone(), what(&file.rows), clock::now());
        let expired = file.expired(now);
        let bar = progress_bar(file.len(), ProgressDrawTarget::stderr());
        let mut progress = |cards: usize| bar.inc(as_count(cards));
        let brought = file.bring_in(desk, &operator(), now, &mut progress).await;
        bar.finish_and_clear();
        let report = brought.map_err(told)?;
        tell_expired(&path, &expired);
        let (path, inserted, unchanged) = (path.display(), report.inserted, report.unchanged);
        writeln!(
            out,
            "{path}: {inserted} {what} brought in, {unchanged} there already."
        )?;
        match expired.len() {
            0 => {}
            1 => writeln!(out, "1 of them has expired: its PIN works nowhere.")?,
            count => writeln!(out, "{count} of them have expired: their PINs work nowhere.")?,
        }
        if !to_renew.is_empty() {
            renew(&to_renew, desk, out).await?;
        }
    }
    Ok(())
}

fn tell_expired(path: &Path, lines: &[u64]) {
    for line in lines {
        // Where standard error is closed, the count on standard output has to do.
        let _ = writeln!(
            io::stderr(),
            "{}, line {line}, expiry: warning: the card has expired",
            path.display()
        );
    }
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

/// Drawn where the target is a terminal, and only there.
fn progress_bar(len: usize, target: ProgressDrawTarget) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(as_count(len)), target);
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len}, {eta} to go");
    bar.set_style(style.expect("the template is a constant"));
    bar
}

fn as_count(len: usize) -> u64 {
    u64::try_from(len).expect("a usize has at most 64 bits")
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
    record(store, &name, "asked").await?;
    let taken = hsm.import_key(name.clone(), purpose, block, under, now).await;
    let outcome = match &taken {
        Ok(_) => "taken",
        Err(HsmError::Refused(HsmRefusal::KeyExists)) => "there already",
        Err(HsmError::Refused(_)) => "refused",
        Err(HsmError::Fault(_)) => "not answered",
    };
    record(store, &name, outcome).await?;
    match taken {
        Ok(_) | Err(HsmError::Refused(HsmRefusal::KeyExists)) => Ok(()),
        Err(error) => Err(Failure::from(error)),
    }
}

/// Before the HSM is asked, so that nothing goes unrecorded (I11), and once it has answered.
async fn record(store: &dyn Store, name: &KeyName, outcome: &str) -> Result<(), Failure> {
    let event = AuditEvent {
        at: clock::now(),
        kind: "key_import",
        card: None,
        actor: operator(),
        detail: serde_json::json!({ "key": name.0, "outcome": outcome }).to_string(),
    };
    Ok(store.append_audit(vec![event]).await?)
}

/// Refuses a name that no zone PIN key has: once, not by every card.
async fn require_zone_key(hsm: &dyn KeyAdmin, name: &KeyName) -> Result<(), Failure> {
    let is_it = |key: &KeyInfo| {
        key.name == *name && matches!(key.purpose, KeyPurpose::ZonePinTdes | KeyPurpose::ZonePinAes)
    };
    if hsm.keys().await?.iter().any(is_it) {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "--zone-key: the HSM has no zone PIN key {}; pinward keys list shows those that it has",
        name.0
    )))
}

/// Tells the bad lines on standard error, so that the failure itself stays short.
fn told(error: ImportError) -> Failure {
    match error {
        ImportError::Fault(fault) => fault.into(),
        ImportError::Lines { ref path, ref bad } => {
            tell_bad_lines(path, bad);
            Failure::BadData(format!("{error}; nothing of the file was brought in"))
        }
        ImportError::Csv { .. } | ImportError::Header { .. } | ImportError::TooLong { .. } => {
            Failure::BadData(error.to_string())
        }
    }
}

fn tell_bad_lines(path: &Path, bad: &[BadLine]) {
    for BadLine { line, column, reason } in bad {
        // Where standard error is closed, the exit code alone has to do.
        let _ = writeln!(
            io::stderr(),
            "{}, line {line}, {column}: {reason}",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal that keeps what is written to it.
    #[derive(Clone, Debug, Default)]
    struct Terminal(Arc<Mutex<String>>);

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.write_str("<cleared>")
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_progress_bar_says_how_many_cards_are_through_and_leaves_nothing_behind() {
        let terminal = Terminal::default();
        let bar = progress_bar(5_000, ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        bar.inc(as_count(2_000));
        bar.force_draw();
        let drawn = terminal.0.lock().unwrap().clone();
        assert!(drawn.contains("2000 of 5000, "), "{drawn:?}");
        assert!(drawn.contains(" to go"), "{drawn:?}");
        bar.finish_and_clear();
        let drawn = terminal.0.lock().unwrap().clone();
        assert!(drawn.ends_with("<cleared>"), "{drawn:?}");
    }
}
