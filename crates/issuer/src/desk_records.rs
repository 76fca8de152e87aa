//! Passwords, sessions and step-ups, each under the HSM's MAC: whoever writes into the database without the HSM signs in as
//! nobody and spends nothing.
//!
//! A row whose MAC isn't right is never used. It goes on record, and the request ends in [`Fault::RecordEdited`]: nobody is
//! told that a password was wrong, and no try is charged.
//!
//! What is left to a writer of the database: to remove rows, and to put a row back as it was. An older password counts
//! again then. A session counts again for whoever still has its token, until it would have ended anyway. A spent step-up
//! counts again in a live session of the same cardmember, for the same card and operation, until [`STEP_UP_TTL_MS`]
//! after it was granted.

use cards::{CardRef, CardmemberId, Timestamp};
use hsm::{DeskRecord, DeskRecordKind, DeskRecordMac, HsmFault};
use store::{AuditEvent, CardmemberRecord, SessionRecord, StepUpGrant, StepUpSpend};

use crate::counted::only;
use crate::desk::OpenCard;
use crate::{ActError, Actor, Desk, Fault, Refusal};

/// How long a step-up may wait to be spent: 5 minutes, in milliseconds (I8).
pub const STEP_UP_TTL_MS: i64 = 5 * 60 * 1000;

/// The cardmember gave the password again, for one operation on one card.
#[derive(Clone, Debug)]
pub struct GrantStepUp {
    pub actor: Actor,
    /// When the actor's session was opened.
    pub opened_at: Timestamp,
    /// Hash of the token that the session has from now on.
    pub renewed: [u8; 32],
    pub card: CardRef,
    /// Name under which it is spent.
    pub operation: &'static str,
}

/// There is a step-up for an act, with the HSM's MAC. The commit spends it.
#[derive(Debug)]
pub(crate) struct StepUpPassed {
    pub(crate) spend: StepUpSpend,
}

impl Desk {
    /// Sets a cardmember's password, which ends their sessions.
    pub async fn set_password(
        &self,
        cardmember: &CardmemberRecord,
        hash: String,
        audit: AuditEvent,
    ) -> Result<(), Fault> {
        let mac = self.mac(credential(cardmember, &hash)).await?.0;
        Ok(self.store.set_password(cardmember.id, hash, mac, audit).await?)
    }

    /// The hash of the password of whom a sign-in or step-up names, as it was set by [`Desk::set_password`].
    ///
    /// The HSM is asked about nobody too, so that an HSM out of reach doesn't tell who exists (I12).
    pub async fn password_hash(
        &self,
        found: Option<&CardmemberRecord>,
        now: Timestamp,
    ) -> Result<Option<String>, Fault> {
        let record = match found {
            Some(cardmember) => credential(
                cardmember,
                cardmember.password_hash.as_deref().unwrap_or_default(),
            ),
            None => DeskRecord {
                kind: DeskRecordKind::Credential,
                content: Vec::new(),
            },
        };
        let mac = self.mac(record).await?;
        let Some(cardmember) = found else {
            return Ok(None);
        };
        match (&cardmember.password_hash, cardmember.password_mac) {
            (None, None) => Ok(None),
            (Some(hash), Some(stored)) if mac.is(&stored) => Ok(Some(hash.clone())),
            (None | Some(_), None | Some(_)) => {
                Err(self.edited(DeskRecordKind::Credential, cardmember.id, now).await)
            }
        }
    }

    /// Opens a session under a token of this hash, as of the audit record's moment.
    pub async fn open_session(
        &self,
        token_hash: [u8; 32],
        cardmember: CardmemberId,
        audit: AuditEvent,
    ) -> Result<(), Fault> {
        let opened_at = audit.at;
        let mac = self.mac(session(&token_hash, cardmember, opened_at)).await?.0;
        let opened = SessionRecord {
            token_hash,
            cardmember,
            opened_at,
            seen_at: opened_at,
            mac,
        };
        Ok(self.store.open_session(opened, audit).await?)
    }

    /// The live session under a token of this hash, which counts as seen: as [`store::Store::session`].
    pub async fn session(
        &self,
        token_hash: [u8; 32],
        now: Timestamp,
        idle_since: Timestamp,
        opened_since: Timestamp,
    ) -> Result<Option<SessionRecord>, Fault> {
        let found = self
            .store
            .session(token_hash, now, idle_since, opened_since)
            .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let mac = self
            .mac(session(&token_hash, found.cardmember, found.opened_at))
            .await?;
        if mac.is(&found.mac) {
            Ok(Some(found))
        } else {
            Err(self.edited(DeskRecordKind::Session, found.cardmember, now).await)
        }
    }

    /// Grants a step-up as of the audit record's moment, and gives the session its renewed token. `false`, and nothing is
    /// done, when the session has ended.
    pub async fn grant_step_up(&self, grant: GrantStepUp, audit: AuditEvent) -> Result<bool, Fault> {
        let GrantStepUp {
            actor,
            opened_at,
            renewed,
            card,
            operation,
        } = grant;
        let mac = self
            .mac(step_up(actor.cardmember, card, operation, audit.at))
            .await?
            .0;
        let renewed_mac = self.mac(session(&renewed, actor.cardmember, opened_at)).await?.0;
        let grant = StepUpGrant {
            session: actor.session,
            renewed,
            renewed_mac,
            card,
            operation,
            mac,
        };
        Ok(self.store.grant_step_up(grant, audit).await?)
    }

    /// Whether an unspent step-up is there, not older than [`STEP_UP_TTL_MS`].
    pub async fn has_step_up(
        &self,
        actor: &Actor,
        card: CardRef,
        operation: &'static str,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        let passed = self.step_up(actor, card, operation, now).await?;
        Ok(passed.is_some())
    }

    /// Refuses, before the HSM is asked for what it guards, when no fresh step-up is there. The commit looks again.
    pub(crate) async fn require_step_up(
        &self,
        card: &OpenCard<'_>,
        actor: &Actor,
        operation: &'static str,
        now: Timestamp,
    ) -> Result<StepUpPassed, ActError> {
        let passed = self.step_up(actor, card.row(), operation, now).await?;
        Ok(passed.ok_or(Refusal::StepUpNeeded)?)
    }

    async fn step_up(
        &self,
        actor: &Actor,
        card: CardRef,
        operation: &'static str,
        now: Timestamp,
    ) -> Result<Option<StepUpPassed>, Fault> {
        let spend = StepUpSpend {
            session: actor.session,
            card,
            operation,
            not_before: now.plus_ms(-STEP_UP_TTL_MS),
        };
        let Some(found) = self.store.step_up(spend.clone()).await? else {
            return Ok(None);
        };
        let mac = self
            .mac(step_up(actor.cardmember, card, operation, found.granted_at))
            .await?;
        if mac.is(&found.mac) {
            Ok(Some(StepUpPassed { spend }))
        } else {
            Err(self.edited(DeskRecordKind::StepUp, actor.cardmember, now).await)
        }
    }

    async fn mac(&self, record: DeskRecord) -> Result<DeskRecordMac, HsmFault> {
        only(self.hsm.mac_desk_records(vec![record]).await?, HsmFault::NoAnswer)
    }

    /// Puts an edited row on record.
    async fn edited(&self, kind: DeskRecordKind, cardmember: CardmemberId, now: Timestamp) -> Fault {
        let record = match kind {
            DeskRecordKind::Credential => "password",
            DeskRecordKind::Session => "session",
            DeskRecordKind::StepUp => "step-up",
        };
        let audit = AuditEvent {
            at: now,
            kind: "record_edited",
            card: None,
            actor: "pinward".to_owned(),
            detail: format!(r#"{{"record":"{record}","cardmember":{}}}"#, cardmember.0),
        };
        match self.store.append_audit(vec![audit]).await {
            Ok(()) => Fault::RecordEdited { record, cardmember },
            Err(fault) => fault.into(),
        }
    }
}

/// Cardmember (8 bytes, big-endian), number of bytes of the user ID (4, big-endian), user ID, hash as stored.
fn credential(cardmember: &CardmemberRecord, hash: &str) -> DeskRecord {
    let user_id = cardmember.user_id.as_deref().unwrap_or_default();
    let user_id_len = u32::try_from(user_id.len()).expect("a text in the database is shorter than 4 GiB");
    DeskRecord {
        kind: DeskRecordKind::Credential,
        content: [
            &cardmember.id.0.to_be_bytes()[..],
            &user_id_len.to_be_bytes(),
            user_id.as_bytes(),
            hash.as_bytes(),
        ]
        .concat(),
    }
}

/// Hash of the token (32 bytes), cardmember (8, big-endian), opened at (8, big-endian, milliseconds).
fn session(token_hash: &[u8; 32], cardmember: CardmemberId, opened_at: Timestamp) -> DeskRecord {
    DeskRecord {
        kind: DeskRecordKind::Session,
        content: [
            &token_hash[..],
            &cardmember.0.to_be_bytes(),
            &opened_at.0.to_be_bytes(),
        ]
        .concat(),
    }
}

/// Cardmember (8 bytes, big-endian), card (8), granted at (8, milliseconds), operation.
fn step_up(cardmember: CardmemberId, card: CardRef, operation: &str, granted_at: Timestamp) -> DeskRecord {
    DeskRecord {
        kind: DeskRecordKind::StepUp,
        content: [
            &cardmember.0.to_be_bytes()[..],
            &card.0.to_be_bytes(),
            &granted_at.0.to_be_bytes(),
            operation.as_bytes(),
        ]
        .concat(),
    }
}
