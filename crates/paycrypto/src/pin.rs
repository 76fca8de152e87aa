//! The clear PIN. ISO 9564-1:2017 8.1: 4 to 12 decimal digits.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Fewest digits of a PIN, ISO 9564-1:2017 8.1.
pub const PIN_LEN_MIN_DIGITS: usize = 4;
/// Most digits of a PIN, ISO 9564-1:2017 8.1.
pub const PIN_LEN_MAX_DIGITS: usize = 12;

/// Stands in the places after the last digit; no digit has this value.
const NO_DIGIT: u8 = 0x0F;

/// A clear PIN of 4 to 12 digits.
///
/// Zeroises itself on drop, prints as `Pin(•)`, and is compared in constant time whatever the two lengths are.
///
/// ```
/// use paycrypto::pin::Pin;
///
/// let pin = Pin::parse("1234").unwrap();
/// assert_eq!(pin.expose_digits(), [1, 2, 3, 4]);
/// assert_eq!(format!("{pin:?}"), "Pin(•)");
/// assert!(pin != Pin::parse("12340").unwrap());
/// ```
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Pin {
    /// Values 0 to 9, then `NO_DIGIT`.
    digits: [u8; PIN_LEN_MAX_DIGITS],
    len: usize,
}

impl Pin {
    /// Takes digit values, one per byte, 0 to 9, first digit first.
    ///
    /// Refuses fewer than 4 or more than 12 of them, and a value above 9.
    #[must_use]
    pub fn from_digits(values: &[u8]) -> Option<Self> {
        let right_length = (PIN_LEN_MIN_DIGITS..=PIN_LEN_MAX_DIGITS).contains(&values.len());
        if !right_length || values.iter().any(|value| *value > 9) {
            return None;
        }
        let mut pin = Self {
            digits: [NO_DIGIT; PIN_LEN_MAX_DIGITS],
            len: values.len(),
        };
        for (to, from) in pin.digits.iter_mut().zip(values) {
            *to = *from;
        }
        Some(pin)
    }

    /// Parses ASCII digits. Refuses what [`Pin::from_digits`] refuses, and any other character.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > PIN_LEN_MAX_DIGITS {
            return None;
        }
        let mut values = [0; PIN_LEN_MAX_DIGITS];
        for (to, from) in values.iter_mut().zip(text.bytes()) {
            *to = from.wrapping_sub(b'0');
        }
        let pin = values.get(..text.len()).and_then(Self::from_digits);
        values.zeroize();
        pin
    }

    /// The digit values 0 to 9, first digit first. Every call is a place an auditor will read.
    #[must_use]
    pub fn expose_digits(&self) -> &[u8] {
        self.digits
            .get(..self.len)
            .expect("len is at most 12 by construction")
    }

    /// How many digits, 4 to 12.
    #[must_use]
    pub fn len_digits(&self) -> usize {
        self.len
    }
}

impl ConstantTimeEq for Pin {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.digits.ct_eq(&other.digits)
    }
}

impl PartialEq for Pin {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Pin {}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(•)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_has_4_to_12_decimal_digits() {
        assert!(Pin::parse("123").is_none());
        assert!(Pin::parse("1234567890123").is_none());
        assert!(Pin::parse("12a4").is_none());
        assert!(Pin::parse("12/4").is_none());
        assert!(Pin::from_digits(&[1, 2, 3, 10]).is_none());
        assert_eq!(Pin::parse("123456789012").unwrap().len_digits(), 12);
    }

    #[test]
    fn pins_of_different_length_differ_even_where_one_starts_the_other() {
        assert!(Pin::parse("1234").unwrap() != Pin::parse("12340").unwrap());
        assert!(Pin::parse("0000").unwrap() != Pin::parse("00000").unwrap());
        assert!(Pin::parse("1234").unwrap() == Pin::parse("1234").unwrap());
    }

    #[test]
    fn a_pin_prints_no_digit_and_no_length() {
        assert_eq!(format!("{:?}", Pin::parse("987654").unwrap()), "Pin(•)");
    }
}
