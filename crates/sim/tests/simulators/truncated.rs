//! Commands cut short at each byte.

use emv::apdu::Command;
use emv::field55::CryptogramKind;
use paycrypto::pinblock::encode_iso2;
use sim::card::chip::Interface;
use sim::card::perso::AID_PINWARD;

use crate::issuer::{CSU_APPROVE, authentication, change_script, new_card, pin};
use crate::reader::{OK, VALUES, arqc, begin, pin_tries, status, up_to_issuer};

#[test]
fn a_command_cut_short_anywhere_is_answered_and_changes_nothing() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    let ac = arqc(&mut chip, Interface::Contact);
    let block = encode_iso2(&pin("9999"));
    let data = authentication(ac.atc, ac.ac, CSU_APPROVE);
    let commands = [
        Command::select(&AID_PINWARD),
        Command::get_processing_options(&[0x83, 0x00]),
        Command::read_record(1, 1),
        Command::get_data(emv::tags::TAG_9F17_PIN_TRY_COUNTER),
        Command::verify_plaintext(&block),
        Command::generate_ac(CryptogramKind::Tc, &VALUES),
        Command::external_authenticate(&data),
    ]
    .map(|command| command.to_bytes().unwrap());
    let script = change_script(ac.atc, ac.ac, "9876");
    for command in commands.iter().chain([&script]) {
        for len in 0..command.len() {
            begin(&mut chip, Interface::Contact);
            let answer = chip.transmit(&command[..len]);
            assert!(answer.len() >= 2);
        }
    }
    begin(&mut chip, Interface::Contact);
    assert_eq!(pin_tries(&mut chip), 3);
}

#[test]
fn a_script_cut_short_anywhere_is_refused() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    let ac = up_to_issuer(&mut chip);
    let script = change_script(ac.atc, ac.ac, "9876");
    for len in 0..script.len() {
        assert_ne!(status(&mut chip, &script[..len]), OK);
    }
    assert_eq!(status(&mut chip, &script), OK);
}
