//! The one thread that writes: takes everything that waits, writes it in one durable transaction, then answers.
//!
//! Without waiting callers a commit costs one sync; with many, the batch forms by itself while the last one syncs.

use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, ErrorCode, ffi};
use tokio::sync::{mpsc, oneshot};

use crate::{
    StoreFault,
    sqlite::{LastWrite, Stopped, card_copy::CardCopy, checkpointer, commit::Writing, set_last_write},
};

/// Callers that may wait; more are held back in `write`.
const QUEUE_MAX: usize = 4_096;
/// Rows of work (a commit, an imported card) from which on a transaction takes no further unit: some 5 ms of it. With
/// more, all callers would come to wait for one transaction, and nobody would be at work while it is written.
const TRANSACTION_WEIGHT_MAX: usize = 768;

/// Why a unit of work, or the transaction that it was in, failed.
#[derive(Debug)]
pub(super) enum Failure {
    Database(rusqlite::Error),
    /// The unit asks for something that can't be, such as a password for nobody.
    Impossible(String),
    /// An earlier failure stopped the store, for this reason.
    Stopped(String),
}

impl Failure {
    /// Whether the same failure would hit this unit alone, so that others of its transaction shouldn't suffer.
    fn is_of_the_unit(&self) -> bool {
        match self {
            Self::Impossible(_) => true,
            Self::Stopped(_) => false,
            Self::Database(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
            ),
        }
    }

    /// After a failed sync nobody knows what is on the disk; only opening anew, which reads the log again, tells.
    fn stops_the_store(&self) -> bool {
        match self {
            Self::Impossible(_) | Self::Stopped(_) => false,
            Self::Database(error) => error.sqlite_error().is_some_and(|error| {
                [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC].contains(&error.extended_code)
            }),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Database(error) => error.to_string(),
            Self::Impossible(text) | Self::Stopped(text) => text.clone(),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// A caller's work, all of it in one transaction, and where its answer goes.
trait Unit: Send {
    fn weight(&self) -> usize;
    /// Does the work and keeps the result. Runs again when the transaction was rolled back because of another unit.
    fn run(&mut self, writing: &mut Writing<'_>) -> Result<(), Failure>;
    /// Ends the unit. A caller who has gone away is no reason to do anything else.
    fn answer(self: Box<Self>, transaction: Result<(), StoreFault>);
}

struct Pending<T, F> {
    weight: usize,
    work: F,
    result: Option<T>,
    answer: oneshot::Sender<Result<T, StoreFault>>,
}

impl<T, F> Unit for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut Writing<'_>) -> Result<T, Failure> + Send,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn run(&mut self, writing: &mut Writing<'_>) -> Result<(), Failure> {
        self.result = Some((self.work)(writing)?);
        Ok(())
    }

    fn answer(self: Box<Self>, transaction: Result<(), StoreFault>) {
        let result = self.result;
        let answer = transaction.map(|()| result.expect("a committed transaction ran each of its units"));
        self.answer.send(answer).ok();
    }
}

/// The way to the thread. Dropping it lets the thread finish what waits, and closes the database.
pub(super) struct Committer {
    queue: Option<mpsc::Sender<Box<dyn Unit>>>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(
        path: &Path,
        mut writer: Connection,
        cards: Arc<CardCopy>,
        stopped: Stopped,
        last_write: LastWrite,
    ) -> Result<Self, StoreFault> {
        let checkpointer = checkpointer::start(path, &mut writer)?;
        let (queue, mut waiting) = mpsc::channel(QUEUE_MAX);
        let committer = thread::Builder::new()
            .name("store-committer".into())
            .spawn(move || {
                if let Err(error) = commit_everything(&writer, &cards, &mut waiting, &stopped, &last_write) {
                    stop(&stopped, error.to_string());
                }
                // Who closes last puts the log away; two that close at once each leave it to the other.
                if let Err(error) = checkpointer.end(&mut writer) {
                    tracing::warn!(%error, "the checkpointer can't be ended first");
                }
            })
            .map_err(|error| StoreFault(format!("can't start the committer: {error}")))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(committer),
        })
    }

    /// Has `work` done in a durable transaction. Once it is in the queue it's done, even if this future is dropped.
    pub(super) async fn write<T, F>(&self, weight: usize, work: F) -> Result<T, StoreFault>
    where
        T: Send + 'static,
        F: FnMut(&mut Writing<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let unit = Box::new(Pending {
            weight,
            work,
            result: None,
            answer,
        });
        let queue = self
            .queue
            .as_ref()
            .expect("the queue is there until the committer is dropped");
        queue.send(unit).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn gone() -> StoreFault {
    StoreFault("the committer has ended".into())
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so; there is nothing left to wait for.
            thread.join().ok();
        }
    }
}

/// The thread's life: until nobody can ask any more.
fn commit_everything(
    connection: &Connection,
    cards: &CardCopy,
    waiting: &mut mpsc::Receiver<Box<dyn Unit>>,
    stopped: &Stopped,
    last_write: &LastWrite,
) -> rusqlite::Result<()> {
    let mut writing = Writing::prepare(connection, cards)?;
    let mut units = Vec::new();
    while let Some(first) = waiting.blocking_recv() {
        let mut weight = first.weight();
        units.push(first);
        while weight < TRANSACTION_WEIGHT_MAX
            && let Ok(next) = waiting.try_recv()
        {
            weight += next.weight();
            units.push(next);
        }
        run_and_answer(&mut writing, &mut units, stopped, last_write);
    }
    Ok(())
}

/// Runs all units in one transaction; when one of them can't be done, each in its own.
fn run_and_answer(
    writing: &mut Writing<'_>,
    units: &mut Vec<Box<dyn Unit>>,
    stopped: &Stopped,
    last_write: &LastWrite,
) {
    let changed_before = writing.connection.total_changes();
    match transact(writing, units, stopped) {
        Ok(()) if writing.connection.total_changes() > changed_before => {
            set_last_write(last_write, Ok(()));
            units.drain(..).for_each(|unit| unit.answer(Ok(())));
        }
        Ok(()) => units.drain(..).for_each(|unit| unit.answer(Ok(()))),
        Err(failure) if failure.is_of_the_unit() && units.len() > 1 => {
            for mut unit in units.drain(..) {
                let outcome = transact(writing, std::slice::from_mut(&mut unit), stopped);
                unit.answer(outcome.map_err(|failure| StoreFault(failure.text())));
            }
        }
        Err(failure) => {
            let text = failure.text();
            tracing::error!(waiting = units.len(), cause = text, "transaction failed");
            if !failure.is_of_the_unit() {
                set_last_write(last_write, Err(StoreFault(text.clone())));
            }
            units
                .drain(..)
                .for_each(|unit| unit.answer(Err(StoreFault(text.clone()))));
        }
    }
}

fn transact(
    writing: &mut Writing<'_>,
    units: &mut [Box<dyn Unit>],
    stopped: &Stopped,
) -> Result<(), Failure> {
    if let Some(why) = stopped.get() {
        return Err(Failure::Stopped(why.clone()));
    }
    let outcome = writing
        .begin()
        .and_then(|()| units.iter_mut().try_for_each(|unit| unit.run(writing)))
        .and_then(|()| writing.end());
    let Err(failure) = outcome else { return Ok(()) };
    if failure.stops_the_store() {
        stop(stopped, failure.text());
    }
    if let Err(error) = writing.roll_back() {
        stop(
            stopped,
            format!(
                "{}; and the transaction can't be rolled back: {error}",
                failure.text()
            ),
        );
    }
    Err(failure)
}

fn stop(stopped: &Stopped, why: String) {
    tracing::error!(cause = why, "the store stops until it is opened again");
    // The first cause stays.
    stopped.set(why).ok();
}
