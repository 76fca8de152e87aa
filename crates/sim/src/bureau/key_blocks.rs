//! Keys that came from the issuer: TR-31 blocks, version D, under the key exchange key.

use paycrypto::aes_key::AesKey;
use paycrypto::emv_key::{EmvAlgorithm, EmvKey};
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::{Algorithm, KeyUsage};
use paycrypto::tr31::{Kbpk, UnwrappedKey, unwrap};

/// The block isn't authentic under the key exchange key, or is for another use. Never says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key block of this use under the components' key")]
pub struct KeyBlockRefused;

/// A double-length TDES key of one usage.
pub fn tdes(exchange_key: &AesKey, block: &str, usage: KeyUsage) -> Result<Tdes2Key, KeyBlockRefused> {
    let unwrapped = open(exchange_key, block, usage)?;
    if unwrapped.header.algorithm != Algorithm::Tdea {
        return Err(KeyBlockRefused);
    }
    let bytes = unwrapped.key.as_slice().try_into().map_err(|_| KeyBlockRefused)?;
    Ok(Tdes2Key::from_bytes(bytes))
}

/// A chip's key of one usage: double-length TDES or AES, as its profile wants.
pub fn chip(
    exchange_key: &AesKey,
    block: &str,
    usage: KeyUsage,
    algorithm: EmvAlgorithm,
) -> Result<EmvKey, KeyBlockRefused> {
    let unwrapped = open(exchange_key, block, usage)?;
    let wanted = match algorithm {
        EmvAlgorithm::Tdes => Algorithm::Tdea,
        EmvAlgorithm::Aes => Algorithm::Aes,
    };
    let right = unwrapped.header.algorithm == wanted;
    let key = EmvKey::from_bytes(algorithm, &unwrapped.key).filter(|_| right);
    key.ok_or(KeyBlockRefused)
}

/// A key of one usage, whatever its algorithm.
pub(crate) fn open(
    exchange_key: &AesKey,
    block: &str,
    usage: KeyUsage,
) -> Result<UnwrappedKey, KeyBlockRefused> {
    let unwrapped = unwrap(Kbpk::Aes(exchange_key), block).map_err(|_| KeyBlockRefused)?;
    (unwrapped.header.usage == usage)
        .then_some(unwrapped)
        .ok_or(KeyBlockRefused)
}
