//! What a connection still has to send. Whoever has an answer appends it; one task writes all there is at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::CloseReason;

/// How long a peer may take to read what it is sent.
const STALL_MAX: Duration = Duration::from_secs(5);
/// Bytes that may wait before nothing more is read from the peer that they are for.
const WAITING_MAX_BYTES: usize = 1024 * 1024;

/// Bytes on their way to one peer.
#[derive(Default)]
pub(super) struct Outgoing {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    closed: bool,
}

impl Outgoing {
    /// Has `write` append to what waits. Whether the peer is still there to get it.
    pub(super) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.state();
        if state.closed {
            return false;
        }
        write(&mut state.bytes);
        drop(state);
        self.filled.notify_one();
        true
    }

    /// Whether more waits than should.
    pub(super) fn is_full(&self) -> bool {
        self.state().bytes.len() > WAITING_MAX_BYTES
    }

    /// Waits until the peer has taken enough of what it was sent.
    pub(super) async fn room(&self) {
        while self.is_full() {
            self.drained.notified().await;
        }
    }

    /// Waits until everything is sent, if anything waits.
    pub(super) async fn empty(&self) {
        while !self.state().bytes.is_empty() {
            self.drained.notified().await;
        }
    }

    /// Writes what comes, until the peer doesn't take it any more.
    pub(super) async fn write_to(&self, stream: &TcpStream) -> CloseReason {
        let mut sending = Vec::new();
        loop {
            sending.clear();
            std::mem::swap(&mut sending, &mut self.state().bytes);
            if sending.is_empty() {
                self.drained.notify_one();
                self.filled.notified().await;
                continue;
            }
            match timeout(STALL_MAX, write_all(stream, &sending)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return CloseReason::PeerGone,
                Err(_) => return CloseReason::SlowReader,
            }
        }
    }

    /// From now on nothing is taken: the connection is gone.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.bytes = Vec::new();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Bytes are only appended: a panic elsewhere leaves them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
