//! Brings in cardmembers and cards: all of a file, or nothing of it.

use std::collections::{HashMap, HashSet};

use cards::{
    CardKey, CardRole, CardState, CardStatus, CardmemberId, Expiry, Pan, PinReference, ProgrammeId, Psn,
    SealedPan, Timestamp,
};
use hsm::{HsmFault, HsmRefusal, ImportPin, Item, ZonePin, ZonePinFormat};
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
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Why a line of an import is refused: its index in the batch, column and reason.
type Refused = (usize, &'static str, String);

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
/// A card that is there with the same cardmember, PSN, expiry, programme, role and status is left alone, PIN included
/// (for its PIN see [`crate::renew_pins`]). Refuses besides: a programme that isn't configured, a number of another
/// length than its programme's, a cardmember that isn't there, a PIN that could never be compared here. All that is
/// wrong with the batch is told at once.
pub async fn import_cards(
    desk: &Desk,
    batch: Vec<NewCard>,
    actor: &str,
    now: Timestamp,
    progress: &mut (dyn FnMut(usize) + Send),
) -> Result<ImportReport, Fault> {
    let audit = imported("cards_imported", batch.len(), actor, now);
    let judged = judge(desk, &batch, &HashSet::new(), progress).await?;
    if judged.refused.is_empty() {
        let records = judged.accepted.into_iter().map(|(_, record)| record).collect();
        return Ok(desk.store.import_cards(records, audit).await?);
    }
    Ok(ImportReport {
        refused: with_store(desk, judged).await?,
        ..ImportReport::default()
    })
}

/// What [`import_cards`] would refuse. Writes nothing. `coming`: references of cardmembers that would be brought in
/// before.
pub async fn judge_cards(
    desk: &Desk,
    batch: &[NewCard],
    coming: &HashSet<String>,
    progress: &mut (dyn FnMut(usize) + Send),
) -> Result<Vec<(usize, &'static str, String)>, Fault> {
    let judged = judge(desk, batch, coming, progress).await?;
    with_store(desk, judged).await
}

/// Cards that may come in, with their indices, and what is wrong with the others.
#[derive(Default)]
struct Judged {
    accepted: Vec<(usize, CardRecord)>,
    refused: Vec<Refused>,
}

async fn judge(
    desk: &Desk,
    batch: &[NewCard],
    coming: &HashSet<String>,
    progress: &mut (dyn FnMut(usize) + Send),
) -> Result<Judged, Fault> {
    let mut judged = Judged::default();
    let mut earlier = HashMap::new();
    let mut first = 0;
    for chunk in batch.chunks(CHUNK_LEN) {
        let mut indices = Vec::with_capacity(chunk.len());
        let mut accepted = Vec::with_capacity(chunk.len());
        let found = find(desk, chunk, coming).await?;
        for (index, (card, found)) in (first..).zip(chunk.iter().zip(found)) {
            let before = *earlier.entry(found.key.row).or_insert(card);
            match accept(desk, card, before, found)? {
                Ok(card) => {
                    indices.push(index);
                    accepted.push(card);
                }
                Err(wrong) => {
                    let wrong = wrong.into_iter();
                    judged
                        .refused
                        .extend(wrong.map(|(column, reason)| (index, column, reason)));
                }
            }
        }
        let sealed = desk.sealed(accepted).await?;
        judged.accepted.extend(indices.into_iter().zip(sealed));
        first += chunk.len();
        progress(chunk.len());
    }
    Ok(judged)
}

/// All refusals, in the order of the batch: also what the store says no to among those that are accepted here.
async fn with_store(desk: &Desk, judged: Judged) -> Result<Vec<Refused>, Fault> {
    let (indices, records): (Vec<usize>, Vec<CardRecord>) = judged.accepted.into_iter().unzip();
    let by_store = desk.store.judge_cards(records).await?.into_iter();
    let by_store = by_store.filter_map(|(at, column, reason)| Some((*indices.get(at)?, column, reason)));
    let mut refused = judged.refused;
    refused.extend(by_store);
    refused.sort_by_key(|(at, _, _)| *at);
    Ok(refused)
}

/// What store and HSM say of a new card.
struct Found {
    cardmember: Option<CardmemberId>,
    key: CardKey,
    pan: SealedPan,
    there: Option<CardRecord>,
    reference: Item<PinReference>,
}

/// Nobody's number: cardmembers' begin at 1. Stands for one who would come before the card; never written.
const COMING: CardmemberId = CardmemberId(0);

async fn find(desk: &Desk, chunk: &[NewCard], coming: &HashSet<String>) -> Result<Vec<Found>, Fault> {
    let asked = chunk.len();
    let cardmembers = chunk.iter().map(|card| card.cardmember.clone()).collect();
    let cardmembers = desk.store.cardmembers_by_reference(cardmembers).await?;
    let cardmembers = one_each(cardmembers, asked, StoreFault)?;
    let pans = || chunk.iter().map(|card| card.pan.clone()).collect();
    let keys = one_each(desk.hsm.card_keys(pans()).await?, asked, HsmFault::NoAnswer)?;
    let pans = one_each(desk.hsm.seal_pans(pans()).await?, asked, HsmFault::NoAnswer)?;
    let there = one_each(desk.store.cards(keys.clone()).await?, asked, StoreFault)?;
    let references = references(desk, chunk.iter()).await?;
    let cardmembers = chunk.iter().zip(cardmembers).map(|(card, there)| {
        let coming = coming.contains(&card.cardmember).then_some(COMING);
        there.or(coming)
    });
    let found = cardmembers.zip(keys).zip(pans).zip(there).zip(references);
    Ok(found
        .map(|((((cardmember, key), pan), there), reference)| Found {
            cardmember,
            key,
            pan,
            there,
            reference,
        })
        .collect())
}

/// The record and state that a new card begins with, to be sealed; or every column that is wrong, and why.
/// `before`: the same card where the batch has it first.
fn accept(desk: &Desk, card: &NewCard, before: &NewCard, found: Found) -> Result<Accepted, Fault> {
    let earlier = |column, differs: bool| {
        differs.then(|| {
            (
                column,
                "the card stands on an earlier line with another value".to_owned(),
            )
        })
    };
    let mut wrong: Vec<_> = [
        earlier("status", before.status != card.status),
        earlier("pin", before.pin != card.pin),
    ]
    .into_iter()
    .flatten()
    .collect();
    let programme = desk.programmes.get(&card.programme);
    match programme {
        None => {
            let reason = format!("no programme {} is configured", card.programme.0);
            wrong.push(("programme", reason));
        }
        Some(programme) if usize::from(programme.pan_len_digits) != card.pan.len_digits() => {
            let reason = format!("this programme's PANs have {} digits", programme.pan_len_digits);
            wrong.push(("pan", reason));
        }
        Some(programme) => {
            if let Some(reason) = never_compared(card, &found, programme.pin_len_digits) {
                wrong.push(("pin", reason));
            }
        }
    }
    if found.cardmember.is_none() {
        wrong.push(("cardmember", "no cardmember has this reference".to_owned()));
    }
    if let Some(there) = found.there {
        let there = desk.open(there)?;
        if let Some(reason) = other_status(there.state.status, card.status) {
            wrong.push(("status", reason));
        }
    }
    let (Some(programme), Some(cardmember), Ok(reference), true) =
        (programme, found.cardmember, found.reference, wrong.is_empty())
    else {
        return Ok(Err(wrong));
    };
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
    let state = CardState::delivered(card.status, reference, programme.tries_max);
    Ok(Ok((record, state)))
}

type Accepted = Result<(CardRecord, CardState), Vec<(&'static str, String)>>;

/// Why a card's PIN would never match here, and what to do about it.
fn never_compared(card: &NewCard, found: &Found, len_digits: u8) -> Option<String> {
    let too_long = |offset: &[u8]| offset.len() > usize::from(len_digits);
    match (&card.pin, &found.reference) {
        (NewCardPin::Ibm3624 { offset }, _) if too_long(offset) => Some(format!(
            "the offset is longer than this programme's PINs, which have {len_digits} digits"
        )),
        (_, Ok(_)) => None,
        (NewCardPin::Pvv { pvki, .. }, Err(HsmRefusal::NoSuchKey)) => Some(format!(
            "no key verifies this PVKI: bring it in with pinward keys import pvk-{pvki} --purpose pin-verification-visa"
        )),
        (NewCardPin::Ibm3624 { .. }, Err(HsmRefusal::NoSuchKey)) => Some(
            "no key with a rule verifies offsets: bring it in with pinward keys import ibm3624 --purpose \
             pin-verification-ibm3624, then pinward keys ibm3624-rule"
                .to_owned(),
        ),
        (NewCardPin::Block(pin), Err(HsmRefusal::NoSuchKey)) => {
            let algorithm = match pin.format {
                ZonePinFormat::Iso0 | ZonePinFormat::Iso3 => "TDES",
                ZonePinFormat::Iso4 => "AES",
            };
            Some(format!(
                "no {algorithm} zone key {} is there for this block",
                pin.zone_key.0
            ))
        }
        (NewCardPin::Block(_), Err(HsmRefusal::PinBlock)) => Some(format!(
            "the PIN block is not acceptable: it is under another key, for another card number, or its PIN hasn't this \
             programme's {len_digits} digits"
        )),
        (_, Err(refusal)) => Some(refusal.to_string()),
    }
}

/// Why a card that is there doesn't take a file's status, and which command does. A status that the card has only reached
/// since its import is none of the file's business.
fn other_status(there: CardStatus, told: CardStatus) -> Option<String> {
    let (there, what_to_do) = match (there, told) {
        (CardStatus::Inactive, CardStatus::Inactive)
        | (CardStatus::Active, CardStatus::Active | CardStatus::Inactive)
        | (CardStatus::Blocked, CardStatus::Blocked) => return None,
        (CardStatus::Inactive, CardStatus::Active) => {
            ("inactive", "its cardmember activates it in the portal")
        }
        (there @ (CardStatus::Inactive | CardStatus::Active), CardStatus::Blocked) => (
            if there == CardStatus::Active {
                "active"
            } else {
                "inactive"
            },
            "pinward card replace blocks it as it gives it a new number",
        ),
        (CardStatus::Blocked, CardStatus::Inactive | CardStatus::Active) => {
            ("blocked", "no command takes that back")
        }
    };
    Some(format!(
        "the card is already there and {there}: an import leaves that as it is; {what_to_do}"
    ))
}

/// The references of cards' PINs, in order; a refusal where a PIN block isn't acceptable, or where the HSM lacks what it
/// compares a PVV or an offset with. A PIN of a programme that isn't configured is taken at no length.
pub(crate) async fn references(
    desk: &Desk,
    cards: impl Iterator<Item = &NewCard> + Clone + Send,
) -> Result<Vec<Item<PinReference>>, HsmFault> {
    let len_digits = |card: &NewCard| {
        let programme = desk.programmes.get(&card.programme);
        programme.map_or(0, |programme| programme.pin_len_digits)
    };
    let blocks = cards.clone().filter_map(|card| match &card.pin {
        NewCardPin::Block(pin) => Some(ImportPin {
            pan: card.pan.clone(),
            pin: pin.clone(),
            len_digits: len_digits(card),
        }),
        NewCardPin::None | NewCardPin::Pvv { .. } | NewCardPin::Ibm3624 { .. } => None,
    });
    let (blocks, values): (Vec<ImportPin>, Vec<PinReference>) = (
        blocks.collect(),
        cards.clone().filter_map(|card| card.pin.unsealed()).collect(),
    );
    let (blocks_len, values_len) = (blocks.len(), values.len());
    let sealed = desk.hsm.import_pins(blocks).await?;
    let mut sealed = one_each(sealed, blocks_len, HsmFault::NoAnswer)?.into_iter();
    let comparable = desk.hsm.can_compare(values).await?;
    let mut comparable = one_each(comparable, values_len, HsmFault::NoAnswer)?.into_iter();
    let references = cards.map(|card| match card.pin.unsealed() {
        Some(reference) => comparable
            .next()
            .expect("as many as there are values")
            .map(|()| reference),
        None => sealed
            .next()
            .expect("as many as there are PIN blocks")
            .map(PinReference::Sealed),
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
