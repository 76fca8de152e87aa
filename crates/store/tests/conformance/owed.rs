//! What is owed to issuers' own hosts.

use store::{NewOwed, OwedCount, Store};

use super::*;

fn owed(link: &str, at: Timestamp, sealed: u8) -> NewOwed {
    NewOwed {
        link: link.into(),
        at,
        sealed: vec![sealed; 40],
    }
}

/// What is still owed to a link's upstream: the first byte of each.
async fn left(store: &impl Store, link: &str) -> Vec<u8> {
    let owed = store.owed(link, 0, 100).await.unwrap();
    owed.iter().map(|owed| owed.sealed[0]).collect()
}

pub(crate) async fn what_is_owed_stays_until_it_is_settled_across_reopening(bed: &impl Bed) {
    let store = bed.open();
    let kept = [("a", 1), ("b", 2), ("a", 3), ("a", 4)].map(|(link, sealed)| owed(link, NOW, sealed));
    let ids = store.keep_owed(kept.to_vec()).await.unwrap();
    drop(store);

    let store = bed.open();
    assert_eq!(left(&store, "a").await, [1, 3, 4]);
    assert_eq!(left(&store, "b").await, [2]);
    let next = store.owed("a", ids[0], 1).await.unwrap();
    assert_eq!((next[0].id, next[0].at, next.len()), (ids[2], NOW, 1));
    store.settle_owed(vec![ids[3], ids[1], 99_999]).await.unwrap();
    store.settle_owed(vec![ids[3]]).await.unwrap();
    let newer = store.keep_owed(vec![owed("a", NOW, 5)]).await.unwrap();
    assert!(!ids.contains(&newer[0]), "a number is never given twice");
    drop(store);

    let store = bed.open();
    assert_eq!(left(&store, "a").await, [1, 3, 5]);
    assert_eq!(left(&store, "b").await, []);
}

pub(crate) async fn what_is_owed_is_counted_by_link_with_its_oldest(bed: &impl Bed) {
    let store = bed.open();
    assert_eq!(store.owed_by_link().await.unwrap(), []);
    let kept = vec![
        owed("b", NOW, 1),
        owed("a", NOW.plus_ms(5), 2),
        owed("a", NOW.plus_ms(9), 3),
    ];
    store.keep_owed(kept).await.unwrap();
    let count = |link: &str, messages, oldest| OwedCount {
        link: link.into(),
        messages,
        oldest,
    };
    let counted = store.owed_by_link().await.unwrap();
    assert_eq!(counted, [count("a", 2, NOW.plus_ms(5)), count("b", 1, NOW)]);
}
