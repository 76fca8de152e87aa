//! Reading and building messages: round trips, every truncation, every flipped bit, and one row per refusal.

mod common;

use common::authorisation_request;
use iso8583::build::{BuildError, MessageBuilder};
use iso8583::dialect::{Dialect, Kind, Length};
use iso8583::message::{MESSAGE_LEN_MAX, Message, ParseError, Reason};
use iso8583::mti::{
    MTI_0100_AUTHORISATION_REQUEST, MTI_0110_AUTHORISATION_RESPONSE, MTI_0800_NETWORK_REQUEST,
};
use iso8583::wire::{LengthEncoding, MtiEncoding};
use proptest::prelude::*;

fn dialect() -> Dialect {
    Dialect::named("ascii-1987").expect("comes with the crate")
}

/// MTI 0100, a first bitmap, and a body.
fn frame(bitmap: u64, body: &[u8]) -> Vec<u8> {
    [b"0100", &bitmap.to_be_bytes()[..], body].concat()
}

const fn bit(field: u32) -> u64 {
    1 << (64 - field)
}

#[test]
fn a_message_made_by_another_implementation_is_read_field_by_field() {
    let (sample, dialect) = (authorisation_request(), dialect());
    let message = Message::parse(&sample.frame, &dialect).unwrap();
    assert_eq!(sample.frame.len(), 398);
    assert_eq!(message.mti(), MTI_0100_AUTHORISATION_REQUEST);
    let read: Vec<_> = message
        .fields()
        .map(|field| (field, message.field(field).unwrap().to_vec()))
        .collect();
    assert_eq!(read, sample.fields);
    assert_eq!(message.field(39), None);
    assert_eq!(message.field(0), None);
    assert_eq!(message.field(1), None);
    assert_eq!(message.field(255), None);
}

#[test]
fn the_same_fields_in_any_order_build_the_same_message() {
    let (sample, dialect) = (authorisation_request(), dialect());
    let mut builder = MessageBuilder::new(&dialect, MTI_0100_AUTHORISATION_REQUEST);
    for (field, value) in sample.fields.iter().rev() {
        builder.set(*field, value).unwrap();
    }
    let mut built = Vec::new();
    builder.write_to(&mut built);
    assert_eq!(built, sample.frame);
}

#[test]
fn a_response_echoes_the_request_from_a_builder_used_before() {
    let (sample, dialect) = (authorisation_request(), dialect());
    let request = Message::parse(&sample.frame, &dialect).unwrap();
    let mut builder = MessageBuilder::new(&dialect, MTI_0800_NETWORK_REQUEST);
    builder.set(70, b"301").unwrap();
    builder.reset(request.mti().response().unwrap());
    builder
        .echo(&request, &[2, 3, 4, 7, 11, 38, 41])
        .unwrap()
        .set(39, b"55")
        .unwrap();
    let mut built = Vec::new();
    builder.write_to(&mut built);
    let response = Message::parse(&built, &dialect).unwrap();
    assert_eq!(response.mti(), MTI_0110_AUTHORISATION_RESPONSE);
    assert_eq!(response.fields().collect::<Vec<_>>(), [2, 3, 4, 7, 11, 39, 41]);
    assert_eq!(response.field(11), Some(&b"000042"[..]));
}

#[test]
fn a_pin_block_has_16_bytes_in_the_aes_dialect() {
    let dialect = Dialect::named("ascii-1987-aes").unwrap();
    let mut builder = MessageBuilder::new(&dialect, MTI_0100_AUTHORISATION_REQUEST);
    let (field, wanted) = (52, Length::Fixed(16));
    assert_eq!(
        builder.set(52, &[0; 8]).unwrap_err(),
        BuildError::Length {
            field,
            wanted,
            got: 8
        }
    );
    builder.set(52, &[0; 16]).unwrap();
}

#[test]
fn a_message_cut_at_any_byte_is_refused_there() {
    let (sample, dialect) = (authorisation_request(), dialect());
    for len in 0..sample.frame.len() {
        let error = Message::parse(&sample.frame[..len], &dialect).unwrap_err();
        assert!(matches!(error.reason, Reason::Truncated { .. }), "{len}: {error}");
        assert!(error.at <= len);
    }
}

#[test]
fn a_flipped_bit_is_refused_or_changes_what_is_read() {
    let (sample, dialect) = (authorisation_request(), dialect());
    let describe = |frame: &[u8]| {
        Message::parse(frame, &dialect).ok().map(|message| {
            let fields: Vec<_> = message
                .fields()
                .map(|field| (field, message.field(field).unwrap().to_vec()))
                .collect();
            (message.mti(), fields)
        })
    };
    let whole = describe(&sample.frame);
    for at in 0..sample.frame.len() {
        for shift in 0..8 {
            let mut frame = sample.frame.clone();
            frame[at] ^= 1 << shift;
            assert_ne!(describe(&frame), whole, "byte {at}, bit {shift}");
        }
    }
}

#[test]
fn each_malformed_message_is_refused_with_field_place_and_reason() {
    let dialect = dialect();
    let check = |frame: &[u8], field, at, reason| {
        let error = Message::parse(frame, &dialect).unwrap_err();
        assert_eq!(error, ParseError { field, at, reason });
    };
    let not_a_type = Reason::MessageType {
        encoding: MtiEncoding::Ascii,
        version: b'0',
    };
    let ascii_digits = |digits| Reason::LengthDigits {
        digits,
        encoding: LengthEncoding::Ascii,
    };
    check(b"", 0, 0, Reason::Truncated { wanted: 4, got: 0 });
    check(b"1100\0\0\0\0\0\0\0\0", 0, 0, not_a_type);
    check(b"0900\0\0\0\0\0\0\0\0", 0, 0, not_a_type);
    check(b"01A0\0\0\0\0\0\0\0\0", 0, 0, not_a_type);
    check(b"0100\0\0\0", 1, 4, Reason::Truncated { wanted: 8, got: 3 });
    check(
        &frame(bit(1), &[]),
        1,
        12,
        Reason::Truncated { wanted: 8, got: 0 },
    );
    check(
        &frame(bit(1), &bit(1).to_be_bytes()),
        65,
        20,
        Reason::NotInDialect,
    );
    check(
        &frame(bit(3), b"00000"),
        3,
        12,
        Reason::Truncated { wanted: 6, got: 5 },
    );
    check(
        &frame(bit(3), b"00000x"),
        3,
        17,
        Reason::Character { wanted: Kind::N },
    );
    check(
        &frame(bit(37), b"00000000000-"),
        37,
        23,
        Reason::Character { wanted: Kind::An },
    );
    check(
        &frame(bit(41), b"TERM\x0001 "),
        41,
        16,
        Reason::Character { wanted: Kind::Ans },
    );
    check(
        &frame(bit(41), b"TERM\xE901 "),
        41,
        16,
        Reason::Character { wanted: Kind::Ans },
    );
    check(
        &frame(bit(35), b"02=B"),
        35,
        15,
        Reason::Character { wanted: Kind::Z },
    );
    check(
        &frame(bit(2), b"1"),
        2,
        12,
        Reason::Truncated { wanted: 2, got: 1 },
    );
    check(&frame(bit(2), b"-1"), 2, 12, ascii_digits(2));
    check(
        &frame(bit(2), b"2000000000000000000000"),
        2,
        12,
        Reason::TooLong { max: 19, got: 20 },
    );
    check(
        &frame(bit(55), b"2560"),
        55,
        12,
        Reason::TooLong { max: 255, got: 256 },
    );
    check(&frame(bit(55), b"0x0"), 55, 12, ascii_digits(3));
    check(
        &frame(bit(3), b"0000000"),
        0,
        18,
        Reason::TrailingBytes { got: 1 },
    );
    let long = vec![b'0'; MESSAGE_LEN_MAX + 1];
    check(
        &long,
        0,
        0,
        Reason::TooLong {
            max: MESSAGE_LEN_MAX,
            got: MESSAGE_LEN_MAX + 1,
        },
    );
}

#[test]
fn a_field_outside_the_dialect_is_refused_both_ways() {
    let text = "name = \"small\"\nmti_version = 0\n[fields]\n3 = { title = \"Processing code\", kind = \"n\", len = 6 }";
    let small = Dialect::parse(text).unwrap();
    let reason = Reason::NotInDialect;
    let error = Message::parse(&frame(bit(4), b"000000000000"), &small).unwrap_err();
    assert_eq!(
        error,
        ParseError {
            field: 4,
            at: 12,
            reason
        }
    );
    let mut builder = MessageBuilder::new(&small, MTI_0100_AUTHORISATION_REQUEST);
    assert_eq!(
        builder.set(4, b"000000000000").unwrap_err(),
        BuildError::NotInDialect { field: 4 }
    );
    assert_eq!(
        builder.set(0, b"").unwrap_err(),
        BuildError::NotInDialect { field: 0 }
    );
    assert_eq!(
        builder.set(129, b"").unwrap_err(),
        BuildError::NotInDialect { field: 129 }
    );
}

#[test]
fn each_value_outside_its_field_is_refused() {
    let dialect = dialect();
    let mut builder = MessageBuilder::new(&dialect, MTI_0100_AUTHORISATION_REQUEST);
    let mut check = |field, value: &[u8], error| assert_eq!(builder.set(field, value).unwrap_err(), error);
    let length = |field, wanted, got| BuildError::Length { field, wanted, got };
    let character = |field, at, wanted| BuildError::Character { field, at, wanted };
    check(3, b"00000", length(3, Length::Fixed(6), 5));
    check(3, b"0000000", length(3, Length::Fixed(6), 7));
    check(2, &[b'1'; 20], length(2, Length::Ll(19), 20));
    check(55, &[0; 256], length(55, Length::Lll(255), 256));
    check(4, b"00000000100,", character(4, 11, Kind::N));
    check(65, b"1", BuildError::NotInDialect { field: 65 });
    builder.set(3, b"000000").unwrap();
    assert_eq!(
        builder.set(3, b"010000").unwrap_err(),
        BuildError::AlreadySet { field: 3 }
    );
}

#[test]
fn the_longest_message_is_built_and_read_and_one_byte_more_is_refused() {
    let dialect = dialect();
    let mut builder = MessageBuilder::new(&dialect, MTI_0100_AUTHORISATION_REQUEST);
    for field in [46, 47, 48, 56] {
        builder.set(field, &[b'x'; 999]).unwrap();
    }
    // 4,096 bytes less MTI and bitmap, four fields of 3 + 999, and the length of this one.
    let room = MESSAGE_LEN_MAX - 12 - 4 * 1002 - 3;
    assert_eq!(
        builder.set(57, &vec![b'x'; room + 1]).unwrap_err(),
        BuildError::MessageTooLong { field: 57 }
    );
    // A field above 64 costs a second bitmap as well.
    assert_eq!(
        builder.set(120, &vec![b'x'; room]).unwrap_err(),
        BuildError::MessageTooLong { field: 120 }
    );
    builder.set(57, &vec![b'x'; room]).unwrap();
    let mut built = Vec::new();
    builder.write_to(&mut built);
    assert_eq!(built.len(), MESSAGE_LEN_MAX);
    assert_eq!(
        Message::parse(&built, &dialect).unwrap().field(57).unwrap().len(),
        room
    );
}

#[test]
fn debug_output_and_errors_show_no_content() {
    let (sample, dialect) = (authorisation_request(), dialect());
    let message = Message::parse(&sample.frame, &dialect).unwrap();
    let mut builder = MessageBuilder::new(&dialect, message.mti());
    builder.echo(&message, &[2, 52]).unwrap();
    assert_eq!(
        format!("{message:?}"),
        "Message(0100 {2, 3, 4, 7, 11, 22, 35, 37, 41, 42, 49, 52, 55})"
    );
    assert_eq!(format!("{builder:?}"), "MessageBuilder(0100 {2, 52})");
}

#[test]
fn a_refusal_says_what_was_wanted_where_and_never_what_came() {
    let dialect = dialect();
    let check = |frame: &[u8], text: &str| {
        let error = Message::parse(frame, &dialect).unwrap_err();
        assert_eq!(error.to_string(), text);
    };
    check(
        b"0100\0\0\0",
        "bitmap at byte 4: wanted 8 bytes, the message has 3 left",
    );
    check(
        b"1987\0\0\0\0\0\0\0\0",
        "message type at byte 0: wanted 4 digits in ASCII with a meaning, the first 0",
    );
    check(
        &frame(bit(1), &bit(1).to_be_bytes()),
        "third bitmap (field 65) at byte 20: not a field of this dialect",
    );
    check(&frame(bit(2), b"03Z8Z"), "field 2 at byte 14: wanted digits");
    check(
        &frame(bit(2), b"ZZ"),
        "field 2 at byte 12: wanted a length of 2 digits in ASCII",
    );
    check(
        &frame(bit(2), b"87"),
        "field 2 at byte 12: wanted at most 19 bytes, got 87",
    );
    check(
        &frame(bit(52), b"SECRET"),
        "field 52 at byte 12: wanted 8 bytes, the message has 6 left",
    );
    check(
        &frame(bit(3), b"000000SECRET"),
        "what follows the last field at byte 18: wanted the end of the message, got 6 more bytes",
    );
    check(
        &[b'7'; MESSAGE_LEN_MAX + 1],
        "message at byte 0: wanted at most 4096 bytes, got 4097",
    );
    let mut builder = MessageBuilder::new(&dialect, MTI_0100_AUTHORISATION_REQUEST);
    let mut check = |field, value: &[u8], text: &str| {
        assert_eq!(builder.set(field, value).unwrap_err().to_string(), text);
    };
    check(3, b"SECRET1", "field 3: wanted 6 bytes, got 7");
    check(2, &[b'7'; 20], "field 2: wanted at most 19 bytes, got 20");
    check(
        41,
        b"SECRET\x01\x02",
        "field 41 at byte 6 of its value: wanted printable ASCII",
    );
}

/// Any fields of the dialect with values that fit.
fn fitting_fields() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let dialect = dialect();
    let value_of = move |field: u8| {
        let spec = dialect.field(field).expect("the field is of the dialect");
        let pattern = common::fitting(spec);
        let bytes = proptest::string::bytes_regex(&pattern).expect("a valid pattern");
        (Just(field), bytes)
    };
    let numbers: Vec<u8> = (2..=128).filter(|&field| field != 65).collect();
    proptest::sample::subsequence(numbers, 0..12)
        .prop_flat_map(move |fields| fields.into_iter().map(&value_of).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(fields in fitting_fields()) {
        let dialect = dialect();
        let mut builder = MessageBuilder::new(&dialect, MTI_0100_AUTHORISATION_REQUEST);
        for (field, value) in &fields {
            builder.set(*field, value).unwrap();
        }
        let mut built = Vec::new();
        builder.write_to(&mut built);
        let message = Message::parse(&built, &dialect).unwrap();
        let read: Vec<_> = message.fields().map(|field| (field, message.field(field).unwrap().to_vec())).collect();
        prop_assert_eq!(read, fields);
    }

    #[test]
    fn any_bytes_are_read_or_refused_within_the_frame(body in proptest::collection::vec(any::<u8>(), 0..200), bitmap: u64) {
        let frame = frame(bitmap, &body);
        if let Err(error) = Message::parse(&frame, &dialect()) {
            prop_assert!(error.at <= frame.len());
        }
    }
}
