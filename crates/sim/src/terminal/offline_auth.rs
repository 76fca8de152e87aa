//! What a terminal computes to authenticate a card offline, and to encipher a PIN for it (EMV 4.4 Book 2, 6 and 7).
//!
//! Pure: the card's data, the date and the random fill are arguments.

use emv::field55::CryptogramKind;
use paycrypto::pin::Pin;
use paycrypto::pinblock::encode_iso2;
use zeroize::Zeroizing;

use crate::card::certified_key::sha1;
use crate::rsa::RsaPublicKey;

/// Why a card isn't authentic, or can't be told to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfflineAuthError {
    /// Not as long as the signer's modulus, or too short for what it has to hold.
    #[error("a certificate or signature of the wrong length")]
    Length,
    /// Header, trailer, format or algorithm isn't what EMV wants: signed with another key, or changed.
    #[error("not a certificate or signature of this signer")]
    Format,
    /// What was signed isn't what the card tells.
    #[error("the hash doesn't fit")]
    Hash,
    /// Certified for another issuer or account.
    #[error("certified for another account")]
    Account,
    /// The certificate's last month is over.
    #[error("the certificate has expired")]
    Expired,
    /// What is recovered isn't a key that EMV allows.
    #[error("no usable key in the certificate")]
    Key,
}

/// A certificate as the card gives it.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// Tag 90, 9F46 or 9F2D.
    pub certificate: &'a [u8],
    /// Tag 92, 9F48 or 9F2F; empty where the card has none.
    pub remainder: &'a [u8],
    /// Tag 9F32, 9F47 or 9F2E.
    pub exponent: &'a [u8],
}

/// What the card put into a cryptogram that came with signed dynamic data (CDA).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedCryptogram {
    /// Kind of the cryptogram, as signed.
    pub kind: CryptogramKind,
    /// The cryptogram.
    pub cryptogram: [u8; 8],
}

const ISSUER_HEAD_LEN: usize = 14;
const ICC_HEAD_LEN: usize = 20;

/// The issuer's key, from the authority's (6.3).
///
/// `pan`: the account's digits. `today`: YYMMDD in BCD, as tag 9A. Refuses, in this order, what [`OfflineAuthError`]
/// lists.
pub fn recover_issuer_key(
    ca: &RsaPublicKey,
    issuer: Certificate<'_>,
    pan: &str,
    today: [u8; 3],
) -> Result<RsaPublicKey, OfflineAuthError> {
    let recovered = Recovered::open(ca, issuer.certificate, 0x02)?;
    recovered.check(&[issuer.remainder, issuer.exponent])?;
    let head = recovered.head::<ISSUER_HEAD_LEN>()?;
    let [_, a, b, c, d, month, year, ..] = head;
    let holder = data_encoding::HEXUPPER.encode(&[a, b, c, d]);
    let identifier = holder.trim_end_matches('F');
    if identifier.len() < 3 || !pan.starts_with(identifier) {
        return Err(OfflineAuthError::Account);
    }
    in_time([month, year], today)?;
    let [.., modulus_len, exponent_len] = head;
    recovered.key(ISSUER_HEAD_LEN, issuer, modulus_len, exponent_len)
}

/// The card's key, from the issuer's (6.4). `static_data`: content of the records that the file locator marks, then the
/// value of tag 82 where the card's tag list (9F4A) asks for it. Other arguments and refusals as
/// [`recover_issuer_key`].
pub fn recover_icc_key(
    issuer: &RsaPublicKey,
    icc: Certificate<'_>,
    pan: &str,
    static_data: &[u8],
    today: [u8; 3],
) -> Result<RsaPublicKey, OfflineAuthError> {
    let recovered = Recovered::open(issuer, icc.certificate, 0x04)?;
    recovered.check(&[icc.remainder, icc.exponent, static_data])?;
    let head = recovered.head::<ICC_HEAD_LEN>()?;
    let (_, rest) = head.split_at(1);
    let (holder, expiry) = rest.split_first_chunk::<10>().ok_or(OfflineAuthError::Length)?;
    let holder = data_encoding::HEXUPPER.encode(holder);
    if holder.trim_end_matches('F') != pan {
        return Err(OfflineAuthError::Account);
    }
    let expiry = expiry.first_chunk().ok_or(OfflineAuthError::Length)?;
    in_time(*expiry, today)?;
    let [.., modulus_len, exponent_len] = head;
    recovered.key(ICC_HEAD_LEN, icc, modulus_len, exponent_len)
}

/// Verifies the answer to INTERNAL AUTHENTICATE (DDA, 6.5.2): tag 9F4B over the DDOL's values. Gives the card's dynamic
/// number, 2 to 8 bytes (tag 9F4C).
pub fn verify_dynamic_signature(
    icc: &RsaPublicKey,
    signature: &[u8],
    ddol_values: &[u8],
) -> Result<Vec<u8>, OfflineAuthError> {
    let data = dynamic_data(icc, signature, ddol_values)?;
    let (number, _) = dynamic_number(&data)?;
    Ok(number.to_vec())
}

/// Verifies a cryptogram that came as CDA (6.6.2).
///
/// `transaction_data`: values of the PDOL, the CDOL1 and, for the second cryptogram, the CDOL2, then the data objects of
/// the answer (tag, length, value) but for 9F4B, all as they were exchanged. `cid`: tag 9F27 of the answer.
pub fn verify_signed_cryptogram(
    icc: &RsaPublicKey,
    signature: &[u8],
    unpredictable_number: [u8; 4],
    cid: u8,
    transaction_data: &[u8],
) -> Result<SignedCryptogram, OfflineAuthError> {
    let data = dynamic_data(icc, signature, &unpredictable_number)?;
    let (_, rest) = dynamic_number(&data)?;
    let (&[signed_cid], rest) = rest.split_first_chunk().ok_or(OfflineAuthError::Length)?;
    let (&cryptogram, rest) = rest.split_first_chunk().ok_or(OfflineAuthError::Length)?;
    let hash: [u8; 20] = *rest.first_chunk().ok_or(OfflineAuthError::Length)?;
    if signed_cid != cid || hash != sha1(&[transaction_data]) {
        return Err(OfflineAuthError::Hash);
    }
    let kind = CryptogramKind::from_cid(cid).ok_or(OfflineAuthError::Format)?;
    Ok(SignedCryptogram { kind, cryptogram })
}

/// Data of VERIFY with an enciphered PIN, as long as the key's modulus (7.1). `challenge`: the card's answer to GET
/// CHALLENGE. `fill`: random bytes, at least as many as the modulus has.
///
/// `None` where the fill is too short.
#[must_use]
pub fn encipher_pin(icc: &RsaPublicKey, pin: &Pin, challenge: [u8; 8], fill: &[u8]) -> Option<Vec<u8>> {
    let room = icc.modulus().len().checked_sub(17)?;
    let clear = Zeroizing::new([&[0x7F][..], &*encode_iso2(pin), &challenge, fill.get(..room)?].concat());
    icc.apply(&clear)
}

/// The data of an opened certificate or signature, and its hash.
struct Recovered {
    told: Vec<u8>,
    hash: [u8; 20],
}

impl Recovered {
    /// Opens with the signer's key; refuses another length, header, trailer or format byte.
    fn open(signer: &RsaPublicKey, signature: &[u8], format: u8) -> Result<Self, OfflineAuthError> {
        let block = signer.apply(signature).ok_or(OfflineAuthError::Length)?;
        let [0x6A, told @ .., 0xBC] = block.as_slice() else {
            return Err(OfflineAuthError::Format);
        };
        let (told, hash) = told.split_last_chunk::<20>().ok_or(OfflineAuthError::Length)?;
        if told.first() != Some(&format) {
            return Err(OfflineAuthError::Format);
        }
        let (told, hash) = (told.to_vec(), *hash);
        Ok(Self { told, hash })
    }

    fn check(&self, outside: &[&[u8]]) -> Result<(), OfflineAuthError> {
        let parts = [&[self.told.as_slice()][..], outside].concat();
        (sha1(&parts) == self.hash)
            .then_some(())
            .ok_or(OfflineAuthError::Hash)
    }

    /// The first bytes of a certificate: format, holder, expiry, serial number, algorithms and both lengths.
    fn head<const LEN: usize>(&self) -> Result<[u8; LEN], OfflineAuthError> {
        let head: [u8; LEN] = *self.told.first_chunk().ok_or(OfflineAuthError::Length)?;
        match head.as_slice() {
            [.., 0x01, 0x01, _, _] => Ok(head),
            _ => Err(OfflineAuthError::Format),
        }
    }

    /// The certified key: leftmost bytes here, the others in the remainder.
    fn key(
        &self,
        head_len: usize,
        parts: Certificate<'_>,
        modulus_len: u8,
        exponent_len: u8,
    ) -> Result<RsaPublicKey, OfflineAuthError> {
        let modulus_len = usize::from(modulus_len);
        let inside = self.told.get(head_len..).ok_or(OfflineAuthError::Length)?;
        let inside = inside.get(..modulus_len.min(inside.len())).unwrap_or(inside);
        let modulus = [inside, parts.remainder].concat();
        if modulus.len() != modulus_len || parts.exponent.len() != usize::from(exponent_len) {
            return Err(OfflineAuthError::Length);
        }
        RsaPublicKey::new(&modulus, parts.exponent).ok_or(OfflineAuthError::Key)
    }
}

/// The card's dynamic data, with the fill that the card signed as well cut off.
fn dynamic_data(
    icc: &RsaPublicKey,
    signature: &[u8],
    terminal_data: &[u8],
) -> Result<Vec<u8>, OfflineAuthError> {
    let recovered = Recovered::open(icc, signature, 0x05)?;
    recovered.check(&[terminal_data])?;
    let [_, 0x01, len, ref data @ ..] = *recovered.told.as_slice() else {
        return Err(OfflineAuthError::Format);
    };
    let data = data.get(..usize::from(len)).ok_or(OfflineAuthError::Length)?;
    Ok(data.to_vec())
}

/// The card's dynamic number, which has its length in front, and what follows.
fn dynamic_number(data: &[u8]) -> Result<(&[u8], &[u8]), OfflineAuthError> {
    let (&[len], rest) = data.split_first_chunk().ok_or(OfflineAuthError::Length)?;
    let fits = (2..=8).contains(&len);
    let split = rest.split_at_checked(usize::from(len)).filter(|_| fits);
    split.ok_or(OfflineAuthError::Length)
}

/// Refuses a certificate whose last month, MMYY, is before today's.
fn in_time([month, year]: [u8; 2], [this_year, this_month, _]: [u8; 3]) -> Result<(), OfflineAuthError> {
    let over = (year, month) < (this_year, this_month);
    (!over).then_some(()).ok_or(OfflineAuthError::Expired)
}
