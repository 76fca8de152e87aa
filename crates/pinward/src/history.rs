//! The desk's history, shown to the HSM: it remembers the newest audit record, so that a restored older database is noticed
//! before anything is evaluated with it (I9); and once a minute it authenticates the head (an anchor), so that a later cut
//! or rewriting shows.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cards::Timestamp;
use hsm::{HistoryPoint, Journal, JournalFault, JournalRecord, PaymentHsm, RemoteHsm};
use issuer::Fault;
use store::{AuditAnchor, AuditRecord, Store, StoreFault};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Records younger than this, and the time that the HSM needs to write its mark, may be missing from a restored database
/// unnoticed.
const SHOW_EVERY: Duration = Duration::from_millis(100);
const ANCHOR_EVERY: Duration = Duration::from_secs(60);

/// The desk's audit chain as the HSM's connections show it.
pub(crate) struct DeskJournal(pub(crate) Arc<dyn Store>);

#[async_trait]
impl Journal for DeskJournal {
    async fn record(&self, sequence: u64) -> Result<Option<JournalRecord>, JournalFault> {
        let found = self.0.audit_from(sequence, 1).await.map_err(unreadable)?;
        let found = found.into_iter().find(|record| record.sequence == sequence);
        Ok(found.as_ref().map(in_journal))
    }

    async fn newest(&self) -> Result<Option<JournalRecord>, JournalFault> {
        let head = self.0.audit_head().await.map_err(unreadable)?;
        Ok(head.as_ref().map(in_journal))
    }
}

fn in_journal(record: &AuditRecord) -> JournalRecord {
    JournalRecord {
        point: HistoryPoint {
            sequence: record.sequence,
            hash: record.hash,
        },
        at: record.at,
    }
}

async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    // The sender is gone only when the desk is.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

fn unreadable(fault: StoreFault) -> JournalFault {
    JournalFault(fault.0)
}

/// Shows the head soon after it moved, on each of the desk's connections.
pub(crate) struct HistoryKeeper {
    store: Arc<dyn Store>,
    connections: Vec<RemoteHsm>,
    clock: fn() -> Timestamp,
    /// The head that all connections have shown.
    shown: Option<[u8; 32]>,
    anchored: u64,
    /// Why the last show failed; told once.
    failure: Option<String>,
}

impl HistoryKeeper {
    pub(crate) fn new(store: Arc<dyn Store>, connections: Vec<RemoteHsm>, clock: fn() -> Timestamp) -> Self {
        Self {
            store,
            connections,
            clock,
            shown: None,
            anchored: 0,
            failure: None,
        }
    }

    /// Keeps showing and anchoring until `stopping` turns true. Silent towards the HSM while the head stands still.
    pub(crate) async fn keep(mut self, mut stopping: watch::Receiver<bool>) -> Self {
        let (mut shows, mut anchors) = (interval(SHOW_EVERY), interval(ANCHOR_EVERY));
        shows.set_missed_tick_behavior(MissedTickBehavior::Delay);
        anchors.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = shows.tick() => self.show().await,
                _ = anchors.tick() => self.anchor().await,
                () = told_to_stop(&mut stopping) => return self,
            }
        }
    }

    /// Shows and anchors the last record, when nobody writes any more.
    pub(crate) async fn end(mut self) {
        self.show().await;
        self.anchor().await;
    }

    async fn show(&mut self) {
        let failure = self.try_show().await.err().map(|fault| fault.to_string());
        if failure != self.failure {
            match &failure {
                Some(fault) => tracing::error!(%fault, "nothing is done about cards"),
                None => tracing::info!("the HSM takes the desk's history again"),
            }
        }
        self.failure = failure;
    }

    async fn try_show(&mut self) -> Result<(), Fault> {
        let head = self.store.audit_head().await?.map(|head| head.hash);
        if self.shown == head {
            return Ok(());
        }
        self.shown = None;
        // Each of them, so that each is refused where one is.
        let mut outcome = Ok(());
        for connection in &self.connections {
            outcome = outcome.and(connection.show_history().await);
        }
        outcome?;
        self.shown = head;
        Ok(())
    }

    async fn anchor(&mut self) {
        if let Err(fault) = self.try_anchor().await {
            tracing::error!(%fault, "the audit chain's head can't be anchored");
        }
    }

    /// Anchors the head where it is beyond the last anchor.
    async fn try_anchor(&mut self) -> Result<(), Fault> {
        let head = self.store.audit_head().await?;
        let (Some(head), Some(hsm)) = (
            head.filter(|head| head.sequence > self.anchored),
            self.connections.first(),
        ) else {
            return Ok(());
        };
        let anchor = AuditAnchor {
            sequence: head.sequence,
            hash: head.hash,
            mac: hsm.anchor_audit(head.sequence, head.hash).await?,
            at: (self.clock)(),
        };
        self.store.put_anchor(anchor).await?;
        self.anchored = head.sequence;
        Ok(())
    }
}
