//! New plastic, under the same number and under a new one.

use cards::{CardKey, CardRef, Expiry, Psn};
use store::{AttemptWrite, CardRecord, CommitOutcome, NewState, Reissue, ReissueOutcome, Store};

use super::*;

fn blocked() -> NewState {
    NewState {
        version: 2,
        state: b"blocked".to_vec(),
        mac: [5; 16],
    }
}

/// What the card 1 becomes when it is made again with its number.
fn same_number(holder: CardmemberId) -> CardRecord {
    CardRecord {
        psn: Psn::new(2).unwrap(),
        expiry: Expiry::parse_yymm("3312").unwrap(),
        version: 2,
        state: b"reissued".to_vec(),
        mac: [6; 16],
        ..card(1, holder)
    }
}

/// New plastic for the card 1 at its first version.
fn reissue(new: CardRecord, old_state: Option<NewState>) -> Reissue {
    Reissue {
        old: CardRef(1),
        expected_version: 1,
        new,
        old_state,
        attempts: Vec::new(),
        audit: vec![event("card_replaced")],
    }
}

pub(crate) async fn a_reissue_under_the_same_number_replaces_what_the_plastic_carries(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_one_card(&store).await;
    let before = audit_len(&store).await;

    let outcome = store
        .reissue_card(reissue(same_number(holder), None))
        .await
        .unwrap();

    assert_eq!(outcome, ReissueOutcome::Done);
    assert_eq!(audit_len(&store).await, before + 1);
    assert_eq!(store.cards_of(holder).await.unwrap(), [same_number(holder)]);
    let judged_on_the_old_plastic = commit_one(&store, journal_only(1)).await;
    assert_eq!(judged_on_the_old_plastic, CommitOutcome::VersionConflict);
    assert!(is_done(&commit_one(&store, state_change(2)).await));
}

pub(crate) async fn a_reissue_under_a_new_number_adds_a_card_and_blocks_the_old_one(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_one_card(&store).await;
    let before = audit_len(&store).await;
    let replacement = Reissue {
        audit: vec![event("card_replaced"), event("card_blocked")],
        ..reissue(card(2, holder), Some(blocked()))
    };

    let outcome = store.reissue_card(replacement).await.unwrap();

    assert_eq!(outcome, ReissueOutcome::Done);
    assert_eq!(audit_len(&store).await, before + 2);
    let old = card_one(&store).await;
    assert_eq!((old.version, old.state), (2, blocked().state));
    assert_eq!(
        store.card(CardRef(2)).await.unwrap(),
        Some(card(2, holder)),
        "the new card begins where it is given"
    );

    let kept = Reissue {
        old: CardRef(2),
        ..reissue(card(3, holder), None)
    };
    assert_eq!(store.reissue_card(kept).await.unwrap(), ReissueOutcome::Done);
    assert_eq!(store.card(CardRef(2)).await.unwrap(), Some(card(2, holder)));
    assert_eq!(store.cards_of(holder).await.unwrap().len(), 3);
}

pub(crate) async fn a_reissue_of_a_card_that_moved_on_writes_nothing(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_one_card(&store).await;
    commit_one(&store, state_change(1)).await;
    let before = (store.cards_of(holder).await.unwrap(), audit_len(&store).await);
    for (old, new, old_state) in [
        (CardRef(1), same_number(holder), None),
        (CardRef(1), card(2, holder), Some(blocked())),
        (CardRef(1), card(2, holder), None),
        (CardRef(9), card(2, holder), None),
    ] {
        let late = Reissue {
            old,
            ..reissue(new, old_state)
        };
        let outcome = store.reissue_card(late).await.unwrap();
        assert_eq!(outcome, ReissueOutcome::VersionConflict);
    }
    let after = (store.cards_of(holder).await.unwrap(), audit_len(&store).await);
    assert_eq!(after, before);
}

pub(crate) async fn a_reissue_that_cannot_be_writes_nothing(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_one_card(&store).await;
    let before = (store.cards_of(holder).await.unwrap(), audit_len(&store).await);
    let other_number = CardRecord {
        key: CardKey {
            row: CardRef(1),
            check: [9; 24],
        },
        ..same_number(holder)
    };
    let skipping = CardRecord {
        version: 3,
        ..same_number(holder)
    };
    let skipping_block = NewState {
        version: 3,
        ..blocked()
    };
    let one = || vec![event("card_replaced")];
    for (new, old_state, audit) in [
        (other_number, None, one()),
        (skipping, None, one()),
        (same_number(holder), Some(blocked()), one()),
        (same_number(holder), None, vec![]),
        (card(3, CardmemberId(999)), Some(blocked()), one()),
        (card(3, holder), Some(skipping_block), one()),
    ] {
        let impossible = Reissue {
            audit,
            ..reissue(new, old_state)
        };
        store.reissue_card(impossible).await.unwrap_err();
    }
    let after = (store.cards_of(holder).await.unwrap(), audit_len(&store).await);
    assert_eq!(after, before);
}

pub(crate) async fn a_number_that_a_card_has_is_taken_and_writes_nothing(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_one_card(&store).await;
    let batch = vec![card(2, holder)];
    store.import_cards(batch, event("cards_imported")).await.unwrap();
    let before = (store.cards_of(holder).await.unwrap(), audit_len(&store).await);
    let same_row = CardRecord {
        key: CardKey {
            row: CardRef(2),
            check: [9; 24],
        },
        ..card(2, holder)
    };
    for new in [card(2, holder), same_row] {
        let outcome = store.reissue_card(reissue(new, Some(blocked()))).await.unwrap();
        assert_eq!(outcome, ReissueOutcome::NumberTaken);
    }
    let after = (store.cards_of(holder).await.unwrap(), audit_len(&store).await);
    assert_eq!(after, before);
}

pub(crate) async fn a_reissue_ends_the_attempts_that_it_names(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_one_card(&store).await;
    let sent = Commit {
        attempts: vec![AttemptWrite::Sent {
            attempt: 1,
            kind: "change_pin",
            version: 2,
            atc: 5,
            at: NOW,
        }],
        ..journal_only(1)
    };
    assert!(is_done(&commit_one(&store, sent).await));
    let ending = Reissue {
        attempts: vec![AttemptWrite::Resolved {
            attempt: 1,
            outcome: "plastic_gone",
            evidence: "the card was reissued".to_owned(),
            at: NOW,
        }],
        ..reissue(same_number(holder), None)
    };
    store.reissue_card(ending).await.unwrap();
    let attempts = store.attempts(CardRef(1)).await.unwrap();
    assert_eq!(attempts[0].outcome, "plastic_gone");
}
