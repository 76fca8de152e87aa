//! What the personalisation bureau wrote into a card: its identity, keys, first PIN and limits. Never changes.

use std::fmt;
use std::io;
use std::path::Path;

use cards::{Expiry, Pan, Psn};
use data_encoding::HEXUPPER_PERMISSIVE;
use paycrypto::emv_key::EmvKey;
use paycrypto::icc_keys::CardKeys;
use paycrypto::pin::Pin;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::certified_key::CertifiedKey;
use super::profile::CardProfile;
use crate::private_file;
use crate::profile_file::{ProfileError, aid};
use crate::rsa::RsaPrivateKey;

/// AID of the fictional scheme: category `F`, for names that are registered nowhere (ISO/IEC 7816-4:2020 12.2.3), and
/// `PINWARD` in ASCII.
pub const AID_PINWARD: [u8; 8] = *b"\xF0PINWARD";

/// A personalised card.
///
/// File: JSON, UTF-8, unknown names refused.
///
/// | name | value |
/// |---|---|
/// | `card_ref` | the issuer's name of the card |
/// | `pan` | 12 to 19 digits |
/// | `psn` | 0 to 99 |
/// | `expiry` | YYMM |
/// | `cardholder_name` | 2 to 26 ASCII characters, as tag 5F20 |
/// | `aid` | hex, 5 to 16 bytes |
/// | `label` | 1 to 16 ASCII characters, as tag 50 |
/// | `profile` | a card profile's name, such as `visa-cvn18`, or its file, relative to this one or absolute |
/// | `icc_key_ac`, `icc_key_smi`, `icc_key_smc` | hex, 16 bytes: this card's keys for cryptograms, script MAC, script encipherment; TDES, or AES (16, 24 or 32 bytes) where the profile's master key is of option C |
/// | `report_cleared` | a [`ReportCleared`], `after-authenticated-online` where left out |
/// | `certified_key` | an object of hex: `ca_index`, `issuer_certificate`, `issuer_remainder`, `issuer_exponent`, `icc_certificate`, `icc_remainder`, `modulus`, `exponent`, `private_exponent`; left out or null for a card that isn't authenticated offline |
/// | `pin` | 4 to 12 digits, or null for a card without a PIN |
/// | `pin_try_limit` | 1 to 15 |
/// | `country`, `currency` | ISO 3166-1 and ISO 4217, numeric, 0 to 999 |
pub struct Perso {
    pub card_ref: String,
    pub pan: Pan,
    pub psn: Psn,
    pub expiry: Expiry,
    pub cardholder_name: String,
    pub aid: Vec<u8>,
    pub label: String,
    /// The card's kind; its keys are of this kind too.
    pub profile: CardProfile,
    /// The card's own keys.
    pub keys: CardKeys,
    pub report_cleared: ReportCleared,
    pub certified_key: Option<CertifiedKey>,
    pub pin: Option<Pin>,
    pub pin_try_limit: u8,
    pub country: u16,
    pub currency: u16,
}

/// When a card stops reporting the scripts it got (tag 9F10). Products differ, and no public text settles it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportCleared {
    /// When an online transaction ends in which the issuer was authenticated.
    #[default]
    AfterAuthenticatedOnline,
    /// When an online transaction ends, whether the issuer was authenticated or not.
    AfterOnline,
}

/// A card's file can't be used. Quotes nothing from it.
#[derive(Debug, thiserror::Error)]
pub enum CardFileError {
    #[error("{path}: {cause}")]
    Io { path: String, cause: io::Error },
    #[error("{path}: the card's memory can't be kept there ({cause}); --state names another file")]
    Memory { path: String, cause: io::Error },
    /// Says where, not what: the cause of `serde_json` would quote a value.
    #[error("{path}, line {line}, column {column}: not the JSON of a card")]
    Json {
        path: String,
        line: usize,
        column: usize,
    },
    #[error("{path}: {name} is not acceptable")]
    Value { path: String, name: &'static str },
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

impl CardFileError {
    pub(super) fn json(path: &Path, cause: &serde_json::Error) -> Self {
        let (line, column) = (cause.line(), cause.column());
        Self::Json {
            path: path.display().to_string(),
            line,
            column,
        }
    }
}

impl Perso {
    /// Reads a file. Refuses whatever is outside the table above.
    pub fn read(path: &Path) -> Result<Self, CardFileError> {
        let shown = || path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|cause| CardFileError::Io { path: shown(), cause })?;
        let file: PersoFile =
            serde_json::from_str(&text).map_err(|cause| CardFileError::json(path, &cause))?;
        let profile = CardProfile::open(&file.profile, path.parent().unwrap_or(Path::new("")));
        file.parse(profile?)
            .map_err(|name| CardFileError::Value { path: shown(), name })
    }

    /// Writes the file, readable by its owner only, replacing an older one as a whole.
    pub fn write(&self, path: &Path) -> Result<(), CardFileError> {
        let file = PersoFile {
            card_ref: self.card_ref.clone(),
            pan: self.pan.expose_digits().to_owned(),
            psn: self.psn.number(),
            expiry: self.expiry.yymm(),
            cardholder_name: self.cardholder_name.clone(),
            aid: HEXUPPER_PERMISSIVE.encode(&self.aid),
            label: self.label.clone(),
            profile: self.profile.name.clone(),
            icc_key_ac: HEXUPPER_PERMISSIVE.encode(self.keys.ac().expose_bytes()),
            icc_key_smi: HEXUPPER_PERMISSIVE.encode(self.keys.smi().expose_bytes()),
            icc_key_smc: HEXUPPER_PERMISSIVE.encode(self.keys.smc().expose_bytes()),
            report_cleared: self.report_cleared,
            certified_key: self.certified_key.as_ref().map(CertifiedKeyFile::new),
            pin: self.pin.as_ref().map(pin_text),
            pin_try_limit: self.pin_try_limit,
            country: self.country,
            currency: self.currency,
        };
        let shown = || path.display().to_string();
        let text = serde_json::to_vec_pretty(&file)
            .map(Zeroizing::new)
            .map_err(|cause| CardFileError::json(path, &cause))?;
        private_file::replace(path, &text).map_err(|cause| CardFileError::Io { path: shown(), cause })
    }
}

/// The PIN's digits as text, for the card's own files.
pub(super) fn pin_text(pin: &Pin) -> String {
    let digits = pin.expose_digits().iter();
    digits.map(|digit| char::from(b'0' + digit)).collect()
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct PersoFile {
    card_ref: String,
    pan: String,
    psn: u8,
    expiry: String,
    cardholder_name: String,
    aid: String,
    label: String,
    profile: String,
    icc_key_ac: String,
    icc_key_smi: String,
    icc_key_smc: String,
    #[zeroize(skip)]
    #[serde(default)]
    report_cleared: ReportCleared,
    #[serde(default)]
    certified_key: Option<CertifiedKeyFile>,
    pin: Option<String>,
    pin_try_limit: u8,
    country: u16,
    currency: u16,
}

impl PersoFile {
    /// The card, or the name of the first value that isn't acceptable.
    fn parse(&self, profile: CardProfile) -> Result<Perso, &'static str> {
        Ok(Perso {
            card_ref: ascii(&self.card_ref, 1, 64).ok_or("card_ref")?,
            pan: Pan::parse(&self.pan).map_err(|_| "pan")?,
            psn: Psn::new(self.psn).ok_or("psn")?,
            expiry: Expiry::parse_yymm(&self.expiry).ok_or("expiry")?,
            cardholder_name: ascii(&self.cardholder_name, 2, 26).ok_or("cardholder_name")?,
            aid: aid(&self.aid).ok_or("aid")?,
            label: ascii(&self.label, 1, 16).ok_or("label")?,
            keys: self.keys(&profile)?,
            profile,
            report_cleared: self.report_cleared,
            certified_key: match &self.certified_key {
                Some(file) => Some(file.parse().ok_or("certified_key")?),
                None => None,
            },
            pin: match &self.pin {
                Some(digits) => Some(Pin::parse(digits).ok_or("pin")?),
                None => None,
            },
            pin_try_limit: Some(self.pin_try_limit)
                .filter(|tries| (1..=15).contains(tries))
                .ok_or("pin_try_limit")?,
            country: Some(self.country).filter(|code| *code <= 999).ok_or("country")?,
            currency: Some(self.currency)
                .filter(|code| *code <= 999)
                .ok_or("currency")?,
        })
    }

    fn keys(&self, profile: &CardProfile) -> Result<CardKeys, &'static str> {
        let computes = profile.computes;
        let key = |hex: &str, name| {
            let bytes = unhex(hex).map(Zeroizing::new).ok_or(name)?;
            EmvKey::from_bytes(computes.algorithm(), &bytes).ok_or(name)
        };
        CardKeys::new(
            computes,
            key(&self.icc_key_ac, "icc_key_ac")?,
            key(&self.icc_key_smi, "icc_key_smi")?,
            key(&self.icc_key_smc, "icc_key_smc")?,
        )
        .map_err(|_| "icc_key_ac")
    }
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct CertifiedKeyFile {
    ca_index: u8,
    issuer_certificate: String,
    issuer_remainder: String,
    issuer_exponent: String,
    icc_certificate: String,
    icc_remainder: String,
    modulus: String,
    exponent: String,
    private_exponent: String,
}

impl CertifiedKeyFile {
    fn new(key: &CertifiedKey) -> Self {
        let hex = |bytes: &[u8]| HEXUPPER_PERMISSIVE.encode(bytes);
        let public = key.key.public();
        Self {
            ca_index: key.ca_index,
            issuer_certificate: hex(&key.issuer_certificate),
            issuer_remainder: hex(&key.issuer_remainder),
            issuer_exponent: hex(&key.issuer_exponent),
            icc_certificate: hex(&key.icc_certificate),
            icc_remainder: hex(&key.icc_remainder),
            modulus: hex(public.modulus()),
            exponent: hex(public.exponent()),
            private_exponent: hex(&key.key.expose_exponent()),
        }
    }

    fn parse(&self) -> Option<CertifiedKey> {
        let private = Zeroizing::new(unhex(&self.private_exponent)?);
        Some(CertifiedKey {
            ca_index: self.ca_index,
            issuer_certificate: unhex(&self.issuer_certificate)?,
            issuer_remainder: unhex(&self.issuer_remainder)?,
            issuer_exponent: unhex(&self.issuer_exponent)?,
            icc_certificate: unhex(&self.icc_certificate)?,
            icc_remainder: unhex(&self.icc_remainder)?,
            key: RsaPrivateKey::from_parts(&unhex(&self.modulus)?, &unhex(&self.exponent)?, &private)?,
        })
    }
}

fn ascii(text: &str, len_min: usize, len_max: usize) -> Option<String> {
    let printable = text.bytes().all(|byte| (0x20..=0x7E).contains(&byte));
    (printable && (len_min..=len_max).contains(&text.len())).then(|| text.to_owned())
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    HEXUPPER_PERMISSIVE.decode(digits.as_bytes()).ok()
}

impl fmt::Debug for Perso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Perso({}, {:?})", self.card_ref, self.pan)
    }
}
