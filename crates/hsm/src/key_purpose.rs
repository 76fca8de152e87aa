//! What each purpose means in a key block: X9.143 usage and modes, and what may leave.
//!
//! | purpose | usage | algorithm | mode made | modes taken in | leaves under a KEK |
//! |---|---|---|---|---|---|
//! | key exchange | `K1` | AES-256 | `B` | `B` | no |
//! | zone PIN | `P0` | TDES or AES | `B` | `B`, `N` | yes |
//! | zone MAC | `M3`, `M6` | TDES, AES | `C` | `C`, `N` | yes |
//! | DUKPT base derivation | `B0` | TDES or AES-128 | `X` | `X`, `N` | yes |
//! | issuer cryptogram, script integrity, script confidentiality | `E0`, `E2`, `E1` | TDES or AES | `X` | `X`, `N` | yes |
//! | IBM 3624, Visa PVV | `V1`, `V2` | TDES | `V` | `V`, `C`, `N` | yes |
//! | PIN storage, PAN storage | `P0`, `D0` | AES | `B` | none | no |
//! | card index | `M7` | HMAC | `C` | none | no |
//! | record MAC | `M6` | AES | `C` | none | no |
//! | envelope identity | `S0` | elliptic curve (32-byte scalar) | `S` | none | no |

use paycrypto::tr31::header::{KeyUsage, ModeOfUse};

use crate::seam::KeyPurpose;

/// Every purpose.
pub(crate) const ALL: [KeyPurpose; 20] = [
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
    KeyPurpose::ZoneMacTdes,
    KeyPurpose::ZoneMacAes,
    KeyPurpose::DukptBaseTdes,
    KeyPurpose::DukptBaseAes,
    KeyPurpose::PinVerificationIbm3624,
    KeyPurpose::IssuerCryptogramAes,
    KeyPurpose::IssuerScriptIntegrityAes,
    KeyPurpose::IssuerScriptConfidentialityAes,
];

/// Whether a key of this purpose belongs to a zone: its value can be replaced, the former one being read beside it.
pub(crate) fn of_a_zone(purpose: KeyPurpose) -> bool {
    match purpose {
        KeyPurpose::ZonePinTdes
        | KeyPurpose::ZonePinAes
        | KeyPurpose::ZoneMacTdes
        | KeyPurpose::ZoneMacAes => true,
        KeyPurpose::KeyExchange
        | KeyPurpose::IssuerCryptogram
        | KeyPurpose::IssuerScriptIntegrity
        | KeyPurpose::IssuerScriptConfidentiality
        | KeyPurpose::PinVerificationVisa
        | KeyPurpose::PinStorage
        | KeyPurpose::PanStorage
        | KeyPurpose::CardIndex
        | KeyPurpose::RecordMac
        | KeyPurpose::EnvelopeIdentity
        | KeyPurpose::DukptBaseTdes
        | KeyPurpose::DukptBaseAes
        | KeyPurpose::PinVerificationIbm3624
        | KeyPurpose::IssuerCryptogramAes
        | KeyPurpose::IssuerScriptIntegrityAes
        | KeyPurpose::IssuerScriptConfidentialityAes => false,
    }
}

/// Whether keys of this purpose may leave under a key exchange key at all.
pub(crate) fn leaves(purpose: KeyPurpose) -> bool {
    match purpose {
        KeyPurpose::ZonePinTdes
        | KeyPurpose::ZonePinAes
        | KeyPurpose::IssuerCryptogram
        | KeyPurpose::IssuerScriptIntegrity
        | KeyPurpose::IssuerScriptConfidentiality
        | KeyPurpose::PinVerificationVisa
        | KeyPurpose::ZoneMacTdes
        | KeyPurpose::ZoneMacAes
        | KeyPurpose::DukptBaseTdes
        | KeyPurpose::DukptBaseAes
        | KeyPurpose::PinVerificationIbm3624
        | KeyPurpose::IssuerCryptogramAes
        | KeyPurpose::IssuerScriptIntegrityAes
        | KeyPurpose::IssuerScriptConfidentialityAes => true,
        KeyPurpose::KeyExchange
        | KeyPurpose::PinStorage
        | KeyPurpose::PanStorage
        | KeyPurpose::CardIndex
        | KeyPurpose::RecordMac
        | KeyPurpose::EnvelopeIdentity => false,
    }
}

/// X9.143 key usage.
pub(crate) fn usage(purpose: KeyPurpose) -> KeyUsage {
    match purpose {
        KeyPurpose::KeyExchange => KeyUsage::K1_KEY_BLOCK_PROTECTION,
        KeyPurpose::ZonePinTdes | KeyPurpose::ZonePinAes | KeyPurpose::PinStorage => {
            KeyUsage::P0_PIN_ENCRYPTION
        }
        KeyPurpose::IssuerCryptogram | KeyPurpose::IssuerCryptogramAes => KeyUsage::E0_EMV_CRYPTOGRAMS,
        KeyPurpose::IssuerScriptIntegrity | KeyPurpose::IssuerScriptIntegrityAes => {
            KeyUsage::E2_EMV_INTEGRITY
        }
        KeyPurpose::IssuerScriptConfidentiality | KeyPurpose::IssuerScriptConfidentialityAes => {
            KeyUsage::E1_EMV_CONFIDENTIALITY
        }
        KeyPurpose::ZoneMacTdes => KeyUsage::M3_RETAIL_MAC,
        KeyPurpose::DukptBaseTdes | KeyPurpose::DukptBaseAes => KeyUsage::B0_BASE_DERIVATION,
        KeyPurpose::PinVerificationIbm3624 => KeyUsage::V1_PIN_VERIFICATION_IBM_3624,
        KeyPurpose::PinVerificationVisa => KeyUsage::V2_PIN_VERIFICATION_VISA_PVV,
        KeyPurpose::PanStorage => KeyUsage::D0_DATA_ENCRYPTION,
        KeyPurpose::CardIndex => KeyUsage::M7_HMAC,
        KeyPurpose::RecordMac | KeyPurpose::ZoneMacAes => KeyUsage::M6_CMAC,
        KeyPurpose::EnvelopeIdentity => KeyUsage::from_code(*b"S0").expect("a letter and a digit"),
    }
}

/// Mode of use of a key that this HSM makes.
pub(crate) fn mode_made(purpose: KeyPurpose) -> ModeOfUse {
    match purpose {
        KeyPurpose::KeyExchange
        | KeyPurpose::ZonePinTdes
        | KeyPurpose::ZonePinAes
        | KeyPurpose::PinStorage
        | KeyPurpose::PanStorage => ModeOfUse::EncryptDecrypt,
        KeyPurpose::IssuerCryptogram
        | KeyPurpose::IssuerScriptIntegrity
        | KeyPurpose::IssuerScriptConfidentiality
        | KeyPurpose::IssuerCryptogramAes
        | KeyPurpose::IssuerScriptIntegrityAes
        | KeyPurpose::IssuerScriptConfidentialityAes
        | KeyPurpose::DukptBaseTdes
        | KeyPurpose::DukptBaseAes => ModeOfUse::DeriveKeys,
        KeyPurpose::PinVerificationVisa | KeyPurpose::PinVerificationIbm3624 => ModeOfUse::VerifyOnly,
        KeyPurpose::CardIndex | KeyPurpose::RecordMac | KeyPurpose::ZoneMacTdes | KeyPurpose::ZoneMacAes => {
            ModeOfUse::GenerateVerify
        }
        KeyPurpose::EnvelopeIdentity => ModeOfUse::SignOnly,
    }
}

/// Modes of use of a key that comes from outside; none where no key does.
pub(crate) fn modes_taken_in(purpose: KeyPurpose) -> &'static [ModeOfUse] {
    match purpose {
        KeyPurpose::KeyExchange => &[ModeOfUse::EncryptDecrypt],
        KeyPurpose::ZonePinTdes | KeyPurpose::ZonePinAes => {
            &[ModeOfUse::EncryptDecrypt, ModeOfUse::Unrestricted]
        }
        KeyPurpose::IssuerCryptogram
        | KeyPurpose::IssuerScriptIntegrity
        | KeyPurpose::IssuerScriptConfidentiality
        | KeyPurpose::IssuerCryptogramAes
        | KeyPurpose::IssuerScriptIntegrityAes
        | KeyPurpose::IssuerScriptConfidentialityAes
        | KeyPurpose::DukptBaseTdes
        | KeyPurpose::DukptBaseAes => &[ModeOfUse::DeriveKeys, ModeOfUse::Unrestricted],
        KeyPurpose::ZoneMacTdes | KeyPurpose::ZoneMacAes => {
            &[ModeOfUse::GenerateVerify, ModeOfUse::Unrestricted]
        }
        KeyPurpose::PinVerificationVisa | KeyPurpose::PinVerificationIbm3624 => &[
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
pub(crate) fn name(purpose: KeyPurpose) -> &'static str {
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
        KeyPurpose::ZoneMacTdes => "zone-mac-tdes",
        KeyPurpose::ZoneMacAes => "zone-mac-aes",
        KeyPurpose::DukptBaseTdes => "dukpt-base-tdes",
        KeyPurpose::DukptBaseAes => "dukpt-base-aes",
        KeyPurpose::PinVerificationIbm3624 => "pin-verification-ibm3624",
        KeyPurpose::IssuerCryptogramAes => "issuer-cryptogram-aes",
        KeyPurpose::IssuerScriptIntegrityAes => "issuer-script-integrity-aes",
        KeyPurpose::IssuerScriptConfidentialityAes => "issuer-script-confidentiality-aes",
    }
}
