//! The acquirer: its key room and its link to the issuer's host.
//!
//! | file | holds |
//! |---|---|
//! | [`message`] | an ISO 8583 message as an acquirer keeps it |
//! | [`link`] | one TCP exchange per message |
//! | [`zone_key`] | PIN blocks under the zone key |
//! | [`dukpt`] | PIN blocks under keys that are used once |
//! | [`mac_key`] | MACs of messages |
//! | [`processing_codes`] | what the network calls each transaction |

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use cards::Pan;
use data_encoding::HEXUPPER_PERMISSIVE;
use iso8583::dialect::{Dialect, Length};
use iso8583::framing::Framing;
use iso8583::mti::Mti;
use iso8583::response_code::RESPONSE_00_APPROVED;
use iso8583::values::EntryMode;
use jiff::Zoned;
use paycrypto::pin::Pin;
use serde::Deserialize;

use crate::bureau::components::{self, ComponentsError};

pub mod dukpt;
pub mod link;
pub mod mac_key;
pub mod message;
pub mod processing_codes;
pub mod zone_key;

use self::dukpt::{CounterError, KeySerial};
use self::mac_key::MacKey;
use self::message::Message;
use self::processing_codes::ProcessingCodes;
use self::zone_key::ZoneKey;

/// An acquirer: where the host is, how it speaks, and the keys for PIN blocks and MACs.
#[derive(Debug)]
pub struct Acquirer {
    host: String,
    framing: Framing,
    dialect: Dialect,
    processing_codes: ProcessingCodes,
    acquirer_id: String,
    /// With a key serial number, the base key of keys that are used once.
    zone_key: ZoneKey,
    key_serial: Option<KeySerial>,
    mac_key: Option<MacKey>,
    traces: AtomicU32,
}

/// An acquirer's file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AcquirerError {
    #[error("{path}: {cause}")]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("{path}: {cause}")]
    Json { path: PathBuf, cause: serde_json::Error },
    #[error(transparent)]
    Components(#[from] ComponentsError),
    #[error(
        "zone_key: not a TR-31 block under the components' key, of a PIN key (P0) or, with key_serial, of a base \
         derivation key (B0; AES: 128 bits)"
    )]
    ZoneKey,
    #[error(
        "mac_key: not a TR-31 block under the components' key, of a TDES key for MACs (M3) or an AES one (M6)"
    )]
    MacKey,
    #[error("key_serial: {wanted} bytes in hexadecimal are wanted with this base key")]
    KeySerial { wanted: usize },
    #[error("key_serial: the dialect has no field for it; those that end in -dukpt and those of 1993 do")]
    NoPlaceForKeySerial,
    #[error("dialect: {path}: {cause}")]
    DialectFile { path: PathBuf, cause: std::io::Error },
    #[error("zone_key: the dialect's PIN blocks need {wanted}")]
    ZoneKeyAlgorithm { wanted: &'static str },
    #[error(transparent)]
    Dialect(#[from] iso8583::dialect::DialectError),
    #[error("acquirer_id: 1 to 11 digits are wanted")]
    AcquirerId,
    #[error("the system gives no random numbers")]
    Random,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcquirerFile {
    host: String,
    #[serde(default)]
    framing: Framing,
    dialect: String,
    #[serde(default)]
    processing_codes: ProcessingCodes,
    acquirer_id: String,
    zone_key: String,
    key_serial: Option<String>,
    mac_key: Option<String>,
    component_paths: Vec<PathBuf>,
}

impl Acquirer {
    /// Reads an acquirer's JSON file and opens its zone key.
    ///
    /// | name | value |
    /// |---|---|
    /// | `host` | address and port of the issuer's host, `127.0.0.1:8583` |
    /// | `framing` | `binary2` (where left out), `ascii4`, `bcd2` or `binary2-zero2` |
    /// | `dialect` | a dialect of ours by name, such as `ascii-1987`, or a TOML file (with a `/` or ending in `.toml`) |
    /// | `processing_codes` | object of [`ProcessingCodes`]; may be left out |
    /// | `acquirer_id` | DE32, 1 to 11 digits |
    /// | `zone_key` | TR-31 block of the zone PIN key under the key that the components make: TDES for PIN blocks of ISO 0, AES for ISO 4 |
    /// | `key_serial` | for DUKPT, where `zone_key` is the base derivation key: the terminal's key serial number (10 bytes, TDES) or initial key id (8 bytes, AES), hexadecimal. `<name>.counters.json` beside this file remembers which keys are used |
    /// | `mac_key` | TR-31 block of the zone MAC key; without it, messages have no MAC |
    /// | `component_paths` | the component files |
    ///
    /// Paths are relative to this file or absolute.
    pub fn open(path: &Path) -> Result<Self, AcquirerError> {
        let text = std::fs::read_to_string(path).map_err(|cause| AcquirerError::Read {
            path: path.to_owned(),
            cause,
        })?;
        let file: AcquirerFile = serde_json::from_str(&text).map_err(|cause| AcquirerError::Json {
            path: path.to_owned(),
            cause,
        })?;
        let beside = path.parent().unwrap_or(Path::new("."));
        let component_paths: Vec<PathBuf> = file
            .component_paths
            .iter()
            .map(|name| beside.join(name))
            .collect();
        let exchange_key = components::combine(&component_paths)?;
        let zone_key = match file.key_serial {
            None => ZoneKey::unwrap(&exchange_key, &file.zone_key)?,
            Some(_) => ZoneKey::unwrap_base_key(&exchange_key, &file.zone_key)?,
        };
        let dialect = open_dialect(&file.dialect, beside)?;
        let key_serial = match &file.key_serial {
            None => None,
            Some(_) if dialect.places().key_serial.is_none() => {
                return Err(AcquirerError::NoPlaceForKeySerial);
            }
            Some(digits) => {
                let serial = HEXUPPER_PERMISSIVE.decode(digits.as_bytes()).unwrap_or_default();
                Some(KeySerial::new(&zone_key, serial, path)?)
            }
        };
        let mac_key = file.mac_key.map(|block| MacKey::unwrap(&exchange_key, &block));
        Ok(Self {
            framing: file.framing,
            processing_codes: file.processing_codes,
            key_serial,
            mac_key: mac_key.transpose()?,
            ..Self::new(file.host, dialect, file.acquirer_id, zone_key)?
        })
    }

    /// An acquirer from its parts, with the default framing and processing codes, without MACs and DUKPT.
    ///
    /// Refuses a zone key of another algorithm than the dialect's PIN blocks need, and an acquirer id that is not 1 to
    /// 11 digits.
    pub fn new(
        host: String,
        dialect: Dialect,
        acquirer_id: String,
        zone_key: ZoneKey,
    ) -> Result<Self, AcquirerError> {
        zone_key.fits(&dialect)?;
        let digits =
            (1..=11).contains(&acquirer_id.len()) && acquirer_id.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return Err(AcquirerError::AcquirerId);
        }
        Ok(Self {
            host,
            framing: Framing::default(),
            dialect,
            processing_codes: ProcessingCodes::default(),
            acquirer_id,
            zone_key,
            key_serial: None,
            mac_key: None,
            traces: AtomicU32::new(getrandom::u32().map_err(|_| AcquirerError::Random)?),
        })
    }

    /// Address and port of the issuer's host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How this acquirer's messages are written.
    #[must_use]
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// What the network calls each transaction.
    #[must_use]
    pub fn processing_codes(&self) -> &ProcessingCodes {
        &self.processing_codes
    }

    /// The zone key, for PIN blocks; with DUKPT, the base key.
    #[must_use]
    pub fn zone_key(&self) -> &ZoneKey {
        &self.zone_key
    }

    /// Whether an answer says that the transaction is approved.
    #[must_use]
    pub fn approves(&self, answer: &Message) -> bool {
        self.response_code_1987(answer) == Some(RESPONSE_00_APPROVED)
    }

    /// An answer's DE39 as the code of 1987 that it stands for.
    #[must_use]
    pub fn response_code_1987(&self, answer: &Message) -> Option<[u8; 2]> {
        self.dialect
            .response_code_1987(answer.mti.class(), answer.field(39)?)
    }

    /// A message of a type of 1987, in the dialect's version, with the fields that say which message it is.
    pub(crate) fn message(&self, mti: Mti) -> Message {
        let mut message = Message::new(self.dialect.message_type(mti));
        self.identify(&mut message);
        message
    }

    /// Puts DE22, in the dialect's length.
    pub(crate) fn put_entry_mode(&self, message: &mut Message, entry: EntryMode) {
        let len = self.fixed_len(22).unwrap_or_default();
        if let Some(value) = entry.field(len) {
            message.put(22, value);
        }
    }

    /// Puts DE25, two digits, where the dialect has it: 1993 has another field in its place.
    pub(crate) fn put_condition(&self, message: &mut Message, condition: &str) {
        if self.fixed_len(25) == Some(condition.len()) {
            message.put(25, condition);
        }
    }

    /// Puts the blocks of the current PIN (DE52) and of the new one, and the key serial number where the key has one.
    ///
    /// Refuses where a key that is used once can't be had.
    pub(crate) fn put_pins(
        &self,
        message: &mut Message,
        pan: &Pan,
        current: Option<&Pin>,
        new: Option<&Pin>,
    ) -> Result<(), CounterError> {
        let places = self.dialect.places();
        let current = current.map(|pin| (52, pin));
        let new = new.and_then(|pin| Some((places.new_pin?, pin)));
        let (fields, pins): (Vec<u8>, Vec<&Pin>) = current.into_iter().chain(new).unzip();
        if pins.is_empty() {
            return Ok(());
        }
        let blocks = match (&self.key_serial, places.key_serial) {
            (Some(serial), Some(place)) => {
                let (serial, blocks) = serial.pin_blocks(&self.zone_key, &pins, pan)?;
                message.put(place, serial);
                blocks
            }
            _ => {
                let block = |pin: &&Pin| self.zone_key.fresh_pin_block(pin, pan);
                pins.iter().map(block).collect()
            }
        };
        for (field, block) in fields.into_iter().zip(blocks) {
            message.put(field, block);
        }
        Ok(())
    }

    /// Puts the fields that say which message this is: DE7, DE11, DE12, DE13, DE32, DE37.
    ///
    /// DE11 counts up from a random number, so that runs of the simulator don't repeat each other. DE37 is the last digit of
    /// the year, day of the year, hour and DE11. Where DE12 has the date too, as in 1993, DE13 is something else and left out.
    pub(crate) fn identify(&self, message: &mut Message) {
        let trace = self.traces.fetch_add(1, Ordering::Relaxed) % 1_000_000;
        let now = Zoned::now();
        let utc = now.with_time_zone(jiff::tz::TimeZone::UTC);
        let reference = format!(
            "{}{:03}{:02}{trace:06}",
            now.year() % 10,
            now.day_of_year(),
            now.hour()
        );
        message.put(7, utc.strftime("%m%d%H%M%S").to_string());
        message.put(11, format!("{trace:06}"));
        if self.fixed_len(12) == Some(12) {
            message.put(12, now.strftime("%y%m%d%H%M%S").to_string());
        } else {
            message.put(12, now.strftime("%H%M%S").to_string());
            message.put(13, now.strftime("%m%d").to_string());
        }
        message.put(32, self.acquirer_id.as_str());
        message.put(37, reference);
    }

    fn fixed_len(&self, field: u8) -> Option<usize> {
        match self.dialect.field(field)?.length {
            Length::Fixed(len) => Some(len.into()),
            Length::Ll(_) | Length::Lll(_) => None,
        }
    }
}

fn open_dialect(name_or_path: &str, beside: &Path) -> Result<Dialect, AcquirerError> {
    if !name_or_path.contains('/') && !name_or_path.ends_with(".toml") {
        return Ok(Dialect::named(name_or_path)?);
    }
    let path = beside.join(name_or_path);
    let text = std::fs::read_to_string(&path).map_err(|cause| AcquirerError::DialectFile { path, cause })?;
    Ok(Dialect::parse(&text)?)
}
