//! What is owed to issuers' own hosts: kept, and forgotten when they answer.

use crate::{
    NewOwed,
    sqlite::{commit::Writing, committer::Failure, statements as sql},
};

pub(super) fn keep(writing: &Writing<'_>, owed: &[NewOwed]) -> Result<Vec<i64>, Failure> {
    let mut insert = writing.connection.prepare_cached(sql::INSERT_OWED)?;
    let mut id = |owed: &NewOwed| Ok(insert.insert((&owed.link, owed.at.0, &owed.sealed))?);
    owed.iter().map(&mut id).collect()
}

pub(super) fn settle(writing: &Writing<'_>, ids: &[i64]) -> Result<(), Failure> {
    let mut delete = writing.connection.prepare_cached(sql::DELETE_OWED)?;
    for id in ids {
        delete.execute([id])?;
    }
    Ok(())
}
