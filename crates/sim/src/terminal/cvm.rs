//! Verifying the cardmember by the methods of the card's list, in its order (EMV Book 3 10.5).

use emv::apdu::{Command, SW_6983_PIN_BLOCKED, SW_6984_REFERENCE_INVALIDATED, SW_9000_OK, StatusWord};
use emv::bits::{Tvr, TvrBit};
use emv::cvm::{CvmList, CvmMethod, CvmOutcome, CvmResults, CvmRule};
use emv::tags::{TAG_8E_CVM_LIST, TAG_9F17_PIN_TRY_COUNTER};
use emv::tlv;
use paycrypto::pin::Pin;
use paycrypto::pinblock::encode_iso2;

use super::journey::Trouble;
use super::offline_auth::encipher_pin;
use super::profile::{TerminalProfile, VerifiedBy};
use super::reader::{CardData, CardReader};
use super::terminal_data::NOTHING_VERIFIED;
use crate::rsa::{MODULUS_LEN_MAX, RsaPublicKey};

/// How verification ended.
pub(super) enum Verification {
    /// The transaction goes on, whatever came out.
    Done(Verified),
    /// A wrong PIN with tries left, and nobody keys another: the card is taken out.
    GivenUp { tries_left: u8 },
}

/// What the terminal found.
pub(super) struct Verified {
    pub(super) results: CvmResults,
    pub(super) tvr: Tvr,
    /// The PIN goes to the host.
    pub(super) online_pin: bool,
    pub(super) offline_pin_right: bool,
    /// Tries left after a PIN was keyed wrong.
    pub(super) tries_left: Option<u8>,
    pub(super) display: Vec<String>,
}

/// How one method ended.
enum Tried {
    Successful,
    /// The host will say.
    Unknown,
    Failed(Option<TvrBit>),
    GivenUp {
        tries_left: u8,
    },
}

/// Goes through the list until a method succeeds, or one fails that must not be passed over.
///
/// `keyed`: PINs keyed one after the other; with none, PIN entry is passed over. `icc_key`: for an enciphered PIN; without
/// one, that method fails.
pub(super) fn verify(
    reader: &mut CardReader<'_>,
    card: &CardData,
    profile: &TerminalProfile,
    icc_key: Option<&RsaPublicKey>,
    cash: bool,
    keyed: &[Pin],
) -> Result<Verification, Trouble> {
    let list = CvmList::parse(card.needed(TAG_8E_CVM_LIST)?).ok_or(Trouble::CardUnusable)?;
    let mut verified = Verified {
        results: NOTHING_VERIFIED,
        tvr: Tvr::default(),
        online_pin: false,
        offline_pin_right: false,
        tries_left: None,
        display: Vec::new(),
    };
    for rule in list.rules {
        if !applies(rule, profile, cash) {
            continue;
        }
        let tried = match rule.method {
            method if !supports(profile, method) => Tried::Failed(unsupported(method, profile)),
            CvmMethod::PlaintextPinOffline => offline_pin(reader, None, keyed, &mut verified)?,
            CvmMethod::EncipheredPinOffline => match icc_key {
                Some(key) => offline_pin(reader, Some(key), keyed, &mut verified)?,
                None => Tried::Failed(None),
            },
            CvmMethod::PinOnline if keyed.is_empty() => Tried::Failed(Some(TvrBit::PinNotEntered)),
            CvmMethod::PinOnline => Tried::Unknown,
            CvmMethod::NoCvm => Tried::Successful,
            _ => Tried::Failed(None),
        };
        let outcome = match tried {
            Tried::Successful => CvmOutcome::Successful,
            Tried::Unknown => CvmOutcome::Unknown,
            Tried::GivenUp { tries_left } => return Ok(Verification::GivenUp { tries_left }),
            Tried::Failed(why) => {
                verified.tvr = why.map_or(verified.tvr, |bit| verified.tvr.with(bit));
                verified.results = CvmResults {
                    rule,
                    outcome: CvmOutcome::Failed,
                };
                if rule.next_if_fails {
                    continue;
                }
                break;
            }
        };
        verified.results = CvmResults { rule, outcome };
        verified.online_pin = rule.method == CvmMethod::PinOnline;
        verified.offline_pin_right = rule.method.is_offline_pin();
        if verified.online_pin {
            verified.tvr = verified.tvr.with(TvrBit::OnlinePinEntered);
        }
        return Ok(Verification::Done(verified));
    }
    verified.tvr = verified.tvr.with(TvrBit::CvmNotSuccessful);
    Ok(Verification::Done(verified))
}

fn supports(profile: &TerminalProfile, method: CvmMethod) -> bool {
    let way = match method {
        CvmMethod::PlaintextPinOffline => VerifiedBy::PlaintextPin,
        CvmMethod::EncipheredPinOffline => VerifiedBy::EncipheredPin,
        CvmMethod::PinOnline => VerifiedBy::OnlinePin,
        CvmMethod::NoCvm => VerifiedBy::None,
        _ => return false,
    };
    profile.verifies_by(way)
}

/// What the TVR says of a method that applies and that the terminal doesn't have.
fn unsupported(method: CvmMethod, profile: &TerminalProfile) -> Option<TvrBit> {
    match method {
        CvmMethod::Other(_) => Some(TvrBit::CvmUnknown),
        method if method.is_offline_pin() || method == CvmMethod::PinOnline => {
            (!profile.has_pin_pad()).then_some(TvrBit::PinPadMissing)
        }
        _ => None,
    }
}

fn applies(rule: CvmRule, profile: &TerminalProfile, cash: bool) -> bool {
    match rule.condition {
        0 => true,
        1 => cash && profile.is_cash_machine(),
        2 => !cash,
        3 => supports(profile, rule.method),
        _ => false,
    }
}

/// Looks at the try counter first, so that nobody is asked for a PIN that can't be taken. With a key, the PIN goes to the
/// card enciphered.
fn offline_pin(
    reader: &mut CardReader<'_>,
    key: Option<&RsaPublicKey>,
    keyed: &[Pin],
    verified: &mut Verified,
) -> Result<Tried, Trouble> {
    let blocked = Tried::Failed(Some(TvrBit::PinTryLimitExceeded));
    if verified.tvr.has(TvrBit::PinTryLimitExceeded) {
        return Ok(blocked);
    }
    let (counter, _) = reader.send(&Command::get_data(TAG_9F17_PIN_TRY_COUNTER))?;
    if tlv::find(&counter, TAG_9F17_PIN_TRY_COUNTER).ok().flatten() == Some(&[0]) {
        verified.display.push("NO PIN TRIES LEFT ON CARD".to_owned());
        return Ok(blocked);
    }
    for pin in keyed {
        let Some(status) = present(reader, key, pin)? else {
            return Ok(Tried::Failed(None));
        };
        if status == SW_9000_OK {
            verified.display.push("PIN OK".to_owned());
            return Ok(Tried::Successful);
        }
        if matches!(status, SW_6983_PIN_BLOCKED | SW_6984_REFERENCE_INVALIDATED) {
            return Ok(blocked);
        }
        let Some(tries_left) = status.tries_left() else {
            return Ok(Tried::Failed(None));
        };
        verified.tries_left = Some(tries_left);
        verified.display.push(super::receipt::wrong_pin(tries_left));
        if tries_left == 0 {
            return Ok(blocked);
        }
    }
    Ok(match verified.tries_left {
        Some(tries_left) => Tried::GivenUp { tries_left },
        None => Tried::Failed(Some(TvrBit::PinNotEntered)),
    })
}

/// Sends a PIN to the card; none where the card gives no challenge for an enciphered one.
fn present(
    reader: &mut CardReader<'_>,
    key: Option<&RsaPublicKey>,
    pin: &Pin,
) -> Result<Option<StatusWord>, Trouble> {
    let Some(key) = key else {
        let (_, status) = reader.send(&Command::verify_plaintext(&encode_iso2(pin)))?;
        return Ok(Some(status));
    };
    let (challenge, _) = reader.send(&Command::get_challenge())?;
    let Ok(challenge) = challenge.try_into() else {
        return Ok(None);
    };
    let mut fill = [0; MODULUS_LEN_MAX];
    getrandom::fill(&mut fill).expect("the system gives random numbers");
    let enciphered = encipher_pin(key, pin, challenge, &fill).ok_or(Trouble::CardUnusable)?;
    let (_, status) = reader.send(&Command::verify_enciphered(&enciphered))?;
    Ok(Some(status))
}
