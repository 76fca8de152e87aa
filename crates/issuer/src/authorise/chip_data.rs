//! The chip data of a request, read once: what the cryptogram covers and what it says when it proves right.

use cards::{ChipEvidence, Occasion, Scheme};
use emv::field55::{CryptogramKind, Field55, Field55Error};
use emv::iad::{ChipReport, OfflinePin};
use hsm::Cryptogram;

use super::{AuthorisationRequest, CardEntry, RequestKind};
use crate::chip_profile::ChipProfile;

/// 9F39 of an inserted chip card.
const ENTRY_MODE_05_CONTACT: u8 = 0x05;
/// 9F39 of a tapped chip card, and of one read as a magnetic stripe.
const ENTRY_MODE_07_CONTACTLESS: u8 = 0x07;
const ENTRY_MODE_91_CONTACTLESS_STRIPE: u8 = 0x91;

/// Why chip data can't be used. The text names tags, never values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Field55(#[from] Field55Error),
    #[error("9F10 is not laid out as the card's scheme does")]
    IssuerApplicationData,
    #[error("cryptogram version {0:02X} is not the card's")]
    CryptogramVersion(u8),
    #[error("the chip didn't ask for the issuer")]
    NotAnArqc,
    #[error("9F02 is not a number")]
    Amount,
}

/// Chip data as far as they can be read without keys. Nothing in it is proven before the cryptogram is.
pub(crate) struct ChipData {
    pub(crate) cryptogram: Cryptogram,
    pub(crate) report: ChipReport,
    pub(crate) atc: u16,
    pub(crate) unpredictable_number: [u8; 4],
    pub(crate) amount_minor: u64,
    /// 9F34: a claim of the terminal.
    pub(crate) terminal_claims_offline_pin: bool,
    /// Message and 9F39 agree that the card was inserted.
    pub(crate) contact: bool,
    /// They name different ways.
    pub(crate) entry_disagrees: bool,
    /// 9F5B: a claim of the terminal.
    pub(crate) script_results: Option<Vec<u8>>,
}

impl ChipData {
    /// Reads the chip data of a request, if it has any.
    pub(crate) fn of(request: &AuthorisationRequest, scheme: Scheme) -> Result<Option<Self>, Unusable> {
        request
            .chip
            .as_deref()
            .map(|bytes| Self::read(bytes, scheme, request.entry, request.kind))
            .transpose()
    }

    /// Refuses what [`Field55::parse`] refuses; issuer application data of another layout or cryptogram version than
    /// the scheme's; in a request, a cryptogram that is no ARQC; an amount that is no number.
    pub(crate) fn read(
        bytes: &[u8],
        scheme: Scheme,
        entry: CardEntry,
        kind: RequestKind,
    ) -> Result<Self, Unusable> {
        let profile = ChipProfile::of(scheme);
        let field55 = Field55::parse(bytes)?;
        let report = ChipReport::read(profile.iad, field55.iad).ok_or(Unusable::IssuerApplicationData)?;
        if report.cvn != profile.cvn {
            return Err(Unusable::CryptogramVersion(report.cvn));
        }
        let is_arqc = CryptogramKind::from_cid(field55.cid) == Some(CryptogramKind::Arqc);
        if kind == RequestKind::Request && !is_arqc {
            return Err(Unusable::NotAnArqc);
        }
        let entry_disagrees = field55.entry_mode.is_some_and(|mode| !agrees(entry, mode));
        Ok(Self {
            cryptogram: Cryptogram {
                scheme,
                arqc: field55.cryptogram,
                data: field55.terminal_data().to_vec(),
                iad: field55.iad.to_vec(),
            },
            report,
            atc: u16::from_be_bytes(field55.atc),
            unpredictable_number: field55.unpredictable_number,
            amount_minor: bcd(&field55.amount).ok_or(Unusable::Amount)?,
            terminal_claims_offline_pin: field55
                .cvm_results
                .is_some_and(|results| results.claims_offline_pin()),
            contact: entry == CardEntry::Contact && !entry_disagrees,
            entry_disagrees,
            script_results: field55.script_results.map(<[u8]>::to_vec),
        })
    }

    pub(crate) fn offline_pin_verified(&self) -> bool {
        self.report.offline_pin == OfflinePin::Verified
    }

    /// What it proves about the chip once its cryptogram is valid.
    ///
    /// Where no answer of ours `reaches_chip`, it may prove a script and never disprove one.
    pub(crate) fn evidence(&self, reaches_chip: bool) -> ChipEvidence {
        ChipEvidence {
            atc: self.atc,
            occasion: match (reaches_chip, self.contact) {
                (true, true) => Occasion::Inserted,
                (true, false) => Occasion::Tapped,
                (false, _) => Occasion::Advised,
            },
            script_commands: self.report.script_commands,
            script_failed: self.report.script_failed,
            pin_try_limit_exceeded: self.report.pin_try_limit_exceeded,
        }
    }
}

/// Whether DE22 and tag 9F39 can be of the same transaction. A stripe and a number typed in have no chip data.
fn agrees(entry: CardEntry, mode: u8) -> bool {
    match entry {
        CardEntry::Contact => mode == ENTRY_MODE_05_CONTACT,
        CardEntry::Contactless => {
            matches!(mode, ENTRY_MODE_07_CONTACTLESS | ENTRY_MODE_91_CONTACTLESS_STRIPE)
        }
        CardEntry::MagneticStripe | CardEntry::Fallback | CardEntry::NotPresent => {
            !matches!(mode, ENTRY_MODE_05_CONTACT | ENTRY_MODE_07_CONTACTLESS)
        }
        CardEntry::Unknown => true,
    }
}

fn bcd(digits: &[u8; 6]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, byte| {
        let (high, low) = (u64::from(byte >> 4), u64::from(byte & 0x0F));
        (high < 10 && low < 10).then(|| number * 100 + high * 10 + low)
    })
}
