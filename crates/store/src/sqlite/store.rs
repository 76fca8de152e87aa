//! `Store` on SQLite: each call is a read in a reader or a unit of work for the committer.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use cards::{CardKey, CardRef, CardmemberId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Params, Row};

use crate::{
    AttemptRecord, AuditAnchor, AuditEvent, AuditRecord, CardRecord, CardmemberRecord, Commit, CommitOutcome,
    DueNotice, ImportReport, MessageRecord, NewCardmember, NewOwed, OwedCount, OwedMessage, RefusedRow,
    Reissue, ReissueOutcome, SessionRecord, SignInCharge, StepUpGrant, StepUpRecord, StepUpSpend, Store,
    StoreFault,
    sqlite::{
        SqliteStore,
        commit::Writing,
        committer::Failure,
        import::{self, CardImport},
        notices, owed, rows, set_last_write, sign_in, statements as sql,
    },
};

impl SqliteStore {
    async fn read<T, F>(&self, work: F) -> Result<T, StoreFault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        match self.stopped.get() {
            Some(why) => Err(StoreFault(why.clone())),
            None => self.readers.read(work).await,
        }
    }

    /// Work that isn't a batch.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreFault>
    where
        T: Send + 'static,
        F: FnMut(&mut Writing<'_>) -> Result<T, Failure> + Send + 'static,
    {
        self.committer.write(1, work).await
    }
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    record: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    connection
        .prepare_cached(sql)?
        .query_row(params, record)
        .optional()
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    record: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection
        .prepare_cached(sql)?
        .query_map(params, record)?
        .collect()
}

/// Refuses what no transaction could make right; the caller's own mistakes.
fn refuse_malformed(batch: &[Commit]) -> Result<(), StoreFault> {
    for commit in batch {
        let next = commit.expected_version.wrapping_add(1);
        if commit.new_state.as_ref().is_some_and(|new| new.version != next) {
            return Err(StoreFault(format!(
                "card {}: a write of its state counts one version up",
                commit.card
            )));
        }
        if commit.audit.is_empty() {
            return Err(StoreFault(format!(
                "card {}: an effect without an audit record",
                commit.card
            )));
        }
    }
    Ok(())
}

#[async_trait]
impl Store for SqliteStore {
    async fn cards(&self, keys: Vec<CardKey>) -> Result<Vec<Option<CardRecord>>, StoreFault> {
        let copy = Arc::clone(&self.cards);
        self.read(move |connection| {
            let rows = keys.iter().map(|key| key.row).collect::<Vec<_>>();
            let cards = copy.read(connection, &rows)?.into_iter().zip(&keys);
            let ours =
                |(card, key): (Option<CardRecord>, &CardKey)| card.filter(|card| card.key.check == key.check);
            Ok(cards.map(ours).collect())
        })
        .await
    }

    async fn card(&self, card: CardRef) -> Result<Option<CardRecord>, StoreFault> {
        let copy = Arc::clone(&self.cards);
        self.read(move |connection| Ok(copy.read(connection, &[card])?.pop().flatten()))
            .await
    }

    async fn cards_of(&self, cardmember: CardmemberId) -> Result<Vec<CardRecord>, StoreFault> {
        self.read(move |connection| all(connection, sql::CARDS_OF, [cardmember.0], rows::card))
            .await
    }

    async fn cards_from(&self, after: Option<CardRef>, limit: u32) -> Result<Vec<CardRecord>, StoreFault> {
        let from = match after {
            None => i64::MIN,
            Some(after) => match rows::row_id(after).checked_add(1) {
                Some(from) => from,
                None => return Ok(Vec::new()),
            },
        };
        self.read(move |connection| all(connection, sql::CARDS_FROM, (from, limit), rows::card))
            .await
    }

    async fn reissue_card(&self, reissue: Reissue) -> Result<ReissueOutcome, StoreFault> {
        reissue.refuse_malformed()?;
        self.write(move |writing| reissue.write(writing)).await
    }

    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<CommitOutcome>, StoreFault> {
        refuse_malformed(&batch)?;
        self.committer
            .write(batch.len(), move |writing| {
                batch.iter().map(|commit| writing.commit(commit)).collect()
            })
            .await
    }

    async fn messages(&self, identities: Vec<[u8; 16]>) -> Result<Vec<Option<MessageRecord>>, StoreFault> {
        self.read(move |connection| {
            let mut select = connection.prepare_cached(sql::MESSAGE)?;
            let mut message = |identity: &[u8; 16]| select.query_row([identity], rows::message).optional();
            identities.iter().map(&mut message).collect()
        })
        .await
    }

    async fn attempts(&self, card: CardRef) -> Result<Vec<AttemptRecord>, StoreFault> {
        self.read(move |connection| all(connection, sql::ATTEMPTS, [rows::row_id(card)], rows::attempt))
            .await
    }

    async fn import_cardmembers(
        &self,
        batch: Vec<NewCardmember>,
        audit: AuditEvent,
    ) -> Result<ImportReport, StoreFault> {
        let work = move |writing: &mut Writing<'_>| import::import_cardmembers(writing, &batch, &audit);
        self.write(work).await
    }

    async fn import_cards(
        &self,
        batch: Vec<CardRecord>,
        audit: AuditEvent,
    ) -> Result<ImportReport, StoreFault> {
        let weight = batch.len();
        let import = CardImport::new(batch, audit);
        self.committer
            .write(weight, move |writing| import.write(writing))
            .await
    }

    async fn judge_cardmembers(&self, batch: Vec<NewCardmember>) -> Result<Vec<RefusedRow>, StoreFault> {
        self.read(move |connection| Ok(import::judge_cardmembers(connection, &batch)?.refused))
            .await
    }

    async fn judge_cards(&self, batch: Vec<CardRecord>) -> Result<Vec<RefusedRow>, StoreFault> {
        self.read(move |connection| Ok(import::judge_cards(connection, &batch)?.refused))
            .await
    }

    async fn cardmember(&self, id: CardmemberId) -> Result<Option<CardmemberRecord>, StoreFault> {
        self.read(move |connection| one(connection, sql::CARDMEMBER_BY_ID, [id.0], rows::cardmember))
            .await
    }

    async fn cardmember_by_user_id(&self, user_id: &str) -> Result<Option<CardmemberRecord>, StoreFault> {
        let user_id = user_id.to_owned();
        self.read(move |connection| {
            one(
                connection,
                sql::CARDMEMBER_BY_USER_ID,
                [user_id],
                rows::cardmember,
            )
        })
        .await
    }

    async fn cardmembers_by_reference(
        &self,
        references: Vec<String>,
    ) -> Result<Vec<Option<CardmemberId>>, StoreFault> {
        self.read(move |connection| {
            let mut select = connection.prepare_cached(sql::CARDMEMBER_BY_REFERENCE)?;
            let mut cardmember = |reference: &String| {
                select
                    .query_row([reference], |row| row.get(0).map(CardmemberId))
                    .optional()
            };
            references.iter().map(&mut cardmember).collect()
        })
        .await
    }

    async fn set_password(
        &self,
        cardmember: CardmemberId,
        password_hash: String,
        mac: [u8; 16],
        audit: AuditEvent,
    ) -> Result<(), StoreFault> {
        self.write(move |writing| sign_in::set_password(writing, cardmember, &password_hash, &mac, &audit))
            .await
    }

    async fn charge_sign_in(
        &self,
        cardmember: CardmemberId,
        now: Timestamp,
        failures_max: u32,
        pause_ms: i64,
    ) -> Result<SignInCharge, StoreFault> {
        self.write(move |writing| sign_in::charge(writing, cardmember, now, failures_max, pause_ms))
            .await
    }

    async fn open_session(&self, session: SessionRecord, audit: AuditEvent) -> Result<(), StoreFault> {
        self.write(move |writing| sign_in::open_session(writing, &session, &audit))
            .await
    }

    async fn grant_step_up(&self, grant: StepUpGrant, audit: AuditEvent) -> Result<bool, StoreFault> {
        self.write(move |writing| sign_in::grant_step_up(writing, &grant, &audit))
            .await
    }

    async fn step_up(&self, spend: StepUpSpend) -> Result<Option<StepUpRecord>, StoreFault> {
        let card = rows::row_id(spend.card);
        let wanted = (spend.session, card, spend.operation, spend.not_before.0);
        self.read(move |connection| one(connection, sql::STEP_UP, wanted, rows::step_up))
            .await
    }

    async fn session(
        &self,
        token_hash: [u8; 32],
        now: Timestamp,
        idle_since: Timestamp,
        opened_since: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreFault> {
        self.write(move |writing| sign_in::see_session(writing, &token_hash, now, idle_since, opened_since))
            .await
    }

    async fn close_session(&self, token_hash: [u8; 32]) -> Result<(), StoreFault> {
        self.write(move |writing| sign_in::close_session(writing, &token_hash))
            .await
    }

    async fn claim_notices(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueNotice>, StoreFault> {
        self.write(move |writing| notices::claim(writing, now, lease_until, limit))
            .await
    }

    async fn notice_sent(&self, id: i64, at: Timestamp) -> Result<(), StoreFault> {
        self.write(move |writing| notices::sent(writing, id, at)).await
    }

    async fn notice_failed(&self, id: i64, next_try_at: Timestamp, reason: &str) -> Result<(), StoreFault> {
        let reason = reason.to_owned();
        self.write(move |writing| notices::failed(writing, id, next_try_at, &reason))
            .await
    }

    async fn keep_owed(&self, owed: Vec<NewOwed>) -> Result<Vec<i64>, StoreFault> {
        self.committer
            .write(owed.len(), move |writing| owed::keep(writing, &owed))
            .await
    }

    async fn owed(&self, link: &str, after: i64, limit: u32) -> Result<Vec<OwedMessage>, StoreFault> {
        let link = link.to_owned();
        self.read(move |connection| all(connection, sql::OWED_FROM, (link, after, limit), rows::owed))
            .await
    }

    async fn owed_by_link(&self) -> Result<Vec<OwedCount>, StoreFault> {
        self.read(|connection| all(connection, sql::OWED_BY_LINK, [], rows::owed_count))
            .await
    }

    async fn settle_owed(&self, ids: Vec<i64>) -> Result<(), StoreFault> {
        self.committer
            .write(ids.len(), move |writing| owed::settle(writing, &ids))
            .await
    }

    async fn try_write(&self) -> Result<(), StoreFault> {
        if let Some(why) = self.stopped.get() {
            return Err(StoreFault(why.clone()));
        }
        let last = self
            .last_write
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if last.is_ok() {
            return Ok(());
        }
        // A number of the database's header, which nobody reads. Setting it writes that page, whatever it was.
        self.write(|writing| Ok(writing.connection.pragma_update(None, "user_version", 0)?))
            .await?;
        set_last_write(&self.last_write, Ok(()));
        Ok(())
    }

    async fn audit_from(&self, sequence: u64, limit: u32) -> Result<Vec<AuditRecord>, StoreFault> {
        // No record has a number that SQL's integers can't hold.
        let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        self.read(move |connection| all(connection, sql::AUDIT_FROM, (sequence, limit), rows::audit))
            .await
    }

    async fn append_audit(&self, events: Vec<AuditEvent>) -> Result<(), StoreFault> {
        self.committer
            .write(events.len(), move |writing| writing.append_audit(&events))
            .await
    }

    async fn audit_head(&self) -> Result<Option<AuditRecord>, StoreFault> {
        self.read(|connection| one(connection, sql::AUDIT_HEAD, [], rows::audit))
            .await
    }

    async fn put_anchor(&self, anchor: AuditAnchor) -> Result<(), StoreFault> {
        self.write(move |writing| {
            writing.connection.prepare_cached(sql::INSERT_ANCHOR)?.execute((
                anchor.sequence.cast_signed(),
                &anchor.hash,
                &anchor.mac,
                anchor.at.0,
            ))?;
            Ok(())
        })
        .await
    }

    async fn anchors(&self) -> Result<Vec<AuditAnchor>, StoreFault> {
        self.read(|connection| all(connection, sql::ANCHORS, [], rows::anchor))
            .await
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;
    use tempfile::TempDir;

    use super::*;
    use crate::ChainCheck;

    fn event(detail_len: usize) -> AuditEvent {
        AuditEvent {
            at: Timestamp(0),
            kind: "started",
            card: None,
            actor: "operator:root".into(),
            detail: "x".repeat(detail_len),
        }
    }

    /// How far the chain goes, once it was checked.
    async fn chain_len(store: &SqliteStore) -> u64 {
        let mut check = ChainCheck::new(&[]);
        for record in store.audit_from(1, 10_000).await.unwrap() {
            check.follow(&record).unwrap();
        }
        check.end().unwrap()
    }

    async fn limit_pages(store: &SqliteStore, pages: u32) {
        let pragma = format!("PRAGMA max_page_count = {pages}");
        let limit = move |writing: &mut Writing<'_>| {
            Ok(writing
                .connection
                .query_row(&pragma, [], |row| row.get::<_, i64>(0))?)
        };
        store.write(limit).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_disk_faults_every_waiter_and_is_got_over() {
        let dir = TempDir::new().unwrap();
        let store = SqliteStore::open(dir.path().join("pinward.sqlite")).unwrap();
        store.append_audit(vec![event(10)]).await.unwrap();
        // SQLite takes a limit below the present size as the present size.
        limit_pages(&store, 1).await;

        let waiters = (0..32).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.append_audit(vec![event(100_000)]).await })
        });
        for waiter in waiters.collect::<Vec<_>>() {
            let fault = waiter.await.unwrap().unwrap_err();
            assert!(fault.0.contains("full"), "{fault}");
        }
        assert_eq!(chain_len(&store).await, 1);
        // Nothing to close: no write.
        store.close_session([0; 32]).await.unwrap();
        assert!(store.last_write.lock().unwrap().is_err());

        limit_pages(&store, 1_000_000).await;
        store.append_audit(vec![event(100_000)]).await.unwrap();
        assert!(store.last_write.lock().unwrap().is_ok());
        assert_eq!(chain_len(&store).await, 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failed_sync_stops_the_store_until_it_is_opened_again() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("pinward.sqlite");
        let store = SqliteStore::open(&path).unwrap();
        let failed_sync = |writing: &mut Writing<'_>| {
            writing.append_audit(&[event(10)])?;
            let error = ffi::Error::new(ffi::SQLITE_IOERR_FSYNC);
            Err::<(), _>(Failure::Database(rusqlite::Error::SqliteFailure(error, None)))
        };
        store.write(failed_sync).await.unwrap_err();
        store.append_audit(vec![event(10)]).await.unwrap_err();
        store.audit_head().await.unwrap_err();
        store.try_write().await.unwrap_err();
        drop(store);

        let store = SqliteStore::open(&path).unwrap();
        store.append_audit(vec![event(10)]).await.unwrap();
        assert_eq!(chain_len(&store).await, 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_long_log_is_moved_into_the_database_while_commits_go_on() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("pinward.sqlite");
        let store = SqliteStore::open(&path).unwrap();
        // The database file grows at a checkpoint only. The limit is below what the committer would move itself.
        for _ in 0..200 {
            store.append_audit(vec![event(1_000_000)]).await.unwrap();
            if path.metadata().unwrap().len() > 10_000_000 {
                return;
            }
        }
        panic!("200 MB were committed and no checkpoint came");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_last_handle_leaves_one_file_behind() {
        let dir = TempDir::new().unwrap();
        let store = SqliteStore::open(dir.path().join("pinward.sqlite")).unwrap();
        store.append_audit(vec![event(10)]).await.unwrap();
        drop(store);
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    }
}
