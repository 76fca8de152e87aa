//! TDES DUKPT, PIN keys only. ANSI X9.24-1:2009 annex A (X9.24-3:2017 annex C).
//!
//! The key serial number has 10 bytes; its rightmost 21 bits are the transaction counter.

use zeroize::Zeroizing;

use crate::tdes_key::{Tdes2Key, halves, joined, xor8};
use des::Des;
use des::cipher::{BlockCipherEncrypt, KeyInit};

/// Enters the right half of each derivation as a key variant.
const DERIVATION_VARIANT: [u8; 8] = [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];
const PIN_VARIANT: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 0xFF];
const COUNTER_BITS: u32 = 21;

/// Key serial number: 10 bytes, or fewer filled with `FF` on the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ksn(pub [u8; 10]);

/// The PIN key of one transaction of one terminal.
///
/// The counter's one bits, from the highest on, each add one step from the initial key. Refuses (`None`) a counter of 0 or of
/// more than ten one bits: terminals skip those, so nobody may be talked into more work.
///
/// Source: ANSI X9.24-1:2009 A.2, A.3. Evidence: `vectors/dukpt.txt` (A.4).
///
/// ```
/// use paycrypto::account::AccountDigits;
/// use paycrypto::dukpt::tdes::{Ksn, pin_key};
/// use paycrypto::pin::Pin;
/// use paycrypto::pinblock::{TdesFormat, decipher_tdes};
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let bdk = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
/// let key = pin_key(&bdk, Ksn(*b"\xFF\xFF\x98\x76\x54\x32\x10\xE0\x00\x01")).unwrap();
/// let account = AccountDigits::parse("4012345678909").unwrap();
/// let block = 0x1B9C_1845_EB99_3A7A_u64.to_be_bytes();
/// assert_eq!(decipher_tdes(&key, TdesFormat::Iso0, block, &account), Ok(Pin::parse("1234").unwrap()));
/// ```
#[must_use]
pub fn pin_key(base_key: &Tdes2Key, ksn: Ksn) -> Option<Tdes2Key> {
    let [first, second, rest @ ..] = ksn.0;
    let serial = u64::from_be_bytes(rest);
    let counter_mask = (1_u64 << COUNTER_BITS) - 1;
    let counter = serial & counter_mask;
    if counter == 0 || counter.count_ones() > 10 {
        return None;
    }
    let mut key = initial_key(base_key, first, second, serial & !counter_mask);
    let mut register = serial & !counter_mask;
    for bit in (0..COUNTER_BITS)
        .rev()
        .map(|place| 1 << place)
        .filter(|bit| counter & bit != 0)
    {
        register |= bit;
        key = next_key(&key, register.to_be_bytes());
    }
    let [left, right] = key.map(|half| Zeroizing::new(xor8(*half, PIN_VARIANT)));
    Some(joined(left, right))
}

type Halves = [Zeroizing<[u8; 8]>; 2];

/// The key loaded into the terminal: TDES of the leftmost 8 bytes of the serial number, counter zeroed, under the base key and
/// under its variant.
fn initial_key(base_key: &Tdes2Key, first: u8, second: u8, rest: u64) -> Halves {
    let [a, b, c, d, e, f, _, _] = rest.to_be_bytes();
    let data = [first, second, a, b, c, d, e, f];
    let [left, right] =
        halves(base_key.expose_bytes()).map(|half| Zeroizing::new(xor8(*half, DERIVATION_VARIANT)));
    let variant = joined(left, right);
    [base_key, &variant].map(|key| Zeroizing::new(key.encrypt_block(data)))
}

/// One step of the non-reversible key generation process.
fn next_key([left, right]: &Halves, register: [u8; 8]) -> Halves {
    let step = |left: &[u8; 8], right: &[u8; 8]| {
        let mut block = xor8(register, *right).into();
        Des::new(left.into()).encrypt_block(&mut block);
        Zeroizing::new(xor8(block.into(), *right))
    };
    let [left_variant, right_variant] =
        [left, right].map(|half| Zeroizing::new(xor8(**half, DERIVATION_VARIANT)));
    [step(&left_variant, &right_variant), step(left, right)]
}
