//! Who the demo's issuer is: its configuration, keys, cardmembers and cards. All of it is fictional; card numbers
//! start with 9999, which no scheme issues.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use cards::{Pan, Timestamp};
use hsm::KeyPurpose;
use serde_json::{Value, json};

use super::{ACQUIRER_FILE, DEMO_FILE, bench, write_private};
use crate::failure::Failure;

pub(super) const HSM_SOCKET: &str = "hsm.sock";
pub(super) const EXCHANGE_KEY: &str = "kek-demo";
pub(super) const ACQUIRER_ZONE_KEY: &str = "zpk-demo-acquirer";
pub(super) const BUREAU_ZONE_KEY: &str = "zpk-demo-bureau";

/// `pinward.toml` of the demo, with the test bench's programmes.
pub(super) fn configuration() -> String {
    [CONFIGURATION, &bench::programmes()].concat()
}

/// Without the test bench's programmes. `pinward.example.toml` explains every setting.
const CONFIGURATION: &str = r#"# The demo's configuration; pinward.example.toml explains every setting.

[store]
path = "pinward.sqlite"

[hsm]
socket = "hsm.sock"
directory = "hsm"

[web]
listen = "127.0.0.1:8080"
issuer_name = "Larkfield Bank"
secure_cookies = false
api_token_path = "api-token"

[[host.link]]
name = "demo-acquirer"
listen = "127.0.0.1:8583"
dialect = "ascii-1987"
zone_key = "zpk-demo-acquirer"
pin_format = "iso0"

[mail]
smtp_host = "127.0.0.1"
smtp_port = 2525
tls = "none"
from = "Larkfield Bank <cards@larkfield.example>"

[[programme]]
id = "credit"
name = "Larkfield Credit"
scheme = "visa-cvn18"
pan_len_digits = 16
pin_len_digits = 4
tries_max = 3
amount_max_minor = 200000
amount_without_pin_max_minor = 5000
currency = 978

# The simulated cards report a script until an issuer is authenticated.
[programme.script]
report = "until-issuer-authenticated"

[[programme]]
id = "charge"
name = "Larkfield Charge"
scheme = "visa-cvn18"
pan_len_digits = 15
pin_len_digits = 4
tries_max = 3
amount_max_minor = 500000
amount_without_pin_max_minor = 5000
currency = 978

# The simulated cards report a script until an issuer is authenticated.
[programme.script]
report = "until-issuer-authenticated"
"#;

/// Keys that the issuer's HSM makes, besides the exchange key, which comes as components.
pub(super) const KEYS: [(&str, KeyPurpose); 14] = [
    ("imk-ac", KeyPurpose::IssuerCryptogram),
    ("imk-smi", KeyPurpose::IssuerScriptIntegrity),
    ("imk-smc", KeyPurpose::IssuerScriptConfidentiality),
    ("imk-ac-aes", KeyPurpose::IssuerCryptogramAes),
    ("imk-smi-aes", KeyPurpose::IssuerScriptIntegrityAes),
    ("imk-smc-aes", KeyPurpose::IssuerScriptConfidentialityAes),
    ("pvk-1", KeyPurpose::PinVerificationVisa),
    ("pin-storage", KeyPurpose::PinStorage),
    ("pan-storage", KeyPurpose::PanStorage),
    ("card-index", KeyPurpose::CardIndex),
    ("record-mac", KeyPurpose::RecordMac),
    ("envelope-identity", KeyPurpose::EnvelopeIdentity),
    (ACQUIRER_ZONE_KEY, KeyPurpose::ZonePinTdes),
    (BUREAU_ZONE_KEY, KeyPurpose::ZonePinTdes),
];

/// A cardmember of the demo.
pub(super) struct Person {
    reference: &'static str,
    pub(super) name: &'static str,
    pub(super) user_id: &'static str,
    pub(super) password: &'static str,
    /// What they have, for people who choose whom to sign in as.
    pub(super) note: &'static str,
}

pub(super) const PEOPLE: [Person; 3] = [
    Person {
        reference: "LB-1001",
        name: "Ada Fenn",
        user_id: "ada",
        password: "larkfield-ada",
        note: "a credit card in use, a new charge card to activate",
    },
    Person {
        reference: "LB-1002",
        name: "Ben Fenn",
        user_id: "ben",
        password: "larkfield-ben",
        note: "a supplementary card on Ada's account",
    },
    Person {
        reference: "LB-1003",
        name: "Cleo Marsh",
        user_id: "cleo",
        password: "larkfield-cleo",
        note: "a charge card without a PIN, a new credit card to activate",
    },
];

/// A card of the demo.
pub(super) struct DemoCard {
    pub(super) cardmember: &'static str,
    pub(super) pan: &'static str,
    pub(super) programme: String,
    pub(super) role: &'static str,
    pub(super) status: &'static str,
    /// Whether it is delivered with a PIN, told in a letter.
    pub(super) has_pin: bool,
}

/// Cardmember, number, programme, role, status, and whether it is delivered with a PIN.
const CARDS: [(&str, &str, &str, &str, &str, bool); 5] = [
    ("LB-1001", "9999010000000011", "credit", "basic", "active", true),
    ("LB-1001", "999902000000018", "charge", "basic", "inactive", false),
    (
        "LB-1002",
        "9999010000000029",
        "credit",
        "supplementary",
        "active",
        true,
    ),
    ("LB-1003", "999902000000026", "charge", "basic", "active", false),
    ("LB-1003", "9999010000000037", "credit", "basic", "inactive", true),
];

/// The cardmembers' cards.
pub(super) fn cards() -> impl Iterator<Item = DemoCard> {
    CARDS
        .into_iter()
        .map(|(cardmember, pan, programme, role, status, has_pin)| DemoCard {
            cardmember,
            pan,
            programme: programme.to_owned(),
            role,
            status,
            has_pin,
        })
}

/// Every card that is imported.
fn all_cards() -> impl Iterator<Item = DemoCard> {
    cards().chain(bench::cards())
}

impl DemoCard {
    pub(super) fn pan(&self) -> Pan {
        Pan::parse(self.pan).expect("the demo's card numbers have right check digits")
    }

    /// The name on the card.
    pub(super) fn name(&self) -> &'static str {
        let person = PEOPLE.iter().find(|person| person.reference == self.cardmember);
        person.map_or(bench::HOLDER_NAME, |person| person.name)
    }
}

/// Card numbers of the cards that are delivered with a PIN, one per line.
pub(super) fn pans_with_pin() -> String {
    let with_pin = all_cards().filter(|card| card.has_pin);
    with_pin.map(|card| format!("{}\n", card.pan)).collect()
}

/// `cardmembers.csv`.
pub(super) fn cardmembers_csv() -> String {
    let mut csv = "reference,name,email,user_id\n".to_owned();
    for Person {
        reference,
        name,
        user_id,
        ..
    } in &PEOPLE
    {
        let _ = writeln!(csv, "{reference},{name},{user_id}@larkfield.example,{user_id}");
    }
    let _ = writeln!(
        csv,
        "{},{},bench@larkfield.example,",
        bench::HOLDER,
        bench::HOLDER_NAME
    );
    csv
}

/// `cards.csv`. `pins`: the `pin` columns of the cards that are delivered with one. Cards are valid for four years.
pub(super) fn cards_csv(pins: &str, now: Timestamp) -> String {
    let (year, month) = now.utc_year_month();
    let expiry = format!("{:02}{month:02}", (year + 4) % 100);
    let mut pins = pins.lines();
    let mut csv = "cardmember,pan,psn,expiry,programme,role,status,pin\n".to_owned();
    for card in all_cards() {
        let pin = if card.has_pin {
            pins.next().unwrap_or("none")
        } else {
            "none"
        };
        let DemoCard {
            cardmember,
            pan,
            programme,
            role,
            status,
            ..
        } = card;
        let _ = writeln!(
            csv,
            "{cardmember},{pan},1,{expiry},{programme},{role},{status},{pin}"
        );
    }
    csv
}

/// `acquirer.json`, for the simulated terminals.
pub(super) fn acquirer_json(zone_key: &str) -> Value {
    json!({
        "host": "127.0.0.1:8583",
        "dialect": "ascii-1987",
        "acquirer_id": "10000001",
        "zone_key": zone_key,
        "component_paths": ["key-officers/component-1.txt", "key-officers/component-2.txt"],
    })
}

/// Tells the simulators where portal and host are this time.
pub(super) fn tell_simulators(data: &Path, web: SocketAddr, host: SocketAddr) -> Result<(), Failure> {
    let sign_in = |person: &Person| {
        json!({
            "user_id": person.user_id,
            "password": person.password,
            "name": person.name,
            "note": person.note,
        })
    };
    let demo = json!({
        "portal": format!("http://{web}"),
        "sign_ins": PEOPLE.iter().map(sign_in).collect::<Vec<_>>(),
    });
    write_private(&data.join(DEMO_FILE), &format!("{demo:#}\n"))?;

    let path = data.join(ACQUIRER_FILE);
    let shown = path.display();
    let text =
        std::fs::read_to_string(&path).map_err(|cause| Failure::Unavailable(format!("{shown}: {cause}")))?;
    let mut acquirer: Value =
        serde_json::from_str(&text).map_err(|error| Failure::BadData(format!("{shown}: {error}")))?;
    if let Some(setting) = acquirer.get_mut("host") {
        *setting = json!(host.to_string());
    }
    write_private(&path, &format!("{acquirer:#}\n"))
}
