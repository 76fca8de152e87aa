//! How far the desk's history has come, as the HSM remembers it: so that a restored older database is noticed (I9).
//!
//! The HSM keeps a mark: the newest record of the audit chain that it was shown. A connection on which the chain wasn't
//! shown to contain that record gets nothing about cards. `docs/adr/0012-history-mark.md`.

use async_trait::async_trait;
use cards::Timestamp;
use serde::{Deserialize, Serialize};

/// A place in the audit chain: a record's sequence number and chain hash. Before the first record: [`HistoryPoint::START`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPoint {
    /// The record's number; they have no gaps.
    pub sequence: u64,
    /// The hash that covers the record and all before it.
    pub hash: [u8; 32],
}

impl HistoryPoint {
    /// Before the first record: number 0 and 32 zero bytes. Every chain contains it.
    pub const START: Self = Self {
        sequence: 0,
        hash: [0; 32],
    };
}

/// What the HSM remembers of the desk's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryMark {
    /// How often an operator had it accept another history.
    pub generation: u64,
    /// The newest record that it was shown.
    pub newest: HistoryPoint,
}

/// What a desk shows: that its chain contains the mark, and how far the chain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownHistory {
    /// The mark as the HSM told it.
    pub told: HistoryMark,
    /// What the desk's database has under the mark's number; `None` where it has no such record.
    pub hash_at_mark: Option<[u8; 32]>,
    /// The newest record of the desk's database.
    pub newest: HistoryPoint,
}

/// Why the HSM does nothing about cards on a connection: for the operator, safe to write to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[expect(missing_docs, reason = "the error text of each variant says it")]
pub enum HistoryFault {
    #[error("the desk's history was not shown yet")]
    NotShown,
    #[error(
        "the database is older than what the HSM has seen: it ends at audit record {newest}, the HSM has seen {seen}"
    )]
    Behind { newest: u64, seen: u64 },
    #[error("the database has another history than the HSM has seen: audit record {at} is not the same")]
    Forked { at: u64 },
    /// Its memory is missing or was edited although it has keys.
    #[error("the HSM has no memory of the desk's history")]
    Forgotten,
    #[error("the HSM can't write down what it was shown")]
    NotKept,
    /// The mark is another by now than the one that was told: ask and show again.
    #[error("the HSM was shown more in the same moment")]
    Moved,
}

impl HistoryFault {
    /// Stable, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotShown => "history_not_shown",
            Self::Behind { .. } => "database_older_than_hsm",
            Self::Forked { .. } => "database_of_another_history",
            Self::Forgotten => "hsm_without_memory",
            Self::NotKept => "hsm_memory_not_written",
            Self::Moved => "history_moved",
        }
    }
}

/// A record of the desk's journal, as its database has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalRecord {
    /// Its place in the audit chain.
    pub point: HistoryPoint,
    /// When it was written.
    pub at: Timestamp,
}

/// The desk's journal can't be read; says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal can't be read: {0}")]
pub struct JournalFault(pub String);

/// The desk's journal, which [`RemoteHsm`](crate::RemoteHsm) shows on each of its connections. Always from the database
/// that the desk works with, never from memory or a replica.
#[async_trait]
pub trait Journal: Send + Sync {
    /// The record with this number; `None` where there is none.
    async fn record(&self, sequence: u64) -> Result<Option<JournalRecord>, JournalFault>;

    /// The newest record; `None` where there is none at all.
    async fn newest(&self) -> Result<Option<JournalRecord>, JournalFault>;
}
