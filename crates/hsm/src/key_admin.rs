//! Looking after keys: make, load, exchange; and the key material of one card for its personalisation.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use cards::{PinReference, Scheme, Timestamp};
use data_encoding::{HEXUPPER, HEXUPPER_PERMISSIVE};
use paycrypto::aes_key::AesKey;
use paycrypto::emv_key::EmvKey;
use paycrypto::pinblock::{TdesFormat, encipher_tdes};
use zeroize::Zeroizing;

use crate::chip::IssuerKeyUse;
use crate::key_material::{self, KeyMaterial};
use crate::keyring::{KeyRing, KeyValue, StoredKey};
use crate::keystore::{KeyStore, is_key_name};
use crate::records::AuthenticCard;
use crate::seam::{
    HsmError, HsmFault, HsmRefusal, Ibm3624Rule, KeyFlaw, KeyInfo, KeyName, KeyPurpose, PersonalisedCard,
};
use crate::{chip, ibm3624, key_block, key_purpose, pins};

const COMPONENTS_MIN: usize = 2;
const COMPONENTS_MAX: usize = 9;
const COMPONENT_LEN_BYTES: usize = 32;
const COMPONENT_FILE_LEN_MAX_BYTES: u64 = 256;

/// Makes a random key.
pub(crate) fn generate(
    store: &KeyStore,
    name: KeyName,
    purpose: KeyPurpose,
    now: Timestamp,
) -> Result<KeyInfo, HsmError> {
    let bytes = key_material::generate(purpose)?;
    let material = KeyMaterial::from_bytes(purpose, &bytes).ok_or(HsmRefusal::KeyBlock(KeyFlaw::Value))?;
    add(store, name, purpose, material, key_purpose::leaves(purpose), now)
}

/// Puts a key exchange key together from its components.
///
/// Refuses fewer than 2 or more than 9 files, and one whose content isn't a 32-byte AES key in hex and, on the next
/// line, its check value of 5 bytes; components that add up to nothing.
pub(crate) fn load_components(
    store: &KeyStore,
    name: KeyName,
    paths: &[String],
    now: Timestamp,
) -> Result<KeyInfo, HsmError> {
    if !(COMPONENTS_MIN..=COMPONENTS_MAX).contains(&paths.len()) {
        return Err(HsmRefusal::KeyBlock(KeyFlaw::ComponentCount).into());
    }
    let mut sum = Zeroizing::new([0; COMPONENT_LEN_BYTES]);
    for (number, path) in (1..).zip(paths) {
        let content = read_component(path)?;
        let flaw = KeyFlaw::Component { number };
        let component = parse_component(&content).ok_or(HsmRefusal::KeyBlock(flaw))?;
        for (to, from) in sum.iter_mut().zip(component.expose_bytes()) {
            *to ^= from;
        }
    }
    if *sum == [0; COMPONENT_LEN_BYTES] {
        return Err(HsmRefusal::KeyBlock(KeyFlaw::ComponentsCancel).into());
    }
    let purpose = KeyPurpose::KeyExchange;
    let material =
        KeyMaterial::from_bytes(purpose, sum.as_slice()).ok_or(HsmRefusal::KeyBlock(KeyFlaw::Value))?;
    add(store, name, purpose, material, false, now)
}

/// A key under a key exchange key.
///
/// Answers [`HsmRefusal::NoSuchKey`] for a key whose purpose or whose own block doesn't let it leave.
pub(crate) fn export(keys: &KeyRing, name: &KeyName, under: &KeyName) -> Result<String, HsmRefusal> {
    let under = keys.aes_named(under, KeyPurpose::KeyExchange)?;
    let key = keys.by_name(name)?;
    let may_leave = key.present.exportable && key_purpose::leaves(key.purpose);
    may_leave
        .then(|| key_block::for_exchange(under, key))
        .ok_or(HsmRefusal::NoSuchKey)
}

/// A key that came under a key exchange key.
pub(crate) fn import(
    store: &KeyStore,
    name: KeyName,
    purpose: KeyPurpose,
    block: &str,
    under: &KeyName,
    now: Timestamp,
) -> Result<KeyInfo, HsmError> {
    let ring = store.ring();
    let under = ring.aes_named(under, KeyPurpose::KeyExchange)?;
    let (material, exportable) = key_block::from_exchange(under, purpose, block)?;
    add(store, name, purpose, material, exportable, now)
}

/// A new value of a zone's key; the one it had becomes the former one.
pub(crate) fn replace(
    store: &KeyStore,
    name: &KeyName,
    block: &str,
    under: &KeyName,
    kcv: Option<&str>,
    now: Timestamp,
) -> Result<KeyInfo, HsmError> {
    let ring = store.ring();
    let under = ring.aes_named(under, KeyPurpose::KeyExchange)?;
    store.change(name, |key| {
        if !key_purpose::of_a_zone(key.purpose) {
            return Err(HsmRefusal::NoSuchKey);
        }
        let (material, exportable) = key_block::from_exchange(under, key.purpose, block)?;
        if !kcv.is_none_or(|kcv| is_told_check_value(&material, kcv)) {
            return Err(HsmRefusal::KeyCheckValue);
        }
        let mut known = std::iter::once(&key.present).chain(&key.former);
        let was_before = known.any(|value| value.material.is_same_key(&material))
            || key.past.contains(&store.fingerprint(&material));
        if was_before {
            return Err(HsmRefusal::KeyUnchanged);
        }
        Ok(StoredKey {
            present: KeyValue {
                material: Arc::new(material),
                exportable,
                created: now,
            },
            former: Some(key.present.clone()),
            ..without_former(store, key)
        })
    })
}

/// Forgets the former value.
pub(crate) fn drop_former(store: &KeyStore, name: &KeyName) -> Result<KeyInfo, HsmError> {
    store.change(name, |key| Ok(without_former(store, key)))
}

/// The key as it goes on when its former value can't read any more: that one is never taken again.
fn without_former(store: &KeyStore, key: &StoredKey) -> StoredKey {
    let mut key = key.clone();
    if let Some(former) = key.former.take() {
        key.past.push(store.fingerprint(&former.material));
    }
    key
}

/// Gives an IBM 3624 key its rule, which it keeps.
pub(crate) fn set_ibm3624_rule(
    store: &KeyStore,
    name: &KeyName,
    told: Ibm3624Rule,
) -> Result<KeyInfo, HsmError> {
    store.change(name, |key| {
        if key.purpose != KeyPurpose::PinVerificationIbm3624 {
            return Err(HsmRefusal::NoSuchKey);
        }
        if key.rule.as_ref().is_some_and(|rule| !rule.is(&told)) {
            return Err(HsmRefusal::KeyExists);
        }
        let rule = ibm3624::Rule::new(told).ok_or(HsmRefusal::Unsupported)?;
        Ok(StoredKey {
            rule: Some(rule),
            ..key.clone()
        })
    })
}

fn is_told_check_value(material: &KeyMaterial, kcv: &str) -> bool {
    let told = HEXUPPER_PERMISSIVE.decode(kcv.as_bytes());
    told.is_ok_and(|told| material.has_check_value(material.usual_check_value(), &told))
}

/// ICC master keys, and the PIN that the chip starts with.
///
/// Answers [`HsmRefusal::Unsupported`] for a card whose PIN is known by a verification value or an offset only.
pub(crate) fn personalise(
    keys: &KeyRing,
    card: &AuthenticCard,
    scheme: Scheme,
    under: &KeyName,
    zone_key: &KeyName,
) -> Result<PersonalisedCard, HsmRefusal> {
    let under = keys.aes_named(under, KeyPurpose::KeyExchange)?;
    let zone_key = keys.tdes_named(zone_key, KeyPurpose::ZonePinTdes)?;
    let pin_block = match &card.state.host.reference {
        PinReference::None => None,
        PinReference::Sealed(_) | PinReference::Pvv { .. } | PinReference::Ibm3624 { .. } => {
            let pin = pins::reference_pin(keys, card)?;
            let fill = [0; 10];
            let block = encipher_tdes(zone_key, TdesFormat::Iso0, &pin, &card.account, &fill);
            Some(block)
        }
    };
    let icc = chip::card_keys(keys, &card.account, card.psn, scheme)?;
    let wrap = |key_use, key: &EmvKey| {
        key_block::for_personalisation(under, chip::issuer_purpose(key.algorithm(), key_use), key)
    };
    Ok(PersonalisedCard {
        pan: card.pan()?,
        icc_key_ac: wrap(IssuerKeyUse::Cryptogram, icc.ac()),
        icc_key_smi: wrap(IssuerKeyUse::Integrity, icc.smi()),
        icc_key_smc: wrap(IssuerKeyUse::Confidentiality, icc.smc()),
        pin_block,
    })
}

/// Refuses with [`HsmRefusal::KeyBlock`] a name that is none, a Visa PVV key that isn't called `pvk-1` to `pvk-6`, and
/// any other key that is.
fn add(
    store: &KeyStore,
    name: KeyName,
    purpose: KeyPurpose,
    material: KeyMaterial,
    exportable: bool,
    created: Timestamp,
) -> Result<KeyInfo, HsmError> {
    let is_pvk_name = matches!(
        name.0.strip_prefix("pvk-"),
        Some("1" | "2" | "3" | "4" | "5" | "6")
    );
    let is_pvk = purpose == KeyPurpose::PinVerificationVisa;
    if !is_key_name(&name.0) || is_pvk_name != is_pvk {
        return Err(HsmRefusal::KeyBlock(KeyFlaw::Name).into());
    }
    let key = StoredKey {
        name,
        purpose,
        present: KeyValue {
            material: Arc::new(material),
            exportable,
            created,
        },
        former: None,
        past: Vec::new(),
        rule: None,
    };
    let info = key.info();
    store.add(key)?;
    Ok(info)
}

fn read_component(path: &str) -> Result<Zeroizing<String>, HsmFault> {
    let mut content = Zeroizing::new(String::new());
    File::open(path)
        .and_then(|file| {
            file.take(COMPONENT_FILE_LEN_MAX_BYTES)
                .read_to_string(&mut content)
        })
        .map_err(|cause| HsmFault::NoAnswer(format!("can't read the component {path}: {cause}")))?;
    Ok(content)
}

fn parse_component(content: &str) -> Option<AesKey> {
    let mut lines = content.lines();
    let (key, check_value) = (lines.next()?, lines.next()?);
    let bytes = Zeroizing::new(HEXUPPER_PERMISSIVE.decode(key.trim().as_bytes()).ok()?);
    let key = AesKey::from_bytes(&bytes).filter(|_| bytes.len() == COMPONENT_LEN_BYTES)?;
    let right = check_value
        .trim()
        .eq_ignore_ascii_case(&HEXUPPER.encode(&key.kcv()));
    right.then_some(key)
}
