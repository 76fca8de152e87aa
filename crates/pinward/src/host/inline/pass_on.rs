//! What goes on to the upstream, and what of its answer goes back.

use std::fmt::Write;

use emv::tags::{
    TAG_71_SCRIPT_BEFORE_FINAL_AC, TAG_72_SCRIPT_AFTER_FINAL_AC, TAG_91_ISSUER_AUTHENTICATION_DATA,
};
use iso8583::build::{BuildError, MessageBuilder};
use iso8583::dialect::Dialect;
use iso8583::message::Message;
use issuer::authorise::{AuthorisationAnswer, Decision, Transaction};

use super::{Passed, UpstreamSettings};
use crate::config::UnknownCards;
use crate::host::{HostLink, request};

const FIELD_39_RESPONSE_CODE: u8 = 39;
const FIELD_55_CHIP_DATA: u8 = 55;
/// PIN block, security control information, MACs: between the network and the desk only.
const FIELDS_OF_THE_DESK: [u8; 4] = [52, 53, 64, 128];

/// MACs are of one leg, whatever else goes on.
const MACS: [u8; 2] = [64, 128];

/// DE39 of 1987 that approve: approved, with identification, in part, VIP.
const APPROVING: [[u8; 2]; 4] = [*b"00", *b"08", *b"10", *b"11"];

/// Puts a request as the upstream gets it: all that the network sent but PINs, their keys' numbers and MACs, and what the
/// desk found in the mark field. PINs too where it verifies them: in a dual run, which has no mark, and by setting those of
/// cards that the desk doesn't have.
pub(super) fn request(
    builder: &mut MessageBuilder<'_>,
    message: &Message<'_>,
    decided: Option<&AuthorisationAnswer>,
    link: &HostLink,
    settings: &UpstreamSettings,
) -> Result<(), BuildError> {
    let is_unknown = decided.is_some_and(|decided| decided.decision == Decision::UnknownCard);
    let verifies_pin = settings.dual_run || is_unknown && settings.unknown_cards == UnknownCards::PassWithPin;
    for field in message.fields() {
        let is_withheld = MACS.contains(&field) || !verifies_pin && is_private(field, link);
        let is_mark = field == settings.mark_field && !settings.dual_run;
        if !is_withheld && !is_mark {
            builder.set(field, message.field(field).unwrap_or_default())?;
        }
    }
    if !settings.dual_run {
        builder.set(settings.mark_field, mark(message, decided, link).as_bytes())?;
    }
    Ok(())
}

/// Whether a field of a request is between the network and the desk only.
pub(super) fn is_private(field: u8, link: &HostLink) -> bool {
    let places = link.dialect.places();
    FIELDS_OF_THE_DESK.contains(&field)
        || [link.new_pin_field, places.new_pin, places.key_serial].contains(&Some(field))
}

/// What the desk found, for the upstream:
///
/// | name | values |
/// |---|---|
/// | `PIN` | `match`, `not_compared`, and with a decline `no_match`, `unreadable`, `no_reference` |
/// | `AC` | the chip's cryptogram: `valid`, `invalid`, `not_checked`; `none` where no chip data came |
/// | `CHIP_PIN` | whether the chip itself verified a PIN, by its valid cryptogram: `yes`, `no` |
/// | `DESK` | the decision's name in the journal; `NotJudged` for messages that the desk passes on unread |
/// | `SIGNALS` | fraud signals, joined by `+`; absent where there are none |
/// | `CODE` | `unlisted` where the link's table hasn't the processing code: nothing was said about money; else absent |
pub(super) fn mark(message: &Message<'_>, decided: Option<&AuthorisationAnswer>, link: &HostLink) -> String {
    let checked = decided.map(|decided| decided.checked).unwrap_or_default();
    let cryptogram = match (checked.cryptogram_valid, message.field(FIELD_55_CHIP_DATA)) {
        (Some(true), _) => "valid",
        (Some(false), _) => "invalid",
        (None, Some(_)) => "not_checked",
        (None, None) => "none",
    };
    let chip_pin = if checked.offline_pin_verified { "yes" } else { "no" };
    let decision = decided.map_or_else(
        || "NotJudged".to_owned(),
        |decided| format!("{:?}", decided.decision),
    );
    let mut mark = format!(
        "PIN={};AC={cryptogram};CHIP_PIN={chip_pin};DESK={decision}",
        checked.pin.name(),
    );
    let signals = decided.map_or(&[][..], |decided| &decided.signals);
    for (at, signal) in signals.iter().enumerate() {
        let before = if at == 0 { ";SIGNALS=" } else { "+" };
        write!(mark, "{before}{}", signal.name()).expect("a string takes what is written to it");
    }
    let is_unlisted = request::transaction(message, link) == Ok(Transaction::Other);
    if is_unlisted && decided.is_some_and(|decided| decided.decision != Decision::UnknownCard) {
        mark.push_str(";CODE=unlisted");
    }
    mark
}

/// The upstream's answer can't be passed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it has no response code")]
    NoResponseCode,
    #[error(transparent)]
    Unfit(#[from] BuildError),
}

/// Puts the upstream's answer as the network gets it: nothing replaced but the chip's answer and script, which are the
/// desk's.
pub(super) fn answer(
    builder: &mut MessageBuilder<'_>,
    request: &Message<'_>,
    answer: &Message<'_>,
    passed: &Passed,
    link: &HostLink,
    settings: &UpstreamSettings,
) -> Result<(), Unusable> {
    answer
        .field(FIELD_39_RESPONSE_CODE)
        .ok_or(Unusable::NoResponseCode)?;
    builder.reset(request.mti().response().expect("only requests are passed on"));
    let private = [
        link.new_pin_field,
        Some(settings.mark_field),
        Some(FIELD_55_CHIP_DATA),
    ];
    for field in answer.fields() {
        if FIELDS_OF_THE_DESK.contains(&field) || private.contains(&Some(field)) {
            continue;
        }
        builder.set(field, answer.field(field).unwrap_or_default())?;
    }
    let theirs = answer.field(FIELD_55_CHIP_DATA).unwrap_or_default();
    let judged = passed.decided.as_deref();
    let judged = judged.filter(|decided| !settings.dual_run && decided.decision != Decision::UnknownCard);
    let chip = judged.map_or_else(
        || theirs.to_vec(),
        |decided| {
            let ours = if approves(answer, &settings.dialect) {
                decided.chip.as_deref()
            } else {
                decided.chip_if_declined.as_deref().or(decided.chip.as_deref())
            };
            chip_data(theirs, ours.unwrap_or_default())
        },
    );
    if !chip.is_empty() {
        builder.set(FIELD_55_CHIP_DATA, &chip)?;
    }
    Ok(())
}

/// The upstream's DE55 with the desk's answer and script instead of its own; unreadable, it is left out. Its own are dropped
/// also where the desk has none: the chip would count a script that the desk doesn't know of (ADR 0007).
fn chip_data(theirs: &[u8], ours: &[u8]) -> Vec<u8> {
    let mut chip = ours.to_vec();
    for object in emv::tlv::parse(theirs).unwrap_or_default() {
        let is_ours = matches!(
            object.tag,
            TAG_91_ISSUER_AUTHENTICATION_DATA | TAG_71_SCRIPT_BEFORE_FINAL_AC | TAG_72_SCRIPT_AFTER_FINAL_AC
        );
        if !is_ours {
            emv::tlv::put(&mut chip, object.tag, object.value);
        }
    }
    chip
}

/// Whether an answer of the upstream says no. One without DE39 says neither.
pub(super) fn declines(answer: &Message<'_>, dialect: &Dialect) -> bool {
    answer.field(FIELD_39_RESPONSE_CODE).is_some() && !approves(answer, dialect)
}

/// Whether an answer of the upstream approves.
pub(super) fn approves(answer: &Message<'_>, dialect: &Dialect) -> bool {
    let Some(field) = answer.field(FIELD_39_RESPONSE_CODE) else {
        return false;
    };
    // Action codes of 1993 that begin with 0 approve.
    let of_1993 = field.len() == 3 && field.first() == Some(&b'0');
    of_1993
        || dialect
            .response_code_1987(answer.mti().class(), field)
            .is_some_and(|code| APPROVING.contains(&code))
}
