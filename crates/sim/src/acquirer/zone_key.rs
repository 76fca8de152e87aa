//! The zone PIN key: enciphers a PIN for its way to the issuer's host (DE52). With DUKPT, the base key of such keys.

use std::fmt;

use cards::Pan;
use iso8583::dialect::Dialect;
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::pin::Pin;
use paycrypto::pinblock::{TdesFormat, encipher_tdes, iso4};
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::{Algorithm, KeyUsage};

use super::AcquirerError;
use crate::bureau::key_blocks;

/// Field 52 of a dialect: 8 bytes for TDES, 16 for AES.
const FIELD_52_PIN_BLOCK: u8 = 52;

/// A zone PIN key. Prints no byte.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per acquirer, and it is never moved about"
)]
pub enum ZoneKey {
    /// PIN blocks of ISO 9564-1:2017 format 0.
    Tdes(Tdes2Key),
    /// PIN blocks of ISO 9564-1:2017 format 4.
    Aes(AesKey),
}

impl ZoneKey {
    /// The PIN block of a PIN and an account: 8 or 16 bytes, `random` only used by format 4.
    #[must_use]
    pub fn pin_block(&self, pin: &Pin, pan: &Pan, random: &[u8; 8]) -> Vec<u8> {
        let account = AccountDigits::from(pan);
        match self {
            Self::Tdes(key) => encipher_tdes(key, TdesFormat::Iso0, pin, &account, &[0; 10]).to_vec(),
            Self::Aes(key) => iso4::encipher(key, pin, &account, random).to_vec(),
        }
    }

    /// The same, with random bytes of the system.
    pub(super) fn fresh_pin_block(&self, pin: &Pin, pan: &Pan) -> Vec<u8> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).expect("the system gives random numbers");
        self.pin_block(pin, pan, &random)
    }

    /// From its TR-31 block under the key exchange key. Refuses another usage than PIN encryption, and other key lengths.
    pub fn unwrap(exchange_key: &AesKey, block: &str) -> Result<Self, AcquirerError> {
        Self::of_usage(exchange_key, block, KeyUsage::P0_PIN_ENCRYPTION)
    }

    /// The same for the base key of DUKPT.
    pub fn unwrap_base_key(exchange_key: &AesKey, block: &str) -> Result<Self, AcquirerError> {
        Self::of_usage(exchange_key, block, KeyUsage::B0_BASE_DERIVATION)
    }

    fn of_usage(exchange_key: &AesKey, block: &str, usage: KeyUsage) -> Result<Self, AcquirerError> {
        let refused = |_| AcquirerError::ZoneKey;
        let unwrapped = key_blocks::open(exchange_key, block, usage).map_err(refused)?;
        let bytes = unwrapped.key.as_slice();
        match unwrapped.header.algorithm {
            Algorithm::Tdea => {
                let bytes = bytes.try_into().map_err(|_| AcquirerError::ZoneKey)?;
                Ok(Self::Tdes(Tdes2Key::from_bytes(bytes)))
            }
            Algorithm::Aes => {
                let key = AesKey::from_bytes(bytes).ok_or(AcquirerError::ZoneKey)?;
                Ok(Self::Aes(key))
            }
            _ => Err(AcquirerError::ZoneKey),
        }
    }

    /// Refuses a key whose PIN blocks aren't as long as the dialect's.
    pub(super) fn fits(&self, dialect: &Dialect) -> Result<(), AcquirerError> {
        let (wanted, len) = match self {
            Self::Tdes(_) => ("an AES key", 8),
            Self::Aes(_) => ("a TDES key", 16),
        };
        let field = dialect.field(FIELD_52_PIN_BLOCK).map(|field| field.length);
        (field == Some(iso8583::dialect::Length::Fixed(len)))
            .then_some(())
            .ok_or(AcquirerError::ZoneKeyAlgorithm { wanted })
    }
}

impl fmt::Debug for ZoneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ZoneKey(•)")
    }
}
