//! Peers that send garbage, half frames, oversize frames, or stall, beside honest traffic on the same ISO 8583 port: the
//! honest ones get every answer, the others lose their own connection, for a reason in the log (`security.md` R11, A32).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use common::crowd::{address, allow_files, connect_from};
use common::{Installation, Wishes};
use iso8583::framing::{FrameReader, Framing};
use sim::acquirer::message::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PIN: &str = "394857610284";
/// Peers that send the first byte of a frame and nothing more.
const HALF_OPEN: usize = 200;
/// Peers of each of the other kinds.
const OF_A_KIND: usize = 20;
const HONEST: u32 = 100;
/// Half-open peers at any moment beside 200 honest transactions a second.
const CROWD: u64 = 5_000;
/// Files that the test and the desk need besides one for each peer: the desk shares out what it may open among its surfaces: so that one link gets enough for all of them.
const OTHER_FILES: u64 = 12_000;
const HONEST_EVERY: Duration = Duration::from_millis(5);
const HONEST_IN_THE_CROWD: u32 = 1_200;
/// How long a network waits for an answer before it reverses.
const NETWORK_PATIENCE: Duration = Duration::from_secs(10);
/// More than the host waits for any of them.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_peers_lose_their_own_connections_and_honest_ones_no_answer() {
    let installation = Installation::start(Wishes::cards(&[PIN.to_owned()])).await;
    let host = installation.host;
    let mut half_open = Vec::new();
    for _ in 0..HALF_OPEN {
        half_open.push(half_open_from_elsewhere(host).await);
    }
    let echo = installation
        .acquirer
        .network_message(*b"301")
        .to_frame(installation.acquirer.dialect())
        .unwrap();
    let answer = [b"0810", &echo[4..]].concat();
    let deaf = thread::spawn(move || echo_without_reading(host, &echo));
    let dribbling = thread::spawn(move || dribble(host));
    let mut closed_at_once = Vec::new();
    for number in 0..OF_A_KIND {
        // An announced length above what any message may have; a frame that is no message; an answer as a request.
        closed_at_once.push(sends(host, &[0xFF, 0xFF, 0x30, 0x30]));
        closed_at_once.push(sends(host, &frame(&[0xA5; 64])));
        closed_at_once.push(sends(host, &frame(&answer)));
        let gone = sends(host, &frame(b"0100")[..4]);
        drop(gone);
        ask_honestly(&installation, u32::try_from(number).unwrap()).await;
    }
    for trace in u32::try_from(OF_A_KIND).unwrap()..HONEST {
        ask_honestly(&installation, trace).await;
    }
    for peer in closed_at_once.into_iter().chain(half_open) {
        assert_is_closed_without_an_answer(peer);
    }
    deaf.join().unwrap();
    dribbling.join().unwrap();
    ask_honestly(&installation, HONEST).await;

    let mut reasons = BTreeMap::new();
    let wanted = HALF_OPEN + 4 * OF_A_KIND + 2;
    while reasons
        .iter()
        .filter(|(reason, _)| *reason != "PeerClosed")
        .map(|(_, count)| count)
        .sum::<usize>()
        < wanted
    {
        let line = installation.desk.wait_for(r#""message":"connection closed""#);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        *reasons
            .entry(line["fields"]["reason"].as_str().unwrap().to_owned())
            .or_insert(0) += 1;
    }
    assert_eq!(reasons["HalfFrame"], HALF_OPEN + OF_A_KIND + 1);
    assert_eq!(reasons["BadFrame"], OF_A_KIND);
    assert_eq!(reasons["BadMessage"], 2 * OF_A_KIND);
    assert_eq!(reasons["SlowReader"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_half_open_peers_do_not_disturb_two_hundred_transactions_a_second() {
    allow_files(CROWD + OTHER_FILES);
    let installation = Installation::start(Wishes::cards(&[PIN.to_owned()])).await;
    let alone = honest_latencies(&installation, 1).await;
    let host = installation.host;
    let there = Arc::new(AtomicU64::new(0));
    for number in 0..usize::try_from(CROWD).unwrap() {
        tokio::spawn(stay_half_open(number, host, there.clone()));
    }
    while there.load(Ordering::Relaxed) < CROWD {
        tokio::task::yield_now().await;
    }
    let among = honest_latencies(&installation, 500_000).await;
    println!(
        "{CROWD} half-open peers; honest p50 and p99: alone {:?} {:?}, among them {:?} {:?}",
        percentile(&alone, 50),
        percentile(&alone, 99),
        percentile(&among, 50),
        percentile(&among, 99)
    );
    assert_eq!(among.len(), alone.len(), "each was answered, and none twice");
    for latencies in [&alone, &among] {
        let longest = latencies.last().unwrap();
        assert!(
            *longest < NETWORK_PATIENCE,
            "an answer after {longest:?} comes too late for the network"
        );
    }
}

/// Begins a frame and never ends it; again, whenever the host has enough of it.
async fn stay_half_open(number: usize, host: SocketAddr, there: Arc<AtomicU64>) {
    loop {
        let Ok(mut peer) = connect_from(address(number), host).await else {
            continue;
        };
        if peer.write_all(&[0x01]).await.is_err() {
            continue;
        }
        there.fetch_add(1, Ordering::Relaxed);
        // Until it is closed, one way or the other.
        let _ = peer.read(&mut [0; 16]).await;
    }
}

/// Sends one transaction every 5 ms over one connection, whatever the answers do. Each must be approved.
async fn honest_latencies(installation: &Installation, first_trace: u32) -> Vec<Duration> {
    let dialect = installation.acquirer.dialect();
    let card = &installation.cards[0];
    let requests: Vec<Vec<u8>> = (first_trace..)
        .map(|trace| installation.balance_inquiry(card, PIN, trace))
        .map(|request| frame(&request.to_frame(dialect).unwrap()))
        .take(usize::try_from(HONEST_IN_THE_CROWD).unwrap())
        .collect();
    let stream = tokio::net::TcpStream::connect(installation.host).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let sending = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(HONEST_EVERY);
        let mut sent = Vec::with_capacity(requests.len());
        for request in requests {
            sent.push(ticks.tick().await);
            write.write_all(&request).await.unwrap();
        }
        (sent, write)
    });
    let mut reader = FrameReader::new(Framing::Binary2);
    let mut received = vec![0; 64 * 1024];
    let mut answered = Vec::new();
    while answered.len() < usize::try_from(HONEST_IN_THE_CROWD).unwrap() {
        let reading = tokio::time::timeout(PATIENCE, read.read(&mut received));
        let len = reading.await.expect("an answer in time").unwrap();
        reader.push(&received[..len]);
        while let Some(frame) = reader.next_frame().unwrap() {
            let answer = Message::parse(frame, dialect).unwrap();
            assert_eq!(answer.field(39), Some(&b"00"[..]));
            answered.push(tokio::time::Instant::now());
        }
    }
    let (sent, _write) = sending.await.unwrap();
    let mut latencies: Vec<Duration> = answered
        .into_iter()
        .zip(sent)
        .map(|(answered, sent)| answered - sent)
        .collect();
    latencies.sort_unstable();
    latencies
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[sorted.len() * percent / 100]
}

async fn ask_honestly(installation: &Installation, trace: u32) {
    let request = installation.balance_inquiry(&installation.cards[0], PIN, trace);
    let answer = installation.acquirer.exchange(&request).await.unwrap();
    assert_eq!(answer.response_code().as_deref(), Some("00"), "trace {trace}");
}

fn sends(host: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut peer = TcpStream::connect(host).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.set_write_timeout(Some(PATIENCE)).unwrap();
    peer.write_all(bytes).unwrap();
    peer
}

/// From another address than the honest ones, which would have to share with it.
async fn half_open_from_elsewhere(host: SocketAddr) -> TcpStream {
    let mut peer = connect_from(address(0), host).await.unwrap();
    peer.write_all(&[0x01]).await.unwrap();
    let peer = peer.into_std().unwrap();
    peer.set_nonblocking(false).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer
}

/// Length, big-endian in two bytes, then the message.
fn frame(message: &[u8]) -> Vec<u8> {
    let len = u16::try_from(message.len()).unwrap();
    [&len.to_be_bytes()[..], message].concat()
}

/// Echo tests one after the other, and never a look at the answers, until the host closes.
fn echo_without_reading(host: SocketAddr, echo: &[u8]) {
    let many = frame(echo).repeat(1_000);
    let mut peer = sends(host, &many);
    loop {
        match peer.write(&many) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                return;
            }
            Err(error) => panic!("the host waits for a peer that doesn't read: {error}"),
        }
    }
}

/// One frame, a byte a second, until the host closes: no byte comes late, only the frame as a whole.
fn dribble(host: SocketAddr) {
    let mut peer = sends(host, &frame(&[b'0'; 200])[..3]);
    peer.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    for _ in 0..PATIENCE.as_secs() {
        match peer.read(&mut [0; 16]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(0) | Err(_) => return,
            Ok(_) => panic!("an answer to a part of a frame"),
        }
        if peer.write_all(b"0").is_err() {
            return;
        }
    }
    panic!("the host keeps a place for a frame that never ends");
}

fn assert_is_closed_without_an_answer(mut peer: TcpStream) {
    match peer.read(&mut [0; 16]) {
        Ok(0) => {}
        Ok(_) => panic!("an answer to garbage"),
        Err(error) => assert_eq!(
            error.kind(),
            ErrorKind::ConnectionReset,
            "the host keeps it open: {error}"
        ),
    }
}
