//! The personalisation bureau: it shares a key exchange key with the issuer, and makes cards of the issuer's export.

use std::path::{Path, PathBuf};

use cards::{Expiry, Pan, Psn, Scheme};
use data_encoding::HEXUPPER_PERMISSIVE;
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::icc_keys::CardKeys;
use paycrypto::pin::Pin;
use paycrypto::pinblock::{TdesFormat, decipher_tdes};
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::KeyUsage;
use serde::Deserialize;

use crate::card::perso::{CardFileError, Perso, ReportCleared};
use crate::card::profile::CardProfile;

pub mod components;
pub mod first_pins;
pub mod key_blocks;
pub mod test_ca;

use self::components::ComponentsError;
use self::test_ca::TestCa;

/// PIN tries of a new card.
const PIN_TRY_LIMIT: u8 = 3;

/// Country of the fictional issuer, ISO 3166-1 numeric: Ireland.
const COUNTRY: u16 = 372;

/// An export can't be made into cards. Quotes nothing secret.
#[derive(Debug, thiserror::Error)]
pub enum BureauError {
    #[error("{path}: {cause}")]
    Io { path: PathBuf, cause: std::io::Error },
    /// Says where, not what: the cause of `serde_json` would quote a value.
    #[error("{path}, line {line}, column {column}: not the JSON of an export")]
    Json {
        path: PathBuf,
        line: usize,
        column: usize,
    },
    #[error(transparent)]
    Components(#[from] ComponentsError),
    #[error("zone_key: not a TDES PIN key under the components' key")]
    ZoneKey,
    #[error("card {number} of the export: {name} is not acceptable")]
    Card { number: usize, name: &'static str },
    #[error(transparent)]
    CardFile(#[from] CardFileError),
    #[error("the system gives no random numbers")]
    Random,
}

/// The issuer's export. Its keys are TR-31 blocks of version D under the key exchange key; a PIN block is ISO 9564-1:2017
/// format 0 under the zone key, 16 hexadecimal digits.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Export {
    zone_key: String,
    cards: Vec<ExportedCard>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportedCard {
    card_ref: String,
    pan: String,
    psn: u8,
    expiry: String,
    name: String,
    programme: String,
    /// Chip profile; an export that doesn't name it is of the days when there was one.
    #[serde(default = "visa_cvn18")]
    scheme: Scheme,
    currency: u16,
    icc_key_ac: String,
    icc_key_smi: String,
    icc_key_smc: String,
    pin_block: Option<String>,
}

/// Makes a card file, `<card_ref>.perso.json`, of each card in an export. Gives their paths.
///
/// `own_profile`: what all cards are like, instead of the product's profile that the export names.
///
/// Refuses, before it writes any file: an export of another shape, and the first card with a value or key block that
/// isn't acceptable.
pub fn personalise(
    export: &Path,
    component_paths: &[PathBuf],
    out_dir: &Path,
    own_profile: Option<&CardProfile>,
) -> Result<Vec<PathBuf>, BureauError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |cause| BureauError::Io { path, cause }
    };
    let text = std::fs::read_to_string(export).map_err(io(export))?;
    let file: Export = serde_json::from_str(&text).map_err(|cause| BureauError::Json {
        path: export.to_owned(),
        line: cause.line(),
        column: cause.column(),
    })?;
    let exchange_key = components::combine(component_paths)?;
    let zone_key = key_blocks::tdes(&exchange_key, &file.zone_key, KeyUsage::P0_PIN_ENCRYPTION)
        .map_err(|_| BureauError::ZoneKey)?;
    let authority = TestCa::built_in();
    let mut persos = Vec::new();
    for (number, card) in (1..).zip(&file.cards) {
        let profile = own_profile.cloned();
        let profile = profile.unwrap_or_else(|| CardProfile::of(card.scheme));
        let perso = card.personalise(&exchange_key, &zone_key, profile);
        let mut perso = perso.map_err(|name| BureauError::Card { number, name })?;
        authority.certify(&mut perso).ok_or(BureauError::Random)?;
        persos.push(perso);
    }
    std::fs::create_dir_all(out_dir).map_err(io(out_dir))?;
    let mut written = Vec::new();
    for perso in &persos {
        let path = out_dir.join(format!("{}.perso.json", perso.card_ref));
        perso.write(&path)?;
        written.push(path);
    }
    Ok(written)
}

impl ExportedCard {
    /// The card, or the name of the first value that isn't acceptable.
    fn personalise(
        &self,
        exchange_key: &AesKey,
        zone_key: &Tdes2Key,
        profile: CardProfile,
    ) -> Result<Perso, &'static str> {
        let pan = Pan::parse(&self.pan).map_err(|_| "pan")?;
        let computes = profile.computes;
        let key = |block: &str, usage, name| {
            key_blocks::chip(exchange_key, block, usage, computes.algorithm()).map_err(|_| name)
        };
        Ok(Perso {
            card_ref: Some(self.card_ref.clone())
                .filter(|name| is_file_name(name))
                .ok_or("card_ref")?,
            psn: Psn::new(self.psn).ok_or("psn")?,
            expiry: Expiry::parse_yymm(&self.expiry).ok_or("expiry")?,
            cardholder_name: embossed(&self.name, 26),
            aid: profile.aid.clone(),
            label: embossed(&self.programme, 16),
            profile,
            keys: CardKeys::new(
                computes,
                key(&self.icc_key_ac, KeyUsage::E0_EMV_CRYPTOGRAMS, "icc_key_ac")?,
                key(&self.icc_key_smi, KeyUsage::E2_EMV_INTEGRITY, "icc_key_smi")?,
                key(&self.icc_key_smc, KeyUsage::E1_EMV_CONFIDENTIALITY, "icc_key_smc")?,
            )
            .map_err(|_| "icc_key_ac")?,
            report_cleared: ReportCleared::default(),
            certified_key: None,
            pin: match &self.pin_block {
                Some(block) => Some(first_pin(zone_key, block, &pan).ok_or("pin_block")?),
                None => None,
            },
            pin_try_limit: PIN_TRY_LIMIT,
            country: COUNTRY,
            currency: Some(self.currency)
                .filter(|code| *code <= 999)
                .ok_or("currency")?,
            pan,
        })
    }
}

fn visa_cvn18() -> Scheme {
    Scheme::VisaCvn18
}

fn first_pin(zone_key: &Tdes2Key, block: &str, pan: &Pan) -> Option<Pin> {
    let block = HEXUPPER_PERMISSIVE.decode(block.as_bytes()).ok()?;
    let block = block.as_slice().try_into().ok()?;
    decipher_tdes(zone_key, TdesFormat::Iso0, block, &AccountDigits::from(pan)).ok()
}

/// A name that can't leave its directory.
fn is_file_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// Text as a card carries it: printable ASCII, upper case, `?` for what the alphabet lacks, cut to a length; at least 2.
fn embossed(text: &str, len_max: usize) -> String {
    let ascii = text.chars().map(|character| match character {
        ' '..='~' => character.to_ascii_uppercase(),
        _ => '?',
    });
    let cut: String = ascii.take(len_max).collect();
    format!("{cut:<2}")
}
