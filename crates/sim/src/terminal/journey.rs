//! What a transaction gives: how it ended, what was displayed and printed, and what was said.

use emv::script::ScriptOutcome;
use serde::{Deserialize, Serialize};

/// One transaction, from its beginning to the receipt. The JSON of the command line and of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Journey {
    pub outcome: Outcome,
    /// In the order of time.
    pub trace: Vec<TraceStep>,
}

/// How a transaction ended, as cardmember and cashier see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub approved: bool,
    /// DE39 of the host; none where no answer came.
    pub response_code: Option<String>,
    /// No connection, or no answer within the time limit.
    pub host_unreachable: bool,
    /// None where nothing had to be taken back.
    pub reversal: Option<Reversal>,
    /// What the terminal says of the scripts it got (9F5B): a claim, not proof. None where it got none.
    pub script: Option<ScriptReport>,
    /// Why the transaction couldn't be brought to its end.
    pub trouble: Option<Trouble>,
    /// Tries the chip has left, where a PIN was keyed wrong.
    pub pin_tries_left: Option<u8>,
    /// The last lines of the display, in order.
    pub display: Vec<String>,
    pub receipt: Vec<String>,
}

/// Why a terminal can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The card was pulled out, or answers no more.
    CardRemoved,
    /// An answer of the card isn't what EMV asks for.
    CardUnusable,
    /// The card has no application that this terminal takes, and may be no payment card at all.
    NoCommonApplication,
    /// The cryptogram's signature isn't the card's.
    CardNotAuthentic,
    /// There is no key left for the PIN's way to the host (DUKPT), or its use can't be remembered.
    NoPinKey,
}

/// A transaction that was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reversal {
    /// Times that it was sent: first as 0400 or 0420, then as 0401 or 0421.
    pub sent: u8,
    /// The host answered the last one.
    pub answered: bool,
}

/// What a terminal reports of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptReport {
    NotPerformed,
    Failed,
    Successful,
}

impl From<ScriptOutcome> for ScriptReport {
    fn from(outcome: ScriptOutcome) -> Self {
        match outcome {
            ScriptOutcome::NotPerformed => Self::NotPerformed,
            ScriptOutcome::Failed => Self::Failed,
            ScriptOutcome::Successful => Self::Successful,
        }
    }
}

/// One thing said: a command or a response APDU, or an ISO 8583 message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceStep {
    pub from: Party,
    pub to: Party,
    pub title: String,
    /// Label and value of each part. PINs, PIN blocks, tracks and enciphered PINs are `not shown`, a PAN is `…1234`.
    pub lines: Vec<(String, String)>,
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    Card,
    Terminal,
    Host,
}

/// What goes wrong in a transaction, on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The host's answer comes and is lost on its way to the terminal.
    pub lose_answer: bool,
    pub pull_card: Option<PullCard>,
}

/// When the card is pulled out of the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PullCard {
    /// After the host's answer, before the second GENERATE AC.
    BeforeFinalAc,
    /// Right before the first script command; where there is none, at the end.
    BeforeScript,
    /// While the card performs the script command: it is performed, and the power goes before it is remembered.
    DuringScript,
    /// When the card has performed the script, before the terminal reads its answer.
    AfterScript,
}
