//! Original data elements: which message a reversal is about. DE90 in 1987, DE56 in 1993.

use crate::dialect::Dialect;
use crate::mti::Mti;

/// Digits of DE90.
pub const ORIGINAL_DATA_LEN: usize = 42;

/// What identifies the original of a reversal.
///
/// | part | DE90 (1987), 42 digits | DE56 (1993), up to 35 digits |
/// |---|---|---|
/// | MTI | 4: message type | 4: message type |
/// | trace | 6: DE11 | 6: DE11 |
/// | time | 10: DE7, MMDDhhmmss | 12: DE12, YYMMDDhhmmss |
/// | acquirer | 11: DE32, right-justified, zeros before | 2 digits of length, then DE32 |
/// | forwarder | 11: DE33, right-justified, zeros before; all zeros if none | not there |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginalData {
    /// Message type of the original.
    pub mti: Mti,
    /// DE11 of the original, ASCII digits.
    pub trace: [u8; 6],
    /// DE7 of the original; in 1993, all of its DE12 but the year: MMDDhhmmss in ASCII digits.
    pub transmitted: [u8; 10],
    /// The year of the original's DE12; zeros in 1987, which does not tell it.
    pub year: [u8; 2],
    /// DE32 of the original, ASCII digits, zeros before.
    pub acquirer: [u8; 11],
    /// DE33 of the original, ASCII digits, zeros before.
    pub forwarder: [u8; 11],
}

impl OriginalData {
    /// What a reversal of a message would say of it, from the message's fields.
    ///
    /// `None` where the dialect has no place for original data, or DE11, or DE7 (1993: DE12) is missing or has another
    /// length, or DE32 or DE33 has more than 11 bytes.
    pub fn of<'m>(mti: Mti, dialect: &Dialect, field: impl Fn(u8) -> Option<&'m [u8]>) -> Option<Self> {
        let (year, transmitted) = match dialect.places().original_data? {
            56 => {
                let (&year, rest) = field(12)?.split_first_chunk()?;
                (year, rest.try_into().ok()?)
            }
            _ => (*b"00", field(7)?.try_into().ok()?),
        };
        Some(Self {
            mti,
            trace: field(11)?.try_into().ok()?,
            transmitted,
            year,
            acquirer: institution(field(32).unwrap_or_default())?,
            forwarder: institution(field(33).unwrap_or_default())?,
        })
    }

    /// Which message a reversal names, from the reversal's fields.
    ///
    /// `None` where the dialect has no place for it, the field is absent, or [`OriginalData::parse`] or
    /// [`OriginalData::parse_1993`] refuses it.
    pub fn named_by<'m>(dialect: &Dialect, field: impl Fn(u8) -> Option<&'m [u8]>) -> Option<Self> {
        match dialect.places().original_data? {
            number @ 56 => Self::parse_1993(field(number)?),
            number => Self::parse(field(number)?),
        }
    }

    /// Field and content that name this message in a reversal; `None` where the dialect has no place for it.
    pub fn field(&self, dialect: &Dialect) -> Option<(u8, Vec<u8>)> {
        match dialect.places().original_data? {
            number @ 56 => Some((number, self.digits_1993())),
            number => Some((number, self.digits().to_vec())),
        }
    }

    /// Reads the 42 digits of DE90. `None` for another length, a byte that is no digit, or an MTI without meaning.
    pub fn parse(field: &[u8]) -> Option<Self> {
        if !field.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let (mti, rest) = field.split_first_chunk::<4>()?;
        let (&trace, rest) = rest.split_first_chunk()?;
        let (&transmitted, rest) = rest.split_first_chunk()?;
        let (&acquirer, rest) = rest.split_first_chunk()?;
        Some(Self {
            mti: Mti::parse(mti)?,
            trace,
            transmitted,
            year: *b"00",
            acquirer,
            forwarder: rest.try_into().ok()?,
        })
    }

    /// Reads the 24 to 35 digits of DE56 of 1993. `None` for another length, also inside, a byte that is no digit, or an MTI
    /// without meaning.
    pub fn parse_1993(field: &[u8]) -> Option<Self> {
        if !field.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let (mti, rest) = field.split_first_chunk::<4>()?;
        let (&trace, rest) = rest.split_first_chunk()?;
        let (&year, rest) = rest.split_first_chunk()?;
        let (&transmitted, rest) = rest.split_first_chunk()?;
        let (&[tens, ones], acquirer) = rest.split_first_chunk()?;
        if usize::from((tens - b'0') * 10 + (ones - b'0')) != acquirer.len() {
            return None;
        }
        Some(Self {
            mti: Mti::parse(mti)?,
            trace,
            transmitted,
            year,
            acquirer: institution(acquirer)?,
            forwarder: [b'0'; 11],
        })
    }

    /// The 42 digits of DE90.
    pub fn digits(&self) -> [u8; ORIGINAL_DATA_LEN] {
        let mut out = [0; ORIGINAL_DATA_LEN];
        let parts = [
            &self.mti.digits()[..],
            &self.trace,
            &self.transmitted,
            &self.acquirer,
            &self.forwarder,
        ];
        for (place, &digit) in out.iter_mut().zip(parts.into_iter().flatten()) {
            *place = digit;
        }
        out
    }

    /// The 35 digits of DE56 of 1993, the acquirer with zeros before. Leaves out the forwarder.
    pub fn digits_1993(&self) -> Vec<u8> {
        [
            &self.mti.digits()[..],
            &self.trace,
            &self.year,
            &self.transmitted,
            b"11",
            &self.acquirer,
        ]
        .concat()
    }
}

/// An institution code (DE32, DE33: up to 11 digits) as DE90 holds it. `None` for more than 11 bytes.
pub fn institution(code: &[u8]) -> Option<[u8; 11]> {
    let mut out = [b'0'; 11];
    let begin = out.len().checked_sub(code.len())?;
    out.get_mut(begin..)?.copy_from_slice(code);
    Some(out)
}
