//! One connection: what is read, as whole frames, and when it ends.
//!
//! Reading and writing overlap: while answers are written, or wait for the issuer's own host, the next messages are
//! read. A connection reads no more while its peer leaves its answers unread.

use std::io::ErrorKind;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use iso8583::framing::{FrameReader, Framing};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::CloseReason;
use super::frames::Frames;
use super::outgoing::Outgoing;

/// How long the rest of a begun frame may take.
const STALL_MAX: Duration = Duration::from_secs(5);
/// How long a connection may be silent between frames.
const IDLE_MAX: Duration = Duration::from_secs(15 * 60);
/// What one read takes from the socket: some hundred requests.
const READ_LEN: usize = 128 * 1024;

/// Room for one read, shared by all connections of a thread: each takes out what it read before the next one reads.
pub(crate) struct ReadRoom(Mutex<Box<[u8]>>);

impl Default for ReadRoom {
    fn default() -> Self {
        Self(Mutex::new(vec![0; READ_LEN].into_boxed_slice()))
    }
}

/// Does something with the frames that came. `Some`: the connection must end, after what waits is sent.
pub(super) trait Listener {
    async fn hear(&mut self, frames: &Frames) -> Option<CloseReason>;
}

/// Converses until the connection ends, and says why.
pub(super) async fn converse(
    stream: &TcpStream,
    framing: Framing,
    room: &ReadRoom,
    outgoing: &Outgoing,
    listener: &mut impl Listener,
) -> CloseReason {
    if stream.set_nodelay(true).is_err() {
        return CloseReason::PeerGone;
    }
    let reading = async {
        let reason = read(stream, framing, room, outgoing, listener).await;
        outgoing.empty().await;
        reason
    };
    let reason = tokio::select! {
        reason = reading => reason,
        reason = outgoing.write_to(stream) => reason,
    };
    outgoing.close();
    reason
}

async fn read(
    stream: &TcpStream,
    framing: Framing,
    room: &ReadRoom,
    outgoing: &Outgoing,
    listener: &mut impl Listener,
) -> CloseReason {
    let mut reader = FrameReader::new(framing);
    let mut frames = Frames::default();
    let mut deadline = Instant::now() + IDLE_MAX;
    loop {
        outgoing.room().await;
        match timeout_at(deadline, stream.readable()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return CloseReason::PeerGone,
            Err(_) if reader.is_mid_frame() => return CloseReason::HalfFrame,
            Err(_) => return CloseReason::Idle,
        }
        let was_mid_frame = reader.is_mid_frame();
        match room.read(stream, &mut reader) {
            Ok(0) if reader.is_mid_frame() => return CloseReason::HalfFrame,
            Ok(0) => return CloseReason::PeerClosed,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(_) => return CloseReason::PeerGone,
        }
        let bad_frame = frames.gather(&mut reader);
        if !frames.is_empty()
            && let Some(reason) = listener.hear(&frames).await
        {
            return reason;
        }
        if bad_frame.is_err() {
            return CloseReason::BadFrame;
        }
        // A frame that goes on gets no more time than it got when it began, however often a byte of it comes.
        let goes_on = was_mid_frame && frames.is_empty();
        if !goes_on {
            let patience = if reader.is_mid_frame() {
                STALL_MAX
            } else {
                IDLE_MAX
            };
            deadline = Instant::now() + patience;
        }
    }
}

impl ReadRoom {
    fn read(&self, stream: &TcpStream, reader: &mut FrameReader) -> std::io::Result<usize> {
        // What an earlier read left in it is never looked at.
        let mut room = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let len = stream.try_read(&mut room)?;
        reader.push(room.get(..len).expect("a read fills at most its buffer"));
        Ok(len)
    }
}
