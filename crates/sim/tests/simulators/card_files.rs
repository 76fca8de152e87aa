//! Card profiles as files: the product's, and one's own.

use std::fs;
use std::path::Path;

use cards::Scheme;
use paycrypto::cryptogram::AcSession;
use paycrypto::cvn::{AcKeyMethod, Cvn};
use sim::card::chip::{Chip, Interface};
use sim::card::perso::{AID_PINWARD, Perso};
use sim::card::profile::CardProfile;

use crate::profile_card::Card;
use crate::reader::begin;

const VISA_18: &str = include_str!("../../cards/visa-cvn18.toml");
const MASTERCARD_17: &str = include_str!("../../cards/mastercard-cvn17.toml");
const CCD_AES: &str = include_str!("../../cards/ccd-aes.toml");

/// Two tables, the host's in code and the cards' in files: what they agree on is only worth the published vectors that each
/// is tested with.
#[test]
fn each_card_file_chooses_what_the_hosts_table_has_for_its_scheme() {
    let visa = *b"\xA0\x00\x00\x00\x03\x10\x10";
    for scheme in Scheme::ALL {
        let profile = CardProfile::of(scheme);
        assert_eq!(profile.computes, Cvn::from(scheme).profile(), "{scheme:?}");
        let is_visa = matches!(scheme, Scheme::VisaCvn10 | Scheme::VisaCvn18 | Scheme::VisaCvn22);
        assert_eq!(profile.aid == visa, is_visa, "{scheme:?}");
    }
    assert_eq!(CardProfile::of(Scheme::CcdTdes).aid, AID_PINWARD);
}

/// Writes a profile and a card that names it by a path relative to itself.
fn own_card(directory: &Path, profile: &str) -> Chip {
    fs::write(directory.join("mine.toml"), profile).unwrap();
    let card = Card::new(Scheme::VisaCvn18);
    let text = fs::read_to_string(&card.perso).unwrap();
    let path = directory.join("card.perso.json");
    let renamed = text.replace(r#""visa-cvn18""#, r#""./mine.toml""#);
    assert_ne!(renamed, text);
    fs::write(&path, renamed).unwrap();
    Chip::open(&path, &directory.join("card.state.json")).unwrap()
}

#[test]
fn a_card_of_ones_own_file_computes_and_reports_what_the_file_says() {
    let directory = tempfile::tempdir().unwrap();
    let profile = VISA_18
        .replace(r#"session_key = "common""#, r#"session_key = "none""#)
        .replace(r#"cryptogram_version = "12""#, r#"cryptogram_version = "99""#)
        .replace("derivation_key_index = 1", "derivation_key_index = 7");
    let mut chip = own_card(directory.path(), &profile);
    // The test's issuer has the host's table, so it is told what this card does.
    let mut card = Card::new(Scheme::VisaCvn18);
    card.profile = chip.perso().profile.clone();
    begin(&mut chip, Interface::Contact);
    let computes = card.profile.computes;
    assert_eq!(computes.ac_key, AcKeyMethod::MasterKey);
    let session = AcSession::new(computes, card.keys.ac(), 1, [0xAB, 0xCD, 0xEF, 0x12]).unwrap();
    let arqc = card.arqc_of(&mut chip, Interface::Contact, session);
    assert_eq!(arqc.iad[..3], [0x06, 0x07, 0x99]);
}

#[test]
fn a_card_names_its_own_file_wherever_it_is_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let chip = own_card(directory.path(), VISA_18);
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("card.perso.json");
    chip.perso().write(&path).unwrap();
    let copy = Perso::read(&path).unwrap();
    assert_eq!(copy.profile, chip.perso().profile);
}

#[test]
fn a_bad_card_file_is_refused_by_the_name_of_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |text: &str, from: &str, to: &str| {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        fs::write(directory.path().join("mine.toml"), changed).unwrap();
        let error = CardProfile::open("./mine.toml", directory.path()).unwrap_err();
        error.to_string()
    };
    for (text, from, to, wanted) in [
        (VISA_18, r#""A0000000031010""#, r#""A000""#, "application.aid"),
        (VISA_18, r#""FF80""#, r#""FF8""#, "application.usage_control"),
        (VISA_18, r#""0096""#, r#""vsdc""#, "application.version"),
        (
            VISA_18,
            r#"cdol1 = "9F0206 "#,
            r#"cdol1 = ""#,
            "application.cdol1",
        ),
        (
            VISA_18,
            r#"cdol1 = "9F0206"#,
            r#"cdol1 = "9F0207"#,
            "application.cdol1",
        ),
        (
            VISA_18,
            r#"cdol1 = "9F0206"#,
            r#"cdol1 = "9F02"#,
            "application.cdol1",
        ),
        (VISA_18, r#"cdol1 = ""#, r#"cdol1 = "9F4CE0"#, "application.cdol1"),
        (VISA_18, r#"cdol2 = "8A02"#, r#"cdol2 = ""#, "application.cdol2"),
        (MASTERCARD_17, "910A", "9110", "application.cdol2"),
        (MASTERCARD_17, "910A ", "", "application.cdol2"),
        (CCD_AES, "9110", "9107", "application.cdol2"),
        (CCD_AES, "8A02 9505", "8A02 9504", "application.cdol2"),
        (
            VISA_18,
            r#"version = "12""#,
            r#"version = "12A""#,
            "issuer_data.cryptogram_version",
        ),
        (
            VISA_18,
            r#"counters = "00"#,
            r#"counters = ""#,
            "issuer_data.counters",
        ),
        (
            VISA_18,
            r#"covers = "all""#,
            r#"covers = "m-chip-cvr""#,
            "cryptogram.covers",
        ),
        (
            MASTERCARD_17,
            r#"layout = "m-chip""#,
            r#"layout = "visa""#,
            "cryptogram.covers",
        ),
        (VISA_18, r#""option-b""#, r#""option-c""#, "cryptogram.master_key"),
        (
            CCD_AES,
            r#"session_key = "common""#,
            r#"session_key = "none""#,
            "cryptogram.master_key",
        ),
        (VISA_18, r#"class = "84""#, r#"class = "8C""#, "script.class"),
        (VISA_18, r#"mac = "atc-arqc""#, r#"mac = "chained""#, "script.mac"),
        (
            VISA_18,
            "commands_max = 1",
            "commands_max = 0",
            "script.commands_max",
        ),
        (
            VISA_18,
            r#"arpc = "method-2""#,
            r#"arpc = "method-3""#,
            "method-3",
        ),
        (VISA_18, "[script]", "[scripts]", "scripts"),
        (VISA_18, r#"layout = "visa""#, "", "layout"),
        (
            VISA_18,
            "derivation_key_index = 1",
            "derivation_key_index = 256",
            "256",
        ),
        (VISA_18, "[application]", "[application", "TOML"),
    ] {
        let told = refused(text, from, to);
        assert!(told.starts_with("card profile "), "{told}");
        assert!(told.contains(wanted), "{told}");
    }
    let unknown = CardProfile::open("visa", Path::new("")).unwrap_err().to_string();
    assert!(unknown.contains("no card profile is named") && unknown.contains("visa-cvn22"));
    let missing = CardProfile::open("none.toml", directory.path()).unwrap_err();
    assert!(missing.to_string().contains("none.toml"));
}

#[test]
fn a_memory_that_can_not_be_kept_is_refused_before_the_card_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let card = Card::new(Scheme::VisaCvn18);
    let refused = Chip::open(&card.perso, &directory.path().join("nowhere/state.json")).unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("--state names another file"), "{said}");
    Chip::open(&card.perso, &directory.path().join("state.json")).unwrap();
    assert_eq!(
        directory.path().read_dir().unwrap().count(),
        0,
        "nothing is left behind"
    );
}
