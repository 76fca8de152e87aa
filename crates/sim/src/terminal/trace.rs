//! What card, terminal and host say to each other, for people. Hides PINs, PIN blocks, tracks and all but four digits
//! of the PAN.

use std::fmt::Write;

use data_encoding::HEXUPPER;
use emv::apdu::{Command, Response};
use emv::show;
use emv::tags::{TAG_5A_PAN, TAG_9F46_ICC_CERTIFICATE};
use iso8583::dialect::{Dialect, Kind};
use iso8583::response_code;

use super::journey::{Party, TraceStep};
use crate::acquirer::message::Message;

const NOT_SHOWN: &str = "not shown";

/// Fields that carry an account, a track or a PIN block; the new PIN's block has its place by the dialect.
const HIDDEN_FIELDS: [u8; 5] = [34, 35, 36, 45, 52];

/// The steps of one transaction so far.
#[derive(Debug, Default)]
pub(super) struct Trace(pub(super) Vec<TraceStep>);

impl Trace {
    /// A command, as sent.
    pub(super) fn command(&mut self, command: &Command<'_>, bytes: &[u8]) {
        self.0.push(TraceStep {
            from: Party::Terminal,
            to: Party::Card,
            title: command.title().unwrap_or("command").to_owned(),
            lines: vec![("Command".to_owned(), show::shown_command(bytes))],
        });
    }

    /// The card's answer to it.
    pub(super) fn response(&mut self, command: &Command<'_>, response: &Response<'_>) {
        let meaning = response.status.title().unwrap_or_default();
        let mut lines = vec![("Status".to_owned(), format!("{} {meaning}", response.status))];
        if !response.data.is_empty() {
            lines.extend(data_objects(response.data));
        }
        self.0.push(TraceStep {
            from: Party::Card,
            to: Party::Terminal,
            title: format!("{}, answer", command.title().unwrap_or("command")),
            lines,
        });
    }

    /// An ISO 8583 message.
    pub(super) fn message(&mut self, from: Party, to: Party, message: &Message, dialect: &Dialect) {
        let mut lines = Vec::new();
        for (number, value) in message.fields() {
            let label = format!("DE{number} {}", dialect.title(number));
            lines.push((label, shown_field(number, value, dialect)));
            if number == 55 {
                lines.extend(data_objects(value));
            }
        }
        let title = message.mti.to_string();
        self.0.push(TraceStep {
            from,
            to,
            title,
            lines,
        });
    }

    /// Something that happened between terminal and another party, in words.
    pub(super) fn event(&mut self, from: Party, to: Party, title: &str) {
        let (title, lines) = (title.to_owned(), Vec::new());
        self.0.push(TraceStep {
            from,
            to,
            title,
            lines,
        });
    }
}

fn data_objects(bytes: &[u8]) -> Vec<(String, String)> {
    let Ok(lines) = show::lines(bytes) else {
        return vec![("Data".to_owned(), NOT_SHOWN.to_owned())];
    };
    let pan = emv::tlv::find(bytes, TAG_5A_PAN).ok().flatten();
    let shown = |line: show::Line| {
        let value = match pan {
            // Whoever has the issuer's public key reads the account in it.
            _ if line.tag == TAG_9F46_ICC_CERTIFICATE => NOT_SHOWN.to_owned(),
            Some(pan) if line.tag == TAG_5A_PAN => last_four(HEXUPPER.encode(pan).trim_end_matches('F')),
            _ => line.value,
        };
        let indent = "  ".repeat(line.depth);
        (format!("{indent}{} {}", line.tag, line.title), value)
    };
    lines.into_iter().map(shown).collect()
}

fn shown_field(number: u8, value: &[u8], dialect: &Dialect) -> String {
    let text = || String::from_utf8_lossy(value);
    let places = dialect.places();
    match (number, dialect.field(number).map(|field| field.kind)) {
        (2, _) => last_four(&text()),
        (39, _) => format!("{} {}", text(), response_code::title(value).unwrap_or_default())
            .trim_end()
            .to_owned(),
        (55, _) => format!("{} bytes", value.len()),
        (number, _) if HIDDEN_FIELDS.contains(&number) || places.new_pin == Some(number) => {
            NOT_SHOWN.to_owned()
        }
        (number, _) if places.original_data == Some(number) => masked_original(&text()),
        (_, Some(Kind::B)) => HEXUPPER.encode(value),
        _ => text().into_owned(),
    }
}

/// Original data in parts of at most 11 digits: a longer run looks like an account number to whoever searches a log
/// for one.
fn masked_original(digits: &str) -> String {
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if [4, 10, 20, 24, 31].contains(&place) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// `…1234`.
pub(super) fn last_four(digits: &str) -> String {
    let mut out = "…".to_owned();
    let hidden = digits.chars().count().saturating_sub(4);
    write!(out, "{}", digits.chars().skip(hidden).collect::<String>()).expect("a String takes any text");
    out
}
