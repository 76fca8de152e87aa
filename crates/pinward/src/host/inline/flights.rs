//! What waits for the upstream's answer, and on which connection it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use iso8583::message::Message;
use tokio::time::Instant;

use super::ledger::Debt;
use super::{NotPassed, Passed};
use crate::host::outgoing::Outgoing;

/// Requests remembered after they were given up, for late answers and for repeats.
const GIVEN_UP_MAX: usize = 100_000;

/// Which exchange a message belongs to: its class and whether it is a request or an advice, DE7, DE11, DE32 and DE37. An
/// answer has its request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ExchangeKey([u8; 41]);

impl ExchangeKey {
    /// `None` without DE7 or DE11, or with a field longer than its kind.
    pub(super) fn of(message: &Message<'_>) -> Option<Self> {
        let [_, class, function, _] = message.mti().digits();
        let mut key = [0; 41];
        let (head, rest) = key.split_first_chunk_mut::<18>()?;
        let (acquirer, reference) = rest.split_first_chunk_mut::<11>()?;
        // An answer's function is its request's and one more.
        let asked = function & !1;
        let parts = [&[class, asked][..], message.field(7)?, message.field(11)?];
        for (place, byte) in head.iter_mut().zip(parts.concat()) {
            *place = byte;
        }
        put(acquirer, message.field(32).unwrap_or_default())?;
        put(reference, message.field(37).unwrap_or_default())?;
        Some(Self(key))
    }

    /// The exchange that a request of this class begins, with the same fields.
    pub(super) fn of_request(mut self, class: u8) -> Self {
        if let Some(head) = self.0.first_chunk_mut() {
            *head = [class, b'0'];
        }
        self
    }

    fn trace(&self) -> Option<&[u8]> {
        self.0.get(12..18)
    }

    /// An authorisation or financial advice.
    pub(super) fn is_advice(&self) -> bool {
        matches!(self.0, [b'1' | b'2', b'2', ..])
    }

    /// An authorisation or financial request: an advice, a reversal or any other message is passed on again when it is
    /// repeated.
    fn moves_money(&self) -> bool {
        matches!(self.0, [b'1' | b'2', b'0', ..])
    }
}

fn put(place: &mut [u8], value: &[u8]) -> Option<()> {
    place.get_mut(..value.len())?.copy_from_slice(value);
    Some(())
}

/// Who waits for an answer.
pub(super) enum Flown {
    Network(Passed),
    Own(Box<Debt>),
}

impl Flown {
    /// Whether it is this message again. What the desk itself tells waits for an answer of its own: it may have come up
    /// after the upstream took the earlier one.
    fn repeats(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Network(passed), Self::Network(earlier)) => passed.content == earlier.content,
            (Self::Network(_), Self::Own(_)) => true,
            (Self::Own(_), _) => false,
        }
    }
}

struct Flight {
    serial: u64,
    line: usize,
    waiting: Vec<Flown>,
}

/// A request of which the network was told without the upstream.
pub(super) struct GivenUp {
    /// It was approved.
    pub(super) stood_in: bool,
    /// The network's message, until a late answer was dealt with; `None` too where it was given up before a restart.
    pub(super) frame: Option<Box<[u8]>>,
    /// What a repeat must repeat, where it is known.
    content: Option<[u8; 32]>,
}

/// All that waits, and the connections.
pub(super) struct Flights {
    by_key: HashMap<ExchangeKey, Flight>,
    /// How many of them the desk began itself.
    own: usize,
    /// In the order of their ends: every request may take the same time.
    ends: VecDeque<(Instant, ExchangeKey, u64)>,
    serial: u64,
    given_up: HashMap<ExchangeKey, GivenUp>,
    given_up_order: VecDeque<ExchangeKey>,
    lines: Vec<Option<Arc<Outgoing>>>,
    next_line: usize,
    in_flight_max: usize,
}

impl Flights {
    pub(super) fn new(lines: usize, in_flight_max: usize) -> Self {
        Self {
            by_key: HashMap::new(),
            own: 0,
            ends: VecDeque::new(),
            serial: 0,
            given_up: HashMap::new(),
            given_up_order: VecDeque::new(),
            lines: vec![None; lines],
            next_line: 0,
            in_flight_max,
        }
    }

    /// Sends a message over the next connection that stands, and remembers who waits for its answer. At most `room` of the
    /// network's wait at a time, as each may come to owe something, and no more than is configured.
    ///
    /// One that is on its way already is not sent again: its answer is both's, if both say the same. Nor is one that was
    /// given up: the network was told so, and what the upstream is told of that must not meet it there.
    pub(super) fn send(
        &mut self,
        key: ExchangeKey,
        mut flown: Flown,
        until: Instant,
        room: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), (NotPassed, Flown)> {
        if let Some(flight) = self.by_key.get_mut(&key) {
            if flight.waiting.first().is_some_and(|first| !flown.repeats(first)) {
                return Err((NotPassed::Differs, flown));
            }
            if let Flown::Network(passed) = &mut flown {
                passed.repeats = true;
            }
            flight.waiting.push(flown);
            return Ok(());
        }
        if let Some(given_up) = self.given_up.get(&key) {
            let why = match &flown {
                Flown::Network(passed)
                    if given_up.content.is_some_and(|content| content != passed.content) =>
                {
                    NotPassed::Differs
                }
                Flown::Network(_) | Flown::Own(_) => NotPassed::GivenUp {
                    stood_in: given_up.stood_in,
                },
            };
            return Err((why, flown));
        }
        let is_own = matches!(flown, Flown::Own(_));
        let under_way = self.by_key.len() - self.own;
        if !is_own && under_way >= room {
            return Err((NotPassed::OwedFull, flown));
        }
        if !is_own && under_way >= self.in_flight_max {
            return Err(self.unsent(key, NotPassed::Full, flown));
        }
        let Some((line, outgoing)) = self.next_standing() else {
            return Err(self.unsent(key, NotPassed::Down, flown));
        };
        if outgoing.is_full() {
            return Err(self.unsent(key, NotPassed::Full, flown));
        }
        if !outgoing.append(write) {
            return Err(self.unsent(key, NotPassed::Down, flown));
        }
        self.serial += 1;
        let flight = Flight {
            serial: self.serial,
            line,
            waiting: vec![flown],
        };
        self.by_key.insert(key, flight);
        self.own += usize::from(is_own);
        self.ends.push_back((until, key, self.serial));
        Ok(())
    }

    /// What is approved without having been sent is remembered too: a repeat must not meet its advice at the upstream.
    fn unsent(&mut self, key: ExchangeKey, why: NotPassed, flown: Flown) -> (NotPassed, Flown) {
        if let Flown::Network(passed) = &flown
            && passed.stands_in
        {
            self.give_up(key, passed);
        }
        (why, flown)
    }

    fn next_standing(&mut self) -> Option<(usize, Arc<Outgoing>)> {
        for _ in 0..self.lines.len() {
            let number = self.next_line % self.lines.len();
            self.next_line = number + 1;
            if let Some(Some(outgoing)) = self.lines.get(number) {
                return Some((number, outgoing.clone()));
            }
        }
        None
    }

    /// The network's requests under way that have this trace number.
    pub(super) fn waiting_with(&mut self, trace: [u8; 6]) -> impl Iterator<Item = &mut Passed> {
        let flights = self.by_key.iter_mut();
        let with_trace = flights.filter(move |(key, _)| key.trace() == Some(&trace[..]));
        with_trace.flat_map(|(_, flight)| {
            flight.waiting.iter_mut().filter_map(|flown| match flown {
                Flown::Network(passed) => Some(passed),
                Flown::Own(_) => None,
            })
        })
    }

    /// Those who waited for this answer.
    pub(super) fn land(&mut self, key: ExchangeKey) -> Option<Vec<Flown>> {
        self.take(key).map(|flight| flight.waiting)
    }

    fn take(&mut self, key: ExchangeKey) -> Option<Flight> {
        let flight = self.by_key.remove(&key)?;
        self.own -= usize::from(matches!(flight.waiting.first(), Some(Flown::Own(_))));
        Some(flight)
    }

    /// What has waited too long.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<Flown> {
        let mut expired = Vec::new();
        while let Some(&(until, key, serial)) = self.ends.front()
            && until <= now
        {
            self.ends.pop_front();
            if self
                .by_key
                .get(&key)
                .is_some_and(|flight| flight.serial == serial)
            {
                self.end(key, &mut expired);
            }
        }
        expired
    }

    /// A connection stands.
    pub(super) fn line_up(&mut self, number: usize, outgoing: Arc<Outgoing>) {
        if let Some(line) = self.lines.get_mut(number) {
            *line = Some(outgoing);
        }
    }

    /// A connection is lost: gives back what waited on it.
    pub(super) fn line_down(&mut self, number: usize) -> Vec<Flown> {
        if let Some(line) = self.lines.get_mut(number) {
            *line = None;
        }
        let on_it = |(key, flight): (&ExchangeKey, &Flight)| (flight.line == number).then_some(*key);
        let keys: Vec<ExchangeKey> = self.by_key.iter().filter_map(on_it).collect();
        let mut lost = Vec::new();
        for key in keys {
            self.end(key, &mut lost);
        }
        lost
    }

    /// The request of this exchange, if it was given up not long ago.
    pub(super) fn given_up(&mut self, key: ExchangeKey) -> Option<&mut GivenUp> {
        self.given_up.get_mut(&key)
    }

    /// Remembers what the network is told of a request without the upstream.
    pub(super) fn give_up(&mut self, key: ExchangeKey, passed: &Passed) {
        if key.moves_money() {
            let given_up = GivenUp {
                stood_in: passed.stands_in,
                frame: Some(passed.frame.clone()),
                content: Some(passed.content),
            };
            self.remember(key, given_up);
        }
    }

    /// It was given up before a restart.
    pub(super) fn was_given_up(&mut self, key: ExchangeKey, stood_in: bool) {
        let given_up = GivenUp {
            stood_in,
            frame: None,
            content: None,
        };
        self.remember(key, given_up);
    }

    /// It was not given up after all: nobody was told so.
    pub(super) fn forget(&mut self, key: ExchangeKey) {
        self.given_up.remove(&key);
    }

    fn remember(&mut self, key: ExchangeKey, given_up: GivenUp) {
        if self.given_up.insert(key, given_up).is_none() {
            self.given_up_order.push_back(key);
        }
        while self.given_up_order.len() > GIVEN_UP_MAX {
            if let Some(oldest) = self.given_up_order.pop_front() {
                self.given_up.remove(&oldest);
            }
        }
    }

    fn end(&mut self, key: ExchangeKey, ended: &mut Vec<Flown>) {
        let Some(flight) = self.take(key) else {
            return;
        };
        if let Some(Flown::Network(passed)) = flight.waiting.first() {
            self.give_up(key, passed);
        }
        ended.extend(flight.waiting);
    }
}
