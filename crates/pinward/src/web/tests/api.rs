//! The JSON API and the health check.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::{Value, json};

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
    assert_eq!(report["chip"]["basis"], "personalised");
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

/// Posts a message to the API with its token.
async fn tell(portal: &Portal, path: &str, message: &Value) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header("authorization", format!("Bearer {API_TOKEN}"))
        .header("content-type", "application/json")
        .body(Body::from(message.to_string()));
    let answer = portal.send(request.unwrap()).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

fn cash(id: &str) -> Value {
    json!({
        "id": id, "at": "0115120000", "pan": "4111111111111111", "transaction": "cash",
        "amount_minor": 2_000, "currency": 978, "entry": "magnetic_stripe",
        "pin": { "zone_key": "zpk-nowhere", "format": "iso0", "block": "0011223344556677" },
    })
}

#[tokio::test]
async fn a_check_tells_the_decision_by_name_and_a_repeat_gets_the_same() {
    let portal = Portal::open().await;
    let check = "/v1/authorisations/check";
    let (status, answer) = tell(&portal, check, &cash("a-1")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["approved"], false);
    assert_eq!(answer["decision"], "PinTriesExceeded");
    assert_eq!(answer["pin"], "not_compared");
    assert_eq!(answer["chip"]["script"], Value::Null);
    assert_eq!(tell(&portal, check, &cash("a-1")).await, (status, answer));
    let mut forged = cash("a-1");
    forged["amount_minor"] = 1.into();
    assert_eq!(
        tell(&portal, check, &forged).await.1["decision"],
        "DuplicateDiffers"
    );
    let mut stranger = cash("a-2");
    stranger["pan"] = "4000056655665556".into();
    assert_eq!(tell(&portal, check, &stranger).await.1["decision"], "UnknownCard");
}

#[tokio::test]
async fn a_message_that_cannot_be_used_names_its_field() {
    let portal = Portal::open().await;
    let rows = [
        ("id", json!("")),
        ("at", json!("now")),
        ("at", json!("0A15120000")),
        ("pan", json!("4111111111111112")),
        ("psn", json!(100)),
        ("expiry", json!("1399")),
        ("terminal", json!("short")),
        ("chip", json!("9F2")),
        (
            "pin",
            json!({ "zone_key": "zpk", "format": "iso4", "block": "0011223344556677" }),
        ),
        (
            "new_pin",
            json!({ "zone_key": "zpk", "format": "iso0", "block": "0011223344556677", "ksn": "00" }),
        ),
    ];
    for (field, value) in rows {
        let mut message = cash("a-1");
        message[field] = value;
        let (status, answer) = tell(&portal, "/v1/authorisations/check", &message).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {answer}");
        assert_eq!(answer["error"]["code"], "field_unusable", "{field}");
        assert!(
            answer["error"]["message"]
                .as_str()
                .unwrap()
                .contains(&format!(" {field}: ")),
            "{answer}"
        );
    }
    for (field, value) in [
        ("colour", json!("red")),
        ("transaction", json!("gift")),
        ("currency", Value::Null),
    ] {
        let mut message = cash("a-1");
        message[field] = value;
        let (status, answer) = tell(&portal, "/v1/authorisations/check", &message).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!("bad_request")),
            "{field}"
        );
    }
}

#[tokio::test]
async fn a_reversed_message_is_not_approved_when_it_arrives_late() {
    let portal = Portal::open().await;
    let result = json!({
        "id": "r-1", "at": "0115120001", "pan": "4111111111111111",
        "reverses": { "id": "a-1", "at": "0115120000" },
    });
    for _ in 0..2 {
        let (status, answer) = tell(&portal, "/v1/chip/results", &result).await;
        assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("recorded")));
    }
    let (_, answer) = tell(&portal, "/v1/authorisations/check", &cash("a-1")).await;
    assert_eq!(answer["decision"], "ReversedBefore");
    let mut nothing = result.clone();
    nothing["reverses"] = Value::Null;
    let (status, _) = tell(&portal, "/v1/chip/results", &nothing).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn without_the_token_nothing_is_checked_or_taken() {
    let portal = Portal::open().await;
    for path in ["/v1/authorisations/check", "/v1/chip/results"] {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(Body::from(cash("a-1").to_string()));
        let answer = portal.send(request.unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}
