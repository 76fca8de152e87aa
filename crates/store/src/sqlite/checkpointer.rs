//! Moves committed pages from the log into the database, beside the committer instead of inside its commits.

use std::{
    ffi::c_int,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, DEFAULT_NAME, hooks::Wal, wal::CheckpointMode};

use crate::{StoreFault, sqlite::schema};

/// Log pages (4 KiB) from which on each commit asks for a checkpoint: 16 MiB.
const WAL_PAGES_ASK: c_int = 4_096;
/// Log pages from which on the committer itself moves what is left: 256 MiB. Under a load without pauses only this
/// lets the log start over, because only between its commits nothing new comes in.
const WAL_PAGES_MAX: c_int = 65_536;

/// The thread, with a connection of its own.
pub(super) struct Checkpointer(JoinHandle<()>);

/// Starts the thread, and makes `writer` wake it after commits that leave a long log.
pub(super) fn start(path: &Path, writer: &mut Connection) -> Result<Checkpointer, StoreFault> {
    let connection = schema::open_writer(path)?;
    // One place: a request that finds another waiting has nothing to add.
    let (ask, asked) = sync_channel(1);
    writer.wal_hook(Some(move |wal: &mut Wal, pages| after_commit(wal, pages, &ask)))?;
    thread::Builder::new()
        .name("store-checkpoint".into())
        .spawn(move || checkpoint_when_asked(&connection, &asked))
        .map(Checkpointer)
        .map_err(|error| StoreFault(format!("can't start the checkpointer: {error}")))
}

impl Checkpointer {
    /// Ends the thread and closes its connection, while `writer`, which woke it, is still open.
    pub(super) fn end(self, writer: &mut Connection) -> rusqlite::Result<()> {
        writer.wal_hook(None::<fn(&mut Wal, c_int) -> rusqlite::Result<()>>)?;
        // A thread that panicked has said so; there is nothing left to wait for.
        self.0.join().ok();
        Ok(())
    }
}

fn after_commit(wal: &mut Wal, pages: c_int, ask: &SyncSender<()>) -> rusqlite::Result<()> {
    if pages >= WAL_PAGES_MAX {
        log_failure(wal.checkpoint_v2(CheckpointMode::PASSIVE).map(drop));
    } else if pages >= WAL_PAGES_ASK {
        // Full: asked already. Closed: the thread is gone and `WAL_PAGES_MAX` still holds.
        ask.try_send(()).ok();
    }
    Ok(())
}

fn checkpoint_when_asked(connection: &Connection, asked: &Receiver<()>) {
    while asked.recv().is_ok() {
        log_failure(
            connection
                .wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE)
                .map(drop),
        );
    }
}

/// What was committed stays in the log, so a failed checkpoint loses nothing and the next commit asks again.
fn log_failure(outcome: rusqlite::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "checkpoint failed");
    }
}
