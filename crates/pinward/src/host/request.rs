//! Reads authorisation requests, advices and reversals out of ISO 8583 messages.

use cards::{Expiry, Pan, Psn};
use hsm::ZonePin;
use iso8583::message::Message;
use iso8583::mti::Function;
use iso8583::original_data::OriginalData;
use iso8583::values::{self, EntryMode, ProcessingCode};
use issuer::authorise::{
    AuthorisationRequest, Authority, CardEntry, MessageIdentity, RequestKind, Transaction,
};
use issuer::reverse::Reversal;

use super::refused::Refused;
use super::{HostLink, identity};
use crate::config::ProcessingCodes;

/// ISO 4217 numeric of "no currency": a PIN service moves no money.
const NO_CURRENCY: u16 = 999;

/// What an authorisation or financial message asks for. A processing code that the link's table hasn't is for the issuer's own host.
///
/// Refuses DE3 missing or malformed, and without such a host a code that isn't in the table.
pub(super) fn transaction(message: &Message<'_>, link: &HostLink) -> Result<Transaction, Refused> {
    let code = needed(message, 3)?;
    let code = ProcessingCode::parse(code).ok_or(Refused::FormatError { field: 3 })?;
    let listed = link.processing_codes.transaction(code.transaction_type);
    listed
        .or_else(|| link.inline.as_ref().map(|_| Transaction::Other))
        .ok_or(Refused::NotServed)
}

/// An authorisation or financial request, or an advice.
///
/// Refuses: DE2 and DE35 both missing; DE35 malformed, or with another PAN or expiry than DE2 and DE14; DE7 (1993: DE12) or DE11 missing or malformed; DE4, DE22 or DE49 malformed, or missing where
/// they are judged; a PIN block without the key serial number that the link's PIN format needs; a PAN that is none.
pub(super) fn authorisation(
    message: &Message<'_>,
    transaction: Transaction,
    link: &HostLink,
) -> Result<AuthorisationRequest, Refused> {
    let (pan, track_expiry) = card_number(message)?;
    let expiry = match (optional(message, 14, yymm)?, track_expiry) {
        (Some(told), Some(read)) if told != read => return Err(Refused::FormatError { field: 35 }),
        (told, read) => told.or(read),
    };
    let is_listed = transaction != Transaction::Other;
    let entry = optional(message, 22, |field| {
        Some(card_entry(EntryMode::parse(field)?.card))
    })?;
    let amount = optional(message, 4, values::number)?;
    let currency = optional(message, 49, |field| u16::try_from(values::number(field)?).ok())?;
    let pays = is_listed && !transaction.is_pin_service();
    let kind = match message.mti().function() {
        Function::Advice => RequestKind::Advice,
        Function::Request | Function::Response | Function::AdviceResponse | Function::Notification => {
            RequestKind::Request
        }
    };
    let new_pin = match transaction {
        Transaction::PinChange => match link.new_pin_field {
            Some(field) => zone_pin(message, field, link)?,
            None => None,
        },
        Transaction::Purchase
        | Transaction::Cash
        | Transaction::Balance
        | Transaction::PinUnblock
        | Transaction::Other => None,
    };
    Ok(AuthorisationRequest {
        message: identified(message, link)?,
        kind,
        authority: match &link.inline {
            Some(_) if link.is_dual_run() => Authority::Compared,
            Some(_) => Authority::Elsewhere,
            None => Authority::Here,
        },
        pan,
        psn: optional(message, 23, card_sequence_number)?,
        expiry,
        transaction,
        amount_minor: given_or(amount, pays, 0, 4)?,
        currency: given_or(currency, pays, NO_CURRENCY, 49)?,
        entry: given_or(entry, is_listed, CardEntry::Unknown, 22)?,
        terminal: message.field(41).and_then(|terminal| terminal.try_into().ok()),
        pin: zone_pin(message, 52, link)?,
        new_pin,
        chip: message.field(55).map(<[u8]>::to_vec),
        link: link.name.clone(),
    })
}

/// A reversal, request or advice: it names its original. DE55 may hold the terminal's script results (9F5B), and a
/// cryptogram of the chip's.
pub(super) fn reversal(message: &Message<'_>, link: &HostLink) -> Result<Reversal, Refused> {
    let original_field = link.dialect.places().original_data.unwrap_or(90);
    let original = OriginalData::named_by(&link.dialect, |number| message.field(number)).ok_or(
        Refused::FormatError {
            field: original_field,
        },
    )?;
    let chip = message.field(55);
    let objects = chip
        .and_then(|chip| emv::tlv::parse(chip).ok())
        .unwrap_or_default();
    let value = |tag| {
        objects
            .iter()
            .find(|object| object.tag == tag)
            .map(|object| object.value)
    };
    let has_cryptogram = value(emv::tags::TAG_9F26_APPLICATION_CRYPTOGRAM).is_some();
    Ok(Reversal {
        message: identified(message, link)?,
        original: identity::original(&original, &link.network),
        pan: card_number(message)?.0,
        script_results: value(emv::tags::TAG_9F5B_SCRIPT_RESULTS).map(<[u8]>::to_vec),
        chip: chip.filter(|_| has_cryptogram).map(<[u8]>::to_vec),
        link: link.name.clone(),
    })
}

fn identified(message: &Message<'_>, link: &HostLink) -> Result<MessageIdentity, Refused> {
    identity::identify(message, link).ok_or(Refused::FormatError { field: 11 })
}

fn needed<'m>(message: &'m Message<'_>, field: u8) -> Result<&'m [u8], Refused> {
    message.field(field).ok_or(Refused::FormatError { field })
}

fn optional<T>(
    message: &Message<'_>,
    field: u8,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<T>, Refused> {
    let read = |value| read(value).ok_or(Refused::FormatError { field });
    message.field(field).map(read).transpose()
}

fn given_or<T>(value: Option<T>, needed: bool, otherwise: T, field: u8) -> Result<T, Refused> {
    match value {
        Some(value) => Ok(value),
        None if needed => Err(Refused::FormatError { field }),
        None => Ok(otherwise),
    }
}

/// A PIN block with the key that it is under.
fn zone_pin(message: &Message<'_>, field: u8, link: &HostLink) -> Result<Option<ZonePin>, Refused> {
    let Some(block) = message.field(field) else {
        return Ok(None);
    };
    let ksn = match link.dialect.places().key_serial {
        Some(place) if link.pin_format.is_dukpt() => Some(needed(message, place)?.to_vec()),
        Some(_) | None => None,
    };
    Ok(Some(ZonePin {
        zone_key: link.zone_key.clone(),
        format: link.pin_format.block(),
        ksn,
        block: block.to_vec(),
    }))
}

impl ProcessingCodes {
    fn transaction(&self, code: [u8; 2]) -> Option<Transaction> {
        let all = [
            (&self.purchase, Transaction::Purchase),
            (&self.cash, Transaction::Cash),
            (&self.balance, Transaction::Balance),
            (&self.pin_change, Transaction::PinChange),
            (&self.pin_unblock, Transaction::PinUnblock),
        ];
        all.into_iter()
            .find(|(known, _)| known.iter().any(|known| known.as_bytes() == code))
            .map(|(_, transaction)| transaction)
    }
}

/// The card number of a message, if it has one.
pub(super) fn pan(message: &Message<'_>) -> Option<Pan> {
    card_number(message).ok().map(|(pan, _)| pan)
}

/// DE2, else the PAN of track 2; and the expiry of track 2. Refuses a track that names another card than DE2.
fn card_number(message: &Message<'_>) -> Result<(Pan, Option<Expiry>), Refused> {
    let told = message.field(2).map(parse_pan).transpose()?;
    let track = message.field(35).map(track_2).transpose()?;
    match (told, track) {
        (Some(told), Some((read, _))) if told != read => Err(Refused::FormatError { field: 35 }),
        (Some(pan), Some((_, expiry))) | (None, Some((pan, expiry))) => Ok((pan, Some(expiry))),
        (Some(pan), None) => Ok((pan, None)),
        (None, None) => Err(Refused::FormatError { field: 2 }),
    }
}

/// PAN and expiry of DE35: PAN, `=` or `D`, YYMM, …
fn track_2(track: &[u8]) -> Result<(Pan, Expiry), Refused> {
    let mut parts = track.splitn(2, |byte| matches!(byte, b'=' | b'D'));
    let pan = parse_pan(parts.next().unwrap_or_default())?;
    let expiry = parts
        .next()
        .and_then(|rest| rest.get(..4))
        .and_then(yymm)
        .ok_or(Refused::FormatError { field: 35 })?;
    Ok((pan, expiry))
}

fn parse_pan(field: &[u8]) -> Result<Pan, Refused> {
    Pan::parse_bytes(field).map_err(|_| Refused::CardNumberInvalid)
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
        values::CardEntry::Manual | values::CardEntry::CardOnFile | values::CardEntry::Ecommerce => {
            CardEntry::NotPresent
        }
        values::CardEntry::Other(_) => CardEntry::Unknown,
    }
}
