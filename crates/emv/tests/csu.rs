//! Card status update and issuer authentication data: the published example, each bit, refusals.

mod common;

use common::{published, unhex};
use emv::csu::{Csu, IssuerAuthenticationData, IssuerAuthenticationDataMethod1, OfflineCounters};
use proptest::prelude::*;

#[test]
fn the_published_card_status_update_approves_and_sets_three_tries() {
    let bytes = published("csu_issuer_authentication_data");
    let data = IssuerAuthenticationData::parse(&bytes).unwrap();
    assert_eq!(data.arpc.to_vec(), unhex("B99B9A2F"));
    let csu = Csu {
        pin_try_counter: Some(3),
        counters: OfflineCounters::Reset,
        ..Csu::answer(true)
    };
    assert_eq!(Csu::from_bytes(data.csu), csu);
    assert_eq!(csu.to_bytes(), data.csu);
    assert_eq!(data.proprietary, []);
    assert_eq!(data.to_bytes(), bytes);
}

#[test]
fn each_card_status_update_bit_is_at_its_place() {
    let check = |csu: Csu, digits: &str| {
        assert_eq!(csu.to_bytes().to_vec(), unhex(digits));
        assert_eq!(Csu::from_bytes(csu.to_bytes()), csu);
    };
    let none = Csu::answer(false);
    check(none, "00000000");
    check(Csu::answer(true), "00800000");
    check(
        Csu {
            proprietary_data: true,
            ..none
        },
        "80000000",
    );
    check(
        Csu {
            pin_try_counter: Some(0),
            ..none
        },
        "00100000",
    );
    check(
        Csu {
            pin_try_counter: Some(15),
            ..none
        },
        "0F100000",
    );
    check(
        Csu {
            block_card: true,
            ..none
        },
        "00400000",
    );
    check(
        Csu {
            block_application: true,
            ..none
        },
        "00200000",
    );
    check(
        Csu {
            go_online_next: true,
            ..none
        },
        "00080000",
    );
    check(
        Csu {
            made_by_proxy: true,
            ..none
        },
        "00040000",
    );
    check(
        Csu {
            counters: OfflineCounters::SetToUpperLimit,
            ..none
        },
        "00010000",
    );
    check(
        Csu {
            counters: OfflineCounters::Reset,
            ..none
        },
        "00020000",
    );
    check(
        Csu {
            counters: OfflineCounters::Add,
            ..none
        },
        "00030000",
    );
    check(
        Csu {
            tail: [0, 0xAB],
            ..none
        },
        "000000AB",
    );
    assert_eq!(
        Csu {
            pin_try_counter: Some(200),
            ..none
        }
        .to_bytes(),
        [0x0F, 0x10, 0, 0]
    );
}

#[test]
fn issuer_authentication_data_has_8_to_16_bytes() {
    for len in 0..24 {
        let value = vec![7; len];
        assert_eq!(
            IssuerAuthenticationData::parse(&value).is_some(),
            (8..=16).contains(&len),
            "{len}"
        );
    }
}

#[test]
fn issuer_authentication_data_of_method_1_has_an_arpc_and_a_response_code() {
    // pyemv's Mastercard 16 vector: ARPC and response code.
    let bytes = unhex("73F6BBF389A6586C 0010");
    let data = IssuerAuthenticationDataMethod1::parse(&bytes).unwrap();
    assert_eq!(data.arpc.to_vec(), unhex("73F6BBF389A6586C"));
    assert_eq!(data.response_code, [0x00, 0x10]);
    assert_eq!(data.to_bytes().to_vec(), bytes);
    for len in (0..24).filter(|len| *len != 10) {
        assert_eq!(
            IssuerAuthenticationDataMethod1::parse(&vec![7; len]),
            None,
            "{len}"
        );
    }
}

proptest! {
    #[test]
    fn a_card_status_update_reads_the_same_after_it_was_written(bytes: [u8; 4]) {
        let csu = Csu::from_bytes(bytes);
        prop_assert_eq!(Csu::from_bytes(csu.to_bytes()), csu);
    }
}
