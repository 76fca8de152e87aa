//! DE90, original data elements: which message a reversal is about (ISO 8583:1987).

use crate::mti::Mti;

/// Digits of DE90.
pub const ORIGINAL_DATA_LEN: usize = 42;

/// What identifies the original of a reversal.
///
/// | part | digits | of the original |
/// |---|---|---|
/// | MTI | 4 | message type |
/// | trace | 6 | DE11 |
/// | transmitted | 10 | DE7, MMDDhhmmss |
/// | acquirer | 11 | DE32, right-justified, zeros before |
/// | forwarder | 11 | DE33, right-justified, zeros before; all zeros if none |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginalData {
    /// Message type of the original.
    pub mti: Mti,
    /// DE11 of the original, ASCII digits.
    pub trace: [u8; 6],
    /// DE7 of the original, ASCII digits.
    pub transmitted: [u8; 10],
    /// DE32 of the original, ASCII digits, zeros before.
    pub acquirer: [u8; 11],
    /// DE33 of the original, ASCII digits, zeros before.
    pub forwarder: [u8; 11],
}

impl OriginalData {
    /// Reads the 42 digits. `None` for another length, a byte that is no digit, or an MTI without meaning.
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
            acquirer,
            forwarder: rest.try_into().ok()?,
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
}

/// An institution code (DE32, DE33: up to 11 digits) as DE90 holds it. `None` for more than 11 bytes.
pub fn institution(code: &[u8]) -> Option<[u8; 11]> {
    let mut out = [b'0'; 11];
    let begin = out.len().checked_sub(code.len())?;
    out.get_mut(begin..)?.copy_from_slice(code);
    Some(out)
}
