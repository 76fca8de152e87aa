//! BER-TLV data objects (EMV Book 3, Annex B): read as slices of the bytes received, written with minimal lengths.
//!
//! | part | bytes | meaning |
//! |---|---|---|
//! | tag | 1 to 3 | b6 of the first byte: the value holds data objects; low 5 bits all set: more tag bytes follow, b8 of each says whether another does |
//! | length | 1 to 3 | `00`–`7F`, `81 xx`, `82 xx xx`; longer than needed is read, indefinite (`80`) is refused |
//! | value | length | |
//!
//! `00` bytes between data objects have no meaning and are skipped.

use std::fmt;

use thiserror::Error;

use crate::tags;

/// Deepest template in a template that is read.
pub const DEPTH_MAX: usize = 4;

/// Most data objects read from one string of bytes, templates and their content together.
pub const OBJECTS_MAX: usize = 128;

/// A tag of 1 to 3 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u32);

/// A data object, as a slice of what was received.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Object<'a> {
    /// Place where it begins, in bytes from 0, within the bytes given.
    pub at: usize,
    /// Its tag.
    pub tag: Tag,
    /// Its value.
    pub value: &'a [u8],
}

/// Why bytes are not BER-TLV, and where. Never says what the bytes were: of a tag that isn't listed in [`tags`], not even that,
/// since it may be a piece of something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("data object {}at byte {at}: {reason}", .tag.map(|tag| format!("{} ", tags::named(tag))).unwrap_or_default())]
pub struct TlvError {
    /// Place where the data object begins, in bytes from 0, within the bytes given, whatever template it is in.
    pub at: usize,
    /// Its tag, where one of [`tags`] could be read.
    pub tag: Option<Tag>,
    /// What is wrong with it.
    pub reason: TlvReason,
}

/// What is wrong with a data object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TlvReason {
    /// The bytes end inside the tag or the length.
    #[error("cut short in the tag or length")]
    HeadTruncated,
    /// The bytes end inside the value.
    #[error("wanted a value of {wanted} bytes, got {got}")]
    ValueTruncated {
        /// Bytes announced.
        wanted: usize,
        /// Bytes left.
        got: usize,
    },
    /// A tag that begins `00`.
    #[error("not a tag")]
    NoTag,
    /// A tag of more than 3 bytes.
    #[error("a tag of more than 3 bytes")]
    TagTooLong,
    /// An indefinite length, or one of more than 2 bytes.
    #[error("an indefinite length, or one of more than 2 bytes")]
    Length,
    /// Templates nested deeper than [`DEPTH_MAX`].
    #[error("templates nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// More data objects than [`OBJECTS_MAX`].
    #[error("more than {OBJECTS_MAX} data objects")]
    TooMany,
}

impl Tag {
    /// A tag by its bytes as one number: `Tag::new(0x9F36)`. For tags known when the program is written.
    ///
    /// # Panics
    /// In a constant, at compile time: where the bytes are not one whole tag.
    pub const fn new(code: u32) -> Self {
        let [_, first, second, third] = code.to_be_bytes();
        let whole = match (first, second, third) {
            (0, 0, only) => only != 0 && only & 0x1F != 0x1F,
            (0, first, last) => first & 0x1F == 0x1F && last & 0x80 == 0,
            (first, middle, last) => first & 0x1F == 0x1F && middle & 0x80 != 0 && last & 0x80 == 0,
        };
        assert!(whole && code <= 0xFF_FFFF, "not the bytes of one tag");
        Self(code)
    }

    /// The bytes as one number.
    pub const fn code(self) -> u32 {
        self.0
    }

    /// Whether the value holds data objects (a template).
    pub fn is_template(self) -> bool {
        self.bytes().next().is_some_and(|first| first & 0x20 != 0)
    }

    /// The 1 to 3 bytes.
    pub fn bytes(self) -> impl Iterator<Item = u8> {
        self.0.to_be_bytes().into_iter().skip_while(|&byte| byte == 0)
    }
}

/// As hexadecimal digits: `9F36`.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

/// Shows tag and length, never the value.
impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({}, {} bytes)", self.tag, self.value.len())
    }
}

/// Reads the data objects of one level, in order. Templates are not entered.
///
/// Refuses, at the place: a tag or value cut short; a tag of more than 3 bytes; an indefinite length or one of more
/// than 2 bytes; more than [`OBJECTS_MAX`] objects.
///
/// ```
/// use emv::tags::{TAG_95_TVR, TAG_9F36_ATC};
/// let objects = emv::tlv::parse(&[0x9F, 0x36, 0x02, 0x00, 0x1C, 0x95, 0x05, 0x80, 0, 0, 0x48, 0])?;
/// assert_eq!(objects[0].tag, TAG_9F36_ATC);
/// assert_eq!(objects[1].value, [0x80, 0, 0, 0x48, 0]);
/// # Ok::<(), emv::tlv::TlvError>(())
/// ```
pub fn parse(bytes: &[u8]) -> Result<Vec<Object<'_>>, TlvError> {
    let mut objects = Vec::new();
    for object in (Objects { bytes, at: 0 }) {
        let object = object?;
        if objects.len() == OBJECTS_MAX {
            return Err(object.refused(TlvReason::TooMany));
        }
        objects.push(object);
    }
    Ok(objects)
}

/// Reads the data objects of all levels, each with how many templates it is in, in the order of the bytes: a template
/// comes before its content.
///
/// Refuses as [`parse`] does, and templates nested deeper than [`DEPTH_MAX`].
pub fn parse_nested(bytes: &[u8]) -> Result<Vec<(usize, Object<'_>)>, TlvError> {
    let mut found = Vec::new();
    let mut levels = vec![Objects { bytes, at: 0 }];
    while let Some(level) = levels.last_mut() {
        let Some(object) = level.next() else {
            levels.pop();
            continue;
        };
        let object = object?;
        let (end, bytes) = (level.at, level.bytes);
        let depth = levels.len() - 1;
        if found.len() == OBJECTS_MAX {
            return Err(object.refused(TlvReason::TooMany));
        }
        found.push((depth, object));
        if object.tag.is_template() {
            if depth == DEPTH_MAX {
                return Err(object.refused(TlvReason::TooDeep));
            }
            levels.push(Objects {
                bytes: bytes.get(..end).unwrap_or_default(),
                at: end - object.value.len(),
            });
        }
    }
    Ok(found)
}

/// Value of the first data object with a tag, in whatever template it is. Refuses as [`parse_nested`] does.
pub fn find(bytes: &[u8], tag: Tag) -> Result<Option<&[u8]>, TlvError> {
    let objects = parse_nested(bytes)?;
    let found = objects.iter().find(|(_, object)| object.tag == tag);
    Ok(found.map(|(_, object)| object.value))
}

/// Appends one data object with a minimal length.
///
/// # Panics
/// Where the value has more than 65,535 bytes: a mistake of the caller, since no message here holds as many.
pub fn put(out: &mut Vec<u8>, tag: Tag, value: &[u8]) {
    out.extend(tag.bytes());
    let len = u16::try_from(value.len()).expect("no data object is longer than a message");
    match len.to_be_bytes() {
        [0, low @ 0..=0x7F] => out.push(low),
        [0, low] => out.extend_from_slice(&[0x81, low]),
        [high, low] => out.extend_from_slice(&[0x82, high, low]),
    }
    out.extend_from_slice(value);
}

/// Appends a template with what `write` puts into it.
pub fn put_template(out: &mut Vec<u8>, tag: Tag, write: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    write(&mut content);
    put(out, tag, &content);
}

/// The data objects of one level, which ends where `bytes` do.
struct Objects<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Objects<'a> {
    type Item = Result<Object<'a>, TlvError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.bytes.get(self.at) == Some(&0) {
            self.at += 1;
        }
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let at = self.at;
        let object = first_tag(rest)
            .map_err(|reason| TlvError {
                at,
                tag: None,
                reason,
            })
            .and_then(|(tag, rest)| {
                let value = first_value(rest).map_err(|reason| TlvError::of(at, tag, reason));
                value.map(|(value, after)| (Object { at, tag, value }, after))
            });
        self.at = self.bytes.len() - object.as_ref().map_or(0, |(_, after)| after.len());
        Some(object.map(|(object, _)| object))
    }
}

impl Object<'_> {
    fn refused(&self, reason: TlvReason) -> TlvError {
        TlvError::of(self.at, self.tag, reason)
    }
}

impl TlvError {
    pub(crate) fn of(at: usize, tag: Tag, reason: TlvReason) -> Self {
        let tag = Some(tag).filter(|tag| tags::title(*tag).is_some());
        Self { at, tag, reason }
    }
}

/// The length and value that begin here, and what follows them.
fn first_value(bytes: &[u8]) -> Result<(&[u8], &[u8]), TlvReason> {
    let (wanted, rest) = match bytes {
        [len @ 0..=0x7F, rest @ ..] | [0x81, len, rest @ ..] => (usize::from(*len), rest),
        [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [] | [0x81 | 0x82, ..] => return Err(TlvReason::HeadTruncated),
        _ => return Err(TlvReason::Length),
    };
    let got = rest.len();
    rest.split_at_checked(wanted)
        .ok_or(TlvReason::ValueTruncated { wanted, got })
}

/// The first tag and what follows it.
pub(crate) fn first_tag(bytes: &[u8]) -> Result<(Tag, &[u8]), TlvReason> {
    let (&first, mut rest) = bytes.split_first().ok_or(TlvReason::HeadTruncated)?;
    if first == 0 {
        return Err(TlvReason::NoTag);
    }
    let mut code = u32::from(first);
    let mut more = first & 0x1F == 0x1F;
    while more {
        if code > 0xFFFF {
            return Err(TlvReason::TagTooLong);
        }
        let (&next, after) = rest.split_first().ok_or(TlvReason::HeadTruncated)?;
        code = code << 8 | u32::from(next);
        more = next & 0x80 != 0;
        rest = after;
    }
    Ok((Tag(code), rest))
}
