//! Reading a message: one walk over a received frame.
//!
//! A dialect that writes values in canonical form is read without copying and without allocation. Of the others, the
//! values are copied once, in canonical form.

use std::fmt;

use thiserror::Error;

use crate::dialect::{Dialect, FIELD_PLACES, FieldSpec, Kind};
use crate::mti::Mti;
use crate::wire::{BadPadding, BitmapEncoding, LengthEncoding, MtiEncoding};

/// Longest message that is read or framed, in bytes.
pub const MESSAGE_LEN_MAX: usize = 4096;

/// Offsets and lengths fit 16 bits, in canonical form too, where a byte of BCD is two digits.
const _: () = assert!(2 * MESSAGE_LEN_MAX <= 0xFFFF);

const FIELD_65_THIRD_BITMAP: u8 = 65;

/// A message read from a frame: where each field begins, how long it is, and the frame itself.
///
/// | part | length | meaning |
/// |---|---|---|
/// | MTI | 4 digits: 4 bytes, BCD 2 | version, class, function, origin |
/// | bitmap | 64 bits, most significant bit first: 8 bytes, hexadecimal 16 | bit 1: a second bitmap follows; bits 2 to 64: fields present |
/// | second bitmap | as the first, if bit 1 is set | bits 65 to 128 |
/// | fields | by dialect | in ascending order of field number |
#[derive(Clone)]
pub struct Message<'a> {
    frame: &'a [u8],
    /// Values in canonical form, one after the other; `None` where the frame has them so.
    copied: Option<Vec<u8>>,
    mti: Mti,
    present: FieldSet,
    places: [(u16, u16); FIELD_PLACES],
}

/// Why a frame is not a message of the dialect, and where. Never says what the bytes were.
///
/// Its text is meant for whoever looks for the mistake with the dialect file and a trace of the bytes at hand:
/// `field 52 at byte 104: wanted 8 bytes, the message has 3 left`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{} at byte {at}: {reason}", part(*.field, *.reason))]
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
    #[error("wanted {wanted} bytes, the message has {got} left")]
    Truncated {
        /// Bytes that the field, or its length, needs.
        wanted: usize,
        /// Bytes left in the frame.
        got: usize,
    },
    /// The MTI is not four digits with a meaning in this dialect.
    #[error("wanted {encoding} with a meaning, the first {}", char::from(*.version))]
    MessageType {
        /// How the dialect writes it.
        encoding: MtiEncoding,
        /// The first digit that the dialect's message types have, in ASCII.
        version: u8,
    },
    /// The bitmap names a field that the dialect does not have.
    #[error("not a field of this dialect")]
    NotInDialect,
    /// A bitmap is not made of hexadecimal digits.
    #[error("wanted 16 hexadecimal digits")]
    BitmapDigits,
    /// An LL or LLL length is not made of digits.
    #[error("wanted a length of {digits} digits in {encoding}")]
    LengthDigits {
        /// Digits wanted.
        digits: usize,
        /// How the dialect writes them.
        encoding: LengthEncoding,
    },
    /// A length outside what the dialect allows.
    #[error("wanted at most {max} bytes, got {got}")]
    TooLong {
        /// Greatest length.
        max: usize,
        /// Length that came.
        got: usize,
    },
    /// An odd number of BCD digits with another padding than the dialect's.
    #[error("wanted {wanted:X} as the padding of an odd number of digits")]
    Padding {
        /// The nibble wanted.
        wanted: u8,
    },
    /// A byte, or a nibble of BCD, that this kind of field cannot hold.
    #[error("wanted {wanted}")]
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

/// What the numbers of [`ParseError::field`] stand for.
fn part(field: u8, reason: Reason) -> String {
    match (field, reason) {
        (0, Reason::TooLong { .. }) => "message".to_owned(),
        (0, Reason::TrailingBytes { .. }) => "what follows the last field".to_owned(),
        (0, _) => "message type".to_owned(),
        (1, _) => "bitmap".to_owned(),
        (FIELD_65_THIRD_BITMAP, _) => "third bitmap (field 65)".to_owned(),
        (field, _) => format!("field {field}"),
    }
}

impl<'a> Message<'a> {
    /// Reads a frame (without its length header) in a dialect.
    ///
    /// Refuses: more than [`MESSAGE_LEN_MAX`] bytes; an MTI without meaning or of another version; a field the
    /// dialect does not have; a third bitmap; a bitmap or a length that is not made of digits; a field cut short, too long,
    /// with a character outside its kind or with wrong padding; bytes after the last field. Says nothing about which fields a message type needs.
    pub fn parse(frame: &'a [u8], dialect: &Dialect) -> Result<Self, ParseError> {
        match Self::parse_readable(frame, dialect)? {
            (message, None) => Ok(message),
            (_, Some(error)) => Err(error),
        }
    }

    /// Reads as much of a frame as can be read, so that a malformed request can be refused by name: the fields before the
    /// first that [`Message::parse`] refuses, and why it does.
    ///
    /// Refuses a frame that is too long or whose MTI it refuses.
    pub fn parse_readable(
        frame: &'a [u8],
        dialect: &Dialect,
    ) -> Result<(Self, Option<ParseError>), ParseError> {
        let mut walk = Walk { frame, at: 0 };
        if frame.len() > MESSAGE_LEN_MAX {
            let (max, got) = (MESSAGE_LEN_MAX, frame.len());
            return Err(walk.error(0, Reason::TooLong { max, got }));
        }
        let mti = walk.message_type(dialect)?;
        let mut message = Self {
            frame,
            copied: dialect.copies.then(|| Vec::with_capacity(2 * frame.len())),
            mti,
            present: FieldSet::default(),
            places: [(0, 0); FIELD_PLACES],
        };
        let announced = match walk.bitmaps(dialect.wire.bitmap) {
            Ok(announced) => announced,
            Err(error) => return Ok((message, Some(error))),
        };
        for field in announced.iter() {
            if let Err(error) = message.read_field(field, &mut walk, dialect) {
                return Ok((message, Some(error)));
            }
        }
        let rest = match frame.len() - walk.at {
            0 => None,
            got => Some(walk.error(0, Reason::TrailingBytes { got })),
        };
        Ok((message, rest))
    }

    fn read_field(&mut self, field: u8, walk: &mut Walk<'a>, dialect: &Dialect) -> Result<(), ParseError> {
        let spec = dialect
            .field(field)
            .ok_or(walk.error(field, Reason::NotInDialect))?;
        let len = walk.field_len(field, spec, dialect.wire.lengths)?;
        let at = walk.at;
        let written = walk.take(field, spec.encoding.wire_len(len))?;
        let (begin, value) = match &mut self.copied {
            None => (at, written),
            Some(values) => canonical(field, at, spec, len, written, values)?,
        };
        if let Some(unfit) = spec.kind.first_unfit(value) {
            let at = at + spec.encoding.wire_place(unfit, len);
            let reason = Reason::Character { wanted: spec.kind };
            return Err(ParseError { field, at, reason });
        }
        if let Some(place) = self.places.get_mut(usize::from(field)) {
            *place = (narrow(begin), narrow(len));
        }
        self.present = self.present.with(field);
        Ok(())
    }

    /// The message type.
    pub fn mti(&self) -> Mti {
        self.mti
    }

    /// Content of a field in canonical form, without its length: ASCII digits and text, or bytes for kind `b`. `None` where
    /// it is absent.
    pub fn field(&self, number: u8) -> Option<&[u8]> {
        if !self.present.has(number) {
            return None;
        }
        let &(begin, len) = self.places.get(usize::from(number))?;
        let values = self.copied.as_deref().unwrap_or(self.frame);
        values.get(usize::from(begin)..)?.get(..usize::from(len))
    }

    /// Numbers of the fields present, ascending, without the bitmaps.
    pub fn fields(&self) -> impl Iterator<Item = u8> + use<> {
        self.present.iter()
    }

    /// The whole frame that was read, as the wire had it.
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

/// Appends a field's value in canonical form to those before it. Gives its place among them.
fn canonical<'v>(
    field: u8,
    at: usize,
    spec: FieldSpec,
    len: usize,
    written: &[u8],
    values: &'v mut Vec<u8>,
) -> Result<(usize, &'v [u8]), ParseError> {
    let begin = values.len();
    let read = spec.encoding.read(written, len, values);
    read.map_err(|BadPadding { at: byte, wanted }| ParseError {
        field,
        at: at + byte,
        reason: Reason::Padding { wanted },
    })?;
    Ok((begin, values.get(begin..).unwrap_or_default()))
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

    fn message_type(&mut self, dialect: &Dialect) -> Result<Mti, ParseError> {
        let encoding = dialect.wire.mti;
        let written = self.take(0, encoding.len())?;
        let digits = encoding.read(written);
        digits
            .filter(|[version, ..]| *version == dialect.mti_version)
            .and_then(|digits| Mti::parse(&digits))
            .ok_or(ParseError {
                field: 0,
                at: 0,
                reason: Reason::MessageType {
                    encoding,
                    version: dialect.mti_version,
                },
            })
    }

    fn bitmaps(&mut self, encoding: BitmapEncoding) -> Result<FieldSet, ParseError> {
        let first = self.bitmap(encoding)?;
        if first >> 63 == 0 {
            return Ok(FieldSet(u128::from(first) << 64));
        }
        let second = self.bitmap(encoding)?;
        let present = FieldSet((u128::from(first) << 64) | u128::from(second));
        if present.has(FIELD_65_THIRD_BITMAP) {
            return Err(self.error(FIELD_65_THIRD_BITMAP, Reason::NotInDialect));
        }
        Ok(present.without(1))
    }

    fn bitmap(&mut self, encoding: BitmapEncoding) -> Result<u64, ParseError> {
        let at = self.at;
        let written = self.take(1, encoding.len())?;
        encoding.read(written).ok_or(ParseError {
            field: 1,
            at,
            reason: Reason::BitmapDigits,
        })
    }

    fn field_len(
        &mut self,
        field: u8,
        spec: FieldSpec,
        encoding: LengthEncoding,
    ) -> Result<usize, ParseError> {
        let (digits, max) = spec.length.prefix_and_max();
        if digits == 0 {
            return Ok(max);
        }
        let at = self.at;
        let written = self.take(field, encoding.len(digits))?;
        let reason = match encoding.read(written) {
            Some(got) if got <= max => return Ok(got),
            Some(got) => Reason::TooLong { max, got },
            None => Reason::LengthDigits { digits, encoding },
        };
        Err(ParseError { field, at, reason })
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

    /// Whether a field above 64 is present.
    pub(crate) fn needs_second_bitmap(self) -> bool {
        self.0 & u128::from(u64::MAX) != 0
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
