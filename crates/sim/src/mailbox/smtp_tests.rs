//! Conversations over a real socket.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

struct Bench {
    mailbox: Mailbox,
    address: std::net::SocketAddr,
    _dir: tempfile::TempDir,
}

async fn bench(limits: Limits) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::open(dir.path(), limits).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(mailbox.clone().serve(listener));
    Bench {
        mailbox,
        address,
        _dir: dir,
    }
}

impl Bench {
    /// Sends everything at once (so everything is pipelined) and reads until the server closes.
    async fn all_at_once(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// The reply codes for one message with this text between DATA and the dot.
    async fn codes_for(&self, text: &[u8]) -> Vec<String> {
        let mut bytes = b"EHLO me\r\nMAIL FROM:<a@x> BODY=8BITMIME\r\nRCPT TO:<b@x>\r\nDATA\r\n".to_vec();
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(b"\r\n.\r\nQUIT\r\n");
        codes(&self.all_at_once(&bytes).await)
    }

    fn kept(&self) -> usize {
        self.mailbox.rows().unwrap().len()
    }

    fn raw_text(&self, number: u32) -> String {
        String::from_utf8(self.mailbox.raw(number).unwrap().unwrap()).unwrap()
    }
}

/// The code of each reply; of a reply with several lines, the last.
fn codes(answer: &str) -> Vec<String> {
    answer
        .split("\r\n")
        .filter(|line| line.len() > 3 && line.as_bytes()[3] == b' ')
        .map(|line| line[..3].to_owned())
        .collect()
}

const TAKEN: [&str; 6] = ["220", "250", "250", "250", "354", "250"];

#[tokio::test]
async fn a_pipelined_message_is_kept_with_its_envelope() {
    let bench = bench(Limits::default()).await;
    let got = bench.codes_for(b"Subject: hi\r\n\r\nhello").await;
    assert_eq!(got[..6], TAKEN);
    assert_eq!(got[6], "221");
    let raw = bench.raw_text(1);
    assert_eq!(
        raw,
        "Return-Path: <a@x>\r\nDelivered-To: b@x\r\nSubject: hi\r\n\r\nhello\r\n"
    );
}

#[tokio::test]
async fn a_leading_dot_is_unstuffed_once_and_only_a_lone_dot_ends() {
    let bench = bench(Limits::default()).await;
    let got = bench
        .codes_for(b"Subject: dots\r\n\r\n..one\r\n...two\r\n. \r\na.")
        .await;
    assert_eq!(got[..6], TAKEN);
    assert!(bench.raw_text(1).ends_with("\r\n.one\r\n..two\r\n \r\na.\r\n"));
}

#[tokio::test]
async fn a_dot_between_bare_line_feeds_ends_nothing_and_the_message_is_refused() {
    let bench = bench(Limits::default()).await;
    for smuggled in [&b"a\n.\nMAIL FROM:<c@x>"[..], b"a\n.\r\nb", b"a\r\n.\nb", b"a\rb"] {
        assert_eq!(bench.codes_for(smuggled).await[5..], ["554", "221"]);
    }
    assert_eq!(bench.kept(), 0);
}

#[tokio::test]
async fn a_line_of_a_thousand_octets_passes_and_a_longer_one_does_not() {
    let bench = bench(Limits::default()).await;
    let mut text = b"Subject: long\r\n\r\n".to_vec();
    text.extend(std::iter::repeat_n(b'x', 998));
    assert_eq!(bench.codes_for(&text).await[5], "250");
    text.push(b'x');
    assert_eq!(bench.codes_for(&text).await[5..], ["554", "221"]);
    assert_eq!(bench.kept(), 1);
}

#[tokio::test]
async fn a_message_over_the_size_limit_is_refused_announced_or_not() {
    let limits = Limits {
        message_bytes: 200,
        ..Limits::default()
    };
    let bench = bench(limits).await;
    let text = b"Subject: big\r\n\r\n0123456789\r\n".repeat(10);
    assert_eq!(bench.codes_for(&text).await[5..], ["552", "221"]);
    let announced = b"EHLO me\r\nMAIL FROM:<a@x> SIZE=201\r\nQUIT\r\n";
    assert_eq!(codes(&bench.all_at_once(announced).await)[2], "552");
    assert_eq!(bench.codes_for(b"Subject: small").await[5], "250");
    assert_eq!(bench.kept(), 1);
}

#[tokio::test]
async fn commands_out_of_order_are_told_so() {
    let bench = bench(Limits::default()).await;
    for (said, code) in [
        ("MAIL FROM:<a@x>", "503"),
        ("EHLO me\r\nRCPT TO:<b@x>", "503"),
        ("EHLO me\r\nDATA", "503"),
        ("EHLO me\r\nMAIL FROM:<a@x>\r\nDATA", "503"),
        ("EHLO me\r\nMAIL FROM:<a@x>\r\nMAIL FROM:<a@x>", "503"),
        ("EHLO me\r\nMAIL FROM:<a@x>\r\nRSET\r\nRCPT TO:<b@x>", "503"),
        ("EHLO me\r\nMAIL FROM:a@x", "501"),
        ("EHLO me\r\nMAIL FROM:<a@x> SMTPUTF8", "555"),
        ("EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<>", "501"),
        ("EHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x", "501"),
        ("EHLO me\r\nTURN", "500"),
        ("EHLO me\r\nNOOP", "250"),
        ("HELO me\r\nVRFY b", "252"),
    ] {
        let answer = bench.all_at_once(format!("{said}\r\n").as_bytes()).await;
        assert_eq!(codes(&answer).last().map(String::as_str), Some(code), "{said}");
    }
}

#[tokio::test]
async fn garbage_is_answered_a_few_times_and_then_shown_the_door() {
    let bench = bench(Limits::default()).await;
    let answer = bench.all_at_once(&b"\xff\x00\xfe\r\n".repeat(50)).await;
    let got = codes(&answer);
    assert_eq!(got.iter().filter(|code| *code == "500").count(), 20);
    assert_eq!(got.last().map(String::as_str), Some("421"));
    let answer = bench
        .all_at_once(&[vec![b'x'; 100_000], b"\r\nQUIT\r\n".to_vec()].concat())
        .await;
    assert_eq!(codes(&answer), ["220", "500", "221"]);
}

#[tokio::test]
async fn a_message_cut_off_anywhere_is_not_kept() {
    let bench = bench(Limits::default()).await;
    let whole = b"EHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nSubject: hi\r\n\r\nhello\r\n.\r\n";
    for cut in 0..whole.len() {
        bench.all_at_once(&whole[..cut]).await;
    }
    assert_eq!(bench.kept(), 0);
    bench.all_at_once(whole).await;
    assert_eq!(bench.kept(), 1);
}

#[tokio::test]
async fn two_peers_are_served_side_by_side() {
    let bench = bench(Limits::default()).await;
    let mut slow = TcpStream::connect(bench.address).await.unwrap();
    slow.write_all(b"EHLO slow\r\nMAIL FROM:<s@x>\r\nRCPT TO:<t@x>\r\nDATA\r\nSubject: slow\r\n")
        .await
        .unwrap();
    assert_eq!(bench.codes_for(b"Subject: quick").await[5], "250");
    slow.write_all(b"\r\nlate\r\n.\r\nQUIT\r\n").await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    let subjects: Vec<_> = bench
        .mailbox
        .rows()
        .unwrap()
        .into_iter()
        .map(|row| row.subject)
        .collect();
    assert_eq!(subjects, ["slow", "quick"]);
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_closed_when_its_time_is_up() {
    let limits = Limits {
        connection: Duration::from_millis(30),
        ..Limits::default()
    };
    let bench = bench(limits).await;
    let mut silent = TcpStream::connect(bench.address).await.unwrap();
    let mut answer = String::new();
    silent.read_to_string(&mut answer).await.unwrap();
    assert_eq!(codes(&answer), ["220"]);
}

#[tokio::test]
async fn trouble_strikes_as_often_as_it_was_told_to() {
    let bench = bench(Limits::default()).await;
    bench.mailbox.next_messages(2, Trouble::TryLater);
    for (code, kept) in [("451", 0), ("451", 0), ("250", 1)] {
        assert_eq!(bench.codes_for(b"Subject: hi").await[5], code);
        assert_eq!(bench.kept(), kept);
    }
    bench.mailbox.next_messages(1, Trouble::HangUpUnkept);
    assert_eq!(bench.codes_for(b"Subject: hi").await.len(), 5);
    assert_eq!(bench.kept(), 1);
    bench.mailbox.next_messages(1, Trouble::HangUpKept);
    assert_eq!(bench.codes_for(b"Subject: hi").await.len(), 5);
    assert_eq!(bench.kept(), 2);
}

#[tokio::test]
async fn opening_a_mail_marks_it_read() {
    let bench = bench(Limits::default()).await;
    bench.codes_for(b"Subject: hi\r\n\r\nhello").await;
    assert!(bench.mailbox.rows().unwrap()[0].unread);
    let mail = bench.mailbox.open_mail(1).unwrap().unwrap();
    assert_eq!(mail.text.as_deref().map(str::trim), Some("hello"));
    assert!(!bench.mailbox.rows().unwrap()[0].unread);
    assert_eq!(bench.mailbox.open_mail(2).unwrap(), None);
}
