//! A test issuer: knows one card's keys, makes its files, answers its cryptograms.

use std::fs;
use std::path::PathBuf;

use cards::{Expiry, Pan, Psn, Scheme};
use paycrypto::account::AccountDigits;
use paycrypto::arpc::{IssuerAnswer, issuer_authentication_data};
use paycrypto::cryptogram::{AcInput, AcSession};
use paycrypto::cvn::Cvn;
use paycrypto::icc_keys::{CardKeys, IssuerKey, IssuerKeys};
use paycrypto::pin::Pin;
use paycrypto::script::{
    PIN_UNBLOCK, ScriptContext, build_mac_only, build_pin_change, build_pin_change_with_current,
};
use paycrypto::tdes_key::Tdes2Key;
use sim::card::chip::Chip;
use sim::card::perso::{AID_PINWARD, Perso, ReportCleared};
use sim::card::profile::CardProfile;
use tempfile::TempDir;

pub(crate) const PAN: &str = "4761739001010010";

/// A folder with one card's files.
pub(crate) struct Folder {
    _directory: TempDir,
    pub(crate) perso: PathBuf,
    pub(crate) state: PathBuf,
}

/// The keys of the vectors of pyemv: PAN 1234567890123456, PSN 00.
pub(crate) fn card_keys() -> CardKeys {
    let [ac, smi, smc] = [
        0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128,
        0xFEDC_BA98_7654_3210_0123_4567_89AB_CDEF,
        0x89AB_CDEF_0123_4567_7654_3210_FEDC_BA98,
    ]
    .map(|value| Tdes2Key::from_bytes(&value.to_be_bytes()));
    let issuer = IssuerKeys {
        ac: IssuerKey::Tdes(&ac),
        smi: IssuerKey::Tdes(&smi),
        smc: IssuerKey::Tdes(&smc),
    };
    let account = AccountDigits::parse("1234567890123456").unwrap();
    issuer.of_card(Cvn::Visa18, &account, Psn::default()).unwrap()
}

pub(crate) fn pin(digits: &str) -> Pin {
    Pin::parse(digits).unwrap()
}

/// A new card, with a PIN or without.
pub(crate) fn new_card(first_pin: Option<&str>) -> Folder {
    let directory = tempfile::tempdir().unwrap();
    let perso = directory.path().join("card.perso.json");
    let card = Perso {
        card_ref: "card".to_owned(),
        pan: Pan::parse(PAN).unwrap(),
        psn: Psn::default(),
        expiry: Expiry::parse_yymm("3012").unwrap(),
        cardholder_name: "TEST/CARD".to_owned(),
        aid: AID_PINWARD.to_vec(),
        label: "PINWARD DEBIT".to_owned(),
        profile: CardProfile::of(Scheme::VisaCvn18),
        keys: card_keys(),
        report_cleared: ReportCleared::default(),
        certified_key: None,
        pin: first_pin.map(pin),
        pin_try_limit: 3,
        country: 372,
        currency: 978,
    };
    card.write(&perso).unwrap();
    let state = directory.path().join("card.state.json");
    Folder {
        _directory: directory,
        perso,
        state,
    }
}

impl Folder {
    /// The card, as after its power was cut: only what its files say.
    pub(crate) fn chip(&self) -> Chip {
        Chip::open(&self.perso, &self.state).unwrap()
    }

    /// Writes a memory that a card may have.
    pub(crate) fn remember(&self, json: &str) {
        fs::write(&self.state, json).unwrap();
    }
}

/// Whether an ARQC is this card's.
pub(crate) fn arqc_is_right(input: &AcInput<'_>, arqc: [u8; 8]) -> bool {
    session(input.atc).verify(input, arqc).unwrap()
}

/// Tag 91.
pub(crate) fn authentication(atc: u16, arqc: [u8; 8], csu: [u8; 4]) -> Vec<u8> {
    let answer = IssuerAnswer {
        response_code: *b"00",
        csu,
        proprietary: &[],
    };
    issuer_authentication_data(&session(atc), arqc, &answer).unwrap()
}

fn session(atc: u16) -> AcSession {
    AcSession::new(Cvn::Visa18, card_keys().ac(), atc, [0; 4]).unwrap()
}

pub(crate) const CSU_APPROVE: [u8; 4] = [0x00, 0x80, 0x00, 0x00];
pub(crate) const CSU_DECLINE: [u8; 4] = [0x00, 0x00, 0x00, 0x00];
/// Approve, and set the PIN try counter to 3.
pub(crate) const CSU_APPROVE_PTC_3: [u8; 4] = [0x03, 0x90, 0x00, 0x00];

pub(crate) fn change_script(atc: u16, arqc: [u8; 8], new: &str) -> Vec<u8> {
    build_pin_change(&card_keys(), ScriptContext::first(atc, arqc), &pin(new))
}

pub(crate) fn change_script_with_current(atc: u16, arqc: [u8; 8], new: &str, current: &str) -> Vec<u8> {
    let (new, current) = (pin(new), pin(current));
    build_pin_change_with_current(&card_keys(), ScriptContext::first(atc, arqc), &new, &current).unwrap()
}

pub(crate) fn unblock_script(atc: u16, arqc: [u8; 8]) -> Vec<u8> {
    build_mac_only(&card_keys(), ScriptContext::first(atc, arqc), PIN_UNBLOCK)
}
