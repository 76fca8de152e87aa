//! Signed dynamic data: the card proves itself by its RSA key, before the first cryptogram (DDA) or with one (CDA).

use emv::apdu::{
    Command, SW_6A81_NOT_SUPPORTED, SW_6A86_WRONG_PARAMETERS, SW_6D00_UNKNOWN_INSTRUCTION,
    SW_6700_WRONG_LENGTH, SW_6985_CONDITIONS, StatusWord,
};
use emv::field55::CryptogramKind;
use emv::tags::{
    TAG_9F4B_SIGNED_DYNAMIC_DATA, TAG_9F10_IAD, TAG_9F26_APPLICATION_CRYPTOGRAM, TAG_9F27_CID, TAG_9F36_ATC,
};
use emv::tlv::put;

use super::{Answer, Chip, Power, SW_6581_MEMORY_FAILURE, Stage, at_contacts, template};
use crate::card::certified_key::sha1;
use crate::card::records;

/// A cryptogram as the card gives it.
pub(super) struct Given<'d> {
    pub(super) kind: CryptogramKind,
    pub(super) ac: [u8; 8],
    pub(super) iad: Vec<u8>,
    pub(super) unpredictable_number: [u8; 4],
    /// Values of each data object list so far: the signature covers them beside the answer.
    pub(super) exchanged: &'d [&'d [u8]],
    pub(super) dynamic_number: Option<[u8; 8]>,
}

impl Chip {
    /// DDA: signs a dynamic number of its own with the terminal's unpredictable number, before the first cryptogram.
    pub(super) fn internal_authenticate(&self, power: &mut Power, command: &Command<'_>) -> Answer {
        let key = self.perso.certified_key.as_ref();
        let key = key.ok_or(SW_6D00_UNKNOWN_INSTRUCTION)?;
        let transaction = at_contacts(power)
            .filter(|transaction| transaction.stage == Stage::Initiated)
            .ok_or(SW_6985_CONDITIONS)?;
        if (command.p1, command.p2) != (0, 0) {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        if command.data.len() != records::ddol().values_len() {
            return Err(SW_6700_WRONG_LENGTH);
        }
        let number = random_number()?;
        let signature = key.sign(&with_length(number), command.data);
        let signature = signature.ok_or(SW_6A81_NOT_SUPPORTED)?;
        transaction.dynamic_number = Some(number);
        Ok(template(&[(TAG_9F4B_SIGNED_DYNAMIC_DATA, &signature)]))
    }

    /// The data objects of an answer to GENERATE AC; with a signature, the cryptogram is in it (EMV Book 2, 6.6.1).
    pub(super) fn cryptogram_answer(&self, given: &Given<'_>) -> Answer {
        let (cid, atc) = ([given.kind.code()], self.state.atc.to_be_bytes());
        let Some(number) = given.dynamic_number else {
            return Ok(template(&[
                (TAG_9F27_CID, &cid),
                (TAG_9F36_ATC, &atc),
                (TAG_9F26_APPLICATION_CRYPTOGRAM, &given.ac),
                (TAG_9F10_IAD, &given.iad),
            ]));
        };
        let mut told = Vec::new();
        put(&mut told, TAG_9F27_CID, &cid);
        put(&mut told, TAG_9F36_ATC, &atc);
        put(&mut told, TAG_9F10_IAD, &given.iad);
        let hash = sha1(&[given.exchanged, &[told.as_slice()]].concat());
        let dynamic_data = [&with_length(number)[..], &cid, &given.ac, &hash].concat();
        let key = self.perso.certified_key.as_ref().ok_or(SW_6A81_NOT_SUPPORTED)?;
        let signature = key.sign(&dynamic_data, &given.unpredictable_number);
        let signature = signature.ok_or(SW_6A81_NOT_SUPPORTED)?;
        Ok(template(&[
            (TAG_9F27_CID, &cid),
            (TAG_9F36_ATC, &atc),
            (TAG_9F4B_SIGNED_DYNAMIC_DATA, &signature),
            (TAG_9F10_IAD, &given.iad),
        ]))
    }
}

/// 8 random bytes.
pub(super) fn random_number() -> Result<[u8; 8], StatusWord> {
    let mut number = [0; 8];
    getrandom::fill(&mut number).map_err(|_| SW_6581_MEMORY_FAILURE)?;
    Ok(number)
}

/// A dynamic number as it stands in signed data, its length in front.
fn with_length(number: [u8; 8]) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = number;
    [8, a, b, c, d, e, f, g, h]
}
