//! One connection to the HSM process: calls in flight on it, and the journal that it begins with.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use cards::Timestamp;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::seam::{
    HistoryFault, HistoryMark, HistoryPoint, HsmFault, Journal, JournalFault, JournalRecord, ShownHistory,
};
use crate::wire::{self, LENGTH_LEN_BYTES, Request};

/// Calls that may wait for the writer before further callers wait for room.
const CALLS_QUEUED_MAX: usize = 1024;

/// The writer doesn't gather more than this before it writes.
const WRITE_GATHER_MAX_BYTES: usize = 256 * 1024;

/// How often a history is shown anew, because the HSM was shown more in the same moment, before it is left at that.
const SHOWS_MAX: usize = 5;

/// By how much the journal may be ahead of the HSM's mark when a connection opens. A desk that runs shows it far more
/// often, so more means that the HSM is not as it was.
const AHEAD_MAX_MS: i64 = 60_000;

/// One connection, with its reader and writer task.
#[derive(Clone)]
pub(super) struct Link {
    to_writer: mpsc::Sender<Vec<u8>>,
    calls: Arc<Mutex<Calls>>,
}

/// The calls that wait for their answers. `None` once the connection is lost.
struct Calls {
    waiting: Option<HashMap<u64, oneshot::Sender<Vec<u8>>>>,
    id_last: u64,
}

impl Link {
    /// Connects, and shows the journal before anything else. What the HSM has against it, it says to every call.
    pub(super) async fn open(socket: &Path, journal: Option<&dyn Journal>) -> Result<Self, HsmFault> {
        let link = Self::connect(socket).await?;
        let Some(journal) = journal else {
            return Ok(link);
        };
        match link.show(journal).await {
            Ok(mark) => tell_when_far_ahead(journal, &mark).await?,
            Err(fault @ (HsmFault::NoAnswer(_) | HsmFault::History(HistoryFault::Moved))) => {
                return Err(fault);
            }
            Err(HsmFault::History(fault)) => {
                tracing::error!(%fault, "the HSM doesn't take the desk's history")
            }
        }
        Ok(link)
    }

    /// Shows the journal; gives the mark that it was compared with.
    pub(super) async fn show(&self, journal: &dyn Journal) -> Result<HistoryMark, HsmFault> {
        for _ in 0..SHOWS_MAX {
            let told: Option<HistoryMark> = self.ask::<_, HsmFault>(Request::HistoryMark).await?;
            let told = told.ok_or(HistoryFault::Forgotten)?;
            let at_mark = match told.newest.sequence {
                0 => Some(HistoryPoint::START),
                sequence => journal
                    .record(sequence)
                    .await
                    .map_err(unreadable)?
                    .map(|record| record.point),
            };
            let shown = ShownHistory {
                told,
                hash_at_mark: at_mark.map(|point| point.hash),
                newest: newest(journal).await?.point,
            };
            match self.ask::<(), HsmFault>(Request::ShowHistory(shown)).await {
                Err(HsmFault::History(HistoryFault::Moved)) => {}
                outcome => return outcome.map(|()| told),
            }
        }
        Err(HistoryFault::Moved.into())
    }

    async fn connect(socket: &Path) -> Result<Self, HsmFault> {
        let stream = UnixStream::connect(socket).await.map_err(|cause| {
            HsmFault::NoAnswer(format!("no HSM process at {}: {cause}", socket.display()))
        })?;
        let (reading, writing) = stream.into_split();
        let (to_writer, frames) = mpsc::channel(CALLS_QUEUED_MAX);
        let calls = Arc::new(Mutex::new(Calls {
            waiting: Some(HashMap::new()),
            id_last: 0,
        }));
        let writer = tokio::spawn(write_frames(writing, frames));
        let calls_of_reader = Arc::clone(&calls);
        tokio::spawn(async move {
            read_answers(reading, &calls_of_reader).await;
            lock(&calls_of_reader).waiting = None;
            writer.abort();
        });
        Ok(Self { to_writer, calls })
    }

    pub(super) async fn ask<T, E>(&self, request: Request) -> Result<T, E>
    where
        T: DeserializeOwned,
        E: DeserializeOwned + From<HsmFault>,
    {
        let answer = self.exchange(request).await?;
        wire::split_id(&answer)
            .and_then(|(_, body)| wire::read_body::<Result<T, E>>(body))
            .map_err(|bad| HsmFault::NoAnswer(bad.to_string()))?
    }

    async fn exchange(&self, request: Request) -> Result<Vec<u8>, HsmFault> {
        let (id, waiting) = self.expect_answer()?;
        let forget_when_dropped = Forget {
            calls: Arc::clone(&self.calls),
            id,
        };
        let mut frame = Vec::new();
        wire::append_frame(&mut frame, id, &request).map_err(|bad| HsmFault::NoAnswer(bad.to_string()))?;
        drop(request);
        self.to_writer.send(frame).await.map_err(|_| lost())?;
        let answer = waiting.await.map_err(|_| lost());
        drop(forget_when_dropped);
        answer
    }

    pub(super) fn is_lost(&self) -> bool {
        lock(&self.calls).waiting.is_none()
    }

    fn expect_answer(&self) -> Result<(u64, oneshot::Receiver<Vec<u8>>), HsmFault> {
        let mut calls = lock(&self.calls);
        calls.id_last += 1;
        let id = calls.id_last;
        let (answer, waiting) = oneshot::channel();
        calls.waiting.as_mut().ok_or_else(lost)?.insert(id, answer);
        Ok((id, waiting))
    }
}

/// Says so when the journal goes on long after the mark: the HSM was restored from an older backup, or something else
/// than a desk wrote the journal. No try is given back by that, so it is no reason to refuse.
async fn tell_when_far_ahead(journal: &dyn Journal, mark: &HistoryMark) -> Result<(), HsmFault> {
    let seen = mark.newest.sequence;
    let first_unseen = journal.record(seen.saturating_add(1)).await.map_err(unreadable)?;
    let newest = newest(journal).await?;
    if let Some(first_unseen) = first_unseen
        && newest.at.0.saturating_sub(first_unseen.at.0) > AHEAD_MAX_MS
    {
        let newest = newest.point.sequence;
        tracing::error!(
            seen,
            newest,
            "the HSM has seen far less than the database holds: was the HSM restored from a backup?"
        );
    }
    Ok(())
}

/// Takes a call that ended, or was given up, out of the waiting ones.
struct Forget {
    calls: Arc<Mutex<Calls>>,
    id: u64,
}

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(waiting) = &mut lock(&self.calls).waiting {
            waiting.remove(&self.id);
        }
    }
}

fn lock(calls: &Mutex<Calls>) -> std::sync::MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes frames, all that wait together, until the connection or the last [`RemoteHsm`] is gone.
async fn write_frames(mut stream: OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut gathered) = frames.recv().await {
        while gathered.len() < WRITE_GATHER_MAX_BYTES
            && let Ok(frame) = frames.try_recv()
        {
            gathered.extend_from_slice(&frame);
        }
        if stream.write_all(&gathered).await.is_err() {
            return;
        }
    }
}

/// Hands answers to their callers until the connection ends or sends something that is no frame.
async fn read_answers(stream: OwnedReadHalf, calls: &Mutex<Calls>) {
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    loop {
        let mut length = [0; LENGTH_LEN_BYTES];
        if stream.read_exact(&mut length).await.is_err() {
            return;
        }
        let Ok(len) = wire::frame_len(length) else { return };
        let mut frame = vec![0; len];
        if stream.read_exact(&mut frame).await.is_err() {
            return;
        }
        let Ok((id, _)) = wire::split_id(&frame) else {
            return;
        };
        let caller = lock(calls)
            .waiting
            .as_mut()
            .and_then(|waiting| waiting.remove(&id));
        if let Some(caller) = caller {
            // A caller that gave up in this moment doesn't want it.
            let _ = caller.send(frame);
        }
    }
}

fn lost() -> HsmFault {
    HsmFault::NoAnswer("the connection to the HSM process was lost".into())
}

/// The newest record, or what stands before the first.
pub(super) async fn newest(journal: &dyn Journal) -> Result<JournalRecord, HsmFault> {
    let newest = journal.newest().await.map_err(unreadable)?;
    Ok(newest.unwrap_or(JournalRecord {
        point: HistoryPoint::START,
        at: Timestamp(0),
    }))
}

fn unreadable(fault: JournalFault) -> HsmFault {
    HsmFault::NoAnswer(format!("nothing can be shown to it: {fault}"))
}
