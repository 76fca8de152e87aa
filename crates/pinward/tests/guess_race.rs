//! The guess bound (I1) over the real surfaces: sealed PINs over HTTP, 0100 and 0200 over TCP, all at once against a running
//! desk with its HSM process and its database. `crates/issuer/tests/guess_bound.rs` has the same in one process, with the
//! control that shows that the race notices a missing condition.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use cards::CardRef;
use common::{Installation, Wishes, portal::Portal};
use iso8583::framing::{FrameReader, Framing};
use iso8583::mti::MTI_0200_FINANCIAL_REQUEST;
use sim::acquirer::message::Message;
use store::{SqliteStore, Store};

const CARDS: usize = 3;
const RIGHT_PIN: &str = "481516234299";
const TRIES_MAX: usize = 3;
/// Browsers, and connections of the network, that guess at the same time.
const BROWSERS: usize = 3;
const CONNECTIONS: usize = 6;
/// Guesses of each on each card.
const GUESSES: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Told {
    not_the_pin: usize,
    locked: usize,
}

type Tally = BTreeMap<CardRef, Told>;

#[tokio::test(flavor = "multi_thread")]
async fn guessers_at_portal_and_network_at_once_learn_three_times_that_a_pin_is_wrong() {
    let pins = vec![RIGHT_PIN.to_owned(); CARDS];
    let installation = Installation::start(Wishes::cards(&pins)).await;
    let start = Arc::new(Barrier::new(BROWSERS + CONNECTIONS));
    let mut guessers = Vec::new();
    for number in 0..BROWSERS {
        let cards: Vec<CardRef> = installation.cards.iter().map(|card| card.row).collect();
        let (mut portal, start) = (Portal::sign_in(installation.web), start.clone());
        guessers.push(thread::spawn(move || {
            start.wait();
            guess_at_portal(&mut portal, &cards, number)
        }));
    }
    for number in 0..CONNECTIONS {
        let requests = requests(&installation, BROWSERS + number);
        let host = TcpStream::connect(installation.host).unwrap();
        let (dialect, start) = (installation.acquirer.dialect().clone(), start.clone());
        guessers.push(thread::spawn(move || {
            start.wait();
            guess_at_network(host, &requests, &dialect)
        }));
    }
    let mut told = Tally::new();
    for guesser in guessers {
        for (card, more) in guesser.join().unwrap() {
            let of_card = told.entry(card).or_default();
            of_card.not_the_pin += more.not_the_pin;
            of_card.locked += more.locked;
        }
    }
    for card in &installation.cards {
        let told = &told[&card.row];
        assert_eq!(told.not_the_pin, TRIES_MAX, "{told:?}");
        assert_eq!(
            told.locked,
            (BROWSERS + CONNECTIONS) * GUESSES - TRIES_MAX,
            "{told:?}"
        );
        assert_eq!(comparisons_that_failed(&installation, card.row).await, TRIES_MAX);
    }
    // Locked for the right PIN too.
    let mut portal = Portal::sign_in(installation.web);
    for (trace, card) in (900_000..).zip(&installation.cards) {
        assert_eq!(
            portal.try_to_change_pin(card.row, RIGHT_PIN, "135791357913").0,
            423
        );
        let request = installation.balance_inquiry(card, RIGHT_PIN, trace);
        let answer = installation.acquirer.exchange(&request).await.unwrap();
        assert_eq!(answer.response_code().as_deref(), Some("75"));
    }
}

fn guess_at_portal(portal: &mut Portal, cards: &[CardRef], guesser: usize) -> Tally {
    let mut tally = Tally::new();
    for guess in 0..GUESSES {
        for card in cards {
            let told = tally.entry(*card).or_default();
            loop {
                match portal.try_to_change_pin(*card, &wrong_pin(guesser, guess), "135791357913") {
                    (422, code) if code == "wrong_pin" => told.not_the_pin += 1,
                    (423, _) => told.locked += 1,
                    // Nothing was compared, or what came of it was thrown away.
                    (409, code) if code == "try_again" => continue,
                    other => panic!("a wrong PIN is never answered {other:?}"),
                }
                break;
            }
        }
    }
    tally
}

/// Each guess on each card, authorisations and financial requests in turns.
fn requests(installation: &Installation, guesser: usize) -> Vec<(CardRef, Vec<u8>)> {
    let dialect = installation.acquirer.dialect();
    let mut requests = Vec::new();
    for guess in 0..GUESSES {
        for card in &installation.cards {
            let trace = u32::try_from(guesser * 1_000 + requests.len()).unwrap();
            let mut request = installation.balance_inquiry(card, &wrong_pin(guesser, guess), trace);
            if guess % 2 == 1 {
                request.mti = MTI_0200_FINANCIAL_REQUEST;
            }
            requests.push((card.row, request.to_frame(dialect).unwrap()));
        }
    }
    requests
}

/// Sends all at once. Answers come in the order of the requests.
fn guess_at_network(
    mut host: TcpStream,
    requests: &[(CardRef, Vec<u8>)],
    dialect: &iso8583::dialect::Dialect,
) -> Tally {
    host.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    for (_, request) in requests {
        bytes.extend(u16::try_from(request.len()).unwrap().to_be_bytes());
        bytes.extend(request);
    }
    host.write_all(&bytes).unwrap();
    let (mut tally, mut answered) = (Tally::new(), 0);
    let mut reader = FrameReader::new(Framing::Binary2);
    let mut received = vec![0; 64 * 1024];
    while answered < requests.len() {
        let len = host.read(&mut received).unwrap();
        assert_ne!(len, 0, "the host closed");
        reader.push(&received[..len]);
        while let Some(frame) = reader.next_frame().unwrap() {
            let answer = Message::parse(frame, dialect).unwrap();
            let told = tally.entry(requests[answered].0).or_default();
            match answer.response_code().as_deref() {
                Some("55") => told.not_the_pin += 1,
                Some("75") => told.locked += 1,
                other => panic!("a wrong PIN is never answered {other:?}"),
            }
            answered += 1;
        }
    }
    tally
}

async fn comparisons_that_failed(installation: &Installation, card: CardRef) -> usize {
    let store = SqliteStore::open(installation.data.join("pinward.sqlite")).unwrap();
    let records = store.audit_from(1, 100_000).await.unwrap();
    let failed = records.iter().filter(|record| {
        record.card == Some(card)
            && (record.kind == "pin_wrong" || record.detail.contains(r#""pin":"no_match""#))
    });
    failed.count()
}

fn wrong_pin(guesser: usize, guess: usize) -> String {
    let pin = format!("{:012}", 100_000 + guesser * 100 + guess);
    assert_ne!(pin, RIGHT_PIN);
    pin
}
