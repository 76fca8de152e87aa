//! The issuer's view of each chip profile, as data: how to read what the chip reports, and how to answer it.
//!
//! What the profiles compute is the HSM's business (`paycrypto::cvn`), how scripts are sent is in
//! [`cards::ScriptRules`]; which of it rests on published text is in `docs/standards.md`.

use cards::Scheme;
use emv::iad::{CCI_A5_TDES, CCI_A6_AES, CVN_0A_10, CVN_12_18, CVN_16_22, IadLayout};

/// M/Chip CVN byte of Mastercard's CVN 16; the decimal numbers count bytes from 10 hex.
const CVN_10_16: u8 = 0x10;
const CVN_11_17: u8 = 0x11;
const CVN_14_20: u8 = 0x14;
const CVN_15_21: u8 = 0x15;
/// M/Chip with EMV2000 session keys. The same byte is Visa's 18, in another layout.
const CVN_12_EMV2000: u8 = 0x12;
const CVN_85_133: u8 = 0x85;

/// How cards of one scheme speak and want to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipProfile {
    /// Layout of tag 9F10.
    pub iad: IadLayout,
    /// The cryptogram version byte in it; another is not this profile's.
    pub cvn: u8,
    /// Response code for a chip that is approved, where the ARPC is by method 1. Method 2 says it in the card status
    /// update instead.
    pub approved: [u8; 2],
    /// The same for a declined one.
    pub declined: [u8; 2],
    /// Whether published text or vectors support the whole profile, as `docs/standards.md` tells. Where not, it is shown as
    /// "unverified".
    pub verified: bool,
}

impl ChipProfile {
    /// The row of a scheme.
    #[must_use]
    pub const fn of(scheme: Scheme) -> &'static Self {
        match scheme {
            Scheme::VisaCvn10 => &VISA_CVN10,
            Scheme::VisaCvn18 => &VISA_CVN18,
            Scheme::VisaCvn22 => &VISA_CVN22,
            Scheme::MastercardCvn16 => &MASTERCARD_CVN16,
            Scheme::MastercardCvn17 => &MASTERCARD_CVN17,
            Scheme::MastercardCvn20 => &MASTERCARD_CVN20,
            Scheme::MastercardCvn21 => &MASTERCARD_CVN21,
            Scheme::InteracCvn133 => &INTERAC_CVN133,
            Scheme::CcdTdes => &CCD_TDES,
            Scheme::CcdAes => &CCD_AES,
            Scheme::Emv2000 => &EMV2000,
            Scheme::AmexUnverified => &AMEX_UNVERIFIED,
        }
    }
}

const VISA_CVN10: ChipProfile = ChipProfile {
    iad: IadLayout::Visa,
    cvn: CVN_0A_10,
    approved: *b"00",
    declined: *b"05",
    verified: true,
};

const VISA_CVN18: ChipProfile = ChipProfile {
    cvn: CVN_12_18,
    ..VISA_CVN10
};

const VISA_CVN22: ChipProfile = ChipProfile {
    cvn: CVN_16_22,
    ..VISA_CVN18
};

/// The response code is M/Chip's own, of bits; `0010` approves in the published vectors.
const MASTERCARD_CVN16: ChipProfile = ChipProfile {
    iad: IadLayout::MChip,
    cvn: CVN_10_16,
    approved: [0x00, 0x10],
    declined: [0x00, 0x00],
    verified: true,
};

const MASTERCARD_CVN17: ChipProfile = ChipProfile {
    cvn: CVN_11_17,
    ..MASTERCARD_CVN16
};

const MASTERCARD_CVN20: ChipProfile = ChipProfile {
    cvn: CVN_14_20,
    ..MASTERCARD_CVN16
};

const MASTERCARD_CVN21: ChipProfile = ChipProfile {
    cvn: CVN_15_21,
    ..MASTERCARD_CVN16
};

/// Unverified: what the bits of its card verification results mean.
const INTERAC_CVN133: ChipProfile = ChipProfile {
    iad: IadLayout::Interac,
    cvn: CVN_85_133,
    verified: false,
    ..VISA_CVN10
};

/// Unverified: no published vector of scripts with its secure messaging.
const CCD_TDES: ChipProfile = ChipProfile {
    iad: IadLayout::Ccd,
    cvn: CCI_A5_TDES,
    verified: false,
    ..VISA_CVN10
};

const CCD_AES: ChipProfile = ChipProfile {
    cvn: CCI_A6_AES,
    ..CCD_TDES
};

/// Unverified: that M/Chip's layout went with EMV2000 session keys just so.
const EMV2000: ChipProfile = ChipProfile {
    cvn: CVN_12_EMV2000,
    verified: false,
    ..MASTERCARD_CVN16
};

/// Unverified altogether.
const AMEX_UNVERIFIED: ChipProfile = ChipProfile {
    iad: IadLayout::Amex,
    verified: false,
    ..VISA_CVN10
};
