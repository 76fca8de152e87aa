//! The conformance suite on SQLite.

#[cfg(test)]
#[macro_use]
mod conformance;

use conformance::Bed;
use store::SqliteStore;
use tempfile::TempDir;

struct SqliteBed(TempDir);

impl Bed for SqliteBed {
    type Store = SqliteStore;

    fn new() -> Self {
        Self(TempDir::new().expect("a directory for the database"))
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(self.0.path().join("pinward.sqlite")).expect("the database opens")
    }
}

conformance!(SqliteBed);
