//! The chip card: PIN, cryptograms, scripts, and what it remembers.

use emv::field55::CryptogramKind;
use sim::card::chip::Interface;

use crate::issuer::{
    CSU_APPROVE, CSU_APPROVE_PTC_3, CSU_DECLINE, authentication, change_script, change_script_with_current,
    new_card, unblock_script,
};
use crate::reader::{
    OK, VALUES, approved, arqc, authenticate, begin, generate_ac, pin_tries, second_ac, send, status,
    up_to_issuer, verify,
};

const CONDITIONS: u16 = 0x6985;
const MAC_WRONG: u16 = 0x6988;

/// Source: pyemv, `cvn.py` (real HSM), Visa CVN 18; `domain/pin-and-emv.md` 4.1.
#[test]
fn the_card_gives_the_published_arqc_of_version_18() {
    let folder = new_card(None);
    folder.remember(
        r#"{"atc": 27, "last_online_atc": 0, "pin": null, "pin_tries_left": 3,
            "scripts": {"commands": 0, "failed": false}, "scripts_now": {"commands": 0, "failed": false},
            "online_not_completed": true, "issuer_authentication_failed": true}"#,
    );
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contactless);
    let ac = generate_ac(&mut chip, CryptogramKind::Arqc, &VALUES).unwrap();
    assert_eq!(ac.atc, 0x001C);
    assert_eq!(ac.iad, [0x06, 0x01, 0x12, 0x03, 0xA0, 0xB8, 0x00]);
    assert_eq!(ac.ac, 0x7A78_8EA6_B8A3_E733_u64.to_be_bytes());
}

#[test]
fn three_wrong_pins_block_it_and_each_is_charged_at_once() {
    let folder = new_card(Some("1234"));
    for (wrong, expected) in [("1111", 0x63C2), ("2222", 0x63C1), ("3333", 0x63C0)] {
        // A new chip for each: the power was cut right after the answer.
        let mut chip = folder.chip();
        begin(&mut chip, Interface::Contact);
        assert_eq!(verify(&mut chip, wrong), expected);
    }
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    assert_eq!(pin_tries(&mut chip), 0);
    assert_eq!(verify(&mut chip, "1234"), 0x6983);
    let cvr = arqc(&mut chip, Interface::Contact).cvr();
    assert!(cvr.pin_try_limit_exceeded);
    assert!(!cvr.offline_pin_performed);
}

#[test]
fn the_right_pin_gives_all_tries_back_and_is_reported() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    assert_eq!(verify(&mut chip, "9999"), 0x63C2);
    assert_eq!(verify(&mut chip, "1234"), OK);
    assert_eq!(pin_tries(&mut chip), 3);
    assert!(arqc(&mut chip, Interface::Contact).cvr().offline_pin_verified());
}

#[test]
fn a_wrong_pin_is_reported_as_performed_and_failed() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    verify(&mut chip, "9999");
    let cvr = arqc(&mut chip, Interface::Contact).cvr();
    assert!(cvr.offline_pin_performed);
    assert!(cvr.offline_pin_failed);
}

#[test]
fn a_card_without_a_pin_offers_no_try_and_verifies_nothing() {
    let folder = new_card(None);
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    assert_eq!(pin_tries(&mut chip), 0);
    assert_eq!(verify(&mut chip, "1234"), 0x6984);
    assert!(!arqc(&mut chip, Interface::Contact).cvr().pin_try_limit_exceeded);
}

#[test]
fn data_that_is_no_pin_block_costs_no_try() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    let odd: [&[u8]; 7] = [
        &[
            0x00, 0x20, 0x00, 0x80, 0x07, 0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF,
        ],
        &[
            0x00, 0x20, 0x00, 0x80, 0x08, 0x04, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        ],
        &[
            0x00, 0x20, 0x00, 0x80, 0x08, 0x23, 0x12, 0x3F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        ],
        &[
            0x00, 0x20, 0x00, 0x80, 0x08, 0x24, 0x1A, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        ],
        &[
            0x00, 0x20, 0x00, 0x80, 0x08, 0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F,
        ],
        &[
            0x00, 0x20, 0x00, 0x88, 0x08, 0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        ],
        &[0x00, 0x20, 0x00, 0x80],
    ];
    for command in odd {
        let status = status(&mut chip, command);
        assert!(matches!(status, 0x6700 | 0x6A80 | 0x6A86), "{status:04X}");
    }
    assert_eq!(pin_tries(&mut chip), 3);
}

#[test]
fn a_pin_is_verified_only_before_the_first_cryptogram() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    chip.power_on(Interface::Contact);
    assert_eq!(verify(&mut chip, "1234"), CONDITIONS);
    begin(&mut chip, Interface::Contact);
    arqc(&mut chip, Interface::Contact);
    assert_eq!(verify(&mut chip, "9999"), CONDITIONS);
    assert_eq!(pin_tries(&mut chip), 3);
}

#[test]
fn a_script_changes_the_pin_and_resets_its_tries() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    verify(&mut chip, "0000");
    let ac = up_to_issuer(&mut chip);
    assert_eq!(second_ac(&mut chip, CryptogramKind::Tc).unwrap().cid, 0x40);
    assert_eq!(status(&mut chip, &change_script(ac.atc, ac.ac, "9876")), OK);
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    assert_eq!(pin_tries(&mut chip), 3);
    assert_eq!(verify(&mut chip, "1234"), 0x63C2);
    assert_eq!(verify(&mut chip, "9876"), OK);
}

#[test]
fn a_script_gives_a_pin_to_a_card_without_one() {
    let folder = new_card(None);
    let mut chip = folder.chip();
    let ac = up_to_issuer(&mut chip);
    let with_current = change_script_with_current(ac.atc, ac.ac, "9876", "1234");
    assert_eq!(status(&mut chip, &with_current), 0x6984);
    assert_eq!(status(&mut chip, &change_script(ac.atc, ac.ac, "9876")), OK);
    begin(&mut chip, Interface::Contact);
    assert_eq!(verify(&mut chip, "9876"), OK);
}

#[test]
fn a_script_with_the_current_pin_works_only_where_the_chip_holds_it() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    let ac = up_to_issuer(&mut chip);
    let wrong = change_script_with_current(ac.atc, ac.ac, "9876", "7777");
    assert_eq!(status(&mut chip, &wrong), 0x6A80);
    let right = change_script_with_current(ac.atc, ac.ac, "9876", "1234");
    assert_eq!(status(&mut chip, &right), OK);
    begin(&mut chip, Interface::Contact);
    assert_eq!(verify(&mut chip, "9876"), OK);
}

#[test]
fn an_unblock_script_frees_the_pin_and_leaves_it() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    for _ in 0..3 {
        verify(&mut chip, "0000");
    }
    let ac = up_to_issuer(&mut chip);
    assert_eq!(status(&mut chip, &unblock_script(ac.atc, ac.ac)), OK);
    begin(&mut chip, Interface::Contact);
    assert_eq!(verify(&mut chip, "1234"), OK);
}

#[test]
fn a_script_of_the_last_transaction_is_refused_in_the_next() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    let first = up_to_issuer(&mut chip);
    let script = change_script(first.atc, first.ac, "9876");
    assert_eq!(status(&mut chip, &script), OK);
    up_to_issuer(&mut chip);
    assert_eq!(status(&mut chip, &script), MAC_WRONG);
    assert_eq!(status(&mut chip, &unblock_script(first.atc, first.ac)), MAC_WRONG);
}

#[test]
fn a_script_with_any_one_bit_changed_is_refused() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    let ac = up_to_issuer(&mut chip);
    for script in [
        change_script(ac.atc, ac.ac, "9876"),
        unblock_script(ac.atc, ac.ac),
    ] {
        for bit in 0..script.len() * 8 {
            let mut changed = script.clone();
            changed[bit / 8] ^= 0x80 >> (bit % 8);
            assert_ne!(status(&mut chip, &changed), OK, "bit {bit}");
        }
    }
    assert!(chip.state().scripts_now.failed);
    begin(&mut chip, Interface::Contact);
    assert_eq!(verify(&mut chip, "1234"), OK);
    let ac = up_to_issuer(&mut chip);
    assert_eq!(status(&mut chip, &change_script(ac.atc, ac.ac, "9876")), OK);
}

#[test]
fn a_script_needs_an_authenticated_issuer_in_this_transaction() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    let ac = arqc(&mut chip, Interface::Contact);
    let script = change_script(ac.atc, ac.ac, "9876");
    assert_eq!(status(&mut chip, &script), CONDITIONS);
    let mut wrong = authentication(ac.atc, ac.ac, CSU_APPROVE);
    wrong[0] ^= 1;
    assert_eq!(authenticate(&mut chip, &wrong), 0x6300);
    assert_eq!(status(&mut chip, &script), CONDITIONS);
    let right = authentication(ac.atc, ac.ac, CSU_APPROVE);
    assert_eq!(authenticate(&mut chip, &right), CONDITIONS);
    assert_eq!(chip.state().scripts_now.commands, 0);
}

#[test]
fn a_tap_never_takes_pin_issuer_script_or_second_cryptogram() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contactless);
    assert_eq!(verify(&mut chip, "1234"), CONDITIONS);
    let ac = arqc(&mut chip, Interface::Contactless);
    let data = authentication(ac.atc, ac.ac, CSU_APPROVE);
    assert_eq!(authenticate(&mut chip, &data), CONDITIONS);
    assert_eq!(second_ac(&mut chip, CryptogramKind::Tc).err(), Some(CONDITIONS));
    assert_eq!(
        status(&mut chip, &change_script(ac.atc, ac.ac, "9876")),
        CONDITIONS
    );
    assert_eq!(status(&mut chip, &unblock_script(ac.atc, ac.ac)), CONDITIONS);
    begin(&mut chip, Interface::Contact);
    assert_eq!(verify(&mut chip, "1234"), OK);
    assert!(
        !arqc(&mut chip, Interface::Contact)
            .cvr()
            .last_online_not_completed
    );
}

#[test]
fn a_script_is_reported_until_an_issuer_has_seen_it() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    let ac = up_to_issuer(&mut chip);
    assert_eq!(second_ac(&mut chip, CryptogramKind::Tc).unwrap().cid, 0x40);
    assert_eq!(status(&mut chip, &change_script(ac.atc, ac.ac, "9876")), OK);
    assert_eq!(ac.cvr().script_commands, 0);

    // A tap, and a contact transaction whose answer is lost, report it and don't clear it.
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contactless);
    assert_eq!(arqc(&mut chip, Interface::Contactless).cvr().script_commands, 1);
    begin(&mut chip, Interface::Contact);
    assert_eq!(arqc(&mut chip, Interface::Contact).cvr().script_commands, 1);
    let cvr = approved(&mut chip);
    assert_eq!((cvr.script_commands, cvr.script_failed), (1, false));
    assert!(cvr.last_online_not_completed);
    let cvr = approved(&mut folder.chip());
    assert_eq!((cvr.script_commands, cvr.last_online_not_completed), (0, false));
}

#[test]
fn a_failed_script_is_reported_as_failed() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    let ac = up_to_issuer(&mut chip);
    let mut script = change_script(ac.atc, ac.ac, "9876");
    *script.last_mut().unwrap() ^= 1;
    assert_eq!(status(&mut chip, &script), MAC_WRONG);
    let cvr = approved(&mut chip);
    assert_eq!((cvr.script_commands, cvr.script_failed), (1, true));
    let cvr = approved(&mut chip);
    assert_eq!((cvr.script_commands, cvr.script_failed), (0, false));
}

#[test]
fn a_script_before_the_second_cryptogram_is_reported_in_the_next_transaction_too() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    let ac = up_to_issuer(&mut chip);
    assert_eq!(status(&mut chip, &change_script(ac.atc, ac.ac, "9876")), OK);
    let tc = second_ac(&mut chip, CryptogramKind::Tc).unwrap();
    assert_eq!(tc.cvr().script_commands, 1);
    assert_eq!(approved(&mut chip).script_commands, 1);
    assert_eq!(approved(&mut chip).script_commands, 0);
}

#[test]
fn a_script_in_the_transaction_that_reports_another_counts_anew() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    for expected in [0, 1, 1] {
        let ac = up_to_issuer(&mut chip);
        assert_eq!(ac.cvr().script_commands, expected);
        second_ac(&mut chip, CryptogramKind::Tc).unwrap();
        assert_eq!(status(&mut chip, &change_script(ac.atc, ac.ac, "9876")), OK);
    }
}

#[test]
fn the_card_approves_only_what_an_authenticated_issuer_approved() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    for (csu, asked, expected) in [
        (CSU_APPROVE, CryptogramKind::Tc, 0x40),
        (CSU_APPROVE, CryptogramKind::Aac, 0x00),
        (CSU_DECLINE, CryptogramKind::Tc, 0x00),
    ] {
        begin(&mut chip, Interface::Contact);
        let ac = arqc(&mut chip, Interface::Contact);
        let data = authentication(ac.atc, ac.ac, csu);
        assert_eq!(authenticate(&mut chip, &data), OK);
        assert_eq!(second_ac(&mut chip, asked).unwrap().cid, expected);
        assert_eq!(second_ac(&mut chip, asked).err(), Some(CONDITIONS));
    }
    begin(&mut chip, Interface::Contact);
    arqc(&mut chip, Interface::Contact);
    assert_eq!(second_ac(&mut chip, CryptogramKind::Tc).unwrap().cid, 0x00);
}

#[test]
fn a_wrong_arpc_is_reported_in_the_next_transaction() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    let ac = arqc(&mut chip, Interface::Contact);
    assert_eq!(authenticate(&mut chip, &[0; 8]), 0x6300);
    let aac = second_ac(&mut chip, CryptogramKind::Tc).unwrap();
    assert_eq!(aac.cid, 0x00);
    assert!(aac.cvr().issuer_authentication_failed);
    assert!(!ac.cvr().issuer_authentication_failed_last);
    assert!(approved(&mut chip).issuer_authentication_failed_last);
    assert!(!approved(&mut chip).issuer_authentication_failed_last);
}

#[test]
fn a_card_status_update_sets_the_pin_tries() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    for _ in 0..3 {
        verify(&mut chip, "0000");
    }
    let ac = arqc(&mut chip, Interface::Contact);
    let data = authentication(ac.atc, ac.ac, CSU_APPROVE_PTC_3);
    assert_eq!(authenticate(&mut chip, &data), OK);
    assert_eq!(pin_tries(&mut chip), 0);
    second_ac(&mut chip, CryptogramKind::Tc).unwrap();
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    assert_eq!(pin_tries(&mut chip), 3);
    assert_eq!(verify(&mut chip, "1234"), OK);
}

#[test]
fn each_transaction_has_its_own_counter_even_when_the_power_is_cut() {
    let folder = new_card(Some("1234"));
    for expected in 1..4 {
        let mut chip = folder.chip();
        begin(&mut chip, Interface::Contact);
        assert_eq!(arqc(&mut chip, Interface::Contact).atc, expected);
    }
}

#[test]
fn a_card_whose_memory_fails_does_nothing() {
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    // Whatever a state file is made of, a directory in its place can't be replaced.
    std::fs::remove_file(&folder.state).unwrap();
    std::fs::create_dir(&folder.state).unwrap();
    assert_eq!(verify(&mut chip, "1234"), 0x6581);
    assert_eq!(
        generate_ac(&mut chip, CryptogramKind::Arqc, &VALUES).err(),
        Some(0x6581)
    );
}

#[test]
fn card_files_are_for_their_owner_only_and_print_no_secret() {
    use std::os::unix::fs::PermissionsExt;
    let folder = new_card(Some("7391"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    for path in [&folder.perso, &folder.state] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let printed = format!("{chip:?} {:?} {:?}", chip.perso(), chip.state());
    assert!(!printed.contains("7391"));
    assert!(!printed.contains(crate::issuer::PAN));
}

#[test]
fn a_card_without_power_is_mute() {
    let folder = new_card(None);
    let mut chip = folder.chip();
    assert!(chip.transmit(&[0x00, 0xA4, 0x04, 0x00, 0x00]).is_empty());
    begin(&mut chip, Interface::Contact);
    chip.power_off();
    assert!(chip.transmit(&[0x80, 0xCA, 0x9F, 0x36, 0x00]).is_empty());
}

#[test]
fn unknown_commands_get_the_statuses_of_iso_7816() {
    let folder = new_card(None);
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    for (command, expected) in [
        (&[0xFF, 0xCA, 0, 0, 0][..], 0x6E00),
        (&[0x00, 0x84, 0, 0, 0], 0x6D00),
        (&[0x00, 0xB2, 0x09, 0x0C, 0], 0x6A83),
        (&[0x80, 0xCA, 0x9F, 0x4F, 0], 0x6A88),
        (&[0x00, 0xA4, 0x04, 0x00, 0x02, 0x31, 0x50, 0x00], 0x6A82),
        (&[0x00, 0x20], 0x6700),
    ] {
        assert_eq!(send(&mut chip, command), (vec![], expected));
    }
}
