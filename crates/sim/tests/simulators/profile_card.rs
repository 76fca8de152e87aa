//! A card of any profile in the hands of a test, and its issuer.

use std::path::PathBuf;

use cards::{Expiry, Pan, Psn, Scheme};
use emv::apdu::Command;
use emv::dol::Dol;
use emv::field55::CryptogramKind;
use emv::iad::ChipReport;
use emv::tags::{
    TAG_5F2A_TRANSACTION_CURRENCY, TAG_8A_AUTHORISATION_RESPONSE_CODE, TAG_9A_TRANSACTION_DATE,
    TAG_9C_TRANSACTION_TYPE, TAG_9F1A_TERMINAL_COUNTRY, TAG_9F02_AMOUNT_AUTHORISED, TAG_9F10_IAD,
    TAG_9F26_APPLICATION_CRYPTOGRAM, TAG_9F27_CID, TAG_9F36_ATC, TAG_9F37_UNPREDICTABLE_NUMBER,
    TAG_91_ISSUER_AUTHENTICATION_DATA, TAG_95_TVR,
};
use emv::tlv::{self, Tag};
use paycrypto::arpc::{IssuerAnswer, issuer_authentication_data};
use paycrypto::cryptogram::{AcInput, AcSession};
use paycrypto::cvn::Cvn;
use paycrypto::emv_key::EmvKey;
use paycrypto::icc_keys::CardKeys;
use paycrypto::script::{PIN_UNBLOCK, ScriptContext, build_mac_only, build_pin_change};
use sim::card::chip::{Chip, Interface};
use sim::card::perso::{AID_PINWARD, Perso, ReportCleared};
use sim::card::profile::{AuthenticationBy, CardProfile};
use sim::card::records;
use tempfile::TempDir;

use crate::issuer::{PAN, pin};
use crate::reader::{OK, begin, send, status};

pub(crate) const OLD: &str = "1234";
pub(crate) const NEW: &str = "987654";

/// Card and issuer of one profile.
pub(crate) struct Card {
    _directory: TempDir,
    pub(crate) scheme: Scheme,
    pub(crate) profile: CardProfile,
    pub(crate) keys: CardKeys,
    pub(crate) perso: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) terminal: Vec<(Tag, Vec<u8>)>,
}

/// A first cryptogram with what the issuer needs of it.
pub(crate) struct Arqc {
    pub(crate) session: AcSession,
    pub(crate) atc: u16,
    pub(crate) ac: [u8; 8],
    pub(crate) iad: Vec<u8>,
    pub(crate) report: ChipReport,
}

pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    data_encoding::HEXUPPER.decode(digits.as_bytes()).unwrap()
}

impl Card {
    pub(crate) fn new(scheme: Scheme) -> Self {
        let computes = CardProfile::of(scheme).computes;
        let key = |byte| EmvKey::from_bytes(computes.algorithm(), &[byte; 16]).unwrap();
        Self::with(
            scheme,
            CardKeys::new(computes, key(0x23), key(0x45), key(0x67)).unwrap(),
        )
    }

    pub(crate) fn with(scheme: Scheme, keys: CardKeys) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let perso = directory.path().join("card.perso.json");
        let state = directory.path().join("card.state.json");
        let copy = [keys.ac(), keys.smi(), keys.smc()]
            .map(|key| EmvKey::from_bytes(key.algorithm(), key.expose_bytes()).unwrap());
        let [ac, smi, smc] = copy;
        let card = Perso {
            card_ref: "card".to_owned(),
            pan: Pan::parse(PAN).unwrap(),
            psn: Psn::default(),
            expiry: Expiry::parse_yymm("3012").unwrap(),
            cardholder_name: "TEST/CARD".to_owned(),
            aid: AID_PINWARD.to_vec(),
            label: "PINWARD DEBIT".to_owned(),
            profile: CardProfile::of(scheme),
            keys,
            report_cleared: ReportCleared::default(),
            certified_key: None,
            pin: Some(pin(OLD)),
            pin_try_limit: 3,
            country: 124,
            currency: 124,
        };
        card.write(&perso).unwrap();
        let profile = CardProfile::of(scheme);
        Self {
            _directory: directory,
            scheme,
            // The issuer computes by its own table, not by the card's file.
            keys: CardKeys::new(Cvn::from(scheme), ac, smi, smc).unwrap(),
            profile,
            perso,
            state,
            terminal: vec![
                (TAG_9F02_AMOUNT_AUTHORISED, unhex("000000009999")),
                (TAG_9F1A_TERMINAL_COUNTRY, unhex("0124")),
                (TAG_95_TVR, unhex("8000000000")),
                (TAG_5F2A_TRANSACTION_CURRENCY, unhex("0124")),
                (TAG_9A_TRANSACTION_DATE, unhex("209906")),
                (TAG_9C_TRANSACTION_TYPE, unhex("00")),
                (TAG_9F37_UNPREDICTABLE_NUMBER, unhex("ABCDEF12")),
            ],
        }
    }

    /// The card, as after its power was cut: only what its files say.
    pub(crate) fn chip(&self) -> Chip {
        Chip::open(&self.perso, &self.state).unwrap()
    }

    pub(crate) fn change_perso(&self, change: impl FnOnce(&mut Perso)) {
        let mut perso = Perso::read(&self.perso).unwrap();
        change(&mut perso);
        perso.write(&self.perso).unwrap();
    }

    pub(crate) fn values(&self, list: &Dol, more: &[(Tag, Vec<u8>)]) -> Vec<u8> {
        let all = || more.iter().chain(&self.terminal);
        let value_of = |wanted| {
            all()
                .find(|(tag, _)| *tag == wanted)
                .map(|(_, value)| value.as_slice())
        };
        list.fill(value_of)
    }

    pub(crate) fn generate_ac(&self, chip: &mut Chip, kind: CryptogramKind, values: &[u8]) -> Vec<u8> {
        let (answer, status) = send(chip, &Command::generate_ac(kind, values).to_bytes().unwrap());
        assert_eq!(status, OK, "{:?}", self.scheme);
        answer
    }

    /// The first cryptogram of a transaction under way; asserts that it is right.
    pub(crate) fn arqc(&self, chip: &mut Chip, interface: Interface) -> Arqc {
        let atc = chip.state().atc;
        let unpredictable_number = [0xAB, 0xCD, 0xEF, 0x12];
        let session = AcSession::new(self.keys.profile(), self.keys.ac(), atc, unpredictable_number).unwrap();
        self.arqc_of(chip, interface, session)
    }

    /// The same by an issuer that has these keys of the transaction.
    pub(crate) fn arqc_of(&self, chip: &mut Chip, interface: Interface, session: AcSession) -> Arqc {
        let values = self.values(&self.profile.cdol1, &[]);
        let answer = self.generate_ac(chip, CryptogramKind::Arqc, &values);
        let value = |tag| tlv::find(&answer, tag).unwrap().unwrap();
        assert_eq!(value(TAG_9F27_CID), [0x80]);
        let atc = u16::from_be_bytes(value(TAG_9F36_ATC).try_into().unwrap());
        let ac = value(TAG_9F26_APPLICATION_CRYPTOGRAM).try_into().unwrap();
        let iad = value(TAG_9F10_IAD).to_vec();
        let report = ChipReport::read(self.profile.layout, &iad).expect("the profile's layout");
        assert_eq!(report.cvn, self.profile.cvn_byte);
        let arqc = Arqc {
            session,
            atc,
            ac,
            iad,
            report,
        };
        let input = self.input(&arqc, chip, interface);
        assert_eq!(arqc.session.verify(&input, ac), Ok(true), "{:?}", self.scheme);
        arqc
    }

    pub(crate) fn input<'a>(&self, arqc: &'a Arqc, chip: &Chip, interface: Interface) -> AcInput<'a> {
        AcInput {
            amount: [0, 0, 0, 0, 0x99, 0x99],
            amount_other: [0; 6],
            terminal_country: [0x01, 0x24],
            tvr: [0x80, 0, 0, 0, 0],
            currency: [0x01, 0x24],
            date: [0x20, 0x99, 0x06],
            transaction_type: 0,
            unpredictable_number: [0xAB, 0xCD, 0xEF, 0x12],
            aip: records::aip(chip.perso(), interface),
            atc: arqc.atc,
            iad: &arqc.iad,
        }
    }

    /// Tag 91 of an issuer that approves, or doesn't.
    pub(crate) fn answer(&self, arqc: &Arqc, approves: bool) -> Vec<u8> {
        self.answer_with(arqc, [0, if approves { 0x80 } else { 0 }, 0, 0], approves)
    }

    pub(crate) fn answer_with(&self, arqc: &Arqc, csu: [u8; 4], approves: bool) -> Vec<u8> {
        let response_code = match (self.is_mchip(), approves) {
            (true, true) => [0x00, 0x10],
            (true, false) => [0x00, 0x00],
            (false, true) => *b"00",
            (false, false) => *b"05",
        };
        let answer = IssuerAnswer {
            response_code,
            csu,
            proprietary: &[],
        };
        issuer_authentication_data(&arqc.session, arqc.ac, &answer).unwrap()
    }

    pub(crate) fn is_mchip(&self) -> bool {
        matches!(self.profile.cvn_byte, 0x10..=0x15) && self.profile.cdol1.entries.len() > 8
    }

    /// Brings the answer to the card the way its kind takes it, and asks for the second cryptogram. Gives its kind and
    /// what the card reports with it.
    pub(crate) fn complete(
        &self,
        chip: &mut Chip,
        tag_91: &[u8],
        code: [u8; 2],
    ) -> (CryptogramKind, ChipReport) {
        if self.profile.issuer_authentication == AuthenticationBy::ExternalAuthenticate && !tag_91.is_empty()
        {
            status(chip, &Command::external_authenticate(tag_91).to_bytes().unwrap());
        }
        let mut more = vec![(TAG_8A_AUTHORISATION_RESPONSE_CODE, code.to_vec())];
        if !tag_91.is_empty() {
            more.push((TAG_91_ISSUER_AUTHENTICATION_DATA, tag_91.to_vec()));
        }
        let values = self.values(&self.profile.cdol2, &more);
        let answer = self.generate_ac(chip, CryptogramKind::Tc, &values);
        let value = |tag| tlv::find(&answer, tag).unwrap().unwrap();
        let kind = CryptogramKind::from_cid(value(TAG_9F27_CID)[0]).unwrap();
        let report = ChipReport::read(self.profile.layout, value(TAG_9F10_IAD)).unwrap();
        (kind, report)
    }

    /// A transaction that its issuer approves, up to where scripts of template 72 are sent.
    pub(crate) fn approved(&self, chip: &mut Chip) -> Arqc {
        begin(chip, Interface::Contact);
        let arqc = self.arqc(chip, Interface::Contact);
        let (kind, _) = self.complete(chip, &self.answer(&arqc, true), *b"00");
        assert_eq!(kind, CryptogramKind::Tc, "{:?}", self.scheme);
        arqc
    }

    pub(crate) fn change(&self, arqc: &Arqc) -> Vec<u8> {
        build_pin_change(&self.keys, ScriptContext::first(arqc.atc, arqc.ac), &pin(NEW))
    }

    pub(crate) fn unblock(&self, arqc: &Arqc) -> Vec<u8> {
        build_mac_only(&self.keys, ScriptContext::first(arqc.atc, arqc.ac), PIN_UNBLOCK)
    }

    /// The PIN that a new transaction finds on the card; the card isn't changed.
    pub(crate) fn pin_is(&self, digits: &str) -> bool {
        self.chip().state().pin == Some(pin(digits))
    }
}

/// The check, for a new card of every profile.
pub(crate) fn every_profile(check: impl Fn(Card)) {
    for scheme in Scheme::ALL {
        check(Card::new(scheme));
    }
}
