//! A key in memory: its bytes with what is computed from them once, ready for use, and its check value.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXUPPER;
use hmac::{Hmac, KeyInit, Mac};
use paycrypto::aes_key::AesKey;
use paycrypto::tdes_key::{Tdes2Key, set_odd_parity};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::dice;
use crate::ecdh::IdentityKey;
use crate::seam::{HsmFault, KeyPurpose};

const AES_128_LEN_BYTES: usize = 16;
const AES_256_LEN_BYTES: usize = 32;
const TDES_2_LEN_BYTES: usize = 16;
const HMAC_LEN_BYTES: usize = 32;
const CHECK_VALUE_LEN_MIN_BYTES: usize = 3;
pub(crate) const FINGERPRINT_LEN_BYTES: usize = 16;
const MEMORY_LABEL: &[u8] = b"pinward HSM memory v1";
const FINGERPRINT_LABEL: &[u8] = b"pinward key value v1";

/// How a key of some purpose is made and used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Tdes,
    Aes,
    HmacSha256,
    EcdsaP256,
}

impl Algorithm {
    pub(crate) fn of(purpose: KeyPurpose) -> Self {
        match purpose {
            KeyPurpose::ZonePinTdes
            | KeyPurpose::IssuerCryptogram
            | KeyPurpose::IssuerScriptIntegrity
            | KeyPurpose::IssuerScriptConfidentiality
            | KeyPurpose::PinVerificationVisa
            | KeyPurpose::PinVerificationIbm3624
            | KeyPurpose::ZoneMacTdes
            | KeyPurpose::DukptBaseTdes => Self::Tdes,
            KeyPurpose::KeyExchange
            | KeyPurpose::ZonePinAes
            | KeyPurpose::ZoneMacAes
            | KeyPurpose::DukptBaseAes
            | KeyPurpose::IssuerCryptogramAes
            | KeyPurpose::IssuerScriptIntegrityAes
            | KeyPurpose::IssuerScriptConfidentialityAes
            | KeyPurpose::PinStorage
            | KeyPurpose::PanStorage
            | KeyPurpose::RecordMac => Self::Aes,
            KeyPurpose::CardIndex => Self::HmacSha256,
            KeyPurpose::EnvelopeIdentity => Self::EcdsaP256,
        }
    }
}

/// How a check value is computed, ANSI X9.24-1:2017 annex A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckValueMethod {
    /// "Legacy".
    EncipheredZeros,
    /// CMAC of one zero block.
    Cmac,
}

/// A key with its schedule. Zeroised on drop.
#[expect(
    clippy::large_enum_variant,
    reason = "each of a few dozen keys is behind its own Arc already"
)]
pub(crate) enum KeyMaterial {
    Tdes(Tdes2Key),
    Aes(AesKey),
    Hmac(HmacKey),
    Identity(IdentityKey),
}

/// Of a key's value; see [`KeyMaterial::fingerprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; FINGERPRINT_LEN_BYTES]);

/// An HMAC-SHA-256 key with its inner and outer state.
pub(crate) struct HmacKey {
    bytes: Zeroizing<[u8; HMAC_LEN_BYTES]>,
    state: Hmac<Sha256>,
}

impl HmacKey {
    /// The key for the HSM's own memory, out of its master key: what that key wraps and what it vouches for stay apart.
    pub(crate) fn for_memory(master_key: &AesKey) -> Self {
        let state = Hmac::<Sha256>::new_from_slice(master_key.expose_bytes()).expect("HMAC takes any length");
        let derived = Zeroizing::new(state.chain_update(MEMORY_LABEL).finalize().into_bytes());
        Self::from_bytes(&derived).expect("SHA-256 has 32 bytes")
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; HMAC_LEN_BYTES] = bytes.try_into().ok()?;
        Some(Self {
            state: Hmac::new_from_slice(&bytes).ok()?,
            bytes: Zeroizing::new(bytes),
        })
    }

    pub(crate) fn mac(&self, data: &[u8]) -> [u8; 32] {
        self.state
            .clone()
            .chain_update(data)
            .finalize()
            .into_bytes()
            .into()
    }
}

/// Random key bytes, of the length this HSM makes for the purpose: AES-256 (AES-128 where DUKPT wants it), double-length
/// TDES with odd parity, 32 bytes for HMAC, a P-256 scalar.
pub(crate) fn generate(purpose: KeyPurpose) -> Result<Zeroizing<Vec<u8>>, HsmFault> {
    match Algorithm::of(purpose) {
        Algorithm::Tdes => {
            let mut bytes = dice::secret_bytes(TDES_2_LEN_BYTES);
            set_odd_parity(&mut bytes);
            Ok(bytes)
        }
        Algorithm::Aes if purpose == KeyPurpose::DukptBaseAes => Ok(dice::secret_bytes(AES_128_LEN_BYTES)),
        Algorithm::Aes => Ok(dice::secret_bytes(AES_256_LEN_BYTES)),
        Algorithm::HmacSha256 => Ok(dice::secret_bytes(HMAC_LEN_BYTES)),
        Algorithm::EcdsaP256 => IdentityKey::generate_scalar(),
    }
}

impl KeyMaterial {
    /// Takes key bytes for a purpose.
    ///
    /// Refuses: a length its algorithm doesn't have (TDES here is double-length only; key exchange keys are AES-256
    /// only, so that none is weaker than what it wraps; DUKPT base derivation keys AES-128 only, see
    /// [`paycrypto::dukpt::aes`]), a TDES key whose halves are equal but for parity, a scalar
    /// that is no P-256 key.
    pub(crate) fn from_bytes(purpose: KeyPurpose, bytes: &[u8]) -> Option<Self> {
        match Algorithm::of(purpose) {
            Algorithm::Tdes => {
                let bytes: &[u8; TDES_2_LEN_BYTES] = bytes.try_into().ok()?;
                has_two_halves(bytes).then(|| Self::Tdes(Tdes2Key::from_bytes(bytes)))
            }
            Algorithm::Aes => {
                let right_length = match purpose {
                    KeyPurpose::KeyExchange => bytes.len() == AES_256_LEN_BYTES,
                    KeyPurpose::DukptBaseAes => bytes.len() == AES_128_LEN_BYTES,
                    _ => true,
                };
                AesKey::from_bytes(bytes).filter(|_| right_length).map(Self::Aes)
            }
            Algorithm::HmacSha256 => HmacKey::from_bytes(bytes).map(Self::Hmac),
            Algorithm::EcdsaP256 => IdentityKey::from_scalar(bytes).map(Self::Identity),
        }
    }

    /// The key bytes, for wrapping. Every call is a place an auditor will read.
    pub(crate) fn expose_bytes(&self) -> &[u8] {
        match self {
            Self::Tdes(key) => key.expose_bytes(),
            Self::Aes(key) => key.expose_bytes(),
            Self::Hmac(key) => key.bytes.as_slice(),
            Self::Identity(key) => key.expose_scalar(),
        }
    }

    /// Check value, upper-case hex: 3 bytes for TDES (enciphered zero block), 5 for AES (CMAC of a zero block), both
    /// ANSI X9.24-1:2017 annex A. Our own for the rest: 5 bytes of the HMAC of nothing, 5 bytes of SHA-256 of the
    /// public point.
    pub(crate) fn kcv(&self) -> String {
        let value = match self {
            Self::Tdes(key) => return HEXUPPER.encode(&key.kcv()),
            Self::Aes(key) => return HEXUPPER.encode(&key.kcv()),
            Self::Hmac(key) => key.mac(b"").to_vec(),
            Self::Identity(key) => digest(&SHA256, key.public()).as_ref().to_vec(),
        };
        HEXUPPER.encode(value.first_chunk::<5>().expect("a hash has 32 bytes"))
    }

    /// Whether a check value of at least 3 bytes, as far as it goes, is this key's. Only TDES and AES keys have one that
    /// others compute too.
    pub(crate) fn has_check_value(&self, method: CheckValueMethod, told: &[u8]) -> bool {
        let whole = match (self, method) {
            (Self::Tdes(key), CheckValueMethod::EncipheredZeros) => key.encrypt_block([0; 8]).to_vec(),
            (Self::Tdes(key), CheckValueMethod::Cmac) => key.cmac(&[0; 8]).to_vec(),
            (Self::Aes(key), CheckValueMethod::EncipheredZeros) => key.encrypt_block([0; 16]).to_vec(),
            (Self::Aes(key), CheckValueMethod::Cmac) => key.cmac(&[0; 16]).to_vec(),
            (Self::Hmac(_) | Self::Identity(_), _) => return false,
        };
        told.len() >= CHECK_VALUE_LEN_MIN_BYTES && whole.starts_with(told)
    }

    /// By which method this key's check value is told where nobody says.
    pub(crate) fn usual_check_value(&self) -> CheckValueMethod {
        match self {
            Self::Tdes(_) => CheckValueMethod::EncipheredZeros,
            Self::Aes(_) | Self::Hmac(_) | Self::Identity(_) => CheckValueMethod::Cmac,
        }
    }

    /// Whether two values are one key: TDES keys that differ in parity alone are. In constant time.
    pub(crate) fn is_same_key(&self, other: &Self) -> bool {
        self.canonical_bytes().ct_eq(&other.canonical_bytes()).into()
    }

    /// What is remembered of a value that is gone: [`KeyMaterial::is_same_key`] of two values is equality of theirs.
    ///
    /// HMAC-SHA-256 under a key of the key store's own, the left half: it can be compared, not turned back.
    pub(crate) fn fingerprint(&self, key: &HmacKey) -> Fingerprint {
        let message = Zeroizing::new([FINGERPRINT_LABEL, &self.canonical_bytes()].concat());
        let mac = key.mac(&message);
        Fingerprint(*mac.first_chunk().expect("the MAC has 32 bytes"))
    }

    /// Without what doesn't count: the parity bits of TDES.
    fn canonical_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(self.expose_bytes().to_vec());
        if matches!(self, Self::Tdes(_)) {
            set_odd_parity(&mut bytes);
        }
        bytes
    }

    /// As the key inventory names it.
    pub(crate) fn algorithm_name(&self) -> &'static str {
        match self {
            Self::Tdes(_) => "TDES-128",
            Self::Aes(key) => match key.expose_bytes().len() {
                16 => "AES-128",
                24 => "AES-192",
                _ => "AES-256",
            },
            Self::Hmac(_) => "HMAC-SHA-256",
            Self::Identity(_) => "ECDSA-P-256",
        }
    }
}

/// Equal halves would make it single DES.
fn has_two_halves(bytes: &[u8; TDES_2_LEN_BYTES]) -> bool {
    let (left, right) = bytes.split_at(8);
    left.iter()
        .zip(right)
        .any(|(left, right)| left >> 1 != right >> 1)
}
