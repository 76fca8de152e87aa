//! Authorisation response cryptograms, by which the card knows its issuer. EMV Book 2 version 4.4 8.2.
//!
//! Issuer authentication data (tag 91) is ARPC ‖ response code by method 1, ARPC ‖ CSU ‖ proprietary data by method 2.

use subtle::ConstantTimeEq;

use crate::cryptogram::AcSession;
use crate::cvn::ArpcMethod;
use crate::emv_key::EmvKey;
use crate::tdes_key::{MacPadding, Tdes2Key, xor8};

/// Most bytes of proprietary authentication data, EMV Book 2 8.2.2.
const PROPRIETARY_LEN_MAX_BYTES: usize = 8;

/// What the issuer tells the card; each version takes the part that its method has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuerAnswer<'a> {
    /// Method 1. Visa 10, Interac and American Express: the response code as two ASCII characters, `30 30` for "00".
    /// Mastercard: the ARPC response code, a bit field, of which public text shows only `00 10` for "approved".
    pub response_code: [u8; 2],
    /// Method 2: the card status update, EMV Book 3 annex C.
    pub csu: [u8; 4],
    /// Method 2: proprietary authentication data, at most 8 bytes. The CSU says whether there is any.
    pub proprietary: &'a [u8],
}

/// What a card takes from issuer authentication data that is authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticAnswer<'a> {
    /// Method 1.
    ResponseCode([u8; 2]),
    /// Method 2.
    Csu {
        /// Card status update.
        csu: [u8; 4],
        /// Proprietary authentication data, at most 8 bytes.
        proprietary: &'a [u8],
    },
}

/// Why a card doesn't accept issuer authentication data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArpcError {
    /// Not as long as the version's method makes it: 10 bytes, or 8 to 16.
    #[error("issuer authentication data of the wrong length")]
    Length,
    /// The ARPC isn't of this card, transaction and answer.
    #[error("the ARPC is wrong")]
    Arpc,
}

/// There are more than 8 bytes of proprietary authentication data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("proprietary authentication data has at most 8 bytes")]
pub struct ProprietaryLengthError;

/// The value of tag 91: 10 bytes by method 1, 8 to 16 by method 2.
///
/// Refuses more than 8 bytes of proprietary data.
///
/// ```
/// use paycrypto::arpc::{AuthenticAnswer, IssuerAnswer, issuer_authentication_data, open_issuer_authentication_data};
/// use paycrypto::cryptogram::AcSession;
/// use paycrypto::cvn::Cvn;
/// use paycrypto::emv_key::{EmvAlgorithm, EmvKey};
///
/// let icc_mk_ac = EmvKey::from_bytes(EmvAlgorithm::Tdes, &[0x23; 16]).unwrap();
/// let answer = IssuerAnswer { response_code: *b"00", csu: [0x03, 0x92, 0, 0], proprietary: &[] };
/// let arqc = 0x1234_5678_90AB_CDEF_u64.to_be_bytes();
///
/// let session = AcSession::new(Cvn::Visa18, &icc_mk_ac, 0x001C, [0; 4]).unwrap();
/// let tag_91 = issuer_authentication_data(&session, arqc, &answer).unwrap();
/// assert_eq!(tag_91[4..], answer.csu);
/// let opened = open_issuer_authentication_data(&session, arqc, &tag_91);
/// assert_eq!(opened, Ok(AuthenticAnswer::Csu { csu: answer.csu, proprietary: &[] }));
///
/// let session = AcSession::new(Cvn::Visa10, &icc_mk_ac, 0x001C, [0; 4]).unwrap();
/// let tag_91 = issuer_authentication_data(&session, arqc, &answer).unwrap();
/// assert_eq!(tag_91[8..], answer.response_code);
/// ```
pub fn issuer_authentication_data(
    session: &AcSession,
    arqc: [u8; 8],
    answer: &IssuerAnswer<'_>,
) -> Result<Vec<u8>, ProprietaryLengthError> {
    match session.profile().arpc {
        ArpcMethod::Method1MasterKey | ArpcMethod::Method1SessionKey => {
            let arpc = method_1(method_1_key(session), arqc, answer.response_code);
            Ok([arpc.as_slice(), &answer.response_code].concat())
        }
        ArpcMethod::Method2 => {
            let arpc = method_2(session.arpc_key(), arqc, answer.csu, answer.proprietary);
            let arpc = arpc.ok_or(ProprietaryLengthError)?;
            Ok([arpc.as_slice(), &answer.csu, answer.proprietary].concat())
        }
    }
}

/// The card's side: what an authentic tag 91 says. The ARPC is compared in constant time.
///
/// Refuses a length that the version's method doesn't make, and a wrong ARPC.
pub fn open_issuer_authentication_data<'a>(
    session: &AcSession,
    arqc: [u8; 8],
    tag_91: &'a [u8],
) -> Result<AuthenticAnswer<'a>, ArpcError> {
    match session.profile().arpc {
        ArpcMethod::Method1MasterKey | ArpcMethod::Method1SessionKey => {
            let (arpc, code) = tag_91.split_first_chunk::<8>().ok_or(ArpcError::Length)?;
            let code = code.try_into().map_err(|_| ArpcError::Length)?;
            let expected = method_1(method_1_key(session), arqc, code);
            accept(&expected, arpc, AuthenticAnswer::ResponseCode(code))
        }
        ArpcMethod::Method2 => {
            let (arpc, rest) = tag_91.split_first_chunk::<4>().ok_or(ArpcError::Length)?;
            let (&csu, proprietary) = rest.split_first_chunk::<4>().ok_or(ArpcError::Length)?;
            let expected = method_2(session.arpc_key(), arqc, csu, proprietary).ok_or(ArpcError::Length)?;
            accept(&expected, arpc, AuthenticAnswer::Csu { csu, proprietary })
        }
    }
}

fn accept<'a>(
    expected: &[u8],
    arpc: &[u8],
    answer: AuthenticAnswer<'a>,
) -> Result<AuthenticAnswer<'a>, ArpcError> {
    let right = bool::from(expected.ct_eq(arpc));
    right.then_some(answer).ok_or(ArpcError::Arpc)
}

fn method_1_key(session: &AcSession) -> &Tdes2Key {
    let key = session.arpc_key().as_tdes();
    key.expect("a sound version with method 1 has TDES keys")
}

/// ARPC by method 1, 8 bytes: TDES of ARQC XOR (response code ‖ six `00`).
///
/// Source: EMV Book 2 8.2.1. Evidence: `vectors/cvn.txt`, second implementation pyemv.
///
/// ```
/// use paycrypto::arpc::method_1;
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let key = Tdes2Key::from_bytes(&0xAAAA_AAAA_AAAA_AAAA_BBBB_BBBB_BBBB_BBBB_u128.to_be_bytes());
/// let arqc = 0x1234_5678_90AB_CDEF_u64.to_be_bytes();
/// assert_eq!(method_1(&key, arqc, [0, 0]), 0xF5E6_F441_47E2_F1B0_u64.to_be_bytes());
/// ```
#[must_use]
pub fn method_1(key: &Tdes2Key, arqc: [u8; 8], response_code: [u8; 2]) -> [u8; 8] {
    let [high, low] = response_code;
    key.encrypt_block(xor8(arqc, [high, low, 0, 0, 0, 0, 0, 0]))
}

/// ARPC by method 2, 4 bytes: the leftmost bytes of the MAC over ARQC ‖ CSU ‖ proprietary authentication data. The MAC is
/// the retail MAC for TDES, CMAC for AES.
///
/// Refuses more than 8 bytes of proprietary data.
///
/// Source: EMV Book 2 8.2.2. Evidence: TDES `vectors/cvn.txt` and pyemv; AES CMAC of Python's `cryptography`.
///
/// ```
/// use paycrypto::arpc::method_2;
/// use paycrypto::emv_key::{EmvAlgorithm, EmvKey};
///
/// let bytes = 0xAAAA_AAAA_AAAA_AAAA_BBBB_BBBB_BBBB_BBBB_u128.to_be_bytes();
/// let key = EmvKey::from_bytes(EmvAlgorithm::Tdes, &bytes).unwrap();
/// let arqc = 0x1234_5678_90AB_CDEF_u64.to_be_bytes();
/// assert_eq!(method_2(&key, arqc, [0; 4], &[]), Some([0x93, 0x08, 0xBE, 0xBC]));
/// ```
#[must_use]
pub fn method_2(key: &EmvKey, arqc: [u8; 8], csu: [u8; 4], proprietary: &[u8]) -> Option<[u8; 4]> {
    if proprietary.len() > PROPRIETARY_LEN_MAX_BYTES {
        return None;
    }
    let data = [arqc.as_slice(), &csu, proprietary].concat();
    let [a, b, c, d, ..] = key.mac(MacPadding::Method2, &data);
    Some([a, b, c, d])
}
