//! IBM 3624 offsets: verification by the rule that belongs to the key.
//!
//! The PIN check length is the offset's number of digits: compared are that many rightmost digits of the PIN, the
//! intermediate value being cut to the PIN's length first (IBM CCA). A PIN shorter than the offset never matches; of a
//! longer one the digits in front aren't looked at.

use paycrypto::ibm3624::{DecimalisationTable, PinOffset, ValidationData, verify_offset};
use paycrypto::pin::Pin;
use paycrypto::tdes_key::Tdes2Key;

use crate::seam::{Ibm3624Rule, ValidationDigits};

const VALIDATION_LEN_MAX_DIGITS: u8 = 16;

/// A rule within its limits, its table ready for use.
#[derive(Clone)]
pub(crate) struct Rule {
    told: Ibm3624Rule,
    table: DecimalisationTable,
}

impl Rule {
    /// Refuses (`None`) a table other than 16 digits with at least 8 different ones, no or more than 16 PAN digits, and a
    /// pad above 15.
    pub(crate) fn new(told: Ibm3624Rule) -> Option<Self> {
        let (ValidationDigits::Leftmost(count) | ValidationDigits::RightmostWithoutCheckDigit(count)) =
            told.digits;
        let within = (1..=VALIDATION_LEN_MAX_DIGITS).contains(&count) && told.pad <= 0x0F;
        let table = DecimalisationTable::parse(&told.table).filter(|_| within)?;
        Some(Self { told, table })
    }

    /// Whether it is the rule that these words tell.
    pub(crate) fn is(&self, told: &Ibm3624Rule) -> bool {
        self.told == *told
    }

    /// Table, `L` or `R` with the number of PAN digits, and pad, as in `0123456789012345 R12 15`.
    pub(crate) fn to_text(&self) -> String {
        let (side, count) = match self.told.digits {
            ValidationDigits::Leftmost(count) => ('L', count),
            ValidationDigits::RightmostWithoutCheckDigit(count) => ('R', count),
        };
        format!("{} {side}{count} {}", self.told.table, self.told.pad)
    }

    /// Reads [`Rule::to_text`] back.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        let (table, digits, pad) = (words.next()?, words.next()?, words.next()?);
        let digits = match digits.split_at_checked(1)? {
            ("L", count) => ValidationDigits::Leftmost(count.parse().ok()?),
            ("R", count) => ValidationDigits::RightmostWithoutCheckDigit(count.parse().ok()?),
            _ => return None,
        };
        Self::new(Ibm3624Rule {
            table: table.to_owned(),
            digits,
            pad: pad.parse().ok()?,
        })
    }

    /// Whether a PIN is the one of this offset (digit values) and PAN (ASCII digits). Compares in constant time; an offset
    /// of fewer than 4 or more than 12 digits is nobody's.
    pub(crate) fn verify(&self, key: &Tdes2Key, pan: &str, pin: &Pin, offset: &[u8]) -> bool {
        let text: String = offset
            .iter()
            .map(|digit| char::from(b'0'.wrapping_add(*digit)))
            .collect();
        match (PinOffset::parse(&text), self.validation_data(pan)) {
            (Some(offset), Some(data)) => verify_offset(key, &self.table, &data, pin, &offset),
            (_, _) => false,
        }
    }

    fn validation_data(&self, pan: &str) -> Option<ValidationData> {
        let digits = match self.told.digits {
            ValidationDigits::Leftmost(count) => pan.get(..pan.len().min(usize::from(count))),
            ValidationDigits::RightmostWithoutCheckDigit(count) => {
                let end = pan.len().checked_sub(1)?;
                pan.get(end.saturating_sub(usize::from(count))..end)
            }
        };
        ValidationData::from_digits(digits?, self.told.pad)
    }
}
