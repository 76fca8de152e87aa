//! The acquirer: its key room and its link to the issuer's host.
//!
//! | file | holds |
//! |---|---|
//! | [`message`] | an ISO 8583 message as an acquirer keeps it |
//! | [`link`] | one TCP exchange per message |
//! | [`zone_key`] | PIN blocks under the zone key |

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use iso8583::dialect::Dialect;
use jiff::Zoned;
use serde::Deserialize;

use crate::bureau::components::{self, ComponentsError};

pub mod link;
pub mod message;
pub mod zone_key;

use self::message::Message;
use self::zone_key::ZoneKey;

/// An acquirer: where the host is, how it speaks, and the zone key for PIN blocks.
#[derive(Debug)]
pub struct Acquirer {
    host: String,
    dialect: Dialect,
    acquirer_id: String,
    zone_key: ZoneKey,
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
    #[error("zone_key: not a TR-31 block of a PIN key under the components' key")]
    ZoneKey,
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
    dialect: String,
    acquirer_id: String,
    zone_key: String,
    component_paths: Vec<PathBuf>,
}

impl Acquirer {
    /// Reads an acquirer's JSON file and opens its zone key.
    ///
    /// | name | value |
    /// |---|---|
    /// | `host` | address and port of the issuer's host, `127.0.0.1:8583` |
    /// | `dialect` | `ascii-1987` (PIN blocks ISO 0, TDES) or `ascii-1987-aes` (ISO 4, AES) |
    /// | `acquirer_id` | DE32, 1 to 11 digits |
    /// | `zone_key` | TR-31 block of the zone PIN key under the key that the components make |
    /// | `component_paths` | the component files, relative to this file or absolute |
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
        let zone_key = ZoneKey::unwrap(&exchange_key, &file.zone_key)?;
        Self::new(
            file.host,
            Dialect::named(&file.dialect)?,
            file.acquirer_id,
            zone_key,
        )
    }

    /// An acquirer from its parts.
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
            dialect,
            acquirer_id,
            zone_key,
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

    /// The zone key, for PIN blocks.
    #[must_use]
    pub fn zone_key(&self) -> &ZoneKey {
        &self.zone_key
    }

    /// Puts the fields that say which message this is: DE7, DE11, DE12, DE13, DE32, DE37.
    ///
    /// DE11 counts up from a random number, so that runs of the simulator don't repeat each other. DE37 is the last digit of
    /// the year, day of the year, hour and DE11.
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
        message.put(12, now.strftime("%H%M%S").to_string());
        message.put(13, now.strftime("%m%d").to_string());
        message.put(32, self.acquirer_id.as_str());
        message.put(37, reference);
    }
}
