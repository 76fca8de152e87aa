//! The HSM's memory of how far the desk's history has come: the mark, and the file that it lies in.
//!
//! The file has two places, 4096 bytes apart, which are written in turn, so that the one holds while the other is
//! written. The newer of those whose MAC is right counts.
//!
//! | part | bytes | meaning |
//! |---|---|---|
//! | generation | 8, big-endian | [`HistoryMark::generation`] |
//! | sequence | 8, big-endian | number of the newest record shown |
//! | hash | 32 | its chain hash |
//! | MAC | 32 | HMAC-SHA-256 over a label and the rest |
//!
//! A mark is compared and remembered at once, and written by a thread of its own, the newest only: a connection on which
//! cards are waiting isn't held up by a sync. Whoever can put an older file back together with an older database isn't
//! noticed; a certified HSM keeps such a mark where nobody can.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use subtle::ConstantTimeEq;

use crate::key_material::HmacKey;
use crate::seam::{HistoryFault, HistoryMark, HistoryPoint, ShownHistory};

const FILE: &str = "history";
const LABEL: &[u8] = b"pinward history mark v1";
const PLACE_LEN_BYTES: usize = 80;
const PLACES_AT: [u64; 2] = [0, 4096];

/// The mark, in memory and in its file. Written down when dropped.
pub(crate) struct History {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Told when `state` asks for a write, and when a write has ended.
    changed: Condvar,
}

struct State {
    /// `None`: forgotten.
    mark: Option<HistoryMark>,
    /// Whether `mark` waits to be written.
    unwritten: bool,
    /// Whether the last write failed.
    failed: bool,
    closing: bool,
}

/// What one connection has shown. It starts with nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    #[default]
    NotShown,
    Shown {
        generation: u64,
    },
    Refused(HistoryFault),
}

impl History {
    /// Opens the memory in the HSM's directory. `may_make`: whether a missing one is that of a new HSM, which has seen
    /// nothing; otherwise a missing or edited one is forgotten.
    pub(crate) fn open(directory: &Path, key: HmacKey, may_make: bool) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(directory.join(FILE))?;
        let mut places = Places { file, key, next: 0 };
        let mut mark = places.read()?;
        if mark.is_none() && may_make {
            let first = HistoryMark {
                generation: 0,
                newest: HistoryPoint::START,
            };
            places.write(&first)?;
            File::open(directory)?.sync_all()?;
            mark = Some(first);
        }
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                mark,
                unwritten: false,
                failed: false,
                closing: false,
            }),
            changed: Condvar::new(),
        });
        let writer = thread::Builder::new().name("history".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.write_marks(&mut places)
        })?;
        Ok(Self {
            shared,
            writer: Some(writer),
        })
    }

    /// The mark; `None` when it is forgotten.
    pub(crate) fn mark(&self) -> Option<HistoryMark> {
        self.shared.lock().mark
    }

    /// Whether something about cards may be done on a connection.
    pub(crate) fn require(&self, standing: &Standing) -> Result<(), HistoryFault> {
        let state = self.shared.lock();
        let mark = state.mark.ok_or(HistoryFault::Forgotten)?;
        match standing {
            Standing::Shown { generation } if *generation == mark.generation => match state.failed {
                true => Err(HistoryFault::NotKept),
                false => Ok(()),
            },
            Standing::NotShown | Standing::Shown { .. } => Err(HistoryFault::NotShown),
            Standing::Refused(fault) => Err(*fault),
        }
    }

    /// Takes what a connection shows, and moves the mark on.
    ///
    /// Refuses for that connection, until it shows better, a chain without the mark's record. `Moved` changes nothing.
    pub(crate) fn show(&self, standing: &mut Standing, shown: &ShownHistory) -> Result<(), HistoryFault> {
        match self.take(shown) {
            Ok(generation) => {
                *standing = Standing::Shown { generation };
                self.require(standing)
            }
            Err(HistoryFault::Moved) => Err(HistoryFault::Moved),
            Err(fault) => {
                *standing = Standing::Refused(fault);
                Err(fault)
            }
        }
    }

    fn take(&self, shown: &ShownHistory) -> Result<u64, HistoryFault> {
        let mut state = self.shared.lock();
        let mark = state.mark.ok_or(HistoryFault::Forgotten)?;
        if shown.told != mark {
            return Err(HistoryFault::Moved);
        }
        let (seen, newest) = (mark.newest, shown.newest);
        let hash_at_mark = shown.hash_at_mark.filter(|_| newest.sequence >= seen.sequence);
        let hash_at_mark = hash_at_mark.ok_or(HistoryFault::Behind {
            newest: newest.sequence,
            seen: seen.sequence,
        })?;
        let is_seen = |hash: &[u8; 32]| bool::from(hash.ct_eq(&seen.hash));
        let newest_is_the_mark = newest.sequence == seen.sequence;
        if !is_seen(&hash_at_mark) || (newest_is_the_mark && !is_seen(&newest.hash)) {
            return Err(HistoryFault::Forked { at: seen.sequence });
        }
        if newest.sequence > seen.sequence || state.failed {
            state.mark = Some(HistoryMark { newest, ..mark });
            state.unwritten = true;
            self.shared.changed.notify_all();
        }
        Ok(mark.generation)
    }

    /// Begins a new generation with another history, because an operator says so. Durable when it answers.
    ///
    /// Refuses with `Moved` when the mark isn't the one that the operator was told.
    pub(crate) fn accept(
        &self,
        told: Option<HistoryMark>,
        newest: HistoryPoint,
    ) -> Result<HistoryMark, HistoryFault> {
        let mut state = self.shared.lock();
        if state.mark != told {
            return Err(HistoryFault::Moved);
        }
        let mark = HistoryMark {
            generation: told.map_or(0, |told| told.generation) + 1,
            newest,
        };
        state.mark = Some(mark);
        state.unwritten = true;
        self.shared.changed.notify_all();
        drop(state);
        self.write_down()?;
        Ok(mark)
    }

    /// Waits until the mark of this moment, or a later one, is durable.
    pub(crate) fn write_down(&self) -> Result<(), HistoryFault> {
        let state = self.shared.lock();
        let state = self
            .shared
            .changed
            .wait_while(state, |state| state.unwritten)
            .unwrap_or_else(PoisonError::into_inner);
        match state.failed {
            true => Err(HistoryFault::NotKept),
            false => Ok(()),
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so; there is nothing left to wait for.
            let _ = writer.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer's life: until the history closes and nothing waits.
    fn write_marks(&self, places: &mut Places) {
        loop {
            let idle = |state: &mut State| !state.unwritten && !state.closing;
            let state = self.changed.wait_while(self.lock(), idle);
            let state = state.unwrap_or_else(PoisonError::into_inner);
            let Some(mark) = state.mark.filter(|_| state.unwritten) else {
                return;
            };
            drop(state);
            let written = places.write(&mark);
            if let Err(cause) = &written {
                tracing::error!(%cause, "the mark of the desk's history can't be written");
            }
            let mut state = self.lock();
            state.failed = written.is_err();
            state.unwritten = state.mark != Some(mark);
            self.changed.notify_all();
        }
    }
}

/// The file.
struct Places {
    file: File,
    key: HmacKey,
    /// Which of [`PLACES_AT`] is written next: the one that doesn't hold the newest mark.
    next: usize,
}

impl Places {
    fn read(&mut self) -> io::Result<Option<HistoryMark>> {
        let mut newest = None;
        for (number, at) in PLACES_AT.into_iter().enumerate() {
            let mut place = [0; PLACE_LEN_BYTES];
            let whole = match self.file.read_exact_at(&mut place, at) {
                Ok(()) => true,
                Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => false,
                Err(cause) => return Err(cause),
            };
            let age = |mark: &HistoryMark| (mark.generation, mark.newest.sequence);
            let found = self.decode(&place).filter(|_| whole);
            if let Some(found) = found
                && newest.is_none_or(|newest| age(&newest) < age(&found))
            {
                newest = Some(found);
                self.next = 1 - number;
            }
        }
        Ok(newest)
    }

    fn write(&mut self, mark: &HistoryMark) -> io::Result<()> {
        let [first, second] = PLACES_AT;
        let at = if self.next == 0 { first } else { second };
        self.file.write_all_at(&self.encode(mark), at)?;
        self.file.sync_data()?;
        self.next = 1 - self.next;
        Ok(())
    }

    fn encode(&self, mark: &HistoryMark) -> Vec<u8> {
        let mut place = [
            &mark.generation.to_be_bytes()[..],
            &mark.newest.sequence.to_be_bytes(),
            &mark.newest.hash,
        ]
        .concat();
        place.extend_from_slice(&self.mac(&place));
        place
    }

    /// `None` when it isn't one of ours.
    fn decode(&self, place: &[u8; PLACE_LEN_BYTES]) -> Option<HistoryMark> {
        let (content, mac) = place.split_last_chunk::<32>()?;
        let (generation, rest) = content.split_first_chunk()?;
        let (sequence, hash) = rest.split_first_chunk()?;
        let mark = HistoryMark {
            generation: u64::from_be_bytes(*generation),
            newest: HistoryPoint {
                sequence: u64::from_be_bytes(*sequence),
                hash: hash.try_into().ok()?,
            },
        };
        bool::from(self.mac(content).ct_eq(mac)).then_some(mark)
    }

    fn mac(&self, content: &[u8]) -> [u8; 32] {
        self.key.mac(&[LABEL, content].concat())
    }
}

#[cfg(test)]
mod tests;
