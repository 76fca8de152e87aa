//! Building a message: fields in any order, checked against the dialect, written in wire order into a reused buffer.

use std::fmt;

use thiserror::Error;

use crate::dialect::{Dialect, FIELD_PLACES, Kind, Length};
use crate::message::{FieldSet, MESSAGE_LEN_MAX, Message, narrow};
use crate::mti::Mti;

/// A message being put together. [`MessageBuilder::reset`] makes it ready for the next one without new allocations.
#[derive(Clone)]
pub struct MessageBuilder<'d> {
    dialect: &'d Dialect,
    mti: Mti,
    present: FieldSet,
    places: [(u16, u16); FIELD_PLACES],
    values: Vec<u8>,
    /// Bytes of all fields on the wire, with their lengths.
    fields_len: usize,
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
    #[error("field {field}: wanted {wanted}, got {got}")]
    Length {
        /// Field number.
        field: u8,
        /// Length in the dialect.
        wanted: Length,
        /// Length given.
        got: usize,
    },
    /// A byte that this kind of field cannot hold.
    #[error("field {field} at byte {at} of its value: wanted {wanted}")]
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
            fields_len: 0,
        }
    }

    /// Forgets all fields and begins another message; keeps the memory.
    pub fn reset(&mut self, mti: Mti) {
        self.mti = mti;
        self.present = FieldSet::default();
        self.values.clear();
        self.fields_len = 0;
    }

    /// Sets a field to a value in canonical form, as [`Message::field`] gives it. Values are whole: nothing is padded or cut.
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
        if !spec.length.allows(value.len()) {
            let (wanted, got) = (spec.length, value.len());
            return Err(BuildError::Length { field, wanted, got });
        }
        if let Some(at) = spec.kind.first_unfit(value) {
            let wanted = spec.kind;
            return Err(BuildError::Character { field, at, wanted });
        }
        let present = self.present.with(field);
        let wire = self.dialect.wire;
        let (digits, _) = spec.length.prefix_and_max();
        let fields_len = self.fields_len + wire.lengths.len(digits) + spec.encoding.wire_len(value.len());
        let bitmaps = 1 + usize::from(present.needs_second_bitmap());
        if wire.mti.len() + bitmaps * wire.bitmap.len() + fields_len > MESSAGE_LEN_MAX {
            return Err(BuildError::MessageTooLong { field });
        }
        if let Some(place) = self.places.get_mut(usize::from(field)) {
            *place = (narrow(self.values.len()), narrow(value.len()));
        }
        self.values.extend_from_slice(value);
        self.present = present;
        self.fields_len = fields_len;
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
        let wire = self.dialect.wire;
        let [first, second] = self.bitmaps();
        wire.mti.write(self.mti.digits(), out);
        wire.bitmap.write(first, out);
        if second != 0 {
            wire.bitmap.write(second, out);
        }
        for field in self.present.iter() {
            let spec = self.dialect.field(field).expect("`set` took no other");
            let value = self.value(field);
            let (digits, _) = spec.length.prefix_and_max();
            wire.lengths.write(digits, value.len(), out);
            spec.encoding.write(value, out);
        }
    }

    pub(crate) fn has_second_bitmap(&self) -> bool {
        self.present.needs_second_bitmap()
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
