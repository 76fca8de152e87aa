//! `pinward sim crypto arqc`: application cryptograms.

use paycrypto::cryptogram::{AcInput, AcSession};
use serde_json::{Value, json};

use super::case::{Case, Refusal, hex, unknown_act};
use super::chip_keys::{cvn, help_of_keys, icc_key};

const ACTS: &str = "generate, verify";

pub(super) const HELP: &str = help_of_keys!(
    "Make and verify application cryptograms (ARQC, TC, AAC)",
    r#"  do        "generate" or "verify"

The fields of the cryptogram, hexadecimal digits as the values of their tags:

  amount 12 (9F02), amount_other 12 (9F03), terminal_country 4 (9F1A), tvr 10 (95), currency 4 (5F2A), date 6 (9A),
  transaction_type 2 (9C), unpredictable_number 8 (9F37), aip 4 (82), atc 4 (9F36)

  iad       up to 64 hexadecimal digits: the whole of tag 9F10, of which the version takes its part
  arqc      verify: 16 hexadecimal digits

Answer: {"arqc": 16 hexadecimal digits, "icc_mk_ac_kcv": check value of the card's key} or {"match": true or false}.

  {"do":"generate","cvn":"visa-cvn18","imk_ac":"0123456789ABCDEFFEDCBA9876543210","account":"1234567890123456","psn":"00","amount":"000000004000","amount_other":"000000000000","terminal_country":"0124","tvr":"8000048000","currency":"0124","date":"191105","transaction_type":"01","unpredictable_number":"52BF4585","aip":"1800","atc":"001C","iad":"06011203A0B800"}
  {"arqc":"7A788EA6B8A3E733","icc_mk_ac_kcv":"BAB02F"}"#
);

pub(super) fn answer(case: &Case) -> Result<Value, Refusal> {
    let cvn = cvn(case)?;
    let icc_mk_ac = icc_key(case, cvn, "icc_mk_ac", "imk_ac")?;
    let iad = case.bytes("iad")?;
    let [transaction_type] = case.array("transaction_type")?;
    let input = AcInput {
        amount: case.array("amount")?,
        amount_other: case.array("amount_other")?,
        terminal_country: case.array("terminal_country")?,
        tvr: case.array("tvr")?,
        currency: case.array("currency")?,
        date: case.array("date")?,
        transaction_type,
        unpredictable_number: case.array("unpredictable_number")?,
        aip: case.array("aip")?,
        atc: case.atc()?,
        iad: &iad,
    };
    let session = AcSession::new(cvn, &icc_mk_ac, input.atc, input.unpredictable_number)
        .map_err(|error| format!("icc_mk_ac: {error}"))?;
    match case.act(ACTS)? {
        "generate" => {
            case.end()?;
            let arqc = session
                .generate(&input)
                .map_err(|error| format!("iad: {error}"))?;
            Ok(json!({ "arqc": hex(&arqc), "icc_mk_ac_kcv": hex(&icc_mk_ac.kcv()) }))
        }
        "verify" => {
            let arqc = case.array("arqc")?;
            case.end()?;
            let right = session
                .verify(&input, arqc)
                .map_err(|error| format!("iad: {error}"))?;
            Ok(json!({ "match": right }))
        }
        _ => Err(unknown_act(ACTS)),
    }
}
