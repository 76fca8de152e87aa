//! A card with PIN version 1 on its chip, and what its chip may say.
#![allow(dead_code, reason = "each test file takes what it needs")]

use cards::{
    CardState, CardStatus, ChipEvidence, Delivery, Occasion, PinReference, ReportCounts, ReportKept,
    Resolution, ScriptRules, ScriptTemplate, SealedPin, Timestamp,
};

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);
pub(crate) const TRIES_MAX: u8 = 3;

/// Rules with an immortal report; each test says what it needs otherwise.
pub(crate) const RULES: ScriptRules = ScriptRules {
    report: ReportKept::UntilIssuerAuthenticated,
    counts: ReportCounts::Received,
    template: ScriptTemplate::AfterFinalAc,
    commands_max: 1,
    attempts_max: 5,
    expires_after_ms: 1_000_000,
    unblock_by_csu: false,
    csu_tries: TRIES_MAX,
    pin_change_bit: false,
    with_current_pin: false,
    contact_by_field_22: false,
};

pub(crate) fn sealed(version: u32) -> SealedPin {
    let mut block = [0; 16];
    block[..4].copy_from_slice(&version.to_be_bytes());
    SealedPin { kcv: [0; 5], block }
}

pub(crate) fn card() -> CardState {
    CardState::delivered(CardStatus::Active, PinReference::Sealed(sealed(1)), TRIES_MAX)
}

/// A further PIN.
pub(crate) fn change(card: &mut CardState, rules: &ScriptRules) {
    let next = sealed(card.host.version + 1);
    card.set_pin(next, TRIES_MAX, rules, NOW);
}

/// An inserted card that reports nothing.
pub(crate) fn silent(atc: u16) -> ChipEvidence {
    ChipEvidence {
        atc,
        occasion: Occasion::Inserted,
        script_commands: 0,
        script_failed: false,
        pin_change_told: None,
        pin_try_limit_exceeded: false,
    }
}

/// An inserted card that reports `script_commands`.
pub(crate) fn reporting(atc: u16, script_commands: u8) -> ChipEvidence {
    ChipEvidence {
        script_commands,
        ..silent(atc)
    }
}

/// An inserted card that reports a failure among `script_commands`.
pub(crate) fn failed(atc: u16, script_commands: u8) -> ChipEvidence {
    ChipEvidence {
        script_commands,
        script_failed: true,
        ..silent(atc)
    }
}

/// The same of a chip with a bit for a PIN change that succeeded.
pub(crate) fn telling(evidence: ChipEvidence, pin_change: bool) -> ChipEvidence {
    ChipEvidence {
        pin_change_told: Some(pin_change),
        ..evidence
    }
}

/// Takes the request in and answers it.
pub(crate) fn transact(
    card: &mut CardState,
    evidence: ChipEvidence,
    rules: &ScriptRules,
) -> (Vec<Resolution>, Delivery) {
    let resolutions = card.chip_spoke(evidence, rules, NOW);
    (resolutions, card.deliver(evidence, rules, NOW))
}

pub(crate) fn possible(card: &CardState) -> Vec<u32> {
    card.chip.possible().iter().map(|chip| chip.version).collect()
}
