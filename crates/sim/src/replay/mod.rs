//! Transaction logs: run again, and compared with what they say should come of it.
//!
//! A log is a file of JSON objects, one a line; empty lines and lines that begin with `#` are passed over. A line is a
//! transaction, or a frame that is sent as it is:
//!
//! | member | value |
//! |---|---|
//! | `act` | `pay`, `tap`, `web`, `cash`, `balance`, `change_pin` or `unlock` |
//! | `terminal` | name or file; left out or null for the usual one of the act |
//! | `card`, `state` | the card's file, and its memory (left out or null: beside it) |
//! | `amount` | `"12.50"`, for goods and cash |
//! | `pin` | the PIN keyed, or a list of them in order. Only read: a recorded line has null here |
//! | `pin_from` | `"card"` for the PIN that the card holds at that moment, or a file with a PIN a line; null where none is keyed |
//! | `new_pin`, `new_pin_from` | the same for a new PIN; `"random"` for a random one as long as the card's |
//! | `faults` | `{"lose_answer": true, "pull_card": "before-script"}`, both may be left out |
//! | `expect` | what has to come out: `approved`, `response_code` (DE39 as sent), `host_unreachable`, `script`; what is left out isn't compared |
//! | `raw` | in place of all but `expect`: a frame without its length, hexadecimal; `expect` then has `mti` and `response_code` |
//!
//! A recorded line names the PIN's source where the PIN keyed was the card's own; a wrong one, or several, are for people
//! to fill in: `pin_from` says `"missing"`, which no run takes. Files are relative to the log.

pub mod line;
pub mod order;

use std::path::{Path, PathBuf};

use data_encoding::HEXUPPER_PERMISSIVE;
use serde::Serialize;

use self::line::{Entry, Expected, LineError};
use crate::acquirer::Acquirer;
use crate::acquirer::message::Message;
use crate::card::chip::Chip;

/// What came of a log.
#[derive(Debug, Serialize)]
pub struct Replayed {
    pub as_expected: usize,
    pub not_as_expected: usize,
    pub entries: Vec<ReplayedEntry>,
}

/// What came of one line.
#[derive(Debug, Serialize)]
pub struct ReplayedEntry {
    /// From 1.
    pub line: usize,
    pub title: String,
    /// What came, in the words of `expect`.
    pub got: Expected,
    /// The members of `expect` that came otherwise, with what was wanted.
    pub wanted_instead: Vec<String>,
}

/// A log can't be run to its end. Quotes no line: it may hold a PIN.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("{path}: {cause}")]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("{path}, line {line}: {cause}")]
    Line {
        path: PathBuf,
        line: usize,
        cause: LineError,
    },
}

/// Runs a log from its first line to its last, also where a transaction ends other than expected.
///
/// Refuses the whole log before the first transaction where a line isn't as the table above says.
pub async fn run(path: &Path, acquirer: &Acquirer) -> Result<Replayed, ReplayError> {
    let text = std::fs::read_to_string(path).map_err(|cause| ReplayError::Read {
        path: path.to_owned(),
        cause,
    })?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let at = |line, cause| ReplayError::Line {
        path: path.to_owned(),
        line,
        cause,
    };
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
    let entries: Vec<(usize, Entry)> = lines
        .map(|(line, text)| Ok((line, Entry::parse(text).map_err(|cause| at(line, cause))?)))
        .collect::<Result<_, _>>()?;
    let mut replayed = Vec::new();
    for (line, entry) in entries {
        let (title, got, expected) = replay(&entry, beside, acquirer)
            .await
            .map_err(|cause| at(line, cause))?;
        replayed.push(ReplayedEntry {
            line,
            title,
            wanted_instead: expected.differences(&got),
            got,
        });
    }
    let not_as_expected = replayed.iter().filter(|entry| !entry.is_as_expected()).count();
    Ok(Replayed {
        as_expected: replayed.len() - not_as_expected,
        not_as_expected,
        entries: replayed,
    })
}

impl ReplayedEntry {
    /// Whether everything that was expected came.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.wanted_instead.is_empty()
    }
}

async fn replay<'e>(
    entry: &'e Entry,
    beside: &Path,
    acquirer: &Acquirer,
) -> Result<(String, Expected, &'e Expected), LineError> {
    match entry {
        Entry::Raw(raw) => {
            let frame = HEXUPPER_PERMISSIVE.decode(raw.raw.as_bytes());
            let frame = frame.map_err(|_| LineError::Raw)?;
            let answer = acquirer.exchange_raw(&frame).await.ok();
            let answer = answer.and_then(|answer| Message::parse(&answer, acquirer.dialect()).ok());
            let got = Expected {
                host_unreachable: Some(answer.is_none()),
                mti: answer.as_ref().map(|answer| answer.mti.to_string()),
                response_code: answer.and_then(|answer| answer.response_code()),
                ..Expected::default()
            };
            Ok((format!("frame of {} bytes", frame.len()), got, &raw.expect))
        }
        Entry::Transaction(line) => {
            let (perso, state) = line.card_files(beside);
            let mut chip = Chip::open(&perso, &state)?;
            let keyed = line.pins(&chip, beside)?;
            let new_pin = line.new_pin(&chip, beside)?;
            let order = line.order(&keyed, new_pin.as_ref(), beside)?;
            let journey = order.run(&mut chip, acquirer).await;
            Ok((line.title(), Expected::of(&journey.outcome), &line.expect))
        }
    }
}
