//! Which PIN works where, and the evidence for it: one report for cardmember, operator and API.

use std::slice;

use cards::{
    Advice, Attention, CardRef, CardRole, CardState, CardStatus, ChipBasis, PinReference, PlaceState,
    ScriptKind, Timestamp,
};
use serde::Serialize;
use store::{AttemptRecord, CardRecord};

use crate::chip_profile::ChipProfile;
use crate::{ActError, Desk, Refusal};

/// A card's PIN state, told. The field names are stable: they are the JSON of the API and the command line.
#[derive(Clone, Debug, Serialize)]
pub struct CardReport {
    /// Card reference, 16 hex digits.
    pub card: String,
    pub last_four: String,
    pub expiry: String,
    pub programme: String,
    /// The programme's chip profile, as in settings: `visa-cvn18`.
    pub profile: &'static str,
    /// Published text or vectors support the whole profile (`docs/standards.md`).
    pub profile_verified: bool,
    pub role: &'static str,
    /// `inactive`, `active`, `blocked`; `expired` where the card isn't blocked and its month is over.
    pub status: &'static str,
    /// Writes of the card's state so far.
    pub state_version: u64,
    pub host: HostReport,
    pub chip: ChipReport,
    pub script: ScriptReport,
    pub advice: Advice,
}

/// The host's side.
#[derive(Clone, Debug, Serialize)]
pub struct HostReport {
    /// PIN version, 0 when there is none.
    pub version: u32,
    pub state: PlaceState,
    pub locked: bool,
    pub tries_left: u8,
    /// Whether the PIN can be shown (it is not when it was imported as a verification value).
    pub viewable: bool,
}

/// The chip's side.
#[derive(Clone, Debug, Serialize)]
pub struct ChipReport {
    pub state: PlaceState,
    /// The version, where it can be only one.
    pub known_version: Option<u32>,
    /// What it is known by: `personalised` (the issuer's own statement), `proven` (the chip's signed report), `possible`.
    pub basis: ChipBasis,
    pub possible_versions: Vec<u32>,
    /// Versions other than the host's that the cardmember can look up.
    pub viewable_versions: Vec<u32>,
    /// The chip said that its own PIN try limit is exceeded.
    pub pin_blocked: bool,
    /// Highest transaction counter of a valid cryptogram.
    pub atc_last: Option<u16>,
}

/// The script queue.
#[derive(Clone, Debug, Serialize)]
pub struct ScriptReport {
    pub queued: Option<&'static str>,
    pub in_flight: Option<InFlightReport>,
    pub needs_attention: bool,
    /// Why nothing is sent any more: `attempts_used_up`, `expired`, or why the HSM makes no script: `hsm_key_missing`,
    /// `hsm_unsupported`, `hsm_refused`, `hsm_no_answer`.
    pub attention: Option<&'static str>,
    pub attempts: Vec<AttemptReport>,
}

/// An attempt whose end isn't proven yet: a script, else an unblock by card status update.
#[derive(Clone, Debug, Serialize)]
pub struct InFlightReport {
    pub kind: &'static str,
    pub version: u32,
    pub atc: u16,
    pub reversed: bool,
}

/// One attempt with its evidence.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptReport {
    pub attempt: u32,
    pub kind: String,
    pub version: u32,
    pub atc: u16,
    pub sent_at_ms: i64,
    /// `sent`, `applied`, `failed`, `not_applied`, `reported`, `unknown`, `plastic_gone`.
    pub outcome: String,
    pub evidence: String,
    pub resolved_at_ms: Option<i64>,
}

/// Reports on a card, after the HSM has checked its record.
///
/// Refuses a reference that no card has. Authority is the caller's business: a surface for cardmembers uses
/// [`own_card_status`].
pub async fn card_status(desk: &Desk, card: CardRef, now: Timestamp) -> Result<CardReport, ActError> {
    let record = desk.store.card(card).await?.ok_or(Refusal::NotYourCard)?;
    report(desk, record, now).await
}

/// [`card_status`] for the card's own cardmember.
pub async fn own_card_status(
    desk: &Desk,
    card: CardRef,
    actor: &crate::Actor,
    now: Timestamp,
) -> Result<CardReport, ActError> {
    let opened = desk.open_own(card, actor).await?;
    report(desk, opened.record, now).await
}

async fn report(desk: &Desk, record: CardRecord, now: Timestamp) -> Result<CardReport, ActError> {
    let card = desk.open(record)?;
    desk.require_untampered(slice::from_ref(&card)).await?;
    let attempts = desk.store.attempts(card.row()).await?;
    let state = &card.state;
    let expired = card.is_expired(now) && state.status != CardStatus::Blocked;
    let advice = match expired {
        true => Advice::expired(),
        false => Advice::of(state, card.programme.unlocks_max, now),
    };
    Ok(CardReport {
        card: card.row().to_string(),
        last_four: card.record.last_four.clone(),
        expiry: card.record.expiry.printed(),
        programme: card.programme.name.clone(),
        profile: card.programme.scheme.name(),
        profile_verified: ChipProfile::of(card.programme.scheme).verified,
        role: match card.record.role {
            CardRole::Basic => "basic",
            CardRole::Supplementary => "supplementary",
        },
        status: match state.status {
            CardStatus::Inactive | CardStatus::Active if expired => "expired",
            CardStatus::Inactive => "inactive",
            CardStatus::Active => "active",
            CardStatus::Blocked => "blocked",
        },
        state_version: state.version,
        host: HostReport {
            version: state.host_chip_version().version,
            state: advice.host,
            locked: state.tries.locked(now).is_some(),
            tries_left: state.tries.left(),
            viewable: matches!(state.host.reference, PinReference::Sealed(_)),
        },
        chip: ChipReport::of(state, advice.chip),
        script: ScriptReport::of(state, attempts, now),
        advice,
    })
}

impl ChipReport {
    fn of(state: &CardState, place: PlaceState) -> Self {
        let hosts = state.host_chip_version().version;
        let possible = state.chip.possible();
        let viewable = possible
            .iter()
            .filter(|on_chip| on_chip.version != hosts && on_chip.sealed.is_some());
        Self {
            state: place,
            known_version: state.chip.known(),
            basis: state.chip_basis(),
            possible_versions: possible.iter().map(|on_chip| on_chip.version).collect(),
            viewable_versions: viewable.map(|on_chip| on_chip.version).collect(),
            pin_blocked: state.chip.pin_blocked,
            atc_last: state.atc_last,
        }
    }
}

impl ScriptReport {
    fn of(state: &CardState, attempts: Vec<AttemptRecord>, now: Timestamp) -> Self {
        let in_flight = state.script.under_way().next().map(|sent| InFlightReport {
            kind: script_name(sent.kind),
            version: sent.version,
            atc: sent.atc,
            reversed: sent.reversed,
        });
        Self {
            queued: state.script.queued().map(script_name),
            in_flight,
            needs_attention: state.script.needs_attention(now),
            attention: state.attention(now).map(Attention::name),
            attempts: attempts.into_iter().map(AttemptReport::from).collect(),
        }
    }
}

impl From<AttemptRecord> for AttemptReport {
    fn from(attempt: AttemptRecord) -> Self {
        Self {
            attempt: attempt.attempt,
            kind: attempt.kind,
            version: attempt.version,
            atc: attempt.atc,
            sent_at_ms: attempt.sent_at.0,
            outcome: attempt.outcome,
            evidence: attempt.evidence,
            resolved_at_ms: attempt.resolved_at.map(|at| at.0),
        }
    }
}

/// Stable name of a script's kind, in records and reports.
pub(crate) fn script_name(kind: ScriptKind) -> &'static str {
    match kind {
        ScriptKind::ChangePin => "change_pin",
        ScriptKind::ChangeKnownPin => "change_known_pin",
        ScriptKind::UnblockPin => "unblock_pin",
        ScriptKind::UnblockAndChangePin => "unblock_and_change_pin",
        ScriptKind::UnblockByCsu => "unblock_by_csu",
    }
}
