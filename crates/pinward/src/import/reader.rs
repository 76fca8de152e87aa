//! A CSV file as a table with named columns.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use csv::{StringRecord, Trim};

use super::{BadLine, ImportError, LINES_MAX};

/// A file as read: its header and its rows.
pub(super) struct Table {
    header: Vec<String>,
    rows: Vec<(u64, StringRecord)>,
}

/// One row, asked column by column. What is wrong is gathered, so that one run tells all of it.
pub(super) struct Row<'t> {
    header: &'t [String],
    record: &'t StringRecord,
    bad: Vec<(&'static str, String)>,
}

impl Table {
    /// Refuses a file that can't be read, isn't UTF-8, repeats a column or is too long.
    pub(super) fn read(path: &Path) -> Result<Self, ImportError> {
        let csv_error = |cause| ImportError::Csv {
            path: path.to_owned(),
            cause,
        };
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(Trim::All)
            .from_path(path)
            .map_err(csv_error)?;
        let header: Vec<String> = reader
            .headers()
            .map_err(csv_error)?
            .iter()
            .map(str::to_lowercase)
            .collect();
        let mut seen = HashSet::new();
        if let Some(twice) = header.iter().find(|column| !seen.insert(column.as_str())) {
            let reason = format!("the column {twice} is there twice");
            return Err(ImportError::Header {
                path: path.to_owned(),
                reason,
            });
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            if rows.len() == LINES_MAX {
                return Err(ImportError::TooLong {
                    path: PathBuf::from(path),
                });
            }
            let record = record.map_err(csv_error)?;
            let line = record.position().map_or(0, csv::Position::line);
            rows.push((line, record));
        }
        Ok(Self { header, rows })
    }

    /// Whether these are its columns, in any order.
    pub(super) fn has_columns(&self, columns: &[&str]) -> bool {
        self.header.len() == columns.len()
            && columns
                .iter()
                .all(|column| self.header.iter().any(|name| name == column))
    }

    /// Parses every row; gives what could be parsed and what is wrong with the others.
    pub(super) fn parse<T>(&self, parse: impl Fn(&mut Row<'_>) -> Option<T>) -> (Vec<T>, Vec<BadLine>) {
        let mut parsed = Vec::with_capacity(self.rows.len());
        let mut bad = Vec::new();
        for (line, record) in &self.rows {
            let mut row = Row {
                header: &self.header,
                record,
                bad: Vec::new(),
            };
            row.require_len();
            let value = if row.bad.is_empty() { parse(&mut row) } else { None };
            bad.extend(row.bad.into_iter().map(|(column, reason)| BadLine {
                line: *line,
                column,
                reason,
            }));
            parsed.extend(value);
        }
        (parsed, bad)
    }

    pub(super) fn into_lines(self) -> Vec<u64> {
        self.rows.into_iter().map(|(line, _)| line).collect()
    }
}

impl Row<'_> {
    fn require_len(&mut self) {
        let (wanted, found) = (self.header.len(), self.record.len());
        if wanted != found {
            self.bad
                .push(("line", format!("{wanted} columns are wanted, there are {found}")));
        }
    }

    /// The column's value by `parse`, whose refusal must not quote it; `None` once refused.
    pub(super) fn get<T, E: ToString>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let at = self
            .header
            .iter()
            .position(|name| name == column)
            .expect("checked with the header");
        let text = self.record.get(at).expect("the row is as long as the header");
        parse(text)
            .map_err(|reason| self.bad.push((column, reason.to_string())))
            .ok()
    }
}
