//! What the chip's PIN may be, and what a cryptogram says about it (invariant I7).

use serde::{Deserialize, Serialize};

use crate::{ScriptRules, SealedPin};

/// One PIN version that the chip may hold. Version 0 is "no PIN".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChipVersion {
    pub version: u32,
    /// Kept only while the chip may hold it, so that the cardmember can look it up.
    pub sealed: Option<SealedPin>,
}

/// The chip's PIN as far as it is known: one version when the chip or its personalisation proves it, else all
/// the versions it may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChipPin {
    possible: Vec<ChipVersion>,
    /// The chip's last valid cryptogram said that its own PIN try limit is exceeded.
    pub pin_blocked: bool,
}

impl ChipPin {
    /// A chip that leaves personalisation with the given PIN version.
    #[must_use]
    pub fn personalised(chip: ChipVersion) -> Self {
        Self {
            possible: vec![chip],
            pin_blocked: false,
        }
    }

    /// The version, when there is only one that it can be.
    #[must_use]
    pub fn known(&self) -> Option<u32> {
        match self.possible.as_slice() {
            [only] => Some(only.version),
            _ => None,
        }
    }

    /// Its PIN beside version `other`, where it can be only one and we have it.
    #[must_use]
    pub fn only_beside(&self, other: u32) -> Option<&SealedPin> {
        let mut beside = self.possible.iter().filter(|possible| possible.version != other);
        match (beside.next(), beside.next()) {
            (Some(only), None) => only.sealed.as_ref(),
            _ => None,
        }
    }

    /// Every version it may be, oldest first; never empty.
    #[must_use]
    pub fn possible(&self) -> &[ChipVersion] {
        &self.possible
    }

    fn may_be(&self, version: u32) -> bool {
        self.possible.iter().any(|possible| possible.version == version)
    }

    /// Whether that is new: a version that was possible before stays so, however this attempt ends.
    pub(crate) fn may_become(&mut self, version: ChipVersion) -> bool {
        let new = !self.may_be(version.version);
        if new {
            self.possible.push(version);
        }
        new
    }

    pub(crate) fn proven(&mut self, version: u32) {
        assert!(
            self.may_be(version),
            "a script's version is possible from its sending on"
        );
        self.possible.retain(|possible| possible.version == version);
    }

    pub(crate) fn struck(&mut self, version: u32) {
        self.possible.retain(|possible| possible.version != version);
        assert!(
            !self.possible.is_empty(),
            "a script adds to what was possible before"
        );
    }
}

/// What a chip's PIN is known by. The names are stable: they are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChipBasis {
    /// The issuer's own statement, at import or for a new plastic: the chip itself hasn't said a word about its PIN.
    Personalised,
    /// The chip's own signed report that it took this PIN.
    Proven,
    /// It isn't: it may be one of several.
    Possible,
}

/// How a valid cryptogram came to us, and so what may follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// In a request that waits for its answer, with the card inserted beyond doubt: it may carry a script, and its silence
    /// counts.
    Inserted,
    /// In a request whose message says that the card was inserted, while nothing in the chip data says so too: it may have
    /// been a tap, at which a chip need not report. It may prove a script, never disprove one, and carries one only
    /// where the chip has none left to report ([`Report::None`]).
    ToldInserted,
    /// In a request, with the card tapped, or where message and chip data disagree about that. It may prove a script,
    /// never disprove one, and carries nothing.
    Tapped,
    /// In an advice, after the transaction: approved offline or by somebody who stood in. As a tap; and its counter may
    /// be behind one that we have seen.
    Advised,
}

/// What a valid cryptogram says about the chip. Built only from a verified ARQC or TC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipEvidence {
    pub atc: u16,
    pub occasion: Occasion,
    /// Script commands that the chip reports, 0 to 15.
    pub script_commands: u8,
    pub script_failed: bool,
    /// The chip's bit for a PIN change that succeeded; `None` where it has none.
    pub pin_change_told: Option<bool>,
    pub pin_try_limit_exceeded: bool,
}

impl ChipEvidence {
    /// The chip reports on a script: performed or failed.
    #[must_use]
    pub fn reports_script(&self, rules: &ScriptRules) -> bool {
        let tells_change = rules.pin_change_bit && self.pin_change_told == Some(true);
        self.script_commands > 0 || self.script_failed || tells_change
    }
}

/// What is known of the scripts that the chip still reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// It may report what was sent to it.
    #[default]
    Open,
    /// None: it said so when it was inserted beyond doubt, or is new, and no script was sent since.
    None,
    /// That of the script in flight may have ended: it was authenticated to where nobody can say whether it was inserted or
    /// tapped.
    MayHaveEnded,
}
