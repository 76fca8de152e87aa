//! Keys of a zone: message MACs, and new values beside former ones.
#![expect(clippy::unwrap_used, reason = "test helpers")]

mod support;

use cards::Timestamp;
use data_encoding::HEXUPPER;
use hsm::{
    CheckRequest, HsmCard, HsmError, HsmRefusal, Item, KeyAdmin, KeyFlaw, KeyInfo, KeyPurpose, MessageToMac,
    MessageWithMac, PaymentHsm, PinVerdict, SoftwareHsm, ZonePin,
};
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::pin::Pin;
use paycrypto::pinblock::{TdesFormat, encipher_tdes, iso4};
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::{Header, KeyContext, ModeOfUse, OptionalBlock};
use support::{
    NOW, PAN, World, ZPK_AES, ZPK_TDES, header, import, iso0, iso4 as iso4_pin, kek, key_block,
    key_block_with, name,
};

const LATER: Timestamp = Timestamp(1_800_000_500_000);
const NEW_TDES: [u8; 16] = 0x2A2B_2C2D_2E2F_3031_4243_4445_4647_4849_u128.to_be_bytes();
const NEWER_TDES: [u8; 16] = 0x5A5B_5C5D_5E5F_6061_7273_7475_7677_7879_u128.to_be_bytes();
const NEWEST_TDES: [u8; 16] = 0x8A8B_8C8D_8E8F_9091_A2A3_A4A5_A6A7_A8A9_u128.to_be_bytes();
const NEW_AES: [u8; 16] = [0x1F; 16];

fn refused<T>(refusal: HsmRefusal) -> Result<T, HsmError> {
    Err(HsmError::Refused(refusal))
}

async fn mac(world: &World, key: &str, message: &[u8]) -> Item<[u8; 8]> {
    let message = MessageToMac {
        key: name(key),
        message: message.to_vec(),
    };
    world.hsm.make_macs(vec![message]).await.unwrap().remove(0)
}

async fn is_right(world: &World, key: &str, message: &[u8], mac: [u8; 8]) -> Item<bool> {
    let message = MessageWithMac {
        key: name(key),
        message: message.to_vec(),
        mac,
    };
    world.hsm.check_macs(vec![message]).await.unwrap().remove(0)
}

async fn world_with_mac_keys() -> World {
    let world = World::new().await;
    // The key of the retail MAC example of ANSI X9.19, and of NIST SP 800-38B D.1.
    let tdes = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
    let aes = 0x2B7E_1516_28AE_D2A6_ABF7_1588_09CF_4F3C_u128.to_be_bytes();
    import(&world.hsm, "zak-tdes", KeyPurpose::ZoneMacTdes, &tdes).await;
    import(&world.hsm, "zak-aes", KeyPurpose::ZoneMacAes, &aes).await;
    world
}

#[tokio::test]
async fn macs_are_those_of_the_standards() {
    let world = world_with_mac_keys().await;
    // source: ISO/IEC 9797-1:1999 annex B (MAC algorithm 3, padding method 1), as in paycrypto's retail MAC example
    let made = mac(&world, "zak-tdes", b"Now is the time for all ").await;
    assert_eq!(made, Ok(0xA1C7_2E74_EA3F_A9B6_u64.to_be_bytes()));
    // source: NIST SP 800-38B D.1 examples 1 and 2, the left 8 bytes
    let made = mac(&world, "zak-aes", b"").await;
    assert_eq!(made, Ok(0xBB1D_6929_E959_3728_u64.to_be_bytes()));
    let block = 0x6BC1_BEE2_2E40_9F96_E93D_7E11_7393_172A_u128.to_be_bytes();
    let made = mac(&world, "zak-aes", &block).await;
    assert_eq!(made, Ok(0x070A_16B4_6B4D_4144_u64.to_be_bytes()));
}

#[tokio::test]
async fn a_mac_is_right_for_its_message_and_key_only() {
    let world = world_with_mac_keys().await;
    let message = b"0100 and forty fields";
    for key in ["zak-tdes", "zak-aes"] {
        let made = mac(&world, key, message).await.unwrap();
        assert_eq!(is_right(&world, key, message, made).await, Ok(true));
        for bit in 0..64_usize {
            let mut edited = made;
            *edited.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
            assert_eq!(is_right(&world, key, message, edited).await, Ok(false));
        }
        for at in 0..message.len() {
            let mut edited = message.to_vec();
            *edited.get_mut(at).unwrap() ^= 1;
            assert_eq!(is_right(&world, key, &edited, made).await, Ok(false));
        }
    }
    let of_the_other = mac(&world, "zak-aes", message).await.unwrap();
    assert_eq!(
        is_right(&world, "zak-tdes", message, of_the_other).await,
        Ok(false)
    );
}

#[tokio::test]
async fn only_zone_mac_keys_make_macs_and_they_do_nothing_else() {
    let world = world_with_mac_keys().await;
    for key in world.hsm.keys().await.unwrap() {
        let is_mac_key = matches!(key.purpose, KeyPurpose::ZoneMacTdes | KeyPurpose::ZoneMacAes);
        let made = mac(&world, &key.name.0, b"message").await;
        let checked = is_right(&world, &key.name.0, b"message", [0; 8]).await;
        assert_eq!(made.is_ok(), is_mac_key, "{:?}", key.purpose);
        assert_eq!(checked.is_ok(), is_mac_key, "{:?}", key.purpose);
    }
    let card = world.card_with_pin(PAN, "1234").await;
    for key in ["zak-tdes", "zak-aes"] {
        for pin in [iso0(PAN, "1234"), iso4_pin(PAN, "1234")] {
            let pin = ZonePin {
                zone_key: name(key),
                ..pin
            };
            assert_eq!(compare(&world.hsm, &card, pin).await, Err(HsmRefusal::NoSuchKey));
        }
    }
    assert_eq!(mac(&world, "nowhere", b"").await, Err(HsmRefusal::NoSuchKey));
}

async fn compare(hsm: &impl PaymentHsm, card: &HsmCard, pin: ZonePin) -> Item<Option<PinVerdict>> {
    let request = CheckRequest {
        card: card.clone(),
        cryptogram: None,
        pin: Some(pin),
        new_pin: None,
    };
    let reply = hsm.check(vec![request]).await.unwrap().remove(0);
    reply.map(|reply| reply.pin)
}

async fn replace(world: &World, key: &str, block: String) -> Result<KeyInfo, HsmError> {
    world
        .hsm
        .replace_key(name(key), block, name("kek"), None, LATER)
        .await
}

/// A PIN under a value that `zpk-tdes` has or had.
fn under(value: [u8; 16], pin: &str) -> ZonePin {
    let account = AccountDigits::parse(PAN).unwrap();
    let key = Tdes2Key::from_bytes(&value);
    let block = encipher_tdes(
        &key,
        TdesFormat::Iso0,
        &Pin::parse(pin).unwrap(),
        &account,
        &[0; 10],
    );
    ZonePin {
        block: block.to_vec(),
        ..iso0(PAN, pin)
    }
}

#[tokio::test]
async fn a_replaced_zone_key_reads_with_the_new_and_the_former_value_until_the_next() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let verdict = |pin| compare(&world.hsm, &card, pin);
    let before = world.hsm.keys().await.unwrap();
    let before = before
        .iter()
        .find(|key| key.name.0 == "zpk-tdes")
        .unwrap()
        .clone();
    assert_eq!(
        verdict(under(NEW_TDES, "1234")).await,
        Ok(Some(PinVerdict::Unreadable))
    );

    let told = replace(&world, "zpk-tdes", key_block(KeyPurpose::ZonePinTdes, &NEW_TDES)).await;
    let kcv = HEXUPPER.encode(&Tdes2Key::from_bytes(&NEW_TDES).kcv());
    let expected = KeyInfo {
        kcv: kcv.clone(),
        created: LATER,
        former_kcv: Some(before.kcv.clone()),
        ..before.clone()
    };
    assert_eq!(told, Ok(expected.clone()));
    assert!(world.hsm.keys().await.unwrap().contains(&expected));
    for value in [ZPK_TDES, NEW_TDES] {
        assert_eq!(verdict(under(value, "1234")).await, Ok(Some(PinVerdict::Match)));
        assert_eq!(verdict(under(value, "4321")).await, Ok(Some(PinVerdict::NoMatch)));
    }

    let told = replace(
        &world,
        "zpk-tdes",
        key_block(KeyPurpose::ZonePinTdes, &NEWER_TDES),
    )
    .await;
    assert_eq!(told.unwrap().former_kcv, Some(kcv));
    assert_eq!(
        verdict(under(ZPK_TDES, "1234")).await,
        Ok(Some(PinVerdict::Unreadable))
    );
    assert_eq!(
        verdict(under(NEW_TDES, "1234")).await,
        Ok(Some(PinVerdict::Match))
    );
    assert_eq!(
        verdict(under(NEWER_TDES, "1234")).await,
        Ok(Some(PinVerdict::Match))
    );

    let told = world.hsm.drop_former_key(name("zpk-tdes")).await.unwrap();
    assert_eq!(told.former_kcv, None);
    assert_eq!(
        verdict(under(NEW_TDES, "1234")).await,
        Ok(Some(PinVerdict::Unreadable))
    );
    assert_eq!(
        verdict(under(NEWER_TDES, "1234")).await,
        Ok(Some(PinVerdict::Match))
    );
    let again = world.hsm.drop_former_key(name("zpk-tdes")).await;
    assert_eq!(again, Ok(told));
    let unknown = world.hsm.drop_former_key(name("nowhere")).await;
    assert_eq!(unknown, refused(HsmRefusal::NoSuchKey));
}

#[tokio::test]
async fn an_aes_zone_key_and_mac_keys_are_replaced_the_same_way() {
    let world = world_with_mac_keys().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let account = AccountDigits::parse(PAN).unwrap();
    let told = replace(&world, "zpk-aes", key_block(KeyPurpose::ZonePinAes, &NEW_AES)).await;
    assert_eq!(told.unwrap().algorithm, "AES-128");
    for value in [ZPK_AES, NEW_AES] {
        let key = AesKey::from_bytes(&value).unwrap();
        let block = iso4::encipher(&key, &Pin::parse("1234").unwrap(), &account, &[8; 8]);
        let pin = ZonePin {
            block: block.to_vec(),
            ..iso4_pin(PAN, "1234")
        };
        let verdict = compare(&world.hsm, &card, pin).await;
        assert_eq!(verdict, Ok(Some(PinVerdict::Match)));
    }
    for (key, purpose) in [
        ("zak-tdes", KeyPurpose::ZoneMacTdes),
        ("zak-aes", KeyPurpose::ZoneMacAes),
    ] {
        let former = mac(&world, key, b"message").await.unwrap();
        replace(&world, key, key_block(purpose, &NEW_TDES)).await.unwrap();
        let new = mac(&world, key, b"message").await.unwrap();
        assert_ne!(new, former, "the new value makes");
        for right in [former, new] {
            assert_eq!(is_right(&world, key, b"message", right).await, Ok(true));
        }
        world.hsm.drop_former_key(name(key)).await.unwrap();
        assert_eq!(is_right(&world, key, b"message", former).await, Ok(false));
        assert_eq!(is_right(&world, key, b"message", new).await, Ok(true));
    }
}

#[tokio::test]
async fn a_replacement_is_still_there_with_its_overlap_after_a_restart() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    replace(&world, "zpk-tdes", key_block(KeyPurpose::ZonePinTdes, &NEW_TDES))
        .await
        .unwrap();
    let keys = world.hsm.keys().await.unwrap();
    let World { hsm, directory } = world;
    drop(hsm);
    let hsm = SoftwareHsm::open(directory.path()).unwrap();
    assert_eq!(hsm.keys().await.unwrap(), keys);
    for value in [ZPK_TDES, NEW_TDES] {
        let verdict = compare(&hsm, &card, under(value, "1234")).await;
        assert_eq!(verdict, Ok(Some(PinVerdict::Match)));
    }
}

#[tokio::test]
async fn the_two_values_in_a_key_file_can_not_change_places_or_come_from_elsewhere() {
    let world = World::new().await;
    let path = |world: &World, key: &str| world.directory.path().join(format!("{key}.key"));
    let original = std::fs::read_to_string(path(&world, "zpk-tdes")).unwrap();
    replace(&world, "zpk-tdes", key_block(KeyPurpose::ZonePinTdes, &NEW_TDES))
        .await
        .unwrap();
    let file = path(&world, "zpk-tdes");
    let other_key = std::fs::read_to_string(path(&world, "zpk-aes")).unwrap();
    let World { hsm, directory } = world;
    drop(hsm);
    let whole = std::fs::read_to_string(&file).unwrap();
    let (present, former) = whole.split_once('\n').unwrap();
    for edited in [
        format!("{former}\n{present}"),
        former.to_owned(),
        format!("{present}\n{present}"),
        format!("{present}\n{original}"),
        format!("{present}\n{other_key}"),
        format!("{present}\n{former}\n{former}"),
        format!("{present}\n{former}\n"),
        format!("{present}\n"),
    ] {
        std::fs::write(&file, &edited).unwrap();
        assert!(SoftwareHsm::open(directory.path()).is_err(), "{edited}");
    }
    std::fs::write(&file, &whole).unwrap();
    SoftwareHsm::open(directory.path()).unwrap();
}

#[tokio::test]
async fn no_value_that_a_key_ever_had_comes_back_whatever_was_dropped_or_restarted_meanwhile() {
    const CHANGES: u8 = 40;
    let mut world = World::new().await;
    let purpose = KeyPurpose::ZonePinTdes;
    let value = |number: u8| [number * 2; 8].into_iter().chain([0x92; 8]).collect::<Vec<u8>>();
    let mut had = vec![ZPK_TDES.to_vec()];
    for number in 1..=CHANGES {
        let next = value(number);
        replace(&world, "zpk-tdes", key_block(purpose, &next))
            .await
            .unwrap();
        had.push(next);
        if number % 7 == 0 {
            world.hsm.drop_former_key(name("zpk-tdes")).await.unwrap();
        }
        if number % 10 == 0 {
            let World { hsm, directory } = world;
            drop(hsm);
            let hsm = SoftwareHsm::open(directory.path()).unwrap();
            world = World { hsm, directory };
        }
    }
    let before = world.hsm.keys().await.unwrap();
    for (row, value) in had.iter().enumerate() {
        let again = replace(&world, "zpk-tdes", key_block(purpose, value)).await;
        assert_eq!(again, refused(HsmRefusal::KeyUnchanged), "value {row}");
        let other_parity: Vec<u8> = value.iter().map(|byte| byte ^ 1).collect();
        let again = replace(&world, "zpk-tdes", key_block(purpose, &other_parity)).await;
        assert_eq!(
            again,
            refused(HsmRefusal::KeyUnchanged),
            "value {row}, other parity"
        );
    }
    assert_eq!(world.hsm.keys().await.unwrap(), before);
    let file = std::fs::read_to_string(world.directory.path().join("zpk-tdes.key")).unwrap();
    for value in had {
        assert!(
            !file.to_uppercase().contains(&HEXUPPER.encode(&value)),
            "a past value in clear"
        );
    }
    replace(&world, "zpk-tdes", key_block(purpose, &NEWEST_TDES))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_values_that_a_key_had_can_not_be_struck_out_of_its_file() {
    let world = World::new().await;
    let purpose = KeyPurpose::ZonePinTdes;
    for value in [NEW_TDES, NEWER_TDES, NEWEST_TDES] {
        replace(&world, "zpk-tdes", key_block(purpose, &value))
            .await
            .unwrap();
    }
    let World { hsm, directory } = world;
    drop(hsm);
    let file = directory.path().join("zpk-tdes.key");
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let [present, former, past] = lines[..] else {
        unreachable!("a present and a former value, and those before")
    };
    let (first, second) = past.strip_prefix("past ").unwrap().split_at(32);
    for edited in [
        format!("{present}\n{former}"),
        format!("{present}\n{former}\npast "),
        format!("{present}\n{former}\npast {first}"),
        format!("{present}\n{former}\npast {second}{first}"),
        format!("{present}\n{former}\npast {first}{second}{second}"),
        format!("{present}\n{former}\n{past}\n"),
        format!("{present}\n{former}\n{past}\n{past}"),
        format!("{present}\n{past}\n{former}"),
    ] {
        std::fs::write(&file, &edited).unwrap();
        assert!(SoftwareHsm::open(directory.path()).is_err(), "{edited}");
    }
    std::fs::write(&file, &whole).unwrap();
    SoftwareHsm::open(directory.path()).unwrap();
}

#[tokio::test]
async fn a_replacement_that_does_not_fit_is_refused_by_name_and_changes_nothing() {
    let world = world_with_mac_keys().await;
    let before = world.hsm.keys().await.unwrap();
    let purpose = KeyPurpose::ZonePinTdes;
    let with = |change: fn(&mut Header)| {
        let mut header = header(purpose);
        change(&mut header);
        key_block_with(&header, &NEW_TDES)
    };
    let mut one_bit_less = ZPK_TDES;
    one_bit_less[3] ^= 1;
    let mut edited = key_block(purpose, &NEW_TDES);
    edited.replace_range(20..21, if &edited[20..21] == "0" { "1" } else { "0" });
    let cases = [
        ("zpk-tdes", edited, HsmRefusal::KeyBlock(KeyFlaw::NotAuthentic)),
        (
            "zpk-tdes",
            String::new(),
            HsmRefusal::KeyBlock(KeyFlaw::NotAuthentic),
        ),
        (
            "zpk-tdes",
            key_block(purpose, &[1; 8]),
            HsmRefusal::KeyBlock(KeyFlaw::Value),
        ),
        (
            "zpk-tdes",
            key_block(KeyPurpose::ZonePinAes, &NEW_TDES),
            HsmRefusal::KeyUsage,
        ),
        (
            "zpk-tdes",
            key_block(KeyPurpose::ZoneMacTdes, &NEW_TDES),
            HsmRefusal::KeyUsage,
        ),
        (
            "zpk-tdes",
            with(|header| header.mode_of_use = ModeOfUse::DeriveKeys),
            HsmRefusal::KeyUsage,
        ),
        (
            "zpk-tdes",
            with(|header| header.key_context = KeyContext::Storage),
            HsmRefusal::KeyUsage,
        ),
        (
            "zpk-tdes",
            key_block(purpose, &ZPK_TDES),
            HsmRefusal::KeyUnchanged,
        ),
        (
            "zpk-tdes",
            key_block(purpose, &one_bit_less),
            HsmRefusal::KeyUnchanged,
        ),
        (
            "pvk-3",
            key_block(KeyPurpose::PinVerificationVisa, &NEW_TDES),
            HsmRefusal::NoSuchKey,
        ),
        (
            "imk-ac",
            key_block(KeyPurpose::IssuerCryptogram, &NEW_TDES),
            HsmRefusal::NoSuchKey,
        ),
        ("nowhere", key_block(purpose, &NEW_TDES), HsmRefusal::NoSuchKey),
    ];
    for (row, (key, block, refusal)) in cases.into_iter().enumerate() {
        assert_eq!(replace(&world, key, block).await, refused(refusal), "row {row}");
    }
    let under_no_kek = world
        .hsm
        .replace_key(
            name("zpk-tdes"),
            key_block(purpose, &NEW_TDES),
            name("zpk-aes"),
            None,
            LATER,
        )
        .await;
    assert_eq!(under_no_kek, refused(HsmRefusal::NoSuchKey));
    assert_eq!(world.hsm.keys().await.unwrap(), before);

    replace(&world, "zpk-tdes", key_block(purpose, &NEW_TDES))
        .await
        .unwrap();
    let back = replace(&world, "zpk-tdes", key_block(purpose, &ZPK_TDES)).await;
    assert_eq!(
        back,
        refused(HsmRefusal::KeyUnchanged),
        "nor back to the former one"
    );
}

#[tokio::test]
async fn check_values_that_disagree_are_refused_wherever_they_come_from() {
    let world = World::new().await;
    let purpose = KeyPurpose::ZonePinTdes;
    let right = HEXUPPER.encode(&Tdes2Key::from_bytes(&NEW_TDES).kcv());
    let told = |kcv: &str| {
        let block = key_block(purpose, &NEW_TDES);
        let kcv = Some(kcv.to_owned());
        world
            .hsm
            .replace_key(name("zpk-tdes"), block, name("kek"), kcv, LATER)
    };
    for wrong in ["000000", "", "zz", &right[..4], &format!("{right}00")] {
        assert_eq!(told(wrong).await, refused(HsmRefusal::KeyCheckValue), "{wrong}");
    }

    let in_block = |id: [u8; 2], data: &str, key: &[u8]| {
        let mut header = header(purpose);
        header.optional_blocks.push(OptionalBlock::new(id, data).unwrap());
        key_block_with(&header, key)
    };
    let cmac = HEXUPPER.encode(&Tdes2Key::from_bytes(&NEW_TDES).cmac(&[0; 8])[..5]);
    let kek_kcv = HEXUPPER.encode(&kek().kcv());
    for (id, data) in [
        (*b"KC", "00000000".to_owned()),
        (*b"KC", format!("01{right}")),
        (*b"KC", format!("02{right}")),
        (*b"KC", "0".to_owned()),
        (*b"KP", format!("00{kek_kcv}")),
        (*b"KP", "01000000".to_owned()),
    ] {
        let block = in_block(id, &data, &NEW_TDES);
        let answer = replace(&world, "zpk-tdes", block).await;
        assert_eq!(answer, refused(HsmRefusal::KeyCheckValue), "{data}");
    }
    told(&right.to_lowercase()).await.unwrap();

    let right_in_block = in_block(*b"KC", &format!("00{right}"), &NEW_TDES);
    let same = replace(&world, "zpk-tdes", right_in_block).await;
    assert_eq!(
        same,
        refused(HsmRefusal::KeyUnchanged),
        "its check value is right"
    );
    let right_in_block = in_block(*b"KC", &format!("01{cmac}"), &NEW_TDES);
    let same = replace(&world, "zpk-tdes", right_in_block).await;
    assert_eq!(same, refused(HsmRefusal::KeyUnchanged), "by the other method too");
    let wraps = in_block(*b"KP", &format!("01{kek_kcv}"), &NEWER_TDES);
    replace(&world, "zpk-tdes", wraps).await.unwrap();

    let block = in_block(*b"KC", "00000000", &NEW_TDES);
    let imported = world
        .hsm
        .import_key(name("zpk-other"), purpose, block, name("kek"), NOW)
        .await;
    assert_eq!(imported, refused(HsmRefusal::KeyCheckValue));
}
