//! `pinward sim crypto arpc`: issuer authentication data, tag 91.

use paycrypto::arpc::{
    AuthenticAnswer, IssuerAnswer, issuer_authentication_data, open_issuer_authentication_data,
};
use paycrypto::cryptogram::AcSession;
use paycrypto::cvn::ArpcMethod;
use serde_json::{Value, json};

use super::case::{Case, Refusal, hex, unknown_act};
use super::chip_keys::{cvn, help_of_keys, icc_key};

const ACTS: &str = "generate, open";

pub(super) const HELP: &str = help_of_keys!(
    "Make and open issuer authentication data (ARPC, tag 91)",
    r#"  do        "generate" or "open"
  atc       4 hexadecimal digits (9F36)
  unpredictable_number
            8 hexadecimal digits (9F37). Zeros where absent: only Mastercard 16 and 17 and Interac look at it
  arqc      16 hexadecimal digits (9F26): the cryptogram that is answered
  response_code
            generate, ARPC method 1 (visa-cvn10, Interac, Mastercard, emv2000, amex-unverified): 4 hexadecimal digits, the
            two ASCII characters of the response code or Mastercard's bit field
  csu       generate, ARPC method 2 (visa-cvn18 and 22, CCD): 8 hexadecimal digits, the card status update
  proprietary
            generate, ARPC method 2: up to 16 hexadecimal digits. None where absent
  tag_91    open: the value of tag 91, hexadecimal digits

Answer: {"tag_91": hexadecimal digits}, {"response_code": 4} or {"csu": 8, "proprietary": up to 16 hexadecimal digits}.

  {"do":"generate","cvn":"visa-cvn18","imk_ac":"0123456789ABCDEFFEDCBA9876543210","account":"1234567890123456","psn":"00","atc":"001C","arqc":"7A788EA6B8A3E733","csu":"00000000"}
  {"tag_91":"9AF514C100000000"}"#
);

pub(super) fn answer(case: &Case) -> Result<Value, Refusal> {
    let cvn = cvn(case)?;
    let icc_mk_ac = icc_key(case, cvn, "icc_mk_ac", "imk_ac")?;
    let unpredictable_number = case.array_or_zeros("unpredictable_number")?;
    let session = AcSession::new(cvn, &icc_mk_ac, case.atc()?, unpredictable_number)
        .map_err(|error| format!("icc_mk_ac: {error}"))?;
    let arqc = case.array("arqc")?;
    match case.act(ACTS)? {
        "generate" => {
            let proprietary = match cvn.profile().arpc {
                ArpcMethod::Method2 if case.has("proprietary") => case.bytes("proprietary")?,
                ArpcMethod::Method2 | ArpcMethod::Method1MasterKey | ArpcMethod::Method1SessionKey => {
                    Vec::new()
                }
            };
            let (response_code, csu) = match cvn.profile().arpc {
                ArpcMethod::Method1MasterKey | ArpcMethod::Method1SessionKey => {
                    (case.array("response_code")?, [0; 4])
                }
                ArpcMethod::Method2 => ([0; 2], case.array("csu")?),
            };
            case.end()?;
            let answer = IssuerAnswer {
                response_code,
                csu,
                proprietary: &proprietary,
            };
            let tag_91 = issuer_authentication_data(&session, arqc, &answer)
                .map_err(|error| format!("proprietary: {error}"))?;
            Ok(json!({ "tag_91": hex(&tag_91) }))
        }
        "open" => {
            let tag_91 = case.bytes("tag_91")?;
            case.end()?;
            match open_issuer_authentication_data(&session, arqc, &tag_91) {
                Ok(AuthenticAnswer::ResponseCode(code)) => Ok(json!({ "response_code": hex(&code) })),
                Ok(AuthenticAnswer::Csu { csu, proprietary }) => {
                    Ok(json!({ "csu": hex(&csu), "proprietary": hex(proprietary) }))
                }
                Err(error) => Err(format!("tag_91: {error}")),
            }
        }
        _ => Err(unknown_act(ACTS)),
    }
}
