//! For every version that has published vectors: the card's cryptogram over the published data is the published ARQC, and a
//! card that gave it takes the published ARPC and the published scripts.
//!
//! Not every card here can come to write the published 9F10 and 82 by itself (`tests/simulators/published_cards.rs` has those
//! that can). So both are given to it, and its memory of the first cryptogram is set: answers and scripts depend on that,
//! the ATC and the keys alone.

use std::fs;

use cards::{Expiry, Pan, Psn, Scheme};
use data_encoding::HEXUPPER;
use emv::apdu::Command;
use emv::field55::CryptogramKind;
use paycrypto::account::AccountDigits;
use paycrypto::icc_keys::{IssuerKey, IssuerKeys};
use paycrypto::pin::Pin;
use paycrypto::tdes_key::Tdes2Key;

use super::*;
use crate::card::perso::{AID_PINWARD, ReportCleared};
use crate::card::profile::{AuthenticationBy, CardProfile};

const OK: &[u8] = &[0x90, 0x00];

/// A record of `paycrypto`'s `vectors/cvn.txt`: pyemv's, from a real HSM; `domain/pin-and-emv.md` 4.1.
struct Published(&'static str);

impl Published {
    fn of(cvn: &str) -> Self {
        let text = include_str!("../../../../paycrypto/vectors/cvn.txt");
        let first_line = format!("cvn {cvn}");
        let mut records = text.split("\n\n");
        let record = records.find(|record| record.lines().any(|line| line == first_line));
        Self(record.expect("the version is in the file"))
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let mut lines = self.0.lines();
        let digits = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(HEXUPPER.decode(digits.as_bytes()).unwrap())
    }

    /// The record's card, in the middle of the record's transaction, its issuer authenticated by the record's ARPC.
    fn authenticated(&self, scheme: Scheme, directory: &Path) -> Chip {
        let key = |name| Tdes2Key::from_bytes(&self.bytes(name).unwrap().try_into().unwrap());
        let [ac, smi, smc] = ["imk_ac", "imk_smi", "imk_smc"].map(key);
        let issuer = IssuerKeys {
            ac: IssuerKey::Tdes(&ac),
            smi: IssuerKey::Tdes(&smi),
            smc: IssuerKey::Tdes(&smc),
        };
        let account = AccountDigits::parse("1234567890123456").unwrap();
        let keys = issuer
            .of_card(CardProfile::of(scheme).computes, &account, Psn::default())
            .unwrap();
        let (perso, state) = (directory.join("perso.json"), directory.join("state.json"));
        let card = Perso {
            card_ref: "card".to_owned(),
            pan: Pan::parse("4761739001010010").unwrap(),
            psn: Psn::default(),
            expiry: Expiry::parse_yymm("3012").unwrap(),
            cardholder_name: "TEST/CARD".to_owned(),
            aid: AID_PINWARD.to_vec(),
            label: "PINWARD DEBIT".to_owned(),
            profile: CardProfile::of(scheme),
            keys,
            report_cleared: ReportCleared::default(),
            certified_key: None,
            pin: Some(Pin::parse("8888").unwrap()),
            pin_try_limit: 3,
            country: 124,
            currency: 124,
        };
        card.write(&perso).unwrap();
        let memory = r#"{"atc": 27, "last_online_atc": 26, "pin": "8888", "pin_tries_left": 3,
            "scripts": {"commands": 0, "failed": false}, "scripts_now": {"commands": 0, "failed": false},
            "online_not_completed": false, "issuer_authentication_failed": false}"#;
        fs::write(&state, memory).unwrap();
        let mut chip = Chip::open(&perso, &state).unwrap();
        chip.power_on(Interface::Contact);
        let mut send = |command: Command<'_>| {
            let answer = chip.transmit(&command.to_bytes().unwrap());
            assert!(answer.ends_with(OK));
        };
        send(Command::select(&AID_PINWARD));
        send(Command::get_processing_options(&[0x83, 0x00]));
        let values = self.first_values(scheme);
        send(Command::generate_ac(CryptogramKind::Arqc, &values));
        let arqc = self.bytes("arqc").unwrap().try_into().unwrap();
        let transaction = chip.power.as_mut().unwrap().transaction.as_mut().unwrap();
        let first = transaction.first.as_mut().unwrap();
        let list = chip.perso.profile.cdol1.clone();
        let input = cryptograms::ac_input(|tag| list.value_in(&values, tag), [0x18, 0x00], 0x001C).unwrap();
        let iad = self.bytes("iad").unwrap();
        assert_eq!(
            cryptograms::cryptogram(&first.session, &input, &iad),
            arqc,
            "{scheme:?}"
        );
        first.ac = arqc;
        first.script = ScriptContext::first(0x001C, arqc);
        let tag_91 = match self.bytes("response").unwrap().as_slice() {
            csu if csu.len() == 4 => [self.bytes("arpc").unwrap(), csu.to_vec()].concat(),
            code => [self.bytes("arpc").unwrap(), code.to_vec()].concat(),
        };
        let mut send = |command: Command<'_>| {
            let answer = chip.transmit(&command.to_bytes().unwrap());
            assert!(answer.ends_with(OK), "{scheme:?} {command:?}");
        };
        if CardProfile::of(scheme).issuer_authentication == AuthenticationBy::ExternalAuthenticate {
            send(Command::external_authenticate(&tag_91));
            return chip;
        }
        let mut values = tag_91;
        values.resize(10 + 2 + 5 + 4 + 8, 0);
        send(Command::generate_ac(CryptogramKind::Tc, &values));
        chip
    }

    /// Values of CDOL1; of the versions here, only the unpredictable number enters a key.
    fn first_values(&self, scheme: Scheme) -> Vec<u8> {
        let names = [
            "amount",
            "amount_other",
            "terminal_country",
            "tvr",
            "currency",
            "date",
            "transaction_type",
            "unpredictable_number",
        ];
        let mut values = names.map(|name| self.bytes(name).unwrap()).concat();
        values.resize(CardProfile::of(scheme).cdol1.values_len(), 0);
        values
    }
}

fn check(cvn: &str, scheme: Scheme) {
    let published = Published::of(cvn);
    let mut taken = 0;
    for (name, pin_after) in [
        ("change", "9999"),
        ("change_with_current", "9999"),
        ("mac_only", "8888"),
    ] {
        // Of Visa, `mac_only` is APPLICATION UNBLOCK, which the card doesn't take.
        let Some(script) = published
            .bytes(name)
            .filter(|script| script.get(1) == Some(&0x24))
        else {
            continue;
        };
        let directory = tempfile::tempdir().unwrap();
        let mut chip = published.authenticated(scheme, directory.path());
        assert_eq!(chip.transmit(&script), OK, "{cvn} {name}");
        assert_eq!(chip.state().pin, Pin::parse(pin_after), "{cvn} {name}");
        taken += 1;
    }
    assert_eq!(taken, 2, "{cvn}");
}

#[test]
fn visa_cards_take_the_published_answer_and_scripts() {
    check("Visa10", Scheme::VisaCvn10);
    check("Visa18", Scheme::VisaCvn18);
    check("Visa22", Scheme::VisaCvn22);
}

#[test]
fn interac_cards_take_the_published_answer_and_scripts() {
    check("Interac133", Scheme::InteracCvn133);
}

#[test]
fn mastercard_cards_take_the_published_answer_and_scripts() {
    check("Mastercard16", Scheme::MastercardCvn16);
    check("Mastercard17", Scheme::MastercardCvn17);
    check("Mastercard20", Scheme::MastercardCvn20);
    check("Mastercard21", Scheme::MastercardCvn21);
}
