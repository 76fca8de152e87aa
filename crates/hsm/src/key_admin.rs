//! Looking after keys: make, load, exchange; and the key material of one card for its personalisation.

use std::fs::File;
use std::io::Read;

use cards::{PinReference, Scheme, Timestamp};
use data_encoding::{HEXUPPER, HEXUPPER_PERMISSIVE};
use paycrypto::aes_key::AesKey;
use paycrypto::pinblock::{TdesFormat, encipher_tdes};
use zeroize::Zeroizing;

use crate::key_material::{self, KeyMaterial};
use crate::keyring::{KeyRing, StoredKey};
use crate::keystore::{KeyStore, is_key_name};
use crate::records::AuthenticCard;
use crate::seam::{HsmError, HsmFault, HsmRefusal, KeyInfo, KeyName, KeyPurpose, PersonalisedCard};
use crate::{chip, key_block, pins};

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
    let material = KeyMaterial::from_bytes(purpose, &bytes).ok_or(HsmRefusal::KeyBlock)?;
    add(store, name, purpose, material, key_block::leaves(purpose), now)
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
        return Err(HsmRefusal::KeyBlock.into());
    }
    let mut sum = Zeroizing::new([0; COMPONENT_LEN_BYTES]);
    for path in paths {
        let content = read_component(path)?;
        let component = parse_component(&content).ok_or(HsmRefusal::KeyBlock)?;
        for (to, from) in sum.iter_mut().zip(component.expose_bytes()) {
            *to ^= from;
        }
    }
    if *sum == [0; COMPONENT_LEN_BYTES] {
        return Err(HsmRefusal::KeyBlock.into());
    }
    let purpose = KeyPurpose::KeyExchange;
    let material = KeyMaterial::from_bytes(purpose, sum.as_slice()).ok_or(HsmRefusal::KeyBlock)?;
    add(store, name, purpose, material, false, now)
}

/// A key under a key exchange key.
///
/// Answers [`HsmRefusal::NoSuchKey`] for a key whose purpose or whose own block doesn't let it leave.
pub(crate) fn export(keys: &KeyRing, name: &KeyName, under: &KeyName) -> Result<String, HsmRefusal> {
    let under = keys.aes_named(under, KeyPurpose::KeyExchange)?;
    let key = keys.by_name(name)?;
    let may_leave = key.exportable && key_block::leaves(key.purpose);
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
    let (material, exportable) =
        key_block::from_exchange(under, purpose, block).ok_or(HsmRefusal::KeyBlock)?;
    add(store, name, purpose, material, exportable, now)
}

/// ICC master keys, and the PIN that the chip starts with.
///
/// Answers [`HsmRefusal::Unsupported`] for a card whose PIN is known by its verification value only.
pub(crate) fn personalise(
    keys: &KeyRing,
    card: &AuthenticCard,
    under: &KeyName,
    zone_key: &KeyName,
) -> Result<PersonalisedCard, HsmRefusal> {
    let under = keys.aes_named(under, KeyPurpose::KeyExchange)?;
    let zone_key = keys.tdes_named(zone_key, KeyPurpose::ZonePinTdes)?;
    let pin_block = match &card.state.host.reference {
        PinReference::None => None,
        PinReference::Sealed(_) | PinReference::Pvv { .. } => {
            let pin = pins::reference_pin(keys, card)?;
            let fill = [0; 10];
            let block = encipher_tdes(zone_key, TdesFormat::Iso0, &pin, &card.account, &fill);
            Some(block)
        }
    };
    let icc = chip::icc_keys(keys, &card.account, card.psn, Scheme::VisaCvn18)?;
    let wrap = |purpose, key| key_block::for_personalisation(under, purpose, key);
    Ok(PersonalisedCard {
        pan: card.pan()?,
        icc_key_ac: wrap(KeyPurpose::IssuerCryptogram, &icc.ac),
        icc_key_smi: wrap(KeyPurpose::IssuerScriptIntegrity, &icc.smi),
        icc_key_smc: wrap(KeyPurpose::IssuerScriptConfidentiality, &icc.smc),
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
        return Err(HsmRefusal::KeyBlock.into());
    }
    let key = StoredKey {
        name,
        purpose,
        material,
        exportable,
        created,
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
        .map_err(|cause| HsmFault(format!("can't read the component {path}: {cause}")))?;
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
