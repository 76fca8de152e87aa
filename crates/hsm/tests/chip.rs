//! Every chip profile through the seam: cryptograms, answers, scripts, personalisation.
//!
//! The published vectors prove eight profiles; the others are played by `paycrypto`'s card side, which proves no more than
//! that both sides agree.
#![expect(clippy::unwrap_used, reason = "test helpers")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use cards::{CardState, CardStatus, PinReference, Psn, Scheme};
use data_encoding::HEXUPPER;
use hsm::{
    CheckRequest, ChipAnswer, ChipAnswerRequest, ChipDecision, Cryptogram, HsmCard, HsmRefusal, Item,
    KeyPurpose, PaymentHsm, ScriptOrder, SoftwareHsm,
};
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::arpc::{AuthenticAnswer, open_issuer_authentication_data};
use paycrypto::cryptogram::AcSession;
use paycrypto::cvn::Cvn;
use paycrypto::emv_key::EmvAlgorithm;
use paycrypto::icc_keys::{CardKeys, IssuerKey, IssuerKeys};
use paycrypto::pin::Pin;
use paycrypto::script::{PIN_UNBLOCK, ScriptContext, open_pin_change, verify_mac_only};
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::tr31::header::Algorithm;
use paycrypto::tr31::{Kbpk, unwrap};
use support::{
    NOW, World, card_with_psn, changed_state, equip, import, input, kek, name, seal_pin, terminal_data,
};
use tempfile::TempDir;

/// The published PAN, 1234567890123456, has a wrong check digit. Option A, and option B up to 16 digits, derive from the
/// rightmost 16 digits of PAN ‖ PSN: without its first two digits it gives the same keys.
const PAN: &str = "1834567890123456";

const IMK_SMI: [u8; 16] = 0xFEDC_BA98_7654_3210_0123_4567_89AB_CDEF_u128.to_be_bytes();
const IMK_SMC: [u8; 16] = 0x89AB_CDEF_0123_4567_7654_3210_FEDC_BA98_u128.to_be_bytes();
const AES_KEYS: [[u8; 32]; 3] = [[0x11; 32], [0x22; 32], [0x33; 32]];

const SCHEMES: [(Scheme, Cvn, &str); 12] = [
    (Scheme::VisaCvn10, Cvn::Visa10, "Visa10"),
    (Scheme::VisaCvn18, Cvn::Visa18, "Visa18"),
    (Scheme::VisaCvn22, Cvn::Visa22, "Visa22"),
    (Scheme::MastercardCvn16, Cvn::Mastercard16, "Mastercard16"),
    (Scheme::MastercardCvn17, Cvn::Mastercard17, "Mastercard17"),
    (Scheme::MastercardCvn20, Cvn::Mastercard20, "Mastercard20"),
    (Scheme::MastercardCvn21, Cvn::Mastercard21, "Mastercard21"),
    (Scheme::InteracCvn133, Cvn::Interac133, "Interac133"),
    (Scheme::CcdTdes, Cvn::CcdTdes, ""),
    (Scheme::CcdAes, Cvn::CcdAes, ""),
    (Scheme::Emv2000, Cvn::Emv2000, ""),
    (Scheme::AmexUnverified, Cvn::AmexUnverified, ""),
];

/// An HSM with the published issuer keys and, where asked for, a set of AES ones.
async fn published(with_aes: bool) -> World {
    let directory = TempDir::new().unwrap();
    let hsm = SoftwareHsm::open(directory.path()).unwrap();
    equip(&hsm, &directory).await;
    import(&hsm, "imk-smi", KeyPurpose::IssuerScriptIntegrity, &IMK_SMI).await;
    import(&hsm, "imk-smc", KeyPurpose::IssuerScriptConfidentiality, &IMK_SMC).await;
    if with_aes {
        let purposes = [
            ("aes-ac", KeyPurpose::IssuerCryptogramAes),
            ("aes-smi", KeyPurpose::IssuerScriptIntegrityAes),
            ("aes-smc", KeyPurpose::IssuerScriptConfidentialityAes),
        ];
        for ((key, purpose), bytes) in purposes.into_iter().zip(AES_KEYS) {
            import(&hsm, key, purpose, &bytes).await;
        }
    }
    hsm.provision(NOW).unwrap();
    World { hsm, directory }
}

/// The card with PIN 9999, sequence number 0.
async fn card_9999(world: &World) -> HsmCard {
    let reference = PinReference::Sealed(seal_pin(&world.hsm, PAN, "9999").await);
    let state = CardState::delivered(CardStatus::Active, reference, 3);
    card_with_psn(&world.hsm, PAN, Psn::default(), &state).await
}

async fn is_valid(world: &World, card: &HsmCard, cryptogram: &Cryptogram) -> Item<Option<bool>> {
    let request = CheckRequest {
        card: card.clone(),
        cryptogram: Some(cryptogram.clone()),
        pin: None,
        new_pin: None,
    };
    let reply = world.hsm.check(vec![request]).await.unwrap().remove(0)?;
    Ok(reply.cryptogram_valid)
}

async fn answer(
    world: &World,
    card: &HsmCard,
    cryptogram: &Cryptogram,
    decisions: &[ChipDecision],
    scripts: &[ScriptOrder],
) -> Item<ChipAnswer> {
    let request = ChipAnswerRequest {
        card: card.clone(),
        cryptogram: cryptogram.clone(),
        decisions: decisions.to_vec(),
        scripts: scripts.to_vec(),
    };
    world.hsm.answer_chip(vec![request]).await.unwrap().remove(0)
}

/// Records of a vector file by their `cvn`.
fn vectors(path: &str) -> HashMap<String, HashMap<String, String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = fs::read_to_string(path).unwrap();
    let record = |paragraph: &str| -> HashMap<String, String> {
        let lines = paragraph.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.split_once(' ').unwrap())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    };
    let records = text.split("\n\n").map(record);
    records
        .filter_map(|record| Some((record.get("cvn")?.clone(), record)))
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    HEXUPPER.decode(hex.as_bytes()).unwrap()
}

#[tokio::test]
async fn each_published_version_is_verified_answered_and_scripted_byte_for_byte() {
    let published_rows = vectors("../paycrypto/vectors/cvn.txt");
    let further_rows = vectors("vectors/chip.txt");
    let world = published(false).await;
    let card = card_9999(&world).await;
    let pins = ["8888", "9999"].map(|pin| seal_pin(&world.hsm, PAN, pin));
    let [current, new] = pins;
    let changed = changed_state(current.await, new.await);
    let changed = card_with_psn(&world.hsm, PAN, Psn::default(), &changed).await;
    let mut seen = 0;
    for (scheme, _, row) in SCHEMES.into_iter().filter(|(_, _, row)| !row.is_empty()) {
        let (vector, further) = (&published_rows[row], &further_rows[row]);
        let data = [
            "amount",
            "amount_other",
            "terminal_country",
            "tvr",
            "currency",
            "date",
            "transaction_type",
            "unpredictable_number",
            "aip",
            "atc",
        ];
        let cryptogram = Cryptogram {
            scheme,
            arqc: bytes(&vector["arqc"]).try_into().unwrap(),
            data: data.iter().flat_map(|field| bytes(&vector[*field])).collect(),
            iad: bytes(&vector["iad"]),
        };
        assert_eq!(
            is_valid(&world, &card, &cryptogram).await,
            Ok(Some(true)),
            "{row}"
        );

        let response = bytes(&vector["response"]);
        let decision = ChipDecision {
            arc: response[..2].try_into().unwrap(),
            csu: response.clone().try_into().unwrap_or_default(),
        };
        let tag_91 = format!("{}{}", vector["arpc"], vector["response"]);
        let change = answer(&world, &card, &cryptogram, &[decision], &[ScriptOrder::ChangePin]).await;
        let change = change.unwrap();
        assert_eq!(change.issuer_authentication_data, [bytes(&tag_91)], "{row}");
        assert_eq!(change.commands, [bytes(&vector["change"])], "{row}");
        let unblock = answer(&world, &card, &cryptogram, &[], &[ScriptOrder::UnblockPin]).await;
        assert_eq!(unblock.unwrap().commands, [bytes(&further["unblock"])], "{row}");

        let known = [ScriptOrder::ChangeKnownPin];
        let made = answer(&world, &changed, &cryptogram, &[], &known).await;
        let made = made.map(|made| made.commands);
        let wanted = vector
            .get("change_with_current")
            .map(|command| vec![bytes(command)]);
        assert_eq!(made, wanted.ok_or(HsmRefusal::Unsupported), "{row}");
        let none_before = answer(&world, &card, &cryptogram, &[], &known).await;
        assert_eq!(none_before, Err(HsmRefusal::Unsupported), "{row}");

        let both = [ScriptOrder::UnblockPin, ScriptOrder::ChangePin];
        let both = answer(&world, &card, &cryptogram, &[], &both).await;
        if let Some(second) = further.get("change_after_unblock") {
            let expected = [bytes(&further["unblock"]), bytes(second)];
            assert_eq!(both.unwrap().commands, expected, "{row}");
        } else {
            assert_eq!(both, Err(HsmRefusal::Unsupported), "{row}");
        }
        seen += 1;
    }
    assert_eq!(seen, 8);
}

/// A card of this profile, as its personalisation made it.
fn chip(cvn: Cvn) -> CardKeys {
    let account = AccountDigits::parse(PAN).unwrap();
    let tdes = [support::IMK_AC, IMK_SMI, IMK_SMC].map(|key| Tdes2Key::from_bytes(&key));
    let aes = AES_KEYS.map(|key| AesKey::from_bytes(&key).unwrap());
    let [ac, smi, smc] = match cvn.algorithm() {
        EmvAlgorithm::Tdes => tdes.each_ref().map(IssuerKey::Tdes),
        EmvAlgorithm::Aes => aes.each_ref().map(IssuerKey::Aes),
    };
    IssuerKeys { ac, smi, smc }
        .of_card(cvn, &account, Psn::default())
        .unwrap()
}

/// Issuer application data of 32 bytes: enough for every profile.
const IAD: [u8; 32] = [0xA5; 32];

fn cryptogram_of(scheme: Scheme, cvn: Cvn, chip: &CardKeys) -> (Cryptogram, AcSession) {
    let input = input(0x001C, &IAD);
    let session = AcSession::new(cvn, chip.ac(), input.atc, input.unpredictable_number).unwrap();
    let cryptogram = Cryptogram {
        scheme,
        arqc: session.generate(&input).unwrap(),
        data: terminal_data(&input),
        iad: IAD.to_vec(),
    };
    (cryptogram, session)
}

#[tokio::test]
async fn the_card_of_each_profile_accepts_its_answer_and_its_script() {
    let world = published(true).await;
    let card = card_9999(&world).await;
    let decision = ChipDecision {
        arc: *b"00",
        csu: [0x03, 0x92, 0, 0],
    };
    let declined = ChipDecision {
        arc: *b"05",
        csu: [0x03, 0x12, 0, 0],
    };
    for (scheme, cvn, _) in SCHEMES {
        let chip = chip(cvn);
        let (cryptogram, session) = cryptogram_of(scheme, cvn, &chip);
        assert_eq!(
            is_valid(&world, &card, &cryptogram).await,
            Ok(Some(true)),
            "{scheme:?}"
        );
        let made = answer(
            &world,
            &card,
            &cryptogram,
            &[decision, declined],
            &[ScriptOrder::ChangePin],
        )
        .await
        .unwrap();
        let [first, second] = made.issuer_authentication_data.try_into().unwrap();
        for (tag_91, decision) in [(first, decision), (second, declined)] {
            match open_issuer_authentication_data(&session, cryptogram.arqc, &tag_91).unwrap() {
                AuthenticAnswer::ResponseCode(arc) => assert_eq!(arc, decision.arc, "{scheme:?}"),
                AuthenticAnswer::Csu { csu, .. } => assert_eq!(csu, decision.csu, "{scheme:?}"),
            }
        }
        let context = ScriptContext::first(0x001C, cryptogram.arqc);
        let before = Pin::parse("1234").unwrap();
        let pin = open_pin_change(&chip, context, &made.commands[0], &before);
        assert_eq!(pin, Ok(Pin::parse("9999").unwrap()), "{scheme:?}");
    }
}

#[tokio::test]
async fn the_macs_of_several_commands_follow_from_each_other_or_the_second_is_refused() {
    let world = published(true).await;
    let card = card_9999(&world).await;
    let orders = [ScriptOrder::UnblockPin, ScriptOrder::ChangePin];
    for (scheme, cvn, _) in SCHEMES {
        let chip = chip(cvn);
        let (cryptogram, _) = cryptogram_of(scheme, cvn, &chip);
        let made = answer(&world, &card, &cryptogram, &[], &orders).await;
        let unknown_chaining = [
            Scheme::VisaCvn10,
            Scheme::VisaCvn18,
            Scheme::VisaCvn22,
            Scheme::InteracCvn133,
            Scheme::Emv2000,
            Scheme::AmexUnverified,
        ];
        if unknown_chaining.contains(&scheme) {
            assert_eq!(made, Err(HsmRefusal::Unsupported), "{scheme:?}");
            continue;
        }
        let [unblock, change] = made.unwrap().commands.try_into().unwrap();
        let first = ScriptContext::first(0x001C, cryptogram.arqc);
        assert_eq!(
            verify_mac_only(&chip, first, PIN_UNBLOCK, &unblock),
            Ok(()),
            "{scheme:?}"
        );
        let second = first.after(&chip, &unblock);
        let pin = open_pin_change(&chip, second, &change, &Pin::parse("1234").unwrap());
        assert_eq!(pin, Ok(Pin::parse("9999").unwrap()), "{scheme:?}");
        let alone = open_pin_change(&chip, first, &change, &Pin::parse("1234").unwrap());
        assert!(alone.is_err(), "{scheme:?}: the second is no first");
    }
}

#[tokio::test]
async fn every_byte_of_the_terminal_data_counts_and_none_is_missing_or_too_many() {
    let world = published(true).await;
    let card = card_9999(&world).await;
    for (scheme, cvn, _) in SCHEMES {
        let (cryptogram, _) = cryptogram_of(scheme, cvn, &chip(cvn));
        for at in 0..cryptogram.data.len() {
            let mut edited = cryptogram.clone();
            edited.data[at] ^= 1;
            assert_eq!(
                is_valid(&world, &card, &edited).await,
                Ok(Some(false)),
                "{scheme:?} {at}"
            );
        }
        let mut longer = cryptogram.clone();
        longer.data.push(0);
        let mut shorter = cryptogram.clone();
        shorter.data.pop();
        let mut no_iad = cryptogram.clone();
        no_iad.iad.clear();
        let mut long_iad = cryptogram.clone();
        long_iad.iad.push(0xA5);
        for edited in [longer, shorter, no_iad, long_iad] {
            assert_eq!(
                is_valid(&world, &card, &edited).await,
                Ok(Some(false)),
                "{scheme:?}"
            );
            let answered = answer(&world, &card, &edited, &[], &[]).await;
            assert_eq!(answered, Err(HsmRefusal::CardTampered), "{scheme:?}");
        }
    }
}

#[tokio::test]
async fn a_cryptogram_of_one_profile_is_none_of_another() {
    let world = published(true).await;
    let card = card_9999(&world).await;
    // Built alike: Amex like Visa 10. The cryptogram alone of 18 and 22, and of CCD, is computed alike.
    let alike = |a: Scheme, b: Scheme| {
        let family = |scheme| match scheme {
            Scheme::VisaCvn10 | Scheme::AmexUnverified => 1,
            Scheme::VisaCvn18 | Scheme::VisaCvn22 | Scheme::CcdTdes => 2,
            _ => 0,
        };
        a == b || (family(a) != 0 && family(a) == family(b))
    };
    for (made, cvn, _) in SCHEMES {
        let (cryptogram, _) = cryptogram_of(made, cvn, &chip(cvn));
        for (asked, _, _) in SCHEMES {
            let cryptogram = Cryptogram {
                scheme: asked,
                ..cryptogram.clone()
            };
            let valid = is_valid(&world, &card, &cryptogram).await;
            assert_eq!(valid, Ok(Some(alike(made, asked))), "{made:?} as {asked:?}");
        }
    }
}

#[tokio::test]
async fn an_aes_card_without_aes_keys_is_refused_by_name_and_alone() {
    let world = published(false).await;
    let card = card_9999(&world).await;
    let (aes, _) = cryptogram_of(Scheme::CcdAes, Cvn::CcdAes, &chip(Cvn::CcdAes));
    let (tdes, _) = cryptogram_of(Scheme::CcdTdes, Cvn::CcdTdes, &chip(Cvn::CcdTdes));
    assert_eq!(is_valid(&world, &card, &aes).await, Err(HsmRefusal::NoSuchKey));
    assert_eq!(
        answer(&world, &card, &aes, &[], &[]).await,
        Err(HsmRefusal::NoSuchKey)
    );
    assert_eq!(is_valid(&world, &card, &tdes).await, Ok(Some(true)));
}

#[tokio::test]
async fn personalisation_gives_the_keys_of_the_cards_profile_and_says_their_algorithm() {
    use hsm::KeyAdmin;

    let world = published(true).await;
    let card = card_9999(&world).await;
    for (scheme, cvn, _) in SCHEMES {
        let perso = world
            .hsm
            .personalise(card.clone(), scheme, name("kek"), name("zpk-tdes"))
            .await
            .unwrap();
        let chip = chip(cvn);
        let blocks = [
            (perso.icc_key_ac, chip.ac(), *b"E0"),
            (perso.icc_key_smi, chip.smi(), *b"E2"),
            (perso.icc_key_smc, chip.smc(), *b"E1"),
        ];
        for (block, key, usage) in blocks {
            let unwrapped = unwrap(Kbpk::Aes(&kek()), &block).unwrap();
            let algorithm = match cvn.algorithm() {
                EmvAlgorithm::Tdes => Algorithm::Tdea,
                EmvAlgorithm::Aes => Algorithm::Aes,
            };
            assert_eq!(unwrapped.header.algorithm, algorithm, "{scheme:?}");
            assert_eq!(unwrapped.header.usage.code(), usage, "{scheme:?}");
            assert_eq!(unwrapped.key.as_slice(), key.expose_bytes(), "{scheme:?}");
        }
    }
}
