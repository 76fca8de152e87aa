//! Dialect files: TOML in, a checked [`Dialect`] out. Every refusal names its setting.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::dialect::{
    Dialect, DialectError, FIELD_MAX, FIELD_PLACES, FieldSpec, Kind, Length, NetworkAct, Places,
    ResponseCodes,
};
use crate::mac::MAC_LEN;
use crate::response_code;
use crate::wire::{BitmapEncoding, Encoding, LengthEncoding, MtiEncoding, Wire};

/// Dialects that come with this room, by name; the default first.
pub(crate) const EMBEDDED: [(&str, &str); 8] = [
    ("ascii-1987", include_str!("../dialects/ascii-1987.toml")),
    ("ascii-1987-aes", include_str!("../dialects/ascii-1987-aes.toml")),
    (
        "ascii-1987-dukpt",
        include_str!("../dialects/ascii-1987-dukpt.toml"),
    ),
    (
        "ascii-1987-aes-dukpt",
        include_str!("../dialects/ascii-1987-aes-dukpt.toml"),
    ),
    ("bcd-1987", include_str!("../dialects/bcd-1987.toml")),
    ("ebcdic-1987", include_str!("../dialects/ebcdic-1987.toml")),
    ("ascii-1993", include_str!("../dialects/ascii-1993.toml")),
    ("bcd-1993", include_str!("../dialects/bcd-1993.toml")),
];

/// A dialect as a file says it, and what it does not say is that of the dialect it extends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DialectFile {
    name: String,
    extends: Option<String>,
    mti_version: Option<u8>,
    #[serde(default)]
    wire: WireEntries,
    #[serde(default)]
    places: Places,
    network_codes: Option<BTreeMap<NetworkAct, Vec<String>>>,
    response_codes: Option<ResponseCodeEntries>,
    #[serde(default)]
    fields: BTreeMap<String, FieldEntry>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct WireEntries {
    mti: Option<MtiEncoding>,
    bitmap: Option<BitmapEncoding>,
    lengths: Option<LengthEncoding>,
    numeric: Option<Encoding>,
    text: Option<Encoding>,
    track: Option<Encoding>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ResponseCodeEntries {
    all: BTreeMap<String, String>,
    #[serde(default)]
    reversal: BTreeMap<String, String>,
    #[serde(default)]
    network_management: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldEntry {
    title: String,
    kind: Kind,
    len: Option<u16>,
    ll: Option<u16>,
    lll: Option<u16>,
    encoding: Option<Encoding>,
}

impl DialectFile {
    pub(crate) fn embedded(name: &str) -> Result<Self, DialectError> {
        let text = EMBEDDED.iter().find(|(known, _)| *known == name);
        let (_, text) = text.ok_or_else(|| DialectError::UnknownName {
            name: name.to_owned(),
            known: EMBEDDED.map(|(known, _)| known).join(", "),
        })?;
        Self::read(text)
    }

    pub(crate) fn read(text: &str) -> Result<Self, DialectError> {
        let file: Self = toml::from_str(text)?;
        match (file.extends.as_deref(), file.mti_version) {
            (Some(base), None) => {
                let base = Self::embedded(base)?;
                Ok(file.over(base))
            }
            (None, Some(0..=9)) => Ok(file),
            (None, Some(_)) => Err(setting("mti_version", "must be 0 to 9")),
            _ => Err(setting("mti_version", "give either mti_version or extends")),
        }
    }

    /// This file's settings, and those of the base where it has none.
    fn over(self, base: Self) -> Self {
        let (wire, places) = (self.wire, self.places);
        let mut fields = base.fields;
        fields.extend(self.fields);
        Self {
            name: self.name,
            extends: None,
            mti_version: base.mti_version,
            wire: WireEntries {
                mti: wire.mti.or(base.wire.mti),
                bitmap: wire.bitmap.or(base.wire.bitmap),
                lengths: wire.lengths.or(base.wire.lengths),
                numeric: wire.numeric.or(base.wire.numeric),
                text: wire.text.or(base.wire.text),
                track: wire.track.or(base.wire.track),
            },
            places: Places {
                new_pin: places.new_pin.or(base.places.new_pin),
                key_serial: places.key_serial.or(base.places.key_serial),
                key_block: places.key_block.or(base.places.key_block),
                original_data: places.original_data.or(base.places.original_data),
                network_code: places.network_code.or(base.places.network_code),
            },
            network_codes: self.network_codes.or(base.network_codes),
            response_codes: self.response_codes.or(base.response_codes),
            fields,
        }
    }

    pub(crate) fn dialect(self) -> Result<Dialect, DialectError> {
        let wire = self.wire.checked()?;
        let mut dialect = Dialect {
            name: self.name,
            mti_version: b'0' + self.mti_version.unwrap_or_default(),
            wire,
            fields: [None; FIELD_PLACES],
            titles: BTreeMap::new(),
            copies: false,
            places: self.places,
            network_codes: Vec::new(),
            response_codes: ResponseCodes::default(),
        };
        for (number, entry) in self.fields {
            let at = format!("fields.{number}");
            let number = field_number(&number).map_err(|reason| setting(&at, reason))?;
            let spec = entry.spec(&wire).map_err(|reason| setting(&at, reason))?;
            if let Some(place) = dialect.fields.get_mut(usize::from(number)) {
                *place = Some(spec);
            }
            dialect.copies |= spec.encoding != Encoding::Ascii;
            dialect.titles.insert(number, entry.title);
        }
        check_macs(&dialect)?;
        check_places(&dialect)?;
        dialect.network_codes = network_codes(&dialect, self.network_codes.unwrap_or_default())?;
        dialect.response_codes = self.response_codes.unwrap_or_default().checked(&dialect)?;
        Ok(dialect)
    }
}

impl WireEntries {
    fn checked(self) -> Result<Wire, DialectError> {
        let wire = Wire {
            mti: self.mti.unwrap_or_default(),
            bitmap: self.bitmap.unwrap_or_default(),
            lengths: self.lengths.unwrap_or_default(),
            numeric: self.numeric.unwrap_or_default(),
            text: self.text.unwrap_or_default(),
            track: self.track.unwrap_or_default(),
        };
        if wire.text.is_bcd() {
            return Err(setting("wire.text", "text is ascii or ebcdic"));
        }
        Ok(wire)
    }
}

impl FieldEntry {
    fn spec(&self, wire: &Wire) -> Result<FieldSpec, &'static str> {
        let length = self.length()?;
        let encoding = self.encoding.unwrap_or(wire.encoding(self.kind));
        match self.kind {
            Kind::An | Kind::Ans if encoding.is_bcd() => Err("text is ascii or ebcdic"),
            Kind::B if encoding != Encoding::Ascii => Err("kind b has no encoding"),
            kind => Ok(FieldSpec {
                kind,
                length,
                encoding,
            }),
        }
    }

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

fn field_number(text: &str) -> Result<u8, &'static str> {
    let number = text.parse().map_err(|_| "a field name is a number")?;
    if (2..=FIELD_MAX).contains(&number) && number != 65 {
        Ok(number)
    } else {
        Err("fields are 2 to 64 and 66 to 128")
    }
}

/// A MAC ends its message with a known number of bytes, so that what it covers can be told from the wire.
fn check_macs(dialect: &Dialect) -> Result<(), DialectError> {
    for number in [64, 128] {
        let Some(spec) = dialect.field(number) else {
            continue;
        };
        if spec.kind != Kind::B || !matches!(spec.length, Length::Fixed(len) if usize::from(len) == MAC_LEN) {
            return Err(setting(&format!("fields.{number}"), "a MAC has kind b and len 8"));
        }
    }
    Ok(())
}

fn check_places(dialect: &Dialect) -> Result<(), DialectError> {
    let places = dialect.places;
    let is_binary = |spec: FieldSpec| spec.kind == Kind::B;
    let is_text = |spec: FieldSpec| matches!(spec.kind, Kind::An | Kind::Ans);
    let is_digits = |spec: FieldSpec| spec.kind == Kind::N;
    let check = |name: &str, number: Option<u8>, fits: fn(FieldSpec) -> bool, wanted| {
        let Some(number) = number else {
            return Ok(());
        };
        let at = format!("places.{name}");
        let spec = dialect.field(number);
        let spec = spec.ok_or_else(|| setting(&at, "the dialect does not have this field"))?;
        if fits(spec) {
            Ok(())
        } else {
            Err(setting(&at, wanted))
        }
    };
    check("new_pin", places.new_pin, is_binary, "the field must have kind b")?;
    check(
        "key_serial",
        places.key_serial,
        is_binary,
        "the field must have kind b",
    )?;
    check(
        "key_block",
        places.key_block,
        is_text,
        "the field must have kind an or ans",
    )?;
    check(
        "original_data",
        places.original_data,
        is_digits,
        "the field must have kind n",
    )?;
    check(
        "network_code",
        places.network_code,
        is_digits,
        "the field must have kind n",
    )?;
    match places.original_data {
        None | Some(56 | 90) => Ok(()),
        Some(_) => Err(setting("places.original_data", "must be 90 (1987) or 56 (1993)")),
    }
}

fn network_codes(
    dialect: &Dialect,
    entries: BTreeMap<NetworkAct, Vec<String>>,
) -> Result<Vec<(NetworkAct, Vec<u8>)>, DialectError> {
    let spec = dialect
        .places
        .network_code
        .and_then(|number| dialect.field(number));
    let mut codes = Vec::new();
    for (act, entries) in entries {
        for code in entries {
            if !spec.is_some_and(|spec| holds(spec, &code)) {
                return Err(setting(
                    "network_codes",
                    "places.network_code must name a field that holds each code",
                ));
            }
            codes.push((act, code.into_bytes()));
        }
    }
    Ok(codes)
}

impl ResponseCodeEntries {
    fn checked(self, dialect: &Dialect) -> Result<ResponseCodes, DialectError> {
        let spec = dialect.field(39);
        let codes = |entries: BTreeMap<String, String>, at: &str| {
            let code = |(code, wire): (String, String)| {
                let at = format!("{at}.{code}");
                let Ok(code) = <[u8; 2]>::try_from(code.as_bytes()) else {
                    return Err(setting(&at, "a code of 1987 has 2 characters"));
                };
                if spec.is_some_and(|spec| holds(spec, &wire)) {
                    Ok((code, wire.into_bytes()))
                } else {
                    Err(setting(&at, "DE39 cannot hold this code"))
                }
            };
            entries
                .into_iter()
                .map(code)
                .collect::<Result<BTreeMap<_, _>, _>>()
        };
        let all = codes(self.all, "response_codes.all")?;
        let is_1987 = spec.is_none_or(|spec| spec.length == Length::Fixed(2));
        if !is_1987 && let Some(lacking) = response_code::all().find(|code| !all.contains_key(code)) {
            let at = format!("response_codes.all.{}", String::from_utf8_lossy(&lacking));
            return Err(setting(&at, "is missing: DE39 has other than 2 characters"));
        }
        Ok(ResponseCodes {
            all,
            reversal: codes(self.reversal, "response_codes.reversal")?,
            network_management: codes(self.network_management, "response_codes.network_management")?,
        })
    }
}

fn holds(spec: FieldSpec, value: &str) -> bool {
    spec.length.allows(value.len()) && spec.kind.first_unfit(value.as_bytes()).is_none()
}

fn setting(setting: &str, reason: &'static str) -> DialectError {
    DialectError::Setting {
        setting: setting.to_owned(),
        reason,
    }
}
