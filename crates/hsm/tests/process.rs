//! The HSM process and its client, over a real socket.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::{env, fs};

use hsm::{
    CheckRequest, ChipAnswerRequest, ChipDecision, HistoryFault, HistoryPoint, HsmCard, HsmError, HsmFault,
    HsmRefusal, Ibm3624Rule, Journal, JournalFault, JournalRecord, KeyAdmin, KeyPurpose, MessageToMac,
    MessageWithMac, NewPinVerdict, NewZonePin, PaymentHsm, PinChange, PinOperation, PinVerdict, RemoteHsm,
    RevealWhich, ScriptOrder, SealedEnvelope, ServeOptions, SoftwareHsm, ValidationDigits,
};
use paycrypto::pin::Pin;
use support::{Device, EmptyJournal, NOW, PAN, card, cryptogram, equip, iso0, iso4, request, seal_pin};
use tempfile::TempDir;
use tokio::net::UnixListener;

const DIRECTORY_VARIABLE: &str = "PINWARD_TEST_HSM_DIRECTORY";

/// Not a test by itself: the other tests start this one, in this executable, as their HSM process.
#[test]
fn serves_when_another_test_asks_for_it() {
    if let Some(directory) = env::var_os(DIRECTORY_VARIABLE) {
        let directory = PathBuf::from(directory);
        let options = ServeOptions {
            socket: directory.join("hsm.sock"),
            directory,
            stop_when_stdin_closes: true,
        };
        hsm::serve(&options).unwrap();
    }
}

struct Process {
    child: Child,
    socket: PathBuf,
}

impl Process {
    /// Starts one and waits until it says that it listens.
    fn start(directory: &TempDir) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "serves_when_another_test_asks_for_it", "--nocapture"])
            .env(DIRECTORY_VARIABLE, directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let announced = said
            .lines()
            .map(Result::unwrap)
            .find(|line| line.contains("listening"))
            .unwrap();
        assert!(announced.contains("a software HSM"), "it says what it is");
        Self {
            child,
            socket: directory.path().join("hsm.sock"),
        }
    }

    async fn connect(&self) -> RemoteHsm {
        let journal = Arc::new(EmptyJournal);
        RemoteHsm::connect_with(&self.socket, journal).await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A journal that a test writes, and puts others in the place of.
#[derive(Default)]
struct Records(Mutex<Vec<HistoryPoint>>);

impl Records {
    fn write(&self, count: u64, chain: u8) {
        let mut records = self.0.lock().unwrap();
        for _ in 0..count {
            let sequence = u64::try_from(records.len()).unwrap() + 1;
            let mut hash = [chain; 32];
            hash[..8].copy_from_slice(&sequence.to_be_bytes());
            records.push(HistoryPoint { sequence, hash });
        }
    }

    fn cut(&self, to: usize) {
        self.0.lock().unwrap().truncate(to);
    }

    fn at(&self, point: Option<&HistoryPoint>) -> Option<JournalRecord> {
        point.map(|point| JournalRecord {
            point: *point,
            at: NOW,
        })
    }
}

#[async_trait::async_trait]
impl Journal for Records {
    async fn record(&self, sequence: u64) -> Result<Option<JournalRecord>, JournalFault> {
        let records = self.0.lock().unwrap();
        Ok(self.at(records.iter().find(|point| point.sequence == sequence)))
    }

    async fn newest(&self) -> Result<Option<JournalRecord>, JournalFault> {
        Ok(self.at(self.0.lock().unwrap().last()))
    }
}

async fn provisioned() -> TempDir {
    let directory = TempDir::new().unwrap();
    let hsm = SoftwareHsm::open(directory.path()).unwrap();
    equip(&hsm, &directory).await;
    hsm.provision(NOW).unwrap();
    directory
}

#[tokio::test]
async fn every_call_crosses_the_socket_and_comes_back_with_its_answer_or_refusal() {
    let directory = provisioned().await;
    let process = Process::start(&directory);
    let hsm = process.connect().await;
    let first = seal_pin(&hsm, PAN, "1234").await;
    let card = card(&hsm, PAN, cards::PinReference::Sealed(first)).await;

    let offer = hsm
        .open_envelope(request(card.key.row, PinOperation::ChangePin))
        .await
        .unwrap();
    let device = Device::new(offer);
    let envelope = device.envelope(Some("1234"), Some("2580"));
    let changed = hsm.change_pin(card.clone(), envelope.clone()).await;
    assert!(matches!(changed, Ok(PinChange::Matched(_))));
    let again = hsm.change_pin(card.clone(), envelope).await;
    assert_eq!(again, Err(HsmError::Refused(HsmRefusal::Envelope)));

    let offer = hsm
        .open_envelope(request(card.key.row, PinOperation::ViewPin))
        .await
        .unwrap();
    let device = Device::new(offer);
    let revealed = hsm
        .reveal_pin(card.clone(), RevealWhich::Current, device.envelope(None, None))
        .await
        .unwrap();
    assert_eq!(device.read(revealed), Pin::parse("1234").unwrap());

    let offer = hsm
        .open_envelope(request(card.key.row, PinOperation::CreatePin))
        .await
        .unwrap();
    let envelope = Device::new(offer).envelope(None, Some("2580"));
    assert!(hsm.create_pin(card.clone(), envelope).await.is_ok());

    assert_eq!(hsm.keys().await.unwrap().len(), 13);
    assert_eq!(hsm.envelope_identity().await.unwrap().len(), 65);
    let anchor = hsm.anchor_audit(1, [1; 32]).await.unwrap();
    assert_ne!(anchor, hsm.anchor_audit(2, [1; 32]).await.unwrap());
    assert_ne!(anchor, hsm.anchor_audit(1, [2; 32]).await.unwrap());
    assert_eq!(anchor, hsm.anchor_audit(1, [1; 32]).await.unwrap());
    let block = hsm
        .export_key(support::name("imk-ac"), support::name("kek"))
        .await
        .unwrap();
    assert!(block.starts_with("D0112E0TX00E"));
    let perso = hsm
        .personalise(
            card,
            cards::Scheme::VisaCvn18,
            support::name("kek"),
            support::name("zpk-tdes"),
        )
        .await
        .unwrap();
    assert!(perso.pin_block.is_some());
}

#[tokio::test]
async fn chip_answers_new_pins_macs_and_key_changes_cross_the_socket_too() {
    let directory = provisioned().await;
    let process = Process::start(&directory);
    let hsm = process.connect().await;
    let first = seal_pin(&hsm, PAN, "1234").await;
    let card = card(&hsm, PAN, cards::PinReference::Sealed(first)).await;

    let request = CheckRequest {
        card: card.clone(),
        cryptogram: Some(cryptogram(PAN, 5)),
        pin: Some(iso0(PAN, "1234")),
        new_pin: Some(NewZonePin {
            pin: iso4(PAN, "5678"),
            len_digits: 4,
        }),
    };
    let reply = hsm.check(vec![request]).await.unwrap().remove(0).unwrap();
    assert_eq!(reply.cryptogram_valid, Some(true));
    assert!(matches!(reply.new_pin, Some(NewPinVerdict::Sealed(_))));
    let order = ChipAnswerRequest {
        card: card.clone(),
        cryptogram: cryptogram(PAN, 5),
        decisions: vec![
            ChipDecision {
                arc: *b"00",
                csu: [0; 4],
            };
            2
        ],
        scripts: vec![ScriptOrder::ChangePin],
    };
    let answer = hsm.answer_chip(vec![order]).await.unwrap().remove(0).unwrap();
    assert_eq!(answer.issuer_authentication_data.len(), 2);
    assert_eq!(answer.commands.len(), 1);
    let replacement = cards::Pan::parse(support::OTHER_PAN).unwrap();
    assert!(hsm.move_pin(card, replacement).await.is_ok());

    let zak = support::name("zak");
    hsm.generate_key(zak.clone(), KeyPurpose::ZoneMacAes, NOW)
        .await
        .unwrap();
    let to_mac = MessageToMac {
        key: zak.clone(),
        message: b"0800".to_vec(),
    };
    let mac = hsm.make_macs(vec![to_mac]).await.unwrap().remove(0).unwrap();
    let with_mac = MessageWithMac {
        key: zak.clone(),
        message: b"0800".to_vec(),
        mac,
    };
    assert_eq!(hsm.check_macs(vec![with_mac]).await.unwrap(), [Ok(true)]);

    let block = support::key_block(KeyPurpose::ZoneMacAes, &[7; 16]);
    let kek = support::name("kek");
    let replaced = hsm
        .replace_key(zak.clone(), block.clone(), kek.clone(), None, NOW)
        .await
        .unwrap();
    assert!(replaced.former_kcv.is_some());
    let again = hsm.replace_key(zak.clone(), block, kek, None, NOW).await;
    assert_eq!(again, Err(HsmError::Refused(HsmRefusal::KeyUnchanged)));
    let dropped = hsm.drop_former_key(zak.clone()).await.unwrap();
    assert_eq!(dropped.former_kcv, None);
    let rule = Ibm3624Rule {
        table: "0123456789012345".to_owned(),
        digits: ValidationDigits::Leftmost(16),
        pad: 0,
    };
    let refused = hsm.set_ibm3624_rule(zak, rule).await;
    assert_eq!(refused, Err(HsmError::Refused(HsmRefusal::NoSuchKey)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_of_many_tasks_each_get_their_own_answer() {
    let directory = provisioned().await;
    let process = Process::start(&directory);
    let hsm = process.connect().await;
    let sealed = seal_pin(&hsm, PAN, "1234").await;
    let card = card(&hsm, PAN, cards::PinReference::Sealed(sealed)).await;
    let tasks: Vec<_> = (0..400)
        .map(|number| {
            let (hsm, card) = (hsm.clone(), card.clone());
            tokio::spawn(async move {
                let (pin, expected) = match number % 3 {
                    0 => (iso0(PAN, "1234"), PinVerdict::Match),
                    _ => (iso0(PAN, "4321"), PinVerdict::NoMatch),
                };
                let request = CheckRequest {
                    card,
                    cryptogram: None,
                    pin: Some(pin),
                    new_pin: None,
                };
                let batch = vec![request; 1 + number % 5];
                let replies = hsm.check(batch.clone()).await.unwrap();
                assert_eq!(replies.len(), batch.len());
                for reply in replies {
                    assert_eq!(reply.unwrap().pin, Some(expected));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn after_the_process_is_killed_calls_fail_and_work_again_with_the_next_one() {
    let directory = provisioned().await;
    let process = Process::start(&directory);
    let hsm = process.connect().await;
    let before = hsm.envelope_identity().await.unwrap();
    drop(process);
    let fault = hsm.envelope_identity().await.unwrap_err();
    assert!(matches!(fault, HsmError::Fault(_)), "{fault}");
    assert!(hsm.keys().await.is_err());
    let _next = Process::start(&directory);
    assert_eq!(hsm.envelope_identity().await.unwrap(), before);
}

#[tokio::test]
async fn a_call_under_way_fails_when_its_connection_is_lost() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("hsm.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let hsm = RemoteHsm::connect(&socket).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let call = tokio::spawn(async move { hsm.keys().await });
    stream.readable().await.unwrap();
    drop(stream);
    assert!(call.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_fails_after_five_seconds() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("hsm.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let hsm = RemoteHsm::connect(&socket).await.unwrap();
    let start = tokio::time::Instant::now();
    let fault = hsm.keys().await.unwrap_err();
    assert_eq!(fault, HsmFault::NoAnswer("no answer within 5 seconds".to_owned()));
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn garbage_closes_its_own_connection_and_no_other() {
    let directory = provisioned().await;
    let process = Process::start(&directory);
    let hsm = process.connect().await;
    let garbage: [&[u8]; 5] = [
        &[0, 0, 0, 0],
        &[0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7],
        &[0xFF; 64],
        // A right length and id, but no such request.
        &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 99],
        // A request with a byte left over.
        &[0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1, 11, 0],
    ];
    for frame in garbage {
        let mut stream = UnixStream::connect(&process.socket).unwrap();
        stream.write_all(frame).unwrap();
        let mut answer = Vec::new();
        // Closed either way: with bytes unread, Linux reports a reset.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
    assert_eq!(hsm.keys().await.unwrap().len(), 13);
}

#[tokio::test]
async fn the_process_keeps_its_memory_and_its_socket_to_itself() {
    let directory = provisioned().await;
    let process = Process::start(&directory);
    let mode = fs::metadata(&process.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.child.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"]);
    let second = SoftwareHsm::open(directory.path());
    assert!(second.is_err(), "its key store is locked");
}

#[tokio::test]
async fn the_process_ends_when_its_parent_closes_its_input() {
    let directory = provisioned().await;
    let mut process = Process::start(&directory);
    drop(process.child.stdin.take());
    assert!(process.child.wait().unwrap().success());
}

/// What comes of a call about cards, of every sort.
async fn about_cards(hsm: &RemoteHsm, card: &HsmCard) -> Vec<Result<(), HsmFault>> {
    let pan = || cards::Pan::parse(PAN).unwrap();
    let envelope = || SealedEnvelope {
        nonce: [0; 16],
        session: support::SESSION,
        device_public: Vec::new(),
        current_pin: None,
        new_pin: None,
        now: NOW,
    };
    let fault = |error| match error {
        HsmError::Fault(fault) => Err(fault),
        HsmError::Refused(_) => Ok(()),
    };
    vec![
        hsm.card_keys(vec![pan()]).await.map(drop),
        hsm.seal_pans(vec![pan()]).await.map(drop),
        hsm.seal_states(Vec::new()).await.map(drop),
        hsm.check(Vec::new()).await.map(drop),
        hsm.answer_chip(Vec::new()).await.map(drop),
        hsm.import_pins(Vec::new()).await.map(drop),
        hsm.seal_messages(Vec::new()).await.map(drop),
        hsm.open_messages(Vec::new()).await.map(drop),
        hsm.mac_desk_records(Vec::new()).await.map(drop),
        hsm.move_pin(card.clone(), pan()).await.map(drop).or_else(fault),
        hsm.open_envelope(request(card.key.row, PinOperation::ChangePin))
            .await
            .map(drop)
            .or_else(fault),
        hsm.create_pin(card.clone(), envelope())
            .await
            .map(drop)
            .or_else(fault),
        hsm.change_pin(card.clone(), envelope())
            .await
            .map(drop)
            .or_else(fault),
        hsm.reveal_pin(card.clone(), RevealWhich::Current, envelope())
            .await
            .map(drop)
            .or_else(fault),
        hsm.personalise(
            card.clone(),
            cards::Scheme::VisaCvn18,
            support::name("kek"),
            support::name("zpk-tdes"),
        )
        .await
        .map(drop)
        .or_else(fault),
    ]
}

async fn refused_for(hsm: &RemoteHsm, card: &HsmCard, fault: HistoryFault) {
    for (row, outcome) in about_cards(hsm, card).await.into_iter().enumerate() {
        assert_eq!(outcome, Err(HsmFault::History(fault)), "row {row}");
    }
}

#[tokio::test]
async fn a_connection_that_shows_no_history_looks_after_keys_and_does_nothing_about_cards() {
    let directory = provisioned().await;
    let process = Process::start(&directory);
    let desk = process.connect().await;
    let sealed = seal_pin(&desk, PAN, "1234").await;
    let card = card(&desk, PAN, cards::PinReference::Sealed(sealed)).await;
    for (row, outcome) in about_cards(&desk, &card).await.into_iter().enumerate() {
        assert_eq!(outcome, Ok(()), "row {row}, of a desk that shows its history");
    }

    let hsm = RemoteHsm::connect(&process.socket).await.unwrap();
    refused_for(&hsm, &card, HistoryFault::NotShown).await;
    assert_eq!(
        hsm.show_history().await,
        Err(HsmFault::History(HistoryFault::NotShown))
    );
    assert_eq!(hsm.keys().await.unwrap().len(), 13);
    assert!(hsm.envelope_identity().await.is_ok());
    assert!(hsm.anchor_audit(1, [1; 32]).await.is_ok());
    assert!(
        hsm.make_macs(Vec::new()).await.is_ok(),
        "so that a refusal can be answered with a MAC"
    );
    assert!(hsm.check_macs(Vec::new()).await.is_ok());
}

#[tokio::test]
async fn an_older_or_forked_journal_is_refused_at_every_connection_and_while_one_is_open() {
    let directory = provisioned().await;
    let process = Process::start(&directory);
    let card = card(&process.connect().await, PAN, cards::PinReference::None).await;
    let journal = Arc::new(Records::default());
    journal.write(20, 1);
    let connect = || RemoteHsm::connect_with(&process.socket, journal.clone());
    let open = connect().await.unwrap();
    assert!(open.check(Vec::new()).await.is_ok());
    journal.write(10, 1);
    open.show_history().await.unwrap();
    assert_eq!(open.history_mark().await.unwrap().unwrap().newest.sequence, 30);

    journal.cut(29);
    let behind = HistoryFault::Behind { newest: 29, seen: 30 };
    refused_for(&connect().await.unwrap(), &card, behind).await;
    assert!(open.check(Vec::new()).await.is_ok(), "it has not shown this one");
    assert_eq!(open.show_history().await, Err(behind.into()));
    refused_for(&open, &card, behind).await;

    journal.write(40, 2);
    let forked = HistoryFault::Forked { at: 30 };
    refused_for(&connect().await.unwrap(), &card, forked).await;
    assert_eq!(open.show_history().await, Err(forked.into()));
    refused_for(&open, &card, forked).await;

    journal.cut(29);
    journal.write(3, 1);
    open.show_history().await.unwrap();
    assert!(open.check(Vec::new()).await.is_ok(), "the right one again");
}

#[tokio::test]
async fn an_operator_has_another_journal_accepted_and_who_showed_the_former_one_starts_anew() {
    let directory = provisioned().await;
    let process = Process::start(&directory);
    let journal = Arc::new(Records::default());
    journal.write(20, 1);
    let connect = || RemoteHsm::connect_with(&process.socket, journal.clone());
    let open = connect().await.unwrap();
    journal.cut(5);
    let operator = connect().await.unwrap();
    let told = operator.history_mark().await.unwrap();
    assert_eq!(
        operator.accept_history(None).await,
        Err(HsmFault::History(HistoryFault::Moved)),
        "not without knowing what is given up"
    );
    let mark = operator.accept_history(told).await.unwrap();
    assert_eq!((mark.generation, mark.newest.sequence), (1, 5));
    let not_shown = Err(HsmFault::History(HistoryFault::NotShown));
    assert_eq!(open.check(Vec::new()).await.map(drop), not_shown);
    open.show_history().await.unwrap();
    assert!(open.check(Vec::new()).await.is_ok());
    assert!(connect().await.unwrap().check(Vec::new()).await.is_ok());
}

#[tokio::test]
async fn an_hsm_killed_at_any_moment_of_its_writes_remembers_what_it_was_shown_or_a_little_less() {
    const KILLS: u64 = 50;
    let directory = provisioned().await;
    let journal = Arc::new(Records::default());
    let mut dice = 0x5EED_u64;
    let mut durable = 0;
    for kill in 0..KILLS {
        let process = Process::start(&directory);
        let hsm = RemoteHsm::connect_with(&process.socket, journal.clone())
            .await
            .unwrap();
        let mark = hsm
            .history_mark()
            .await
            .unwrap()
            .expect("readable after each kill");
        let newest = journal
            .newest()
            .await
            .unwrap()
            .map_or(0, |newest| newest.point.sequence);
        assert_eq!(mark.newest.sequence, newest, "shown at the connection");
        assert!(hsm.check(Vec::new()).await.is_ok());
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        for _ in 0..(dice >> 33) % 40 {
            journal.write(1, 1);
            hsm.show_history().await.unwrap();
        }
        drop(process);
        let seen = mark_in_file(&directory);
        assert!(seen >= durable, "kill {kill}: it never goes back");
        durable = seen;
    }
}

/// What the HSM that opens the directory next remembers; the second place isn't there before it was written once.
fn mark_in_file(directory: &TempDir) -> u64 {
    let file = fs::read(directory.path().join("history")).unwrap();
    let sequence = |place: &[u8]| u64::from_be_bytes(place[8..16].try_into().unwrap());
    let second = file.get(4096..).map_or(0, sequence);
    sequence(&file).max(second)
}
