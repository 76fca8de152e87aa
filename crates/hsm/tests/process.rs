//! The HSM process and its client, over a real socket.
#![expect(clippy::unwrap_used, reason = "test helpers")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::{env, fs};

use hsm::{
    CheckRequest, ChipAnswerRequest, ChipDecision, HsmError, HsmFault, HsmRefusal, Ibm3624Rule, KeyAdmin,
    KeyPurpose, MessageToMac, MessageWithMac, NewPinVerdict, NewZonePin, PaymentHsm, PinChange, PinOperation,
    PinVerdict, RemoteHsm, RevealWhich, ScriptOrder, ServeOptions, SoftwareHsm, ValidationDigits,
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
