//! A card of every profile: its cryptograms, its issuer, its scripts, its report, its power cut.

use std::fs;
use std::path::PathBuf;

use cards::{Expiry, Pan, Psn, Scheme};
use emv::apdu::Command;
use emv::cvr::{FirstAc, SecondAc};
use emv::dol::Dol;
use emv::field55::CryptogramKind;
use emv::iad::{ChipReport, MChipIad, OfflinePin};
use emv::tags::{
    TAG_5F2A_TRANSACTION_CURRENCY, TAG_8A_AUTHORISATION_RESPONSE_CODE, TAG_9A_TRANSACTION_DATE,
    TAG_9C_TRANSACTION_TYPE, TAG_9F1A_TERMINAL_COUNTRY, TAG_9F02_AMOUNT_AUTHORISED, TAG_9F10_IAD,
    TAG_9F26_APPLICATION_CRYPTOGRAM, TAG_9F27_CID, TAG_9F36_ATC, TAG_9F37_UNPREDICTABLE_NUMBER,
    TAG_91_ISSUER_AUTHENTICATION_DATA, TAG_95_TVR,
};
use emv::tlv::{self, Tag};
use paycrypto::account::AccountDigits;
use paycrypto::arpc::{IssuerAnswer, issuer_authentication_data};
use paycrypto::cryptogram::{AcInput, AcSession};
use paycrypto::cvn::{ArpcMethod, Cvn};
use paycrypto::emv_key::EmvKey;
use paycrypto::icc_keys::{CardKeys, IssuerKey, IssuerKeys};
use paycrypto::script::{
    PIN_UNBLOCK, ScriptContext, build_mac_only, build_pin_change, build_pin_change_with_current,
};
use paycrypto::tdes_key::Tdes2Key;
use sim::card::chip::{Chip, Interface};
use sim::card::data_groups;
use sim::card::perso::{AID_PINWARD, Perso, ReportCleared};
use sim::card::profile::{AuthenticationBy, CardProfile};
use sim::card::records;
use sim::card::tear::Tear;
use tempfile::TempDir;

use crate::issuer::{PAN, pin};
use crate::reader::{OK, begin, pin_tries, send, status, verify};

const CONDITIONS: u16 = 0x6985;
const MAC_WRONG: u16 = 0x6988;

const OLD: &str = "1234";
const NEW: &str = "987654";

/// Card and issuer of one profile.
struct Card {
    _directory: TempDir,
    scheme: Scheme,
    profile: CardProfile,
    keys: CardKeys,
    perso: PathBuf,
    state: PathBuf,
    terminal: Vec<(Tag, Vec<u8>)>,
}

/// A first cryptogram with what the issuer needs of it.
struct Arqc {
    session: AcSession,
    atc: u16,
    ac: [u8; 8],
    iad: Vec<u8>,
    report: ChipReport,
}

fn unhex(digits: &str) -> Vec<u8> {
    data_encoding::HEXUPPER.decode(digits.as_bytes()).unwrap()
}

impl Card {
    fn new(scheme: Scheme) -> Self {
        let cvn = CardProfile::of(scheme).cvn;
        let key = |byte| EmvKey::from_bytes(cvn.algorithm(), &[byte; 16]).unwrap();
        Self::with(
            scheme,
            CardKeys::new(cvn, key(0x23), key(0x45), key(0x67)).unwrap(),
        )
    }

    fn with(scheme: Scheme, keys: CardKeys) -> Self {
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
            scheme,
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
            profile,
            keys: CardKeys::new(profile.cvn, ac, smi, smc).unwrap(),
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
    fn chip(&self) -> Chip {
        Chip::open(&self.perso, &self.state).unwrap()
    }

    fn change_perso(&self, change: impl FnOnce(&mut Perso)) {
        let mut perso = Perso::read(&self.perso).unwrap();
        change(&mut perso);
        perso.write(&self.perso).unwrap();
    }

    fn values(&self, list: &[(Tag, u8)], more: &[(Tag, Vec<u8>)]) -> Vec<u8> {
        let entries = list.to_vec();
        let all = || more.iter().chain(&self.terminal);
        let value_of = |wanted| {
            all()
                .find(|(tag, _)| *tag == wanted)
                .map(|(_, value)| value.as_slice())
        };
        Dol { entries }.fill(value_of)
    }

    fn generate_ac(&self, chip: &mut Chip, kind: CryptogramKind, values: &[u8]) -> Option<Vec<u8>> {
        let (answer, status) = send(chip, &Command::generate_ac(kind, values).to_bytes().unwrap());
        assert_eq!(status, OK, "{:?}", self.scheme);
        Some(answer)
    }

    /// The first cryptogram of a transaction under way; asserts that it is right.
    fn arqc(&self, chip: &mut Chip, interface: Interface) -> Arqc {
        let values = self.values(self.profile.cdol1, &[]);
        let answer = self.generate_ac(chip, CryptogramKind::Arqc, &values).unwrap();
        let value = |tag| tlv::find(&answer, tag).unwrap().unwrap();
        assert_eq!(value(TAG_9F27_CID), [0x80]);
        let atc = u16::from_be_bytes(value(TAG_9F36_ATC).try_into().unwrap());
        let ac = value(TAG_9F26_APPLICATION_CRYPTOGRAM).try_into().unwrap();
        let iad = value(TAG_9F10_IAD).to_vec();
        let unpredictable_number = [0xAB, 0xCD, 0xEF, 0x12];
        let session = AcSession::new(self.profile.cvn, self.keys.ac(), atc, unpredictable_number).unwrap();
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

    fn input<'a>(&self, arqc: &'a Arqc, chip: &Chip, interface: Interface) -> AcInput<'a> {
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
    fn answer(&self, arqc: &Arqc, approves: bool) -> Vec<u8> {
        self.answer_with(arqc, [0, if approves { 0x80 } else { 0 }, 0, 0], approves)
    }

    fn answer_with(&self, arqc: &Arqc, csu: [u8; 4], approves: bool) -> Vec<u8> {
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

    fn is_mchip(&self) -> bool {
        matches!(self.profile.cvn_byte, 0x10..=0x15) && self.profile.cdol1.len() > 8
    }

    /// Brings the answer to the card the way its kind takes it, and asks for the second cryptogram. Gives its kind and
    /// what the card reports with it.
    fn complete(&self, chip: &mut Chip, tag_91: &[u8], code: [u8; 2]) -> (CryptogramKind, ChipReport) {
        if self.profile.issuer_authentication == AuthenticationBy::ExternalAuthenticate && !tag_91.is_empty()
        {
            status(chip, &Command::external_authenticate(tag_91).to_bytes().unwrap());
        }
        let mut more = vec![(TAG_8A_AUTHORISATION_RESPONSE_CODE, code.to_vec())];
        if !tag_91.is_empty() {
            more.push((TAG_91_ISSUER_AUTHENTICATION_DATA, tag_91.to_vec()));
        }
        let values = self.values(self.profile.cdol2, &more);
        let answer = self.generate_ac(chip, CryptogramKind::Tc, &values).unwrap();
        let value = |tag| tlv::find(&answer, tag).unwrap().unwrap();
        let kind = CryptogramKind::from_cid(value(TAG_9F27_CID)[0]).unwrap();
        let report = ChipReport::read(self.profile.layout, value(TAG_9F10_IAD)).unwrap();
        (kind, report)
    }

    /// A transaction that its issuer approves, up to where scripts of template 72 are sent.
    fn approved(&self, chip: &mut Chip) -> Arqc {
        begin(chip, Interface::Contact);
        let arqc = self.arqc(chip, Interface::Contact);
        let (kind, _) = self.complete(chip, &self.answer(&arqc, true), *b"00");
        assert_eq!(kind, CryptogramKind::Tc, "{:?}", self.scheme);
        arqc
    }

    fn change(&self, arqc: &Arqc) -> Vec<u8> {
        build_pin_change(&self.keys, ScriptContext::first(arqc.atc, arqc.ac), &pin(NEW))
    }

    fn unblock(&self, arqc: &Arqc) -> Vec<u8> {
        build_mac_only(&self.keys, ScriptContext::first(arqc.atc, arqc.ac), PIN_UNBLOCK)
    }

    /// The PIN that a new transaction finds on the card; the card isn't changed.
    fn pin_is(&self, digits: &str) -> bool {
        self.chip().state().pin == Some(pin(digits))
    }
}

fn every_profile(check: impl Fn(Card)) {
    for scheme in Scheme::ALL {
        check(Card::new(scheme));
    }
}

#[test]
fn the_cards_own_table_names_each_cryptogram_version_once() {
    let mut cvns: Vec<Cvn> = Scheme::ALL.map(|scheme| CardProfile::of(scheme).cvn).to_vec();
    assert_eq!(
        cvns,
        [
            Cvn::Visa10,
            Cvn::Visa18,
            Cvn::Visa22,
            Cvn::Mastercard16,
            Cvn::Mastercard17,
            Cvn::Mastercard20,
            Cvn::Mastercard21,
            Cvn::Interac133,
            Cvn::CcdTdes,
            Cvn::CcdAes,
            Cvn::Emv2000,
            Cvn::AmexUnverified,
        ]
    );
    cvns.dedup();
    assert_eq!(cvns.len(), Cvn::ALL.len());
}

#[test]
fn a_right_answer_is_approved_a_refusal_isnt_and_a_wrong_one_is_remembered() {
    every_profile(|card| {
        let mut chip = card.chip();
        begin(&mut chip, Interface::Contact);
        let arqc = card.arqc(&mut chip, Interface::Contact);
        let (kind, _) = card.complete(&mut chip, &card.answer(&arqc, false), *b"05");
        assert_eq!(kind, CryptogramKind::Aac);
        begin(&mut chip, Interface::Contact);
        let arqc = card.arqc(&mut chip, Interface::Contact);
        assert!(!arqc.report.issuer_authentication_failed);
        let mut wrong = card.answer(&arqc, true);
        wrong[0] ^= 1;
        let (kind, report) = card.complete(&mut chip, &wrong, *b"00");
        assert_eq!(kind, CryptogramKind::Aac);
        assert!(report.issuer_authentication_failed);
        let mut chip = card.chip();
        assert!(card.approved(&mut chip).report.issuer_authentication_failed);
        let arqc = card.approved(&mut chip);
        assert!(!arqc.report.issuer_authentication_failed);
        assert!(!arqc.report.last_online_not_completed);
    });
}

#[test]
fn an_offline_pin_is_reported_as_verified_or_failed_with_the_tries_left() {
    every_profile(|card| {
        let mut chip = card.chip();
        begin(&mut chip, Interface::Contact);
        let arqc = card.arqc(&mut chip, Interface::Contact);
        assert_eq!(arqc.report.offline_pin, OfflinePin::NotPerformed);
        begin(&mut chip, Interface::Contact);
        assert_eq!(verify(&mut chip, "0000"), 0x63C2);
        let report = card.arqc(&mut chip, Interface::Contact).report;
        assert_eq!(report.offline_pin, OfflinePin::Failed);
        assert!(report.pin_tries_left.is_none_or(|tries| tries == 2));
        assert!(report.last_online_not_completed);
        begin(&mut chip, Interface::Contact);
        assert_eq!(verify(&mut chip, OLD), OK);
        let report = card.arqc(&mut chip, Interface::Contact).report;
        assert_eq!(report.offline_pin, OfflinePin::Verified, "{:?}", card.scheme);
        assert!(report.pin_tries_left.is_none_or(|tries| tries == 3));
        begin(&mut chip, Interface::Contact);
        for _ in 0..3 {
            verify(&mut chip, "0000");
        }
        let report = card.arqc(&mut chip, Interface::Contact).report;
        assert!(report.pin_try_limit_exceeded);
        assert!(report.pin_tries_left.is_none_or(|tries| tries == 0));
    });
}

#[test]
fn a_pin_change_is_applied_reported_in_the_next_arqc_and_cleared_by_its_issuer() {
    every_profile(|card| {
        let mut chip = card.chip();
        begin(&mut chip, Interface::Contact);
        verify(&mut chip, "0000");
        let arqc = card.approved(&mut chip);
        assert_eq!(arqc.report.script_commands, 0);
        assert_eq!(status(&mut chip, &card.change(&arqc)), OK, "{:?}", card.scheme);
        assert!(card.pin_is(NEW));
        let mut chip = card.chip();
        begin(&mut chip, Interface::Contact);
        assert_eq!(pin_tries(&mut chip), 3);
        assert_eq!(verify(&mut chip, OLD), 0x63C2);
        assert_eq!(verify(&mut chip, NEW), OK);

        // A tap and an answer that was lost see the report and don't clear it.
        begin(&mut chip, Interface::Contactless);
        let report = card.arqc(&mut chip, Interface::Contactless).report;
        assert_eq!((report.script_commands, report.script_failed), (1, false));
        begin(&mut chip, Interface::Contact);
        assert_eq!(card.arqc(&mut chip, Interface::Contact).report.script_commands, 1);
        let report = card.approved(&mut chip).report;
        assert_eq!((report.script_commands, report.script_failed), (1, false));
        assert_eq!(report.pin_change_reported, card.is_mchip().then_some(true));
        let report = card.approved(&mut chip).report;
        assert_eq!((report.script_commands, report.script_failed), (0, false));
        assert_eq!(report.pin_change_reported, card.is_mchip().then_some(false));
    });
}

#[test]
fn an_unblock_frees_the_pin_and_is_no_change() {
    every_profile(|card| {
        let mut chip = card.chip();
        begin(&mut chip, Interface::Contact);
        for _ in 0..3 {
            verify(&mut chip, "0000");
        }
        let arqc = card.approved(&mut chip);
        assert!(arqc.report.pin_try_limit_exceeded);
        assert_eq!(status(&mut chip, &card.unblock(&arqc)), OK);
        let report = card.approved(&mut chip).report;
        assert!(!report.pin_try_limit_exceeded);
        assert_eq!(report.script_commands, 1);
        assert!(report.pin_change_reported.is_none_or(|changed| !changed));
        begin(&mut chip, Interface::Contact);
        assert_eq!(verify(&mut chip, OLD), OK);
    });
}

#[test]
fn a_card_status_update_sets_the_tries_where_the_profile_has_one() {
    every_profile(|card| {
        let by_csu = card.profile.cvn.profile().arpc == ArpcMethod::Method2;
        let mut chip = card.chip();
        begin(&mut chip, Interface::Contact);
        for _ in 0..3 {
            verify(&mut chip, "0000");
        }
        let arqc = card.arqc(&mut chip, Interface::Contact);
        let data = card.answer_with(&arqc, [0x03, 0x98, 0x00, 0x00], true);
        assert_eq!(card.complete(&mut chip, &data, *b"00").0, CryptogramKind::Tc);
        begin(&mut chip, Interface::Contact);
        assert_eq!(pin_tries(&mut chip), if by_csu { 3 } else { 0 });
        let report = card.arqc(&mut chip, Interface::Contact).report;
        assert_eq!(report.script_commands, 0);
        assert!(report.go_online_next.is_none_or(|asked| asked == by_csu));
    });
}

#[test]
fn a_script_of_another_transaction_is_refused_and_reported_as_failed() {
    every_profile(|card| {
        let mut chip = card.chip();
        let first = card.approved(&mut chip);
        let replayed = card.change(&first);
        card.approved(&mut chip);
        assert_eq!(status(&mut chip, &replayed), MAC_WRONG, "{:?}", card.scheme);
        assert!(card.pin_is(OLD));
        let report = card.approved(&mut chip).report;
        assert!(report.script_failed);
        assert!(report.pin_change_reported.is_none_or(|changed| !changed));
        assert!(!card.approved(&mut chip).report.script_failed);
    });
}

#[test]
fn a_script_with_any_one_bit_changed_is_refused() {
    every_profile(|card| {
        let mut chip = card.chip();
        let arqc = card.approved(&mut chip);
        for script in [card.change(&arqc), card.unblock(&arqc)] {
            for bit in 0..script.len() * 8 {
                let mut changed = script.clone();
                changed[bit / 8] ^= 0x80 >> (bit % 8);
                assert_ne!(status(&mut chip, &changed), OK, "{:?}, bit {bit}", card.scheme);
            }
        }
        assert!(card.pin_is(OLD));
        assert_eq!(status(&mut chip, &card.change(&arqc)), OK);
    });
}

#[test]
fn a_script_needs_an_issuer_that_was_authenticated_in_this_transaction() {
    every_profile(|card| {
        let mut chip = card.chip();
        card.approved(&mut chip);
        begin(&mut chip, Interface::Contact);
        let arqc = card.arqc(&mut chip, Interface::Contact);
        let script = card.change(&arqc);
        assert_eq!(status(&mut chip, &script), CONDITIONS);
        let mut wrong = card.answer(&arqc, true);
        wrong[0] ^= 1;
        card.complete(&mut chip, &wrong, *b"00");
        assert_eq!(status(&mut chip, &script), CONDITIONS);
        begin(&mut chip, Interface::Contact);
        let arqc = card.arqc(&mut chip, Interface::Contact);
        card.complete(&mut chip, &[], *b"00");
        assert_eq!(status(&mut chip, &card.change(&arqc)), CONDITIONS);
        begin(&mut chip, Interface::Contactless);
        let arqc = card.arqc(&mut chip, Interface::Contactless);
        assert_eq!(status(&mut chip, &card.change(&arqc)), CONDITIONS);
        assert!(card.pin_is(OLD));
        assert_eq!(card.approved(&mut chip).report.script_commands, 0);
    });
}

#[test]
fn a_script_of_template_71_works_only_where_the_issuer_is_known_before_the_second_cryptogram() {
    every_profile(|card| {
        let mut chip = card.chip();
        begin(&mut chip, Interface::Contact);
        let arqc = card.arqc(&mut chip, Interface::Contact);
        let data = card.answer(&arqc, true);
        let authenticate = Command::external_authenticate(&data).to_bytes().unwrap();
        let early = card.profile.issuer_authentication == AuthenticationBy::ExternalAuthenticate;
        let (authenticated, changed) = if early { (OK, OK) } else { (0x6D00, CONDITIONS) };
        assert_eq!(status(&mut chip, &authenticate), authenticated);
        assert_eq!(status(&mut chip, &card.change(&arqc)), changed);
        assert_eq!(card.pin_is(NEW), early);
    });
}

#[test]
fn a_second_command_of_one_transaction_works_only_where_its_chaining_is_published() {
    every_profile(|card| {
        let mut chip = card.chip();
        let arqc = card.approved(&mut chip);
        let first = card.unblock(&arqc);
        let second = ScriptContext::first(arqc.atc, arqc.ac).after(&card.keys, &first);
        let second = build_pin_change(&card.keys, second, &pin(NEW));
        assert_eq!(status(&mut chip, &first), OK);
        let chained = card.profile.script_commands_max > 1;
        let expected = if chained { OK } else { CONDITIONS };
        assert_eq!(status(&mut chip, &second), expected, "{:?}", card.scheme);
        assert_eq!(card.pin_is(NEW), chained);
        let report = card.approved(&mut chip).report;
        assert_eq!(report.script_failed, !chained);
    });
}

#[test]
fn a_change_that_needs_the_current_pin_works_where_it_is_published_and_the_chip_holds_it() {
    every_profile(|card| {
        let mut chip = card.chip();
        let arqc = card.approved(&mut chip);
        let context = ScriptContext::first(arqc.atc, arqc.ac);
        let build =
            |current: &str| build_pin_change_with_current(&card.keys, context, &pin(NEW), &pin(current));
        let Some(wrong) = build("7777") else {
            assert!(!matches!(card.profile.layout, emv::iad::IadLayout::Visa));
            return;
        };
        assert_eq!(status(&mut chip, &wrong), 0x6A80);
        assert_eq!(status(&mut chip, &build(OLD).unwrap()), OK);
        assert!(card.pin_is(NEW));
    });
}

#[test]
fn the_script_class_is_the_profiles_own() {
    every_profile(|card| {
        let mut chip = card.chip();
        let arqc = card.approved(&mut chip);
        let mut script = card.change(&arqc);
        assert_eq!(script[0], card.profile.script_class);
        script[0] = if script[0] == 0x84 { 0x8C } else { 0x84 };
        assert_eq!(status(&mut chip, &script), 0x6E00);
        assert_eq!(card.approved(&mut chip).report.script_commands, 0);
    });
}

#[test]
fn a_report_may_be_cleared_by_any_online_answer_where_the_card_is_made_so() {
    every_profile(|card| {
        card.change_perso(|perso| perso.report_cleared = ReportCleared::AfterOnline);
        let mut chip = card.chip();
        let arqc = card.approved(&mut chip);
        assert_eq!(status(&mut chip, &card.change(&arqc)), OK);
        // No answer: the terminal says so in its response code.
        begin(&mut chip, Interface::Contact);
        assert_eq!(card.arqc(&mut chip, Interface::Contact).report.script_commands, 1);
        card.complete(&mut chip, &[], *b"Z3");
        begin(&mut chip, Interface::Contact);
        assert_eq!(card.arqc(&mut chip, Interface::Contact).report.script_commands, 1);
        card.complete(&mut chip, &[], *b"00");
        begin(&mut chip, Interface::Contact);
        assert_eq!(card.arqc(&mut chip, Interface::Contact).report.script_commands, 0);
    });
    every_profile(|card| {
        let mut chip = card.chip();
        let arqc = card.approved(&mut chip);
        assert_eq!(status(&mut chip, &card.change(&arqc)), OK);
        begin(&mut chip, Interface::Contact);
        card.arqc(&mut chip, Interface::Contact);
        card.complete(&mut chip, &[], *b"00");
        begin(&mut chip, Interface::Contact);
        assert_eq!(card.arqc(&mut chip, Interface::Contact).report.script_commands, 1);
    });
}

#[test]
fn a_card_torn_before_or_in_its_script_has_the_old_pin_and_torn_after_it_the_new() {
    every_profile(|card| {
        let check = |tear: Tear, applied: bool| {
            let _ = fs::remove_file(&card.state);
            let mut chip = card.chip();
            let arqc = card.approved(&mut chip);
            let script = card.change(&arqc);
            chip.tear(tear);
            assert!(chip.transmit(&script).is_empty(), "{:?} {tear:?}", card.scheme);
            assert!(chip.transmit(&script).is_empty(), "there is no power");
            assert_eq!(
                card.pin_is(if applied { NEW } else { OLD }),
                applied || card.pin_is(OLD)
            );
            assert_eq!(card.pin_is(NEW), applied, "{:?} {tear:?}", card.scheme);
            let report = card.approved(&mut card.chip()).report;
            assert_eq!(report.script_commands, u8::from(applied));
            assert!(!report.script_failed);
        };
        let script_len = card.change(&card.approved(&mut card.chip())).len();
        check(Tear::BeforeCommand(1), false);
        check(Tear::AfterBytes(script_len - 1), false);
        check(Tear::AfterBytes(script_len), false);
        check(Tear::BeforeWrite(1), false);
        check(Tear::AfterCommand(1), true);
        check(Tear::AfterBytes(script_len + 1), true);
    });
}

/// A card torn at any byte of a transaction with a script has one of both PINs, and reports the new one if and only if it
/// has it.
#[test]
fn a_card_torn_at_any_byte_reports_the_change_if_and_only_if_it_has_it() {
    for scheme in [Scheme::VisaCvn18, Scheme::MastercardCvn17, Scheme::CcdAes] {
        let card = Card::new(scheme);
        let mut torn = [false; 2];
        for bytes in (1..400).step_by(3) {
            let _ = fs::remove_file(&card.state);
            let mut chip = card.chip();
            chip.power_on(Interface::Contact);
            chip.tear(Tear::AfterBytes(bytes));
            let ended = transaction_with_script(&card, &mut chip);
            let changed = card.pin_is(NEW);
            torn[usize::from(ended)] = true;
            assert!(changed || card.pin_is(OLD));
            assert!(changed || !ended, "{scheme:?}, {bytes} bytes");
            let mut chip = card.chip();
            let report = card.approved(&mut chip).report;
            assert_eq!(
                report.script_commands,
                u8::from(changed),
                "{scheme:?}, {bytes} bytes"
            );
            let pin_now = if changed { NEW } else { OLD };
            begin(&mut chip, Interface::Contact);
            assert_eq!(verify(&mut chip, pin_now), OK);
        }
        assert_eq!(torn, [true; 2], "{scheme:?}: torn early and not at all");
    }
}

/// As far as the card answers; whether to the end.
fn transaction_with_script(card: &Card, chip: &mut Chip) -> bool {
    let ask = |chip: &mut Chip, command: &Command<'_>| {
        let answer = chip.transmit(&command.to_bytes().unwrap());
        let (data, status) = answer.split_last_chunk::<2>()?;
        (*status == [0x90, 0x00]).then(|| data.to_vec())
    };
    let go = |chip: &mut Chip| {
        ask(chip, &Command::select(&AID_PINWARD))?;
        ask(chip, &Command::get_processing_options(&[0x83, 0x00]))?;
        let values = card.values(card.profile.cdol1, &[]);
        let answer = ask(chip, &Command::generate_ac(CryptogramKind::Arqc, &values))?;
        let value = |tag| tlv::find(&answer, tag).unwrap().unwrap();
        let ac = value(TAG_9F26_APPLICATION_CRYPTOGRAM).try_into().unwrap();
        let unpredictable = [0xAB, 0xCD, 0xEF, 0x12];
        let session = AcSession::new(card.profile.cvn, card.keys.ac(), 1, unpredictable).unwrap();
        let iad = value(TAG_9F10_IAD).to_vec();
        let report = ChipReport::read(card.profile.layout, &iad).unwrap();
        let arqc = Arqc {
            session,
            atc: 1,
            ac,
            iad,
            report,
        };
        let data = card.answer(&arqc, true);
        if card.profile.issuer_authentication == AuthenticationBy::ExternalAuthenticate {
            ask(chip, &Command::external_authenticate(&data))?;
        }
        let more = [(TAG_91_ISSUER_AUTHENTICATION_DATA, data)];
        let values = card.values(card.profile.cdol2, &more);
        ask(chip, &Command::generate_ac(CryptogramKind::Tc, &values))?;
        let script = card.change(&arqc);
        ask(chip, &Command::parse(&script).unwrap())
    };
    go(chip).is_some()
}

#[test]
fn a_pin_try_is_charged_even_where_the_power_is_cut_before_the_answer() {
    let card = Card::new(Scheme::MastercardCvn16);
    for left in [2, 1, 0] {
        let mut chip = card.chip();
        begin(&mut chip, Interface::Contact);
        chip.tear(Tear::AfterCommand(1));
        let block = paycrypto::pinblock::encode_iso2(&pin("0000"));
        assert!(
            chip.transmit(&Command::verify_plaintext(&block).to_bytes().unwrap())
                .is_empty()
        );
        assert_eq!(card.chip().state().pin_tries_left, left);
    }
    // Cut between the charge and the refund of a right PIN: the try is gone.
    let card = Card::new(Scheme::MastercardCvn16);
    let mut chip = card.chip();
    begin(&mut chip, Interface::Contact);
    chip.tear(Tear::BeforeWrite(2));
    let block = paycrypto::pinblock::encode_iso2(&pin(OLD));
    assert!(
        chip.transmit(&Command::verify_plaintext(&block).to_bytes().unwrap())
            .is_empty()
    );
    assert_eq!(card.chip().state().pin_tries_left, 2);
}

#[test]
fn an_mchip_card_tells_domestic_from_international_and_both_cryptograms() {
    let mut card = Card::new(Scheme::MastercardCvn16);
    let mut chip = card.chip();
    begin(&mut chip, Interface::Contact);
    let arqc = card.arqc(&mut chip, Interface::Contact);
    let iad = MChipIad::parse(&arqc.iad).unwrap();
    assert_eq!(iad.cvr.0.to_vec(), unhex("A00003220000"));
    assert_eq!(iad.cvr.acs(), (SecondAc::NotRequested, FirstAc::Arqc));
    card.change_perso(|perso| perso.country = 372);
    card.terminal.retain(|(tag, _)| *tag != TAG_9F1A_TERMINAL_COUNTRY);
    card.terminal.push((TAG_9F1A_TERMINAL_COUNTRY, unhex("0124")));
    let mut chip = card.chip();
    begin(&mut chip, Interface::Contact);
    let arqc = card.arqc(&mut chip, Interface::Contact);
    assert_eq!(
        MChipIad::parse(&arqc.iad).unwrap().cvr.0.to_vec(),
        unhex("A00003A40000")
    );
}

/// A record of `paycrypto`'s `vectors/cvn.txt`: pyemv's, from a real HSM; `domain/pin-and-emv.md` 4.1.
struct Published(&'static str);

impl Published {
    fn of(cvn: &str) -> Self {
        let text = include_str!("../../../paycrypto/vectors/cvn.txt");
        let records = text.split("\n\n");
        let first_line = format!("cvn {cvn}");
        let record = records
            .into_iter()
            .find(|record| record.lines().any(|line| line == first_line));
        Self(record.expect("the version is in the file"))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let line = self
            .0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        unhex(line.expect("the value is in the record"))
    }

    /// The card of the record, its memory as before the record's transaction.
    fn card(&self, scheme: Scheme, memory: &str) -> Card {
        let key = |name| Tdes2Key::from_bytes(&self.bytes(name).try_into().unwrap());
        let [ac, smi, smc] = ["imk_ac", "imk_smi", "imk_smc"].map(key);
        let issuer = IssuerKeys {
            ac: IssuerKey::Tdes(&ac),
            smi: IssuerKey::Tdes(&smi),
            smc: IssuerKey::Tdes(&smc),
        };
        let account = AccountDigits::parse("1234567890123456").unwrap();
        let keys = issuer
            .of_card(CardProfile::of(scheme).cvn, &account, Psn::default())
            .unwrap();
        let mut card = Card::with(scheme, keys);
        fs::write(&card.state, memory).unwrap();
        card.terminal = vec![
            (TAG_9F02_AMOUNT_AUTHORISED, self.bytes("amount")),
            (TAG_9F1A_TERMINAL_COUNTRY, self.bytes("terminal_country")),
            (TAG_95_TVR, self.bytes("tvr")),
            (TAG_5F2A_TRANSACTION_CURRENCY, self.bytes("currency")),
            (TAG_9A_TRANSACTION_DATE, self.bytes("date")),
            (TAG_9C_TRANSACTION_TYPE, self.bytes("transaction_type")),
            (TAG_9F37_UNPREDICTABLE_NUMBER, self.bytes("unpredictable_number")),
        ];
        card
    }

    /// Cryptogram and 9F10 that the card gives to the record's terminal data.
    fn first_ac(card: &Card, chip: &mut Chip, interface: Interface) -> (Vec<u8>, Vec<u8>) {
        begin(chip, interface);
        let values = card.values(card.profile.cdol1, &[]);
        let answer = card.generate_ac(chip, CryptogramKind::Arqc, &values).unwrap();
        let value = |tag| tlv::find(&answer, tag).unwrap().unwrap().to_vec();
        (value(TAG_9F26_APPLICATION_CRYPTOGRAM), value(TAG_9F10_IAD))
    }
}

/// Mastercard's records are of a card at its contacts: ARQC, ARPC and both scripts, byte for byte. The records have 8888 as
/// the current and 9999 as the new PIN.
#[test]
fn mastercard_cards_give_the_published_arqc_and_take_the_published_answer_and_scripts() {
    let check = |cvn: &str, scheme: Scheme, counters: &str| {
        let published = Published::of(cvn);
        let memory = format!(
            r#"{{"atc": 27, "last_online_atc": 26, "pin": "8888", "pin_tries_left": 3,
                "scripts": {{"commands": 0, "failed": false}}, "scripts_now": {{"commands": 0, "failed": false}},
                "online_not_completed": false, "issuer_authentication_failed": false, "counters": "{counters}"}}"#
        );
        let tag_91 = [published.bytes("arpc"), published.bytes("response")].concat();
        for (script, pin_after) in [("change", "9999"), ("mac_only", "8888")] {
            let card = published.card(scheme, &memory);
            let mut chip = card.chip();
            let (arqc, iad) = Published::first_ac(&card, &mut chip, Interface::Contact);
            assert_eq!(arqc, published.bytes("arqc"), "{cvn}");
            assert_eq!(iad[2..8], published.bytes("iad")[2..8], "{cvn}");
            let (kind, _) = card.complete(&mut chip, &tag_91, *b"00");
            assert_eq!(kind, CryptogramKind::Tc, "{cvn}");
            assert_eq!(status(&mut chip, &published.bytes(script)), OK, "{cvn} {script}");
            assert!(card.pin_is(pin_after), "{cvn} {script}");
        }
    };
    check("Mastercard16", Scheme::MastercardCvn16, "00000000000000FF");
    check("Mastercard17", Scheme::MastercardCvn17, "00000000000322FF");
    check("Mastercard20", Scheme::MastercardCvn20, "00000000000000FF");
    check("Mastercard21", Scheme::MastercardCvn21, "00000000000322FF");
}

/// Visa's records have the interchange profile 1800, which a Visa card here has at a tap. (Version 22's 9F10 says 18, and
/// Interac's CVR can't be read, so their cards can't give those records' ARQC; `paycrypto` does.)
#[test]
fn visa_cards_give_the_published_arqc() {
    let published = Published::of("Visa10");
    let card = published.card(
        Scheme::VisaCvn10,
        r#"{"atc": 27, "last_online_atc": 1, "pin": "8888", "pin_tries_left": 0,
            "scripts": {"commands": 1, "failed": false}, "scripts_now": {"commands": 0, "failed": false},
            "online_not_completed": false, "issuer_authentication_failed": false}"#,
    );
    let (arqc, iad) = Published::first_ac(&card, &mut card.chip(), Interface::Contactless);
    assert_eq!(iad, published.bytes("iad"));
    assert_eq!(arqc, published.bytes("arqc"));

    let published = Published::of("Visa18");
    let card = published.card(
        Scheme::VisaCvn18,
        r#"{"atc": 27, "last_online_atc": 0, "pin": null, "pin_tries_left": 3,
            "scripts": {"commands": 0, "failed": false}, "scripts_now": {"commands": 0, "failed": false},
            "online_not_completed": true, "issuer_authentication_failed": true}"#,
    );
    let (arqc, iad) = Published::first_ac(&card, &mut card.chip(), Interface::Contactless);
    assert_eq!(iad, published.bytes("iad"));
    assert_eq!(arqc, published.bytes("arqc"));
}

#[test]
fn all_data_of_a_card_is_listed_with_its_keys_and_shown_without() {
    let card = Card::new(Scheme::CcdAes);
    let perso = Perso::read(&card.perso).unwrap();
    let groups = data_groups::expose_all(&perso);
    let data = |dgi: &str| {
        groups
            .iter()
            .find(|group| group.dgi == dgi)
            .map(|group| group.data.as_str())
    };
    let record = records::record(&perso, Interface::Contact, 1, 2).unwrap();
    assert_eq!(
        data("0102"),
        Some(data_encoding::HEXUPPER.encode(&record).as_str())
    );
    let keys = ["23".repeat(16), "45".repeat(16), "67".repeat(16)].concat();
    assert_eq!(data("8000"), Some(keys.as_str()));
    assert_eq!(data("8010"), Some("241234FFFFFFFFFF"));
    assert_eq!(
        data("9104"),
        Some("820218009408080102001001010 0".replace(' ', "").as_str())
    );
    assert_eq!(data("0301"), None);
    assert!(!format!("{groups:?}").contains("2323"));
}
