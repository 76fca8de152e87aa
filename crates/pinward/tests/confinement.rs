//! Clear PINs stay in the cardmember's device and the HSM (invariant I3; `security.md` R5).
//!
//! Canary PINs of 12 digits go through the portal, the ISO 8583 host and the JSON API of real processes: right and wrong
//! ones, PIN changes at an ATM, beside an issuer's own host, in a dual run, and in bad messages. Zone keys are changed
//! over the network, and messages of all kinds are refused that hold a canary card number. Afterwards the desk's memory,
//! files and logs, the traffic of its ports, of its link to the HSM, of its upstreams and of its mails are searched for
//! each PIN and key, in every form that a program might hold it in; files and mails also for card numbers and enciphered
//! PIN blocks. The same search over a process that does handle them finds them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "test helpers"
)]

mod common;

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use cards::{Pan, Timestamp};
use data_encoding::HEXUPPER;
use hsm::{KeyAdmin, KeyName, KeyPurpose};
use iso8583::mti::{MTI_0100_AUTHORISATION_REQUEST, MTI_0120_AUTHORISATION_ADVICE, Mti};
use paycrypto::{pin::Pin, tr31};
use sim::{
    acquirer::{Acquirer, message::Message},
    bureau::components,
    mailbox::{Limits, Mailbox},
    terminal::{atm, journey::Faults},
};
use tempfile::TempDir;

use common::{
    API_TOKEN, Installation, TestCard, Wishes,
    portal::Portal,
    scan::{Hit, Patterns, Scanned},
    upstream::Upstream,
};

const CARDS: usize = 8;
const CHANGES: usize = 256;
/// A card's PIN is shown after each change: 512 operations in all.
const CHANGES_OF_CARD: usize = CHANGES / CARDS;
const BALANCE_INQUIRIES: u32 = 64;
/// PINs of the card whose PIN changes at cash machines.
const PINS_AT_MACHINES: usize = 9;
const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// Tells the leaky process where its log is; with it this executable is that process.
const ENV_LEAKY_LOG: &str = "PINWARD_LEAKY_LOG";
/// PINs that the leaky process keeps.
const LEAKED: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_pins_leave_no_trace_outside_the_hsm() {
    let traces = TempDir::new().unwrap();
    let pins = canaries(CARDS * (CHANGES_OF_CARD + 1));
    let of_card: Vec<&[String]> = pins.chunks(CHANGES_OF_CARD + 1).collect();
    let at_machines = canaries(PINS_AT_MACHINES);
    let mut first: Vec<String> = of_card.iter().map(|pins| pins[0].clone()).collect();
    first.push(at_machines[0].clone());
    let stranger = random_pan();

    let mail_listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mail = mail_listener.local_addr().unwrap();
    let mailbox = Mailbox::open(&traces.path().join("mail"), Limits::default()).unwrap();
    tokio::spawn(mailbox.clone().serve(mail_listener));
    let (upstream, dual) = (Upstream::start().await, Upstream::start().await);
    let wishes = Wishes {
        pins: &first,
        mail,
        relay: Some(record_hsm_link),
        links: &links(&upstream, &dual),
        ..Wishes::cards(&first)
    };
    let mut installation = Installation::start(wishes).await;
    let capture = traces.path().join("loopback.pcap");
    let mut ports: Vec<u16> = installation.links.values().map(SocketAddr::port).collect();
    ports.extend([installation.web.port(), mail.port()]);
    let tcpdump = Tcpdump::start(&capture, &ports);

    let nonces = use_portal(&installation, &of_card);
    verify_at_host(&installation, &of_card).await;
    let card = installation.cards.last().unwrap();
    change_at_machines(&installation, card, &at_machines).await;
    let latest = at_machines.last().unwrap();
    let wrong = &at_machines[0];
    let mut blocks = authorise_inline(&installation, card, [latest, wrong], "network").await;
    blocks.extend(authorise_inline(&installation, card, [latest, wrong], "dual").await);
    blocks.extend(ask_api(&installation, card, [latest, wrong], &stranger));
    let careless: [u8; 16] = std::array::from_fn(|_| getrandom::u32().unwrap().to_le_bytes()[0]);
    let keys = change_key(&installation, careless).await;
    say_bad_things(&installation, &stranger, latest).await;
    // What the desk decided without the upstream, it is told of afterwards; cards that aren't ours are the upstream's.
    upstream.wait_for(MTI_0120_AUTHORISATION_ADVICE, b"000900").await;
    for trace in [b"000700", b"000703"] {
        upstream.wait_for(MTI_0100_AUTHORISATION_REQUEST, trace).await;
    }
    for (name, host) in [("upstream", &upstream), ("upstream-dual", &dual)] {
        fs::write(traces.path().join(name), host.raw()).unwrap();
    }
    let all_mails = async {
        let mut look = tokio::time::interval(Duration::from_millis(100));
        while mailbox.counts().unwrap().total < CARDS * CHANGES_OF_CARD {
            look.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_mails)
        .await
        .expect("every change is mailed");
    let hsm_link = fs::read(link_record(&installation.data)).unwrap();
    let hsm_link_copy = traces.path().join("hsm-link");
    fs::write(&hsm_link_copy, hsm_link).unwrap();
    assert!(installation.desk.is_running());

    let mut secrets = Patterns::default();
    for (card, pins) in installation.cards.iter().zip(&of_card) {
        for (number, pin) in pins.iter().enumerate() {
            secrets.pin(number, pin, &[&card.pan]);
        }
    }
    for (number, pin) in (pins.len()..).zip(&at_machines) {
        secrets.pin(number, pin, &[&installation.cards.last().unwrap().pan]);
    }
    for (name, key) in &keys {
        secrets.key(name, key);
    }
    let secrets = secrets.scanner();
    let memory = secrets.scan_memory(installation.desk.id());
    tcpdump.stop();
    let mut in_files = Patterns::default();
    installation.cards.iter().for_each(|card| in_files.pan(&card.pan));
    in_files.pan_but_last_four(&stranger);
    in_files.key("key that a network sent in clear", &careless);
    for (number, block) in blocks.iter().enumerate() {
        in_files.mark(&format!("PIN block {number}"), block);
        in_files.mark(
            &format!("PIN block {number} in hex"),
            HEXUPPER.encode(block).as_bytes(),
        );
    }
    let pans = in_files.scanner();
    let scans = [
        ("memory", memory),
        ("data directory", secrets.scan_files(&installation.data)),
        (
            "captured traffic, HSM link, upstreams and mails",
            secrets.scan_files(traces.path()),
        ),
        (
            "card numbers and PIN blocks in the data directory",
            pans.scan_files(&installation.data),
        ),
        (
            "card numbers and PIN blocks in mails",
            pans.scan_files(&traces.path().join("mail")),
        ),
    ];
    for (place, scanned) in &scans {
        println!("{place}: {} bytes", scanned.bytes);
        assert!(scanned.hits.is_empty(), "{place}: {:?}", scanned.hits);
        assert!(scanned.bytes > 100_000, "{place}: next to nothing was looked at");
    }
    assert_was_looked_at(&installation, &traces, &nonces);
    assert_what_upstreams_heard(&traces, &blocks, &keys);
}

#[test]
fn the_same_search_finds_the_pins_of_a_process_that_handles_them() {
    if let Some(log) = env::var_os(ENV_LEAKY_LOG) {
        return leak(Path::new(&log));
    }
    let directory = TempDir::new().unwrap();
    let log = directory.path().join("leaky.log");
    let pins = canaries(2 * LEAKED);
    let mut leaky = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "the_same_search_finds_the_pins_of_a_process_that_handles_them",
            "--nocapture",
        ])
        .env(ENV_LEAKY_LOG, &log)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to_leaky = leaky.stdin.take().unwrap();
    for pin in &pins {
        writeln!(to_leaky, "{pin}").unwrap();
    }
    writeln!(to_leaky).unwrap();
    let mut said = BufReader::new(leaky.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    assert!(said.any(|line| line.contains("ready")));
    let mut secrets = Patterns::default();
    pins.iter()
        .enumerate()
        .for_each(|(number, pin)| secrets.pin(number, pin, &[]));
    let secrets = secrets.scanner();
    let (memory, files) = (
        secrets.scan_memory(leaky.id()),
        secrets.scan_files(directory.path()),
    );
    drop(to_leaky);
    assert!(leaky.wait().unwrap().success());

    assert_eq!(distinct(&files).len(), 1, "the PIN in the log: {:?}", files.hits);
    let found = distinct(&memory);
    for number in 0..LEAKED {
        let kept = [
            "text",
            "nibbles",
            "nibbles across bytes",
            "digits as bytes",
            "little-endian integer",
        ];
        let form = format!("PIN {number} as {}", kept[number % kept.len()]);
        assert!(found.contains(form.as_str()), "{form} wasn't found");
    }
    println!("{} hits in memory", memory.hits.len());
}

/// Takes PINs in clear and keeps the first ones, each in its own form; writes one to a log. Ends with its input.
fn leak(log: &Path) {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for (number, pin) in io::stdin().lines().map_while(Result::ok).enumerate() {
        if pin.is_empty() {
            println!("ready");
        } else if number < LEAKED {
            kept.push(in_form(number, &pin));
        } else if number == LEAKED {
            fs::write(log, format!("could not verify {pin}\n")).unwrap();
        }
    }
    assert_eq!(kept.len(), LEAKED);
}

fn in_form(number: usize, pin: &str) -> Vec<u8> {
    let values = pin.bytes().map(|digit| digit - b'0');
    let nibbles = |values: Vec<u8>| values.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    match number % 5 {
        0 => pin.as_bytes().to_vec(),
        1 => nibbles(values.collect()),
        2 => nibbles([0xC].into_iter().chain(values).chain([0xF]).collect()),
        3 => values.collect(),
        _ => pin.parse::<u64>().unwrap().to_le_bytes().to_vec(),
    }
}

/// Changes each card's PIN again and again, and has it shown after each change. Gives the envelopes' nonces.
fn use_portal(installation: &Installation, of_card: &[&[String]]) -> Vec<[u8; 16]> {
    let cards: Vec<(&TestCard, &[String])> = installation.cards.iter().zip(of_card.iter().copied()).collect();
    let web = installation.web;
    thread::scope(|scope| {
        let use_some = move |some: Vec<(&TestCard, &[String])>| {
            let mut portal = Portal::sign_in(web);
            let mut nonces = Vec::new();
            for (card, pins) in some {
                for change in pins.windows(2) {
                    nonces.push(portal.change_pin(card.row, &change[0], &change[1]));
                    assert!(portal.sees_pin(card.row, &change[1]));
                }
            }
            nonces
        };
        let people: Vec<_> = cards
            .chunks(CARDS / 4)
            .map(|some| {
                let some = some.to_vec();
                scope.spawn(move || use_some(some))
            })
            .collect();
        people
            .into_iter()
            .flat_map(|person| person.join().unwrap())
            .collect()
    })
}

/// The latest PIN of each card at a cash machine, and now and then an older one, which is wrong.
async fn verify_at_host(installation: &Installation, of_card: &[&[String]]) {
    for trace in 0..BALANCE_INQUIRIES {
        let place = usize::try_from(trace).unwrap() % CARDS;
        let wrong = trace % 16 < 8;
        let pin = if wrong {
            &of_card[place][0]
        } else {
            of_card[place].last().unwrap()
        };
        let request = installation.balance_inquiry(&installation.cards[place], pin, trace);
        let answer = installation.acquirer.exchange(&request).await.unwrap();
        let expected = if wrong { "55" } else { "00" };
        assert_eq!(answer.response_code().as_deref(), Some(expected), "trace {trace}");
    }
}

/// Two links with an issuer's own host behind them, and one whose network changes its keys.
fn links(upstream: &Upstream, dual: &Upstream) -> String {
    let link = |name: &str, more: &str| {
        format!(
            "[[host.link]]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\ndialect = \"ascii-1987\"\n\
             zone_key = \"zpk\"\npin_format = \"iso0\"\n{more}\n"
        )
    };
    let behind =
        |host: &Upstream, more: &str| format!("[host.link.upstream]\naddress = \"{}\"\n{more}", host.address);
    [
        link("network", &behind(upstream, "tell_declines = true")),
        link("dual", &behind(dual, "dual_run = true")),
        link(
            "changing",
            "key_exchange_key = \"kek\"\nkey_change_without_mac = true",
        ),
    ]
    .concat()
}

/// Changes a PIN again and again by its chip card, at machines of two links in turn; once to a PIN that can't be one.
async fn change_at_machines(installation: &Installation, card: &TestCard, pins: &[String]) {
    let mut chip = installation.chip(card).await;
    let acquirers = ["acquirer-1", "network"].map(|link| installation.acquirer_at(link, "ascii-1987"));
    let pins: Vec<Pin> = pins.iter().map(|pin| Pin::parse(pin).unwrap()).collect();
    for (change, acquirer) in pins.windows(2).zip(acquirers.iter().cycle()) {
        let short = Pin::parse("40291").unwrap();
        for (new, code) in [(&short, "71"), (&change[1], "00")] {
            let journey = atm::change_pin(&mut chip, &change[0], new, acquirer, Faults::default()).await;
            assert_eq!(journey.outcome.response_code.as_deref(), Some(code));
        }
    }
}

/// A right and a wrong PIN for the issuer's own host, with control information for the PIN's key; gives the PIN blocks.
async fn authorise_inline(
    installation: &Installation,
    card: &TestCard,
    [right, wrong]: [&String; 2],
    link: &str,
) -> Vec<Vec<u8>> {
    let acquirer = installation.acquirer_at(link, "ascii-1987");
    let mut blocks = Vec::new();
    for (trace, pin) in [(900, wrong), (901, right)] {
        let mut request = Installation::balance_inquiry_over(&acquirer, card, pin, trace);
        request.put(3, *b"010000");
        request.put(4, *b"000000002000");
        // Each link's messages are their own.
        request.put(
            7,
            if link == "dual" {
                *b"0115120001"
            } else {
                *b"0115120002"
            },
        );
        request.put(53, *CONTROL_INFORMATION);
        blocks.push(request.field(52).unwrap().to_vec());
        let answer = acquirer.exchange(&request).await.unwrap();
        // In a dual run the host decides, which here approves all.
        let expected = if pin == right || link == "dual" {
            "00"
        } else {
            "55"
        };
        assert_eq!(answer.response_code().as_deref(), Some(expected), "{link}");
    }
    blocks
}

/// DE53 of the messages that go to issuers' own hosts.
const CONTROL_INFORMATION: &[u8; 16] = b"2601957318406295";

/// Asks the JSON API, as it wants to be asked and otherwise; gives the PIN blocks. No refusal repeats what was asked.
fn ask_api(
    installation: &Installation,
    card: &TestCard,
    [right, wrong]: [&String; 2],
    stranger: &Pan,
) -> Vec<Vec<u8>> {
    let block = |pin: &str| {
        let key = installation.acquirer.zone_key();
        key.pin_block(&Pin::parse(pin).unwrap(), &card.pan, &[0; 8])
    };
    let (right, wrong) = (block(right), block(wrong));
    let pan = card.pan.expose_digits();
    let message = |id: &str, pan: &str, block: &str| {
        format!(
            r#"{{"id":"{id}","at":"0115120000","pan":"{pan}","transaction":"cash","amount_minor":2000,"currency":978,"entry":"magnetic_stripe","pin":{{"zone_key":"zpk","format":"iso0","block":"{block}"}}}}"#
        )
    };
    let (right_hex, wrong_hex) = (HEXUPPER.encode(&right), HEXUPPER.encode(&wrong));
    let stranger = stranger.expose_digits();
    let good = message("1", pan, &wrong_hex);
    let rows = [
        (200, r#""pin":"no_match""#, good.clone()),
        (200, r#""pin":"match""#, message("2", pan, &right_hex)),
        (200, "UnknownCard", message("3", stranger, &right_hex)),
        (200, "DuplicateDiffers", message("1", pan, &right_hex)),
        (422, "pin", message("4", pan, &right_hex[1..])),
        (
            422,
            "pan",
            message("5", &with_wrong_check_digit(stranger), &right_hex),
        ),
        (422, "id", message(&"6".repeat(65), stranger, &right_hex)),
        (400, "", good.replace("\"cash\"", &format!("\"{stranger}\""))),
        (400, "", good.replace("978", &format!("\"{stranger}\""))),
        (400, "", good.replace("\"entry\"", &format!("\"{stranger}\""))),
        (400, "", good.replace("\"iso0\"", &format!("\"{right_hex}\""))),
        (400, "", format!("{stranger}{right_hex}")),
    ];
    for (status, told, body) in rows {
        let answer = post(installation.web, "/v1/authorisations/check", &body);
        let is_right = answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(told);
        assert!(is_right, "wanted {status} {told}: {answer}");
        for secret in [stranger, pan, &right_hex, &wrong_hex] {
            assert!(
                !answer.contains(secret),
                "{status} {told}: the answer repeats a secret"
            );
        }
    }
    vec![right, wrong]
}

/// The card number with another last digit, so never one that Luhn's rule takes.
fn with_wrong_check_digit(digits: &str) -> String {
    let (number, check) = digits.split_at(digits.len() - 1);
    let check: u8 = check.parse().unwrap();
    format!("{number}{}", (check + 1) % 10)
}

fn post(web: SocketAddr, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(web).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let len = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {API_TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Changes a zone key over the network: bad blocks are refused, the good one is taken; one network carelessly sends a key in
/// clear. Gives the other keys in clear.
async fn change_key(installation: &Installation, careless: [u8; 16]) -> Vec<(&'static str, Vec<u8>)> {
    let (hsm, name) = (&installation.remote, |name: &str| KeyName(name.to_owned()));
    let new = name("zpk-new");
    hsm.generate_key(new.clone(), KeyPurpose::ZonePinTdes, NOW)
        .await
        .unwrap();
    let block = hsm.export_key(new, name("kek")).await.unwrap();
    let paths = ["component-1.txt", "component-2.txt"].map(|file| installation.bureau.join(file));
    let exchange_key = components::combine(&paths).unwrap();
    let clear = |block: &str| {
        tr31::unwrap(tr31::Kbpk::Aes(&exchange_key), block)
            .unwrap()
            .key
            .to_vec()
    };
    let keys = vec![
        ("former zone PIN key", clear(&installation.zone_key)),
        ("new zone PIN key", clear(&block)),
        ("key exchange key", exchange_key.expose_bytes().to_vec()),
    ];
    let acquirer = installation.acquirer_at("changing", "ascii-1987");
    let cut = block[..block.len() - 8].to_owned();
    let other_use = block.replacen("P0", "M3", 1);
    let rows = [
        (cut, "30"),
        (other_use, "63"),
        (format!("{block}000000"), "63"),
        (format!("{}{}", &block[..16], HEXUPPER.encode(&careless)), "30"),
        (block.clone(), "00"),
        (block, "63"),
    ];
    for (text, code) in rows {
        let mut message = acquirer.network_message(*b"101");
        message.put(48, text);
        let answer = acquirer.exchange(&message).await.unwrap();
        assert_eq!(answer.response_code().as_deref(), Some(code));
    }
    keys
}

/// Messages that are refused, each with a card number in it that isn't ours, over every link.
async fn say_bad_things(installation: &Installation, stranger: &Pan, pin: &str) {
    let pan = stranger.expose_digits();
    let card = TestCard {
        pan: stranger.clone(),
        row: installation.cards[0].row,
    };
    for (number, link) in (0..).zip(["acquirer-1", "network", "dual", "changing"]) {
        let acquirer = installation.acquirer_at(link, "ascii-1987");
        let good = |trace: u32| {
            let mut message = Installation::balance_inquiry_over(&acquirer, &card, pin, 700 + trace);
            message.put(7, format!("01151201{number:02}"));
            message
        };
        let mut invalid = good(1);
        invalid.put(2, with_wrong_check_digit(pan));
        let mut track_only = good(2);
        track_only.remove(2);
        track_only.put(35, format!("{pan}=3913"));
        let mut elsewhere = good(3);
        elsewhere.put(37, &pan[..12]);
        elsewhere.put(41, &pan[..8]);
        elsewhere.put(42, &pan[..15]);
        elsewhere.put(48, format!("PAN {pan}"));
        elsewhere.put(55, pan);
        let mut other_kind = good(4);
        other_kind.mti = Mti::parse(b"0304").unwrap();
        let mut key_change = acquirer.network_message(*b"101");
        key_change.put(2, pan);
        key_change.put(48, format!("D{pan}"));
        let reversal = acquirer.reversal(&good(5), Mti::parse(b"0400").unwrap(), Some(pan.into()));
        let mut short = good(6);
        short.put(11, &pan[..6]);
        short.remove(22);
        for message in [
            good(0),
            invalid,
            track_only,
            elsewhere,
            other_kind,
            key_change,
            reversal,
            short,
        ] {
            // Refused, or passed on to a host that approves all: the search is what matters.
            let _ = acquirer.exchange(&message).await.unwrap();
        }
        say_garbage(&acquirer, &good(7), pan).await;
    }
}

/// Frames that can't be read to their end, or at all, with a card number in them.
async fn say_garbage(acquirer: &Acquirer, good: &Message, pan: &str) {
    let frame = good.to_frame(acquirer.dialect()).unwrap();
    let mut letters = frame.clone();
    letters[14] = b'x';
    let behind = [&frame[..], pan.as_bytes()].concat();
    let nothing = [b"9999", pan.as_bytes()].concat();
    for garbage in [&frame[..frame.len() - 3], &letters, &behind, &nothing] {
        let mut stream = TcpStream::connect(acquirer.host()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let len = u16::try_from(garbage.len()).unwrap().to_be_bytes();
        stream.write_all(&[&len[..], garbage].concat()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Answered or not, it is done with when the connection ends.
        let _ = stream.read_to_end(&mut Vec::new()).unwrap();
    }
}

/// The inline upstream got messages, and of them no PIN block, nor what goes with it; in a dual run it got all.
fn assert_what_upstreams_heard(traces: &TempDir, blocks: &[Vec<u8>], keys: &[(&str, Vec<u8>)]) {
    let mut private = Patterns::default();
    for (number, block) in blocks.iter().enumerate() {
        private.mark(&format!("PIN block {number}"), block);
    }
    private.mark("DE53", CONTROL_INFORMATION);
    for (name, key) in keys {
        private.key(name, key);
    }
    let private = private.scanner();
    let inline = private.scan_files(&traces.path().join("upstream"));
    assert!(inline.hits.is_empty(), "the upstream: {:?}", inline.hits);
    assert!(inline.bytes > 300, "the upstream heard next to nothing");
    let dual = private.scan_files(&traces.path().join("upstream-dual"));
    let wanted = BTreeSet::from(["PIN block 2", "PIN block 3", "DE53"]);
    assert!(wanted.is_subset(&distinct(&dual)), "a dual run: {:?}", dual.hits);
}

/// What was captured is what went through: marks that must be in it are found.
fn assert_was_looked_at(installation: &Installation, traces: &TempDir, nonces: &[[u8; 16]]) {
    let mut marks = Patterns::default();
    for (number, nonce) in nonces.iter().enumerate() {
        marks.mark(&format!("nonce {number}"), nonce);
    }
    let in_link = marks.scanner().scan_files(&traces.path().join("hsm-link"));
    assert_eq!(
        distinct(&in_link).len(),
        nonces.len(),
        "every envelope went over the recorded link"
    );

    let mut marks = Patterns::default();
    for (number, nonce) in nonces.iter().enumerate() {
        marks.mark(
            &format!("nonce {number}"),
            data_encoding::HEXLOWER.encode(nonce).as_bytes(),
        );
    }
    for card in &installation.cards {
        marks.pan(&card.pan);
    }
    marks.mark("mail", b"RCPT TO:<ada@example.org>");
    let in_capture = marks.scanner().scan_files(&traces.path().join("loopback.pcap"));
    let wanted = nonces.len() + installation.cards.len() + 1;
    assert_eq!(
        distinct(&in_capture).len(),
        wanted,
        "pages, authorisations and mails were all captured"
    );
}

fn distinct(scanned: &Scanned) -> BTreeSet<&str> {
    scanned
        .hits
        .iter()
        .map(|Hit { secret, .. }| secret.as_str())
        .collect()
}

/// Random PINs of 12 digits, none beginning with 0.
fn canaries(count: usize) -> Vec<String> {
    let one = || {
        let number = getrandom::u64().expect("the system gives random numbers");
        (100_000_000_000 + number % 900_000_000_000).to_string()
    };
    std::iter::repeat_with(one).take(count).collect()
}

/// A card number of 16 digits that the desk doesn't have.
fn random_pan() -> Pan {
    let number = 4_000_000_000_000_000
        + getrandom::u64().expect("the system gives random numbers") % 999_999_999_999_990;
    let with = |digit: u64| Pan::parse(&(number / 10 * 10 + digit).to_string()).ok();
    (0..10)
        .find_map(with)
        .expect("one of ten digits is the check digit")
}

/// Stands between the desk and the HSM and writes down every byte of both directions.
fn record_hsm_link(desk_side: &Path, hsm_side: &Path) {
    let listener = UnixListener::bind(desk_side).unwrap();
    let hsm_side = hsm_side.to_owned();
    let record = link_record(desk_side.parent().unwrap());
    thread::spawn(move || {
        for desk in listener.incoming().map_while(Result::ok) {
            let hsm = UnixStream::connect(&hsm_side).unwrap();
            let ways = [(desk.try_clone(), hsm.try_clone()), (Ok(hsm), Ok(desk))];
            for (from, to) in ways {
                let record = File::options().create(true).append(true).open(&record).unwrap();
                let (from, to) = (from.unwrap(), to.unwrap());
                thread::spawn(move || copy_and_record(from, to, record));
            }
        }
    });
}

/// Beside the data directory: it is no file of the desk's.
fn link_record(data: &Path) -> PathBuf {
    data.with_file_name("hsm-link")
}

fn copy_and_record(mut from: UnixStream, mut to: UnixStream, mut record: File) {
    let mut bytes = vec![0; 1 << 20];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        record.write_all(&bytes[..len]).unwrap();
        if to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    // The other side hears that this one has closed.
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// Captures the loopback's traffic of some TCP ports.
struct Tcpdump {
    child: Child,
    said: Receiver<String>,
}

impl Tcpdump {
    fn start(file: &Path, ports: &[u16]) -> Self {
        let filter: Vec<String> = ports.iter().map(|port| format!("tcp port {port}")).collect();
        let mut child = Command::new("tcpdump")
            .args([
                "-i",
                "lo",
                "-s",
                "0",
                "-U",
                "--immediate-mode",
                "-B",
                "65536",
                "-Z",
                "root",
                "-w",
            ])
            .arg(file)
            .arg(filter.join(" or "))
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpdump is installed (cargo xtask test installs it)");
        let log = BufReader::new(child.stderr.take().unwrap());
        let (sender, said) = mpsc::channel();
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let tcpdump = Self { child, said };
        assert!(
            tcpdump.said.iter().any(|line| line.contains("listening on")),
            "tcpdump may not capture"
        );
        tcpdump
    }

    /// Ends the capture; nothing may have been missed.
    fn stop(mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
        self.child.wait().unwrap();
        let missed = self
            .said
            .iter()
            .find(|line| line.contains("dropped by kernel"))
            .unwrap();
        assert!(missed.starts_with("0 "), "{missed}");
    }
}
