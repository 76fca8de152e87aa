//! PIN blocks of ISO 9564-1:2017 9.3: formats 0, 1, 2 and 3 (8 bytes, TDES); format 4 is in [`iso4`].
//!
//! | format | clear field, 16 nibbles | bound to the account |
//! |---|---|---|
//! | 0 | `0 N P…P F…F` XOR `0000` ‖ 12 rightmost account digits without check digit | yes |
//! | 1 | `1 N P…P R…R`, random nibbles | no |
//! | 2 | `2 N P…P F…F` | no; chip only |
//! | 3 | `3 N P…P R…R` with R from A to F, XOR as format 0 | yes |
//!
//! Decoding never says which check failed, and looks at all 16 nibbles whatever the first ones are.

use zeroize::{Zeroize, Zeroizing};

use crate::account::AccountDigits;
use crate::pin::{PIN_LEN_MAX_DIGITS, PIN_LEN_MIN_DIGITS, Pin};
use crate::tdes_key::{Tdes2Key, xor8};

pub mod iso4;
pub mod translation;

/// A clear PIN block or PIN field of 8 bytes, zeroised on drop.
pub type ClearBlock = Zeroizing<[u8; 8]>;

/// The PIN block isn't one of this format, account and key. Never says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the PIN block is not valid")]
pub struct PinBlockError;

/// Formats that may cross a network under TDES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TdesFormat {
    /// ISO 9564-1:2017 9.3.2.
    Iso0,
    /// ISO 9564-1:2017 9.3.3.
    Iso1,
    /// ISO 9564-1:2017 9.3.5.
    Iso3,
}

/// Caller's random bytes for formats 1 and 3 (format 0 and 2 use none).
pub type Fill = [u8; 10];

/// Makes a PIN block of the given format and enciphers it under TDES ECB (PCI PIN 2-3).
///
/// ```
/// use paycrypto::account::AccountDigits;
/// use paycrypto::pin::Pin;
/// use paycrypto::pinblock::{TdesFormat, decipher_tdes, encipher_tdes};
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let zpk = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
/// let account = AccountDigits::parse("4012345678909").unwrap();
/// let pin = Pin::parse("1234").unwrap();
/// let block = encipher_tdes(&zpk, TdesFormat::Iso0, &pin, &account, &[0; 10]);
/// assert_eq!(decipher_tdes(&zpk, TdesFormat::Iso0, block, &account), Ok(pin));
/// ```
#[must_use]
pub fn encipher_tdes(
    key: &Tdes2Key,
    format: TdesFormat,
    pin: &Pin,
    account: &AccountDigits,
    fill: &Fill,
) -> [u8; 8] {
    let clear = match format {
        TdesFormat::Iso0 => encode_iso0(pin, account),
        TdesFormat::Iso1 => encode_iso1(pin, fill),
        TdesFormat::Iso3 => encode_iso3(pin, account, fill),
    };
    key.encrypt_block(*clear)
}

/// Deciphers a PIN block of the given format. Refuses, with one error, whatever the format's decoding refuses.
pub fn decipher_tdes(
    key: &Tdes2Key,
    format: TdesFormat,
    block: [u8; 8],
    account: &AccountDigits,
) -> Result<Pin, PinBlockError> {
    let clear = Zeroizing::new(key.decrypt_block(block));
    match format {
        TdesFormat::Iso0 => decode_iso0(&clear, account),
        TdesFormat::Iso1 => decode_iso1(&clear),
        TdesFormat::Iso3 => decode_iso3(&clear, account),
    }
}

/// Clear block of format 0.
///
/// The same PIN, account and key give the same block every time: an onlooker can tell a PIN that changed from one that didn't.
///
/// Source: ISO 9564-1:2017 9.3.2. Evidence: `vectors/pinblock.txt` (X9.24-1 A.4), second implementation psec.
///
/// ```
/// use paycrypto::account::AccountDigits;
/// use paycrypto::pin::Pin;
/// use paycrypto::pinblock::encode_iso0;
///
/// let account = AccountDigits::parse("4012345678909").unwrap();
/// let block = encode_iso0(&Pin::parse("1234").unwrap(), &account);
/// assert_eq!(*block, 0x0412_74ED_CBA9_876F_u64.to_be_bytes());
/// ```
#[must_use]
pub fn encode_iso0(pin: &Pin, account: &AccountDigits) -> ClearBlock {
    let field = encode(0, pin, |_| 0x0F);
    Zeroizing::new(xor8(*field, account_field(account)))
}

/// PIN of a clear block of format 0.
///
/// Refuses: control nibble other than 0, length outside 4 to 12, a PIN nibble above 9, a fill nibble other than F.
/// A block made for another account with the same PIN field is refused only where the difference shows in one of these.
pub fn decode_iso0(block: &[u8; 8], account: &AccountDigits) -> Result<Pin, PinBlockError> {
    let field = Zeroizing::new(xor8(*block, account_field(account)));
    decode(0, &field, |fill| fill == 0x0F)
}

/// Clear block of format 1; the first nibbles of `fill` follow the PIN.
///
/// Source: ISO 9564-1:2017 9.3.3. Evidence: `vectors/pinblock.txt` (openemv).
///
/// ```
/// use paycrypto::pin::Pin;
/// use paycrypto::pinblock::encode_iso1;
///
/// let fill = [0xED, 0xCB, 0xA9, 0x87, 0x6F, 0, 0, 0, 0, 0];
/// let block = encode_iso1(&Pin::parse("12345").unwrap(), &fill);
/// assert_eq!(*block, 0x1512_345E_DCBA_9876_u64.to_be_bytes());
/// ```
#[must_use]
pub fn encode_iso1(pin: &Pin, fill: &Fill) -> ClearBlock {
    encode(1, pin, |place| {
        let byte = fill.get(place / 2).copied().unwrap_or_default();
        if place % 2 == 0 { byte >> 4 } else { byte & 0x0F }
    })
}

/// PIN of a clear block of format 1.
///
/// Refuses: control nibble other than 1, length outside 4 to 12, a PIN nibble above 9. Any fill will do.
pub fn decode_iso1(block: &[u8; 8]) -> Result<Pin, PinBlockError> {
    decode(1, block, |_| true)
}

/// Clear block of format 2, as a terminal gives it to VERIFY and as M/Chip scripts carry it. Never for a network.
///
/// Source: ISO 9564-1:2017 9.3.4, EMV Book 3 6.5.12. Evidence: `vectors/pinblock.txt`, second implementation psec.
///
/// ```
/// use paycrypto::pin::Pin;
/// use paycrypto::pinblock::{decode_iso2, encode_iso2};
///
/// let pin = Pin::parse("1234").unwrap();
/// assert_eq!(*encode_iso2(&pin), 0x2412_34FF_FFFF_FFFF_u64.to_be_bytes());
/// assert_eq!(decode_iso2(&encode_iso2(&pin)), Ok(pin));
/// ```
#[must_use]
pub fn encode_iso2(pin: &Pin) -> ClearBlock {
    encode(2, pin, |_| 0x0F)
}

/// PIN of a clear block of format 2.
///
/// Refuses: control nibble other than 2, length outside 4 to 12, a PIN nibble above 9, a fill nibble other than F.
pub fn decode_iso2(block: &[u8; 8]) -> Result<Pin, PinBlockError> {
    decode(2, block, |fill| fill == 0x0F)
}

/// Clear block of format 3; each byte of `fill`, modulo 6, chooses one nibble from A to F.
///
/// Source: ISO 9564-1:2017 9.3.5. Evidence: `vectors/pinblock.txt` (IBM CCA), second implementation psec.
///
/// ```
/// use paycrypto::account::AccountDigits;
/// use paycrypto::pin::Pin;
/// use paycrypto::pinblock::{decode_iso3, encode_iso3};
///
/// let account = AccountDigits::parse("4111111111111111").unwrap();
/// let pin = Pin::parse("123456").unwrap();
/// let block = encode_iso3(&pin, &account, &[7; 10]);
/// assert_eq!(decode_iso3(&block, &account), Ok(pin));
/// ```
#[must_use]
pub fn encode_iso3(pin: &Pin, account: &AccountDigits, fill: &Fill) -> ClearBlock {
    let field = encode(3, pin, |place| {
        0x0A + fill.get(place).copied().unwrap_or_default() % 6
    });
    Zeroizing::new(xor8(*field, account_field(account)))
}

/// PIN of a clear block of format 3.
///
/// Refuses: control nibble other than 3, length outside 4 to 12, a PIN nibble above 9, a fill nibble below A.
pub fn decode_iso3(block: &[u8; 8], account: &AccountDigits) -> Result<Pin, PinBlockError> {
    let field = Zeroizing::new(xor8(*block, account_field(account)));
    decode(3, &field, |fill| fill >= 0x0A)
}

/// `0000` and the 12 rightmost account digits without the check digit, two per byte.
fn account_field(account: &AccountDigits) -> [u8; 8] {
    let digits = account.rightmost_without_check_digit::<12>();
    let mut field = [0; 8];
    let (pairs, _) = digits.as_chunks::<2>();
    for (to, [high, low]) in field.iter_mut().skip(2).zip(pairs) {
        *to = high << 4 | low;
    }
    field
}

/// Control nibble, length nibble, PIN, then `fill(0)`, `fill(1)` and so on up to `N` bytes.
pub(crate) fn encode<const N: usize>(
    control: u8,
    pin: &Pin,
    fill: impl Fn(usize) -> u8,
) -> Zeroizing<[u8; N]> {
    let digits = pin.expose_digits();
    let len = u8::try_from(digits.len()).expect("a PIN has at most 12 digits");
    let mut nibbles = [control, len]
        .into_iter()
        .chain(digits.iter().copied())
        .chain((0..).map(fill));
    let mut field = Zeroizing::new([0; N]);
    for byte in field.iter_mut() {
        *byte = nibbles
            .by_ref()
            .take(2)
            .fold(0, |byte, nibble| byte << 4 | nibble);
    }
    field
}

/// The inverse of [`encode`] over a whole field, without an early way out.
pub(crate) fn decode<const N: usize>(
    control: u8,
    field: &[u8; N],
    is_fill: impl Fn(u8) -> bool,
) -> Result<Pin, PinBlockError> {
    let mut nibbles = field.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    let mut right = nibbles.next() == Some(control);
    let len = usize::from(nibbles.next().unwrap_or_default());
    right &= (PIN_LEN_MIN_DIGITS..=PIN_LEN_MAX_DIGITS).contains(&len);
    let mut digits = [0; PIN_LEN_MAX_DIGITS];
    let mut places = digits.iter_mut();
    for (place, nibble) in nibbles.enumerate() {
        right &= if place < len { nibble <= 9 } else { is_fill(nibble) };
        if let Some(digit) = places.next() {
            *digit = nibble;
        }
    }
    let pin = digits.get(..len).and_then(Pin::from_digits).filter(|_| right);
    digits.zeroize();
    pin.ok_or(PinBlockError)
}
