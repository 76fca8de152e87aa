//! The chip data of a request, read once: what the cryptogram covers and what it says when it proves right.

use cards::{ChipEvidence, Occasion, Pan, Programme};
use emv::field55::{CardNumber, CryptogramKind, Field55, Field55Error};
use emv::iad::{ChipReport, OfflinePin};
use emv::tags::{TAG_9F6E_FORM_FACTOR, TAG_9F7C_CUSTOMER_EXCLUSIVE, TAG_9F66_TTQ};
use emv::tlv::{self, Tag};
use hsm::Cryptogram;

use super::{AuthorisationRequest, CardEntry, RequestKind, Transaction};
use crate::chip_profile::ChipProfile;
use crate::desk::OpenCard;

/// 9F39 of an inserted chip card.
const ENTRY_MODE_05_CONTACT: u8 = 0x05;
/// 9F39 of a tapped chip card, and of one read as a magnetic stripe.
const ENTRY_MODE_07_CONTACTLESS: u8 = 0x07;
const ENTRY_MODE_91_CONTACTLESS_STRIPE: u8 = 0x91;

/// First bytes of the tags that kernels have among themselves (EMV Contactless Book C-2, Annex A).
const CODE_DF81_KERNEL_DATA: u32 = 0xDF81;

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
    #[error("9F02 or 5F2A is not a number")]
    NotANumber,
    #[error("{0} is another card's")]
    OtherCard(&'static str),
}

/// How sure it is that the card was inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// Message and 9F39 agree on it, or the programme takes the message's word for it.
    Certain,
    /// The message says so; without 9F39 the chip data don't tell.
    Told,
    /// It was not, or message and chip data contradict each other about it.
    Denied,
}

/// Chip data as far as they can be read without keys. Nothing in it is proven before the cryptogram is.
pub(crate) struct ChipData {
    pub(crate) cryptogram: Cryptogram,
    pub(crate) report: ChipReport,
    pub(crate) atc: u16,
    /// Its cryptogram is an ARQC: it waits for an answer.
    pub(crate) asks_issuer: bool,
    pub(crate) unpredictable_number: [u8; 4],
    amount_minor: u64,
    /// 5F2A: ISO 4217 numeric.
    currency: u64,
    /// 9F34: a claim of the terminal.
    pub(crate) terminal_claims_offline_pin: bool,
    pub(crate) insertion: Insertion,
    /// They name different ways.
    pub(crate) entry_disagrees: bool,
    /// 9F5B: a claim of the terminal.
    pub(crate) script_results: Option<Vec<u8>>,
}

impl ChipData {
    /// Reads the chip data of a request, if it has any. Refuses what [`ChipData::read`] refuses, and a cryptogram that is no ARQC
    /// where the issuer is asked for one.
    pub(crate) fn of(request: &AuthorisationRequest, card: &OpenCard<'_>) -> Result<Option<Self>, Unusable> {
        request
            .chip
            .as_deref()
            .map(|bytes| {
                let chip = Self::read(bytes, &request.pan, card, request.entry)?;
                let must_ask =
                    request.kind == RequestKind::Request && request.transaction != Transaction::Other;
                (chip.asks_issuer || !must_ask)
                    .then_some(chip)
                    .ok_or(Unusable::NotAnArqc)
            })
            .transpose()
    }

    /// Refuses what [`Field55::parse`] refuses; another card's number (5A, 57) or sequence number (5F34); issuer
    /// application data of another layout or cryptogram version than the scheme's; an amount or a currency that is no
    /// number.
    pub(crate) fn read(
        bytes: &[u8],
        pan: &Pan,
        card: &OpenCard<'_>,
        entry: CardEntry,
    ) -> Result<Self, Unusable> {
        let scheme = card.programme.scheme;
        let profile = ChipProfile::of(scheme);
        let field55 = Field55::parse(bytes)?;
        refuse_other_card(&field55, pan, card)?;
        let report = ChipReport::read(profile.iad, field55.iad).ok_or(Unusable::IssuerApplicationData)?;
        if report.cvn != profile.cvn {
            return Err(Unusable::CryptogramVersion(report.cvn));
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
            asks_issuer: CryptogramKind::from_cid(field55.cid) == Some(CryptogramKind::Arqc),
            unpredictable_number: field55.unpredictable_number,
            amount_minor: bcd(&field55.amount).ok_or(Unusable::NotANumber)?,
            currency: bcd(&field55.currency).ok_or(Unusable::NotANumber)?,
            terminal_claims_offline_pin: field55
                .cvm_results
                .is_some_and(|results| results.claims_offline_pin()),
            insertion: insertion(entry, field55.entry_mode, tells_a_tap(bytes)?, card.programme),
            entry_disagrees,
            script_results: field55.script_results.map(<[u8]>::to_vec),
        })
    }

    /// Whether the chip signed the amount and the currency that the message asks for. A PIN service has no currency.
    pub(crate) fn covers_amount(&self, request: &AuthorisationRequest) -> bool {
        let same_currency = self.currency == request.currency.into();
        self.amount_minor == request.amount_minor && (same_currency || request.transaction.is_pin_service())
    }

    /// Message and chip data don't contradict each other about the card's having been inserted.
    pub(crate) fn is_inserted(&self) -> bool {
        self.insertion != Insertion::Denied
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
            occasion: match self.insertion {
                _ if !reaches_chip => Occasion::Advised,
                Insertion::Certain => Occasion::Inserted,
                Insertion::Told => Occasion::ToldInserted,
                Insertion::Denied => Occasion::Tapped,
            },
            script_commands: self.report.script_commands,
            script_failed: self.report.script_failed,
            pin_change_told: self.report.pin_change_reported,
            pin_try_limit_exceeded: self.report.pin_try_limit_exceeded,
        }
    }
}

fn insertion(entry: CardEntry, mode: Option<u8>, tells_a_tap: bool, programme: &Programme) -> Insertion {
    let trusts_message = programme.script_rules().contact_by_field_22;
    match (entry, mode) {
        _ if tells_a_tap => Insertion::Denied,
        (CardEntry::Contact, Some(ENTRY_MODE_05_CONTACT)) => Insertion::Certain,
        (CardEntry::Contact, None) if trusts_message => Insertion::Certain,
        (CardEntry::Contact, None) => Insertion::Told,
        (CardEntry::Contact, Some(_)) => Insertion::Denied,
        (
            CardEntry::Contactless
            | CardEntry::MagneticStripe
            | CardEntry::Fallback
            | CardEntry::NotPresent
            | CardEntry::Unknown,
            _,
        ) => Insertion::Denied,
    }
}

/// Whether there is a data object of contactless kernels: `9F66`, `9F6E`, `9F7C` or one of `DF81xx`. Terminals may have
/// reasons to send them with an inserted card; it is then taken for a tap, which costs nothing but time.
fn tells_a_tap(bytes: &[u8]) -> Result<bool, Unusable> {
    let of_contactless_kernels = |tag: Tag| {
        let named = [TAG_9F66_TTQ, TAG_9F6E_FORM_FACTOR, TAG_9F7C_CUSTOMER_EXCLUSIVE].contains(&tag);
        named || tag.code() >> 8 == CODE_DF81_KERNEL_DATA
    };
    let objects = tlv::parse(bytes).map_err(Field55Error::from)?;
    Ok(objects.iter().any(|object| of_contactless_kernels(object.tag)))
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

/// The cryptogram covers none of these: what contradicts the message is not read on.
fn refuse_other_card(field55: &Field55<'_>, pan: &Pan, card: &OpenCard<'_>) -> Result<(), Unusable> {
    let is_other =
        |number: Option<CardNumber<'_>>| number.is_some_and(|number| !number.is(pan.expose_digits()));
    if is_other(field55.pan) {
        return Err(Unusable::OtherCard("5A"));
    }
    if is_other(field55.track_2) {
        return Err(Unusable::OtherCard("57"));
    }
    let psn = field55.psn.map(|psn| bcd(&[psn]));
    if psn.is_some_and(|psn| psn != Some(card.record.psn.number().into())) {
        return Err(Unusable::OtherCard("5F34"));
    }
    Ok(())
}

fn bcd(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, byte| {
        let (high, low) = (u64::from(byte >> 4), u64::from(byte & 0x0F));
        (high < 10 && low < 10).then(|| number * 100 + high * 10 + low)
    })
}
