//! The audit chain's arithmetic: how a link is made, and how a broken one is found.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::{AuditAnchor, AuditRecord};

/// What the first record follows.
pub(crate) const GENESIS: [u8; 32] = [0; 32];

/// The fields of a record that its hash covers, besides the hash before it.
pub(crate) struct Link<'a> {
    pub(crate) sequence: u64,
    pub(crate) at: i64,
    pub(crate) kind: &'a str,
    pub(crate) card: Option<u64>,
    pub(crate) actor: &'a str,
    pub(crate) detail: &'a str,
}

impl Link<'_> {
    /// The hash as [`AuditRecord`] documents it.
    pub(crate) fn hash(&self, previous: &[u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(previous);
        hash.update(self.sequence.to_be_bytes());
        hash.update(self.at.to_be_bytes());
        update_with_text(&mut hash, self.kind);
        match self.card {
            None => hash.update([0]),
            Some(card) => {
                hash.update([1]);
                hash.update(card.to_be_bytes());
            }
        }
        update_with_text(&mut hash, self.actor);
        update_with_text(&mut hash, self.detail);
        hash.finalize().into()
    }
}

fn update_with_text(hash: &mut Sha256, text: &str) {
    let length = u32::try_from(text.len()).expect("SQLite refuses texts of a billion bytes");
    hash.update(length.to_be_bytes());
    hash.update(text);
}

/// Where the audit chain stops being what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainBreak {
    /// Records are missing or out of order.
    #[error("audit record {expected} should come next, {found} does")]
    Gap { expected: u64, found: u64 },
    /// The record, or one before it, isn't the one that was hashed.
    #[error("audit record {sequence} doesn't follow from the record before it")]
    Hash { sequence: u64 },
    /// The chain was rewritten from somewhere before this record, consistently.
    #[error("audit record {sequence} isn't the one that was anchored")]
    Anchor { sequence: u64 },
    /// Records at the end are missing.
    #[error("the audit chain ends at {last}, but record {anchored} was anchored")]
    TailCut { last: u64, anchored: u64 },
}

/// Follows an audit chain record by record and stops at the first break.
///
/// Believes its anchors: the caller has their MACs checked by the HSM first. Records that were cut off after the
/// last anchor, or rewritten consistently there, it can't miss.
#[derive(Debug)]
pub struct ChainCheck {
    last: u64,
    hash: [u8; 32],
    /// Anchored hashes by sequence number, those still to come.
    anchors: BTreeMap<u64, [u8; 32]>,
}

impl ChainCheck {
    /// A check from the first record on, against these anchors in any order.
    #[must_use]
    pub fn new(anchors: &[AuditAnchor]) -> Self {
        let anchors = anchors
            .iter()
            .map(|anchor| (anchor.sequence, anchor.hash))
            .collect();
        Self {
            last: 0,
            hash: GENESIS,
            anchors,
        }
    }

    /// Takes the next record. After a break the check is over.
    pub fn follow(&mut self, record: &AuditRecord) -> Result<(), ChainBreak> {
        let sequence = record.sequence;
        let expected = self.last + 1;
        if sequence != expected {
            return Err(ChainBreak::Gap {
                expected,
                found: sequence,
            });
        }
        let link = Link {
            sequence,
            at: record.at.0,
            kind: &record.kind,
            card: record.card.map(|card| card.0),
            actor: &record.actor,
            detail: &record.detail,
        };
        if link.hash(&self.hash) != record.hash {
            return Err(ChainBreak::Hash { sequence });
        }
        if self
            .anchors
            .remove(&sequence)
            .is_some_and(|anchored| anchored != record.hash)
        {
            return Err(ChainBreak::Anchor { sequence });
        }
        self.last = sequence;
        self.hash = record.hash;
        Ok(())
    }

    /// Ends the check after the last record; gives how many there were.
    pub fn end(self) -> Result<u64, ChainBreak> {
        match self.anchors.last_key_value() {
            Some((&anchored, _)) => Err(ChainBreak::TailCut {
                last: self.last,
                anchored,
            }),
            None => Ok(self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use cards::{CardRef, Timestamp};

    use super::*;

    fn chain(length: u64) -> Vec<AuditRecord> {
        let mut previous = GENESIS;
        (1..=length)
            .map(|sequence| {
                let card = (sequence % 2 == 0).then_some(sequence);
                let link = Link {
                    sequence,
                    at: 5,
                    kind: "pin_verified",
                    card,
                    actor: "link:acquirer-1",
                    detail: "{}",
                };
                previous = link.hash(&previous);
                AuditRecord {
                    sequence,
                    at: Timestamp(5),
                    kind: link.kind.into(),
                    card: card.map(CardRef),
                    actor: link.actor.into(),
                    detail: link.detail.into(),
                    hash: previous,
                }
            })
            .collect()
    }

    fn anchor(record: &AuditRecord) -> AuditAnchor {
        AuditAnchor {
            sequence: record.sequence,
            hash: record.hash,
            mac: [0; 16],
            at: record.at,
        }
    }

    fn check(records: &[AuditRecord], anchors: &[AuditAnchor]) -> Result<u64, ChainBreak> {
        let mut check = ChainCheck::new(anchors);
        records.iter().try_for_each(|record| check.follow(record))?;
        check.end()
    }

    #[test]
    fn an_untouched_chain_passes_with_its_anchors() {
        let records = chain(8);
        assert_eq!(
            check(&records, &[anchor(&records[3]), anchor(&records[7])]),
            Ok(8)
        );
        assert_eq!(check(&[], &[]), Ok(0));
    }

    #[test]
    fn an_edit_of_any_field_is_found_at_its_record() {
        let edits: [fn(&mut AuditRecord); 6] = [
            |record| record.at = Timestamp(6),
            |record| record.kind.push('x'),
            |record| record.card = None,
            |record| record.actor.push('x'),
            |record| record.detail = "{ }".into(),
            |record| record.hash[31] ^= 1,
        ];
        for edit in edits {
            let mut records = chain(8);
            edit(&mut records[3]);
            assert_eq!(check(&records, &[]), Err(ChainBreak::Hash { sequence: 4 }));
        }
    }

    #[test]
    fn text_moved_from_one_field_to_the_next_is_found() {
        let mut records = chain(2);
        records[0].kind = "pin_verifiedlink:".into();
        records[0].actor = "acquirer-1".into();
        assert_eq!(check(&records, &[]), Err(ChainBreak::Hash { sequence: 1 }));
    }

    #[test]
    fn a_missing_record_is_found() {
        let mut records = chain(8);
        records.remove(3);
        assert_eq!(
            check(&records, &[]),
            Err(ChainBreak::Gap {
                expected: 4,
                found: 5
            })
        );
        let beheaded = &chain(8)[1..];
        assert_eq!(
            check(beheaded, &[]),
            Err(ChainBreak::Gap {
                expected: 1,
                found: 2
            })
        );
    }

    #[test]
    fn swapped_records_are_found_even_when_they_are_renumbered() {
        let mut records = chain(8);
        records.swap(3, 4);
        assert_eq!(
            check(&records, &[]),
            Err(ChainBreak::Gap {
                expected: 4,
                found: 5
            })
        );
        records[3].sequence = 4;
        records[4].sequence = 5;
        assert_eq!(check(&records, &[]), Err(ChainBreak::Hash { sequence: 4 }));
    }

    #[test]
    fn a_tail_cut_below_an_anchor_is_found_and_one_above_is_not() {
        let records = chain(8);
        let anchors = [anchor(&records[5])];
        assert_eq!(
            check(&records[..5], &anchors),
            Err(ChainBreak::TailCut { last: 5, anchored: 6 })
        );
        assert_eq!(check(&records[..6], &anchors), Ok(6));
    }

    #[test]
    fn a_chain_rewritten_consistently_is_found_at_the_next_anchor() {
        let anchors = [anchor(&chain(8)[5])];
        let mut rewritten = chain(8);
        let mut previous = GENESIS;
        for record in &mut rewritten {
            record.detail = r#"{"rewritten":true}"#.into();
            let link = Link {
                sequence: record.sequence,
                at: record.at.0,
                kind: &record.kind,
                card: record.card.map(|card| card.0),
                actor: &record.actor,
                detail: &record.detail,
            };
            previous = link.hash(&previous);
            record.hash = previous;
        }
        assert_eq!(
            check(&rewritten, &anchors),
            Err(ChainBreak::Anchor { sequence: 6 })
        );
    }
}
