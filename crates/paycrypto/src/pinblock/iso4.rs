//! PIN blocks of format 4 (16 bytes, AES). ISO 9564-1:2017 9.4; field layout as in ANSI X9.24-3:2017.
//!
//! | field | 32 nibbles |
//! |---|---|
//! | PIN field | `4 N P…P A…A` (16 nibbles), then 8 random bytes |
//! | account field | M, account digits, zeros; M = length - 12, or 0 with zeros before the digits up to 12 |
//!
//! Enciphered as E(E(PIN field) XOR account field): the block can be opened only with the same account digits.

use zeroize::Zeroizing;

use super::{PinBlockError, decode, encode};
use crate::account::AccountDigits;
use crate::aes_key::{AesKey, xor16};
use crate::pin::Pin;

/// Enciphers a PIN for an account, with the caller's 8 random bytes.
///
/// Source: ISO 9564-1:2017 9.4. Evidence: `vectors/pinblock.txt` (X9.24-3 supplement p. 31), second implementation psec.
///
/// ```
/// use paycrypto::account::AccountDigits;
/// use paycrypto::aes_key::AesKey;
/// use paycrypto::pin::Pin;
/// use paycrypto::pinblock::iso4;
///
/// let key = AesKey::from_bytes(&0xAF8C_B133_A78F_8DC2_D135_9F18_5275_93FB_u128.to_be_bytes()).unwrap();
/// let account = AccountDigits::parse("4111111111111111").unwrap();
/// let random = 0x2F69_ADDE_2E9E_7ACE_u64.to_be_bytes();
/// let block = iso4::encipher(&key, &Pin::parse("1234").unwrap(), &account, &random);
/// assert_eq!(block, 0xA912_1503_91AB_65A6_7E52_883D_81CE_2D15_u128.to_be_bytes());
/// ```
#[must_use]
pub fn encipher(key: &AesKey, pin: &Pin, account: &AccountDigits, random: &[u8; 8]) -> [u8; 16] {
    let inner = key.encrypt_block(*pin_field(pin, random));
    key.encrypt_block(xor16(inner, account_field(account)))
}

/// Opens an enciphered block.
///
/// Refuses, with one error: control nibble other than 4, length outside 4 to 12, a PIN nibble above 9, a fill nibble
/// other than A. Another account or key leaves such a field with a chance of about 2⁻²⁴.
pub fn decipher(key: &AesKey, block: [u8; 16], account: &AccountDigits) -> Result<Pin, PinBlockError> {
    let inner = xor16(key.decrypt_block(block), account_field(account));
    let field = Zeroizing::new(key.decrypt_block(inner));
    let (pin_half, _random) = field.split_first_chunk::<8>().expect("the field has 16 bytes");
    decode(4, pin_half, |fill| fill == 0x0A)
}

/// The clear PIN field: 8 bytes of PIN and fill, 8 random bytes.
#[must_use]
pub fn pin_field(pin: &Pin, random: &[u8; 8]) -> Zeroizing<[u8; 16]> {
    let mut field = encode::<16>(4, pin, |_| 0x0A);
    let half = field.last_chunk_mut::<8>().expect("the field has 16 bytes");
    *half = *random;
    field
}

/// The account field: M, digits, zeros, two nibbles per byte.
#[must_use]
pub fn account_field(account: &AccountDigits) -> [u8; 16] {
    let digits = account.values();
    let beyond_12 = digits.len().saturating_sub(12);
    let zeros_before = 12_usize.saturating_sub(digits.len());
    let mut nibbles = std::iter::once(u8::try_from(beyond_12).expect("an account has at most 19 digits"))
        .chain(std::iter::repeat_n(0, zeros_before))
        .chain(digits.iter().copied())
        .chain(std::iter::repeat(0));
    let mut field = [0; 16];
    for byte in &mut field {
        *byte = nibbles
            .by_ref()
            .take(2)
            .fold(0, |byte, nibble| byte << 4 | nibble);
    }
    field
}
