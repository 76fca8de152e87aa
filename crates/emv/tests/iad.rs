//! Issuer application data of every layout: published examples, the bits a host acts on, refusals, what is written.

mod common;

use common::{published, unhex};
use emv::cvr::ccd::{CcdCvr, CcdCvrBit};
use emv::cvr::mchip::{MChipCvr, MChipCvrBit};
use emv::cvr::{FirstAc, SecondAc};
use emv::iad::{
    CCI_A5_TDES, CVN_0A_10, CcdIad, ChipReport, IadLayout, InteracIad, MChipIad, OfflinePin, VisaIad,
};
use proptest::prelude::*;

const LAYOUTS: [IadLayout; 5] = [
    IadLayout::Visa,
    IadLayout::MChip,
    IadLayout::Interac,
    IadLayout::Ccd,
    IadLayout::Amex,
];

/// The published M/Chip CVR and counters between a key index, version 17 and a DAC made by hand.
fn mchip_17() -> Vec<u8> {
    let (cvr, counters) = (published("cvr_mchip"), published("counters_mchip17"));
    [&[0x01, 0x11][..], &cvr, &[0xDA, 0xC0], &counters].concat()
}

/// A whole 9F10 around an M/Chip CVR.
fn mchip(cvr: &str) -> ChipReport {
    let iad = [&[0x01, 0x10][..], &unhex(cvr), &[0; 10]].concat();
    ChipReport::read(IadLayout::MChip, &iad).expect("of the layout")
}

/// A whole 9F10 around a CCD CVR.
fn ccd(cvr: &str) -> ChipReport {
    let iad = [
        &[0x0F, CCI_A5_TDES, 0x01][..],
        &unhex(cvr),
        &[0; 8],
        &[0x0F],
        &[0; 15],
    ]
    .concat();
    ChipReport::read(IadLayout::Ccd, &iad).expect("of the layout")
}

fn visa(cvr: &str) -> ChipReport {
    let iad = [&[0x06, 0x01, CVN_0A_10][..], &unhex(cvr)].concat();
    ChipReport::read(IadLayout::Visa, &iad).expect("of the layout")
}

#[test]
fn the_published_mchip_results_have_three_tries_and_no_offline_pin() {
    let report = ChipReport::read(IadLayout::MChip, &mchip_17()).unwrap();
    assert_eq!((report.dki, report.cvn), (0x01, 0x11));
    assert_eq!(report.cvr.to_string(), "A00003220000");
    assert_eq!(report.pin_tries_left, Some(3));
    assert_eq!(report.offline_pin, OfflinePin::NotPerformed);
    assert_eq!((report.script_commands, report.script_failed), (0, false));
    assert_eq!(report.pin_change_reported, Some(false));
    let cvr = MChipCvr(published("cvr_mchip").try_into().unwrap());
    assert_eq!(cvr.acs(), (SecondAc::NotRequested, FirstAc::Arqc));
    let named = [MChipCvrBit::OfflinePinNotPerformed, MChipCvrBit::Domestic];
    assert_eq!(cvr.set_bits().collect::<Vec<_>>(), named);
}

#[test]
fn mchip_data_is_written_as_it_was_read_in_each_of_its_lengths() {
    for counters in [8, 10, 16, 18] {
        let bytes = [&mchip_17()[..10], &vec![7; counters]].concat();
        let iad = MChipIad::parse(&bytes).unwrap();
        assert_eq!((iad.dac, iad.counters.len()), ([0xDA, 0xC0], counters));
        assert_eq!(iad.to_bytes(), bytes);
    }
    for len in [9, 10, 17, 19, 27, 29, 32] {
        let bytes = [&mchip_17()[..], &[0; 32]].concat();
        assert_eq!(MChipIad::parse(&bytes[..len]), None, "{len}");
    }
    let mut other = mchip_17();
    other[1] = 0x85;
    assert_eq!(MChipIad::parse(&other), None);
}

#[test]
fn an_mchip_pin_is_verified_only_where_it_was_successful() {
    assert_eq!(mchip("A50003020000").offline_pin, OfflinePin::Verified);
    assert_eq!(mchip("A70003020000").offline_pin, OfflinePin::Verified);
    assert_eq!(mchip("A40002120000").offline_pin, OfflinePin::Failed);
    assert_eq!(mchip("A50003120000").offline_pin, OfflinePin::Failed);
    assert_eq!(mchip("A00003120000").offline_pin, OfflinePin::Failed);
    assert_eq!(mchip("A10003020000").offline_pin, OfflinePin::NotPerformed);
    assert!(mchip("A000002A0000").pin_try_limit_exceeded);
    assert_eq!(mchip("A000002A0000").pin_tries_left, Some(0));
}

#[test]
fn mchip_scripts_count_only_where_one_was_received() {
    let check = |cvr: &str, commands: u8, failed: bool| {
        let report = mchip(cvr);
        assert_eq!(
            (report.script_commands, report.script_failed),
            (commands, failed),
            "{cvr}"
        );
    };
    check("A00023220000", 0, false);
    check("A00023220200", 2, false);
    check("A00003220200", 1, false);
    check("A00013220300", 1, true);
    assert_eq!(mchip("A00413220200").pin_change_reported, Some(true));
    assert!(mchip("A00003220400").issuer_authentication_failed);
    assert_eq!(mchip("A00003220800").go_online_next, Some(true));
    assert!(mchip("A00003A20000").last_online_not_completed);
}

#[test]
fn an_mchip_cvr_is_made_of_cryptograms_counters_and_bits() {
    let cvr = MChipCvr::of_acs(SecondAc::NotRequested, FirstAc::Arqc)
        .with_counters(0x21, 3)
        .with(MChipCvrBit::OfflinePinNotPerformed)
        .with(MChipCvrBit::ScriptReceived);
    assert_eq!(cvr.0.to_vec(), unhex("A00013200200"));
    assert_eq!((cvr.script_counter(), cvr.pin_tries_left()), (1, 3));
    assert_eq!(cvr.with_counters(0, 200).pin_tries_left(), 15);
}

#[test]
fn the_published_interac_data_is_read_and_written() {
    let bytes = published("iad_interac133");
    let iad = InteracIad::parse(&bytes).unwrap();
    assert_eq!((iad.dki, iad.cvn, iad.issuer_data.len()), (0x01, 0x85, 14));
    assert_eq!(iad.to_bytes(), bytes);
    let report = ChipReport::read(IadLayout::Interac, &bytes).unwrap();
    assert_eq!(report.cvr.to_string(), "40B10000");
    assert_eq!((report.cvn, report.pin_tries_left), (0x85, None));
    let mut wrong = bytes.clone();
    wrong[0] = 0x14;
    assert_eq!(InteracIad::parse(&wrong), None);
    for len in 0..bytes.len() {
        assert_eq!(InteracIad::parse(&bytes[..len]), None);
    }
}

#[test]
fn ccd_results_tell_tries_pin_and_scripts_that_succeeded() {
    let report = ccd("A0382018 00");
    assert_eq!((report.dki, report.cvn), (1, 0xA5));
    assert_eq!(report.cvr.to_string(), "A038201800");
    assert_eq!(report.pin_tries_left, Some(3));
    assert_eq!(report.offline_pin, OfflinePin::Verified);
    assert_eq!((report.script_commands, report.script_failed), (1, true));
    assert_eq!(report.pin_change_reported, None);
    assert_eq!(ccd("A02C000000").offline_pin, OfflinePin::Failed);
    assert_eq!(ccd("A030000000").offline_pin, OfflinePin::NotPerformed);
    assert!(ccd("A002000000").pin_try_limit_exceeded);
    assert!(ccd("A001000000").last_online_not_completed);
    assert!(ccd("A100000000").issuer_authentication_failed);
    assert_eq!(ccd("A000000200").go_online_next, Some(true));
}

#[test]
fn a_ccd_cvr_is_made_of_cryptograms_counters_and_bits() {
    let cvr = CcdCvr::of_acs(SecondAc::Tc, FirstAc::Arqc)
        .with(CcdCvrBit::ScriptFailed)
        .with(CcdCvrBit::OfflinePinPerformed)
        .with_counters(2, 3);
    assert_eq!(cvr.0.to_vec(), unhex("6038002800"));
    assert_eq!((cvr.script_commands(), cvr.pin_tries_left()), (2, 3));
    assert_eq!(cvr.acs(), (SecondAc::Tc, FirstAc::Arqc));
    assert_eq!(cvr.with_counters(99, 99).0.to_vec(), unhex("60F800F800"));
}

#[test]
fn ccd_data_with_another_identifier_or_length_is_refused() {
    let bytes = CcdIad {
        cci: CCI_A5_TDES,
        dki: 1,
        cvr: CcdCvr([1, 2, 3, 4, 5]),
        counters: [6; 8],
        issuer_data: [7; 15],
    }
    .to_bytes();
    assert_eq!(bytes.len(), 32);
    assert_eq!(CcdIad::parse(&bytes).unwrap().to_bytes(), bytes);
    for (at, value) in [(0, 0x06), (1, 0xA4), (1, 0xB5), (16, 0x0E)] {
        let mut wrong = bytes.clone();
        wrong[at] = value;
        assert_eq!(CcdIad::parse(&wrong), None, "byte {at}");
    }
    for len in 0..bytes.len() {
        assert_eq!(CcdIad::parse(&bytes[..len]), None);
    }
    assert_eq!(CcdIad::parse(&[&bytes[..], &[0]].concat()), None);
}

#[test]
fn the_published_visa_cvr_tells_the_limit_and_one_script_command() {
    let report = visa("03A06010");
    assert_eq!((report.cvn, report.pin_tries_left), (CVN_0A_10, None));
    assert!(report.pin_try_limit_exceeded);
    assert_eq!((report.script_commands, report.script_failed), (1, false));
    assert_eq!(report.offline_pin, OfflinePin::NotPerformed);
    assert_eq!(visa("03A40000").offline_pin, OfflinePin::Verified);
    assert_eq!(visa("03A60000").offline_pin, OfflinePin::Failed);
    assert_eq!(visa("03A20000").offline_pin, OfflinePin::Failed);
    assert!(visa("03A00800").issuer_authentication_failed);
    assert!(visa("03A00018").script_failed);
    assert_eq!(visa("03A00000").go_online_next, None);
}

#[test]
fn amex_is_read_like_visa() {
    let iad = unhex("06010A03A06010");
    assert_eq!(
        ChipReport::read(IadLayout::Amex, &iad),
        ChipReport::read(IadLayout::Visa, &iad)
    );
}

#[test]
fn data_of_another_layout_is_not_read() {
    let visa = published("iad_cvn18");
    assert!(VisaIad::parse(&visa).is_some());
    assert_eq!(ChipReport::read(IadLayout::MChip, &visa), None);
    assert_eq!(ChipReport::read(IadLayout::Ccd, &visa), None);
    assert_eq!(ChipReport::read(IadLayout::Interac, &visa), None);
    assert_eq!(ChipReport::read(IadLayout::Visa, &mchip_17()), None);
    assert_eq!(ChipReport::read(IadLayout::Ccd, &mchip_17()), None);
    assert_eq!(
        ChipReport::read(IadLayout::Amex, &published("iad_interac133")),
        None
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_and_the_cvr_is_kept(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        for layout in LAYOUTS {
            if let Some(report) = ChipReport::read(layout, &bytes) {
                let cvr = report.cvr.as_bytes();
                prop_assert!(bytes.windows(cvr.len()).any(|window| window == cvr));
            }
        }
    }

    #[test]
    fn every_mchip_and_ccd_cvr_keeps_its_bits(mchip: [u8; 6], ccd: [u8; 5]) {
        let (mchip, ccd) = (MChipCvr(mchip), CcdCvr(ccd));
        let acs = mchip.acs();
        let built = MChipCvr::of_acs(acs.0, acs.1).with_counters(mchip.script_counter(), mchip.pin_tries_left());
        let built = mchip.set_bits().fold(built, MChipCvr::with);
        let named = [mchip.0[0], mchip.0[1] & 0xFC, mchip.0[2], mchip.0[3], mchip.0[4], mchip.0[5]];
        prop_assert_eq!(built.0, named);
        let acs = ccd.acs();
        let built = CcdCvr::of_acs(acs.0, acs.1).with_counters(ccd.script_commands(), ccd.pin_tries_left());
        let built = ccd.set_bits().fold(built, CcdCvr::with);
        prop_assert_eq!(built.0, [ccd.0[0], ccd.0[1], ccd.0[2], ccd.0[3], 0]);
    }
}
