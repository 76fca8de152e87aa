//! Links that connect out: many networks expect to be connected to, and signed on to.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use iso8583::build::{BuildError, MessageBuilder};
use iso8583::dialect::NetworkAct;
use iso8583::message::Message;
use iso8583::mti::MTI_0800_NETWORK_REQUEST;
use iso8583::response_code::RESPONSE_00_APPROVED;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::answers::Answers;
use super::batch::Batch;
use super::outgoing::Outgoing;
use super::{CloseReason, HostLink, closed, conversation};
use crate::clock;

/// How long the network may take to accept a connection, and to answer a sign-on.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause before a connection is made again; doubled with each one that fails or isn't signed on.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Keeps the one connection of a link to its network. Doesn't end.
pub(crate) async fn dial(address: String, link: Arc<HostLink>) -> Infallible {
    let mut pause = PAUSE_MIN;
    loop {
        if let Some(stream) = reach(&address, PATIENCE, &link, "the network").await {
            let peer = stream.peer_addr();
            let (reason, agreed) = converse(&stream, &link).await;
            if let Ok(peer) = peer {
                closed(&link, peer, reason);
            }
            if agreed {
                pause = PAUSE_MIN;
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Connects, and tells the operator whether it did.
pub(super) async fn reach(
    address: &str,
    patience: Duration,
    link: &HostLink,
    whom: &'static str,
) -> Option<TcpStream> {
    match timeout(patience, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            tracing::info!(link = &*link.name, address, "connected to {whom}");
            Some(stream)
        }
        Ok(Err(error)) => {
            tracing::warn!(link = &*link.name, address, %error, "{whom} can't be reached");
            None
        }
        Err(_) => {
            tracing::warn!(link = &*link.name, address, "{whom} can't be reached in time");
            None
        }
    }
}

/// Why it ended, and whether the network had agreed to it before.
async fn converse(stream: &TcpStream, link: &Arc<HostLink>) -> (CloseReason, bool) {
    let outgoing = Arc::new(Outgoing::default());
    let mut batch = Batch::new(link, outgoing.clone());
    if !link.sign_on {
        let talk = conversation::converse(stream, link.framing, &link.read_room, &outgoing, &mut batch);
        return (talk.await, true);
    }
    if sign_on(link, &outgoing).await.is_err() {
        tracing::error!(link = &*link.name, "the dialect has no sign-on");
        return (CloseReason::SignOnRefused, false);
    }
    let talk = conversation::converse(stream, link.framing, &link.read_room, &outgoing, &mut batch);
    tokio::pin!(talk);
    tokio::select! {
        reason = &mut talk => (reason, false),
        agreed = timeout(PATIENCE, link.state.signed_on.notified()) => match agreed {
            Ok(()) => (talk.await, true),
            Err(_) => (CloseReason::SignOnRefused, false),
        },
    }
}

/// Sends a sign-on.
async fn sign_on(link: &HostLink, outgoing: &Outgoing) -> Result<(), BuildError> {
    let dialect = &link.dialect;
    let trace = link.state.traces.fetch_add(1, Ordering::Relaxed) % 1_000_000;
    let moment = clock::utc((link.clock)(), "%m%d%H%M%S");
    let mut builder = MessageBuilder::new(dialect, dialect.message_type(MTI_0800_NETWORK_REQUEST));
    builder.set(7, moment.as_bytes())?;
    builder.set(11, format!("{trace:06}").as_bytes())?;
    let (field, code) = dialect
        .network_code(NetworkAct::SignOn)
        .ok_or(BuildError::NotInDialect { field: 70 })?;
    builder.set(field, code)?;
    let mut answers = Answers::default();
    answers.add(None, link, &mut builder);
    answers.send(link, Some(outgoing)).await;
    Ok(())
}

/// The network's answer to our sign-on. `Some`: it doesn't agree.
pub(super) fn hear_sign_on(link: &HostLink, answer: &Message<'_>) -> Option<CloseReason> {
    let code = link.code_of(answer, &RESPONSE_00_APPROVED);
    if answer.field(39) == Some(code) {
        tracing::info!(link = &*link.name, "signed on");
        link.state.signed_on.notify_one();
        None
    } else {
        Some(CloseReason::SignOnRefused)
    }
}
