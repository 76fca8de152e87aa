//! The outbox: leases on notices, and how each try ended.

use cards::Timestamp;

use crate::{
    DueNotice,
    sqlite::{commit::Writing, committer::Failure, rows, statements as sql},
};

/// Leasing charges the try, so that a worker that dies while sending counts as one.
pub(super) fn claim(
    writing: &Writing<'_>,
    now: Timestamp,
    lease_until: Timestamp,
    limit: u32,
) -> Result<Vec<DueNotice>, Failure> {
    let due = writing
        .connection
        .prepare_cached(sql::DUE_NOTICES)?
        .query_map((now.0, limit), rows::due_notice)?
        .collect::<Result<Vec<_>, _>>()?;
    let mut lease = writing.connection.prepare_cached(sql::LEASE_NOTICE)?;
    for notice in &due {
        lease.execute((lease_until.0, notice.id))?;
    }
    Ok(due)
}

pub(super) fn sent(writing: &Writing<'_>, id: i64, at: Timestamp) -> Result<(), Failure> {
    writing
        .connection
        .prepare_cached(sql::NOTICE_SENT)?
        .execute((at.0, id))?;
    Ok(())
}

pub(super) fn failed(
    writing: &Writing<'_>,
    id: i64,
    next_try_at: Timestamp,
    reason: &str,
) -> Result<(), Failure> {
    writing
        .connection
        .prepare_cached(sql::NOTICE_FAILED)?
        .execute((next_try_at.0, reason, id))?;
    Ok(())
}
