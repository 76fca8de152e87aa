//! Chip data for people: every data object with its title, and its value unless it is never displayed.

use std::fmt::Write;

use crate::apdu::Command;
use crate::tags::{self, TAG_86_SCRIPT_COMMAND};
use crate::tlv::{self, Tag, TlvError};

/// One data object as displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How many templates it is in.
    pub depth: usize,
    /// Its tag.
    pub tag: Tag,
    /// Its title; empty where it is not known.
    pub title: &'static str,
    /// Hexadecimal digits, `not shown`, or nothing for a template.
    pub value: String,
}

/// All data objects of some bytes, such as field 55 or a response's data, templates before their content.
///
/// Not shown: values of [`tags::is_sensitive`]; the data of a script command that carries a PIN, whose header is shown;
/// values of tags not listed, since nothing says that they are harmless. Refuses as [`tlv::parse_nested`] does.
pub fn lines(bytes: &[u8]) -> Result<Vec<Line>, TlvError> {
    let objects = tlv::parse_nested(bytes)?;
    let lines = objects.into_iter().map(|(depth, object)| Line {
        depth,
        tag: object.tag,
        title: tags::title(object.tag).unwrap_or_default(),
        value: shown(object.tag, object.value),
    });
    Ok(lines.collect())
}

fn shown(tag: Tag, value: &[u8]) -> String {
    if tag.is_template() {
        return String::new();
    }
    if tags::is_sensitive(tag) || tags::title(tag).is_none() {
        return "not shown".to_owned();
    }
    if tag == TAG_86_SCRIPT_COMMAND {
        return shown_command(value);
    }
    hex(value)
}

/// A command as hexadecimal digits, without the data of one that carries a PIN or is malformed.
pub fn shown_command(bytes: &[u8]) -> String {
    match Command::parse(bytes) {
        Ok(command) if !command.is_sensitive() => hex(bytes),
        Ok(command) => {
            let head = hex(bytes.get(..4).unwrap_or_default());
            format!("{head}, {} bytes not shown", command.data.len())
        }
        Err(_) => "not shown".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02X}").expect("a String takes any text");
        out
    })
}
