//! Key blocks: a key bound to its usage, wrapped under a key block protection key (KBPK). ANSI X9.143:2022, ASC X9 TR 31:2018.
//!
//! | field | characters | meaning |
//! |---|---|---|
//! | header | 16 | see [`header`] |
//! | optional blocks | multiple of the cipher's block size | see [`header::OptionalBlock`] |
//! | key data | 2 hexadecimal per byte | enciphered: key length in bits (2 bytes), key, random padding |
//! | MAC | 8 (A, C), 16 (B), 32 (D) | over header, optional blocks and key data |
//!
//! | version | KBPK | keys derived by | MAC over | first chain value of the CBC |
//! |---|---|---|---|---|
//! | A, C | TDES | XOR of `45…` and `4D…` | enciphered key data | first 8 header characters |
//! | B | TDES | CMAC | clear key data | the MAC |
//! | D | AES | CMAC | clear key data | the MAC |
//!
//! A and B differ in strength: the MAC of A and C has 4 bytes only. New blocks want D, or B under TDES.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::aes_key::AesKey;
use crate::tdes_key::Tdes2Key;
use crate::tr31::header::{Header, KeyBlockVersion};

pub mod header;
mod protection;

use protection::Protection;

/// Most characters of a key block: its length field has four digits.
const KEY_BLOCK_LEN_MAX: usize = 9999;

/// A key block protection key; version D takes AES, the others TDES.
#[derive(Clone, Copy, Debug)]
pub enum Kbpk<'a> {
    /// For versions A, B and C.
    Tdes(&'a Tdes2Key),
    /// For version D.
    Aes(&'a AesKey),
}

/// The key block isn't well formed, or isn't authentic under this KBPK. Never says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key block is not valid under this key")]
pub struct KeyBlockError;

/// Why a key isn't wrapped. The caller's own mistake, so it is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// Version D wants an AES KBPK, the others a TDES one.
    #[error("the protection key is of the wrong kind for this version")]
    Kbpk,
    /// Empty, or longer than a key block can say.
    #[error("the key has an unusable length")]
    KeyLength,
    /// Two length bytes, key and padding don't fill whole blocks of the cipher.
    #[error("the padding has the wrong length")]
    Padding,
    /// More than 9,999 characters or 99 optional blocks, or a key version that isn't two ASCII letters or digits.
    #[error("the header can't say this")]
    Header,
}

/// A key taken out of its block: the header that says what it may be used for, and its bytes.
pub struct UnwrappedKey {
    /// Authenticated together with the key.
    pub header: Header,
    /// Clear key bytes.
    pub key: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for UnwrappedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnwrappedKey")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// Fewest bytes of random padding that fill a key of this length up to whole blocks; add whole blocks to hide the length.
///
/// ```
/// use paycrypto::tr31::{header::KeyBlockVersion, padding_len};
///
/// assert_eq!(padding_len(KeyBlockVersion::D, 16), 14);
/// assert_eq!(padding_len(KeyBlockVersion::B, 16), 6);
/// ```
#[must_use]
pub fn padding_len(version: KeyBlockVersion, key_len_bytes: usize) -> usize {
    let filled = key_len_bytes + 2;
    filled.next_multiple_of(version.block_len_bytes()) - filled
}

/// Wraps a key with the caller's random padding, of [`padding_len`] bytes or whole blocks more.
///
/// Refuses: a KBPK of the wrong kind, an empty key or one of more than 8,191 bytes, padding that doesn't fill whole blocks, a
/// header that can't be written (see [`WrapError::Header`]).
///
/// Source: ASC X9 TR 31:2018 5.3. Evidence: `vectors/tr31.txt` (A.7), second implementation psec (B, D).
///
/// ```
/// use paycrypto::aes_key::AesKey;
/// use paycrypto::tr31::header::{Algorithm, Exportability, Header, KeyBlockVersion, KeyContext, KeyUsage, ModeOfUse};
/// use paycrypto::tr31::{Kbpk, unwrap, wrap};
///
/// let kbpk = AesKey::from_bytes(&[0x42; 32]).unwrap();
/// let header = Header {
///     version: KeyBlockVersion::D,
///     usage: KeyUsage::P0_PIN_ENCRYPTION,
///     algorithm: Algorithm::Aes,
///     mode_of_use: ModeOfUse::EncryptDecrypt,
///     key_version: *b"00",
///     exportability: Exportability::NonExportable,
///     key_context: KeyContext::OfWrappingKey,
///     optional_blocks: Vec::new(),
/// };
/// let block = wrap(Kbpk::Aes(&kbpk), &header, &[0x17; 16], &[0x99; 14]).unwrap();
/// assert!(block.starts_with("D0112P0AB00N0000"));
/// let unwrapped = unwrap(Kbpk::Aes(&kbpk), &block).unwrap();
/// assert_eq!((unwrapped.header, unwrapped.key.as_slice()), (header, [0x17; 16].as_slice()));
/// ```
pub fn wrap(kbpk: Kbpk<'_>, header: &Header, key: &[u8], padding: &[u8]) -> Result<String, WrapError> {
    let protection = Protection::derive(kbpk, header.version).ok_or(WrapError::Kbpk)?;
    let bit_len = key.len().checked_mul(8).and_then(|bits| u16::try_from(bits).ok());
    let bit_len = bit_len.filter(|bits| *bits != 0).ok_or(WrapError::KeyLength)?;
    let data = Zeroizing::new([bit_len.to_be_bytes().as_slice(), key, padding].concat());
    if !data.len().is_multiple_of(header.version.block_len_bytes()) {
        return Err(WrapError::Padding);
    }
    let enciphered_len = 2 * (data.len() + header.version.mac_len_bytes());
    let text = header.text(enciphered_len).ok_or(WrapError::Header)?;
    let (enciphered, mac) = protection.seal(text.as_bytes(), data);
    Ok(text + &to_hex(&enciphered) + &to_hex(&mac))
}

/// Takes a key out of its block, all or nothing: header, optional blocks and key come from one authentic block.
///
/// Refuses, with one error: a length field other than the block's length, header fields or optional blocks that X9.143
/// doesn't know, digits that aren't upper-case hexadecimal, a KBPK of the wrong kind, a wrong MAC, a key length that isn't a
/// positive number of whole bytes within the key data.
///
/// Source and evidence as [`wrap`]; every single-bit change of the published blocks is refused.
pub fn unwrap(kbpk: Kbpk<'_>, block: &str) -> Result<UnwrappedKey, KeyBlockError> {
    let (header, header_len) = Header::parse(block).ok_or(KeyBlockError)?;
    let protection = Protection::derive(kbpk, header.version).ok_or(KeyBlockError)?;
    let (text, body) = block.split_at_checked(header_len).ok_or(KeyBlockError)?;
    let mac_at = body
        .len()
        .checked_sub(2 * header.version.mac_len_bytes())
        .ok_or(KeyBlockError)?;
    let (enciphered, mac) = body.split_at_checked(mac_at).ok_or(KeyBlockError)?;
    let enciphered = from_hex(enciphered).ok_or(KeyBlockError)?;
    let mac = from_hex(mac).ok_or(KeyBlockError)?;
    if enciphered.is_empty() || !enciphered.len().is_multiple_of(header.version.block_len_bytes()) {
        return Err(KeyBlockError);
    }
    let (data, expected_mac) = protection.open(text.as_bytes(), enciphered, &mac);
    if !bool::from(expected_mac.ct_eq(&mac)) {
        return Err(KeyBlockError);
    }
    let (bit_len, rest) = data.split_first_chunk::<2>().ok_or(KeyBlockError)?;
    let bit_len = usize::from(u16::from_be_bytes(*bit_len));
    if bit_len == 0 || !bit_len.is_multiple_of(8) {
        return Err(KeyBlockError);
    }
    let key = rest.get(..bit_len / 8).ok_or(KeyBlockError)?;
    Ok(UnwrappedKey {
        header,
        key: Zeroizing::new(key.to_vec()),
    })
}

fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0F])
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .map(|digit| digit.to_ascii_uppercase())
        .collect()
}

/// Upper-case digits only: otherwise one bit of a letter could change unnoticed.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| Some(nibble(pair[0])? << 4 | nibble(pair[1])?);
    if rest.is_empty() {
        pairs.iter().map(byte).collect()
    } else {
        None
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
