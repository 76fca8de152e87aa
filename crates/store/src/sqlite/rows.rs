//! Between rows and records. Unsigned numbers of 64 bits are stored as the integer with the same bits.

use cards::{CardKey, CardRef, CardRole, CardmemberId, Expiry, ProgrammeId, Psn, SealedPan, Timestamp};
use rusqlite::{Error, Result, Row, types::Type};

use crate::{
    AttemptRecord, AuditAnchor, AuditRecord, CardRecord, CardmemberRecord, DueNotice, MessageRecord,
    OwedCount, OwedMessage, SessionRecord, StepUpRecord,
};

pub(super) fn row_id(card: CardRef) -> i64 {
    card.0.cast_signed()
}

fn card_ref(id: i64) -> CardRef {
    CardRef(id.cast_unsigned())
}

pub(super) fn role_name(role: CardRole) -> &'static str {
    match role {
        CardRole::Basic => "basic",
        CardRole::Supplementary => "supplementary",
    }
}

/// A value in a column that we never write there: the row was changed by somebody else.
fn foreign_value(column: usize, what: &'static str) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, what.into())
}

/// Columns as in `CARD_BY_ID`.
pub(super) fn card(row: &Row<'_>) -> Result<CardRecord> {
    Ok(CardRecord {
        key: CardKey {
            row: card_ref(row.get(0)?),
            check: row.get(1)?,
        },
        pan: SealedPan(row.get(2)?),
        psn: Psn::new(row.get(3)?).ok_or_else(|| foreign_value(3, "a card sequence number above 99"))?,
        last_four: row.get(4)?,
        expiry: Expiry::parse_yymm(row.get_ref(5)?.as_str()?)
            .ok_or_else(|| foreign_value(5, "an expiry that isn't YYMM"))?,
        programme: ProgrammeId(row.get(6)?),
        cardmember: CardmemberId(row.get(7)?),
        role: match row.get_ref(8)?.as_str()? {
            "basic" => CardRole::Basic,
            "supplementary" => CardRole::Supplementary,
            _ => return Err(foreign_value(8, "an unknown role")),
        },
        version: row.get::<_, i64>(9)?.cast_unsigned(),
        state: row.get(10)?,
        mac: row.get(11)?,
    })
}

/// Columns as in `MESSAGE`.
pub(super) fn message(row: &Row<'_>) -> Result<MessageRecord> {
    Ok(MessageRecord {
        identity: row.get(0)?,
        content: row.get(1)?,
        answer: row.get(2)?,
    })
}

/// Columns as in `ATTEMPTS`.
pub(super) fn attempt(row: &Row<'_>) -> Result<AttemptRecord> {
    Ok(AttemptRecord {
        attempt: row.get(0)?,
        kind: row.get(1)?,
        version: row.get(2)?,
        atc: row.get(3)?,
        sent_at: Timestamp(row.get(4)?),
        outcome: row.get(5)?,
        evidence: row.get(6)?,
        resolved_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
    })
}

/// Columns as in `CARDMEMBER_BY_ID`.
pub(super) fn cardmember(row: &Row<'_>) -> Result<CardmemberRecord> {
    Ok(CardmemberRecord {
        id: CardmemberId(row.get(0)?),
        reference: row.get(1)?,
        name: row.get(2)?,
        email: row.get(3)?,
        user_id: row.get(4)?,
        password_hash: row.get(5)?,
        password_mac: row.get(6)?,
    })
}

/// Columns as in `SEE_SESSION`.
pub(super) fn session(row: &Row<'_>) -> Result<SessionRecord> {
    Ok(SessionRecord {
        token_hash: row.get(0)?,
        cardmember: CardmemberId(row.get(1)?),
        opened_at: Timestamp(row.get(2)?),
        seen_at: Timestamp(row.get(3)?),
        mac: row.get(4)?,
    })
}

/// Columns as in `STEP_UP`.
pub(super) fn step_up(row: &Row<'_>) -> Result<StepUpRecord> {
    Ok(StepUpRecord {
        granted_at: Timestamp(row.get(0)?),
        mac: row.get(1)?,
    })
}

/// Columns as in `DUE_NOTICES`.
pub(super) fn due_notice(row: &Row<'_>) -> Result<DueNotice> {
    Ok(DueNotice {
        id: row.get(0)?,
        message_id: row.get(1)?,
        kind: row.get(2)?,
        name: row.get(3)?,
        email: row.get(4)?,
        last_four: row.get(5)?,
        at: Timestamp(row.get(6)?),
        detail: row.get(7)?,
        tries: row.get(8)?,
    })
}

/// Columns as in `OWED_FROM`.
pub(super) fn owed(row: &Row<'_>) -> Result<OwedMessage> {
    Ok(OwedMessage {
        id: row.get(0)?,
        at: Timestamp(row.get(1)?),
        sealed: row.get(2)?,
    })
}

/// Columns as in `OWED_BY_LINK`.
pub(super) fn owed_count(row: &Row<'_>) -> Result<OwedCount> {
    Ok(OwedCount {
        link: row.get(0)?,
        messages: row.get::<_, i64>(1)?.cast_unsigned(),
        oldest: Timestamp(row.get(2)?),
    })
}

/// Columns as in `AUDIT_FROM`.
pub(super) fn audit(row: &Row<'_>) -> Result<AuditRecord> {
    Ok(AuditRecord {
        sequence: row.get::<_, i64>(0)?.cast_unsigned(),
        at: Timestamp(row.get(1)?),
        kind: row.get(2)?,
        card: row.get::<_, Option<i64>>(3)?.map(card_ref),
        actor: row.get(4)?,
        detail: row.get(5)?,
        hash: row.get(6)?,
    })
}

/// Columns as in `ANCHORS`.
pub(super) fn anchor(row: &Row<'_>) -> Result<AuditAnchor> {
    Ok(AuditAnchor {
        sequence: row.get::<_, i64>(0)?.cast_unsigned(),
        hash: row.get(1)?,
        mac: row.get(2)?,
        at: Timestamp(row.get(3)?),
    })
}
