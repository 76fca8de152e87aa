//! Authenticating the card in the reader offline, where both can (EMV Book 3 10.3, Book 4 6.3.2): CDA before DDA, never SDA.
//!
//! What fails is told in the TVR, and the transaction goes on. The card's key serves for an enciphered PIN as well.

use emv::apdu::{Command, SW_9000_OK};
use emv::bits::{Tvr, TvrBit};
use emv::dol::Dol;
use emv::tags::{
    TAG_8F_CA_KEY_INDEX, TAG_9F4B_SIGNED_DYNAMIC_DATA, TAG_9F32_ISSUER_KEY_EXPONENT,
    TAG_9F37_UNPREDICTABLE_NUMBER, TAG_9F46_ICC_CERTIFICATE, TAG_9F47_ICC_KEY_EXPONENT,
    TAG_9F48_ICC_KEY_REMAINDER, TAG_9F49_DDOL, TAG_80_RESPONSE_FORMAT_1, TAG_90_ISSUER_CERTIFICATE,
    TAG_92_ISSUER_KEY_REMAINDER,
};
use emv::tlv;

use super::journey::{Party, Trouble};
use super::offline_auth::{self, Certificate, OfflineAuthError, recover_icc_key, recover_issuer_key};
use super::profile::{AuthenticatedBy, TerminalProfile, VerifiedBy};
use super::reader::{CardData, CardReader};
use super::terminal_data::TerminalData;
use crate::bureau::test_ca::{CA_INDEX, TestCa};
use crate::rsa::RsaPublicKey;

/// Bits of the first byte of tag 82.
const AIP_DDA: u8 = 0x20;
const AIP_CDA: u8 = 0x01;

/// What came out.
pub(super) struct Authentication {
    pub(super) tvr: Tvr,
    /// The card's key, proven by its certificates.
    pub(super) icc_key: Option<RsaPublicKey>,
    /// The cryptogram is to come inside a signature of the card, which authenticates it (CDA).
    pub(super) signed_cryptogram: bool,
    /// What DDA gave: tag 9F4C.
    pub(super) dynamic_number: Option<Vec<u8>>,
}

/// Why the card's key can't be used.
enum NoKey {
    /// The card doesn't tell all that it takes, or its authority isn't known here.
    Missing,
    Refused(OfflineAuthError),
}

/// Recovers the card's key and, for DDA, has the card sign. The test authority's key is the only one known.
pub(super) fn authenticate(
    reader: &mut CardReader<'_>,
    card: &CardData,
    profile: &TerminalProfile,
    terminal: &TerminalData,
) -> Result<Authentication, Trouble> {
    let aip = card.interchange_profile()?;
    let cda = aip & AIP_CDA != 0 && profile.authenticates_by(AuthenticatedBy::Cda);
    let dda = aip & AIP_DDA != 0 && profile.authenticates_by(AuthenticatedBy::Dda);
    let mut done = Authentication {
        tvr: Tvr::default(),
        icc_key: None,
        signed_cryptogram: false,
        dynamic_number: None,
    };
    let failed_bit = if cda { TvrBit::CdaFailed } else { TvrBit::DdaFailed };
    let selected = cda || dda;
    if !selected {
        done.tvr = done.tvr.with(TvrBit::OfflineDataAuthenticationNotPerformed);
    }
    if !selected && !profile.verifies_by(VerifiedBy::EncipheredPin) {
        return Ok(done);
    }
    let told = match icc_key(card, terminal) {
        Ok(key) if cda => {
            done.signed_cryptogram = true;
            done.icc_key = Some(key);
            return Ok(done);
        }
        Ok(key) => {
            let signed = if dda {
                Some(sign(reader, card, &key, terminal)?)
            } else {
                None
            };
            done.icc_key = Some(key);
            match signed {
                None => return Ok(done),
                Some(Ok(number)) => {
                    done.dynamic_number = Some(number);
                    "the card is authentic (DDA)".to_owned()
                }
                Some(Err(cause)) => {
                    done.tvr = done.tvr.with(failed_bit);
                    format!("the card is not authentic (DDA): {cause}")
                }
            }
        }
        Err(_) if !selected => return Ok(done),
        Err(NoKey::Missing) => {
            done.tvr = done.tvr.with(failed_bit).with(TvrBit::IccDataMissing);
            "the card can't be authenticated: data missing, or an unknown authority".to_owned()
        }
        Err(NoKey::Refused(cause)) => {
            done.tvr = done.tvr.with(failed_bit);
            format!("the card's key can't be trusted: {cause}")
        }
    };
    reader.trace.event(Party::Terminal, Party::Terminal, &told);
    Ok(done)
}

fn icc_key(card: &CardData, terminal: &TerminalData) -> Result<RsaPublicKey, NoKey> {
    let needed = |tag| card.needed(tag).map_err(|_| NoKey::Missing);
    if needed(TAG_8F_CA_KEY_INDEX)? != [CA_INDEX] {
        return Err(NoKey::Missing);
    }
    let issuer = Certificate {
        certificate: needed(TAG_90_ISSUER_CERTIFICATE)?,
        remainder: card.needed(TAG_92_ISSUER_KEY_REMAINDER).unwrap_or_default(),
        exponent: needed(TAG_9F32_ISSUER_KEY_EXPONENT)?,
    };
    let icc = Certificate {
        certificate: needed(TAG_9F46_ICC_CERTIFICATE)?,
        remainder: card.needed(TAG_9F48_ICC_KEY_REMAINDER).unwrap_or_default(),
        exponent: needed(TAG_9F47_ICC_KEY_EXPONENT)?,
    };
    let pan = card.pan().map_err(|_| NoKey::Missing)?;
    let static_data = card.authenticated_data().map_err(|_| NoKey::Missing)?;
    let (pan, today) = (pan.expose_digits(), terminal.date);
    let issuer_key = recover_issuer_key(TestCa::built_in().public_key(), issuer, pan, today);
    let issuer_key = issuer_key.map_err(NoKey::Refused)?;
    recover_icc_key(&issuer_key, icc, pan, &static_data, today).map_err(NoKey::Refused)
}

/// INTERNAL AUTHENTICATE. Gives the card's dynamic number.
fn sign(
    reader: &mut CardReader<'_>,
    card: &CardData,
    key: &RsaPublicKey,
    terminal: &TerminalData,
) -> Result<Result<Vec<u8>, OfflineAuthError>, Trouble> {
    let ddol = match card.needed(TAG_9F49_DDOL) {
        Ok(list) => Dol::parse(list).map_err(|_| Trouble::CardUnusable)?,
        Err(_) => Dol {
            entries: vec![(TAG_9F37_UNPREDICTABLE_NUMBER, 4)],
        },
    };
    let values = terminal.fill(&ddol);
    let (answer, status) = reader.send(&Command::internal_authenticate(&values))?;
    let signature = [TAG_9F4B_SIGNED_DYNAMIC_DATA, TAG_80_RESPONSE_FORMAT_1]
        .into_iter()
        .find_map(|tag| tlv::find(&answer, tag).ok().flatten());
    Ok(match signature.filter(|_| status == SW_9000_OK) {
        Some(signature) => offline_auth::verify_dynamic_signature(key, signature, &values),
        None => Err(OfflineAuthError::Length),
    })
}
