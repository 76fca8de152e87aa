//! Whoever writes into the database without the HSM becomes nobody: an edited or inserted password, session or step-up is
//! noticed before anything is shown, charged or changed.

use axum::http::StatusCode;
use rusqlite::{Connection, Params};
use sha2::{Digest, Sha256};

use super::{Answer, NOW, PASSWORD, Portal, hash_password};

const TOKEN: &str = "a token of the intruder's";

impl Portal {
    /// What an intruder does: one statement that finds something to do.
    fn intrude(&self, statement: &str, params: impl Params) {
        let database = Connection::open(self.directory.path().join("pinward.db")).unwrap();
        assert!(database.execute(statement, params).unwrap() > 0, "{statement}");
    }

    /// How often an edited row was put on record.
    async fn noticed(&self) -> usize {
        let journal = self.desk.store.audit_from(1, 1000).await.unwrap();
        let edited = journal.iter().filter(|record| record.kind == "record_edited");
        edited.count()
    }

    /// The answer is that of an unreachable service, and one more edit is on record.
    async fn assert_noticed(&self, answer: &Answer, noticed_before: usize, what: &str) {
        assert_eq!(
            answer.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{what}: {}",
            answer.body
        );
        assert!(!answer.headers.contains_key("set-cookie"), "{what}");
        assert!(answer.body.contains("reach your cards right now"), "{what}");
        assert_eq!(self.noticed().await, noticed_before + 1, "{what}");
    }

    /// Neither the page nor the act itself takes the step-up to unlock the locked card.
    async fn assert_not_unlocked(&self, cookie: &str, edit: &str) {
        let before = self.desk.store.card(self.locked).await.unwrap();
        let unlock = format!("/cards/{}/pin/unlock", self.locked);
        let answer = self.get(&unlock, cookie).await;
        self.assert_noticed(&answer, 0, edit).await;
        let answer = self.post(&unlock, cookie, "").await;
        self.assert_noticed(&answer, 1, edit).await;
        assert_eq!(self.desk.store.card(self.locked).await.unwrap(), before, "{edit}");
    }

    fn sign_in_tries(&self) -> u32 {
        let database = Connection::open(self.directory.path().join("pinward.db")).unwrap();
        let tries = "SELECT sign_in_failures FROM cardmember WHERE user_id = 'ada'";
        database.query_row(tries, [], |row| row.get(0)).unwrap()
    }
}

#[tokio::test]
async fn a_password_that_was_put_there_signs_nobody_in_and_charges_nobody() {
    const EDITS: [&str; 6] = [
        "UPDATE cardmember SET password_hash = ?1 WHERE user_id = 'ada'",
        "UPDATE cardmember SET password_hash = ?1, password_mac = NULL WHERE user_id = 'ada'",
        "UPDATE cardmember SET password_hash = ?1, password_mac = zeroblob(16) WHERE user_id = 'ada'",
        "UPDATE cardmember SET password_hash = ben.password_hash, password_mac = ben.password_mac
            FROM cardmember AS ben WHERE cardmember.user_id = 'ada' AND ben.user_id = 'ben' AND ?1 <> ''",
        "UPDATE cardmember SET password_hash = NULL WHERE user_id = 'ada' AND ?1 <> ''",
        "UPDATE cardmember SET password_mac = NULL WHERE user_id = 'ada' AND ?1 <> ''",
    ];
    let intruders = hash_password(PASSWORD);
    for edit in EDITS {
        let portal = Portal::open().await;
        portal.intrude(edit, [&intruders]);
        let answer = portal.try_sign_in("ada", PASSWORD).await;
        portal.assert_noticed(&answer, 0, edit).await;
        assert_eq!(portal.sign_in_tries(), 0, "{edit}");
        portal.sign_in("ben").await;
    }
}

#[tokio::test]
async fn nobody_signs_in_under_a_user_id_that_was_given_to_another() {
    let portal = Portal::open().await;
    portal.intrude(
        "UPDATE cardmember SET user_id = 'was-ada' WHERE user_id = 'ada'",
        [],
    );
    portal.intrude("UPDATE cardmember SET user_id = 'ada' WHERE user_id = 'ben'", []);
    for (noticed, user_id) in ["ada", "was-ada"].into_iter().enumerate() {
        let answer = portal.try_sign_in(user_id, PASSWORD).await;
        portal.assert_noticed(&answer, noticed, user_id).await;
    }
}

#[tokio::test]
async fn a_password_that_was_put_there_grants_no_step_up() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let edit = "UPDATE cardmember SET password_hash = ?1 WHERE user_id = 'ada'";
    portal.intrude(edit, [hash_password("another one entirely")]);
    let answer = portal
        .step_up(&cookie, portal.locked, "unlock_pin", "another one entirely")
        .await;
    portal.assert_noticed(&answer, 0, "step-up").await;
    assert_eq!(portal.sign_in_tries(), 0);
    let unlock = format!("/cards/{}/pin/unlock", portal.locked);
    let answer = portal.post(&unlock, &cookie, "").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_session_that_was_put_there_or_edited_shows_nothing() {
    let token_hash: [u8; 32] = Sha256::digest(TOKEN).into();
    let cookie = format!("pinward={TOKEN}");
    let edits = [
        format!(
            "INSERT INTO session (token_hash, cardmember, opened_at, seen_at, mac)
             SELECT ?1, id, {now}, {now}, zeroblob(16) FROM cardmember WHERE user_id = 'ada'",
            now = NOW.0
        ),
        // Another's MAC with it.
        "INSERT INTO session (token_hash, cardmember, opened_at, seen_at, mac)
             SELECT ?1, cardmember, opened_at, seen_at, mac FROM session"
            .to_owned(),
        "UPDATE session SET token_hash = ?1".to_owned(),
    ];
    for edit in edits {
        let portal = Portal::open().await;
        portal.sign_in("ada").await;
        portal.intrude(&edit, [token_hash]);
        for (noticed, page) in ["/".to_owned(), format!("/cards/{}/pin", portal.locked)]
            .into_iter()
            .enumerate()
        {
            let answer = portal.get(&page, &cookie).await;
            portal.assert_noticed(&answer, noticed, &edit).await;
            assert!(!answer.body.contains(&portal.locked.to_string()), "{edit}");
        }
    }
    for edit in [
        "UPDATE session SET cardmember = (SELECT id FROM cardmember WHERE user_id = 'ada')",
        "UPDATE session SET opened_at = opened_at + 1",
    ] {
        let portal = Portal::open().await;
        let bens = portal.sign_in("ben").await;
        portal.intrude(edit, []);
        let answer = portal.get("/", &bens).await;
        portal.assert_noticed(&answer, 0, edit).await;
    }
}

#[tokio::test]
async fn a_step_up_that_was_put_there_or_edited_is_not_spent() {
    let forged = format!(
        "INSERT INTO step_up (session, card, operation, granted_at, mac, spent)
            SELECT token_hash, ?1, 'unlock_pin', {}, zeroblob(16), 0 FROM session",
        NOW.0
    );
    let edits = [
        (None, forged.as_str()),
        (Some("unlock_pin"), "UPDATE step_up SET card = ?1"),
        (
            Some("view_pin"),
            "UPDATE step_up SET card = ?1, operation = 'unlock_pin'",
        ),
        (
            Some("unlock_pin"),
            "UPDATE step_up SET card = ?1, mac = zeroblob(16)",
        ),
    ];
    for (granted, edit) in edits {
        let portal = Portal::open().await;
        let mut cookie = portal.sign_in("ada").await;
        if let Some(operation) = granted {
            let answer = portal
                .step_up(&cookie, portal.also_locked, operation, PASSWORD)
                .await;
            cookie = answer.cookie();
        }
        portal.intrude(edit, [portal.locked.0.cast_signed()]);
        portal.assert_not_unlocked(&cookie, edit).await;
    }
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let granted = portal
        .step_up(&cookie, portal.locked, "unlock_pin", PASSWORD)
        .await;
    let later = "UPDATE step_up SET granted_at = granted_at + 1";
    portal.intrude(later, []);
    portal.assert_not_unlocked(&granted.cookie(), later).await;
}
