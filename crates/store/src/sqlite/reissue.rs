//! New plastic for a card: under its number, or under a new one.

use crate::{
    Reissue, ReissueOutcome, StoreFault,
    sqlite::{commit::Writing, committer::Failure, import::insert_card, rows, statements as sql},
};

impl Reissue {
    /// Refuses what no transaction could make right; the caller's own mistakes.
    pub(super) fn refuse_malformed(&self) -> Result<(), StoreFault> {
        let next = self.expected_version.wrapping_add(1);
        let same_number = self.new.key.row == self.old;
        let refusal = if self.audit.is_empty() {
            Some("an effect without an audit record")
        } else if self.old_state.as_ref().is_some_and(|state| state.version != next)
            || (same_number && self.new.version != next)
        {
            Some("a write of its state counts one version up")
        } else if same_number && self.old_state.is_some() {
            Some("two states for one card")
        } else {
            None
        };
        match refusal {
            Some(reason) => Err(StoreFault(format!("card {}: {reason}", self.old))),
            None => Ok(()),
        }
    }

    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<ReissueOutcome, Failure> {
        if writing.version_of(self.old)? != Some(self.expected_version) {
            return Ok(ReissueOutcome::VersionConflict);
        }
        if self.new.key.row == self.old {
            self.replace(writing)?;
        } else {
            if writing.version_of(self.new.key.row)?.is_some() {
                return Ok(ReissueOutcome::NumberTaken);
            }
            if let Some(state) = &self.old_state {
                writing.move_card(self.old, self.expected_version, state)?;
            }
            insert_card(&self.new, writing.connection)?;
        }
        for attempt in &self.attempts {
            writing.write_attempt(self.old, attempt)?;
        }
        writing.append_audit(&self.audit)?;
        Ok(ReissueOutcome::Done)
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
