//! An installation for tests: the real processes over a directory of their own, on free ports.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod crowd;
pub(crate) mod inline;
pub(crate) mod portal;
pub(crate) mod scan;
pub(crate) mod upstream;

use std::{
    collections::HashMap,
    env,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use cards::{CardRef, CardRole, CardStatus, Expiry, Pan, Programme, Psn, Timestamp};
use data_encoding::HEXUPPER;
use hsm::{
    HistoryPoint, Journal, JournalFault, JournalRecord, KeyAdmin, KeyName, KeyPurpose, PaymentHsm, RemoteHsm,
    ZonePin, ZonePinFormat,
};
use iso8583::mti::MTI_0100_AUTHORISATION_REQUEST;
use issuer::{
    Desk,
    import::{NewCard, NewCardPin, import_cardmembers, import_cards},
};
use paycrypto::pin::Pin;
use rustix::process::{Pid, Signal, kill_process};
use sim::{
    acquirer::{Acquirer, message::Message},
    bureau::components,
    card::chip::Chip,
};
use store::{AuditRecord, NewCardmember, SqliteStore, Store};
use tempfile::TempDir;

pub(crate) const USER_ID: &str = "ada.byrne";
pub(crate) const PASSWORD: &str = "a password for the test";
/// What clients of the JSON API present.
pub(crate) const API_TOKEN: &str = "a token of the test, long enough to be one";
/// How long a process may take until it says what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// The rules of the cards: PINs of 12 digits are compared without a chip.
const PROGRAMME: &str = r#"
id = "credit"
name = "Larkfield Credit"
scheme = "visa-cvn18"
pan_len_digits = 16
pin_len_digits = 12
tries_max = 3
amount_max_minor = 200000
amount_without_pin_max_minor = 5000
pin_without_chip = true
currency = 978
"#;

const HSM_SOCKET: &str = "hsm-itself.sock";

/// HSM and desk, running until this is dropped.
pub(crate) struct Installation {
    /// The desk's data directory: configuration, store, logs, and the HSM's directory.
    pub(crate) data: PathBuf,
    /// Key components and the acquirer's file, which aren't the desk's.
    pub(crate) bureau: PathBuf,
    pub(crate) desk: Process,
    pub(crate) web: SocketAddr,
    pub(crate) host: SocketAddr,
    pub(crate) acquirer: Acquirer,
    /// The same bank over the link with AES zone keys and format 4 PIN blocks.
    pub(crate) acquirer_aes: Acquirer,
    pub(crate) cards: Vec<TestCard>,
    /// Where each link listens, by its name.
    pub(crate) links: HashMap<String, SocketAddr>,
    /// A connection to the HSM of one's own.
    pub(crate) remote: RemoteHsm,
    /// TR-31 block of the TDES zone PIN key.
    pub(crate) zone_key: String,
    /// `None` where it is the desk's own.
    hsm: Option<Process>,
    before: &'static str,
    directory: TempDir,
}

pub(crate) struct TestCard {
    pub(crate) pan: Pan,
    pub(crate) row: CardRef,
}

/// What a test chooses of its installation.
pub(crate) struct Wishes<'a> {
    /// First PIN of each card.
    pub(crate) pins: &'a [String],
    pub(crate) mail: SocketAddr,
    /// What stands between the desk and the HSM: from the socket that the desk uses to the HSM's.
    pub(crate) relay: Option<fn(&Path, &Path)>,
    /// Sections `[[host.link]]` besides the two that are always there.
    pub(crate) links: &'a str,
    /// What the shell that becomes the desk does first, such as `ulimit -n 1024`. Default: nothing.
    pub(crate) before: &'static str,
    /// Whether the HSM's process is the desk's own child. `remote` then connects anew when it is started again.
    pub(crate) own_hsm: bool,
}

impl Wishes<'_> {
    /// One card for each PIN, and nothing more.
    pub(crate) fn cards(pins: &[String]) -> Wishes<'_> {
        Wishes {
            pins,
            mail: "127.0.0.1:9".parse().unwrap(),
            relay: None,
            links: "",
            before: "true",
            own_hsm: false,
        }
    }
}

impl Installation {
    pub(crate) async fn start(wishes: Wishes<'_>) -> Self {
        let directory = TempDir::new().unwrap();
        let (data, bureau) = (directory.path().join("data"), directory.path().join("bureau"));
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("pinward.toml"), configuration(&wishes)).unwrap();
        fs::write(data.join("api-token"), API_TOKEN).unwrap();
        let socket = directory.path().join(HSM_SOCKET);
        let mut hsm = Some(start_hsm(&data, &socket));
        match wishes.relay {
            Some(relay) => relay(&data.join("hsm.sock"), &socket),
            None => std::os::unix::fs::symlink(&socket, data.join("hsm.sock")).unwrap(),
        }
        let journal = Arc::new(TestJournal(data.join("pinward.sqlite")));
        let mut remote = RemoteHsm::connect_with(&socket, journal.clone()).await.unwrap();
        let [zone_key, zone_key_aes] = load_keys(&remote, &bureau).await;
        let acquirer = open_acquirer(&bureau, "ascii-1987", "127.0.0.1:0", &zone_key);
        let cards = import(&data, remote.clone(), &acquirer, wishes.pins).await;
        set_password(&data);

        let listening = 2 + wishes.links.matches("listen =").count();
        if wishes.own_hsm {
            hsm = None;
            fs::remove_file(data.join("hsm.sock")).unwrap();
        }
        let before = wishes.before;
        let (desk, web, links) = start_desk(&data, before, listening);
        if wishes.own_hsm {
            remote = RemoteHsm::connect_with(data.join("hsm.sock"), journal)
                .await
                .unwrap();
        }
        let host = links["acquirer-1"];
        let acquirer = open_acquirer(&bureau, "ascii-1987", &host.to_string(), &zone_key);
        let host_aes = links["acquirer-aes"].to_string();
        let acquirer_aes = open_acquirer(&bureau, "ascii-1987-aes", &host_aes, &zone_key_aes);
        Self {
            data,
            bureau,
            desk,
            web,
            host,
            acquirer,
            acquirer_aes,
            cards,
            links,
            remote,
            zone_key,
            hsm,
            before,
            directory,
        }
    }

    /// Ends the desk as a power cut would, and starts it again over the same data, on other ports.
    pub(crate) fn kill_and_restart_desk(&mut self) {
        self.restart_desk(true, |_| {});
    }

    /// Ends the desk, at once or as an operator does, and starts it again after `meanwhile`, which gets the data directory.
    pub(crate) fn restart_desk(&mut self, at_once: bool, meanwhile: impl FnOnce(&Path)) {
        if at_once {
            self.desk.kill();
        } else {
            self.desk.stop();
        }
        meanwhile(&self.data);
        (self.desk, self.web, self.links) = start_desk(&self.data, self.before, self.links.len());
        self.host = self.links["acquirer-1"];
        self.acquirer = self.acquirer_at("acquirer-1", "ascii-1987");
    }

    /// Kills the HSM's process and starts it again after `meanwhile`, which gets the data directory.
    pub(crate) fn restart_hsm(&mut self, meanwhile: impl FnOnce(&Path)) {
        self.hsm.take().expect("it isn't the desk's").kill();
        meanwhile(&self.data);
        self.hsm = Some(start_hsm(&self.data, &self.directory.path().join(HSM_SOCKET)));
    }

    /// The acquirer of a link, with the TDES zone PIN key.
    pub(crate) fn acquirer_at(&self, link: &str, dialect: &str) -> Acquirer {
        open_acquirer(
            &self.bureau,
            dialect,
            &self.links[link].to_string(),
            &self.zone_key,
        )
    }

    /// The same with a zone PIN key of one's choice, as TR-31 block.
    pub(crate) fn acquirer_with(&self, link: &str, zone_key: &str) -> Acquirer {
        open_acquirer(
            &self.bureau,
            "ascii-1987",
            &self.links[link].to_string(),
            zone_key,
        )
    }

    /// Details of the journal's records of a kind, oldest first.
    pub(crate) async fn journal(&self, kind: &str) -> Vec<serde_json::Value> {
        let store = SqliteStore::open(self.data.join("pinward.sqlite")).unwrap();
        let records = store.audit_from(1, 10_000).await.unwrap();
        records
            .iter()
            .filter(|record| record.kind == kind)
            .map(|record| serde_json::from_str(&record.detail).unwrap())
            .collect()
    }

    /// The plastic of a card, as the bureau makes it.
    pub(crate) async fn chip(&self, card: &TestCard) -> Chip {
        let store = SqliteStore::open(self.data.join("pinward.sqlite")).unwrap();
        let record = store.card(card.row).await.unwrap().unwrap();
        let programme: Programme = toml::from_str(PROGRAMME).unwrap();
        let name = |name: &str| KeyName(name.to_owned());
        let for_hsm = issuer::hsm_card(&record);
        let made = self
            .remote
            .personalise(for_hsm, programme.scheme, name("kek"), name("zpk"))
            .await
            .unwrap();
        let card_ref = card.row.to_string();
        let export = serde_json::json!({
            "zone_key": self.zone_key,
            "cards": [{
                "card_ref": card_ref,
                "pan": made.pan.expose_digits(),
                "psn": record.psn.number(),
                "expiry": record.expiry.yymm(),
                "name": "Ada Byrne",
                "programme": programme.name,
                "scheme": programme.scheme,
                "currency": programme.currency,
                "icc_key_ac": made.icc_key_ac,
                "icc_key_smi": made.icc_key_smi,
                "icc_key_smc": made.icc_key_smc,
                "pin_block": made.pin_block.map(|block| HEXUPPER.encode(&block)),
            }],
        });
        let path = self.bureau.join("export.json");
        fs::write(&path, export.to_string()).unwrap();
        let components = ["component-1.txt", "component-2.txt"].map(|file| self.bureau.join(file));
        let persos = sim::bureau::personalise(&path, &components, &self.bureau, None).unwrap();
        Chip::open(&persos[0], &self.bureau.join(format!("{card_ref}.state.json"))).unwrap()
    }

    /// A balance inquiry with a PIN, from the magnetic stripe.
    pub(crate) fn balance_inquiry(&self, card: &TestCard, pin: &str, trace: u32) -> Message {
        Self::balance_inquiry_over(&self.acquirer, card, pin, trace)
    }

    /// The same over a link of one's choice.
    pub(crate) fn balance_inquiry_over(
        acquirer: &Acquirer,
        card: &TestCard,
        pin: &str,
        trace: u32,
    ) -> Message {
        let pin = Pin::parse(pin).unwrap();
        let mut request = Message::new(MTI_0100_AUTHORISATION_REQUEST);
        request.put(2, card.pan.expose_digits());
        request.put(3, *b"310000");
        request.put(4, *b"000000000000");
        request.put(7, *b"0115120000");
        request.put(11, format!("{trace:06}"));
        request.put(22, *b"901");
        request.put(32, *b"123456");
        request.put(49, *b"978");
        request.put(52, acquirer.zone_key().pin_block(&pin, &card.pan, &[0; 8]));
        request
    }
}

/// The installation's journal, for the connection of one's own.
///
/// Opens the database anew each time: tests may put another in its place.
struct TestJournal(PathBuf);

#[async_trait::async_trait]
impl Journal for TestJournal {
    async fn record(&self, sequence: u64) -> Result<Option<JournalRecord>, JournalFault> {
        let store = SqliteStore::open(&self.0).unwrap();
        let found = store.audit_from(sequence, 1).await.unwrap();
        Ok(found
            .first()
            .filter(|record| record.sequence == sequence)
            .map(in_journal))
    }

    async fn newest(&self) -> Result<Option<JournalRecord>, JournalFault> {
        let store = SqliteStore::open(&self.0).unwrap();
        Ok(store.audit_head().await.unwrap().as_ref().map(in_journal))
    }
}

fn in_journal(record: &AuditRecord) -> JournalRecord {
    JournalRecord {
        point: HistoryPoint {
            sequence: record.sequence,
            hash: record.hash,
        },
        at: record.at,
    }
}

fn start_hsm(data: &Path, socket: &Path) -> Process {
    let directory = data.join("hsm");
    let arguments = ["hsm", "--stop-when-stdin-closes", "--data"].map(Path::new);
    let arguments = [&arguments[..], &[&directory, Path::new("--socket"), socket]].concat();
    let hsm = Process::start("true", &arguments, &data.join("hsm.log"));
    hsm.wait_for("listening on");
    hsm
}

/// Starts the desk; gives where its web and its links listen.
fn start_desk(
    data: &Path,
    before: &str,
    links_listening: usize,
) -> (Process, SocketAddr, HashMap<String, SocketAddr>) {
    let config = data.join("pinward.toml");
    let arguments = ["--log", "json", "serve", "--config"].map(Path::new);
    let desk = Process::start(
        before,
        &[&arguments[..], &[config.as_path()]].concat(),
        &data.join("desk.log"),
    );
    let mut web: Option<SocketAddr> = None;
    let mut links = HashMap::new();
    while web.is_none() || links.len() < links_listening {
        let line = desk.wait_for(r#""address":"#);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let fields = &line["fields"];
        let address = || fields["address"].as_str().unwrap().parse().unwrap();
        match fields["message"].as_str().unwrap() {
            "web" => web = Some(address()),
            "ISO 8583 host" => {
                links.insert(fields["link"].as_str().unwrap().to_owned(), address());
            }
            _ => {}
        }
    }
    (desk, web.unwrap(), links)
}

/// A process of this program, ended with its owner.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    /// Writes the log; gives the lines of it that hold a full PAN.
    follower: Option<JoinHandle<Vec<String>>>,
}

impl Process {
    /// Starts it at the loudest log level, with its log in a file, after the shell did what comes `before`.
    fn start(before: &str, arguments: &[&Path], log: &Path) -> Self {
        let mut child = Command::new("sh")
            .args([
                "-c",
                &format!(r#"{before}; exec "$0" "$@""#),
                env!("CARGO_BIN_EXE_pinward"),
            ])
            .args(arguments)
            .env("PINWARD_LOG", "trace")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, follower) = follow(child.stderr.take().unwrap(), File::create(log).unwrap());
        Self {
            child,
            lines,
            follower: Some(follower),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The first line of the log, after those already seen, that holds this.
    pub(crate) fn wait_for(&self, part: &str) -> String {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| {
                panic!("the process ended, or let time run out, without saying {part:?}")
            });
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Ends it without a word (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert!(self.child.wait().unwrap().success());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        kill_process(id, signal).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let leaks = self.follower.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert_eq!(leaks.unwrap().unwrap(), [""; 0], "full PANs in the log");
        }
    }
}

fn follow(log: ChildStderr, mut file: File) -> (Receiver<String>, JoinHandle<Vec<String>>) {
    let (sender, lines) = mpsc::channel();
    let follower = thread::spawn(move || {
        let mut leaks = Vec::new();
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            writeln!(file, "{line}").unwrap();
            if holds_a_pan(&line) {
                leaks.push(line.clone());
            }
            // Nobody waits for lines any more when the installation is dropped.
            let _ = sender.send(line);
        }
        leaks
    });
    (lines, follower)
}

/// Whether a run of digits can be the number of one of the tests' cards, which begin with 4 or 9999.
pub(crate) fn holds_a_pan(line: &str) -> bool {
    line.split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|run| run.starts_with('4') || run.starts_with("9999"))
        .any(|run| run.len() >= 13 && Pan::parse(run).is_ok())
}

fn configuration(wishes: &Wishes<'_>) -> String {
    let (mail, links) = (wishes.mail, wishes.links);
    let own_hsm = if wishes.own_hsm { "directory = \"hsm\"" } else { "" };
    format!(
        r#"
[store]
path = "pinward.sqlite"
[hsm]
socket = "hsm.sock"
{own_hsm}
[web]
listen = "127.0.0.1:0"
issuer_name = "Larkfield Bank"
secure_cookies = false
api_token_path = "api-token"
[[host.link]]
name = "acquirer-1"
listen = "127.0.0.1:0"
dialect = "ascii-1987"
zone_key = "zpk"
pin_format = "iso0"
[[host.link]]
name = "acquirer-aes"
listen = "127.0.0.1:0"
dialect = "ascii-1987-aes"
zone_key = "zpk-aes"
pin_format = "iso4"
{links}
[mail]
smtp_host = "{}"
smtp_port = {}
tls = "none"
from = "Larkfield Bank <cards@larkfield.example>"
[[programme]]
{PROGRAMME}"#,
        mail.ip(),
        mail.port()
    )
}

/// Loads the key exchange key, makes all others; gives the two zone PIN keys, TDES and AES, as key blocks.
async fn load_keys(hsm: &RemoteHsm, bureau: &Path) -> [String; 2] {
    let paths = components::generate(bureau).unwrap();
    let paths = paths
        .iter()
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    let name = |name: &str| KeyName(name.to_owned());
    hsm.load_components(name("kek"), paths, NOW).await.unwrap();
    let keys = [
        ("imk-ac", KeyPurpose::IssuerCryptogram),
        ("imk-smi", KeyPurpose::IssuerScriptIntegrity),
        ("imk-smc", KeyPurpose::IssuerScriptConfidentiality),
        ("pin-storage", KeyPurpose::PinStorage),
        ("pan-storage", KeyPurpose::PanStorage),
        ("card-index", KeyPurpose::CardIndex),
        ("record-mac", KeyPurpose::RecordMac),
        ("envelope-identity", KeyPurpose::EnvelopeIdentity),
        ("zpk", KeyPurpose::ZonePinTdes),
        ("zpk-aes", KeyPurpose::ZonePinAes),
        ("zmac", KeyPurpose::ZoneMacTdes),
    ];
    for (key, purpose) in keys {
        hsm.generate_key(name(key), purpose, NOW).await.unwrap();
    }
    let tdes = hsm.export_key(name("zpk"), name("kek")).await.unwrap();
    let aes = hsm.export_key(name("zpk-aes"), name("kek")).await.unwrap();
    [tdes, aes]
}

fn open_acquirer(bureau: &Path, dialect: &str, host: &str, zone_key: &str) -> Acquirer {
    let path = bureau.join("acquirer.json");
    let file = serde_json::json!({
        "host": host,
        "dialect": dialect,
        "acquirer_id": "123456",
        "zone_key": zone_key,
        "component_paths": ["component-1.txt", "component-2.txt"],
    });
    fs::write(&path, file.to_string()).unwrap();
    Acquirer::open(&path).unwrap()
}

/// One cardmember, and a card for each PIN.
async fn import(data: &Path, hsm: RemoteHsm, acquirer: &Acquirer, pins: &[String]) -> Vec<TestCard> {
    let programme: Programme = toml::from_str(PROGRAMME).unwrap();
    let desk = Desk {
        hsm: Arc::new(hsm.clone()),
        store: Arc::new(SqliteStore::open(data.join("pinward.sqlite")).unwrap()),
        programmes: Arc::new(HashMap::from([(programme.id.clone(), programme.clone())])),
        unpredictable_numbers: Arc::default(),
    };
    let cardmember = NewCardmember {
        reference: "m-1".into(),
        name: "Ada Byrne".into(),
        email: "ada@example.org".into(),
        user_id: Some(USER_ID.into()),
    };
    import_cardmembers(&desk, vec![cardmember], "operator:0", NOW)
        .await
        .unwrap();
    let pans: Vec<Pan> = (0..).map(pan).take(pins.len()).collect();
    let card = |(pan, pin): (&Pan, &String)| NewCard {
        cardmember: "m-1".into(),
        pan: pan.clone(),
        psn: Psn::new(1).unwrap(),
        expiry: Expiry::parse_yymm("3912").unwrap(),
        programme: programme.id.clone(),
        role: CardRole::Basic,
        status: CardStatus::Active,
        pin: NewCardPin::Block(ZonePin {
            zone_key: KeyName("zpk".into()),
            format: ZonePinFormat::Iso0,
            ksn: None,
            block: acquirer
                .zone_key()
                .pin_block(&Pin::parse(pin).unwrap(), pan, &[0; 8]),
        }),
    };
    let cards = pans.iter().zip(pins).map(card).collect();
    let report = import_cards(&desk, cards, "operator:0", NOW, &mut |_| {})
        .await
        .unwrap();
    assert!(report.refused.is_empty(), "{report:?}");
    let keys = hsm.card_keys(pans.clone()).await.unwrap();
    pans.into_iter()
        .zip(keys)
        .map(|(pan, key)| TestCard { pan, row: key.row })
        .collect()
}

fn set_password(data: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinward"));
    command
        .args(["password", USER_ID, "--data"])
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
    assert!(child.wait().unwrap().success());
}

/// Test PANs of 16 digits; the check digit is the one that parses.
fn pan(number: u32) -> Pan {
    let with = |digit: u32| Pan::parse(&format!("476173{number:09}{digit}")).ok();
    (0..10)
        .find_map(with)
        .expect("one of ten digits is the check digit")
}
