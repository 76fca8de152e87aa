//! A card of every profile: its cryptograms, its issuer, its scripts, its report, its power cut.

use cards::Scheme;
use emv::apdu::Command;
use emv::cvr::{FirstAc, SecondAc};
use emv::field55::CryptogramKind;
use emv::iad::{MChipIad, OfflinePin};
use emv::tags::TAG_9F1A_TERMINAL_COUNTRY;
use paycrypto::cvn::ArpcMethod;
use paycrypto::script::{ScriptContext, build_pin_change, build_pin_change_with_current};
use proptest::prelude::*;
use sim::card::chip::Interface;
use sim::card::perso::AID_PINWARD;
use sim::card::perso::{Perso, ReportCleared};
use sim::card::profile::AuthenticationBy;
use sim::card::{data_groups, records};

use crate::issuer::pin;
use crate::profile_card::{Card, NEW, OLD, every_profile, unhex};
use crate::reader::{OK, begin, pin_tries, status, verify};

const CONDITIONS: u16 = 0x6985;
const MAC_WRONG: u16 = 0x6988;

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
        let by_csu = card.profile.computes.arpc == ArpcMethod::Method2;
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever doesn't have the issuer's keys changes no PIN and frees none, whatever is sent in whatever order.
    #[test]
    fn no_commands_without_the_issuers_keys_change_the_pin(
        scheme in proptest::sample::select(Scheme::ALL.to_vec()),
        commands in proptest::collection::vec(command(), 1..24),
    ) {
        let card = Card::new(scheme);
        let mut chip = card.chip();
        begin(&mut chip, Interface::Contact);
        let mut tries = 3;
        for command in commands {
            prop_assert!(chip.transmit(&command).len() >= 2);
            let left = chip.state().pin_tries_left;
            prop_assert!(left <= tries, "a try came back");
            tries = left;
        }
        prop_assert!(card.pin_is(OLD));
    }
}

/// Bytes that look like a command, or don't.
fn command() -> impl Strategy<Value = Vec<u8>> {
    let class = prop_oneof![Just(0x00), Just(0x80), Just(0x84), Just(0x8C), any::<u8>()];
    let instruction =
        proptest::sample::select(vec![0xA4, 0xA8, 0xB2, 0xCA, 0x20, 0x84, 0x88, 0xAE, 0x82, 0x24]);
    let parameters = (
        prop_oneof![Just(0), Just(0x40), Just(0x80), any::<u8>()],
        any::<u8>(),
    );
    let data = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        Just(AID_PINWARD.to_vec()),
        Just(vec![0x83, 0x00]),
    ];
    (class, instruction, parameters, data).prop_map(|(cla, ins, (p1, p2), data)| {
        let command = Command {
            cla,
            ins,
            p1,
            p2,
            data: &data,
            le: None,
        };
        command.to_bytes().expect("fewer than 255 bytes")
    })
}
