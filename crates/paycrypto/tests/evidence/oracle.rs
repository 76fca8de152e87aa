//! Random cases, the same on every run, compared with psec (`oracle/oracle.py`).

use std::io::Write;
use std::process::{Command, Stdio};

use data_encoding::HEXUPPER;
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::ibm3624::{DecimalisationTable, ValidationData, offset};
use paycrypto::pin::Pin;
use paycrypto::pinblock::{decode_iso3, encode_iso0, encode_iso2, encode_iso3, iso4};
use paycrypto::pvv::{Pvki, generate_pvv};
use paycrypto::tdes_key::{MacPadding, Tdes2Key};
use paycrypto::tr31::header::{
    Algorithm, Exportability, Header, KeyBlockVersion, KeyContext, KeyUsage, ModeOfUse, OptionalBlock,
};
use paycrypto::tr31::{Kbpk, padding_len, unwrap, wrap};
use serde_json::{Value, json};

use crate::pin_verification::digits_text;

const CASES: usize = 200;

/// Asks all questions in one run of the oracle and hands back the answers in order.
pub(crate) fn ask(questions: &[Value]) -> Vec<Value> {
    let python = std::env::var("PINWARD_ORACLE_PYTHON").expect(
        "PINWARD_ORACLE_PYTHON must name the python of a venv made from crates/paycrypto/oracle/requirements.txt; \
         `cargo xtask test` makes it and sets the variable",
    );
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/oracle.py");
    let mut oracle = Command::new(python)
        .arg(script)
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
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

/// A fixed sequence (SplitMix64), so that a failure can be run again.
pub(crate) struct Sequence(pub(crate) u64);

impl Sequence {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_be_bytes()[0])
    }

    pub(crate) fn digits(&mut self, len: usize) -> String {
        (0..len)
            .map(|_| char::from(b"0123456789"[self.below(10)]))
            .collect()
    }

    pub(crate) fn pin(&mut self) -> String {
        let len = 4 + self.below(9);
        self.digits(len)
    }

    pub(crate) fn account(&mut self) -> String {
        let len = 13 + self.below(7);
        self.digits(len)
    }
}

pub(crate) fn pin_of(text: &str) -> Pin {
    Pin::parse(text).unwrap()
}

pub(crate) fn account_of(text: &str) -> AccountDigits {
    AccountDigits::parse(text).unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXUPPER.encode(bytes)
}

fn unhex<const N: usize>(value: &Value) -> [u8; N] {
    HEXUPPER
        .decode(value.as_str().unwrap().as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}

#[test]
fn psec_makes_and_opens_the_same_pin_blocks() {
    let mut sequence = Sequence(1);
    let mut questions = Vec::new();
    let mut cases = Vec::new();
    for _ in 0..CASES {
        let (pin, account, key) = (sequence.pin(), sequence.account(), sequence.bytes::<16>());
        let block_3 = encode_iso3(&pin_of(&pin), &account_of(&account), &sequence.bytes());
        let aes = AesKey::from_bytes(&key).unwrap();
        let block_4 = iso4::encipher(&aes, &pin_of(&pin), &account_of(&account), &sequence.bytes());
        questions.extend([
            json!({"ask": "iso0", "pin": pin, "account": account}),
            json!({"ask": "iso2", "pin": pin}),
            json!({"ask": "iso3_open", "block": hex(block_3.as_slice()), "account": account}),
            json!({"ask": "iso3", "pin": pin, "account": account}),
            json!({"ask": "iso4_open", "key": hex(&key), "block": hex(&block_4), "account": account}),
            json!({"ask": "iso4", "key": hex(&key), "pin": pin, "account": account}),
        ]);
        cases.push((pin, account, aes));
    }
    let answers = ask(&questions);
    for ((pin, account, aes), answer) in cases.iter().zip(answers.chunks(6)) {
        let (clear, digits) = (pin_of(pin), account_of(account));
        assert_eq!(
            answer[0],
            hex(encode_iso0(&clear, &digits).as_slice()),
            "format 0, {pin}, {account}"
        );
        assert_eq!(answer[1], hex(encode_iso2(&clear).as_slice()), "format 2, {pin}");
        assert_eq!(answer[2], *pin, "format 3 opened by psec, {account}");
        assert_eq!(
            decode_iso3(&unhex(&answer[3]), &digits).as_ref(),
            Ok(&clear),
            "format 3 made by psec"
        );
        assert_eq!(answer[4], *pin, "format 4 opened by psec, {account}");
        assert_eq!(
            iso4::decipher(aes, unhex(&answer[5]), &digits),
            Ok(clear),
            "format 4 made by psec"
        );
    }
}

#[test]
fn pyemv_computes_the_same_macs_of_every_length() {
    let mut sequence = Sequence(7);
    let mut questions = Vec::new();
    let mut ours = Vec::new();
    for len in 0..=64 {
        let (key, data) = (sequence.bytes::<16>(), sequence.bytes::<64>());
        for (padding, number) in [(MacPadding::Method1, 1), (MacPadding::Method2, 2)] {
            let mac = Tdes2Key::from_bytes(&key).retail_mac(padding, &data[..len]);
            ours.push(Value::from(hex(&mac)));
            questions.push(
                json!({"ask": "retail_mac", "key": hex(&key), "data": hex(&data[..len]), "padding": number}),
            );
        }
    }
    assert_eq!(ask(&questions), ours);
}

#[test]
fn psec_computes_the_same_pvvs() {
    let mut sequence = Sequence(2);
    let mut questions = Vec::new();
    let mut ours = Vec::new();
    // 2,000: the second scan is needed about once in 170 cases.
    for _ in 0..10 * CASES {
        let (pvk, pin, account) = (sequence.bytes::<16>(), sequence.pin(), sequence.account());
        let pvki = u8::try_from(1 + sequence.below(6)).unwrap();
        let key = Tdes2Key::from_bytes(&pvk);
        let pvv = generate_pvv(
            &key,
            Pvki::new(pvki).unwrap(),
            &account_of(&account),
            &pin_of(&pin),
        );
        ours.push(Value::from(digits_text(&pvv)));
        questions.push(
            json!({"ask": "pvv", "pvk": hex(&pvk), "pvki": pvki.to_string(), "pin": &pin[..4], "account": account}),
        );
    }
    assert_eq!(ask(&questions), ours);
}

#[test]
fn psec_computes_the_same_3624_offsets() {
    let mut sequence = Sequence(3);
    let mut questions = Vec::new();
    let mut ours = Vec::new();
    for _ in 0..CASES {
        let (pvk, pin) = (sequence.bytes::<16>(), sequence.pin());
        let digit_count = 1 + sequence.below(16);
        let digits = sequence.digits(digit_count);
        let pad = u8::try_from(sequence.below(16)).unwrap();
        let table = format!("8901234567{}", sequence.digits(6));
        let made = offset(
            &Tdes2Key::from_bytes(&pvk),
            &DecimalisationTable::parse(&table).unwrap(),
            &ValidationData::from_digits(&digits, pad).unwrap(),
            &pin_of(&pin),
        );
        ours.push(Value::from(digits_text(made.digits())));
        let pad = format!("{pad:X}");
        questions.push(
            json!({"ask": "offset", "pvk": hex(&pvk), "table": table, "digits": digits, "pad": pad, "pin": pin}),
        );
    }
    assert_eq!(ask(&questions), ours);
}

#[expect(clippy::large_enum_variant, reason = "a few hundred, in a test")]
enum AnyKbpk {
    Tdes(Tdes2Key),
    Aes(AesKey),
}

impl AnyKbpk {
    fn of(version: KeyBlockVersion, sequence: &mut Sequence) -> Self {
        if version == KeyBlockVersion::D {
            let len = [16, 24, 32][sequence.below(3)];
            Self::Aes(AesKey::from_bytes(&sequence.bytes::<32>()[..len]).unwrap())
        } else {
            Self::Tdes(Tdes2Key::from_bytes(&sequence.bytes()))
        }
    }

    fn as_kbpk(&self) -> Kbpk<'_> {
        match self {
            Self::Tdes(key) => Kbpk::Tdes(key),
            Self::Aes(key) => Kbpk::Aes(key),
        }
    }

    pub(crate) fn hex(&self) -> String {
        match self {
            Self::Tdes(key) => hex(key.expose_bytes()),
            Self::Aes(key) => hex(key.expose_bytes()),
        }
    }
}

#[test]
fn psec_opens_our_key_blocks_and_we_open_its() {
    let mut sequence = Sequence(4);
    let mut questions = Vec::new();
    let mut cases = Vec::new();
    for case in 0..2 * CASES {
        let version = [
            KeyBlockVersion::A,
            KeyBlockVersion::B,
            KeyBlockVersion::C,
            KeyBlockVersion::D,
        ][case % 4];
        let kbpk = AnyKbpk::of(version, &mut sequence);
        let key_len = [16, 24, 32, 1][case / 4 % 4];
        let key = sequence.bytes::<32>()[..key_len].to_vec();
        let label_len = sequence.below(40);
        let blocks = json!({"KS": sequence.digits(20), "LB": sequence.digits(label_len)});
        let optional_blocks = [(*b"KS", "KS"), (*b"LB", "LB")]
            .map(|(id, name)| OptionalBlock::new(id, blocks[name].as_str().unwrap()).unwrap());
        let header = Header {
            version,
            usage: KeyUsage::P0_PIN_ENCRYPTION,
            algorithm: if version == KeyBlockVersion::D {
                Algorithm::Aes
            } else {
                Algorithm::Tdea
            },
            mode_of_use: ModeOfUse::Unrestricted,
            key_version: *b"00",
            exportability: Exportability::Exportable,
            // psec makes only the first, and reads the others as reserved characters.
            key_context: [
                KeyContext::OfWrappingKey,
                KeyContext::Storage,
                KeyContext::Exchange,
            ][case % 3],
            optional_blocks: optional_blocks.to_vec(),
        };
        let extra = version.block_len_bytes() * sequence.below(2);
        let padding = &sequence.bytes::<48>()[..padding_len(version, key.len()) + extra];
        let block = wrap(kbpk.as_kbpk(), &header, &key, padding).unwrap();
        let (letter, algorithm) = (&block[..1], &block[7..8]);
        questions.push(json!({"ask": "tr31_open", "kbpk": kbpk.hex(), "block": block}));
        questions.push(json!({
            "ask": "tr31_wrap", "kbpk": kbpk.hex(), "key": hex(&key), "version": letter, "usage": "P0",
            "algorithm": algorithm, "blocks": blocks,
        }));
        cases.push((kbpk, key, header, blocks));
    }
    let answers = ask(&questions);
    for ((kbpk, key, header, blocks), answer) in cases.into_iter().zip(answers.chunks(2)) {
        assert_eq!(
            answer[0],
            json!({"key": hex(&key), "usage": "P0", "blocks": blocks})
        );
        let unwrapped = unwrap(kbpk.as_kbpk(), answer[1].as_str().unwrap()).unwrap();
        let header = Header {
            key_context: KeyContext::OfWrappingKey,
            ..header
        };
        assert_eq!(
            (unwrapped.header, unwrapped.key.as_slice()),
            (header, key.as_slice())
        );
    }
}
