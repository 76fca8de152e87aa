//! The security state of one card: what the HSM authenticates as a whole and the store keeps as one value.
//!
//! All changes of a card's PIN state happen here, as plain functions of the state, the event and the moment.

use std::{fmt, num::NonZeroU8};

use serde::{Deserialize, Serialize};

use crate::{
    Attention, CardStatus, ChipBasis, ChipEvidence, ChipPin, ChipVersion, Delivery, Locked, NotMade,
    Occasion, Report, Resolution, Script, ScriptEnd, ScriptKind, ScriptRules, ScriptSent, Timestamp, Tries,
    Unlocks, script::Wish,
};

/// First byte of an encoded state: the layout of what follows.
const STATE_LAYOUT: u8 = 5;
/// The layouts before, which are still read: the same without the last field, the last two, and the last four.
const STATE_LAYOUT_4: u8 = 4;
const STATE_LAYOUT_3: u8 = 3;
const STATE_LAYOUT_2: u8 = 2;
/// Those fields where nothing is known of them: no word of the chip about its PIN.
const FIELDS_SINCE_LAYOUT_4: [u8; 1] = [0];
/// An open report, and the same.
const FIELDS_SINCE_LAYOUT_3: [u8; 2] = [0, 0];
/// No unlocks, nothing that the HSM didn't make, and the same.
const FIELDS_SINCE_LAYOUT_2: [u8; 4] = [0, 0, 0, 0];

/// A PIN encrypted by the HSM: ISO 9564 format 4 under its PIN storage key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPin {
    /// Check value of the key it is under: CMAC of a zero block, leftmost 5 bytes.
    pub kcv: [u8; 5],
    pub block: [u8; 16],
}

impl fmt::Debug for SealedPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedPin(•)")
    }
}

/// What the host compares a PIN with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinReference {
    /// No PIN yet.
    None,
    Sealed(SealedPin),
    /// Visa PIN verification value, as imported: it verifies, but nobody can view it or send it to a chip.
    Pvv {
        pvki: u8,
        pvv: [u8; 4],
    },
    /// IBM 3624 PIN offset, as imported: 4 to 12 digit values. It verifies, but nobody can view the PIN or send it to a
    /// chip. Decimalisation table and validation data are the HSM's.
    Ibm3624 {
        offset: Vec<u8>,
    },
}

/// The host's PIN: the one online reference at any moment (I6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPin {
    /// Counts the PINs of this card from 1; 0 before the first. None comes twice.
    pub version: u32,
    pub reference: PinReference,
}

/// How a new PIN came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetPinCause {
    Created,
    Changed,
}

/// Everything about a card that decides whether and how its PIN works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardState {
    /// Counts the writes of this state from 1. Commits are conditional on it (I1).
    pub version: u64,
    pub status: CardStatus,
    pub host: HostPin,
    pub tries: Tries,
    pub chip: ChipPin,
    pub script: Script,
    /// Highest application transaction counter of a valid cryptogram.
    pub atc_last: Option<u16>,
    /// When the chip last proved itself in a request with the card inserted.
    pub contact_last: Option<Timestamp>,
    pub unlocks: Unlocks,
    /// Why the HSM made nothing of the latest attempt to tell the chip something; `None` where it made it.
    pub not_made: Option<NotMade>,
    /// What the chip may still report.
    pub report: Report,
    /// The chip itself has proven the last PIN that it was known to have; else its personalisation says so.
    pub chip_proved: bool,
}

/// Why a PIN can't be unlocked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CantUnlock {
    /// An unlock doesn't help against this lock.
    Locked(Locked),
    /// It was unlocked as often as the programme allows, until the given moment.
    UsedUp { until: Timestamp },
}

/// An encoded state could not be read: another layout, or not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored card state has an unknown layout")]
pub struct DecodeStateError;

impl CardState {
    /// A card as delivered, with the PIN it was personalised with (`PinReference::None` when there is none).
    ///
    /// A sealed reference is taken to be on the chip as well, since personalisation wrote it there.
    #[must_use]
    pub fn delivered(status: CardStatus, reference: PinReference, tries_max: u8) -> Self {
        let version = match &reference {
            PinReference::None => 0,
            PinReference::Sealed(_) | PinReference::Pvv { .. } | PinReference::Ibm3624 { .. } => 1,
        };
        let sealed = match &reference {
            PinReference::Sealed(sealed) => Some(sealed.clone()),
            PinReference::None | PinReference::Pvv { .. } | PinReference::Ibm3624 { .. } => None,
        };
        Self {
            version: 1,
            status,
            host: HostPin { version, reference },
            tries: Tries::full(tries_max),
            chip: ChipPin::personalised(ChipVersion { version, sealed }),
            script: Script::default(),
            atc_last: None,
            contact_last: None,
            unlocks: Unlocks::default(),
            not_made: None,
            report: Report::Open,
            chip_proved: false,
        }
    }

    /// One byte of layout, then postcard. The same state always has the same bytes: the HSM's MAC is over them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![STATE_LAYOUT]).expect("a growing Vec takes any state")
    }

    /// Reads [`CardState::encode`] back, the three layouts before too. Refuses others, and bytes that are left over.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeStateError> {
        let (&layout, body) = bytes.split_first().ok_or(DecodeStateError)?;
        match layout {
            STATE_LAYOUT => Self::decode_body(body),
            STATE_LAYOUT_4 => Self::decode_body(&[body, &FIELDS_SINCE_LAYOUT_4].concat()),
            STATE_LAYOUT_3 => Self::decode_body(&[body, &FIELDS_SINCE_LAYOUT_3].concat()),
            STATE_LAYOUT_2 => Self::decode_body(&[body, &FIELDS_SINCE_LAYOUT_2].concat()),
            _ => Err(DecodeStateError),
        }
    }

    fn decode_body(body: &[u8]) -> Result<Self, DecodeStateError> {
        let (state, rest) = postcard::take_from_bytes(body).map_err(|_| DecodeStateError)?;
        rest.is_empty().then_some(state).ok_or(DecodeStateError)
    }

    /// The same state as the next write of it.
    #[must_use]
    pub fn next(&self) -> Self {
        Self {
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// A new PIN replaces the host's at once and waits for the chip (I5, I6).
    pub fn set_pin(&mut self, sealed: SealedPin, tries_max: u8, rules: &ScriptRules, now: Timestamp) {
        self.host = HostPin {
            version: self.host.version + 1,
            reference: PinReference::Sealed(sealed),
        };
        self.tries.new_version(tries_max);
        self.script.revive(rules, now);
        self.script.change = Some(Wish::new(rules, now));
    }

    /// A PIN that another system has set takes the place of the host's. Whether that system told the chip isn't known
    /// here, so the chip may have either from now on, and a report of a script need not be of ours; where the new PIN can
    /// be sent, it waits for the chip (I7).
    pub fn set_elsewhere(
        &mut self,
        reference: PinReference,
        tries_max: u8,
        rules: &ScriptRules,
        now: Timestamp,
    ) {
        self.host = HostPin {
            version: self.host.version + 1,
            reference,
        };
        self.tries.new_version(tries_max);
        self.chip.may_become(self.host_chip_version());
        self.script.forget_sent();
        self.report = Report::Open;
        self.script.revive(rules, now);
        self.script.change = self.sealed_host_pin().map(|_| Wish::new(rules, now));
    }

    /// Frees the host's tries at once and queues freeing the chip's. Counts against the limit of unlocks (I9).
    ///
    /// Refuses while a long-run bound stands (see [`Tries::unlock`]), and where it was unlocked `unlocks_max` times within
    /// 30 days.
    pub fn unlock(
        &mut self,
        tries_max: u8,
        unlocks_max: NonZeroU8,
        rules: &ScriptRules,
        now: Timestamp,
    ) -> Result<(), CantUnlock> {
        let mut tries = self.tries.clone();
        tries.unlock(tries_max, now).map_err(CantUnlock::Locked)?;
        if let Some(until) = self.unlocks.used_up(unlocks_max, now) {
            return Err(CantUnlock::UsedUp { until });
        }
        self.tries = tries;
        self.unlocks.add(now);
        self.script.revive(rules, now);
        if self.chip.known() != Some(0) {
            self.script.unblock = Some(Wish::new(rules, now));
        }
        Ok(())
    }

    /// An operator has what needs attention sent again. Whether there was any.
    pub fn resend(&mut self, rules: &ScriptRules, now: Timestamp) -> bool {
        self.script.revive(rules, now)
    }

    /// The card on a new plastic whose chip was personalised with `chip`: [`CardState::host_chip_version`] as it was
    /// then, or version 0 where the programme doesn't keep the PIN, which then ends at the host too.
    ///
    /// Counter and wishes start anew; a PIN set since the personalisation waits for the new chip. Tries stay as they
    /// are, and so do unlocks (I9). The old chip is no longer spoken to: to be called when the new plastic takes over.
    #[must_use]
    pub fn reissued(&self, chip: ChipVersion, rules: &ScriptRules, now: Timestamp) -> Self {
        let host = match chip.version {
            0 => HostPin {
                reference: PinReference::None,
                ..self.host.clone()
            },
            _ => self.host.clone(),
        };
        let lags = chip.version != 0 && chip.version != host.version;
        Self {
            script: Script {
                change: (lags && self.sealed_host_pin().is_some()).then(|| Wish::new(rules, now)),
                ..self.script.ended()
            },
            host,
            chip: ChipPin::personalised(chip),
            atc_last: None,
            contact_last: None,
            not_made: None,
            report: Report::None,
            chip_proved: false,
            ..self.next()
        }
    }

    /// The card once another number takes its place: blocked, and its chip isn't spoken to any more.
    #[must_use]
    pub fn replaced(&self) -> Self {
        Self {
            status: CardStatus::Blocked,
            script: self.script.ended(),
            not_made: None,
            ..self.next()
        }
    }

    /// The state of the card that takes this one's place under another number, inactive, with the PIN that goes along
    /// (`PinReference::None` where none does). Tries stay as they are, and so do unlocks (I9).
    #[must_use]
    pub fn moved(&self, reference: PinReference, tries_max: u8) -> Self {
        Self {
            tries: self.tries.clone(),
            unlocks: self.unlocks.clone(),
            report: Report::None,
            ..Self::delivered(CardStatus::Inactive, reference, tries_max)
        }
    }

    /// Why something that the chip was to be told isn't sent any more.
    #[must_use]
    pub fn attention(&self, now: Timestamp) -> Option<Attention> {
        let wish = self.script.wishes().find(|wish| wish.needs_attention(now))?;
        Some(self.reason(wish))
    }

    /// What stopped being sent between `before` and now, unfulfilled, and why. A term that ran out is told once, at the first
    /// insertion after it.
    #[must_use]
    pub fn stopped_since(&self, before: &Self, now: Timestamp) -> Vec<(ScriptKind, Attention)> {
        let told_until = if self.contact_last == before.contact_last {
            now
        } else {
            before.contact_last.unwrap_or(Timestamp(i64::MIN))
        };
        let wishes = [
            (ScriptKind::ChangePin, before.script.change, self.script.change),
            (ScriptKind::UnblockPin, before.script.unblock, self.script.unblock),
        ];
        let stopped = |(kind, before, after): (ScriptKind, Option<Wish>, Option<Wish>)| {
            let needed_it = before.is_some_and(|wish| wish.needs_attention(told_until));
            let needs_it = after.filter(|wish| wish.needs_attention(now) && !needed_it);
            needs_it.map(|wish| (kind, self.reason(wish)))
        };
        wishes.into_iter().filter_map(stopped).collect()
    }

    fn reason(&self, wish: Wish) -> Attention {
        match self.not_made {
            Some(why) if wish.stopped => Attention::NotMade(why),
            None if wish.stopped => Attention::AttemptsUsedUp,
            Some(_) | None => Attention::Expired,
        }
    }

    /// The host has a PIN to compare with.
    #[must_use]
    pub fn has_pin(&self) -> bool {
        match &self.host.reference {
            PinReference::None => false,
            PinReference::Sealed(_) | PinReference::Pvv { .. } | PinReference::Ibm3624 { .. } => true,
        }
    }

    /// What a chip has that is personalised now.
    #[must_use]
    pub fn host_chip_version(&self) -> ChipVersion {
        ChipVersion {
            version: if self.has_pin() { self.host.version } else { 0 },
            sealed: self.sealed_host_pin(),
        }
    }

    /// What the chip's PIN is known by.
    #[must_use]
    pub fn chip_basis(&self) -> ChipBasis {
        match self.chip.known() {
            None => ChipBasis::Possible,
            Some(_) if self.chip_proved => ChipBasis::Proven,
            Some(_) => ChipBasis::Personalised,
        }
    }

    /// The chip isn't known to have the host's PIN.
    #[must_use]
    pub fn chip_lags(&self) -> bool {
        self.chip.known() != Some(self.host_chip_version().version)
    }

    /// Whether a cryptogram with this counter is a replay: not above the highest seen.
    #[must_use]
    pub fn is_replay(&self, atc: u16) -> bool {
        self.atc_last.is_some_and(|last| atc <= last)
    }

    /// How far a counter is ahead of the highest seen: 1 for the very next transaction. `None` for the first of a card
    /// and for one that is not ahead.
    #[must_use]
    pub fn atc_jump(&self, atc: u16) -> Option<u16> {
        atc.checked_sub(self.atc_last?).filter(|&jump| jump > 0)
    }

    /// Takes in what a valid cryptogram says: which attempts it ends, and so what the chip's PIN may be. The caller has
    /// refused a replayed counter, except in an advice.
    pub fn chip_spoke(
        &mut self,
        evidence: ChipEvidence,
        rules: &ScriptRules,
        now: Timestamp,
    ) -> Vec<Resolution> {
        if evidence.occasion == Occasion::Inserted {
            self.contact_last = Some(now);
        }
        if !self.is_replay(evidence.atc) {
            self.atc_last = Some(evidence.atc);
            self.chip.pin_blocked = evidence.pin_try_limit_exceeded;
        }
        let script = self.script_ended(evidence, rules);
        if evidence.occasion == Occasion::Inserted {
            self.report = match evidence.reports_script(rules) {
                true => Report::Open,
                false => Report::None,
            };
        }
        let csu = self.csu_ended(evidence, rules, script);
        [script, csu].into_iter().flatten().collect()
    }

    fn script_ended(&mut self, evidence: ChipEvidence, rules: &ScriptRules) -> Option<Resolution> {
        let sent = self.script.in_flight.filter(|sent| evidence.atc > sent.atc)?;
        let end = sent.end(evidence, rules, self.report)?;
        self.script.in_flight = None;
        match end {
            ScriptEnd::Applied => {
                if sent.kind.changes_pin() {
                    self.chip.proven(sent.version);
                    self.chip_proved = true;
                }
                self.script.fulfilled(sent.attempt);
            }
            ScriptEnd::Failed | ScriptEnd::NotApplied if sent.first_of_version => {
                self.chip.struck(sent.version);
                self.script.unfulfilled(sent.attempt, end, rules);
            }
            ScriptEnd::Failed | ScriptEnd::NotApplied | ScriptEnd::FailedUnclear | ScriptEnd::NotSeen => {
                self.script.unfulfilled(sent.attempt, end, rules);
            }
        }
        Some(Resolution { sent, end })
    }

    /// An unblock by card status update leaves no report. It has done its work once the chip takes PINs again; that it
    /// did it is proven only where the chip was blocked before.
    fn csu_ended(
        &mut self,
        evidence: ChipEvidence,
        rules: &ScriptRules,
        script: Option<Resolution>,
    ) -> Option<Resolution> {
        let sent = self
            .script
            .csu_in_flight
            .filter(|sent| evidence.occasion == Occasion::Inserted && evidence.atc > sent.atc)?;
        self.script.csu_in_flight = None;
        let same_answer_came = script.is_some_and(|Resolution { sent: beside, end }| {
            beside.atc == sent.atc && end == ScriptEnd::Applied
        });
        let end = match evidence.pin_try_limit_exceeded {
            _ if same_answer_came => ScriptEnd::Applied,
            false if sent.was_blocked => ScriptEnd::Applied,
            false | true => ScriptEnd::NotSeen,
        };
        if end == ScriptEnd::Applied || !evidence.pin_try_limit_exceeded {
            self.script.fulfilled(sent.attempt);
        } else {
            self.script.unfulfilled(sent.attempt, end, rules);
        }
        Some(Resolution { sent, end })
    }

    /// Decides and records what the answer to a proven request brings the chip, after [`CardState::chip_spoke`].
    ///
    /// Only an inserted card gets anything. While a script is in flight a tap isn't even authenticated to: the chip
    /// could take that for the end of the transaction after which it forgets its report. An insertion that may have been a
    /// tap is authenticated to all the same, since chips decline without; silence proves nothing from then on.
    pub fn deliver(&mut self, evidence: ChipEvidence, rules: &ScriptRules, now: Timestamp) -> Delivery {
        let nothing = |authenticates| Delivery {
            authenticates,
            script: None,
            csu: None,
        };
        match evidence.occasion {
            Occasion::Inserted => {}
            Occasion::ToldInserted if self.script.in_flight.is_some() => self.report = Report::MayHaveEnded,
            Occasion::ToldInserted => {}
            Occasion::Tapped => return nothing(self.script.in_flight.is_none()),
            Occasion::Advised => return nothing(false),
        }
        let certain = evidence.occasion == Occasion::Inserted;
        // In doubt an unblock by card status update hasn't ended yet, and a script would have the same effect.
        let may_ride = !evidence.reports_script(rules)
            && self.report == Report::None
            && self.script.in_flight.is_none()
            && (certain || self.script.csu_in_flight.is_none());
        let csu = self.script.next_csu(rules, now).then(|| {
            let sent = self.send(ScriptKind::UnblockByCsu, evidence);
            self.script.csu_in_flight = Some(sent);
            sent
        });
        let script = self.script.next(rules, now).filter(|_| may_ride).map(|kind| {
            let sent = self.send(self.with_what_is_known(kind, rules), evidence);
            self.script.in_flight = Some(sent);
            self.report = Report::Open;
            sent
        });
        Delivery {
            script,
            csu,
            ..nothing(true)
        }
    }

    /// A lone change is made with the chip's present PIN where the rules say so: at the first attempt, as long as nothing
    /// is uncertain.
    fn with_what_is_known(&self, kind: ScriptKind, rules: &ScriptRules) -> ScriptKind {
        let first = self.script.change.is_some_and(|wish| wish.attempts == 0);
        let known = self.chip.known().is_some() && self.chip.only_beside(self.host.version).is_some();
        match kind {
            ScriptKind::ChangePin if rules.with_current_pin && first && known => ScriptKind::ChangeKnownPin,
            kind => kind,
        }
    }

    /// The HSM made nothing of an attempt that [`CardState::deliver`] has just counted as sent: the chip doesn't get it.
    pub fn withhold(&mut self, sent: ScriptSent, why: NotMade, rules: &ScriptRules) {
        if sent.first_of_version {
            self.chip.struck(sent.version);
        }
        self.script.withhold(sent.attempt, rules);
        self.not_made = Some(why);
    }

    fn send(&mut self, kind: ScriptKind, evidence: ChipEvidence) -> ScriptSent {
        let (attempt, attempts) = self.script.send(kind);
        self.not_made = None;
        let first_of_version = kind.changes_pin() && self.chip.may_become(self.host_chip_version());
        ScriptSent {
            kind,
            version: self.host.version,
            atc: evidence.atc,
            attempt,
            attempts,
            reversed: false,
            first_of_version,
            was_blocked: evidence.pin_try_limit_exceeded,
        }
    }

    /// The transaction `atc` was reversed: whether its script reached the chip is now anybody's guess, until
    /// the chip itself tells. Answers the attempt concerned, the first time.
    pub fn answer_reversed(&mut self, atc: u16) -> Option<ScriptSent> {
        let sent = self
            .script
            .in_flight
            .as_mut()
            .filter(|sent| sent.atc == atc && !sent.reversed)?;
        sent.reversed = true;
        Some(*sent)
    }

    fn sealed_host_pin(&self) -> Option<SealedPin> {
        match &self.host.reference {
            PinReference::Sealed(sealed) => Some(sealed.clone()),
            PinReference::None | PinReference::Pvv { .. } | PinReference::Ibm3624 { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TRIES_WINDOW_MS, UNLOCKS_MAX};

    #[test]
    fn a_state_survives_its_encoding_and_nothing_may_be_left_over() {
        let sealed = SealedPin {
            kcv: [0; 5],
            block: [1; 16],
        };
        let mut card = CardState::delivered(CardStatus::Active, PinReference::Sealed(sealed), 3);
        card.tries.charge(Timestamp(7));
        let bytes = card.encode();
        assert_eq!(CardState::decode(&bytes), Ok(card.clone()));
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(CardState::decode(&longer), Err(DecodeStateError));
        let mut older = bytes.clone();
        older[0] = STATE_LAYOUT_2 - 1;
        assert_eq!(CardState::decode(&older), Err(DecodeStateError));
        for (layout, lacking) in [
            (STATE_LAYOUT_2, FIELDS_SINCE_LAYOUT_2.len()),
            (STATE_LAYOUT_3, FIELDS_SINCE_LAYOUT_3.len()),
            (STATE_LAYOUT_4, FIELDS_SINCE_LAYOUT_4.len()),
        ] {
            let mut before = bytes.clone();
            before.truncate(bytes.len() - lacking);
            before[0] = layout;
            assert_eq!(CardState::decode(&before), Ok(card.clone()));
        }
        for len in 0..bytes.len() {
            assert_eq!(
                CardState::decode(&bytes[..len]),
                Err(DecodeStateError),
                "cut at {len}"
            );
        }
    }

    #[test]
    fn a_third_unlock_within_thirty_days_changes_nothing_whatever_was_set_or_issued_in_between() {
        let now = Timestamp(1_800_000_000_000);
        let programme_rules = rules();
        let sealed = SealedPin {
            kcv: [0; 5],
            block: [1; 16],
        };
        let mut card = CardState::delivered(CardStatus::Active, PinReference::Sealed(sealed.clone()), 3);
        let unlock = |card: &mut CardState, at| card.unlock(3, UNLOCKS_MAX, &programme_rules, at);
        unlock(&mut card, now).unwrap();
        card.set_pin(sealed, 3, &programme_rules, now);
        unlock(&mut card, now.plus_ms(1)).unwrap();
        let chip = card.host_chip_version();
        card = card.reissued(chip, &programme_rules, now);
        card = card.moved(card.host.reference.clone(), 3);
        card.tries.charge(now);
        let before = card.clone();
        let until = now.plus_ms(TRIES_WINDOW_MS);
        assert_eq!(unlock(&mut card, now), Err(CantUnlock::UsedUp { until }));
        assert_eq!(card, before);
        unlock(&mut card, until).unwrap();
        assert_eq!(card.tries.left(), 3);
    }

    fn rules() -> ScriptRules {
        ScriptRules {
            report: crate::ReportKept::UntilNextOnline,
            counts: crate::ReportCounts::Received,
            template: crate::ScriptTemplate::AfterFinalAc,
            commands_max: 1,
            attempts_max: 5,
            expires_after_ms: 1_000,
            unblock_by_csu: false,
            csu_tries: 3,
            pin_change_bit: false,
            with_current_pin: false,
            contact_by_field_22: false,
        }
    }
}
