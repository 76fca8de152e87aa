//! Keys: one purpose each, at rest as key blocks, exchanged as key blocks.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use cards::{PinReference, Scheme, SealedPin, Timestamp};
use hsm::{
    CheckRequest, HsmError, HsmRefusal, ImportPin, KeyAdmin, KeyFlaw, KeyName, KeyPurpose, OpenError,
    PaymentHsm, PinVerdict, SoftwareHsm, ZonePin, ZonePinFormat,
};
use paycrypto::account::AccountDigits;
use paycrypto::icc_keys::{IccKeyOption, IssuerKey, icc_master_key};
use paycrypto::pin::Pin;
use paycrypto::pinblock::{TdesFormat, decipher_tdes};
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::{
    Algorithm, Exportability, Header, KeyBlockVersion, KeyContext, KeyUsage, ModeOfUse,
};
use paycrypto::tr31::{Kbpk, unwrap};
use support::{IMK_AC, NOW, PAN, World, ZPK_TDES, card, iso0, kek, key_block, key_block_with, name};
use tempfile::TempDir;

fn refused<T>(refusal: HsmRefusal) -> Result<T, HsmError> {
    Err(HsmError::Refused(refusal))
}

#[tokio::test]
async fn a_provisioned_hsm_has_every_key_it_needs_and_keeps_them() {
    let directory = TempDir::new().unwrap();
    let hsm = SoftwareHsm::open(directory.path()).unwrap();
    assert!(hsm.seal_pans(vec![]).await.is_err(), "without keys it says so");
    hsm.provision(NOW).unwrap();
    let made = hsm.keys().await.unwrap();
    assert_eq!(made.len(), 9);
    hsm.provision(Timestamp(0)).unwrap();
    drop(hsm);
    let again = SoftwareHsm::open(directory.path()).unwrap();
    assert_eq!(again.keys().await.unwrap(), made);
}

#[tokio::test]
async fn each_key_works_in_the_commands_of_its_purpose_and_in_no_other() {
    let world = World::new().await;
    world
        .hsm
        .generate_key(name("kek-2"), KeyPurpose::KeyExchange, NOW)
        .await
        .unwrap();
    let card = world.card_with_pin(PAN, "1234").await;
    let zone_pin = |key: &KeyName, format, len| ZonePin {
        zone_key: key.clone(),
        format,
        ksn: None,
        block: vec![0; len],
    };
    for key in world.hsm.keys().await.unwrap() {
        let (purpose, key) = (key.purpose, key.name);
        let mut works = Vec::new();
        for (format, len) in [(ZonePinFormat::Iso0, 8), (ZonePinFormat::Iso4, 16)] {
            let pin = zone_pin(&key, format, len);
            let check = CheckRequest {
                card: card.clone(),
                cryptogram: None,
                pin: Some(pin.clone()),
                new_pin: None,
            };
            let import = ImportPin {
                pan: world.pan(),
                pin,
                len_digits: 4,
            };
            let checked = world.hsm.check(vec![check]).await.unwrap().remove(0);
            let imported = world.hsm.import_pins(vec![import]).await.unwrap().remove(0);
            works.push(checked != Err(HsmRefusal::NoSuchKey));
            works.push(imported != Err(HsmRefusal::NoSuchKey));
        }
        let block = key_block(KeyPurpose::ZonePinTdes, &ZPK_TDES);
        let imported = world
            .hsm
            .import_key(name("zpk-tdes"), KeyPurpose::ZonePinTdes, block, key.clone(), NOW)
            .await;
        let exported_under = world.hsm.export_key(name("zpk-tdes"), key.clone()).await;
        let exported = world.hsm.export_key(key.clone(), name("kek")).await;
        let for_bureau = |under, zone_key| {
            world
                .hsm
                .personalise(card.clone(), Scheme::VisaCvn18, under, zone_key)
        };
        let under = for_bureau(key.clone(), name("zpk-tdes")).await;
        let zone = for_bureau(name("kek"), key.clone()).await;
        works.push(imported.err() != Some(HsmError::Refused(HsmRefusal::NoSuchKey)));
        works.push(exported_under.is_ok());
        works.push(exported.is_ok());
        works.push(under.is_ok());
        works.push(zone.is_ok());

        // check and import_pins in format 0, in format 4; import under, export under, export, personalise under, with
        let expected = match purpose {
            KeyPurpose::KeyExchange => [0, 0, 0, 0, 1, 1, 0, 1, 0],
            KeyPurpose::ZonePinTdes => [1, 1, 0, 0, 0, 0, 1, 0, 1],
            KeyPurpose::ZonePinAes => [0, 0, 1, 1, 0, 0, 1, 0, 0],
            KeyPurpose::IssuerCryptogram
            | KeyPurpose::IssuerScriptIntegrity
            | KeyPurpose::IssuerScriptConfidentiality
            | KeyPurpose::PinVerificationVisa
            | KeyPurpose::PinVerificationIbm3624
            | KeyPurpose::ZoneMacTdes
            | KeyPurpose::ZoneMacAes
            | KeyPurpose::DukptBaseTdes
            | KeyPurpose::DukptBaseAes
            | KeyPurpose::IssuerCryptogramAes
            | KeyPurpose::IssuerScriptIntegrityAes
            | KeyPurpose::IssuerScriptConfidentialityAes => [0, 0, 0, 0, 0, 0, 1, 0, 0],
            KeyPurpose::PinStorage
            | KeyPurpose::PanStorage
            | KeyPurpose::CardIndex
            | KeyPurpose::RecordMac
            | KeyPurpose::EnvelopeIdentity => [0; 9],
        };
        assert_eq!(works, expected.map(|cell| cell == 1), "{purpose:?}");
    }
}

#[tokio::test]
async fn a_second_key_of_a_single_purpose_or_a_taken_name_is_refused() {
    let world = World::new().await;
    for purpose in [
        KeyPurpose::IssuerCryptogram,
        KeyPurpose::IssuerScriptIntegrity,
        KeyPurpose::IssuerScriptConfidentiality,
        KeyPurpose::PinStorage,
        KeyPurpose::PanStorage,
        KeyPurpose::CardIndex,
        KeyPurpose::RecordMac,
        KeyPurpose::EnvelopeIdentity,
    ] {
        let second = world.hsm.generate_key(name("second"), purpose, NOW).await;
        assert_eq!(second, refused(HsmRefusal::KeyExists), "{purpose:?}");
    }
    let taken = world
        .hsm
        .generate_key(name("zpk-tdes"), KeyPurpose::ZonePinAes, NOW)
        .await;
    assert_eq!(taken, refused(HsmRefusal::KeyExists));
}

#[tokio::test]
async fn a_name_that_is_none_makes_no_key_and_no_file() {
    let world = World::new().await;
    let too_long = "a".repeat(65);
    for bad in ["", "../evil", "Upper", "a.key", "a b", too_long.as_str(), "pvk-1"] {
        let answer = world
            .hsm
            .generate_key(name(bad), KeyPurpose::ZonePinTdes, NOW)
            .await;
        assert_eq!(answer, refused(HsmRefusal::KeyBlock(KeyFlaw::Name)), "{bad}");
    }
    for bad in ["pvk-0", "pvk-7", "pvk"] {
        let answer = world
            .hsm
            .generate_key(name(bad), KeyPurpose::PinVerificationVisa, NOW)
            .await;
        assert_eq!(answer, refused(HsmRefusal::KeyBlock(KeyFlaw::Name)), "{bad}");
    }
}

/// One key of each algorithm in a store of its own, edited at each byte.
#[tokio::test]
async fn a_key_file_edited_anywhere_is_refused_by_name() {
    for (key_name, purpose) in [
        ("zpk", KeyPurpose::ZonePinTdes),
        ("storage", KeyPurpose::PinStorage),
        ("index", KeyPurpose::CardIndex),
        ("identity", KeyPurpose::EnvelopeIdentity),
    ] {
        let directory = TempDir::new().unwrap();
        let hsm = SoftwareHsm::open(directory.path()).unwrap();
        hsm.generate_key(name(key_name), purpose, NOW).await.unwrap();
        drop(hsm);
        let path = directory.path().join(format!("{key_name}.key"));
        let whole = fs::read(&path).unwrap();
        let refused = |content: &[u8]| {
            fs::write(&path, content).unwrap();
            match SoftwareHsm::open(directory.path()) {
                Err(OpenError::KeyFile(named)) => named == path,
                Ok(_) | Err(_) => false,
            }
        };
        for at in 0..whole.len() {
            for bit in [0x01, 0x20] {
                let mut edited = whole.clone();
                edited[at] ^= bit;
                assert!(refused(&edited), "{purpose:?} byte {at} bit {bit}");
            }
            assert!(refused(&whole[..at]), "{purpose:?} cut at {at}");
        }
        assert!(refused(&[whole.as_slice(), b"\n"].concat()));
        fs::write(&path, &whole).unwrap();
        SoftwareHsm::open(directory.path()).unwrap();
    }
}

#[tokio::test]
async fn key_files_can_not_stand_for_one_another() {
    let world = World::new().await;
    world
        .hsm
        .generate_key(name("zpk-b"), KeyPurpose::ZonePinTdes, NOW)
        .await
        .unwrap();
    let World { hsm, directory } = world;
    drop(hsm);
    let path = |key: &str| directory.path().join(format!("{key}.key"));
    fs::copy(path("zpk-b"), path("zpk-tdes")).unwrap();
    let opened = SoftwareHsm::open(directory.path());
    assert!(matches!(opened.err(), Some(OpenError::KeyFile(named)) if named == path("zpk-tdes")));
}

#[tokio::test]
async fn a_wrong_missing_exposed_or_malformed_master_key_is_refused() {
    let world = World::new().await;
    let World { hsm, directory } = world;
    drop(hsm);
    let lmk = directory.path().join("lmk");
    let open = || SoftwareHsm::open(directory.path()).err();
    assert_eq!(fs::metadata(&lmk).unwrap().permissions().mode() & 0o777, 0o600);

    fs::set_permissions(&lmk, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(open(), Some(OpenError::MasterKeyExposed(_))));
    fs::set_permissions(&lmk, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&lmk, "0".repeat(64)).unwrap();
    assert!(matches!(open(), Some(OpenError::KeyFile(_))));
    fs::write(&lmk, "0".repeat(62)).unwrap();
    assert!(matches!(open(), Some(OpenError::MasterKeyMalformed(_))));
    fs::remove_file(&lmk).unwrap();
    assert!(matches!(open(), Some(OpenError::MasterKeyMissing(_))));
    assert!(!lmk.exists(), "no new master key is made beside old keys");
}

#[tokio::test]
async fn one_directory_serves_one_hsm_at_a_time() {
    let world = World::new().await;
    let second = SoftwareHsm::open(world.directory.path());
    assert!(matches!(second.err(), Some(OpenError::InUse(_))));
    let World { hsm, directory } = world;
    drop(hsm);
    SoftwareHsm::open(directory.path()).unwrap();
}

#[tokio::test]
async fn a_key_comes_back_the_same_from_its_export() {
    let world = World::new().await;
    let block = world.hsm.export_key(name("imk-smi"), name("kek")).await.unwrap();
    let other = World::new().await;
    let unwrapped = unwrap(Kbpk::Aes(&kek()), &block).unwrap();
    assert_eq!(unwrapped.header.usage, KeyUsage::E2_EMV_INTEGRITY);
    let kcv_of = |keys: Vec<hsm::KeyInfo>, wanted: &str| {
        keys.into_iter()
            .find(|key| key.name == name(wanted))
            .map(|key| key.kcv)
    };
    let key = Tdes2Key::from_bytes(unwrapped.key.as_slice().try_into().unwrap());
    let kcv = data_encoding::HEXUPPER.encode(&key.kcv());
    assert_eq!(kcv_of(world.hsm.keys().await.unwrap(), "imk-smi"), Some(kcv));
    let taken = other
        .hsm
        .import_key(
            name("imk-smi-2"),
            KeyPurpose::IssuerScriptIntegrity,
            block,
            name("kek"),
            NOW,
        )
        .await;
    assert_eq!(taken, refused(HsmRefusal::KeyExists));
}

#[tokio::test]
async fn an_imported_block_must_fit_its_purpose_in_every_field() {
    let world = World::new().await;
    let good = Header {
        version: KeyBlockVersion::D,
        usage: KeyUsage::P0_PIN_ENCRYPTION,
        algorithm: Algorithm::Tdea,
        mode_of_use: ModeOfUse::EncryptDecrypt,
        key_version: *b"00",
        exportability: Exportability::NonExportable,
        key_context: KeyContext::OfWrappingKey,
        optional_blocks: Vec::new(),
    };
    let mut single_des = ZPK_TDES;
    single_des.copy_within(0..8, 8);
    let with = |change: fn(&mut Header), key: &[u8]| {
        let mut header = good.clone();
        change(&mut header);
        key_block_with(&header, key)
    };
    let mut edited = with(|_| {}, &ZPK_TDES);
    edited.replace_range(20..21, if &edited[20..21] == "0" { "1" } else { "0" });
    let bad = [
        with(|header| header.usage = KeyUsage::D0_DATA_ENCRYPTION, &ZPK_TDES),
        with(|header| header.algorithm = Algorithm::Aes, &ZPK_TDES),
        with(|header| header.mode_of_use = ModeOfUse::DeriveKeys, &ZPK_TDES),
        with(|_| {}, &[1; 8]),
        with(|_| {}, &single_des),
        edited,
        String::new(),
    ];
    let import = |key: &str, purpose, block| {
        let key = name(key);
        world.hsm.import_key(key, purpose, block, name("kek"), NOW)
    };
    for (row, block) in bad.into_iter().enumerate() {
        let answer = import("zpk-new", KeyPurpose::ZonePinTdes, block).await;
        let refusal = match row {
            0..3 => HsmRefusal::KeyUsage,
            3 | 4 => HsmRefusal::KeyBlock(KeyFlaw::Value),
            _ => HsmRefusal::KeyBlock(KeyFlaw::NotAuthentic),
        };
        assert_eq!(answer, refused(refusal), "row {row}");
    }
    let local = key_block_with(
        &Header {
            algorithm: Algorithm::Aes,
            ..good.clone()
        },
        &[1; 32],
    );
    let answer = import("storage", KeyPurpose::PinStorage, local).await;
    assert_eq!(
        answer,
        refused(HsmRefusal::KeyUsage),
        "local keys take nothing from outside"
    );
    let taken = import("zpk-new", KeyPurpose::ZonePinTdes, with(|_| {}, &ZPK_TDES)).await;
    assert!(taken.is_ok());
    let leaves = world.hsm.export_key(name("zpk-new"), name("kek")).await;
    assert_eq!(
        leaves,
        refused(HsmRefusal::NoSuchKey),
        "what came as not exportable stays"
    );
}

#[tokio::test]
async fn components_need_two_files_and_right_check_values() {
    let world = World::new().await;
    let load = |paths: &[&str]| {
        let directory = world.directory.path();
        let full = |file: &&str| directory.join(file).to_str().unwrap().to_owned();
        let paths = paths.iter().map(full).collect();
        world.hsm.load_components(name("kek-new"), paths, NOW)
    };
    let write = |file: &str, content: &str| fs::write(world.directory.path().join(file), content).unwrap();
    let first = fs::read_to_string(world.directory.path().join("component-0.txt")).unwrap();
    write("wrong-kcv.txt", &format!("{}\n0000000000\n", &first[..64]));
    write("no-kcv.txt", &first[..64]);
    write("short.txt", &first[2..]);
    let second = KeyFlaw::Component { number: 2 };
    for (bad, flaw) in [
        (vec!["component-0.txt"], KeyFlaw::ComponentCount),
        (vec!["component-0.txt", "wrong-kcv.txt"], second),
        (vec!["component-0.txt", "no-kcv.txt"], second),
        (vec!["component-0.txt", "short.txt"], second),
        (
            vec!["component-0.txt", "component-0.txt"],
            KeyFlaw::ComponentsCancel,
        ),
    ] {
        assert_eq!(load(&bad).await, refused(HsmRefusal::KeyBlock(flaw)), "{bad:?}");
    }
    let missing = load(&["component-0.txt", "nowhere.txt"]).await;
    assert!(matches!(missing, Err(HsmError::Fault(_))));
    let loaded = load(&["component-0.txt", "component-1.txt"]).await.unwrap();
    assert_eq!(loaded.kcv, data_encoding::HEXUPPER.encode(&kek().kcv()));
}

#[tokio::test]
async fn personalisation_gives_the_cards_own_keys_and_its_first_pin() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let perso = world
        .hsm
        .personalise(card, Scheme::VisaCvn18, name("kek"), name("zpk-tdes"))
        .await
        .unwrap();
    let account = AccountDigits::parse(PAN).unwrap();
    let imk = Tdes2Key::from_bytes(&IMK_AC);
    let psn = cards::Psn::new(1).unwrap();
    let expected = icc_master_key(IccKeyOption::B, IssuerKey::Tdes(&imk), &account, psn).unwrap();
    let unwrapped = unwrap(Kbpk::Aes(&kek()), &perso.icc_key_ac).unwrap();
    assert_eq!(unwrapped.key.as_slice(), expected.expose_bytes());
    assert_eq!(unwrapped.header.exportability, Exportability::NonExportable);
    assert_ne!(perso.icc_key_smi, perso.icc_key_smc);
    let zpk = Tdes2Key::from_bytes(&ZPK_TDES);
    let pin = decipher_tdes(&zpk, TdesFormat::Iso0, perso.pin_block.unwrap(), &account);
    assert_eq!(pin, Ok(Pin::parse("1234").unwrap()));
}

#[tokio::test]
async fn a_card_without_a_pin_is_personalised_without_one_and_a_pvv_card_not_at_all() {
    let world = World::new().await;
    let bare = card(&world.hsm, PAN, PinReference::None).await;
    let perso = world
        .hsm
        .personalise(bare, Scheme::VisaCvn18, name("kek"), name("zpk-tdes"))
        .await
        .unwrap();
    assert_eq!(perso.pin_block, None);
    let reference = PinReference::Pvv { pvki: 3, pvv: [0; 4] };
    let pvv = card(&world.hsm, PAN, reference).await;
    let answer = world
        .hsm
        .personalise(pvv, Scheme::VisaCvn18, name("kek"), name("zpk-tdes"))
        .await;
    assert_eq!(answer, refused(HsmRefusal::Unsupported));
}

#[tokio::test]
async fn everything_sealed_still_opens_after_a_restart() {
    let world = World::new().await;
    let card = world.card_with_pin(PAN, "1234").await;
    let World { hsm, directory } = world;
    drop(hsm);
    let hsm = SoftwareHsm::open(directory.path()).unwrap();
    let request = CheckRequest {
        card,
        cryptogram: None,
        pin: Some(iso0(PAN, "1234")),
        new_pin: None,
    };
    let reply = hsm.check(vec![request]).await.unwrap().remove(0).unwrap();
    assert_eq!(reply.pin, Some(PinVerdict::Match));
}

#[tokio::test]
async fn a_key_store_of_before_zone_keys_could_be_replaced_opens_and_reads_its_pins() {
    let vector = include_str!("../vectors/key_store_1.txt");
    let directory = TempDir::new().unwrap();
    let mut sealed_pin = None;
    let mut files = Vec::new();
    for line in vector.lines().filter(|line| !line.starts_with('#')) {
        let (file, content) = line.split_once(' ').unwrap();
        if file == "sealed-pin" {
            let (kcv, block) = content.split_once(' ').unwrap();
            let bytes = |hex: &str| data_encoding::HEXUPPER.decode(hex.as_bytes()).unwrap();
            sealed_pin = Some(SealedPin {
                kcv: bytes(kcv).try_into().unwrap(),
                block: bytes(block).try_into().unwrap(),
            });
            continue;
        }
        let path = directory.path().join(file);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        files.push(file);
    }
    let hsm = SoftwareHsm::open(directory.path()).unwrap();
    let keys = hsm.keys().await.unwrap();
    assert_eq!(keys.len(), files.len() - 1, "all files but the master key");
    assert!(keys.iter().all(|key| key.former_kcv.is_none()));
    let kcv = |wanted: &str| keys.iter().find(|key| key.name.0 == wanted).unwrap().kcv.clone();
    assert_eq!(
        (kcv("imk-ac").as_str(), kcv("zpk-tdes").as_str()),
        ("08D7B4", "895022")
    );

    let world = World { hsm, directory };
    let card = card(&world.hsm, PAN, PinReference::Sealed(sealed_pin.unwrap())).await;
    let request = CheckRequest {
        card,
        cryptogram: None,
        pin: Some(iso0(PAN, "1234")),
        new_pin: None,
    };
    let reply = world.hsm.check(vec![request]).await.unwrap().remove(0).unwrap();
    assert_eq!(reply.pin, Some(PinVerdict::Match));

    let block = key_block(
        KeyPurpose::ZonePinTdes,
        &[0x2A; 15].iter().copied().chain([7]).collect::<Vec<_>>(),
    );
    let replaced = world
        .hsm
        .replace_key(name("zpk-tdes"), block, name("kek"), None, NOW)
        .await;
    assert_eq!(replaced.unwrap().former_kcv.as_deref(), Some("895022"));
}
