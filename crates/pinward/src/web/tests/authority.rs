//! Whose card, and which step-up.

use axum::http::StatusCode;

use super::{PASSWORD, Portal, hash_password, made};

#[tokio::test]
async fn another_cardmembers_card_answers_as_no_card_does() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let pages = [
        "pin",
        "activate",
        "pin/create",
        "pin/change",
        "pin/view",
        "pin/unlock",
    ];
    for page in pages {
        let of_ben = portal
            .get(&format!("/cards/{}/{page}", portal.bens), &cookie)
            .await;
        let of_nobody = portal
            .get(&format!("/cards/0000000000000001/{page}"), &cookie)
            .await;
        let nonsense = portal.get(&format!("/cards/nonsense/{page}"), &cookie).await;
        assert_eq!(of_ben.status, StatusCode::NOT_FOUND, "{page}");
        assert_eq!(of_ben.whole(), of_nobody.whole(), "{page}");
        assert_eq!(of_ben.whole(), nonsense.whole(), "{page}");
    }
    let envelope = r#"{"operation":"view_pin"}"#;
    let of_ben = portal
        .post_json(&format!("/cards/{}/pin/envelope", portal.bens), &cookie, envelope)
        .await;
    let of_nobody = portal
        .post_json("/cards/0000000000000001/pin/envelope", &cookie, envelope)
        .await;
    assert_eq!(of_ben.status, StatusCode::NOT_FOUND);
    assert_eq!(of_ben.whole(), of_nobody.whole());
}

#[tokio::test]
async fn a_cardmember_sees_only_their_own_cards() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ben").await;
    let list = portal.get("/", &cookie).await;
    assert!(list.body.contains(&portal.bens.to_string()));
    assert!(!list.body.contains(&portal.locked.to_string()));
}

#[tokio::test]
async fn unlock_without_a_step_up_changes_nothing() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let unlock = format!("/cards/{}/pin/unlock", portal.locked);
    let page = portal.get(&unlock, &cookie).await;
    assert_eq!(
        page.location(),
        format!("/step-up?card={}&operation=unlock_pin", portal.locked)
    );
    assert_eq!(
        portal.post(&unlock, &cookie, "").await.status,
        StatusCode::FORBIDDEN
    );
    assert!(
        portal
            .get(&format!("/cards/{}/pin", portal.locked), &cookie)
            .await
            .body
            .contains("pin_locked")
    );
}

#[tokio::test]
async fn a_step_up_is_for_one_operation_on_one_card_in_one_session_once() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let unlock = |card| format!("/cards/{card}/pin/unlock");
    let cookie = portal
        .step_up(&cookie, portal.also_locked, "view_pin", PASSWORD)
        .await
        .cookie();
    assert_eq!(
        portal.post(&unlock(portal.also_locked), &cookie, "").await.status,
        StatusCode::FORBIDDEN
    );
    let granted = portal
        .step_up(&cookie, portal.also_locked, "unlock_pin", PASSWORD)
        .await;
    assert_eq!(granted.location(), unlock(portal.also_locked));
    let cookie = granted.cookie();
    assert_eq!(
        portal.post(&unlock(portal.locked), &cookie, "").await.status,
        StatusCode::FORBIDDEN
    );
    let other_session = portal.sign_in("ada").await;
    assert_eq!(
        portal
            .post(&unlock(portal.also_locked), &other_session, "")
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    let done = portal.post(&unlock(portal.also_locked), &cookie, "").await;
    assert_eq!(
        done.location(),
        format!("/cards/{}/pin?done=unlocked", portal.also_locked)
    );
    // The chip is still locked, so a second unlock would be possible, with a second step-up.
    assert_eq!(
        portal.post(&unlock(portal.also_locked), &cookie, "").await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_step_up_renews_the_token_and_the_one_before_is_dead_at_once() {
    let portal = Portal::open().await;
    let before = portal.sign_in("ada").await;
    let unlock = |card| format!("/cards/{card}/pin/unlock");
    let granted = portal
        .step_up(&before, portal.locked, "unlock_pin", PASSWORD)
        .await;
    let renewed = granted.cookie();
    assert_ne!(renewed, before);
    assert_eq!(portal.get("/", &before).await.location(), "/sign-in");
    let with_dead_token = portal.post(&unlock(portal.locked), &before, "").await;
    assert_eq!(with_dead_token.location(), "/sign-in");
    let again = portal
        .step_up(&before, portal.locked, "unlock_pin", PASSWORD)
        .await;
    assert_eq!(again.location(), "/sign-in");
    assert!(again.headers.get("set-cookie").is_none());

    // Another tab sends the same browser's new cookie; what the first was granted is still good.
    let other_tab = portal
        .step_up(&renewed, portal.also_locked, "unlock_pin", PASSWORD)
        .await;
    let newest = other_tab.cookie();
    assert_eq!(portal.get("/", &renewed).await.location(), "/sign-in");
    for card in [portal.locked, portal.also_locked] {
        let done = portal.post(&unlock(card), &newest, "").await;
        assert_eq!(done.location(), format!("/cards/{card}/pin?done=unlocked"));
    }
}

#[tokio::test]
async fn a_wrong_step_up_and_a_new_password_leave_no_token_in_doubt() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let refused = portal
        .step_up(&cookie, portal.locked, "unlock_pin", "not it")
        .await;
    assert!(refused.headers.get("set-cookie").is_none());
    assert_eq!(portal.get("/", &cookie).await.status, StatusCode::OK);
    let hash = hash_password("another one entirely");
    let ada = portal.desk.store.cardmember(portal.ada).await.unwrap().unwrap();
    portal.desk.set_password(&ada, hash, made()).await.unwrap();
    assert_eq!(portal.get("/", &cookie).await.location(), "/sign-in");
}

#[tokio::test]
async fn a_step_up_with_a_wrong_password_grants_nothing_and_counts_as_a_wrong_sign_in() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    for _ in 0..5 {
        let refused = portal
            .step_up(&cookie, portal.locked, "unlock_pin", "not it")
            .await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let paused = portal
        .step_up(&cookie, portal.locked, "unlock_pin", PASSWORD)
        .await;
    assert_eq!(paused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        portal
            .post(&format!("/cards/{}/pin/unlock", portal.locked), &cookie, "")
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        portal.try_sign_in("ada", PASSWORD).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[tokio::test]
async fn nobody_without_a_session_gets_an_envelope() {
    let portal = Portal::open().await;
    let address = format!("/cards/{}/pin/envelope", portal.locked);
    let answer = portal
        .post_json(&address, "", r#"{"operation":"change_pin"}"#)
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.body.contains(r#""code":"signed_out""#));
}
