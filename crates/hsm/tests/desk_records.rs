//! MACs of the desk's rows: only this HSM makes them, and none is good for another row or kind.
#![allow(clippy::unwrap_used, reason = "test helpers")]

mod support;

use hsm::{DeskRecord, DeskRecordKind, PaymentHsm};
use support::World;

const KINDS: [DeskRecordKind; 3] = [
    DeskRecordKind::Credential,
    DeskRecordKind::Session,
    DeskRecordKind::StepUp,
];
const CONTENT: &[u8] = b"$argon2id$v=19$";

async fn macs(world: &World, records: &[(DeskRecordKind, &[u8])]) -> Vec<[u8; 16]> {
    let records = records.iter().map(|&(kind, content)| DeskRecord {
        kind,
        content: content.to_vec(),
    });
    let macs = world.hsm.mac_desk_records(records.collect()).await.unwrap();
    macs.into_iter().map(|mac| mac.0).collect()
}

#[tokio::test]
async fn each_kind_content_and_hsm_has_a_mac_of_its_own_and_it_stays_the_same() {
    let (world, other) = (World::new().await, World::new().await);
    let records: Vec<(DeskRecordKind, &[u8])> = KINDS
        .into_iter()
        .flat_map(|kind| (0..=CONTENT.len()).map(move |len| (kind, &CONTENT[..len])))
        .collect();
    let first = macs(&world, &records).await;
    assert_eq!(macs(&world, &records).await, first);
    let mut all = [first, macs(&other, &records).await].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 2 * records.len());
}

#[tokio::test]
async fn a_mac_is_itself_and_nothing_that_differs_in_one_bit() {
    let world = World::new().await;
    let record = DeskRecord {
        kind: DeskRecordKind::Session,
        content: CONTENT.to_vec(),
    };
    assert!(!format!("{record:?}").contains("argon2id"));
    let mac = world.hsm.mac_desk_records(vec![record]).await.unwrap()[0];
    assert!(mac.is(&mac.0));
    for bit in 0..128 {
        let mut changed = mac.0;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!mac.is(&changed), "bit {bit}");
    }
}
