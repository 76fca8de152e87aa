//! What pages carry, whatever is on them.

use axum::http::{StatusCode, header};
use cards::{AdviceCode, CardStatus};

use super::{Portal, card_until, locked_state};

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_no_dynamic_one_is_kept() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let card = format!("/cards/{}", portal.locked);
    let paths = [
        "/".to_owned(),
        "/sign-in".to_owned(),
        "/healthz".to_owned(),
        "/nothing/here".to_owned(),
        "/v1/nothing".to_owned(),
        format!("/v1/cards/{}/pin", portal.locked),
        format!("/step-up?card={}&operation=view_pin", portal.locked),
        format!("{card}/pin"),
        format!("{card}/activate"),
        format!("{card}/pin/create"),
        format!("{card}/pin/change"),
        format!("{card}/pin/view"),
        format!("{card}/pin/unlock"),
        format!("{card}/pin/envelope"),
    ];
    for path in paths {
        let answer = portal.get(&path, &cookie).await;
        let text = |name: &str| {
            answer
                .headers
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let policy = text("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(policy.contains("require-trusted-types-for 'script'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(text("cache-control").as_deref(), Some("no-store"), "{path}");
        assert_eq!(text("referrer-policy").as_deref(), Some("no-referrer"), "{path}");
        assert_eq!(
            text("x-content-type-options").as_deref(),
            Some("nosniff"),
            "{path}"
        );
        assert!(text("permissions-policy").is_some(), "{path}");
    }
}

#[tokio::test]
async fn a_page_has_no_inline_code_and_its_files_are_kept_for_a_year() {
    let portal = Portal::open().await;
    let page = portal.get("/sign-in", "").await;
    assert!(!page.body.contains(" style="));
    assert!(!page.body.contains(" onclick="));
    let assets: Vec<&str> = page
        .body
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    assert!(assets.iter().any(|asset| asset.ends_with("/theme.css")));
    for asset in assets {
        let answer = portal.get(asset, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{asset}");
        assert!(
            answer.headers[header::CACHE_CONTROL]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
    }
    assert_eq!(
        portal.get("/assets/000000000000/portal.css", "").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_locked_pin_raises_the_alert_that_offers_to_unlock() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let page = portal
        .get(&format!("/cards/{}/pin/view", portal.locked), &cookie)
        .await;
    assert!(page.body.contains(r#"role="alert""#));
    assert!(
        page.body
            .contains(&format!("/cards/{}/pin/unlock", portal.locked))
    );
}

#[tokio::test]
async fn a_card_is_activated_with_its_own_expiry_only() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ben").await;
    let address = format!("/cards/{}/activate", portal.bens);
    for wrong in ["09/29", "soon"] {
        let refused = portal.post(&address, &cookie, &format!("expiry={wrong}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert!(
            refused.body.contains(&format!("value=\"{wrong}\"")),
            "what was typed is kept"
        );
    }
    let done = portal.post(&address, &cookie, "expiry=08/29").await;
    assert_eq!(
        done.location(),
        format!("/cards/{}/pin?done=activated", portal.bens)
    );
    let page = portal.get(done.location(), &cookie).await;
    let no_pin = serde_json::to_string(&AdviceCode::NoPin).unwrap();
    assert!(page.body.contains(&format!("data-advice={no_pin}")));
    assert!(page.body.contains("do-create"));
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_told_in_words_and_leads_back() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let card = portal.locked;
    for address in [
        "/step-up".to_owned(),
        format!("/step-up?card={card}&operation=nonsense"),
        format!("/cards/{card}/pin/view?version=x"),
        "/cards/%ff/pin".to_owned(),
    ] {
        let answer = portal.get(&address, &cookie).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{address}");
        assert!(answer.body.contains(r#"data-code="bad_request""#), "{address}");
        assert!(answer.body.contains(r#"data-test="sign-out""#), "{address}");
    }
    let answer = portal.get("/v1/cards/%ff/pin", "").await;
    assert!(answer.body.starts_with(r#"{"error":{"code":"bad_request""#));
}

#[tokio::test]
async fn a_refusal_about_a_card_leads_back_to_it() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let refused = portal
        .get(&format!("/cards/{}/pin/create", portal.locked), &cookie)
        .await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let way = format!(r#"href="/cards/{}/pin" data-test="way-on""#, portal.locked);
    assert!(refused.body.contains(&way));
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let long = "x".repeat(9 * 1024);
    let answer = portal
        .post("/step-up", &cookie, &format!("password={long}"))
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_chips_pin_that_it_never_reported_is_not_called_confirmed() {
    let portal = Portal::open().await;
    let cookie = portal.sign_in("ada").await;
    let page = portal
        .get(&format!("/cards/{}/pin", portal.locked), &cookie)
        .await;
    assert!(
        page.body
            .contains("number 1, as the card was made; the chip itself hasn&#39;t told us yet"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("confirmed by the chip"));
}

#[tokio::test]
async fn an_expired_card_is_shown_as_expired_and_offers_nothing() {
    let portal = Portal::open().await;
    for (status, pan) in [
        (CardStatus::Active, "4000000000000002"),
        (CardStatus::Inactive, "4000000000000010"),
    ] {
        let mut state = locked_state(false);
        state.status = status;
        let card = card_until(&portal.desk, portal.ada, pan, &state, "2001").await;
        let cookie = portal.sign_in("ada").await;
        let list = portal.get("/", &cookie).await.body;
        assert!(list.contains("data-test=\"card-status\">Expired<"), "{list}");
        let manage = portal.get(&format!("/cards/{card}/pin"), &cookie).await.body;
        assert!(manage.contains("data-test=\"nothing-to-do\""), "{manage}");
        assert!(manage.contains("card_expired"), "{manage}");
        for page in ["pin/create", "pin/change", "pin/view", "pin/unlock", "activate"] {
            let answer = portal.get(&format!("/cards/{card}/{page}"), &cookie).await;
            assert_eq!(answer.status, StatusCode::CONFLICT, "{page}");
            assert!(answer.body.contains("This card has expired."), "{page}");
        }
    }
}
