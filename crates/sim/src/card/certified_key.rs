//! A card's RSA key with its certificates: what it signs with and deciphers PINs with (EMV 4.4 Book 2, 6 and 7).

use std::fmt;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use paycrypto::pinblock::ClearBlock;
use zeroize::Zeroizing;

use crate::rsa::RsaPrivateKey;

/// What a signature holds around the dynamic data: header, format, algorithm, length, hash, trailer.
const SIGNATURE_OVERHEAD: usize = 25;

const HEADER_6A: u8 = 0x6A;
const TRAILER_BC: u8 = 0xBC;
const FILL_BB: u8 = 0xBB;
const FORMAT_05_DYNAMIC_DATA: u8 = 0x05;
const HASH_01_SHA1: u8 = 0x01;
const HEADER_7F_PIN: u8 = 0x7F;

/// The key, and the data objects that prove it to a terminal.
#[derive(Clone)]
pub struct CertifiedKey {
    /// Tag 8F: index of the certification authority's key.
    pub ca_index: u8,
    /// Tag 90.
    pub issuer_certificate: Vec<u8>,
    /// Tag 92; empty where the certificate holds the whole modulus.
    pub issuer_remainder: Vec<u8>,
    /// Tag 9F32.
    pub issuer_exponent: Vec<u8>,
    /// Tag 9F46.
    pub icc_certificate: Vec<u8>,
    /// Tag 9F48; empty where the certificate holds the whole modulus.
    pub icc_remainder: Vec<u8>,
    /// The card's key; its exponent is tag 9F47.
    pub key: RsaPrivateKey,
}

impl CertifiedKey {
    /// Signed dynamic application data (tag 9F4B) over the card's dynamic data and the terminal's (annex A2.1, table 16).
    ///
    /// `None` where the dynamic data has no room in the modulus.
    #[must_use]
    pub fn sign(&self, dynamic_data: &[u8], terminal_data: &[u8]) -> Option<Vec<u8>> {
        let room = self
            .key
            .public()
            .modulus()
            .len()
            .checked_sub(SIGNATURE_OVERHEAD)?;
        let fill = vec![FILL_BB; room.checked_sub(dynamic_data.len())?];
        let len = u8::try_from(dynamic_data.len()).ok()?;
        let told = [
            &[FORMAT_05_DYNAMIC_DATA, HASH_01_SHA1, len][..],
            dynamic_data,
            &fill,
        ]
        .concat();
        let hash = sha1(&[&told, terminal_data]);
        self.key
            .apply(&[&[HEADER_6A][..], &told, &hash, &[TRAILER_BC]].concat())
    }

    /// The PIN block of an enciphered PIN, if it is for this card and this challenge (7.1): `7F`, PIN block, challenge, fill.
    #[must_use]
    pub fn decipher_pin(&self, enciphered: &[u8], challenge: [u8; 8]) -> Option<ClearBlock> {
        let clear = Zeroizing::new(self.key.apply(enciphered)?);
        let (&[header], rest) = clear.split_first_chunk()?;
        let (block, rest) = rest.split_first_chunk::<8>()?;
        let fresh = header == HEADER_7F_PIN && rest.starts_with(&challenge);
        fresh.then(|| Zeroizing::new(*block))
    }
}

/// Shows no certificate, which would tell the account.
impl fmt::Debug for CertifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertifiedKey({:?})", self.key)
    }
}

/// SHA-1 of parts joined: the only hash that EMV's RSA has.
#[must_use]
pub fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-1 has 20 bytes")
}
