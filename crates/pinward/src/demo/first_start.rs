//! Makes the demo's issuer, step by step as a real one is made: keys under dual control, an import, and plastic from a
//! bureau. It is made beside the data directory and takes its place when it is complete, so that a start that was
//! interrupted leaves nothing half made.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::{HEXLOWER, HEXUPPER};
use hsm::{KeyAdmin, KeyName};
use issuer::Desk;
use serde_json::{Value, json};
use store::{AuditEvent, SqliteStore, Store};

use super::issuer as larkfield;
use super::{ACQUIRER_FILE, API_TOKEN_FILE, BENCH, LOG_DIR, WALLET, bench, write_private};
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::hsm_link::HsmLink;
use crate::import::ImportFile;
use crate::{child, clock, web};

/// The bureau's name in audit records, and the demo's own.
const ACTOR: &str = "demo";

/// Makes the issuer in `data`. Refuses a directory that holds anything else.
pub(super) async fn make(data: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    require_nothing_there(data)?;
    writeln!(out, "First start: making Larkfield Bank in {}.", data.display())?;
    let unfinished = PathBuf::from(format!("{}.unfinished", data.display()));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    for directory in ["", WALLET, BENCH, "import", "bureau", LOG_DIR] {
        DirBuilder::new().mode(0o700).create(unfinished.join(directory))?;
    }
    fill(&unfinished, out).await?;
    Ok(fs::rename(&unfinished, data)?)
}

/// An empty directory may be there; renaming replaces it.
fn require_nothing_there(data: &Path) -> Result<(), Failure> {
    let is_free = match fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_none(),
        Err(cause) => cause.kind() == io::ErrorKind::NotFound,
    };
    if is_free {
        return Ok(());
    }
    let shown = data.display();
    Err(Failure::Refused(format!(
        "{shown} is there and isn't a demo's; --data chooses another directory"
    )))
}

async fn fill(dir: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let configuration = dir.join(config::FILE_NAME);
    write_private(&configuration, &larkfield::configuration())?;
    write_private(&dir.join(API_TOKEN_FILE), &random_token()?)?;
    let config = Config::read(&configuration)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.store.path)?);
    let log = dir.join(LOG_DIR).join("hsm.log");
    let hsm = HsmLink::connect_or_start(&config.hsm, Some(&log), store.clone()).await?;
    let desk = Desk {
        hsm: Arc::new(hsm.remote.clone()),
        store,
        programmes: config.programmes(),
        unpredictable_numbers: Arc::default(),
    };
    let site = Site {
        dir,
        hsm: &hsm.remote,
        desk: &desk,
    };
    writeln!(out, "  keys, one of them from two officers' components")?;
    site.make_keys().await?;
    writeln!(out, "  cardmembers and cards, imported from CSV files")?;
    site.import_cards().await?;
    writeln!(out, "  passwords")?;
    site.set_passwords().await?;
    writeln!(out, "  plastic, from a bureau")?;
    site.make_plastic(larkfield::cards(), "bureau/export.json", WALLET)
        .await?;
    site.make_plastic(bench::cards(), "bureau/bench.json", BENCH)
        .await?;
    drop(desk);
    hsm.close().await;
    writeln!(out)?;
    Ok(())
}

/// The issuer in the making.
struct Site<'s> {
    dir: &'s Path,
    hsm: &'s hsm::RemoteHsm,
    desk: &'s Desk,
}

impl Site<'_> {
    async fn make_keys(&self) -> Result<(), Failure> {
        let officers = self.file("key-officers");
        child::run(
            "key officers'",
            ["sim", "components", "--out", officers.as_str()],
            "",
        )
        .await?;
        let now = clock::now();
        self.record("key_load", larkfield::EXCHANGE_KEY).await?;
        let exchange_key = KeyName(larkfield::EXCHANGE_KEY.to_owned());
        self.hsm
            .load_components(exchange_key, self.component_paths().to_vec(), now)
            .await?;
        for (name, purpose) in larkfield::KEYS {
            self.record("key_generate", name).await?;
            self.hsm
                .generate_key(KeyName(name.to_owned()), purpose, now)
                .await?;
        }
        let zone_key = self.export_key(larkfield::ACQUIRER_ZONE_KEY).await?;
        let acquirer = larkfield::acquirer_json(&zone_key);
        write_private(&self.dir.join(ACQUIRER_FILE), &format!("{acquirer:#}\n"))
    }

    /// First PINs are chosen by the bureau; here they are PIN blocks from the beginning.
    async fn import_cards(&self) -> Result<(), Failure> {
        let zone_key_file = self.file("import/zone-key.tr31");
        write_private(
            Path::new(&zone_key_file),
            &self.export_key(larkfield::BUREAU_ZONE_KEY).await?,
        )?;
        let [first, second] = self.component_paths();
        let arguments = [
            "sim",
            "first-pins",
            "--zone-key",
            &zone_key_file,
            "--component",
            &first,
            "--component",
            &second,
        ];
        let pins = child::run("bureau's", arguments, &larkfield::pans_with_pin()).await?;
        let files = [
            ("import/cardmembers.csv", larkfield::cardmembers_csv()),
            ("import/cards.csv", larkfield::cards_csv(&pins, clock::now())),
        ];
        let zone_key = KeyName(larkfield::BUREAU_ZONE_KEY.to_owned());
        for (name, content) in files {
            let path = self.dir.join(name);
            write_private(&path, &content)?;
            let fail = |error: crate::import::ImportError| Failure::Fault(format!("{error:?}"));
            let file = ImportFile::read(&path, Some(&zone_key)).map_err(fail)?;
            file.bring_in(self.desk, ACTOR, clock::now(), &mut |_| {})
                .await
                .map_err(fail)?;
        }
        Ok(())
    }

    async fn set_passwords(&self) -> Result<(), Failure> {
        for person in &larkfield::PEOPLE {
            let found = self.desk.store.cardmember_by_user_id(person.user_id).await?;
            let cardmember = found.expect("was imported just now");
            let audit = AuditEvent {
                at: clock::now(),
                kind: "password_set",
                card: None,
                actor: ACTOR.to_owned(),
                detail: json!({ "cardmember": cardmember.id.0 }).to_string(),
            };
            let hash = web::hash_password(person.password);
            self.desk.set_password(&cardmember, hash, audit).await?;
        }
        Ok(())
    }

    async fn make_plastic(
        &self,
        cards: impl Iterator<Item = larkfield::DemoCard>,
        export_name: &str,
        wallet: &str,
    ) -> Result<(), Failure> {
        let mut exported = Vec::new();
        for card in cards {
            exported.push(self.export_card(&card).await?);
        }
        let zone_key = self.export_key(larkfield::BUREAU_ZONE_KEY).await?;
        let export = json!({ "zone_key": zone_key, "cards": exported });
        let export_file = self.file(export_name);
        write_private(Path::new(&export_file), &format!("{export:#}\n"))?;
        let (wallet, [first, second]) = (self.file(wallet), self.component_paths());
        let arguments = [
            "sim",
            "bureau",
            "--export",
            &export_file,
            "--component",
            &first,
            "--component",
            &second,
            "--out",
            &wallet,
        ];
        child::run("bureau's", arguments, "").await?;
        Ok(())
    }

    /// One card as the bureau takes it. Its keys and PIN are under keys that this process doesn't have.
    async fn export_card(&self, card: &larkfield::DemoCard) -> Result<Value, Failure> {
        let keys = self.desk.hsm.card_keys(vec![card.pan()]).await?;
        let record = self.desk.store.cards(keys).await?.into_iter().flatten().next();
        let record = record.expect("was imported just now");
        let programme = self
            .desk
            .programmes
            .get(&record.programme)
            .expect("was imported for a configured one");
        let under = KeyName(larkfield::EXCHANGE_KEY.to_owned());
        let zone_key = KeyName(larkfield::BUREAU_ZONE_KEY.to_owned());
        self.record("card_personalised", &record.key.row.to_string())
            .await?;
        let made = self
            .hsm
            .personalise(issuer::hsm_card(&record), programme.scheme, under, zone_key)
            .await?;
        Ok(json!({
            "card_ref": record.key.row.to_string(),
            "pan": made.pan.expose_digits(),
            "psn": record.psn.number(),
            "expiry": record.expiry.yymm(),
            "name": card.name(),
            "programme": programme.name,
            "scheme": programme.scheme,
            "currency": programme.currency,
            "icc_key_ac": made.icc_key_ac,
            "icc_key_smi": made.icc_key_smi,
            "icc_key_smc": made.icc_key_smc,
            "pin_block": made.pin_block.map(|block| HEXUPPER.encode(&block)),
        }))
    }

    async fn export_key(&self, name: &str) -> Result<String, Failure> {
        self.record("key_export", name).await?;
        let under = KeyName(larkfield::EXCHANGE_KEY.to_owned());
        Ok(self.hsm.export_key(KeyName(name.to_owned()), under).await?)
    }

    /// Puts an operation on keys on record before it is asked of the HSM (I11).
    async fn record(&self, kind: &'static str, key: &str) -> Result<(), Failure> {
        let detail = json!({ "key": key }).to_string();
        let event = AuditEvent {
            at: clock::now(),
            kind,
            card: None,
            actor: ACTOR.to_owned(),
            detail,
        };
        Ok(self.desk.store.append_audit(vec![event]).await?)
    }

    fn component_paths(&self) -> [String; 2] {
        ["component-1.txt", "component-2.txt"].map(|name| self.file(&format!("key-officers/{name}")))
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

fn random_token() -> Result<String, Failure> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Failure::Unavailable(error.to_string()))?;
    Ok(HEXLOWER.encode(&random))
}
