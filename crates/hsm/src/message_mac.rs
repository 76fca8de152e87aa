//! MACs of network messages under zone MAC keys.

use paycrypto::aes_key::AesKey;
use paycrypto::tdes_key::{MacPadding, Tdes2Key};
use subtle::ConstantTimeEq;

use crate::keyring::KeyRing;
use crate::seam::{HsmRefusal, Item, KeyName, KeyPurpose, MessageToMac, MessageWithMac};

/// Makes a MAC with the key's present value.
pub(crate) fn make(keys: &KeyRing, message: &MessageToMac) -> Item<[u8; 8]> {
    match purpose(keys, &message.key)? {
        ZoneMac::Tdes => {
            let key = keys.tdes_named(&message.key, KeyPurpose::ZoneMacTdes)?;
            Ok(tdes_mac(key, &message.message))
        }
        ZoneMac::Aes => {
            let key = keys.aes_named(&message.key, KeyPurpose::ZoneMacAes)?;
            Ok(aes_mac(key, &message.message))
        }
    }
}

/// Whether a MAC is right under the key's present value or the former one.
pub(crate) fn check(keys: &KeyRing, message: &MessageWithMac) -> Item<bool> {
    let (text, mac) = (&message.message, &message.mac);
    match purpose(keys, &message.key)? {
        ZoneMac::Tdes => Ok(keys
            .tdes_readers(&message.key, KeyPurpose::ZoneMacTdes)?
            .any(|key| tdes_mac(key, text).ct_eq(mac).into())),
        ZoneMac::Aes => Ok(keys
            .aes_readers(&message.key, KeyPurpose::ZoneMacAes)?
            .any(|key| aes_mac(key, text).ct_eq(mac).into())),
    }
}

enum ZoneMac {
    Tdes,
    Aes,
}

/// Refuses with [`HsmRefusal::NoSuchKey`] a key that is for anything else.
fn purpose(keys: &KeyRing, name: &KeyName) -> Result<ZoneMac, HsmRefusal> {
    match keys.by_name(name)?.purpose {
        KeyPurpose::ZoneMacTdes => Ok(ZoneMac::Tdes),
        KeyPurpose::ZoneMacAes => Ok(ZoneMac::Aes),
        _ => Err(HsmRefusal::NoSuchKey),
    }
}

fn tdes_mac(key: &Tdes2Key, message: &[u8]) -> [u8; 8] {
    key.retail_mac(MacPadding::Method1, message)
}

/// The left half of the CMAC.
fn aes_mac(key: &AesKey, message: &[u8]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = key.cmac(message);
    [a, b, c, d, e, f, g, h]
}
