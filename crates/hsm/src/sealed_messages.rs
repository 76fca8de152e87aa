//! Messages that the program must keep beyond its own life, card numbers and all: the program stores them without being
//! able to read them, and nobody who can only write to its store makes one that opens.
//!
//! AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces, under a key of its own: two blocks of CMAC under the PAN storage
//! key, as NIST SP 800-108 makes keys in counter mode. 2^32 messages are safe under one key; they are exceptions,
//! not traffic.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use paycrypto::aes_key::AesKey;
use zeroize::Zeroizing;

use crate::seam::{ClearMessage, HsmFault};

const LABEL: &[u8] = b"pinward sealed message v1";
const KEY_LEN_BITS: [u8; 2] = [1, 0];
const NONCE_LEN: usize = 12;

/// Seals a message: nonce (12 bytes), cipher text of the message's length, tag (16).
pub(crate) fn seal(pan_storage: &AesKey, message: &ClearMessage) -> Result<Vec<u8>, HsmFault> {
    let mut text = message.expose_bytes().to_vec();
    let nonce = key(pan_storage)
        .seal_in_place_append_tag(Aad::empty(), &mut text)
        .map_err(|_| HsmFault::NoAnswer("a message can't be sealed".into()))?;
    Ok([nonce.as_ref().as_slice(), &text].concat())
}

/// Opens one; `None` for what [`seal`] didn't make under this key.
pub(crate) fn open(pan_storage: &AesKey, sealed: &[u8]) -> Option<ClearMessage> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut text = Zeroizing::new(text.to_vec());
    let message = key(pan_storage)
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut text)
        .ok()?;
    Some(ClearMessage::new(message.to_vec()))
}

fn key(pan_storage: &AesKey) -> RandomizedNonceKey {
    let half = |counter: u8| pan_storage.cmac(&[&[counter], LABEL, &[0], &KEY_LEN_BITS].concat());
    let key = Zeroizing::new([half(1), half(2)].concat());
    RandomizedNonceKey::new(&AES_256_GCM, &key).expect("the key has 32 bytes")
}
