//! Issuer application data (tag 9F10) of Visa VSDC, format 0/1/3: which key and cryptogram version, and the CVR.

use crate::cvr::Cvr;

/// Cryptogram version number 10: ARPC method 1, no session key.
pub const CVN_0A_10: u8 = 0x0A;
/// Cryptogram version number 18: ARPC method 2, EMV common session key.
pub const CVN_12_18: u8 = 0x12;
/// Cryptogram version number 22: as 18, with script keys from the ARQC.
pub const CVN_16_22: u8 = 0x16;

const VISA_DATA_LEN: u8 = 0x06;

/// Longest issuer application data, in bytes.
pub const IAD_LEN_MAX: usize = 32;

/// Issuer application data of Visa VSDC.
///
/// | part | bytes | meaning |
/// |---|---|---|
/// | length | 1 | of the next three parts, always `06` |
/// | DKI | 1 | derivation key index |
/// | CVN | 1 | cryptogram version number, `0A`, `12` or `16` for 10, 18, 22 |
/// | CVR | 4 | card verification results, beginning `03` |
/// | issuer discretionary data | 0 to 25 | its own length and content, if any |
///
/// Source: the field tables of openemv's emv-utils, which call their Visa rows unverified; the published CVN 18 vector
/// `06011203A0B800` fits them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisaIad<'a> {
    /// Derivation key index.
    pub dki: u8,
    /// Cryptogram version number.
    pub cvn: u8,
    /// Card verification results.
    pub cvr: Cvr,
    /// Issuer discretionary data, with its length byte; empty if none.
    pub issuer_data: &'a [u8],
}

impl<'a> VisaIad<'a> {
    /// Reads the value of 9F10. `None` for less than 7 or more than [`IAD_LEN_MAX`] bytes, a length other than `06`
    /// (other schemes' and Visa's token formats), or a CVR that does not begin `03`.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let &[VISA_DATA_LEN, dki, cvn, a, b, c, d, ref issuer_data @ ..] = value else {
            return None;
        };
        let cvr = Cvr::parse([a, b, c, d])?;
        (value.len() <= IAD_LEN_MAX).then_some(Self {
            dki,
            cvn,
            cvr,
            issuer_data,
        })
    }

    /// The value of 9F10.
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = [VISA_DATA_LEN, self.dki, self.cvn];
        [&head[..], &self.cvr.to_bytes(), self.issuer_data].concat()
    }
}
