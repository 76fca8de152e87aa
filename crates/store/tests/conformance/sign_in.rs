//! Passwords and sessions.

use store::{SignInCharge, StepUpGrant, StepUpRecord, StepUpSpend, Store};

use super::*;

const FAILURES_MAX: u32 = 5;
const PAUSE_MS: i64 = 60_000;

pub(crate) async fn tries_are_charged_before_the_password_is_looked_at(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_cardmember(&store).await;
    let tries = (0..64).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .charge_sign_in(holder, NOW, FAILURES_MAX, PAUSE_MS)
                .await
                .unwrap()
        })
    });
    let mut charged = 0;
    for one_try in tries.collect::<Vec<_>>() {
        match one_try.await.unwrap() {
            SignInCharge::Charged => charged += 1,
            SignInCharge::LockedUntil(until) => assert_eq!(until, NOW.plus_ms(PAUSE_MS)),
        }
    }
    assert_eq!(charged, 5);

    let later = NOW.plus_ms(PAUSE_MS);
    for _ in 0..4 {
        let charge = store
            .charge_sign_in(holder, later, FAILURES_MAX, PAUSE_MS)
            .await
            .unwrap();
        assert_eq!(charge, SignInCharge::Charged, "the pause is over");
    }
    with_session(&store, holder).await;
    for _ in 0..5 {
        let charge = store
            .charge_sign_in(holder, later, FAILURES_MAX, PAUSE_MS)
            .await
            .unwrap();
        assert_eq!(
            charge,
            SignInCharge::Charged,
            "a right password cleared the failures"
        );
    }
    let charge = store
        .charge_sign_in(holder, later, FAILURES_MAX, PAUSE_MS)
        .await
        .unwrap();
    assert_eq!(charge, SignInCharge::LockedUntil(later.plus_ms(PAUSE_MS)));
    store
        .charge_sign_in(CardmemberId(999), NOW, FAILURES_MAX, PAUSE_MS)
        .await
        .unwrap_err();
}

pub(crate) async fn a_session_ends_when_idle_old_or_closed(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_cardmember(&store).await;
    with_session(&store, holder).await;
    let idle_ms = 300_000;
    let at = |minutes: i64| NOW.plus_ms(minutes * 60_000);
    // Idle counts from the last use, not from the opening.
    for minutes in [4, 8, 12] {
        let found = store
            .session(SESSION, at(minutes), at(minutes).plus_ms(-idle_ms), NOW)
            .await
            .unwrap();
        let found = found.unwrap();
        assert_eq!(
            (found.cardmember, found.opened_at, found.seen_at),
            (holder, NOW, at(minutes))
        );
    }
    let find =
        |now: Timestamp, opened_since| store.session(SESSION, now, now.plus_ms(-idle_ms), opened_since);
    assert_eq!(
        find(at(17).plus_ms(1), NOW).await.unwrap(),
        None,
        "idle for longer than five minutes"
    );
    assert_eq!(
        find(at(13), NOW.plus_ms(1)).await.unwrap(),
        None,
        "opened too long ago"
    );
    assert!(
        find(at(13), NOW).await.unwrap().is_some(),
        "refusals don't end it, nor mark it seen"
    );
    assert_eq!(
        store
            .session([8; 32], NOW, Timestamp(0), Timestamp(0))
            .await
            .unwrap(),
        None
    );
    store.close_session(SESSION).await.unwrap();
    assert_eq!(find(at(13), NOW).await.unwrap(), None);
}

pub(crate) async fn a_step_up_renews_the_sessions_token_and_takes_its_other_grants_along(bed: &impl Bed) {
    const RENEWED: [u8; 32] = [9; 32];
    const RENEWED_MAC: [u8; 16] = [9; 16];
    let store = bed.open();
    let holder = with_one_card(&store).await;
    with_session(&store, holder).await;
    let grant = |session, renewed, operation| {
        let grant = StepUpGrant {
            session,
            renewed,
            renewed_mac: RENEWED_MAC,
            ..step_up_grant(operation)
        };
        store.grant_step_up(grant, event("stepped_up"))
    };
    let find = |token| store.session(token, NOW.plus_ms(1), NOW, NOW);
    assert!(grant(SESSION, SESSION, "view_pin").await.unwrap());
    assert!(grant(SESSION, RENEWED, "change_pin").await.unwrap());
    let before = audit_len(&store).await;
    assert!(!grant(SESSION, [8; 32], "unlock_pin").await.unwrap());
    assert_eq!(audit_len(&store).await, before, "a dead token grants nothing");
    assert_eq!(find(SESSION).await.unwrap(), None);
    let session = find(RENEWED).await.unwrap().unwrap();
    assert_eq!((session.cardmember, session.opened_at), (holder, NOW));
    assert_eq!(session.mac, RENEWED_MAC);
    for operation in ["view_pin", "change_pin", "unlock_pin"] {
        let spend = |session| StepUpSpend {
            session,
            card: CardRef(1),
            operation,
            not_before: NOW,
        };
        assert_eq!(store.step_up(spend(SESSION)).await.unwrap(), None, "{operation}");
        let granted = (operation != "unlock_pin").then_some(StepUpRecord {
            granted_at: NOW,
            mac: step_up_grant(operation).mac,
        });
        assert_eq!(
            store.step_up(spend(RENEWED)).await.unwrap(),
            granted,
            "{operation}"
        );
    }
}

pub(crate) async fn a_new_password_ends_the_sessions_of_its_cardmember_only(bed: &impl Bed) {
    const OTHERS: [u8; 32] = [9; 32];
    let store = bed.open();
    let holder = with_one_card(&store).await;
    with_session(&store, holder).await;
    store
        .import_cardmembers(vec![cardmember("CM2")], event("cardmembers_imported"))
        .await
        .unwrap();
    let other = store.cardmembers_by_reference(vec!["CM2".into()]).await.unwrap()[0].unwrap();
    let session = SessionRecord {
        token_hash: OTHERS,
        cardmember: other,
        opened_at: NOW,
        seen_at: NOW,
        mac: [5; 16],
    };
    store.open_session(session, event("signed_in")).await.unwrap();
    for token in [SESSION, OTHERS] {
        let grant = StepUpGrant {
            session: token,
            renewed: token,
            ..step_up_grant("view_pin")
        };
        assert!(store.grant_step_up(grant, event("stepped_up")).await.unwrap());
    }
    store
        .set_password(holder, "$argon2id$".into(), [6; 16], event("password_set"))
        .await
        .unwrap();
    for (token, is_alive) in [(SESSION, false), (OTHERS, true)] {
        let session = store.session(token, NOW, NOW, NOW).await.unwrap();
        assert_eq!(session.is_some(), is_alive);
        let spend = StepUpSpend {
            session: token,
            card: CardRef(1),
            operation: "view_pin",
            not_before: NOW,
        };
        assert_eq!(store.step_up(spend).await.unwrap().is_some(), is_alive);
    }
}

pub(crate) async fn a_password_is_set_for_an_existing_cardmember_only(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_cardmember(&store).await;
    let before = audit_len(&store).await;
    store
        .set_password(
            CardmemberId(999),
            "$argon2id$".into(),
            [6; 16],
            event("password_set"),
        )
        .await
        .unwrap_err();
    assert_eq!(audit_len(&store).await, before);
    store
        .set_password(holder, "$argon2id$".into(), [6; 16], event("password_set"))
        .await
        .unwrap();
    assert_eq!(audit_len(&store).await, before + 1);
    let by_user_id = store.cardmember_by_user_id("cm1").await.unwrap().unwrap();
    assert_eq!(by_user_id.password_hash.as_deref(), Some("$argon2id$"));
    assert_eq!(by_user_id.password_mac, Some([6; 16]));
    assert_eq!(store.cardmember(holder).await.unwrap(), Some(by_user_id));
    assert_eq!(store.cardmember_by_user_id("nobody").await.unwrap(), None);
}
