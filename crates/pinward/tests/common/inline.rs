//! A desk between a network and an issuer's own host.

use std::{net::SocketAddr, time::Duration};

use iso8583::{
    framing::{FrameReader, Framing},
    mti::Class,
};
use sim::acquirer::{Acquirer, message::Message};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::upstream::Upstream;
use super::{Installation, TestCard, Wishes};

pub(crate) const PIN: &str = "610293847561";
pub(crate) const WRONG: &str = "610293847562";
/// How long the upstream may take, in milliseconds.
pub(crate) const TIMEOUT_MS: u64 = 400;

/// A desk before an upstream, with one card.
pub(crate) struct Inline {
    pub(crate) installation: Installation,
    pub(crate) upstream: Upstream,
}

impl Inline {
    pub(crate) async fn start(settings: &str) -> Self {
        Self::start_in("ascii-1987", settings).await
    }

    pub(crate) async fn start_in(dialect: &str, settings: &str) -> Self {
        let upstream = Upstream::start().await;
        let links = format!(
            r#"
[[host.link]]
name = "network"
listen = "127.0.0.1:0"
dialect = "{dialect}"
zone_key = "zpk"
pin_format = "iso0"
[host.link.upstream]
address = "{}"
{settings}
"#,
            upstream.address
        );
        let pins = [PIN.to_owned()];
        let wishes = Wishes {
            links: &links,
            ..Wishes::cards(&pins)
        };
        let installation = Installation::start(wishes).await;
        installation.desk.wait_for("connected to the upstream");
        Self {
            installation,
            upstream,
        }
    }

    pub(crate) async fn with_timeout(more: &str) -> Self {
        Self::start(&format!("timeout_ms = {TIMEOUT_MS}\n{more}")).await
    }

    pub(crate) fn card(&self) -> &TestCard {
        &self.installation.cards[0]
    }

    /// A cash withdrawal with a PIN.
    pub(crate) fn cash(&self, pin: &str, trace: u32) -> Message {
        let acquirer = &self.installation.acquirer;
        let mut request = Installation::balance_inquiry_over(acquirer, self.card(), pin, trace);
        request.put(3, *b"010000");
        request.put(4, *b"000000002000");
        request.put(37, format!("REF{trace:09}"));
        request.put(41, *b"ATM00001");
        request.put(60, *b"PIN=match;AC=valid;DESK=Approved");
        request
    }

    pub(crate) async fn ask(&self, request: &Message) -> Message {
        let acquirer = self.installation.acquirer_at("network", "ascii-1987");
        acquirer.exchange(request).await.unwrap()
    }

    pub(crate) async fn code(&self, request: &Message) -> String {
        self.ask(request).await.response_code().unwrap()
    }

    /// A purchase in another way: DE3, DE4, DE22 and DE49, with a PIN or without.
    pub(crate) fn request(
        &self,
        trace: u32,
        [code, amount, entry, currency]: [&str; 4],
        pin: Option<&str>,
    ) -> Message {
        let mut request = self.cash(pin.unwrap_or(PIN), trace);
        for (number, value) in [(3, code), (4, amount), (22, entry), (49, currency)] {
            request.put(number, value);
        }
        if pin.is_none() {
            request.remove(52);
        }
        request
    }

    /// An acquirer that calls a purchase what the desk's table hasn't.
    pub(crate) fn acquirer_with_refunds(&self) -> Acquirer {
        self.installation.acquirer_at("network", "ascii-1987");
        let path = self.installation.bureau.join("acquirer.json");
        let mut file: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        file["processing_codes"] = serde_json::json!({ "purchase": "20" });
        std::fs::write(&path, file.to_string()).unwrap();
        Acquirer::open(&path).unwrap()
    }

    pub(crate) fn mark_of(&self, trace: u32) -> String {
        let heard = self.heard_of(trace);
        String::from_utf8(heard.last().unwrap().field(60).unwrap().to_vec()).unwrap()
    }

    /// No reversal of this one was sent.
    pub(crate) fn assert_not_taken_back(&self, trace: u32) {
        let heard = self.heard_of(trace);
        assert!(
            heard.iter().all(|message| message.mti.class() != Class::Reversal),
            "{heard:?}"
        );
    }

    pub(crate) fn heard_of(&self, trace: u32) -> Vec<Message> {
        let trace = format!("{trace:06}");
        let mut heard = self.upstream.heard();
        heard.retain(|message| message.field(11) == Some(trace.as_bytes()));
        heard
    }
}

/// Sends all frames over one connection without waiting, and gives as many answers.
pub(crate) async fn pipelined(address: SocketAddr, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for frame in frames {
        Framing::Binary2
            .append(&mut out, |out| out.extend_from_slice(frame))
            .unwrap();
    }
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    let sending = tokio::spawn(async move {
        write.write_all(&out).await.unwrap();
        write
    });
    let mut reader = FrameReader::new(Framing::Binary2);
    let mut received = vec![0; 64 * 1024];
    let mut answers = Vec::new();
    while answers.len() < frames.len() {
        let reading = tokio::time::timeout(Duration::from_secs(50), read.read(&mut received));
        let len = reading.await.expect("an answer in time").unwrap();
        assert_ne!(len, 0, "the connection is closed after {} answers", answers.len());
        reader.push(&received[..len]);
        while let Some(frame) = reader.next_frame().unwrap() {
            answers.push(frame.to_vec());
        }
    }
    drop(sending.await.unwrap());
    answers
}
