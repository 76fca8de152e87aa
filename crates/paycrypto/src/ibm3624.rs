//! PINs and PIN offsets by the IBM 3624 method.
//!
//! The intermediate value is TDES of the validation data, each hexadecimal digit replaced through the decimalisation
//! table. Its leftmost n digits are the natural PIN of n digits. An offset of m digits belongs to the **rightmost** m digits
//! of the PIN (IBM's PIN check length); some other products take the leftmost, which is the same only where m = n.
//!
//! Whoever can choose the decimalisation table learns PINs (security.md A1): table and validation data come from the key's
//! profile in the HSM, never from a request.

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::pin::{PIN_LEN_MAX_DIGITS, PIN_LEN_MIN_DIGITS, Pin};
use crate::tdes_key::Tdes2Key;

const TABLE_LEN_DIGITS: usize = 16;
const TABLE_DIFFERENT_DIGITS_MIN: usize = 8;

/// Which decimal digit stands for each hexadecimal digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecimalisationTable([u8; TABLE_LEN_DIGITS]);

impl DecimalisationTable {
    /// Parses 16 ASCII digits, the first for hexadecimal 0. Refuses fewer than 8 different digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let ascii: [u8; TABLE_LEN_DIGITS] = text.as_bytes().try_into().ok()?;
        let different = (b'0'..=b'9').filter(|digit| ascii.contains(digit)).count();
        let valid = ascii.iter().all(u8::is_ascii_digit) && different >= TABLE_DIFFERENT_DIGITS_MIN;
        valid.then(|| Self(ascii.map(|digit| digit - b'0')))
    }

    /// Looks at every entry, so that the time says nothing about the digit.
    fn decimal(&self, hexadecimal: u8) -> u8 {
        (0_u8..)
            .zip(self.0)
            .map(|(place, entry)| entry * u8::from(place == hexadecimal))
            .sum()
    }
}

/// Sixteen hexadecimal digits, mostly of the account, from which a card's PIN is made.
#[derive(Clone, PartialEq, Eq, Zeroize, zeroize::ZeroizeOnDrop)]
pub struct ValidationData([u8; 8]);

impl ValidationData {
    /// Packs up to 16 ASCII decimal digits, filled on the right with the hexadecimal digit `pad`.
    ///
    /// Refuses no or more than 16 digits, other characters, and a pad above 15.
    #[must_use]
    pub fn from_digits(digits: &str, pad: u8) -> Option<Self> {
        let right_length = (1..=16).contains(&digits.len());
        if !right_length || pad > 0x0F || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let mut nibbles = digits
            .bytes()
            .map(|digit| digit - b'0')
            .chain(std::iter::repeat(pad));
        let mut data = [0; 8];
        for byte in &mut data {
            *byte = nibbles
                .by_ref()
                .take(2)
                .fold(0, |byte, nibble| byte << 4 | nibble);
        }
        Some(Self(data))
    }
}

impl std::fmt::Debug for ValidationData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ValidationData(•)")
    }
}

/// What to add, digit by digit modulo 10 without carry, to the intermediate value to get the customer's PIN: 4 to 12 digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinOffset(Vec<u8>);

impl PinOffset {
    /// Parses 4 to 12 ASCII digits. Refuses another length and other characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let right_length = (PIN_LEN_MIN_DIGITS..=PIN_LEN_MAX_DIGITS).contains(&text.len());
        let valid = right_length && text.bytes().all(|digit| digit.is_ascii_digit());
        valid.then(|| Self(text.bytes().map(|digit| digit - b'0').collect()))
    }

    /// Digit values 0 to 9.
    #[must_use]
    pub fn digits(&self) -> &[u8] {
        &self.0
    }
}

/// The natural PIN: the leftmost `len` digits of the intermediate value. Refuses a length outside 4 to 12.
///
/// Source: IBM CCA "3624 PIN generation algorithm". Evidence: `vectors/ibm3624.txt`, second implementation psec.
///
/// ```
/// use paycrypto::ibm3624::{DecimalisationTable, ValidationData, natural_pin};
/// use paycrypto::pin::Pin;
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let pvk = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
/// let table = DecimalisationTable::parse("1234567890123456").unwrap();
/// let data = ValidationData::from_digits("1122334455667788", 0x0F).unwrap();
/// assert_eq!(natural_pin(&pvk, &table, &data, 4), Pin::parse("4524"));
/// ```
#[must_use]
pub fn natural_pin(
    pvk: &Tdes2Key,
    table: &DecimalisationTable,
    data: &ValidationData,
    len: usize,
) -> Option<Pin> {
    intermediate(pvk, table, data)
        .get(..len)
        .and_then(Pin::from_digits)
}

/// The customer's PIN from an offset of as many digits as the PIN.
///
/// ```
/// use paycrypto::ibm3624::{DecimalisationTable, PinOffset, ValidationData, pin_from_offset};
/// use paycrypto::pin::Pin;
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let pvk = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
/// let table = DecimalisationTable::parse("1234567890123456").unwrap();
/// let data = ValidationData::from_digits("1122334455667788", 0x0F).unwrap();
/// let offset = PinOffset::parse("1111").unwrap();
/// assert_eq!(Some(pin_from_offset(&pvk, &table, &data, &offset)), Pin::parse("5635"));
/// ```
#[must_use]
pub fn pin_from_offset(
    pvk: &Tdes2Key,
    table: &DecimalisationTable,
    data: &ValidationData,
    offset: &PinOffset,
) -> Pin {
    let intermediate = intermediate(pvk, table, data);
    let digits: Zeroizing<Vec<u8>> = Zeroizing::new(
        intermediate
            .iter()
            .zip(&offset.0)
            .map(|(a, b)| (a + b) % 10)
            .collect(),
    );
    Pin::from_digits(&digits).expect("an offset has 4 to 12 digits")
}

/// The offset of a customer-chosen PIN, as many digits as the PIN.
///
/// ```
/// use paycrypto::ibm3624::{DecimalisationTable, PinOffset, ValidationData, offset, verify_offset};
/// use paycrypto::pin::Pin;
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let pvk = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
/// let table = DecimalisationTable::parse("1234567890123456").unwrap();
/// let data = ValidationData::from_digits("1122334455667788", 0x0F).unwrap();
/// let pin = Pin::parse("1234").unwrap();
/// let made = offset(&pvk, &table, &data, &pin);
/// assert_eq!(Some(&made), PinOffset::parse("7710").as_ref());
/// assert!(verify_offset(&pvk, &table, &data, &pin, &made));
/// ```
#[must_use]
pub fn offset(pvk: &Tdes2Key, table: &DecimalisationTable, data: &ValidationData, pin: &Pin) -> PinOffset {
    let intermediate = intermediate(pvk, table, data);
    let digits = pin.expose_digits().iter().zip(intermediate.iter());
    PinOffset(digits.map(|(pin, natural)| (10 + pin - natural) % 10).collect())
}

/// Whether the rightmost m digits of a PIN are those of the intermediate value plus the offset of m digits.
///
/// The intermediate value is first cut to the PIN's length. A PIN shorter than the offset never verifies.
#[must_use]
pub fn verify_offset(
    pvk: &Tdes2Key,
    table: &DecimalisationTable,
    data: &ValidationData,
    pin: &Pin,
    offset: &PinOffset,
) -> bool {
    let Some(unchecked) = pin.len_digits().checked_sub(offset.0.len()) else {
        return false;
    };
    let intermediate = intermediate(pvk, table, data);
    let expected: Zeroizing<Vec<u8>> = Zeroizing::new(
        intermediate
            .iter()
            .skip(unchecked)
            .zip(&offset.0)
            .map(|(a, b)| (a + b) % 10)
            .collect(),
    );
    let (_, checked) = pin.expose_digits().split_at(unchecked);
    expected.as_slice().ct_eq(checked).into()
}

fn intermediate(pvk: &Tdes2Key, table: &DecimalisationTable, data: &ValidationData) -> Zeroizing<[u8; 16]> {
    let enciphered = Zeroizing::new(pvk.encrypt_block(data.0));
    let nibbles = enciphered.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    let mut digits = Zeroizing::new([0; 16]);
    for (to, nibble) in digits.iter_mut().zip(nibbles) {
        *to = table.decimal(nibble);
    }
    digits
}
