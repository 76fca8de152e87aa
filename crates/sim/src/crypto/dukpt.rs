//! `pinward sim crypto dukpt`: PIN keys of one transaction of one terminal.

use paycrypto::dukpt::aes::{initial_key, pin_key as aes_pin_key, transaction_key};
use paycrypto::dukpt::tdes::{Ksn, pin_key as tdes_pin_key};
use serde_json::{Value, json};

use super::case::{Case, Refusal, hex, unknown_act};

const ACTS: &str = "tdes, aes";
const NO_KEY: &str = "terminals skip this transaction counter: give one above 0 with fewer one bits";

pub(super) const HELP: &str = r#"Derive PIN keys by DUKPT, ANSI X9.24-1 (TDES) and X9.24-3 (AES-128)

Test keys only. One JSON object a line in, one a line out.

  do        "tdes" or "aes"
  bdk       32 hexadecimal digits: the base derivation key
  ksn       tdes: 20 hexadecimal digits, key set id, terminal and 21-bit transaction counter
            aes: 24 hexadecimal digits, initial key id of 8 bytes and 32-bit transaction counter

Answer: {"pin_key": 32 hexadecimal digits}; aes also "initial_key" and "derivation_key".

  {"do":"aes","bdk":"FEDCBA9876543210F1F1F1F1F1F1F1F1","ksn":"123456789012345600000001"}
  {"derivation_key":"4F21B565BAD9835E112B6465635EAE44","initial_key":"1273671EA26AC29AFA4D1084127652A1","pin_key":"AF8CB133A78F8DC2D1359F18527593FB"}"#;

pub(super) fn answer(case: &Case) -> Result<Value, Refusal> {
    match case.act(ACTS)? {
        "tdes" => {
            let (bdk, ksn) = (case.tdes("bdk")?, Ksn(case.array("ksn")?));
            case.end()?;
            let key = tdes_pin_key(&bdk, ksn).ok_or_else(|| format!("ksn: {NO_KEY}"))?;
            Ok(json!({ "pin_key": hex(key.expose_bytes()) }))
        }
        "aes" => {
            let (bdk, ksn) = (case.aes("bdk")?, case.array::<12>("ksn")?);
            case.end()?;
            let [id @ .., a, b, c, d] = ksn;
            let counter = u32::from_be_bytes([a, b, c, d]);
            let initial = initial_key(&bdk, id).ok_or("bdk: must be 32 hexadecimal digits, AES-128")?;
            let keys = transaction_key(&bdk, id, counter).zip(aes_pin_key(&bdk, id, counter));
            let (derivation, pin) = keys.ok_or_else(|| format!("ksn: {NO_KEY}"))?;
            Ok(json!({
                "initial_key": hex(initial.expose_bytes()),
                "derivation_key": hex(derivation.expose_bytes()),
                "pin_key": hex(pin.expose_bytes()),
            }))
        }
        _ => Err(unknown_act(ACTS)),
    }
}
