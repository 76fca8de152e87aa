//! What tells one ISO 8583 message from another (invariant I4).
//!
//! Identity: transmission time (DE7), trace number (DE11), then a hash over acquirer (DE32), both and message class:
//! just what DE90 of a reversal repeats. Time and trace come first because both count up, so that rows arrive nearly in
//! key order; scattered over the pages of their second, each would have a page written for itself. Content: a hash over the fields
//! that a repeat must repeat.

use iso8583::message::Message;
use iso8583::mti::Mti;
use iso8583::original_data::{OriginalData, institution};
use issuer::authorise::MessageIdentity;
use sha2::{Digest, Sha256};

const CONTENT_FIELDS: [u8; 17] = [2, 3, 4, 7, 11, 14, 22, 23, 32, 35, 37, 41, 42, 49, 52, 55, 90];

/// The identity of a received message; `None` when DE7 or DE11 is missing or DE32 is too long.
pub(super) fn identify(message: &Message<'_>) -> Option<MessageIdentity> {
    let acquirer = institution(message.field(32).unwrap_or_default())?;
    let transmitted = message.field(7)?.try_into().ok()?;
    let trace = message.field(11)?.try_into().ok()?;
    let mut content = Sha256::new();
    for number in CONTENT_FIELDS {
        if let Some(value) = message.field(number) {
            content.update([number]);
            content.update(
                u16::try_from(value.len())
                    .expect("a frame has at most 4,096 bytes")
                    .to_be_bytes(),
            );
            content.update(value);
        }
    }
    Some(MessageIdentity {
        identity: identity(acquirer, transmitted, trace, message.mti()),
        content: content.finalize().into(),
    })
}

/// The identity of the message that a reversal's DE90 names.
pub(super) fn original(data: &OriginalData) -> [u8; 16] {
    identity(data.acquirer, data.transmitted, data.trace, data.mti)
}

fn identity(acquirer: [u8; 11], transmitted: [u8; 10], trace: [u8; 6], mti: Mti) -> [u8; 16] {
    let [_version, class, _function, _origin] = mti.digits();
    let mut hash = Sha256::new();
    hash.update(acquirer);
    hash.update(transmitted);
    hash.update(trace);
    hash.update([class]);
    let hash: [u8; 32] = hash.finalize().into();
    let mut identity = [0; 16];
    let bcd = [&transmitted[..], &trace[..]]
        .into_iter()
        .flat_map(|digits| digits.chunks_exact(2))
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | (digit & 0x0F)));
    for (place, byte) in identity.iter_mut().zip(bcd.chain(hash)) {
        *place = byte;
    }
    identity
}
