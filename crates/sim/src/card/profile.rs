//! What a card of each scheme is like beside its cryptography, which `paycrypto::cvn` has: the card's own table, shared with
//! no host.
//!
//! | profile | 9F10 | issuer authentication | script class | script commands performed in a transaction |
//! |---|---|---|---|---|
//! | Visa 10, 18, 22 | Visa, `0A`, `12`, `16` | EXTERNAL AUTHENTICATE | `84` | 1: how a second is chained is unverified |
//! | Mastercard 16, 17, 20, 21 | M/Chip, `10`, `11`, `14`, `15` | second GENERATE AC (tag 91 in CDOL2) | `84` | any number |
//! | EMV2000 | M/Chip, `12` | second GENERATE AC | `84` | any number |
//! | Interac 133 | Interac, `85` | EXTERNAL AUTHENTICATE (unverified) | `84` | any number |
//! | CCD with TDES | CCD, `A5` | second GENERATE AC | `8C` | any number |
//! | CCD with AES | CCD, `A6` | second GENERATE AC | `8C` | 1: as Visa |
//! | Amex | as Visa 10 (unverified) | EXTERNAL AUTHENTICATE | `84` | 1 |

use cards::Scheme;
use emv::apdu::{CLA_8C_SECURE_MESSAGING_BER_TLV, CLA_84_SECURE_MESSAGING};
use emv::iad::{CCI_A5_TDES, CCI_A6_AES, CVN_0A_10, CVN_12_18, CVN_16_22, IadLayout};
use emv::tags::{
    TAG_5F2A_TRANSACTION_CURRENCY, TAG_8A_AUTHORISATION_RESPONSE_CODE, TAG_9A_TRANSACTION_DATE,
    TAG_9C_TRANSACTION_TYPE, TAG_9F1A_TERMINAL_COUNTRY, TAG_9F02_AMOUNT_AUTHORISED, TAG_9F03_AMOUNT_OTHER,
    TAG_9F4C_ICC_DYNAMIC_NUMBER, TAG_9F34_CVM_RESULTS, TAG_9F35_TERMINAL_TYPE, TAG_9F37_UNPREDICTABLE_NUMBER,
    TAG_9F45_DATA_AUTHENTICATION_CODE, TAG_91_ISSUER_AUTHENTICATION_DATA, TAG_95_TVR,
};
use emv::tlv::Tag;
use paycrypto::cvn::Cvn;

/// A card's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardProfile {
    /// Its cryptography.
    pub cvn: Cvn,
    /// Layout of tag 9F10.
    pub layout: IadLayout,
    /// Cryptogram version in tag 9F10; with CCD the common core identifier.
    pub cvn_byte: u8,
    /// Tag 8C: tags and lengths.
    pub cdol1: &'static [(Tag, u8)],
    /// Tag 8D.
    pub cdol2: &'static [(Tag, u8)],
    /// Which command brings the issuer's answer (tag 91).
    pub issuer_authentication: AuthenticationBy,
    /// Class of PIN CHANGE/UNBLOCK.
    pub script_class: u8,
    /// Script commands that it performs in one transaction; a further one is refused and reported as failed.
    pub script_commands_max: u8,
}

/// The command that brings issuer authentication data to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationBy {
    /// Its own.
    ExternalAuthenticate,
    /// The second GENERATE AC, in CDOL2.
    SecondGenerateAc,
}

/// No profile counts further in its report.
const SCRIPT_COMMANDS_ANY: u8 = 15;

/// What every cryptogram covers of the terminal's data, 29 bytes of values.
const CRYPTOGRAM_DATA: [(Tag, u8); 8] = [
    (TAG_9F02_AMOUNT_AUTHORISED, 6),
    (TAG_9F03_AMOUNT_OTHER, 6),
    (TAG_9F1A_TERMINAL_COUNTRY, 2),
    (TAG_95_TVR, 5),
    (TAG_5F2A_TRANSACTION_CURRENCY, 2),
    (TAG_9A_TRANSACTION_DATE, 3),
    (TAG_9C_TRANSACTION_TYPE, 1),
    (TAG_9F37_UNPREDICTABLE_NUMBER, 4),
];

/// The response code, then all of [`CRYPTOGRAM_DATA`] again.
const CDOL2_VISA: [(Tag, u8); 9] = {
    let [a, b, c, d, e, f, g, h] = CRYPTOGRAM_DATA;
    [(TAG_8A_AUTHORISATION_RESPONSE_CODE, 2), a, b, c, d, e, f, g, h]
};

const CDOL1_MCHIP: [(Tag, u8); 12] = {
    let [a, b, c, d, e, f, g, h] = CRYPTOGRAM_DATA;
    [
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        (TAG_9F35_TERMINAL_TYPE, 1),
        (TAG_9F45_DATA_AUTHENTICATION_CODE, 2),
        (TAG_9F4C_ICC_DYNAMIC_NUMBER, 8),
        (TAG_9F34_CVM_RESULTS, 3),
    ]
};

const CDOL2_MCHIP: [(Tag, u8); 5] = [
    (TAG_91_ISSUER_AUTHENTICATION_DATA, 10),
    (TAG_8A_AUTHORISATION_RESPONSE_CODE, 2),
    (TAG_95_TVR, 5),
    (TAG_9F37_UNPREDICTABLE_NUMBER, 4),
    (TAG_9F4C_ICC_DYNAMIC_NUMBER, 8),
];

const CDOL2_CCD: [(Tag, u8); 4] = [
    (TAG_8A_AUTHORISATION_RESPONSE_CODE, 2),
    (TAG_95_TVR, 5),
    (TAG_9F37_UNPREDICTABLE_NUMBER, 4),
    (TAG_91_ISSUER_AUTHENTICATION_DATA, 16),
];

/// M/Chip's counters: cumulative amount (6 bytes) and number (1) of approvals without the issuer, `FF`; read out of the
/// published example `00000000000322FF`.
const COUNTERS_MCHIP: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 0xFF];

impl CardProfile {
    /// Counters in tag 9F10 of a new card.
    #[must_use]
    pub const fn counters(&self) -> [u8; 8] {
        match self.layout {
            IadLayout::MChip => COUNTERS_MCHIP,
            IadLayout::Visa | IadLayout::Interac | IadLayout::Ccd | IadLayout::Amex => [0; 8],
        }
    }

    /// The row of a scheme.
    #[must_use]
    pub const fn of(scheme: Scheme) -> Self {
        match scheme {
            Scheme::VisaCvn10 => Self {
                cvn: Cvn::Visa10,
                layout: IadLayout::Visa,
                cvn_byte: CVN_0A_10,
                cdol1: &CRYPTOGRAM_DATA,
                cdol2: &CDOL2_VISA,
                issuer_authentication: AuthenticationBy::ExternalAuthenticate,
                script_class: CLA_84_SECURE_MESSAGING,
                script_commands_max: 1,
            },
            Scheme::VisaCvn18 => Self {
                cvn: Cvn::Visa18,
                cvn_byte: CVN_12_18,
                ..Self::of(Scheme::VisaCvn10)
            },
            Scheme::VisaCvn22 => Self {
                cvn: Cvn::Visa22,
                cvn_byte: CVN_16_22,
                ..Self::of(Scheme::VisaCvn10)
            },
            Scheme::MastercardCvn16 => Self {
                cvn: Cvn::Mastercard16,
                layout: IadLayout::MChip,
                cvn_byte: 0x10,
                cdol1: &CDOL1_MCHIP,
                cdol2: &CDOL2_MCHIP,
                issuer_authentication: AuthenticationBy::SecondGenerateAc,
                script_class: CLA_84_SECURE_MESSAGING,
                script_commands_max: SCRIPT_COMMANDS_ANY,
            },
            Scheme::MastercardCvn17 => Self {
                cvn: Cvn::Mastercard17,
                cvn_byte: 0x11,
                ..Self::of(Scheme::MastercardCvn16)
            },
            Scheme::MastercardCvn20 => Self {
                cvn: Cvn::Mastercard20,
                cvn_byte: 0x14,
                ..Self::of(Scheme::MastercardCvn16)
            },
            Scheme::MastercardCvn21 => Self {
                cvn: Cvn::Mastercard21,
                cvn_byte: 0x15,
                ..Self::of(Scheme::MastercardCvn16)
            },
            Scheme::Emv2000 => Self {
                cvn: Cvn::Emv2000,
                cvn_byte: 0x12,
                ..Self::of(Scheme::MastercardCvn16)
            },
            Scheme::InteracCvn133 => Self {
                cvn: Cvn::Interac133,
                layout: IadLayout::Interac,
                cvn_byte: 0x85,
                script_commands_max: SCRIPT_COMMANDS_ANY,
                ..Self::of(Scheme::VisaCvn10)
            },
            Scheme::CcdTdes => Self {
                cvn: Cvn::CcdTdes,
                layout: IadLayout::Ccd,
                cvn_byte: CCI_A5_TDES,
                cdol1: &CRYPTOGRAM_DATA,
                cdol2: &CDOL2_CCD,
                issuer_authentication: AuthenticationBy::SecondGenerateAc,
                script_class: CLA_8C_SECURE_MESSAGING_BER_TLV,
                script_commands_max: SCRIPT_COMMANDS_ANY,
            },
            Scheme::CcdAes => Self {
                cvn: Cvn::CcdAes,
                cvn_byte: CCI_A6_AES,
                script_commands_max: 1,
                ..Self::of(Scheme::CcdTdes)
            },
            Scheme::AmexUnverified => Self {
                cvn: Cvn::AmexUnverified,
                layout: IadLayout::Amex,
                ..Self::of(Scheme::VisaCvn10)
            },
        }
    }
}
