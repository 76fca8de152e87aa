//! Imports: everything is looked at first, and written only when nothing is refused.

use std::collections::{HashMap, HashSet};

use cards::CardmemberId;
use rusqlite::{Connection, OptionalExtension};

use crate::{
    AuditEvent, CardRecord, CardmemberRecord, ImportReport, NewCardmember, RefusedRow,
    sqlite::{commit::Writing, committer::Failure, rows, statements as sql},
};

/// How a row of an import stands to what is there.
enum Standing {
    New,
    Unchanged,
    /// Every column that is wrong, and why.
    Refused(Vec<(&'static str, String)>),
}

/// How a whole import stands to what is there.
pub(super) struct Judged<'b, T> {
    new: Vec<&'b T>,
    unchanged: u64,
    pub(super) refused: Vec<RefusedRow>,
}

impl<'b, T> Judged<'b, T> {
    fn with_capacity(len: usize) -> Self {
        Self {
            new: Vec::with_capacity(len),
            unchanged: 0,
            refused: Vec::new(),
        }
    }

    fn add(&mut self, at: usize, row: &'b T, standing: Standing) {
        match standing {
            Standing::New => self.new.push(row),
            Standing::Unchanged => self.unchanged += 1,
            Standing::Refused(wrong) => {
                let wrong = wrong.into_iter();
                self.refused
                    .extend(wrong.map(|(column, reason)| (at, column, reason)));
            }
        }
    }

    /// Writes what is new, where nothing is refused.
    fn write(
        self,
        writing: &mut Writing<'_>,
        audit: &AuditEvent,
        insert: impl Fn(&T, &Connection) -> Result<(), Failure>,
    ) -> Result<ImportReport, Failure> {
        if !self.refused.is_empty() {
            return Ok(ImportReport {
                refused: self.refused,
                ..ImportReport::default()
            });
        }
        for row in &self.new {
            insert(row, writing.connection)?;
        }
        if !self.new.is_empty() {
            writing.append_audit(std::slice::from_ref(audit))?;
        }
        Ok(ImportReport {
            inserted: u64::try_from(self.new.len()).expect("a usize has at most 64 bits"),
            unchanged: self.unchanged,
            refused: self.refused,
        })
    }
}

/// Cards of an import.
pub(super) struct CardImport {
    batch: Vec<CardRecord>,
    audit: AuditEvent,
}

impl CardImport {
    pub(super) fn new(batch: Vec<CardRecord>, audit: AuditEvent) -> Self {
        Self { batch, audit }
    }

    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<ImportReport, Failure> {
        let mut judged = judge_cards(writing.connection, &self.batch)?;
        refuse_unknown(writing.connection, &self.batch, &mut judged)?;
        judged.write(writing, &self.audit, insert_card)
    }
}

/// The cards of a batch beside those that are there, and beside each other; whether their cardmembers are there isn't
/// asked. New ones are in the order of their rows: inserting so is several times faster.
pub(super) fn judge_cards<'b>(
    connection: &Connection,
    batch: &'b [CardRecord],
) -> rusqlite::Result<Judged<'b, CardRecord>> {
    let mut by_row: Vec<(usize, &CardRecord)> = batch.iter().enumerate().collect();
    by_row.sort_by_key(|(_, card)| rows::row_id(card.key.row));
    let mut judged: Judged<'b, CardRecord> = Judged::with_capacity(batch.len());
    let mut stored = connection.prepare_cached(sql::CARD_BY_ID)?;
    for (at, card) in by_row {
        // The batch's own row comes right before it in this order.
        let before = judged.new.last().copied();
        let standing = match before.filter(|before| before.key.row == card.key.row) {
            Some(before) => compare_cards(before, card, "stands on an earlier line"),
            None => match stored
                .query_row([rows::row_id(card.key.row)], rows::card)
                .optional()?
            {
                Some(stored) => compare_cards(&stored, card, "is already there"),
                None => Standing::New,
            },
        };
        judged.add(at, card, standing);
    }
    judged.refused.sort_by_key(|(at, _, _)| *at);
    Ok(judged)
}

fn compare_cards(there: &CardRecord, card: &CardRecord, where_it_is: &str) -> Standing {
    if there.key.check != card.key.check {
        return Standing::Refused(vec![(
            "pan",
            "another card's number leads to the same row; this card can't be held here".into(),
        )]);
    }
    let columns = [
        ("cardmember", there.cardmember != card.cardmember),
        ("psn", there.psn != card.psn),
        ("expiry", there.expiry != card.expiry),
        ("programme", there.programme != card.programme),
        ("role", there.role != card.role),
    ];
    unchanged_or(&columns, &format!("the card {where_it_is} with another value"))
}

fn unchanged_or(columns: &[(&'static str, bool)], reason: &str) -> Standing {
    let differ = columns.iter().filter(|(_, differs)| *differs);
    let differ: Vec<_> = differ.map(|(column, _)| (*column, reason.to_owned())).collect();
    if differ.is_empty() {
        Standing::Unchanged
    } else {
        Standing::Refused(differ)
    }
}

/// Refuses new cards whose cardmember isn't there.
fn refuse_unknown(
    connection: &Connection,
    batch: &[CardRecord],
    judged: &mut Judged<'_, CardRecord>,
) -> Result<(), Failure> {
    let mut known = HashSet::new();
    let mut unknown = HashSet::new();
    for card in &judged.new {
        if !is_known(card.cardmember, &mut known, connection)? {
            unknown.insert(card.key.row);
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    for (at, card) in batch.iter().enumerate() {
        if unknown.contains(&card.key.row) {
            judged
                .refused
                .push((at, "cardmember", "there is no such cardmember".into()));
        }
    }
    judged.refused.sort_by_key(|(at, _, _)| *at);
    Ok(())
}

fn is_known(
    cardmember: CardmemberId,
    known: &mut HashSet<CardmemberId>,
    connection: &Connection,
) -> Result<bool, Failure> {
    if known.contains(&cardmember) {
        return Ok(true);
    }
    let exists = connection
        .prepare_cached(sql::CARDMEMBER_BY_ID)?
        .exists([cardmember.0])?;
    if exists {
        known.insert(cardmember);
    }
    Ok(exists)
}

pub(super) fn insert_card(card: &CardRecord, connection: &Connection) -> Result<(), Failure> {
    connection.prepare_cached(sql::INSERT_CARD)?.execute((
        rows::row_id(card.key.row),
        &card.key.check,
        &card.pan.0,
        card.psn.number(),
        &card.last_four,
        card.expiry.yymm(),
        &card.programme.0,
        card.cardmember.0,
        rows::role_name(card.role),
        card.version.cast_signed(),
        &card.state,
        &card.mac,
    ))?;
    Ok(())
}

pub(super) fn import_cardmembers(
    writing: &mut Writing<'_>,
    batch: &[NewCardmember],
    audit: &AuditEvent,
) -> Result<ImportReport, Failure> {
    let judged = judge_cardmembers(writing.connection, batch)?;
    judged.write(writing, audit, insert_cardmember)
}

/// The cardmembers of a batch beside those that are there, and beside each other.
pub(super) fn judge_cardmembers<'b>(
    connection: &Connection,
    batch: &'b [NewCardmember],
) -> rusqlite::Result<Judged<'b, NewCardmember>> {
    let mut judged: Judged<'b, _> = Judged::with_capacity(batch.len());
    let mut by_reference = HashMap::new();
    let mut user_ids = HashSet::new();
    for (at, cardmember) in batch.iter().enumerate() {
        let standing = match by_reference.get(cardmember.reference.as_str()) {
            Some(&before) if before == cardmember => Standing::Unchanged,
            Some(_) => Standing::Refused(vec![(
                "reference",
                "the same reference stands on an earlier line".into(),
            )]),
            None => standing_of_cardmember(cardmember, &user_ids, connection)?,
        };
        by_reference
            .entry(cardmember.reference.as_str())
            .or_insert(cardmember);
        user_ids.extend(cardmember.user_id.as_deref());
        judged.add(at, cardmember, standing);
    }
    Ok(judged)
}

fn insert_cardmember(cardmember: &NewCardmember, connection: &Connection) -> Result<(), Failure> {
    connection.prepare_cached(sql::INSERT_CARDMEMBER)?.execute((
        &cardmember.reference,
        &cardmember.name,
        &cardmember.email,
        &cardmember.user_id,
    ))?;
    Ok(())
}

/// `user_ids` are those on earlier lines of the same import.
fn standing_of_cardmember(
    cardmember: &NewCardmember,
    user_ids: &HashSet<&str>,
    connection: &Connection,
) -> rusqlite::Result<Standing> {
    let stored = connection
        .prepare_cached(sql::CARDMEMBER_BY_REFERENCE)?
        .query_row([&cardmember.reference], rows::cardmember)
        .optional()?;
    if let Some(stored) = stored {
        return Ok(compare_cardmembers(&stored, cardmember));
    }
    let Some(user_id) = cardmember.user_id.as_deref() else {
        return Ok(Standing::New);
    };
    if user_ids.contains(user_id) {
        return Ok(Standing::Refused(vec![(
            "user_id",
            "the same user ID stands on an earlier line".into(),
        )]));
    }
    let taken = connection
        .prepare_cached(sql::CARDMEMBER_BY_USER_ID)?
        .exists([user_id])?;
    Ok(if taken {
        Standing::Refused(vec![("user_id", "another cardmember has this user ID".into())])
    } else {
        Standing::New
    })
}

fn compare_cardmembers(there: &CardmemberRecord, cardmember: &NewCardmember) -> Standing {
    let columns = [
        ("name", there.name != cardmember.name),
        ("email", there.email != cardmember.email),
        // Without one in the import, the cardmember may have registered since.
        (
            "user_id",
            cardmember.user_id.is_some() && there.user_id != cardmember.user_id,
        ),
    ];
    unchanged_or(&columns, "the cardmember is already there with another value")
}
