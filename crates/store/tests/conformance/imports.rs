//! Imports: all or nothing, repeats harmless.

use std::time::Instant;

use cards::{CardKey, CardRole};
use store::{ImportReport, Store};

use super::*;

fn refusals(report: &ImportReport) -> Vec<(usize, &'static str)> {
    report
        .refused
        .iter()
        .map(|(at, column, _)| (*at, *column))
        .collect()
}

pub(crate) async fn a_repeated_import_changes_nothing(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_one_card(&store).await;
    commit_one(&store, state_change(1)).await;
    let cards = vec![
        card(u64::MAX, holder),
        card(1, holder),
        card(2, holder),
        card(2, holder),
    ];

    let first = store
        .import_cards(cards.clone(), event("cards_imported"))
        .await
        .unwrap();
    assert_eq!(
        first,
        ImportReport {
            inserted: 2,
            unchanged: 2,
            refused: vec![]
        }
    );
    let before = audit_len(&store).await;
    let again = store.import_cards(cards, event("cards_imported")).await.unwrap();
    assert_eq!(
        again,
        ImportReport {
            inserted: 0,
            unchanged: 4,
            refused: vec![]
        }
    );
    assert_eq!(audit_len(&store).await, before, "no effect, no record");
    assert_eq!(card_one(&store).await.version, 2, "the state is as it has become");

    let rows = store
        .cards_of(holder)
        .await
        .unwrap()
        .iter()
        .map(|card| card.key.row.0)
        .collect::<Vec<_>>();
    assert_eq!(rows, [1, 2, u64::MAX]);
    let people = store
        .import_cardmembers(vec![cardmember("CM1")], event("x"))
        .await
        .unwrap();
    assert_eq!(
        people,
        ImportReport {
            inserted: 0,
            unchanged: 1,
            refused: vec![]
        }
    );
}

pub(crate) async fn a_conflicting_import_writes_nothing(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_one_card(&store).await;
    let before = audit_len(&store).await;
    let other = card(1, holder);
    let conflicts = [
        (
            CardRecord {
                psn: Psn::new(2).unwrap(),
                ..other.clone()
            },
            "psn",
        ),
        (
            CardRecord {
                expiry: Expiry::parse_yymm("3001").unwrap(),
                ..other.clone()
            },
            "expiry",
        ),
        (
            CardRecord {
                programme: ProgrammeId("larkfield-debit".into()),
                ..other.clone()
            },
            "programme",
        ),
        (
            CardRecord {
                role: CardRole::Supplementary,
                ..other.clone()
            },
            "role",
        ),
        (
            CardRecord {
                cardmember: CardmemberId(999),
                ..other.clone()
            },
            "cardmember",
        ),
        (
            CardRecord {
                cardmember: CardmemberId(999),
                ..card(5, holder)
            },
            "cardmember",
        ),
    ];
    for (conflict, column) in conflicts {
        let batch = vec![card(3, holder), conflict, card(4, holder)];
        let report = store.import_cards(batch, event("cards_imported")).await.unwrap();
        assert_eq!(refusals(&report), [(1, column)]);
        assert_eq!((report.inserted, report.unchanged), (0, 0));
    }
    assert_eq!(store.cards_of(holder).await.unwrap(), [other]);
    assert_eq!(audit_len(&store).await, before);
}

pub(crate) async fn two_cards_that_lead_to_one_row_are_told_apart(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_one_card(&store).await;
    let collide = |row| CardRecord {
        key: CardKey {
            row: CardRef(row),
            check: [9; 24],
        },
        ..card(row, holder)
    };
    let report = store
        .import_cards(vec![collide(1), card(2, holder), collide(2)], event("x"))
        .await
        .unwrap();
    assert_eq!(refusals(&report), [(0, "pan"), (2, "pan")]);
    assert_eq!(store.cards(vec![collide(1).key]).await.unwrap(), [None]);
}

pub(crate) async fn cardmembers_conflict_by_reference_and_by_user_id(bed: &impl Bed) {
    let store = bed.open();
    with_cardmember(&store).await;
    let mut renamed = cardmember("CM1");
    renamed.name = "Other".into();
    let mut same_user_id = cardmember("CM2");
    same_user_id.user_id = Some("cm1".into());
    let mut twice = cardmember("CM3");
    twice.name = "Other".into();
    let mut unregistered = cardmember("CM1");
    unregistered.user_id = None;
    let batch = vec![renamed, same_user_id, cardmember("CM3"), twice];
    let report = store.import_cardmembers(batch, event("x")).await.unwrap();
    assert_eq!(refusals(&report), [(0, "name"), (1, "user_id"), (3, "reference")]);
    assert_eq!(
        store.cardmembers_by_reference(vec!["CM3".into()]).await.unwrap(),
        [None]
    );
    let report = store
        .import_cardmembers(vec![unregistered], event("x"))
        .await
        .unwrap();
    assert_eq!((report.unchanged, report.refused.len()), (1, 0));
}

pub(crate) async fn all_cards_are_met_page_by_page(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_cardmember(&store).await;
    assert_eq!(store.cards_from(None, 3).await.unwrap(), []);
    // Both ends of the numbers, as SQL and as we count them.
    let rows = [0, 1, 2, i64::MAX.cast_unsigned(), 1 << 63, u64::MAX];
    let cards = rows.map(|row| card(row, holder)).to_vec();
    store
        .import_cards(cards.clone(), event("cards_imported"))
        .await
        .unwrap();
    for limit in 1..=7 {
        let mut met = Vec::new();
        loop {
            let after = met.last().map(|card: &CardRecord| card.key.row);
            let page = store.cards_from(after, limit).await.unwrap();
            assert!(page.len() <= usize::try_from(limit).unwrap());
            if page.is_empty() {
                break;
            }
            met.extend(page);
        }
        met.sort_by_key(|card| card.key.row.0);
        assert_eq!(met, cards);
    }
}

pub(crate) async fn a_hundred_thousand_cards_are_imported(bed: &impl Bed) {
    let store = bed.open();
    let holder = with_cardmember(&store).await;
    // Scattered over the rows, as keyed hashes are.
    let cards = (1..=100_000_u64)
        .map(|n| card(n.wrapping_mul(0x9E37_79B9_7F4A_7C15), holder))
        .collect::<Vec<_>>();
    #[expect(clippy::disallowed_methods, reason = "the time is reported, never decided on")]
    let begin = Instant::now();
    let report = store
        .import_cards(cards.clone(), event("cards_imported"))
        .await
        .unwrap();
    println!("100,000 cards imported in {} ms", begin.elapsed().as_millis());
    assert_eq!((report.inserted, report.refused.len()), (100_000, 0));
    let again = store.import_cards(cards, event("cards_imported")).await.unwrap();
    assert_eq!((again.inserted, again.unchanged), (0, 100_000));
}
