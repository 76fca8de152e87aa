//! `vectors/tr31.txt`; refusals.

use paycrypto::aes_key::AesKey;
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::{
    Algorithm, Exportability, Header, KeyBlockVersion, KeyContext, KeyUsage, ModeOfUse, OptionalBlock,
};
use paycrypto::tr31::{Kbpk, KeyBlockError, WrapError, padding_len, unwrap, wrap};

use crate::vector_file::{Record, records};

/// Calls with the record's KBPK: AES where it has 32 bytes.
fn with_kbpk<T>(record: &Record, act: impl FnOnce(Kbpk<'_>) -> T) -> T {
    match record.bytes("kbpk").len() {
        16 => act(Kbpk::Tdes(&record.tdes("kbpk"))),
        _ => act(Kbpk::Aes(&record.aes("kbpk"))),
    }
}

#[test]
fn published_key_blocks_open() {
    let records = records("tr31.txt");
    assert_eq!(records.len(), 5);
    for record in records {
        let unwrapped = with_kbpk(&record, |kbpk| unwrap(kbpk, record.text("block"))).unwrap();
        record.expect("key", &unwrapped.key);
    }
}

#[test]
fn optional_blocks_are_kept() {
    let record = records("tr31.txt").remove(3);
    let unwrapped = with_kbpk(&record, |kbpk| unwrap(kbpk, record.text("block"))).unwrap();
    let ksn = OptionalBlock::new(*b"KS", "00604B120F9292800000").unwrap();
    assert_eq!(unwrapped.header.optional_blocks, [ksn]);
    assert_eq!(unwrapped.header.usage, KeyUsage::B0_BASE_DERIVATION);
    assert_eq!(unwrapped.header.mode_of_use, ModeOfUse::DeriveKeys);
    assert_eq!(unwrapped.header.key_version, *b"12");
    assert_eq!(unwrapped.header.exportability, Exportability::Sensitive);
}

#[test]
fn every_single_bit_flip_of_a_published_key_block_is_refused() {
    for record in records("tr31.txt") {
        let block = record.text("block").as_bytes();
        let refused = with_kbpk(&record, |kbpk| {
            (0..block.len() * 8)
                .filter(|bit| {
                    let mut flipped = block.to_vec();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    // A set top bit is no text any more, so the block can't even be handed over.
                    String::from_utf8(flipped).map_or(true, |text| unwrap(kbpk, &text).is_err())
                })
                .count()
        });
        assert_eq!(refused, block.len() * 8, "{}", record.text("block"));
    }
}

#[test]
fn every_truncation_of_a_published_key_block_is_refused() {
    for record in records("tr31.txt") {
        let block = record.text("block");
        for len in 0..block.len() {
            let got = with_kbpk(&record, |kbpk| unwrap(kbpk, &block[..len]));
            assert_eq!(got.err(), Some(KeyBlockError));
        }
    }
}

fn header(version: KeyBlockVersion, optional_blocks: Vec<OptionalBlock>) -> Header {
    Header {
        version,
        usage: KeyUsage::V2_PIN_VERIFICATION_VISA_PVV,
        algorithm: Algorithm::Tdea,
        mode_of_use: ModeOfUse::GenerateVerify,
        key_version: *b"07",
        exportability: Exportability::NonExportable,
        key_context: KeyContext::OfWrappingKey,
        optional_blocks,
    }
}

#[test]
fn wrapped_keys_come_back_with_their_header_in_every_version() {
    let tdes = Tdes2Key::from_bytes(&[0x42; 16]);
    let aes = AesKey::from_bytes(&[0x42; 24]).unwrap();
    let optional = || {
        vec![
            OptionalBlock::new(*b"KS", "0123").unwrap(),
            OptionalBlock::new(*b"LB", "a label").unwrap(),
        ]
    };
    for version in [
        KeyBlockVersion::A,
        KeyBlockVersion::B,
        KeyBlockVersion::C,
        KeyBlockVersion::D,
    ] {
        let kbpk = if version == KeyBlockVersion::D {
            Kbpk::Aes(&aes)
        } else {
            Kbpk::Tdes(&tdes)
        };
        for key_len in [16, 24, 32, 61] {
            for optional_blocks in [Vec::new(), optional()] {
                let header = header(version, optional_blocks);
                let key = vec![0x17; key_len];
                let padding = vec![0x99; padding_len(version, key_len) + version.block_len_bytes()];
                let block = wrap(kbpk, &header, &key, &padding).unwrap();
                let unwrapped = unwrap(kbpk, &block).unwrap();
                assert_eq!(
                    (unwrapped.header, unwrapped.key.as_slice()),
                    (header, key.as_slice())
                );
            }
        }
    }
}

#[test]
fn a_block_says_whether_it_is_for_storage_or_exchange() {
    let kbpk = AesKey::from_bytes(&[0x42; 16]).unwrap();
    for (key_context, characters) in [
        (KeyContext::OfWrappingKey, "00"),
        (KeyContext::Storage, "10"),
        (KeyContext::Exchange, "20"),
    ] {
        let header = Header {
            key_context,
            ..header(KeyBlockVersion::D, Vec::new())
        };
        let block = wrap(Kbpk::Aes(&kbpk), &header, &[0x17; 16], &[0x99; 14]).unwrap();
        assert_eq!(&block[14..16], characters);
        assert_eq!(unwrap(Kbpk::Aes(&kbpk), &block).unwrap().header, header);
    }
    assert!(Header::from_fixed_part("D0112P0AE00E0030").is_none());
    assert!(Header::from_fixed_part("D0112P0AE00E0001").is_none());
}

#[test]
fn wrapping_refuses_what_a_block_cannot_say() {
    let tdes = Tdes2Key::from_bytes(&[0x42; 16]);
    let aes = AesKey::from_bytes(&[0x42; 16]).unwrap();
    let b = header(KeyBlockVersion::B, Vec::new());
    let d = header(KeyBlockVersion::D, Vec::new());
    assert_eq!(wrap(Kbpk::Aes(&aes), &b, &[1; 16], &[0; 6]), Err(WrapError::Kbpk));
    assert_eq!(
        wrap(Kbpk::Tdes(&tdes), &d, &[1; 16], &[0; 14]),
        Err(WrapError::Kbpk)
    );
    assert_eq!(
        wrap(Kbpk::Tdes(&tdes), &b, &[], &[0; 6]),
        Err(WrapError::KeyLength)
    );
    assert_eq!(
        wrap(Kbpk::Tdes(&tdes), &b, &[1; 8192], &[0; 6]),
        Err(WrapError::KeyLength)
    );
    assert_eq!(
        wrap(Kbpk::Tdes(&tdes), &b, &[1; 16], &[0; 5]),
        Err(WrapError::Padding)
    );
    assert_eq!(
        wrap(Kbpk::Tdes(&tdes), &b, &[1; 8000], &[0; 6]),
        Err(WrapError::Header)
    );
    let bad_version = Header {
        key_version: [0xFF, b'0'],
        ..b
    };
    assert_eq!(
        wrap(Kbpk::Tdes(&tdes), &bad_version, &[1; 16], &[0; 6]),
        Err(WrapError::Header)
    );
    assert!(OptionalBlock::new(*b"PB", "0000").is_none());
    assert!(OptionalBlock::new(*b"ks", "0000").is_none());
    assert!(OptionalBlock::new(*b"KS", &"0".repeat(252)).is_none());
}

#[test]
fn a_key_block_doesnt_open_under_another_key() {
    let (right, wrong) = (
        AesKey::from_bytes(&[1; 32]).unwrap(),
        AesKey::from_bytes(&[2; 32]).unwrap(),
    );
    let block = wrap(
        Kbpk::Aes(&right),
        &header(KeyBlockVersion::D, Vec::new()),
        &[1; 16],
        &[0; 14],
    )
    .unwrap();
    assert_eq!(unwrap(Kbpk::Aes(&wrong), &block).err(), Some(KeyBlockError));
    let tdes = Tdes2Key::from_bytes(&[1; 16]);
    assert_eq!(unwrap(Kbpk::Tdes(&tdes), &block).err(), Some(KeyBlockError));
}
