//! `pinward sim crypto script`: issuer script commands that change or free the chip's PIN.

use paycrypto::icc_keys::CardKeys;
use paycrypto::pin::Pin;
use paycrypto::script::{
    PIN_UNBLOCK, ScriptContext, build_mac_only, build_pin_change, build_pin_change_with_current,
    open_pin_change, verify_mac_only,
};
use serde_json::{Value, json};

use super::case::{Case, Refusal, digits_text, hex, unhex, unknown_act};
use super::chip_keys::{card_keys, help_of_keys};

const ACTS: &str = "change, unblock, open-change, verify-unblock";

pub(super) const HELP: &str = help_of_keys!(
    "Make and open PIN CHANGE/UNBLOCK commands of issuer scripts",
    r#"  imk_smi, imk_smc, icc_mk_smi, icc_mk_smc
            as imk_ac and icc_mk_ac: the keys of script MACs and of enciphered PINs
  do        "change", "unblock", "open-change" or "verify-unblock"
  atc       4 hexadecimal digits (9F36)
  arqc      16 hexadecimal digits (9F26)
  before    a list of the script commands sent before in this transaction, hexadecimal digits: Mastercard and emv2000 count
            them, CCD chains their MACs. None where absent
  new_pin   change: 4 to 12 decimal digits
  current_pin
            change: 4 to 12 decimal digits, for a command that depends on it (P2 01: Visa, amex-unverified)
            open-change: the PIN that the chip has. "0000" where absent
  command   open-change, verify-unblock: the whole command, hexadecimal digits

Answer: {"command": hexadecimal digits}, {"new_pin": decimal digits} or {"match": true}.

  {"do":"unblock","cvn":"mastercard-cvn16","imk_ac":"0123456789ABCDEFFEDCBA9876543210","imk_smi":"FEDCBA98765432100123456789ABCDEF","imk_smc":"89ABCDEF0123456776543210FEDCBA98","account":"1234567890123456","psn":"00","atc":"001C","arqc":"24CCF3DEE3158C70"}
  {"command":"8424000008ED0AB162BAB1DE61"}"#
);

pub(super) fn answer(case: &Case) -> Result<Value, Refusal> {
    let keys = card_keys(case)?;
    let context = context(case, &keys)?;
    match case.act(ACTS)? {
        "change" => change(case, &keys, context),
        "unblock" => {
            case.end()?;
            Ok(json!({ "command": hex(&build_mac_only(&keys, context, PIN_UNBLOCK)) }))
        }
        "open-change" => {
            let command = case.bytes("command")?;
            let current = if case.has("current_pin") {
                case.pin("current_pin")?
            } else {
                Pin::from_digits(&[0; 4]).expect("4 digits")
            };
            case.end()?;
            let new = open_pin_change(&keys, context, &command, &current);
            let new = new.map_err(|error| format!("command: {error}"))?;
            Ok(json!({ "new_pin": digits_text(new.expose_digits()) }))
        }
        "verify-unblock" => {
            let command = case.bytes("command")?;
            case.end()?;
            verify_mac_only(&keys, context, PIN_UNBLOCK, &command)
                .map_err(|error| format!("command: {error}"))?;
            Ok(json!({ "match": true }))
        }
        _ => Err(unknown_act(ACTS)),
    }
}

fn change(case: &Case, keys: &CardKeys, context: ScriptContext) -> Result<Value, Refusal> {
    let new = case.pin("new_pin")?;
    let command = if case.has("current_pin") {
        let current = case.pin("current_pin")?;
        let command = build_pin_change_with_current(keys, context, &new, &current);
        command.ok_or("current_pin: leave it out, this version's command doesn't depend on it")?
    } else {
        build_pin_change(keys, context, &new)
    };
    case.end()?;
    Ok(json!({ "command": hex(&command) }))
}

fn context(case: &Case, keys: &CardKeys) -> Result<ScriptContext, Refusal> {
    let first = ScriptContext::first(case.atc()?, case.array("arqc")?);
    let after =
        |context: ScriptContext, command: &Value| Some(context.after(keys, &unhex(command.as_str()?)?));
    let context = match case.field("before") {
        None => Some(first),
        Some(Value::Array(commands)) => commands.iter().try_fold(first, after),
        Some(_) => None,
    };
    context.ok_or_else(|| "before: must be a list of commands, hexadecimal digits".to_owned())
}
