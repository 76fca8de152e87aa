//! Visa card verification results and issuer application data: published examples, each bit, refusals.

mod common;

use common::{published, unhex};
use emv::cvr::{Cvr, FirstAc, SecondAc};
use emv::iad::{CVN_12_18, VisaIad};
use proptest::prelude::*;

fn cvr(digits: &str) -> Cvr {
    Cvr::parse(unhex(digits).try_into().expect("4 bytes")).expect("a Visa CVR")
}

#[test]
fn the_published_visa_cvr_is_read() {
    let cvr = Cvr::parse(published("cvr_cvn10").try_into().unwrap()).unwrap();
    let wanted = Cvr {
        pin_try_limit_exceeded: true,
        velocity_exceeded: true,
        script_commands: 1,
        ..Cvr::arqc()
    };
    assert_eq!(cvr, wanted);
    assert_eq!(
        (cvr.first_ac, cvr.second_ac),
        (FirstAc::Arqc, SecondAc::NotRequested)
    );
}

#[test]
fn each_cvr_bit_is_at_its_place() {
    let check = |cvr: Cvr, digits: &str| assert_eq!(cvr.to_bytes().to_vec(), unhex(digits), "{cvr:?}");
    let none = cvr("03000000");
    check(none, "03000000");
    check(Cvr::arqc(), "03A00000");
    check(
        Cvr {
            second_ac: SecondAc::Tc,
            ..none
        },
        "03400000",
    );
    check(
        Cvr {
            first_ac: FirstAc::Tc,
            ..none
        },
        "03100000",
    );
    check(
        Cvr {
            issuer_authentication_failed: true,
            ..none
        },
        "03080000",
    );
    check(
        Cvr {
            offline_pin_performed: true,
            ..none
        },
        "03040000",
    );
    check(
        Cvr {
            offline_pin_failed: true,
            ..none
        },
        "03020000",
    );
    check(
        Cvr {
            unable_to_go_online: true,
            ..none
        },
        "03010000",
    );
    check(
        Cvr {
            last_online_not_completed: true,
            ..none
        },
        "03008000",
    );
    check(
        Cvr {
            pin_try_limit_exceeded: true,
            ..none
        },
        "03004000",
    );
    check(
        Cvr {
            velocity_exceeded: true,
            ..none
        },
        "03002000",
    );
    check(
        Cvr {
            new_card: true,
            ..none
        },
        "03001000",
    );
    check(
        Cvr {
            issuer_authentication_failed_last: true,
            ..none
        },
        "03000800",
    );
    check(
        Cvr {
            issuer_authentication_not_performed: true,
            ..none
        },
        "03000400",
    );
    check(
        Cvr {
            application_blocked_by_pin: true,
            ..none
        },
        "03000200",
    );
    check(
        Cvr {
            sda_failed_last: true,
            ..none
        },
        "03000100",
    );
    check(
        Cvr {
            script_commands: 2,
            ..none
        },
        "03000020",
    );
    check(
        Cvr {
            script_commands: 99,
            ..none
        },
        "030000F0",
    );
    check(
        Cvr {
            script_failed: true,
            ..none
        },
        "03000008",
    );
    check(
        Cvr {
            dda_failed_last: true,
            ..none
        },
        "03000004",
    );
    check(
        Cvr {
            dda_performed: true,
            ..none
        },
        "03000002",
    );
    check(
        Cvr {
            pin_not_presented: true,
            ..none
        },
        "03000001",
    );
}

#[test]
fn an_offline_pin_is_verified_where_it_was_performed_and_did_not_fail() {
    assert!(cvr("03A40000").offline_pin_verified());
    assert!(!cvr("03A60000").offline_pin_verified());
    assert!(!cvr("03A00000").offline_pin_verified());
    assert!(!cvr("03A20000").offline_pin_verified());
}

#[test]
fn a_cvr_of_another_length_is_refused() {
    for first in (0..=255).filter(|&first| first != 3) {
        assert_eq!(Cvr::parse([first, 0xA0, 0, 0]), None);
    }
}

#[test]
fn the_published_cvn_18_issuer_application_data_is_read_and_written() {
    let bytes = published("iad_cvn18");
    let iad = VisaIad::parse(&bytes).unwrap();
    assert_eq!((iad.dki, iad.cvn, iad.issuer_data), (1, CVN_12_18, &[][..]));
    assert!(iad.cvr.new_card);
    assert!(iad.cvr.issuer_authentication_failed_last);
    assert_eq!(iad.to_bytes(), bytes);
    let longer = [&bytes[..], &[2, 0xAA, 0xBB]].concat();
    assert_eq!(VisaIad::parse(&longer).unwrap().issuer_data, [2, 0xAA, 0xBB]);
    assert_eq!(VisaIad::parse(&longer).unwrap().to_bytes(), longer);
}

#[test]
fn issuer_application_data_of_other_formats_is_refused() {
    let whole = published("iad_cvn18");
    for len in 0..whole.len() {
        assert_eq!(VisaIad::parse(&whole[..len]), None);
    }
    // M/Chip, Visa's format 2, a CVR without its length, 33 bytes.
    assert_eq!(
        VisaIad::parse(&unhex("0110A00003220000DAC000000000000000FF")),
        None
    );
    assert_eq!(VisaIad::parse(&unhex("1F011203A0B800")), None);
    assert_eq!(VisaIad::parse(&unhex("06011204A0B800")), None);
    assert_eq!(VisaIad::parse(&[&whole[..], &[0; 26]].concat()), None);
}

proptest! {
    #[test]
    fn every_cvr_is_written_as_it_was_read(bits: [u8; 3]) {
        let [a, b, c] = bits;
        prop_assert_eq!(Cvr::parse([3, a, b, c]).unwrap().to_bytes(), [3, a, b, c]);
    }
}
