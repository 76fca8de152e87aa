//! Components, the bureau and the acquirer's key room, by their files.

use std::fs;
use std::path::{Path, PathBuf};

use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::cvn::Cvn;
use paycrypto::pinblock::{TdesFormat, encipher_tdes};
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::{
    Algorithm, Exportability, Header, KeyBlockVersion, KeyContext, KeyUsage, ModeOfUse,
};
use paycrypto::tr31::{Kbpk, padding_len, wrap};
use serde_json::{Value, json};
use sim::acquirer::{Acquirer, AcquirerError};
use sim::bureau::components::{self, ComponentsError};
use sim::bureau::{self, BureauError};
use sim::card::chip::{Chip, Interface};
use sim::card::perso::Perso;
use sim::terminal::atm;
use sim::terminal::journey::{Faults, Trouble};

use crate::host::{Host, ZONE_KEY_TDES};
use crate::issuer::{PAN, card_keys, new_card, pin};
use crate::reader::{OK, approved, begin, verify};

fn block(kek: &AesKey, usage: KeyUsage, key: &[u8]) -> String {
    let header = Header {
        version: KeyBlockVersion::D,
        usage,
        algorithm: Algorithm::Tdea,
        mode_of_use: ModeOfUse::Unrestricted,
        key_version: *b"00",
        exportability: Exportability::Exportable,
        key_context: KeyContext::OfWrappingKey,
        optional_blocks: Vec::new(),
    };
    let padding = vec![0x5A; padding_len(KeyBlockVersion::D, 16)];
    wrap(Kbpk::Aes(kek), &header, key, &padding).unwrap()
}

fn export(kek: &AesKey) -> Value {
    let zone_key = Tdes2Key::from_bytes(&ZONE_KEY_TDES);
    let keys = card_keys();
    let account = AccountDigits::parse(PAN).unwrap();
    let pin_block = encipher_tdes(&zone_key, TdesFormat::Iso0, &pin("1234"), &account, &[0; 10]);
    json!({
        "zone_key": block(kek, KeyUsage::P0_PIN_ENCRYPTION, &ZONE_KEY_TDES),
        "cards": [{
            "card_ref": "crd-1", "pan": PAN, "psn": 1, "expiry": "3012", "name": "Zoë Example",
            "programme": "everyday", "currency": 978,
            "icc_key_ac": block(kek, KeyUsage::E0_EMV_CRYPTOGRAMS, keys.ac().expose_bytes()),
            "icc_key_smi": block(kek, KeyUsage::E2_EMV_INTEGRITY, keys.smi().expose_bytes()),
            "icc_key_smc": block(kek, KeyUsage::E1_EMV_CONFIDENTIALITY, keys.smc().expose_bytes()),
            "pin_block": data_encoding::HEXUPPER.encode(&pin_block),
        }],
    })
}

fn personalised(directory: &Path, export: &Value, paths: &[PathBuf]) -> Result<Vec<PathBuf>, BureauError> {
    let file = directory.join("export.json");
    fs::write(&file, export.to_string()).unwrap();
    bureau::personalise(&file, paths, &directory.join("wallet"), None)
}

#[test]
fn two_components_make_one_key_and_are_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let paths = components::generate(directory.path()).unwrap();
    let key = components::combine(&paths).unwrap();
    assert_eq!(key.expose_bytes().len(), 32);
    let swapped = [paths[1].clone(), paths[0].clone()];
    assert_eq!(
        components::combine(&swapped).unwrap().expose_bytes(),
        key.expose_bytes()
    );
    assert!(matches!(
        components::generate(directory.path()),
        Err(ComponentsError::Exists(_))
    ));
    assert!(matches!(
        components::combine(&paths[..1]),
        Err(ComponentsError::TooFew)
    ));
}

#[test]
fn a_component_with_a_wrong_check_value_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let paths = components::generate(directory.path()).unwrap();
    let text = fs::read_to_string(&paths[0]).unwrap();
    let first = if text.starts_with('0') { "1" } else { "0" };
    fs::write(&paths[0], format!("{first}{}", &text[1..])).unwrap();
    assert!(matches!(
        components::combine(&paths),
        Err(ComponentsError::CheckValue(_))
    ));
    fs::write(&paths[0], "00\n11\n").unwrap();
    assert!(matches!(
        components::combine(&paths),
        Err(ComponentsError::Shape(_))
    ));
}

#[test]
fn the_bureau_makes_a_card_that_the_issuer_knows() {
    let directory = tempfile::tempdir().unwrap();
    let paths = components::generate(directory.path()).unwrap();
    let kek = components::combine(&paths).unwrap();
    let written = personalised(directory.path(), &export(&kek), &paths).unwrap();
    assert_eq!(written, [directory.path().join("wallet/crd-1.perso.json")]);
    let mut chip = Chip::open(&written[0], &directory.path().join("state.json")).unwrap();
    assert_eq!(chip.perso().cardholder_name, "ZO? EXAMPLE");
    begin(&mut chip, Interface::Contact);
    assert_eq!(verify(&mut chip, "1234"), OK);
    approved(&mut chip);
}

#[test]
fn the_bureau_makes_a_certified_card_of_the_profile_that_the_export_names() {
    let directory = tempfile::tempdir().unwrap();
    let paths = components::generate(directory.path()).unwrap();
    let kek = components::combine(&paths).unwrap();
    let mut export = export(&kek);
    export["cards"][0]["scheme"] = json!("mastercard-cvn17");
    let written = personalised(directory.path(), &export, &paths).unwrap();
    let perso = Perso::read(&written[0]).unwrap();
    assert_eq!(perso.profile.name, "mastercard-cvn17");
    assert_eq!(perso.aid, *b"\xA0\x00\x00\x00\x04\x10\x10");
    assert_eq!(perso.keys.profile(), Cvn::Mastercard17.profile());
    assert!(perso.certified_key.is_some());
    // AES keys for a card that has TDES keys, and the other way round.
    export["cards"][0]["scheme"] = json!("ccd-aes");
    let refused = personalised(directory.path(), &export, &paths).unwrap_err();
    assert!(matches!(
        refused,
        BureauError::Card {
            name: "icc_key_ac",
            ..
        }
    ));
    for (name, usage) in [
        ("icc_key_ac", KeyUsage::E0_EMV_CRYPTOGRAMS),
        ("icc_key_smi", KeyUsage::E2_EMV_INTEGRITY),
        ("icc_key_smc", KeyUsage::E1_EMV_CONFIDENTIALITY),
    ] {
        let header = Header {
            version: KeyBlockVersion::D,
            usage,
            algorithm: Algorithm::Aes,
            mode_of_use: ModeOfUse::Unrestricted,
            key_version: *b"00",
            exportability: Exportability::Exportable,
            key_context: KeyContext::OfWrappingKey,
            optional_blocks: Vec::new(),
        };
        let padding = vec![0x5A; padding_len(KeyBlockVersion::D, 16)];
        let aes = wrap(Kbpk::Aes(&kek), &header, &[7; 16], &padding).unwrap();
        export["cards"][0][name] = json!(aes);
    }
    let written = personalised(directory.path(), &export, &paths).unwrap();
    let perso = Perso::read(&written[0]).unwrap();
    assert_eq!(perso.keys.ac().expose_bytes(), [7; 16]);
    export["cards"][0]["scheme"] = json!("visa-cvn18");
    let refused = personalised(directory.path(), &export, &paths).unwrap_err();
    assert!(matches!(
        refused,
        BureauError::Card {
            name: "icc_key_ac",
            ..
        }
    ));
    export["cards"][0]["scheme"] = json!("visa-cvn99");
    let refused = personalised(directory.path(), &export, &paths).unwrap_err();
    assert!(matches!(refused, BureauError::Json { .. }));
}

#[test]
fn an_export_with_one_bad_value_makes_no_card() {
    let directory = tempfile::tempdir().unwrap();
    let paths = components::generate(directory.path()).unwrap();
    let kek = components::combine(&paths).unwrap();
    let good = export(&kek);
    let smi = good["cards"][0]["icc_key_smi"].clone();
    let bad = [
        ("card_ref", json!("../out")),
        ("pan", json!("4761739001010011")),
        ("expiry", json!("3013")),
        ("icc_key_ac", smi),
        ("pin_block", json!("0000000000000000")),
        ("psn", json!(100)),
    ];
    for (name, value) in bad {
        let mut export = good.clone();
        export["cards"][0][name] = value;
        match personalised(directory.path(), &export, &paths) {
            Err(BureauError::Card {
                number: 1,
                name: refused,
            }) => assert_eq!(refused, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(!directory.path().join("wallet").exists());
}

/// Keys that are used once are counted in a file beside the acquirer's, across runs.
#[tokio::test]
async fn an_acquirer_with_keys_that_are_used_once_goes_on_where_its_last_run_ended() {
    let host = Host::start("ascii-1987-dukpt").await;
    let directory = tempfile::tempdir().unwrap();
    let paths = components::generate(directory.path()).unwrap();
    let kek = components::combine(&paths).unwrap();
    let file = directory.path().join("acquirer.json");
    let text = json!({
        "host": host.address.to_string(), "dialect": "ascii-1987-dukpt", "acquirer_id": "12345",
        "zone_key": block(&kek, KeyUsage::B0_BASE_DERIVATION, &ZONE_KEY_TDES),
        "key_serial": "FFFF9876543210E00000",
        "component_paths": ["component-1.txt", "component-2.txt"],
    });
    fs::write(&file, text.to_string()).unwrap();
    let card = new_card(Some("1234"));
    let mut shown = Vec::new();
    for _ in 0..3 {
        let acquirer = Acquirer::open(&file).unwrap();
        let journey = atm::balance(&mut card.chip(), &pin("1234"), &acquirer, Faults::default()).await;
        shown.push(journey.outcome.trouble);
    }
    assert_eq!(shown, [None; 3]);
    let counters = fs::read_to_string(directory.path().join("acquirer.counters.json")).unwrap();
    assert!(counters.contains(r#""FFFF9876543210E00000": 3"#), "{counters}");
    fs::write(directory.path().join("acquirer.counters.json"), "lost").unwrap();
    host.got();
    let acquirer = Acquirer::open(&file).unwrap();
    let journey = atm::balance(&mut card.chip(), &pin("1234"), &acquirer, Faults::default()).await;
    assert_eq!(journey.outcome.trouble, Some(Trouble::NoPinKey));
    assert_eq!(journey.outcome.display, ["PIN PAD HAS NO KEY"]);
    assert!(host.got().is_empty());
}

#[tokio::test]
async fn an_acquirer_is_opened_from_its_file() {
    let host = Host::start("ascii-1987").await;
    let directory = tempfile::tempdir().unwrap();
    let paths = components::generate(directory.path()).unwrap();
    let kek = components::combine(&paths).unwrap();
    let zone_key = block(&kek, KeyUsage::P0_PIN_ENCRYPTION, &ZONE_KEY_TDES);
    let file = directory.path().join("acquirer.json");
    let write = |dialect: &str, zone_key: &str| {
        let text = json!({
            "host": host.address.to_string(), "dialect": dialect, "acquirer_id": "00000012345",
            "zone_key": zone_key, "component_paths": ["component-1.txt", "component-2.txt"],
        });
        fs::write(&file, text.to_string()).unwrap();
    };
    write("ascii-1987", &zone_key);
    let acquirer = Acquirer::open(&file).unwrap();
    let answer = acquirer
        .exchange(&acquirer.network_message(*b"301"))
        .await
        .unwrap();
    assert_eq!(answer.response_code().as_deref(), Some("00"));
    write("ascii-1987-aes", &zone_key);
    assert!(matches!(
        Acquirer::open(&file),
        Err(AcquirerError::ZoneKeyAlgorithm { .. })
    ));
    let other_use = block(&kek, KeyUsage::E0_EMV_CRYPTOGRAMS, &ZONE_KEY_TDES);
    write("ascii-1987", &other_use);
    assert!(matches!(Acquirer::open(&file), Err(AcquirerError::ZoneKey)));
}
