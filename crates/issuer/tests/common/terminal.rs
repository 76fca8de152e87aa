//! A chip card in a terminal, down to its commands, so that a test can stop at any of them.

use std::path::Path;

use cards::Pan;
use emv::{
    apdu::{Command, Response, SW_9000_OK, StatusWord},
    bits::Tvr,
    cvm::CvmResults,
    field55::{CryptogramKind, Field55},
    script::IssuerScript,
    tags::{
        TAG_9F10_IAD, TAG_9F26_APPLICATION_CRYPTOGRAM, TAG_9F27_CID, TAG_9F36_ATC,
        TAG_71_SCRIPT_BEFORE_FINAL_AC, TAG_72_SCRIPT_AFTER_FINAL_AC, TAG_82_AIP,
        TAG_91_ISSUER_AUTHENTICATION_DATA,
    },
    tlv::{self, Tag},
};
use paycrypto::pin::Pin;
use sim::card::{
    chip::{Chip, Interface},
    perso::{AID_PINWARD, Perso},
    profile::CardProfile,
};

use super::{TRIES_MAX, chip_keys, expiry, psn};

/// 9F34: plaintext PIN checked by the chip, successful.
pub(crate) const CLAIMS_OFFLINE_PIN: [u8; 3] = [0x41, 0x03, 0x02];
/// 9F34: no verification.
pub(crate) const CLAIMS_NOTHING: [u8; 3] = [0x1F, 0x03, 0x02];

/// A chip as the bureau delivers it, with its files in a directory.
pub(crate) fn new_chip(directory: &Path, pan: &Pan, pin: &str) -> Chip {
    let perso = Perso {
        card_ref: "test".into(),
        pan: pan.clone(),
        psn: psn(),
        expiry: expiry(),
        cardholder_name: "BYRNE/ADA".into(),
        aid: AID_PINWARD.to_vec(),
        label: "TEST".into(),
        profile: CardProfile::of(cards::Scheme::VisaCvn18),
        keys: chip_keys(cards::Scheme::VisaCvn18, pan),
        report_cleared: sim::card::perso::ReportCleared::default(),
        certified_key: None,
        pin: Pin::parse(pin),
        pin_try_limit: TRIES_MAX,
        country: 372,
        currency: 978,
    };
    let path = directory.join(format!("{}.perso.json", pan.last_four()));
    perso.write(&path).unwrap();
    Chip::open(&path, &path.with_extension("state")).unwrap()
}

/// A card that has given its cryptogram and waits for the issuer.
pub(crate) struct Presented {
    /// DE55 of the request.
    pub(crate) field_55: Vec<u8>,
    values: Vec<u8>,
}

/// Inserts or taps the card, keys the PINs, and has it ask for the issuer. The amount is zero.
pub(crate) fn present(chip: &mut Chip, interface: Interface, keyed: &[&str], claim: [u8; 3]) -> Presented {
    chip.power_on(interface);
    ask(chip, &Command::select(&AID_PINWARD));
    let options = ask(chip, &Command::get_processing_options(&[0x83, 0x00]));
    for pin in keyed {
        key_in(chip, pin);
    }
    // CDOL1: amount, other amount, country, TVR, currency, date, type, unpredictable number.
    let unpredictable_number = [0x5A, 0x17, 0xC0, 0xDE];
    let (country, currency, date) = ([0x03, 0x72], [0x09, 0x78], [0x27, 0x01, 0x15]);
    let mut values = vec![0; 12];
    values.extend(
        [
            &country[..],
            &[0; 5],
            &currency,
            &date,
            &[0x00],
            &unpredictable_number,
        ]
        .concat(),
    );
    let answer = ask(chip, &Command::generate_ac(CryptogramKind::Arqc, &values));
    let atc = exact(&answer, TAG_9F36_ATC);
    let field_55 = Field55 {
        cryptogram: exact(&answer, TAG_9F26_APPLICATION_CRYPTOGRAM),
        cid: exact::<1>(&answer, TAG_9F27_CID)[0],
        iad: &value(&answer, TAG_9F10_IAD),
        unpredictable_number,
        atc,
        tvr: Tvr([0; 5]),
        date,
        transaction_type: 0,
        amount: [0; 6],
        amount_other: [0; 6],
        currency,
        aip: exact(&options, TAG_82_AIP),
        terminal_country: country,
        cvm_results: Some(CvmResults::from_bytes(claim)),
        terminal_type: None,
        psn: Some(psn().number()),
        entry_mode: Some(if interface == Interface::Contact {
            0x05
        } else {
            0x07
        }),
        script_results: None,
        pan: None,
        track_2: None,
    };
    Presented {
        field_55: field_55.to_bytes(),
        values,
    }
}

/// The issuer's answer reaches an inserted chip: authentication and second cryptogram, not yet the script.
pub(crate) fn authenticate(chip: &mut Chip, presented: &Presented, approved: bool, answer: &[u8]) {
    let authentication = tlv::find(answer, TAG_91_ISSUER_AUTHENTICATION_DATA).unwrap();
    let authentication = authentication.expect("a proved chip gets an answer");
    ask(chip, &Command::external_authenticate(authentication));
    let (kind, code) = if approved {
        (CryptogramKind::Tc, b"00")
    } else {
        (CryptogramKind::Aac, b"05")
    };
    ask(
        chip,
        &Command::generate_ac(kind, &[&code[..], &presented.values].concat()),
    );
}

/// Sends a script's command; gives the chip's status.
pub(crate) fn send_script(chip: &mut Chip, command: &[u8]) -> StatusWord {
    transmit(chip, command).1
}

const SCRIPT_TEMPLATES: [tlv::Tag; 2] = [TAG_71_SCRIPT_BEFORE_FINAL_AC, TAG_72_SCRIPT_AFTER_FINAL_AC];

/// The script in an answer's chip data.
pub(crate) fn script(answer: &[u8]) -> Option<IssuerScript> {
    let objects = tlv::parse(answer).unwrap();
    let template = objects
        .iter()
        .find(|object| SCRIPT_TEMPLATES.contains(&object.tag))?;
    let mut bytes = Vec::new();
    tlv::put(&mut bytes, template.tag, template.value);
    Some(IssuerScript::parse(&bytes).unwrap())
}

fn key_in(chip: &mut Chip, pin: &str) {
    let mut block = [0xFF; 8];
    block[0] = 0x20 | u8::try_from(pin.len()).unwrap();
    for (place, digit) in pin.bytes().enumerate() {
        let digit = digit - b'0';
        let byte = &mut block[1 + place / 2];
        *byte = if place % 2 == 0 {
            digit << 4 | 0x0F
        } else {
            *byte & 0xF0 | digit
        };
    }
    let command = Command::verify_plaintext(&block).to_bytes().unwrap();
    // Right, wrong or blocked: the cryptogram will tell the issuer.
    transmit(chip, &command);
}

fn ask(chip: &mut Chip, command: &Command<'_>) -> Vec<u8> {
    let (data, status) = transmit(chip, &command.to_bytes().unwrap());
    assert_eq!(status, SW_9000_OK, "{:?}", command.title());
    data
}

fn transmit(chip: &mut Chip, command: &[u8]) -> (Vec<u8>, StatusWord) {
    let answer = chip.transmit(command);
    let response = Response::parse(&answer).unwrap();
    (response.data.to_vec(), response.status)
}

fn value(bytes: &[u8], tag: Tag) -> Vec<u8> {
    let objects = tlv::parse_nested(bytes).unwrap();
    let found = objects.iter().find(|(_, object)| object.tag == tag);
    found
        .unwrap_or_else(|| panic!("{tag} is missing"))
        .1
        .value
        .to_vec()
}

fn exact<const LEN: usize>(bytes: &[u8], tag: Tag) -> [u8; LEN] {
    value(bytes, tag).try_into().unwrap()
}
