//! Cards whose chip isn't known to have the host's PIN, and those whose chip isn't told any more what it should be: what is
//! left of a migration, of a wave of changes, or of unlocks.

use cards::{Attention, CardRef, CardState, CardStatus, Timestamp};
use serde::Serialize;
use store::CardRecord;

use crate::card_status::script_name;
use crate::desk::OpenCard;
use crate::{Desk, Fault};

/// A card whose chip lags behind the host, or that needs attention. The field names are stable: they are the JSON of the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaggingCard {
    /// Card reference, 16 hex digits.
    pub card: String,
    pub last_four: String,
    pub programme: String,
    pub host_version: u32,
    /// The PIN versions that the chip may have; 0 stands for none.
    pub chip_versions: Vec<u32>,
    /// Since when the new PIN or the unlock waits; `None` where neither is to be sent: a PVV or offset can't be.
    pub waits_since_ms: Option<i64>,
    /// The card was last inserted and proved itself; `None` where never.
    pub contact_last_ms: Option<i64>,
    pub queued: Option<&'static str>,
    /// Sent, its end not proven yet.
    pub sent: Option<&'static str>,
    /// Nothing is sent any more: a person must look at it.
    pub needs_attention: bool,
    /// Why, as in `ScriptReport::attention`.
    pub attention: Option<&'static str>,
}

/// A page of cards, and where the next begins.
#[derive(Debug)]
pub struct LagPage {
    pub lagging: Vec<LaggingCard>,
    /// Cards looked at in this page.
    pub looked_at: usize,
    /// To be given for the next page; `None` at the end.
    pub next: Option<CardRef>,
}

/// Cards looked at in one step: one call of the HSM, which checks their records.
const PAGE_LEN: u32 = 1_000;

/// The next cards after `after` (`None` at the beginning), those that are in use and lag behind or need attention.
///
/// A card whose record isn't the HSM's ends the report: what it says can't be trusted.
pub async fn chip_lag(desk: &Desk, after: Option<CardRef>, now: Timestamp) -> Result<LagPage, Fault> {
    let records = desk.store.cards_from(after, PAGE_LEN).await?;
    let next = records.last().map(|record| record.key.row);
    let looked_at = records.len();
    let open: Vec<OpenCard<'_>> = records
        .into_iter()
        .map(|record| desk.open(record))
        .collect::<Result<_, _>>()?;
    desk.require_untampered(&open).await?;
    let lagging = open
        .iter()
        .filter(|card| card.state.status == CardStatus::Active)
        .filter(|card| card.state.chip_lags() || card.state.script.needs_attention(now))
        .map(|card| lagging(&card.record, &card.state, now))
        .collect();
    Ok(LagPage {
        lagging,
        looked_at,
        next,
    })
}

fn lagging(record: &CardRecord, state: &CardState, now: Timestamp) -> LaggingCard {
    let possible = state.chip.possible().iter();
    LaggingCard {
        card: record.key.row.to_string(),
        last_four: record.last_four.clone(),
        programme: record.programme.0.clone(),
        host_version: state.host.version,
        chip_versions: possible.map(|version| version.version).collect(),
        waits_since_ms: state
            .script
            .change
            .or(state.script.unblock)
            .map(|wish| wish.since.0),
        contact_last_ms: state.contact_last.map(|at| at.0),
        queued: state.script.queued().map(script_name),
        sent: state.script.under_way().next().map(|sent| script_name(sent.kind)),
        needs_attention: state.script.needs_attention(now),
        attention: state.attention(now).map(Attention::name),
    }
}
