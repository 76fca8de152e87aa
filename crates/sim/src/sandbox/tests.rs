//! The sandbox's answers, without a browser: who is refused, what is told, and what never is.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use cards::{Expiry, Pan, Psn, Scheme};
use iso8583::dialect::Dialect;
use paycrypto::{
    cvn::Cvn,
    emv_key::{EmvAlgorithm, EmvKey},
    icc_keys::CardKeys,
    tdes_key::Tdes2Key,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{
    acquirer::zone_key::ZoneKey,
    card::perso::{AID_PINWARD, Perso, ReportCleared},
    card::profile::CardProfile,
};

const CARD: &str = "00aa11bb22cc33dd";
const PIN: &str = "7391";

struct Bench {
    sandbox: Arc<Sandbox>,
    dir: tempfile::TempDir,
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// A wallet of one card, a host that isn't there, and a bank at this address.
fn bench(product: &str) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let wallet = dir.path().join("wallet");
    std::fs::create_dir(&wallet).unwrap();
    let key = || EmvKey::from_bytes(EmvAlgorithm::Tdes, &[0x1F; 16]).unwrap();
    let card = Perso {
        card_ref: CARD.to_owned(),
        // source: hand-made test number
        pan: Pan::parse("370000000000002").unwrap(),
        psn: Psn::new(1).unwrap(),
        expiry: Expiry::parse_yymm("2909").unwrap(),
        cardholder_name: "ADA LINDQVIST".to_owned(),
        aid: AID_PINWARD.to_vec(),
        label: "RESERVE".to_owned(),
        profile: CardProfile::of(Scheme::VisaCvn18),
        keys: CardKeys::new(Cvn::Visa18, key(), key(), key()).unwrap(),
        report_cleared: ReportCleared::default(),
        certified_key: None,
        pin: paycrypto::pin::Pin::parse(PIN),
        pin_try_limit: 3,
        country: 372,
        currency: 978,
    };
    card.write(&wallet.join(format!("{CARD}.perso.json"))).unwrap();
    let demo = json!({
        "portal": "http://127.0.0.1:8080",
        "sign_ins": [{ "user_id": "ada", "password": "p", "name": "Ada <Lindqvist>", "note": "" }],
    });
    std::fs::write(wallet.join("demo.json"), demo.to_string()).unwrap();
    let token_path = dir.path().join("token");
    std::fs::write(&token_path, "open-sesame\n").unwrap();
    let sandbox = Sandbox {
        wallet: Wallet::open(&wallet).unwrap(),
        bench: None,
        acquirer: Acquirer::new(
            nobody().to_string(),
            Dialect::named("ascii-1987").unwrap(),
            "12345".to_owned(),
            ZoneKey::Tdes(Tdes2Key::from_bytes(&[0x1F; 16])),
        )
        .unwrap(),
        bank: Bank::new(product, token_path).unwrap(),
        mailbox: Mailbox::open(&dir.path().join("mail"), Limits::default()).unwrap(),
        in_use: CardsInUse::default(),
    };
    Bench {
        sandbox: Arc::new(sandbox),
        dir,
    }
}

fn bench_without_bank() -> Bench {
    bench(&format!("http://{}", nobody()))
}

/// An address that was free a moment ago.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

impl Bench {
    async fn ask(&self, request: Request<Body>) -> Got {
        let answer = router(Arc::clone(&self.sandbox)).oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Got {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Got {
        let request = Request::get(path).header("host", "127.0.0.1:8090");
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, site: &str, body: &str) -> Got {
        let request = Request::post(path)
            .header("host", "127.0.0.1:8090")
            .header("sec-fetch-site", site)
            .header("content-type", "application/json");
        self.ask(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// The card's own count of transactions.
    fn transactions(&self) -> u16 {
        self.sandbox.wallet.memory(CARD).unwrap().unwrap().1.atc
    }
}

fn insertion(card: &str, pin: &str) -> String {
    json!({ "card": card, "amount": 2400, "pin": pin }).to_string()
}

#[tokio::test]
async fn a_post_from_another_site_is_refused_before_the_card_is_touched() {
    let bench = bench_without_bank();
    for path in ["/api/shop/insert", "/api/shop/tap", "/api/atm", "/api/online"] {
        let got = bench.post(path, "cross-site", &insertion(CARD, PIN)).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "{path}");
    }
    let letter = bench.post(&format!("/api/letters/{CARD}"), "same-site", "").await;
    assert_eq!(letter.status, StatusCode::FORBIDDEN);
    assert!(!letter.body.contains(PIN));
    assert_eq!(bench.transactions(), 0);
}

#[tokio::test]
async fn a_card_that_is_not_in_the_wallet_is_unknown_whatever_its_name() {
    let bench = bench_without_bank();
    std::fs::copy(
        bench.dir.path().join(format!("wallet/{CARD}.perso.json")),
        bench.dir.path().join("outside.perso.json"),
    )
    .unwrap();
    for card in ["", "ffffffffffffffff", "../outside", "demo"] {
        let got = bench
            .post("/api/shop/insert", "same-origin", &insertion(card, PIN))
            .await;
        assert_eq!(got.status, StatusCode::NOT_FOUND, "{card}");
        assert_eq!(got.json()["error"], "There is no such card in the wallet");
    }
    assert!(!bench.dir.path().join("outside.state.json").exists());
}

#[tokio::test]
async fn a_request_that_is_not_understood_is_refused_without_quoting_it() {
    let bench = bench_without_bank();
    for (path, body) in [
        ("/api/shop/insert", insertion(CARD, "73x1")),
        ("/api/shop/insert", insertion(CARD, "739")),
        (
            "/api/shop/insert",
            json!({ "card": CARD, "amount": 0, "pin": PIN }).to_string(),
        ),
        (
            "/api/shop/insert",
            json!({ "card": CARD, "amount": 1_000_000, "pin": PIN }).to_string(),
        ),
        (
            "/api/shop/tap",
            json!({ "card": CARD, "amount": 100, "pin": PIN }).to_string(),
        ),
        (
            "/api/atm",
            json!({ "card": CARD, "pin": PIN, "action": "deposit" }).to_string(),
        ),
        (
            "/api/atm",
            json!({ "card": CARD, "pin": PIN, "action": "cash" }).to_string(),
        ),
    ] {
        let got = bench.post(path, "same-origin", &body).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(got.json()["error"], "The terminal doesn't understand this");
    }
    assert_eq!(bench.transactions(), 0);
}

#[tokio::test]
async fn the_terminals_say_so_when_the_host_is_down() {
    let bench = bench_without_bank();
    for (path, body) in [
        ("/api/shop/insert", insertion(CARD, PIN)),
        (
            "/api/shop/tap",
            json!({ "card": CARD, "amount": 900 }).to_string(),
        ),
        (
            "/api/atm",
            json!({ "card": CARD, "pin": PIN, "action": "cash", "amount": 2000 }).to_string(),
        ),
        (
            "/api/atm",
            json!({ "card": CARD, "pin": PIN, "action": "balance", "amount": 0 }).to_string(),
        ),
        ("/api/online", json!({ "card": CARD, "amount": 1850 }).to_string()),
    ] {
        let got = bench.post(path, "same-origin", &body).await;
        assert_eq!(got.status, StatusCode::OK, "{path}");
        let outcome = &got.json()["outcome"];
        assert_eq!(outcome["approved"], false, "{path}");
        assert_eq!(outcome["host_unreachable"], true, "{path}");
        assert!(!outcome["display"].as_array().unwrap().is_empty(), "{path}");
        assert!(!got.body.contains(PIN), "{path}");
        assert!(!got.body.contains("370000000000002"), "{path}");
    }
    assert_eq!(bench.transactions(), 4);
}

#[tokio::test]
async fn a_card_is_in_one_terminal_at_a_time() {
    let bench = bench_without_bank();
    let held = acts::CardsInUse::take(&bench.sandbox, CARD).unwrap();
    let got = bench
        .post("/api/shop/insert", "same-origin", &insertion(CARD, PIN))
        .await;
    assert_eq!(got.status, StatusCode::CONFLICT);
    drop(held);
    let got = bench
        .post("/api/shop/insert", "same-origin", &insertion(CARD, PIN))
        .await;
    assert_eq!(got.status, StatusCode::OK);
}

#[tokio::test]
async fn the_letter_tells_its_own_cards_pin_and_no_other_answer_does() {
    let bench = bench_without_bank();
    let letter = bench
        .post(&format!("/api/letters/{CARD}"), "same-origin", "")
        .await;
    assert_eq!(letter.json(), json!({ "pin": PIN }));
    let none = bench
        .post("/api/letters/ffffffffffffffff", "same-origin", "")
        .await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    for path in ["/", "/api/state", "/mail"] {
        assert!(!bench.get(path).await.body.contains(PIN), "{path}");
    }
}

#[tokio::test]
async fn without_the_bank_the_plastic_is_still_shown() {
    let bench = bench_without_bank();
    let state = bench.get("/api/state").await.json();
    assert_eq!(state["cards"][0]["bank"], Value::Null);
    assert_eq!(
        state["cards"][0]["plastic"],
        json!({
            "pin": "as_delivered", "tries_left": 3, "tries_max": 3,
            "transactions": 0, "scripts_to_report": 0, "script_failed": false,
        })
    );
    assert_eq!(state["mail"], json!({ "total": 0, "unread": 0 }));
}

#[tokio::test]
async fn the_banks_words_are_passed_on_as_they_are() {
    let status = json!({
        "card": CARD, "last_four": "0002", "status": "active",
        "host": { "version": 2, "state": "new", "locked": false, "tries_left": 3 },
        "chip": { "state": "previous", "known_version": 1, "possible_versions": [1] },
        "script": {
            "queued": "change_pin", "in_flight": null, "needs_attention": false,
            "attempts": [{
                "attempt": 1, "kind": "change_pin", "version": 2, "atc": 5, "outcome": "not_applied",
                "evidence": "CVR 03A40000 in the ARQC with ATC 0006",
            }],
        },
        "advice": {
            "code": "chip_has_previous", "headline": "Your new PIN is set.",
            "where_it_works": "At cash machines: the new one.", "next_step": "Insert your card.",
        },
    });
    let bench = bench(&bank_that_says(status.clone()).await);
    let state = bench.get("/api/state").await.json();
    assert_eq!(state["cards"][0]["bank"], status);
    std::fs::write(bench.dir.path().join("token"), "wrong").unwrap();
    let state = bench.get("/api/state").await.json();
    assert_eq!(state["cards"][0]["bank"], Value::Null);
}

/// A status server that knows one card and one token; gives its address.
async fn bank_that_says(status: Value) -> String {
    let answer = async move |headers: HeaderMap| {
        let token = headers.get("authorization").and_then(|value| value.to_str().ok());
        if token == Some("Bearer open-sesame") {
            Json(status).into_response()
        } else {
            StatusCode::UNAUTHORIZED.into_response()
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route(&format!("/v1/cards/{CARD}/pin"), get(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    format!("http://{address}")
}

#[tokio::test]
async fn pages_hold_no_inline_script_or_style_and_say_so_in_their_policy() {
    let bench = bench_without_bank();
    for path in ["/", "/bench", "/mail", "/mail/1"] {
        let got = bench.get(path).await;
        let policy = got.header("content-security-policy");
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(directive), "{path}: {directive}");
        }
        for inline in ["<script>", "<style", " style=", " onclick=", "javascript:"] {
            assert!(!got.body.contains(inline), "{path}: {inline}");
        }
    }
    let page = bench.get("/").await.body;
    assert!(page.contains("ADA LINDQVIST") && page.contains("•••• •••••• •0002") && page.contains("09/29"));
    assert!(page.contains("Ada &#60;Lindqvist&#62;"));
}

#[tokio::test]
async fn every_module_that_a_module_imports_is_served() {
    let bench = bench_without_bank();
    let mut wanted = vec!["main.js".to_owned(), "mails.js".to_owned()];
    let mut seen = 0;
    while let Some(name) = wanted.get(seen).cloned() {
        seen += 1;
        let got = bench.get(&format!("/assets/{name}")).await;
        assert_eq!(got.status, StatusCode::OK, "{name}");
        assert_eq!(got.header("content-type"), "text/javascript; charset=utf-8");
        assert!(!got.body.contains("innerHTML"), "{name}");
        for import in got.body.split("from \"./").skip(1) {
            let import = import.split('"').next().unwrap().to_owned();
            if !wanted.contains(&import) {
                wanted.push(import);
            }
        }
    }
    assert!(seen > 10);
    assert_eq!(
        bench.get("/assets/nothing.js").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_mails_html_is_caged_and_its_subject_escaped() {
    let bench = bench_without_bank();
    let raw = "From: a@x\r\nTo: b@x\r\nSubject: <b>hi</b>\r\nContent-Type: text/html\r\n\r\n<script>steal()</script>\r\n";
    std::fs::write(bench.dir.path().join("mail/000001.eml"), raw).unwrap();
    let list = bench.get("/mail").await.body;
    assert!(list.contains("&#60;b&#62;hi&#60;/b&#62;") && list.contains("data-unread=\"true\""));
    let page = bench.get("/mail/1").await.body;
    assert!(page.contains("<iframe") && !page.contains("steal"));
    let html = bench.get("/mail/1/html").await;
    assert!(
        html.header("content-security-policy")
            .starts_with("sandbox; default-src 'none'")
    );
    assert!(html.body.contains("steal"));
    let source = bench.get("/mail/1/source").await;
    assert_eq!(source.header("content-type"), "text/plain; charset=utf-8");
    assert!(bench.get("/mail").await.body.contains("data-unread=\"false\""));
    assert_eq!(bench.get("/mail/2").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_taken_port_is_told_with_the_flag_that_moves_it() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    for flag in ["--listen", "--mail-listen"] {
        let told = listen(flag, address).await.unwrap_err().to_string();
        assert!(
            told.contains(flag) && told.contains(&address.to_string()),
            "{told}"
        );
    }
}

#[test]
fn only_http_addresses_are_taken_for_the_product() {
    for (product, is_taken) in [
        ("http://127.0.0.1:8080", true),
        ("http://localhost", true),
        ("http://127.0.0.1:8080/base/", true),
        ("https://127.0.0.1:8080", false),
        ("127.0.0.1:8080", false),
        ("http://127.0.0.1:8080/?x", false),
        ("", false),
    ] {
        assert_eq!(
            Bank::new(product, PathBuf::new()).is_some(),
            is_taken,
            "{product}"
        );
    }
}
