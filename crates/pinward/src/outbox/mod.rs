//! The outbox: sends the notices that acts left in the store, one mail each.
//!
//! A notice is leased, rendered, sent and ticked off. Where the mail server doesn't take it, it waits longer from try to
//! try. When a mail was taken but its acceptance got lost, it is sent again under the same Message-ID, by which mail
//! systems tell that it is the same.

mod mail;
mod smtp;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use cards::Timestamp;
use store::{DueNotice, Store, StoreFault};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

pub(crate) use smtp::Smtp;

/// How often the store is asked for due notices. The commit that writes one may be another process's, so nobody rings.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Notices leased at a time. They are sent one after the other, within their lease whatever the server does.
const BATCH_LEN_MAX: u32 = 4;
const LEASE: Duration = Duration::from_secs(60);
const _: () = assert!(smtp::SEND_PATIENCE.saturating_mul(BATCH_LEN_MAX).as_secs() < LEASE.as_secs());

/// Waiting time after the first failed try, and the longest one, in milliseconds. Each is doubled from try to try.
const WAIT_FIRST_MS: u64 = 1_000;
const WAIT_MAX_MS: u64 = 600_000;

/// The worker and what it works with.
pub(crate) struct Outbox {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) smtp: Smtp,
    pub(crate) issuer_name: String,
    pub(crate) clock: fn() -> Timestamp,
}

impl Outbox {
    /// Delivers what is due, until `stopping` turns true.
    pub(crate) async fn deliver(self, mut stopping: watch::Receiver<bool>) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                _ = ticks.tick() => {}
            }
            while !*stopping.borrow() {
                match self.deliver_batch().await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(fault) => {
                        tracing::error!(%fault, "notices can't be taken from the store");
                        break;
                    }
                }
            }
        }
    }

    /// Leases some due notices and tries each once. Gives how many there were.
    async fn deliver_batch(&self) -> Result<usize, StoreFault> {
        let now = (self.clock)();
        let lease_ms = i64::try_from(LEASE.as_millis()).expect("a minute");
        let due = self
            .store
            .claim_notices(now, now.plus_ms(lease_ms), BATCH_LEN_MAX)
            .await?;
        for notice in &due {
            match self.send(notice).await {
                Ok(()) => self.store.notice_sent(notice.id, (self.clock)()).await?,
                Err(reason) => {
                    tracing::warn!(
                        notice = notice.id,
                        tries = notice.tries + 1,
                        reason,
                        "a notice waits"
                    );
                    let next_try_at = (self.clock)().plus_ms(wait_ms(notice.tries));
                    self.store.notice_failed(notice.id, next_try_at, &reason).await?;
                }
            }
        }
        Ok(due.len())
    }

    async fn send(&self, notice: &DueNotice) -> Result<(), String> {
        let mail = mail::render(notice, &self.issuer_name).map_err(|error| error.to_string())?;
        self.smtp.send(notice, mail).await
    }
}

/// How long a notice waits after it has failed once more than `tries` times: doubled from try to try, up to the longest
/// wait, less up to half of it by chance, so that many don't come back at one moment.
fn wait_ms(tries: u32) -> i64 {
    let full = WAIT_FIRST_MS.saturating_mul(1 << tries.min(20)).min(WAIT_MAX_MS);
    // Without randomness they do come back at one moment, later rather than never.
    let chance = getrandom::u64().unwrap_or_default() % (full / 2);
    i64::try_from(full - chance).unwrap_or(i64::MAX)
}
