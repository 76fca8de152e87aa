//! Reading a message: one walk over a received frame, without copying and without allocation.

use std::fmt;

use thiserror::Error;

use crate::dialect::{Dialect, FIELD_PLACES, FieldSpec, Kind};
use crate::mti::Mti;

/// Longest message that is read or framed, in bytes.
pub const MESSAGE_LEN_MAX: usize = 4096;

/// Offsets and lengths fit 16 bits.
const _: () = assert!(MESSAGE_LEN_MAX <= 0xFFFF);

const MTI_LEN: usize = 4;
const BITMAP_LEN: usize = 8;
const FIELD_65_THIRD_BITMAP: u8 = 65;

/// A message read from a frame: where each field begins, how long it is, and the frame itself.
///
/// | part | length | meaning |
/// |---|---|---|
/// | MTI | 4 ASCII digits | version, class, function, origin |
/// | bitmap | 8 bytes, most significant bit first | bit 1: a second bitmap follows; bits 2 to 64: fields present |
/// | second bitmap | 8 bytes, if bit 1 is set | bits 65 to 128 |
/// | fields | by dialect | in ascending order of field number |
#[derive(Clone)]
pub struct Message<'a> {
    frame: &'a [u8],
    mti: Mti,
    present: FieldSet,
    places: [(u16, u16); FIELD_PLACES],
}

/// Why a frame is not a message of the dialect, and where. Never says what the bytes were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("field {field} at byte {at}: {reason}")]
pub struct ParseError {
    /// Field number; 0 stands for the MTI and for what follows the last field, 1 for the bitmaps.
    pub field: u8,
    /// Place in the frame, in bytes from 0.
    pub at: usize,
    /// What was wanted and what came.
    pub reason: Reason,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reason {
    /// The frame ends inside the field.
    #[error("wanted {wanted} bytes, got {got}")]
    Truncated {
        /// Bytes the field needs.
        wanted: usize,
        /// Bytes left in the frame.
        got: usize,
    },
    /// The MTI is not four digits with a meaning in this dialect.
    #[error("not a message type of this dialect")]
    MessageType,
    /// The bitmap names a field that the dialect does not have.
    #[error("not a field of this dialect")]
    NotInDialect,
    /// An LL or LLL length is not made of digits.
    #[error("wanted a length of {digits} digits")]
    LengthDigits {
        /// Digits wanted.
        digits: usize,
    },
    /// A length outside what the dialect allows.
    #[error("wanted at most {max} bytes, got {got}")]
    TooLong {
        /// Greatest length.
        max: usize,
        /// Length that came.
        got: usize,
    },
    /// A byte that this kind of field cannot hold.
    #[error("wanted characters of kind {wanted:?}")]
    Character {
        /// The field's kind.
        wanted: Kind,
    },
    /// Bytes after the last field.
    #[error("wanted the end of the message, got {got} more bytes")]
    TrailingBytes {
        /// How many.
        got: usize,
    },
}

impl<'a> Message<'a> {
    /// Reads a frame (without its length header) in a dialect.
    ///
    /// Refuses: more than [`MESSAGE_LEN_MAX`] bytes; an MTI without meaning or of another version; a field the
    /// dialect does not have; a third bitmap; a field cut short, too long, or with a character outside its kind;
    /// bytes after the last field. Says nothing about which fields a message type needs.
    pub fn parse(frame: &'a [u8], dialect: &Dialect) -> Result<Self, ParseError> {
        let mut walk = Walk { frame, at: 0 };
        if frame.len() > MESSAGE_LEN_MAX {
            let (max, got) = (MESSAGE_LEN_MAX, frame.len());
            return Err(walk.error(0, Reason::TooLong { max, got }));
        }
        let mti = walk.take(0, MTI_LEN)?;
        let mti = Mti::parse(mti)
            .filter(|_| mti.first() == Some(&dialect.mti_version()))
            .ok_or(ParseError {
                field: 0,
                at: 0,
                reason: Reason::MessageType,
            })?;
        let present = walk.bitmaps()?;
        let mut places = [(0, 0); FIELD_PLACES];
        for field in present.iter() {
            let spec = dialect
                .field(field)
                .ok_or(walk.error(field, Reason::NotInDialect))?;
            let len = walk.field_len(field, spec)?;
            let begin = walk.at;
            let value = walk.take(field, len)?;
            if let Some(unfit) = spec.kind.first_unfit(value) {
                let (at, wanted) = (begin + unfit, spec.kind);
                let reason = Reason::Character { wanted };
                return Err(ParseError { field, at, reason });
            }
            if let Some(place) = places.get_mut(usize::from(field)) {
                *place = (narrow(begin), narrow(len));
            }
        }
        match frame.len() - walk.at {
            0 => Ok(Self {
                frame,
                mti,
                present,
                places,
            }),
            got => Err(walk.error(0, Reason::TrailingBytes { got })),
        }
    }

    /// The message type.
    pub fn mti(&self) -> Mti {
        self.mti
    }

    /// Content of a field without its length digits; `None` where it is absent.
    pub fn field(&self, number: u8) -> Option<&'a [u8]> {
        if !self.present.has(number) {
            return None;
        }
        let &(begin, len) = self.places.get(usize::from(number))?;
        self.frame.get(usize::from(begin)..)?.get(..usize::from(len))
    }

    /// Numbers of the fields present, ascending, without the bitmaps.
    pub fn fields(&self) -> impl Iterator<Item = u8> + use<> {
        self.present.iter()
    }

    /// The whole frame that was read.
    pub fn frame(&self) -> &'a [u8] {
        self.frame
    }
}

/// Shows the message type and the field numbers, never content.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} ", self.mti)?;
        f.debug_set().entries(self.fields()).finish()?;
        write!(f, ")")
    }
}

/// A place in the frame that only moves forward.
struct Walk<'a> {
    frame: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn take(&mut self, field: u8, wanted: usize) -> Result<&'a [u8], ParseError> {
        let rest = self.frame.get(self.at..).unwrap_or_default();
        let taken = rest.get(..wanted).ok_or(self.error(
            field,
            Reason::Truncated {
                wanted,
                got: rest.len(),
            },
        ))?;
        self.at += wanted;
        Ok(taken)
    }

    fn bitmaps(&mut self) -> Result<FieldSet, ParseError> {
        let first = self.bitmap()?;
        if first >> 63 == 0 {
            return Ok(FieldSet(u128::from(first) << 64));
        }
        let second = self.bitmap()?;
        let present = FieldSet((u128::from(first) << 64) | u128::from(second));
        if present.has(FIELD_65_THIRD_BITMAP) {
            return Err(self.error(FIELD_65_THIRD_BITMAP, Reason::NotInDialect));
        }
        Ok(present.without(1))
    }

    fn bitmap(&mut self) -> Result<u64, ParseError> {
        let bytes = self.take(1, BITMAP_LEN)?;
        Ok(bytes.iter().fold(0, |bits, &byte| (bits << 8) | u64::from(byte)))
    }

    fn field_len(&mut self, field: u8, spec: FieldSpec) -> Result<usize, ParseError> {
        let (digits, max) = spec.length.prefix_and_max();
        if digits == 0 {
            return Ok(max);
        }
        let begin = self.at;
        let mut got = 0;
        for &digit in self.take(field, digits)? {
            if !digit.is_ascii_digit() {
                let reason = Reason::LengthDigits { digits };
                return Err(ParseError {
                    field,
                    at: begin,
                    reason,
                });
            }
            got = got * 10 + usize::from(digit - b'0');
        }
        if got > max {
            let reason = Reason::TooLong { max, got };
            return Err(ParseError {
                field,
                at: begin,
                reason,
            });
        }
        Ok(got)
    }

    fn error(&self, field: u8, reason: Reason) -> ParseError {
        ParseError {
            field,
            at: self.at,
            reason,
        }
    }
}

/// Which of fields 1 to 128 are present: field 1 is the most significant bit, as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FieldSet(pub(crate) u128);

impl FieldSet {
    pub(crate) fn has(self, field: u8) -> bool {
        self.0 & Self::bit(field) != 0
    }

    pub(crate) fn with(self, field: u8) -> Self {
        Self(self.0 | Self::bit(field))
    }

    /// 8 where a field above 64 is present, else 0.
    pub(crate) fn second_bitmap_len(self) -> usize {
        if self.0 & u128::from(u64::MAX) == 0 {
            0
        } else {
            BITMAP_LEN
        }
    }

    fn without(self, field: u8) -> Self {
        Self(self.0 & !Self::bit(field))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u8> + use<> {
        let mut left = self;
        std::iter::from_fn(move || {
            let field = u8::try_from(left.0.leading_zeros()).ok()? + 1;
            left = left.without(field);
            (field <= 128).then_some(field)
        })
    }

    /// No bit for 0 and for numbers above 128.
    fn bit(field: u8) -> u128 {
        match field {
            1..=128 => 1 << (128 - field),
            _ => 0,
        }
    }
}

pub(crate) fn narrow(place: usize) -> u16 {
    u16::try_from(place).expect("places are within MESSAGE_LEN_MAX, which is checked before any is made")
}
