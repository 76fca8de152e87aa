//! `vectors/pvv.txt` and `vectors/ibm3624.txt`.

use data_encoding::HEXUPPER;
use paycrypto::ibm3624::{
    DecimalisationTable, PinOffset, ValidationData, natural_pin, offset, pin_from_offset, verify_offset,
};
use paycrypto::pin::Pin;
use paycrypto::pvv::{Pvki, generate_pvv, verify_pvv};

use crate::vector_file::{Record, records};

#[test]
fn published_pvvs_come_out_and_verify() {
    let records = records("pvv.txt");
    assert_eq!(records.len(), 3);
    for record in records {
        let (pvk, account, pin) = (record.tdes("pvk"), record.account(), record.pin("pin"));
        let pvki = Pvki::new(record.text("pvki").parse().unwrap()).unwrap();
        if record.has("cipher") {
            let (digits, last) = (record.text("account"), record.text("account").len() - 1);
            let security_parameter = format!(
                "{}{}{}",
                &digits[last - 11..last],
                record.text("pvki"),
                record.text("pin")
            );
            let block = HEXUPPER
                .decode(security_parameter.as_bytes())
                .unwrap()
                .try_into()
                .unwrap();
            record.expect("cipher", &pvk.encrypt_block(block));
        }
        let pvv = generate_pvv(&pvk, pvki, &account, &pin);
        assert_eq!(digits_text(&pvv), record.text("expect"));
        assert!(verify_pvv(&pvk, pvki, &account, &pin, pvv));
        assert!(!verify_pvv(
            &pvk,
            pvki,
            &account,
            &pin,
            pvv.map(|digit| (digit + 1) % 10)
        ));
    }
}

#[test]
fn a_pvv_sees_only_the_first_four_digits() {
    let record = records("pvv.txt").remove(0);
    let (pvk, account, pvki) = (record.tdes("pvk"), record.account(), Pvki::new(1).unwrap());
    let pvv = |pin: &str| generate_pvv(&pvk, pvki, &account, &Pin::parse(pin).unwrap());
    assert_eq!(pvv("1234"), pvv("123499"));
}

#[test]
fn a_pvki_is_1_to_6() {
    assert!(Pvki::new(0).is_none());
    assert!(Pvki::new(7).is_none());
}

fn ibm3624(record: &Record) -> (DecimalisationTable, ValidationData) {
    let pad = u8::from_str_radix(record.text("pad"), 16).unwrap();
    let table = DecimalisationTable::parse(record.text("table")).unwrap();
    (
        table,
        ValidationData::from_digits(record.text("digits"), pad).unwrap(),
    )
}

#[test]
fn published_3624_pins_and_offsets_come_out_and_verify() {
    let records = records("ibm3624.txt");
    assert_eq!(records.len(), 6);
    for record in records {
        let (pvk, pin) = (record.tdes("pvk"), record.pin("pin"));
        let (table, data) = ibm3624(&record);
        let published = PinOffset::parse(record.text("offset")).unwrap();
        assert_eq!(pin_from_offset(&pvk, &table, &data, &published), pin);
        assert_eq!(offset(&pvk, &table, &data, &pin), published);
        assert!(verify_offset(&pvk, &table, &data, &pin, &published));
        assert!(!verify_offset(
            &pvk,
            &table,
            &data,
            &Pin::parse("9876").unwrap(),
            &published
        ));
        if record.text("offset") == "0000" {
            assert_eq!(natural_pin(&pvk, &table, &data, 4), Some(pin));
        }
    }
}

#[test]
fn an_offset_shorter_than_the_pin_checks_its_rightmost_digits() {
    let record = records("ibm3624.txt").remove(0);
    let pvk = record.tdes("pvk");
    let (table, data) = ibm3624(&record);
    let natural = natural_pin(&pvk, &table, &data, 6).unwrap();
    let zeros = PinOffset::parse("0000").unwrap();
    let with_first_digit = |change: u8| {
        let mut digits = natural.expose_digits().to_vec();
        digits[0] = (digits[0] + change) % 10;
        Pin::from_digits(&digits).unwrap()
    };
    assert!(verify_offset(&pvk, &table, &data, &with_first_digit(0), &zeros));
    assert!(verify_offset(&pvk, &table, &data, &with_first_digit(1), &zeros));
    let mut last_changed = natural.expose_digits().to_vec();
    last_changed[5] = (last_changed[5] + 1) % 10;
    assert!(!verify_offset(
        &pvk,
        &table,
        &data,
        &Pin::from_digits(&last_changed).unwrap(),
        &zeros
    ));
    let short = Pin::parse("1234").unwrap();
    assert!(!verify_offset(
        &pvk,
        &table,
        &data,
        &short,
        &PinOffset::parse("00000").unwrap()
    ));
}

#[test]
fn a_table_that_hides_too_little_is_refused() {
    assert!(DecimalisationTable::parse("0123456012345601").is_none());
    assert!(DecimalisationTable::parse("0123456701234567").is_some());
    assert!(DecimalisationTable::parse("012345670123456").is_none());
    assert!(DecimalisationTable::parse("012345670123456A").is_none());
    assert!(ValidationData::from_digits("", 0).is_none());
    assert!(ValidationData::from_digits("12345678901234567", 0).is_none());
    assert!(ValidationData::from_digits("123A", 0).is_none());
    assert!(ValidationData::from_digits("123", 16).is_none());
}

pub(crate) fn digits_text(digits: &[u8]) -> String {
    digits.iter().map(|digit| char::from(b'0' + digit)).collect()
}
