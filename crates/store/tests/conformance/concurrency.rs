//! Many callers, several handles, callers who go away.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Context,
};

use store::{Commit, CommitOutcome, Reissue, ReissueOutcome, StepUpSpend, Store};

use super::*;

const TASKS: u64 = 64;
const CHANGES_EACH: u64 = 100;
const CHANGES_WATCHED: u64 = 500;

/// Reads, decides, commits, and does so again when the card has moved on.
async fn change_with_retry(store: &impl Store) {
    loop {
        let version = card_one(store).await.version;
        if is_done(&commit_one(store, state_change(version)).await) {
            return;
        }
    }
}

pub(crate) async fn wrong_pins_from_many_tasks_are_all_counted(bed: &impl Bed) {
    let store = bed.open();
    with_one_card(&store).await;
    // Half of the changes come through a handle as of another process.
    let other = bed.open();
    let tasks = (0..TASKS).map(|task| {
        let store = if task % 2 == 0 {
            store.clone()
        } else {
            other.clone()
        };
        tokio::spawn(async move {
            for _ in 0..CHANGES_EACH {
                change_with_retry(&store).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(card_one(&store).await.version, 1 + TASKS * CHANGES_EACH);
    assert_eq!(audit_len(&store).await, 2 + TASKS * CHANGES_EACH);
}

pub(crate) async fn one_step_up_is_spent_once_under_parallel_spenders(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_one_card(&store).await;
    with_session(&store, holder).await;
    store
        .grant_step_up(step_up_grant("view_pin"), event("stepped_up"))
        .await
        .unwrap();
    let step_up = StepUpSpend {
        session: SESSION,
        card: CardRef(1),
        operation: "view_pin",
        not_before: NOW,
    };
    let other = bed.open();
    let spenders = (0..64).map(|spender| {
        let store = if spender % 2 == 0 {
            store.clone()
        } else {
            other.clone()
        };
        let commit = Commit {
            step_up: Some(step_up.clone()),
            ..journal_only(1)
        };
        tokio::spawn(async move { commit_one(&store, commit).await })
    });
    let mut done = 0;
    for spender in spenders.collect::<Vec<_>>() {
        match spender.await.unwrap() {
            CommitOutcome::Done { .. } => done += 1,
            outcome => assert_eq!(outcome, CommitOutcome::StepUpMissing),
        }
    }
    assert_eq!(done, 1);
}

pub(crate) async fn two_handles_on_one_database_keep_one_chain(bed: &impl Bed) {
    let handles = [bed.open(), bed.open()];
    let tasks = (0..8_usize).map(|task| {
        let store = handles[task % 2].clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                store
                    .append_audit(vec![event("started"), event("key_loaded")])
                    .await
                    .unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(super::audit::follow_chain(&handles[0]).await, Ok(8 * 50 * 2));
}

pub(crate) async fn what_another_handle_wrote_is_read_and_binds_the_next_commit(bed: &impl Bed) {
    let (ours, others) = (bed.open(), bed.open());
    let holder = with_one_card(&ours).await;
    let mut version = 1;
    for _ in 0..20 {
        // We have read the card and written on what we read: whatever we keep of it, we keep now.
        assert_eq!(card_one(&ours).await.version, version);
        assert!(is_done(&commit_one(&ours, journal_only(version)).await));
        assert!(is_done(&commit_one(&others, state_change(version)).await));
        let outcome = commit_one(&ours, journal_only(version)).await;
        assert_eq!(outcome, CommitOutcome::VersionConflict);
        version += 1;
        assert_eq!(card_one(&ours).await.version, version);

        // The same, but read before we commit anything.
        assert!(is_done(&commit_one(&others, state_change(version)).await));
        version += 1;
        assert_eq!(card_one(&ours).await.version, version);
        let state = NewState {
            version: version + 1,
            state: b"blocked".to_vec(),
            mac: [5; 16],
        };
        let replacement = Reissue {
            old: CardRef(1),
            expected_version: version,
            new: card(version, holder),
            old_state: Some(state),
            attempts: Vec::new(),
            audit: vec![event("card_replaced")],
        };
        let replaced = others.reissue_card(replacement).await.unwrap();
        assert_eq!(replaced, ReissueOutcome::Done);
        let outcome = commit_one(&ours, state_change(version)).await;
        assert_eq!(outcome, CommitOutcome::VersionConflict);
        version += 1;
        assert_eq!(
            ours.cards_of(holder).await.unwrap().len(),
            1 + usize::try_from(version / 3).unwrap()
        );
    }
}

pub(crate) async fn a_read_never_misses_a_commit_that_was_answered(bed: &impl Bed) {
    let handles = [bed.open(), bed.open()];
    with_one_card(&handles[0]).await;
    let answered = Arc::new(AtomicU64::new(1));
    let readers = (0..8_usize).map(|reader| {
        let store = handles[reader % 2].clone();
        let answered = Arc::clone(&answered);
        tokio::spawn(async move {
            loop {
                let least = answered.load(Ordering::SeqCst);
                let version = card_one(&store).await.version;
                assert!(version >= least, "{version} was read after {least} was answered");
                if least == CHANGES_WATCHED {
                    return;
                }
            }
        })
    });
    let readers = readers.collect::<Vec<_>>();
    for version in 1..CHANGES_WATCHED {
        // The writers take turns at irregular steps, so that each also follows itself.
        let writer = &handles[usize::try_from(version / 3 % 2).unwrap()];
        assert!(is_done(&commit_one(writer, state_change(version)).await));
        answered.store(version + 1, Ordering::SeqCst);
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

pub(crate) async fn a_dropped_future_neither_undoes_work_nor_harms_the_store(bed: &impl Bed) {
    let store = bed.open();
    with_one_card(&store).await;
    let mut nobody = Context::from_waker(std::task::Waker::noop());
    // One poll puts the work into the queue; then the callers go away.
    let _ = pin!(store.commit(vec![journal_only(1)])).poll(&mut nobody);
    for _ in 0..64 {
        let _ = pin!(store.card(CardRef(1))).poll(&mut nobody);
    }
    // The next commit comes after the dropped one.
    assert_eq!(
        commit_one(&store, journal_only(1)).await,
        CommitOutcome::Done { audit: 4 }
    );
    assert_eq!(card_one(&store).await.version, 1);
}
