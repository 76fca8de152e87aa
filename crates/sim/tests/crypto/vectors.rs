//! The vector files of `paycrypto`, each line with its source.

use std::path::Path;

use serde_json::{Map, Value, json};
use sim::crypto::CryptoCommand;

use crate::{FORM, answers};

/// Records of `name value` lines, one blank line between them.
fn records(file: &str) -> Vec<Map<String, Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../paycrypto/vectors")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let record = |paragraph: &str| -> Map<String, Value> {
        let lines = paragraph.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.split_once(' ').unwrap())
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect()
    };
    let records = text.split("\n\n").map(record);
    records.filter(|record| !record.is_empty()).collect()
}

/// A case of a record's fields of these names, those that it has.
fn case(act: &str, record: &Map<String, Value>, names: &[&str]) -> Value {
    let mut case: Map<String, Value> = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), record.get(*name)?.clone())))
        .collect();
    case.insert("do".to_owned(), act.into());
    Value::Object(case)
}

#[test]
fn pin_blocks_come_out_and_open_as_published() {
    let blocks = records("pinblock.txt").into_iter();
    for record in blocks.filter(|record| record.contains_key("format")) {
        let cases = [
            case(
                "encode",
                &record,
                &["format", "pin", "account", "key", "fill", "random"],
            ),
            case("decode", &record, &["format", "block", "account", "key"]),
        ];
        let expected = [
            json!({ "block": record["block"] }),
            json!({ "pin": record["pin"] }),
        ];
        assert_eq!(answers(CryptoCommand::Pinblock(FORM), &cases), expected);
    }
}

#[test]
fn pvvs_come_out_as_published() {
    for record in records("pvv.txt") {
        let mut verify = record.clone();
        verify.insert("pvv".to_owned(), record["expect"].clone());
        let names = ["pvk", "pvki", "pin", "account", "pvv"];
        let cases = [case("generate", &record, &names), case("verify", &verify, &names)];
        let expected = [json!({ "pvv": record["expect"] }), json!({ "match": true })];
        assert_eq!(answers(CryptoCommand::Pvv(FORM), &cases), expected);
    }
}

#[test]
fn offsets_come_out_as_published() {
    for record in records("ibm3624.txt") {
        let names = ["pvk", "table", "digits", "pad"];
        let with = |more: &[&'static str]| [&names[..], more].concat();
        let cases = [
            case("offset", &record, &with(&["pin"])),
            case("pin", &record, &with(&["offset"])),
            case("verify", &record, &with(&["pin", "offset"])),
        ];
        let expected = [
            json!({ "offset": record["offset"] }),
            json!({ "pin": record["pin"] }),
            json!({ "match": true }),
        ];
        assert_eq!(answers(CryptoCommand::Ibm3624(FORM), &cases), expected);
    }
}

#[test]
fn key_blocks_open_as_published_and_ours_open_again() {
    for record in records("tr31.txt") {
        let open = |block: &Value| {
            let case = json!({ "do": "unwrap", "kbpk": record["kbpk"], "block": block });
            answers(CryptoCommand::Tr31(FORM), &[case]).remove(0)
        };
        let opened = open(&record["block"]);
        assert_eq!(opened["key"], record["key"]);
        let again = json!({
            "do": "wrap", "kbpk": record["kbpk"], "header": opened["header"], "optional": opened["optional"],
            "key": opened["key"],
        });
        let made = answers(CryptoCommand::Tr31(FORM), &[again]).remove(0);
        let mut reopened = open(&made["block"]);
        reopened["header"] = opened["header"].clone();
        assert_eq!(reopened, opened);
    }
}

#[test]
fn dukpt_keys_come_out_as_published() {
    for record in records("dukpt.txt") {
        let rows = |prefix: &str| -> Vec<(String, Value)> {
            let named =
                |(name, value): (&String, &Value)| Some((name.strip_prefix(prefix)?.into(), value.clone()));
            record.iter().filter_map(named).collect()
        };
        if record["kind"] == "aes" {
            for (counter, pin_key) in rows("pin_key_") {
                let ksn = format!("{}{counter}", record["ikid"].as_str().unwrap());
                let case = json!({ "do": "aes", "bdk": record["bdk"], "ksn": ksn });
                let answer = answers(CryptoCommand::Dukpt(FORM), &[case]).remove(0);
                assert_eq!(answer["initial_key"], record["initial_key"]);
                assert_eq!(
                    answer["derivation_key"],
                    record[&format!("derivation_key_{counter}")]
                );
                assert_eq!(answer["pin_key"], pin_key);
            }
            continue;
        }
        for (ksn, block) in rows("block_") {
            let case = json!({ "do": "tdes", "bdk": record["bdk"], "ksn": ksn });
            let key = answers(CryptoCommand::Dukpt(FORM), &[case]);
            let encode = json!({
                "do": "encode", "format": "0", "pin": record["pin"], "account": record["account"],
                "key": key[0]["pin_key"],
            });
            let made = answers(CryptoCommand::Pinblock(FORM), &[encode]);
            assert_eq!(made, [json!({ "block": block })]);
        }
    }
}

#[test]
fn chips_compute_as_published() {
    let names = [
        ("Visa10", "visa-cvn10"),
        ("Visa18", "visa-cvn18"),
        ("Visa22", "visa-cvn22"),
        ("Interac133", "interac-cvn133"),
        ("Mastercard16", "mastercard-cvn16"),
        ("Mastercard17", "mastercard-cvn17"),
        ("Mastercard20", "mastercard-cvn20"),
        ("Mastercard21", "mastercard-cvn21"),
    ];
    let transaction = [
        "amount",
        "amount_other",
        "terminal_country",
        "tvr",
        "currency",
        "date",
        "transaction_type",
        "unpredictable_number",
        "aip",
        "iad",
    ];
    let card = ["cvn", "imk_ac", "account", "psn", "atc"];
    let script = ["imk_smi", "imk_smc", "arqc", "new_pin"];
    let records = records("cvn.txt");
    assert_eq!(records.len(), names.len());
    for mut record in records {
        let (_, name) = names.iter().find(|(vector, _)| record["cvn"] == *vector).unwrap();
        record.insert("cvn".to_owned(), (*name).into());
        let by_csu = record["arpc"].as_str().unwrap().len() == 8;
        let said = if by_csu { "csu" } else { "response_code" };
        record.insert(said.to_owned(), record["response"].clone());

        let arqc = case("generate", &record, &[&card[..], &transaction].concat());
        let arqc = answers(CryptoCommand::Arqc(FORM), &[arqc]).remove(0);
        assert_eq!(arqc["arqc"], record["arqc"], "{name}");

        let arpc = case(
            "generate",
            &record,
            &[&card[..], &["unpredictable_number", "arqc", said]].concat(),
        );
        let tag_91 = format!(
            "{}{}",
            record["arpc"].as_str().unwrap(),
            record["response"].as_str().unwrap()
        );
        assert_eq!(
            answers(CryptoCommand::Arpc(FORM), &[arpc]),
            [json!({ "tag_91": tag_91 })],
            "{name}"
        );

        let change = case("change", &record, &[&card[..], &script].concat());
        let change = answers(CryptoCommand::Script(FORM), &[change]).remove(0);
        assert_eq!(change["command"], record["change"], "{name}");
        record.insert("command".to_owned(), record["change"].clone());
        let open = case(
            "open-change",
            &record,
            &[&card[..], &["imk_smi", "imk_smc", "arqc", "command"]].concat(),
        );
        assert_eq!(
            answers(CryptoCommand::Script(FORM), &[open]),
            [json!({ "new_pin": record["new_pin"] })],
            "{name}"
        );
    }
}
