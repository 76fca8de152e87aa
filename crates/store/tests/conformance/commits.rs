//! One commit: all of it or nothing, and only on what it was decided on.

use cards::{CardKey, CardRef};
use store::{AttemptWrite, Commit, CommitOutcome, NewNotice, StepUpSpend, Store};

use super::*;

fn everything(holder: CardmemberId) -> Commit {
    Commit {
        message: Some(message(1)),
        tombstone: Some(message(2)),
        step_up: Some(spend("change_pin")),
        audit: vec![event("pin_changed"), event("script_sent")],
        attempts: vec![AttemptWrite::Sent {
            attempt: 1,
            kind: "pin_change",
            version: 2,
            atc: 6,
            at: NOW,
        }],
        notices: vec![NewNotice {
            kind: "new_pin_set",
            cardmember: holder,
            last_four: "1111".into(),
            at: NOW,
            detail: "{}".into(),
        }],
        ..state_change(1)
    }
}

fn spend(operation: &'static str) -> StepUpSpend {
    StepUpSpend {
        session: SESSION,
        card: CardRef(1),
        operation,
        not_before: NOW,
    }
}

/// How much of everything is there: card version, messages, audit records, attempts, notices.
async fn traces(store: &impl Store) -> (u64, usize, u64, usize, usize) {
    let messages = store
        .messages(vec![message(1).identity, message(2).identity])
        .await
        .unwrap();
    (
        card_one(store).await.version,
        messages.iter().flatten().count(),
        audit_len(store).await,
        store.attempts(CardRef(1)).await.unwrap().len(),
        store.claim_notices(NOW, NOW, 10).await.unwrap().len(),
    )
}

async fn with_step_up(store: &impl Store) -> CardmemberId {
    let holder = with_one_card(store).await;
    with_session(store, holder).await;
    store
        .grant_step_up(step_up_grant("change_pin"), event("stepped_up"))
        .await
        .unwrap();
    holder
}

pub(crate) async fn a_commit_takes_effect_in_all_its_parts(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_step_up(&store).await;
    let (_, _, before, _, _) = traces(&store).await;
    assert!(store.step_up(spend("change_pin")).await.unwrap().is_some());

    let outcome = commit_one(&store, everything(holder)).await;

    assert_eq!(outcome, CommitOutcome::Done { audit: before + 2 });
    assert_eq!(traces(&store).await, (2, 2, before + 2, 1, 1));
    assert_eq!(store.step_up(spend("change_pin")).await.unwrap(), None);
    let card = card_one(&store).await;
    assert_eq!((card.state, card.mac), (2_u64.to_be_bytes().to_vec(), [4; 16]));
    let attempt = store.attempts(CardRef(1)).await.unwrap().remove(0);
    assert_eq!(
        (attempt.kind.as_str(), attempt.version, attempt.atc),
        ("pin_change", 2, 6)
    );
    assert_eq!(
        (attempt.outcome.as_str(), attempt.sent_at, attempt.resolved_at),
        ("sent", NOW, None)
    );
}

pub(crate) async fn a_commit_on_an_old_version_writes_nothing(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_step_up(&store).await;
    commit_one(&store, state_change(1)).await;
    let before = traces(&store).await;

    let outcome = commit_one(&store, everything(holder)).await;

    assert_eq!(outcome, CommitOutcome::VersionConflict);
    assert_eq!(traces(&store).await, before);
    assert!(store.step_up(spend("change_pin")).await.unwrap().is_some());
    let outcome = commit_one(&store, journal_only(1)).await;
    assert_eq!(
        outcome,
        CommitOutcome::VersionConflict,
        "a match is judged anew, too"
    );
}

pub(crate) async fn a_commit_on_no_card_is_a_version_conflict(bed: &impl Bed) {
    let store = bed.open();
    assert_eq!(
        commit_one(&store, journal_only(0)).await,
        CommitOutcome::VersionConflict
    );
    assert_eq!(audit_len(&store).await, 0);
}

pub(crate) async fn a_repeated_message_gets_the_recorded_answer_and_writes_nothing(bed: &impl Bed) {
    let store = bed.open();
    with_one_card(&store).await;
    let first = Commit {
        message: Some(message(1)),
        ..journal_only(1)
    };
    assert!(is_done(&commit_one(&store, first).await));
    let before = traces(&store).await;

    let other_answer = MessageRecord {
        answer: b"55".to_vec(),
        content: [6; 32],
        ..message(1)
    };
    let repeat = Commit {
        message: Some(other_answer),
        ..state_change(1)
    };

    assert_eq!(
        commit_one(&store, repeat).await,
        CommitOutcome::Duplicate(message(1))
    );
    assert_eq!(traces(&store).await, before);
}

pub(crate) async fn a_repeat_is_told_even_after_the_card_moved_on(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_step_up(&store).await;
    let outcomes = store
        .commit(vec![everything(holder), everything(holder)])
        .await
        .unwrap();
    assert!(is_done(&outcomes[0]));
    assert_eq!(outcomes[1], CommitOutcome::Duplicate(message(1)));
}

pub(crate) async fn a_tombstone_answers_a_message_that_comes_late_and_one_that_was_answered(bed: &impl Bed) {
    let store = bed.open();
    with_one_card(&store).await;
    let reversal = |number, of: &MessageRecord| Commit {
        message: Some(message(number)),
        tombstone: Some(of.clone()),
        ..journal_only(1)
    };
    let of = |number| MessageRecord {
        content: [0; 32],
        answer: b"reversed".to_vec(),
        ..message(number)
    };
    let request = |number| Commit {
        message: Some(message(number)),
        ..journal_only(1)
    };
    assert!(is_done(&commit_one(&store, reversal(2, &of(1))).await));
    assert_eq!(
        commit_one(&store, request(1)).await,
        CommitOutcome::Duplicate(of(1)),
        "it comes late"
    );

    assert!(is_done(&commit_one(&store, request(3)).await));
    assert!(is_done(&commit_one(&store, reversal(4, &of(3))).await));
    let replaced = MessageRecord {
        answer: of(3).answer,
        ..message(3)
    };
    assert_eq!(
        commit_one(&store, request(3)).await,
        CommitOutcome::Duplicate(replaced),
        "it was answered before"
    );
}

pub(crate) async fn a_missing_step_up_writes_nothing(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_one_card(&store).await;
    let before = traces(&store).await;
    assert_eq!(
        commit_one(&store, everything(holder)).await,
        CommitOutcome::StepUpMissing
    );
    assert_eq!(traces(&store).await, before);
}

pub(crate) async fn a_step_up_is_bound_to_session_card_operation_and_age(bed: &impl Bed) {
    let store = bed.open();
    with_step_up(&store).await;
    let right = spend("change_pin");
    let wrong = [
        StepUpSpend {
            session: [8; 32],
            ..right.clone()
        },
        StepUpSpend {
            card: CardRef(2),
            ..right.clone()
        },
        StepUpSpend {
            operation: "view_pin",
            ..right.clone()
        },
        StepUpSpend {
            not_before: NOW.plus_ms(1),
            ..right.clone()
        },
    ];
    for step_up in wrong {
        assert_eq!(store.step_up(step_up.clone()).await.unwrap(), None);
        let commit = Commit {
            step_up: Some(step_up),
            ..journal_only(1)
        };
        assert_eq!(commit_one(&store, commit).await, CommitOutcome::StepUpMissing);
    }
    let commit = Commit {
        step_up: Some(right),
        ..journal_only(1)
    };
    assert!(is_done(&commit_one(&store, commit.clone()).await));
    assert_eq!(
        commit_one(&store, commit).await,
        CommitOutcome::StepUpMissing,
        "spent"
    );

    store
        .grant_step_up(step_up_grant("change_pin"), event("stepped_up"))
        .await
        .unwrap();
    store.close_session(SESSION).await.unwrap();
    assert_eq!(
        store.step_up(spend("change_pin")).await.unwrap(),
        None,
        "ended with the session"
    );
}

pub(crate) async fn items_of_a_batch_see_those_before_them(bed: &impl Bed) {
    let store = bed.open();
    with_one_card(&store).await;

    let in_turn = store.commit((1..=128).map(state_change).collect()).await.unwrap();
    assert!(in_turn.iter().all(is_done));
    assert_eq!(card_one(&store).await.version, 129);

    let at_once = store
        .commit((0..128).map(|_| state_change(129)).collect())
        .await
        .unwrap();
    assert!(is_done(&at_once[0]));
    assert!(
        at_once[1..]
            .iter()
            .all(|outcome| *outcome == CommitOutcome::VersionConflict)
    );
    assert_eq!(card_one(&store).await.version, 130);
    assert_eq!(audit_len(&store).await, 2 + 129);
}

pub(crate) async fn one_impossible_call_leaves_the_others_of_its_transaction_alone(bed: &impl Bed) {
    let store = bed.open();
    with_one_card(&store).await;
    let nobody = CardmemberId(999);
    let impossible = || Commit {
        message: Some(message(9)),
        ..everything_without_step_up(nobody)
    };
    let calls = (0..64).map(|number| {
        let store = store.clone();
        let commit = if number % 8 == 0 {
            impossible()
        } else {
            journal_only(1)
        };
        tokio::spawn(async move { (number, store.commit(vec![commit]).await) })
    });
    for call in calls.collect::<Vec<_>>() {
        let (number, outcome) = call.await.unwrap();
        assert_eq!(outcome.is_err(), number % 8 == 0, "{outcome:?}");
    }
    assert_eq!(card_one(&store).await.version, 1);
    assert_eq!(audit_len(&store).await, 2 + 56);
    assert_eq!(store.messages(vec![message(9).identity]).await.unwrap(), [None]);
}

fn everything_without_step_up(holder: CardmemberId) -> Commit {
    Commit {
        step_up: None,
        ..everything(holder)
    }
}

pub(crate) async fn a_state_that_skips_a_version_is_refused(bed: &impl Bed) {
    let store = bed.open();
    with_one_card(&store).await;
    let skipping = Commit {
        expected_version: 1,
        ..state_change(2)
    };
    store.commit(vec![skipping]).await.unwrap_err();
    let unaudited = Commit {
        audit: vec![],
        ..state_change(1)
    };
    store.commit(vec![unaudited]).await.unwrap_err();
    assert_eq!(card_one(&store).await.version, 1);
}

pub(crate) async fn evidence_replaces_older_evidence_but_applied_is_final(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_one_card(&store).await;
    commit_one(&store, everything_without_step_up(holder)).await;
    for (outcome, expected) in [
        ("unknown", "unknown"),
        ("reported", "reported"),
        ("applied", "applied"),
        ("failed", "applied"),
    ] {
        let resolved = AttemptWrite::Resolved {
            attempt: 1,
            outcome,
            evidence: format!("evidence of {outcome}"),
            at: NOW.plus_ms(5),
        };
        let commit = Commit {
            attempts: vec![resolved],
            ..journal_only(2)
        };
        assert!(is_done(&commit_one(&store, commit).await));
        let attempt = store.attempts(CardRef(1)).await.unwrap().remove(0);
        assert_eq!(attempt.outcome, expected);
        assert_eq!(attempt.evidence, format!("evidence of {expected}"));
        assert_eq!(attempt.resolved_at, Some(NOW.plus_ms(5)));
    }
}

pub(crate) async fn what_was_committed_is_there_after_reopening(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_step_up(&store).await;
    commit_one(&store, everything(holder)).await;
    let before = traces(&store).await;
    let card = card_one(&store).await;
    drop(store);

    let store = bed.open();
    assert_eq!(traces(&store).await, before);
    let other_check = CardKey {
        check: [9; 24],
        ..card.key
    };
    let found = store.cards(vec![card.key, other_check, card.key]).await.unwrap();
    assert_eq!(found, [Some(card.clone()), None, Some(card)]);
}
