//! Keys of chip cards: double-length TDES or AES, by the cryptogram version. EMV Book 2 version 4.4 A1.

use crate::aes_key::AesKey;
use crate::tdes_key::{MacPadding, Tdes2Key};

/// Block cipher of a chip's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EmvAlgorithm {
    /// TDES with a double-length key.
    Tdes,
    /// AES with a key of 16, 24 or 32 bytes.
    Aes,
}

/// A key of the one algorithm was given where the cryptogram version wants the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key's algorithm isn't the one of the cryptogram version")]
pub struct WrongAlgorithm;

/// A master or session key of a chip. Zeroises on drop, prints no byte.
///
/// ```
/// use paycrypto::emv_key::{EmvAlgorithm, EmvKey};
///
/// let key = EmvKey::from_bytes(EmvAlgorithm::Aes, &[7; 16]).unwrap();
/// assert_eq!(key.algorithm(), EmvAlgorithm::Aes);
/// assert_eq!(key.kcv().len(), 5);
/// assert!(EmvKey::from_bytes(EmvAlgorithm::Tdes, &[7; 24]).is_none());
/// ```
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "session keys live on the stack of one transaction; a box would be allocated for each"
)]
pub enum EmvKey {
    /// Double-length TDES.
    Tdes(Tdes2Key),
    /// AES.
    Aes(AesKey),
}

impl EmvKey {
    /// Takes key bytes. Refuses a length that the algorithm doesn't have: 16 for TDES; 16, 24 or 32 for AES.
    #[must_use]
    pub fn from_bytes(algorithm: EmvAlgorithm, bytes: &[u8]) -> Option<Self> {
        match algorithm {
            EmvAlgorithm::Tdes => bytes.try_into().ok().map(Tdes2Key::from_bytes).map(Self::Tdes),
            EmvAlgorithm::Aes => AesKey::from_bytes(bytes).map(Self::Aes),
        }
    }

    /// Its algorithm.
    #[must_use]
    pub fn algorithm(&self) -> EmvAlgorithm {
        match self {
            Self::Tdes(_) => EmvAlgorithm::Tdes,
            Self::Aes(_) => EmvAlgorithm::Aes,
        }
    }

    /// The key bytes. Every call is a place an auditor will read.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8] {
        match self {
            Self::Tdes(key) => key.expose_bytes(),
            Self::Aes(key) => key.expose_bytes(),
        }
    }

    /// Key check value: 3 bytes for TDES, 5 for AES; see [`Tdes2Key::kcv`] and [`AesKey::kcv`].
    #[must_use]
    pub fn kcv(&self) -> Vec<u8> {
        match self {
            Self::Tdes(key) => key.kcv().to_vec(),
            Self::Aes(key) => key.kcv().to_vec(),
        }
    }

    /// The EMV MAC, 8 bytes: retail MAC for TDES, the leftmost half of the CMAC for AES, which pads by itself.
    ///
    /// Source: EMV Book 2 A1.2.1 (8-byte block cipher) and A1.2.2 (16-byte block cipher).
    pub(crate) fn mac(&self, padding: MacPadding, data: &[u8]) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.full_mac(padding, data);
        [a, b, c, d, e, f, g, h]
    }

    /// As [`EmvKey::mac`] in its full length: 8 bytes with TDES, then zeros; 16 with AES.
    pub(crate) fn full_mac(&self, padding: MacPadding, data: &[u8]) -> [u8; 16] {
        match self {
            Self::Tdes(key) => {
                let [a, b, c, d, e, f, g, h] = key.retail_mac(padding, data);
                [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]
            }
            Self::Aes(key) => key.cmac(data),
        }
    }

    /// A second key with the same bytes.
    pub(crate) fn duplicate(&self) -> Self {
        match self {
            Self::Tdes(key) => Self::Tdes(Tdes2Key::from_bytes(key.expose_bytes())),
            Self::Aes(key) => {
                let same = AesKey::from_bytes(key.expose_bytes());
                Self::Aes(same.expect("the bytes of an AES key are as long as one"))
            }
        }
    }

    pub(crate) fn as_tdes(&self) -> Result<&Tdes2Key, WrongAlgorithm> {
        match self {
            Self::Tdes(key) => Ok(key),
            Self::Aes(_) => Err(WrongAlgorithm),
        }
    }
}
