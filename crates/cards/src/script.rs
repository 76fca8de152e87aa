//! What the chip is still to be told, and how an attempt to tell it ends (`docs/adr/0007-script-proof.md`).
//!
//! A *wish* (the new PIN, an unlock) stands until the chip's own cryptogram shows that it is fulfilled. A script that
//! carries wishes is *in flight* from the moment an answer with it is committed until a later cryptogram tells its end;
//! at most one is. A script rides only on the answer to a request that reports none, so that whatever is reported later
//! can only be of that script.

use serde::{Deserialize, Serialize};

use crate::{ChipEvidence, Occasion, Report, ReportCounts, ReportKept, ScriptRules, Timestamp};

/// What is sent to the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScriptKind {
    /// `84 24 00 02`: take the host's present PIN; also refills the chip's tries (EMV Book 3, 6.5.10).
    ChangePin,
    /// `84 24 00 00`: refill the chip's tries.
    UnblockPin,
    /// Both commands in one script, the unblock first.
    UnblockAndChangePin,
    /// No script: the card status update of the answer sets the chip's tries (ARPC method 2).
    UnblockByCsu,
    /// `84 24 00 01`: as [`ScriptKind::ChangePin`], with the chip's known PIN in the block.
    ChangeKnownPin,
}

impl ScriptKind {
    /// Its script commands.
    #[must_use]
    pub fn commands(self) -> u8 {
        match self {
            Self::ChangePin | Self::ChangeKnownPin | Self::UnblockPin => 1,
            Self::UnblockAndChangePin => 2,
            Self::UnblockByCsu => 0,
        }
    }

    /// Whether it writes a PIN.
    #[must_use]
    pub fn changes_pin(self) -> bool {
        match self {
            Self::ChangePin | Self::ChangeKnownPin | Self::UnblockAndChangePin => true,
            Self::UnblockPin | Self::UnblockByCsu => false,
        }
    }
}

/// Something that the chip is still to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    pub since: Timestamp,
    /// Not sent from this moment on.
    pub expires: Timestamp,
    /// How often it was sent, or due and not made by the HSM.
    pub attempts: u8,
    /// Number of the attempt that carries it now.
    pub carried_by: Option<u32>,
    /// The chip has refused it at least once.
    pub refused: bool,
    /// Its attempts are used up.
    pub stopped: bool,
}

impl Wish {
    pub(crate) fn new(rules: &ScriptRules, now: Timestamp) -> Self {
        Self {
            since: now,
            expires: now.plus_ms(rules.expires_after_ms),
            attempts: 0,
            carried_by: None,
            refused: false,
            stopped: false,
        }
    }

    /// It isn't sent any more, and nothing under way may fulfil it: a person must look at it.
    #[must_use]
    pub fn needs_attention(&self, now: Timestamp) -> bool {
        self.stopped || (self.carried_by.is_none() && now >= self.expires)
    }

    fn waits(&self, now: Timestamp) -> bool {
        self.carried_by.is_none() && !self.needs_attention(now)
    }

    fn send(&mut self, attempt: u32) {
        self.carried_by = Some(attempt);
        self.attempts = self.attempts.saturating_add(1);
    }
}

/// An attempt that went out in an answer and whose end isn't proven yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptSent {
    pub kind: ScriptKind,
    /// The host PIN version that it carries (where it changes the PIN).
    pub version: u32,
    /// Application transaction counter of the transaction whose answer carried it.
    pub atc: u16,
    /// Number of this attempt on this card, from 1.
    pub attempt: u32,
    /// How often its wish has been sent, this attempt included.
    pub attempts: u8,
    /// The transaction was reversed, so the answer may never have reached the chip.
    pub reversed: bool,
    /// The chip could not have had this version before this attempt.
    pub first_of_version: bool,
    /// The chip's PIN was blocked when it was sent.
    pub was_blocked: bool,
}

/// Why the HSM made nothing of an attempt that was due. Nothing of it went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotMade {
    /// A key that it takes isn't in the HSM.
    KeyMissing,
    /// The HSM doesn't offer it.
    Unsupported,
    /// The HSM refused it for another reason.
    Refused,
    /// The HSM gave no answer, or one to something else than was asked.
    NoAnswer,
}

impl NotMade {
    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyMissing => "hsm_key_missing",
            Self::Unsupported => "hsm_unsupported",
            Self::Refused => "hsm_refused",
            Self::NoAnswer => "hsm_no_answer",
        }
    }
}

/// Why a wish isn't sent any more, unfulfilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    AttemptsUsedUp,
    Expired,
    /// Its attempts are used up, and of the last of them the HSM made nothing.
    NotMade(NotMade),
}

impl Attention {
    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AttemptsUsedUp => "attempts_used_up",
            Self::Expired => "expired",
            Self::NotMade(why) => why.name(),
        }
    }
}

/// The card's wishes, and what is under way to its chip.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// The chip is to take the host's PIN.
    pub change: Option<Wish>,
    /// The chip's tries are to be refilled.
    pub unblock: Option<Wish>,
    pub in_flight: Option<ScriptSent>,
    /// An unblock by card status update, which travels beside scripts.
    pub csu_in_flight: Option<ScriptSent>,
    /// Number of the latest attempt on this card; 0 before the first.
    pub attempts_ever: u32,
}

impl Script {
    /// What waits for the next insertion; `None` too where all that is wished is under way.
    #[must_use]
    pub fn queued(&self) -> Option<ScriptKind> {
        let waits = |wish: Option<Wish>| wish.is_some_and(|wish| wish.carried_by.is_none());
        match (waits(self.change), waits(self.unblock)) {
            (true, _) => Some(ScriptKind::ChangePin),
            (false, true) => Some(ScriptKind::UnblockPin),
            (false, false) => None,
        }
    }

    /// What is under way to the chip: a script, an unblock by card status update, or both.
    pub fn under_way(&self) -> impl Iterator<Item = ScriptSent> {
        [self.in_flight, self.csu_in_flight].into_iter().flatten()
    }

    /// A wish isn't sent any more, unfulfilled.
    #[must_use]
    pub fn needs_attention(&self, now: Timestamp) -> bool {
        self.wishes().any(|wish| wish.needs_attention(now))
    }

    /// The script for the next answer that may carry one.
    ///
    /// A change also refills the tries, so it serves an unblock that waits with it; but where the chip has refused a
    /// change, the unblock goes first and alone.
    pub(crate) fn next(&self, rules: &ScriptRules, now: Timestamp) -> Option<ScriptKind> {
        let change = self.change.filter(|wish| wish.waits(now));
        let unblock = self
            .unblock
            .filter(|wish| wish.waits(now) && !rules.unblock_by_csu);
        match (unblock.is_some(), change) {
            (true, Some(change)) if change.refused => Some(ScriptKind::UnblockPin),
            (true, Some(_)) if rules.commands_max > 1 => Some(ScriptKind::UnblockAndChangePin),
            (_, Some(_)) => Some(ScriptKind::ChangePin),
            (true, None) => Some(ScriptKind::UnblockPin),
            (false, None) => None,
        }
    }

    /// Whether the next answer's card status update is to refill the chip's tries.
    pub(crate) fn next_csu(&self, rules: &ScriptRules, now: Timestamp) -> bool {
        rules.unblock_by_csu && self.unblock.is_some_and(|wish| wish.waits(now))
    }

    /// Marks the wishes that the attempt carries (a change serves an unblock too, even one that has stopped); gives the
    /// attempt's number and how often they were sent.
    pub(crate) fn send(&mut self, kind: ScriptKind) -> (u32, u8) {
        self.attempts_ever += 1;
        let attempt = self.attempts_ever;
        let change = self.change.as_mut().filter(|_| kind.changes_pin());
        let unblock = self.unblock.as_mut().filter(|wish| wish.carried_by.is_none());
        let mut attempts = 0;
        for wish in [change, unblock].into_iter().flatten() {
            wish.send(attempt);
            attempts = attempts.max(wish.attempts);
        }
        (attempt, attempts)
    }

    /// The chip has what the attempt carried.
    pub(crate) fn fulfilled(&mut self, attempt: u32) {
        for slot in [&mut self.change, &mut self.unblock] {
            *slot = slot.filter(|wish| wish.carried_by != Some(attempt));
        }
    }

    /// The attempt came to nothing that is proven: its wishes wait again, unless they have had all their attempts.
    pub(crate) fn unfulfilled(&mut self, attempt: u32, end: ScriptEnd, rules: &ScriptRules) {
        let refused = match end {
            ScriptEnd::Failed | ScriptEnd::FailedUnclear => true,
            ScriptEnd::Applied | ScriptEnd::NotApplied | ScriptEnd::NotSeen => false,
        };
        for wish in [&mut self.change, &mut self.unblock].into_iter().flatten() {
            if wish.carried_by == Some(attempt) {
                wish.carried_by = None;
                wish.refused |= refused;
                wish.stopped = wish.attempts >= rules.attempts_max;
            }
        }
    }

    /// What is under way proves nothing any more: its wishes wait again.
    pub(crate) fn forget_sent(&mut self) {
        (self.in_flight, self.csu_in_flight) = (None, None);
        for wish in [&mut self.change, &mut self.unblock].into_iter().flatten() {
            wish.carried_by = None;
        }
    }

    /// The HSM made nothing of the attempt: its wishes wait again, unless they have had all their attempts.
    pub(crate) fn withhold(&mut self, attempt: u32, rules: &ScriptRules) {
        for slot in [&mut self.in_flight, &mut self.csu_in_flight] {
            *slot = slot.filter(|sent| sent.attempt != attempt);
        }
        self.unfulfilled(attempt, ScriptEnd::NotApplied, rules);
    }

    /// Nothing is under way or wished any more: its chip is out of use. Numbers of attempts are never used twice.
    pub(crate) fn ended(&self) -> Self {
        Self {
            attempts_ever: self.attempts_ever,
            ..Self::default()
        }
    }

    /// Gives stopped and expired wishes new attempts and a new term. Whether there were any.
    pub(crate) fn revive(&mut self, rules: &ScriptRules, now: Timestamp) -> bool {
        let mut revived = false;
        for wish in [&mut self.change, &mut self.unblock].into_iter().flatten() {
            if wish.needs_attention(now) {
                *wish = Wish {
                    since: wish.since,
                    refused: wish.refused,
                    ..Wish::new(rules, now)
                };
                revived = true;
            }
        }
        revived
    }

    pub(crate) fn wishes(&self) -> impl Iterator<Item = Wish> {
        [self.change, self.unblock].into_iter().flatten()
    }
}

/// How an attempt ended, by the chip's own cryptogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptEnd {
    /// The chip performed it: proven.
    Applied,
    /// The chip refused it and is as before: proven.
    Failed,
    /// The chip reports a failure that leaves open what it did before or after it.
    FailedUnclear,
    /// The chip didn't get it, or not all of it, and has the PIN it had: proven.
    NotApplied,
    /// The chip was inserted again and reports nothing that proves anything here.
    NotSeen,
}

/// The end of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    pub sent: ScriptSent,
    pub end: ScriptEnd,
}

impl ScriptSent {
    /// What a cryptogram with a higher counter tells about this script; `None` where it leaves the matter open.
    ///
    /// Rests on this: the request that it rode on reported no script, and no other was sent since. The chip makes a
    /// change and its report in one step, and takes a script only within its own transaction.
    pub(crate) fn end(
        &self,
        evidence: ChipEvidence,
        rules: &ScriptRules,
        report: Report,
    ) -> Option<ScriptEnd> {
        let (reported, wanted) = (evidence.script_commands, self.kind.commands());
        let silence_proves =
            report != Report::MayHaveEnded && self.silence_proves(evidence.atc, rules.report);
        let counted = if evidence.script_failed {
            end_of_failure(reported, wanted, rules.counts)
        } else if reported >= wanted {
            ScriptEnd::Applied
        } else if reported > 0 || silence_proves {
            // One command of two: the unblock, since the second's MAC isn't valid as the first's.
            ScriptEnd::NotApplied
        } else {
            ScriptEnd::NotSeen
        };
        let told = evidence.pin_change_told;
        let end = match told.filter(|_| rules.pin_change_bit && self.kind.changes_pin()) {
            None => counted,
            Some(true) => self.end_of_change_told(counted),
            Some(false) => end_of_change_untold(counted, evidence.script_failed, silence_proves),
        };
        let end = match (end, rules.report) {
            (ScriptEnd::Failed, ReportKept::Unreliable) => ScriptEnd::FailedUnclear,
            (ScriptEnd::NotApplied, ReportKept::Unreliable) => ScriptEnd::NotSeen,
            (end, _) => end,
        };
        (end == ScriptEnd::Applied || evidence.occasion == Occasion::Inserted).then_some(end)
    }

    /// The chip says that its PIN was changed. A lone change did that, also beside a failure; where an unblock was in the
    /// same script, that may have set the bit. What the counter contradicts stays open.
    fn end_of_change_told(&self, counted: ScriptEnd) -> ScriptEnd {
        match counted {
            ScriptEnd::Applied => ScriptEnd::Applied,
            ScriptEnd::FailedUnclear if self.kind.commands() == 1 => ScriptEnd::Applied,
            ScriptEnd::Failed | ScriptEnd::FailedUnclear => ScriptEnd::FailedUnclear,
            ScriptEnd::NotApplied | ScriptEnd::NotSeen => ScriptEnd::NotSeen,
        }
    }

    /// Whether a cryptogram that reports nothing proves that the chip did not perform the script.
    fn silence_proves(&self, atc: u16, kept: ReportKept) -> bool {
        match kept {
            // Every answer since that could authenticate us was to an insertion, and each insertion ends the attempt;
            // `CardState::deliver` leaves taps unauthenticated meanwhile, and `Report::MayHaveEnded` tells of the rest.
            ReportKept::UntilIssuerAuthenticated => true,
            ReportKept::UntilNextOnline => self.atc.checked_add(1) == Some(atc),
            ReportKept::Unreliable => false,
        }
    }
}

/// The chip doesn't say that its PIN was changed: that is proof where silence is. A command received, not failed and yet
/// without its effect is open.
fn end_of_change_untold(counted: ScriptEnd, failed: bool, silence_proves: bool) -> ScriptEnd {
    match counted {
        ScriptEnd::Applied if failed => ScriptEnd::FailedUnclear,
        ScriptEnd::Applied => ScriptEnd::NotSeen,
        ScriptEnd::FailedUnclear if silence_proves => ScriptEnd::Failed,
        ScriptEnd::Failed | ScriptEnd::FailedUnclear | ScriptEnd::NotApplied | ScriptEnd::NotSeen => counted,
    }
}

/// A terminal that spoils a command and then passes the right one on makes a failure and a success. So a failure proves
/// that nothing was done only where the count leaves no room for a success.
fn end_of_failure(reported: u8, wanted: u8, counts: ReportCounts) -> ScriptEnd {
    match counts {
        ReportCounts::Succeeded if reported >= wanted => ScriptEnd::Applied,
        ReportCounts::Succeeded if reported == 0 => ScriptEnd::Failed,
        ReportCounts::Received if reported <= 1 => ScriptEnd::Failed,
        ReportCounts::Received | ReportCounts::Succeeded | ReportCounts::Unverified => {
            ScriptEnd::FailedUnclear
        }
    }
}

/// What the answer to a request brings the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whether the answer may authenticate us to the chip (tag 91).
    pub authenticates: bool,
    pub script: Option<ScriptSent>,
    /// The card status update refills the chip's tries.
    pub csu: Option<ScriptSent>,
}
