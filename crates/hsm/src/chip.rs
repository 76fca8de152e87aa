//! Acts on chip cards: verify a cryptogram, answer it, make its script, and derive the card's own keys.

use cards::{Psn, Scheme};
use paycrypto::account::AccountDigits;
use paycrypto::arpc::{IssuerAnswer, issuer_authentication_data};
use paycrypto::cryptogram::{AcInput, AcSession};
use paycrypto::cvn::Cvn;
use paycrypto::emv_key::EmvAlgorithm;
use paycrypto::icc_keys::{CardKeys, IssuerKey, IssuerKeys, icc_master_key};
use paycrypto::script::{
    PIN_UNBLOCK, ScriptContext, build_mac_only, build_pin_change, build_pin_change_with_current,
};

use crate::keyring::KeyRing;
use crate::pins;
use crate::records::AuthenticCard;
use crate::seam::{
    CheckReply, CheckRequest, ChipAnswer, ChipAnswerRequest, ChipDecision, Cryptogram, HsmRefusal, Item,
    KeyPurpose, ScriptOrder,
};

/// Checks the record, then the cryptogram, then the PINs: each only when what comes before it was right or absent.
pub(crate) fn check(keys: &KeyRing, request: &CheckRequest) -> Item<CheckReply> {
    let card = AuthenticCard::open(keys, &request.card)?;
    let cryptogram_valid = match &request.cryptogram {
        Some(cryptogram) => Some(session_if_valid(keys, &card, cryptogram)?.is_some()),
        None => None,
    };
    let (pin, new_pin) = match (&request.pin, &request.new_pin) {
        (Some(current), Some(new)) if cryptogram_valid != Some(false) => {
            pins::judge_change(keys, &card, current, new)?
        }
        (Some(current), None) if cryptogram_valid != Some(false) => {
            (Some(pins::judge(keys, &card, current)?), None)
        }
        (Some(_) | None, _) => (None, None),
    };
    Ok(CheckReply {
        cryptogram_valid,
        pin,
        new_pin,
    })
}

/// Verifies the cryptogram again and answers it.
pub(crate) fn answer(keys: &KeyRing, request: &ChipAnswerRequest) -> Item<ChipAnswer> {
    let card = AuthenticCard::open(keys, &request.card)?;
    let (session, transaction) =
        session_if_valid(keys, &card, &request.cryptogram)?.ok_or(HsmRefusal::CardTampered)?;
    let tag_91 = |decision: &ChipDecision| {
        let answer = IssuerAnswer {
            response_code: decision.arc,
            csu: decision.csu,
            proprietary: &[],
        };
        issuer_authentication_data(&session, request.cryptogram.arqc, &answer)
            .expect("no proprietary data isn't too much")
    };
    Ok(ChipAnswer {
        issuer_authentication_data: request.decisions.iter().map(tag_91).collect(),
        commands: script(
            keys,
            &card,
            &request.cryptogram,
            transaction.atc,
            &request.scripts,
        )?,
    })
}

/// The card's master keys, under the issuer's three.
pub(crate) fn card_keys(
    keys: &KeyRing,
    account: &AccountDigits,
    psn: Psn,
    scheme: Scheme,
) -> Result<CardKeys, HsmRefusal> {
    let cvn = Cvn::from(scheme);
    let issuer_keys = IssuerKeys {
        ac: issuer_key(keys, cvn, IssuerKeyUse::Cryptogram)?,
        smi: issuer_key(keys, cvn, IssuerKeyUse::Integrity)?,
        smc: issuer_key(keys, cvn, IssuerKeyUse::Confidentiality)?,
    };
    let card_keys = issuer_keys.of_card(cvn, account, psn);
    Ok(card_keys.expect("the issuer keys are of the version's algorithm"))
}

/// What the issuer has a master key for, in either algorithm.
#[derive(Clone, Copy)]
pub(crate) enum IssuerKeyUse {
    Cryptogram,
    Integrity,
    Confidentiality,
}

/// The purpose of the issuer master key of this algorithm.
pub(crate) fn issuer_purpose(algorithm: EmvAlgorithm, key_use: IssuerKeyUse) -> KeyPurpose {
    match (algorithm, key_use) {
        (EmvAlgorithm::Tdes, IssuerKeyUse::Cryptogram) => KeyPurpose::IssuerCryptogram,
        (EmvAlgorithm::Tdes, IssuerKeyUse::Integrity) => KeyPurpose::IssuerScriptIntegrity,
        (EmvAlgorithm::Tdes, IssuerKeyUse::Confidentiality) => KeyPurpose::IssuerScriptConfidentiality,
        (EmvAlgorithm::Aes, IssuerKeyUse::Cryptogram) => KeyPurpose::IssuerCryptogramAes,
        (EmvAlgorithm::Aes, IssuerKeyUse::Integrity) => KeyPurpose::IssuerScriptIntegrityAes,
        (EmvAlgorithm::Aes, IssuerKeyUse::Confidentiality) => KeyPurpose::IssuerScriptConfidentialityAes,
    }
}

/// The issuer master key of the algorithm that the version wants.
fn issuer_key(keys: &KeyRing, cvn: Cvn, key_use: IssuerKeyUse) -> Result<IssuerKey<'_>, HsmRefusal> {
    let purpose = issuer_purpose(cvn.algorithm(), key_use);
    match cvn.algorithm() {
        EmvAlgorithm::Tdes => keys.tdes(purpose).map(IssuerKey::Tdes),
        EmvAlgorithm::Aes => keys.aes(purpose).map(IssuerKey::Aes),
    }
}

/// The keys that the cryptogram was made with, and what it covers; `None` when it is wrong or can't be computed.
fn session_if_valid<'a>(
    keys: &KeyRing,
    card: &AuthenticCard,
    cryptogram: &'a Cryptogram,
) -> Result<Option<(AcSession, AcInput<'a>)>, HsmRefusal> {
    let cvn = Cvn::from(cryptogram.scheme);
    let issuer_key = issuer_key(keys, cvn, IssuerKeyUse::Cryptogram)?;
    let Some(input) = covered(cryptogram) else {
        return Ok(None);
    };
    let icc_key = icc_master_key(cvn.profile().icc_key, issuer_key, &card.account, card.psn)
        .expect("the issuer key is of the version's algorithm");
    let session = AcSession::new(cvn, &icc_key, input.atc, input.unpredictable_number)
        .expect("the card's key is of the version's algorithm");
    let valid = session.verify(&input, cryptogram.arqc) == Ok(true);
    Ok(valid.then_some((session, input)))
}

/// Takes the 33 bytes of [`Cryptogram::data`] apart. `None` for another length.
fn covered(cryptogram: &Cryptogram) -> Option<AcInput<'_>> {
    let data: &[u8; 33] = cryptogram.data.as_slice().try_into().ok()?;
    let (amount, rest) = data.split_first_chunk()?;
    let (amount_other, rest) = rest.split_first_chunk()?;
    let (terminal_country, rest) = rest.split_first_chunk()?;
    let (tvr, rest) = rest.split_first_chunk()?;
    let (currency, rest) = rest.split_first_chunk()?;
    let (date, rest) = rest.split_first_chunk()?;
    let (transaction_type, rest) = rest.split_first()?;
    let (unpredictable_number, rest) = rest.split_first_chunk()?;
    let (aip, atc) = rest.split_first_chunk()?;
    Some(AcInput {
        amount: *amount,
        amount_other: *amount_other,
        terminal_country: *terminal_country,
        tvr: *tvr,
        currency: *currency,
        date: *date,
        transaction_type: *transaction_type,
        unpredictable_number: *unpredictable_number,
        aip: *aip,
        atc: u16::from_be_bytes(atc.try_into().ok()?),
        iad: &cryptogram.iad,
    })
}

/// The commands of one script, each made for its place among them.
///
/// Refuses with [`HsmRefusal::Unsupported`] more than one where no public source says how a second MAC is chained.
fn script(
    keys: &KeyRing,
    card: &AuthenticCard,
    cryptogram: &Cryptogram,
    atc: u16,
    orders: &[ScriptOrder],
) -> Result<Vec<Vec<u8>>, HsmRefusal> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    if orders.len() > 1 && !chains_commands(Cvn::from(cryptogram.scheme)) {
        return Err(HsmRefusal::Unsupported);
    }
    let card_keys = card_keys(keys, &card.account, card.psn, cryptogram.scheme)?;
    let mut context = ScriptContext::first(atc, cryptogram.arqc);
    let mut commands = Vec::with_capacity(orders.len());
    for order in orders {
        let command = match order {
            ScriptOrder::ChangePin => {
                let pin = pins::reference_pin(keys, card)?;
                build_pin_change(&card_keys, context, &pin)
            }
            ScriptOrder::ChangeKnownPin => {
                let (pin, current) = (pins::reference_pin(keys, card)?, pins::chips_pin(keys, card)?);
                build_pin_change_with_current(&card_keys, context, &pin, &current)
                    .ok_or(HsmRefusal::Unsupported)?
            }
            ScriptOrder::UnblockPin => build_mac_only(&card_keys, context, PIN_UNBLOCK),
        };
        context = context.after(&card_keys, &command);
        commands.push(command);
    }
    Ok(commands)
}

/// Whether public text says how the MACs of several commands in one transaction follow from each other: M/Chip counts them,
/// CCD chains them.
fn chains_commands(cvn: Cvn) -> bool {
    match cvn {
        Cvn::Mastercard16
        | Cvn::Mastercard17
        | Cvn::Mastercard20
        | Cvn::Mastercard21
        | Cvn::CcdTdes
        | Cvn::CcdAes => true,
        Cvn::Visa10 | Cvn::Visa18 | Cvn::Visa22 | Cvn::Interac133 | Cvn::Emv2000 | Cvn::AmexUnverified => {
            false
        }
    }
}
