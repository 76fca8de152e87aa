//! `pinward keys`: the HSM's keys, by name. No key is ever seen here: they come and go as TR-31 key blocks under a key
//! exchange key, or as component files that the HSM reads itself.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hsm::{HsmError, HsmRefusal, Ibm3624Rule, KeyAdmin, KeyInfo, KeyName, KeyPurpose, ValidationDigits};
use serde::Deserialize;
use serde::de::value::{Error as NameError, StrDeserializer};
use store::{AuditEvent, Store};

use super::place::{Place, operator};
use crate::clock;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: KeysCommand,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Every key: purpose, algorithm, check value, and that of a former value that is still read
    List,
    /// Make a random key
    Generate {
        /// Its name in the HSM: 1 to 64 of a-z, 0-9 and -
        name: String,
        /// What it is for, as `keys list` shows it
        #[arg(long, value_parser = purpose)]
        purpose: KeyPurpose,
    },
    /// Load a key exchange key from component files; the HSM reads them itself
    Load {
        /// Its name in the HSM: 1 to 64 of a-z, 0-9 and -
        name: String,
        #[arg(required = true, num_args = 2.., value_name = "FILE")]
        components: Vec<PathBuf>,
    },
    /// Write a key as TR-31 key block to standard output
    Export {
        /// Its name in the HSM: 1 to 64 of a-z, 0-9 and -
        name: String,
        /// Key exchange key
        #[arg(long, value_name = "NAME")]
        under: String,
    },
    /// Take a key from a TR-31 key block
    Import {
        /// Its name in the HSM: 1 to 64 of a-z, 0-9 and -
        name: String,
        #[arg(long, value_parser = purpose)]
        purpose: KeyPurpose,
        /// Key exchange key
        #[arg(long, value_name = "NAME")]
        under: String,
        /// File with the key block, or - for standard input
        block: PathBuf,
    },
    /// Give a zone key a new value from a TR-31 key block; its former value is still read, until the next replacement
    Replace {
        /// Its name in the HSM: 1 to 64 of a-z, 0-9 and -
        name: String,
        /// Key exchange key
        #[arg(long, value_name = "NAME")]
        under: String,
        /// Check value that the other party told; another one is refused
        #[arg(long, value_name = "HEX")]
        kcv: Option<String>,
        /// File with the key block, or - for standard input
        block: PathBuf,
    },
    /// End the overlap: the former value of a zone key is no longer read
    DropFormer {
        /// Its name in the HSM
        name: String,
    },
    /// Set, once, how a key of IBM 3624 offsets makes validation data and digits
    Ibm3624Rule {
        /// Its name in the HSM: 1 to 64 of a-z, 0-9 and -
        name: String,
        /// Decimalisation table, 16 digits, at least 8 different ones
        #[arg(long, value_name = "DIGITS")]
        table: String,
        /// Validation data: this many digits of the card number, from its left end
        #[arg(long, value_name = "COUNT", required_unless_present = "rightmost")]
        leftmost: Option<u8>,
        /// Validation data: this many digits of the card number, the last before its check digit
        #[arg(long, value_name = "COUNT", conflicts_with = "leftmost")]
        rightmost: Option<u8>,
        /// Hexadecimal digit that fills the validation data up to 16
        #[arg(long, value_name = "HEX", value_parser = hex_digit)]
        pad: u8,
    },
}

pub(crate) async fn run(arguments: Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let opened = arguments.place.open().await?;
    let done = act(
        arguments.command,
        &opened.hsm.remote,
        opened.desk.store.as_ref(),
        out,
    )
    .await;
    opened.hsm.close().await;
    done
}

async fn act(
    command: KeysCommand,
    hsm: &dyn KeyAdmin,
    store: &dyn Store,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let now = clock::now();
    match command {
        KeysCommand::List => {
            for key in hsm.keys().await? {
                tell(&key, out)?;
            }
        }
        KeysCommand::Generate { name, purpose } => {
            record(store, "key_generate", &name).await?;
            tell(&hsm.generate_key(KeyName(name), purpose, now).await?, out)?;
        }
        KeysCommand::Load { name, components } => {
            let paths = absolute(&components)?;
            record(store, "key_load", &name).await?;
            tell(&hsm.load_components(KeyName(name), paths, now).await?, out)?;
        }
        KeysCommand::Export { name, under } => {
            record(store, "key_export", &name).await?;
            writeln!(out, "{}", hsm.export_key(KeyName(name), KeyName(under)).await?)?;
        }
        KeysCommand::Import {
            name,
            purpose,
            under,
            block,
        } => {
            let block = read_block(&block)?;
            record(store, "key_import", &name).await?;
            let key = hsm
                .import_key(KeyName(name), purpose, block, KeyName(under), now)
                .await?;
            tell(&key, out)?;
        }
        KeysCommand::Replace {
            name,
            under,
            kcv,
            block,
        } => {
            let block = read_block(&block)?;
            record(store, "key_replace", &name).await?;
            let key = hsm
                .replace_key(KeyName(name), block, KeyName(under), kcv, now)
                .await?;
            tell(&key, out)?;
        }
        KeysCommand::DropFormer { name } => {
            record(store, "key_drop_former", &name).await?;
            tell(&hsm.drop_former_key(KeyName(name)).await?, out)?;
        }
        KeysCommand::Ibm3624Rule {
            name,
            table,
            leftmost,
            rightmost,
            pad,
        } => {
            let digits = match (leftmost, rightmost) {
                (Some(count), _) => ValidationDigits::Leftmost(count),
                (None, count) => ValidationDigits::RightmostWithoutCheckDigit(count.unwrap_or_default()),
            };
            record(store, "key_ibm3624_rule", &name).await?;
            let rule = Ibm3624Rule { table, digits, pad };
            let set = hsm.set_ibm3624_rule(KeyName(name), rule).await;
            tell(&set.map_err(rule_refused)?, out)?;
        }
    }
    Ok(())
}

fn rule_refused(error: HsmError) -> Failure {
    match error {
        HsmError::Refused(HsmRefusal::KeyExists) => {
            Failure::Refused("the key has another rule, and keeps it for good".to_owned())
        }
        HsmError::Refused(HsmRefusal::Unsupported) => Failure::Refused(
            "the rule is outside its limits: a table of 16 digits, 8 of them different, and 1 to 16 digits of the card number"
                .to_owned(),
        ),
        error => error.into(),
    }
}

fn hex_digit(text: &str) -> Result<u8, &'static str> {
    let digit = u8::from_str_radix(text, 16).ok().filter(|_| text.len() == 1);
    digit.ok_or("one hexadecimal digit is wanted")
}

/// Puts the operation on record before it is asked of the HSM, so that none goes unrecorded (I11).
async fn record(store: &dyn Store, operation: &'static str, key: &str) -> Result<(), Failure> {
    let detail = serde_json::json!({ "key": key }).to_string();
    let event = AuditEvent {
        at: clock::now(),
        kind: operation,
        card: None,
        actor: operator(),
        detail,
    };
    Ok(store.append_audit(vec![event]).await?)
}

fn tell(key: &KeyInfo, out: &mut dyn Write) -> io::Result<()> {
    let purpose = serde_json::to_value(key.purpose).unwrap_or_default();
    let purpose = purpose.as_str().unwrap_or_default();
    let created = clock::utc(key.created, "%Y-%m-%d");
    let former = key.former_kcv.as_ref();
    let former = former.map_or_else(String::new, |kcv| format!("  reads {kcv} too"));
    writeln!(
        out,
        "{:<24} {purpose:<30} {:<10} {:<12} {created}{former}",
        key.name.0, key.algorithm, key.kcv
    )
}

fn purpose(text: &str) -> Result<KeyPurpose, NameError> {
    KeyPurpose::deserialize(StrDeserializer::<NameError>::new(text))
}

/// The HSM process has a working directory of its own.
fn absolute(paths: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let absolute = |path: &PathBuf| Ok(std::path::absolute(path)?.display().to_string());
    paths.iter().map(absolute).collect()
}

/// A TR-31 key block from a file, or from standard input for `-`.
pub(super) fn read_block(path: &Path) -> Result<String, Failure> {
    let read = || -> io::Result<String> {
        if path == Path::new("-") {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            return Ok(text);
        }
        fs::read_to_string(path)
    };
    let text = read().map_err(|cause| Failure::BadData(format!("{}: {cause}", path.display())))?;
    Ok(text.trim().to_owned())
}
