//! What every `Store` must do, generic over the database. One macro line per database runs all of it.

pub(crate) mod audit;
pub(crate) mod commits;
pub(crate) mod concurrency;
pub(crate) mod imports;
pub(crate) mod notices;
pub(crate) mod owed;
pub(crate) mod reissues;
pub(crate) mod sign_in;

use cards::{CardKey, CardRef, CardRole, CardmemberId, Expiry, ProgrammeId, Psn, SealedPan, Timestamp};
use store::{
    AuditEvent, CardRecord, Commit, CommitOutcome, MessageRecord, NewCardmember, NewState, SessionRecord,
    StepUpGrant, Store,
};

/// An empty database that several handles, as of several processes, can be opened on.
pub(crate) trait Bed {
    type Store: Store + Clone + 'static;
    fn new() -> Self;
    fn open(&self) -> Self::Store;
}

macro_rules! conformance {
    ($bed:ty) => {
        conformance!($bed:
            commits::a_commit_takes_effect_in_all_its_parts,
            commits::a_commit_on_an_old_version_writes_nothing,
            commits::a_commit_on_no_card_is_a_version_conflict,
            commits::a_repeated_message_gets_the_recorded_answer_and_writes_nothing,
            commits::a_repeat_is_told_even_after_the_card_moved_on,
            commits::a_tombstone_answers_a_message_that_comes_late_and_one_that_was_answered,
            commits::a_missing_step_up_writes_nothing,
            commits::a_step_up_is_bound_to_session_card_operation_and_age,
            commits::items_of_a_batch_see_those_before_them,
            commits::one_impossible_call_leaves_the_others_of_its_transaction_alone,
            commits::a_state_that_skips_a_version_is_refused,
            commits::evidence_replaces_older_evidence_but_applied_is_final,
            commits::what_was_committed_is_there_after_reopening,
            concurrency::wrong_pins_from_many_tasks_are_all_counted,
            concurrency::one_step_up_is_spent_once_under_parallel_spenders,
            concurrency::two_handles_on_one_database_keep_one_chain,
            concurrency::what_another_handle_wrote_is_read_and_binds_the_next_commit,
            concurrency::a_read_never_misses_a_commit_that_was_answered,
            concurrency::a_dropped_future_neither_undoes_work_nor_harms_the_store,
            imports::a_repeated_import_changes_nothing,
            imports::a_conflicting_import_writes_nothing,
            imports::two_cards_that_lead_to_one_row_are_told_apart,
            imports::cardmembers_conflict_by_reference_and_by_user_id,
            imports::a_hundred_thousand_cards_are_imported,
            imports::all_cards_are_met_page_by_page,
            reissues::a_reissue_under_the_same_number_replaces_what_the_plastic_carries,
            reissues::a_reissue_under_a_new_number_adds_a_card_and_blocks_the_old_one,
            reissues::a_reissue_of_a_card_that_moved_on_writes_nothing,
            reissues::a_reissue_that_cannot_be_writes_nothing,
            reissues::a_number_that_a_card_has_is_taken_and_writes_nothing,
            reissues::a_reissue_ends_the_attempts_that_it_names,
            sign_in::tries_are_charged_before_the_password_is_looked_at,
            sign_in::a_session_ends_when_idle_old_or_closed,
            sign_in::a_step_up_renews_the_sessions_token_and_takes_its_other_grants_along,
            sign_in::a_new_password_ends_the_sessions_of_its_cardmember_only,
            sign_in::a_password_is_set_for_an_existing_cardmember_only,
            notices::a_lease_keeps_others_away_until_it_ends,
            notices::a_failed_notice_waits_with_those_after_it,
            owed::what_is_owed_stays_until_it_is_settled_across_reopening,
            owed::what_is_owed_is_counted_by_link_with_its_oldest,
            audit::the_chain_is_valid_and_has_no_gap,
            audit::anchors_are_kept_in_order,
        );
    };
    ($bed:ty: $($topic:ident::$behaviour:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $behaviour() {
                conformance::$topic::$behaviour(&<$bed>::new()).await;
            }
        )+
    };
}

/// Monday, 2 November 2026, 09:00 UTC.
pub(crate) const NOW: Timestamp = Timestamp(1_793_610_000_000);
pub(crate) const SESSION: [u8; 32] = [7; 32];

pub(crate) fn event(kind: &'static str) -> AuditEvent {
    AuditEvent {
        at: NOW,
        kind,
        card: Some(CardRef(1)),
        actor: "link:acquirer-1".into(),
        detail: "{}".into(),
    }
}

pub(crate) fn cardmember(reference: &str) -> NewCardmember {
    NewCardmember {
        reference: reference.into(),
        name: format!("Ada {reference}"),
        email: format!("{reference}@example.test"),
        user_id: Some(reference.to_lowercase()),
    }
}

pub(crate) fn card(row: u64, cardmember: CardmemberId) -> CardRecord {
    CardRecord {
        key: CardKey {
            row: CardRef(row),
            check: [1; 24],
        },
        pan: SealedPan([2; 16]),
        psn: Psn::new(1).unwrap(),
        last_four: format!("{:04}", row % 10_000),
        expiry: Expiry::parse_yymm("2912").unwrap(),
        programme: ProgrammeId("larkfield-credit".into()),
        cardmember,
        role: CardRole::Basic,
        version: 1,
        state: vec![0; 40],
        mac: [3; 16],
    }
}

/// A store with one cardmember and the card 1 at version 1; the import's two audit records are the first.
pub(crate) async fn with_one_card(store: &impl Store) -> CardmemberId {
    let holder = with_cardmember(store).await;
    store
        .import_cards(vec![card(1, holder)], event("cards_imported"))
        .await
        .unwrap();
    holder
}

pub(crate) async fn with_cardmember(store: &impl Store) -> CardmemberId {
    store
        .import_cardmembers(vec![cardmember("CM1")], event("cardmembers_imported"))
        .await
        .unwrap();
    store.cardmembers_by_reference(vec!["CM1".into()]).await.unwrap()[0].unwrap()
}

pub(crate) async fn with_session(store: &impl Store, cardmember: CardmemberId) {
    let session = SessionRecord {
        token_hash: SESSION,
        cardmember,
        opened_at: NOW,
        seen_at: NOW,
        mac: [5; 16],
    };
    store.open_session(session, event("signed_in")).await.unwrap();
}

/// A step-up on card 1 in the session, whose token stays.
pub(crate) fn step_up_grant(operation: &'static str) -> StepUpGrant {
    StepUpGrant {
        session: SESSION,
        renewed: SESSION,
        renewed_mac: [5; 16],
        card: CardRef(1),
        operation,
        mac: [7; 16],
    }
}

/// A right PIN with full tries on card 1: only the journal grows.
pub(crate) fn journal_only(expected_version: u64) -> Commit {
    Commit {
        card: CardRef(1),
        expected_version,
        new_state: None,
        message: None,
        tombstone: None,
        step_up: None,
        audit: vec![event("pin_verified")],
        attempts: vec![],
        notices: vec![],
    }
}

/// A wrong PIN on card 1: its state is written.
pub(crate) fn state_change(expected_version: u64) -> Commit {
    let version = expected_version + 1;
    Commit {
        new_state: Some(NewState {
            version,
            state: version.to_be_bytes().to_vec(),
            mac: [4; 16],
        }),
        ..journal_only(expected_version)
    }
}

pub(crate) fn message(number: u64) -> MessageRecord {
    let mut identity = [0; 16];
    identity[8..].copy_from_slice(&number.to_be_bytes());
    MessageRecord {
        identity,
        content: [5; 32],
        answer: b"00".to_vec(),
    }
}

pub(crate) async fn commit_one(store: &impl Store, commit: Commit) -> CommitOutcome {
    store.commit(vec![commit]).await.unwrap().remove(0)
}

pub(crate) fn is_done(outcome: &CommitOutcome) -> bool {
    matches!(outcome, CommitOutcome::Done { .. })
}

pub(crate) async fn card_one(store: &impl Store) -> CardRecord {
    store.card(CardRef(1)).await.unwrap().unwrap()
}

pub(crate) async fn audit_len(store: &impl Store) -> u64 {
    store
        .audit_head()
        .await
        .unwrap()
        .map_or(0, |record| record.sequence)
}
