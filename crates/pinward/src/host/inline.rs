//! Inline: the desk stands between a network and the issuer's own host ("upstream").
//!
//! What the desk has nothing against goes on to the upstream, without PIN block and with what the desk found; its answer
//! goes back with the chip's answer and script. Many requests share few connections; answers are matched by message
//! class, DE7, DE11, DE32 and DE37, which the upstream must repeat. Everything here is in memory: after a restart the
//! network repeats what it had no answer to, and the desk's recorded decision holds.
//!
//! | what happens | the network gets | the upstream gets |
//! |---|---|---|
//! | no connection, or too many requests wait | the late answer at once | nothing |
//! | no answer in time, or the connection is lost | the late answer | a reversal, repeated until answered |
//! | an answer after that | nothing more | a reversal again, if it approved |
//! | the same request again after that | the late answer again | nothing |
//! | an answer that can't be passed on | the late answer | a reversal |
//!
//! The late answer is 91, or by setting an approval in the upstream's stead, of which it gets an advice.

mod dual_run;
mod flights;
mod line;
mod own;
mod pass_on;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iso8583::build::MessageBuilder;
use iso8583::dialect::Dialect;
use iso8583::framing::Framing;
use iso8583::message::Message;
use iso8583::mti::{Class, Function, MTI_0810_NETWORK_RESPONSE, Mti};
use iso8583::response_code::{
    RESPONSE_30_FORMAT_ERROR, RESPONSE_91_ISSUER_INOPERATIVE, RESPONSE_94_DUPLICATE,
};
use issuer::authorise::AuthorisationAnswer;
use tokio::time::{Instant, interval};

use super::HostLink;
use super::answer;
use super::answers::Answers;
use super::outgoing::Outgoing;
use crate::config::OnLate;
use flights::{ExchangeKey, Flights, Flown};
use own::{OwnMessage, OwnMessages};

/// Expired requests are looked for this often within one time limit.
const LOOKS_PER_TIMEOUT: u32 = 20;
const LOOK_EVERY_MIN: Duration = Duration::from_millis(5);

/// How the upstream is reached and what it is told.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamSettings {
    pub(crate) address: String,
    pub(crate) dialect: Dialect,
    pub(crate) framing: Framing,
    pub(crate) connections: u16,
    pub(crate) timeout: Duration,
    pub(crate) in_flight_max: usize,
    pub(crate) on_late: OnLate,
    /// Largest amount approved in its stead.
    pub(crate) stand_in_amount_max_minor: u64,
    pub(crate) mark_field: u8,
    pub(crate) tell_declines: bool,
    /// It verifies PINs itself and decides all; the desk only judges beside it.
    pub(crate) dual_run: bool,
}

/// The way to the upstream of one link.
pub(crate) struct Inline {
    settings: UpstreamSettings,
    flights: Mutex<Flights>,
    own: Mutex<OwnMessages>,
    counts: Counts,
}

/// What went wrong on the way, since the start; told with each line in the log.
#[derive(Debug, Default)]
struct Counts {
    late: AtomicU64,
    lost: AtomicU64,
    late_answers: AtomicU64,
    unmatched: AtomicU64,
    unusable: AtomicU64,
    refused: AtomicU64,
}

/// A request that waits for the upstream.
pub(super) struct Passed {
    /// Where its answer goes.
    pub(super) to: Arc<Outgoing>,
    /// As the network sent it, without PIN blocks: nothing that waits, or is remembered, holds one.
    pub(super) frame: Box<[u8]>,
    /// What a repeat of it must repeat.
    pub(super) content: [u8; 32],
    /// Whether a PIN block came with it.
    pub(super) had_pin: bool,
    /// What the desk decided; `None` for what it doesn't judge.
    pub(super) decided: Option<Box<AuthorisationAnswer>>,
}

/// Why a request wasn't passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotPassed {
    /// No connection to the upstream stands.
    Down,
    /// Too many requests wait for it.
    Full,
    /// It doesn't fit the upstream's dialect.
    Unfit,
    /// The upstream left it unanswered before.
    GivenUp,
    /// Another message of the same exchange went on before.
    Differs,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unanswered {
    /// Not answered in time.
    Late,
    /// Its connection was lost.
    Lost,
    /// Its answer can't be passed on.
    Unusable,
}

impl Inline {
    pub(crate) fn new(settings: UpstreamSettings) -> Self {
        Self {
            flights: Mutex::new(Flights::new(usize::from(settings.connections))),
            own: Mutex::default(),
            counts: Counts::default(),
            settings,
        }
    }

    /// Keeps the connections to the upstream, and looks for what it left unanswered. Doesn't end.
    pub(super) async fn run(link: Arc<HostLink>) {
        let Some(inline) = &link.inline else {
            return;
        };
        for number in 0..usize::from(inline.settings.connections) {
            tokio::spawn(line::keep(link.clone(), number));
        }
        let every = (inline.settings.timeout / LOOKS_PER_TIMEOUT).max(LOOK_EVERY_MIN);
        let mut looks = interval(every);
        let mut answers = Answers::default();
        loop {
            let now = looks.tick().await;
            let expired = inline.flights().expired(now);
            inline
                .give_up(&link, expired, Unanswered::Late, &mut answers)
                .await;
            inline.send_own(&link, now);
        }
    }

    /// Passes a request on. Its answer goes to `passed.to` some time later, in any case.
    pub(super) fn pass_on(
        &self,
        link: &HostLink,
        message: &Message<'_>,
        passed: Passed,
    ) -> Result<(), (NotPassed, Passed)> {
        let Some(key) = ExchangeKey::of(message) else {
            return Err((NotPassed::Unfit, passed));
        };
        let mut builder = MessageBuilder::new(&self.settings.dialect, message.mti());
        let built = pass_on::request(
            &mut builder,
            message,
            passed.decided.as_deref(),
            link,
            &self.settings,
        );
        if let Err(error) = built {
            tracing::warn!(link = &*link.name, %error, "a request doesn't fit the upstream's dialect");
            return Err((NotPassed::Unfit, passed));
        }
        let until = Instant::now() + self.settings.timeout;
        let sent = self.flights().send(
            key,
            Flown::Network(passed),
            until,
            self.settings.in_flight_max,
            |out| {
                append(self.settings.framing, &builder, out);
            },
        );
        match sent {
            Ok(()) => Ok(()),
            Err((why, Flown::Network(passed))) => Err((why, passed)),
            Err((_, Flown::Own(_))) => unreachable!("a network's request comes back as what it was"),
        }
    }

    /// Whether the upstream decides all, PINs too.
    pub(super) fn is_dual_run(&self) -> bool {
        self.settings.dual_run
    }

    /// Tells the upstream by an advice what the desk declined, where it wants to know.
    pub(super) fn tell_decline(
        &self,
        link: &HostLink,
        message: &Message<'_>,
        decided: &AuthorisationAnswer,
        code: &[u8],
    ) {
        if self.settings.tell_declines && message.mti().function() == Function::Request {
            let advice = OwnMessage::advice(&without_pins(message, link), decided.clone(), code);
            self.keep_own(advice);
        }
    }

    /// Answers of the upstream that one read brought.
    async fn take_answers<'m>(
        &self,
        link: &HostLink,
        messages: impl Iterator<Item = &'m Message<'m>>,
        answers: &mut Answers,
    ) {
        let mut unusable = Vec::new();
        let mut judged_twice = Vec::new();
        let mut builder = MessageBuilder::new(&link.dialect, MTI_0810_NETWORK_RESPONSE);
        for message in messages {
            let landed = ExchangeKey::of(message).and_then(|key| Some((key, self.flights().land(key)?)));
            let Some((_, flown)) = landed else {
                self.after_the_end(message);
                continue;
            };
            for flown in flown {
                let Flown::Network(passed) = flown else {
                    continue;
                };
                let request = read_again(&passed, link);
                match pass_on::answer(&mut builder, &request, message, &passed, link, &self.settings) {
                    Ok(()) => {
                        if self.settings.dual_run {
                            judged_twice.extend(dual_run::judged(
                                &request,
                                message,
                                &passed,
                                &self.settings.dialect,
                            ));
                        }
                        answers.add(Some(passed.to), link, &mut builder);
                    }
                    Err(error) => {
                        tracing::warn!(link = &*link.name, %error, "the upstream's answer can't be passed on");
                        unusable.push(passed);
                    }
                }
            }
        }
        dual_run::record(judged_twice, link).await;
        if unusable.is_empty() {
            answers.send(link, None).await;
        } else {
            let unusable = unusable.into_iter().map(Flown::Network).collect();
            self.give_up(link, unusable, Unanswered::Unusable, answers).await;
        }
    }

    /// An answer that nobody waits for any more. One that approved is taken back.
    fn after_the_end(&self, message: &Message<'_>) {
        let Some(late) = ExchangeKey::of(message).and_then(|key| self.flights().given_up(key)) else {
            let so_far = self.counts.unmatched.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::debug!(so_far, "an answer of the upstream that nobody waits for");
            return;
        };
        let so_far = self.counts.late_answers.fetch_add(1, Ordering::Relaxed) + 1;
        let approved = pass_on::approves(message, &self.settings.dialect);
        tracing::warn!(approved, so_far, "the upstream answered too late");
        if approved {
            self.keep_own(OwnMessage::reversal(&late));
        }
    }

    /// Ends what the upstream left unanswered: an answer to the network, a reversal to the upstream.
    async fn give_up(&self, link: &HostLink, flown: Vec<Flown>, why: Unanswered, answers: &mut Answers) {
        if flown.is_empty() {
            answers.send(link, None).await;
            return;
        }
        let mut builder = MessageBuilder::new(&link.dialect, MTI_0810_NETWORK_RESPONSE);
        let (mut network, mut own) = (0_u64, 0_u64);
        for flown in flown {
            match flown {
                Flown::Network(passed) => {
                    network += 1;
                    self.answer_instead(link, passed, &mut builder, answers);
                }
                Flown::Own(message) => {
                    own += 1;
                    self.own().try_again(message);
                }
            }
        }
        let counter = match why {
            Unanswered::Late => &self.counts.late,
            Unanswered::Lost => &self.counts.lost,
            Unanswered::Unusable => &self.counts.unusable,
        };
        let so_far = counter.fetch_add(network, Ordering::Relaxed) + network;
        tracing::warn!(
            link = &*link.name,
            ?why,
            requests = network,
            own,
            so_far,
            "the upstream left requests unanswered"
        );
        answers.send(link, None).await;
    }

    /// Answers what was not passed on: nothing has to be taken back.
    pub(super) fn answer_unpassed(
        &self,
        link: &HostLink,
        (why, passed): (NotPassed, Passed),
        builder: &mut MessageBuilder<'_>,
        answers: &mut Answers,
    ) {
        let code = match why {
            NotPassed::Down | NotPassed::Full => {
                let so_far = self.counts.refused.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::warn!(link = &*link.name, ?why, so_far, "a request is not passed on");
                RESPONSE_91_ISSUER_INOPERATIVE
            }
            NotPassed::GivenUp => RESPONSE_91_ISSUER_INOPERATIVE,
            NotPassed::Unfit => RESPONSE_30_FORMAT_ERROR,
            NotPassed::Differs => RESPONSE_94_DUPLICATE,
        };
        let request = read_again(&passed, link);
        if let Some(approved) = self
            .stand_in(&request, &passed)
            .filter(|_| !matches!(why, NotPassed::Unfit | NotPassed::Differs))
        {
            approve(link, &request, approved, builder);
            if why != NotPassed::GivenUp {
                self.tell_approval(link, &request, approved);
            }
        } else {
            decline(link, &request, &passed, code, builder);
        }
        answers.add(Some(passed.to), link, builder);
    }

    /// Answers what was passed on and never answered. The upstream may have approved it: it is told what holds.
    fn answer_instead(
        &self,
        link: &HostLink,
        passed: Passed,
        builder: &mut MessageBuilder<'_>,
        answers: &mut Answers,
    ) {
        let request = read_again(&passed, link);
        if let Some(approved) = self.stand_in(&request, &passed) {
            approve(link, &request, approved, builder);
            self.tell_approval(link, &request, approved);
        } else {
            decline(link, &request, &passed, RESPONSE_91_ISSUER_INOPERATIVE, builder);
            let is_request = matches!(request.mti().class(), Class::Authorisation | Class::Financial)
                && request.mti().function() == Function::Request;
            if is_request {
                self.keep_own(OwnMessage::reversal(&passed.frame));
            }
        }
        answers.add(Some(passed.to), link, builder);
    }

    /// The desk's own decision, where it may stand in for the upstream's.
    fn stand_in<'p>(&self, request: &Message<'_>, passed: &'p Passed) -> Option<&'p AuthorisationAnswer> {
        let decided = passed.decided.as_deref()?;
        let amount = request.field(4).and_then(iso8583::values::number)?;
        let may = self.settings.on_late == OnLate::StandIn
            && request.mti().function() == Function::Request
            && decided.balance_minor.is_none()
            && amount <= self.settings.stand_in_amount_max_minor;
        may.then_some(decided)
    }

    fn tell_approval(&self, link: &HostLink, request: &Message<'_>, decided: &AuthorisationAnswer) {
        let code = link.decision_code(request, decided.decision);
        self.keep_own(OwnMessage::advice(request.frame(), decided.clone(), code));
    }

    fn keep_own(&self, message: own::OwnMessage) {
        if let Err(full) = self.own().keep(message) {
            tracing::error!(%full, "the upstream won't be told");
        }
    }

    /// Sends what the desk itself has to tell the upstream.
    fn send_own(&self, link: &HostLink, now: Instant) {
        loop {
            let Some(message) = self.own().next(now) else {
                return;
            };
            let Some((key, builder)) = message.build(link, &self.settings) else {
                tracing::error!(
                    link = &*link.name,
                    "a message to the upstream doesn't fit its dialect"
                );
                continue;
            };
            let until = now + self.settings.timeout;
            let sent = self
                .flights()
                .send(key, Flown::Own(message), until, usize::MAX, |out| {
                    append(self.settings.framing, &builder, out);
                });
            if let Err((_, Flown::Own(message))) = sent {
                self.own().put_back(message);
                return;
            }
        }
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> MutexGuard<'_, OwnMessages> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message without what only the desk may see: PIN blocks, their control information, MACs.
pub(super) fn without_pins(message: &Message<'_>, link: &HostLink) -> Box<[u8]> {
    let mut builder = MessageBuilder::new(&link.dialect, message.mti());
    for field in message.fields() {
        if !pass_on::is_private(field, link) {
            builder
                .set(field, message.field(field).unwrap_or_default())
                .expect(FITS);
        }
    }
    let mut frame = Vec::new();
    builder.write_to(&mut frame);
    frame.into()
}

const FITS: &str = "echoed fields fit the dialect that they were read in, and ours are made for it";

fn approve(
    link: &HostLink,
    request: &Message<'_>,
    decided: &AuthorisationAnswer,
    builder: &mut MessageBuilder<'_>,
) {
    builder.reset(answer_type(request));
    answer::authorisation(builder, link, request, decided).expect(FITS);
}

fn decline(
    link: &HostLink,
    request: &Message<'_>,
    passed: &Passed,
    code: [u8; 2],
    builder: &mut MessageBuilder<'_>,
) {
    builder.reset(answer_type(request));
    let code = link.code_of(request, &code);
    match &passed.decided {
        Some(decided) => answer::declined_later(builder, request, code, decided),
        None => answer::plain(builder, request, code),
    }
    .expect(FITS);
}

fn read_again<'p>(passed: &'p Passed, link: &HostLink) -> Message<'p> {
    Message::parse(&passed.frame, &link.dialect)
        .expect("the network's request was read in this dialect before")
}

fn answer_type(request: &Message<'_>) -> Mti {
    request.mti().response().expect("only requests are passed on")
}

fn append(framing: Framing, builder: &MessageBuilder<'_>, out: &mut Vec<u8>) {
    framing
        .append(out, |out| builder.write_to(out))
        .expect("the builder keeps messages within what is framed");
}
