//! Primary account number, card sequence number and expiry, parsed once at the door.
//!
//! ISO/IEC 7812-1 (PAN, Luhn check digit), ISO 8583:1987 fields 2, 14 and 23.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

const PAN_LEN_MIN: usize = 12;
const PAN_LEN_MAX: usize = 19;

/// A primary account number of 12 to 19 digits whose last digit is the right Luhn check digit.
///
/// Prints as its last four digits only; zeroises itself on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Pan {
    digits: [u8; PAN_LEN_MAX],
    len: u8,
}

/// Why a text is not a PAN. Never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePanError {
    #[error("a PAN has 12 to 19 digits, this has {0}")]
    Length(usize),
    #[error("a PAN holds decimal digits only")]
    NotDigits,
    #[error("the check digit is wrong")]
    CheckDigit,
}

impl Pan {
    /// Parses ASCII digits.
    ///
    /// Refuses fewer than 12 or more than 19 characters, anything but digits, and a wrong check digit.
    pub fn parse(text: &str) -> Result<Self, ParsePanError> {
        Self::parse_bytes(text.as_bytes())
    }

    /// [`Pan::parse`] for a field that is still bytes of a received frame.
    pub fn parse_bytes(text: &[u8]) -> Result<Self, ParsePanError> {
        if !(PAN_LEN_MIN..=PAN_LEN_MAX).contains(&text.len()) {
            return Err(ParsePanError::Length(text.len()));
        }
        if !text.iter().all(u8::is_ascii_digit) {
            return Err(ParsePanError::NotDigits);
        }
        if !luhn_sum(text).is_multiple_of(10) {
            return Err(ParsePanError::CheckDigit);
        }
        let mut digits = [0; PAN_LEN_MAX];
        for (to, from) in digits.iter_mut().zip(text) {
            *to = *from;
        }
        let len = u8::try_from(text.len()).expect("the length is at most 19");
        Ok(Self { digits, len })
    }

    /// All digits, ASCII. The only way to see a full PAN: every call is a place an auditor will read.
    #[must_use]
    pub fn expose_digits(&self) -> &str {
        let digits = self
            .digits
            .get(..usize::from(self.len))
            .expect("len is at most 19");
        std::str::from_utf8(digits).expect("parsed as ASCII digits")
    }

    /// The last four digits, as shown to people.
    #[must_use]
    pub fn last_four(&self) -> &str {
        let digits = self.expose_digits();
        digits
            .get(digits.len() - 4..)
            .expect("a PAN has at least 12 digits")
    }

    /// How many digits.
    #[must_use]
    pub fn len_digits(&self) -> usize {
        usize::from(self.len)
    }
}

fn luhn_sum(digits: &[u8]) -> u32 {
    digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit - b'0');
            match (place % 2, value) {
                (0, value) => value,
                (_, value) if value < 5 => value * 2,
                (_, value) => value * 2 - 9,
            }
        })
        .sum()
}

impl Drop for Pan {
    fn drop(&mut self) {
        self.digits.zeroize();
    }
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pan(…{})", self.last_four())
    }
}

impl Serialize for Pan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose_digits())
    }
}

impl<'de> Deserialize<'de> for Pan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        Self::parse(text).map_err(serde::de::Error::custom)
    }
}

/// Card sequence number (PSN), 0 to 99; ISO 8583 field 23 carries it as three digits, EMV tag 5F34 as one BCD byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Psn(u8);

impl Psn {
    /// Refuses more than 99.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (number <= 99).then_some(Self(number))
    }

    /// 0 to 99.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

/// Last month of validity, as YYMM in ISO 8583 field 14.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Expiry {
    /// Full year, 2000 to 2099.
    year: u16,
    /// 1 to 12.
    month: u8,
}

impl Expiry {
    /// Parses four ASCII digits YYMM. Refuses another length, other characters, a month outside 1 to 12.
    #[must_use]
    pub fn parse_yymm(text: &str) -> Option<Self> {
        if text.len() != 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let year = text.get(..2)?.parse::<u16>().ok()?;
        let month = text.get(2..)?.parse::<u8>().ok()?;
        (1..=12).contains(&month).then_some(Self {
            year: 2000 + year,
            month,
        })
    }

    /// Full year and month, 1 to 12.
    #[must_use]
    pub fn year_month(self) -> (u16, u8) {
        (self.year, self.month)
    }

    /// Four digits, YYMM.
    #[must_use]
    pub fn yymm(self) -> String {
        format!("{:02}{:02}", self.year % 100, self.month)
    }

    /// As printed on the card, MM/YY.
    #[must_use]
    pub fn printed(self) -> String {
        format!("{:02}/{:02}", self.month, self.year % 100)
    }

    /// Whether a card with this expiry is past it in the given month (full year, 1 to 12).
    #[must_use]
    pub fn is_past(self, year: u16, month: u8) -> bool {
        (year, month) > (self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pan_is_parsed_only_with_its_check_digit() {
        assert_eq!(Pan::parse("4111111111111111").unwrap().last_four(), "1111");
        assert_eq!(Pan::parse("371449635398431").unwrap().len_digits(), 15);
        assert_eq!(Pan::parse("4111111111111112"), Err(ParsePanError::CheckDigit));
        assert_eq!(Pan::parse("411111111111111x"), Err(ParsePanError::NotDigits));
        assert_eq!(Pan::parse("41111111111"), Err(ParsePanError::Length(11)));
    }

    #[test]
    fn a_pan_prints_its_last_four_digits_only() {
        let pan = Pan::parse("4111111111111111").unwrap();
        assert_eq!(format!("{pan:?}"), "Pan(…1111)");
    }

    #[test]
    fn an_expiry_is_past_from_the_next_month_on() {
        let expiry = Expiry::parse_yymm("2811").unwrap();
        assert!(!expiry.is_past(2028, 11));
        assert!(expiry.is_past(2028, 12));
        assert_eq!(expiry.printed(), "11/28");
        assert_eq!(Expiry::parse_yymm("2813"), None);
    }
}
