//! The closed loop: on each connection a fixed number of requests is under way; each answer is followed by a request.
//!
//! Cards are used in turn. The wrong PINs wander over all cards from turn to turn, so that none is locked before the
//! long-run bound of its issuer lets it be (DESIGN.md I2).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, Error};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use iso8583::dialect::{Dialect, Length};
use iso8583::framing::{FrameReader, Framing};
use iso8583::message::Message;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::frame::{RequestFrame, TRACES};
use super::on_one_thread;
use super::report::{Answered, Counts, LoadReport};
use super::stock::Stock;
use crate::acquirer::Acquirer;

/// How long the host may leave a connection without any answer.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const READ_LEN_BYTES: usize = 128 * 1024;
/// Field 52 of the request as it is first built.
const FIELD_52_PIN_BLOCK: u8 = 52;

/// Options of `pinward sim load`.
#[derive(Args, Debug)]
pub struct LoadOptions {
    /// The acquirer's file: host, dialect and zone key
    #[arg(long, value_name = "FILE")]
    acquirer: PathBuf,
    /// load-cards.csv, as `pinward sim cards` makes it
    #[arg(long, value_name = "FILE")]
    cards: PathBuf,
    /// Connections to the host
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Requests under way on each connection
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=1024))]
    outstanding: u16,
    /// How long to measure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// One request in so many has a wrong PIN; 0 for none
    #[arg(long, default_value_t = 50)]
    wrong_pin_every: u32,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the load to its end.
///
/// Refuses files that can't be used. Fails when the host closes a connection, answers what wasn't asked, or is silent
/// for 30 seconds.
pub async fn run(options: LoadOptions) -> io::Result<LoadReport> {
    on_one_thread(move || drive(options)).await
}

async fn drive(options: LoadOptions) -> io::Result<LoadReport> {
    let acquirer = Acquirer::open(&options.acquirer).map_err(Error::other)?;
    let block_len = match acquirer
        .dialect()
        .field(FIELD_52_PIN_BLOCK)
        .map(|field| field.length)
    {
        Some(Length::Fixed(len)) => len,
        _ => return Err(Error::other("the dialect's PIN block has no fixed length")),
    };
    let stock = Stock::read(&options.cards, block_len.into())?;
    let requests = Rc::new(RefCell::new(Requests::new(
        &acquirer,
        stock,
        options.wrong_pin_every,
    )?));
    let counts = Rc::new(RefCell::new(Counts::default()));
    let mut streams = Vec::new();
    for _ in 0..options.connections {
        let stream = TcpStream::connect(acquirer.host()).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }

    let (begin, cpu_before) = (now(), own_cpu()?);
    let end = begin + Duration::from_secs(options.seconds);
    let mut conversations = JoinSet::new();
    for stream in streams {
        let conversation = Conversation {
            stream,
            dialect: acquirer.dialect().clone(),
            requests: Rc::clone(&requests),
            counts: Rc::clone(&counts),
            under_way: VecDeque::new(),
            end,
        };
        conversations.spawn_local(conversation.run(options.outstanding));
    }
    while let Some(ended) = conversations.join_next().await {
        ended.map_err(Error::other)??;
    }
    let cpu = own_cpu()?.saturating_sub(cpu_before);
    let counts = counts.take();
    Ok(counts.report(end - begin, cpu))
}

/// What is asked next, for all connections.
struct Requests {
    stock: Stock,
    frame: RequestFrame,
    wrong_pin_every: u32,
    /// Place of the next card, and how often the stock was gone through.
    place: usize,
    turn: u32,
    trace: u32,
    second: i64,
}

/// A request under way.
struct UnderWay {
    trace: u32,
    wrong_pin: bool,
    sent: Instant,
}

impl Requests {
    fn new(acquirer: &Acquirer, stock: Stock, wrong_pin_every: u32) -> io::Result<Self> {
        let chance = || getrandom::u32().map_err(Error::other);
        let first = usize::try_from(chance()?).map_err(Error::other)? % stock.len();
        Ok(Self {
            frame: RequestFrame::new(acquirer, stock.card(first)).map_err(Error::other)?,
            stock,
            wrong_pin_every,
            place: first,
            // Another run gives its wrong PINs to other cards.
            turn: chance()? % 1_000_000,
            trace: chance()? % TRACES,
            second: 0,
        })
    }

    /// Sets the time of the requests that follow. Trace numbers repeat only after more than a second.
    fn set_time(&mut self) -> io::Result<()> {
        let now = Timestamp::now();
        if now.as_second() == self.second {
            return Ok(());
        }
        self.second = now.as_second();
        let text = now.strftime("%m%d%H%M%S").to_string();
        let digits = text.as_bytes().try_into().map_err(Error::other)?;
        self.frame.set_transmitted(digits);
        Ok(())
    }

    fn append_next(&mut self, out: &mut Vec<u8>, sent: Instant) -> UnderWay {
        let card = self.stock.card(self.place);
        let wrong_pin = self.is_wrong();
        let block = if wrong_pin { card.wrong } else { card.right };
        self.frame.append_to(out, card.pan, block, self.trace);
        let under_way = UnderWay {
            trace: self.trace,
            wrong_pin,
            sent,
        };
        self.trace = (self.trace + 1) % TRACES;
        self.place += 1;
        if self.place == self.stock.len() {
            self.place = 0;
            self.turn = self.turn.wrapping_add(1);
        }
        under_way
    }

    fn is_wrong(&self) -> bool {
        let every = u64::from(self.wrong_pin_every);
        let place = u64::try_from(self.place).unwrap_or_default();
        every > 0 && (place + u64::from(self.turn)).is_multiple_of(every)
    }
}

/// One connection.
struct Conversation {
    stream: TcpStream,
    dialect: Dialect,
    requests: Rc<RefCell<Requests>>,
    counts: Rc<RefCell<Counts>>,
    under_way: VecDeque<UnderWay>,
    end: Instant,
}

impl Conversation {
    /// Asks until the end, then takes the answers that are still missing.
    async fn run(mut self, outstanding: u16) -> io::Result<()> {
        let mut reader = FrameReader::new(Framing::default());
        let mut received = vec![0; READ_LEN_BYTES];
        let mut out = Vec::new();
        self.ask(outstanding.into(), now(), &mut out)?;
        self.stream.write_all(&out).await?;
        while !self.under_way.is_empty() {
            let read = timeout(SILENCE_MAX, self.stream.read(&mut received)).await;
            let len = read.map_err(|_| Error::other("the host doesn't answer any more"))??;
            if len == 0 {
                return Err(Error::other("the host closed a connection"));
            }
            let at = now();
            reader.push(received.get(..len).expect("a read fills at most its buffer"));
            let answered = self.take_answers(&mut reader, at)?;
            if at < self.end && answered > 0 {
                out.clear();
                self.ask(answered, at, &mut out)?;
                self.stream.write_all(&out).await?;
            }
        }
        Ok(())
    }

    fn ask(&mut self, count: usize, at: Instant, out: &mut Vec<u8>) -> io::Result<()> {
        let mut requests = self.requests.borrow_mut();
        requests.set_time()?;
        for _ in 0..count {
            self.under_way.push_back(requests.append_next(out, at));
        }
        Ok(())
    }

    /// Takes whole answers; a host answers a connection's requests in their order.
    fn take_answers(&mut self, reader: &mut FrameReader, at: Instant) -> io::Result<usize> {
        let mut counts = self.counts.borrow_mut();
        let mut answered = 0;
        while let Some(frame) = reader.next_frame().map_err(Error::other)? {
            let message = Message::parse(frame, &self.dialect).map_err(Error::other)?;
            let trace = message.field(11).and_then(iso8583::values::number);
            let code = message.field(39).and_then(|code| code.try_into().ok());
            let (Some(asked), Some(code)) = (self.under_way.pop_front(), code) else {
                return Err(Error::other("an answer without a request or a code"));
            };
            if trace != Some(asked.trace.into()) {
                return Err(Error::other("an answer to another request than the next"));
            }
            counts.count(Answered {
                code,
                wrong_pin: asked.wrong_pin,
                latency: at - asked.sent,
                in_time: at < self.end,
            });
            answered += 1;
        }
        Ok(answered)
    }
}

#[expect(clippy::disallowed_methods, reason = "a measuring instrument reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Processor time of this process so far: user and system, counted by the kernel in hundredths of a second.
fn own_cpu() -> io::Result<Duration> {
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name, in brackets, may hold blanks; utime and stime are the 12th and 13th fields after it.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: u32 = ticks.filter_map(|field| field.parse::<u32>().ok()).sum();
    Ok(TICK * ticks)
}
