//! Issuer application data (tag 9F10) as each kind of card writes it: how what the chip did becomes its CVR.

use emv::cvr::ccd::{CcdCvr, CcdCvrBit};
use emv::cvr::mchip::{MChipCvr, MChipCvrBit};
use emv::cvr::{Cvr, FirstAc, SecondAc};
use emv::iad::{CcdIad, IadLayout, InteracIad, MChipIad, VisaIad};

use super::profile::CardProfile;
use super::state::{ChipState, ScriptCount};

/// Transactions since the last issuer that the card reports as many (9F14, lower consecutive offline limit).
const TRANSACTIONS_OFFLINE_MAX: u16 = 10;

/// Interac's 14 bytes of issuer discretionary data; what the published example has there is unknown.
const INTERAC_DATA: [u8; 14] = [0; 14];

/// What happened in a transaction so far, beside what the card remembers.
#[derive(Clone, Copy)]
pub(super) struct Happened {
    pub(super) second_ac: SecondAc,
    pub(super) first_ac: FirstAc,
    pub(super) pin: PinVerification,
    pub(super) pin_enciphered: bool,
    /// The card is at its contacts, where a PIN may be presented.
    pub(super) pin_possible: bool,
    pub(super) issuer: IssuerSpoke,
    /// The terminal is in the card's country.
    pub(super) domestic: bool,
    /// The first two bytes of the dynamic number, where the card signed one.
    pub(super) dynamic_number: Option<[u8; 2]>,
    pub(super) dda: bool,
    pub(super) cda: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PinVerification {
    NotPerformed,
    Failed,
    Passed,
}

/// What the card knows of its issuer in this transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IssuerSpoke {
    NotYet,
    /// With a wrong ARPC.
    Wrongly,
    Authentically,
}

/// Tag 9F10.
pub(super) fn issuer_application_data(
    profile: &CardProfile,
    state: &ChipState,
    happened: &Happened,
) -> Vec<u8> {
    let (cvn, dki) = (profile.cvn_byte, profile.derivation_key_index);
    match profile.layout {
        IadLayout::Visa | IadLayout::Amex => VisaIad {
            dki,
            cvn,
            cvr: visa(state, happened),
            issuer_data: &[],
        }
        .to_bytes(),
        IadLayout::Interac => InteracIad {
            dki,
            cvn,
            cvr: visa(state, happened),
            cvr_byte_4: 0,
            issuer_data: &INTERAC_DATA,
        }
        .to_bytes(),
        IadLayout::MChip => MChipIad {
            dki,
            cvn,
            cvr: mchip(state, happened),
            dac: happened.dynamic_number.unwrap_or_default(),
            counters: &state.counters,
        }
        .to_bytes(),
        IadLayout::Ccd => CcdIad {
            cci: cvn,
            dki,
            cvr: ccd(state, happened),
            counters: state.counters,
            issuer_data: [0; 15],
        }
        .to_bytes(),
    }
}

/// Scripts of the transactions before, until they are cleared, and of this one.
fn scripts(state: &ChipState) -> ScriptCount {
    state.scripts.and(state.scripts_now)
}

/// An ARQC of an earlier transaction was never answered by the issuer.
fn last_online_not_completed(state: &ChipState, happened: &Happened) -> bool {
    state.online_not_completed && happened.second_ac == SecondAc::NotRequested
}

fn visa(state: &ChipState, happened: &Happened) -> Cvr {
    let scripts = scripts(state);
    let no_pin = happened.pin == PinVerification::NotPerformed;
    Cvr {
        second_ac: happened.second_ac,
        first_ac: happened.first_ac,
        issuer_authentication_failed: happened.issuer == IssuerSpoke::Wrongly,
        offline_pin_performed: !no_pin,
        offline_pin_failed: happened.pin == PinVerification::Failed,
        last_online_not_completed: last_online_not_completed(state, happened),
        velocity_exceeded: state.atc.saturating_sub(state.last_online_atc) > TRANSACTIONS_OFFLINE_MAX,
        pin_try_limit_exceeded: state.is_pin_blocked(),
        new_card: state.last_online_atc == 0,
        issuer_authentication_failed_last: state.issuer_authentication_failed,
        script_commands: scripts.commands,
        script_failed: scripts.failed,
        dda_performed: happened.dda || happened.cda,
        pin_not_presented: state.pin.is_some() && happened.pin_possible && no_pin,
        ..Cvr::arqc()
    }
}

fn mchip(state: &ChipState, happened: &Happened) -> MChipCvr {
    let scripts = scripts(state);
    let signed_last = happened.second_ac != SecondAc::NotRequested;
    let bits = [
        (
            MChipCvrBit::OfflinePinPerformed,
            happened.pin != PinVerification::NotPerformed,
        ),
        (MChipCvrBit::OfflinePinEnciphered, happened.pin_enciphered),
        (
            MChipCvrBit::OfflinePinSuccessful,
            happened.pin == PinVerification::Passed,
        ),
        (MChipCvrBit::DdaReturned, happened.dda),
        (MChipCvrBit::CdaInFirstAc, happened.cda && !signed_last),
        (MChipCvrBit::CdaInSecondAc, happened.cda && signed_last),
        (
            MChipCvrBit::IssuerAuthenticationPerformed,
            happened.issuer != IssuerSpoke::NotYet,
        ),
        (MChipCvrBit::OfflinePinChangeSuccessful, scripts.pin_changed),
        (
            MChipCvrBit::LastOnlineNotCompleted,
            last_online_not_completed(state, happened),
        ),
        (
            MChipCvrBit::OfflinePinNotPerformed,
            happened.pin == PinVerification::NotPerformed,
        ),
        (
            MChipCvrBit::OfflinePinFailed,
            happened.pin == PinVerification::Failed,
        ),
        (MChipCvrBit::PinTryLimitExceeded, state.is_pin_blocked()),
        (MChipCvrBit::International, !happened.domestic),
        (MChipCvrBit::Domestic, happened.domestic),
        (MChipCvrBit::GoOnlineNext, state.go_online_next),
        (
            MChipCvrBit::IssuerAuthenticationFailed,
            happened.issuer == IssuerSpoke::Wrongly || state.issuer_authentication_failed,
        ),
        (MChipCvrBit::ScriptReceived, scripts.commands > 0),
        (MChipCvrBit::ScriptFailed, scripts.failed),
    ];
    let blank = MChipCvr::of_acs(happened.second_ac, happened.first_ac)
        .with_counters(scripts.commands, state.pin_tries_left);
    bits.into_iter()
        .filter(|(_, set)| *set)
        .fold(blank, |cvr, (bit, _)| cvr.with(bit))
}

fn ccd(state: &ChipState, happened: &Happened) -> CcdCvr {
    let scripts = scripts(state);
    let bits = [
        (CcdCvrBit::CdaPerformed, happened.cda),
        (CcdCvrBit::DdaPerformed, happened.dda),
        (
            CcdCvrBit::IssuerAuthenticationNotPerformed,
            happened.issuer == IssuerSpoke::NotYet,
        ),
        (
            CcdCvrBit::IssuerAuthenticationFailed,
            happened.issuer == IssuerSpoke::Wrongly || state.issuer_authentication_failed,
        ),
        (
            CcdCvrBit::OfflinePinPerformed,
            happened.pin != PinVerification::NotPerformed,
        ),
        (
            CcdCvrBit::OfflinePinFailed,
            happened.pin == PinVerification::Failed,
        ),
        (CcdCvrBit::PinTryLimitExceeded, state.is_pin_blocked()),
        (
            CcdCvrBit::LastOnlineNotCompleted,
            last_online_not_completed(state, happened),
        ),
        (CcdCvrBit::ScriptFailed, scripts.failed),
        (CcdCvrBit::GoOnlineNext, state.go_online_next),
    ];
    let blank = CcdCvr::of_acs(happened.second_ac, happened.first_ac)
        .with_counters(scripts.succeeded, state.pin_tries_left);
    bits.into_iter()
        .filter(|(_, set)| *set)
        .fold(blank, |cvr, (bit, _)| cvr.with(bit))
}
