//! Acts on chip cards: verify a cryptogram, answer it, make its script, and personalise.

use cards::Scheme;
use paycrypto::account::AccountDigits;
use paycrypto::arpc;
use paycrypto::cvn::Cvn;
use paycrypto::icc_keys::{EmvMasterKeys, icc_master_key};
use paycrypto::script::{PIN_UNBLOCK, ScriptContext, build_mac_only, build_pin_change};
use paycrypto::session_keys::common_ac;
use paycrypto::tdes_key::Tdes2Key;
use subtle::ConstantTimeEq;

use crate::keyring::KeyRing;
use crate::pins;
use crate::records::AuthenticCard;
use crate::seam::{
    CheckReply, CheckRequest, ChipAnswer, ChipAnswerRequest, Cryptogram, HsmRefusal, Item, KeyPurpose,
    ScriptOrder,
};

/// Checks the record, then the cryptogram, then the PIN: each only when what comes before it was right or absent.
pub(crate) fn check(keys: &KeyRing, request: &CheckRequest) -> Item<CheckReply> {
    let card = AuthenticCard::open(keys, &request.card)?;
    let cryptogram_valid = match &request.cryptogram {
        Some(cryptogram) => Some(session_key_if_valid(keys, &card, cryptogram)?.is_some()),
        None => None,
    };
    let pin = match &request.pin {
        Some(zone_pin) if cryptogram_valid != Some(false) => Some(pins::judge(keys, &card, zone_pin)?),
        Some(_) | None => None,
    };
    Ok(CheckReply {
        cryptogram_valid,
        pin,
    })
}

/// Verifies the cryptogram again and answers it.
pub(crate) fn answer(keys: &KeyRing, request: &ChipAnswerRequest) -> Item<ChipAnswer> {
    let card = AuthenticCard::open(keys, &request.card)?;
    let cryptogram = &request.cryptogram;
    let session_key = session_key_if_valid(keys, &card, cryptogram)?.ok_or(HsmRefusal::CardTampered)?;
    let script_command = match request.script {
        Some(order) => Some(script(keys, &card, cryptogram, order)?),
        None => None,
    };
    let [c0, c1, c2, c3] = request.csu;
    let [a0, a1, a2, a3] = arpc::method_2(&session_key, cryptogram.arqc, request.csu, &[])
        .expect("no proprietary data isn't too much");
    Ok(ChipAnswer {
        issuer_authentication_data: [a0, a1, a2, a3, c0, c1, c2, c3],
        script_command,
    })
}

/// The card's master keys, under the issuer's three.
pub(crate) fn icc_keys(
    keys: &KeyRing,
    account: &AccountDigits,
    psn: cards::Psn,
    scheme: Scheme,
) -> Result<EmvMasterKeys, HsmRefusal> {
    let option = cvn(scheme).profile().icc_key;
    let of = |purpose| Ok(icc_master_key(option, keys.tdes(purpose)?, account, psn));
    Ok(EmvMasterKeys {
        ac: of(KeyPurpose::IssuerCryptogram)?,
        smi: of(KeyPurpose::IssuerScriptIntegrity)?,
        smc: of(KeyPurpose::IssuerScriptConfidentiality)?,
    })
}

fn cvn(scheme: Scheme) -> Cvn {
    match scheme {
        Scheme::VisaCvn18 => Cvn::Visa18,
    }
}

/// The key that the cryptogram was made with; `None` when the cryptogram is wrong.
fn session_key_if_valid(
    keys: &KeyRing,
    card: &AuthenticCard,
    cryptogram: &Cryptogram,
) -> Result<Option<Tdes2Key>, HsmRefusal> {
    let profile = cvn(cryptogram.scheme).profile();
    let issuer_key = keys.tdes(KeyPurpose::IssuerCryptogram)?;
    let icc_key = icc_master_key(profile.icc_key, issuer_key, &card.account, card.psn);
    let session_key = match cryptogram.scheme {
        Scheme::VisaCvn18 => common_ac(&icc_key, cryptogram.atc),
    };
    let expected = session_key.retail_mac(profile.ac_padding, &cryptogram.data);
    let valid = bool::from(expected.ct_eq(&cryptogram.arqc));
    Ok(valid.then_some(session_key))
}

fn script(
    keys: &KeyRing,
    card: &AuthenticCard,
    cryptogram: &Cryptogram,
    order: ScriptOrder,
) -> Result<Vec<u8>, HsmRefusal> {
    let icc_keys = icc_keys(keys, &card.account, card.psn, cryptogram.scheme)?;
    let context = ScriptContext {
        atc: cryptogram.atc,
        arqc: cryptogram.arqc,
        commands_before: 0,
    };
    let cvn = cvn(cryptogram.scheme);
    match order {
        ScriptOrder::ChangePin => {
            let pin = pins::reference_pin(keys, card)?;
            Ok(build_pin_change(cvn, &icc_keys, context, &pin))
        }
        ScriptOrder::UnblockPin => Ok(build_mac_only(cvn, &icc_keys, context, PIN_UNBLOCK).to_vec()),
    }
}
