//! Inline: the desk stands between a network and the issuer's own host ("upstream").
//!
//! What the desk has nothing against goes on to the upstream, without PIN block and with what the desk found; its answer
//! goes back with the chip's answer and script. Many requests share few connections; answers are matched by message
//! class, DE7, DE11, DE32 and DE37, which the upstream must repeat. Requests under way are in memory: after a restart the
//! network repeats what it had no answer to, and the desk's recorded decision holds. What an answer to the network makes
//! owed to the upstream is durable before that answer leaves.
//!
//! | what happens | the network gets | the upstream gets |
//! |---|---|---|
//! | no connection, or too many requests wait | the late answer at once | nothing |
//! | more is owed to the upstream than is kept | 91 at once | nothing |
//! | no answer in time, or the connection is lost | the late answer | a reversal, repeated until answered |
//! | an answer after that | nothing more | a reversal again, if it approved |
//! | the same request again after that | the late answer again | nothing |
//! | an answer that can't be passed on | the late answer | a reversal |
//!
//! The late answer is 91, or by setting an approval in the upstream's stead: of that it gets an advice, and never a reversal.
//!
//! | file | holds |
//! |---|---|
//! | `line`, `flights` | connections to the upstream, and what waits on them |
//! | `pass_on`, `answered`, `unanswered` | what goes on, what comes back, what is said when nothing does |
//! | `stand_in` | approvals in the upstream's stead |
//! | `owed`, `ledger`, `alarms` | what the upstream must be told, until it answers |
//! | `dual_run` | both verdicts on record |

mod alarms;
mod answered;
mod dual_run;
mod flights;
mod ledger;
mod line;
mod owed;
mod pass_on;
mod stand_in;
mod unanswered;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iso8583::build::MessageBuilder;
use iso8583::dialect::Dialect;
use iso8583::framing::Framing;
use iso8583::message::Message;
use iso8583::mti::Class;
use iso8583::original_data::OriginalData;
use issuer::Fault;
use issuer::authorise::{AuthorisationAnswer, Decision};
use tokio::time::{Instant, interval};

use super::answers::Answers;
use super::outgoing::Outgoing;
use super::{HostLink, identity};
use crate::config::{OnLate, UnknownCards};
use alarms::Alarms;
use flights::{ExchangeKey, Flights, Flown};
use ledger::Ledger;
pub(super) use owed::Owed;
pub(super) use stand_in::StandIn;
use unanswered::Unanswered;

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
    pub(crate) unknown_cards: UnknownCards,
    pub(crate) tell_declines: bool,
    /// Messages that may be owed to it at a time, those counted that wait for its answer.
    pub(crate) owed_max: usize,
    /// Age of the oldest that is owed from which on an alarm is raised.
    pub(crate) owed_alarm_ms: i64,
    /// It verifies PINs itself and decides all; the desk only judges beside it.
    pub(crate) dual_run: bool,
}

/// The way to the upstream of one link.
pub(crate) struct Inline {
    settings: UpstreamSettings,
    flights: Mutex<Flights>,
    ledger: Mutex<Ledger>,
    /// How many messages are owed, as the ledger has it.
    owed: AtomicUsize,
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
    untold: AtomicU64,
}

/// A request that waits for the upstream.
struct Passed {
    /// Where its answer goes.
    to: Arc<Outgoing>,
    /// As the network sent it, without PIN blocks: nothing that waits, or is remembered, holds one.
    frame: Box<[u8]>,
    /// What a repeat of it must repeat.
    content: [u8; 32],
    /// Whether a PIN block came with it.
    had_pin: bool,
    /// What the desk decided; `None` for what it doesn't judge.
    decided: Option<Box<AuthorisationAnswer>>,
    /// It is approved where the upstream doesn't answer.
    stands_in: bool,
    /// It waits for the answer to the same request, which came before: the upstream is told of that one.
    repeats: bool,
}

/// Why a request wasn't passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotPassed {
    /// No connection to the upstream stands.
    Down,
    /// Too many requests wait for it.
    Full,
    /// So much is owed to it that there is no room for what this one may come to owe.
    OwedFull,
    /// It doesn't fit the upstream's dialect.
    Unfit,
    /// It was given up, or approved in the upstream's stead, before.
    GivenUp { stood_in: bool },
    /// Another message of the same exchange went on before.
    Differs,
}

impl Inline {
    pub(crate) fn new(settings: UpstreamSettings) -> Self {
        Self {
            flights: Mutex::new(Flights::new(
                usize::from(settings.connections),
                settings.in_flight_max,
            )),
            ledger: Mutex::default(),
            owed: AtomicUsize::new(0),
            counts: Counts::default(),
            settings,
        }
    }

    /// Reads what is owed to the upstream from before. To be done before the link is served.
    pub(super) async fn begin(link: &HostLink) -> Result<(), Fault> {
        match &link.inline {
            Some(inline) => inline.recall(link).await,
            None => Ok(()),
        }
    }

    /// Keeps the connections to the upstream, looks for what it left unanswered, and tells what it is owed. Doesn't end.
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
        let mut alarms = Alarms::default();
        loop {
            let now = looks.tick().await;
            let expired = inline.flights().expired(now);
            inline
                .give_up(&link, expired, Unanswered::Late, &mut answers)
                .await;
            inline.send_owed(&link, now);
            inline.forget_settled(&link).await;
            alarms.look(&link, inline, now).await;
        }
    }

    /// Whether the upstream decides what the desk decided like this.
    pub(super) fn decides(&self, decision: Decision, moves_money: bool) -> bool {
        if self.settings.dual_run {
            return true;
        }
        if decision != Decision::UnknownCard {
            return decision == Decision::Approved && moves_money;
        }
        match self.settings.unknown_cards {
            UnknownCards::Pass => moves_money,
            UnknownCards::PassWithPin => true,
            UnknownCards::Refuse => false,
        }
    }

    /// Passes a request on. Its answer goes to `to` some time later, or where that fails is among `answers`.
    pub(super) fn pass_on(
        &self,
        link: &HostLink,
        message: &Message<'_>,
        decided: Option<AuthorisationAnswer>,
        to: &Arc<Outgoing>,
        answers: &mut Answers,
    ) {
        let passed = Passed {
            to: to.clone(),
            frame: without_pins(message, link),
            content: identity::content(message, link.new_pin_field),
            had_pin: message.field(52).is_some(),
            stands_in: stand_in::is_due(message, decided.as_ref(), &self.settings),
            decided: decided.map(Box::new),
            repeats: false,
        };
        if message.mti().class() == Class::Reversal {
            self.take_back(link, message);
        }
        if let Err((why, passed)) = self.send(link, message, passed) {
            self.answer_unpassed(link, why, passed, answers);
        }
    }

    /// What the network takes back while it waits is no longer approved in the upstream's stead.
    fn take_back(&self, link: &HostLink, reversal: &Message<'_>) {
        let Some(named) = OriginalData::named_by(&link.dialect, |number| reversal.field(number)) else {
            return;
        };
        let named_identity = identity::original(&named, &link.network);
        for passed in self.flights().waiting_with(named.trace) {
            let request = read_again(&passed.frame, link);
            let itself = identity::identify(&request, link);
            passed.stands_in &= itself.is_none_or(|itself| itself.identity != named_identity);
        }
    }

    fn send(
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
        let sent = self
            .flights()
            .send(key, Flown::Network(passed), until, self.room_for_debts(), |out| {
                append(self.settings.framing, &builder, out)
            });
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

    /// How many messages more may come to be owed: each request that waits may have to be taken back.
    fn room_for_debts(&self) -> usize {
        let owed = self.owed.load(Ordering::Relaxed);
        self.settings.owed_max.saturating_sub(owed)
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message without what only the desk may see: PIN blocks, their control information, MACs.
fn without_pins(message: &Message<'_>, link: &HostLink) -> Box<[u8]> {
    let mut builder = MessageBuilder::new(&link.dialect, message.mti());
    for field in message.fields() {
        if !pass_on::is_private(field, link) {
            builder
                .set(field, message.field(field).unwrap_or_default())
                .expect("a field fits the dialect that it was read in");
        }
    }
    let mut frame = Vec::new();
    builder.write_to(&mut frame);
    frame.into()
}

/// A message of the network that was kept.
fn read_again<'f>(frame: &'f [u8], link: &HostLink) -> Message<'f> {
    Message::parse(frame, &link.dialect).expect("the network's request was read in this dialect before")
}

fn append(framing: Framing, builder: &MessageBuilder<'_>, out: &mut Vec<u8>) {
    framing
        .append(out, |out| builder.write_to(out))
        .expect("the builder keeps messages within what is framed");
}
