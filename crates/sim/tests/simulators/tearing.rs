//! Cards whose power is cut: what they remember, and what they report then.

use std::fs;

use cards::Scheme;
use emv::apdu::Command;
use emv::field55::CryptogramKind;
use emv::iad::ChipReport;
use emv::tags::{TAG_9F10_IAD, TAG_9F26_APPLICATION_CRYPTOGRAM, TAG_91_ISSUER_AUTHENTICATION_DATA};
use emv::tlv::{self};
use paycrypto::cryptogram::AcSession;
use sim::card::chip::{Chip, Interface};
use sim::card::perso::AID_PINWARD;
use sim::card::profile::AuthenticationBy;
use sim::card::tear::Tear;

use crate::issuer::pin;
use crate::profile_card::{Arqc, Card, NEW, OLD, every_profile};
use crate::reader::{OK, begin, verify};

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
        let values = card.values(&card.profile.cdol1, &[]);
        let answer = ask(chip, &Command::generate_ac(CryptogramKind::Arqc, &values))?;
        let value = |tag| tlv::find(&answer, tag).unwrap().unwrap();
        let ac = value(TAG_9F26_APPLICATION_CRYPTOGRAM).try_into().unwrap();
        let unpredictable = [0xAB, 0xCD, 0xEF, 0x12];
        let session = AcSession::new(card.keys.profile(), card.keys.ac(), 1, unpredictable).unwrap();
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
        let values = card.values(&card.profile.cdol2, &more);
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
