//! Dialects: which fields a link uses, how long they are and which characters they hold, read from TOML data.
//!
//! What is not data: the MTI is 4 ASCII digits, a bitmap is 8 binary bytes (a second follows when DE1 is set), and
//! LL and LLL lengths are ASCII digits.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

/// Highest field number of a message with two bitmaps.
pub const FIELD_MAX: u8 = 128;

/// Fields in a table indexed by field number; place 0 is not used.
pub(crate) const FIELD_PLACES: usize = 129;

/// Dialects that come with this room, by name.
const EMBEDDED: [(&str, &str); 2] = [
    ("ascii-1987", include_str!("../dialects/ascii-1987.toml")),
    ("ascii-1987-aes", include_str!("../dialects/ascii-1987-aes.toml")),
];

/// A link's message format: field lengths, characters and titles.
#[derive(Debug, Clone)]
pub struct Dialect {
    name: String,
    mti_version: u8,
    fields: [Option<FieldSpec>; FIELD_PLACES],
    titles: BTreeMap<u8, String>,
}

/// Shape of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec {
    /// Which bytes it may hold.
    pub kind: Kind,
    /// How many bytes it has, and how that is told.
    pub length: Length,
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
    /// Track 2 or 3 data: digits and the separators `=` and `D`.
    Z,
    /// Any bytes.
    B,
}

/// How many bytes a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Always this many bytes; no length on the wire.
    Fixed(u16),
    /// Two ASCII digits of length, then at most this many bytes.
    Ll(u16),
    /// Three ASCII digits of length, then at most this many bytes.
    Lll(u16),
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
    /// A dialect that comes with the product: `ascii-1987` or `ascii-1987-aes`.
    pub fn named(name: &str) -> Result<Self, DialectError> {
        let text = EMBEDDED.iter().find(|(known, _)| *known == name);
        let (_, text) = text.ok_or_else(|| DialectError::UnknownName {
            name: name.to_owned(),
            known: EMBEDDED.map(|(known, _)| known).join(", "),
        })?;
        Self::parse(text)
    }

    /// Reads a dialect from TOML; see `dialects/ascii-1987.toml` for the settings.
    ///
    /// Refuses: unknown settings; a field outside 2 to 128 or 65; a field with none or several of `len`, `ll`, `lll`;
    /// a length of 0, above 999, or above 99 for `ll`; an MTI version outside 0 to 9; a base that has a base itself.
    pub fn parse(text: &str) -> Result<Self, DialectError> {
        let file: DialectFile = toml::from_str(text)?;
        let mut dialect = match (&file.extends, file.mti_version) {
            (Some(base), None) => Self {
                name: file.name,
                ..Self::named(base)?
            },
            (None, Some(version @ 0..=9)) => Self {
                name: file.name,
                mti_version: b'0' + version,
                fields: [None; FIELD_PLACES],
                titles: BTreeMap::new(),
            },
            (None, Some(_)) => return Err(setting("mti_version", "must be 0 to 9")),
            _ => {
                return Err(setting("mti_version", "give either mti_version or extends"));
            }
        };
        for (number, entry) in file.fields {
            let at = format!("fields.{number}");
            let number: u8 = number
                .parse()
                .map_err(|_| setting(&at, "a field name is a number"))?;
            if !(2..=FIELD_MAX).contains(&number) || number == 65 {
                return Err(setting(&at, "fields are 2 to 64 and 66 to 128"));
            }
            let length = entry.length().map_err(|reason| setting(&at, reason))?;
            if let Some(place) = dialect.fields.get_mut(usize::from(number)) {
                *place = Some(FieldSpec {
                    kind: entry.kind,
                    length,
                });
            }
            dialect.titles.insert(number, entry.title);
        }
        Ok(dialect)
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

    /// First digit of every MTI, as ASCII: `0` for 1987.
    pub(crate) fn mti_version(&self) -> u8 {
        self.mti_version
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
    /// Digits of length on the wire before the field, and the most bytes it may have.
    pub(crate) fn prefix_and_max(self) -> (usize, usize) {
        match self {
            Self::Fixed(len) => (0, usize::from(len)),
            Self::Ll(max) => (2, usize::from(max)),
            Self::Lll(max) => (3, usize::from(max)),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DialectFile {
    name: String,
    extends: Option<String>,
    mti_version: Option<u8>,
    fields: BTreeMap<String, FieldEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldEntry {
    title: String,
    kind: Kind,
    len: Option<u16>,
    ll: Option<u16>,
    lll: Option<u16>,
}

impl FieldEntry {
    fn length(&self) -> Result<Length, &'static str> {
        match (self.len, self.ll, self.lll) {
            (Some(len @ 1..=999), None, None) => Ok(Length::Fixed(len)),
            (None, Some(max @ 1..=99), None) => Ok(Length::Ll(max)),
            (None, None, Some(max @ 1..=999)) => Ok(Length::Lll(max)),
            (Some(_), None, None) => Err("len must be 1 to 999"),
            (None, Some(_), None) => Err("ll must be 1 to 99"),
            (None, None, Some(_)) => Err("lll must be 1 to 999"),
            _ => Err("give exactly one of len, ll, lll"),
        }
    }
}

fn setting(setting: &str, reason: &'static str) -> DialectError {
    DialectError::Setting {
        setting: setting.to_owned(),
        reason,
    }
}
