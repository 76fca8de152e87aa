//! `vectors/pinblock.txt`; round trips; what decoding refuses.

use data_encoding::HEXUPPER;
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::pin::Pin;
use paycrypto::pinblock::{
    PinBlockError, decode_iso0, decode_iso1, decode_iso2, decode_iso3, encode_iso0, encode_iso1, encode_iso2,
    encode_iso3, iso4,
};
use proptest::prelude::*;

use crate::vector_file::{Record, records};

#[test]
fn published_pin_blocks_come_out_and_open() {
    let records = records("pinblock.txt");
    assert_eq!(records.len(), 11);
    for record in records.iter().filter(|record| record.has("format")) {
        let pin = record.pin("pin");
        match record.text("format") {
            "0" => {
                record.expect("block", encode_iso0(&pin, &record.account()).as_slice());
                assert_eq!(decode_iso0(&record.array("block"), &record.account()), Ok(pin));
            }
            "1" => {
                record.expect("block", encode_iso1(&pin, &record.array("fill")).as_slice());
                assert_eq!(decode_iso1(&record.array("block")), Ok(pin));
            }
            "2" => {
                record.expect("block", encode_iso2(&pin).as_slice());
                assert_eq!(decode_iso2(&record.array("block")), Ok(pin));
            }
            "3" => {
                record.expect(
                    "block",
                    encode_iso3(&pin, &record.account(), &record.array("fill")).as_slice(),
                );
                assert_eq!(decode_iso3(&record.array("block"), &record.account()), Ok(pin));
            }
            "4" => check_format_4(record, &pin),
            other => panic!("no format {other}"),
        }
    }
}

fn check_format_4(record: &Record, pin: &Pin) {
    let (key, account, random) = (record.aes("key"), record.account(), record.array("random"));
    let pin_field = iso4::pin_field(pin, &random);
    let account_field = iso4::account_field(&account);
    record.expect("pin_field", pin_field.as_slice());
    record.expect("account_field", &account_field);
    let block_a = key.encrypt_block(*pin_field);
    record.expect("block_a", &block_a);
    let block_b: Vec<u8> = block_a.iter().zip(account_field).map(|(a, b)| a ^ b).collect();
    record.expect("block_b", &block_b);
    record.expect("block", &iso4::encipher(&key, pin, &account, &random));
    assert_eq!(
        iso4::decipher(&key, record.array("block"), &account).as_ref(),
        Ok(pin)
    );
}

#[test]
fn account_fields_of_format_4_come_out_for_short_and_long_accounts() {
    let records = records("pinblock.txt");
    let fields = records.iter().filter(|record| record.has("account_field"));
    assert_eq!(fields.clone().count(), 3);
    for record in fields {
        record.expect("account_field", &iso4::account_field(&record.account()));
    }
}

#[test]
fn any_block_that_is_not_of_its_format_gets_the_same_error() {
    let account = AccountDigits::parse("4111111111111111").unwrap();
    let zeros = AccountDigits::parse("0000000000000").unwrap();
    let refused = [
        "1412341234123412", // another control nibble
        "0312FFFFFFFFFFFF", // three digits
        "0D123456789012FF", // thirteen digits
        "041A34FFFFFFFFFF", // a digit above 9
        "041234FFFFFFFFF0", // a fill other than F
    ];
    for text in refused {
        let block = HEXUPPER.decode(text.as_bytes()).unwrap().try_into().unwrap();
        assert_eq!(decode_iso0(&block, &zeros), Err(PinBlockError), "{text}");
    }
    let pin = Pin::parse("1234").unwrap();
    assert_eq!(decode_iso2(&encode_iso0(&pin, &account)), Err(PinBlockError));
    assert_eq!(
        decode_iso3(&encode_iso0(&pin, &account), &account),
        Err(PinBlockError)
    );
    assert_eq!(decode_iso1(&encode_iso2(&pin)), Err(PinBlockError));
}

#[test]
fn a_format_4_block_opens_only_with_its_own_account_and_unchanged() {
    let key = AesKey::from_bytes(&[0x42; 16]).unwrap();
    let account = AccountDigits::parse("4111111111111111").unwrap();
    let other = AccountDigits::parse("4111111111111112").unwrap();
    let block = iso4::encipher(&key, &Pin::parse("1234").unwrap(), &account, &[9; 8]);
    assert_eq!(iso4::decipher(&key, block, &other), Err(PinBlockError));
    for bit in 0..128 {
        let flipped = (u128::from_be_bytes(block) ^ (1 << bit)).to_be_bytes();
        assert_eq!(
            iso4::decipher(&key, flipped, &account),
            Err(PinBlockError),
            "bit {bit}"
        );
    }
}

fn pins() -> impl Strategy<Value = Pin> {
    proptest::collection::vec(0_u8..=9, 4..=12).prop_map(|digits| Pin::from_digits(&digits).unwrap())
}

fn accounts() -> impl Strategy<Value = AccountDigits> {
    "[0-9]{8,19}".prop_map(|text| AccountDigits::parse(&text).unwrap())
}

proptest! {
    #[test]
    fn every_pin_survives_every_format(pin in pins(), account in accounts(), fill: [u8; 10], random: [u8; 8], key: [u8; 32]) {
        prop_assert_eq!(decode_iso0(&encode_iso0(&pin, &account), &account), Ok(pin.clone()));
        prop_assert_eq!(decode_iso1(&encode_iso1(&pin, &fill)), Ok(pin.clone()));
        prop_assert_eq!(decode_iso2(&encode_iso2(&pin)), Ok(pin.clone()));
        prop_assert_eq!(decode_iso3(&encode_iso3(&pin, &account, &fill), &account), Ok(pin.clone()));
        let key = AesKey::from_bytes(&key).unwrap();
        let block = iso4::encipher(&key, &pin, &account, &random);
        prop_assert_eq!(iso4::decipher(&key, block, &account), Ok(pin));
    }
}
