//! Connections and the schema's migrations.
//!
//! A migration is a numbered file that never changes once released: its SHA-256 is recorded beside its number, and
//! a database whose record differs, or that is newer than this program, is refused.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};

use crate::StoreFault;

/// How long one process waits for another's transaction on the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Statements that a connection keeps prepared.
const STATEMENTS_KEPT: usize = 64;
const WRITER_CACHE_KIB: i64 = 256 * 1024;
/// Small: it is void after each commit, and cards are read from memory.
const READER_CACHE_KIB: i64 = 8 * 1024;

const MIGRATIONS: [&str; 3] = [
    include_str!("../../sql/sqlite/0001_first.sql"),
    include_str!("../../sql/sqlite/0002_owed.sql"),
    include_str!("../../sql/sqlite/0003_desk_record_macs.sql"),
];

const CREATE_MIGRATION_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, sha256 BLOB NOT NULL) STRICT";
const MIGRATIONS_DONE: &str = "SELECT sha256 FROM migration ORDER BY number";
const RECORD_MIGRATION: &str = "INSERT INTO migration (number, sha256) VALUES ($1, $2)";

/// A connection that may write. Checkpoints are left to the checkpointer.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreFault> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let journal_mode =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    if journal_mode != "wal" {
        return Err(StoreFault(
            "the database's file system can't carry a write-ahead log".into(),
        ));
    }
    // FULL, not NORMAL: NORMAL may give spent PIN tries back after a power cut.
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA wal_autocheckpoint = 0;",
    )?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreFault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch(
        "PRAGMA query_only = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;",
    )?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

/// Brings the database to this program's schema, in one transaction that keeps other processes out.
///
/// Refuses a database whose recorded migrations differ from ours, or go beyond them.
pub(super) fn migrate(connection: &Connection) -> Result<(), StoreFault> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let outcome = migrate_in_transaction(connection, &MIGRATIONS);
    connection.execute_batch(if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    outcome
}

fn migrate_in_transaction(connection: &Connection, migrations: &[&str]) -> Result<(), StoreFault> {
    connection.execute_batch(CREATE_MIGRATION_TABLE)?;
    let done = connection
        .prepare(MIGRATIONS_DONE)?
        .query_map([], |row| row.get::<_, [u8; 32]>("sha256"))?
        .collect::<Result<Vec<_>, _>>()?;
    if done.len() > migrations.len() {
        return Err(StoreFault(format!(
            "the database has schema {}, this program knows {}: start the newer program",
            done.len(),
            migrations.len()
        )));
    }
    for (number, migration) in (1_i64..).zip(migrations) {
        let sha256: [u8; 32] = Sha256::digest(migration.as_bytes()).into();
        let recorded = usize::try_from(number - 1).ok().and_then(|at| done.get(at));
        match recorded {
            Some(recorded) if *recorded == sha256 => {}
            Some(_) => {
                return Err(StoreFault(format!(
                    "migration {number} of the database isn't this program's: it was made by another build"
                )));
            }
            None => {
                connection.execute_batch(migration)?;
                connection.execute(RECORD_MIGRATION, (number, sha256))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::statements;

    #[test]
    fn every_statement_prepares_on_the_migrated_schema_with_its_parameters_in_order() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection).unwrap();
        for (name, sql) in statements::ALL {
            let statement = connection.prepare(sql).unwrap_or_else(|e| panic!("{name}: {e}"));
            for at in 1..=statement.parameter_count() {
                assert_eq!(
                    statement.parameter_name(at),
                    Some(format!("${at}").as_str()),
                    "{name}: parameters must first appear in the order of their numbers"
                );
            }
        }
    }

    #[test]
    fn migrating_again_changes_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection).unwrap();
        migrate(&connection).unwrap();
    }

    #[test]
    fn a_changed_migration_is_refused() {
        let connection = Connection::open_in_memory().unwrap();
        migrate_in_transaction(&connection, &["CREATE TABLE a (b INTEGER)"]).unwrap();
        let refusal = migrate_in_transaction(&connection, &["CREATE TABLE a (c INTEGER)"]).unwrap_err();
        assert!(refusal.0.contains("migration 1"), "{refusal}");
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let connection = Connection::open_in_memory().unwrap();
        migrate_in_transaction(
            &connection,
            &["CREATE TABLE a (b INTEGER)", "CREATE TABLE c (d INTEGER)"],
        )
        .unwrap();
        let refusal = migrate_in_transaction(&connection, &["CREATE TABLE a (b INTEGER)"]).unwrap_err();
        assert!(refusal.0.contains("newer"), "{refusal}");
    }

    #[test]
    fn a_failing_migration_leaves_nothing_behind() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE card (other INTEGER)")
            .unwrap();
        migrate(&connection).unwrap_err();
        let tables: i64 = connection
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE type = 'table'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(tables, 1);
    }
}
