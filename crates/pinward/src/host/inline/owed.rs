//! What the desk itself tells the upstream: a reversal of what it left unanswered, an advice of what was decided without it.
//!
//! It holds an allow-list of fields: no PIN block, no track, nothing of a network's private fields. As it is kept, in no
//! dialect, so that a changed setting doesn't lose it:
//!
//! | part | bytes |
//! |---|---|
//! | version of this layout, 1 | 1 |
//! | name of the link: length (big-endian), text | 2 + n |
//! | message type as first sent | 4 |
//! | class of the request that it is about: second digit of its message type | 1 |
//! | each field: number, length (big-endian), value as in [`Message::field`] | 1 + 2 + n |

use emv::tags::{
    TAG_5F20_CARDHOLDER_NAME, TAG_9F1F_TRACK_1_DISCRETIONARY, TAG_9F20_TRACK_2_DISCRETIONARY, TAG_56_TRACK_1,
    TAG_57_TRACK_2,
};
use hsm::ClearMessage;
use iso8583::build::MessageBuilder;
use iso8583::message::Message;
use iso8583::mti::{
    Class, MTI_0120_AUTHORISATION_ADVICE, MTI_0220_FINANCIAL_ADVICE, MTI_0420_REVERSAL_ADVICE, Mti,
};
use iso8583::original_data::OriginalData;
use issuer::authorise::AuthorisationAnswer;

use super::flights::ExchangeKey;
use super::{UpstreamSettings, pass_on};
use crate::host::{HostLink, request};

const LAYOUT: u8 = 1;

/// Fields that a reversal repeats from its original.
const REVERSAL_FIELDS: [u8; 17] = [2, 3, 4, 7, 11, 12, 13, 14, 18, 22, 23, 25, 32, 37, 41, 42, 49];

/// Fields that an advice repeats from the request that was decided; the chip's data without names and tracks.
const ADVICE_FIELDS: [u8; 36] = [
    2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 28, 32, 33, 37, 40,
    41, 42, 43, 49, 50, 51, 54, 55,
];

/// What of the chip's data isn't kept.
const TRACKS: [emv::tlv::Tag; 5] = [
    TAG_56_TRACK_1,
    TAG_57_TRACK_2,
    TAG_5F20_CARDHOLDER_NAME,
    TAG_9F1F_TRACK_1_DISCRETIONARY,
    TAG_9F20_TRACK_2_DISCRETIONARY,
];

/// One message to the upstream.
pub(in crate::host) struct Owed {
    text: ClearMessage,
    key: ExchangeKey,
    about: ExchangeKey,
}

impl Owed {
    /// Takes a request back. `None` where that doesn't fit the upstream's dialect.
    pub(super) fn reversal(
        about: &Message<'_>,
        link: &HostLink,
        settings: &UpstreamSettings,
    ) -> Option<Self> {
        let dialect = &settings.dialect;
        let original = OriginalData::of(about.mti(), dialect, |number| about.field(number))?;
        let (field, value) = original.field(dialect)?;
        let mut text = Text::new(link, dialect.message_type(MTI_0420_REVERSAL_ADVICE), about);
        text.repeat(about, &REVERSAL_FIELDS);
        text.put(field, &value);
        Self::read(text.finish(), link, settings)
    }

    /// Tells of a request that was decided without the upstream, with this DE39. `None` as above.
    pub(super) fn advice(
        about: &Message<'_>,
        decided: &AuthorisationAnswer,
        code: &[u8],
        link: &HostLink,
        settings: &UpstreamSettings,
    ) -> Option<Self> {
        let mti = match about.mti().class() {
            Class::Financial => MTI_0220_FINANCIAL_ADVICE,
            _ => MTI_0120_AUTHORISATION_ADVICE,
        };
        let mut text = Text::new(link, settings.dialect.message_type(mti), about);
        let repeated = ADVICE_FIELDS
            .into_iter()
            .filter(|field| *field != settings.mark_field && !pass_on::is_private(*field, link));
        text.repeat(about, &repeated.collect::<Vec<_>>());
        if let Some(approval) = &decided.approval_code {
            text.put(38, approval);
        }
        text.put(39, code);
        text.put(
            settings.mark_field,
            pass_on::mark(about, Some(decided), link).as_bytes(),
        );
        Self::read(text.finish(), link, settings)
    }

    /// Reads one as it was kept. `None` for another link's, another layout, and what doesn't fit the upstream's dialect.
    pub(super) fn read(text: ClearMessage, link: &HostLink, settings: &UpstreamSettings) -> Option<Self> {
        let (class, builder) = parse(text.expose_bytes(), link, settings)?;
        let mut frame = Vec::new();
        builder.write_to(&mut frame);
        let key = ExchangeKey::of(&Message::parse(&frame, &settings.dialect).ok()?)?;
        Some(Self {
            text,
            about: key.of_request(class),
            key,
        })
    }

    /// As it is kept.
    pub(super) fn text(&self) -> &ClearMessage {
        &self.text
    }

    /// The exchange that it begins.
    pub(super) fn key(&self) -> ExchangeKey {
        self.key
    }

    /// The network was told of an approval in the upstream's stead, where it was passed on at all.
    pub(super) fn tells_approval(&self) -> bool {
        self.key.is_advice()
    }

    /// The exchange that it is about.
    pub(super) fn about(&self) -> ExchangeKey {
        self.about
    }

    /// The message as it is sent.
    pub(super) fn build<'s>(
        &self,
        link: &HostLink,
        settings: &'s UpstreamSettings,
        repeated: bool,
    ) -> MessageBuilder<'s> {
        let mut frame = self.text.expose_bytes().to_vec();
        if repeated {
            // 0421 repeats 0420, and 1421 1420.
            let mti_ends = 1 + 2 + link.name.len() + 4;
            if let Some(origin) = frame.get_mut(mti_ends - 1) {
                *origin |= 1;
            }
        }
        let (_, builder) = parse(&frame, link, settings).expect("it was read before");
        frame.fill(0);
        builder
    }
}

/// The class of the request that it is about, and the message in the upstream's dialect.
fn parse<'s>(
    text: &[u8],
    link: &HostLink,
    settings: &'s UpstreamSettings,
) -> Option<(u8, MessageBuilder<'s>)> {
    let (&[layout], rest) = text.split_first_chunk()?;
    let (name, rest) = counted(rest)?;
    if layout != LAYOUT || name != link.name.as_bytes() {
        return None;
    }
    let (mti, rest) = rest.split_first_chunk::<4>()?;
    let (&[class], mut rest) = rest.split_first_chunk()?;
    let mut builder = MessageBuilder::new(&settings.dialect, Mti::parse(mti)?);
    while let Some((&field, after)) = rest.split_first() {
        let (value, after) = counted(after)?;
        builder.set(field, value).ok()?;
        rest = after;
    }
    Some((class, builder))
}

fn counted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = text.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*len).into())
}

/// A message on its way to be kept.
struct Text(Vec<u8>);

impl Text {
    fn new(link: &HostLink, mti: Mti, about: &Message<'_>) -> Self {
        let [_, class, _, _] = about.mti().digits();
        let mut text = Self(vec![LAYOUT]);
        text.put_counted(link.name.as_bytes());
        text.0.extend_from_slice(&mti.digits());
        text.0.push(class);
        text
    }

    /// Repeats fields of the request. A card number that it has in its track only comes as DE2.
    fn repeat(&mut self, about: &Message<'_>, fields: &[u8]) {
        if about.field(2).is_none()
            && let Some(pan) = request::pan(about)
        {
            self.put(2, pan.expose_digits().as_bytes());
        }
        for &field in fields {
            match about.field(field) {
                Some(chip) if field == 55 => self.put(field, &without_tracks(chip)),
                Some(value) => self.put(field, value),
                None => {}
            }
        }
    }

    fn put(&mut self, field: u8, value: &[u8]) {
        if !value.is_empty() {
            self.0.push(field);
            self.put_counted(value);
        }
    }

    fn put_counted(&mut self, bytes: &[u8]) {
        let len = u16::try_from(bytes.len()).expect("names and fields are short");
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn finish(self) -> ClearMessage {
        ClearMessage::new(self.0)
    }
}

/// Chip data that can't be read are not kept at all.
fn without_tracks(chip: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(chip.len());
    for object in emv::tlv::parse(chip).unwrap_or_default() {
        if !TRACKS.contains(&object.tag) {
            emv::tlv::put(&mut kept, object.tag, object.value);
        }
    }
    kept
}
