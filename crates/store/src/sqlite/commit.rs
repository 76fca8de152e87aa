//! One transaction of the committer, and how a commit takes effect in it.

use std::collections::HashMap;

use cards::CardRef;
use rusqlite::{Connection, OptionalExtension, Statement};

use crate::{
    AttemptWrite, AuditEvent, Commit, CommitOutcome, MessageRecord, NewState, StepUpSpend,
    chain::{GENESIS, Link},
    sqlite::{card_copy::CardCopy, committer::Failure, rows, statements as sql},
};

/// The writing connection inside a transaction: what a unit of work may do.
pub(super) struct Writing<'c> {
    pub(super) connection: &'c Connection,
    cards: &'c CardCopy,
    begin: Statement<'c>,
    commit: Statement<'c>,
    data_version: Statement<'c>,
    card_version: Statement<'c>,
    move_card: Statement<'c>,
    insert_message: Statement<'c>,
    insert_audit: Statement<'c>,
    chain_head: Statement<'c>,
    /// The newest audit record as this transaction sees it: sequence number and hash.
    head: (u64, [u8; 32]),
    /// The cards that this transaction has written, and their versions.
    written: HashMap<CardRef, u64>,
    /// SQLite's number for the database as we left it; `None` when we don't know how.
    left_at: Option<i64>,
}

impl<'c> Writing<'c> {
    pub(super) fn prepare(connection: &'c Connection, cards: &'c CardCopy) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            cards,
            // The lock comes first: what the transaction reads is what it writes on.
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            data_version: connection.prepare(sql::DATA_VERSION)?,
            card_version: connection.prepare(sql::CARD_VERSION)?,
            move_card: connection.prepare(sql::MOVE_CARD)?,
            insert_message: connection.prepare(sql::INSERT_MESSAGE)?,
            insert_audit: connection.prepare(sql::INSERT_AUDIT)?,
            chain_head: connection.prepare(sql::CHAIN_HEAD)?,
            head: (0, GENESIS),
            written: HashMap::new(),
            left_at: None,
        })
    }

    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        self.begin.execute([])?;
        let found_at = self.data_version.query_row([], |row| row.get(0))?;
        if self.left_at != Some(found_at) {
            let head = self
                .chain_head
                .query_row([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?)))
                .optional()?;
            self.head = head.unwrap_or((0, GENESIS));
            self.cards.empty(Some(self.head.0));
            self.left_at = Some(found_at);
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), Failure> {
        self.commit.execute([])?;
        // Before any answer, so that whoever reads after it finds the cards as they are.
        self.cards
            .move_on(self.head.0, self.written.drain().map(|(card, _)| card));
        Ok(())
    }

    /// Takes everything back. SQLite has done so itself after some failures.
    pub(super) fn roll_back(&mut self) -> rusqlite::Result<()> {
        self.written.clear();
        self.left_at = None;
        self.cards.empty(None);
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.connection.execute_batch("ROLLBACK")
    }

    /// One item of a batch. Whatever its outcome but `Done`, it has written nothing.
    ///
    /// A repeated message is told before anything else: its first arrival may itself have moved the card on and
    /// spent the step-up.
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<CommitOutcome, Failure> {
        if self.version_of(commit.card)? != Some(commit.expected_version) {
            return Ok(match self.recorded(commit)? {
                Some(recorded) => CommitOutcome::Duplicate(recorded),
                None => CommitOutcome::VersionConflict,
            });
        }
        if let Some(spend) = &commit.step_up {
            if let Some(recorded) = self.recorded(commit)? {
                return Ok(CommitOutcome::Duplicate(recorded));
            }
            if spend.card != commit.card || !self.spend_step_up(spend)? {
                return Ok(CommitOutcome::StepUpMissing);
            }
        }
        if let Some(message) = &commit.message
            && !self.insert_message(message)?
        {
            let recorded = self.recorded(commit)?;
            return Ok(CommitOutcome::Duplicate(
                recorded.expect("the row that was in the way"),
            ));
        }
        self.write_effects(commit)?;
        Ok(CommitOutcome::Done {
            audit: self.last_audit(),
        })
    }

    /// The card's version as this transaction sees it; `None` where there is no card.
    pub(super) fn version_of(&mut self, card: CardRef) -> Result<Option<u64>, Failure> {
        if let Some(&version) = self.written.get(&card) {
            return Ok(Some(version));
        }
        if let Some(version) = self.cards.version(card) {
            return Ok(Some(version));
        }
        let version = self
            .card_version
            .query_row([rows::row_id(card)], |row| row.get::<_, i64>(0))
            .optional()?;
        Ok(version.map(i64::cast_unsigned))
    }

    /// Writes the state of a card whose version was just read.
    pub(super) fn move_card(&mut self, card: CardRef, version: u64, new: &NewState) -> Result<(), Failure> {
        let moved = self.move_card.execute((
            new.version.cast_signed(),
            &new.state,
            &new.mac,
            rows::row_id(card),
            version.cast_signed(),
        ))?;
        assert_eq!(moved, 1, "the version was read in this transaction");
        self.note_written(card, new.version);
        Ok(())
    }

    /// To be told of each write of a card's row.
    pub(super) fn note_written(&mut self, card: CardRef, version: u64) {
        self.written.insert(card, version);
    }

    /// Sequence number of the newest audit record as this transaction sees it.
    pub(super) fn last_audit(&self) -> u64 {
        self.head.0
    }

    fn write_effects(&mut self, commit: &Commit) -> Result<(), Failure> {
        if let Some(tombstone) = &commit.tombstone {
            self.connection.prepare_cached(sql::BURY_MESSAGE)?.execute((
                &tombstone.identity,
                &tombstone.content,
                &tombstone.answer,
            ))?;
        }
        if let Some(new) = &commit.new_state {
            self.move_card(commit.card, commit.expected_version, new)?;
        }
        for write in &commit.attempts {
            self.write_attempt(commit.card, write)?;
        }
        for notice in &commit.notices {
            self.connection.prepare_cached(sql::INSERT_NOTICE)?.execute((
                notice.kind,
                notice.cardmember.0,
                &notice.last_four,
                notice.at.0,
                &notice.detail,
            ))?;
        }
        self.append_audit(&commit.audit)
    }

    /// The answer recorded for the commit's message.
    fn recorded(&self, commit: &Commit) -> Result<Option<MessageRecord>, Failure> {
        let Some(message) = &commit.message else {
            return Ok(None);
        };
        let mut select = self.connection.prepare_cached(sql::MESSAGE)?;
        Ok(select.query_row([message.identity], rows::message).optional()?)
    }

    /// Whether it is new.
    fn insert_message(&mut self, message: &MessageRecord) -> Result<bool, Failure> {
        let inserted = self
            .insert_message
            .execute((&message.identity, &message.content, &message.answer))?;
        Ok(inserted == 1)
    }

    /// Whether there was a grant to spend.
    fn spend_step_up(&self, spend: &StepUpSpend) -> Result<bool, Failure> {
        let spent = self.connection.prepare_cached(sql::SPEND_STEP_UP)?.execute((
            &spend.session,
            rows::row_id(spend.card),
            spend.operation,
            spend.not_before.0,
        ))?;
        Ok(spent == 1)
    }

    pub(super) fn write_attempt(&self, card: CardRef, write: &AttemptWrite) -> Result<(), Failure> {
        let card = rows::row_id(card);
        match write {
            AttemptWrite::Sent {
                attempt,
                kind,
                version,
                atc,
                at,
            } => self
                .connection
                .prepare_cached(sql::INSERT_ATTEMPT)?
                .execute((card, attempt, kind, version, atc, at.0))?,
            AttemptWrite::Resolved {
                attempt,
                outcome,
                evidence,
                at,
            } => self
                .connection
                .prepare_cached(sql::RESOLVE_ATTEMPT)?
                .execute((outcome, evidence, at.0, card, attempt))?,
        };
        Ok(())
    }

    /// Links the events to the chain, in order.
    pub(super) fn append_audit(&mut self, events: &[AuditEvent]) -> Result<(), Failure> {
        for event in events {
            let (last, previous) = &self.head;
            let link = Link {
                sequence: last + 1,
                at: event.at.0,
                kind: event.kind,
                card: event.card.map(|card| card.0),
                actor: &event.actor,
                detail: &event.detail,
            };
            let hash = link.hash(previous);
            self.insert_audit.execute((
                link.sequence.cast_signed(),
                link.at,
                link.kind,
                event.card.map(rows::row_id),
                link.actor,
                link.detail,
                &hash,
            ))?;
            self.head = (link.sequence, hash);
        }
        Ok(())
    }
}
