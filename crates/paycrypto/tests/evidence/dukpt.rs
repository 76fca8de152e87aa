//! `vectors/dukpt.txt`.

use paycrypto::aes_key::AesKey;
use paycrypto::dukpt::aes::{initial_key, pin_key as aes_pin_key, transaction_key};
use paycrypto::dukpt::tdes::{Ksn, pin_key as tdes_pin_key};
use paycrypto::pinblock::{TdesFormat, encipher_tdes, iso4};
use paycrypto::tdes_key::Tdes2Key;

use crate::vector_file::{Record, records, unhex};

/// The one record of a kind.
fn record(kind: &str) -> Record {
    let of_kind = |record: &Record| record.text("kind") == kind;
    records("dukpt.txt").into_iter().find(of_kind).unwrap()
}

/// A row's counter, named in 8 hexadecimal digits.
fn counter(name: &str) -> u32 {
    u32::from_be_bytes(unhex(name))
}

#[test]
fn published_pin_blocks_come_out_from_the_first_counters_to_the_rollover() {
    let record = record("tdes");
    let rows = record.rows("block_");
    assert_eq!(rows.len(), 21 + 13);
    for (name, ksn) in rows {
        let key = tdes_pin_key(&record.tdes("bdk"), Ksn(unhex(&ksn))).unwrap();
        let (pin, account) = (record.pin("pin"), record.account());
        record.expect(
            &name,
            &encipher_tdes(&key, TdesFormat::Iso0, &pin, &account, &[0; 10]),
        );
    }
}

#[test]
fn published_aes_keys_come_out_from_the_first_counter_to_the_last() {
    let record = record("aes");
    let (bdk, id) = (record.aes("bdk"), record.array("ikid"));
    record.expect("initial_key", initial_key(&bdk, id).unwrap().expose_bytes());
    let [derivation_keys, pin_keys, blocks] =
        ["derivation_key_", "pin_key_", "block_"].map(|prefix| record.rows(prefix));
    assert_eq!(
        [derivation_keys.len(), pin_keys.len(), blocks.len()],
        [8 + 3 + 4, 8, 8]
    );
    for (name, at) in derivation_keys {
        let key = transaction_key(&bdk, id, counter(&at)).unwrap();
        record.expect(&name, key.expose_bytes());
    }
    for (name, at) in pin_keys {
        record.expect(&name, aes_pin_key(&bdk, id, counter(&at)).unwrap().expose_bytes());
    }
    for (name, at) in blocks {
        let key = aes_pin_key(&bdk, id, counter(&at)).unwrap();
        let (pin, account, random) = (record.pin("pin"), record.account(), record.array("random"));
        record.expect(&name, &iso4::encipher(&key, &pin, &account, &random));
    }
}

#[test]
fn counters_that_terminals_skip_give_no_key() {
    let bdk = Tdes2Key::from_bytes(&[0x23; 16]);
    let ksn = |counter: u32| {
        let [_, b, c, d] = counter.to_be_bytes();
        Ksn([0xFF, 0xFF, 1, 2, 3, 4, 5, b, c, d])
    };
    assert!(tdes_pin_key(&bdk, ksn(0)).is_none());
    assert!(tdes_pin_key(&bdk, ksn(0x7FF)).is_none());
    assert!(tdes_pin_key(&bdk, ksn(0x3FF)).is_some());
    // The bits above the 21 of the counter belong to the terminal's number.
    assert!(tdes_pin_key(&bdk, ksn(0xE0_0000)).is_none());
    assert!(tdes_pin_key(&bdk, ksn(0xFF_F000)).is_some());
    let bdk = AesKey::from_bytes(&[0x23; 16]).unwrap();
    assert!(aes_pin_key(&bdk, [1; 8], 0).is_none());
    assert!(aes_pin_key(&bdk, [1; 8], 0x1_FFFF).is_none());
    assert!(aes_pin_key(&bdk, [1; 8], 0xFFFF).is_some());
}

#[test]
fn a_base_key_other_than_aes_128_gives_no_key() {
    for len in [24, 32] {
        let bdk = AesKey::from_bytes(&[0x23; 32][..len]).unwrap();
        assert!(initial_key(&bdk, [1; 8]).is_none());
        assert!(aes_pin_key(&bdk, [1; 8], 1).is_none());
    }
}
