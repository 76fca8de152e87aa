//! TVR and TSI bits, and the application file locator.

mod common;

use common::unhex;
use emv::afl::{self, AflEntry};
use emv::bits::{Tsi, TsiBit, Tvr, TvrBit};

#[test]
fn each_tvr_and_tsi_bit_has_a_place_of_its_own_and_a_title() {
    let mut all = Tvr::default();
    for &bit in TvrBit::ALL {
        let one = Tvr::default().with(bit);
        assert_eq!(one.set_bits().collect::<Vec<_>>(), [bit]);
        assert_eq!(one.0.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        all = all.with(bit);
    }
    assert_eq!(all.0.to_vec(), unhex("FEF8FCF8F0"));
    let all = TsiBit::ALL.iter().fold(Tsi::default(), |tsi, &bit| tsi.with(bit));
    assert_eq!(all.0.to_vec(), unhex("FC00"));
    assert_eq!(TvrBit::PinTryLimitExceeded.title(), "PIN try limit exceeded");
}

#[test]
fn the_tvr_of_the_published_cvn_18_vector_is_read() {
    let tvr = Tvr([0x80, 0, 0x04, 0x80, 0]);
    let bits = [
        TvrBit::OfflineDataAuthenticationNotPerformed,
        TvrBit::OnlinePinEntered,
        TvrBit::FloorLimitExceeded,
    ];
    assert_eq!(tvr.set_bits().collect::<Vec<_>>(), bits);
    assert!(!tvr.has(TvrBit::PinTryLimitExceeded));
}

#[test]
fn an_application_file_locator_is_read_and_written() {
    let bytes = unhex("08010100 10010301");
    let entries = afl::parse(&bytes).unwrap();
    let wanted = [
        AflEntry {
            sfi: 1,
            first: 1,
            last: 1,
            authenticated: 0,
        },
        AflEntry {
            sfi: 2,
            first: 1,
            last: 3,
            authenticated: 1,
        },
    ];
    assert_eq!(entries, wanted);
    assert_eq!(
        entries
            .iter()
            .flat_map(|entry| entry.to_bytes())
            .collect::<Vec<_>>(),
        bytes
    );
}

#[test]
fn each_malformed_application_file_locator_is_refused() {
    for digits in [
        "",
        "080101",
        "0801010010",
        "00010100",
        "F8010100",
        "09010100",
        "08000100",
        "08020100",
        "08010102",
    ] {
        assert_eq!(afl::parse(&unhex(digits)), None, "{digits}");
    }
    assert_eq!(afl::parse(&unhex("08010100").repeat(64)), None);
    assert_eq!(afl::parse(&unhex("0801FFFF")).unwrap()[0].authenticated, 255);
}
