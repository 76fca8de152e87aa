//! The keys derived from a KBPK for one key block, and the two ways of binding header and key.

use zeroize::Zeroizing;

use crate::aes_key::AesKey;
use crate::tdes_key::Tdes2Key;

use super::Kbpk;
use super::header::KeyBlockVersion;

const USAGE_ENCRYPTION: u8 = 0;
const USAGE_MAC: u8 = 1;

/// Encryption key (KBEK) and authentication key (KBAK) of a key block.
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, and only for the length of a call"
)]
pub(super) enum Protection {
    /// Versions A and C: encipher, then MAC.
    Variant {
        encryption: Tdes2Key,
        authentication: Tdes2Key,
    },
    /// Version B: MAC, then encipher.
    Tdes {
        encryption: Tdes2Key,
        authentication: Tdes2Key,
    },
    /// Version D: MAC, then encipher.
    Aes {
        encryption: AesKey,
        authentication: AesKey,
    },
}

impl Protection {
    /// `None` where version and kind of KBPK don't go together.
    pub(super) fn derive(kbpk: Kbpk<'_>, version: KeyBlockVersion) -> Option<Self> {
        match (version, kbpk) {
            (KeyBlockVersion::A | KeyBlockVersion::C, Kbpk::Tdes(kbpk)) => Some(Self::Variant {
                encryption: variant(kbpk, b'E'),
                authentication: variant(kbpk, b'M'),
            }),
            (KeyBlockVersion::B, Kbpk::Tdes(kbpk)) => Some(Self::Tdes {
                encryption: derive_tdes(kbpk, USAGE_ENCRYPTION),
                authentication: derive_tdes(kbpk, USAGE_MAC),
            }),
            (KeyBlockVersion::D, Kbpk::Aes(kbpk)) => Some(Self::Aes {
                encryption: derive_aes(kbpk, USAGE_ENCRYPTION),
                authentication: derive_aes(kbpk, USAGE_MAC),
            }),
            (KeyBlockVersion::A | KeyBlockVersion::B | KeyBlockVersion::C, Kbpk::Aes(_))
            | (KeyBlockVersion::D, Kbpk::Tdes(_)) => None,
        }
    }

    /// Enciphered key data and MAC. `data` is whole blocks.
    pub(super) fn seal(&self, header: &[u8], mut data: Zeroizing<Vec<u8>>) -> (Vec<u8>, Vec<u8>) {
        match self {
            Self::Variant {
                encryption,
                authentication,
            } => {
                encryption.encrypt_cbc(header_iv(header), data.as_chunks_mut().0);
                let mac = cbc_mac(authentication, header, &data);
                (data.to_vec(), mac)
            }
            Self::Tdes {
                encryption,
                authentication,
            } => {
                let mac = authentication.cmac(&message(header, &data));
                encryption.encrypt_cbc(mac, data.as_chunks_mut().0);
                (data.to_vec(), mac.to_vec())
            }
            Self::Aes {
                encryption,
                authentication,
            } => {
                let mac = authentication.cmac(&message(header, &data));
                encryption.encrypt_cbc(mac, data.as_chunks_mut().0);
                (data.to_vec(), mac.to_vec())
            }
        }
    }

    /// Clear key data, not yet authentic, and the MAC that it should have carried.
    pub(super) fn open(&self, header: &[u8], data: Vec<u8>, mac: &[u8]) -> (Zeroizing<Vec<u8>>, Vec<u8>) {
        let mut data = Zeroizing::new(data);
        match self {
            Self::Variant {
                encryption,
                authentication,
            } => {
                let expected = cbc_mac(authentication, header, &data);
                encryption.decrypt_cbc(header_iv(header), data.as_chunks_mut().0);
                (data, expected)
            }
            Self::Tdes {
                encryption,
                authentication,
            } => {
                let iv = mac.try_into().expect("the version's MAC has 8 bytes");
                encryption.decrypt_cbc(iv, data.as_chunks_mut().0);
                let expected = authentication.cmac(&message(header, &data));
                (data, expected.to_vec())
            }
            Self::Aes {
                encryption,
                authentication,
            } => {
                let iv = mac.try_into().expect("the version's MAC has 16 bytes");
                encryption.decrypt_cbc(iv, data.as_chunks_mut().0);
                let expected = authentication.cmac(&message(header, &data));
                (data, expected.to_vec())
            }
        }
    }
}

fn message(header: &[u8], data: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([header, data].concat())
}

fn header_iv(header: &[u8]) -> [u8; 8] {
    *header.first_chunk().expect("a header has at least 16 characters")
}

/// TDES CBC-MAC without padding, leftmost 4 bytes; header and data are whole blocks.
fn cbc_mac(key: &Tdes2Key, header: &[u8], data: &[u8]) -> Vec<u8> {
    let mut message = message(header, data);
    let (blocks, _) = message.as_chunks_mut();
    key.encrypt_cbc([0; 8], blocks);
    let last = blocks.last().expect("a header has at least two blocks");
    last.iter().take(4).copied().collect()
}

fn variant(kbpk: &Tdes2Key, with: u8) -> Tdes2Key {
    Tdes2Key::from_bytes(&Zeroizing::new(kbpk.expose_bytes().map(|byte| byte ^ with)))
}

/// CMAC of counter ‖ usage (2) ‖ 00 ‖ algorithm 0000 ‖ length 0080, for counters 1 and 2. TR 31:2018 5.3.2.1.
fn derive_tdes(kbpk: &Tdes2Key, usage: u8) -> Tdes2Key {
    let mut key = Zeroizing::new([0; 16]);
    for (counter, half) in (1..).zip(key.as_chunks_mut::<8>().0) {
        *half = kbpk.cmac(&[counter, 0x00, usage, 0x00, 0x00, 0x00, 0x00, 0x80]);
    }
    Tdes2Key::from_bytes(&key)
}

/// As [`derive_tdes`] with the algorithm and length of the KBPK: 0002 and 0080, 0003 and 00C0, 0004 and 0100.
fn derive_aes(kbpk: &AesKey, usage: u8) -> AesKey {
    let len = kbpk.expose_bytes().len();
    let (algorithm, [length_high, length_low]) = match len {
        16 => (2, [0x00, 0x80]),
        24 => (3, [0x00, 0xC0]),
        _ => (4, [0x01, 0x00]),
    };
    let mut key = Zeroizing::new([0; 32]);
    for (counter, half) in (1..).zip(key.as_chunks_mut::<16>().0) {
        *half = kbpk.cmac(&[
            counter,
            0x00,
            usage,
            0x00,
            0x00,
            algorithm,
            length_high,
            length_low,
        ]);
    }
    key.get(..len)
        .and_then(AesKey::from_bytes)
        .expect("as long as the KBPK")
}
