//! The chip data of a request, read once: what the cryptogram covers and what it says when it proves right.

use cards::{ChipEvidence, Occasion, Scheme};
use emv::cvr::Cvr;
use emv::field55::{CryptogramKind, Field55, TERMINAL_DATA_LEN};
use emv::iad::{CVN_12_18, VisaIad};
use hsm::Cryptogram;

use super::CardEntry;

/// 9F39 of an inserted chip card.
const ENTRY_MODE_CONTACT: u8 = 0x05;

/// Chip data can't be used: not BER-TLV, incomplete, no ARQC, or of another cryptogram version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unusable;

pub(super) struct ChipData {
    arqc: [u8; 8],
    terminal_data: [u8; TERMINAL_DATA_LEN],
    iad: Vec<u8>,
    pub(super) cvr: Cvr,
    pub(super) amount_minor: u64,
    pub(super) terminal_claims_offline_pin: bool,
    pub(super) evidence: ChipEvidence,
}

impl ChipData {
    pub(super) fn read(bytes: &[u8], entry: CardEntry) -> Result<Self, Unusable> {
        let field55 = Field55::parse(bytes).map_err(|_| Unusable)?;
        let iad = VisaIad::parse(field55.iad).ok_or(Unusable)?;
        let is_arqc = CryptogramKind::from_cid(field55.cid) == Some(CryptogramKind::Arqc);
        if iad.cvn != CVN_12_18 || !is_arqc {
            return Err(Unusable);
        }
        let chip_agrees = field55.entry_mode.is_none_or(|mode| mode == ENTRY_MODE_CONTACT);
        Ok(Self {
            arqc: field55.cryptogram,
            terminal_data: field55.terminal_data(),
            iad: field55.iad.to_vec(),
            cvr: iad.cvr,
            amount_minor: bcd(&field55.amount).ok_or(Unusable)?,
            terminal_claims_offline_pin: field55
                .cvm_results
                .is_some_and(|results| results.claims_offline_pin()),
            evidence: ChipEvidence {
                atc: u16::from_be_bytes(field55.atc),
                occasion: if entry == CardEntry::Contact && chip_agrees {
                    Occasion::Inserted
                } else {
                    Occasion::Tapped
                },
                script_commands: iad.cvr.script_commands,
                script_failed: iad.cvr.script_failed,
                pin_try_limit_exceeded: iad.cvr.pin_try_limit_exceeded,
            },
        })
    }

    pub(super) fn cryptogram(&self, scheme: Scheme) -> Cryptogram {
        Cryptogram {
            scheme,
            arqc: self.arqc,
            data: self.terminal_data.to_vec(),
            iad: self.iad.clone(),
        }
    }
}

fn bcd(digits: &[u8; 6]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, byte| {
        let (high, low) = (u64::from(byte >> 4), u64::from(byte & 0x0F));
        (high < 10 && low < 10).then(|| number * 100 + high * 10 + low)
    })
}
