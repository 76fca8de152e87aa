//! What is owed to the upstream: durable before anybody is answered who makes it owed, sent until the upstream answers,
//! then forgotten (ADR 0014).
//!
//! An entry is written with the answers of its batch: one call of the HSM, one commit, and none where nothing is owed. Its
//! removal may be lost in a crash; then the upstream hears a repeat.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::Duration;

use cards::Timestamp;
use issuer::Fault;
use store::NewOwed;
use tokio::time::Instant;

use super::flights::Flown;
use super::owed::Owed;
use super::stand_in::{self, StandIn};
use super::{Inline, append};
use crate::host::HostLink;

/// Pause before what wasn't answered is sent again.
const PAUSE: Duration = Duration::from_secs(1);
/// Sent at most so many at a time without answer, so that what was owed for long leaves room for requests.
const UNDER_WAY_MAX: usize = 100;
/// Messages that the HSM seals or opens in one call.
const HSM_BATCH_LEN: usize = 1_000;
/// Rows read at a time.
const PAGE_LEN: u32 = 1_000;

/// What is owed, in the order in which it is sent.
#[derive(Default)]
pub(super) struct Ledger {
    /// Since when, by its number in the store; what can't be read or sent is among them.
    since: BTreeMap<i64, Timestamp>,
    /// To be sent at once.
    new: VecDeque<Box<Debt>>,
    /// Not answered so far, by the moment of the next try: every pause is the same.
    again: VecDeque<(Instant, Box<Debt>)>,
    under_way: usize,
    /// Answered, but not forgotten by the store.
    settled: Vec<i64>,
}

/// One message that is owed.
pub(super) struct Debt {
    id: i64,
    owed: Owed,
    /// It was sent before, or may have been.
    repeated: bool,
}

impl Ledger {
    fn enter(&mut self, id: i64, since: Timestamp, owed: Owed, repeated: bool) {
        self.since.insert(id, since);
        self.new.push_back(Box::new(Debt { id, owed, repeated }));
    }

    /// The next one that is due.
    fn next(&mut self, now: Instant) -> Option<Box<Debt>> {
        if self.under_way >= UNDER_WAY_MAX {
            return None;
        }
        let due = self.again.front().is_some_and(|(moment, _)| *moment <= now);
        let debt = match due {
            true => self.again.pop_front().map(|(_, debt)| debt),
            false => self.new.pop_front(),
        }?;
        self.under_way += 1;
        Some(debt)
    }

    fn put_back(&mut self, debt: Box<Debt>) {
        self.under_way -= 1;
        self.new.push_front(debt);
    }

    pub(super) fn try_again(&mut self, mut debt: Box<Debt>, now: Instant) {
        self.under_way -= 1;
        debt.repeated = true;
        self.again.push_back((now + PAUSE, debt));
    }

    pub(super) fn settle(&mut self, debt: &Debt) {
        self.under_way -= 1;
        self.since.remove(&debt.id);
        self.settled.push(debt.id);
    }

    /// How many, and since when the oldest is owed.
    pub(super) fn owed(&self) -> (usize, Option<Timestamp>) {
        let oldest = self.since.first_key_value().map(|(_, since)| *since);
        (self.since.len(), oldest)
    }
}

impl Inline {
    /// Makes durable what answers make owed. Where that fails the answers must not be sent; then their requests were not
    /// given up either, and who asked asks again or takes them back.
    pub(in crate::host) async fn keep(
        &self,
        link: &HostLink,
        owed: Vec<Owed>,
        stood_in: Vec<StandIn>,
    ) -> Result<(), Fault> {
        let since = (link.clock)();
        match self.write(link, &owed, stood_in, since).await {
            Ok(ids) => {
                let mut ledger = self.ledger();
                for (id, owed) in ids.into_iter().zip(owed) {
                    ledger.enter(id, since, owed, false);
                }
                self.owed.store(ledger.since.len(), Ordering::Relaxed);
                Ok(())
            }
            Err(fault) => {
                let mut flights = self.flights();
                owed.iter().for_each(|owed| flights.forget(owed.about()));
                Err(fault)
            }
        }
    }

    /// The journal first: a line about an approval that nobody heard of misleads less than an advice of it without a line.
    async fn write(
        &self,
        link: &HostLink,
        owed: &[Owed],
        stood_in: Vec<StandIn>,
        since: Timestamp,
    ) -> Result<Vec<i64>, Fault> {
        stand_in::record(stood_in, link, since).await?;
        if owed.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = Vec::with_capacity(owed.len());
        for batch in owed.chunks(HSM_BATCH_LEN) {
            let texts = batch.iter().map(|owed| owed.text().clone()).collect();
            let sealed = link.desk.hsm.seal_messages(texts).await?;
            rows.extend(sealed.into_iter().map(|sealed| NewOwed {
                link: link.name.to_string(),
                at: since,
                sealed,
            }));
        }
        Ok(link.desk.store.keep_owed(rows).await?)
    }

    /// Reads what was owed when the desk ended. To be done before any request is served: one that was given up must not be
    /// passed on beside its reversal.
    pub(super) async fn recall(&self, link: &HostLink) -> Result<(), Fault> {
        let mut after = 0;
        loop {
            let rows = link.desk.store.owed(&link.name, after, PAGE_LEN).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            let sealed = rows.iter().map(|row| row.sealed.clone()).collect();
            let opened = link.desk.hsm.open_messages(sealed).await?;
            for (row, text) in rows.into_iter().zip(opened) {
                match text.and_then(|text| Owed::read(text, link, &self.settings)) {
                    Some(owed) => {
                        self.flights().was_given_up(owed.about(), owed.tells_approval());
                        self.ledger().enter(row.id, row.at, owed, true);
                    }
                    None => {
                        tracing::error!(
                            link = &*link.name,
                            id = row.id,
                            "a message owed to the upstream can't be read, or doesn't fit its dialect; it stays"
                        );
                        self.ledger().since.insert(row.id, row.at);
                    }
                }
            }
        }
        let (owed, _) = self.ledger().owed();
        self.owed.store(owed, Ordering::Relaxed);
        tracing::info!(link = &*link.name, owed, "owed to the upstream from before");
        Ok(())
    }

    /// Sends what is due.
    pub(super) fn send_owed(&self, link: &HostLink, now: Instant) {
        loop {
            let Some(debt) = self.ledger().next(now) else {
                return;
            };
            let builder = debt.owed.build(link, &self.settings, debt.repeated);
            let key = debt.owed.key();
            let until = now + self.settings.timeout;
            let sent = self
                .flights()
                .send(key, Flown::Own(debt), until, self.room_for_debts(), |out| {
                    append(self.settings.framing, &builder, out);
                });
            match sent {
                Ok(()) => {}
                // The same exchange is under way: its answer isn't this one's.
                Err((super::NotPassed::Differs, Flown::Own(debt))) => self.ledger().try_again(debt, now),
                Err((_, Flown::Own(debt))) => {
                    self.ledger().put_back(debt);
                    return;
                }
                Err((_, Flown::Network(_))) => unreachable!("what is owed comes back as what it was"),
            }
        }
    }

    /// Has the store forget what the upstream has answered.
    pub(super) async fn forget_settled(&self, link: &HostLink) {
        let settled = std::mem::take(&mut self.ledger().settled);
        if settled.is_empty() {
            return;
        }
        match link.desk.store.settle_owed(settled.clone()).await {
            Ok(()) => {
                let (owed, _) = self.ledger().owed();
                self.owed.store(owed, Ordering::Relaxed);
                tracing::info!(
                    link = &*link.name,
                    settled = settled.len(),
                    owed,
                    "the upstream knows what it was owed"
                );
            }
            Err(fault) => {
                tracing::error!(%fault, link = &*link.name, "what the upstream knows can't be forgotten");
                self.ledger().settled.extend(settled);
            }
        }
    }
}
