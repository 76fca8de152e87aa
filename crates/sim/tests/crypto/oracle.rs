//! Random cases, the same on every run, compared with psec and pyemv (`crates/paycrypto/oracle/oracle.py`).

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use sim::crypto::CryptoCommand;

use crate::{FORM, answers};

/// Asks all questions in one run of the oracle and hands back the answers in order.
fn ask(questions: &[Value]) -> Vec<Value> {
    let python = std::env::var("PINWARD_ORACLE_PYTHON").expect(
        "PINWARD_ORACLE_PYTHON must name the python of a venv made from crates/paycrypto/oracle/requirements.txt; \
         `cargo xtask test` makes it and sets the variable",
    );
    let mut oracle = Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../paycrypto/oracle/oracle.py"
        ))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("PINWARD_ORACLE_PYTHON must be an executable python");
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let mut stdin = oracle.stdin.take().unwrap();
    // A broken pipe means that the oracle stopped; its own words below say why.
    let writer = std::thread::spawn(move || drop(stdin.write_all(lines.as_bytes())));
    let output = oracle.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(
        output.status.success(),
        "the oracle failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = String::from_utf8(output.stdout).unwrap();
    output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A fixed sequence (SplitMix64), so that a failure can be run again.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, limit: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit).unwrap()
    }

    fn text(&mut self, alphabet: &[u8; 16], letters: u64, len: usize) -> String {
        (0..len)
            .map(|_| char::from(alphabet[self.below(letters)]))
            .collect()
    }

    fn hex(&mut self, len_bytes: usize) -> String {
        self.text(b"0123456789ABCDEF", 16, 2 * len_bytes)
    }

    fn digits(&mut self, len: usize) -> String {
        self.text(b"0123456789ABCDEF", 10, len)
    }

    fn pin(&mut self) -> String {
        let len = 4 + self.below(9);
        self.digits(len)
    }

    fn account(&mut self) -> String {
        let len = 13 + self.below(7);
        self.digits(len)
    }
}

#[test]
fn psec_makes_the_same_pin_blocks_pvvs_and_offsets() {
    let mut sequence = Sequence(11);
    let (mut blocks, mut pvvs, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
    let mut questions = Vec::new();
    for _ in 0..300 {
        let (pin, account, pvk) = (sequence.pin(), sequence.account(), sequence.hex(16));
        let pvki = (1 + sequence.below(6)).to_string();
        let table = format!("8901234567{}", sequence.digits(6));
        let digits = sequence.digits(16);
        questions.extend([
            json!({ "ask": "iso0", "pin": pin, "account": account }),
            json!({ "ask": "pvv", "pvk": pvk, "pvki": pvki, "pin": &pin[..4], "account": account }),
            json!({ "ask": "offset", "pvk": pvk, "table": table, "digits": digits, "pad": "F", "pin": pin }),
        ]);
        blocks.push(json!({ "do": "encode", "format": "0", "pin": pin, "account": account }));
        pvvs.push(json!({ "do": "generate", "pvk": pvk, "pvki": pvki, "pin": pin, "account": account }));
        offsets.push(json!({ "do": "offset", "pvk": pvk, "table": table, "digits": digits, "pin": pin }));
    }
    let blocks = answers(CryptoCommand::Pinblock(FORM), &blocks);
    let pvvs = answers(CryptoCommand::Pvv(FORM), &pvvs);
    let offsets = answers(CryptoCommand::Ibm3624(FORM), &offsets);
    let ours = blocks.iter().zip(&pvvs).zip(&offsets);
    for (((block, pvv), offset), theirs) in ours.zip(ask(&questions).chunks(3)) {
        assert_eq!(
            [&block["block"], &pvv["pvv"], &offset["offset"]],
            [&theirs[0], &theirs[1], &theirs[2]]
        );
    }
}

/// Field of a case, tag or name in the question, bytes.
const TRANSACTION: [(&str, &str, usize); 11] = [
    ("amount", "9f02", 6),
    ("amount_other", "9f03", 6),
    ("terminal_country", "9f1a", 2),
    ("tvr", "95", 5),
    ("currency", "5f2a", 2),
    ("date", "9a", 3),
    ("transaction_type", "9c", 1),
    ("unpredictable_number", "9f37", 4),
    ("aip", "82", 2),
    ("atc", "9f36", 2),
    ("iad", "9f10", 32),
];
const VERSIONS: [(&str, &str); 12] = [
    ("visa-cvn10", "Visa10"),
    ("visa-cvn18", "Visa18"),
    ("visa-cvn22", "Visa22"),
    ("interac-cvn133", "Interac133"),
    ("mastercard-cvn16", "Mastercard16"),
    ("mastercard-cvn17", "Mastercard17"),
    ("mastercard-cvn20", "Mastercard20"),
    ("mastercard-cvn21", "Mastercard21"),
    ("ccd-tdes", "CcdTdes"),
    ("ccd-aes", "CcdAes"),
    ("emv2000", "Emv2000"),
    ("amex-unverified", "AmexUnverified"),
];

#[test]
fn a_second_implementation_computes_the_same_for_every_chip() {
    let mut sequence = Sequence(12);
    for (name, oracle_name) in VERSIONS {
        let (mut questions, mut arqcs) = (Vec::new(), Vec::new());
        for _ in 0..25 {
            let (case, question) = random_transaction(name, oracle_name, &mut sequence);
            arqcs.push(case);
            questions.push(question);
        }
        let theirs = ask(&questions);
        let ours = answers(CryptoCommand::Arqc(FORM), &arqcs);
        let by_csu = matches!(name, "visa-cvn18" | "visa-cvn22" | "ccd-tdes" | "ccd-aes");
        let (mut arpcs, mut scripts) = (Vec::new(), Vec::new());
        for ((case, question), arqc) in arqcs.iter().zip(&questions).zip(&ours) {
            let copy = |names: &[&str]| -> Map<String, Value> {
                names
                    .iter()
                    .map(|name| ((*name).to_owned(), case[*name].clone()))
                    .collect()
            };
            let mut common = copy(&["cvn", "imk_ac", "account", "psn", "atc"]);
            common.insert("arqc".to_owned(), arqc["arqc"].clone());
            let mut arpc = common.clone();
            arpc.insert("do".to_owned(), "generate".into());
            arpc.extend(copy(&["unpredictable_number"]));
            let said: &[&str] = if by_csu {
                &["csu", "proprietary"]
            } else {
                &["response_code"]
            };
            arpc.extend(
                said.iter()
                    .map(|name| ((*name).to_owned(), question[*name].clone())),
            );
            arpcs.push(Value::Object(arpc));
            let mut change = common;
            change.insert("do".to_owned(), "change".into());
            change.insert("new_pin".to_owned(), question["new"].clone());
            for name in ["imk_smi", "imk_smc"] {
                change.insert(name.to_owned(), question[name].clone());
            }
            scripts.push(Value::Object(change));
        }
        let arpcs = answers(CryptoCommand::Arpc(FORM), &arpcs);
        let scripts = answers(CryptoCommand::Script(FORM), &scripts);
        for (((arqc, arpc), script), theirs) in ours.iter().zip(&arpcs).zip(&scripts).zip(&theirs) {
            assert_eq!(arqc["arqc"], theirs["arqc"], "{name}");
            assert_eq!(arpc["tag_91"], theirs["tag_91"], "{name} {arpc}");
            assert_eq!(script["command"], theirs["change"], "{name} {script}");
        }
    }
}

/// An ARQC case, and the question that asks for all that the oracle knows of the same transaction.
fn random_transaction(name: &str, oracle_name: &str, sequence: &mut Sequence) -> (Value, Value) {
    let (account, psn) = (sequence.account(), sequence.digits(2));
    let mut case = json!({ "do": "generate", "cvn": name, "account": account, "psn": psn });
    let mut question = json!({
        "ask": "chip", "cvn": oracle_name, "account": account, "psn": psn,
        "new": sequence.pin(), "current": sequence.pin(),
    });
    let mut hex_names = Vec::new();
    let mut put = |question: &mut Value, name: &str, value: String| {
        question[name] = value.into();
        hex_names.push(name.to_owned());
    };
    for (field, tag, len) in TRANSACTION {
        let value = sequence.hex(len);
        case[field] = value.clone().into();
        put(&mut question, tag, value);
    }
    for (field, len) in [
        ("imk_smi", 16),
        ("imk_smc", 16),
        ("response_code", 2),
        ("csu", 4),
        ("proprietary", 8),
    ] {
        put(&mut question, field, sequence.hex(len));
    }
    let imk_ac = sequence.hex(16);
    case["imk_ac"] = imk_ac.clone().into();
    put(&mut question, "imk_ac", imk_ac);
    question["hex"] = hex_names.into();
    (case, question)
}
