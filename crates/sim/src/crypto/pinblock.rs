//! `pinward sim crypto pinblock`: formats of ISO 9564-1:2017 9.3 and 9.4, clear or under a key.

use paycrypto::pinblock::{
    decode_iso0, decode_iso1, decode_iso2, decode_iso3, encode_iso0, encode_iso1, encode_iso2, encode_iso3,
    iso4,
};
use serde_json::{Value, json};

use super::case::{Case, Refusal, digits_text, hex, unknown_act};

const ACTS: &str = "encode, decode";

pub(super) const HELP: &str = r#"Make and open PIN blocks, ISO 9564-1 formats 0 to 4

Test keys and test PINs only. One JSON object a line in, one a line out.

  do        "encode" or "decode"
  format    "0", "1", "2", "3" or "4"
  pin       encode: 4 to 12 decimal digits
  block     decode: 16 hexadecimal digits, 32 for format 4
  account   formats 0, 3 and 4: the PAN with its check digit, 8 to 19 decimal digits
  key       formats 0 to 3: 32 hexadecimal digits, double-length TDES, ECB; without it the block is clear
            format 4: 32, 48 or 64 hexadecimal digits, AES; needed
  fill      encode, formats 1 and 3: 20 hexadecimal digits. In format 1 they follow the PIN one by one; in format 3 each
            byte modulo 6 chooses a digit from A to F. Zeros where absent
  random    encode, format 4: the last 16 hexadecimal digits of the PIN field. Zeros where absent

Answer: {"block": hexadecimal digits} or {"pin": decimal digits}.

  {"do":"encode","format":"0","pin":"1234","account":"4012345678909"}
  {"block":"041274EDCBA9876F"}"#;

pub(super) fn answer(case: &Case) -> Result<Value, Refusal> {
    let format = case.parsed("format", "0, 1, 2, 3 or 4", |text| {
        text.parse().ok().filter(|format: &u8| *format <= 4)
    })?;
    match case.act(ACTS)? {
        "encode" => encode(case, format),
        "decode" => decode(case, format),
        _ => Err(unknown_act(ACTS)),
    }
}

fn encode(case: &Case, format: u8) -> Result<Value, Refusal> {
    let pin = case.pin("pin")?;
    let clear = match format {
        0 => encode_iso0(&pin, &case.account()?),
        1 => encode_iso1(&pin, &case.array_or_zeros("fill")?),
        2 => encode_iso2(&pin),
        3 => encode_iso3(&pin, &case.account()?, &case.array_or_zeros("fill")?),
        _ => {
            let (key, account, random) = (case.aes("key")?, case.account()?, case.array_or_zeros("random")?);
            case.end()?;
            let block = iso4::encipher(&key, &pin, &account, &random);
            return Ok(json!({ "block": hex(&block) }));
        }
    };
    let block = if case.has("key") {
        case.tdes("key")?.encrypt_block(*clear)
    } else {
        *clear
    };
    case.end()?;
    Ok(json!({ "block": hex(&block) }))
}

fn decode(case: &Case, format: u8) -> Result<Value, Refusal> {
    let pin = if format == 4 {
        iso4::decipher(&case.aes("key")?, case.array("block")?, &case.account()?)
    } else {
        let mut block: [u8; 8] = case.array("block")?;
        if case.has("key") {
            block = case.tdes("key")?.decrypt_block(block);
        }
        match format {
            0 => decode_iso0(&block, &case.account()?),
            1 => decode_iso1(&block),
            2 => decode_iso2(&block),
            _ => decode_iso3(&block, &case.account()?),
        }
    };
    case.end()?;
    let pin = pin.map_err(|_| "block: not a PIN block of this format, account and key")?;
    Ok(json!({ "pin": digits_text(pin.expose_digits()) }))
}
