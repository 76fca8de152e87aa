//! The ISO 8583 face of decisions: the one table of response codes, and the fields of answers.
//!
//! Codes are named as in 1987; a link's dialect, and then its own settings, say what the wire has for them.

use iso8583::build::{BuildError, MessageBuilder};
use iso8583::message::Message;
use iso8583::response_code::*;
use iso8583::values;
use issuer::Fault;
use issuer::authorise::{AuthorisationAnswer, Decision};
use issuer::reverse::ReversalOutcome;

use super::HostLink;

/// Fields that every answer repeats from its request, where present.
const ECHOED: [u8; 13] = [2, 3, 4, 7, 11, 12, 13, 23, 24, 32, 37, 41, 42];

/// DE39 of a decision (`docs/standards.md`, response codes).
pub(super) fn response_code(decision: Decision) -> &'static [u8; 2] {
    match decision {
        Decision::Approved => &RESPONSE_00_APPROVED,
        Decision::UnknownCard | Decision::ExpiryDiffers => &RESPONSE_14_INVALID_CARD,
        Decision::CardInactive | Decision::CardBlocked => &RESPONSE_62_RESTRICTED_CARD,
        Decision::ExpiredCard => &RESPONSE_54_EXPIRED_CARD,
        Decision::ChipDataUnusable | Decision::NewPinMissing => &RESPONSE_30_FORMAT_ERROR,
        Decision::CryptogramInvalid => &RESPONSE_88_CRYPTOGRAM_FAILED,
        Decision::CryptogramReplayed
        | Decision::AmountDiffers
        | Decision::OfflinePinClaimFalse
        | Decision::CounterFarAhead
        | Decision::UnpredictableNumberRepeated
        | Decision::EntryModeDisagrees
        | Decision::FallbackRefused => &RESPONSE_59_SUSPECTED_FRAUD,
        Decision::IncorrectPin => &RESPONSE_55_INCORRECT_PIN,
        Decision::PinTriesExceeded | Decision::UnlocksUsedUp => &RESPONSE_75_PIN_TRIES_EXCEEDED,
        Decision::PinBlockUnreadable => &RESPONSE_81_PIN_BLOCK_ERROR,
        Decision::NewPinUnacceptable => &RESPONSE_71_NEW_PIN_INVALID,
        Decision::PinRequired => &RESPONSE_70_PIN_DATA_REQUIRED,
        Decision::PinNotSet | Decision::ChipRequired | Decision::ReversedBefore => &RESPONSE_05_DO_NOT_HONOUR,
        Decision::AmountTooHigh => &RESPONSE_61_AMOUNT_LIMIT_EXCEEDED,
        Decision::CurrencyNotServed => &RESPONSE_12_INVALID_TRANSACTION,
        Decision::DuplicateDiffers => &RESPONSE_94_DUPLICATE,
        Decision::SystemMalfunction | Decision::KeyMissing => &RESPONSE_96_SYSTEM_MALFUNCTION,
    }
}

/// DE39 of a reversal.
pub(super) fn reversal_code(outcome: ReversalOutcome) -> [u8; 2] {
    match outcome {
        ReversalOutcome::Accepted => RESPONSE_00_APPROVED,
        ReversalOutcome::UnknownCard => RESPONSE_14_INVALID_CARD,
        ReversalOutcome::DuplicateDiffers => RESPONSE_94_DUPLICATE,
    }
}

/// DE39 when nothing could be decided.
pub(super) fn fault_code(fault: &Fault) -> [u8; 2] {
    match fault {
        Fault::Hsm(_) => RESPONSE_91_ISSUER_INOPERATIVE,
        Fault::Store(_)
        | Fault::HsmRefused(_)
        | Fault::State { .. }
        | Fault::CardTampered(_)
        | Fault::RecordEdited { .. }
        | Fault::Programme { .. } => RESPONSE_96_SYSTEM_MALFUNCTION,
    }
}

/// An answer with nothing but its code.
pub(super) fn plain(
    builder: &mut MessageBuilder<'_>,
    request: &Message<'_>,
    code: &[u8],
) -> Result<(), BuildError> {
    builder
        .echo(request, &ECHOED)?
        .set(39, code)?
        .echo(request, &[49, 70])?;
    Ok(())
}

/// The answer to a request that another host should have decided: its code, and for the chip what goes with a decline.
pub(super) fn declined_later(
    builder: &mut MessageBuilder<'_>,
    request: &Message<'_>,
    code: &[u8],
    answer: &AuthorisationAnswer,
) -> Result<(), BuildError> {
    plain(builder, request, code)?;
    if let Some(chip) = &answer.chip_if_declined {
        builder.set(55, chip)?;
    }
    Ok(())
}

/// The answer to an authorisation or financial request or advice.
pub(super) fn authorisation(
    builder: &mut MessageBuilder<'_>,
    link: &HostLink,
    request: &Message<'_>,
    answer: &AuthorisationAnswer,
) -> Result<(), BuildError> {
    builder.echo(request, &ECHOED)?;
    if let Some(code) = &answer.approval_code {
        builder.set(38, code)?;
    }
    builder
        .set(39, link.decision_code(request, answer.decision))?
        .echo(request, &[49])?;
    if let (Some(balance), Some(currency)) = (answer.balance_minor, request.field(49)) {
        builder.set(54, &additional_amount(balance, currency))?;
    }
    if let Some(chip) = &answer.chip {
        builder.set(55, chip)?;
    }
    Ok(())
}

/// DE54, one amount: account type 00, amount type 02 (available), currency, C, 12 digits.
fn additional_amount(minor: u64, currency: &[u8]) -> Vec<u8> {
    let amount = values::digits::<12>(minor).expect("a programme's limit has at most 12 digits");
    [&b"0002"[..], currency, b"C", &amount].concat()
}
