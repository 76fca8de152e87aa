//! Cards with the keys of published vectors: their cryptograms, and the published answers and scripts.

use std::fs;

use cards::{Psn, Scheme};
use emv::field55::CryptogramKind;
use emv::tags::{
    TAG_5F2A_TRANSACTION_CURRENCY, TAG_9A_TRANSACTION_DATE, TAG_9C_TRANSACTION_TYPE,
    TAG_9F1A_TERMINAL_COUNTRY, TAG_9F02_AMOUNT_AUTHORISED, TAG_9F10_IAD, TAG_9F26_APPLICATION_CRYPTOGRAM,
    TAG_9F37_UNPREDICTABLE_NUMBER, TAG_95_TVR,
};
use emv::tlv::{self};
use paycrypto::account::AccountDigits;
use paycrypto::icc_keys::{IssuerKey, IssuerKeys};
use paycrypto::tdes_key::Tdes2Key;
use sim::card::chip::{Chip, Interface};
use sim::card::profile::CardProfile;

use crate::profile_card::{Card, unhex};
use crate::reader::{OK, begin, status};

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
            .of_card(CardProfile::of(scheme).computes, &account, Psn::default())
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
        let values = card.values(&card.profile.cdol1, &[]);
        let answer = card.generate_ac(chip, CryptogramKind::Arqc, &values);
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
/// Interac's CVR can't be read, so their cards don't come to write those records' 9F10; `published_tests` gives it to them.)
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
