//! A desk that may open few files, and peers that take all the connections they get: each surface keeps to its share, nobody
//! keeps the others out for long, and who is established stays (`security.md` A32).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::{net::Ipv4Addr, time::Duration};

use common::crowd::{address, allow_files, connect_from, get};
use common::{Installation, Wishes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PIN: &str = "594837261059";
const FILES_MAX: &str = "ulimit -n 1024";
/// More than a process with so few files can hold.
const CROWD: usize = 1_100;
/// What this process opens itself.
const OWN_FILES: u64 = 4_096;
const PATIENCE: Duration = Duration::from_secs(30);

/// A link on which one address may have 20 connections, and a newcomer 2 seconds.
const SHARED: &str = r#"
[[host.link]]
name = "shared"
listen = "127.0.0.1:0"
dialect = "ascii-1987"
zone_key = "zpk"
pin_format = "iso0"
connections_per_address = 20
first_message_seconds = 2
"#;
const SHARE: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desk_of_1024_files_outlives_1100_idle_connections_to_its_host_and_1100_to_its_portal() {
    allow_files(OWN_FILES);
    let pins = [PIN.to_owned()];
    let mut installation = Installation::start(Wishes {
        before: FILES_MAX,
        ..Wishes::cards(&pins)
    })
    .await;
    let mut at_host = Vec::new();
    for number in 0..CROWD {
        at_host.push(connect_from(address(number), installation.host).await.unwrap());
    }
    installation.desk.wait_for("TooManyConnections");
    assert!(get(installation.web, "/healthz").starts_with("HTTP/1.1 200"));
    // The other link has places of its own.
    let request =
        Installation::balance_inquiry_over(&installation.acquirer_aes, &installation.cards[0], PIN, 1);
    let answer = installation.acquirer_aes.exchange(&request).await.unwrap();
    assert_eq!(answer.response_code().as_deref(), Some("00"));

    let mut at_portal = Vec::new();
    for _ in 0..CROWD {
        at_portal.push(TcpStream::connect(installation.web).await.unwrap());
    }
    installation
        .desk
        .wait_for("the web has no place for another connection");
    let request =
        Installation::balance_inquiry_over(&installation.acquirer_aes, &installation.cards[0], PIN, 2);
    let answer = installation.acquirer_aes.exchange(&request).await.unwrap();
    assert_eq!(answer.response_code().as_deref(), Some("00"));
    // Who says nothing loses the place, at the portal after ten seconds and at the host after thirty.
    for silent in at_portal.iter_mut().chain(&mut at_host) {
        wait_for_its_end(silent).await;
    }
    let healthy = async {
        while !get(installation.web, "/healthz").starts_with("HTTP/1.1 200") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, healthy).await.unwrap();
    let request = installation.balance_inquiry(&installation.cards[0], PIN, 3);
    let answer = installation.acquirer.exchange(&request).await.unwrap();
    assert_eq!(answer.response_code().as_deref(), Some("00"));
    assert!(installation.desk.is_running());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_gets_its_share_for_a_moment_and_an_established_link_stays() {
    let pins = [PIN.to_owned()];
    let installation = Installation::start(Wishes {
        links: SHARED,
        ..Wishes::cards(&pins)
    })
    .await;
    let host = installation.links["shared"];
    let acquirer = installation.acquirer_at("shared", "ascii-1987");
    let echo = acquirer
        .network_message(*b"301")
        .to_frame(acquirer.dialect())
        .unwrap();
    let mut established = TcpStream::connect(host).await.unwrap();
    is_echoed(&mut established, &echo).await;
    let mut silent = Vec::new();
    for _ in 0..SHARE + 5 {
        silent.push(connect_from(Ipv4Addr::new(127, 0, 2, 1), host).await.unwrap());
    }
    for _ in 0..5 {
        installation.desk.wait_for("TooManyOfAddress");
    }
    // Others come in while the silent ones are there.
    let request = Installation::balance_inquiry_over(&acquirer, &installation.cards[0], PIN, 1);
    let answer = acquirer.exchange(&request).await.unwrap();
    assert_eq!(answer.response_code().as_deref(), Some("00"));
    for silent in &mut silent {
        wait_for_its_end(silent).await;
    }
    for _ in 0..SHARE {
        installation.desk.wait_for("NoMessage");
    }
    is_echoed(&mut established, &echo).await;
}

/// An echo test on a connection that stays open.
async fn is_echoed(link: &mut TcpStream, echo: &[u8]) {
    let len = u16::try_from(echo.len()).unwrap();
    link.write_all(&[&len.to_be_bytes()[..], echo].concat())
        .await
        .unwrap();
    let reading = async {
        let len = link.read_u16().await.unwrap();
        let mut answer = vec![0; len.into()];
        link.read_exact(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, reading).await.unwrap();
    assert_eq!(&answer[..4], b"0810");
}

/// Reads whatever comes until the desk closes, one way or the other.
async fn wait_for_its_end(peer: &mut TcpStream) {
    let mut ignored = Vec::new();
    let ended = tokio::time::timeout(2 * PATIENCE, peer.read_to_end(&mut ignored)).await;
    // A reset is an end too.
    let _ = ended.expect("the desk keeps a place for a peer that says nothing");
}
