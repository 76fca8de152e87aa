//! The zone MAC key: seals messages in DE64 or DE128.

use std::fmt;

use paycrypto::aes_key::AesKey;
use paycrypto::tdes_key::{MacPadding, Tdes2Key};
use paycrypto::tr31::header::KeyUsage;
use subtle::ConstantTimeEq;

use super::AcquirerError;
use crate::bureau::key_blocks;

/// A zone MAC key. Prints no byte.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per acquirer, and it is never moved about"
)]
pub enum MacKey {
    /// ISO/IEC 9797-1:2011 MAC algorithm 3 (ANSI X9.19) with padding method 1.
    Tdes(Tdes2Key),
    /// CMAC, the leftmost 8 bytes.
    Aes(AesKey),
}

impl MacKey {
    /// From its TR-31 block under the key exchange key. Refuses other usages than `M3` with TDES and `M6` with AES.
    pub fn unwrap(exchange_key: &AesKey, block: &str) -> Result<Self, AcquirerError> {
        if let Ok(key) = key_blocks::tdes(exchange_key, block, KeyUsage::M3_RETAIL_MAC) {
            return Ok(Self::Tdes(key));
        }
        let opened = key_blocks::open(exchange_key, block, KeyUsage::M6_CMAC);
        let key = opened.ok().and_then(|opened| AesKey::from_bytes(&opened.key));
        key.map(Self::Aes).ok_or(AcquirerError::MacKey)
    }

    /// The MAC of a message.
    #[must_use]
    pub fn mac(&self, covered: &[u8]) -> [u8; 8] {
        match self {
            Self::Tdes(key) => key.retail_mac(MacPadding::Method1, covered),
            Self::Aes(key) => {
                let [a, b, c, d, e, f, g, h, ..] = key.cmac(covered);
                [a, b, c, d, e, f, g, h]
            }
        }
    }

    pub(super) fn is_mac_of(&self, covered: &[u8], mac: [u8; 8]) -> bool {
        self.mac(covered).ct_eq(&mac).into()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(•)")
    }
}
