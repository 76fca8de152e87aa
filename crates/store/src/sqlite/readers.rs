//! Read-only connections, each on its own thread.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{StoreFault, sqlite::schema};

const READERS: usize = 2;
/// Callers that may wait; more are held back in `read`.
const QUEUE_MAX: usize = 1_024;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the threads. Dropping it lets them finish what waits.
pub(super) struct Readers {
    queue: Option<mpsc::Sender<Read>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(super) fn start(path: &Path) -> Result<Self, StoreFault> {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let threads = (0..READERS)
            .map(|_| {
                let connection = schema::open_reader(path)?;
                let waiting = Arc::clone(&waiting);
                thread::Builder::new()
                    .name("store-reader".into())
                    .spawn(move || read_everything(&connection, &waiting))
                    .map_err(|error| StoreFault(format!("can't start a reader: {error}")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            queue: Some(queue),
            threads,
        })
    }

    /// What `work` finds, in one snapshot that holds everything committed before this call.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, StoreFault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let read: Read = Box::new(move |connection| {
            // A caller who has gone away needs no answer.
            answer.send(in_snapshot(connection, work)).ok();
        });
        let queue = self
            .queue
            .as_ref()
            .expect("the queue is there until the readers are dropped");
        queue.send(read).await.map_err(|_| gone())?;
        Ok(answered.await.map_err(|_| gone())??)
    }
}

fn gone() -> StoreFault {
    StoreFault("the readers have ended".into())
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so; there is nothing left to wait for.
            thread.join().ok();
        }
    }
}

fn in_snapshot<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let snapshot = connection.unchecked_transaction()?;
    let found = work(connection)?;
    snapshot.finish()?;
    Ok(found)
}

/// A thread's life: until nobody can ask any more. Whoever holds the lock waits for the next read.
fn read_everything(connection: &Connection, waiting: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        let next = waiting
            .lock()
            .expect("no reader panics while it waits")
            .blocking_recv();
        let Some(read) = next else { return };
        read(connection);
    }
}
