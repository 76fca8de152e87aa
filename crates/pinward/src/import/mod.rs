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

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ::cards::Timestamp;
use hsm::KeyName;
use issuer::import::{NewCard, import_cardmembers, import_cards, judge_cards};
use issuer::{Desk, Fault};
use store::{ImportReport, NewCardmember, RefusedRow};

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
    #[error("{path}: {} errors", bad.len())]
    Lines { path: PathBuf, bad: Vec<BadLine> },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A file as read.
pub(crate) struct ImportFile {
    pub(crate) path: PathBuf,
    /// Line number of each row.
    lines: Vec<u64>,
    /// Free of errors as far as the file tells by itself.
    pub(crate) rows: Rows,
    /// The lines that aren't.
    bad: Vec<BadLine>,
}

/// What a file brings.
pub(crate) enum Rows {
    Cardmembers(Vec<NewCardmember>),
    Cards(Vec<NewCard>),
}

impl ImportFile {
    /// Reads a file. `zone_key`: the key that the PIN blocks in it are under; without one, they are bad lines.
    pub(crate) fn read(path: &Path, zone_key: Option<&KeyName>) -> Result<Self, ImportError> {
        let table = Table::read(path)?;
        let (lines, rows, bad) = if table.has_columns(&cards::COLUMNS) {
            let (lines, rows, bad) = table.parse(|row| cards::parse(row, zone_key));
            (lines, Rows::Cards(rows), bad)
        } else if table.has_columns(&cardmembers::COLUMNS) {
            let (lines, rows, bad) = table.parse(cardmembers::parse);
            (lines, Rows::Cardmembers(rows), bad)
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
        Ok(Self {
            path: path.to_owned(),
            lines,
            rows,
            bad,
        })
    }

    /// Rows without errors of their own.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether lines are bad as far as the file tells by itself.
    pub(crate) fn has_bad_lines(&self) -> bool {
        !self.bad.is_empty()
    }

    /// References of the cardmembers that it brings.
    pub(crate) fn cardmembers(&self) -> impl Iterator<Item = String> {
        let cardmembers = match &self.rows {
            Rows::Cardmembers(rows) => rows.as_slice(),
            Rows::Cards(_) => &[],
        };
        cardmembers.iter().map(|row| row.reference.clone())
    }

    /// The lines of cards that are past their last month.
    pub(crate) fn expired(&self, now: Timestamp) -> Vec<u64> {
        let (year, month) = now.utc_year_month();
        let cards = match &self.rows {
            Rows::Cards(rows) => rows.as_slice(),
            Rows::Cardmembers(_) => &[],
        };
        let expired = self.lines.iter().zip(cards);
        let expired = expired.filter(|(_, card)| card.expiry.is_past(year, month));
        expired.map(|(line, _)| *line).collect()
    }

    /// Every bad line, also what store and HSM say no to. Writes nothing. `coming`: references of cardmembers that other
    /// files of the run bring. `progress` is told how many cards more are through.
    pub(crate) async fn judge(
        self,
        desk: &Desk,
        coming: &HashSet<String>,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Vec<BadLine>, ImportError> {
        let refused = match self.rows {
            Rows::Cardmembers(rows) => desk.store.judge_cardmembers(rows).await.map_err(Fault::from)?,
            Rows::Cards(rows) => judge_cards(desk, &rows, coming, progress).await?,
        };
        Ok(all_bad(&self.lines, self.bad, refused))
    }

    /// Brings it in: a file without bad lines of its own. `progress` is told how many cards more are through.
    pub(crate) async fn bring_in(
        self,
        desk: &Desk,
        actor: &str,
        now: Timestamp,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<ImportReport, ImportError> {
        if self.has_bad_lines() {
            let path = self.path.clone();
            let bad = self.judge(desk, &HashSet::new(), progress).await?;
            return Err(ImportError::Lines { path, bad });
        }
        let report = match self.rows {
            Rows::Cardmembers(rows) => import_cardmembers(desk, rows, actor, now).await?,
            Rows::Cards(rows) => import_cards(desk, rows, actor, now, progress).await?,
        };
        if report.refused.is_empty() {
            return Ok(report);
        }
        Err(ImportError::Lines {
            path: self.path,
            bad: all_bad(&self.lines, self.bad, report.refused),
        })
    }
}

/// All that is wrong, by line.
fn all_bad(lines: &[u64], mut bad: Vec<BadLine>, refused: Vec<RefusedRow>) -> Vec<BadLine> {
    bad.extend(refused.into_iter().map(|(index, column, reason)| BadLine {
        line: lines.get(index).copied().expect("indices come from this batch"),
        column,
        reason,
    }));
    bad.sort_by_key(|bad| bad.line);
    bad
}
