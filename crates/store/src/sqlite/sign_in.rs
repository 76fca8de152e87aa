//! Passwords, sessions and step-ups.

use cards::{CardmemberId, Timestamp};
use rusqlite::OptionalExtension;

use crate::{
    AuditEvent, SessionRecord, SignInCharge, StepUpGrant,
    sqlite::{commit::Writing, committer::Failure, rows, statements as sql},
};

pub(super) fn set_password(
    writing: &mut Writing<'_>,
    cardmember: CardmemberId,
    password_hash: &str,
    mac: &[u8; 16],
    audit: &AuditEvent,
) -> Result<(), Failure> {
    let set =
        writing
            .connection
            .prepare_cached(sql::SET_PASSWORD)?
            .execute((password_hash, mac, cardmember.0))?;
    if set == 0 {
        return Err(no_such(cardmember));
    }
    for end in [sql::DELETE_STEP_UPS_OF, sql::DELETE_SESSIONS_OF] {
        writing.connection.prepare_cached(end)?.execute([cardmember.0])?;
    }
    writing.append_audit(std::slice::from_ref(audit))
}

fn no_such(cardmember: CardmemberId) -> Failure {
    Failure::Impossible(format!("there is no cardmember {}", cardmember.0))
}

pub(super) fn charge(
    writing: &Writing<'_>,
    cardmember: CardmemberId,
    now: Timestamp,
    failures_max: u32,
    pause_ms: i64,
) -> Result<SignInCharge, Failure> {
    let (failures, locked_until) = writing
        .connection
        .prepare_cached(sql::SIGN_IN_TRIES)?
        .query_row([cardmember.0], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?
        .ok_or_else(|| no_such(cardmember))?;
    if now.0 < locked_until {
        return Ok(SignInCharge::LockedUntil(Timestamp(locked_until)));
    }
    // A pause that is over has paid for the failures before it.
    let failures = if failures >= failures_max { 1 } else { failures + 1 };
    let locked_until = if failures >= failures_max {
        now.plus_ms(pause_ms)
    } else {
        Timestamp(0)
    };
    write_tries(writing, cardmember, failures, locked_until)?;
    Ok(SignInCharge::Charged)
}

fn write_tries(
    writing: &Writing<'_>,
    cardmember: CardmemberId,
    failures: u32,
    locked_until: Timestamp,
) -> Result<(), Failure> {
    writing.connection.prepare_cached(sql::CHARGE_SIGN_IN)?.execute((
        failures,
        locked_until.0,
        cardmember.0,
    ))?;
    Ok(())
}

pub(super) fn open_session(
    writing: &mut Writing<'_>,
    session: &SessionRecord,
    audit: &AuditEvent,
) -> Result<(), Failure> {
    writing.connection.prepare_cached(sql::INSERT_SESSION)?.execute((
        &session.token_hash,
        session.cardmember.0,
        session.opened_at.0,
        session.seen_at.0,
        &session.mac,
    ))?;
    write_tries(writing, session.cardmember, 0, Timestamp(0))?;
    writing.append_audit(std::slice::from_ref(audit))
}

pub(super) fn see_session(
    writing: &Writing<'_>,
    token_hash: &[u8; 32],
    now: Timestamp,
    idle_since: Timestamp,
    opened_since: Timestamp,
) -> Result<Option<SessionRecord>, Failure> {
    let mut see = writing.connection.prepare_cached(sql::SEE_SESSION)?;
    let session = see.query_row((now.0, token_hash, idle_since.0, opened_since.0), rows::session);
    Ok(session.optional()?)
}

/// Unspent grants end with their session.
pub(super) fn close_session(writing: &Writing<'_>, token_hash: &[u8; 32]) -> Result<(), Failure> {
    writing
        .connection
        .prepare_cached(sql::DELETE_STEP_UPS)?
        .execute([token_hash])?;
    writing
        .connection
        .prepare_cached(sql::DELETE_SESSION)?
        .execute([token_hash])?;
    Ok(())
}

pub(super) fn grant_step_up(
    writing: &mut Writing<'_>,
    grant: &StepUpGrant,
    audit: &AuditEvent,
) -> Result<bool, Failure> {
    let found = writing
        .connection
        .prepare_cached(sql::RENEW_SESSION)?
        .query_row((grant.renewed, grant.renewed_mac, grant.session), |row| {
            row.get(0).map(CardmemberId)
        })
        .optional()?;
    let Some(cardmember) = found else {
        return Ok(false);
    };
    writing
        .connection
        .prepare_cached(sql::MOVE_STEP_UPS)?
        .execute((grant.renewed, grant.session))?;
    write_tries(writing, cardmember, 0, Timestamp(0))?;
    writing.connection.prepare_cached(sql::GRANT_STEP_UP)?.execute((
        grant.renewed,
        rows::row_id(grant.card),
        grant.operation,
        audit.at.0,
        grant.mac,
    ))?;
    writing.append_audit(std::slice::from_ref(audit))?;
    Ok(true)
}
