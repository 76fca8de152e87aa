//! The web from outside: real store, real HSM, requests and answers.

mod api;
mod authority;
mod edited_rows;
mod pages;
mod refusals;
mod sign_in;

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use cards::{
    CardRef, CardRole, CardState, CardStatus, Expiry, Pan, PinReference, Programme, ProgrammeId, Psn, Scheme,
    Timestamp,
};
use hsm::{KeyAdmin, SoftwareHsm, StateToSeal};
use issuer::Desk;
use sha2::{Digest, Sha256};
use store::{AuditEvent, CardRecord, NewCardmember, SqliteStore};
use tower::ServiceExt;

use super::{Colour, WebSettings, WebState, hash_password, router};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const API_TOKEN: &str = "a token of the issuer's own system";
const PASSWORD: &str = "four words make sense";
const MINUTE_MS: i64 = 60_000;

/// Ada has two locked cards, Ben an inactive supplementary one.
struct Portal {
    router: Router,
    desk: Desk,
    ada: cards::CardmemberId,
    locked: CardRef,
    also_locked: CardRef,
    bens: CardRef,
    directory: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn location(&self) -> &str {
        self.headers.get(header::LOCATION).unwrap().to_str().unwrap()
    }

    /// The session's cookie that it sets, as the browser sends it.
    fn cookie(&self) -> String {
        let cookie = self.headers.get(header::SET_COOKIE).unwrap().to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Everything, as one value to compare.
    fn whole(&self) -> (StatusCode, &HeaderMap, &str) {
        (self.status, &self.headers, &self.body)
    }
}

impl Portal {
    async fn open() -> Self {
        crate::logging::guard::install();
        let directory = tempfile::tempdir().unwrap();
        let hsm = Arc::new(SoftwareHsm::open(directory.path().join("hsm")).unwrap());
        hsm.provision(NOW).unwrap();
        let envelope_identity = hsm.envelope_identity().await.unwrap();
        let store = Arc::new(SqliteStore::open(directory.path().join("pinward.db")).unwrap());
        let programmes = Arc::new(HashMap::from([(programme().id, programme())]));
        let desk = Desk {
            hsm,
            store,
            programmes,
            unpredictable_numbers: Arc::default(),
        };
        let ada = cardmember(&desk, "ada", "Ada Lovelace").await;
        let ben = cardmember(&desk, "ben", "Ben Lovelace").await;
        let locked = card(&desk, ada, "4111111111111111", &locked_state(false)).await;
        let also_locked = card(&desk, ada, "4012888888881881", &locked_state(true)).await;
        let inactive = CardState::delivered(CardStatus::Inactive, PinReference::None, 3);
        let bens = card(&desk, ben, "4222222222222", &inactive).await;
        let state = WebState {
            desk: desk.clone(),
            envelope_identity,
            settings: WebSettings {
                issuer_name: "Larkfield Bank".to_owned(),
                accent: Colour::rgb(11, 92, 92),
                session_idle_ms: 5 * MINUTE_MS,
                session_absolute_ms: 30 * MINUTE_MS,
                secure_cookies: false,
                api_token_sha256: Some(Sha256::digest(API_TOKEN).into()),
                demo_sandbox_url: None,
            },
            clock: || NOW,
        };
        Self {
            router: router(state),
            desk,
            ada,
            locked,
            also_locked,
            bens,
            directory,
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(
            Request::get(path)
                .header("cookie", cookie)
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    async fn post(&self, path: &str, cookie: &str, form: &str) -> Answer {
        let request = Request::post(path)
            .header("cookie", cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(Body::from(form.to_owned()));
        self.send(request.unwrap()).await
    }

    async fn post_json(&self, path: &str, cookie: &str, json: &str) -> Answer {
        let request = Request::post(path)
            .header("cookie", cookie)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(Body::from(json.to_owned()));
        self.send(request.unwrap()).await
    }

    async fn try_sign_in(&self, user_id: &str, password: &str) -> Answer {
        let form = format!("user_id={user_id}&password={}", password.replace(' ', "+"));
        self.post("/sign-in", "", &form).await
    }

    /// Signs in and gives the cookie to send.
    async fn sign_in(&self, user_id: &str) -> String {
        let answer = self.try_sign_in(user_id, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        answer.cookie()
    }

    async fn step_up(&self, cookie: &str, card: CardRef, operation: &str, password: &str) -> Answer {
        let password = password.replace(' ', "+");
        self.post(
            "/step-up",
            cookie,
            &format!("card={card}&operation={operation}&password={password}"),
        )
        .await
    }
}

fn programme() -> Programme {
    Programme {
        id: ProgrammeId("larkfield-credit".to_owned()),
        name: "Larkfield Credit".to_owned(),
        scheme: Scheme::VisaCvn18,
        pan_len_digits: 16,
        pin_len_digits: 4,
        tries_max: 3,
        unlocks_max: cards::UNLOCKS_MAX,
        amount_max_minor: 100_000,
        amount_without_pin_max_minor: 5_000,
        pin_without_chip: false,
        currency: 978,
        script: cards::ScriptSettings::default(),
        fraud: cards::FraudRules::default(),
        reissue: cards::ReissueRules::default(),
    }
}

fn locked_state(chip_too: bool) -> CardState {
    let reference = PinReference::Pvv {
        pvki: 1,
        pvv: *b"1234",
    };
    let mut state = CardState::delivered(CardStatus::Active, reference, 3);
    for _ in 0..3 {
        state.tries.charge(NOW);
    }
    state.chip.pin_blocked = chip_too;
    state
}

fn made() -> AuditEvent {
    AuditEvent {
        at: NOW,
        kind: "made",
        card: None,
        actor: "test".to_owned(),
        detail: "{}".to_owned(),
    }
}

async fn cardmember(desk: &Desk, user_id: &str, name: &str) -> cards::CardmemberId {
    let new = NewCardmember {
        reference: user_id.to_owned(),
        name: name.to_owned(),
        email: format!("{user_id}@example.test"),
        user_id: Some(user_id.to_owned()),
    };
    desk.store.import_cardmembers(vec![new], made()).await.unwrap();
    let found = desk.store.cardmember_by_user_id(user_id).await.unwrap().unwrap();
    desk.set_password(&found, hash_password(PASSWORD), made())
        .await
        .unwrap();
    found.id
}

async fn card(desk: &Desk, cardmember: cards::CardmemberId, pan: &str, state: &CardState) -> CardRef {
    card_until(desk, cardmember, pan, state, "2908").await
}

async fn card_until(
    desk: &Desk,
    cardmember: cards::CardmemberId,
    pan: &str,
    state: &CardState,
    expiry: &str,
) -> CardRef {
    let digits = Pan::parse(pan).unwrap();
    let key = desk.hsm.card_keys(vec![digits.clone()]).await.unwrap()[0];
    let sealed = desk.hsm.seal_pans(vec![digits.clone()]).await.unwrap()[0];
    let psn = Psn::default();
    let mut record = CardRecord {
        key,
        pan: sealed,
        psn,
        last_four: digits.last_four().to_owned(),
        expiry: Expiry::parse_yymm(expiry).unwrap(),
        programme: programme().id,
        cardmember,
        role: CardRole::Basic,
        version: state.version,
        state: state.encode(),
        mac: [0; 16],
    };
    let to_seal = StateToSeal {
        key,
        pan: sealed,
        psn,
        particulars: issuer::particulars(&record),
        state: state.encode(),
    };
    record.mac = desk.hsm.seal_states(vec![to_seal]).await.unwrap()[0].0;
    let report = desk.store.import_cards(vec![record], made()).await.unwrap();
    assert_eq!(report.refused, Vec::new());
    key.row
}
