//! The wallet folder: the cards, and `demo.json` with what a newcomer to the demo needs to know.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::card::{
    chip::Chip,
    perso::{CardFileError, Perso},
    state::{ChipState, StateFile},
};

/// Cards shown; a wallet that holds more is somebody's test data.
const CARDS_MAX: usize = 24;

/// How many designs the cards come in.
const ARTS: usize = 3;

/// A folder of cards.
#[derive(Debug)]
pub(super) struct Wallet {
    dir: PathBuf,
}

/// What is printed on a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plastic {
    pub(super) card: String,
    pub(super) programme: String,
    pub(super) name: String,
    /// The number as the page draws it, dots but for the last four.
    pub(super) masked: String,
    pub(super) last_four: String,
    /// `MM/YY`
    pub(super) expiry: String,
    /// Which design, the same for all cards of a programme.
    pub(super) art: usize,
}

/// `demo.json`: what only a demo would ever tell.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Demo {
    pub(super) portal: String,
    #[serde(default)]
    pub(super) sign_ins: Vec<SignIn>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SignIn {
    pub(super) user_id: String,
    pub(super) password: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) note: String,
}

impl Wallet {
    /// Refuses a folder that can't be listed.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::read_dir(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Every card that can be read, in the order of the files' names. One that can't be is left out, and logged.
    pub(super) fn cards(&self) -> io::Result<Vec<Plastic>> {
        let mut persos = Vec::new();
        for name in self.names()? {
            match Perso::read(&self.perso_path(&name)) {
                Ok(perso) => persos.push((name, perso)),
                Err(error) => tracing::warn!(%error, "sandbox: a card is left out"),
            }
        }
        // By last digits, as people look for a card; references are in no order that means anything.
        persos.sort_by(|(_, one), (_, other)| one.pan.last_four().cmp(other.pan.last_four()));
        let mut programmes: Vec<String> = persos.iter().map(|(_, perso)| perso.label.clone()).collect();
        programmes.sort();
        programmes.dedup();
        Ok(persos
            .into_iter()
            .map(|(card, perso)| plastic(card, &perso, &programmes))
            .collect())
    }

    /// What one card is and remembers. `None` where the wallet has no such card.
    pub(super) fn memory(&self, card: &str) -> Result<Option<(Perso, ChipState)>, CardFileError> {
        let Some((perso_path, state_path)) = self.paths(card) else {
            return Ok(None);
        };
        let perso = Perso::read(&perso_path)?;
        let (_, state) = StateFile::open(&state_path, &perso)?;
        Ok(Some((perso, state)))
    }

    /// The PIN that the card was delivered with, as its letter tells it. `None` where there is no such card, or it came
    /// without a PIN.
    pub(super) fn letter(&self, card: &str) -> Option<Zeroizing<String>> {
        let (perso_path, _) = self.paths(card)?;
        let pin = Perso::read(&perso_path).ok()?.pin?;
        let digits = pin.expose_digits().iter();
        Some(Zeroizing::new(
            digits.map(|digit| char::from(b'0' + digit)).collect(),
        ))
    }

    /// The card itself, ready for a reader. `None` where the wallet has no such card.
    pub(super) fn take(&self, card: &str) -> Result<Option<Chip>, CardFileError> {
        self.paths(card)
            .map(|(perso_path, state_path)| Chip::open(&perso_path, &state_path))
            .transpose()
    }

    /// `demo.json`. `None` where there is none, or it can't be read, which is logged.
    pub(super) fn demo(&self) -> Option<Demo> {
        let text = match fs::read_to_string(self.dir.join("demo.json")) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, "sandbox: demo.json can't be read");
                return None;
            }
        };
        serde_json::from_str(&text)
            .inspect_err(|error| {
                tracing::warn!(
                    line = error.line(),
                    column = error.column(),
                    "sandbox: demo.json is not as wanted"
                );
            })
            .ok()
    }

    /// A name goes into a path only when the folder was seen to hold it.
    fn paths(&self, card: &str) -> Option<(PathBuf, PathBuf)> {
        let known = self.names().ok()?.iter().any(|name| name == card);
        known.then(|| (self.perso_path(card), self.dir.join(format!("{card}.state.json"))))
    }

    fn perso_path(&self, card: &str) -> PathBuf {
        self.dir.join(format!("{card}.perso.json"))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let file_name = entry?.file_name();
            let name = file_name
                .to_str()
                .and_then(|name| name.strip_suffix(".perso.json"));
            names.extend(name.map(ToOwned::to_owned));
        }
        names.sort();
        names.truncate(CARDS_MAX);
        Ok(names)
    }
}

fn plastic(card: String, perso: &Perso, programmes: &[String]) -> Plastic {
    let last_four = perso.pan.last_four().to_owned();
    let art = programmes
        .iter()
        .position(|label| *label == perso.label)
        .unwrap_or(0)
        % ARTS;
    Plastic {
        card,
        programme: perso.label.clone(),
        name: perso.cardholder_name.clone(),
        masked: masked(perso.pan.len_digits(), &last_four),
        last_four,
        expiry: perso.expiry.printed(),
        art,
    }
}

/// Groups as printed: 4-6-5 for 15 digits, fours otherwise.
fn masked(len_digits: usize, last_four: &str) -> String {
    match len_digits {
        15 => format!("•••• •••••• •{last_four}"),
        _ => format!("•••• •••• •••• {last_four}"),
    }
}
