//! Imports: everything is looked at first, and written only when nothing is refused.

use std::collections::{HashMap, HashSet};

use cards::CardmemberId;
use rusqlite::{Connection, OptionalExtension};

use crate::{
    AuditEvent, CardRecord, CardmemberRecord, ImportReport, NewCardmember,
    sqlite::{commit::Writing, committer::Failure, rows, statements as sql},
};

/// Why a row of an import is refused: column and reason.
type Refusal = (&'static str, String);

/// How a row of an import stands to what is there.
enum Standing {
    New,
    Unchanged,
    Refused(Refusal),
}

/// Cards of an import.
pub(super) struct CardImport {
    batch: Vec<CardRecord>,
    /// Indexes into `batch` by the number of the row: inserting in key order is several times faster.
    by_row: Vec<usize>,
    audit: AuditEvent,
}

impl CardImport {
    pub(super) fn new(batch: Vec<CardRecord>, audit: AuditEvent) -> Self {
        let mut by_row = (0..batch.len()).collect::<Vec<_>>();
        by_row.sort_by_key(|&at| batch.get(at).map(|card| rows::row_id(card.key.row)));
        Self { batch, by_row, audit }
    }

    pub(super) fn write(&self, writing: &mut Writing<'_>) -> Result<ImportReport, Failure> {
        let mut report = ImportReport::default();
        let mut new = Vec::with_capacity(self.batch.len());
        let mut cardmembers = HashSet::new();
        let mut stored = writing.connection.prepare_cached(sql::CARD_BY_ID)?;
        for (at, card) in self
            .by_row
            .iter()
            .filter_map(|&at| Some((at, self.batch.get(at)?)))
        {
            // The batch's own row comes right before it in this order.
            let before = new
                .last()
                .copied()
                .filter(|before: &&CardRecord| before.key.row == card.key.row);
            let standing = match before {
                Some(before) => compare_cards(before, card),
                None => match stored
                    .query_row([rows::row_id(card.key.row)], rows::card)
                    .optional()?
                {
                    Some(stored) => compare_cards(&stored, card),
                    None if is_known(card.cardmember, &mut cardmembers, writing.connection)? => Standing::New,
                    None => Standing::Refused(("cardmember", "there is no such cardmember".into())),
                },
            };
            match standing {
                Standing::New => new.push(card),
                Standing::Unchanged => report.unchanged += 1,
                Standing::Refused((column, reason)) => report.refused.push((at, column, reason)),
            }
        }
        report.refused.sort_by_key(|(at, _, _)| *at);
        if !report.refused.is_empty() {
            return Ok(ImportReport {
                refused: report.refused,
                ..ImportReport::default()
            });
        }
        for card in &new {
            insert_card(card, writing.connection)?;
        }
        report.inserted = count(new.len());
        if report.inserted > 0 {
            writing.append_audit(std::slice::from_ref(&self.audit))?;
        }
        Ok(report)
    }
}

fn compare_cards(there: &CardRecord, card: &CardRecord) -> Standing {
    let refused = |column, reason: &str| Standing::Refused((column, reason.into()));
    if there.key.check != card.key.check {
        return refused(
            "pan",
            "another card's number leads to the same row; this card can't be held here",
        );
    }
    let differs = [
        ("cardmember", there.cardmember != card.cardmember),
        ("psn", there.psn != card.psn),
        ("expiry", there.expiry != card.expiry),
        ("programme", there.programme != card.programme),
        ("role", there.role != card.role),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        Some((column, _)) => refused(column, "the card is already there with another value"),
        None => Standing::Unchanged,
    }
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
    let mut report = ImportReport::default();
    let mut new = Vec::with_capacity(batch.len());
    let mut by_reference = HashMap::new();
    let mut user_ids = HashSet::new();
    for (at, cardmember) in batch.iter().enumerate() {
        let standing = match by_reference.get(cardmember.reference.as_str()) {
            Some(&before) if before == cardmember => Standing::Unchanged,
            Some(_) => {
                Standing::Refused(("reference", "the same reference stands on an earlier line".into()))
            }
            None => standing_of_cardmember(cardmember, &user_ids, writing.connection)?,
        };
        by_reference
            .entry(cardmember.reference.as_str())
            .or_insert(cardmember);
        user_ids.extend(cardmember.user_id.as_deref());
        match standing {
            Standing::New => new.push(cardmember),
            Standing::Unchanged => report.unchanged += 1,
            Standing::Refused((column, reason)) => report.refused.push((at, column, reason)),
        }
    }
    if !report.refused.is_empty() {
        return Ok(ImportReport {
            refused: report.refused,
            ..ImportReport::default()
        });
    }
    let mut insert = writing.connection.prepare_cached(sql::INSERT_CARDMEMBER)?;
    for cardmember in &new {
        insert.execute((
            &cardmember.reference,
            &cardmember.name,
            &cardmember.email,
            &cardmember.user_id,
        ))?;
    }
    report.inserted = count(new.len());
    if report.inserted > 0 {
        writing.append_audit(std::slice::from_ref(audit))?;
    }
    Ok(report)
}

/// `user_ids` are those on earlier lines of the same import.
fn standing_of_cardmember(
    cardmember: &NewCardmember,
    user_ids: &HashSet<&str>,
    connection: &Connection,
) -> Result<Standing, Failure> {
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
        return Ok(Standing::Refused((
            "user_id",
            "the same user ID stands on an earlier line".into(),
        )));
    }
    let taken = connection
        .prepare_cached(sql::CARDMEMBER_BY_USER_ID)?
        .exists([user_id])?;
    Ok(if taken {
        Standing::Refused(("user_id", "another cardmember has this user ID".into()))
    } else {
        Standing::New
    })
}

fn compare_cardmembers(there: &CardmemberRecord, cardmember: &NewCardmember) -> Standing {
    let differs = [
        ("name", there.name != cardmember.name),
        ("email", there.email != cardmember.email),
        // Without one in the import, the cardmember may have registered since.
        (
            "user_id",
            cardmember.user_id.is_some() && there.user_id != cardmember.user_id,
        ),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        Some((column, _)) => Standing::Refused((
            column,
            "the cardmember is already there with another value".into(),
        )),
        None => Standing::Unchanged,
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).expect("a usize has at most 64 bits")
}
