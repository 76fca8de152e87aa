//! What every act works with: the HSM, the store and the programmes; and a card opened for one act.

use std::{collections::HashMap, fmt, sync::Arc};

use cards::{CardRef, CardRole, CardState, CardStatus, CardmemberId, Programme, ProgrammeId, Timestamp};
use hsm::{CheckRequest, HsmCard, HsmFault, PaymentHsm, StateMac, StateToSeal};
use store::{AuditEvent, CardRecord, Commit, CommitOutcome, NewNotice, NewState, Store, StoreFault};

use crate::counted::{one_each, only};
use crate::desk_records::StepUpPassed;
use crate::fraud::UnpredictableNumbers;
use crate::{ActError, Fault, Refusal};

/// The issuer's PIN desk.
#[derive(Clone)]
pub struct Desk {
    pub hsm: Arc<dyn PaymentHsm>,
    pub store: Arc<dyn Store>,
    pub programmes: Arc<HashMap<ProgrammeId, Programme>>,
    /// What terminals sent lately; shared by everything that decides.
    pub unpredictable_numbers: Arc<UnpredictableNumbers>,
}

/// Who asks, for the audit trail and for authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub cardmember: CardmemberId,
    /// SHA-256 of the session's token.
    pub session: [u8; 32],
    /// `web`, `app`.
    pub channel: &'static str,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cardmember:{}", self.cardmember.0)
    }
}

/// One card as it was read for one act. Its decision is committed only while the card is still this one.
pub(crate) struct OpenCard<'a> {
    pub(crate) record: CardRecord,
    pub(crate) state: CardState,
    pub(crate) programme: &'a Programme,
}

/// The effect of an act on an [`OpenCard`], besides its audit records.
#[derive(Default)]
pub(crate) struct Effect {
    pub(crate) next: Option<CardState>,
    pub(crate) step_up: Option<StepUpPassed>,
    pub(crate) notices: Vec<NewNotice>,
}

impl Desk {
    /// Opens a card for its own cardmember. Another's card and no card give the same refusal.
    pub(crate) async fn open_own(&self, card: CardRef, actor: &Actor) -> Result<OpenCard<'_>, ActError> {
        let record = self
            .store
            .card(card)
            .await?
            .filter(|record| record.cardmember == actor.cardmember);
        Ok(self.open(record.ok_or(Refusal::NotYourCard)?)?)
    }

    /// Decodes a card's state. The HSM checks its MAC with the first call that uses it.
    pub(crate) fn open(&self, record: CardRecord) -> Result<OpenCard<'_>, Fault> {
        let card = record.key.row;
        let state = CardState::decode(&record.state).map_err(|cause| Fault::State { card, cause })?;
        let programme = self
            .programmes
            .get(&record.programme)
            .ok_or_else(|| Fault::Programme {
                card,
                programme: record.programme.0.clone(),
            })?;
        Ok(OpenCard {
            record,
            state,
            programme,
        })
    }

    /// Has the HSM check the cards' MACs, for acts that ask the HSM nothing else about them.
    pub(crate) async fn require_untampered(&self, cards: &[OpenCard<'_>]) -> Result<(), Fault> {
        let nothing_else = cards.iter().map(|card| CheckRequest {
            card: card.for_hsm(),
            cryptogram: None,
            pin: None,
            new_pin: None,
        });
        let replies = self.hsm.check(nothing_else.collect()).await?;
        for (card, reply) in cards
            .iter()
            .zip(one_each(replies, cards.len(), HsmFault::NoAnswer)?)
        {
            reply.map_err(|refusal| Fault::of_card(refusal, card.row()))?;
        }
        Ok(())
    }

    /// Seals the next state, commits the whole effect, and tells a conflict as [`Refusal::TryAgain`].
    pub(crate) async fn commit_act(
        &self,
        card: &OpenCard<'_>,
        effect: Effect,
        audit: AuditEvent,
    ) -> Result<(), ActError> {
        let new_state = match effect.next {
            Some(next) => Some(self.seal(card, &next).await?),
            None => None,
        };
        let commit = Commit {
            new_state,
            step_up: effect.step_up.map(|passed| passed.spend),
            notices: effect.notices,
            ..card.commit(audit)
        };
        match only(self.store.commit(vec![commit]).await?, StoreFault)? {
            CommitOutcome::Done { .. } => Ok(()),
            CommitOutcome::VersionConflict => Err(Refusal::TryAgain.into()),
            CommitOutcome::StepUpMissing => Err(Refusal::StepUpNeeded.into()),
            CommitOutcome::Duplicate(_) => unreachable!("an act of a person carries no network message"),
        }
    }

    /// The card's next state with the HSM's MAC.
    pub(crate) async fn seal(&self, card: &OpenCard<'_>, next: &CardState) -> Result<NewState, HsmFault> {
        only(self.seal_all(&[(&card.record, next)]).await?, HsmFault::NoAnswer)
    }

    /// States for cards' records with the HSM's MACs, in order.
    pub(crate) async fn seal_all(
        &self,
        cards: &[(&CardRecord, &CardState)],
    ) -> Result<Vec<NewState>, HsmFault> {
        let to_seal: Vec<StateToSeal> = cards
            .iter()
            .map(|(record, state)| StateToSeal {
                key: record.key,
                pan: record.pan,
                psn: record.psn,
                particulars: particulars(record),
                state: state.encode(),
            })
            .collect();
        let encoded: Vec<Vec<u8>> = to_seal.iter().map(|card| card.state.clone()).collect();
        let macs = self.hsm.seal_states(to_seal).await?;
        let macs = one_each(macs, cards.len(), HsmFault::NoAnswer)?;
        let sealed = cards.iter().zip(encoded).zip(macs);
        Ok(sealed
            .map(|(((_, state), encoded), mac)| NewState {
                version: state.version,
                state: encoded,
                mac: mac.0,
            })
            .collect())
    }

    /// Records with these states and the HSM's MACs, in order, whatever states they had.
    pub(crate) async fn sealed(
        &self,
        cards: Vec<(CardRecord, CardState)>,
    ) -> Result<Vec<CardRecord>, HsmFault> {
        let unsealed: Vec<_> = cards.iter().map(|(record, state)| (record, state)).collect();
        let states = self.seal_all(&unsealed).await?;
        let sealed = cards.into_iter().zip(states);
        Ok(sealed
            .map(|((record, _), NewState { version, state, mac })| CardRecord {
                version,
                state,
                mac,
                ..record
            })
            .collect())
    }
}

/// A card's record as the HSM takes it.
#[must_use]
pub fn hsm_card(record: &CardRecord) -> HsmCard {
    HsmCard {
        key: record.key,
        pan: record.pan,
        psn: record.psn,
        particulars: particulars(record),
        state: record.state.clone(),
        mac: StateMac(record.mac),
    }
}

/// What the HSM's MAC covers of a card's record besides identity and state, so that nobody becomes the owner of another's
/// card by writing into the database: cardmember (8 bytes, big-endian), role (1: 0 basic, 1 supplementary), expiry (year 2,
/// big-endian, month 1), last four digits, programme.
#[must_use]
pub fn particulars(record: &CardRecord) -> Vec<u8> {
    let role = match record.role {
        CardRole::Basic => 0,
        CardRole::Supplementary => 1,
    };
    let (year, month) = record.expiry.year_month();
    [
        &record.cardmember.0.to_be_bytes()[..],
        &[role],
        &year.to_be_bytes(),
        &[month],
        record.last_four.as_bytes(),
        record.programme.0.as_bytes(),
    ]
    .concat()
}

impl OpenCard<'_> {
    pub(crate) fn row(&self) -> CardRef {
        self.record.key.row
    }

    /// The card as the HSM takes it.
    pub(crate) fn for_hsm(&self) -> HsmCard {
        hsm_card(&self.record)
    }

    /// A commit that says so much, and leaves all else as it is.
    pub(crate) fn commit(&self, audit: AuditEvent) -> Commit {
        Commit {
            card: self.row(),
            expected_version: self.record.version,
            new_state: None,
            message: None,
            tombstone: None,
            step_up: None,
            audit: vec![audit],
            attempts: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Its month is over.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        let (year, month) = now.utc_year_month();
        self.record.expiry.is_past(year, month)
    }

    /// Refuses a card whose PIN works nowhere, whatever is done about it.
    pub(crate) fn require_active(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.state.status {
            CardStatus::Active | CardStatus::Inactive if self.is_expired(now) => Err(Refusal::CardExpired),
            CardStatus::Active => Ok(()),
            CardStatus::Inactive => Err(Refusal::CardInactive),
            CardStatus::Blocked => Err(Refusal::CardBlocked),
        }
    }

    /// Refuses while no PIN may be compared or shown.
    pub(crate) fn require_unlocked(&self, now: Timestamp) -> Result<(), Refusal> {
        self.state
            .tries
            .locked(now)
            .map_or(Ok(()), |locked| Err(locked.into()))
    }

    pub(crate) fn audit(
        &self,
        kind: &'static str,
        actor: &Actor,
        now: Timestamp,
        detail: String,
    ) -> AuditEvent {
        AuditEvent {
            at: now,
            kind,
            card: Some(self.row()),
            actor: actor.to_string(),
            detail,
        }
    }

    pub(crate) fn notice(&self, kind: &'static str, now: Timestamp, detail: String) -> NewNotice {
        NewNotice {
            kind,
            cardmember: self.record.cardmember,
            last_four: self.record.last_four.clone(),
            at: now,
            detail,
        }
    }
}
