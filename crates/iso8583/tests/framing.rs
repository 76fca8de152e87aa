//! Framing: every framing both ways, frames in pieces, keep-alives, refusals.

use iso8583::framing::{FrameError, FrameReader, Framing};
use iso8583::message::MESSAGE_LEN_MAX;
use proptest::prelude::*;

fn stream(framing: Framing, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        framing
            .append(&mut out, |out| out.extend_from_slice(message))
            .expect("short enough");
    }
    out
}

fn drain(reader: &mut FrameReader) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| reader.next_frame().expect("well-formed").map(<[u8]>::to_vec)).collect()
}

#[test]
fn each_framing_writes_its_header() {
    let check = |framing: Framing, header: &[u8]| {
        let out = stream(framing, &[vec![b'x'; 1234]]);
        assert_eq!(out.strip_suffix(&[b'x'; 1234][..]), Some(header));
        assert_eq!(framing.header_len(), header.len());
    };
    check(Framing::Binary2, &[0x04, 0xD2]);
    check(Framing::Ascii4, b"1234");
    check(Framing::Bcd2, &[0x12, 0x34]);
    check(Framing::Binary2Zero2, &[0x04, 0xD2, 0, 0]);
}

#[test]
fn settings_name_each_framing() {
    let names = ["binary2", "ascii4", "bcd2", "binary2-zero2"];
    for (framing, name) in Framing::ALL.into_iter().zip(names) {
        assert_eq!(framing.name(), name);
        assert_eq!(name.parse(), Ok(framing));
        let setting: toml::Table = format!("framing = \"{name}\"").parse().unwrap();
        assert_eq!(setting["framing"].clone().try_into(), Ok(framing));
    }
    let error = "ascii2".parse::<Framing>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "no framing is named \"ascii2\"; there are: binary2, ascii4, bcd2, binary2-zero2"
    );
}

#[test]
fn frames_arrive_whole_however_the_stream_is_cut() {
    let messages = [b"0800".to_vec(), vec![7; MESSAGE_LEN_MAX], b"0".to_vec()];
    for framing in Framing::ALL {
        let bytes = stream(framing, &messages);
        for size in [1, 2, 3, 5, 1000, bytes.len()] {
            let mut reader = FrameReader::new(framing);
            let mut received = Vec::new();
            for piece in bytes.chunks(size) {
                reader.push(piece);
                received.extend(drain(&mut reader));
            }
            assert_eq!(received, messages, "{framing:?} in pieces of {size}");
            assert!(!reader.is_mid_frame());
        }
    }
}

#[test]
fn a_stream_that_stops_inside_a_frame_says_so() {
    for framing in Framing::ALL {
        let bytes = stream(framing, &[b"0800".to_vec()]);
        for len in 1..bytes.len() {
            let mut reader = FrameReader::new(framing);
            reader.push(&bytes[..len]);
            assert_eq!(reader.next_frame(), Ok(None));
            assert!(reader.is_mid_frame(), "{framing:?} after {len} bytes");
        }
    }
}

#[test]
fn frames_of_length_zero_are_keep_alives_and_skipped() {
    for framing in Framing::ALL {
        let bytes = stream(
            framing,
            &[vec![], b"0800".to_vec(), vec![], vec![], b"0810".to_vec(), vec![]],
        );
        let mut reader = FrameReader::new(framing);
        reader.push(&bytes);
        assert_eq!(drain(&mut reader), [b"0800".to_vec(), b"0810".to_vec()]);
        assert!(!reader.is_mid_frame());
    }
}

#[test]
fn each_bad_header_is_refused_and_stays_refused() {
    let check = |framing, header: &[u8], text: &str| {
        let mut reader = FrameReader::new(framing);
        reader.push(header);
        let error = reader.next_frame().unwrap_err();
        assert_eq!(error.to_string(), text);
        reader.push(&[0; 100]);
        assert_eq!(reader.next_frame(), Err(error));
    };
    let binary2 = "binary2 (2 bytes, big-endian)";
    let ascii4 = "ascii4 (4 digits in ASCII)";
    let bcd2 = "bcd2 (4 digits in BCD)";
    let too_long = |got: usize, framing: &str| {
        format!("frame of {got} bytes by a header of {framing}, at most {MESSAGE_LEN_MAX} are allowed")
    };
    check(Framing::Binary2, &[0x10, 0x01], &too_long(4097, binary2));
    check(Framing::Binary2, b"GET / HTTP/1.1", &too_long(0x4745, binary2));
    check(Framing::Ascii4, b"4097", &too_long(4097, ascii4));
    check(Framing::Ascii4, b"12 4", &format!("not a header of {ascii4}"));
    check(Framing::Bcd2, &[0x1A, 0x00], &format!("not a header of {bcd2}"));
    check(Framing::Bcd2, &[0x41, 0x00], &too_long(4100, bcd2));
    check(
        Framing::Binary2Zero2,
        &[0, 4, 0, 1],
        "not a header of binary2-zero2 (2 bytes, big-endian, then 2 zero bytes)",
    );
}

#[test]
fn a_message_too_long_leaves_the_stream_as_it_was() {
    let mut out = b"before".to_vec();
    for len in [MESSAGE_LEN_MAX + 1, 70_000] {
        let error = Framing::Binary2
            .append(&mut out, |out| out.resize(out.len() + len, 0))
            .unwrap_err();
        assert_eq!(
            error,
            FrameError::TooLong {
                framing: Framing::Binary2,
                max: MESSAGE_LEN_MAX,
                got: len
            }
        );
        assert_eq!(out, b"before");
    }
}

#[test]
fn debug_output_shows_no_content() {
    let mut reader = FrameReader::new(Framing::default());
    reader.push(b"\x00\x044000");
    assert_eq!(format!("{reader:?}"), "FrameReader(Binary2, 6 bytes)");
}

proptest! {
    #[test]
    fn any_bytes_give_frames_or_a_refusal(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20)) {
        for framing in Framing::ALL {
            let mut reader = FrameReader::new(framing);
            for piece in &pieces {
                reader.push(piece);
                while let Ok(Some(frame)) = reader.next_frame() {
                    prop_assert!((1..=MESSAGE_LEN_MAX).contains(&frame.len()));
                }
            }
        }
    }
}
