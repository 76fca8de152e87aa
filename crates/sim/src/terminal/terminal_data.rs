//! What a terminal knows of a transaction: the values that it tells a card and the host.

use std::collections::BTreeMap;

use emv::bits::Tvr;
use emv::cvm::{CvmMethod, CvmOutcome, CvmResults, CvmRule};
use emv::dol::Dol;
use emv::tags::{
    TAG_5F2A_TRANSACTION_CURRENCY, TAG_9A_TRANSACTION_DATE, TAG_9C_TRANSACTION_TYPE,
    TAG_9F1A_TERMINAL_COUNTRY, TAG_9F1C_TERMINAL_ID, TAG_9F02_AMOUNT_AUTHORISED, TAG_9F03_AMOUNT_OTHER,
    TAG_9F4C_ICC_DYNAMIC_NUMBER, TAG_9F15_MCC, TAG_9F16_MERCHANT_ID, TAG_9F33_TERMINAL_CAPABILITIES,
    TAG_9F34_CVM_RESULTS, TAG_9F35_TERMINAL_TYPE, TAG_9F37_UNPREDICTABLE_NUMBER,
    TAG_91_ISSUER_AUTHENTICATION_DATA, TAG_95_TVR,
};
use emv::tlv::Tag;

use super::profile::TerminalProfile;
use crate::card::records::bcd;

/// What the terminal puts into a cryptogram.
pub(super) struct TerminalData {
    pub(super) tvr: Tvr,
    pub(super) cvm_results: CvmResults,
    /// The card's number of a DDA (9F4C); zeros before.
    pub(super) dynamic_number: Vec<u8>,
    /// Tag 91 of the host's answer, for a card that takes it with the second cryptogram; empty before.
    pub(super) issuer_authentication: Vec<u8>,
    pub(super) amount: u64,
    pub(super) transaction_type: u8,
    /// Today, as tag 9A.
    pub(super) date: [u8; 3],
    pub(super) country: [u8; 2],
    pub(super) currency: [u8; 2],
    pub(super) unpredictable_number: [u8; 4],
    /// What the terminal is: values that are the same in every transaction.
    own: [(Tag, Vec<u8>); 5],
}

impl TerminalData {
    /// What a terminal knows before it looks at the card. `transaction_type`: tag 9C.
    pub(super) fn new(profile: &TerminalProfile, amount: u64, transaction_type: u8) -> Self {
        let today = jiff::Zoned::now();
        let date = [
            today.year().rem_euclid(100),
            i16::from(today.month()),
            i16::from(today.day()),
        ];
        let category: u16 = profile.category.parse().expect("four digits, checked when read");
        Self {
            tvr: Tvr::default(),
            cvm_results: NOTHING_VERIFIED,
            dynamic_number: Vec::new(),
            issuer_authentication: Vec::new(),
            amount,
            transaction_type,
            date: date.map(|part| {
                let [byte] = bcd::<1>(u64::from(part.unsigned_abs()));
                byte
            }),
            country: bcd(profile.country.into()),
            currency: bcd(profile.currency.into()),
            unpredictable_number: getrandom::u32()
                .expect("the system gives random numbers")
                .to_be_bytes(),
            own: [
                (TAG_9F15_MCC, bcd::<2>(category.into()).to_vec()),
                (TAG_9F16_MERCHANT_ID, profile.merchant_id.clone().into_bytes()),
                (TAG_9F1C_TERMINAL_ID, profile.terminal_id.clone().into_bytes()),
                (TAG_9F33_TERMINAL_CAPABILITIES, profile.capabilities().to_vec()),
                (TAG_9F35_TERMINAL_TYPE, vec![profile.type_code()]),
            ],
        }
    }

    /// The values that a list asks for, joined.
    pub(super) fn fill(&self, list: &Dol) -> Vec<u8> {
        let values = self.values();
        list.fill(|tag| values.get(&tag).map(Vec::as_slice))
    }

    /// All values, by tag.
    pub(super) fn values(&self) -> BTreeMap<Tag, Vec<u8>> {
        let mut values = BTreeMap::from([
            (TAG_9F02_AMOUNT_AUTHORISED, bcd::<6>(self.amount).to_vec()),
            (TAG_9F03_AMOUNT_OTHER, vec![0; 6]),
            (TAG_9F1A_TERMINAL_COUNTRY, self.country.to_vec()),
            (TAG_95_TVR, self.tvr.0.to_vec()),
            (TAG_5F2A_TRANSACTION_CURRENCY, self.currency.to_vec()),
            (TAG_9A_TRANSACTION_DATE, self.date.to_vec()),
            (TAG_9C_TRANSACTION_TYPE, vec![self.transaction_type]),
            (TAG_9F34_CVM_RESULTS, self.cvm_results.to_bytes().to_vec()),
            (TAG_9F37_UNPREDICTABLE_NUMBER, self.unpredictable_number.to_vec()),
            (TAG_9F4C_ICC_DYNAMIC_NUMBER, self.dynamic_number.clone()),
            (
                TAG_91_ISSUER_AUTHENTICATION_DATA,
                self.issuer_authentication.clone(),
            ),
        ]);
        values.extend(self.own.clone());
        values
    }
}

/// 9F34 before, and where there is nothing to verify.
pub(super) const NOTHING_VERIFIED: CvmResults = CvmResults {
    rule: CvmRule {
        method: CvmMethod::NotPerformed,
        next_if_fails: false,
        condition: 0,
    },
    outcome: CvmOutcome::Failed,
};
