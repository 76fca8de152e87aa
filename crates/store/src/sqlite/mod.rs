//! SQLite in WAL mode: one thread that writes, two that read, one that checkpoints.
//!
//! Several processes may open the same file (the command line beside a running server): nothing read in one
//! transaction is believed in the next, unless the database tells that nobody else wrote in between.

mod card_copy;
mod checkpointer;
mod commit;
mod committer;
mod import;
mod notices;
mod owed;
mod readers;
mod reissue;
mod rows;
mod schema;
mod sign_in;
mod statements;
mod store;

use std::{
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::{
    StoreFault,
    sqlite::{card_copy::CardCopy, committer::Committer, readers::Readers},
};

/// A store in one SQLite file. Clones share it; dropping the last one waits for what was begun and closes the file.
#[derive(Clone)]
pub struct SqliteStore {
    // Fields drop in order: the readers end first, so that the committer's close leaves no log behind.
    readers: Arc<Readers>,
    committer: Arc<Committer>,
    cards: Arc<CardCopy>,
    stopped: Stopped,
    last_write: LastWrite,
}

/// How the last transaction that had something to write ended.
type LastWrite = Arc<Mutex<Result<(), StoreFault>>>;

/// Why nothing can be written or read any more until the store is opened again, once that is so.
type Stopped = Arc<OnceLock<String>>;

impl SqliteStore {
    /// Opens the file, makes it when there is none, and brings its schema up to date.
    ///
    /// Refuses a path that can't be opened for writing, a file that isn't a database, and a schema that is newer
    /// than this program or was changed. Blocks; call it before the surfaces start.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreFault> {
        let path = path.as_ref();
        let writer = schema::open_writer(path)?;
        schema::migrate(&writer)?;
        let stopped = Stopped::default();
        let cards = Arc::new(CardCopy::default());
        let last_write = Arc::new(Mutex::new(Ok(())));
        let committer = Committer::start(
            path,
            writer,
            Arc::clone(&cards),
            stopped.clone(),
            Arc::clone(&last_write),
        )?;
        let readers = Readers::start(path)?;
        Ok(Self {
            readers: Arc::new(readers),
            committer: Arc::new(committer),
            cards,
            stopped,
            last_write,
        })
    }
}

fn set_last_write(last_write: &LastWrite, outcome: Result<(), StoreFault>) {
    *last_write.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
}

impl From<rusqlite::Error> for StoreFault {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}
