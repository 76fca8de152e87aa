//! What the tests share: the sample message, from a vector file, and hexadecimal digits.

#![allow(dead_code, reason = "each test uses a part of this")]

use std::fmt::Write;

use iso8583::dialect::{FieldSpec, Kind, Length};

/// A message and its fields, as another implementation made it.
pub(crate) struct Sample {
    pub(crate) frame: Vec<u8>,
    pub(crate) fields: Vec<(u8, Vec<u8>)>,
}

/// A contact chip purchase of 398 bytes.
pub(crate) fn authorisation_request() -> Sample {
    let mut frame = Vec::new();
    let mut fields = Vec::new();
    let text = include_str!("../vectors/0100-contact-chip.txt");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, digits) = line.split_once(' ').expect("a name and hexadecimal digits");
        match name {
            "frame" => frame = unhex(digits),
            number => fields.push((number.parse().expect("a field number"), unhex(digits))),
        }
    }
    Sample { frame, fields }
}

pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let (pairs, _) = digits.as_bytes().as_chunks::<2>();
    pairs
        .iter()
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hexadecimal digits")
        })
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a String takes any text");
        out
    })
}

/// A regular expression for the values that fit a field, of at most 150 bytes where the length varies.
pub(crate) fn fitting(spec: FieldSpec) -> String {
    let allowed = match spec.kind {
        Kind::N => "[0-9]",
        Kind::An => "[0-9A-Za-z ]",
        Kind::Ans => "[ -~]",
        // A track in BCD has one separator: D is read as =.
        Kind::Z if spec.encoding.is_bcd() => "[0-9=]",
        Kind::Z => "[0-9=D]",
        Kind::B => "(?s-u:.)",
    };
    let (least, most) = match spec.length {
        Length::Fixed(len) => (len, len),
        Length::Ll(max) | Length::Lll(max) => (0, max.min(150)),
    };
    format!("{allowed}{{{least},{most}}}")
}
