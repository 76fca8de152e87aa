//! Brings in cardmembers and cards: all of a file, or nothing of it.

use cards::{
    CardKey, CardRole, CardState, CardStatus, CardmemberId, Expiry, Pan, PinReference, ProgrammeId, Psn,
    SealedPan, Timestamp,
};
use hsm::{HsmFault, ImportPin, Item, ZonePin};
use store::{AuditEvent, CardRecord, ImportReport, NewCardmember, StoreFault};

use crate::counted::one_each;
use crate::{Desk, Fault};

/// A card to bring in, parsed and free of column errors.
#[derive(Clone, Debug)]
pub struct NewCard {
    /// The issuer's reference of its cardmember, imported before.
    pub cardmember: String,
    pub pan: Pan,
    pub psn: Psn,
    pub expiry: Expiry,
    pub programme: ProgrammeId,
    pub role: CardRole,
    pub status: CardStatus,
    pub pin: NewCardPin,
}

/// How a card's PIN comes with it.
#[derive(Clone, Debug)]
pub enum NewCardPin {
    None,
    /// Visa PIN verification value: verifies, can't be viewed or sent to a chip.
    Pvv {
        pvki: u8,
        pvv: [u8; 4],
    },
    /// IBM 3624 PIN offset, 4 to 12 digit values: verifies, can't be viewed or sent to a chip.
    Ibm3624 {
        offset: Vec<u8>,
    },
    /// Under a zone key that the HSM has.
    Block(ZonePin),
}

impl NewCardPin {
    /// The reference, where it is kept as it comes; `None` for a PIN block, which the HSM seals.
    pub(crate) fn unsealed(&self) -> Option<PinReference> {
        match self {
            Self::None => Some(PinReference::None),
            Self::Pvv { pvki, pvv } => Some(PinReference::Pvv {
                pvki: *pvki,
                pvv: *pvv,
            }),
            Self::Ibm3624 { offset } => Some(PinReference::Ibm3624 {
                offset: offset.clone(),
            }),
            Self::Block(_) => None,
        }
    }
}

/// Cards that go through the HSM in one call: enough to keep it busy, small enough to show progress.
pub(crate) const CHUNK_LEN: usize = 2_000;

/// Brings in cardmembers. One that is there with the same content is left alone.
pub async fn import_cardmembers(
    desk: &Desk,
    batch: Vec<NewCardmember>,
    actor: &str,
    now: Timestamp,
) -> Result<ImportReport, Fault> {
    let audit = imported("cardmembers_imported", batch.len(), actor, now);
    Ok(desk.store.import_cardmembers(batch, audit).await?)
}

/// Brings in cards: keys, encrypted PANs, PINs and states by the HSM, then one write. `progress` is told how many
/// cards have been through the HSM.
///
/// A card that is there with the same cardmember, PSN, expiry, programme and role is left alone, PIN included (for
/// its PIN see [`crate::renew_pins`]).
pub async fn import_cards(
    desk: &Desk,
    batch: Vec<NewCard>,
    actor: &str,
    now: Timestamp,
    progress: &mut (dyn FnMut(usize) + Send),
) -> Result<ImportReport, Fault> {
    let audit = imported("cards_imported", batch.len(), actor, now);
    let mut records = Vec::with_capacity(batch.len());
    let mut report = ImportReport::default();
    for chunk in batch.chunks(CHUNK_LEN) {
        let first = records.len() + report.refused.len();
        seal_chunk(desk, chunk, first, &mut records, &mut report).await?;
        progress(chunk.len());
    }
    if !report.refused.is_empty() {
        return Ok(report);
    }
    Ok(desk.store.import_cards(records, audit).await?)
}

async fn seal_chunk(
    desk: &Desk,
    chunk: &[NewCard],
    first: usize,
    records: &mut Vec<CardRecord>,
    report: &mut ImportReport,
) -> Result<(), Fault> {
    let mut accepted = Vec::with_capacity(chunk.len());
    for (at, (card, found)) in chunk.iter().zip(find(desk, chunk).await?).enumerate() {
        match accept(desk, card, found) {
            Ok(card) => accepted.push(card),
            Err((column, reason)) => report.refused.push((first + at, column, reason)),
        }
    }
    records.extend(desk.sealed(accepted).await?);
    Ok(())
}

/// What store and HSM say of a new card.
struct Found {
    cardmember: Option<CardmemberId>,
    key: CardKey,
    pan: SealedPan,
    reference: Item<PinReference>,
}

async fn find(desk: &Desk, chunk: &[NewCard]) -> Result<Vec<Found>, Fault> {
    let asked = chunk.len();
    let cardmembers = chunk.iter().map(|card| card.cardmember.clone()).collect();
    let cardmembers = desk.store.cardmembers_by_reference(cardmembers).await?;
    let cardmembers = one_each(cardmembers, asked, StoreFault)?;
    let pans = || chunk.iter().map(|card| card.pan.clone()).collect();
    let keys = one_each(desk.hsm.card_keys(pans()).await?, asked, HsmFault::NoAnswer)?;
    let pans = one_each(desk.hsm.seal_pans(pans()).await?, asked, HsmFault::NoAnswer)?;
    let references = references(desk, chunk.iter()).await?;
    let found = cardmembers.into_iter().zip(keys).zip(pans).zip(references);
    Ok(found
        .map(|(((cardmember, key), pan), reference)| Found {
            cardmember,
            key,
            pan,
            reference,
        })
        .collect())
}

/// The record and state that a new card begins with, to be sealed; or the column that is wrong, and why.
fn accept(
    desk: &Desk,
    card: &NewCard,
    found: Found,
) -> Result<(CardRecord, CardState), (&'static str, String)> {
    let programme = desk.programmes.get(&card.programme).ok_or_else(|| {
        let reason = format!("no programme {} is configured", card.programme.0);
        ("programme", reason)
    })?;
    if usize::from(programme.pan_len_digits) != card.pan.len_digits() {
        let reason = format!("this programme's PANs have {} digits", programme.pan_len_digits);
        return Err(("pan", reason));
    }
    let cardmember = found
        .cardmember
        .ok_or_else(|| ("cardmember", "no cardmember has this reference".to_owned()))?;
    let reference = found.reference.map_err(|refusal| ("pin", refusal.to_string()))?;
    let record = CardRecord {
        key: found.key,
        pan: found.pan,
        psn: card.psn,
        last_four: card.pan.last_four().to_owned(),
        expiry: card.expiry,
        programme: card.programme.clone(),
        cardmember,
        role: card.role,
        version: 0,
        state: Vec::new(),
        mac: [0; 16],
    };
    Ok((
        record,
        CardState::delivered(card.status, reference, programme.tries_max),
    ))
}

/// The references of cards' PINs, in order; a refusal where a PIN block isn't acceptable.
pub(crate) async fn references(
    desk: &Desk,
    cards: impl Iterator<Item = &NewCard> + Clone + Send,
) -> Result<Vec<Item<PinReference>>, HsmFault> {
    let blocks = cards.clone().filter_map(|card| match &card.pin {
        NewCardPin::Block(pin) => Some(ImportPin {
            pan: card.pan.clone(),
            pin: pin.clone(),
        }),
        NewCardPin::None | NewCardPin::Pvv { .. } | NewCardPin::Ibm3624 { .. } => None,
    });
    let blocks: Vec<ImportPin> = blocks.collect();
    let asked = blocks.len();
    let mut sealed = one_each(desk.hsm.import_pins(blocks).await?, asked, HsmFault::NoAnswer)?.into_iter();
    let mut next_sealed = || sealed.next().expect("as many as there are PIN blocks");
    let references = cards.map(|card| match card.pin.unsealed() {
        Some(reference) => Ok(reference),
        None => next_sealed().map(PinReference::Sealed),
    });
    Ok(references.collect())
}

fn imported(kind: &'static str, count: usize, actor: &str, now: Timestamp) -> AuditEvent {
    AuditEvent {
        at: now,
        kind,
        card: None,
        actor: actor.to_owned(),
        detail: format!(r#"{{"count":{count}}}"#),
    }
}
