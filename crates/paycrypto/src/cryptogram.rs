//! Application cryptograms: ARQC, TC and AAC. EMV Book 2 version 4.4 8.1.

use subtle::ConstantTimeEq;

use crate::cvn::{AcIad, AcKeyMethod, Cvn};
use crate::session_keys::{common_ac, mastercard_skd};
use crate::tdes_key::Tdes2Key;

/// Most bytes of issuer application data, EMV Book 3 annex A (tag 9F10).
const IAD_LEN_MAX_BYTES: usize = 32;
/// Bytes before the issuer application data.
const TERMINAL_DATA_LEN_BYTES: usize = 37;

/// What terminal and card feed into a cryptogram, each field as the value of its tag.
///
/// | field | bytes | tag |
/// |---|---|---|
/// | amount, amount_other | 6 n, 6 n | 9F02, 9F03 |
/// | terminal_country | 2 n | 9F1A |
/// | tvr | 5 b | 95 |
/// | currency, date, transaction_type | 2 n, 3 n, 1 n | 5F2A, 9A, 9C |
/// | unpredictable_number | 4 b | 9F37 |
/// | aip, atc | 2 b, 2 b | 82, 9F36 |
/// | iad | up to 32 b | 9F10 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table above names each field's tag")]
pub struct AcInput<'a> {
    pub amount: [u8; 6],
    pub amount_other: [u8; 6],
    pub terminal_country: [u8; 2],
    pub tvr: [u8; 5],
    pub currency: [u8; 2],
    pub date: [u8; 3],
    pub transaction_type: u8,
    pub unpredictable_number: [u8; 4],
    pub aip: [u8; 2],
    pub atc: u16,
    pub iad: &'a [u8],
}

/// The issuer application data is too short for the bytes its cryptogram version wants, or longer than 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the issuer application data has the wrong length for its cryptogram version")]
pub struct IadLengthError;

/// The key of one transaction's cryptogram.
///
/// ```
/// use paycrypto::cryptogram::ac_session_key;
/// use paycrypto::cvn::Cvn;
/// use paycrypto::session_keys::common_ac;
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let master = Tdes2Key::from_bytes(&[0x23; 16]);
/// let key = ac_session_key(Cvn::Visa18, &master, 0x001C, [0; 4]);
/// assert_eq!(key.expose_bytes(), common_ac(&master, 0x001C).expose_bytes());
/// ```
#[must_use]
pub fn ac_session_key(cvn: Cvn, icc_mk_ac: &Tdes2Key, atc: u16, unpredictable_number: [u8; 4]) -> Tdes2Key {
    match cvn.profile().ac_key {
        AcKeyMethod::MasterKey => Tdes2Key::from_bytes(icc_mk_ac.expose_bytes()),
        AcKeyMethod::Common => common_ac(icc_mk_ac, atc),
        AcKeyMethod::MastercardSkd => mastercard_skd(icc_mk_ac, atc, unpredictable_number),
    }
}

/// The 8-byte cryptogram: retail MAC over the terminal's and the card's data.
///
/// Refuses issuer application data too short for the version, or longer than 32 bytes.
///
/// Source: EMV Book 2 8.1 and the table of [`crate::cvn`]. Evidence: `vectors/cvn.txt`, second implementation pyemv.
///
/// ```
/// use paycrypto::cryptogram::{AcInput, generate_ac, verify_ac};
/// use paycrypto::cvn::Cvn;
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let input = AcInput {
///     amount: [0, 0, 0, 0, 0x40, 0],
///     amount_other: [0; 6],
///     terminal_country: [0x01, 0x24],
///     tvr: [0x80, 0, 0x04, 0x80, 0],
///     currency: [0x01, 0x24],
///     date: [0x19, 0x11, 0x05],
///     transaction_type: 1,
///     unpredictable_number: [0x52, 0xBF, 0x45, 0x85],
///     aip: [0x18, 0],
///     atc: 0x001C,
///     iad: &[0x06, 0x01, 0x12, 0x03, 0xA0, 0xB8, 0x00],
/// };
/// let session_key = Tdes2Key::from_bytes(&[0x23; 16]);
/// let arqc = generate_ac(Cvn::Visa18, &session_key, &input).unwrap();
/// assert!(verify_ac(Cvn::Visa18, &session_key, &input, arqc).unwrap());
/// ```
pub fn generate_ac(cvn: Cvn, session_key: &Tdes2Key, input: &AcInput<'_>) -> Result<[u8; 8], IadLengthError> {
    let mut data = [0; TERMINAL_DATA_LEN_BYTES + IAD_LEN_MAX_BYTES];
    let len = fill_data(&mut data, cvn, input)?;
    let data = data.get(..len).ok_or(IadLengthError)?;
    Ok(session_key.retail_mac(cvn.profile().ac_padding, data))
}

/// Whether a cryptogram is the right one; compared in constant time.
///
/// Refuses what [`generate_ac`] refuses. Says nothing about freshness: replay is caught by the ATC.
pub fn verify_ac(
    cvn: Cvn,
    session_key: &Tdes2Key,
    input: &AcInput<'_>,
    cryptogram: [u8; 8],
) -> Result<bool, IadLengthError> {
    let expected = generate_ac(cvn, session_key, input)?;
    Ok(expected.ct_eq(&cryptogram).into())
}

/// Lays the fields out in the order of EMV Book 2 table 26 and says how many bytes that made.
fn fill_data(data: &mut [u8], cvn: Cvn, input: &AcInput<'_>) -> Result<usize, IadLengthError> {
    if input.iad.len() > IAD_LEN_MAX_BYTES {
        return Err(IadLengthError);
    }
    let (iad, counters) = iad_parts(cvn.profile().ac_iad, input.iad)?;
    let parts: [&[u8]; 12] = [
        &input.amount,
        &input.amount_other,
        &input.terminal_country,
        &input.tvr,
        &input.currency,
        &input.date,
        &[input.transaction_type],
        &input.unpredictable_number,
        &input.aip,
        &input.atc.to_be_bytes(),
        iad,
        counters,
    ];
    let len = parts.iter().map(|part| part.len()).sum();
    for (to, from) in data.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    Ok(len)
}

fn iad_parts(part: AcIad, iad: &[u8]) -> Result<(&[u8], &[u8]), IadLengthError> {
    let parts = match part {
        AcIad::Whole => Some((iad, [].as_slice())),
        AcIad::VisaCvr => iad.get(3..7).map(|cvr| (cvr, [].as_slice())),
        AcIad::MChipCvr => iad.get(2..8).map(|cvr| (cvr, [].as_slice())),
        AcIad::MChipCvrAndCounters => iad.get(2..8).zip(iad.get(10..18)),
    };
    parts.ok_or(IadLengthError)
}
