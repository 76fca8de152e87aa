//! Cardmembers and cards from CSV files: all of a file, or nothing of it.
//!
//! UTF-8, comma-separated, quoted as RFC 4180 has it, with a header line; the columns may come in any order. What a
//! file is, its header tells. A report on a bad line gives number, column and reason, and never quotes a card number or
//! PIN block.

mod cardmembers;
mod cards;
mod reader;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use ::cards::Timestamp;
use hsm::KeyName;
use issuer::import::{NewCard, import_cardmembers, import_cards};
use issuer::{Desk, Fault};
use store::{ImportReport, NewCardmember};

use reader::Table;

/// Longest file, in lines after the header.
const LINES_MAX: usize = 1_000_000;

/// What is wrong with one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// In the file, the header being 1.
    pub(crate) line: u64,
    pub(crate) column: &'static str,
    pub(crate) reason: String,
}

/// A file can't be brought in. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    #[error("{path}: {cause}")]
    Csv { path: PathBuf, cause: csv::Error },
    #[error("{path}: {reason}")]
    Header { path: PathBuf, reason: String },
    #[error("{path}: more than {LINES_MAX} lines")]
    TooLong { path: PathBuf },
    #[error("{path}: {} bad lines", bad.len())]
    Lines { path: PathBuf, bad: Vec<BadLine> },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A file, read and free of errors as far as it tells by itself.
pub(crate) struct ImportFile {
    pub(crate) path: PathBuf,
    /// Line number of each row.
    lines: Vec<u64>,
    pub(crate) rows: Rows,
}

/// What a file brings.
pub(crate) enum Rows {
    Cardmembers(Vec<NewCardmember>),
    Cards(Vec<NewCard>),
}

impl ImportFile {
    /// Reads a file. `zone_key`: the key that the PIN blocks in it are under; without one, they are refused.
    pub(crate) fn read(path: &Path, zone_key: Option<&KeyName>) -> Result<Self, ImportError> {
        let table = Table::read(path)?;
        let (rows, bad) = if table.has_columns(&cards::COLUMNS) {
            let (rows, bad) = table.parse(|row| cards::parse(row, zone_key));
            (Rows::Cards(rows), bad)
        } else if table.has_columns(&cardmembers::COLUMNS) {
            let (rows, bad) = table.parse(cardmembers::parse);
            (Rows::Cardmembers(rows), bad)
        } else {
            let reason = format!(
                "the header is neither that of cardmembers ({}) nor that of cards ({})",
                cardmembers::COLUMNS.join(","),
                cards::COLUMNS.join(",")
            );
            return Err(ImportError::Header {
                path: path.to_owned(),
                reason,
            });
        };
        if bad.is_empty() {
            Ok(Self {
                path: path.to_owned(),
                lines: table.into_lines(),
                rows,
            })
        } else {
            Err(ImportError::Lines {
                path: path.to_owned(),
                bad,
            })
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Brings it in. `progress` is told how many cards more are through.
    pub(crate) async fn bring_in(
        self,
        desk: &Desk,
        actor: &str,
        now: Timestamp,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<ImportReport, ImportError> {
        let report = match self.rows {
            Rows::Cardmembers(rows) => import_cardmembers(desk, rows, actor, now).await?,
            Rows::Cards(rows) => import_cards(desk, rows, actor, now, progress).await?,
        };
        if report.refused.is_empty() {
            return Ok(report);
        }
        let bad_line = |(index, column, reason): (usize, &'static str, String)| BadLine {
            line: self
                .lines
                .get(index)
                .copied()
                .expect("indices come from this batch"),
            column,
            reason,
        };
        Err(ImportError::Lines {
            path: self.path,
            bad: report.refused.into_iter().map(bad_line).collect(),
        })
    }
}
