//! Field 55 of a request: typed reading, the cryptogram's input, refusals, and what is displayed.

mod common;

use common::{published, unhex};
use emv::cvm::CvmResults;
use emv::field55::{CryptogramKind, Field55, Field55Error};
use emv::show;
use emv::tags::{
    self, TAG_9F10_IAD, TAG_9F27_CID, TAG_9F36_ATC, TAG_9F39_ENTRY_MODE, TAG_57_TRACK_2,
    TAG_99_TRANSACTION_PIN,
};
use emv::tlv::{self, Tag, TlvReason};
use proptest::prelude::*;

/// The data of pyemv's CVN 18 vector, and the optional data objects.
const NEEDED: [(u32, &str); 13] = [
    (0x9F26, "7A788EA6B8A3E733"),
    (0x9F27, "80"),
    (0x9F10, "06011203A0B800"),
    (0x9F37, "52BF4585"),
    (0x9F36, "001C"),
    (0x95, "8000048000"),
    (0x9A, "191105"),
    (0x9C, "01"),
    (0x9F02, "000000004000"),
    (0x9F03, "000000000000"),
    (0x5F2A, "0124"),
    (0x82, "1800"),
    (0x9F1A, "0124"),
];
const OPTIONAL: [(u32, &str); 5] = [
    (0x9F34, "420300"),
    (0x9F35, "22"),
    (0x5F34, "00"),
    (0x9F39, "05"),
    (0x9F5B, "2000000000"),
];

fn joined<'r>(rows: impl IntoIterator<Item = &'r (u32, &'r str)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (code, value) in rows {
        tlv::put(&mut out, Tag::new(*code), &unhex(value));
    }
    out
}

fn whole() -> Vec<u8> {
    joined(NEEDED.iter().chain(&OPTIONAL))
}

#[test]
fn all_data_objects_are_read_with_types_and_written_again() {
    let bytes = whole();
    let chip = Field55::parse(&bytes).unwrap();
    assert_eq!(chip.cryptogram.to_vec(), unhex("7A788EA6B8A3E733"));
    assert_eq!(CryptogramKind::from_cid(chip.cid), Some(CryptogramKind::Arqc));
    assert_eq!(u16::from_be_bytes(chip.atc), 28);
    assert_eq!(chip.cvm_results, Some(CvmResults::from_bytes([0x42, 3, 0])));
    assert_eq!(
        (chip.terminal_type, chip.psn, chip.entry_mode),
        (Some(0x22), Some(0), Some(5))
    );
    assert_eq!(chip.script_results, Some(&unhex("2000000000")[..]));
    assert_eq!(chip.to_bytes(), bytes);
}

#[test]
fn optional_data_objects_may_be_missing_and_others_may_be_there() {
    let bytes = joined(NEEDED.iter().chain(&[(0x9F33, "E0F8C8"), (0xDF8129, "00")]));
    let chip = Field55::parse(&bytes).unwrap();
    assert_eq!(
        (chip.cvm_results, chip.terminal_type, chip.psn),
        (None, None, None)
    );
    assert_eq!((chip.entry_mode, chip.script_results), (None, None));
    assert_eq!(chip.to_bytes(), joined(&NEEDED));
}

#[test]
fn the_terminals_part_of_a_cryptogram_is_the_published_data_in_its_order() {
    let bytes = whole();
    let chip = Field55::parse(&bytes).unwrap();
    assert_eq!(chip.terminal_data().to_vec(), published("terminal_data"));
}

#[test]
fn a_missing_data_object_is_named() {
    for left_out in &NEEDED {
        let rows = NEEDED.iter().filter(|row| row.0 != left_out.0);
        let missing = Tag::new(left_out.0);
        assert_eq!(Field55::parse(&joined(rows)), Err(Field55Error::Missing(missing)));
    }
}

#[test]
fn a_data_object_that_comes_twice_is_refused_even_with_the_same_value() {
    for row in NEEDED.iter().chain(&OPTIONAL).chain(&[(0x9F33, "E0F8C8")]) {
        let alone = joined([row]);
        let first = whole();
        let known = first.windows(alone.len()).any(|bytes| bytes == alone);
        let at = first.len() + if known { 0 } else { alone.len() };
        let bytes = [first, alone.clone(), alone].concat();
        let tag = Tag::new(row.0);
        assert_eq!(Field55::parse(&bytes), Err(Field55Error::Duplicate { at, tag }));
    }
}

#[test]
fn a_value_of_the_wrong_length_is_refused() {
    let fixed = NEEDED
        .iter()
        .chain(&OPTIONAL)
        .filter(|(code, _)| ![0x9F10, 0x9F5B].contains(code));
    for &(code, value) in fixed {
        let tag = Tag::new(code);
        let wanted = value.len() / 2;
        for got in [wanted - 1, wanted + 1] {
            let rows: Vec<_> = NEEDED
                .iter()
                .chain(&OPTIONAL)
                .filter(|row| row.0 != code)
                .collect();
            let mut bytes = joined(rows);
            let at = bytes.len();
            tlv::put(&mut bytes, tag, &vec![0; got]);
            assert_eq!(
                Field55::parse(&bytes),
                Err(Field55Error::Length { at, tag, wanted, got })
            );
        }
    }
    let mut bytes = joined(NEEDED.iter().filter(|row| row.0 != 0x9F10));
    let at = bytes.len();
    tlv::put(&mut bytes, TAG_9F10_IAD, &[6; 33]);
    let error = Field55Error::Length {
        at,
        tag: TAG_9F10_IAD,
        wanted: 32,
        got: 33,
    };
    assert_eq!(Field55::parse(&bytes), Err(error));
}

#[test]
fn a_refusal_names_tag_and_place_and_no_value() {
    let check = |bytes: &[u8], text: &str| {
        assert_eq!(Field55::parse(bytes).unwrap_err().to_string(), text);
    };
    check(
        &joined(&NEEDED[1..]),
        "data object 9F26 (Application cryptogram) is missing",
    );
    check(
        &joined([&(0x9F36, "001C"), &(0x9F36, "001D")]),
        "data object 9F36 (Application transaction counter) at byte 5: came before",
    );
    let short = [
        joined(&NEEDED[..4]),
        joined(&[(0x9F36, "1C")]),
        joined(&NEEDED[5..]),
    ]
    .concat();
    check(
        &short,
        "data object 9F36 (Application transaction counter) at byte 32: wanted 2 bytes, got 1",
    );
}

#[test]
fn chip_data_cut_at_any_byte_is_refused() {
    let bytes = joined(&NEEDED);
    for len in 0..bytes.len() {
        let error = Field55::parse(&bytes[..len]).unwrap_err();
        assert!(
            matches!(error, Field55Error::Tlv(_) | Field55Error::Missing(_)),
            "{len}: {error}"
        );
    }
}

#[test]
fn too_many_data_objects_are_refused() {
    let error = Field55::parse(&unhex("9F3600").repeat(1000)).unwrap_err();
    assert!(matches!(error, Field55Error::Tlv(error) if error.reason == TlvReason::TooMany));
}

#[test]
fn the_kind_of_a_cryptogram_is_in_two_bits() {
    for (cid, kind) in [
        (0x00, CryptogramKind::Aac),
        (0x4F, CryptogramKind::Tc),
        (0x80, CryptogramKind::Arqc),
    ] {
        assert_eq!(CryptogramKind::from_cid(cid), Some(kind));
        assert_eq!(kind.code(), cid & 0xC0);
    }
    assert_eq!(CryptogramKind::from_cid(0xC0), None);
}

#[test]
fn titles_are_known_and_sensitive_data_is_marked() {
    assert_eq!(tags::title(TAG_9F36_ATC), Some("Application transaction counter"));
    assert_eq!(tags::title(Tag::new(0xDF01)), None);
    assert!(!tags::is_sensitive(TAG_9F39_ENTRY_MODE));
    for code in [0x56, 0x57, 0x5A, 0x5F20, 0x99, 0x9F0B, 0x9F1F, 0x9F20, 0x9F6B] {
        assert!(tags::is_sensitive(Tag::new(code)), "{code:X}");
    }
}

#[test]
fn display_shows_titles_and_hides_what_is_never_displayed() {
    let check = |digits: &str, wanted: &[(usize, &str, &str, &str)]| {
        let lines = show::lines(&unhex(digits)).unwrap();
        let lines: Vec<_> = lines
            .iter()
            .map(|line| (line.depth, line.tag.to_string(), line.title, line.value.as_str()))
            .collect();
        let wanted: Vec<_> = wanted
            .iter()
            .map(|&(depth, tag, title, value)| (depth, tag.to_owned(), title, value))
            .collect();
        assert_eq!(lines, wanted);
    };
    check(
        "9F3602001C",
        &[(0, "9F36", "Application transaction counter", "001C")],
    );
    check(
        "700C 57034000D3 5A024000 820118",
        &[
            (0, "70", "READ RECORD response template", ""),
            (1, "57", "Track 2 equivalent data", "not shown"),
            (1, "5A", "Application primary account number", "not shown"),
            (1, "82", "Application interchange profile", "18"),
        ],
    );
    check("DF010112", &[(0, "DF01", "", "not shown")]);
    check(
        "720F 860D 8424000208 0102030405060708",
        &[
            (0, "72", "Issuer script template 2", ""),
            (1, "86", "Issuer script command", "84240002, 8 bytes not shown"),
        ],
    );
    check("8604841E0000", &[(0, "86", "Issuer script command", "841E0000")]);
    check("86028424", &[(0, "86", "Issuer script command", "not shown")]);
    assert!(show::lines(&[0x5A, 9]).is_err());
    assert_eq!(
        show::shown_command(&unhex("0020008008241234FFFFFFFFFF")),
        "00200080, 8 bytes not shown"
    );
    assert_eq!(show::shown_command(&unhex("80CA9F1700")), "80CA9F1700");
}

#[test]
fn track_2_and_the_transaction_pin_are_hidden_even_where_the_chip_sends_them_in_field_55() {
    let mut bytes = whole();
    tlv::put(&mut bytes, TAG_57_TRACK_2, &unhex("4000000000001091D30122"));
    tlv::put(&mut bytes, TAG_99_TRANSACTION_PIN, &unhex("1234"));
    let shown: String = show::lines(&bytes)
        .unwrap()
        .into_iter()
        .map(|line| line.value)
        .collect();
    assert!(!shown.contains("4000000000001091"));
    assert!(!shown.contains("1234"));
    assert!(Field55::parse(&bytes).is_ok());
    assert_eq!(tlv::find(&bytes, TAG_9F27_CID), Ok(Some(&[0x80][..])));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..255)) {
        if let Ok(chip) = Field55::parse(&bytes) {
            let written = chip.to_bytes();
            prop_assert_eq!(Field55::parse(&written), Ok(chip));
        }
        let _ = show::lines(&bytes);
    }

    #[test]
    fn a_flipped_bit_never_reads_as_the_same_data(at in 0..whole().len(), bit in 0..8u8) {
        let bytes = whole();
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << bit;
        prop_assert_ne!(Field55::parse(&damaged), Field55::parse(&bytes));
    }
}
