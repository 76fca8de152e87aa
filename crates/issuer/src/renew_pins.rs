//! PINs that an existing system has set since its cards were brought in: the later files of a migration.

use cards::{PinReference, Timestamp};
use hsm::{CheckRequest, HsmFault, PinVerdict, ZonePin};
use store::{AttemptWrite, AuditEvent, Commit, CommitOutcome, StoreFault};

use crate::counted::one_each;
use crate::desk::OpenCard;
use crate::import::{CHUNK_LEN, NewCard, NewCardPin, references};
use crate::{Desk, Fault};

/// What a renewal did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenewReport {
    pub renewed: u64,
    /// Cards that changed at the same moment and kept their PIN: to be tried again.
    pub moved: u64,
}

/// A card that is there, beside what a file says of it.
struct Pair<'a> {
    new: &'a NewCard,
    card: OpenCard<'a>,
}

/// Gives cards that are there the PIN of the batch, where it is another one; a card that isn't there, or for which the
/// batch has no PIN, is left alone.
///
/// The batch wins, also over a PIN that was set here meanwhile: it is for the time in which another system has the say.
/// Whether that system told the chip isn't known, so the chip may have either PIN until it proves one. To compare a PIN
/// block with the PIN that the HSM keeps gives nobody a second guess: where it doesn't match, it takes that PIN's place.
pub async fn renew_pins(
    desk: &Desk,
    batch: &[NewCard],
    actor: &str,
    now: Timestamp,
) -> Result<RenewReport, Fault> {
    let mut report = RenewReport::default();
    for chunk in batch.chunks(CHUNK_LEN) {
        let pairs = differing(desk, there(desk, chunk).await?).await?;
        let commits = commits(desk, &pairs, actor, now).await?;
        let asked = commits.len();
        for outcome in one_each(desk.store.commit(commits).await?, asked, StoreFault)? {
            match outcome {
                CommitOutcome::Done { .. } => report.renewed += 1,
                _ => report.moved += 1,
            }
        }
    }
    Ok(report)
}

async fn there<'a>(desk: &'a Desk, chunk: &'a [NewCard]) -> Result<Vec<Pair<'a>>, Fault> {
    let pans = chunk.iter().map(|card| card.pan.clone()).collect();
    let keys = one_each(desk.hsm.card_keys(pans).await?, chunk.len(), HsmFault::NoAnswer)?;
    let records = one_each(desk.store.cards(keys).await?, chunk.len(), StoreFault)?;
    let there = chunk.iter().zip(records).filter_map(|(new, record)| {
        let card = desk.open(record?);
        Some(card.map(|card| Pair { new, card }))
    });
    there.collect()
}

/// Those with another PIN. The HSM checks every card's record on the way.
async fn differing<'a>(desk: &Desk, pairs: Vec<Pair<'a>>) -> Result<Vec<Pair<'a>>, Fault> {
    let checks = pairs.iter().map(|pair| CheckRequest {
        card: pair.card.for_hsm(),
        cryptogram: None,
        pin: pair.comparable().cloned(),
        new_pin: None,
    });
    let replies = one_each(
        desk.hsm.check(checks.collect()).await?,
        pairs.len(),
        HsmFault::NoAnswer,
    )?;
    let mut differing = Vec::new();
    for (pair, reply) in pairs.into_iter().zip(replies) {
        let reply = reply.map_err(|refusal| Fault::of_card(refusal, pair.card.row()))?;
        let same = match pair.new.pin.unsealed() {
            Some(PinReference::None) => true,
            Some(reference) => reference == pair.card.state.host.reference,
            None => reply.pin == Some(PinVerdict::Match),
        };
        if !same {
            differing.push(pair);
        }
    }
    Ok(differing)
}

impl Pair<'_> {
    /// The file's PIN block, where the HSM keeps a PIN to compare it with.
    fn comparable(&self) -> Option<&ZonePin> {
        match (&self.new.pin, &self.card.state.host.reference) {
            (NewCardPin::Block(pin), PinReference::Sealed(_)) => Some(pin),
            _ => None,
        }
    }

    /// What is under way to the chip: its end will never be known.
    fn forgotten(&self, now: Timestamp) -> Vec<AttemptWrite> {
        let under_way = self.card.state.script.under_way();
        let forgotten = under_way.map(|sent| AttemptWrite::Resolved {
            attempt: sent.attempt,
            outcome: "unknown",
            evidence: "another system set the PIN meanwhile".to_owned(),
            at: now,
        });
        forgotten.collect()
    }
}

async fn commits(desk: &Desk, pairs: &[Pair<'_>], actor: &str, now: Timestamp) -> Result<Vec<Commit>, Fault> {
    let references = references(desk, pairs.iter().map(|pair| pair.new)).await?;
    let mut next = Vec::with_capacity(pairs.len());
    for (Pair { card, .. }, reference) in pairs.iter().zip(references) {
        let reference = reference.map_err(|refusal| Fault::of_card(refusal, card.row()))?;
        let mut state = card.state.next();
        let programme = card.programme;
        state.set_elsewhere(reference, programme.tries_max, &programme.script_rules(), now);
        next.push(state);
    }
    let moved: Vec<_> = pairs.iter().map(|pair| &pair.card.record).zip(&next).collect();
    let new_states = desk.seal_all(&moved).await?;
    let commits = pairs
        .iter()
        .zip(&next)
        .zip(new_states)
        .map(|((pair, state), new_state)| Commit {
            new_state: Some(new_state),
            attempts: pair.forgotten(now),
            ..pair.card.commit(AuditEvent {
                at: now,
                kind: "pin_renewed",
                card: Some(pair.card.row()),
                actor: actor.to_owned(),
                detail: format!(r#"{{"pin_version":{}}}"#, state.host.version),
            })
        });
    Ok(commits.collect())
}
