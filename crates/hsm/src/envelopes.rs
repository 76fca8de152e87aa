//! The PIN envelopes that are open: each is taken out once, by whoever comes first, whatever comes of it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cards::{CardRef, Timestamp};
use paycrypto::account::AccountDigits;

use crate::dice;
use crate::ecdh::OneTimeKey;
use crate::seam::{ENVELOPE_TTL_MS, EnvelopeRequest, HsmError, HsmRefusal, PinOperation, SealedEnvelope};

/// Envelopes open at one time, expired ones not counted.
pub(crate) const ENVELOPES_OPEN_MAX: usize = 10_000;

const ACCOUNT_LEN_DIGITS: usize = 16;

/// The envelopes that are open, by nonce.
#[derive(Default)]
pub(crate) struct Envelopes {
    open: Mutex<HashMap<[u8; 16], Envelope>>,
}

/// What the HSM remembers of one open envelope.
pub(crate) struct Envelope {
    pub(crate) card: CardRef,
    pub(crate) session: [u8; 32],
    pub(crate) operation: PinOperation,
    pub(crate) pin_len_digits: usize,
    pub(crate) expires: Timestamp,
    pub(crate) key: OneTimeKey,
    /// 16 decimal digits, ASCII.
    pub(crate) account: String,
}

impl Envelope {
    /// A new envelope with its own key and account.
    pub(crate) fn new(request: &EnvelopeRequest) -> Result<Self, HsmError> {
        Ok(Self {
            card: request.card,
            session: request.session,
            operation: request.operation,
            pin_len_digits: usize::from(request.pin_len_digits),
            expires: request.now.plus_ms(ENVELOPE_TTL_MS),
            key: OneTimeKey::generate()?,
            account: dice::decimal_digits(ACCOUNT_LEN_DIGITS),
        })
    }

    /// The account of the envelope's format 4 blocks.
    pub(crate) fn account_digits(&self) -> AccountDigits {
        AccountDigits::parse(&self.account).expect("an envelope's account has 16 digits")
    }

    fn serves(&self, card: CardRef, operation: PinOperation, sealed: &SealedEnvelope) -> bool {
        self.card == card
            && self.operation == operation
            && self.session == sealed.session
            && sealed.now < self.expires
    }
}

impl Envelopes {
    /// Keeps an envelope under a new nonce. Answers [`HsmRefusal::Busy`] when too many are open.
    pub(crate) fn keep(&self, envelope: Envelope, now: Timestamp) -> Result<[u8; 16], HsmRefusal> {
        let nonce = dice::bytes();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, other| now < other.expires);
        if open.len() >= ENVELOPES_OPEN_MAX {
            return Err(HsmRefusal::Busy);
        }
        open.insert(nonce, envelope);
        Ok(nonce)
    }

    /// Takes an envelope out for its one evaluation. It is spent from here on, also when this refuses because it was
    /// made for another card, session or operation, or has expired.
    pub(crate) fn take(
        &self,
        card: CardRef,
        operation: PinOperation,
        sealed: &SealedEnvelope,
    ) -> Result<Envelope, HsmRefusal> {
        let taken = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&sealed.nonce);
        taken
            .filter(|envelope| envelope.serves(card, operation, sealed))
            .ok_or(HsmRefusal::Envelope)
    }
}
