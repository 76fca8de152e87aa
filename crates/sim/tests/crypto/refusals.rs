//! What is said to cases that can't be computed.

use serde_json::{Value, json};
use sim::crypto::CryptoCommand;

use crate::{FORM, answers, answers_to};

fn error(command: CryptoCommand, case: &Value) -> String {
    let answer = answers(command, std::slice::from_ref(case)).remove(0);
    answer["error"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

#[test]
fn a_bad_case_is_answered_in_its_place_and_the_stream_goes_on() {
    let good = r#"{"do":"encode","format":"2","pin":"1234"}"#;
    let lines = format!("{good}\nnot JSON\n\n[1]\n{good}\n\u{0}\n{good}");
    let answers = answers_to(CryptoCommand::Pinblock(FORM), lines.as_bytes());
    let errors: Vec<bool> = answers
        .iter()
        .map(|answer| answer.get("error").is_some())
        .collect();
    assert_eq!(errors, [false, true, true, true, false, true, false]);
    assert_eq!(answers[0], json!({ "block": "241234FFFFFFFFFF" }));
}

#[test]
fn bytes_that_are_no_text_are_answered_too() {
    let answers = answers_to(CryptoCommand::Pvv(FORM), b"\xFF\xFE\n{}\n");
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|answer| answer["error"].is_string()));
}

#[test]
fn a_line_too_long_is_answered_once() {
    let mut lines = vec![b' '; 200_000];
    lines.extend(b"\n{\"do\":\"encode\",\"format\":\"2\",\"pin\":\"1234\"}\n");
    let answers = answers_to(CryptoCommand::Pinblock(FORM), &lines);
    assert_eq!(
        answers,
        [
            json!({ "error": "a line has at most 65536 bytes" }),
            json!({ "block": "241234FFFFFFFFFF" }),
        ]
    );
}

#[test]
fn a_refusal_names_the_field_and_what_it_wants() {
    let table = [
        (
            json!({ "format": "2", "pin": "1234" }),
            "do: must be one of encode, decode",
        ),
        (
            json!({ "do": "encode", "pin": "1234" }),
            "format: give 0, 1, 2, 3 or 4",
        ),
        (
            json!({ "do": "encode", "format": "5", "pin": "1234" }),
            "format: must be 0, 1, 2, 3 or 4, as text",
        ),
        (
            json!({ "do": "encode", "format": "2", "pin": "123" }),
            "pin: must be 4 to 12 decimal digits, as text",
        ),
        (
            json!({ "do": "encode", "format": "2", "pin": 1234 }),
            "pin: must be 4 to 12 decimal digits, as text",
        ),
        (
            json!({ "do": "encode", "format": "2", "pin": "1234", "acount": "4012345678909" }),
            "acount: not a field of this case; leave it out",
        ),
        (
            json!({ "do": "encode", "format": "0", "pin": "1234", "account": null }),
            "account: give 8 to 19 decimal digits",
        ),
        (
            json!({ "do": "decode", "format": "2", "block": "2412" }),
            "block: must be 16 hexadecimal digits, as text",
        ),
        (
            json!({ "do": "decode", "format": "2", "block": "041234FFFFFFFFFF" }),
            "block: not a PIN block of this format, account and key",
        ),
    ];
    for (case, expected) in table {
        assert_eq!(error(CryptoCommand::Pinblock(FORM), &case), expected);
    }
}

#[test]
fn a_key_of_another_algorithm_and_a_wrong_answer_are_named() {
    let arpc = |cvn: &str, key: &str| {
        json!({
            "do": "open", "cvn": cvn, "icc_mk_ac": key, "atc": "0001", "arqc": "0000000000000000",
            "tag_91": "0000000000000000",
        })
    };
    let aes_256 = "00".repeat(32);
    let table = [
        (
            arpc("visa-cvn18", &aes_256),
            "icc_mk_ac: must be 32 hexadecimal digits, for this version TDES",
        ),
        (arpc("ccd-aes", &aes_256), "tag_91: the ARPC is wrong"),
        (
            arpc("visa-cvn10", &aes_256[..32]),
            "tag_91: issuer authentication data of the wrong length",
        ),
        (
            arpc("visa", &aes_256[..32]),
            "cvn: must be a chip profile, such as visa-cvn18, as text",
        ),
    ];
    for (case, expected) in table {
        assert_eq!(error(CryptoCommand::Arpc(FORM), &case), expected);
    }
}

#[test]
fn no_refusal_repeats_a_key_or_a_pin() {
    let case = json!({ "do": "verify", "pvk": "SECRETKEY", "pvki": "1", "account": "4012345678909", "pin": "73915x" });
    assert!(!error(CryptoCommand::Pvv(FORM), &case).contains("SECRETKEY"));
    let case = json!({
        "do": "verify", "pvk": "00".repeat(16), "pvki": "1", "account": "4012345678909", "pin": "73915x",
    });
    assert!(!error(CryptoCommand::Pvv(FORM), &case).contains("73915"));
}
