//! A CSV file as a table with named columns.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, StringRecord, Trim};

use super::{BadLine, ImportError, LINES_MAX};

/// A file as read: its header and its rows.
pub(super) struct Table {
    header: Vec<String>,
    rows: Vec<(u64, ByteRecord)>,
}

/// One row, asked column by column. What is wrong is gathered, so that one run tells all of it.
pub(super) struct Row<'t> {
    header: &'t [String],
    record: &'t ByteRecord,
    bad: Vec<(&'static str, String)>,
}

impl Table {
    /// Refuses a file that can't be read, whose header isn't UTF-8 or repeats a column, or which is too long.
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
        let header_error = |reason: String| ImportError::Header {
            path: path.to_owned(),
            reason,
        };
        let header = reader.byte_headers().map_err(csv_error)?.clone();
        let header = StringRecord::from_byte_record(header)
            .map_err(|_| header_error("the header isn't UTF-8".to_owned()))?;
        let header: Vec<String> = header.iter().map(str::to_lowercase).collect();
        let mut seen = HashSet::new();
        if let Some(twice) = header.iter().find(|column| !seen.insert(column.as_str())) {
            return Err(header_error(format!("the column {twice} is there twice")));
        }
        let mut rows = Vec::new();
        for record in reader.byte_records() {
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

    /// Parses every row; gives what could be parsed, by line, and what is wrong with the others.
    pub(super) fn parse<T>(
        &self,
        parse: impl Fn(&mut Row<'_>) -> Option<T>,
    ) -> (Vec<u64>, Vec<T>, Vec<BadLine>) {
        let mut lines = Vec::with_capacity(self.rows.len());
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
            if let Some(value) = value {
                lines.push(*line);
                parsed.push(value);
            }
        }
        (lines, parsed, bad)
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
        let bytes = self.record.get(at).expect("the row is as long as the header");
        let parsed = match std::str::from_utf8(bytes) {
            Ok(text) => parse(text).map_err(|reason| reason.to_string()),
            Err(_) => Err("not UTF-8".to_owned()),
        };
        parsed.map_err(|reason| self.bad.push((column, reason))).ok()
    }
}
