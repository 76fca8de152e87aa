//! Sign-in, sessions and their ends.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use sha2::{Digest, Sha256};
use store::AuditEvent;
use tokio::task::JoinSet;

use crate::web::password::WAITING_MAX;

use super::{MINUTE_MS, NOW, PASSWORD, Portal, made};

#[tokio::test]
async fn a_wrong_password_an_unknown_user_and_a_paused_one_get_the_same_bytes() {
    let portal = Portal::open().await;
    // The page repeats the user ID, so the two have the same one: known here, unknown in the second portal.
    let elsewhere = Portal::open().await;
    let wrong = portal.try_sign_in("ada", "not it").await;
    let unknown_id = elsewhere.try_sign_in("eve", "not it").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        wrong.body,
        unknown_id.body.replace("value=\"eve\"", "value=\"ada\"")
    );
    let content_length = header::CONTENT_LENGTH;
    assert_eq!(
        wrong.headers.get(&content_length),
        unknown_id.headers.get(&content_length)
    );
    for _ in 0..5 {
        assert_eq!(portal.try_sign_in("ada", "not it").await.whole(), wrong.whole());
    }
    assert_eq!(portal.try_sign_in("ada", PASSWORD).await.whole(), wrong.whole());
}

#[tokio::test]
async fn a_crowd_is_told_to_come_back_and_loses_no_try_by_it() {
    let portal = Arc::new(Portal::open().await);
    let crowd: JoinSet<StatusCode> = (0..2 * WAITING_MAX)
        .map(|_| {
            let portal = Arc::clone(&portal);
            async move { portal.try_sign_in("eve", "not it").await.status }
        })
        .collect();
    let answers = crowd.join_all().await;
    let count = |status| answers.iter().filter(|answer| **answer == status).count();
    assert!(count(StatusCode::UNPROCESSABLE_ENTITY) >= WAITING_MAX);
    assert!(count(StatusCode::SERVICE_UNAVAILABLE) > 0);
    assert_eq!(
        count(StatusCode::UNPROCESSABLE_ENTITY) + count(StatusCode::SERVICE_UNAVAILABLE),
        answers.len()
    );
    portal.sign_in("ada").await;
}

#[tokio::test]
async fn the_fifth_wrong_password_pauses_sign_in_and_the_fourth_does_not() {
    let portal = Portal::open().await;
    for _ in 0..4 {
        portal.try_sign_in("ada", "not it").await;
    }
    portal.sign_in("ada").await;
    for _ in 0..5 {
        portal.try_sign_in("ada", "not it").await;
    }
    assert_eq!(
        portal.try_sign_in("ada", PASSWORD).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    portal.sign_in("ben").await;
}

#[tokio::test]
async fn the_cookie_is_for_this_site_only_and_no_script_reads_it() {
    let portal = Portal::open().await;
    let answer = portal.try_sign_in("ada", PASSWORD).await;
    let cookie = answer.headers.get(header::SET_COOKIE).unwrap().to_str().unwrap();
    let (value, attributes) = cookie.split_once(';').unwrap();
    assert_eq!(value.strip_prefix("pinward=").unwrap().len(), 43);
    assert_eq!(attributes.trim(), "HttpOnly; SameSite=Strict; Path=/");
}

#[tokio::test]
async fn signing_in_again_ends_the_session_before() {
    let portal = Portal::open().await;
    let first = portal.sign_in("ada").await;
    let form = format!("user_id=ada&password={}", PASSWORD.replace(' ', "+"));
    let again = portal.post("/sign-in", &first, &form).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER);
    assert_eq!(portal.get("/", &first).await.location(), "/sign-in");
}

#[tokio::test]
async fn who_is_signed_in_needs_no_form() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let page = format!("/cards/{}/pin", portal.locked);
    for (address, target) in [
        ("/sign-in".to_owned(), "/"),
        ("/sign-in?why=idle".to_owned(), "/"),
        (format!("/sign-in?next={page}"), page.as_str()),
        ("/sign-in?next=//evil.test".to_owned(), "/"),
    ] {
        assert_eq!(portal.get(&address, &cookie).await.location(), target);
        assert_eq!(portal.get(&address, "pinward=dead").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_signed_out_session_is_dead() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    assert_eq!(portal.get("/", &cookie).await.status, StatusCode::OK);
    portal.post("/sign-out", &cookie, "").await;
    assert_eq!(portal.get("/", &cookie).await.location(), "/sign-in");
}

#[tokio::test]
async fn a_session_ends_when_idle_too_long_and_when_open_too_long() {
    let portal = Portal::open().await;
    let cases = [
        (
            "idle",
            NOW.plus_ms(-6 * MINUTE_MS),
            NOW.plus_ms(-5 * MINUTE_MS - 1),
            false,
        ),
        ("old", NOW.plus_ms(-30 * MINUTE_MS - 1), NOW, false),
        (
            "alive",
            NOW.plus_ms(-30 * MINUTE_MS),
            NOW.plus_ms(-5 * MINUTE_MS),
            true,
        ),
    ];
    for (token, opened_at, seen_at, alive) in cases {
        let token_hash = Sha256::digest(token).into();
        let opened = AuditEvent {
            at: opened_at,
            ..made()
        };
        portal
            .desk
            .open_session(token_hash, portal.ada, opened)
            .await
            .unwrap();
        let seen = portal
            .desk
            .store
            .session(token_hash, seen_at, opened_at, opened_at);
        seen.await.unwrap().unwrap();
        let answer = portal.get("/", &format!("pinward={token}")).await;
        assert_eq!(answer.status == StatusCode::OK, alive, "{token}");
    }
}

#[tokio::test]
async fn a_deep_link_leads_through_sign_in_to_its_card_and_to_nowhere_else() {
    let portal = Portal::open().await;
    let page = format!("/cards/{}/pin", portal.locked);
    assert_eq!(
        portal.get(&page, "").await.location(),
        format!("/sign-in?next={page}")
    );
    let password = PASSWORD.replace(' ', "+");
    for (next, target) in [
        (page.as_str(), page.as_str()),
        ("//evil.test", "/"),
        ("/cards/../x", "/"),
        ("", "/"),
    ] {
        let form = format!("user_id=ada&password={password}&next={next}");
        assert_eq!(portal.post("/sign-in", "", &form).await.location(), target);
    }
}

#[tokio::test]
async fn a_form_from_another_site_is_refused() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.test"),
    ] {
        let request = Request::post("/sign-out")
            .header("host", "portal.test")
            .header("cookie", &cookie)
            .header(name, value)
            .body(Body::empty())
            .unwrap();
        assert_eq!(
            portal.send(request).await.status,
            StatusCode::FORBIDDEN,
            "{name}: {value}"
        );
    }
    assert_eq!(portal.get("/", &cookie).await.status, StatusCode::OK);
}
