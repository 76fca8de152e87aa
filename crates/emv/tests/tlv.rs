//! BER-TLV: both ways, every truncation, and one row per refusal.

mod common;

use common::unhex;
use emv::tags::{
    TAG_5A_PAN, TAG_6F_FCI_TEMPLATE, TAG_9F36_ATC, TAG_9F38_PDOL, TAG_84_DF_NAME, TAG_A5_FCI_PROPRIETARY,
};
use emv::tlv::{self, DEPTH_MAX, OBJECTS_MAX, Tag, TlvError, TlvReason};
use proptest::prelude::*;

/// FCI of a directory: two templates, one in the other, and a PDOL.
const FCI: &str = "6F18 8407A0000000031010 A50D 50045649 5341 9F38039F1A02 00";

#[test]
fn nested_templates_are_read_in_order_with_their_depth() {
    let bytes = unhex(FCI);
    let read: Vec<_> = tlv::parse_nested(&bytes)
        .unwrap()
        .into_iter()
        .map(|(depth, object)| (depth, object.tag.to_string()))
        .collect();
    let wanted = [(0, "6F"), (1, "84"), (1, "A5"), (2, "50"), (2, "9F38")];
    assert_eq!(read, wanted.map(|(depth, tag)| (depth, tag.to_owned())));
    assert_eq!(
        tlv::find(&bytes, TAG_9F38_PDOL),
        Ok(Some(&[0x9F, 0x1A, 0x02][..]))
    );
    assert_eq!(
        tlv::find(&bytes, TAG_84_DF_NAME).unwrap().map(<[u8]>::len),
        Some(7)
    );
    assert_eq!(tlv::find(&bytes, TAG_9F36_ATC), Ok(None));
}

#[test]
fn one_level_is_read_without_entering_templates() {
    let bytes = unhex(FCI);
    let objects = tlv::parse(&bytes).unwrap();
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0].tag, TAG_6F_FCI_TEMPLATE);
    assert_eq!(objects[0].value.len(), 24);
}

#[test]
fn zero_bytes_between_data_objects_are_skipped() {
    let bytes = unhex("0000 9F3602001C 00 5A0112 0000");
    let tags: Vec<_> = tlv::parse(&bytes)
        .unwrap()
        .into_iter()
        .map(|object| object.tag)
        .collect();
    assert_eq!(tags, [TAG_9F36_ATC, TAG_5A_PAN]);
}

#[test]
fn lengths_are_written_minimal_and_read_in_any_form() {
    let check = |len: usize, head: &str| {
        let mut out = Vec::new();
        tlv::put(&mut out, TAG_5A_PAN, &vec![7; len]);
        assert_eq!(out.len() - len, unhex(head).len());
        assert!(out.starts_with(&unhex(head)), "{len}");
        assert_eq!(tlv::parse(&out).unwrap()[0].value.len(), len);
    };
    check(0, "5A00");
    check(127, "5A7F");
    check(128, "5A8180");
    check(255, "5A81FF");
    check(256, "5A820100");
    check(65_535, "5A82FFFF");
    for longer_than_needed in ["5A8101AA", "5A820001AA"] {
        assert_eq!(tlv::parse(&unhex(longer_than_needed)).unwrap()[0].value, [0xAA]);
    }
}

#[test]
fn tags_have_one_to_three_bytes() {
    for (digits, tag) in [
        ("9A00", "9A"),
        ("9F3600", "9F36"),
        ("BF0C00", "BF0C"),
        ("DF812900", "DF8129"),
    ] {
        assert_eq!(tlv::parse(&unhex(digits)).unwrap()[0].tag.to_string(), tag);
    }
    assert!(TAG_A5_FCI_PROPRIETARY.is_template());
    assert!(Tag::new(0xBF0C).is_template());
    assert!(!TAG_9F36_ATC.is_template());
    assert_eq!(Tag::new(0xDF8129).code(), 0xDF8129);
}

#[test]
fn a_number_that_is_not_one_tag_is_no_tag() {
    for code in [0, 0x1F, 0x9F, 0x9F80, 0x5A36, 0xDF_8180, 0x9F_3601, 0x0100_9F36] {
        assert!(std::panic::catch_unwind(|| Tag::new(code)).is_err(), "{code:X}");
    }
}

#[test]
fn data_objects_cut_at_any_byte_are_refused() {
    let bytes = unhex(FCI.trim_end_matches(" 00"));
    for len in 1..bytes.len() {
        let error = tlv::parse_nested(&bytes[..len]).unwrap_err();
        assert_eq!(error.at, 0, "{len}");
        assert!(matches!(
            error.reason,
            TlvReason::HeadTruncated | TlvReason::ValueTruncated { .. }
        ));
    }
}

#[test]
fn each_malformed_data_object_is_refused_with_place_and_reason() {
    let check = |digits: &str, at, tag: &str, reason| {
        let error = tlv::parse_nested(&unhex(digits)).unwrap_err();
        let named = error.tag.map(|tag| tag.to_string()).unwrap_or_default();
        assert_eq!(
            (error.at, named.as_str(), error.reason),
            (at, tag, reason),
            "{digits}"
        );
    };
    let cut = |wanted, got| TlvReason::ValueTruncated { wanted, got };
    check("9F", 0, "", TlvReason::HeadTruncated);
    check("9F36", 0, "9F36", TlvReason::HeadTruncated);
    check("9F3602001C 5A81", 5, "5A", TlvReason::HeadTruncated);
    check("5A8200", 0, "5A", TlvReason::HeadTruncated);
    check("9F3602001C 5A0212", 5, "5A", cut(2, 1));
    check("5A82FFFF00", 0, "5A", cut(65_535, 1));
    check("DF81818101", 0, "", TlvReason::TagTooLong);
    check("5A80", 0, "5A", TlvReason::Length);
    check("5A8300000100", 0, "5A", TlvReason::Length);
    check("5AFF00", 0, "5A", TlvReason::Length);
    check("70055A034711", 0, "70", cut(5, 4));
    // Inside templates, the place is still that of the bytes given.
    check("00 7006 7004 9F360300", 5, "9F36", cut(3, 1));
    check("9C0100 6F058700 70019F", 9, "", TlvReason::HeadTruncated);
    // FF is no padding: a tag begins there.
    check("9C0100 FF", 3, "", TlvReason::HeadTruncated);
}

#[test]
fn a_refusal_names_tags_that_are_listed_and_nothing_else_that_came() {
    let check = |digits: &str, text: &str| {
        assert_eq!(tlv::parse_nested(&unhex(digits)).unwrap_err().to_string(), text);
    };
    check(
        "9C0100 9F360300",
        "data object 9F36 (Application transaction counter) at byte 3: wanted a value of 3 bytes, got 1",
    );
    check(
        "DF471104",
        "data object at byte 0: wanted a value of 17 bytes, got 1",
    );
}

#[test]
fn templates_nest_to_a_limit() {
    let nested = |depth: usize| {
        (0..depth).fold(vec![], |content, _| {
            let mut out = Vec::new();
            tlv::put(&mut out, TAG_6F_FCI_TEMPLATE, &content);
            out
        })
    };
    assert_eq!(tlv::parse_nested(&nested(DEPTH_MAX)).unwrap().len(), DEPTH_MAX);
    assert_eq!(
        tlv::parse_nested(&nested(DEPTH_MAX + 2)).unwrap_err().reason,
        TlvReason::TooDeep
    );
    assert_eq!(
        tlv::parse_nested(&nested(1000)).unwrap_err().reason,
        TlvReason::TooDeep
    );
}

#[test]
fn data_objects_are_counted_to_a_limit() {
    let many = |count| unhex("5A00").repeat(count);
    assert_eq!(tlv::parse(&many(OBJECTS_MAX)).unwrap().len(), OBJECTS_MAX);
    let refused = TlvError {
        at: 2 * OBJECTS_MAX,
        tag: Some(TAG_5A_PAN),
        reason: TlvReason::TooMany,
    };
    assert_eq!(tlv::parse(&many(OBJECTS_MAX + 1)).unwrap_err(), refused);
    assert_eq!(tlv::parse_nested(&many(OBJECTS_MAX + 1)).unwrap_err(), refused);
}

#[test]
fn debug_output_shows_no_value() {
    let bytes = unhex("5A084000000000001091");
    assert_eq!(
        format!("{:?}", tlv::parse(&bytes).unwrap()),
        "[Object(5A, 8 bytes)]"
    );
}

fn tag() -> impl Strategy<Value = Tag> {
    let one = (1u32..0x100).prop_filter("one byte", |code| code & 0x1F != 0x1F);
    let two = (0u32..8, 0u32..0x80).prop_map(|(class, number)| (class << 5 | 0x1F) << 8 | number);
    let three = (0u32..8, 0x80u32..0x100, 0u32..0x80)
        .prop_map(|(class, middle, last)| (class << 5 | 0x1F) << 16 | middle << 8 | last);
    prop_oneof![one, two, three].prop_map(Tag::new)
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(objects in proptest::collection::vec((tag(), proptest::collection::vec(any::<u8>(), 0..300)), 0..20)) {
        let mut out = Vec::new();
        for (tag, value) in &objects {
            tlv::put(&mut out, *tag, value);
        }
        let read: Vec<_> = tlv::parse(&out).unwrap().into_iter().map(|object| (object.tag, object.value.to_vec())).collect();
        prop_assert_eq!(read, objects);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(objects) = tlv::parse_nested(&bytes) {
            prop_assert!(objects.len() <= OBJECTS_MAX);
            prop_assert!(objects.iter().all(|(depth, _)| *depth <= DEPTH_MAX));
        }
    }
}
