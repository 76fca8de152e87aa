//! What a card of each scheme is like: a TOML file, shared with no host; those of `crates/sim/cards` come with the product,
//! by name.
//!
//! | section | holds |
//! |---|---|
//! | `application` | identifier, directories, data objects and data object lists that a terminal reads |
//! | `issuer_data` | layout and fixed parts of tag 9F10 |
//! | `cryptogram` | keys, padding and content of cryptograms |
//! | `issuer_authentication` | how the card knows its issuer |
//! | `script` | PIN CHANGE/UNBLOCK: class, keys, MAC, block of a new PIN |

use std::path::Path;

use cards::Scheme;
use data_encoding::HEXUPPER_PERMISSIVE;
use emv::apdu::{CLA_8C_SECURE_MESSAGING_BER_TLV, CLA_84_SECURE_MESSAGING};
use emv::dol::Dol;
use emv::iad::IadLayout;
use emv::tags::{
    TAG_5F2A_TRANSACTION_CURRENCY, TAG_8A_AUTHORISATION_RESPONSE_CODE, TAG_9A_TRANSACTION_DATE,
    TAG_9C_TRANSACTION_TYPE, TAG_9F1A_TERMINAL_COUNTRY, TAG_9F02_AMOUNT_AUTHORISED, TAG_9F03_AMOUNT_OTHER,
    TAG_9F37_UNPREDICTABLE_NUMBER, TAG_91_ISSUER_AUTHENTICATION_DATA, TAG_95_TVR,
};
use emv::tlv::Tag;
use paycrypto::cvn::{AcIad, ArpcMethod, Cvn, CvnProfile, PinChangeLayout, ScriptMacData};
use serde::Deserialize;

use self::file::{IssuerAuthenticationSection, ProfileFile};
use crate::profile_file::{self, ProfileError, Shelf};

mod file;

macro_rules! card_profiles {
    ($($name:literal),*) => { &[$(($name, include_str!(concat!("../../cards/", $name, ".toml")))),*] };
}

const SHELF: Shelf = Shelf {
    kind: "card profile",
    files: card_profiles![
        "visa-cvn10",
        "visa-cvn18",
        "visa-cvn22",
        "mastercard-cvn16",
        "mastercard-cvn17",
        "mastercard-cvn20",
        "mastercard-cvn21",
        "interac-cvn133",
        "ccd-tdes",
        "ccd-aes",
        "emv2000",
        "amex-unverified"
    ],
};

/// What every cryptogram covers of the terminal's data, with lengths: 29 bytes of values (EMV Book 2 8.1.1).
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

/// Most bytes of values that GENERATE AC takes.
const VALUES_LEN_MAX: usize = 252;

/// A card's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardProfile {
    /// Its name, or the whole path of its file.
    pub name: String,
    /// Application identifier of new cards.
    pub aid: Vec<u8>,
    pub directories: Vec<Directory>,
    /// Tag 9F07.
    pub usage_control: [u8; 2],
    /// Tag 9F08.
    pub version: [u8; 2],
    /// Tag 8C.
    pub cdol1: Dol,
    /// Tag 8D.
    pub cdol2: Dol,
    /// Layout of tag 9F10.
    pub layout: IadLayout,
    /// Cryptogram version in tag 9F10; with CCD the common core identifier.
    pub cvn_byte: u8,
    /// Derivation key index in tag 9F10.
    pub derivation_key_index: u8,
    /// Counters in tag 9F10 of a new card. M/Chip: cumulative amount (6 bytes) and number (1) of approvals without the
    /// issuer, `FF`; read out of the published example `00000000000322FF`.
    pub counters: [u8; 8],
    /// What it computes.
    pub computes: CvnProfile,
    /// Which command brings the issuer's answer (tag 91).
    pub issuer_authentication: AuthenticationBy,
    /// Class of PIN CHANGE/UNBLOCK.
    pub script_class: u8,
    /// Script commands that it performs in one transaction; a further one is refused and reported as failed.
    pub script_commands_max: u8,
}

/// A list of the card's applications, which a terminal may read instead of trying names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directory {
    /// Payment system environment, at the contacts (EMV Book 1 12.2.2).
    Pse,
    /// The same for taps (EMV Contactless Book B 3.3).
    Ppse,
}

impl Directory {
    /// What it is selected by.
    #[must_use]
    pub fn name(self) -> &'static [u8] {
        match self {
            Self::Pse => b"1PAY.SYS.DDF01",
            Self::Ppse => b"2PAY.SYS.DDF01",
        }
    }
}

/// The command that brings issuer authentication data to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthenticationBy {
    /// Its own.
    ExternalAuthenticate,
    /// The second GENERATE AC, in CDOL2.
    SecondGenerateAc,
}

impl CardProfile {
    /// The product's profile of a scheme.
    #[must_use]
    pub fn of(scheme: Scheme) -> Self {
        Self::open(Cvn::from(scheme).name(), Path::new("")).expect("the product's card profiles are tested")
    }

    /// One of the product's by name, or a file by path (with a `/` or ending in `.toml`), relative to `beside` or absolute.
    ///
    /// Refuses what isn't such a file, and by its name each setting that can't be or doesn't fit the others.
    pub fn open(name_or_path: &str, beside: &Path) -> Result<Self, ProfileError> {
        let file = SHELF.open(name_or_path, beside)?;
        if !profile_file::is_path(name_or_path) {
            return Self::check(name_or_path, file);
        }
        let path = beside.join(name_or_path);
        let whole = std::path::absolute(&path).unwrap_or(path);
        Self::check(&whole.display().to_string(), file)
    }

    fn check(name: &str, file: ProfileFile) -> Result<Self, ProfileError> {
        let refused = |setting, wanted| move || SHELF.refusal(name, setting, wanted);
        let need = |fits: bool, setting, wanted| fits.then_some(()).ok_or_else(refused(setting, wanted));
        let ProfileFile {
            application,
            issuer_data,
            cryptogram,
            issuer_authentication,
            script,
        } = file;
        let cdol1 = list(&application.cdol1)
            .filter(tells_cryptogram_data)
            .ok_or_else(refused("application.cdol1", CDOL1_WANTED))?;
        let cdol2 = list(&application.cdol2)
            .filter(|list| brings_the_answer(list, &cdol1, &issuer_authentication))
            .ok_or_else(refused("application.cdol2", CDOL2_WANTED))?;
        let computes = CvnProfile {
            icc_key: cryptogram.master_key,
            ac_key: cryptogram.session_key,
            ac_padding: cryptogram.padding,
            ac_iad: cryptogram.covers,
            arpc: issuer_authentication.arpc,
            script_key: script.keys,
            pin_change: script.new_pin,
            script_mac: script.mac,
        };
        let chained = script.mac == ScriptMacData::Chained;
        need(computes.is_sound(), "cryptogram.master_key", MASTER_KEY_WANTED)?;
        need(
            has_part(issuer_data.layout, cryptogram.covers),
            "cryptogram.covers",
            "all, or a part that the layout of issuer_data has",
        )?;
        need(
            chained == (script.new_pin == PinChangeLayout::Ccd),
            "script.mac",
            "chained with the new PIN of ccd, and with no other",
        )?;
        need(
            (1..=15).contains(&script.commands_max),
            "script.commands_max",
            "a number from 1 to 15",
        )?;
        let two_bytes = |setting| refused(setting, "2 bytes in hexadecimal");
        let [cvn_byte] = bytes(&issuer_data.cryptogram_version)
            .ok_or_else(refused("issuer_data.cryptogram_version", "1 byte in hexadecimal"))?;
        let script_class = if chained {
            CLA_8C_SECURE_MESSAGING_BER_TLV
        } else {
            CLA_84_SECURE_MESSAGING
        };
        need(
            bytes(&script.class) == Some([script_class]),
            "script.class",
            "8C where the MAC is chained, else 84",
        )?;
        Ok(Self {
            name: name.to_owned(),
            aid: profile_file::aid(&application.aid)
                .ok_or_else(refused("application.aid", "5 to 16 bytes in hexadecimal"))?,
            directories: application.directories,
            usage_control: bytes(&application.usage_control)
                .ok_or_else(two_bytes("application.usage_control"))?,
            version: bytes(&application.version).ok_or_else(two_bytes("application.version"))?,
            cdol1,
            cdol2,
            layout: issuer_data.layout,
            cvn_byte,
            derivation_key_index: issuer_data.derivation_key_index,
            counters: bytes(&issuer_data.counters)
                .ok_or_else(refused("issuer_data.counters", "8 bytes in hexadecimal"))?,
            computes,
            issuer_authentication: issuer_authentication.by,
            script_class,
            script_commands_max: script.commands_max,
        })
    }
}

const CDOL1_WANTED: &str = "tags and lengths in hexadecimal, 9F0206 9F0306 9F1A02 9505 5F2A02 9A03 9C01 9F3704 among \
                            them, with 252 bytes of values at most";
const CDOL2_WANTED: &str = "tags and lengths in hexadecimal, 8A02 among them and, where the second GENERATE AC brings \
                            the issuer's answer, 910A by method 1 or 9108 to 9110 by method 2; what the cryptogram \
                            covers in its length; 252 bytes of values at most";
const MASTER_KEY_WANTED: &str = "option-a or option-b; option-c (AES) goes with the common session key, ARPC method 2, \
                                 script keys by the ARQC and the new PIN of ccd";

/// A data object list as it is in the card, blanks between.
fn list(digits: &str) -> Option<Dol> {
    let list = Dol::parse(&unhex(digits)?).ok()?;
    (list.values_len() <= VALUES_LEN_MAX).then_some(list)
}

fn tells_cryptogram_data(cdol1: &Dol) -> bool {
    let told = |wanted| cdol1.entries.contains(wanted);
    CRYPTOGRAM_DATA.iter().all(told)
}

fn brings_the_answer(cdol2: &Dol, cdol1: &Dol, issuer: &IssuerAuthenticationSection) -> bool {
    let len = |list: &Dol, wanted| {
        let mut entries = list.entries.iter();
        entries.find_map(|(tag, len)| (*tag == wanted).then_some(*len))
    };
    let authentication = match (issuer.by, issuer.arpc) {
        (AuthenticationBy::ExternalAuthenticate, _) => true,
        (AuthenticationBy::SecondGenerateAc, ArpcMethod::Method2) => {
            len(cdol2, TAG_91_ISSUER_AUTHENTICATION_DATA).is_some_and(|len| (8..=16).contains(&len))
        }
        (
            AuthenticationBy::SecondGenerateAc,
            ArpcMethod::Method1MasterKey | ArpcMethod::Method1SessionKey,
        ) => len(cdol2, TAG_91_ISSUER_AUTHENTICATION_DATA) == Some(10),
    };
    let fits = |(tag, _): &(Tag, u8)| len(cdol2, *tag).is_none_or(|second| len(cdol1, *tag) == Some(second));
    authentication
        && len(cdol2, TAG_8A_AUTHORISATION_RESPONSE_CODE) == Some(2)
        && CRYPTOGRAM_DATA.iter().all(fits)
}

fn has_part(layout: IadLayout, part: AcIad) -> bool {
    match part {
        AcIad::Whole => true,
        AcIad::VisaCvr => matches!(layout, IadLayout::Visa | IadLayout::Amex),
        AcIad::MChipCvr | AcIad::MChipCvrAndCounters => layout == IadLayout::MChip,
    }
}

fn bytes<const LEN: usize>(digits: &str) -> Option<[u8; LEN]> {
    unhex(digits)?.try_into().ok()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    HEXUPPER_PERMISSIVE
        .decode(digits.replace(' ', "").as_bytes())
        .ok()
}
