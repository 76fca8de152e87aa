//! Key blocks at rest and in exchange. Which X9.143 header a key has, `key_purpose` says.
//!
//! At rest a key is one block, a second one on a line of its own where its former value is still read, and a line `past `
//! with the fingerprints of older values, in hex. An optional block of numeric id, `10`, carries `NAME/PURPOSE/CREATED`:
//! the key's name, its [`KeyPurpose`] and the milliseconds since 1970 when the value came in; behind a further `/`, the
//! rule of an IBM 3624 key, or `former`, or `past ` with the SHA-256 of that line. The block's MAC covers it, so that no
//! file can stand for another, no former value for the present one, and no past value is forgotten.

use std::sync::Arc;

use cards::Timestamp;
use data_encoding::{HEXLOWER, HEXUPPER_PERMISSIVE};
use paycrypto::aes_key::AesKey;
use paycrypto::emv_key::EmvKey;
use paycrypto::tr31::header::{
    Algorithm as WrappedAlgorithm, Exportability, Header, KeyBlockVersion, KeyContext, OptionalBlock,
};
use paycrypto::tr31::{Kbpk, UnwrappedKey, padding_len, unwrap, wrap};
use sha2::{Digest, Sha256};

use crate::key_material::{Algorithm, CheckValueMethod, FINGERPRINT_LEN_BYTES, Fingerprint, KeyMaterial};
use crate::keyring::{KeyValue, StoredKey};
use crate::seam::{HsmRefusal, KeyFlaw, KeyName, KeyPurpose};
use crate::{dice, ibm3624, key_purpose};

const OPTIONAL_BLOCK_STORE: [u8; 2] = *b"10";
const FORMER: &str = "former";
const PAST: &str = "past ";

/// Check value of the wrapped key, and of the key that wraps it: 2 digits that say how it is computed, then hex.
/// ANSI X9.143:2022, optional blocks.
const OPTIONAL_BLOCK_KC_KEY_CHECK_VALUE: [u8; 2] = *b"KC";
const OPTIONAL_BLOCK_KP_KBPK_CHECK_VALUE: [u8; 2] = *b"KP";

/// A key as it lies in the key store.
pub(crate) fn for_store(master_key: &AesKey, key: &StoredKey) -> String {
    let past = (!key.past.is_empty()).then(|| past_line(&key.past));
    let more = match (&key.rule, &past) {
        (Some(rule), _) => Some(rule.to_text()),
        (None, Some(past)) => Some(past_vouched_for(past)),
        (None, None) => None,
    };
    let present = value_for_store(master_key, key, &key.present, more.as_deref());
    let former = key.former.as_ref();
    let former = former.map(|former| value_for_store(master_key, key, former, Some(FORMER)));
    [Some(present), former, past]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("\n")
}

fn past_line(past: &[Fingerprint]) -> String {
    let past = past.iter().map(|value| HEXLOWER.encode(&value.0));
    std::iter::once(PAST.to_owned()).chain(past).collect()
}

fn past_vouched_for(line: &str) -> String {
    format!("{PAST}{}", HEXLOWER.encode(&Sha256::digest(line)))
}

fn past_from_line(line: &str) -> Option<Vec<Fingerprint>> {
    let bytes = HEXLOWER.decode(line.strip_prefix(PAST)?.as_bytes()).ok()?;
    let (values, []) = bytes.as_chunks::<FINGERPRINT_LEN_BYTES>() else {
        return None;
    };
    Some(values.iter().copied().map(Fingerprint).collect())
}

fn value_for_store(master_key: &AesKey, key: &StoredKey, value: &KeyValue, more: Option<&str>) -> String {
    let mut origin = format!(
        "{}/{}/{}",
        key.name.0,
        key_purpose::name(key.purpose),
        value.created.0
    );
    if let Some(more) = more {
        origin.push('/');
        origin.push_str(more);
    }
    let optional = OptionalBlock::new(OPTIONAL_BLOCK_STORE, &origin).expect("short and printable");
    let header = Header {
        optional_blocks: vec![optional],
        ..header(key.purpose, value.exportable)
    };
    wrapped(master_key, &header, value.material.expose_bytes())
}

/// A key out of the key store. `None` when it isn't exactly what [`for_store`] made under this master key.
pub(crate) fn from_store(master_key: &AesKey, content: &str) -> Option<StoredKey> {
    let (values, past) = match content.rsplit_once('\n') {
        Some((values, line)) if line.starts_with(PAST) => (values, Some(line)),
        _ => (content, None),
    };
    let (present, former) = match values.split_once('\n') {
        Some((present, former)) => (present, Some(former)),
        None => (values, None),
    };
    let (mut key, more) = value_from_store(master_key, present)?;
    match (key.purpose, more.as_deref(), past) {
        (KeyPurpose::PinVerificationIbm3624, Some(rule), None) => {
            key.rule = Some(ibm3624::Rule::from_text(rule)?);
        }
        (purpose, Some(vouched_for), Some(line)) if key_purpose::of_a_zone(purpose) => {
            key.past = (vouched_for == past_vouched_for(line)).then(|| past_from_line(line))??;
        }
        (_, None, None) => {}
        (_, Some(_), _) | (_, None, Some(_)) => return None,
    }
    if let Some(former) = former {
        let (former, more) = value_from_store(master_key, former)?;
        let fits = former.name == key.name
            && former.purpose == key.purpose
            && key_purpose::of_a_zone(key.purpose)
            && more.as_deref() == Some(FORMER);
        key.former = fits.then_some(Some(former.present))?;
    }
    Some(key)
}

/// One line of a key file: the value as a key of its own, and what stands behind its origin.
fn value_from_store(master_key: &AesKey, block: &str) -> Option<(StoredKey, Option<String>)> {
    let UnwrappedKey { header: found, key } = unwrap(Kbpk::Aes(master_key), block).ok()?;
    let [optional] = found.optional_blocks.as_slice() else {
        return None;
    };
    let mut origin = optional.data().splitn(4, '/');
    let (name, purpose, created) = (origin.next()?, origin.next()?, origin.next()?);
    let purpose = key_purpose::ALL
        .into_iter()
        .find(|candidate| key_purpose::name(*candidate) == purpose)?;
    let exportable = found.exportability == Exportability::Exportable;
    let as_made = Header {
        optional_blocks: found.optional_blocks.clone(),
        ..header(purpose, exportable)
    };
    (optional.id() == OPTIONAL_BLOCK_STORE && found == as_made).then_some(())?;
    let key = StoredKey {
        name: KeyName(name.to_owned()),
        purpose,
        present: KeyValue {
            material: Arc::new(KeyMaterial::from_bytes(purpose, &key)?),
            exportable,
            created: Timestamp(created.parse().ok()?),
        },
        former: None,
        past: Vec::new(),
        rule: None,
    };
    Some((key, origin.next().map(str::to_owned)))
}

/// A key for another party, under a key exchange key.
pub(crate) fn for_exchange(key_exchange_key: &AesKey, key: &StoredKey) -> String {
    wrapped(
        key_exchange_key,
        &header(key.purpose, true),
        key.present.material.expose_bytes(),
    )
}

/// A card's master key for the personalisation bureau: usage and algorithm of the issuer's key, and not to leave again.
pub(crate) fn for_personalisation(
    key_exchange_key: &AesKey,
    issuer_purpose: KeyPurpose,
    icc_key: &EmvKey,
) -> String {
    wrapped(
        key_exchange_key,
        &header(issuer_purpose, false),
        icc_key.expose_bytes(),
    )
}

/// A key from another party: its material, and whether it may leave again.
///
/// Refuses with [`HsmRefusal::KeyBlock`] a block that isn't authentic under this key, or carries a key of another length
/// or strength; with [`HsmRefusal::KeyUsage`] another usage, algorithm or mode, a block that is for storage only, and every
/// block for a purpose that takes no key from outside; with [`HsmRefusal::KeyCheckValue`] check values in the block that aren't the keys'.
pub(crate) fn from_exchange(
    key_exchange_key: &AesKey,
    purpose: KeyPurpose,
    block: &str,
) -> Result<(KeyMaterial, bool), HsmRefusal> {
    let unwrapped = unwrap(Kbpk::Aes(key_exchange_key), block)
        .map_err(|_| HsmRefusal::KeyBlock(KeyFlaw::NotAuthentic))?;
    let UnwrappedKey { header: found, key } = unwrapped;
    let wanted = header(purpose, false);
    let fits = found.usage == wanted.usage
        && found.key_context != KeyContext::Storage
        && found.algorithm == wanted.algorithm
        && key_purpose::modes_taken_in(purpose).contains(&found.mode_of_use);
    if !fits {
        return Err(HsmRefusal::KeyUsage);
    }
    let material = KeyMaterial::from_bytes(purpose, &key).ok_or(HsmRefusal::KeyBlock(KeyFlaw::Value))?;
    let agrees = found.optional_blocks.iter().all(|optional| match optional.id() {
        OPTIONAL_BLOCK_KC_KEY_CHECK_VALUE => check_value_agrees(&material, optional.data()),
        OPTIONAL_BLOCK_KP_KBPK_CHECK_VALUE => {
            let kbpk = AesKey::from_bytes(key_exchange_key.expose_bytes()).map(KeyMaterial::Aes);
            kbpk.is_some_and(|kbpk| check_value_agrees(&kbpk, optional.data()))
        }
        _ => true,
    });
    if !agrees {
        return Err(HsmRefusal::KeyCheckValue);
    }
    let exportable = match found.exportability {
        Exportability::Exportable | Exportability::Sensitive => key_purpose::leaves(purpose),
        Exportability::NonExportable => false,
    };
    Ok((material, exportable))
}

/// `00` is the enciphered zero block, `01` the CMAC of one.
fn check_value_agrees(material: &KeyMaterial, told: &str) -> bool {
    let Some((method, value)) = told.split_at_checked(2) else {
        return false;
    };
    let Ok(value) = HEXUPPER_PERMISSIVE.decode(value.as_bytes()) else {
        return false;
    };
    match method {
        "00" => material.has_check_value(CheckValueMethod::EncipheredZeros, &value),
        "01" => material.has_check_value(CheckValueMethod::Cmac, &value),
        _ => false,
    }
}

fn wrapped(under: &AesKey, header: &Header, key: &[u8]) -> String {
    let padding = dice::secret_bytes(padding_len(KeyBlockVersion::D, key.len()));
    wrap(Kbpk::Aes(under), header, key, &padding)
        .expect("version D under AES, a short key, padding as it wants")
}

fn header(purpose: KeyPurpose, exportable: bool) -> Header {
    Header {
        version: KeyBlockVersion::D,
        usage: key_purpose::usage(purpose),
        algorithm: match Algorithm::of(purpose) {
            Algorithm::Tdes => WrappedAlgorithm::Tdea,
            Algorithm::Aes => WrappedAlgorithm::Aes,
            Algorithm::HmacSha256 => WrappedAlgorithm::Hmac,
            Algorithm::EcdsaP256 => WrappedAlgorithm::EllipticCurve,
        },
        mode_of_use: key_purpose::mode_made(purpose),
        key_version: *b"00",
        exportability: match exportable {
            true => Exportability::Exportable,
            false => Exportability::NonExportable,
        },
        key_context: KeyContext::OfWrappingKey,
        optional_blocks: Vec::new(),
    }
}
