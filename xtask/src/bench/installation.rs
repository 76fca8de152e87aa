//! A fresh installation for the bench: keys, cards, settings, and `pinward` run on it.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use super::process::Running;
use super::{BARE_PORT, Bench, PRODUCT_PORT, RAW_PORT, WEB_PORT};
use crate::run::say;

/// The keys that a desk needs, and the zone key of the bench.
const KEYS: [(&str, &str); 9] = [
    ("imk-ac", "issuer-cryptogram"),
    ("imk-smi", "issuer-script-integrity"),
    ("imk-smc", "issuer-script-confidentiality"),
    ("pin-storage", "pin-storage"),
    ("pan-storage", "pan-storage"),
    ("card-index", "card-index"),
    ("record-mac", "record-mac"),
    ("envelope-identity", "envelope-identity"),
    ("zpk-bench", "zone-pin-tdes"),
];

impl Bench {
    /// A fresh installation with its keys and cards.
    pub(super) fn prepare(&self, cards: u32) -> Result<(), String> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .map_err(|cause| format!("{}: {cause}", self.folder.display()))?;
        }
        self.write("data/pinward.toml", &configuration())?;
        self.command(&["sim", "components", "--out", "keys"])?;
        self.command(&[
            "keys",
            "load",
            "kek-bench",
            "keys/component-1.txt",
            "keys/component-2.txt",
        ])?;
        for (name, purpose) in KEYS {
            self.command(&["keys", "generate", name, "--purpose", purpose])?;
        }
        let block = self.command(&["keys", "export", "zpk-bench", "--under", "kek-bench"])?;
        let block = block.trim();
        self.write("keys/zpk.tr31", block)?;
        for (name, port) in [("product", PRODUCT_PORT), ("raw", RAW_PORT), ("bare", BARE_PORT)] {
            self.write(&format!("{name}.json"), &acquirer(port, block))?;
        }
        let components = [
            "--component",
            "keys/component-1.txt",
            "--component",
            "keys/component-2.txt",
        ];
        let count = cards.to_string();
        let make = [
            "sim",
            "cards",
            "--count",
            &count,
            "--programme",
            "load",
            "--zone-key",
            "keys/zpk.tr31",
            "--out",
            ".",
        ];
        self.command(&[&make[..], &components[..]].concat())?;
        let told = self.command(&[
            "import",
            "cardmembers.csv",
            "cards.csv",
            "--zone-key",
            "zpk-bench",
        ])?;
        say(told.trim_end());
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.folder.join(name);
        let folder = path.parent().expect("a file of the folder");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|cause| format!("{}: {cause}", path.display()))
    }

    /// Runs `pinward` in the folder, on the installation in `data`; gives its standard output.
    pub(super) fn command(&self, words: &[&str]) -> Result<String, String> {
        let line = words.join(" ");
        let (first, rest) = words.split_first().expect("every command has a name");
        let place: &[&str] = if *first == "sim" { &[] } else { &["--data", "data"] };
        let mut command = Command::new(&self.program);
        command
            .arg(first)
            .args(place)
            .args(rest)
            .current_dir(&self.folder);
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|cause| format!("pinward {line}: {cause}"))?;
        if !output.status.success() {
            return Err(format!("pinward {line}: {}", output.status));
        }
        String::from_utf8(output.stdout).map_err(|_| format!("pinward {line}: not text"))
    }

    pub(super) fn spawn(&self, name: &str, words: &[&str]) -> Result<Running, String> {
        let path = self.folder.join(format!("{name}.log"));
        let log = File::create(&path).map_err(|cause| format!("{}: {cause}", path.display()))?;
        Command::new(&self.program)
            .args(words)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map(Running)
            .map_err(|cause| format!("{name}: {cause}"))
    }
}

fn configuration() -> String {
    format!(
        r#"[store]
path = "pinward.sqlite"

[hsm]
socket = "hsm.sock"
directory = "hsm"

[web]
listen = "127.0.0.1:{WEB_PORT}"
issuer_name = "Bench"
secure_cookies = false

[[host.link]]
name = "bench"
listen = "127.0.0.1:{PRODUCT_PORT}"
dialect = "ascii-1987"
zone_key = "zpk-bench"
pin_format = "iso0"

[mail]
smtp_host = "127.0.0.1"
smtp_port = 1
tls = "none"
from = "bench@cards.example"

[[programme]]
id = "load"
name = "Load"
scheme = "visa-cvn18"
pan_len_digits = 16
pin_len_digits = 4
tries_max = 3
amount_max_minor = 200000
amount_without_pin_max_minor = 0
pin_without_chip = true
currency = 978
"#
    )
}

fn acquirer(port: u16, zone_key: &str) -> String {
    format!(
        r#"{{
  "host": "127.0.0.1:{port}",
  "dialect": "ascii-1987",
  "acquirer_id": "123456",
  "zone_key": "{zone_key}",
  "component_paths": ["keys/component-1.txt", "keys/component-2.txt"]
}}
"#
    )
}
