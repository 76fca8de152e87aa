//! The reference host: the floor beneath a durable ISO 8583 host on this machine, with or without the PIN's own work.
//!
//! It reads and answers the same messages through the same connections as the issuer's host does. Each request becomes 100
//! bytes in a file, synced before the answer leaves. One thread serves, one writes; what waits is written and synced
//! together. There is no HSM process, no database and no repeat of a message.
//!
//! | policy | decides | its 100 bytes |
//! |---|---|---|
//! | `raw` | finds the card by the HMAC of its number, deciphers the PIN block, compares the PVV, keeps the tries in memory | what was asked and decided, and the SHA-256 over it and the hash before |
//! | `bare` | nothing: everything is approved | the first bytes of the message |

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;

use aws_lc_rs::digest;
use clap::{Args, ValueEnum};
use iso8583::build::MessageBuilder;
use iso8583::dialect::Dialect;
use iso8583::framing::{FrameReader, Framing};
use iso8583::message::Message;
use iso8583::mti::MTI_0800_NETWORK_REQUEST;
use iso8583::response_code::RESPONSE_00_APPROVED;
use paycrypto::tdes_key::Tdes2Key;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::counters::{Counters, Judgement};
use super::on_one_thread;
use super::stock::Stock;
use crate::acquirer::Acquirer;
use crate::acquirer::zone_key::ZoneKey;

/// Bytes in the journal per message.
const RECORD_LEN: usize = 100;
/// Bytes of a chained record that its hash covers; the hash follows.
const CONTENT_LEN: usize = RECORD_LEN - digest::SHA256_OUTPUT_LEN;
/// Batches that may wait for the writer.
const QUEUE_MAX: usize = 1_024;
/// The writer takes no further batch once it has this much.
const WRITE_MAX_BYTES: usize = 1024 * 1024;
const READ_LEN_BYTES: usize = 128 * 1024;
/// Fields that an answer repeats from its request.
const ECHOED: [u8; 9] = [2, 3, 4, 7, 11, 32, 37, 41, 42];

/// Fields that a judged request's record keeps: transmission time, trace number, amount, terminal, reference.
const RECORDED: [u8; 5] = [7, 11, 4, 41, 37];
const PIN_BLOCK_LEN_BYTES: usize = 8;

/// What the host does besides reading, appending, syncing and answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// Checks the PIN and keeps the tries, in memory
    Raw,
    /// Nothing
    Bare,
}

/// Options of `pinward sim reference-host`.
#[derive(Args, Debug)]
pub struct ReferenceHostOptions {
    /// Address and port
    #[arg(long, value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// What it does with a request
    #[arg(long, default_value = "raw")]
    policy: Policy,
    /// The acquirer's file: dialect and zone key
    #[arg(long, value_name = "FILE")]
    acquirer: PathBuf,
    /// load-cards.csv, as `pinward sim cards` makes it; the cards that `raw` knows
    #[arg(long, value_name = "FILE", required_if_eq("policy", "raw"))]
    cards: Option<PathBuf>,
    /// File to append to
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
}

/// A batch's records, and where to say that they are durable.
struct Batch {
    records: Vec<u8>,
    durable: oneshot::Sender<()>,
}

/// Serves until it is stopped. Fails when a file, the port or the journal can't be used, and for `raw` without a TDES zone
/// key.
pub async fn run(options: ReferenceHostOptions) -> io::Result<()> {
    on_one_thread(move || serve(options)).await
}

async fn serve(options: ReferenceHostOptions) -> io::Result<()> {
    let acquirer = Acquirer::open(&options.acquirer).map_err(io::Error::other)?;
    let dialect = acquirer.dialect().clone();
    let counters = match (options.policy, &options.cards) {
        (Policy::Raw, Some(path)) => Some(Rc::new(RefCell::new(counters(&acquirer, path)?))),
        (Policy::Raw, None) => return Err(io::Error::other("the raw policy needs cards")),
        (Policy::Bare, _) => None,
    };
    let journal = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&options.journal)?;
    let listener = TcpListener::bind(options.listen).await?;
    let (to_writer, batches) = mpsc::channel(QUEUE_MAX);
    let chained = counters.is_some();
    thread::Builder::new()
        .name("journal".into())
        .spawn(move || write_batches(journal, batches, chained))?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (dialect, counters, to_writer) = (dialect.clone(), counters.clone(), to_writer.clone());
        tokio::task::spawn_local(async move {
            if let Err(end) = converse(stream, &dialect, counters.as_deref(), &to_writer).await {
                tracing::info!(%end, "a connection ended");
            }
        });
    }
}

fn counters(acquirer: &Acquirer, cards: &Path) -> io::Result<Counters> {
    let ZoneKey::Tdes(zone_key) = acquirer.zone_key() else {
        return Err(io::Error::other("the raw policy knows TDES zone keys only"));
    };
    let zone_key = Tdes2Key::from_bytes(zone_key.expose_bytes());
    Counters::new(zone_key, &Stock::read(cards, PIN_BLOCK_LEN_BYTES)?)
        .ok_or_else(|| io::Error::other("the cards aren't the acquirer's, or there is no randomness"))
}

/// One connection: read what is there, have it all written, answer it all.
async fn converse(
    mut stream: TcpStream,
    dialect: &Dialect,
    counters: Option<&RefCell<Counters>>,
    to_writer: &mpsc::Sender<Batch>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = FrameReader::new(Framing::default());
    let mut builder = MessageBuilder::new(dialect, MTI_0800_NETWORK_REQUEST);
    let mut received = vec![0; READ_LEN_BYTES];
    let mut answers = Vec::new();
    loop {
        let len = stream.read(&mut received).await?;
        if len == 0 {
            return Ok(());
        }
        reader.push(received.get(..len).expect("a read fills at most its buffer"));
        let mut records = Vec::new();
        answers.clear();
        while let Some(frame) = reader.next_frame().map_err(io::Error::other)? {
            let request = Message::parse(frame, dialect).map_err(io::Error::other)?;
            let code = match counters {
                Some(counters) => {
                    let judgement = counters.borrow_mut().judge(&request);
                    append_judged(&mut records, &request, judgement);
                    judgement.code
                }
                None => {
                    append_record(&mut records, frame);
                    RESPONSE_00_APPROVED
                }
            };
            append_answer(&mut answers, &mut builder, &request, code)?;
        }
        if records.is_empty() {
            continue;
        }
        let (durable, is_durable) = oneshot::channel();
        let gone = |_| io::Error::other("the journal can't be written");
        to_writer
            .send(Batch { records, durable })
            .await
            .map_err(|_| io::Error::other("the journal is closed"))?;
        is_durable.await.map_err(gone)?;
        stream.write_all(&answers).await?;
    }
}

/// The first bytes of the frame, which identify it, filled up.
fn append_record(records: &mut Vec<u8>, frame: &[u8]) {
    let end = records.len() + RECORD_LEN;
    records.extend(frame.iter().take(RECORD_LEN));
    records.resize(end, 0);
}

/// Card, code, tries and the fields that identify the request, filled up; room for the hash.
fn append_judged(records: &mut Vec<u8>, request: &Message<'_>, judgement: Judgement) {
    let (content_end, end) = (records.len() + CONTENT_LEN, records.len() + RECORD_LEN);
    records.extend_from_slice(&judgement.card);
    records.extend_from_slice(&judgement.code);
    records.push(judgement.tries);
    for field in RECORDED {
        records.extend_from_slice(request.field(field).unwrap_or_default());
    }
    records.truncate(content_end);
    records.resize(end, 0);
}

fn append_answer(
    answers: &mut Vec<u8>,
    builder: &mut MessageBuilder<'_>,
    request: &Message<'_>,
    code: [u8; 2],
) -> io::Result<()> {
    let mti = request
        .mti()
        .response()
        .ok_or_else(|| io::Error::other("not a request"))?;
    builder.reset(mti);
    builder
        .echo(request, &ECHOED)
        .and_then(|builder| builder.set(38, b"000000")?.set(39, &code)?.echo(request, &[49]))
        .map_err(io::Error::other)?;
    Framing::default()
        .append(answers, |out| builder.write_to(out))
        .map_err(io::Error::other)
}

/// The writer's life: one write and one sync for all that waits. Ends at the first failure, and with it every answer.
fn write_batches(mut journal: File, mut batches: mpsc::Receiver<Batch>, chained: bool) {
    let mut waiting = Vec::new();
    // Each run begins a chain.
    let mut last_hash = [0; digest::SHA256_OUTPUT_LEN];
    while let Some(Batch { mut records, durable }) = batches.blocking_recv() {
        waiting.push(durable);
        while records.len() < WRITE_MAX_BYTES
            && let Ok(next) = batches.try_recv()
        {
            records.extend_from_slice(&next.records);
            waiting.push(next.durable);
        }
        if chained {
            chain(&mut records, &mut last_hash);
        }
        if let Err(cause) = journal.write_all(&records).and_then(|()| journal.sync_data()) {
            tracing::error!(%cause, "the journal can't be written");
            return;
        }
        for durable in waiting.drain(..) {
            // A connection that ended meanwhile needs no answer.
            durable.send(()).ok();
        }
    }
}

/// Puts into each record the hash over the hash before it and its own content.
fn chain(records: &mut [u8], last_hash: &mut [u8; digest::SHA256_OUTPUT_LEN]) {
    for record in records.chunks_exact_mut(RECORD_LEN) {
        let (content, hash) = record.split_at_mut(CONTENT_LEN);
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(last_hash);
        context.update(content);
        last_hash.copy_from_slice(context.finish().as_ref());
        hash.copy_from_slice(last_hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_record_shows_in_every_hash_from_it_on() {
        let hashes = |changed: Option<usize>| {
            let mut records = vec![7; 3 * RECORD_LEN];
            if let Some(at) = changed {
                records[at] ^= 1;
            }
            chain(&mut records, &mut [0; 32]);
            records
                .chunks(RECORD_LEN)
                .map(|record| record[CONTENT_LEN..].to_vec())
                .collect::<Vec<_>>()
        };
        let untouched = hashes(None);
        let touched = hashes(Some(RECORD_LEN));
        assert_eq!(untouched[0], touched[0]);
        assert_ne!(untouched[1], touched[1]);
        assert_ne!(untouched[2], touched[2]);
    }
}
