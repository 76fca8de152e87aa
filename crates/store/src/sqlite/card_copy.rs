//! Card rows in memory, so that an authorisation reads none from the file.
//!
//! The copy is what the database holds at one moment, and the newest audit record names the moment: every write of a
//! card appends one in the same transaction, whichever process wrote it. A reader takes rows out of the copy, and puts
//! rows in, only while its own snapshot is of that moment. The committer moves the copy on after each commit, and
//! empties it when SQLite tells that somebody else has written.

use std::{
    collections::HashMap,
    mem,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use cards::{CardKey, CardRef, CardRole, CardmemberId, Expiry, ProgrammeId, Psn, SealedPan};
use rusqlite::{Connection, OptionalExtension, Result};

use crate::{
    CardRecord,
    sqlite::{rows, statements as sql},
};

/// Some 250 bytes each. Cards beyond these are read from the file.
const CARDS_MAX: usize = 1_000_000;

/// Shared by the committer and the readers.
#[derive(Default)]
pub(super) struct CardCopy(RwLock<Copy>);

#[derive(Default)]
struct Copy {
    /// Sequence number of the newest audit record at the copy's moment; `None` while nobody knows.
    moment: Option<u64>,
    cards: HashMap<CardRef, Copied>,
}

impl CardCopy {
    /// The cards in these rows, in order, as the connection's snapshot has them.
    pub(super) fn read(&self, connection: &Connection, rows: &[CardRef]) -> Result<Vec<Option<CardRecord>>> {
        let moment = connection
            .prepare_cached(sql::AUDIT_LAST)?
            .query_row([], |row| row.get::<_, i64>(0))
            .optional()?
            .map_or(0, i64::cast_unsigned);
        let mut cards = self.copied(moment, rows);
        let mut select = connection.prepare_cached(sql::CARD_BY_ID)?;
        let mut read = Vec::new();
        for (row, card) in rows.iter().zip(&mut cards).filter(|(_, card)| card.is_none()) {
            *card = select.query_row([rows::row_id(*row)], rows::card).optional()?;
            read.extend(card.as_ref().and_then(|card| Some((*row, Copied::new(card)?))));
        }
        if !read.is_empty() {
            self.take_in(moment, read);
        }
        Ok(cards)
    }

    fn copied(&self, moment: u64, rows: &[CardRef]) -> Vec<Option<CardRecord>> {
        let copy = self.looking();
        if copy.moment != Some(moment) {
            return vec![None; rows.len()];
        }
        let record = |row: &CardRef| copy.cards.get(row).map(|card| card.record(*row));
        rows.iter().map(record).collect()
    }

    fn take_in(&self, moment: u64, read: Vec<(CardRef, Copied)>) {
        let mut copy = self.changing();
        if copy.moment == Some(moment) {
            let free = CARDS_MAX.saturating_sub(copy.cards.len());
            copy.cards.extend(read.into_iter().take(free));
        }
    }

    /// The version of a card that is in the copy.
    pub(super) fn version(&self, card: CardRef) -> Option<u64> {
        self.looking().cards.get(&card).map(|card| card.version)
    }

    /// After the committer's own commit: the copy is of this moment now, but for the cards that were written.
    pub(super) fn move_on(&self, moment: u64, written: impl Iterator<Item = CardRef>) {
        let mut copy = self.changing();
        for card in written {
            copy.cards.remove(&card);
        }
        copy.moment = Some(moment);
    }

    /// Somebody else has written, or nobody knows.
    pub(super) fn empty(&self, moment: Option<u64>) {
        let cards = HashMap::new();
        let before = mem::replace(&mut *self.changing(), Copy { moment, cards });
        // A million cards take a while to let go; nobody should wait for it.
        drop(before);
    }

    // A thread that panicked in here left no card half changed: each is put in or taken out whole.

    fn looking(&self) -> RwLockReadGuard<'_, Copy> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> RwLockWriteGuard<'_, Copy> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A card without its row's number, in one allocation.
struct Copied {
    version: u64,
    cardmember: CardmemberId,
    expiry: Expiry,
    psn: Psn,
    role: CardRole,
    last_four_len: u8,
    programme_len: u8,
    /// Check (24), sealed PAN (16), MAC (16), last four digits, programme, state.
    bytes: Box<[u8]>,
}

impl Copied {
    /// `None` for texts that no card has.
    fn new(card: &CardRecord) -> Option<Self> {
        Some(Self {
            version: card.version,
            cardmember: card.cardmember,
            expiry: card.expiry,
            psn: card.psn,
            role: card.role,
            last_four_len: card.last_four.len().try_into().ok()?,
            programme_len: card.programme.0.len().try_into().ok()?,
            bytes: [
                &card.key.check[..],
                &card.pan.0,
                &card.mac,
                card.last_four.as_bytes(),
                card.programme.0.as_bytes(),
                &card.state,
            ]
            .concat()
            .into(),
        })
    }

    fn record(&self, row: CardRef) -> CardRecord {
        let mut rest = &self.bytes[..];
        let check = *first(&mut rest);
        let pan = *first(&mut rest);
        let mac = *first(&mut rest);
        let mut text = |len: u8| {
            let text = rest.split_off(..usize::from(len)).expect("it was put in");
            String::from_utf8(text.to_vec()).expect("it was a text")
        };
        let last_four = text(self.last_four_len);
        let programme = text(self.programme_len);
        CardRecord {
            key: CardKey { row, check },
            pan: SealedPan(pan),
            psn: self.psn,
            last_four,
            expiry: self.expiry,
            programme: ProgrammeId(programme),
            cardmember: self.cardmember,
            role: self.role,
            version: self.version,
            state: rest.to_vec(),
            mac,
        }
    }
}

fn first<'b, const LEN: usize>(rest: &mut &'b [u8]) -> &'b [u8; LEN] {
    let (first, after) = rest
        .split_first_chunk()
        .expect("arrays come first, at full length");
    *rest = after;
    first
}

#[cfg(test)]
mod tests {
    use cards::Timestamp;
    use tempfile::TempDir;

    use super::*;
    use crate::{AuditEvent, Commit, CommitOutcome, NewCardmember, NewState, SqliteStore, Store};

    const CARD: CardRef = CardRef(1);

    fn event() -> AuditEvent {
        AuditEvent {
            at: Timestamp(0),
            kind: "authorisation",
            card: Some(CARD),
            actor: "link:acquirer-1".into(),
            detail: "{}".into(),
        }
    }

    fn card(cardmember: CardmemberId) -> CardRecord {
        CardRecord {
            key: CardKey {
                row: CARD,
                check: [1; 24],
            },
            pan: SealedPan([2; 16]),
            psn: Psn::new(1).unwrap(),
            last_four: "1111".into(),
            expiry: Expiry::parse_yymm("2912").unwrap(),
            programme: ProgrammeId("larkfield-credit".into()),
            cardmember,
            role: CardRole::Supplementary,
            version: 1,
            state: vec![9; 60],
            mac: [3; 16],
        }
    }

    fn commit(expected_version: u64, writes_state: bool) -> Commit {
        Commit {
            card: CARD,
            expected_version,
            new_state: writes_state.then_some(NewState {
                version: expected_version + 1,
                state: vec![8; 60],
                mac: [4; 16],
            }),
            message: None,
            tombstone: None,
            step_up: None,
            audit: vec![event()],
            attempts: vec![],
            notices: vec![],
        }
    }

    async fn with_card(dir: &TempDir) -> SqliteStore {
        let store = SqliteStore::open(dir.path().join("pinward.sqlite")).unwrap();
        let holder = NewCardmember {
            reference: "CM1".into(),
            name: "Ada".into(),
            email: "ada@example.test".into(),
            user_id: None,
        };
        store.import_cardmembers(vec![holder], event()).await.unwrap();
        let holder = store.cardmembers_by_reference(vec!["CM1".into()]).await.unwrap();
        let card = card(holder[0].unwrap());
        store.import_cards(vec![card], event()).await.unwrap();
        store
    }

    async fn commit_one(store: &SqliteStore, commit: Commit) -> CommitOutcome {
        store.commit(vec![commit]).await.unwrap().remove(0)
    }

    #[test]
    fn a_copied_card_is_the_card() {
        let card = card(CardmemberId(7));
        assert_eq!(Copied::new(&card).unwrap().record(CARD), card);
        let nameless = CardRecord {
            last_four: String::new(),
            state: vec![],
            ..card
        };
        assert_eq!(Copied::new(&nameless).unwrap().record(CARD), nameless);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_card_stays_in_memory_until_it_is_written() {
        let dir = TempDir::new().unwrap();
        let store = with_card(&dir).await;
        assert_eq!(store.cards.version(CARD), None);
        store.card(CARD).await.unwrap();
        assert_eq!(store.cards.version(CARD), Some(1));
        for _ in 0..3 {
            let outcome = commit_one(&store, commit(1, false)).await;
            assert!(matches!(outcome, CommitOutcome::Done { .. }));
            assert_eq!(
                store.cards.version(CARD),
                Some(1),
                "our own commits leave it there"
            );
        }
        commit_one(&store, commit(1, true)).await;
        assert_eq!(store.cards.version(CARD), None);
        let read = store.card(CARD).await.unwrap().unwrap();
        assert_eq!((read.version, read.state), (2, vec![8; 60]));
        assert_eq!(store.cards.version(CARD), Some(2));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failed_transaction_empties_the_copy() {
        let dir = TempDir::new().unwrap();
        let store = with_card(&dir).await;
        store.card(CARD).await.unwrap();
        store
            .set_password(CardmemberId(999), "hash".into(), [6; 16], event())
            .await
            .unwrap_err();
        assert_eq!(store.cards.version(CARD), None);
        assert!(store.card(CARD).await.unwrap().is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_write_from_outside_the_program_binds_the_next_commit() {
        let dir = TempDir::new().unwrap();
        let store = with_card(&dir).await;
        store.card(CARD).await.unwrap();
        commit_one(&store, commit(1, false)).await;
        let outside = Connection::open(dir.path().join("pinward.sqlite")).unwrap();
        // Not even with an audit record.
        outside.execute("UPDATE card SET version = 2", []).unwrap();
        assert_eq!(
            commit_one(&store, commit(1, false)).await,
            CommitOutcome::VersionConflict
        );
        assert_eq!(store.card(CARD).await.unwrap().unwrap().version, 2);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_from_an_older_snapshot_is_taken_in() {
        let dir = TempDir::new().unwrap();
        let store = with_card(&dir).await;
        commit_one(&store, commit(1, false)).await;
        let read = store.card(CARD).await.unwrap().unwrap();
        commit_one(&store, commit(1, true)).await;
        let copied = || vec![(CARD, Copied::new(&read).unwrap())];
        store.cards.take_in(3, copied());
        assert_eq!(store.cards.version(CARD), None);
        store.cards.take_in(4, copied());
        assert_eq!(
            store.cards.version(CARD),
            Some(1),
            "the control: the present moment is 4"
        );
    }

    #[test]
    fn a_full_copy_takes_nothing_more() {
        let copy = CardCopy::default();
        copy.empty(Some(1));
        let card = card(CardmemberId(7));
        let many = |from: u64, count: usize| {
            let copied = |row| (CardRef(row), Copied::new(&card).unwrap());
            (from..).take(count).map(copied).collect()
        };
        copy.take_in(1, many(0, CARDS_MAX - 1));
        copy.take_in(1, many(5_000_000, 2));
        assert_eq!(copy.looking().cards.len(), CARDS_MAX);
        assert_eq!(copy.version(CardRef(5_000_000)), Some(1));
        assert_eq!(copy.version(CardRef(5_000_001)), None);
    }
}
