//! The JSON API and the health check.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::Value;

use super::{API_TOKEN, Portal};

async fn ask(portal: &Portal, path: &str, authorisation: Option<&str>) -> (StatusCode, Value) {
    let mut request = Request::get(path);
    if let Some(authorisation) = authorisation {
        request = request.header("authorization", authorisation);
    }
    let answer = portal.send(request.body(Body::empty()).unwrap()).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[tokio::test]
async fn the_token_opens_a_cards_report_in_stable_names() {
    let portal = Portal::open().await;
    let path = format!("/v1/cards/{}/pin", portal.locked);
    let (status, report) = ask(&portal, &path, Some(&format!("Bearer {API_TOKEN}"))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(report["card"], portal.locked.to_string());
    assert_eq!(report["last_four"], "1111");
    assert_eq!(report["status"], "active");
    assert_eq!(report["host"]["locked"], true);
    assert_eq!(report["host"]["tries_left"], 0);
    assert_eq!(report["chip"]["known_version"], 1);
    assert_eq!(report["advice"]["code"], "pin_locked");
    assert!(report["advice"]["next_step"].is_string());
}

#[tokio::test]
async fn without_the_right_token_a_card_that_exists_and_one_that_does_not_answer_alike() {
    let portal = Portal::open().await;
    let exists = format!("/v1/cards/{}/pin", portal.locked);
    for authorisation in [None, Some("Bearer wrong"), Some("Basic YTpi"), Some(API_TOKEN)] {
        let answer = ask(&portal, &exists, authorisation).await;
        assert_eq!(answer.0, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.1["error"]["code"], "unauthorised");
        assert_eq!(
            answer,
            ask(&portal, "/v1/cards/0000000000000001/pin", authorisation).await
        );
    }
}

#[tokio::test]
async fn an_unknown_card_and_an_unknown_resource_are_told_in_json() {
    let portal = Portal::open().await;
    let bearer = format!("Bearer {API_TOKEN}");
    let (status, answer) = ask(&portal, "/v1/cards/0000000000000001/pin", Some(&bearer)).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::NOT_FOUND, &Value::from("card_not_found"))
    );
    let (status, answer) = ask(&portal, "/v1/nothing", Some(&bearer)).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::NOT_FOUND, &Value::from("not_found"))
    );
}

#[tokio::test]
async fn health_says_that_the_hsm_is_software() {
    let portal = Portal::open().await;
    let (status, health) = ask(&portal, "/healthz", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(health["hsm"]["kind"], "software");
    assert_eq!(health["hsm"]["certified"], false);
}
