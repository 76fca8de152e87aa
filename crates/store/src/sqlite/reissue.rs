//! New plastic for a card: under its number, or under a new one.

use cards::CardRef;

use crate::{
    AuditEvent, CardRecord, CommitOutcome, NewState, StoreFault,
    sqlite::{commit::Writing, committer::Failure, import::insert_card, rows, statements as sql},
};

pub(super) struct Reissue {
    old: CardRef,
    expected_version: u64,
    new: CardRecord,
    old_state: Option<NewState>,
    audit: Vec<AuditEvent>,
}

impl Reissue {
    /// Refuses what no transaction could make right; the caller's own mistakes.
    pub(super) fn new(
        old: CardRef,
        expected_version: u64,
        new: CardRecord,
        old_state: Option<NewState>,
        audit: Vec<AuditEvent>,
    ) -> Result<Self, StoreFault> {
        let next = expected_version.wrapping_add(1);
        let same_number = new.key.row == old;
        let refusal = if audit.is_empty() {
            Some("an effect without an audit record")
        } else if old_state.as_ref().is_some_and(|state| state.version != next)
            || (same_number && new.version != next)
        {
            Some("a write of its state counts one version up")
        } else if same_number && old_state.is_some() {
            Some("two states for one card")
        } else {
            None
        };
        match refusal {
            Some(reason) => Err(StoreFault(format!("card {old}: {reason}"))),
            None => Ok(Self {
                old,
                expected_version,
                new,
                old_state,
                audit,
            }),
        }
    }

    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<CommitOutcome, Failure> {
        if writing.version_of(self.old)? != Some(self.expected_version) {
            return Ok(CommitOutcome::VersionConflict);
        }
        if self.new.key.row == self.old {
            self.replace(writing)?;
        } else {
            if let Some(state) = &self.old_state {
                writing.move_card(self.old, self.expected_version, state)?;
            }
            insert_card(&self.new, writing.connection)?;
        }
        writing.append_audit(&self.audit)?;
        Ok(CommitOutcome::Done {
            audit: writing.last_audit(),
        })
    }

    fn replace(&self, writing: &mut Writing<'_>) -> Result<(), Failure> {
        let new = &self.new;
        let replaced = writing.connection.prepare_cached(sql::REISSUE_CARD)?.execute((
            new.psn.number(),
            new.expiry.yymm(),
            new.version.cast_signed(),
            &new.state,
            &new.mac,
            rows::row_id(self.old),
            self.expected_version.cast_signed(),
            &new.key.check,
        ))?;
        if replaced == 0 {
            // The version was right a moment ago, in this transaction.
            return Err(Failure::Impossible(format!(
                "card {}: another card's number leads to the same row",
                self.old
            )));
        }
        writing.note_written(self.old, new.version);
        Ok(())
    }
}
