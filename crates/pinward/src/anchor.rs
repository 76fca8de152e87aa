//! Anchors of the audit chain: once a minute the HSM authenticates its head, so that a later cut or rewriting shows.

use std::time::Duration;

use cards::Timestamp;
use hsm::PaymentHsm;
use issuer::{Desk, Fault};
use store::{AuditAnchor, Store};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Records younger than this may be cut off unnoticed.
const EVERY: Duration = Duration::from_secs(60);

/// Anchors the head whenever it has moved, and once more when `stopping` turns true.
pub(crate) async fn keep_anchored(desk: Desk, clock: fn() -> Timestamp, mut stopping: watch::Receiver<bool>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut anchored = 0;
    let mut running = true;
    while running {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopping.wait_for(|stopping| *stopping) => running = false,
        }
        match anchor(desk.hsm.as_ref(), desk.store.as_ref(), anchored, clock()).await {
            Ok(sequence) => anchored = sequence,
            Err(fault) => tracing::error!(%fault, "the audit chain's head can't be anchored"),
        }
    }
}

/// Anchors the head where it is beyond `anchored`; gives the sequence number that is anchored now.
async fn anchor(
    hsm: &dyn PaymentHsm,
    store: &dyn Store,
    anchored: u64,
    now: Timestamp,
) -> Result<u64, Fault> {
    let Some(head) = store.audit_head().await?.filter(|head| head.sequence > anchored) else {
        return Ok(anchored);
    };
    let mac = hsm.anchor_audit(head.sequence, head.hash).await?;
    let anchor = AuditAnchor {
        sequence: head.sequence,
        hash: head.hash,
        mac,
        at: now,
    };
    store.put_anchor(anchor).await?;
    Ok(head.sequence)
}
