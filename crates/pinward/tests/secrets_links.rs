//! Links under attack: repeats that aren't, answers that belong to somebody else, and
//! messages without MAC that fill the journal.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::time::Duration;

use common::upstream::{Mood, Upstream};
use common::{Installation, Wishes};
use paycrypto::pin::Pin;
use sim::acquirer::message::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PIN: &str = "503918274650";
/// More messages without MAC than one connection may bring.
const FORGED: usize = 150;

/// A desk with a link before an upstream that is slow to give up.
async fn start(dialect: &str) -> (Installation, Upstream) {
    let upstream = Upstream::start().await;
    let links = format!(
        "[[host.link]]\nname = \"network\"\nlisten = \"127.0.0.1:0\"\ndialect = \"{dialect}\"\nzone_key = \"zpk\"\n\
         pin_format = \"iso0\"\n[host.link.upstream]\naddress = \"{}\"\ntimeout_ms = 20000\n",
        upstream.address
    );
    let pins = [PIN.to_owned()];
    let wishes = Wishes {
        links: &links,
        ..Wishes::cards(&pins)
    };
    let installation = Installation::start(wishes).await;
    installation.desk.wait_for("connected to the upstream");
    (installation, upstream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_change_repeated_with_another_new_pin_is_no_repeat() {
    let (installation, _upstream) = start("ascii-1987").await;
    let (card, acquirer) = (&installation.cards[0], &installation.acquirer);
    let change = |new: &str| {
        let mut message = installation.balance_inquiry(card, PIN, 1);
        message.put(3, *b"920000");
        let new = Pin::parse(new).unwrap();
        message.put(125, acquirer.zone_key().pin_block(&new, &card.pan, &[0; 8]));
        message
    };
    let code = async |message: &Message| {
        let answer = acquirer.exchange(message).await.unwrap();
        answer.response_code().unwrap()
    };
    let first = code(&change("918273645019")).await;
    assert_eq!(
        code(&change("918273645019")).await,
        first,
        "a repeat gets the same answer"
    );
    assert_eq!(code(&change("918273645018")).await, "94");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_gets_no_answer_that_another_one_of_the_same_name_waits_for() {
    let (installation, upstream) = start("ascii-1987").await;
    let acquirer = installation.acquirer_at("network", "ascii-1987");
    let refund = |amount: &str| {
        let mut message = installation.balance_inquiry(&installation.cards[0], PIN, 1);
        message.put(3, *b"200000");
        message.put(4, amount);
        message.remove(52);
        message
    };
    upstream.set(Mood::WaitsFor(2));
    let (small, great) = (refund("000000000100"), refund("000000999900"));
    let asked = tokio::spawn(async move { acquirer.exchange(&small).await.unwrap() });
    upstream.wait_for(great.mti, b"000001").await;
    let acquirer = installation.acquirer_at("network", "ascii-1987");
    let answer = tokio::time::timeout(Duration::from_secs(10), acquirer.exchange(&great)).await;
    let answer = answer.expect("it doesn't wait").unwrap();
    assert_eq!(answer.response_code().as_deref(), Some("94"));
    assert_eq!(
        upstream.heard().len(),
        1,
        "the second one never reached the upstream"
    );
    // The next one lets both go.
    let mut other = refund("000000000100");
    other.put(11, *b"000002");
    assert_eq!(
        acquirer
            .exchange(&other)
            .await
            .unwrap()
            .response_code()
            .as_deref(),
        Some("00")
    );
    assert_eq!(asked.await.unwrap().response_code().as_deref(), Some("00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_goes_on_without_right_macs_is_closed() {
    let links = "[[host.link]]\nname = \"sealed\"\nlisten = \"127.0.0.1:0\"\ndialect = \"ascii-1987\"\n\
                 zone_key = \"zpk\"\npin_format = \"iso0\"\nmac_key = \"zmac\"\n";
    let pins = [PIN.to_owned()];
    let wishes = Wishes {
        links,
        ..Wishes::cards(&pins)
    };
    let installation = Installation::start(wishes).await;
    let acquirer = installation.acquirer_at("sealed", "ascii-1987");
    let echo = acquirer.network_message(*b"301");
    let frame = echo.to_frame(acquirer.dialect()).unwrap();
    let len = u16::try_from(frame.len()).unwrap().to_be_bytes();
    let mut stream = TcpStream::connect(acquirer.host()).await.unwrap();
    stream
        .write_all(&[&len[..], &frame].concat().repeat(FORGED))
        .await
        .unwrap();
    let mut answers = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answers));
    reading.await.expect("the desk closes the connection").unwrap();
    let refused = installation.journal("message_refused").await;
    assert!((100..=FORGED).contains(&refused.len()), "{}", refused.len());
    assert!(refused.iter().all(|line| line["reason"] == "mac_missing"));
}
