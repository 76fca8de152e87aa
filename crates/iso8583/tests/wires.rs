//! Dialects that write other than ASCII: the same content on other wires, one row per refusal, and what a MAC covers.

mod common;

use common::{authorisation_request, hex, unhex};
use iso8583::build::{BuildError, MessageBuilder};
use iso8583::dialect::{Dialect, Kind};
use iso8583::mac::split_mac;
use iso8583::message::{MESSAGE_LEN_MAX, Message, ParseError, Reason};
use iso8583::mti::{MTI_0100_AUTHORISATION_REQUEST, MTI_0800_NETWORK_REQUEST};
use iso8583::original_data::OriginalData;
use iso8583::wire::{LengthEncoding, MtiEncoding};
use proptest::prelude::*;

fn named(name: &str) -> Dialect {
    Dialect::named(name).expect("comes with the crate")
}

fn built(builder: &MessageBuilder<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    builder.write_to(&mut frame);
    frame
}

/// A message in a dialect that extends another, from its settings.
fn frame_in(settings: &str, fields: &[(u8, &[u8])]) -> (Dialect, Vec<u8>) {
    let text = format!("name = \"x\"\nextends = \"ascii-1987\"\n{settings}");
    let dialect = Dialect::parse(&text).expect("the settings are right");
    let mut builder = MessageBuilder::new(&dialect, MTI_0100_AUTHORISATION_REQUEST);
    for (field, value) in fields {
        builder.set(*field, value).expect("the value fits");
    }
    let frame = built(&builder);
    (dialect, frame)
}

#[test]
fn each_encoding_writes_its_bytes_and_reads_them_back() {
    let check = |settings: &str, field, value: &[u8], wire: &str| {
        let (dialect, frame) = frame_in(settings, &[(field, value)]);
        assert_eq!(hex(&frame), wire.replace(' ', ""), "{settings}");
        let read = Message::parse(&frame, &dialect).unwrap();
        assert_eq!(read.field(field), Some(value), "{settings}");
    };
    let bitmap_23 = "0000020000000000";
    check("", 23, b"001", &format!("30313030 {bitmap_23} 303031"));
    check(
        "[wire]\nmti = \"bcd\"",
        23,
        b"001",
        &format!("0100 {bitmap_23} 303031"),
    );
    check(
        "[wire]\nmti = \"ebcdic\"\nnumeric = \"ebcdic\"",
        23,
        b"019",
        &format!("f0f1f0f0 {bitmap_23} f0f1f9"),
    );
    check(
        "[wire]\nbitmap = \"hex-ascii\"",
        23,
        b"001",
        "30313030 30303030303230303030303030303030 303031",
    );
    check(
        "[wire]\nbitmap = \"hex-ebcdic\"",
        128,
        &[0xAB; 8],
        "30313030 f8f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0 f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f1 abababababababab",
    );
    let numeric = |encoding: &str| format!("[wire]\nnumeric = \"{encoding}\"");
    check(
        &numeric("bcd-zero-before"),
        23,
        b"123",
        &format!("30313030 {bitmap_23} 0123"),
    );
    check(
        &numeric("bcd-zero-after"),
        23,
        b"123",
        &format!("30313030 {bitmap_23} 1230"),
    );
    check(
        &numeric("bcd-f-after"),
        23,
        b"123",
        &format!("30313030 {bitmap_23} 123f"),
    );
    let bitmap_32 = "0000000100000000";
    let lengths = |encoding: &str| format!("[wire]\nnumeric = \"bcd-zero-before\"\nlengths = \"{encoding}\"");
    check(
        &lengths("ascii"),
        32,
        b"12345678901",
        &format!("30313030 {bitmap_32} 3131 012345678901"),
    );
    check(
        &lengths("bcd"),
        32,
        b"12345678901",
        &format!("30313030 {bitmap_32} 11 012345678901"),
    );
    check(
        &lengths("binary"),
        32,
        b"12345678901",
        &format!("30313030 {bitmap_32} 0b 012345678901"),
    );
    check(
        &lengths("ebcdic"),
        32,
        b"12",
        &format!("30313030 {bitmap_32} f0f2 12"),
    );
    let bitmap_48 = "0000000000010000";
    check(
        &lengths("bcd"),
        48,
        b"AB",
        &format!("30313030 {bitmap_48} 0002 4142"),
    );
    check(
        &lengths("binary"),
        48,
        &[b'x'; 300],
        &format!("30313030 {bitmap_48} 012c {}", "78".repeat(300)),
    );
    check(
        "[wire]\ntext = \"ebcdic\"",
        48,
        b"Az~[",
        &format!("30313030 {bitmap_48} 303034 c1a9a1ba"),
    );
    let bitmap_35 = "0000000020000000";
    check(
        "[wire]\ntrack = \"bcd-f-after\"",
        35,
        b"4000=2512",
        &format!("30313030 {bitmap_35} 3039 4000d2512f"),
    );
}

#[test]
fn a_request_on_any_wire_of_1987_has_the_same_fields() {
    let sample = authorisation_request();
    for (name, len) in [("bcd-1987", 349), ("ebcdic-1987", 398)] {
        let dialect = named(name);
        let mut builder = MessageBuilder::new(&dialect, MTI_0100_AUTHORISATION_REQUEST);
        for (field, value) in &sample.fields {
            builder.set(*field, value).unwrap();
        }
        let frame = built(&builder);
        assert_eq!(frame.len(), len, "{name}");
        let message = Message::parse(&frame, &dialect).unwrap();
        assert_eq!(message.mti(), MTI_0100_AUTHORISATION_REQUEST);
        assert_eq!(message.frame(), frame);
        let read: Vec<_> = message
            .fields()
            .map(|field| (field, message.field(field).unwrap().to_vec()))
            .collect();
        assert_eq!(read, sample.fields, "{name}");
        for cut in 0..frame.len() {
            let error = Message::parse(&frame[..cut], &dialect).unwrap_err();
            assert!(
                matches!(error.reason, Reason::Truncated { .. }),
                "{name}, {cut}: {error}"
            );
            assert!(error.at <= cut);
        }
    }
}

#[test]
fn each_malformed_message_of_another_wire_is_refused_with_field_place_and_reason() {
    let check = |settings: &str, frame: &str, field, at, reason| {
        let dialect = Dialect::parse(&format!("name = \"x\"\nextends = \"bcd-1987\"\n{settings}")).unwrap();
        let error = Message::parse(&unhex(&frame.replace(' ', "")), &dialect).unwrap_err();
        assert_eq!(error, ParseError { field, at, reason }, "{frame}");
    };
    let digits = Reason::Character { wanted: Kind::N };
    let not_a_type = Reason::MessageType {
        encoding: MtiEncoding::Bcd,
        version: b'0',
    };
    let digits_of_length = |encoding| Reason::LengthDigits { digits: 2, encoding };
    check("", "01A0 0000000000000000", 0, 0, not_a_type);
    check("", "30313030 0000000000000000", 0, 0, not_a_type);
    check("", "0100 2000000000000000 0012D4", 3, 4 + 8, digits);
    check("", "0100 2000000000000000 00FF00", 3, 3 + 8, digits);
    // Field 23, three digits: a zero before, and nothing else.
    check(
        "",
        "0100 0000020000000000 1001",
        23,
        10,
        Reason::Padding { wanted: 0 },
    );
    check("", "0100 0000020000000000 0A01", 23, 10, digits);
    check("", "0100 0000020000000000 001A", 23, 11, digits);
    // Field 35, three characters: an F after.
    check(
        "",
        "0100 0000000020000000 03 1D20",
        35,
        12,
        Reason::Padding { wanted: 0xF },
    );
    check(
        "",
        "0100 0000000020000000 03 1C2F",
        35,
        11,
        Reason::Character { wanted: Kind::Z },
    );
    check(
        "",
        "0100 4000000000000000 1A 00",
        2,
        10,
        digits_of_length(LengthEncoding::Bcd),
    );
    check(
        "",
        "0100 4000000000000000 20 00",
        2,
        10,
        Reason::TooLong { max: 19, got: 20 },
    );
    check(
        "",
        "0100 0000000000010000 1000",
        48,
        10,
        Reason::TooLong { max: 999, got: 1000 },
    );
    check(
        "",
        "0100 4000000000000000 19 40000000000000",
        2,
        11,
        Reason::Truncated { wanted: 10, got: 7 },
    );
    check(
        "[wire]\nlengths = \"binary\"",
        "0100 0000000000010000 FFFF",
        48,
        10,
        Reason::TooLong {
            max: 999,
            got: 0xFFFF,
        },
    );
    check(
        "",
        "0100 8000000000000000 8000000000000000",
        65,
        18,
        Reason::NotInDialect,
    );
    let hexadecimal = "[wire]\nbitmap = \"hex-ascii\"";
    check(
        hexadecimal,
        "0100 30303030303030303030303030303047",
        1,
        2,
        Reason::BitmapDigits,
    );
    check(
        hexadecimal,
        "0100 38303030303030303030303030303030 2d303030303030303030303030303030",
        1,
        18,
        Reason::BitmapDigits,
    );
    check(
        "[wire]\ntext = \"ebcdic\"",
        "0100 0000000000800000 c1c2c3c4c5c6c741",
        41,
        17,
        Reason::Character { wanted: Kind::Ans },
    );
    check(
        "[wire]\nlengths = \"ebcdic\"",
        "0100 4000000000000000 f03a 00",
        2,
        10,
        digits_of_length(LengthEncoding::Ebcdic),
    );
}

#[test]
fn the_longest_message_is_counted_as_the_wire_has_it() {
    let dialect = named("bcd-1987");
    let mut builder = MessageBuilder::new(&dialect, MTI_0100_AUTHORISATION_REQUEST);
    for field in [46, 47, 48, 56] {
        builder.set(field, &[b'x'; 999]).unwrap();
    }
    let room = MESSAGE_LEN_MAX - (2 + 8) - 4 * (2 + 999) - 2;
    assert_eq!(
        builder.set(57, &vec![b'x'; room + 1]).unwrap_err(),
        BuildError::MessageTooLong { field: 57 }
    );
    builder.set(57, &vec![b'x'; room]).unwrap();
    let frame = built(&builder);
    assert_eq!(frame.len(), MESSAGE_LEN_MAX);
    assert!(Message::parse(&frame, &dialect).is_ok());
}

#[test]
fn a_mac_covers_all_that_the_wire_has_before_it() {
    for name in Dialect::names() {
        let dialect = named(name);
        for (field, mac_field) in [(48, 64), (103, 128)] {
            let mut builder =
                MessageBuilder::new(&dialect, dialect.message_type(MTI_0100_AUTHORISATION_REQUEST));
            builder.set(11, b"000042").unwrap();
            builder.set(field, b"text").unwrap().reserve_mac().unwrap();
            let mut frame = built(&builder);
            let (covered, place) = split_mac(&mut frame).unwrap();
            let covered = covered.to_vec();
            assert_eq!(*place, [0; 8]);
            *place = *b"\xA0\xB1\xC2\xD3\xE4\xF5\x06\x17";
            let message = Message::parse(&frame, &dialect).unwrap();
            assert_eq!(message.fields().last(), Some(mac_field), "{name}");
            let read = message.mac().unwrap();
            assert_eq!(read.covered, covered);
            assert_eq!(read.covered, &frame[..frame.len() - 8]);
            assert_eq!(&read.mac, b"\xA0\xB1\xC2\xD3\xE4\xF5\x06\x17");
        }
    }
}

#[test]
fn a_mac_with_fields_after_it_is_none() {
    let dialect = named("ascii-1987");
    let mut builder = MessageBuilder::new(&dialect, MTI_0800_NETWORK_REQUEST);
    builder.set(64, &[1; 8]).unwrap().set(70, b"301").unwrap();
    let frame = built(&builder);
    assert!(Message::parse(&frame, &dialect).unwrap().mac().is_none());
    builder.reset(MTI_0800_NETWORK_REQUEST);
    builder.set(70, b"301").unwrap();
    let frame = built(&builder);
    assert!(Message::parse(&frame, &dialect).unwrap().mac().is_none());
}

#[test]
fn a_reversal_names_its_original_in_every_dialect() {
    for name in Dialect::names() {
        let dialect = named(name);
        let mti = dialect.message_type(MTI_0100_AUTHORISATION_REQUEST);
        let mut builder = MessageBuilder::new(&dialect, mti);
        builder
            .set(7, b"1122161500")
            .unwrap()
            .set(11, b"000042")
            .unwrap()
            .set(32, b"4711")
            .unwrap();
        if name.contains("1993") {
            builder.set(12, b"261122171500").unwrap();
        }
        let frame = built(&builder);
        let message = Message::parse(&frame, &dialect).unwrap();
        let original = OriginalData::of(mti, &dialect, |number| message.field(number)).unwrap();
        let (field, content) = original.field(&dialect).unwrap();
        builder.reset(mti);
        builder.set(field, &content).unwrap();
        let frame = built(&builder);
        let reversal = Message::parse(&frame, &dialect).unwrap();
        let named = OriginalData::named_by(&dialect, |number| reversal.field(number));
        assert_eq!(named, Some(original), "{name}");
        assert_eq!(&original.acquirer, b"00000004711");
    }
}

/// Any fields of a dialect with values that fit.
fn fitting_fields() -> impl Strategy<Value = (Dialect, Vec<(u8, Vec<u8>)>)> {
    let names: Vec<_> = Dialect::names().collect();
    proptest::sample::select(names).prop_flat_map(|name| {
        let dialect = named(name);
        let numbers: Vec<u8> = (2..=128).filter(|&field| field != 65).collect();
        let value_of = {
            let dialect = dialect.clone();
            move |field: u8| {
                let spec = dialect.field(field).expect("the field is of the dialect");
                let bytes = proptest::string::bytes_regex(&common::fitting(spec)).expect("a valid pattern");
                (Just(field), bytes)
            }
        };
        let fields = proptest::sample::subsequence(numbers, 0..12)
            .prop_flat_map(move |fields| fields.into_iter().map(&value_of).collect::<Vec<_>>());
        (Just(dialect), fields)
    })
}

proptest! {
    #[test]
    fn what_is_built_is_read_back_in_every_dialect((dialect, fields) in fitting_fields()) {
        let mti = dialect.message_type(MTI_0100_AUTHORISATION_REQUEST);
        let mut builder = MessageBuilder::new(&dialect, mti);
        for (field, value) in &fields {
            builder.set(*field, value).unwrap();
        }
        let frame = built(&builder);
        let message = Message::parse(&frame, &dialect).unwrap();
        let read: Vec<_> = message.fields().map(|field| (field, message.field(field).unwrap().to_vec())).collect();
        prop_assert_eq!(read, fields);
        prop_assert_eq!(message.mti(), mti);
    }
}
