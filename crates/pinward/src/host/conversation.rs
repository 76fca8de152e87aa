//! One connection: what is read, as whole frames, and when it ends.
//!
//! Reading and writing overlap: while answers are written, or wait for the issuer's own host, the next messages are
//! read. A connection reads no more while its peer leaves its answers unread.

use std::io::ErrorKind;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use iso8583::framing::{FrameReader, Framing};
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::CloseReason;
use super::frames::Frames;
use super::outgoing::Outgoing;

/// How long the rest of a begun frame may take.
const STALL_MAX: Duration = Duration::from_secs(5);
/// How long a connection may be silent between frames: some networks have nothing to say for hours. Whether the peer is
/// still there, the system asks it meanwhile.
const IDLE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Silence after which the system begins to ask, and how often, until it takes the peer for gone.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;
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

/// Converses with a peer that we chose, until the connection ends, and says why.
pub(super) async fn converse(
    stream: &TcpStream,
    framing: Framing,
    room: &ReadRoom,
    outgoing: &Outgoing,
    listener: &mut impl Listener,
) -> CloseReason {
    converse_with_newcomer(stream, framing, room, outgoing, listener, IDLE_MAX).await
}

/// The same with a peer that connected to us, and must have said something whole in the time `first_frame`.
pub(super) async fn converse_with_newcomer(
    stream: &TcpStream,
    framing: Framing,
    room: &ReadRoom,
    outgoing: &Outgoing,
    listener: &mut impl Listener,
    first_frame: Duration,
) -> CloseReason {
    if prepare(stream).is_err() {
        return CloseReason::PeerGone;
    }
    let reading = async {
        let reason = read(stream, framing, room, outgoing, listener, first_frame).await;
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

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

async fn read(
    stream: &TcpStream,
    framing: Framing,
    room: &ReadRoom,
    outgoing: &Outgoing,
    listener: &mut impl Listener,
    first_frame: Duration,
) -> CloseReason {
    let mut reader = FrameReader::new(framing);
    let mut frames = Frames::default();
    let mut is_newcomer = true;
    let newcomers_end = Instant::now() + first_frame;
    let mut deadline = newcomers_end;
    loop {
        outgoing.room().await;
        match timeout_at(deadline, stream.readable()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return CloseReason::PeerGone,
            Err(_) if reader.is_mid_frame() => return CloseReason::HalfFrame,
            Err(_) if is_newcomer => return CloseReason::NoMessage,
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
        is_newcomer &= frames.is_empty();
        // A frame that goes on gets no more time than it got when it began, however often a byte of it comes.
        let goes_on = was_mid_frame && frames.is_empty();
        if !goes_on {
            let patience = if reader.is_mid_frame() {
                STALL_MAX
            } else {
                IDLE_MAX
            };
            deadline = Instant::now() + patience;
            if is_newcomer {
                deadline = deadline.min(newcomers_end);
            }
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    const FIRST_FRAME: Duration = Duration::from_secs(30);

    /// Hears everything and says nothing.
    struct Silence;

    impl Listener for Silence {
        async fn hear(&mut self, _: &Frames) -> Option<CloseReason> {
            None
        }
    }

    /// Why and when a newcomer that sends this, and nothing more, is left.
    async fn left(sent: &[u8]) -> (CloseReason, Duration) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        peer.write_all(sent).await.unwrap();
        let (room, outgoing) = (ReadRoom::default(), Outgoing::default());
        let begin = Instant::now();
        let framing = Framing::Binary2;
        let reason =
            converse_with_newcomer(&stream, framing, &room, &outgoing, &mut Silence, FIRST_FRAME).await;
        (reason, begin.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_has_little_time_and_who_has_said_something_whole_may_be_silent_for_hours() {
        let rows: [(&[u8], CloseReason, Duration); 4] = [
            (b"", CloseReason::NoMessage, FIRST_FRAME),
            (b"\x00", CloseReason::HalfFrame, STALL_MAX),
            (b"\x00\x040800", CloseReason::Idle, IDLE_MAX),
            (b"\x00\x040800\x00", CloseReason::HalfFrame, STALL_MAX),
        ];
        for (sent, reason, after) in rows {
            let (why, when) = left(sent).await;
            assert_eq!(why, reason, "{sent:?}");
            assert!(
                (after..after + Duration::from_secs(1)).contains(&when),
                "{sent:?}: {when:?}"
            );
        }
    }
}
