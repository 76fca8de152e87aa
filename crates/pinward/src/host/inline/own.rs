//! What the desk itself tells the upstream: reversals of what it left unanswered, advices of what was decided without it.
//!
//! Kept in memory until the upstream answers, repeated while it doesn't. A restart forgets them: the network repeats its
//! own reversals, and what it was told is in the audit trail.

use std::collections::VecDeque;
use std::time::Duration;

use iso8583::build::MessageBuilder;
use iso8583::message::Message;
use iso8583::mti::{
    Class, MTI_0120_AUTHORISATION_ADVICE, MTI_0220_FINANCIAL_ADVICE, MTI_0420_REVERSAL_ADVICE,
    MTI_0421_REVERSAL_ADVICE_REPEAT,
};
use iso8583::original_data::OriginalData;
use issuer::authorise::AuthorisationAnswer;
use tokio::time::Instant;

use super::flights::ExchangeKey;
use super::{UpstreamSettings, pass_on};
use crate::host::HostLink;

/// Messages kept at most; one more is not kept, and the operator is told.
const KEPT_MAX: usize = 100_000;
/// Sent at most this often; then the operator is told.
const TRIES_MAX: u32 = 100;
const PAUSE: Duration = Duration::from_secs(1);

/// Fields that a reversal repeats from its original: no PIN block, no chip data.
const REVERSAL_FIELDS: [u8; 17] = [2, 3, 4, 7, 11, 12, 13, 14, 18, 22, 23, 25, 32, 37, 41, 42, 49];

/// One message to the upstream, as often as it has to be sent.
pub(super) struct OwnMessage {
    /// The network's request that it is about.
    about: Box<[u8]>,
    says: Says,
    tries: u32,
    not_before: Option<Instant>,
}

enum Says {
    Reversed,
    /// Decided without it, with this DE39.
    Decided(Box<AuthorisationAnswer>, Vec<u8>),
}

/// More messages than are kept.
#[derive(Debug, thiserror::Error)]
#[error("{KEPT_MAX} messages to the upstream wait already")]
pub(super) struct TooMany;

/// What still has to be sent.
#[derive(Default)]
pub(super) struct OwnMessages(VecDeque<OwnMessage>);

impl OwnMessage {
    pub(super) fn reversal(about: &[u8]) -> Self {
        Self::new(about, Says::Reversed)
    }

    pub(super) fn advice(about: &[u8], decided: AuthorisationAnswer, code: &[u8]) -> Self {
        Self::new(about, Says::Decided(Box::new(decided), code.to_vec()))
    }

    fn new(about: &[u8], says: Says) -> Self {
        Self {
            about: about.into(),
            says,
            tries: 0,
            not_before: None,
        }
    }

    /// The message as it is to be sent now. `None` where it doesn't fit the upstream's dialect.
    pub(super) fn build<'s>(
        &self,
        link: &HostLink,
        settings: &'s UpstreamSettings,
    ) -> Option<(ExchangeKey, MessageBuilder<'s>)> {
        let about = Message::parse(&self.about, &link.dialect).ok()?;
        let dialect = &settings.dialect;
        let repeated = self.tries > 0;
        let mti = match (&self.says, about.mti().class()) {
            (Says::Reversed, _) if repeated => MTI_0421_REVERSAL_ADVICE_REPEAT,
            (Says::Reversed, _) => MTI_0420_REVERSAL_ADVICE,
            (Says::Decided(..), Class::Financial) => MTI_0220_FINANCIAL_ADVICE,
            (Says::Decided(..), _) => MTI_0120_AUTHORISATION_ADVICE,
        };
        let mut builder = MessageBuilder::new(dialect, dialect.message_type(mti));
        match &self.says {
            Says::Reversed => {
                builder.echo(&about, &REVERSAL_FIELDS).ok()?;
                let original = OriginalData::of(about.mti(), dialect, |number| about.field(number))?;
                let (field, value) = original.field(dialect)?;
                builder.set(field, &value).ok()?;
            }
            Says::Decided(answer, code) => {
                pass_on::request(&mut builder, &about, Some(answer), link, settings).ok()?;
                builder.set(39, code).ok()?;
            }
        }
        let mut frame = Vec::new();
        builder.write_to(&mut frame);
        let key = ExchangeKey::of(&Message::parse(&frame, dialect).ok()?)?;
        Some((key, builder))
    }
}

impl OwnMessages {
    pub(super) fn keep(&mut self, message: OwnMessage) -> Result<(), TooMany> {
        if self.0.len() >= KEPT_MAX {
            return Err(TooMany);
        }
        self.0.push_back(message);
        Ok(())
    }

    /// Keeps one that could not be sent.
    pub(super) fn put_back(&mut self, message: OwnMessage) {
        self.0.push_front(message);
    }

    /// Keeps one that wasn't answered.
    pub(super) fn try_again(&mut self, mut message: OwnMessage) {
        message.tries += 1;
        if message.tries >= TRIES_MAX || self.0.len() >= KEPT_MAX {
            tracing::error!(
                tries = message.tries,
                "the upstream doesn't answer what it is told; given up"
            );
            return;
        }
        message.not_before = Some(Instant::now() + PAUSE);
        self.0.push_back(message);
    }

    /// The next one that is due.
    pub(super) fn next(&mut self, now: Instant) -> Option<OwnMessage> {
        let due = |message: &OwnMessage| message.not_before.is_none_or(|moment| moment <= now);
        let at = self.0.iter().position(due)?;
        self.0.remove(at)
    }
}
