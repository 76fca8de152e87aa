//! `vectors/dukpt.txt`.

use paycrypto::dukpt::aes::{initial_key, pin_key as aes_pin_key, transaction_key};
use paycrypto::dukpt::tdes::{Ksn, pin_key as tdes_pin_key};
use paycrypto::pinblock::{TdesFormat, encipher_tdes, iso4};
use paycrypto::tdes_key::Tdes2Key;

use crate::vector_file::records;

#[test]
fn published_dukpt_vectors_come_out() {
    let records = records("dukpt.txt");
    assert_eq!(records.len(), 4);
    for record in records {
        let (pin, account) = (record.pin("pin"), record.account());
        if record.text("kind") == "tdes" {
            let key = tdes_pin_key(&record.tdes("bdk"), Ksn(record.array("ksn"))).unwrap();
            record.expect(
                "block",
                &encipher_tdes(&key, TdesFormat::Iso0, &pin, &account, &[0; 10]),
            );
            continue;
        }
        let (bdk, id) = (record.aes("bdk"), record.array("ikid"));
        record.expect("initial_key", initial_key(&bdk, id).unwrap().expose_bytes());
        record.expect(
            "derivation_key",
            transaction_key(&bdk, id, 1).unwrap().expose_bytes(),
        );
        record.expect("pin_key", aes_pin_key(&bdk, id, 1).unwrap().expose_bytes());
        let starts: Vec<String> = (1..=8)
            .map(|counter| {
                let key = aes_pin_key(&bdk, id, counter).unwrap();
                let block = iso4::encipher(&key, &pin, &account, &record.array("random"));
                data_encoding::HEXUPPER.encode(&block[..4])
            })
            .collect();
        assert_eq!(starts.join(" "), record.text("blocks"));
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
    let bdk = paycrypto::aes_key::AesKey::from_bytes(&[0x23; 16]).unwrap();
    assert!(aes_pin_key(&bdk, [1; 8], 0).is_none());
    assert!(aes_pin_key(&bdk, [1; 8], 0x1_FFFF).is_none());
    assert!(aes_pin_key(&bdk, [1; 8], 0xFFFF).is_some());
}
