//! Reads authorisation requests and reversals out of ISO 8583 messages.

use cards::{Expiry, Pan, Psn};
use hsm::ZonePin;
use iso8583::message::Message;
use iso8583::original_data::OriginalData;
use iso8583::response_code::{
    RESPONSE_12_INVALID_TRANSACTION, RESPONSE_14_INVALID_CARD, RESPONSE_30_FORMAT_ERROR,
};
use iso8583::values::{self, EntryMode, ProcessingCode};
use issuer::authorise::{AuthorisationRequest, Authority, CardEntry, RequestKind, Transaction};
use issuer::reverse::Reversal;

use super::{HostLink, identity};

/// A message that is refused before any card is looked at, with its response code (DE39).
pub(super) struct NotARequest(pub(super) [u8; 2]);

const FORMAT_ERROR: NotARequest = NotARequest(RESPONSE_30_FORMAT_ERROR);

/// An 0100 or 0200.
///
/// Refuses: DE2 and DE35 both missing; DE3, DE4, DE7, DE11, DE22 or DE49 missing or malformed (30); a transaction
/// type other than purchase, cash, balance (12); a PAN that is none (14).
pub(super) fn authorisation(
    message: &Message<'_>,
    link: &HostLink,
) -> Result<AuthorisationRequest, NotARequest> {
    let needed = |number| message.field(number).ok_or(FORMAT_ERROR);
    let (pan, track_expiry) = card_number(message)?;
    let code = ProcessingCode::parse(needed(3)?).ok_or(FORMAT_ERROR)?;
    let transaction = match &code.transaction_type {
        b"00" => Transaction::Purchase,
        b"01" => Transaction::Cash,
        b"31" => Transaction::Balance,
        _ => return Err(NotARequest(RESPONSE_12_INVALID_TRANSACTION)),
    };
    let currency = values::number(needed(49)?).and_then(|number| u16::try_from(number).ok());
    let expiry = message
        .field(14)
        .map(|field| yymm(field).ok_or(FORMAT_ERROR))
        .transpose()?;
    let psn = message
        .field(23)
        .map(|field| card_sequence_number(field).ok_or(FORMAT_ERROR))
        .transpose()?;
    let entry = EntryMode::parse(needed(22)?).ok_or(FORMAT_ERROR)?;
    Ok(AuthorisationRequest {
        message: identity::identify(message).ok_or(FORMAT_ERROR)?,
        kind: RequestKind::Request,
        authority: Authority::Here,
        pan,
        psn,
        expiry: expiry.or(track_expiry),
        transaction,
        amount_minor: values::number(needed(4)?).ok_or(FORMAT_ERROR)?,
        currency: currency.ok_or(FORMAT_ERROR)?,
        entry: card_entry(entry.card),
        terminal: message.field(41).and_then(|terminal| terminal.try_into().ok()),
        pin: message.field(52).map(|block| ZonePin {
            zone_key: link.zone_key.clone(),
            format: link.pin_format,
            block: block.to_vec(),
        }),
        new_pin: None,
        chip: message.field(55).map(<[u8]>::to_vec),
        link: link.name.clone(),
    })
}

/// An 0400 or 0420: DE90 names the original. DE55 may hold the terminal's script results (9F5B).
pub(super) fn reversal(message: &Message<'_>, link: &HostLink) -> Result<Reversal, NotARequest> {
    let original = message
        .field(90)
        .and_then(OriginalData::parse)
        .ok_or(FORMAT_ERROR)?;
    let script_results = message.field(55).and_then(|chip| {
        let objects = emv::tlv::parse(chip).ok()?;
        let results = objects
            .iter()
            .find(|object| object.tag == emv::tags::TAG_9F5B_SCRIPT_RESULTS)?;
        Some(results.value.to_vec())
    });
    Ok(Reversal {
        message: identity::identify(message).ok_or(FORMAT_ERROR)?,
        original: identity::original(&original),
        pan: card_number(message)?.0,
        script_results,
        link: link.name.clone(),
    })
}

/// DE2, or the PAN and expiry in track 2 (DE35: PAN, `=` or `D`, YYMM, …).
fn card_number(message: &Message<'_>) -> Result<(Pan, Option<Expiry>), NotARequest> {
    let invalid = |_| NotARequest(RESPONSE_14_INVALID_CARD);
    if let Some(field) = message.field(2) {
        return Ok((Pan::parse_bytes(field).map_err(invalid)?, None));
    }
    let track = message.field(35).ok_or(FORMAT_ERROR)?;
    let mut parts = track.splitn(2, |byte| matches!(byte, b'=' | b'D'));
    let pan = Pan::parse_bytes(parts.next().unwrap_or_default()).map_err(invalid)?;
    let expiry = parts
        .next()
        .and_then(|rest| rest.get(..4))
        .and_then(yymm)
        .ok_or(FORMAT_ERROR)?;
    Ok((pan, Some(expiry)))
}

fn yymm(field: &[u8]) -> Option<Expiry> {
    Expiry::parse_yymm(std::str::from_utf8(field).ok()?)
}

fn card_sequence_number(field: &[u8]) -> Option<Psn> {
    Psn::new(u8::try_from(values::number(field)?).ok()?)
}

fn card_entry(entry: values::CardEntry) -> CardEntry {
    match entry {
        values::CardEntry::ContactChip => CardEntry::Contact,
        values::CardEntry::ContactlessChip => CardEntry::Contactless,
        values::CardEntry::Fallback => CardEntry::Fallback,
        values::CardEntry::MagneticStripe | values::CardEntry::ContactlessMagneticStripe => {
            CardEntry::MagneticStripe
        }
        values::CardEntry::Manual
        | values::CardEntry::CardOnFile
        | values::CardEntry::Ecommerce
        | values::CardEntry::Other(_) => CardEntry::NotPresent,
    }
}
