//! An ISO 8583 message as an acquirer keeps it: it may have to send it again, or reverse it.

use std::collections::BTreeMap;
use std::fmt;

use iso8583::build::{BuildError, MessageBuilder};
use iso8583::dialect::Dialect;
use iso8583::message::ParseError;
use iso8583::mti::Mti;
use iso8583::original_data::OriginalData;

/// Fields that a reversal repeats from its original: all but the PIN block, the chip data and the identity.
const REPEATED_IN_REVERSAL: [u8; 15] = [2, 3, 4, 14, 18, 22, 23, 25, 32, 37, 38, 41, 42, 49, 54];

/// A message type and its fields. Its `Debug` shows no content.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub mti: Mti,
    fields: BTreeMap<u8, Vec<u8>>,
}

impl Message {
    /// A message without fields.
    #[must_use]
    pub fn new(mti: Mti) -> Self {
        Self {
            mti,
            fields: BTreeMap::new(),
        }
    }

    /// Reads a frame without its length header. Refuses what [`iso8583::message::Message::parse`] refuses.
    pub fn parse(frame: &[u8], dialect: &Dialect) -> Result<Self, ParseError> {
        Ok(Self::of(&iso8583::message::Message::parse(frame, dialect)?))
    }

    /// Copies a message that was read.
    pub(super) fn of(read: &iso8583::message::Message<'_>) -> Self {
        let field = |number| Some((number, read.field(number)?.to_vec()));
        Self {
            mti: read.mti(),
            fields: read.fields().filter_map(field).collect(),
        }
    }

    /// The frame, without its length header. Refuses fields that the dialect doesn't have or that don't fit it.
    pub fn to_frame(&self, dialect: &Dialect) -> Result<Vec<u8>, BuildError> {
        let mut frame = Vec::new();
        self.builder(dialect)?.write_to(&mut frame);
        Ok(frame)
    }

    /// All fields, ready to be written. Refuses what [`Message::to_frame`] refuses.
    pub(super) fn builder<'d>(&self, dialect: &'d Dialect) -> Result<MessageBuilder<'d>, BuildError> {
        let mut builder = MessageBuilder::new(dialect, self.mti);
        for (number, value) in &self.fields {
            builder.set(*number, value)?;
        }
        Ok(builder)
    }

    /// Sets a field, or replaces it.
    pub fn put(&mut self, number: u8, value: impl Into<Vec<u8>>) {
        self.fields.insert(number, value.into());
    }

    /// Removes a field, for messages that are wrong on purpose.
    pub fn remove(&mut self, number: u8) {
        self.fields.remove(&number);
    }

    /// A field's content.
    #[must_use]
    pub fn field(&self, number: u8) -> Option<&[u8]> {
        self.fields.get(&number).map(Vec::as_slice)
    }

    /// Numbers and contents, ascending.
    pub fn fields(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.fields
            .iter()
            .map(|(number, value)| (*number, value.as_slice()))
    }

    /// DE39 as text.
    #[must_use]
    pub fn response_code(&self) -> Option<String> {
        let code = self.field(39)?;
        Some(String::from_utf8_lossy(code).into_owned())
    }

    /// The same message, said to have been sent before: 0400 becomes 0401.
    #[must_use]
    pub(crate) fn repeat(&self) -> Self {
        let [version, class, function, origin] = self.mti.first_sent().digits();
        let mti = Mti::parse(&[version, class, function, origin + 1]);
        Self {
            mti: mti.expect("each type that is sent first has one for its repeats"),
            fields: self.fields.clone(),
        }
    }

    /// A reversal of this request, without its own identity: it names the original where the dialect has a place for that.
    #[must_use]
    pub(crate) fn reversal(&self, mti: Mti, dialect: &Dialect) -> Self {
        let mut reversal = Self::new(dialect.message_type(mti));
        for number in REPEATED_IN_REVERSAL {
            if let Some(value) = self.field(number) {
                reversal.put(number, value);
            }
        }
        let original = OriginalData::of(self.mti, dialect, |number| self.field(number));
        if let Some((number, content)) = original.and_then(|original| original.field(dialect)) {
            reversal.put(number, content);
        }
        reversal
    }
}

/// Shows the message type and the field numbers.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} ", self.mti)?;
        f.debug_set().entries(self.fields.keys()).finish()?;
        f.write_str(")")
    }
}
