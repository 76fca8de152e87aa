//! PINs as networks send them: formats, keys derived per terminal, references, and the new PIN at a cash machine.
#![expect(clippy::unwrap_used, reason = "test helpers")]

mod support;

use cards::PinReference;
use data_encoding::HEXUPPER;
use hsm::{
    CheckReply, CheckRequest, HsmCard, HsmError, HsmRefusal, Ibm3624Rule, ImportPin, Item, KeyAdmin, KeyFlaw,
    KeyPurpose, NewPinVerdict, NewZonePin, PaymentHsm, PinVerdict, SoftwareHsm, ValidationDigits, ZonePin,
    ZonePinFormat,
};
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::dukpt;
use paycrypto::pin::Pin;
use paycrypto::pinblock::{TdesFormat, encipher_tdes, iso4};
use paycrypto::tdes_key::Tdes2Key;
use support::{OTHER_PAN, PAN, World, ZPK_TDES, card, cryptogram, import, iso0, iso4 as iso4_pin, name};

/// source: ANSI X9.24-1:2009 annex A.4 (paycrypto/vectors/dukpt.txt)
const BDK_TDES: [u8; 16] = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
const KSN_TDES: &str = "FFFF9876543210E00001";
/// source: ANSI X9.24-3:2017 supplement (paycrypto/vectors/dukpt.txt)
const BDK_AES: [u8; 16] = 0xFEDC_BA98_7654_3210_F1F1_F1F1_F1F1_F1F1_u128.to_be_bytes();
const KSN_AES: &str = "123456789012345600000001";

fn bytes(hex: &str) -> Vec<u8> {
    HEXUPPER.decode(hex.as_bytes()).unwrap()
}

async fn ask(
    world: &World,
    card: &HsmCard,
    pin: Option<ZonePin>,
    new_pin: Option<NewZonePin>,
) -> Item<CheckReply> {
    let request = CheckRequest {
        card: card.clone(),
        cryptogram: None,
        pin,
        new_pin,
    };
    world.hsm.check(vec![request]).await.unwrap().remove(0)
}

async fn compare(world: &World, card: &HsmCard, pin: ZonePin) -> Item<Option<PinVerdict>> {
    ask(world, card, Some(pin), None).await.map(|reply| reply.pin)
}

fn iso3(pan: &str, pin: &str) -> ZonePin {
    let key = Tdes2Key::from_bytes(&ZPK_TDES);
    let account = AccountDigits::parse(pan).unwrap();
    let block = encipher_tdes(
        &key,
        TdesFormat::Iso3,
        &Pin::parse(pin).unwrap(),
        &account,
        &[5; 10],
    );
    ZonePin {
        format: ZonePinFormat::Iso3,
        block: block.to_vec(),
        ..iso0(pan, pin)
    }
}

#[tokio::test]
async fn format_3_is_read_as_format_3_only() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let as_format_0 = ZonePin {
        format: ZonePinFormat::Iso0,
        ..iso3(PAN, "1234")
    };
    let cases = [
        (iso3(PAN, "1234"), PinVerdict::Match),
        (iso3(PAN, "1243"), PinVerdict::NoMatch),
        (as_format_0, PinVerdict::Unreadable),
    ];
    for (pin, expected) in cases {
        assert_eq!(compare(&world, &card, pin).await, Ok(Some(expected)));
    }
}

async fn world_with_terminals() -> World {
    let world = World::new().await;
    import(&world.hsm, "bdk-tdes", KeyPurpose::DukptBaseTdes, &BDK_TDES).await;
    import(&world.hsm, "bdk-aes", KeyPurpose::DukptBaseAes, &BDK_AES).await;
    world
}

fn dukpt_tdes(pan: &str, pin: &str) -> ZonePin {
    let ksn = dukpt::tdes::Ksn(bytes(KSN_TDES).try_into().unwrap());
    let key = dukpt::tdes::pin_key(&Tdes2Key::from_bytes(&BDK_TDES), ksn).unwrap();
    let account = AccountDigits::parse(pan).unwrap();
    let block = encipher_tdes(
        &key,
        TdesFormat::Iso0,
        &Pin::parse(pin).unwrap(),
        &account,
        &[0; 10],
    );
    ZonePin {
        zone_key: name("bdk-tdes"),
        format: ZonePinFormat::Iso0,
        ksn: Some(bytes(KSN_TDES)),
        block: block.to_vec(),
    }
}

fn dukpt_aes(pan: &str, pin: &str) -> ZonePin {
    let bdk = AesKey::from_bytes(&BDK_AES).unwrap();
    let key = dukpt::aes::pin_key(&bdk, 0x1234_5678_9012_3456_u64.to_be_bytes(), 1).unwrap();
    let account = AccountDigits::parse(pan).unwrap();
    let block = iso4::encipher(&key, &Pin::parse(pin).unwrap(), &account, &[3; 8]);
    ZonePin {
        zone_key: name("bdk-aes"),
        format: ZonePinFormat::Iso4,
        ksn: Some(bytes(KSN_AES)),
        block: block.to_vec(),
    }
}

#[tokio::test]
async fn the_published_blocks_of_a_terminal_open_for_its_account() {
    let world = world_with_terminals().await;
    // source: ANSI X9.24-3:2017 supplement p. 31: PIN 1234 of 4111111111111111 at counter 1
    let aes = ZonePin {
        block: bytes("A912150391AB65A67E52883D81CE2D15"),
        ..dukpt_aes(OTHER_PAN, "1234")
    };
    let card = world.card_with_pin(OTHER_PAN, "1234").await;
    assert_eq!(compare(&world, &card, aes).await, Ok(Some(PinVerdict::Match)));

    // source: ANSI X9.24-1 A.4: PIN 1234 of 4012345678909 at counters 1 to 3. Its PAN has the right check digit.
    let card = world.card_with_pin("4012345678909", "1234").await;
    for (counter, block) in [
        ("FFFF9876543210E00001", "1B9C1845EB993A7A"),
        ("FFFF9876543210E00002", "10A01C8D02C69107"),
        ("FFFF9876543210E00003", "18DC07B94797B466"),
    ] {
        let tdes = ZonePin {
            ksn: Some(bytes(counter)),
            block: bytes(block),
            ..dukpt_tdes(PAN, "1234")
        };
        let verdict = compare(&world, &card, tdes).await;
        assert_eq!(verdict, Ok(Some(PinVerdict::Match)), "{counter}");
    }
}

#[tokio::test]
async fn every_fault_of_a_terminals_block_or_serial_number_is_one_answer() {
    let world = world_with_terminals().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let other_ksn = |pin: ZonePin, ksn: Vec<u8>| ZonePin {
        ksn: Some(ksn),
        ..pin
    };
    let mut faults = Vec::new();
    for (good, no_counter, too_many_ones) in [
        (
            dukpt_tdes(PAN, "1234"),
            "FFFF9876543210E00000",
            "FFFF9876543210EFFFFF",
        ),
        (
            dukpt_aes(PAN, "1234"),
            "123456789012345600000000",
            "12345678901234560001FFFF",
        ),
    ] {
        let verdict = compare(&world, &card, good.clone()).await;
        assert_eq!(verdict, Ok(Some(PinVerdict::Match)));
        let ksn = good.ksn.clone().unwrap();
        for len in (0..ksn.len()).chain(ksn.len() + 1..20) {
            let mut wrong = ksn.clone();
            wrong.resize(len, 0);
            faults.push(other_ksn(good.clone(), wrong));
        }
        let mut other_terminal = ksn.clone();
        *other_terminal.get_mut(5).unwrap() ^= 1;
        faults.push(other_ksn(good.clone(), other_terminal));
        faults.push(other_ksn(good.clone(), bytes(no_counter)));
        faults.push(other_ksn(good.clone(), bytes(too_many_ones)));
        faults.push(ZonePin {
            block: vec![0; 7],
            ..good
        });
    }
    faults.push(dukpt_aes(OTHER_PAN, "1234"));
    for pin in faults {
        let ksn = pin.ksn.clone();
        let verdict = compare(&world, &card, pin).await;
        assert_eq!(verdict, Ok(Some(PinVerdict::Unreadable)), "{ksn:?}");
    }
}

#[tokio::test]
async fn a_base_key_is_no_zone_key_and_a_zone_key_no_base_key() {
    let world = world_with_terminals().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let wrong = [
        ZonePin {
            ksn: None,
            ..dukpt_tdes(PAN, "1234")
        },
        ZonePin {
            ksn: None,
            ..dukpt_aes(PAN, "1234")
        },
        ZonePin {
            ksn: Some(bytes(KSN_TDES)),
            ..iso0(PAN, "1234")
        },
        ZonePin {
            ksn: Some(bytes(KSN_AES)),
            ..iso4_pin(PAN, "1234")
        },
        ZonePin {
            zone_key: name("bdk-aes"),
            ..dukpt_tdes(PAN, "1234")
        },
    ];
    for pin in wrong {
        assert_eq!(compare(&world, &card, pin).await, Err(HsmRefusal::NoSuchKey));
    }
}

#[tokio::test]
async fn a_base_key_of_another_length_is_not_taken() {
    let world = World::new().await;
    let block = support::key_block(KeyPurpose::DukptBaseAes, &[7; 32]);
    let taken = world
        .hsm
        .import_key(
            name("bdk"),
            KeyPurpose::DukptBaseAes,
            block,
            name("kek"),
            support::NOW,
        )
        .await;
    assert_eq!(
        taken,
        Err(HsmError::Refused(HsmRefusal::KeyBlock(KeyFlaw::Value)))
    );
    let made = world
        .hsm
        .generate_key(name("bdk"), KeyPurpose::DukptBaseAes, support::NOW)
        .await;
    assert_eq!(made.unwrap().algorithm, "AES-128");
}

/// source: psec, collected in pin-and-emv.md 4.4 (paycrypto/vectors/ibm3624.txt), whose account has a wrong check digit:
/// the first 14 digits, filled with F, are those of a PAN with the right one.
const IBM_PAN: &str = "1122334455667786";
const IBM_PVK: [u8; 16] = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();

fn rule(table: &str, digits: ValidationDigits, pad: u8) -> Ibm3624Rule {
    Ibm3624Rule {
        table: table.to_owned(),
        digits,
        pad,
    }
}

fn published_rule() -> Ibm3624Rule {
    rule("1234567890123456", ValidationDigits::Leftmost(14), 0x0F)
}

async fn world_with_ibm_key() -> World {
    let world = World::new().await;
    import(
        &world.hsm,
        "pvk-ibm",
        KeyPurpose::PinVerificationIbm3624,
        &IBM_PVK,
    )
    .await;
    world
}

async fn offset_card(world: &World, offset: &[u8]) -> HsmCard {
    let offset = offset.to_vec();
    card(&world.hsm, IBM_PAN, PinReference::Ibm3624 { offset }).await
}

#[tokio::test]
async fn an_offset_is_verified_by_the_rule_of_the_key() {
    let world = world_with_ibm_key().await;
    let natural = offset_card(&world, &[0, 0, 0, 0]).await;
    let before = compare(&world, &natural, iso0(IBM_PAN, "5518")).await;
    assert_eq!(before, Err(HsmRefusal::NoSuchKey), "no rule, no verification");
    let reference = || vec![PinReference::Ibm3624 { offset: vec![0; 4] }];
    let told = world.hsm.can_compare(reference()).await.unwrap();
    assert_eq!(told, [Err(HsmRefusal::NoSuchKey)], "and it says so beforehand");

    world
        .hsm
        .set_ibm3624_rule(name("pvk-ibm"), published_rule())
        .await
        .unwrap();
    assert_eq!(world.hsm.can_compare(reference()).await.unwrap(), [Ok(())]);
    let chosen = offset_card(&world, &[1, 1, 1, 9]).await;
    let cases = [
        (&natural, "5518", PinVerdict::Match),
        (&natural, "5519", PinVerdict::NoMatch),
        (&chosen, "6627", PinVerdict::Match),
        (&chosen, "5518", PinVerdict::NoMatch),
    ];
    for (card, pin, expected) in cases {
        let verdict = compare(&world, card, iso0(IBM_PAN, pin)).await;
        assert_eq!(verdict, Ok(Some(expected)), "{pin}");
    }
    let no_offset = offset_card(&world, &[1, 2, 3]).await;
    let verdict = compare(&world, &no_offset, iso0(IBM_PAN, "5518")).await;
    assert_eq!(verdict, Ok(Some(PinVerdict::NoMatch)));
}

#[tokio::test]
async fn a_rule_is_set_once_and_kept_and_weak_tables_are_refused() {
    let world = world_with_ibm_key().await;
    let set = |rule| world.hsm.set_ibm3624_rule(name("pvk-ibm"), rule);
    let left = ValidationDigits::Leftmost;
    for weak in [
        rule("0000000000000000", left(14), 15),
        rule("0123456012345601", left(14), 15),
        rule("012345678901234", left(14), 15),
        rule("012345678901234A", left(14), 15),
        rule("1234567890123456", left(0), 15),
        rule("1234567890123456", left(17), 15),
        rule("1234567890123456", left(14), 16),
    ] {
        assert_eq!(set(weak).await, Err(HsmRefusal::Unsupported.into()));
    }
    set(published_rule()).await.unwrap();
    set(published_rule()).await.unwrap();
    let other = rule("0123456789012345", left(14), 15);
    assert_eq!(set(other).await, Err(HsmRefusal::KeyExists.into()));
    let of_another = world.hsm.set_ibm3624_rule(name("pvk-3"), published_rule());
    assert_eq!(of_another.await, Err(HsmRefusal::NoSuchKey.into()));

    let card = offset_card(&world, &[0, 0, 0, 0]).await;
    let World { hsm, directory } = world;
    drop(hsm);
    let hsm = SoftwareHsm::open(directory.path()).unwrap();
    let world = World { hsm, directory };
    let verdict = compare(&world, &card, iso0(IBM_PAN, "5518")).await;
    assert_eq!(
        verdict,
        Ok(Some(PinVerdict::Match)),
        "the rule is in the key store"
    );
}

#[tokio::test]
async fn validation_data_can_be_the_rightmost_digits_without_the_check_digit() {
    let world = world_with_ibm_key().await;
    let rule = rule(
        "1234567890123456",
        ValidationDigits::RightmostWithoutCheckDigit(12),
        0x0F,
    );
    world.hsm.set_ibm3624_rule(name("pvk-ibm"), rule).await.unwrap();
    let key = Tdes2Key::from_bytes(&IBM_PVK);
    // Of 1122334455667786: 4 digits in front, 12, check digit.
    let enciphered = key.encrypt_block(0x2334_4556_6778_FFFF_u64.to_be_bytes());
    let natural: String = HEXUPPER
        .encode(&enciphered)
        .chars()
        .take(4)
        .map(|digit| char::from(b"1234567890123456"[usize::try_from(digit.to_digit(16).unwrap()).unwrap()]))
        .collect();
    let card = offset_card(&world, &[0, 0, 0, 0]).await;
    let verdict = compare(&world, &card, iso0(IBM_PAN, &natural)).await;
    assert_eq!(verdict, Ok(Some(PinVerdict::Match)));
}

fn new_pin(pin: ZonePin) -> Option<NewZonePin> {
    Some(NewZonePin { pin, len_digits: 4 })
}

#[tokio::test]
async fn a_new_pin_is_sealed_only_where_the_current_one_matched() {
    let world = world_with_terminals().await;
    let ours = world.card_with_pin(PAN, "1234").await;
    let changed = ask(
        &world,
        &ours,
        Some(iso0(PAN, "1234")),
        new_pin(iso4_pin(PAN, "5678")),
    )
    .await;
    let Ok(CheckReply {
        pin: Some(PinVerdict::Match),
        new_pin: Some(NewPinVerdict::Sealed(sealed)),
        ..
    }) = changed
    else {
        unreachable!("the right PIN was given: {changed:?}");
    };
    let renewed = card(&world.hsm, PAN, PinReference::Sealed(sealed)).await;
    let verdict = compare(&world, &renewed, iso0(PAN, "5678")).await;
    assert_eq!(verdict, Ok(Some(PinVerdict::Match)));

    let none = card(&world.hsm, PAN, PinReference::None).await;
    let unreadable = iso4_pin(OTHER_PAN, "1234");
    let cases = [
        (&ours, iso0(PAN, "1235"), PinVerdict::NoMatch),
        (&ours, unreadable, PinVerdict::Unreadable),
        (&none, iso0(PAN, "1234"), PinVerdict::NoReference),
    ];
    for (card, current, expected) in cases {
        let reply = ask(&world, card, Some(current), new_pin(dukpt_tdes(PAN, "5678"))).await;
        let without_new = CheckReply {
            cryptogram_valid: None,
            pin: Some(expected),
            new_pin: None,
        };
        assert_eq!(reply, Ok(without_new));
    }
    let alone = ask(&world, &ours, None, new_pin(iso0(PAN, "5678")))
        .await
        .unwrap();
    assert_eq!((alone.pin, alone.new_pin), (None, None));
}

#[tokio::test]
async fn an_unacceptable_new_pin_is_refused_alike_whatever_the_current_pin_is() {
    let world = world_with_terminals().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let unacceptable = [
        iso0(PAN, "56789"),
        iso0(PAN, "567890123456"),
        iso4_pin(OTHER_PAN, "5678"),
        ZonePin {
            block: vec![0xFF; 8],
            ..iso0(PAN, "5678")
        },
        ZonePin {
            block: vec![],
            ..iso0(PAN, "5678")
        },
        ZonePin {
            format: ZonePinFormat::Iso3,
            ..iso0(PAN, "5678")
        },
        ZonePin {
            ksn: Some(vec![0; 9]),
            ..dukpt_tdes(PAN, "5678")
        },
    ];
    let refused = CheckReply {
        cryptogram_valid: None,
        pin: None,
        new_pin: Some(NewPinVerdict::Unacceptable),
    };
    for new in unacceptable {
        for current in [iso0(PAN, "1234"), iso0(PAN, "4321"), iso4_pin(OTHER_PAN, "1234")] {
            let reply = ask(&world, &card, Some(current), new_pin(new.clone())).await;
            assert_eq!(reply, Ok(refused.clone()), "{new:?}");
        }
    }
    let unknown_key = ZonePin {
        zone_key: name("zpk-nowhere"),
        ..iso0(PAN, "5678")
    };
    let reply = ask(&world, &card, Some(iso0(PAN, "1234")), new_pin(unknown_key)).await;
    assert_eq!(reply, Err(HsmRefusal::NoSuchKey));
}

#[tokio::test]
async fn a_new_pin_is_not_looked_at_beside_a_wrong_cryptogram() {
    let world = World::new().await;
    let mut cryptogram = cryptogram(PAN, 5);
    cryptogram.arqc[0] ^= 1;
    let request = CheckRequest {
        card: world.card_with_pin(PAN, "1234").await,
        cryptogram: Some(cryptogram),
        pin: Some(iso0(PAN, "1234")),
        new_pin: new_pin(iso0(PAN, "5678")),
    };
    let reply = world.hsm.check(vec![request]).await.unwrap().remove(0).unwrap();
    let nothing_else = CheckReply {
        cryptogram_valid: Some(false),
        pin: None,
        new_pin: None,
    };
    assert_eq!(reply, nothing_else);
}

#[tokio::test]
async fn pins_under_terminal_keys_and_in_format_3_are_imported_for_their_own_pan_only() {
    let world = world_with_terminals().await;
    let pins = [dukpt_tdes(PAN, "1234"), dukpt_aes(PAN, "1234"), iso3(PAN, "1234")];
    for pin in pins {
        let import = |pan: &str, pin| ImportPin {
            pan: cards::Pan::parse(pan).unwrap(),
            pin,
            len_digits: 4,
        };
        let imports = vec![
            import(PAN, pin.clone()),
            import(OTHER_PAN, dukpt_aes(PAN, "1234")),
        ];
        let sealed = world.hsm.import_pins(imports).await.unwrap();
        let [Ok(ours), Err(HsmRefusal::PinBlock)] = sealed.as_slice() else {
            unreachable!("{sealed:?}");
        };
        let card = card(&world.hsm, PAN, PinReference::Sealed(ours.clone())).await;
        let verdict = compare(&world, &card, iso0(PAN, "1234")).await;
        assert_eq!(verdict, Ok(Some(PinVerdict::Match)));
    }
}
