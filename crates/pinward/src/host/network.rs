//! Network management: sign-on and sign-off, echo, and new zone keys.
//!
//! A new key comes as a TR-31 block under the link's key exchange key, in the dialect's field for key blocks. The block's
//! key usage says whether it is the PIN key (`P0`) or the MAC key (`M…`). Behind the block the sender may put the key's check
//! value in hex; the answer carries ours in the same field. The former key is read beside the new one until the next
//! change.
//!
//! Without a MAC key anybody who reaches the port may have sent a message: then a key change is refused unless the link's settings
//! take it, and a sign-off is of its own connection only.

use std::sync::atomic::{AtomicBool, Ordering};

use cards::Timestamp;
use hsm::{HsmError, HsmRefusal, KeyInfo, KeyName};
use iso8583::build::{BuildError, MessageBuilder};
use iso8583::dialect::NetworkAct;
use iso8583::message::Message;
use iso8583::response_code::RESPONSE_00_APPROVED;
use issuer::Fault;
use store::AuditEvent;

use super::refused::Refused;
use super::{HostLink, answer};

/// Version, length, usage: all that is looked at of a block here.
const HEADER_LEN: usize = 16;

/// What a network management message asks.
pub(super) enum Management {
    Done,
    KeyChange(KeyChange),
}

/// A new key on its way to the HSM.
pub(super) struct KeyChange {
    key: KeyName,
    under: KeyName,
    block: String,
    check_value: Option<String>,
}

/// Does what needs no key, and reads what does.
pub(super) fn manage(
    message: &Message<'_>,
    link: &HostLink,
    connection: &AtomicBool,
    now: Timestamp,
    journal: &mut Vec<AuditEvent>,
) -> Result<Management, Refused> {
    match link.dialect.network_act(message).ok_or(Refused::NotServed)? {
        NetworkAct::Echo => Ok(Management::Done),
        NetworkAct::SignOn => Ok(sign(link, connection, false, now, journal)),
        NetworkAct::SignOff => Ok(sign(link, connection, true, now, journal)),
        NetworkAct::KeyChange => key_change(message, link).map(Management::KeyChange),
    }
}

fn sign(
    link: &HostLink,
    connection: &AtomicBool,
    off: bool,
    now: Timestamp,
    journal: &mut Vec<AuditEvent>,
) -> Management {
    let (state, kind) = match (link.mac_key.is_some(), off) {
        (true, true) => (&link.state.signed_off, "link_signed_off"),
        (true, false) => (&link.state.signed_off, "link_signed_on"),
        (false, true) => (connection, "connection_signed_off"),
        (false, false) => (connection, "connection_signed_on"),
    };
    if state.swap(off, Ordering::Relaxed) != off {
        let line = event(link, kind, "{}".to_owned(), now);
        match link.mac_key {
            Some(_) => journal.push(line),
            None => link.state.strangers.write(line, journal),
        }
    }
    Management::Done
}

fn key_change(message: &Message<'_>, link: &HostLink) -> Result<KeyChange, Refused> {
    let under = link
        .key_exchange_key
        .as_ref()
        .ok_or(Refused::KeyChangeNotOffered)?;
    if link.mac_key.is_none() && !link.key_change_without_mac {
        return Err(Refused::KeyChangeWithoutMac);
    }
    let field = link
        .dialect
        .places()
        .key_block
        .ok_or(Refused::KeyChangeNotOffered)?;
    let text = message.field(field).ok_or(Refused::FormatError { field })?;
    let text = std::str::from_utf8(text).map_err(|_| Refused::FormatError { field })?;
    let len: usize = text
        .get(1..5)
        .and_then(|digits| digits.parse().ok())
        .filter(|len| *len >= HEADER_LEN)
        .ok_or(Refused::FormatError { field })?;
    let (block, check_value) = text.split_at_checked(len).ok_or(Refused::FormatError { field })?;
    let key = match block.get(5..7) {
        Some("P0") if !link.pin_format.is_dukpt() => Some(&link.zone_key),
        Some(usage) if usage.starts_with('M') => link.mac_key.as_ref(),
        _ => None,
    };
    let check_value = check_value.trim();
    Ok(KeyChange {
        key: key.ok_or(Refused::BadKeyBlock)?.clone(),
        under: under.clone(),
        block: block.to_owned(),
        check_value: (!check_value.is_empty()).then(|| check_value.to_ascii_uppercase()),
    })
}

/// Has the HSM take the new key. Gives its check value.
pub(super) async fn change_key(
    change: KeyChange,
    link: &HostLink,
    now: Timestamp,
    journal: &mut Vec<AuditEvent>,
) -> Result<Result<String, Refused>, Fault> {
    let name = change.key.0.clone();
    // On record before it is asked of the HSM, so that no change goes unrecorded (I11).
    let asked = event(
        link,
        "link_key_change",
        serde_json::json!({ "key": name }).to_string(),
        now,
    );
    link.desk.store.append_audit(vec![asked]).await?;
    let replaced = link
        .keys
        .replace_key(change.key, change.block, change.under, change.check_value, now)
        .await;
    match replaced {
        Ok(KeyInfo { kcv, former_kcv, .. }) => {
            let detail = serde_json::json!({ "key": name, "kcv": kcv, "former_kcv": former_kcv });
            journal.push(event(link, "link_key_changed", detail.to_string(), now));
            Ok(Ok(kcv))
        }
        Err(HsmError::Refused(refusal)) => {
            tracing::warn!(%refusal, link = &*link.name, key = name, "a new key is refused");
            Ok(Err(match refusal {
                HsmRefusal::KeyCheckValue => Refused::KeyCheckValueDiffers,
                HsmRefusal::KeyUnchanged => Refused::KeyUnchanged,
                HsmRefusal::CardTampered
                | HsmRefusal::PinBlock
                | HsmRefusal::Envelope
                | HsmRefusal::Unsupported
                | HsmRefusal::NoSuchKey
                | HsmRefusal::KeyExists
                | HsmRefusal::KeyBlock(_)
                | HsmRefusal::KeyUsage
                | HsmRefusal::Busy => Refused::BadKeyBlock,
            }))
        }
        Err(HsmError::Fault(fault)) => Err(fault.into()),
    }
}

/// The answer to a key change: its check value where the block was.
pub(super) fn key_changed(
    builder: &mut MessageBuilder<'_>,
    link: &HostLink,
    request: &Message<'_>,
    check_value: &str,
) -> Result<(), BuildError> {
    answer::plain(builder, request, link.code_of(request, &RESPONSE_00_APPROVED))?;
    if let Some(field) = link.dialect.places().key_block {
        builder.set(field, check_value.as_bytes())?;
    }
    Ok(())
}

fn event(link: &HostLink, kind: &'static str, detail: String, now: Timestamp) -> AuditEvent {
    AuditEvent {
        at: now,
        kind,
        card: None,
        actor: format!("link:{}", link.name),
        detail,
    }
}
