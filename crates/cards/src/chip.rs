//! What the chip's PIN may be, and the issuer script that should make it the host's (invariant I7).
//!
//! A script is *queued*, then *in flight* from the moment an answer that carries it is committed, until the
//! chip's own cryptogram tells how it ended. At most one is in flight. A script is attached only to the answer
//! of a request whose CVR reports no script commands: otherwise a later report could not be told from this one
//! (`docs/adr/0005-script-evidence.md`).

use serde::{Deserialize, Serialize};

use crate::SealedPin;

/// How often a script is sent for one wish (a new PIN, an unlock) before a person must look at it.
pub const SCRIPT_ATTEMPTS_MAX: u8 = 5;

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
    pub fn personalised(version: u32, sealed: Option<SealedPin>) -> Self {
        Self {
            possible: vec![ChipVersion { version, sealed }],
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

    /// Every version it may be, oldest first; never empty.
    #[must_use]
    pub fn possible(&self) -> &[ChipVersion] {
        &self.possible
    }

    pub(crate) fn may_become(&mut self, version: ChipVersion) {
        if !self
            .possible
            .iter()
            .any(|possible| possible.version == version.version)
        {
            self.possible.push(version);
        }
    }

    pub(crate) fn proven(&mut self, version: u32) {
        self.possible.retain(|possible| possible.version == version);
        if self.possible.is_empty() {
            self.possible.push(ChipVersion {
                version,
                sealed: None,
            });
        }
    }
}

/// What a script asks of the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScriptKind {
    /// `84 24 00 02`: take the host's present PIN; also refills the chip's tries.
    ChangePin,
    /// `84 24 00 00`: refill the chip's tries.
    UnblockPin,
}

/// A script that waits for its next contact transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptQueued {
    pub kind: ScriptKind,
    /// How often it was sent already without success.
    pub attempts: u8,
}

/// A script that went out in an answer and whose end isn't proven yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptSent {
    pub kind: ScriptKind,
    /// The host PIN version that it carries (for `ChangePin`).
    pub version: u32,
    /// Application transaction counter of the transaction whose answer carried it.
    pub atc: u16,
    /// Number of this attempt on this card, from 1.
    pub attempt: u32,
    /// How often its wish has been sent, this attempt included.
    pub attempts: u8,
    /// The transaction was reversed, so the answer may never have reached the chip.
    pub reversed: bool,
}

/// The card's script queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    pub queued: Option<ScriptQueued>,
    pub in_flight: Option<ScriptSent>,
    /// Number of the latest attempt on this card; 0 before the first.
    pub attempts_ever: u32,
    /// The queued script failed [`SCRIPT_ATTEMPTS_MAX`] times and is no longer sent.
    pub needs_attention: bool,
}

impl Script {
    /// Queues a new wish. A change also unblocks, so it swallows an unblock and is not replaced by one.
    pub(crate) fn wish(&mut self, kind: ScriptKind) {
        let change_waits = matches!(
            self.queued,
            Some(ScriptQueued {
                kind: ScriptKind::ChangePin,
                ..
            })
        );
        if kind == ScriptKind::ChangePin || !change_waits || self.needs_attention {
            let kind = if change_waits { ScriptKind::ChangePin } else { kind };
            self.queued = Some(ScriptQueued { kind, attempts: 0 });
            self.needs_attention = false;
        }
    }

    /// Puts a script that did not arrive back in the queue, unless a newer wish already covers it.
    pub(crate) fn put_back(&mut self, sent: ScriptSent) {
        let covered = match self.queued {
            Some(queued) => queued.kind == ScriptKind::ChangePin || sent.kind == ScriptKind::UnblockPin,
            None => false,
        };
        if !covered {
            self.queued = Some(ScriptQueued {
                kind: sent.kind,
                attempts: sent.attempts,
            });
            self.needs_attention = sent.attempts >= SCRIPT_ATTEMPTS_MAX;
        }
    }
}

/// What a valid cryptogram says about the chip. Built only from a verified ARQC or TC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipEvidence {
    pub atc: u16,
    /// The card was inserted, not tapped.
    pub contact: bool,
    /// Script commands that the chip reports from its last online transaction, 0 to 15.
    pub script_commands: u8,
    pub script_failed: bool,
    pub pin_try_limit_exceeded: bool,
}

impl ChipEvidence {
    /// The chip reports on a script: applied or failed.
    #[must_use]
    pub fn reports_script(&self) -> bool {
        self.script_commands > 0 || self.script_failed
    }
}

/// How a script in flight ended, by the chip's own cryptogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The chip processed it: proven.
    Applied(ScriptSent),
    /// The chip reports that it failed: sent again.
    Failed(ScriptSent),
    /// The chip was inserted again and reports nothing: it may or may not have got it; sent again.
    NotSeen(ScriptSent),
}
