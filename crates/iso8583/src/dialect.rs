//! Dialects: which fields a link uses, how long they are, which characters they hold and how the wire writes them.
//!
//! All of it is data (`dialects/*.toml`, read in `dialect_file`): also where PIN services keep what the standard leaves
//! to networks, and what the codes of responses and of network management are.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use thiserror::Error;

use crate::dialect_file::{DialectFile, EMBEDDED};
use crate::message::Message;
use crate::mti::{Class, Mti};
use crate::wire::{Encoding, Wire};

/// Highest field number of a message with two bitmaps.
pub const FIELD_MAX: u8 = 128;

/// Fields in a table indexed by field number; place 0 is not used.
pub(crate) const FIELD_PLACES: usize = 129;

/// A link's message format.
#[derive(Debug, Clone)]
pub struct Dialect {
    pub(crate) name: String,
    pub(crate) mti_version: u8,
    pub(crate) wire: Wire,
    pub(crate) fields: [Option<FieldSpec>; FIELD_PLACES],
    pub(crate) titles: BTreeMap<u8, String>,
    pub(crate) copies: bool,
    pub(crate) places: Places,
    pub(crate) network_codes: Vec<(NetworkAct, Vec<u8>)>,
    pub(crate) response_codes: ResponseCodes,
}

/// Shape of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec {
    /// Which bytes it may hold, in canonical form.
    pub kind: Kind,
    /// How many bytes it has, in canonical form, and how that is told.
    pub length: Length,
    /// How the wire writes it.
    pub encoding: Encoding,
}

/// Which bytes a field may hold (ISO 8583:1987, attributes of data elements).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// ASCII digits.
    N,
    /// ASCII letters, digits and blanks.
    An,
    /// Printable ASCII, `20` to `7E`.
    Ans,
    /// Track 2 or 3 data: digits and the separators `=` and `D`. BCD links give `=`.
    Z,
    /// Any bytes.
    B,
}

/// How many bytes a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Always this many bytes; no length on the wire.
    Fixed(u16),
    /// A length of two digits, then at most this many bytes.
    Ll(u16),
    /// A length of three digits, then at most this many bytes.
    Lll(u16),
}

/// Fields whose numbers differ between dialects. `None`: this dialect has no place for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// The new PIN block of a PIN change, kind `b`; the current one is in DE52.
    pub new_pin: Option<u8>,
    /// The key serial number of a DUKPT key, kind `b`: 10 bytes for TDES, 12 for AES.
    pub key_serial: Option<u8>,
    /// The TR-31 key block of a key change, ASCII text.
    pub key_block: Option<u8>,
    /// Which message a reversal is about: 90 in the layout of 1987, or 56 in that of 1993.
    pub original_data: Option<u8>,
    /// The code of network management.
    pub network_code: Option<u8>,
}

/// What a network management message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkAct {
    /// 001 of 1987.
    SignOn,
    /// 002 of 1987.
    SignOff,
    /// 101 or 161 of 1987: a new key comes, or is asked for.
    KeyChange,
    /// 301 of 1987.
    Echo,
}

/// DE39 of a dialect for the two-character codes of 1987.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResponseCodes {
    pub(crate) all: BTreeMap<[u8; 2], Vec<u8>>,
    pub(crate) reversal: BTreeMap<[u8; 2], Vec<u8>>,
    pub(crate) network_management: BTreeMap<[u8; 2], Vec<u8>>,
}

/// Why a dialect cannot be used.
#[derive(Debug, Error)]
pub enum DialectError {
    /// No dialect of this name comes with the product.
    #[error("no dialect is named {name:?}; there are: {known}")]
    UnknownName {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The text is not TOML, or has a setting that dialects do not have.
    #[error("dialect file: {0}")]
    Toml(#[from] toml::de::Error),
    /// A setting has a value that it may not have.
    #[error("dialect file, {setting}: {reason}")]
    Setting {
        /// Where in the file, such as `fields.52`.
        setting: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Dialect {
    /// A dialect that comes with the product; [`Dialect::names`] has them all.
    pub fn named(name: &str) -> Result<Self, DialectError> {
        DialectFile::embedded(name)?.dialect()
    }

    /// The dialects that come with the product, the default first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(name, _)| *name)
    }

    /// Reads a dialect from TOML; see `dialects/ascii-1987.toml` and `dialects/ascii-1993.toml` for the settings. With
    /// `extends`, settings that the text lacks are those of the dialect named.
    ///
    /// Refuses, naming the setting: unknown settings; a field outside 2 to 128 or 65; a field with none or several of
    /// `len`, `ll`, `lll`; a length of 0, above 999, or above 99 for `ll`; an encoding that its kind cannot have; DE64 or
    /// DE128 other than 8 bytes of kind `b`; a place whose field is not there or has another kind; a network or response
    /// code that its field cannot hold, or response codes that are not complete where DE39 has other than 2 characters;
    /// an MTI version outside 0 to 9; neither or both of `mti_version` and `extends`.
    pub fn parse(text: &str) -> Result<Self, DialectError> {
        DialectFile::read(text)?.dialect()
    }

    /// The dialect's name, as settings and logs write it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Shape of a field; `None` where the dialect does not have it.
    pub fn field(&self, number: u8) -> Option<FieldSpec> {
        self.fields.get(usize::from(number)).copied().flatten()
    }

    /// Name of a field for people, such as `Chip data`; empty where the dialect does not have it.
    pub fn title(&self, number: u8) -> &str {
        self.titles.get(&number).map_or("", String::as_str)
    }

    /// Where this dialect keeps what others keep elsewhere.
    pub fn places(&self) -> Places {
        self.places
    }

    /// How the wire writes MTI, bitmaps and lengths, and values where a field says nothing else.
    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// A message type of 1987 in this dialect's version: 0100 gives 1100 in 1993, and 0800 gives 1804.
    pub fn message_type(&self, mti_1987: Mti) -> Mti {
        mti_1987.in_version(self.mti_version)
    }

    /// What a network management message asks for; `None` where its code is absent or not in the dialect's table.
    pub fn network_act(&self, message: &Message<'_>) -> Option<NetworkAct> {
        let code = message.field(self.places.network_code?)?;
        let known = |(act, known): &(NetworkAct, Vec<u8>)| (known == code).then_some(*act);
        self.network_codes.iter().find_map(known)
    }

    /// Field and code that ask for this; `None` where the dialect has no code for it.
    pub fn network_code(&self, act: NetworkAct) -> Option<(u8, &[u8])> {
        let (_, code) = self.network_codes.iter().find(|(known, _)| *known == act)?;
        Some((self.places.network_code?, code))
    }

    /// DE39 of this dialect for a code of [`crate::response_code`], in a message of this class: 1993 says 000 to an
    /// authorisation, 400 to a reversal and 800 to network management where 1987 says 00.
    ///
    /// `None` for a code that the dialect has no word for; never for those of [`crate::response_code`].
    pub fn response_code<'c>(&'c self, class: Class, code: &'c [u8; 2]) -> Option<&'c [u8]> {
        let own = self.response_codes_of(class).get(code);
        match own.or_else(|| self.response_codes.all.get(code)) {
            Some(code) => Some(code),
            None => self.has_codes_of_1987().then_some(code),
        }
    }

    /// The code of [`crate::response_code`] that a DE39 of this dialect stands for: where several do, the lowest.
    pub fn response_code_1987(&self, class: Class, field: &[u8]) -> Option<[u8; 2]> {
        let own = self.response_codes_of(class).iter();
        let mut known = own.chain(&self.response_codes.all);
        let found = known.find_map(|(code, wire)| (wire == field).then_some(*code));
        found.or_else(|| field.try_into().ok().filter(|_| self.has_codes_of_1987()))
    }

    fn response_codes_of(&self, class: Class) -> &BTreeMap<[u8; 2], Vec<u8>> {
        const NONE: &BTreeMap<[u8; 2], Vec<u8>> = &BTreeMap::new();
        match class {
            Class::Reversal => &self.response_codes.reversal,
            Class::NetworkManagement => &self.response_codes.network_management,
            Class::Authorisation
            | Class::Financial
            | Class::FileAction
            | Class::Reconciliation
            | Class::Administrative
            | Class::FeeCollection => NONE,
        }
    }

    fn has_codes_of_1987(&self) -> bool {
        self.field(39).is_none_or(|spec| spec.length == Length::Fixed(2))
    }
}

/// The bytes it may hold, in words.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::N => "digits",
            Self::An => "letters, digits and blanks",
            Self::Ans => "printable ASCII",
            Self::Z => "digits and separators of a track",
            Self::B => "any bytes",
        })
    }
}

/// How many bytes a value may have, in words.
impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(len) => write!(f, "{len} bytes"),
            Self::Ll(max) | Self::Lll(max) => write!(f, "at most {max} bytes"),
        }
    }
}

impl Kind {
    /// Place of the first byte that this kind does not hold.
    pub(crate) fn first_unfit(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::N => first_not(bytes, |byte| byte.is_ascii_digit()),
            Self::An => first_not(bytes, |byte| byte.is_ascii_alphanumeric() | (byte == b' ')),
            Self::Ans => first_not(bytes, |byte| (0x20..=0x7E).contains(&byte)),
            Self::Z => first_not(bytes, |byte| {
                byte.is_ascii_digit() | (byte == b'=') | (byte == b'D')
            }),
            Self::B => None,
        }
    }
}

/// Looks at every byte without branching, since nearly all fields are well-formed, then once more to find the place.
fn first_not(bytes: &[u8], fits: impl Fn(u8) -> bool) -> Option<usize> {
    if bytes.iter().fold(true, |all, &byte| all & fits(byte)) {
        return None;
    }
    bytes.iter().position(|&byte| !fits(byte))
}

impl Length {
    /// Digits of length before the field, and the most bytes it may have.
    pub(crate) fn prefix_and_max(self) -> (usize, usize) {
        match self {
            Self::Fixed(len) => (0, usize::from(len)),
            Self::Ll(max) => (2, usize::from(max)),
            Self::Lll(max) => (3, usize::from(max)),
        }
    }

    /// Whether a value may have this many bytes.
    pub(crate) fn allows(self, len: usize) -> bool {
        match self {
            Self::Fixed(wanted) => len == usize::from(wanted),
            Self::Ll(max) | Self::Lll(max) => len <= usize::from(max),
        }
    }
}
