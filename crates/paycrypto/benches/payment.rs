//! What one authorisation and one PIN change cost in cryptography. Issuer keys carry their schedules; card keys are derived.

use std::hint::black_box;

use cards::Psn;
use criterion::{Criterion, criterion_group, criterion_main};
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::cryptogram::{AcInput, AcSession};
use paycrypto::cvn::Cvn;
use paycrypto::emv_key::EmvKey;
use paycrypto::icc_keys::{IssuerKey, IssuerKeys, icc_master_key};
use paycrypto::pin::Pin;
use paycrypto::pinblock::{TdesFormat, decipher_tdes, encipher_tdes, iso4};
use paycrypto::pvv::{Pvki, generate_pvv, verify_pvv};
use paycrypto::script::{ScriptContext, build_pin_change};
use paycrypto::tdes_key::Tdes2Key;

fn pin_verify(criterion: &mut Criterion) {
    let account = AccountDigits::parse("4111111111111111").expect("16 digits");
    let pin = Pin::parse("1234").expect("4 digits");
    let (zpk, pvk) = (
        Tdes2Key::from_bytes(&[0x23; 16]),
        Tdes2Key::from_bytes(&[0x45; 16]),
    );
    let pvki = Pvki::new(1).expect("1 to 6");
    let pvv = generate_pvv(&pvk, pvki, &account, &pin);
    let block = encipher_tdes(&zpk, TdesFormat::Iso0, &pin, &account, &[0; 10]);
    criterion.bench_function("PIN verify: format 0, PVV", |bencher| {
        bencher.iter(|| {
            let pin = decipher_tdes(&zpk, TdesFormat::Iso0, black_box(block), &account);
            pin.is_ok_and(|pin| verify_pvv(&pvk, pvki, &account, &pin, pvv))
        });
    });

    let aes_zpk = AesKey::from_bytes(&[0x67; 16]).expect("16 bytes");
    let block = iso4::encipher(&aes_zpk, &pin, &account, &[9; 8]);
    criterion.bench_function("PIN verify: format 4, clear comparison", |bencher| {
        bencher.iter(|| iso4::decipher(&aes_zpk, black_box(block), &account).is_ok_and(|got| got == pin));
    });
}

fn chip(criterion: &mut Criterion) {
    for cvn in [Cvn::Visa18, Cvn::CcdAes] {
        transaction(criterion, cvn);
    }
}

fn transaction(criterion: &mut Criterion, cvn: Cvn) {
    let account = AccountDigits::parse("4111111111111111").expect("16 digits");
    let keys = [0x23, 0x45, 0x67].map(|byte| EmvKey::from_bytes(cvn.algorithm(), &[byte; 16]));
    let [ac, smi, smc] = keys.each_ref().map(|key| match key {
        Some(EmvKey::Tdes(key)) => IssuerKey::Tdes(key),
        Some(EmvKey::Aes(key)) => IssuerKey::Aes(key),
        None => unreachable!("16 bytes make a key of either algorithm"),
    });
    let issuer = IssuerKeys { ac, smi, smc };
    let option = cvn.profile().icc_key;
    let session = |input: &AcInput<'_>| {
        icc_master_key(option, issuer.ac, &account, Psn::default())
            .and_then(|master| AcSession::new(cvn, &master, input.atc, input.unpredictable_number))
            .expect("keys of the version's algorithm")
    };
    let input = AcInput {
        amount: [0, 0, 0, 0, 0x40, 0],
        amount_other: [0; 6],
        terminal_country: [0x01, 0x24],
        tvr: [0x80, 0, 0x04, 0x80, 0],
        currency: [0x01, 0x24],
        date: [0x19, 0x11, 0x05],
        transaction_type: 1,
        unpredictable_number: [0x52, 0xBF, 0x45, 0x85],
        aip: [0x18, 0],
        atc: 0x001C,
        iad: &[0x06, 0x01, 0x12, 0x03, 0xA0, 0xB8, 0x00],
    };
    let arqc = session(&input).generate(&input).expect("the data is long enough");
    criterion.bench_function(
        &format!("ARQC verify: card key, session key, MAC ({cvn:?})"),
        |bencher| {
            bencher.iter(|| session(&input).verify(&input, black_box(arqc)));
        },
    );

    let context = ScriptContext::first(input.atc, arqc);
    let new = Pin::parse("9999").expect("4 digits");
    criterion.bench_function(
        &format!("script: card keys, PIN change, MAC ({cvn:?})"),
        |bencher| {
            bencher.iter(|| {
                let card = issuer.of_card(cvn, &account, Psn::default());
                card.map(|card| build_pin_change(&card, context, black_box(&new)))
            });
        },
    );
}

criterion_group!(payment, pin_verify, chip);
criterion_main!(payment);
