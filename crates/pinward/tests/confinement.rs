//! Clear PINs stay in the cardmember's device and the HSM (invariant I3; `security.md` R5).
//!
//! Canary PINs of 12 digits go through the portal and the ISO 8583 host of real processes. Afterwards the desk's memory,
//! files and logs, the traffic of its ports, of its link to the HSM and of its mails are searched for each of them, in
//! every form that a program might hold it in. The same search over a process that does handle them finds them.
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
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use sim::{
    bureau::components,
    mailbox::{Limits, Mailbox},
};
use tempfile::TempDir;

use common::{
    Installation, TestCard, Wishes,
    portal::Portal,
    scan::{Hit, Patterns, Scanned},
};

const CARDS: usize = 8;
const CHANGES: usize = 256;
/// A card's PIN is shown after each change: 512 operations in all.
const CHANGES_OF_CARD: usize = CHANGES / CARDS;
const BALANCE_INQUIRIES: u32 = 64;

/// Tells the leaky process where its log is; with it this executable is that process.
const ENV_LEAKY_LOG: &str = "PINWARD_LEAKY_LOG";
/// PINs that the leaky process keeps.
const LEAKED: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_pins_leave_no_trace_outside_the_hsm() {
    let traces = TempDir::new().unwrap();
    let pins = canaries(CARDS * (CHANGES_OF_CARD + 1));
    let of_card: Vec<&[String]> = pins.chunks(CHANGES_OF_CARD + 1).collect();
    let first: Vec<String> = of_card.iter().map(|pins| pins[0].clone()).collect();

    let mail_listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mail = mail_listener.local_addr().unwrap();
    let mailbox = Mailbox::open(&traces.path().join("mail"), Limits::default()).unwrap();
    tokio::spawn(mailbox.clone().serve(mail_listener));
    let wishes = Wishes {
        pins: &first,
        mail,
        relay: Some(record_hsm_link),
        links: "",
    };
    let mut installation = Installation::start(wishes).await;
    let capture = traces.path().join("loopback.pcap");
    let tcpdump = Tcpdump::start(
        &capture,
        &[installation.web.port(), installation.host.port(), mail.port()],
    );

    let nonces = use_portal(&installation, &of_card);
    verify_at_host(&installation, &of_card).await;
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
    let paths = ["component-1.txt", "component-2.txt"].map(|name| installation.bureau.join(name));
    secrets.key(
        "key exchange key",
        components::combine(&paths).unwrap().expose_bytes(),
    );
    let secrets = secrets.scanner();
    let memory = secrets.scan_memory(installation.desk.id());
    tcpdump.stop();
    let mut in_files = Patterns::default();
    installation.cards.iter().for_each(|card| in_files.pan(&card.pan));
    let pans = in_files.scanner();
    let scans = [
        ("memory", memory),
        ("data directory", secrets.scan_files(&installation.data)),
        (
            "captured traffic, HSM link and mails",
            secrets.scan_files(traces.path()),
        ),
        (
            "card numbers in the data directory",
            pans.scan_files(&installation.data),
        ),
        (
            "card numbers in mails",
            pans.scan_files(&traces.path().join("mail")),
        ),
    ];
    for (place, scanned) in &scans {
        println!("{place}: {} bytes", scanned.bytes);
        assert!(scanned.hits.is_empty(), "{place}: {:?}", scanned.hits);
        assert!(scanned.bytes > 100_000, "{place}: next to nothing was looked at");
    }
    assert_was_looked_at(&installation, &traces, &nonces);
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
