//! Random transactions of every cryptogram version, the same on every run, compared with pyemv and, for AES, with Python's
//! `cryptography` (`oracle/chip.py`).

use cards::Psn;
use paycrypto::arpc::{IssuerAnswer, issuer_authentication_data};
use paycrypto::cryptogram::{AcInput, AcSession};
use paycrypto::cvn::{Cvn, ScriptMacData};
use paycrypto::emv_key::{EmvAlgorithm, EmvKey};
use paycrypto::icc_keys::{CardKeys, IccKeyOption, IssuerKey, IssuerKeys, icc_master_key};
use paycrypto::script::{
    PIN_UNBLOCK, ScriptContext, build_mac_only, build_pin_change, build_pin_change_with_current,
};
use paycrypto::tdes_key::Tdes2Key;
use serde_json::{Map, Value, json};

use crate::oracle::{Sequence, account_of, ask, hex, pin_of};

const CASES_PER_VERSION: usize = 60;

#[test]
fn a_second_implementation_computes_the_same_for_every_version() {
    let mut sequence = Sequence(5);
    let mut questions = Vec::new();
    let mut ours = Vec::new();
    for cvn in Cvn::ALL {
        for _ in 0..CASES_PER_VERSION {
            let case = Case::random(cvn, &mut sequence);
            questions.push(case.question());
            ours.push(case.answer());
        }
    }
    for ((answer, ours), question) in ask(&questions).into_iter().zip(ours).zip(questions) {
        assert_eq!(answer, ours, "{}", question["cvn"]);
    }
}

/// Keys, card and transaction.
struct Case {
    cvn: Cvn,
    keys: [EmvKey; 3],
    account: String,
    psn: u8,
    input: AcInput<'static>,
    response_code: [u8; 2],
    csu: [u8; 4],
    proprietary: Vec<u8>,
    new: String,
    current: String,
}

impl Case {
    fn random(cvn: Cvn, sequence: &mut Sequence) -> Self {
        let key_len = match cvn.algorithm() {
            EmvAlgorithm::Tdes => 16,
            EmvAlgorithm::Aes => [16, 24, 32][sequence.below(3)],
        };
        let key = |bytes: [u8; 32]| EmvKey::from_bytes(cvn.algorithm(), &bytes[..key_len]).unwrap();
        let keys = [
            key(sequence.bytes()),
            key(sequence.bytes()),
            key(sequence.bytes()),
        ];
        let iad: &'static [u8; 32] = Box::leak(Box::new(sequence.bytes()));
        // Long enough for every version's part of it.
        let iad_len = 18 + sequence.below(15);
        let proprietary_len = sequence.below(9);
        Self {
            cvn,
            keys,
            account: sequence.account(),
            psn: u8::try_from(sequence.below(100)).unwrap(),
            input: AcInput {
                amount: sequence.bytes(),
                amount_other: sequence.bytes(),
                terminal_country: sequence.bytes(),
                tvr: sequence.bytes(),
                currency: sequence.bytes(),
                date: sequence.bytes(),
                transaction_type: sequence.bytes::<1>()[0],
                unpredictable_number: sequence.bytes(),
                aip: sequence.bytes(),
                atc: u16::from_be_bytes(sequence.bytes()),
                iad: &iad[..iad_len],
            },
            response_code: sequence.bytes(),
            csu: sequence.bytes(),
            proprietary: sequence.bytes::<8>()[..proprietary_len].to_vec(),
            new: sequence.pin(),
            current: sequence.pin(),
        }
    }

    fn question(&self) -> Value {
        let input = &self.input;
        let [ac, smi, smc] = self.keys.each_ref().map(EmvKey::expose_bytes);
        let bytes: [(&str, &[u8]); 17] = [
            ("imk_ac", ac),
            ("imk_smi", smi),
            ("imk_smc", smc),
            ("9f02", &input.amount),
            ("9f03", &input.amount_other),
            ("9f1a", &input.terminal_country),
            ("95", &input.tvr),
            ("5f2a", &input.currency),
            ("9a", &input.date),
            ("9c", &[input.transaction_type]),
            ("9f37", &input.unpredictable_number),
            ("82", &input.aip),
            ("9f36", &input.atc.to_be_bytes()),
            ("9f10", input.iad),
            ("response_code", &self.response_code),
            ("csu", &self.csu),
            ("proprietary", &self.proprietary),
        ];
        let mut question: Map<String, Value> = bytes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), hex(value).into()))
            .collect();
        question.insert("ask".to_owned(), "chip".into());
        question.insert("cvn".to_owned(), format!("{:?}", self.cvn).into());
        question.insert("hex".to_owned(), bytes.map(|(name, _)| name).to_vec().into());
        question.insert("account".to_owned(), self.account.clone().into());
        question.insert("psn".to_owned(), format!("{:02}", self.psn).into());
        question.insert("new".to_owned(), self.new.clone().into());
        question.insert("current".to_owned(), self.current.clone().into());
        Value::Object(question)
    }

    fn answer(&self) -> Value {
        let card = self.card_keys();
        let session = AcSession::new(
            self.cvn,
            card.ac(),
            self.input.atc,
            self.input.unpredictable_number,
        )
        .unwrap();
        let arqc = session.generate(&self.input).unwrap();
        let answer = IssuerAnswer {
            response_code: self.response_code,
            csu: self.csu,
            proprietary: &self.proprietary,
        };
        let first = ScriptContext::first(self.input.atc, arqc);
        let (new, current) = (pin_of(&self.new), pin_of(&self.current));
        let change = build_pin_change(&card, first, &new);
        let second_is_verified = matches!(
            self.cvn.profile().script_mac,
            ScriptMacData::AtcArqcPlusCount | ScriptMacData::Chained
        );
        json!({
            "arqc": hex(&arqc),
            "tag_91": hex(&issuer_authentication_data(&session, arqc, &answer).unwrap()),
            "change_with_current": build_pin_change_with_current(&card, first, &new, &current).map(|command| hex(&command)),
            "unblock": hex(&build_mac_only(&card, first, PIN_UNBLOCK)),
            "second": second_is_verified.then(|| hex(&build_mac_only(&card, first.after(&card, &change), PIN_UNBLOCK))),
            "change": hex(&change),
        })
    }

    fn card_keys(&self) -> CardKeys {
        let [ac, smi, smc] = self.keys.each_ref().map(|key| match key {
            EmvKey::Tdes(key) => IssuerKey::Tdes(key),
            EmvKey::Aes(key) => IssuerKey::Aes(key),
        });
        IssuerKeys { ac, smi, smc }
            .of_card(self.cvn, &account_of(&self.account), Psn::new(self.psn).unwrap())
            .unwrap()
    }
}

#[test]
fn pyemv_derives_the_same_keys_from_12_to_19_digits_with_and_without_a_sequence_number() {
    let mut sequence = Sequence(6);
    let mut questions = Vec::new();
    let mut ours = Vec::new();
    for case in 0..400 {
        let (key, account) = (sequence.bytes::<16>(), sequence.digits(12 + case % 8));
        let psn = (case % 3 > 0).then(|| u8::try_from(sequence.below(100)).unwrap());
        for (name, option) in [("icc_mk_a", IccKeyOption::A), ("icc_mk_b", IccKeyOption::B)] {
            let issuer_key = Tdes2Key::from_bytes(&key);
            let derived = icc_master_key(
                option,
                IssuerKey::Tdes(&issuer_key),
                &account_of(&account),
                psn.map_or(Psn::default(), |psn| Psn::new(psn).unwrap()),
            );
            ours.push(Value::from(hex(derived.unwrap().expose_bytes())));
            let psn = psn.map(|psn| format!("{psn:02}"));
            questions.push(json!({"ask": name, "key": hex(&key), "account": account, "psn": psn}));
        }
    }
    assert_eq!(ask(&questions), ours);
}
