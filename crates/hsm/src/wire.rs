//! What travels between [`RemoteHsm`](crate::RemoteHsm) and [`serve`](crate::serve()).
//!
//! | part | bytes | meaning |
//! |---|---|---|
//! | length | 4, big-endian | of what follows, 8 to [`FRAME_LEN_MAX_BYTES`] |
//! | id | 8, big-endian | chosen by the client, repeated in the answer |
//! | body | the rest | postcard of [`Request`], or of the `Result` of the call it names |
//!
//! Answers come in the order of the requests of their connection, but a client goes by the id.

use cards::{Pan, PinReference, Scheme, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::seam::{
    CheckRequest, ChipAnswerRequest, ClearMessage, DeskRecord, EnvelopeRequest, HistoryMark, HistoryPoint,
    HsmCard, Ibm3624Rule, ImportPin, KeyName, KeyPurpose, MessageToMac, MessageWithMac, RevealWhich,
    SealedEnvelope, ShownHistory, StateToSeal,
};

/// Longest frame, its length field not counted. A batch of 128 checks has about 60 KB.
pub(crate) const FRAME_LEN_MAX_BYTES: usize = 4 * 1024 * 1024;

pub(crate) const LENGTH_LEN_BYTES: usize = 4;
const ID_LEN_BYTES: usize = 8;

/// One call of [`PaymentHsm`](crate::PaymentHsm) or [`KeyAdmin`](crate::KeyAdmin), or about the desk's history.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    CardKeys(Vec<Pan>),
    SealPans(Vec<Pan>),
    SealStates(Vec<StateToSeal>),
    Check(Vec<CheckRequest>),
    AnswerChip(Vec<ChipAnswerRequest>),
    MakeMacs(Vec<MessageToMac>),
    CheckMacs(Vec<MessageWithMac>),
    ImportPins(Vec<ImportPin>),
    CanCompare(Vec<PinReference>),
    MovePin(HsmCard, Pan),
    OpenEnvelope(EnvelopeRequest),
    CreatePin(HsmCard, SealedEnvelope),
    ChangePin(HsmCard, SealedEnvelope),
    RevealPin(HsmCard, RevealWhich, SealedEnvelope),
    SealMessages(Vec<ClearMessage>),
    OpenMessages(Vec<Vec<u8>>),
    MacDeskRecords(Vec<DeskRecord>),
    AnchorAudit(u64, [u8; 32]),
    Keys,
    GenerateKey(KeyName, KeyPurpose, Timestamp),
    LoadComponents(KeyName, Vec<String>, Timestamp),
    ExportKey(KeyName, KeyName),
    ImportKey(KeyName, KeyPurpose, String, KeyName, Timestamp),
    ReplaceKey(KeyName, String, KeyName, Option<String>, Timestamp),
    DropFormerKey(KeyName),
    SetIbm3624Rule(KeyName, Ibm3624Rule),
    Personalise(HsmCard, Scheme, KeyName, KeyName),
    EnvelopeIdentity,
    HistoryMark,
    ShowHistory(ShownHistory),
    AcceptHistory(Option<HistoryMark>, HistoryPoint),
}

/// The bytes aren't a frame of ours. Says nothing about their content.
#[derive(Debug, thiserror::Error)]
#[error("a frame on the HSM's socket is malformed or too long")]
pub(crate) struct BadFrame;

/// Appends one frame. Refuses a body that makes it longer than [`FRAME_LEN_MAX_BYTES`]; `out` is then as before.
pub(crate) fn append_frame(out: &mut Vec<u8>, id: u64, body: &impl Serialize) -> Result<(), BadFrame> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_LEN_BYTES]);
    out.extend_from_slice(&id.to_be_bytes());
    let mut framed = postcard::to_extend(body, std::mem::take(out)).map_err(|_| BadFrame)?;
    let len = framed.len() - start - LENGTH_LEN_BYTES;
    if len > FRAME_LEN_MAX_BYTES {
        framed.truncate(start);
        *out = framed;
        return Err(BadFrame);
    }
    let len = u32::try_from(len).expect("at most 4 MiB, just checked");
    framed
        .get_mut(start..start + LENGTH_LEN_BYTES)
        .expect("appended above")
        .copy_from_slice(&len.to_be_bytes());
    *out = framed;
    Ok(())
}

/// Length of the frame that follows these four bytes. Refuses one without room for an id, and one that is too long.
pub(crate) fn frame_len(length: [u8; LENGTH_LEN_BYTES]) -> Result<usize, BadFrame> {
    let len = usize::try_from(u32::from_be_bytes(length)).map_err(|_| BadFrame)?;
    (ID_LEN_BYTES..=FRAME_LEN_MAX_BYTES)
        .contains(&len)
        .then_some(len)
        .ok_or(BadFrame)
}

/// Splits a frame into its id and body.
pub(crate) fn split_id(frame: &[u8]) -> Result<(u64, &[u8]), BadFrame> {
    let (id, body) = frame.split_first_chunk::<ID_LEN_BYTES>().ok_or(BadFrame)?;
    Ok((u64::from_be_bytes(*id), body))
}

/// Reads a body. Refuses bytes that are left over.
pub(crate) fn read_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, BadFrame> {
    let (value, rest) = postcard::take_from_bytes(body).map_err(|_| BadFrame)?;
    rest.is_empty().then_some(value).ok_or(BadFrame)
}
