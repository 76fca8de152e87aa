//! Verifying the cardmember by the methods of the card's list, in its order (EMV Book 3 10.5).

use emv::apdu::{Command, SW_6983_PIN_BLOCKED, SW_6984_REFERENCE_INVALIDATED, SW_9000_OK};
use emv::bits::{Tvr, TvrBit};
use emv::cvm::{CvmList, CvmMethod, CvmOutcome, CvmResults, CvmRule};
use emv::tags::{TAG_8E_CVM_LIST, TAG_9F17_PIN_TRY_COUNTER};
use emv::tlv;
use paycrypto::pin::Pin;
use paycrypto::pinblock::encode_iso2;

use super::merchant::Merchant;
use super::reader::{CardData, CardReader, CardTrouble};

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
/// `keyed`: PINs keyed one after the other; with none, PIN entry is passed over.
pub(super) fn verify(
    reader: &mut CardReader<'_>,
    card: &CardData,
    merchant: &Merchant,
    cash: bool,
    keyed: &[Pin],
) -> Result<Verification, CardTrouble> {
    let list = CvmList::parse(card.needed(TAG_8E_CVM_LIST)?).ok_or(CardTrouble::Unusable)?;
    let mut verified = Verified {
        results: CvmResults {
            rule: NOT_PERFORMED,
            outcome: CvmOutcome::Failed,
        },
        tvr: Tvr::default(),
        online_pin: false,
        offline_pin_right: false,
        tries_left: None,
        display: Vec::new(),
    };
    for rule in list.rules {
        if !applies(rule, merchant, cash) {
            continue;
        }
        let tried = match rule.method {
            CvmMethod::PlaintextPinOffline => offline_pin(reader, keyed, &mut verified)?,
            CvmMethod::PinOnline if keyed.is_empty() => Tried::Failed(Some(TvrBit::PinNotEntered)),
            CvmMethod::PinOnline => Tried::Unknown,
            CvmMethod::NoCvm => Tried::Successful,
            _ => Tried::Failed(Some(TvrBit::CvmUnknown)),
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
        verified.offline_pin_right = rule.method == CvmMethod::PlaintextPinOffline;
        if verified.online_pin {
            verified.tvr = verified.tvr.with(TvrBit::OnlinePinEntered);
        }
        return Ok(Verification::Done(verified));
    }
    verified.tvr = verified.tvr.with(TvrBit::CvmNotSuccessful);
    Ok(Verification::Done(verified))
}

/// In results: no method was performed.
const NOT_PERFORMED: CvmRule = CvmRule {
    method: CvmMethod::NotPerformed,
    next_if_fails: false,
    condition: 0,
};

/// A shop's PIN pad takes PINs for the chip only, a cash machine's for the host only.
fn applies(rule: CvmRule, merchant: &Merchant, cash: bool) -> bool {
    let supported = match rule.method {
        CvmMethod::PlaintextPinOffline => !merchant.is_cash_machine(),
        CvmMethod::PinOnline => merchant.is_cash_machine(),
        CvmMethod::NoCvm => true,
        _ => false,
    };
    match rule.condition {
        0 => true,
        1 => cash && merchant.is_cash_machine(),
        2 => !cash,
        3 => supported,
        _ => false,
    }
}

/// Looks at the try counter first, so that nobody is asked for a PIN that can't be taken.
fn offline_pin(
    reader: &mut CardReader<'_>,
    keyed: &[Pin],
    verified: &mut Verified,
) -> Result<Tried, CardTrouble> {
    let blocked = Tried::Failed(Some(TvrBit::PinTryLimitExceeded));
    let (counter, _) = reader.send(&Command::get_data(TAG_9F17_PIN_TRY_COUNTER))?;
    if tlv::find(&counter, TAG_9F17_PIN_TRY_COUNTER).ok().flatten() == Some(&[0]) {
        verified.display.push("NO PIN TRIES LEFT ON CARD".to_owned());
        return Ok(blocked);
    }
    for pin in keyed {
        let block = encode_iso2(pin);
        let (_, status) = reader.send(&Command::verify_plaintext(&block))?;
        if status == SW_9000_OK {
            verified.display.push("PIN OK".to_owned());
            return Ok(Tried::Successful);
        }
        if matches!(status, SW_6983_PIN_BLOCKED | SW_6984_REFERENCE_INVALIDATED) {
            return Ok(blocked);
        }
        let tries_left = status.tries_left().ok_or(CardTrouble::Unusable)?;
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
