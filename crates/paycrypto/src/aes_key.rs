//! AES keys with their schedules, and what is computed with one directly.
//!
//! AES of FIPS 197 (ISO/IEC 18033-3), CBC of ISO/IEC 10116, CMAC of NIST SP 800-38B (ISO/IEC 9797-1:2011 MAC algorithm 5).

use std::fmt;

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt};
use aes::{Aes128, Aes192, Aes256};
use cmac::block_api::CmacCipher;
use cmac::digest::common::InnerInit;
use cmac::{Cmac, KeyInit, Mac};
use zeroize::ZeroizeOnDrop;

/// An AES key of 16, 24 or 32 bytes whose schedule is expanded once. Zeroises on drop, prints no byte.
///
/// ```
/// use paycrypto::aes_key::AesKey;
///
/// let key = AesKey::from_bytes(&[0; 16]).unwrap();
/// assert_eq!(key.decrypt_block(key.encrypt_block(*b"sixteen bytes...")), *b"sixteen bytes...");
/// assert!(AesKey::from_bytes(&[0; 15]).is_none());
/// ```
#[derive(ZeroizeOnDrop)]
pub struct AesKey {
    bytes: [u8; 32],
    len: usize,
    #[zeroize(skip)] // wipes itself
    schedule: Schedule,
    /// Kept, because every PIN that is opened is first compared with the check value of its key.
    kcv: [u8; 5],
}

enum Schedule {
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Aes256),
}

impl AesKey {
    /// Takes the key bytes. Refuses any length but 16, 24 and 32.
    #[must_use]
    pub fn from_bytes(key: &[u8]) -> Option<Self> {
        let schedule = match key.len() {
            16 => Schedule::Aes128(Aes128::new_from_slice(key).ok()?),
            24 => Schedule::Aes192(Aes192::new_from_slice(key).ok()?),
            32 => Schedule::Aes256(Aes256::new_from_slice(key).ok()?),
            _ => return None,
        };
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(key) {
            *to = *from;
        }
        let mut key = Self {
            bytes,
            len: key.len(),
            schedule,
            kcv: [0; 5],
        };
        let [a, b, c, d, e, ..] = key.cmac(&[0; 16]);
        key.kcv = [a, b, c, d, e];
        Some(key)
    }

    /// The 16, 24 or 32 key bytes. Every call is a place an auditor will read.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8] {
        self.bytes
            .get(..self.len)
            .expect("len is at most 32 by construction")
    }

    /// Key check value: leftmost 5 bytes of the CMAC of one zero block, ANSI X9.24-1:2017 annex A.
    ///
    /// ```
    /// use paycrypto::aes_key::AesKey;
    ///
    /// let key = AesKey::from_bytes(&[0; 16]).unwrap();
    /// assert_eq!(key.kcv(), key.cmac(&[0; 16])[..5]);
    /// ```
    #[must_use]
    pub fn kcv(&self) -> [u8; 5] {
        self.kcv
    }

    /// Enciphers one block.
    #[must_use]
    pub fn encrypt_block(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = block.into();
        match &self.schedule {
            Schedule::Aes128(cipher) => cipher.encrypt_block(&mut block),
            Schedule::Aes192(cipher) => cipher.encrypt_block(&mut block),
            Schedule::Aes256(cipher) => cipher.encrypt_block(&mut block),
        }
        block.into()
    }

    /// Deciphers one block.
    #[must_use]
    pub fn decrypt_block(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = block.into();
        match &self.schedule {
            Schedule::Aes128(cipher) => cipher.decrypt_block(&mut block),
            Schedule::Aes192(cipher) => cipher.decrypt_block(&mut block),
            Schedule::Aes256(cipher) => cipher.decrypt_block(&mut block),
        }
        block.into()
    }

    /// Enciphers in cipher block chaining mode, in place.
    pub(crate) fn encrypt_cbc(&self, iv: [u8; 16], blocks: &mut [[u8; 16]]) {
        let mut chain = iv;
        for block in blocks {
            chain = self.encrypt_block(xor16(*block, chain));
            *block = chain;
        }
    }

    /// Deciphers in cipher block chaining mode, in place.
    pub(crate) fn decrypt_cbc(&self, iv: [u8; 16], blocks: &mut [[u8; 16]]) {
        let mut chain = iv;
        for block in blocks {
            let enciphered = *block;
            *block = xor16(self.decrypt_block(enciphered), chain);
            chain = enciphered;
        }
    }

    /// CMAC, all 16 bytes.
    ///
    /// Source: NIST SP 800-38B 6.2. Evidence: the example below is its D.1 example 1 (empty message).
    ///
    /// ```
    /// use paycrypto::aes_key::AesKey;
    ///
    /// let key = AesKey::from_bytes(&0x2B7E_1516_28AE_D2A6_ABF7_1588_09CF_4F3C_u128.to_be_bytes()).unwrap();
    /// assert_eq!(key.cmac(b""), 0xBB1D_6929_E959_3728_7FA3_7D12_9B75_6746_u128.to_be_bytes());
    /// ```
    #[must_use]
    pub fn cmac(&self, data: &[u8]) -> [u8; 16] {
        match &self.schedule {
            Schedule::Aes128(cipher) => cmac_with(cipher.clone(), data),
            Schedule::Aes192(cipher) => cmac_with(cipher.clone(), data),
            Schedule::Aes256(cipher) => cmac_with(cipher.clone(), data),
        }
    }
}

fn cmac_with<C: CmacCipher>(cipher: C, data: &[u8]) -> [u8; 16] {
    let mac = Cmac::inner_init(cipher)
        .chain_update(data)
        .finalize()
        .into_bytes();
    mac.as_slice()
        .try_into()
        .expect("a CMAC is as long as a block of AES")
}

pub(crate) fn xor16(a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
    (u128::from_ne_bytes(a) ^ u128::from_ne_bytes(b)).to_ne_bytes()
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesKey(•)")
    }
}
