//! `vectors/cvn.txt`, `session_keys.txt`, `script_template.txt`.

use cards::Psn;
use data_encoding::HEXUPPER;
use paycrypto::account::AccountDigits;
use paycrypto::arpc::{IssuerAnswer, issuer_authentication_data};
use paycrypto::cryptogram::{AcInput, AcSession};
use paycrypto::cvn::{AcIad, ArpcMethod, Cvn};
use paycrypto::icc_keys::{CardKeys, IccKeyOption, IssuerKey, IssuerKeys, icc_master_key};
use paycrypto::script::{
    PIN_UNBLOCK, ScriptContext, ScriptError, build_mac_only, build_pin_change, build_pin_change_with_current,
    open_pin_change,
};
use paycrypto::session_keys::{TreeShape, common, emv2000_tree, visa_atc_xor};

use crate::vector_file::{Record, records};

/// Versions with a published vector of the whole.
const PUBLISHED: [(&str, Cvn); 8] = [
    ("Visa10", Cvn::Visa10),
    ("Visa18", Cvn::Visa18),
    ("Visa22", Cvn::Visa22),
    ("Interac133", Cvn::Interac133),
    ("Mastercard16", Cvn::Mastercard16),
    ("Mastercard17", Cvn::Mastercard17),
    ("Mastercard20", Cvn::Mastercard20),
    ("Mastercard21", Cvn::Mastercard21),
];

struct Case {
    record: Record,
    cvn: Cvn,
    keys: CardKeys,
    context: ScriptContext,
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = records("cvn.txt")
        .into_iter()
        .map(|record| {
            let (_, cvn) = PUBLISHED
                .into_iter()
                .find(|(name, _)| *name == record.text("cvn"))
                .unwrap();
            let [ac, smi, smc] = ["imk_ac", "imk_smi", "imk_smc"].map(|name| record.tdes(name));
            let issuer = IssuerKeys {
                ac: IssuerKey::Tdes(&ac),
                smi: IssuerKey::Tdes(&smi),
                smc: IssuerKey::Tdes(&smc),
            };
            let psn = Psn::new(record.text("psn").parse().unwrap()).unwrap();
            let keys = issuer.of_card(cvn, &record.account(), psn).unwrap();
            let context = ScriptContext::first(record.number("atc"), record.array("arqc"));
            Case {
                record,
                cvn,
                keys,
                context,
            }
        })
        .collect();
    assert_eq!(cases.len(), PUBLISHED.len());
    cases
}

fn ac_input<'a>(record: &Record, iad: &'a [u8]) -> AcInput<'a> {
    AcInput {
        amount: record.array("amount"),
        amount_other: record.array("amount_other"),
        terminal_country: record.array("terminal_country"),
        tvr: record.array("tvr"),
        currency: record.array("currency"),
        date: record.array("date"),
        transaction_type: record.array::<1>("transaction_type")[0],
        unpredictable_number: record.array("unpredictable_number"),
        aip: record.array("aip"),
        atc: record.number("atc"),
        iad,
    }
}

#[test]
fn icc_master_keys_have_the_published_check_values() {
    for Case { record, keys, .. } in cases() {
        record.expect("mk_ac_check", &keys.ac().kcv()[..2]);
        record.expect("mk_smi_check", &keys.smi().kcv()[..2]);
        record.expect("mk_smc_check", &keys.smc().kcv()[..2]);
    }
}

#[test]
fn cryptograms_and_answers_of_every_version_come_out_as_published() {
    for Case {
        record,
        cvn,
        keys,
        context,
    } in cases()
    {
        let iad = record.bytes("iad");
        let input = ac_input(&record, &iad);
        let session = AcSession::new(cvn, keys.ac(), input.atc, input.unpredictable_number).unwrap();
        record.expect("arqc", &session.generate(&input).unwrap());

        let mut answer = IssuerAnswer {
            response_code: [0; 2],
            csu: [0; 4],
            proprietary: &[],
        };
        let arpc_len = match cvn.profile().arpc {
            ArpcMethod::Method2 => {
                answer.csu = record.array("response");
                4
            }
            ArpcMethod::Method1MasterKey | ArpcMethod::Method1SessionKey => {
                answer.response_code = record.array("response");
                8
            }
        };
        let tag_91 = issuer_authentication_data(&session, context.arqc, &answer).unwrap();
        record.expect("arpc", &tag_91[..arpc_len]);
        record.expect("response", &tag_91[arpc_len..]);
    }
}

#[test]
fn script_commands_of_every_version_come_out_as_published() {
    for Case {
        record,
        keys,
        context,
        ..
    } in cases()
    {
        let (new, current) = (record.pin("new_pin"), record.pin("current_pin"));
        record.expect("change", &build_pin_change(&keys, context, &new));
        let with_current = build_pin_change_with_current(&keys, context, &new, &current);
        assert_eq!(with_current.is_some(), record.has("change_with_current"));
        if let Some(command) = with_current {
            record.expect("change_with_current", &command);
        }
        let [_cla, ins, p1, p2, ..] = record.array::<13>("mac_only");
        record.expect("mac_only", &build_mac_only(&keys, context, [ins, p1, p2]));
    }
}

#[test]
fn a_script_template_carries_the_unblock_command_unchanged() {
    let template = records("script_template.txt").remove(0);
    let case = cases()
        .into_iter()
        .find(|case| case.cvn == Cvn::Mastercard16)
        .unwrap();
    let command = build_mac_only(&case.keys, case.context, PIN_UNBLOCK);
    template.expect("command", &command);
    assert!(template.bytes("template").ends_with(&command));
}

#[test]
fn session_keys_come_out_as_published() {
    let records = records("session_keys.txt");
    assert_eq!(records.len(), 3);
    for record in records {
        let master = record.tdes("master");
        let key = match record.text("method") {
            "EMV common, R = ATC and zeros" => common(&master, record.array("r")),
            "Visa ATC XOR" => visa_atc_xor(&master, record.number("atc")),
            "EMV2000 tree, height 8, branch 4, IV 0" => {
                emv2000_tree(&master, TreeShape::Height8Branch4, [0; 16], record.number("atc"))
            }
            other => panic!("no method {other}"),
        };
        record.expect("expect", key.expose_bytes());
    }
}

#[test]
fn the_card_takes_the_new_pin_out_of_every_versions_commands() {
    for Case {
        record,
        cvn,
        keys,
        context,
    } in cases()
    {
        let current = record.pin("current_pin");
        for name in ["change", "change_with_current"]
            .into_iter()
            .filter(|name| record.has(name))
        {
            let opened = open_pin_change(&keys, context, &record.bytes(name), &current);
            assert_eq!(opened, Ok(record.pin("new_pin")), "{cvn:?} {name}");
        }
    }
}

#[test]
fn a_change_with_a_wrong_current_pin_doesnt_set_the_intended_pin() {
    for Case {
        record,
        cvn,
        keys,
        context,
    } in cases()
        .into_iter()
        .filter(|case| case.record.has("change_with_current"))
    {
        let wrong = paycrypto::pin::Pin::parse("12345").unwrap();
        let opened = open_pin_change(&keys, context, &record.bytes("change_with_current"), &wrong);
        assert_eq!(opened, Err(ScriptError::Data), "{cvn:?}");
    }
}

#[test]
fn issuer_application_data_too_short_for_its_version_is_refused() {
    for Case {
        record, cvn, keys, ..
    } in cases()
    {
        let iad = record.bytes("iad");
        let input = |iad| ac_input(&record, iad);
        let session = AcSession::new(cvn, keys.ac(), 1, [0; 4]).unwrap();
        assert!(session.generate(&input(&[0; 33])).is_err(), "{cvn:?}");
        let whole = cvn.profile().ac_iad == AcIad::Whole;
        assert_eq!(session.generate(&input(&iad[..2])).is_ok(), whole, "{cvn:?}");
        let arqc = session.generate(&input(&iad)).unwrap();
        assert_eq!(session.verify(&input(&iad), arqc), Ok(true));
        assert_eq!(session.verify(&input(&iad), [0; 8]), Ok(false));
    }
}

#[test]
fn option_c_gives_a_key_as_long_as_the_issuers() {
    let account = AccountDigits::parse("4111111111111111").unwrap();
    for len in [16, 24, 32] {
        let issuer = paycrypto::aes_key::AesKey::from_bytes(&vec![7; len]).unwrap();
        assert_eq!(
            icc_master_key(IccKeyOption::C, IssuerKey::Aes(&issuer), &account, Psn::default())
                .unwrap()
                .expose_bytes()
                .len(),
            len
        );
    }
}

#[test]
fn option_b_equals_option_a_up_to_16_digits_only() {
    let issuer = paycrypto::tdes_key::Tdes2Key::from_bytes(&[0x23; 16]);
    let key = |option, digits: &str| {
        let account = AccountDigits::parse(digits).unwrap();
        let key = icc_master_key(option, IssuerKey::Tdes(&issuer), &account, Psn::default()).unwrap();
        HEXUPPER.encode(key.expose_bytes())
    };
    let digits = "1234567890123456789";
    for len in 12..=19 {
        let equal = key(IccKeyOption::A, &digits[..len]) == key(IccKeyOption::B, &digits[..len]);
        assert_eq!(equal, len <= 16, "{len} digits");
    }
}
