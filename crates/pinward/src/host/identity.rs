//! What tells one ISO 8583 message from another (invariant I4).
//!
//! Identity, within a network (a link, or links that say that they are of one): transmission time (DE7; in 1993 local time,
//! DE12), trace number (DE11), then a hash over network, acquirer (DE32), both
//! and message class: just what a reversal repeats of its original. An advice has its function hashed too, as it may
//! share all of that with the request that it completes. Time and trace come first because both count up, so that rows
//! arrive nearly in key order; scattered over the pages of their second, each would have a page written for itself.
//! Content: a hash over the fields that a repeat must repeat.

use iso8583::message::Message;
use iso8583::mti::{Class, Function};
use iso8583::original_data::OriginalData;
use issuer::authorise::MessageIdentity;
use sha2::{Digest, Sha256};

use super::HostLink;

const CONTENT_FIELDS: [u8; 18] = [2, 3, 4, 7, 11, 14, 22, 23, 32, 35, 37, 41, 42, 49, 52, 55, 56, 90];

/// The identity of a message received on a link; `None` when DE7 (1993: DE12)
/// or DE11 is missing or DE32 is too long.
pub(super) fn identify(message: &Message<'_>, link: &HostLink) -> Option<MessageIdentity> {
    let itself = OriginalData::of(message.mti(), &link.dialect, |number| message.field(number))?;
    Some(MessageIdentity {
        identity: original(&itself, &link.network),
        content: content(message, link.new_pin_field),
    })
}

/// A hash over what a repeat of this message must repeat.
pub(super) fn content(message: &Message<'_>, new_pin_field: Option<u8>) -> [u8; 32] {
    let mut content = Sha256::new();
    for number in CONTENT_FIELDS.into_iter().chain(new_pin_field) {
        if let Some(value) = message.field(number) {
            let len = u16::try_from(value.len()).expect("a field has at most 999 bytes");
            let [high, low] = len.to_be_bytes();
            content.update([number, high, low]);
            content.update(value);
        }
    }
    content.finalize().into()
}

/// The identity of the message that a reversal names. One of another network finds nothing: a peer can't cast doubt on what
/// isn't its own.
pub(super) fn original(data: &OriginalData, network: &str) -> [u8; 16] {
    let [_version, class, function, _origin] = data.mti.digits();
    let is_advice = matches!(data.mti.class(), Class::Authorisation | Class::Financial)
        && data.mti.function() == Function::Advice;
    let mut hash = Sha256::new();
    hash.update(network);
    hash.update([0]);
    hash.update(data.acquirer);
    hash.update(data.transmitted);
    hash.update(data.trace);
    hash.update([class]);
    if is_advice {
        hash.update([function]);
    }
    let hash: [u8; 32] = hash.finalize().into();
    let mut identity = [0; 16];
    let bcd = [&data.transmitted[..], &data.trace[..]]
        .into_iter()
        .flat_map(|digits| digits.chunks_exact(2))
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | (digit & 0x0F)));
    for (place, byte) in identity.iter_mut().zip(bcd.chain(hash)) {
        *place = byte;
    }
    identity
}
