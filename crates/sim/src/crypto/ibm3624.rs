//! `pinward sim crypto ibm3624`: natural PINs and offsets by the IBM 3624 method.

use paycrypto::ibm3624::{
    DecimalisationTable, PinOffset, ValidationData, natural_pin, offset, pin_from_offset, verify_offset,
};
use serde_json::{Value, json};

use super::case::{Case, Refusal, digits_text, unknown_act};

const ACTS: &str = "natural-pin, offset, pin, verify";

pub(super) const HELP: &str = r#"Make and verify PINs and offsets by the IBM 3624 method

Test keys and test PINs only. One JSON object a line in, one a line out.

  do        "natural-pin", "offset" (of a PIN), "pin" (of an offset) or "verify"
  pvk       32 hexadecimal digits: the PIN verification key, double-length TDES
  table     16 decimal digits, at least 8 of them different: the decimalisation table, first for hexadecimal 0
  digits    1 to 16 decimal digits: the validation data, mostly of the PAN
  pad       1 hexadecimal digit that fills the validation data on the right up to 16. "F" where absent
  length    natural-pin: number of digits, 4 to 12
  pin       offset, verify: 4 to 12 decimal digits
  offset    pin, verify: 4 to 12 decimal digits. Where it is shorter than the PIN, it checks the PIN's rightmost digits

Answer: {"pin": decimal digits}, {"offset": decimal digits} or {"match": true or false}.

  {"do":"offset","pvk":"0123456789ABCDEFFEDCBA9876543210","table":"1234567890123456","digits":"1122334455667788","pin":"5635"}
  {"offset":"1111"}"#;

pub(super) fn answer(case: &Case) -> Result<Value, Refusal> {
    let act = case.act(ACTS)?;
    let pvk = case.tdes("pvk")?;
    let table = case.parsed(
        "table",
        "16 decimal digits, at least 8 of them different",
        DecimalisationTable::parse,
    )?;
    let pad = if case.has("pad") {
        case.parsed("pad", "1 hexadecimal digit", |text| {
            u8::from_str_radix(text, 16).ok().filter(|_| text.len() == 1)
        })?
    } else {
        0x0F
    };
    let data = case.parsed("digits", "1 to 16 decimal digits", |text| {
        ValidationData::from_digits(text, pad)
    })?;
    let published = || case.parsed("offset", "4 to 12 decimal digits", PinOffset::parse);
    match act {
        "natural-pin" => {
            let len = case.number("length", "4 to 12")?;
            case.end()?;
            let pin = natural_pin(&pvk, &table, &data, len).ok_or("length: must be 4 to 12")?;
            Ok(json!({ "pin": digits_text(pin.expose_digits()) }))
        }
        "offset" => {
            let pin = case.pin("pin")?;
            case.end()?;
            let offset = offset(&pvk, &table, &data, &pin);
            Ok(json!({ "offset": digits_text(offset.digits()) }))
        }
        "pin" => {
            let offset = published()?;
            case.end()?;
            let pin = pin_from_offset(&pvk, &table, &data, &offset);
            Ok(json!({ "pin": digits_text(pin.expose_digits()) }))
        }
        "verify" => {
            let (pin, offset) = (case.pin("pin")?, published()?);
            case.end()?;
            Ok(json!({ "match": verify_offset(&pvk, &table, &data, &pin, &offset) }))
        }
        _ => Err(unknown_act(ACTS)),
    }
}
