//! The ISO 8583 host: links on which a network asks for authorisations.
//!
//! One task per connection: read what is there, decide all of it as one batch, write all answers at once. While a
//! batch is being decided, the next one gathers in the socket; that is the whole back-pressure. A peer that sends
//! garbage or stalls costs its own connection only, with a counted reason.

mod answer;
mod batch;
mod closing;
mod identity;
mod request;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cards::Timestamp;
use hsm::{KeyName, ZonePinFormat};
use iso8583::dialect::Dialect;
use iso8583::framing::{FrameReader, Framing};
use issuer::Desk;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use batch::Batch;
pub(crate) use closing::{CloseCounts, CloseReason};

/// Connections of one link at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 8_192;
/// How long the rest of a begun frame may take, and how long a peer may take to read its answers.
const STALL_MAX: Duration = Duration::from_secs(5);
/// How long a connection may be silent between frames.
const IDLE_MAX: Duration = Duration::from_secs(15 * 60);
/// What one read takes from the socket: some hundred requests.
const READ_LEN: usize = 128 * 1024;

/// One link: where it listens, how it speaks, and the desk that decides.
#[derive(Clone)]
pub(crate) struct HostLink {
    /// As in the configuration, for the audit trail.
    pub(crate) name: Arc<str>,
    pub(crate) dialect: Dialect,
    pub(crate) zone_key: KeyName,
    pub(crate) pin_format: ZonePinFormat,
    pub(crate) desk: Desk,
    pub(crate) clock: fn() -> Timestamp,
    pub(crate) closed: Arc<CloseCounts>,
}

/// Serves a link until the listener fails. Runs on the caller's runtime.
pub(crate) async fn serve(listener: TcpListener, link: HostLink) -> std::io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let link = Arc::new(link);
    loop {
        let (stream, peer) = listener.accept().await?;
        let Ok(place) = places.clone().try_acquire_owned() else {
            closed(&link, peer, CloseReason::TooManyConnections);
            continue;
        };
        let link = link.clone();
        tokio::spawn(async move {
            let reason = converse(stream, &link).await;
            closed(&link, peer, reason);
            drop(place);
        });
    }
}

/// Counts the end of a connection, and tells the operator where the peer is to blame.
fn closed(link: &HostLink, peer: SocketAddr, reason: CloseReason) {
    let so_far = link.closed.count(reason);
    if reason.is_ordinary() {
        tracing::debug!(link = &*link.name, %peer, ?reason, so_far, "connection closed");
    } else {
        tracing::warn!(link = &*link.name, %peer, ?reason, so_far, "connection closed");
    }
}

async fn converse(mut stream: TcpStream, link: &HostLink) -> CloseReason {
    if stream.set_nodelay(true).is_err() {
        return CloseReason::PeerGone;
    }
    let mut reader = FrameReader::new(Framing::Binary2);
    let mut received = vec![0; READ_LEN];
    let mut batch = Batch::new(link);
    let mut deadline = Instant::now() + IDLE_MAX;
    loop {
        let len = match timeout_at(deadline, stream.read(&mut received)).await {
            Ok(Ok(0)) if reader.is_mid_frame() => return CloseReason::HalfFrame,
            Ok(Ok(0)) => return CloseReason::PeerClosed,
            Ok(Ok(len)) => len,
            Ok(Err(_)) => return CloseReason::PeerGone,
            Err(_) if reader.is_mid_frame() => return CloseReason::HalfFrame,
            Err(_) => return CloseReason::Idle,
        };
        let was_mid_frame = reader.is_mid_frame();
        reader.push(received.get(..len).expect("a read fills at most its buffer"));
        let bad_frame = batch.gather(&mut reader);
        let (answers, bad_message) = batch.answer().await;
        match timeout(STALL_MAX, stream.write_all(answers)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return CloseReason::PeerGone,
            Err(_) => return CloseReason::SlowReader,
        }
        if let Some(reason) = bad_message.or(bad_frame) {
            return reason;
        }
        // A frame that goes on gets no more time than it got when it began, however often a byte of it comes.
        let goes_on = was_mid_frame && batch.is_empty();
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
