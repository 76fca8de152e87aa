//! Key blocks at rest and in exchange: which X9.143 header a key of each purpose has, and what is taken in.
//!
//! | purpose | usage | algorithm | mode made | modes taken in | leaves under a KEK |
//! |---|---|---|---|---|---|
//! | key exchange | `K1` | AES | `B` | `B` | no |
//! | zone PIN | `P0` | TDES or AES | `B` | `B`, `N` | yes |
//! | issuer cryptogram, script integrity, script confidentiality | `E0`, `E2`, `E1` | TDES | `X` | `X`, `N` | yes |
//! | Visa PVV | `V2` | TDES | `V` | `V`, `C`, `N` | yes |
//! | PIN storage, PAN storage | `P0`, `D0` | AES | `B` | none | no |
//! | card index | `M7` | HMAC | `C` | none | no |
//! | record MAC | `M6` | AES | `C` | none | no |
//! | envelope identity | `S0` | elliptic curve (32-byte scalar) | `S` | none | no |
//!
//! At rest an optional block of numeric id, `10`, carries `NAME/PURPOSE/CREATED`: the key's name, its [`KeyPurpose`] and
//! the milliseconds since 1970 when it came in. The block's MAC covers it, so that a file can't stand for another.

use cards::Timestamp;
use paycrypto::aes_key::AesKey;
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::{
    Algorithm as WrappedAlgorithm, Exportability, Header, KeyBlockVersion, KeyUsage, ModeOfUse, OptionalBlock,
};
use paycrypto::tr31::{Kbpk, UnwrappedKey, padding_len, unwrap, wrap};

use crate::dice;
use crate::key_material::{Algorithm, KeyMaterial};
use crate::keyring::StoredKey;
use crate::seam::{KeyName, KeyPurpose};

const OPTIONAL_BLOCK_STORE: [u8; 2] = *b"10";

const PURPOSES: [KeyPurpose; 12] = [
    KeyPurpose::KeyExchange,
    KeyPurpose::ZonePinTdes,
    KeyPurpose::ZonePinAes,
    KeyPurpose::IssuerCryptogram,
    KeyPurpose::IssuerScriptIntegrity,
    KeyPurpose::IssuerScriptConfidentiality,
    KeyPurpose::PinVerificationVisa,
    KeyPurpose::PinStorage,
    KeyPurpose::PanStorage,
    KeyPurpose::CardIndex,
    KeyPurpose::RecordMac,
    KeyPurpose::EnvelopeIdentity,
];

/// A key as it lies in the key store.
pub(crate) fn for_store(master_key: &AesKey, key: &StoredKey) -> String {
    let StoredKey {
        name,
        purpose,
        created,
        ..
    } = key;
    let origin = format!("{}/{}/{}", name.0, purpose_name(*purpose), created.0);
    let optional = OptionalBlock::new(OPTIONAL_BLOCK_STORE, &origin).expect("short and printable");
    let header = Header {
        optional_blocks: vec![optional],
        ..header(*purpose, key.exportable)
    };
    wrapped(master_key, &header, key.material.expose_bytes())
}

/// A key out of the key store. `None` when it isn't exactly what [`for_store`] made under this master key.
pub(crate) fn from_store(master_key: &AesKey, block: &str) -> Option<StoredKey> {
    let UnwrappedKey { header: found, key } = unwrap(Kbpk::Aes(master_key), block).ok()?;
    let [optional] = found.optional_blocks.as_slice() else {
        return None;
    };
    let (name, rest) = optional.data().split_once('/')?;
    let (purpose, created) = rest.split_once('/')?;
    let purpose = PURPOSES
        .into_iter()
        .find(|candidate| purpose_name(*candidate) == purpose)?;
    let exportable = found.exportability == Exportability::Exportable;
    let as_made = Header {
        optional_blocks: found.optional_blocks.clone(),
        ..header(purpose, exportable)
    };
    (optional.id() == OPTIONAL_BLOCK_STORE && found == as_made).then_some(())?;
    Some(StoredKey {
        name: KeyName(name.to_owned()),
        purpose,
        material: KeyMaterial::from_bytes(purpose, &key)?,
        exportable,
        created: Timestamp(created.parse().ok()?),
    })
}

/// A key for another party, under a key exchange key.
pub(crate) fn for_exchange(key_exchange_key: &AesKey, key: &StoredKey) -> String {
    wrapped(
        key_exchange_key,
        &header(key.purpose, true),
        key.material.expose_bytes(),
    )
}

/// A card's master key for the personalisation bureau: usage of the issuer's key, and not to leave again.
pub(crate) fn for_personalisation(
    key_exchange_key: &AesKey,
    purpose: KeyPurpose,
    icc_key: &Tdes2Key,
) -> String {
    wrapped(key_exchange_key, &header(purpose, false), icc_key.expose_bytes())
}

/// A key from another party: its material, and whether it may leave again.
///
/// `None` when the block isn't authentic under this key, is for another usage, algorithm or mode, carries a key of
/// another length or strength, or the purpose takes no key from outside.
pub(crate) fn from_exchange(
    key_exchange_key: &AesKey,
    purpose: KeyPurpose,
    block: &str,
) -> Option<(KeyMaterial, bool)> {
    let UnwrappedKey { header: found, key } = unwrap(Kbpk::Aes(key_exchange_key), block).ok()?;
    let wanted = header(purpose, false);
    let fits = found.usage == wanted.usage
        && found.algorithm == wanted.algorithm
        && modes_taken_in(purpose).contains(&found.mode_of_use);
    let exportable = match found.exportability {
        Exportability::Exportable | Exportability::Sensitive => leaves(purpose),
        Exportability::NonExportable => false,
    };
    fits.then(|| KeyMaterial::from_bytes(purpose, &key))?
        .map(|material| (material, exportable))
}

/// Whether keys of this purpose may leave under a key exchange key at all.
pub(crate) fn leaves(purpose: KeyPurpose) -> bool {
    match purpose {
        KeyPurpose::ZonePinTdes
        | KeyPurpose::ZonePinAes
        | KeyPurpose::IssuerCryptogram
        | KeyPurpose::IssuerScriptIntegrity
        | KeyPurpose::IssuerScriptConfidentiality
        | KeyPurpose::PinVerificationVisa => true,
        KeyPurpose::KeyExchange
        | KeyPurpose::PinStorage
        | KeyPurpose::PanStorage
        | KeyPurpose::CardIndex
        | KeyPurpose::RecordMac
        | KeyPurpose::EnvelopeIdentity => false,
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
        usage: usage(purpose),
        algorithm: match Algorithm::of(purpose) {
            Algorithm::Tdes => WrappedAlgorithm::Tdea,
            Algorithm::Aes => WrappedAlgorithm::Aes,
            Algorithm::HmacSha256 => WrappedAlgorithm::Hmac,
            Algorithm::EcdsaP256 => WrappedAlgorithm::EllipticCurve,
        },
        mode_of_use: mode_made(purpose),
        key_version: *b"00",
        exportability: match exportable {
            true => Exportability::Exportable,
            false => Exportability::NonExportable,
        },
        optional_blocks: Vec::new(),
    }
}

fn usage(purpose: KeyPurpose) -> KeyUsage {
    match purpose {
        KeyPurpose::KeyExchange => KeyUsage::K1_KEY_BLOCK_PROTECTION,
        KeyPurpose::ZonePinTdes | KeyPurpose::ZonePinAes | KeyPurpose::PinStorage => {
            KeyUsage::P0_PIN_ENCRYPTION
        }
        KeyPurpose::IssuerCryptogram => KeyUsage::E0_EMV_CRYPTOGRAMS,
        KeyPurpose::IssuerScriptIntegrity => KeyUsage::E2_EMV_INTEGRITY,
        KeyPurpose::IssuerScriptConfidentiality => KeyUsage::E1_EMV_CONFIDENTIALITY,
        KeyPurpose::PinVerificationVisa => KeyUsage::V2_PIN_VERIFICATION_VISA_PVV,
        KeyPurpose::PanStorage => KeyUsage::D0_DATA_ENCRYPTION,
        KeyPurpose::CardIndex => KeyUsage::M7_HMAC,
        KeyPurpose::RecordMac => KeyUsage::M6_CMAC,
        KeyPurpose::EnvelopeIdentity => KeyUsage::from_code(*b"S0").expect("a letter and a digit"),
    }
}

fn mode_made(purpose: KeyPurpose) -> ModeOfUse {
    match purpose {
        KeyPurpose::KeyExchange
        | KeyPurpose::ZonePinTdes
        | KeyPurpose::ZonePinAes
        | KeyPurpose::PinStorage
        | KeyPurpose::PanStorage => ModeOfUse::EncryptDecrypt,
        KeyPurpose::IssuerCryptogram
        | KeyPurpose::IssuerScriptIntegrity
        | KeyPurpose::IssuerScriptConfidentiality => ModeOfUse::DeriveKeys,
        KeyPurpose::PinVerificationVisa => ModeOfUse::VerifyOnly,
        KeyPurpose::CardIndex | KeyPurpose::RecordMac => ModeOfUse::GenerateVerify,
        KeyPurpose::EnvelopeIdentity => ModeOfUse::SignOnly,
    }
}

fn modes_taken_in(purpose: KeyPurpose) -> &'static [ModeOfUse] {
    match purpose {
        KeyPurpose::KeyExchange => &[ModeOfUse::EncryptDecrypt],
        KeyPurpose::ZonePinTdes | KeyPurpose::ZonePinAes => {
            &[ModeOfUse::EncryptDecrypt, ModeOfUse::Unrestricted]
        }
        KeyPurpose::IssuerCryptogram
        | KeyPurpose::IssuerScriptIntegrity
        | KeyPurpose::IssuerScriptConfidentiality => &[ModeOfUse::DeriveKeys, ModeOfUse::Unrestricted],
        KeyPurpose::PinVerificationVisa => &[
            ModeOfUse::VerifyOnly,
            ModeOfUse::GenerateVerify,
            ModeOfUse::Unrestricted,
        ],
        KeyPurpose::PinStorage
        | KeyPurpose::PanStorage
        | KeyPurpose::CardIndex
        | KeyPurpose::RecordMac
        | KeyPurpose::EnvelopeIdentity => &[],
    }
}

/// As in the configuration and on the command line (serde's kebab-case name).
fn purpose_name(purpose: KeyPurpose) -> &'static str {
    match purpose {
        KeyPurpose::KeyExchange => "key-exchange",
        KeyPurpose::ZonePinTdes => "zone-pin-tdes",
        KeyPurpose::ZonePinAes => "zone-pin-aes",
        KeyPurpose::IssuerCryptogram => "issuer-cryptogram",
        KeyPurpose::IssuerScriptIntegrity => "issuer-script-integrity",
        KeyPurpose::IssuerScriptConfidentiality => "issuer-script-confidentiality",
        KeyPurpose::PinVerificationVisa => "pin-verification-visa",
        KeyPurpose::PinStorage => "pin-storage",
        KeyPurpose::PanStorage => "pan-storage",
        KeyPurpose::CardIndex => "card-index",
        KeyPurpose::RecordMac => "record-mac",
        KeyPurpose::EnvelopeIdentity => "envelope-identity",
    }
}
