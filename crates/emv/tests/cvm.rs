//! CVM results and list: published examples, each method, refusals.

mod common;

use common::{published, unhex};
use emv::cvm::{CvmList, CvmMethod, CvmOutcome, CvmResults, CvmRule};
use proptest::prelude::*;

#[test]
fn the_published_cvm_results_are_read_and_written() {
    let read = |name: &str| CvmResults::from_bytes(published(name).try_into().unwrap());
    let offline = read("cvm_results_offline_pin");
    let rule = CvmRule {
        method: CvmMethod::PlaintextPinOffline,
        next_if_fails: true,
        condition: 3,
    };
    assert_eq!(
        offline,
        CvmResults {
            rule,
            outcome: CvmOutcome::Successful
        }
    );
    assert!(offline.claims_offline_pin());
    let online = read("cvm_results_online_pin");
    assert_eq!(
        (online.rule.method, online.outcome),
        (CvmMethod::PinOnline, CvmOutcome::Unknown)
    );
    assert!(!online.claims_offline_pin());
    assert_eq!(online.to_bytes().to_vec(), published("cvm_results_online_pin"));
}

#[test]
fn an_offline_pin_is_claimed_by_the_four_methods_when_successful() {
    for method in 0..=0xBF {
        let claimed = |outcome| CvmResults::from_bytes([method, 0, outcome]).claims_offline_pin();
        assert_eq!(
            claimed(2),
            [1, 3, 4, 5, 0x41, 0x43, 0x44, 0x45].contains(&method),
            "{method:02X}"
        );
        assert!(!claimed(0));
        assert!(!claimed(1));
    }
}

#[test]
fn a_cvm_list_is_two_amounts_and_rules() {
    let bytes = unhex("00000000 00001000 4103 4203 5E03 1F00");
    let list = CvmList::parse(&bytes).unwrap();
    assert_eq!((list.amount_x, list.amount_y), (0, 0x1000));
    let methods: Vec<_> = list.rules.iter().map(|rule| rule.method).collect();
    assert_eq!(
        methods,
        [
            CvmMethod::PlaintextPinOffline,
            CvmMethod::PinOnline,
            CvmMethod::Signature,
            CvmMethod::NoCvm
        ]
    );
    assert_eq!(list.to_bytes(), bytes);
    for len in [0, 4, 8, 9, 11, 254] {
        assert_eq!(CvmList::parse(&vec![0; len]), None, "{len}");
    }
}

proptest! {
    #[test]
    fn every_cvm_result_is_written_as_it_was_read(bytes: [u8; 3]) {
        prop_assert_eq!(CvmResults::from_bytes(bytes).to_bytes(), bytes);
    }
}
