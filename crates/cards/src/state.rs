//! The security state of one card: what the HSM authenticates as a whole and the store keeps as one value.
//!
//! All changes of a card's PIN state happen here, as plain functions of the state, the event and the moment.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chip::ChipVersion;
use crate::{
    CardStatus, ChipEvidence, ChipPin, Locked, Resolution, SCRIPT_ATTEMPTS_MAX, Script, ScriptKind,
    ScriptQueued, ScriptSent, Timestamp, Tries,
};

/// First byte of an encoded state: the layout of what follows.
const STATE_LAYOUT: u8 = 1;

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
}

/// The host's PIN: the one online reference at any moment (I6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPin {
    /// Counts the PINs of this card from 1; 0 while there is none.
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
            PinReference::Sealed(_) | PinReference::Pvv { .. } => 1,
        };
        let sealed = match &reference {
            PinReference::Sealed(sealed) => Some(sealed.clone()),
            PinReference::None | PinReference::Pvv { .. } => None,
        };
        Self {
            version: 1,
            status,
            host: HostPin { version, reference },
            tries: Tries::full(tries_max),
            chip: ChipPin::personalised(version, sealed),
            script: Script::default(),
            atc_last: None,
        }
    }

    /// One byte of layout, then postcard. The same state always has the same bytes: the HSM's MAC is over them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![STATE_LAYOUT]).expect("a growing Vec takes any state")
    }

    /// Reads [`CardState::encode`] back. Refuses another layout, and bytes that are left over.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeStateError> {
        let (&layout, body) = bytes.split_first().ok_or(DecodeStateError)?;
        let (state, rest) = postcard::take_from_bytes(body).map_err(|_| DecodeStateError)?;
        (layout == STATE_LAYOUT && rest.is_empty())
            .then_some(state)
            .ok_or(DecodeStateError)
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
    pub fn set_pin(&mut self, sealed: SealedPin, tries_max: u8) {
        self.host = HostPin {
            version: self.host.version + 1,
            reference: PinReference::Sealed(sealed),
        };
        self.tries.new_version(tries_max);
        self.script.wish(ScriptKind::ChangePin);
    }

    /// Frees the host's tries at once and queues freeing the chip's.
    ///
    /// Refuses while a long-run bound stands (see [`Tries::unlock`]).
    pub fn unlock(&mut self, tries_max: u8, now: Timestamp) -> Result<(), Locked> {
        self.tries.unlock(tries_max, now)?;
        if self.chip.known() != Some(0) {
            self.script.wish(ScriptKind::UnblockPin);
        }
        Ok(())
    }

    /// Whether a cryptogram with this counter is a replay: not above the highest seen.
    #[must_use]
    pub fn is_replay(&self, atc: u16) -> bool {
        self.atc_last.is_some_and(|last| atc <= last)
    }

    /// Takes in what a valid cryptogram says. The caller has refused a replayed counter.
    pub fn chip_spoke(&mut self, evidence: ChipEvidence) -> Option<Resolution> {
        self.atc_last = Some(evidence.atc);
        self.chip.pin_blocked = evidence.pin_try_limit_exceeded;
        let sent = self.script.in_flight.filter(|sent| evidence.atc > sent.atc)?;
        if evidence.script_failed {
            self.script.in_flight = None;
            self.script.put_back(sent);
            return Some(Resolution::Failed(sent));
        }
        if evidence.script_commands > 0 {
            self.script.in_flight = None;
            if sent.kind == ScriptKind::ChangePin {
                self.chip.proven(sent.version);
            }
            return Some(Resolution::Applied(sent));
        }
        if !evidence.contact {
            return None;
        }
        self.script.in_flight = None;
        self.script.put_back(sent);
        Some(Resolution::NotSeen(sent))
    }

    /// The script that the answer to this request may carry, if any.
    #[must_use]
    pub fn script_for(&self, evidence: ChipEvidence) -> Option<ScriptKind> {
        let queued = self.script.queued.filter(|_| self.script.in_flight.is_none())?;
        let may_ride = evidence.contact && !evidence.reports_script() && !self.script.needs_attention;
        may_ride.then_some(queued.kind)
    }

    /// Records that the answer to the transaction `atc` carries the queued script.
    ///
    /// Does nothing when none is queued.
    pub fn script_sent(&mut self, atc: u16) -> Option<ScriptSent> {
        let ScriptQueued { kind, attempts } = self.script.queued.take()?;
        self.script.attempts_ever += 1;
        let sent = ScriptSent {
            kind,
            version: self.host.version,
            atc,
            attempt: self.script.attempts_ever,
            attempts: attempts.saturating_add(1).min(SCRIPT_ATTEMPTS_MAX),
            reversed: false,
        };
        self.script.in_flight = Some(sent);
        if kind == ScriptKind::ChangePin {
            self.chip.may_become(ChipVersion {
                version: self.host.version,
                sealed: self.sealed_host_pin(),
            });
        }
        Some(sent)
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
            PinReference::None | PinReference::Pvv { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(number: u8) -> SealedPin {
        SealedPin {
            kcv: [0; 5],
            block: [number; 16],
        }
    }

    fn card() -> CardState {
        CardState::delivered(CardStatus::Active, PinReference::Sealed(sealed(1)), 3)
    }

    fn inserted(atc: u16) -> ChipEvidence {
        ChipEvidence {
            atc,
            contact: true,
            script_commands: 0,
            script_failed: false,
            pin_try_limit_exceeded: false,
        }
    }

    fn applied(atc: u16) -> ChipEvidence {
        ChipEvidence {
            script_commands: 1,
            ..inserted(atc)
        }
    }

    /// Takes the request in and sends the queued script where it may ride.
    fn transact(card: &mut CardState, evidence: ChipEvidence) -> Option<Resolution> {
        let resolution = card.chip_spoke(evidence);
        if card.script_for(evidence).is_some() {
            card.script_sent(evidence.atc);
        }
        resolution
    }

    #[test]
    fn a_changed_pin_is_known_on_the_chip_only_after_its_own_report() {
        let mut card = card();
        card.set_pin(sealed(2), 3);
        assert_eq!(card.chip.known(), Some(1));
        transact(&mut card, inserted(5));
        assert_eq!(card.chip.known(), None);
        assert!(matches!(
            transact(&mut card, applied(6)),
            Some(Resolution::Applied(_))
        ));
        assert_eq!(card.chip.known(), Some(2));
        assert_eq!(card.chip.possible().len(), 1);
    }

    #[test]
    fn a_tap_carries_no_script_but_may_prove_one() {
        let mut card = card();
        card.set_pin(sealed(2), 3);
        let tap = |atc, script_commands| ChipEvidence {
            contact: false,
            script_commands,
            ..inserted(atc)
        };
        assert_eq!(card.script_for(tap(5, 0)), None);
        transact(&mut card, inserted(6));
        assert_eq!(transact(&mut card, tap(7, 0)), None);
        assert!(card.script.in_flight.is_some());
        assert!(matches!(
            transact(&mut card, tap(8, 1)),
            Some(Resolution::Applied(_))
        ));
    }

    #[test]
    fn a_lost_script_is_sent_again_in_the_same_answer_that_shows_the_loss() {
        let mut card = card();
        card.set_pin(sealed(2), 3);
        transact(&mut card, inserted(5));
        assert!(matches!(
            transact(&mut card, inserted(6)),
            Some(Resolution::NotSeen(_))
        ));
        assert_eq!(
            card.script.in_flight.map(|sent| (sent.atc, sent.attempt)),
            Some((6, 2))
        );
        assert_eq!(card.chip.known(), None);
    }

    #[test]
    fn an_old_report_is_never_taken_for_a_new_script() {
        let mut card = card();
        card.set_pin(sealed(2), 3);
        transact(&mut card, inserted(5));
        card.set_pin(sealed(3), 3);
        transact(&mut card, applied(6));
        assert_eq!(
            card.chip.known(),
            Some(2),
            "the report proves the script of transaction 5"
        );
        assert_eq!(card.script.in_flight, None, "a reporting request carries nothing");
        transact(&mut card, applied(7));
        assert_eq!(
            card.chip.known(),
            Some(2),
            "the same report again proves nothing new"
        );
        transact(&mut card, inserted(8));
        transact(&mut card, applied(9));
        assert_eq!(card.chip.known(), Some(3));
    }

    #[test]
    fn a_second_change_replaces_the_queued_script() {
        let mut card = card();
        card.set_pin(sealed(2), 3);
        card.set_pin(sealed(3), 3);
        transact(&mut card, inserted(5));
        let versions: Vec<_> = card
            .chip
            .possible()
            .iter()
            .map(|possible| possible.version)
            .collect();
        assert_eq!(versions, [1, 3]);
    }

    #[test]
    fn a_reversal_leaves_the_chip_unknown_until_it_speaks() {
        let mut card = card();
        card.set_pin(sealed(2), 3);
        transact(&mut card, inserted(5));
        assert!(card.answer_reversed(5).is_some());
        assert!(
            card.answer_reversed(5).is_none(),
            "a repeated reversal changes nothing"
        );
        assert_eq!(card.chip.known(), None);
        transact(&mut card, applied(6));
        assert_eq!(card.chip.known(), Some(2));
    }

    #[test]
    fn a_script_that_keeps_failing_asks_for_a_person() {
        let mut card = card();
        card.set_pin(sealed(2), 3);
        let failed = |atc| ChipEvidence {
            script_failed: true,
            ..inserted(atc)
        };
        let mut atc = 0;
        while !card.script.needs_attention {
            atc += 1;
            transact(&mut card, inserted(atc));
            atc += 1;
            transact(&mut card, failed(atc));
            assert!(atc < 100, "the retries are bounded");
        }
        assert_eq!(card.script.attempts_ever, u32::from(SCRIPT_ATTEMPTS_MAX));
        assert_eq!(card.script_for(inserted(200)), None);
        card.set_pin(sealed(3), 3);
        assert_eq!(card.script_for(inserted(200)), Some(ScriptKind::ChangePin));
    }

    #[test]
    fn an_unlock_queues_the_chips_unblock_unless_a_change_already_waits() {
        let now = Timestamp(0);
        let mut fresh = card();
        fresh.unlock(3, now).unwrap();
        assert_eq!(fresh.script_for(inserted(1)), Some(ScriptKind::UnblockPin));
        let mut changed = card();
        changed.set_pin(sealed(2), 3);
        changed.unlock(3, now).unwrap();
        assert_eq!(changed.script_for(inserted(1)), Some(ScriptKind::ChangePin));
    }

    #[test]
    fn a_state_survives_its_encoding_and_nothing_may_be_left_over() {
        let mut card = card();
        card.set_pin(sealed(2), 3);
        card.tries.charge(Timestamp(7));
        let bytes = card.encode();
        assert_eq!(CardState::decode(&bytes), Ok(card));
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(CardState::decode(&longer), Err(DecodeStateError));
        for len in 0..bytes.len() {
            assert_eq!(
                CardState::decode(&bytes[..len]),
                Err(DecodeStateError),
                "cut at {len}"
            );
        }
    }
}
