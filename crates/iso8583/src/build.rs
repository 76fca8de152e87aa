//! Building a message: fields in any order, checked against the dialect, written in wire order into a reused buffer.

use std::fmt;

use thiserror::Error;

use crate::dialect::{Dialect, FIELD_PLACES, Kind, Length};
use crate::message::{FieldSet, MESSAGE_LEN_MAX, Message, narrow};
use crate::mti::Mti;

/// MTI and first bitmap.
const HEAD_LEN: usize = 12;

/// A message being put together. [`MessageBuilder::reset`] makes it ready for the next one without new allocations.
#[derive(Clone)]
pub struct MessageBuilder<'d> {
    dialect: &'d Dialect,
    mti: Mti,
    present: FieldSet,
    places: [(u16, u16); FIELD_PLACES],
    values: Vec<u8>,
    lengths_len: usize,
}

/// Why a field cannot be set. Never says what the bytes were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The dialect does not have the field.
    #[error("field {field}: not a field of this dialect")]
    NotInDialect {
        /// Field number.
        field: u8,
    },
    /// Wrong length for the field.
    #[error("field {field}: wanted {wanted:?}, got {got} bytes")]
    Length {
        /// Field number.
        field: u8,
        /// Length in the dialect.
        wanted: Length,
        /// Length given.
        got: usize,
    },
    /// A byte that this kind of field cannot hold.
    #[error("field {field}: wanted characters of kind {wanted:?} at byte {at}")]
    Character {
        /// Field number.
        field: u8,
        /// Place in the value.
        at: usize,
        /// The field's kind.
        wanted: Kind,
    },
    /// The field has a value already.
    #[error("field {field}: set twice")]
    AlreadySet {
        /// Field number.
        field: u8,
    },
    /// The message would be longer than [`MESSAGE_LEN_MAX`].
    #[error("field {field}: the message would be longer than {MESSAGE_LEN_MAX} bytes")]
    MessageTooLong {
        /// Field that does not fit any more.
        field: u8,
    },
}

impl<'d> MessageBuilder<'d> {
    /// A message without fields.
    pub fn new(dialect: &'d Dialect, mti: Mti) -> Self {
        Self {
            dialect,
            mti,
            present: FieldSet::default(),
            places: [(0, 0); FIELD_PLACES],
            values: Vec::new(),
            lengths_len: 0,
        }
    }

    /// Forgets all fields and begins another message; keeps the memory.
    pub fn reset(&mut self, mti: Mti) {
        self.mti = mti;
        self.present = FieldSet::default();
        self.values.clear();
        self.lengths_len = 0;
    }

    /// Sets a field. Values are whole: nothing is padded or cut.
    ///
    /// Refuses: a field the dialect does not have, or that is set; a length or character outside the field's shape; a message that
    /// would exceed [`MESSAGE_LEN_MAX`].
    pub fn set(&mut self, field: u8, value: &[u8]) -> Result<&mut Self, BuildError> {
        let spec = self
            .dialect
            .field(field)
            .ok_or(BuildError::NotInDialect { field })?;
        if self.present.has(field) {
            return Err(BuildError::AlreadySet { field });
        }
        let (digits, max) = spec.length.prefix_and_max();
        let fits = if digits == 0 {
            value.len() == max
        } else {
            value.len() <= max
        };
        if !fits {
            let (wanted, got) = (spec.length, value.len());
            return Err(BuildError::Length { field, wanted, got });
        }
        if let Some(at) = spec.kind.first_unfit(value) {
            let wanted = spec.kind;
            return Err(BuildError::Character { field, at, wanted });
        }
        let present = self.present.with(field);
        let lengths_len = self.lengths_len + digits;
        let begin = self.values.len();
        let len = HEAD_LEN + present.second_bitmap_len() + lengths_len + begin + value.len();
        if len > MESSAGE_LEN_MAX {
            return Err(BuildError::MessageTooLong { field });
        }
        if let Some(place) = self.places.get_mut(usize::from(field)) {
            *place = (narrow(begin), narrow(value.len()));
        }
        self.values.extend_from_slice(value);
        self.present = present;
        self.lengths_len = lengths_len;
        Ok(self)
    }

    /// Copies those of the fields that the other message has, as a response echoes its request.
    ///
    /// Refuses as [`MessageBuilder::set`] does; a message read in the same dialect always fits.
    pub fn echo(&mut self, from: &Message<'_>, fields: &[u8]) -> Result<&mut Self, BuildError> {
        for &field in fields {
            if let Some(value) = from.field(field) {
                self.set(field, value)?;
            }
        }
        Ok(self)
    }

    /// Appends the message to a buffer, without a length header; see [`crate::framing::Framing::append`].
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let [first, second] = self.bitmaps();
        out.extend_from_slice(&self.mti.digits());
        out.extend_from_slice(&first.to_be_bytes());
        if second != 0 {
            out.extend_from_slice(&second.to_be_bytes());
        }
        for field in self.present.iter() {
            let value = self.value(field);
            let digits = self
                .dialect
                .field(field)
                .map_or(0, |spec| spec.length.prefix_and_max().0);
            put_length(digits, value.len(), out);
            out.extend_from_slice(value);
        }
    }

    fn value(&self, field: u8) -> &[u8] {
        let place = self.places.get(usize::from(field));
        place
            .and_then(|&(begin, len)| self.values.get(usize::from(begin)..)?.get(..usize::from(len)))
            .unwrap_or_default()
    }

    fn bitmaps(&self) -> [u64; 2] {
        let second = u64::try_from(self.present.0 & u128::from(u64::MAX)).expect("masked to 64 bits");
        let first = u64::try_from(self.present.0 >> 64).expect("shifted to 64 bits");
        [first | (u64::from(second != 0) << 63), second]
    }
}

/// Shows the message type and the field numbers, never content.
impl fmt::Debug for MessageBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageBuilder({} ", self.mti)?;
        f.debug_set().entries(self.present.iter()).finish()?;
        write!(f, ")")
    }
}

/// Writes a length as 0, 2 or 3 ASCII digits.
fn put_length(digits: usize, len: usize, out: &mut Vec<u8>) {
    let digit =
        |divisor: usize| b'0' + u8::try_from(len / divisor % 10).expect("a remainder of 10 is one digit");
    if digits == 3 {
        out.push(digit(100));
    }
    if digits > 0 {
        out.extend_from_slice(&[digit(10), digit(1)]);
    }
}
