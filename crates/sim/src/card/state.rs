//! What a card remembers when its power is cut: the PIN, its tries, the ATC and what the next CVR reports.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXUPPER_PERMISSIVE;
use paycrypto::pin::Pin;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::perso::{CardFileError, Perso, pin_text};
use crate::private_file;

/// A card's memory.
#[derive(Clone, PartialEq, Eq)]
pub struct ChipState {
    /// Application transaction counter: transactions begun.
    pub atc: u16,
    /// ATC of the last transaction whose issuer was authenticated; 0: none.
    pub last_online_atc: u16,
    pub pin: Option<Pin>,
    pub pin_tries_left: u8,
    /// Scripts of earlier transactions, to be reported until an online transaction ends well.
    pub scripts: ScriptCount,
    /// Scripts of the transaction that began last.
    pub scripts_now: ScriptCount,
    /// An ARQC was given in a contact transaction, and no issuer answered it.
    pub online_not_completed: bool,
    /// The last ARPC presented was wrong.
    pub issuer_authentication_failed: bool,
    /// The issuer wants the next transaction online.
    pub go_online_next: bool,
    /// What earlier approvals without the issuer left, as tag 9F10 of M/Chip and CCD has it. This card makes none.
    pub counters: [u8; 8],
}

/// Issuer script commands that were received, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptCount {
    /// Received, 0 to 15; more count as 15.
    pub commands: u8,
    /// Performed, 0 to 15; more count as 15.
    #[serde(default)]
    pub succeeded: u8,
    pub failed: bool,
    /// One of them changed the PIN.
    #[serde(default)]
    pub pin_changed: bool,
}

impl ScriptCount {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            commands: self.commands.saturating_add(other.commands).min(15),
            succeeded: self.succeeded.saturating_add(other.succeeded).min(15),
            failed: self.failed || other.failed,
            pin_changed: self.pin_changed || other.pin_changed,
        }
    }
}

/// The file that a card's memory lives in.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// Reads a card's memory, or, where there is no file yet, begins it from the personalisation.
    ///
    /// Refuses a file that is not a card's memory, whose try counter is above the limit, or that can't be replaced.
    pub fn open(path: &Path, perso: &Perso) -> Result<(Self, ChipState), CardFileError> {
        let file = Self {
            path: path.to_owned(),
        };
        let shown = || path.display().to_string();
        let state = match std::fs::read_to_string(path).map(Zeroizing::new) {
            Ok(text) => {
                let memory: Memory =
                    serde_json::from_str(&text).map_err(|cause| CardFileError::json(path, &cause))?;
                memory
                    .parse(perso)
                    .map_err(|name| CardFileError::Value { path: shown(), name })?
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => ChipState::new(perso),
            Err(cause) => return Err(CardFileError::Io { path: shown(), cause }),
        };
        file.require_writable()
            .map_err(|cause| CardFileError::Memory { path: shown(), cause })?;
        Ok((file, state))
    }

    /// Whether the memory can be kept: asked before the card is used, so that it doesn't fail in the middle.
    fn require_writable(&self) -> io::Result<()> {
        let beside = self.path.with_extension(format!("{}.probe", std::process::id()));
        std::fs::File::create(&beside)?;
        std::fs::remove_file(beside)
    }

    /// Makes the memory durable: after this returns, a cut of power changes nothing.
    pub fn save(&self, state: &ChipState) -> io::Result<()> {
        let memory = Memory {
            atc: state.atc,
            last_online_atc: state.last_online_atc,
            pin: state.pin.as_ref().map(pin_text),
            pin_tries_left: state.pin_tries_left,
            scripts: state.scripts,
            scripts_now: state.scripts_now,
            online_not_completed: state.online_not_completed,
            issuer_authentication_failed: state.issuer_authentication_failed,
            go_online_next: state.go_online_next,
            counters: Some(HEXUPPER_PERMISSIVE.encode(&state.counters)),
        };
        let text = Zeroizing::new(serde_json::to_vec_pretty(&memory)?);
        private_file::replace(&self.path, &text)
    }
}

impl ChipState {
    /// The memory of a card that has never been used.
    #[must_use]
    pub fn new(perso: &Perso) -> Self {
        Self {
            atc: 0,
            last_online_atc: 0,
            pin: perso.pin.clone(),
            pin_tries_left: perso.pin_try_limit,
            scripts: ScriptCount::default(),
            scripts_now: ScriptCount::default(),
            online_not_completed: false,
            issuer_authentication_failed: false,
            go_online_next: false,
            counters: perso.profile.counters,
        }
    }

    /// Where a card has a PIN and no try is left.
    #[must_use]
    pub fn is_pin_blocked(&self) -> bool {
        self.pin.is_some() && self.pin_tries_left == 0
    }
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Memory {
    atc: u16,
    last_online_atc: u16,
    pin: Option<String>,
    pin_tries_left: u8,
    #[zeroize(skip)]
    scripts: ScriptCount,
    #[zeroize(skip)]
    scripts_now: ScriptCount,
    online_not_completed: bool,
    issuer_authentication_failed: bool,
    #[serde(default)]
    go_online_next: bool,
    /// 16 hexadecimal digits.
    #[serde(default)]
    counters: Option<String>,
}

impl Memory {
    fn parse(&self, perso: &Perso) -> Result<ChipState, &'static str> {
        Ok(ChipState {
            atc: self.atc,
            last_online_atc: self.last_online_atc,
            pin: match &self.pin {
                Some(digits) => Some(Pin::parse(digits).ok_or("pin")?),
                None => None,
            },
            pin_tries_left: Some(self.pin_tries_left)
                .filter(|tries| *tries <= perso.pin_try_limit)
                .ok_or("pin_tries_left")?,
            scripts: self.scripts,
            scripts_now: self.scripts_now,
            online_not_completed: self.online_not_completed,
            issuer_authentication_failed: self.issuer_authentication_failed,
            go_online_next: self.go_online_next,
            counters: match &self.counters {
                Some(digits) => hex_8(digits).ok_or("counters")?,
                None => perso.profile.counters,
            },
        })
    }
}

fn hex_8(digits: &str) -> Option<[u8; 8]> {
    let bytes = HEXUPPER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    bytes.try_into().ok()
}

impl fmt::Debug for ChipState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChipState")
            .field("atc", &self.atc)
            .field("pin", &self.pin)
            .field("pin_tries_left", &self.pin_tries_left)
            .field("scripts", &self.scripts)
            .field("scripts_now", &self.scripts_now)
            .finish_non_exhaustive()
    }
}
