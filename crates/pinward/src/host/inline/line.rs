//! One connection to the upstream: made, kept, made again.

use std::sync::Arc;
use std::time::Duration;

use iso8583::build::MessageBuilder;
use iso8583::message::Message;
use iso8583::mti::{Class, MTI_0810_NETWORK_RESPONSE};
use iso8583::response_code::{RESPONSE_00_APPROVED, RESPONSE_12_INVALID_TRANSACTION};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::unanswered::Unanswered;
use super::{Inline, append};
use crate::host::answers::Answers;
use crate::host::conversation::{Listener, converse};
use crate::host::dial::reach;
use crate::host::frames::Frames;
use crate::host::outgoing::Outgoing;
use crate::host::{CloseReason, HostLink, answer};

const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Pause before a lost connection is made again; doubled with each try that fails.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Keeps one connection. Doesn't end.
pub(super) async fn keep(link: Arc<HostLink>, number: usize) {
    let Some(inline) = &link.inline else {
        return;
    };
    let address = &inline.settings.address;
    let mut pause = PAUSE_MIN;
    loop {
        if let Some(stream) = reach(address, CONNECT_PATIENCE, &link, "the upstream").await {
            pause = PAUSE_MIN;
            let reason = talk(&link, inline, &stream, number).await;
            tracing::warn!(
                link = &*link.name,
                address,
                number,
                ?reason,
                "connection to the upstream lost"
            );
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn talk(link: &HostLink, inline: &Inline, stream: &TcpStream, number: usize) -> CloseReason {
    let outgoing = Arc::new(Outgoing::default());
    inline.flights().line_up(number, outgoing.clone());
    let mut ear = Ear {
        link,
        inline,
        outgoing: &outgoing,
        answers: Answers::default(),
    };
    let framing = inline.settings.framing;
    let reason = converse(stream, framing, &link.read_room, &outgoing, &mut ear).await;
    let lost = inline.flights().line_down(number);
    inline
        .give_up(link, lost, Unanswered::Lost, &mut ear.answers)
        .await;
    reason
}

/// Listens to the upstream.
struct Ear<'l> {
    link: &'l HostLink,
    inline: &'l Inline,
    outgoing: &'l Outgoing,
    answers: Answers,
}

impl Listener for Ear<'_> {
    async fn hear(&mut self, frames: &Frames) -> Option<CloseReason> {
        let dialect = &self.inline.settings.dialect;
        let read: Vec<_> = frames
            .iter()
            .map_while(|frame| Message::parse(frame, dialect).ok())
            .collect();
        let whole = read.len() == frames.len();
        let (requests, answers): (Vec<_>, Vec<_>) = read
            .iter()
            .partition(|message| message.mti().response().is_some());
        for request in requests {
            self.answer_upstream(request);
        }
        self.inline
            .take_answers(self.link, answers.into_iter(), &mut self.answers)
            .await;
        (!whole).then_some(CloseReason::BadMessage)
    }
}

impl Ear<'_> {
    /// Network management is agreed to; nothing else is served in this direction.
    fn answer_upstream(&self, request: &Message<'_>) {
        let dialect = &self.inline.settings.dialect;
        let class = request.mti().class();
        let code = match class {
            Class::NetworkManagement if dialect.network_act(request).is_some() => &RESPONSE_00_APPROVED,
            _ => &RESPONSE_12_INVALID_TRANSACTION,
        };
        let mut builder = MessageBuilder::new(
            dialect,
            request.mti().response().unwrap_or(MTI_0810_NETWORK_RESPONSE),
        );
        let built = answer::plain(
            &mut builder,
            request,
            dialect.response_code(class, code).unwrap_or(code),
        );
        built.expect("echoed fields fit the dialect that they were read in");
        self.outgoing
            .append(|out| append(self.inline.settings.framing, &builder, out));
    }
}
