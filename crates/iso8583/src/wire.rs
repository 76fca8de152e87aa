//! How a dialect writes what a message says: MTI, bitmaps, lengths and values as ASCII, EBCDIC or BCD.
//!
//! Inside, every value has one canonical form whatever the wire: ASCII text and digits, and raw bytes for kind `b`. A
//! dialect that writes the canonical form is read without copying; the others are turned into it field by field.

use std::fmt;

use serde::Deserialize;

use crate::dialect::Kind;

/// How the MTI is written: 4 characters, or 2 bytes of BCD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MtiEncoding {
    /// 4 ASCII digits.
    #[default]
    Ascii,
    /// 4 EBCDIC digits, `F0` to `F9`.
    Ebcdic,
    /// 2 bytes, two digits each.
    Bcd,
}

/// How a bitmap of 64 bits is written, most significant bit first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BitmapEncoding {
    /// 8 bytes.
    #[default]
    Binary,
    /// 16 hexadecimal digits in ASCII; written in upper case, read in either.
    HexAscii,
    /// 16 hexadecimal digits in EBCDIC; written in upper case, read in either.
    HexEbcdic,
}

/// How an LL or LLL length is written. It counts bytes of the canonical form: digits where the value is BCD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LengthEncoding {
    /// 2 or 3 ASCII digits.
    #[default]
    Ascii,
    /// 2 or 3 EBCDIC digits.
    Ebcdic,
    /// 1 or 2 bytes of BCD; LLL has a zero before.
    Bcd,
    /// 1 or 2 bytes, big-endian.
    Binary,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// As it is: ASCII, or raw bytes for kind `b`.
    #[default]
    Ascii,
    /// EBCDIC, code page 037: the 95 printable characters of ASCII.
    Ebcdic,
    /// Two digits a byte; an odd number of digits has a zero before. The separator of a track is `D`.
    BcdZeroBefore,
    /// Two digits a byte; an odd number of digits has a zero after. The separator of a track is `D`.
    BcdZeroAfter,
    /// Two digits a byte; an odd number of digits has an `F` after. The separator of a track is `D`.
    BcdFAfter,
}

/// The encodings of a dialect, the section `[wire]` of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wire {
    /// Of the message type.
    pub mti: MtiEncoding,
    /// Of both bitmaps.
    pub bitmap: BitmapEncoding,
    /// Of LL and LLL.
    pub lengths: LengthEncoding,
    /// Of kind `n`.
    pub numeric: Encoding,
    /// Of kinds `an` and `ans`: ASCII or EBCDIC.
    pub text: Encoding,
    /// Of kind `z`.
    pub track: Encoding,
}

/// Stands for what has no canonical form; no kind of field holds it.
const UNREADABLE: u8 = 0x1A;

/// The padding of an odd number of BCD digits is not what the dialect says.
pub(crate) struct BadPadding {
    /// Which byte of the value on the wire holds it.
    pub(crate) at: usize,
    /// The nibble wanted.
    pub(crate) wanted: u8,
}

impl Wire {
    /// How a field of this kind is written where its entry says nothing.
    pub(crate) fn encoding(&self, kind: Kind) -> Encoding {
        match kind {
            Kind::N => self.numeric,
            Kind::An | Kind::Ans => self.text,
            Kind::Z => self.track,
            Kind::B => Encoding::Ascii,
        }
    }
}

impl fmt::Display for MtiEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ascii => "4 digits in ASCII",
            Self::Ebcdic => "4 digits in EBCDIC",
            Self::Bcd => "4 digits in BCD",
        })
    }
}

impl MtiEncoding {
    /// Bytes on the wire.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Ascii | Self::Ebcdic => 4,
            Self::Bcd => 2,
        }
    }

    /// Four ASCII digits, where the bytes are digits.
    pub(crate) fn read(self, wire: &[u8]) -> Option<[u8; 4]> {
        match (self, wire) {
            (Self::Ascii, &[a, b, c, d]) => Some([a, b, c, d]),
            (Self::Ebcdic, &[a, b, c, d]) => Some([a, b, c, d].map(from_ebcdic)),
            (Self::Bcd, &[high, low]) => {
                Some([high >> 4, high & 0xF, low >> 4, low & 0xF].map(digit_of_nibble))
            }
            _ => None,
        }
    }

    pub(crate) fn write(self, digits: [u8; 4], out: &mut Vec<u8>) {
        match self {
            Self::Ascii => out.extend_from_slice(&digits),
            Self::Ebcdic => out.extend_from_slice(&digits.map(to_ebcdic)),
            Self::Bcd => pack(digits.iter().map(|&digit| nibble_of_digit(digit)), out),
        }
    }
}

impl BitmapEncoding {
    /// Bytes on the wire.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Binary => 8,
            Self::HexAscii | Self::HexEbcdic => 16,
        }
    }

    /// The bits; `None` where a byte is no hexadecimal digit.
    pub(crate) fn read(self, wire: &[u8]) -> Option<u64> {
        match self {
            Self::Binary => Some(wire.iter().fold(0, |bits, &byte| (bits << 8) | u64::from(byte))),
            Self::HexAscii => hexadecimal(wire.iter().copied()),
            Self::HexEbcdic => hexadecimal(wire.iter().map(|&byte| from_ebcdic(byte))),
        }
    }

    pub(crate) fn write(self, bits: u64, out: &mut Vec<u8>) {
        let digits = || format!("{bits:016X}").into_bytes();
        match self {
            Self::Binary => out.extend_from_slice(&bits.to_be_bytes()),
            Self::HexAscii => out.extend(digits()),
            Self::HexEbcdic => out.extend(digits().into_iter().map(to_ebcdic)),
        }
    }
}

impl fmt::Display for LengthEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ascii => "ASCII",
            Self::Ebcdic => "EBCDIC",
            Self::Bcd => "BCD",
            Self::Binary => "binary",
        })
    }
}

impl LengthEncoding {
    /// Bytes on the wire of a length of 0, 2 or 3 digits.
    pub(crate) fn len(self, digits: usize) -> usize {
        match self {
            Self::Ascii | Self::Ebcdic => digits,
            Self::Bcd | Self::Binary => digits / 2 + digits % 2,
        }
    }

    /// The length; `None` where it is not made of digits.
    pub(crate) fn read(self, wire: &[u8]) -> Option<usize> {
        match self {
            Self::Ascii => decimal(wire.iter().map(|byte| byte.wrapping_sub(b'0'))),
            Self::Ebcdic => decimal(wire.iter().map(|byte| byte.wrapping_sub(0xF0))),
            Self::Bcd => decimal(nibbles(wire)),
            Self::Binary => Some(wire.iter().fold(0, |len, &byte| (len << 8) | usize::from(byte))),
        }
    }

    pub(crate) fn write(self, digits: usize, len: usize, out: &mut Vec<u8>) {
        if digits == 0 {
            return;
        }
        let digit =
            |divisor: usize| u8::try_from(len / divisor % 10).expect("a remainder of 10 is one digit");
        let decimals = [digit(100), digit(10), digit(1)];
        let written = decimals.get(3 - digits..).unwrap_or_default();
        match self {
            Self::Ascii => out.extend(written.iter().map(|digit| b'0' + digit)),
            Self::Ebcdic => out.extend(written.iter().map(|digit| 0xF0 + digit)),
            Self::Bcd => {
                let odd = (digits % 2 == 1).then_some(0);
                pack(odd.into_iter().chain(written.iter().copied()), out);
            }
            Self::Binary => {
                let [.., high, low] = len.to_be_bytes();
                let high = (digits == 3).then_some(high);
                out.extend(high.into_iter().chain([low]));
            }
        }
    }
}

impl Encoding {
    /// Bytes on the wire of a value of this many bytes in canonical form.
    pub(crate) fn wire_len(self, len: usize) -> usize {
        match self {
            Self::Ascii | Self::Ebcdic => len,
            Self::BcdZeroBefore | Self::BcdZeroAfter | Self::BcdFAfter => len.div_ceil(2),
        }
    }

    /// Where on the wire, counted from the value's first byte, the byte at a place of the canonical form is.
    pub(crate) fn wire_place(self, at: usize, len: usize) -> usize {
        match self {
            Self::Ascii | Self::Ebcdic => at,
            Self::BcdZeroBefore => (at + len % 2) / 2,
            Self::BcdZeroAfter | Self::BcdFAfter => at / 2,
        }
    }

    /// Whether two digits share a byte.
    pub fn is_bcd(self) -> bool {
        match self {
            Self::Ascii | Self::Ebcdic => false,
            Self::BcdZeroBefore | Self::BcdZeroAfter | Self::BcdFAfter => true,
        }
    }

    /// Appends the canonical form of a value of `len` canonical bytes. What has none becomes a byte that no kind holds.
    pub(crate) fn read(self, wire: &[u8], len: usize, out: &mut Vec<u8>) -> Result<(), BadPadding> {
        let digits = |skipped: usize| nibbles(wire).skip(skipped).take(len).map(digit_of_nibble);
        match self {
            Self::Ascii => out.extend_from_slice(wire),
            Self::Ebcdic => out.extend(wire.iter().map(|&byte| from_ebcdic(byte))),
            Self::BcdZeroBefore => {
                let odd = len % 2;
                if odd == 1 && nibbles(wire).next() != Some(0) {
                    return Err(BadPadding { at: 0, wanted: 0 });
                }
                out.extend(digits(odd));
            }
            Self::BcdZeroAfter | Self::BcdFAfter => {
                let wanted = self.padding();
                if len % 2 == 1 && nibbles(wire).last() != Some(wanted) {
                    return Err(BadPadding { at: len / 2, wanted });
                }
                out.extend(digits(0));
            }
        }
        Ok(())
    }

    /// Appends a value as the wire has it. The value fits its kind.
    pub(crate) fn write(self, value: &[u8], out: &mut Vec<u8>) {
        let digits = value.iter().map(|&digit| nibble_of_digit(digit));
        let odd = (value.len() % 2 == 1).then_some(self.padding());
        match self {
            Self::Ascii => out.extend_from_slice(value),
            Self::Ebcdic => out.extend(value.iter().map(|&byte| to_ebcdic(byte))),
            Self::BcdZeroBefore => pack(odd.into_iter().chain(digits), out),
            Self::BcdZeroAfter | Self::BcdFAfter => pack(digits.chain(odd), out),
        }
    }

    fn padding(self) -> u8 {
        if self == Self::BcdFAfter { 0xF } else { 0 }
    }
}

fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xF])
}

/// Two nibbles a byte, for an even number of them.
fn pack(nibbles: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    let mut high = None;
    for nibble in nibbles {
        match high.take() {
            None => high = Some(nibble << 4),
            Some(high) => out.push(high | nibble),
        }
    }
}

fn digit_of_nibble(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        0xD => b'=',
        _ => UNREADABLE,
    }
}

/// Of a digit, or of a track's separator `=` or `D`.
fn nibble_of_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => 0xD,
    }
}

fn decimal(digits: impl Iterator<Item = u8>) -> Option<usize> {
    let mut number = 0;
    for digit in digits {
        if digit > 9 {
            return None;
        }
        number = number * 10 + usize::from(digit);
    }
    Some(number)
}

fn hexadecimal(digits: impl Iterator<Item = u8>) -> Option<u64> {
    let mut bits = 0;
    for digit in digits {
        bits = (bits << 4) | u64::from(char::from(digit).to_digit(16)?);
    }
    Some(bits)
}

/// Code page 037 of the printable characters of ASCII, from blank to `~`.
const EBCDIC: [u8; 95] = [
    0x40, 0x5A, 0x7F, 0x7B, 0x5B, 0x6C, 0x50, 0x7D, 0x4D, 0x5D, 0x5C, 0x4E, 0x6B, 0x60, 0x4B, 0x61, //
    0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0x7A, 0x5E, 0x4C, 0x7E, 0x6E, 0x6F, //
    0x7C, 0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, //
    0xD7, 0xD8, 0xD9, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xBA, 0xE0, 0xBB, 0xB0, 0x6D, //
    0x79, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, //
    0x97, 0x98, 0x99, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xC0, 0x4F, 0xD0, 0xA1,
];

/// ASCII of each EBCDIC byte.
const ASCII: [u8; 256] = {
    let mut table = [UNREADABLE; 256];
    let mut left: &[u8] = &EBCDIC;
    let mut ascii = b' ';
    while let [ebcdic, rest @ ..] = left {
        // No `get_mut` or `From` in constants; the index is a byte and the table has 256 places.
        #[expect(
            clippy::indexing_slicing,
            clippy::as_conversions,
            reason = "checked at compile time"
        )]
        {
            table[*ebcdic as usize] = ascii;
        }
        ascii += 1;
        left = rest;
    }
    table
};

fn from_ebcdic(byte: u8) -> u8 {
    ASCII.get(usize::from(byte)).copied().unwrap_or(UNREADABLE)
}

/// Of a printable ASCII character.
fn to_ebcdic(character: u8) -> u8 {
    let place = usize::from(character.wrapping_sub(b' '));
    EBCDIC.get(place).copied().unwrap_or(UNREADABLE)
}
