//! `pinward sim crypto pvv`: PIN verification values by the Visa method.

use paycrypto::pvv::{Pvki, generate_pvv, verify_pvv};
use serde_json::{Value, json};

use super::case::{Case, Refusal, digits_text, unknown_act};

const ACTS: &str = "generate, verify";

pub(super) const HELP: &str = r#"Make and verify PIN verification values (PVV) by the Visa method

Test keys and test PINs only. One JSON object a line in, one a line out.

  do        "generate" or "verify"
  pvk       32 hexadecimal digits: the PIN verification key, double-length TDES
  pvki      "1" to "6": the PIN verification key index
  account   the PAN with its check digit, 8 to 19 decimal digits
  pin       4 to 12 decimal digits, of which the first 4 count
  pvv       verify: 4 decimal digits

Answer: {"pvv": 4 decimal digits} or {"match": true or false}.

  {"do":"generate","pvk":"0123456789ABCDEFFEDCBA9876543210","pvki":"3","account":"1122334455667788","pin":"4524"}
  {"pvv":"4021"}"#;

pub(super) fn answer(case: &Case) -> Result<Value, Refusal> {
    let act = case.act(ACTS)?;
    let (pvk, account, pin) = (case.tdes("pvk")?, case.account()?, case.pin("pin")?);
    let pvki = case.parsed("pvki", "1 to 6", |text| Pvki::new(text.parse().ok()?))?;
    match act {
        "generate" => {
            case.end()?;
            let pvv = generate_pvv(&pvk, pvki, &account, &pin);
            Ok(json!({ "pvv": digits_text(&pvv) }))
        }
        "verify" => {
            let pvv = case.parsed("pvv", "4 decimal digits", |text| {
                let ascii: [u8; 4] = text.as_bytes().try_into().ok()?;
                let valid = ascii.iter().all(u8::is_ascii_digit);
                valid.then(|| ascii.map(|digit| digit - b'0'))
            })?;
            case.end()?;
            Ok(json!({ "match": verify_pvv(&pvk, pvki, &account, &pin, pvv) }))
        }
        _ => Err(unknown_act(ACTS)),
    }
}
