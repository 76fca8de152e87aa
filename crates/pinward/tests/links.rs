//! Links as settings, over TCP: dialects and framings, MACs, network management and new keys, and what becomes of bad
//! input: each a named response code and a line in the journal.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Installation, Wishes};
use hsm::{KeyAdmin, KeyName, KeyPurpose, MessageToMac, MessageWithMac, PaymentHsm};
use iso8583::build::MessageBuilder;
use iso8583::dialect::{Dialect, NetworkAct};
use iso8583::framing::{FrameReader, Framing};
use iso8583::mti::{MTI_0100_AUTHORISATION_REQUEST, MTI_0400_REVERSAL_REQUEST, MTI_0800_NETWORK_REQUEST};
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::pin::Pin;
use paycrypto::pinblock::{TdesFormat, encipher_tdes, iso4};
use paycrypto::tdes_key::Tdes2Key;
use paycrypto::{dukpt, tr31};
use sim::acquirer::message::Message;
use sim::bureau::components;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PIN: &str = "503918274650";
const NOW: cards::Timestamp = cards::Timestamp(1_790_000_000_000);

/// What is bad, the link, the frame, DE39, and reason and field in the journal.
type BadInput<'a> = (&'a str, &'a str, Vec<u8>, &'a str, &'a str, &'a str);

/// A link's section.
fn link(name: &str, dialect: &str, more: &str) -> String {
    format!(
        "[[host.link]]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\ndialect = \"{dialect}\"\nzone_key = \"zpk\"\npin_format = \"iso0\"\n{more}\n"
    )
}

async fn start(links: &str) -> Installation {
    let pins = [PIN.to_owned()];
    let wishes = Wishes {
        links,
        ..Wishes::cards(&pins)
    };
    Installation::start(wishes).await
}

/// A link's answer to a frame; `None` where it closes the connection instead.
async fn exchange(address: SocketAddr, framing: Framing, frame: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, framing, frame).await;
    receive(&mut stream, framing).await
}

async fn send(stream: &mut TcpStream, framing: Framing, frame: &[u8]) {
    let mut out = Vec::new();
    framing
        .append(&mut out, |out| out.extend_from_slice(frame))
        .unwrap();
    stream.write_all(&out).await.unwrap();
}

async fn receive(stream: &mut TcpStream, framing: Framing) -> Option<Vec<u8>> {
    let mut reader = FrameReader::new(framing);
    let mut received = [0; 4096];
    loop {
        let reading = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut received));
        let len = reading.await.expect("an answer in time").unwrap();
        if len == 0 {
            return None;
        }
        reader.push(&received[..len]);
        if let Some(frame) = reader.next_frame().unwrap() {
            return Some(frame.to_vec());
        }
    }
}

fn ascii() -> Dialect {
    Dialect::named("ascii-1987").unwrap()
}

/// A message with its MAC under `zmac`, made wrong where `damage` isn't 0.
async fn sealed(installation: &Installation, message: &Message, damage: u8) -> Vec<u8> {
    let dialect = ascii();
    let mut builder = MessageBuilder::new(&dialect, message.mti);
    for (number, value) in message.fields() {
        builder.set(number, value).unwrap();
    }
    builder.reserve_mac().unwrap();
    let mut frame = Vec::new();
    builder.write_to(&mut frame);
    let (covered, place) = iso8583::mac::split_mac(&mut frame).unwrap();
    let to_mac = MessageToMac {
        key: KeyName("zmac".into()),
        message: covered.to_vec(),
    };
    *place = installation.remote.make_macs(vec![to_mac]).await.unwrap()[0].unwrap();
    place[7] ^= damage;
    frame
}

/// A balance inquiry in a dialect.
fn inquiry(installation: &Installation, dialect: &Dialect, trace: u32) -> Message {
    let mut request = installation.balance_inquiry(&installation.cards[0], PIN, trace);
    request.mti = dialect.message_type(MTI_0100_AUTHORISATION_REQUEST);
    if dialect.places().original_data == Some(56) {
        request.put(12, *b"270115120000");
        request.put(22, *b"200101211101");
    }
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn one_card_answers_alike_in_every_dialect_and_framing() {
    let rows = [
        ("ascii", "ascii-1987", Framing::Ascii4, "00", "05"),
        ("bcd", "bcd-1987", Framing::Bcd2, "00", "05"),
        ("ebcdic", "ebcdic-1987", Framing::Binary2Zero2, "00", "05"),
        ("later", "ascii-1993", Framing::Binary2, "000", "117"),
        ("later-bcd", "bcd-1993", Framing::Binary2, "000", "117"),
    ];
    let links: String = rows
        .iter()
        .map(|(name, dialect, framing, ..)| {
            let more = format!(
                "framing = \"{}\"\nresponse_codes = {{ {} }}",
                framing.name(),
                if dialect.ends_with("1987") {
                    "IncorrectPin = \"05\""
                } else {
                    ""
                }
            );
            link(name, dialect, &more)
        })
        .collect();
    let installation = start(&links).await;
    for (trace, (name, dialect, framing, approved, wrong_pin)) in (1..).step_by(10).zip(rows) {
        let dialect = Dialect::named(dialect).unwrap();
        let address = installation.links[name];
        let mut wrong = inquiry(&installation, &dialect, trace);
        let other = installation.balance_inquiry(&installation.cards[0], "503918274651", trace);
        wrong.put(52, other.field(52).unwrap());
        for (request, code) in [
            (wrong, wrong_pin),
            (inquiry(&installation, &dialect, trace + 1), approved),
        ] {
            let answer = exchange(address, framing, &request.to_frame(&dialect).unwrap()).await;
            let answer = Message::parse(&answer.unwrap(), &dialect).unwrap();
            assert_eq!(answer.response_code().as_deref(), Some(code), "{name}");
            assert_eq!(Some(answer.mti), request.mti.response(), "{name}");
            assert_eq!(answer.field(11), request.field(11), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_gets_a_named_code_and_a_line_in_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let few = directory.path().join("few.toml");
    std::fs::write(&few, FEW_FIELDS).unwrap();
    let links = [
        link("few", few.to_str().unwrap(), ""),
        link("keyless", "ascii-1987", "").replace("\"zpk\"", "\"zpk-nowhere\""),
    ]
    .concat();
    let installation = start(&links).await;
    let dialect = ascii();
    let good = |trace: u32| inquiry(&installation, &dialect, trace);
    let with = |trace, change: &dyn Fn(&mut Message)| {
        let mut message = good(trace);
        change(&mut message);
        message.to_frame(&dialect).unwrap()
    };
    let edited = |trace, edit: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = good(trace).to_frame(&dialect).unwrap();
        edit(&mut frame);
        frame
    };
    // Bytes of the frame: MTI 4, bitmap 8, DE2 from 12 on.
    let twice = [0x95, 0x05, 0, 0, 0, 0, 0, 0x95, 0x05, 0, 0, 0, 0, 0];
    let rows: [BadInput<'_>; 16] = [
        ("no fault", "acquirer-1", with(1, &|_| {}), "00", "", ""),
        (
            "unknown field",
            "few",
            with(2, &|m| m.put(63, *b"x")),
            "30",
            "unreadable",
            "63",
        ),
        (
            "third bitmap",
            "acquirer-1",
            edited(3, &|f| {
                f[4] |= 0x80;
                f.splice(12..12, [0x80, 0, 0, 0, 0, 0, 0, 0]);
            }),
            "30",
            "unreadable",
            "65",
        ),
        (
            "length above the field's",
            "acquirer-1",
            edited(4, &|f| f[12..14].copy_from_slice(b"99")),
            "30",
            "unreadable",
            "2",
        ),
        (
            "length that is no number",
            "acquirer-1",
            edited(5, &|f| f[12] = b'x'),
            "30",
            "unreadable",
            "2",
        ),
        (
            "frame cut short",
            "acquirer-1",
            edited(6, &|f| f.truncate(f.len() - 3)),
            "30",
            "unreadable",
            "52",
        ),
        (
            "bytes after the end",
            "acquirer-1",
            edited(7, &|f| f.push(0)),
            "30",
            "unreadable",
            "0",
        ),
        (
            "DE4 missing",
            "acquirer-1",
            with(8, &|m| m.remove(4)),
            "30",
            "format_error",
            "4",
        ),
        (
            "DE2 and DE35 missing",
            "acquirer-1",
            with(9, &|m| m.remove(2)),
            "30",
            "format_error",
            "2",
        ),
        (
            "no card number",
            "acquirer-1",
            with(10, &|m| m.put(2, *b"4761739000000001")),
            "14",
            "card_number_invalid",
            "",
        ),
        (
            "DE23 missing is the card's own",
            "acquirer-1",
            with(11, &|m| m.remove(23)),
            "00",
            "",
            "",
        ),
        (
            "DE23 of another kind",
            "acquirer-1",
            with(12, &|m| m.put(23, *b"999")),
            "30",
            "format_error",
            "23",
        ),
        (
            "a transaction that isn't served",
            "acquirer-1",
            with(13, &|m| m.put(3, *b"220000")),
            "12",
            "not_served",
            "",
        ),
        (
            "one tag twice in DE55",
            "acquirer-1",
            with(14, &|m| m.put(55, twice)),
            "30",
            "ChipDataUnusable",
            "",
        ),
        (
            "a card that isn't ours",
            "acquirer-1",
            with(15, &|m| m.put(2, *b"4111111111111111")),
            "14",
            "UnknownCard",
            "",
        ),
        (
            "a zone key that isn't there",
            "keyless",
            with(16, &|_| {}),
            "96",
            "KeyMissing",
            "",
        ),
    ];
    let mut named = Vec::new();
    for (what, link, frame, code, reason, field) in rows {
        let answer = exchange(installation.links[link], Framing::Binary2, &frame).await;
        let answer = answer.unwrap_or_else(|| panic!("{what}: no answer"));
        let answer = Message::parse(&answer, &dialect).unwrap();
        assert_eq!(answer.response_code().as_deref(), Some(code), "{what}");
        if !reason.is_empty() {
            named.push((what, reason, field));
        }
    }
    let refused = installation.journal("message_refused").await;
    let decided = installation.journal("authorisation").await;
    let mut refused = refused.iter();
    for (what, reason, field) in named {
        if reason.starts_with(char::is_uppercase) {
            assert!(decided.iter().any(|line| line["decision"] == reason), "{what}");
        } else {
            let line = refused.next().unwrap_or_else(|| panic!("{what}: no line"));
            assert_eq!(line["reason"], reason, "{what}");
            if !field.is_empty() {
                assert_eq!(line["field"], field.parse::<u8>().unwrap(), "{what}");
            }
            // Of what can't be read the line tells the byte and what was wanted there.
            let why = line["why"].as_str().unwrap_or_default();
            assert_eq!(reason == "unreadable", why.contains(" at byte "), "{what}: {why}");
        }
    }
    assert!(refused.next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_mac_key_every_message_needs_a_right_mac_and_every_answer_carries_one() {
    let installation = start(&link("sealed", "ascii-1987", "mac_key = \"zmac\"")).await;
    let (address, dialect) = (installation.links["sealed"], ascii());
    let key = KeyName("zmac".into());
    let sealed = async |trace: u32, damage: u8| {
        let request = inquiry(&installation, &dialect, trace);
        sealed(&installation, &request, damage).await
    };
    let rows = [
        (
            inquiry(&installation, &dialect, 1).to_frame(&dialect).unwrap(),
            "63",
        ),
        (sealed(2, 1).await, "63"),
        (sealed(3, 0).await, "00"),
    ];
    for (frame, code) in rows {
        let answer = exchange(address, Framing::Binary2, &frame).await.unwrap();
        let parsed = iso8583::message::Message::parse(&answer, &dialect).unwrap();
        assert_eq!(parsed.field(39), Some(code.as_bytes()));
        let mac = parsed.mac().unwrap();
        let with_mac = MessageWithMac {
            key: key.clone(),
            message: mac.covered.to_vec(),
            mac: mac.mac,
        };
        assert_eq!(
            installation.remote.check_macs(vec![with_mac]).await.unwrap(),
            [Ok(true)]
        );
    }
    let refused = installation.journal("message_refused").await;
    assert_eq!(
        refused
            .iter()
            .map(|line| line["reason"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["mac_missing", "mac_wrong"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_its_sign_off_under_a_mac_a_network_is_served_again_when_it_signs_on() {
    let installation = start(&link("sealed", "ascii-1987", "mac_key = \"zmac\"")).await;
    let dialect = ascii();
    let address = installation.links["sealed"];
    // Each over a connection of its own: what counts is the link.
    let code = async |message: &Message| {
        let frame = sealed(&installation, message, 0).await;
        let answer = exchange(address, Framing::Binary2, &frame).await.unwrap();
        Message::parse(&answer, &dialect)
            .unwrap()
            .response_code()
            .unwrap()
    };
    let manage = async |act| {
        let (_, value) = dialect.network_code(act).unwrap();
        let message = installation.acquirer.network_message(value.try_into().unwrap());
        assert_eq!(code(&message).await, "00", "{act:?}");
    };
    let ask = async |trace| code(&inquiry(&installation, &dialect, trace)).await;
    manage(NetworkAct::Echo).await;
    assert_eq!(ask(1).await, "00");
    manage(NetworkAct::SignOff).await;
    assert_eq!(ask(2).await, "91");
    manage(NetworkAct::Echo).await;
    manage(NetworkAct::SignOn).await;
    assert_eq!(ask(3).await, "00");
    assert_eq!(installation.journal("link_signed_off").await.len(), 1);
    assert_eq!(installation.journal("link_signed_on").await.len(), 1);
    assert_eq!(
        installation.journal("message_refused").await[0]["reason"],
        "signed_off"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_macs_a_sign_off_is_of_its_own_connection_only() {
    let installation = start("").await;
    let dialect = ascii();
    let mut peer = TcpStream::connect(installation.host).await.unwrap();
    let mut code = async |message: &Message| {
        let frame = message.to_frame(&dialect).unwrap();
        send(&mut peer, Framing::Binary2, &frame).await;
        let answer = receive(&mut peer, Framing::Binary2).await.unwrap();
        Message::parse(&answer, &dialect)
            .unwrap()
            .response_code()
            .unwrap()
    };
    let manage = |act| {
        let (_, value) = dialect.network_code(act).unwrap();
        installation.acquirer.network_message(value.try_into().unwrap())
    };
    assert_eq!(code(&manage(NetworkAct::SignOff)).await, "00");
    assert_eq!(code(&inquiry(&installation, &dialect, 1)).await, "91");
    let others = installation
        .acquirer
        .exchange(&inquiry(&installation, &dialect, 2))
        .await;
    assert_eq!(others.unwrap().response_code().as_deref(), Some("00"));
    assert_eq!(code(&manage(NetworkAct::SignOn)).await, "00");
    assert_eq!(code(&inquiry(&installation, &dialect, 3)).await, "00");
    assert_eq!(installation.journal("connection_signed_off").await.len(), 1);
    assert_eq!(installation.journal("connection_signed_on").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversal_finds_its_original_on_any_connection_of_its_network_and_on_no_other_link() {
    let links = [
        link("same", "ascii-1987", "network = \"acquirer-1\""),
        link("other", "ascii-1987", ""),
    ];
    let installation = start(&links.concat()).await;
    let (dialect, home) = (ascii(), &installation.acquirer);
    // Each exchange has a connection of its own.
    for (trace, from, found) in [(1, "acquirer-1", true), (2, "same", true), (3, "other", false)] {
        let request = inquiry(&installation, &dialect, trace);
        let answer = home.exchange(&request).await.unwrap();
        assert_eq!(answer.response_code().as_deref(), Some("00"));
        let reversal = home.reversal(&request, MTI_0400_REVERSAL_REQUEST, None);
        let elsewhere = installation.acquirer_at(from, "ascii-1987");
        let answer = elsewhere.exchange(&reversal).await.unwrap();
        assert_eq!(answer.response_code().as_deref(), Some("00"), "{from}");
        let lines = installation.journal("reversal").await;
        assert_eq!(lines.last().unwrap()["original_found"], found, "{from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_messages_does_not_fill_the_journal_and_is_counted_there() {
    let installation = start("").await;
    let dialect = ascii();
    let stranger = |trace| {
        let mut message = inquiry(&installation, &dialect, trace);
        match trace % 2 {
            0 => message.put(2, *b"4111111111111111"),
            _ => message.put(3, *b"220000"),
        }
        message.to_frame(&dialect).unwrap()
    };
    let mut peer = TcpStream::connect(installation.host).await.unwrap();
    let flood = 1_500_u32;
    let mut out = Vec::new();
    for trace in 0..flood {
        Framing::Binary2
            .append(&mut out, |out| out.extend_from_slice(&stranger(trace)))
            .unwrap();
    }
    let (mut read, mut write) = peer.split();
    let reading = async {
        let mut reader = FrameReader::new(Framing::Binary2);
        let mut received = vec![0; 64 * 1024];
        let mut answers = 0;
        while answers < flood {
            let len = read.read(&mut received).await.unwrap();
            assert_ne!(len, 0);
            reader.push(&received[..len]);
            while reader.next_frame().unwrap().is_some() {
                answers += 1;
            }
        }
    };
    let flooding = async { tokio::join!(reading, async { write.write_all(&out).await.unwrap() }) };
    tokio::time::timeout(Duration::from_secs(50), flooding)
        .await
        .expect("all are answered");
    let honest = installation
        .acquirer
        .exchange(&inquiry(&installation, &dialect, flood))
        .await;
    assert_eq!(honest.unwrap().response_code().as_deref(), Some("00"));

    // The next line that there is room for tells of those left out.
    let (mut sent, mut left_out) = (flood, 0);
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    while left_out == 0 && tokio::time::Instant::now() < until {
        sent += 1;
        exchange(installation.host, Framing::Binary2, &stranger(sent))
            .await
            .unwrap();
        let told = installation.journal("lines_left_out").await;
        left_out = told.iter().map(|line| line["lines"].as_u64().unwrap()).sum();
    }
    let refused = installation.journal("message_refused").await.len();
    let decided = installation.journal("authorisation").await;
    let unknown = decided
        .iter()
        .filter(|line| line["decision"] == "UnknownCard")
        .count();
    assert!(
        decided.iter().any(|line| line["decision"] == "Approved"),
        "no honest line is left out"
    );
    assert!(refused + unknown < 1_100, "{refused} and {unknown}");
    assert!(left_out > 400, "{left_out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mac_a_key_change_is_refused_unless_the_link_says_otherwise() {
    let plain = link("plain", "ascii-1987", "key_exchange_key = \"kek\"");
    let macs = "key_exchange_key = \"kek\"\nmac_key = \"zmac\"";
    let installation = start(&[plain, link("sealed", "ascii-1987", macs)].concat()).await;
    let dialect = ascii();
    let name = |name: &str| KeyName(name.to_owned());
    let hsm = &installation.remote;
    hsm.generate_key(name("zpk-new"), KeyPurpose::ZonePinTdes, NOW)
        .await
        .unwrap();
    let block = hsm.export_key(name("zpk-new"), name("kek")).await.unwrap();
    let mut change = installation.acquirer.network_message(*b"101");
    change.put(48, block);
    let bare = change.to_frame(&dialect).unwrap();
    let with_mac = sealed(&installation, &change, 0).await;
    let rows = [
        ("plain", &bare, "63"),
        ("sealed", &bare, "63"),
        ("sealed", &with_mac, "00"),
    ];
    for (link, frame, code) in rows {
        let answer = exchange(installation.links[link], Framing::Binary2, frame).await;
        let answer = Message::parse(&answer.unwrap(), &dialect).unwrap();
        assert_eq!(answer.response_code().as_deref(), Some(code), "{link}");
    }
    let refused = installation.journal("message_refused").await;
    let reasons: Vec<_> = refused
        .iter()
        .map(|line| line["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["key_change_without_mac", "mac_missing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_our_sign_on_counts_only_under_a_right_mac() {
    let network = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let section = link("out", "ascii-1987", "sign_on = true\nmac_key = \"zmac\"").replace(
        "listen = \"127.0.0.1:0\"",
        &format!("connect = \"{}\"", network.local_addr().unwrap()),
    );
    let installation = start(&section).await;
    let dialect = ascii();
    for round in ["without", "wrong", "right"] {
        let accepting = tokio::time::timeout(Duration::from_secs(20), network.accept());
        let (mut stream, _) = accepting.await.expect("it connects").unwrap();
        let sign_on = receive(&mut stream, Framing::Binary2).await.unwrap();
        let sign_on = Message::parse(&sign_on, &dialect).unwrap();
        let mut agreed = Message::new(sign_on.mti.response().unwrap());
        for number in [7, 11, 70] {
            agreed.put(number, sign_on.field(number).unwrap());
        }
        agreed.put(39, *b"00");
        let frame = match round {
            "without" => agreed.to_frame(&dialect).unwrap(),
            "wrong" => sealed(&installation, &agreed, 1).await,
            _ => sealed(&installation, &agreed, 0).await,
        };
        send(&mut stream, Framing::Binary2, &frame).await;
        if round == "right" {
            installation.desk.wait_for("signed on");
        } else {
            assert_eq!(receive(&mut stream, Framing::Binary2).await, None, "{round}");
        }
    }
    let refused = installation.journal("message_refused").await;
    let reasons: Vec<_> = refused
        .iter()
        .map(|line| line["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["mac_missing", "mac_wrong"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_zone_key_is_taken_beside_the_former_one_and_a_wrong_one_is_refused() {
    let more = "key_exchange_key = \"kek\"\nkey_change_without_mac = true";
    let installation = start(&link("changing", "ascii-1987", more)).await;
    let name = |name: &str| KeyName(name.to_owned());
    let hsm = &installation.remote;
    let new = hsm
        .generate_key(name("zpk-new"), KeyPurpose::ZonePinTdes, NOW)
        .await
        .unwrap();
    let block = hsm.export_key(name("zpk-new"), name("kek")).await.unwrap();
    let mut damaged = block.clone().into_bytes();
    let last = damaged.len() - 1;
    damaged[last] = if damaged[last] == b'0' { b'1' } else { b'0' };
    let damaged = String::from_utf8(damaged).unwrap();
    let former = installation.acquirer_at("changing", "ascii-1987");
    let latter = installation.acquirer_with("changing", &block);
    let change = async |text: String| {
        let mut message = former.network_message(*b"101");
        message.put(48, text);
        let answer = former.exchange(&message).await.unwrap();
        (
            answer.response_code().unwrap(),
            answer.field(48).map(<[u8]>::to_vec),
        )
    };
    let ask = async |acquirer: &sim::acquirer::Acquirer, trace| {
        let request = Installation::balance_inquiry_over(acquirer, &installation.cards[0], PIN, trace);
        acquirer
            .exchange(&request)
            .await
            .unwrap()
            .response_code()
            .unwrap()
    };
    assert_eq!(change(damaged).await.0, "63");
    assert_eq!(
        change(format!("{block}000000")).await.0,
        "63",
        "another key's check value"
    );
    assert_eq!(change("D".to_owned()).await.0, "30");
    assert_eq!(ask(&former, 1).await, "00");
    assert_eq!(ask(&latter, 2).await, "81", "the new key isn't in force");
    let kcv = new.kcv.clone().into_bytes();
    assert_eq!(
        change(format!("{block}{}", new.kcv)).await,
        ("00".to_owned(), Some(kcv))
    );
    assert_eq!(ask(&latter, 3).await, "00");
    assert_eq!(ask(&former, 4).await, "00", "messages under way");
    // A recorded block is never taken again, however many changes lie between.
    hsm.generate_key(name("zpk-third"), KeyPurpose::ZonePinTdes, NOW)
        .await
        .unwrap();
    let third = hsm.export_key(name("zpk-third"), name("kek")).await.unwrap();
    assert_eq!(change(third).await.0, "00");
    assert_eq!(
        change(installation.zone_key.clone()).await.0,
        "63",
        "two changes ago"
    );
    assert_eq!(change(block.clone()).await.0, "63");
    let refused = installation.journal("message_refused").await;
    assert_eq!(
        refused
            .iter()
            .map(|line| line["reason"].as_str().unwrap())
            .collect::<Vec<_>>(),
        [
            "bad_key_block",
            "key_check_value_differs",
            "format_error",
            "key_unchanged",
            "key_unchanged"
        ]
    );
    assert_eq!(installation.journal("link_key_changed").await[0]["kcv"], new.kcv);
    let elsewhere = &installation.acquirer;
    let mut not_offered = elsewhere.network_message(*b"101");
    not_offered.put(48, block);
    let answer = elsewhere.exchange(&not_offered).await.unwrap();
    assert_eq!(answer.response_code().as_deref(), Some("12"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_connects_out_signs_on_serves_and_comes_back() {
    let network = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let section = link("out", "ascii-1987", "sign_on = true").replace(
        "listen = \"127.0.0.1:0\"",
        &format!("connect = \"{}\"", network.local_addr().unwrap()),
    );
    let installation = start(&section).await;
    let dialect = ascii();
    // Refused once, then agreed to twice.
    for (round, code) in [(1, "05"), (2, "00"), (3, "00")] {
        let accepting = tokio::time::timeout(Duration::from_secs(20), network.accept());
        let (mut stream, _) = accepting.await.expect("it connects").unwrap();
        let sign_on =
            Message::parse(&receive(&mut stream, Framing::Binary2).await.unwrap(), &dialect).unwrap();
        assert_eq!(sign_on.mti, MTI_0800_NETWORK_REQUEST);
        assert_eq!(sign_on.field(70), Some(&b"001"[..]));
        let mut agreed = Message::new(sign_on.mti.response().unwrap());
        for number in [7, 11, 70] {
            agreed.put(number, sign_on.field(number).unwrap());
        }
        agreed.put(39, code);
        send(&mut stream, Framing::Binary2, &agreed.to_frame(&dialect).unwrap()).await;
        if code == "05" {
            assert_eq!(receive(&mut stream, Framing::Binary2).await, None);
            continue;
        }
        let request = inquiry(&installation, &dialect, round);
        send(
            &mut stream,
            Framing::Binary2,
            &request.to_frame(&dialect).unwrap(),
        )
        .await;
        let answer = receive(&mut stream, Framing::Binary2).await.unwrap();
        let answer = Message::parse(&answer, &dialect).unwrap();
        assert_eq!(answer.response_code().as_deref(), Some("00"), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_with_derived_keys_say_which_and_without_that_nothing_is_compared() {
    let link = |name: &str, dialect: &str, key: &str, format: &str| {
        link(name, dialect, "")
            .replace("\"zpk\"", &format!("\"{key}\""))
            .replace("\"iso0\"", &format!("\"{format}\""))
    };
    let links = [
        link("tdes", "ascii-1987-dukpt", "bdk", "dukpt-tdes"),
        link("aes", "ascii-1987-aes-dukpt", "bdk-aes", "dukpt-aes"),
    ];
    let installation = start(&links.concat()).await;
    let (pin, pan) = (Pin::parse(PIN).unwrap(), &installation.cards[0].pan);
    let account = AccountDigits::from(pan);
    let bdk = base_key(&installation, "bdk", KeyPurpose::DukptBaseTdes).await;
    let ksn = *b"\xFF\xFF\x98\x76\x54\x32\x10\xE0\x00\x01";
    let bdk = Tdes2Key::from_bytes(bdk.as_slice().try_into().unwrap());
    let key = dukpt::tdes::pin_key(&bdk, dukpt::tdes::Ksn(ksn)).unwrap();
    let tdes = encipher_tdes(&key, TdesFormat::Iso0, &pin, &account, &[0; 10]).to_vec();
    let bdk = base_key(&installation, "bdk-aes", KeyPurpose::DukptBaseAes).await;
    let id = *b"\x12\x34\x56\x78\x90\x12\x34\x56";
    let bdk = AesKey::from_bytes(&bdk).unwrap();
    let key = dukpt::aes::pin_key(&bdk, id, 1).unwrap();
    let aes = iso4::encipher(&key, &pin, &account, &[7; 8]).to_vec();
    let aes_ksn = [&id[..], &1_u32.to_be_bytes()].concat();
    let rows = [
        ("tdes", "ascii-1987-dukpt", &tdes, Some(ksn.to_vec()), "00"),
        ("aes", "ascii-1987-aes-dukpt", &aes, Some(aes_ksn), "00"),
        ("tdes", "ascii-1987-dukpt", &tdes, None, "30"),
        ("tdes", "ascii-1987-dukpt", &tdes, Some(vec![0xFF; 10]), "81"),
    ];
    for (trace, (link, dialect, block, ksn, code)) in (1..).zip(rows) {
        let dialect = Dialect::named(dialect).unwrap();
        let mut request = inquiry(&installation, &dialect, trace);
        request.put(52, block.as_slice());
        if let Some(ksn) = ksn {
            request.put(53, ksn);
        }
        let frame = request.to_frame(&dialect).unwrap();
        let answer = exchange(installation.links[link], Framing::Binary2, &frame).await;
        let answer = Message::parse(&answer.unwrap(), &dialect).unwrap();
        assert_eq!(answer.response_code().as_deref(), Some(code), "message {trace}");
    }
}

/// Makes a base derivation key in the HSM, and gives what its terminals are loaded from.
async fn base_key(installation: &Installation, name: &str, purpose: KeyPurpose) -> Vec<u8> {
    let (hsm, name) = (&installation.remote, KeyName(name.to_owned()));
    hsm.generate_key(name.clone(), purpose, NOW).await.unwrap();
    let block = hsm.export_key(name, KeyName("kek".to_owned())).await.unwrap();
    let components = ["component-1.txt", "component-2.txt"].map(|file| installation.bureau.join(file));
    let exchange_key = components::combine(&components).unwrap();
    let unwrapped = tr31::unwrap(tr31::Kbpk::Aes(&exchange_key), &block).unwrap();
    unwrapped.key.to_vec()
}

/// A network that uses few fields.
const FEW_FIELDS: &str = include_str!("few-1987.toml");
