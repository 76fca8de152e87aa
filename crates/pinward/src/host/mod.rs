//! The ISO 8583 host: links on which a network asks for authorisations.
//!
//! One task per connection: read what is there, decide all of it as one batch, write all answers at once. While a
//! batch is being decided, the next one gathers in the socket; that is the whole back-pressure. A peer that sends
//! garbage or stalls costs its own connection only, with a counted reason.
//!
//! | file | holds |
//! |---|---|
//! | `places` | who may connect, and how many of them |
//! | `dial` | links that connect out to their network |
//! | `conversation`, `frames`, `outgoing` | one connection: bytes in, bytes out, limits |
//! | `batch` | what one read brought, from messages to answers |
//! | `request`, `identity` | a message, read as what the desk is asked |
//! | `network` | sign-on, sign-off, echo, key change |
//! | `answer`, `answers`, `refused`, `strangers` | response codes, answers, refusals on record, and how many of them |
//! | `inline` | the way to the issuer's own host |

mod answer;
mod answers;
mod batch;
mod closing;
mod conversation;
mod dial;
mod frames;
mod identity;
mod inline;
mod mac;
mod network;
mod outgoing;
mod places;
mod refused;
mod request;
mod strangers;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use cards::Timestamp;
use hsm::{KeyAdmin, KeyName};
use iso8583::dialect::Dialect;
use iso8583::framing::Framing;
use iso8583::message::Message;
use issuer::authorise::Decision;
use issuer::{Desk, Fault};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::accept::Door;
use crate::config::{PinFormat, ProcessingCodes};
use batch::Batch;
pub(crate) use closing::{CloseCounts, CloseReason};
pub(crate) use conversation::ReadRoom;
pub(crate) use dial::dial;
pub(crate) use inline::{Inline, UpstreamSettings};
use outgoing::Outgoing;
use places::Places;
use strangers::Strangers;

/// How long the journal may be silent about lines that were left out.
const LEFT_OUT_TOLD_EVERY: Duration = Duration::from_secs(10);

/// One link: how it speaks, and the desk that decides.
pub(crate) struct HostLink {
    /// As in the configuration, for the audit trail.
    pub(crate) name: Arc<str>,
    /// Messages are known by their identity within this: links of one network share it.
    pub(crate) network: Arc<str>,
    pub(crate) dialect: Dialect,
    pub(crate) framing: Framing,
    pub(crate) zone_key: KeyName,
    pub(crate) pin_format: PinFormat,
    /// Field of the new PIN block in a PIN change.
    pub(crate) new_pin_field: Option<u8>,
    pub(crate) mac_key: Option<KeyName>,
    pub(crate) key_exchange_key: Option<KeyName>,
    /// Whether a key change without a MAC is taken.
    pub(crate) key_change_without_mac: bool,
    pub(crate) processing_codes: ProcessingCodes,
    /// Where they differ from the dialect's.
    pub(crate) response_codes: Vec<(Decision, String)>,
    /// Whether the network expects to be signed on to.
    pub(crate) sign_on: bool,
    pub(crate) inline: Option<Inline>,
    pub(crate) desk: Desk,
    pub(crate) keys: Arc<dyn KeyAdmin>,
    pub(crate) clock: fn() -> Timestamp,
    pub(crate) closed: CloseCounts,
    pub(crate) read_room: Arc<ReadRoom>,
    pub(crate) state: LinkState,
}

/// What changes while a link is served.
#[derive(Default)]
pub(crate) struct LinkState {
    /// The network has signed off: no request is served until it signs on again.
    signed_off: AtomicBool,
    /// Lines in the journal that anybody may cause.
    strangers: Strangers,
    /// Our own sign-on was agreed to.
    signed_on: Notify,
    /// Trace numbers of our own messages.
    traces: AtomicU32,
}

impl HostLink {
    /// DE39 of an answer to this message, by the code of 1987.
    fn code_of<'c>(&'c self, message: &Message<'_>, code: &'c [u8; 2]) -> &'c [u8] {
        self.dialect
            .response_code(message.mti().class(), code)
            .unwrap_or(code)
    }

    /// DE39 of a decision in an answer to this message.
    fn decision_code<'c>(&'c self, message: &Message<'_>, decision: Decision) -> &'c [u8] {
        let own = self.response_codes.iter().find(|(known, _)| *known == decision);
        match own {
            Some((_, code)) => code.as_bytes(),
            None => self.code_of(message, answer::response_code(decision)),
        }
    }

    /// Whether an upstream decides all, and the desk judges beside it.
    pub(super) fn is_dual_run(&self) -> bool {
        self.inline.as_ref().is_some_and(Inline::is_dual_run)
    }

    fn is_signed_off(&self) -> bool {
        self.state.signed_off.load(Ordering::Relaxed)
    }
}

/// Reads what is owed to the issuer's own host from before, where the link has one. To be done before it is served.
pub(crate) async fn recall_owed(link: &HostLink) -> Result<(), Fault> {
    Inline::begin(link).await
}

/// Keeps the connections to the issuer's own host, where the link has one. Doesn't end where it has.
pub(crate) async fn keep_upstream(link: Arc<HostLink>) {
    Inline::run(link).await;
}

/// Tells in the journal, while nothing else is written, how many lines of strangers were left out. Doesn't end.
pub(crate) async fn tell_left_out(link: Arc<HostLink>) {
    let actor = format!("link:{}", link.name);
    let mut looks = tokio::time::interval(LEFT_OUT_TOLD_EVERY);
    loop {
        looks.tick().await;
        if let Some(line) = link.state.strangers.left_out((link.clock)(), &actor)
            && let Err(fault) = link.desk.store.append_audit(vec![line]).await
        {
            tracing::error!(%fault, link = &*link.name, "lines that were left out can't be put on record");
        }
    }
}

/// Who may connect to a link.
pub(crate) struct Admission {
    /// Connections at a time; more are closed at once.
    pub(crate) connections_max: usize,
    /// Those of one address; a share of all without it.
    pub(crate) address_max: Option<usize>,
    /// How long a connection may take until its first whole message. Established ones may be silent for long.
    pub(crate) first_message: Duration,
}

/// Serves a link. Doesn't end. Runs on the caller's runtime.
pub(crate) async fn serve(mut door: Door, admission: Admission, link: Arc<HostLink>) -> Infallible {
    let places = Arc::new(Places::new(admission.connections_max, admission.address_max));
    loop {
        let (stream, peer) = door.next().await;
        let place = match places.take(peer.ip()) {
            Ok(place) => place,
            Err(reason) => {
                closed(&link, peer, reason);
                continue;
            }
        };
        let link = link.clone();
        tokio::spawn(async move {
            let reason = converse(&stream, &link, admission.first_message).await;
            closed(&link, peer, reason);
            drop(place);
        });
    }
}

/// Answers on one connection until it ends.
async fn converse(stream: &TcpStream, link: &Arc<HostLink>, first_message: Duration) -> CloseReason {
    let outgoing = Arc::new(Outgoing::default());
    let mut batch = Batch::new(link, outgoing.clone());
    let (framing, room) = (link.framing, &link.read_room);
    conversation::converse_with_newcomer(stream, framing, room, &outgoing, &mut batch, first_message).await
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
