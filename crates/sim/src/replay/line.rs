//! A line of a log: read, and written without any PIN.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use paycrypto::pin::Pin;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::order::{Act, Order, minor_units, state_path};
use crate::card::chip::Chip;
use crate::card::perso::CardFileError;
use crate::profile_file::{self, ProfileError};
use crate::terminal::journey::{Faults, Outcome, ScriptReport};

/// Sources of PINs that are no files.
const FROM_CARD: &str = "card";
const FROM_RANDOM: &str = "random";
const FROM_MISSING: &str = "missing";

/// Random PINs of the card's length that are tried for one that isn't the card's own.
const RANDOM_TRIES_MAX: usize = 1000;

/// What a line holds.
#[derive(Debug)]
pub enum Entry {
    Transaction(Box<Line>),
    Raw(RawLine),
}

/// A frame that is sent as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLine {
    pub(super) raw: String,
    #[serde(default)]
    pub(super) expect: Expected,
}

/// A transaction; the members are described in [`super`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    act: Act,
    #[serde(default)]
    terminal: Option<String>,
    card: PathBuf,
    #[serde(default)]
    state: Option<PathBuf>,
    #[serde(default)]
    amount: Option<String>,
    #[serde(default)]
    pin: KeyedPins,
    #[serde(default)]
    pin_from: Option<String>,
    #[serde(default)]
    new_pin: KeyedPins,
    #[serde(default)]
    new_pin_from: Option<String>,
    #[serde(default)]
    faults: Faults,
    #[serde(default)]
    pub(super) expect: Expected,
}

/// What has to come out, or what came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expected {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_unreachable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<ScriptReport>,
}

/// Why a line can't be run. Quotes nothing that may be a PIN.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error("not a line of a log: {0}")]
    Json(String),
    #[error("{0}")]
    Member(&'static str),
    #[error("amount: {0}")]
    Amount(&'static str),
    #[error(
        "{member}: a log never holds the PINs that were keyed: give them in `{place}`, or name a file in `{member}`"
    )]
    PinMissing {
        member: &'static str,
        place: &'static str,
    },
    #[error("{member}: {path}: {cause}")]
    PinFile {
        member: &'static str,
        path: PathBuf,
        cause: io::Error,
    },
    #[error("raw: hexadecimal is wanted")]
    Raw,
    #[error(transparent)]
    Card(#[from] CardFileError),
    #[error(transparent)]
    Terminal(#[from] ProfileError),
}

impl LineError {
    /// serde's own words quote values, which may be PINs: they are told only where they are about names.
    fn json(error: serde_json::Error) -> Self {
        let told = error.to_string();
        let about_names = ["unknown field", "missing field", REFUSED_PIN];
        if about_names.iter().any(|words| told.starts_with(words)) {
            return Self::Json(told);
        }
        Self::Json(format!(
            "wrong JSON, or a wrong value, before column {}",
            error.column()
        ))
    }
}

/// PINs of a line: read, never written.
#[derive(Default)]
struct KeyedPins(Vec<Pin>);

impl Entry {
    /// Reads a line. Refuses unknown members, and what isn't as the table of [`super`] says.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        let members: Value = serde_json::from_str(text).map_err(LineError::json)?;
        if members.get("raw").is_some() {
            return Ok(Self::Raw(serde_json::from_str(text).map_err(LineError::json)?));
        }
        let line: Line = serde_json::from_str(text).map_err(LineError::json)?;
        match (&line.amount, line.act.has_amount()) {
            (None, true) => return Err(LineError::Member("amount: this act needs one")),
            (Some(_), false) => return Err(LineError::Member("amount: this act has none")),
            (Some(amount), true) => minor_units(amount).map(drop).map_err(LineError::Amount)?,
            (None, false) => {}
        }
        for source in [line.pin_source(), line.new_pin_source()] {
            source.is_told()?;
        }
        Ok(Self::Transaction(Box::new(line)))
    }
}

impl Line {
    /// The line of a transaction that was run. `held`: the PIN that the card had before it.
    pub fn of(order: &Order<'_>, told: Told<'_>, held: Option<&Pin>, outcome: &Outcome) -> io::Result<Self> {
        let pin_from = match order.pins {
            [] => None,
            [pin] if Some(pin) == held => Some(FROM_CARD),
            _ => Some(FROM_MISSING),
        };
        let terminal = told.terminal.map(|name| {
            if profile_file::is_path(name) {
                std::path::absolute(name).map(|path| path.display().to_string())
            } else {
                Ok(name.to_owned())
            }
        });
        let amount = order.amount;
        Ok(Self {
            act: order.act,
            terminal: terminal.transpose()?,
            card: std::path::absolute(told.card)?,
            state: Some(std::path::absolute(told.state)?),
            amount: order
                .act
                .has_amount()
                .then(|| format!("{}.{:02}", amount / 100, amount % 100)),
            pin: KeyedPins::default(),
            pin_from: pin_from.map(str::to_owned),
            new_pin: KeyedPins::default(),
            new_pin_from: order.new_pin.map(|_| FROM_RANDOM.to_owned()),
            faults: order.faults,
            expect: Expected::of(outcome),
        })
    }

    /// Appends it to a log, which is made where there is none.
    pub fn append_to(&self, log: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(log)?;
        let line = serde_json::to_string(self).map_err(io::Error::other)?;
        file.write_all(format!("{line}\n").as_bytes())
    }

    pub(super) fn card_files(&self, beside: &Path) -> (PathBuf, PathBuf) {
        let perso = beside.join(&self.card);
        let state = match &self.state {
            Some(state) => beside.join(state),
            None => state_path(&perso),
        };
        (perso, state)
    }

    pub(super) fn pins(&self, chip: &Chip, beside: &Path) -> Result<Vec<Pin>, LineError> {
        self.pin_source().pins(chip, beside)
    }

    pub(super) fn new_pin(&self, chip: &Chip, beside: &Path) -> Result<Option<Pin>, LineError> {
        let new_pin = self.new_pin_source().pins(chip, beside)?.into_iter().next();
        match (&new_pin, self.act) {
            (None, Act::ChangePin) => Err(LineError::Member("new_pin: this act needs one")),
            _ => Ok(new_pin),
        }
    }

    pub(super) fn order<'p>(
        &self,
        pins: &'p [Pin],
        new_pin: Option<&'p Pin>,
        beside: &Path,
    ) -> Result<Order<'p>, LineError> {
        let terminal = self.terminal.as_ref().map(|name| {
            if profile_file::is_path(name) {
                beside.join(name).display().to_string()
            } else {
                name.clone()
            }
        });
        let amount = self.amount.as_deref().map(minor_units).transpose();
        Ok(Order {
            act: self.act,
            profile: self.act.terminal(terminal.as_deref())?,
            amount: amount.map_err(LineError::Amount)?.unwrap_or_default(),
            pins,
            new_pin,
            faults: self.faults,
        })
    }

    fn pin_source(&self) -> Source<'_> {
        Source {
            given: &self.pin.0,
            from: self.pin_from.as_deref(),
            member: "pin_from",
            place: "pin",
        }
    }

    fn new_pin_source(&self) -> Source<'_> {
        Source {
            given: &self.new_pin.0,
            from: self.new_pin_from.as_deref(),
            member: "new_pin_from",
            place: "new_pin",
        }
    }

    /// What is done, for people.
    pub(super) fn title(&self) -> String {
        let act = serde_json::to_value(self.act).unwrap_or_default();
        let act = act.as_str().unwrap_or_default().replace('_', " ");
        match &self.amount {
            Some(amount) => format!("{act} {amount}"),
            None => act,
        }
    }
}

/// What a recorded line says beside its order: as told on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    pub terminal: Option<&'a str>,
    pub card: &'a Path,
    pub state: &'a Path,
}

/// Where PINs of a line come from.
struct Source<'a> {
    given: &'a [Pin],
    from: Option<&'a str>,
    member: &'static str,
    place: &'static str,
}

impl Source<'_> {
    /// Refuses a recorded line that nobody filled in.
    fn is_told(&self) -> Result<(), LineError> {
        if self.given.is_empty() && self.from == Some(FROM_MISSING) {
            let (member, place) = (self.member, self.place);
            return Err(LineError::PinMissing { member, place });
        }
        Ok(())
    }

    fn pins(&self, chip: &Chip, beside: &Path) -> Result<Vec<Pin>, LineError> {
        let held = chip.state().pin.as_ref();
        match self.from {
            _ if !self.given.is_empty() => Ok(self.given.to_vec()),
            None => Ok(Vec::new()),
            Some(FROM_CARD) => Ok(held.cloned().into_iter().collect()),
            Some(FROM_RANDOM) => Ok(random_pin(held).into_iter().collect()),
            Some(file) => {
                let path = beside.join(file);
                let text = std::fs::read_to_string(&path).map(Zeroizing::new);
                let text = text.map_err(|cause| LineError::PinFile {
                    member: self.member,
                    path,
                    cause,
                })?;
                let parse = |line: &str| Pin::parse(line.trim()).ok_or(LineError::Member(REFUSED_PIN));
                text.lines().map(parse).collect()
            }
        }
    }
}

const REFUSED_PIN: &str = "a PIN has 4 to 12 digits, in quotes";

/// As long as the card's, another, and no digit right after itself or its neighbour: issuers refuse such PINs.
fn random_pin(held: Option<&Pin>) -> Option<Pin> {
    let len = held.map_or(4, Pin::len_digits);
    std::iter::repeat_with(|| candidate(len))
        .take(RANDOM_TRIES_MAX)
        .flatten()
        .find(|pin| Some(pin) != held)
}

fn candidate(len: usize) -> Option<Pin> {
    let mut bytes = Zeroizing::new(vec![0; len]);
    getrandom::fill(&mut bytes).ok()?;
    let digits: Zeroizing<Vec<u8>> = Zeroizing::new(bytes.iter().map(|byte| byte % 10).collect());
    let plain = digits.windows(2).any(|pair| match pair {
        [first, second] => first.abs_diff(*second) <= 1,
        _ => false,
    });
    if plain { None } else { Pin::from_digits(&digits) }
}

impl Expected {
    /// What came of a transaction.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        Self {
            approved: Some(outcome.approved),
            mti: None,
            response_code: outcome.response_code.clone(),
            host_unreachable: Some(outcome.host_unreachable),
            script: outcome.script,
        }
    }

    /// What is expected here and came otherwise, each as `member: wanted`.
    pub(super) fn differences(&self, got: &Self) -> Vec<String> {
        let (wanted, got) = (members(self), members(got));
        let differs =
            |(name, value): &(String, Value)| !got.iter().any(|(other, came)| other == name && came == value);
        wanted
            .into_iter()
            .filter(differs)
            .map(|(name, value)| format!("{name}: {value}"))
            .collect()
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<String> = members(self)
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        f.write_str(&told.join(", "))
    }
}

/// The members that say something.
fn members(expected: &Expected) -> Vec<(String, Value)> {
    match serde_json::to_value(expected) {
        Ok(Value::Object(members)) => members.into_iter().collect(),
        _ => Vec::new(),
    }
}

impl<'de> Deserialize<'de> for KeyedPins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts: Vec<String> = match Value::deserialize(deserializer)? {
            Value::Null => Vec::new(),
            Value::String(pin) => vec![pin],
            other => serde_json::from_value(other).map_err(|_| serde::de::Error::custom(REFUSED_PIN))?,
        };
        let pins = texts.iter().map(|text| Pin::parse(text)).collect::<Option<_>>();
        pins.map(Self)
            .ok_or_else(|| serde::de::Error::custom(REFUSED_PIN))
    }
}

impl Serialize for KeyedPins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

impl fmt::Debug for KeyedPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedPins(•)")
    }
}
