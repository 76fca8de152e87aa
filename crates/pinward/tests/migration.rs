//! Moving from an existing PIN verifier, with the real program as an operator drives it: keys and cards come in, both
//! judge, PINs follow, chips lag, plastics are exchanged (`docs/migrate.md`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use cards::{CardState, Pan, Timestamp};
use common::{Installation, TestCard, Wishes, portal::Portal};
use data_encoding::HEXUPPER;
use hsm::PaymentHsm;
use issuer::{
    Desk,
    dual_run::{
        Verdict::{Locked, Match, NoMatch, NotTold},
        compare,
    },
};
use paycrypto::{
    account::AccountDigits,
    aes_key::AesKey,
    ibm3624::{DecimalisationTable, ValidationData, offset},
    pin::Pin,
    pinblock::{TdesFormat, encipher_tdes},
    pvv::{Pvki, generate_pvv},
    tdes_key::Tdes2Key,
    tr31::{
        Kbpk,
        header::{Algorithm, Exportability, Header, KeyBlockVersion, KeyContext, KeyUsage, ModeOfUse},
        padding_len, wrap,
    },
};
use serde_json::Value;
use sim::bureau::components;
use store::{SqliteStore, Store};

const PIN: &str = "482915730264";
/// Unlike [`PIN`] in the first four digits, which are all that a PVV knows.
const NEW_PIN: &str = "715309482615";
const WRONG_PIN: &str = "999999999999";
/// Keys of the existing system. Made up.
const PVK: [u8; 16] = 0x0BAD_C0DE_4321_8765_1357_9BDF_0246_8ACE_u128.to_be_bytes();
const OFFSET_KEY: [u8; 16] = 0x1F2E_3D4C_5B6A_7980_8796_A5B4_C3D2_E1F0_u128.to_be_bytes();
const ZONE_KEY: [u8; 16] = 0x6275_1A94_3B0D_C8EF_9E01_5DC2_7634_BA89_u128.to_be_bytes();
const TABLE: &str = "0123456789012345";
const HEADER: &str = "cardmember,pan,psn,expiry,programme,role,status,pin";

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Refused (exit code 1), with these words.
    fn refused(self, words: &str) {
        assert_eq!(self.code, 1, "{self:?}");
        assert!(self.err.contains(words), "{self:?}");
    }
}

/// A desk to move to.
struct Move {
    installation: Installation,
    files: PathBuf,
}

impl Move {
    /// With cards of [`PIN`] that are there already.
    async fn start(cards: usize) -> Self {
        let pins = vec![PIN.to_owned(); cards];
        let installation = Installation::start(Wishes::cards(&pins)).await;
        let files = installation.bureau.join("from-the-old-system");
        fs::create_dir(&files).unwrap();
        Self { installation, files }
    }

    fn run(&self, arguments: &[&str], stdin: &str) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pinward"))
            .args(arguments)
            .arg("--data")
            .arg(&self.installation.data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.files.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A key of the existing system under the exchange key.
    fn key_block(&self, name: &str, key: &[u8], usage: [u8; 2], mode_of_use: ModeOfUse) -> String {
        let files = ["component-1.txt", "component-2.txt"].map(|file| self.installation.bureau.join(file));
        let kek: AesKey = components::combine(&files).unwrap();
        let header = Header {
            version: KeyBlockVersion::D,
            usage: KeyUsage::from_code(usage).unwrap(),
            algorithm: Algorithm::Tdea,
            mode_of_use,
            key_version: *b"00",
            exportability: Exportability::Exportable,
            key_context: KeyContext::OfWrappingKey,
            optional_blocks: Vec::new(),
        };
        let padding = vec![0x5A; padding_len(KeyBlockVersion::D, key.len())];
        let block = wrap(Kbpk::Aes(&kek), &header, key, &padding).unwrap();
        self.file(name, &block)
    }

    fn import_verification_keys(&self) {
        let pvk = self.key_block("pvk.tr31", &PVK, *b"V2", ModeOfUse::VerifyOnly);
        let offset_key = self.key_block("ibm3624.tr31", &OFFSET_KEY, *b"V1", ModeOfUse::VerifyOnly);
        for (name, purpose, block) in [
            ("pvk-3", "pin-verification-visa", &pvk),
            ("ibm3624", "pin-verification-ibm3624", &offset_key),
        ] {
            let arguments = [
                "keys",
                "import",
                name,
                "--purpose",
                purpose,
                "--under",
                "kek",
                block,
            ];
            let told = self.run(&arguments, "").done();
            assert!(told.starts_with(name), "{told}");
        }
        let rule = ["keys", "ibm3624-rule", "ibm3624", "--table", TABLE, "--pad", "D"];
        self.run(&[&rule[..], &["--rightmost", "11"]].concat(), "").done();
        // The same again is done already; another one never is.
        self.run(&[&rule[..], &["--rightmost", "11"]].concat(), "").done();
        self.run(&[&rule[..], &["--leftmost", "11"]].concat(), "")
            .refused("the key has another rule");
    }

    async fn card(&self, pan: &str) -> TestCard {
        let pan = Pan::parse(pan).unwrap();
        let keys = self
            .installation
            .remote
            .card_keys(vec![pan.clone()])
            .await
            .unwrap();
        TestCard {
            pan,
            row: keys[0].row,
        }
    }

    async fn state(&self, card: &TestCard) -> CardState {
        let record = self.store().card(card.row).await.unwrap().unwrap();
        CardState::decode(&record.state).unwrap()
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(self.installation.data.join("pinward.sqlite")).unwrap()
    }

    /// Response code of a balance inquiry over ISO 8583.
    async fn response(&self, card: &TestCard, pin: &str, trace: u32) -> String {
        let request = self.installation.balance_inquiry(card, pin, trace);
        let answer = self.installation.acquirer.exchange(&request).await.unwrap();
        answer.response_code().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        serde_json::from_str(&self.run(&arguments, "").done()).unwrap()
    }
}

/// Numbers that no card of the installation has.
const PANS: [&str; 5] = [
    "9999010000000011",
    "9999010000000029",
    "9999010000000037",
    "9999010000000045",
    "9999010000000052",
];

fn row(pan: &str, pin: &str) -> String {
    format!("m-1,{pan},1,3912,credit,basic,active,{pin}\n")
}

fn pvv_of(pan: &str, pin: &str) -> String {
    let account = AccountDigits::from(&Pan::parse(pan).unwrap());
    let key = Tdes2Key::from_bytes(&PVK);
    let pvv = generate_pvv(&key, Pvki::new(3).unwrap(), &account, &Pin::parse(pin).unwrap());
    format!("pvv:3:{}", digits(&pvv))
}

/// Validation data: the 11 digits before the check digit, filled with D.
fn offset_of(pan: &str, pin: &str) -> String {
    let key = Tdes2Key::from_bytes(&OFFSET_KEY);
    let table = DecimalisationTable::parse(TABLE).unwrap();
    let data = ValidationData::from_digits(&pan[4..15], 0xD).unwrap();
    let offset = offset(&key, &table, &data, &Pin::parse(pin).unwrap());
    format!("ibm3624:{}", digits(offset.digits()))
}

fn block_of(pan: &str, pin: &str, format: TdesFormat, name: &str) -> String {
    let account = AccountDigits::from(&Pan::parse(pan).unwrap());
    let key = Tdes2Key::from_bytes(&ZONE_KEY);
    let block = encipher_tdes(&key, format, &Pin::parse(pin).unwrap(), &account, &[0x1B; 10]);
    format!("{name}:{}", HEXUPPER.encode(&block))
}

fn digits(values: &[u8]) -> String {
    values.iter().map(|value| char::from(b'0' + value)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_of_every_kind_come_over_are_renewed_and_follow_their_cardmember() {
    let moving = Move::start(0).await;
    moving.import_verification_keys();
    let zone_key = moving.key_block("zone.tr31", &ZONE_KEY, *b"P0", ModeOfUse::EncryptDecrypt);
    let under_zone_key = ["--zone-key-block", &zone_key, "--zone-key-under", "kek"];
    let [by_pvv, by_offset, iso0, iso3, iso4] = PANS;
    let rows = [
        row(by_pvv, &pvv_of(by_pvv, PIN)),
        row(by_offset, &offset_of(by_offset, PIN)),
        row(iso0, &block_of(iso0, PIN, TdesFormat::Iso0, "iso0")),
        row(iso3, &block_of(iso3, PIN, TdesFormat::Iso3, "iso3")),
    ];
    let cards = moving.file("cards.csv", &format!("{HEADER}\n{}", rows.concat()));
    let import = [&["import", &cards][..], &under_zone_key].concat();
    let told = moving.run(&import, "").done();
    assert_eq!(told, format!("{cards}: 4 cards brought in, 0 there already.\n"));
    let aes = &moving.installation.acquirer_aes;
    let block = aes
        .zone_key()
        .pin_block(&Pin::parse(PIN).unwrap(), &Pan::parse(iso4).unwrap(), &[7; 8]);
    let more = row(iso4, &format!("iso4:{}", HEXUPPER.encode(&block)));
    let more = moving.file("more.csv", &format!("{HEADER}\n{more}"));
    moving.run(&["import", &more, "--zone-key", "zpk-aes"], "").done();
    let again = moving.run(&import, "").done();
    assert_eq!(again, format!("{cards}: 0 cards brought in, 4 there already.\n"));

    let mut trace = 0;
    for pan in PANS {
        let card = moving.card(pan).await;
        for (pin, code) in [(PIN, "00"), (WRONG_PIN, "55"), (PIN, "00")] {
            trace += 1;
            assert_eq!(moving.response(&card, pin, trace).await, code, "{pan}");
        }
        let state = moving.state(&card).await;
        assert_eq!(state.chip.known(), Some(1), "personalisation wrote it there");
    }
    let none = moving.run(&["report", "chips"], "").done();
    assert_eq!(
        none,
        "0 of 5 cards have a chip that isn't known to have the host's PIN, or need attention.\n"
    );

    // Two cardmembers have changed their PIN at the old system since.
    let rows = [
        row(by_pvv, &pvv_of(by_pvv, NEW_PIN)),
        row(by_offset, &offset_of(by_offset, PIN)),
        row(iso0, &block_of(iso0, NEW_PIN, TdesFormat::Iso0, "iso0")),
        row(iso3, &block_of(iso3, PIN, TdesFormat::Iso3, "iso3")),
    ];
    fs::write(&cards, format!("{HEADER}\n{}", rows.concat())).unwrap();
    let renew = [&import[..], &["--renew-pins"]].concat();
    let told = moving.run(&renew, "").done();
    assert!(told.ends_with("2 of them have a new PIN.\n"), "{told}");
    let told = moving.run(&renew, "").done();
    assert!(told.ends_with("0 of them have a new PIN.\n"), "{told}");
    for (pan, pin) in [(by_pvv, NEW_PIN), (by_offset, PIN), (iso0, NEW_PIN), (iso3, PIN)] {
        let card = moving.card(pan).await;
        trace += 1;
        assert_eq!(moving.response(&card, pin, trace).await, "00", "{pan}");
    }
    let renewed = moving.card(by_pvv).await;
    assert_eq!(moving.response(&renewed, PIN, 900).await, "55");

    // Nobody knows which PIN their chips have; only a PIN that the HSM keeps can be sent there.
    let report = moving.json(&["report", "chips"]);
    assert_eq!(report["looked_at"], 5);
    let of = |card: &TestCard| {
        let cards = report["lagging"].as_array().unwrap();
        let row = card.row.to_string();
        cards
            .iter()
            .find(|lagging| lagging["card"] == row)
            .unwrap()
            .clone()
    };
    assert_eq!(report["lagging"].as_array().unwrap().len(), 2);
    let (kept, value) = (of(&moving.card(iso0).await), of(&renewed));
    for lagging in [&kept, &value] {
        assert_eq!(lagging["host_version"], 2);
        assert_eq!(lagging["chip_versions"], serde_json::json!([1, 2]));
        assert_eq!(lagging["contact_last_ms"], Value::Null);
    }
    assert_eq!(
        (&kept["queued"], &value["queued"]),
        (&"change_pin".into(), &Value::Null)
    );
    assert!(kept["waits_since_ms"].is_number());
    assert_eq!(value["waits_since_ms"], Value::Null);
    let text = moving.run(&["report", "chips"], "").done();
    assert!(text.contains("nothing to send"), "{text}");
    assert!(
        text.contains("1 or 2     0 days  never             change_pin"),
        "{text}"
    );
    let old_enough = moving.run(&["report", "chips", "--days", "1"], "").done();
    assert_eq!(
        old_enough,
        "0 of 5 cards have a chip that isn't known to have the host's PIN, or need attention, for 1 day or longer.\n"
    );

    // The cardmember's own change brings a PIN that can be sent.
    let mut portal = Portal::sign_in(moving.installation.web);
    for (pan, current) in [(by_pvv, NEW_PIN), (by_offset, PIN)] {
        let card = moving.card(pan).await;
        portal.change_pin(card.row, current, "350917284615");
        assert!(portal.sees_pin(card.row, "350917284615"));
        let state = moving.state(&card).await;
        assert!(state.script.queued().is_some(), "{pan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_or_key_refuses_the_whole_file() {
    let moving = Move::start(0).await;
    let [first, second, ..] = PANS;
    let rows = [row(first, "none"), row(second, "iso0:0123456789ABCDEF")];
    let cards = moving.file("cards.csv", &format!("{HEADER}\n{}", rows.concat()));

    let ended = moving.run(&["import", &cards], "");
    assert_eq!(ended.code, 65);
    assert!(
        ended.err.contains("line 3, pin: a PIN block needs a zone key"),
        "{ended:?}"
    );
    let ended = moving.run(&["import", &cards, "--zone-key", "nobodys"], "");
    ended.refused("--zone-key: the HSM has no zone PIN key nobodys");
    // Under another key than the one that the block says.
    let ended = moving.run(&["import", &cards, "--zone-key", "zpk"], "");
    assert_eq!(ended.code, 65, "{ended:?}");
    assert!(
        ended.err.contains("line 3, pin: the PIN block is not acceptable"),
        "{ended:?}"
    );
    assert!(!ended.err.contains(second), "no card number is told");
    let torn = moving.file("torn.tr31", "D0112P0TE00E0000");
    let ended = moving.run(
        &[
            "import",
            &cards,
            "--zone-key-block",
            &torn,
            "--zone-key-under",
            "kek",
        ],
        "",
    );
    ended.refused("its key block is damaged, or not under this key exchange key");
    assert!(
        moving
            .store()
            .card(moving.card(first).await.row)
            .await
            .unwrap()
            .is_none()
    );

    let pvk = moving.key_block("pvk.tr31", &PVK, *b"V2", ModeOfUse::VerifyOnly);
    let as_offsets = [
        "keys",
        "import",
        "ibm3624",
        "--purpose",
        "pin-verification-ibm3624",
    ];
    moving
        .run(&[&as_offsets[..], &["--under", "kek", &pvk]].concat(), "")
        .refused("the key block is for another use, mode or algorithm");
    let rule = ["keys", "ibm3624-rule", "ibm3624", "--pad", "0", "--table"];
    moving
        .run(&[&rule[..], &[TABLE, "--leftmost", "16"]].concat(), "")
        .refused("no key with this name and usage");
    let neither = moving.run(&[&rule[..], &[TABLE]].concat(), "");
    assert_eq!(neither.code, 2, "{neither:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn zone_keys_are_exchanged_with_an_overlap_of_one() {
    let moving = Move::start(1).await;
    let card = &moving.installation.cards[0];
    let first = moving.key_block("first.tr31", &ZONE_KEY, *b"P0", ModeOfUse::EncryptDecrypt);
    let wrong = [
        "keys", "replace", "zpk", "--under", "kek", "--kcv", "123456", &first,
    ];
    moving
        .run(&wrong, "")
        .refused("the key check value isn't the key's");
    let replace = ["keys", "replace", "zpk", "--under", "kek", "-"];
    let block = fs::read_to_string(&first).unwrap();
    let told = moving.run(&replace, &block).done();
    assert!(told.contains(" reads "), "{told}");
    assert_eq!(moving.response(card, PIN, 1).await, "00", "under the former key");
    moving
        .run(&replace, &block)
        .refused("the key has, or had before, this value already");
    let told = moving.run(&["keys", "drop-former", "zpk"], "").done();
    assert!(!told.contains(" reads "), "{told}");
    assert_eq!(moving.response(card, PIN, 2).await, "81");
    let listed = moving.run(&["keys", "list"], "").done();
    assert!(listed.lines().any(|line| line.starts_with("zpk ")), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_with_the_old_verifier_are_counted() {
    let moving = Move::start(2).await;
    let none = moving.run(&["report", "dual-run"], "").done();
    assert_eq!(
        none,
        "0 PINs were judged by both in 30 days: 0 alike, 0 differently.\n"
    );
    let desk = Desk {
        hsm: Arc::new(moving.installation.remote.clone()),
        store: Arc::new(moving.store()),
        programmes: Arc::new(HashMap::new()),
        unpredictable_numbers: Arc::default(),
    };
    let [first, second] = &moving.installation.cards[..] else {
        panic!("two cards")
    };
    let now = Timestamp(i64::try_from(now_ms()).unwrap());
    let long_ago = now.plus_ms(-10 * 24 * 60 * 60 * 1000);
    let rows = [
        (first, Match, Match, now),
        (second, NoMatch, NoMatch, now),
        (first, NoMatch, Match, now),
        (second, NoMatch, Match, now),
        (first, Match, NotTold, now),
        (first, NoMatch, Locked, long_ago),
    ];
    for (card, ours, theirs, at) in rows {
        compare(&desk, &card.pan, "network", ours, theirs, at)
            .await
            .unwrap();
    }
    let mut both = [first.row.to_string(), second.row.to_string()];
    both.sort();
    let report = moving.json(&["report", "dual-run", "--days", "7"]);
    assert_eq!(
        report,
        serde_json::json!({
            "agreed": 2,
            "differed": 2,
            "not_compared": 1,
            "differences": [
                {"ours": "no_match", "theirs": "match", "requests": 2, "cards": both},
                {"ours": "match", "theirs": "not_told", "requests": 1, "cards": [first.row.to_string()]},
            ],
        })
    );
    let text = moving.run(&["report", "dual-run", "--days", "7"], "").done();
    assert_eq!(
        text,
        format!(
            "4 PINs were judged by both in 7 days: 2 alike, 2 differently.\n\
             Judged by one alone: 1.\n  \
             here no_match     there match             2 requests  cards {} {}\n  \
             here match        there not_told          1 requests  cards {}\n",
            both[0], both[1], first.row
        )
    );
    let all = moving.json(&["report", "dual-run"]);
    assert_eq!(all["differed"], 3);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test reads the same clock"
)]
fn now_ms() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_millis()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plastic_is_exchanged_and_its_number_never_an_argument() {
    let moving = Move::start(2).await;
    let (first, second) = (&moving.installation.cards[0], &moving.installation.cards[1]);
    let (reissued, replaced) = (first.row.to_string(), second.row.to_string());

    let reissue = ["card", "reissue", &reissued, "--expiry", "4112", "--psn"];
    let told = moving.run(&[&reissue[..], &["2"]].concat(), "").done();
    assert_eq!(told, format!("{reissued}\n"));
    assert_eq!(moving.response(first, PIN, 1).await, "00");
    moving
        .run(&[&reissue[..], &["2"]].concat(), "")
        .refused("expiry and card sequence number are the present card's");
    moving
        .run(&[&reissue[..], &["3", "--chip-version", "9"]].concat(), "")
        .refused("the chip can't have version 9: the card has had PIN versions up to 1");

    let replace = ["card", "replace", &replaced, "--expiry", "4112"];
    let as_argument = moving.run(&[&replace[..], &[PANS[0]]].concat(), "");
    assert_eq!(as_argument.code, 2, "{as_argument:?}");
    let damaged = moving.run(&replace, "9999010000000012\n");
    assert_eq!(damaged.code, 65, "{damaged:?}");
    assert!(!damaged.err.contains("9999010000000012"));
    moving
        .run(&replace, first.pan.expose_digits())
        .refused("another card has the new number");
    let told = moving.run(&replace, &format!("{}\n", PANS[0])).done();
    let card = moving.card(PANS[0]).await;
    assert_eq!(told, format!("{}\n", card.row));
    assert_eq!(
        moving.response(second, PIN, 2).await,
        "62",
        "the old one is blocked"
    );
    moving
        .run(
            &["card", "reissue", &replaced, "--expiry", "4201", "--psn", "1"],
            "",
        )
        .refused("the card is blocked: give it a new number");
    let status = moving.json(&["card", "status", told.trim()]);
    assert_eq!(
        (&status["status"], &status["host"]["version"]),
        (&"inactive".into(), &0.into())
    );

    let nobody = "0123456789abcdef";
    let resend = moving.run(&["card", "resend", &reissued], "").done();
    assert_eq!(resend, "Nothing needs to be sent again.\n");
    moving
        .run(&["card", "resend", nobody], "")
        .refused("there is no such card");
    moving
        .run(&["card", "reissue", nobody, "--expiry", "4112", "--psn", "1"], "")
        .refused("there is no such card");
    let over = ["card", "reissue", &reissued, "--expiry", "2001", "--psn", "4"];
    moving
        .run(&over, "")
        .refused("the new plastic's last month of validity is over");
    for wrong in [
        ["card", "reissue", "12", "--expiry", "4112", "--psn", "1"],
        ["card", "reissue", &reissued, "--expiry", "4113", "--psn", "1"],
        ["card", "reissue", &reissued, "--expiry", "4112", "--psn", "100"],
    ] {
        assert_eq!(moving.run(&wrong, "").code, 2, "{wrong:?}");
    }
    assert!(holds_no_number(
        &moving.installation.data,
        &[first, second, &card]
    ));
}

/// Neither logs nor the journal's file name a card number.
fn holds_no_number(data: &Path, cards: &[&TestCard]) -> bool {
    let files = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).all(|path| {
        let bytes = fs::read(&path).unwrap();
        cards.iter().all(|card| {
            let number = card.pan.expose_digits().as_bytes();
            !bytes.windows(number.len()).any(|window| window == number)
        })
    })
}
