//! AES DUKPT with AES-128 keys throughout, PIN encryption keys only. ANSI X9.24-3:2017 6.3.
//!
//! Derivation data, one AES block:
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | version, 01 |
//! | 1 | block counter, 01 |
//! | 2 | key usage: 1000 PIN encryption, 8000 key derivation, 8001 initial key |
//! | 2 | algorithm: 0002, AES-128 |
//! | 2 | key length in bits: 0080 |
//! | 8 | initial key id, or its rightmost 4 bytes and the transaction counter |
//!
//! Base keys of 24 and 32 bytes, and working keys other than AES-128, aren't offered: no public vector shows them here.

use zeroize::Zeroizing;

use crate::aes_key::AesKey;

const USAGE_PIN_ENCRYPTION: [u8; 2] = [0x10, 0x00];
const USAGE_KEY_DERIVATION: [u8; 2] = [0x80, 0x00];
const USAGE_INITIAL_KEY: [u8; 2] = [0x80, 0x01];
/// Most one bits in a counter that a terminal may use, X9.24-3:2017 6.3.
const COUNTER_ONES_MAX: u32 = 16;

/// Initial key id: 8 bytes that name the base key and the terminal.
pub type InitialKeyId = [u8; 8];

/// The key loaded into the terminal.
///
/// Refuses (`None`) a base key that isn't AES-128.
///
/// Source: ANSI X9.24-3:2017 6.3.1. Evidence: `vectors/dukpt.txt`.
///
/// ```
/// use paycrypto::aes_key::AesKey;
/// use paycrypto::dukpt::aes::initial_key;
///
/// let bdk = AesKey::from_bytes(&0xFEDC_BA98_7654_3210_F1F1_F1F1_F1F1_F1F1_u128.to_be_bytes()).unwrap();
/// let key = initial_key(&bdk, 0x1234_5678_9012_3456_u64.to_be_bytes()).unwrap();
/// assert_eq!(key.expose_bytes(), 0x1273_671E_A26A_C29A_FA4D_1084_1276_52A1_u128.to_be_bytes());
/// ```
#[must_use]
pub fn initial_key(base_key: &AesKey, id: InitialKeyId) -> Option<AesKey> {
    let is_aes_128 = base_key.expose_bytes().len() == 16;
    is_aes_128.then(|| derive(base_key, USAGE_INITIAL_KEY, id))
}

/// The key from which a transaction's working keys come. Refuses what [`pin_key`] refuses.
///
/// ```
/// use paycrypto::aes_key::AesKey;
/// use paycrypto::dukpt::aes::transaction_key;
///
/// let bdk = AesKey::from_bytes(&0xFEDC_BA98_7654_3210_F1F1_F1F1_F1F1_F1F1_u128.to_be_bytes()).unwrap();
/// let key = transaction_key(&bdk, 0x1234_5678_9012_3456_u64.to_be_bytes(), 1).unwrap();
/// assert_eq!(key.expose_bytes(), 0x4F21_B565_BAD9_835E_112B_6465_635E_AE44_u128.to_be_bytes());
/// ```
#[must_use]
pub fn transaction_key(base_key: &AesKey, id: InitialKeyId, counter: u32) -> Option<AesKey> {
    if counter == 0 || counter.count_ones() > COUNTER_ONES_MAX {
        return None;
    }
    let mut key = initial_key(base_key, id)?;
    let mut walked = 0;
    for bit in (0..u32::BITS)
        .rev()
        .map(|place| 1 << place)
        .filter(|bit| counter & bit != 0)
    {
        walked |= bit;
        key = derive(&key, USAGE_KEY_DERIVATION, transaction_id(id, walked));
    }
    Some(key)
}

/// The PIN encryption key of one transaction of one terminal, for ISO 9564 format 4.
///
/// Refuses (`None`) a base key that isn't AES-128, and a counter of 0 or with more than 16 one bits.
///
/// Source: ANSI X9.24-3:2017 6.3. Evidence: `vectors/dukpt.txt` (supplement).
///
/// ```
/// use paycrypto::aes_key::AesKey;
/// use paycrypto::dukpt::aes::pin_key;
///
/// let bdk = AesKey::from_bytes(&0xFEDC_BA98_7654_3210_F1F1_F1F1_F1F1_F1F1_u128.to_be_bytes()).unwrap();
/// let key = pin_key(&bdk, 0x1234_5678_9012_3456_u64.to_be_bytes(), 1).unwrap();
/// assert_eq!(key.expose_bytes(), 0xAF8C_B133_A78F_8DC2_D135_9F18_5275_93FB_u128.to_be_bytes());
/// ```
#[must_use]
pub fn pin_key(base_key: &AesKey, id: InitialKeyId, counter: u32) -> Option<AesKey> {
    let key = transaction_key(base_key, id, counter)?;
    Some(derive(&key, USAGE_PIN_ENCRYPTION, transaction_id(id, counter)))
}

fn transaction_id(id: InitialKeyId, counter: u32) -> [u8; 8] {
    let [.., a, b, c, d] = id;
    let [e, f, g, h] = counter.to_be_bytes();
    [a, b, c, d, e, f, g, h]
}

fn derive(key: &AesKey, usage: [u8; 2], context: [u8; 8]) -> AesKey {
    let [high, low] = usage;
    let mut data = [
        0x01, 0x01, high, low, 0x00, 0x02, 0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    for (to, from) in data.iter_mut().skip(8).zip(context) {
        *to = from;
    }
    let derived = Zeroizing::new(key.encrypt_block(data));
    AesKey::from_bytes(derived.as_slice()).expect("a block is as long as an AES-128 key")
}
