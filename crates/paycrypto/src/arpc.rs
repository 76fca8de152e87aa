//! Authorisation response cryptograms, by which the card knows its issuer. EMV Book 2 version 4.4 8.2.

use crate::cvn::{ArpcMethod, Cvn};
use crate::tdes_key::{MacPadding, Tdes2Key, xor8};

/// Most bytes of proprietary authentication data, EMV Book 2 8.2.2.
pub const PROPRIETARY_LEN_MAX_BYTES: usize = 8;

/// The key that answers a cryptogram of this version: the cryptogram's session key, or ICC MK-AC.
///
/// ```
/// use paycrypto::arpc::arpc_key;
/// use paycrypto::cvn::Cvn;
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let (master, session) = (Tdes2Key::from_bytes(&[0x23; 16]), Tdes2Key::from_bytes(&[0x45; 16]));
/// assert!(std::ptr::eq(arpc_key(Cvn::Visa18, &master, &session), &session));
/// assert!(std::ptr::eq(arpc_key(Cvn::Mastercard17, &master, &session), &master));
/// ```
#[must_use]
pub fn arpc_key<'a>(cvn: Cvn, icc_mk_ac: &'a Tdes2Key, session_key: &'a Tdes2Key) -> &'a Tdes2Key {
    match cvn.profile().arpc {
        ArpcMethod::Method1MasterKey => icc_mk_ac,
        ArpcMethod::Method1SessionKey | ArpcMethod::Method2 => session_key,
    }
}

/// ARPC by method 1, 8 bytes: TDES of ARQC XOR (response code ‖ six `00`). Tag 91 is ARPC ‖ response code.
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

/// ARPC by method 2, 4 bytes: leftmost half of the retail MAC over ARQC ‖ CSU ‖ proprietary authentication data.
///
/// Tag 91 is ARPC ‖ CSU ‖ proprietary data. Refuses more than 8 bytes of proprietary data.
///
/// Source: EMV Book 2 8.2.2. Evidence: `vectors/cvn.txt`, second implementation pyemv.
///
/// ```
/// use paycrypto::arpc::method_2;
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let key = Tdes2Key::from_bytes(&0xAAAA_AAAA_AAAA_AAAA_BBBB_BBBB_BBBB_BBBB_u128.to_be_bytes());
/// let arqc = 0x1234_5678_90AB_CDEF_u64.to_be_bytes();
/// assert_eq!(method_2(&key, arqc, [0; 4], &[]), Some([0x93, 0x08, 0xBE, 0xBC]));
/// ```
#[must_use]
pub fn method_2(key: &Tdes2Key, arqc: [u8; 8], csu: [u8; 4], proprietary: &[u8]) -> Option<[u8; 4]> {
    if proprietary.len() > PROPRIETARY_LEN_MAX_BYTES {
        return None;
    }
    let data: Vec<u8> = arqc.iter().chain(&csu).chain(proprietary).copied().collect();
    let [a, b, c, d, ..] = key.retail_mac(MacPadding::Method2, &data);
    Some([a, b, c, d])
}
