//! The audit chain as the store writes it.

use store::{AuditAnchor, ChainBreak, ChainCheck, Store};

use super::*;

/// Reads the whole chain in pages and checks it against the stored anchors.
pub(crate) async fn follow_chain(store: &impl Store) -> Result<u64, ChainBreak> {
    let mut check = ChainCheck::new(&store.anchors().await.unwrap());
    let mut from = 1;
    loop {
        let page = store.audit_from(from, 7).await.unwrap();
        let Some(last) = page.last() else {
            return check.end();
        };
        from = last.sequence + 1;
        page.iter().try_for_each(|record| check.follow(record))?;
    }
}

pub(crate) async fn the_chain_is_valid_and_has_no_gap(bed: &impl Bed) {
    let store = bed.open();
    assert_eq!(store.audit_head().await.unwrap(), None);
    with_one_card(&store).await;
    let batch = (1..=20).map(|version| {
        if version % 3 == 0 {
            journal_only(1)
        } else {
            state_change(version)
        }
    });
    store.commit(batch.collect()).await.unwrap();
    let cardless = AuditEvent {
        card: None,
        actor: "operator:root".into(),
        ..event("started")
    };
    store.append_audit(vec![cardless.clone()]).await.unwrap();

    let head = store.audit_head().await.unwrap().unwrap();
    assert_eq!(
        (head.card, head.actor, head.kind),
        (None, cardless.actor, "started".into())
    );
    assert_eq!(follow_chain(&store).await, Ok(head.sequence));
    assert_eq!(store.audit_from(head.sequence + 1, 10).await.unwrap(), []);
}

pub(crate) async fn anchors_are_kept_in_order(bed: &impl Bed) {
    let store = bed.open();
    store
        .append_audit((0..10).map(|_| event("started")).collect())
        .await
        .unwrap();
    let records = store.audit_from(1, 10).await.unwrap();
    let anchor = |at: usize| AuditAnchor {
        sequence: records[at].sequence,
        hash: records[at].hash,
        mac: [9; 16],
        at: NOW,
    };
    for at in [9, 4, 9] {
        store.put_anchor(anchor(at)).await.unwrap();
    }
    assert_eq!(store.anchors().await.unwrap(), [anchor(4), anchor(9)]);
    assert_eq!(follow_chain(&store).await, Ok(10));
}
