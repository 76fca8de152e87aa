//! What the desk owes the issuer's own host (reversals of what it gave up, advices of what was decided without the host):
//! durable before the network is answered, told until the host answers, bounded, and not to be read at rest.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::fs;
use std::time::Duration;

use common::inline::{Inline, PIN, WRONG};
use common::upstream::Mood;
use iso8583::framing::{FrameReader, Framing};
use iso8583::mti::{
    Class, MTI_0120_AUTHORISATION_ADVICE, MTI_0420_REVERSAL_ADVICE, MTI_0421_REVERSAL_ADVICE_REPEAT, Mti,
};
use sim::acquirer::message::Message;
use store::{NewOwed, OwedMessage, SqliteStore, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LINK: &str = "network";

impl Inline {
    /// A cash withdrawal with a field that is the network's own.
    fn withdrawal(&self, pin: &str, trace: u32) -> Message {
        let mut request = self.cash(pin, trace);
        request.put(48, *b"what a network keeps to itself");
        request
    }

    fn kill_and_restart(&mut self) {
        self.installation.kill_and_restart_desk();
        self.installation.desk.wait_for("connected to the upstream");
    }

    /// `pinward report owed`, beside the running desk.
    fn report(&self) -> serde_json::Value {
        let reported = std::process::Command::new(env!("CARGO_BIN_EXE_pinward"))
            .args(["report", "owed", "--json", "--data"])
            .arg(&self.installation.data)
            .output()
            .unwrap();
        assert!(reported.status.success(), "{reported:?}");
        serde_json::from_slice(&reported.stdout).unwrap()
    }

    /// What the store keeps for the link.
    async fn kept(&self) -> Vec<OwedMessage> {
        let store = SqliteStore::open(self.installation.data.join("pinward.sqlite")).unwrap();
        store.owed(LINK, 0, 1_000).await.unwrap()
    }

    /// Waits until so few are owed.
    fn wait_until_owed(&self, owed: usize) {
        loop {
            let line = self
                .installation
                .desk
                .wait_for("the upstream knows what it was owed");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["fields"]["owed"] == owed {
                return;
            }
        }
    }
}

/// The advice, as often as it was sent, is one message.
fn assert_repeats(first: &Message, repeat: &Message) {
    assert!(first.fields().eq(repeat.fields()), "{first:?} {repeat:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversal_outlives_a_killed_desk_and_is_repeated_until_the_host_answers() {
    let mut world = Inline::with_timeout("").await;
    world.upstream.set(Mood::Deaf);
    assert_eq!(world.code(&world.withdrawal(PIN, 1)).await, "91");
    assert_eq!(world.kept().await.len(), 1, "before the network knew");
    let first = world.upstream.wait_for(MTI_0420_REVERSAL_ADVICE, b"000001").await;
    let pan = world.installation.cards[0].pan.expose_digits().as_bytes();
    assert_eq!(first.field(2), Some(pan));
    let heard = world.upstream.heard().len();

    world.kill_and_restart();
    let repeat = world
        .upstream
        .wait_for_after(heard, MTI_0421_REVERSAL_ADVICE_REPEAT, b"000001")
        .await;
    assert_repeats(&first, &repeat);
    world.upstream.set(Mood::Answers("00"));
    world.wait_until_owed(0);
    assert!(world.kept().await.is_empty());

    let heard = world.upstream.heard().len();
    world.kill_and_restart();
    assert_eq!(world.code(&world.withdrawal(PIN, 2)).await, "00");
    let later = world.upstream.heard().split_off(heard);
    let is_reversal = |message: &&Message| message.mti.class() == Class::Reversal;
    assert_eq!(later.iter().find(is_reversal), None, "what was answered is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_network_was_told_before_a_kill_the_host_hears_of_its_reversal() {
    let mut world = Inline::with_timeout("").await;
    for round in 0..3_u32 {
        world.upstream.set(Mood::Deaf);
        let traces = (1..=40).map(|number| round * 100 + number);
        let requests: Vec<Message> = traces.map(|trace| world.withdrawal(PIN, trace)).collect();
        // The desk dies with its first, its tenth, its last answer just out.
        let answers = match round {
            0 => 1,
            1 => 10,
            _ => 40,
        };
        let told = world.first_answers(&requests, answers).await;
        assert!(!told.is_empty());
        world.kill_and_restart();
        for trace in told {
            world.upstream.wait_for_reversal_of(&trace).await;
        }
        world.upstream.set(Mood::Answers("00"));
        world.wait_until_owed(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_in_the_hosts_stead_is_told_across_a_restart_with_its_approval_code() {
    let mut world = Inline::with_timeout("on_late = \"stand-in\"\nstand_in_amount_max_minor = 2000").await;
    world.upstream.set(Mood::Deaf);
    let acquirer = world.installation.acquirer_at(LINK, "ascii-1987");
    let approved = acquirer.exchange(&world.withdrawal(PIN, 1)).await.unwrap();
    assert_eq!(approved.response_code().as_deref(), Some("00"));
    let first = world
        .upstream
        .wait_for(MTI_0120_AUTHORISATION_ADVICE, b"000001")
        .await;
    assert_eq!(first.field(38), approved.field(38));
    assert_eq!(first.field(38).map(<[u8]>::len), Some(6));
    assert_eq!(first.field(48), None, "private fields aren't kept");
    let heard = world.upstream.heard().len();

    world.kill_and_restart();
    let repeated = Mti::parse(b"0121").unwrap();
    let repeat = world.upstream.wait_for_after(heard, repeated, b"000001").await;
    assert_repeats(&first, &repeat);
    world.upstream.set(Mood::Answers("00"));
    world.wait_until_owed(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_given_up_before_a_restart_does_not_meet_its_reversal_at_the_host() {
    let mut world = Inline::with_timeout("").await;
    world.upstream.set(Mood::Deaf);
    let request = world.withdrawal(PIN, 1);
    assert_eq!(world.code(&request).await, "91");
    world.kill_and_restart();
    let heard = world.upstream.heard().len();
    assert_eq!(world.code(&request).await, "91");
    let later = world.upstream.heard().split_off(heard);
    assert!(later.iter().all(|message| message.mti.class() == Class::Reversal));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_what_is_owed_is_readable_at_rest() {
    let world = Inline::with_timeout("tell_declines = true").await;
    world.upstream.set(Mood::Deaf);
    let (given_up, declined) = (world.withdrawal(PIN, 1), world.withdrawal(WRONG, 2));
    assert_eq!(world.code(&given_up).await, "91");
    assert_eq!(world.code(&declined).await, "55");
    assert_eq!(world.kept().await.len(), 2);
    let digits = world.installation.cards[0].pan.expose_digits();
    let packed: Vec<u8> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0'))
        .collect();
    let blocks = [&given_up, &declined].map(|request| request.field(52).unwrap().to_vec());
    let secrets = [digits.as_bytes().to_vec(), packed].into_iter().chain(blocks);
    let secrets: Vec<Vec<u8>> = secrets
        .chain([b"what a network keeps to itself".to_vec()])
        .collect();
    let mut read = 0;
    for name in ["pinward.sqlite", "pinward.sqlite-wal"] {
        let Ok(bytes) = fs::read(world.installation.data.join(name)) else {
            continue;
        };
        read += bytes.len();
        for (number, secret) in secrets.iter().enumerate() {
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{name} holds secret {number}");
        }
    }
    assert_ne!(read, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_more_is_owed_than_may_be_requests_are_refused_at_the_door_and_an_alarm_says_so() {
    let world = Inline::with_timeout("owed_max = 2").await;
    world.upstream.set(Mood::Deaf);
    assert_eq!(world.code(&world.withdrawal(PIN, 1)).await, "91");
    assert_eq!(world.code(&world.withdrawal(PIN, 2)).await, "91");
    world.installation.desk.wait_for("owed_full");
    let report = world.report();
    assert_eq!(
        (&report[0]["link"], &report[0]["messages"]),
        (&LINK.into(), &2.into())
    );
    assert_eq!(world.code(&world.withdrawal(PIN, 3)).await, "91");
    assert_eq!(world.kept().await.len(), 2);
    let passed = world.upstream.heard();
    assert!(passed.iter().all(|message| message.field(11) != Some(b"000003")));
    let raised = world.installation.journal("alarm_raised").await;
    assert_eq!(
        (&raised[0]["alarm"], &raised[0]["owed"]),
        (&"owed_full".into(), &2.into())
    );

    world.upstream.set(Mood::Answers("00"));
    world.installation.desk.wait_for("alarm ended");
    assert_eq!(world.code(&world.withdrawal(PIN, 4)).await, "00");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_for_too_long_raises_an_alarm_that_ends_when_the_host_knows() {
    let world = Inline::with_timeout("owed_alarm_seconds = 1").await;
    world.upstream.set(Mood::Deaf);
    assert_eq!(world.code(&world.withdrawal(PIN, 1)).await, "91");
    world.installation.desk.wait_for("owed_old");
    world.upstream.set(Mood::Answers("00"));
    world.installation.desk.wait_for("alarm ended");
    for (kind, owed) in [("alarm_raised", 1), ("alarm_ended", 0)] {
        let lines = world.installation.journal(kind).await;
        assert_eq!(lines.len(), 1, "{kind}");
        assert_eq!(
            (&lines[0]["alarm"], &lines[0]["owed"]),
            (&"owed_old".into(), &owed.into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_hsm_did_not_seal_for_this_link_is_never_sent_and_stays_for_the_operator() {
    let mut world = Inline::with_timeout("").await;
    world.upstream.set(Mood::Deaf);
    assert_eq!(world.code(&world.withdrawal(PIN, 1)).await, "91");
    let genuine = world.kept().await.remove(0);
    let store = SqliteStore::open(world.installation.data.join("pinward.sqlite")).unwrap();
    let mut edited = genuine.sealed.clone();
    edited[20] ^= 1;
    let elsewhere = hsm::ClearMessage::new(b"\x01\x00\x05other0420".to_vec());
    let elsewhere = hsm::PaymentHsm::seal_messages(&world.installation.remote, vec![elsewhere]).await;
    for sealed in [edited, elsewhere.unwrap().remove(0)] {
        let forged = NewOwed {
            link: LINK.to_owned(),
            at: genuine.at,
            sealed,
        };
        store.keep_owed(vec![forged]).await.unwrap();
    }
    drop(store);
    world.installation.kill_and_restart_desk();
    world.upstream.set(Mood::Answers("00"));
    world.wait_until_owed(2);
    assert_eq!(world.kept().await.len(), 2);
}

impl Inline {
    /// Sends all requests over one connection, and gives the trace numbers of the first answers, all with 91.
    async fn first_answers(&self, requests: &[Message], answers: usize) -> Vec<Vec<u8>> {
        let dialect = self.installation.acquirer.dialect();
        let mut out = Vec::new();
        for request in requests {
            let frame = request.to_frame(dialect).unwrap();
            Framing::Binary2
                .append(&mut out, |out| out.extend_from_slice(&frame))
                .unwrap();
        }
        let address = self.installation.links[LINK];
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&out).await.unwrap();
        let mut reader = FrameReader::new(Framing::Binary2);
        let mut received = vec![0; 64 * 1024];
        let mut told = Vec::new();
        while told.len() < answers {
            let reading = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut received));
            let len = reading.await.expect("an answer in time").unwrap();
            assert_ne!(len, 0, "the connection is closed");
            reader.push(&received[..len]);
            while let Some(frame) = reader.next_frame().unwrap() {
                let answer = Message::parse(frame, dialect).unwrap();
                assert_eq!(answer.response_code().as_deref(), Some("91"));
                told.push(answer.field(11).unwrap().to_vec());
            }
        }
        told
    }
}
