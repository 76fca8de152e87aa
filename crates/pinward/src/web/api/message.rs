//! What the messages of a host that speaks JSON have in common: identity, card, PIN block, chip data.

use std::sync::Arc;

use axum::http::StatusCode;
use cards::{Expiry, Pan, Psn};
use data_encoding::{HEXUPPER, HEXUPPER_PERMISSIVE};
use hsm::{KeyName, ZonePin, ZonePinFormat};
use issuer::authorise::{
    AuthorisationRequest, Authority, CardEntry, MessageIdentity, RequestKind, Transaction,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::told::Told;

/// Names the caller in journal and audit trail.
const LINK: &str = "api";
const ID_LEN_MAX: usize = 64;
/// Longest chip data, in bytes (ISO 8583 DE55).
const CHIP_LEN_MAX: usize = 255;

/// An authorisation as the issuer's own host tells it.
///
/// A second message with the same `id` and `at` is a repeat: it gets the recorded answer where all else is the same, and is
/// refused otherwise.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckMessage {
    #[serde(flatten)]
    pub(super) named: Named,
    /// 12 to 19 digits.
    pan: String,
    /// Card sequence number, 0 to 99. Default: the card's.
    psn: Option<u8>,
    /// YYMM. Default: not compared.
    expiry: Option<String>,
    transaction: TransactionName,
    /// In minor units of `currency`. Default 0.
    #[serde(default)]
    amount_minor: u64,
    /// ISO 4217 numeric.
    currency: u16,
    entry: EntryName,
    /// Terminal identification, 8 characters, for fraud signals.
    terminal: Option<String>,
    pin: Option<PinBlock>,
    /// The new PIN of a PIN change.
    new_pin: Option<PinBlock>,
    /// Chip data, BER-TLV in hex, as in ISO 8583 DE55.
    chip: Option<String>,
    /// `issuer` (default): the caller decides about the money, and the answer holds the chip's answer for either
    /// decision. `desk`: the desk decides all.
    #[serde(default)]
    authority: AuthorityName,
}

/// Which message it is.
#[derive(Deserialize, Serialize)]
pub(super) struct Named {
    /// 1 to 64 printable ASCII characters, the caller's own.
    id: String,
    /// When the transaction was sent, MMDDhhmmss in UTC, the same in a repeat.
    at: String,
}

/// An enciphered PIN.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PinBlock {
    /// Name of the zone PIN key in the HSM; with `ksn`, of the base derivation key.
    zone_key: String,
    format: ZonePinFormat,
    /// In hex: 8 bytes, 16 for `iso4`.
    block: String,
    /// Key serial number in hex, for DUKPT.
    ksn: Option<String>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum TransactionName {
    Purchase,
    Cash,
    Balance,
    PinChange,
    PinUnblock,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum EntryName {
    Contact,
    Contactless,
    MagneticStripe,
    Fallback,
    NotPresent,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum AuthorityName {
    #[default]
    Issuer,
    Desk,
}

/// A field that can't be used, as the caller named it.
pub(super) fn unusable(field: &'static str, wanted: &'static str) -> Told {
    Told {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        code: "field_unusable",
        headline: "A field of the message can't be used.",
        advice: format!("{field}: {wanted}."),
    }
}

impl CheckMessage {
    /// Refuses, naming the field, what isn't as the field's description wants it.
    pub(super) fn read(&self) -> Result<AuthorisationRequest, Told> {
        let content = serde_json::to_vec(self).expect("it was read from JSON");
        Ok(AuthorisationRequest {
            message: self.named.identity(&content)?,
            kind: RequestKind::Request,
            authority: match self.authority {
                AuthorityName::Issuer => Authority::Elsewhere,
                AuthorityName::Desk => Authority::Here,
            },
            pan: pan(&self.pan)?,
            psn: self
                .psn
                .map(|psn| Psn::new(psn).ok_or(unusable("psn", "0 to 99")))
                .transpose()?,
            expiry: self
                .expiry
                .as_deref()
                .map(|expiry| Expiry::parse_yymm(expiry).ok_or(unusable("expiry", "YYMM")))
                .transpose()?,
            transaction: self.transaction.into(),
            amount_minor: self.amount_minor,
            currency: self.currency,
            entry: self.entry.into(),
            terminal: self
                .terminal
                .as_deref()
                .map(|terminal| terminal.as_bytes().try_into())
                .transpose()
                .map_err(|_| unusable("terminal", "8 characters"))?,
            pin: self.pin.as_ref().map(|pin| pin.read("pin")).transpose()?,
            new_pin: self.new_pin.as_ref().map(|pin| pin.read("new_pin")).transpose()?,
            chip: self.chip.as_deref().map(chip).transpose()?,
            link: Arc::from(LINK),
        })
    }
}

impl Named {
    /// The identity of a message with this content.
    pub(super) fn identity(&self, content: &[u8]) -> Result<MessageIdentity, Told> {
        Ok(MessageIdentity {
            identity: self.row()?,
            content: Sha256::digest(content).into(),
        })
    }

    /// Time first, so that rows arrive nearly in key order.
    pub(super) fn row(&self) -> Result<[u8; 16], Told> {
        let id = self.id.as_bytes();
        let printable = id.iter().all(|byte| (0x20..=0x7E).contains(byte));
        if !(1..=ID_LEN_MAX).contains(&id.len()) || !printable {
            return Err(unusable("id", "1 to 64 printable ASCII characters"));
        }
        let time = HEXUPPER
            .decode(self.at.as_bytes())
            .ok()
            .filter(|time| time.len() == 5 && self.at.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or(unusable("at", "MMDDhhmmss"))?;
        let hash: [u8; 32] = Sha256::new_with_prefix(b"api\0")
            .chain_update(id)
            .finalize()
            .into();
        let mut row = [0; 16];
        for (place, byte) in row.iter_mut().zip(time.into_iter().chain(hash)) {
            *place = byte;
        }
        Ok(row)
    }
}

impl PinBlock {
    fn read(&self, field: &'static str) -> Result<ZonePin, Told> {
        let wanted = match self.format {
            ZonePinFormat::Iso0 | ZonePinFormat::Iso3 => (8, "block wants 8 bytes in hex"),
            ZonePinFormat::Iso4 => (16, "block wants 16 bytes in hex"),
        };
        let block = HEXUPPER_PERMISSIVE.decode(self.block.as_bytes()).ok();
        let ksn = |text: &String| {
            let bytes = HEXUPPER_PERMISSIVE.decode(text.as_bytes()).ok();
            bytes
                .filter(|bytes| matches!(bytes.len(), 10 | 12))
                .ok_or(unusable(field, "ksn wants 10 or 12 bytes in hex"))
        };
        Ok(ZonePin {
            zone_key: KeyName(self.zone_key.clone()),
            format: self.format,
            ksn: self.ksn.as_ref().map(ksn).transpose()?,
            block: block
                .filter(|block| block.len() == wanted.0)
                .ok_or(unusable(field, wanted.1))?,
        })
    }
}

/// A card number.
pub(super) fn pan(text: &str) -> Result<Pan, Told> {
    Pan::parse(text).map_err(|_| unusable("pan", "12 to 19 digits, the last one the check digit"))
}

/// Chip data from hex.
pub(super) fn chip(text: &str) -> Result<Vec<u8>, Told> {
    let bytes = HEXUPPER_PERMISSIVE.decode(text.as_bytes()).ok();
    bytes
        .filter(|bytes| (1..=CHIP_LEN_MAX).contains(&bytes.len()))
        .ok_or(unusable("chip", "1 to 255 bytes in hex"))
}

/// The caller, as requests name it.
pub(super) fn link() -> Arc<str> {
    Arc::from(LINK)
}

impl From<TransactionName> for Transaction {
    fn from(name: TransactionName) -> Self {
        match name {
            TransactionName::Purchase => Self::Purchase,
            TransactionName::Cash => Self::Cash,
            TransactionName::Balance => Self::Balance,
            TransactionName::PinChange => Self::PinChange,
            TransactionName::PinUnblock => Self::PinUnblock,
        }
    }
}

impl From<EntryName> for CardEntry {
    fn from(name: EntryName) -> Self {
        match name {
            EntryName::Contact => Self::Contact,
            EntryName::Contactless => Self::Contactless,
            EntryName::MagneticStripe => Self::MagneticStripe,
            EntryName::Fallback => Self::Fallback,
            EntryName::NotPresent => Self::NotPresent,
        }
    }
}
