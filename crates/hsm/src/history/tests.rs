use paycrypto::aes_key::AesKey;
use tempfile::TempDir;

use super::*;

fn key() -> HmacKey {
    HmacKey::for_memory(&AesKey::from_bytes(&[7; 32]).unwrap())
}

fn open(directory: &TempDir) -> History {
    History::open(directory.path(), key(), false).unwrap()
}

fn new_history() -> (History, TempDir) {
    let directory = TempDir::new().unwrap();
    let history = History::open(directory.path(), key(), true).unwrap();
    (history, directory)
}

/// The record with this number, of a chain that has a name.
fn point(sequence: u64, chain: u8) -> HistoryPoint {
    match sequence {
        0 => HistoryPoint::START,
        _ => HistoryPoint {
            sequence,
            hash: [chain ^ sequence.to_be_bytes()[7]; 32],
        },
    }
}

/// What a desk shows whose chain parts from chain 1 behind record `forks_after`, and ends at `newest`.
fn shown(history: &History, forks_after: u64, newest: u64) -> ShownHistory {
    let chain = |sequence: u64| if sequence > forks_after { 2 } else { 1 };
    let told = history.mark().unwrap();
    let at_mark = told.newest.sequence;
    ShownHistory {
        told,
        hash_at_mark: (at_mark <= newest).then(|| point(at_mark, chain(at_mark)).hash),
        newest: point(newest, chain(newest)),
    }
}

fn show(history: &History, newest: u64) -> Result<(), HistoryFault> {
    history.show(&mut Standing::default(), &shown(history, u64::MAX, newest))
}

#[test]
fn nothing_is_done_before_a_history_was_shown_and_a_shown_one_goes_on() {
    let (history, _directory) = new_history();
    let mut standing = Standing::default();
    assert_eq!(history.require(&standing), Err(HistoryFault::NotShown));
    for newest in [0, 0, 1, 7, 7, 300] {
        let shown = shown(&history, u64::MAX, newest);
        assert_eq!(history.show(&mut standing, &shown), Ok(()));
        assert_eq!(history.require(&standing), Ok(()));
        assert_eq!(history.mark().unwrap().newest, point(newest, 1));
    }
    assert_eq!(history.require(&Standing::default()), Err(HistoryFault::NotShown));
}

#[test]
fn a_history_that_ends_before_the_mark_or_forks_before_it_is_refused_until_the_right_one_is_shown() {
    let (history, _directory) = new_history();
    show(&history, 10).unwrap();
    let behind = |newest| HistoryFault::Behind { newest, seen: 10 };
    let forked = HistoryFault::Forked { at: 10 };
    let cases = [
        (u64::MAX, 9, behind(9)),
        (u64::MAX, 0, behind(0)),
        (9, 10, forked),
        (9, 11, forked),
        (0, 500, forked),
        (5, 9, behind(9)),
    ];
    for (forks_after, newest, fault) in cases {
        let mut standing = Standing::default();
        history
            .show(&mut standing, &shown(&history, u64::MAX, 10))
            .unwrap();
        let refused = history.show(&mut standing, &shown(&history, forks_after, newest));
        assert_eq!(refused, Err(fault), "{forks_after} {newest}");
        assert_eq!(history.require(&standing), Err(fault), "from then on");
        assert_eq!(history.mark().unwrap().newest, point(10, 1), "the mark stays");
        history
            .show(&mut standing, &shown(&history, u64::MAX, 10))
            .unwrap();
        assert_eq!(history.require(&standing), Ok(()));
    }
    let forks_later = shown(&history, 10, 12);
    assert_eq!(history.show(&mut Standing::default(), &forks_later), Ok(()));
}

#[test]
fn who_claims_the_marks_hash_for_a_shorter_chain_or_two_hashes_for_one_record_is_refused() {
    let (history, _directory) = new_history();
    show(&history, 10).unwrap();
    let honest = shown(&history, u64::MAX, 10);
    let shorter = ShownHistory {
        newest: point(4, 1),
        ..honest
    };
    let two_hashes = ShownHistory {
        newest: point(10, 2),
        ..honest
    };
    for claim in [shorter, two_hashes] {
        assert!(history.show(&mut Standing::default(), &claim).is_err());
    }
}

#[test]
fn a_show_against_a_mark_that_has_moved_on_changes_nothing() {
    let (history, _directory) = new_history();
    show(&history, 10).unwrap();
    let mut standing = Standing::default();
    let before = shown(&history, 10, 11);
    show(&history, 12).unwrap();
    assert_eq!(history.show(&mut standing, &before), Err(HistoryFault::Moved));
    assert_eq!(history.require(&standing), Err(HistoryFault::NotShown));
    let again = shown(&history, 10, 11);
    assert_eq!(
        history.show(&mut standing, &again),
        Err(HistoryFault::Behind { newest: 11, seen: 12 })
    );
}

#[test]
fn an_accepted_history_begins_a_generation_in_which_nothing_was_shown_yet() {
    let (history, directory) = new_history();
    let mut standing = Standing::default();
    history
        .show(&mut standing, &shown(&history, u64::MAX, 10))
        .unwrap();
    let told = history.mark();
    let other = HistoryMark {
        generation: 0,
        newest: point(9, 1),
    };
    for wrong in [None, Some(other)] {
        assert_eq!(history.accept(wrong, point(4, 1)), Err(HistoryFault::Moved));
    }
    let mark = history.accept(told, point(4, 1)).unwrap();
    assert_eq!((mark.generation, mark.newest.sequence), (1, 4));
    assert_eq!(history.require(&standing), Err(HistoryFault::NotShown));
    history.show(&mut standing, &shown(&history, 4, 4)).unwrap();
    assert_eq!(history.require(&standing), Ok(()));
    drop(history);
    assert_eq!(
        open(&directory).mark(),
        Some(mark),
        "although its numbers are lower"
    );
}

#[test]
fn the_mark_is_there_after_a_restart() {
    let (mut history, directory) = new_history();
    for newest in 1..20 {
        show(&history, newest).unwrap();
        drop(history);
        history = open(&directory);
        assert_eq!(history.mark().unwrap().newest, point(newest, 1));
    }
}

#[test]
fn a_write_torn_anywhere_leaves_the_mark_before_it() {
    let (history, directory) = new_history();
    show(&history, 3).unwrap();
    drop(history);
    let file = directory.path().join(FILE);
    let before = std::fs::read(&file).unwrap();
    let history = open(&directory);
    show(&history, 4).unwrap();
    drop(history);
    let after = std::fs::read(&file).unwrap();
    // The first mark went to the first place, record 3 to the second, record 4 to the first again.
    for torn_at in 0..=PLACE_LEN_BYTES {
        let torn = [&after[..torn_at], &before[torn_at..]].concat();
        std::fs::write(&file, torn).unwrap();
        let expected = if torn_at == PLACE_LEN_BYTES { 4 } else { 3 };
        let history = open(&directory);
        assert_eq!(history.mark().unwrap().newest, point(expected, 1), "{torn_at}");
        show(&history, 5).unwrap();
        drop(history);
        assert_eq!(open(&directory).mark().unwrap().newest, point(5, 1), "{torn_at}");
    }
}

#[test]
fn a_missing_emptied_edited_or_foreign_memory_is_forgotten_and_does_nothing_until_one_is_accepted() {
    let (history, directory) = new_history();
    show(&history, 3).unwrap();
    drop(history);
    let file = directory.path().join(FILE);
    let whole = std::fs::read(&file).unwrap();
    let mut edited = whole.clone();
    let [_, second] = PLACES_AT;
    let second = usize::try_from(second).unwrap();
    for place in [0, second] {
        edited[place + 15] ^= 1;
    }
    let swapped_hash = {
        let mut content = whole.clone();
        content[second + 20] ^= 1;
        content[20] ^= 1;
        content
    };
    for content in [Vec::new(), edited, swapped_hash, vec![0; whole.len()]] {
        std::fs::write(&file, &content).unwrap();
        let history = open(&directory);
        assert_eq!(history.mark(), None);
        let claim = ShownHistory {
            told: HistoryMark {
                generation: 0,
                newest: HistoryPoint::START,
            },
            hash_at_mark: Some(HistoryPoint::START.hash),
            newest: point(3, 1),
        };
        let mut standing = Standing::default();
        assert_eq!(history.show(&mut standing, &claim), Err(HistoryFault::Forgotten));
        assert_eq!(history.require(&standing), Err(HistoryFault::Forgotten));
    }
    let history = open(&directory);
    let mark = history.accept(None, point(3, 1)).unwrap();
    assert_eq!(mark.generation, 1);
    show(&history, 4).unwrap();
    drop(history);

    std::fs::write(&file, &whole).unwrap();
    let other_key = HmacKey::for_memory(&AesKey::from_bytes(&[8; 32]).unwrap());
    let foreign = History::open(directory.path(), other_key, false).unwrap();
    assert_eq!(foreign.mark(), None, "of another HSM");
}
