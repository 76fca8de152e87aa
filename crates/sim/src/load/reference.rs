//! The reference host: the floor beneath any durable ISO 8583 host on this machine.
//!
//! It reads and answers the same messages through the same connections as the issuer's host does, but decides nothing: each
//! request becomes 100 bytes in a file, synced before the answer leaves. One thread serves, one writes; what waits is
//! written and synced together.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

use clap::Args;
use iso8583::build::MessageBuilder;
use iso8583::dialect::Dialect;
use iso8583::framing::{FrameReader, Framing};
use iso8583::message::Message;
use iso8583::mti::MTI_0800_NETWORK_REQUEST;
use iso8583::response_code::RESPONSE_00_APPROVED;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::on_one_thread;

/// Bytes in the journal per message.
const RECORD_LEN: usize = 100;
/// Batches that may wait for the writer.
const QUEUE_MAX: usize = 1_024;
/// The writer takes no further batch once it has this much.
const WRITE_MAX_BYTES: usize = 1024 * 1024;
const READ_LEN_BYTES: usize = 128 * 1024;
/// Fields that an answer repeats from its request.
const ECHOED: [u8; 9] = [2, 3, 4, 7, 11, 32, 37, 41, 42];

/// Options of `pinward sim reference-host`.
#[derive(Args, Debug)]
pub struct ReferenceHostOptions {
    /// Address and port
    #[arg(long, value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// Message format
    #[arg(long, default_value = "ascii-1987")]
    dialect: String,
    /// File to append to
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
}

/// A batch's records, and where to say that they are durable.
struct Batch {
    records: Vec<u8>,
    durable: oneshot::Sender<()>,
}

/// Serves until it is stopped. Fails when the port or the journal can't be used.
pub async fn run(options: ReferenceHostOptions) -> io::Result<()> {
    on_one_thread(move || serve(options)).await
}

async fn serve(options: ReferenceHostOptions) -> io::Result<()> {
    let dialect = Dialect::named(&options.dialect).map_err(io::Error::other)?;
    let journal = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&options.journal)?;
    let listener = TcpListener::bind(options.listen).await?;
    let (to_writer, batches) = mpsc::channel(QUEUE_MAX);
    thread::Builder::new()
        .name("journal".into())
        .spawn(move || write_batches(journal, batches))?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (dialect, to_writer) = (dialect.clone(), to_writer.clone());
        tokio::task::spawn_local(async move {
            if let Err(end) = converse(stream, &dialect, &to_writer).await {
                tracing::info!(%end, "a connection ended");
            }
        });
    }
}

/// One connection: read what is there, have it all written, answer it all.
async fn converse(
    mut stream: TcpStream,
    dialect: &Dialect,
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
            append_record(&mut records, frame);
            append_answer(&mut answers, &mut builder, &request)?;
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

fn append_answer(
    answers: &mut Vec<u8>,
    builder: &mut MessageBuilder<'_>,
    request: &Message<'_>,
) -> io::Result<()> {
    let mti = request
        .mti()
        .response()
        .ok_or_else(|| io::Error::other("not a request"))?;
    builder.reset(mti);
    builder
        .echo(request, &ECHOED)
        .and_then(|builder| {
            builder
                .set(38, b"000000")?
                .set(39, &RESPONSE_00_APPROVED)?
                .echo(request, &[49])
        })
        .map_err(io::Error::other)?;
    Framing::default()
        .append(answers, |out| builder.write_to(out))
        .map_err(io::Error::other)
}

/// The writer's life: one write and one sync for all that waits. Ends at the first failure, and with it every answer.
fn write_batches(mut journal: File, mut batches: mpsc::Receiver<Batch>) {
    let mut waiting = Vec::new();
    while let Some(Batch { mut records, durable }) = batches.blocking_recv() {
        waiting.push(durable);
        while records.len() < WRITE_MAX_BYTES
            && let Ok(next) = batches.try_recv()
        {
            records.extend_from_slice(&next.records);
            waiting.push(next.durable);
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
