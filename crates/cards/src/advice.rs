//! The one truthful answer to "which PIN works where, and what do I do next?".
//!
//! Cardmember, agent and API get the same codes and the same words.

use std::num::NonZeroU8;

use serde::Serialize;

use crate::{CardState, CardStatus, Locked, Timestamp};

/// The situation a card's PIN is in. The names are stable: they are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AdviceCode {
    CardBlocked,
    CardExpired,
    CardInactive,
    NoPin,
    PinLocked,
    PinUnlocksUsedUp,
    PinLockedForLong,
    PinWornOut,
    ChipLocked,
    ChipUnlocksUsedUp,
    ChipUnlockWaits,
    ChipNeedsAttention,
    ChipHasPrevious,
    ChipHasNone,
    ChipConfirming,
    ChipUnknown,
    UpToDate,
}

/// The state of the PIN in one of the two places that check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceState {
    /// The card is inactive, blocked or expired: no PIN is asked for.
    NotInUse,
    None,
    New,
    Previous,
    Unknown,
    Locked,
}

/// What to tell, in codes and in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub code: AdviceCode,
    /// The bank's place: cash machines, and shops that ask the bank.
    pub host: PlaceState,
    /// The chip's place: shops with the card inserted.
    pub chip: PlaceState,
    /// One line, the headline.
    pub headline: &'static str,
    /// Which PIN works where.
    pub where_it_works: &'static str,
    /// The one thing to do next; empty when there is nothing to do.
    pub next_step: &'static str,
}

impl Advice {
    /// Reads the card's state at a moment; `unlocks_max` is its programme's.
    #[must_use]
    pub fn of(state: &CardState, unlocks_max: NonZeroU8, now: Timestamp) -> Self {
        let can_unlock = state.unlocks.used_up(unlocks_max, now).is_none();
        let code = code(state, can_unlock, now);
        let (headline, where_it_works, next_step) = words(code);
        Self {
            code,
            host: host_place(state, now),
            chip: chip_place(state),
            headline,
            where_it_works,
            next_step,
        }
    }

    /// For a card whose month is over and which isn't blocked.
    #[must_use]
    pub fn expired() -> Self {
        let (headline, where_it_works, next_step) = words(AdviceCode::CardExpired);
        Self {
            code: AdviceCode::CardExpired,
            host: PlaceState::NotInUse,
            chip: PlaceState::NotInUse,
            headline,
            where_it_works,
            next_step,
        }
    }
}

fn code(state: &CardState, can_unlock: bool, now: Timestamp) -> AdviceCode {
    match state.status {
        CardStatus::Blocked => return AdviceCode::CardBlocked,
        CardStatus::Inactive => return AdviceCode::CardInactive,
        CardStatus::Active => {}
    }
    if !state.has_pin() {
        return AdviceCode::NoPin;
    }
    match state.tries.locked(now) {
        Some(Locked::InARow) if can_unlock => return AdviceCode::PinLocked,
        Some(Locked::InARow) => return AdviceCode::PinUnlocksUsedUp,
        Some(Locked::LongRun { .. }) => return AdviceCode::PinLockedForLong,
        Some(Locked::ThisPin) => return AdviceCode::PinWornOut,
        None => {}
    }
    chip_code(state, can_unlock, now)
}

fn chip_code(state: &CardState, can_unlock: bool, now: Timestamp) -> AdviceCode {
    let script = &state.script;
    if script.needs_attention(now) {
        return AdviceCode::ChipNeedsAttention;
    }
    let unblock_alone = script.unblock.is_some() && (script.change.is_none() || state.chip.pin_blocked);
    match state.chip.known() {
        None if script
            .in_flight
            .is_some_and(|sent| sent.attempts == 1 && !sent.reversed) =>
        {
            AdviceCode::ChipConfirming
        }
        None => AdviceCode::ChipUnknown,
        Some(0) => AdviceCode::ChipHasNone,
        Some(_) if unblock_alone => AdviceCode::ChipUnlockWaits,
        Some(_) if state.chip.pin_blocked && script.in_flight.is_none() && can_unlock => {
            AdviceCode::ChipLocked
        }
        Some(_) if state.chip.pin_blocked && script.in_flight.is_none() => AdviceCode::ChipUnlocksUsedUp,
        Some(_) if !state.chip_lags() => AdviceCode::UpToDate,
        Some(_) => AdviceCode::ChipHasPrevious,
    }
}

fn host_place(state: &CardState, now: Timestamp) -> PlaceState {
    if state.status != CardStatus::Active {
        PlaceState::NotInUse
    } else if !state.has_pin() {
        PlaceState::None
    } else if state.tries.locked(now).is_some() {
        PlaceState::Locked
    } else {
        PlaceState::New
    }
}

fn chip_place(state: &CardState) -> PlaceState {
    match state.chip.known() {
        _ if state.status != CardStatus::Active => PlaceState::NotInUse,
        Some(0) => PlaceState::None,
        Some(_) if state.chip.pin_blocked => PlaceState::Locked,
        Some(version) if version == state.host.version => PlaceState::New,
        Some(_) => PlaceState::Previous,
        None => PlaceState::Unknown,
    }
}

fn words(code: AdviceCode) -> (&'static str, &'static str, &'static str) {
    match code {
        AdviceCode::CardBlocked => (
            "This card is blocked.",
            "Its PIN works nowhere.",
            "Call the number on the back of the card.",
        ),
        AdviceCode::CardExpired => (
            "This card has expired.",
            "Its PIN works nowhere.",
            "Use the card that has taken its place. If none came, call the number on the back of the card.",
        ),
        AdviceCode::CardInactive => (
            "This card isn't active yet.",
            "A PIN works only on an active card.",
            "Activate the card; then manage its PIN here.",
        ),
        AdviceCode::NoPin => (
            "This card has no PIN yet.",
            "There is no PIN to use anywhere.",
            "Create a PIN.",
        ),
        AdviceCode::PinLocked => (
            "Your PIN is locked after too many wrong tries.",
            "It works neither at cash machines nor in shops that ask your bank.",
            "Unlock it here; then insert your card at a cash machine or shop once to free the chip.",
        ),
        AdviceCode::PinUnlocksUsedUp => (
            "Your PIN is locked, and was unlocked as often as 30 days allow.",
            "It works neither at cash machines nor in shops that ask your bank. It can be unlocked again 30 days after an \
             earlier unlock.",
            "If you need it sooner, or didn't unlock it yourself, call the number on the back of the card.",
        ),
        AdviceCode::PinLockedForLong => (
            "Your PIN is locked: ten wrong tries within 30 days.",
            "It works nowhere until the oldest of them is 30 days ago.",
            "If those tries weren't yours, call the number on the back of the card.",
        ),
        AdviceCode::PinWornOut => (
            "Your PIN is locked: too many wrong tries against this PIN.",
            "This PIN can't be unlocked any more.",
            "Set a new PIN.",
        ),
        AdviceCode::ChipLocked => (
            "Your card's chip has locked its PIN.",
            "At cash machines: your PIN works. In shops, with the card inserted: the chip refuses every PIN.",
            "Unlock it here; then insert your card at a cash machine or shop once to free the chip.",
        ),
        AdviceCode::ChipUnlocksUsedUp => (
            "Your card's chip has locked its PIN, and it was unlocked as often as 30 days allow.",
            "At cash machines: your PIN works. In shops, with the card inserted: the chip refuses every PIN. It can be \
             unlocked again 30 days after an earlier unlock.",
            "If you need it sooner, or didn't unlock it yourself, call the number on the back of the card.",
        ),
        AdviceCode::ChipUnlockWaits => (
            "Your PIN is unlocked. The chip follows at its next insertion.",
            "At cash machines: your PIN works now. In shops: after the card was inserted once.",
            "Insert your card at a cash machine or shop once to free the chip.",
        ),
        AdviceCode::ChipNeedsAttention => (
            "Your card's chip hasn't taken the update.",
            "At cash machines: use your present PIN. In shops, with the card inserted: the chip may still want the previous \
             one, or refuse every PIN.",
            "Call the number on the back of the card: you may need a new card.",
        ),
        AdviceCode::ChipHasPrevious => (
            "Your new PIN is set. Your card's chip still has the previous one.",
            "At cash machines: use your new PIN. In shops, with the card inserted: use your previous PIN once more. \
             After that, the new one works everywhere. Tapping doesn't update the card.",
            "Insert your card in a shop once with the previous PIN, or at a cash machine with the new one.",
        ),
        AdviceCode::ChipHasNone => (
            "Your PIN is set. Your card's chip doesn't have it yet.",
            "At cash machines: use your PIN now. In shops: after the card was inserted once. \
             Tapping doesn't update the card.",
            "Insert your card at a cash machine or shop once.",
        ),
        AdviceCode::ChipConfirming => (
            "Your card was given the new PIN and will confirm it at its next use.",
            "Use the new PIN everywhere. If a shop terminal refuses it, use the previous PIN there.",
            "Use your card once more; it then confirms by itself.",
        ),
        AdviceCode::ChipUnknown => (
            "We couldn't confirm that your card has the new PIN.",
            "At cash machines: use your new PIN. In shops, with the card inserted: try the new PIN; if it is refused, \
             use the previous one.",
            "Insert your card once more.",
        ),
        AdviceCode::UpToDate => (
            "Your PIN is up to date everywhere.",
            "The same PIN works at cash machines and in shops.",
            "",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ChipEvidence, Occasion, PinReference, ReportCounts, ReportKept, ScriptRules, ScriptTemplate,
        SealedPin, UNLOCKS_MAX,
    };

    const NOW: Timestamp = Timestamp(0);

    const RULES: ScriptRules = ScriptRules {
        report: ReportKept::UntilNextOnline,
        counts: ReportCounts::Received,
        template: ScriptTemplate::AfterFinalAc,
        commands_max: 1,
        attempts_max: 5,
        expires_after_ms: 1_000,
        unblock_by_csu: false,
        csu_tries: 3,
        pin_change_bit: false,
        with_current_pin: false,
        contact_by_field_22: false,
    };

    fn sealed(number: u8) -> SealedPin {
        SealedPin {
            kcv: [0; 5],
            block: [number; 16],
        }
    }

    fn card() -> CardState {
        CardState::delivered(CardStatus::Active, PinReference::Sealed(sealed(1)), 3)
    }

    fn code(card: &CardState) -> AdviceCode {
        Advice::of(card, UNLOCKS_MAX, NOW).code
    }

    fn insert(card: &mut CardState, atc: u16, script_commands: u8, pin_try_limit_exceeded: bool) {
        let evidence = ChipEvidence {
            atc,
            occasion: Occasion::Inserted,
            script_commands,
            script_failed: false,
            pin_change_told: None,
            pin_try_limit_exceeded,
        };
        card.chip_spoke(evidence, &RULES, NOW);
        card.deliver(evidence, &RULES, NOW);
    }

    #[test]
    fn the_advice_follows_the_story_of_a_change() {
        let mut card = card();
        assert_eq!(code(&card), AdviceCode::UpToDate);
        card.set_pin(sealed(2), 3, &RULES, NOW);
        assert_eq!(code(&card), AdviceCode::ChipHasPrevious);
        insert(&mut card, 1, 0, false);
        assert_eq!(code(&card), AdviceCode::ChipConfirming);
        card.answer_reversed(1);
        assert_eq!(code(&card), AdviceCode::ChipUnknown);
        insert(&mut card, 2, 1, false);
        assert_eq!(code(&card), AdviceCode::UpToDate);
    }

    #[test]
    fn a_change_that_waits_too_long_needs_attention() {
        let mut card = card();
        card.set_pin(sealed(2), 3, &RULES, NOW);
        let late = NOW.plus_ms(RULES.expires_after_ms);
        assert_eq!(
            Advice::of(&card, UNLOCKS_MAX, late).code,
            AdviceCode::ChipNeedsAttention
        );
    }

    #[test]
    fn a_blocked_chip_is_never_said_to_take_a_pin() {
        let mut card = card();
        insert(&mut card, 1, 0, true);
        assert_eq!(code(&card), AdviceCode::ChipLocked);
        card.set_pin(sealed(2), 3, &RULES, NOW);
        assert_eq!(code(&card), AdviceCode::ChipLocked);
        card.unlock(3, UNLOCKS_MAX, &RULES, NOW).unwrap();
        assert_eq!(code(&card), AdviceCode::ChipUnlockWaits);
        insert(&mut card, 2, 0, true);
        insert(&mut card, 3, 1, false);
        assert_eq!(code(&card), AdviceCode::UpToDate);
    }

    #[test]
    fn who_has_used_up_their_unlocks_is_not_told_to_unlock() {
        let mut card = card();
        for _ in 0..UNLOCKS_MAX.get() {
            card.unlock(3, UNLOCKS_MAX, &RULES, NOW).unwrap();
        }
        insert(&mut card, 1, 0, false);
        insert(&mut card, 2, 1, true);
        assert_eq!(code(&card), AdviceCode::ChipUnlocksUsedUp);
        for _ in 0..3 {
            card.tries.charge(NOW);
        }
        assert_eq!(code(&card), AdviceCode::PinUnlocksUsedUp);
        let later = NOW.plus_ms(crate::TRIES_WINDOW_MS);
        assert_eq!(Advice::of(&card, UNLOCKS_MAX, later).code, AdviceCode::PinLocked);
    }

    #[test]
    fn a_locked_pin_is_told_before_anything_about_the_chip() {
        let mut card = card();
        card.set_pin(sealed(2), 3, &RULES, NOW);
        for _ in 0..3 {
            card.tries.charge(NOW);
        }
        let advice = Advice::of(&card, UNLOCKS_MAX, NOW);
        assert_eq!(
            (advice.code, advice.host),
            (AdviceCode::PinLocked, PlaceState::Locked)
        );
    }
}
