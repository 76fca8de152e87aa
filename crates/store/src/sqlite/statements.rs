//! Every statement that runs against the migrated schema.
//!
//! Parameters are `$1`, `$2`, … in the order of their first appearance, which SQLite and PostgreSQL read alike.

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$doc])* pub(super) const $name: &str = $sql;)+
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

statements! {
    /// Of the connection: another number than before once somebody else has written.
    DATA_VERSION = "PRAGMA data_version";

    CARD_VERSION = "SELECT version FROM card WHERE id = $1";
    CARD_BY_ID = "SELECT id, pan_check, sealed_pan, psn, last_four, expiry, programme, cardmember, role, \
        version, state, mac FROM card WHERE id = $1";
    CARDS_FROM = "SELECT id, pan_check, sealed_pan, psn, last_four, expiry, programme, cardmember, role, \
        version, state, mac FROM card WHERE id >= $1 ORDER BY id LIMIT $2";
    /// The number of the row is unsigned, SQL's integers aren't: negative ones come last.
    CARDS_OF = "SELECT id, pan_check, sealed_pan, psn, last_four, expiry, programme, cardmember, role, \
        version, state, mac FROM card WHERE cardmember = $1 ORDER BY role, last_four, id";
    INSERT_CARD = "INSERT INTO card (id, pan_check, sealed_pan, psn, last_four, expiry, programme, cardmember, \
        role, version, state, mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    MOVE_CARD = "UPDATE card SET version = $1, state = $2, mac = $3 WHERE id = $4 AND version = $5";
    REISSUE_CARD = "UPDATE card SET psn = $1, expiry = $2, version = $3, state = $4, mac = $5 \
        WHERE id = $6 AND version = $7 AND pan_check = $8";

    MESSAGE = "SELECT identity, content, answer FROM message WHERE identity = $1";
    INSERT_MESSAGE = "INSERT INTO message (identity, content, answer) VALUES ($1, $2, $3) \
        ON CONFLICT (identity) DO NOTHING";
    BURY_MESSAGE = "INSERT INTO message (identity, content, answer) VALUES ($1, $2, $3) \
        ON CONFLICT (identity) DO UPDATE SET answer = excluded.answer";

    AUDIT_HEAD = "SELECT sequence, at, kind, card, actor, detail, hash FROM audit \
        ORDER BY sequence DESC LIMIT 1";
    AUDIT_FROM = "SELECT sequence, at, kind, card, actor, detail, hash FROM audit \
        WHERE sequence >= $1 ORDER BY sequence LIMIT $2";
    AUDIT_LAST = "SELECT sequence FROM audit ORDER BY sequence DESC LIMIT 1";
    CHAIN_HEAD = "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1";
    INSERT_AUDIT = "INSERT INTO audit (sequence, at, kind, card, actor, detail, hash) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    INSERT_ANCHOR = "INSERT INTO anchor (sequence, hash, mac, at) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (sequence) DO NOTHING";
    ANCHORS = "SELECT sequence, hash, mac, at FROM anchor ORDER BY sequence";

    INSERT_ATTEMPT = "INSERT INTO script_attempt (card, attempt, kind, version, atc, sent_at, outcome, evidence) \
        VALUES ($1, $2, $3, $4, $5, $6, 'sent', '')";
    RESOLVE_ATTEMPT = "UPDATE script_attempt SET outcome = $1, evidence = $2, resolved_at = $3 \
        WHERE card = $4 AND attempt = $5 AND outcome NOT IN ('applied', 'failed')";
    ATTEMPTS = "SELECT attempt, kind, version, atc, sent_at, outcome, evidence, resolved_at \
        FROM script_attempt WHERE card = $1 ORDER BY attempt";

    CARDMEMBER_BY_ID = "SELECT id, reference, name, email, user_id, password_hash, password_mac \
        FROM cardmember WHERE id = $1";
    CARDMEMBER_BY_REFERENCE = "SELECT id, reference, name, email, user_id, password_hash, password_mac \
        FROM cardmember WHERE reference = $1";
    CARDMEMBER_BY_USER_ID = "SELECT id, reference, name, email, user_id, password_hash, password_mac \
        FROM cardmember WHERE user_id = $1";
    INSERT_CARDMEMBER = "INSERT INTO cardmember (reference, name, email, user_id) VALUES ($1, $2, $3, $4)";
    SET_PASSWORD = "UPDATE cardmember SET password_hash = $1, password_mac = $2 WHERE id = $3";
    SIGN_IN_TRIES = "SELECT sign_in_failures, sign_in_locked_until FROM cardmember WHERE id = $1";
    CHARGE_SIGN_IN = "UPDATE cardmember SET sign_in_failures = $1, sign_in_locked_until = $2 WHERE id = $3";

    INSERT_SESSION = "INSERT INTO session (token_hash, cardmember, opened_at, seen_at, mac) \
        VALUES ($1, $2, $3, $4, $5)";
    SEE_SESSION = "UPDATE session SET seen_at = $1 \
        WHERE token_hash = $2 AND seen_at >= $3 AND opened_at >= $4 \
        RETURNING token_hash, cardmember, opened_at, seen_at, mac";
    RENEW_SESSION = "UPDATE session SET token_hash = $1, mac = $2 WHERE token_hash = $3 RETURNING cardmember";
    DELETE_SESSION = "DELETE FROM session WHERE token_hash = $1";
    DELETE_SESSIONS_OF = "DELETE FROM session WHERE cardmember = $1";
    MOVE_STEP_UPS = "UPDATE step_up SET session = $1 WHERE session = $2";
    DELETE_STEP_UPS = "DELETE FROM step_up WHERE session = $1";
    DELETE_STEP_UPS_OF = "DELETE FROM step_up WHERE session IN (SELECT token_hash FROM session WHERE cardmember = $1)";
    GRANT_STEP_UP = "INSERT INTO step_up (session, card, operation, granted_at, mac, spent) \
        VALUES ($1, $2, $3, $4, $5, 0) \
        ON CONFLICT (session, card, operation) \
        DO UPDATE SET granted_at = excluded.granted_at, mac = excluded.mac, spent = 0";
    STEP_UP = "SELECT granted_at, mac FROM step_up WHERE session = $1 AND card = $2 AND operation = $3 \
        AND granted_at >= $4 AND spent = 0";
    SPEND_STEP_UP = "UPDATE step_up SET spent = 1 WHERE session = $1 AND card = $2 AND operation = $3 \
        AND granted_at >= $4 AND spent = 0";

    INSERT_NOTICE = "INSERT INTO notice (message_id, kind, cardmember, last_four, at, detail, due_at) \
        VALUES ('<notice-' || lower(hex(randomblob(16))) || '@pinward>', $1, $2, $3, $4, $5, $4)";
    /// A notice waits while an earlier one to the same cardmember is leased or waits for its next try.
    DUE_NOTICES = "SELECT notice.id, notice.message_id, notice.kind, cardmember.name, cardmember.email, \
        notice.last_four, notice.at, notice.detail, notice.tries \
        FROM notice JOIN cardmember ON cardmember.id = notice.cardmember \
        WHERE notice.sent_at IS NULL AND notice.due_at <= $1 AND NOT EXISTS ( \
            SELECT 1 FROM notice AS earlier WHERE earlier.cardmember = notice.cardmember \
            AND earlier.sent_at IS NULL AND earlier.id < notice.id AND earlier.due_at > $1) \
        ORDER BY notice.id LIMIT $2";
    LEASE_NOTICE = "UPDATE notice SET due_at = $1, tries = tries + 1 WHERE id = $2";
    NOTICE_SENT = "UPDATE notice SET sent_at = $1 WHERE id = $2 AND sent_at IS NULL";
    INSERT_OWED = "INSERT INTO owed (link, at, sealed) VALUES ($1, $2, $3)";
    OWED_FROM = "SELECT id, at, sealed FROM owed WHERE link = $1 AND id > $2 ORDER BY id LIMIT $3";
    OWED_BY_LINK = "SELECT link, count(*), min(at) FROM owed GROUP BY link ORDER BY link";
    DELETE_OWED = "DELETE FROM owed WHERE id = $1";

    NOTICE_FAILED = "UPDATE notice SET due_at = $1, failure = $2 WHERE id = $3 AND sent_at IS NULL";
}
