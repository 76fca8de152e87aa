//! The outbox.

use store::{Commit, DueNotice, NewNotice, Store};

use super::*;

async fn with_notices(store: &impl Store, kinds: [&'static str; 2]) {
    let cardmember = with_one_card(store).await;
    let notice = |kind| NewNotice {
        kind,
        cardmember,
        last_four: "1111".into(),
        at: NOW,
        detail: "{}".into(),
    };
    let commit = Commit {
        notices: kinds.map(notice).to_vec(),
        ..journal_only(1)
    };
    assert!(is_done(&commit_one(store, commit).await));
}

fn kinds(notices: &[DueNotice]) -> Vec<&str> {
    notices.iter().map(|notice| notice.kind.as_str()).collect()
}

pub(crate) async fn a_lease_keeps_others_away_until_it_ends(bed: &impl Bed) {
    let store = bed.open();
    with_notices(&store, ["new_pin_set", "chip_has_new_pin"]).await;
    let lease_until = NOW.plus_ms(30_000);

    let first = store.claim_notices(NOW, lease_until, 10).await.unwrap();
    assert_eq!(kinds(&first), ["new_pin_set", "chip_has_new_pin"]);
    assert_eq!(
        (first[0].name.as_str(), first[0].email.as_str()),
        ("Ada CM1", "CM1@example.test")
    );
    assert_eq!(first[0].tries, 0);
    assert_ne!(first[0].message_id, first[1].message_id);
    assert_eq!(store.claim_notices(NOW, lease_until, 10).await.unwrap(), []);

    store.notice_sent(first[0].id, NOW).await.unwrap();
    let after_lease = store
        .claim_notices(lease_until, lease_until.plus_ms(1), 10)
        .await
        .unwrap();
    assert_eq!(
        kinds(&after_lease),
        ["chip_has_new_pin"],
        "what was sent is final"
    );
    assert_eq!(after_lease[0].message_id, first[1].message_id);
    assert_eq!(after_lease[0].tries, 1);
}

pub(crate) async fn a_failed_notice_waits_with_those_after_it(bed: &impl Bed) {
    let store = bed.open();
    with_notices(&store, ["new_pin_set", "chip_has_new_pin"]).await;
    let one = store.claim_notices(NOW, NOW.plus_ms(10), 1).await.unwrap();
    assert_eq!(kinds(&one), ["new_pin_set"], "oldest first");
    store
        .notice_failed(one[0].id, NOW.plus_ms(60_000), "450 try later")
        .await
        .unwrap();

    let soon = NOW.plus_ms(59_999);
    assert_eq!(
        store.claim_notices(soon, soon, 10).await.unwrap(),
        [],
        "nothing overtakes it"
    );
    let then = NOW.plus_ms(60_000);
    let both = store.claim_notices(then, then.plus_ms(10), 10).await.unwrap();
    assert_eq!(kinds(&both), ["new_pin_set", "chip_has_new_pin"]);
    assert_eq!(both[0].message_id, one[0].message_id);

    store.notice_sent(both[0].id, then).await.unwrap();
    store.notice_failed(both[0].id, then, "too late").await.unwrap();
    let rest = store.claim_notices(then.plus_ms(10), then, 10).await.unwrap();
    assert_eq!(kinds(&rest), ["chip_has_new_pin"]);
}
