//! Double-length TDES keys with their schedules, and what is computed with one directly.
//!
//! TDEA of ISO/IEC 18033-3 (NIST SP 800-67), modes of ISO/IEC 10116, MAC algorithm 3 of ISO/IEC 9797-1:2011 7.4
//! ("retail MAC", ANSI X9.19).

use std::fmt;

use cmac::{Cmac, KeyInit, Mac};
use des::cipher::{BlockCipherDecrypt, BlockCipherEncrypt};
use des::{Des, TdesEde2};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A double-length TDES key (16 bytes, keying option 2) whose two DES schedules are expanded once.
///
/// Parity bits don't enter the cipher and aren't checked; see [`set_odd_parity`]. Zeroises on drop, prints no byte.
///
/// ```
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let key = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
/// assert_eq!(key.kcv(), [0x08, 0xD7, 0xB4]);
/// assert_eq!(key.decrypt_block(key.encrypt_block(*b"8 bytes.")), *b"8 bytes.");
/// ```
#[derive(ZeroizeOnDrop)]
pub struct Tdes2Key {
    bytes: [u8; 16],
    #[zeroize(skip)] // wipes itself
    left: Des,
    #[zeroize(skip)]
    right: Des,
}

/// How data is filled up to whole 8-byte blocks before a MAC, ISO/IEC 9797-1:2011 6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacPadding {
    /// Method 1: as few `00` bytes as needed, none where the data already ends with a block. Empty data gets one block.
    Method1,
    /// Method 2: one `80`, then as few `00` bytes as needed; always at least one byte.
    Method2,
}

impl Tdes2Key {
    /// Takes 16 key bytes, left half first.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        let (left, right) = bytes.split_at(8);
        Self {
            bytes: *bytes,
            left: Des::new_from_slice(left).expect("a DES key has 8 bytes"),
            right: Des::new_from_slice(right).expect("a DES key has 8 bytes"),
        }
    }

    /// The 16 key bytes. Every call is a place an auditor will read.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// Key check value: leftmost 3 bytes of the enciphered zero block, ANSI X9.24-1:2017 annex A, "legacy" method.
    #[must_use]
    pub fn kcv(&self) -> [u8; 3] {
        let [a, b, c, ..] = self.encrypt_block([0; 8]);
        [a, b, c]
    }

    /// Enciphers one block.
    #[must_use]
    pub fn encrypt_block(&self, block: [u8; 8]) -> [u8; 8] {
        let mut block = block.into();
        self.left.encrypt_block(&mut block);
        self.right.decrypt_block(&mut block);
        self.left.encrypt_block(&mut block);
        block.into()
    }

    /// Deciphers one block.
    #[must_use]
    pub fn decrypt_block(&self, block: [u8; 8]) -> [u8; 8] {
        let mut block = block.into();
        self.left.decrypt_block(&mut block);
        self.right.encrypt_block(&mut block);
        self.left.decrypt_block(&mut block);
        block.into()
    }

    /// Enciphers each block by itself, in place.
    pub(crate) fn encrypt_ecb(&self, blocks: &mut [[u8; 8]]) {
        for block in blocks {
            *block = self.encrypt_block(*block);
        }
    }

    /// Deciphers each block by itself, in place.
    pub(crate) fn decrypt_ecb(&self, blocks: &mut [[u8; 8]]) {
        for block in blocks {
            *block = self.decrypt_block(*block);
        }
    }

    /// Enciphers in cipher block chaining mode, in place.
    pub(crate) fn encrypt_cbc(&self, iv: [u8; 8], blocks: &mut [[u8; 8]]) {
        let mut chain = iv;
        for block in blocks {
            chain = self.encrypt_block(xor8(*block, chain));
            *block = chain;
        }
    }

    /// Deciphers in cipher block chaining mode, in place.
    pub(crate) fn decrypt_cbc(&self, iv: [u8; 8], blocks: &mut [[u8; 8]]) {
        let mut chain = iv;
        for block in blocks {
            let enciphered = *block;
            *block = xor8(self.decrypt_block(enciphered), chain);
            chain = enciphered;
        }
    }

    /// Retail MAC, all 8 bytes: single DES CBC with the left half, output transformation with both halves.
    ///
    /// Source: ISO/IEC 9797-1:2011 7.4 (MAC algorithm 3). EMV Book 2 A1.2.1 uses the same. Evidence: `vectors/cvn.txt`.
    ///
    /// ```
    /// use paycrypto::tdes_key::{MacPadding, Tdes2Key};
    ///
    /// let key = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
    /// let mac = key.retail_mac(MacPadding::Method1, b"Now is the time for all ");
    /// assert_eq!(mac, 0xA1C7_2E74_EA3F_A9B6_u64.to_be_bytes());
    /// ```
    #[must_use]
    pub fn retail_mac(&self, padding: MacPadding, data: &[u8]) -> [u8; 8] {
        let (blocks, rest) = data.as_chunks::<8>();
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let padded = match padding {
            MacPadding::Method1 => !rest.is_empty() || blocks.is_empty(),
            MacPadding::Method2 => {
                let marker = last
                    .get_mut(rest.len())
                    .expect("the rest is shorter than a block");
                *marker = 0x80;
                true
            }
        };
        let mut chain = [0; 8];
        for block in blocks.iter().chain(padded.then_some(&last)) {
            let mut state = xor8(chain, *block).into();
            self.left.encrypt_block(&mut state);
            chain = state.into();
        }
        let mut state = chain.into();
        self.right.decrypt_block(&mut state);
        self.left.encrypt_block(&mut state);
        state.into()
    }

    /// CMAC with TDES, all 8 bytes, NIST SP 800-38B. Expands the schedule again: meant for key blocks, not for traffic.
    #[must_use]
    pub fn cmac(&self, data: &[u8]) -> [u8; 8] {
        let mac = Cmac::<TdesEde2>::new_from_slice(&self.bytes).expect("a double-length key has 16 bytes");
        mac.chain_update(data).finalize().into_bytes().into()
    }
}

/// Gives each byte odd parity by its lowest bit, as NIST SP 800-67 and most HSMs want DES keys.
///
/// ```
/// let mut key = [0x00, 0x01, 0xFE, 0xFF];
/// paycrypto::tdes_key::set_odd_parity(&mut key);
/// assert_eq!(key, [0x01, 0x01, 0xFE, 0xFE]);
/// ```
pub fn set_odd_parity(bytes: &mut [u8]) {
    for byte in bytes {
        if byte.count_ones() % 2 == 0 {
            *byte ^= 1;
        }
    }
}

pub(crate) fn xor8(a: [u8; 8], b: [u8; 8]) -> [u8; 8] {
    (u64::from_ne_bytes(a) ^ u64::from_ne_bytes(b)).to_ne_bytes()
}

/// Both halves of 16 bytes, where they lie.
pub(crate) fn halves(bytes: &[u8; 16]) -> [&[u8; 8]; 2] {
    let (left, right) = bytes.split_first_chunk().expect("16 bytes have a first half");
    [left, right.try_into().expect("16 bytes have a second half")]
}

/// A key of two halves, which are wiped.
pub(crate) fn joined(left: Zeroizing<[u8; 8]>, right: Zeroizing<[u8; 8]>) -> Tdes2Key {
    Tdes2Key::from_bytes(&joined_bytes(&left, &right))
}

/// As [`joined`], with odd parity.
pub(crate) fn joined_with_odd_parity(left: Zeroizing<[u8; 8]>, right: Zeroizing<[u8; 8]>) -> Tdes2Key {
    let mut bytes = joined_bytes(&left, &right);
    set_odd_parity(bytes.as_mut());
    Tdes2Key::from_bytes(&bytes)
}

fn joined_bytes(left: &[u8; 8], right: &[u8; 8]) -> Zeroizing<[u8; 16]> {
    let mut bytes = Zeroizing::new([0; 16]);
    for (to, from) in bytes.iter_mut().zip(left.iter().chain(right)) {
        *to = *from;
    }
    bytes
}

impl fmt::Debug for Tdes2Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tdes2Key(•)")
    }
}
