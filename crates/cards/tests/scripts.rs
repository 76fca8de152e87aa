//! The script queue, story by story: what rides when, and what each report proves.

mod common;

use std::num::NonZeroU8;

use cards::{
    Attention, CardState, CardStatus, ChipEvidence, ChipVersion, NotMade, Occasion, PinReference,
    ReportCounts, ReportKept, ScriptEnd, ScriptKind, ScriptRules,
};

use common::{
    NOW, RULES, TRIES_MAX, card, change, failed, possible, reporting, sealed, silent, telling, transact,
};

const CSU: ScriptRules = ScriptRules {
    unblock_by_csu: true,
    ..RULES
};
const TWO_COMMANDS: ScriptRules = ScriptRules {
    commands_max: 2,
    ..RULES
};

fn ends(resolutions: &[cards::Resolution]) -> Vec<ScriptEnd> {
    resolutions.iter().map(|resolution| resolution.end).collect()
}

#[test]
fn a_changed_pin_is_known_on_the_chip_only_after_its_own_report() {
    let mut card = card();
    change(&mut card, &RULES);
    assert_eq!(card.chip.known(), Some(1));
    transact(&mut card, silent(5), &RULES);
    assert_eq!(possible(&card), [1, 2]);
    let (resolutions, _) = transact(&mut card, reporting(6, 1), &RULES);
    assert_eq!(ends(&resolutions), [ScriptEnd::Applied]);
    assert_eq!(possible(&card), [2]);
    assert_eq!(card.script.change, None);
}

#[test]
fn a_script_that_the_hsm_never_makes_is_due_again_until_a_person_is_asked_to_look() {
    let mut card = card();
    change(&mut card, &RULES);
    for atc in 1..=u16::from(RULES.attempts_max) {
        assert_eq!(card.attention(NOW), None);
        let (_, delivery) = transact(&mut card, silent(atc), &RULES);
        let sent = delivery.script.expect("it is due at each insertion");
        card.withhold(sent, NotMade::KeyMissing, &RULES);
        assert_eq!(card.chip.known(), Some(1), "nothing went out");
        assert_eq!(card.script.in_flight, None);
    }
    assert_eq!(card.attention(NOW), Some(Attention::NotMade(NotMade::KeyMissing)));
    let (_, delivery) = transact(&mut card, silent(6), &RULES);
    assert_eq!(delivery.script, None);

    assert!(card.resend(&RULES, NOW));
    let (_, delivery) = transact(&mut card, silent(7), &RULES);
    assert!(delivery.script.is_some());
    assert_eq!((card.attention(NOW), card.not_made), (None, None));
}

#[test]
fn a_version_that_an_earlier_attempt_may_have_brought_stays_possible_when_a_later_one_is_not_made() {
    let rules = ScriptRules {
        report: ReportKept::Unreliable,
        ..RULES
    };
    let mut card = card();
    change(&mut card, &rules);
    transact(&mut card, silent(1), &rules);
    let (_, delivery) = transact(&mut card, silent(2), &rules);
    card.withhold(delivery.script.unwrap(), NotMade::NoAnswer, &rules);
    assert_eq!(possible(&card), [1, 2]);
}

#[test]
fn what_is_not_sent_any_more_has_a_named_reason() {
    let mut expired = card();
    change(&mut expired, &RULES);
    let late = NOW.plus_ms(RULES.expires_after_ms);
    assert_eq!(expired.attention(late), Some(Attention::Expired));

    let rules = ScriptRules {
        attempts_max: 1,
        ..RULES
    };
    let mut refused = card();
    change(&mut refused, &rules);
    transact(&mut refused, silent(1), &rules);
    transact(&mut refused, failed(2, 1), &rules);
    assert_eq!(refused.attention(NOW), Some(Attention::AttemptsUsedUp));
}

/// One script for version 2 rides on the transaction 5; what the next cryptogram proves.
#[test]
fn each_report_proves_what_the_profile_lets_it_prove() {
    use ReportCounts::{Received, Succeeded, Unverified};
    use ReportKept::{Unreliable, UntilIssuerAuthenticated, UntilNextOnline};
    use ScriptEnd::{Applied, Failed, FailedUnclear, NotApplied, NotSeen};
    let rows: [(ReportKept, ReportCounts, ChipEvidence, ScriptEnd, &[u32]); 17] = [
        (UntilIssuerAuthenticated, Received, reporting(9, 1), Applied, &[2]),
        (UntilIssuerAuthenticated, Received, silent(9), NotApplied, &[1]),
        (UntilIssuerAuthenticated, Received, failed(9, 1), Failed, &[1]),
        (
            UntilIssuerAuthenticated,
            Received,
            failed(9, 2),
            FailedUnclear,
            &[1, 2],
        ),
        (UntilIssuerAuthenticated, Received, failed(9, 0), Failed, &[1]),
        (UntilIssuerAuthenticated, Succeeded, failed(9, 0), Failed, &[1]),
        (UntilIssuerAuthenticated, Succeeded, failed(9, 1), Applied, &[2]),
        (
            UntilIssuerAuthenticated,
            Unverified,
            failed(9, 0),
            FailedUnclear,
            &[1, 2],
        ),
        (
            UntilIssuerAuthenticated,
            Unverified,
            reporting(9, 7),
            Applied,
            &[2],
        ),
        (UntilNextOnline, Received, silent(6), NotApplied, &[1]),
        (UntilNextOnline, Received, silent(7), NotSeen, &[1, 2]),
        (UntilNextOnline, Received, reporting(7, 1), Applied, &[2]),
        (UntilNextOnline, Received, failed(7, 1), Failed, &[1]),
        (Unreliable, Received, silent(6), NotSeen, &[1, 2]),
        (Unreliable, Received, reporting(6, 1), Applied, &[2]),
        (Unreliable, Received, failed(6, 1), FailedUnclear, &[1, 2]),
        (Unreliable, Succeeded, failed(6, 0), FailedUnclear, &[1, 2]),
    ];
    for (report, counts, evidence, end, versions) in rows {
        let rules = ScriptRules {
            report,
            counts,
            ..RULES
        };
        let mut card = card();
        change(&mut card, &rules);
        transact(&mut card, silent(5), &rules);
        let resolutions = card.chip_spoke(evidence, &rules, NOW);
        assert_eq!(ends(&resolutions), [end], "{report:?} {counts:?} {evidence:?}");
        assert_eq!(possible(&card), versions, "{report:?} {counts:?} {evidence:?}");
        assert_eq!(card.script.change.is_none(), end == Applied);
    }
}

#[test]
fn of_two_commands_one_report_means_that_the_change_did_not_come() {
    let rows = [
        (reporting(6, 2), ScriptEnd::Applied, &[2][..]),
        (reporting(6, 1), ScriptEnd::NotApplied, &[1]),
        (silent(6), ScriptEnd::NotApplied, &[1]),
        (failed(6, 1), ScriptEnd::Failed, &[1]),
        (failed(6, 2), ScriptEnd::FailedUnclear, &[1, 2]),
    ];
    for (evidence, end, versions) in rows {
        let mut card = card();
        change(&mut card, &TWO_COMMANDS);
        card.unlock(TRIES_MAX, NonZeroU8::MAX, &TWO_COMMANDS, NOW)
            .unwrap();
        let (_, delivery) = transact(&mut card, silent(5), &TWO_COMMANDS);
        assert_eq!(delivery.script.unwrap().kind, ScriptKind::UnblockAndChangePin);
        let resolutions = card.chip_spoke(evidence, &TWO_COMMANDS, NOW);
        assert_eq!(ends(&resolutions), [end], "{evidence:?}");
        assert_eq!(possible(&card), versions, "{evidence:?}");
    }
}

/// The same on chips that say of themselves whether the PIN was changed, which rules with the bit look at.
#[test]
fn a_pin_change_counts_as_applied_only_with_the_chips_own_bit_for_it() {
    use ReportCounts::{Received, Unverified};
    use ReportKept::{Unreliable, UntilIssuerAuthenticated, UntilNextOnline};
    use ScriptEnd::{Applied, Failed, FailedUnclear, NotApplied, NotSeen};
    type Row<'a> = (ReportKept, ReportCounts, ChipEvidence, bool, ScriptEnd, &'a [u32]);
    let rows: [Row<'_>; 14] = [
        (UntilNextOnline, Unverified, reporting(6, 1), true, Applied, &[2]),
        (UntilNextOnline, Unverified, reporting(9, 1), true, Applied, &[2]),
        (
            UntilNextOnline,
            Unverified,
            reporting(6, 1),
            false,
            NotSeen,
            &[1, 2],
        ),
        (UntilNextOnline, Unverified, failed(6, 1), false, Failed, &[1]),
        (
            UntilNextOnline,
            Unverified,
            failed(9, 1),
            false,
            FailedUnclear,
            &[1, 2],
        ),
        (UntilNextOnline, Unverified, failed(6, 1), true, Applied, &[2]),
        (
            UntilNextOnline,
            Received,
            failed(6, 1),
            true,
            FailedUnclear,
            &[1, 2],
        ),
        (UntilNextOnline, Unverified, silent(6), false, NotApplied, &[1]),
        (UntilNextOnline, Unverified, silent(9), false, NotSeen, &[1, 2]),
        (UntilNextOnline, Unverified, silent(6), true, NotSeen, &[1, 2]),
        (
            UntilIssuerAuthenticated,
            Unverified,
            failed(9, 1),
            false,
            Failed,
            &[1],
        ),
        (
            UntilIssuerAuthenticated,
            Received,
            reporting(9, 1),
            false,
            NotSeen,
            &[1, 2],
        ),
        (
            Unreliable,
            Unverified,
            failed(6, 1),
            false,
            FailedUnclear,
            &[1, 2],
        ),
        (Unreliable, Unverified, reporting(6, 1), true, Applied, &[2]),
    ];
    for (report, counts, evidence, told, end, versions) in rows {
        let rules = ScriptRules {
            report,
            counts,
            pin_change_bit: true,
            ..RULES
        };
        let mut card = card();
        change(&mut card, &rules);
        transact(&mut card, telling(silent(5), false), &rules);
        let evidence = telling(evidence, told);
        let resolutions = card.chip_spoke(evidence, &rules, NOW);
        assert_eq!(ends(&resolutions), [end], "{report:?} {evidence:?}");
        assert_eq!(possible(&card), versions, "{report:?} {evidence:?}");
    }
}

#[test]
fn an_unblock_needs_no_bit_for_a_pin_change_and_nothing_rides_while_the_bit_is_set() {
    let rules = ScriptRules {
        pin_change_bit: true,
        ..RULES
    };
    let mut card = card();
    card.unlock(TRIES_MAX, NonZeroU8::MAX, &rules, NOW).unwrap();
    let (_, delivery) = transact(&mut card, telling(silent(1), true), &rules);
    assert_eq!(delivery.script, None, "the bit may be of a script before");
    let (_, delivery) = transact(&mut card, telling(silent(2), false), &rules);
    assert_eq!(delivery.script.unwrap().kind, ScriptKind::UnblockPin);
    let (resolutions, _) = transact(&mut card, telling(reporting(3, 1), false), &rules);
    assert_eq!(ends(&resolutions), [ScriptEnd::Applied]);
    assert_eq!(card.script.unblock, None);
}

/// The bit of both commands in one script may be the unblock's.
#[test]
fn a_failure_beside_the_bit_leaves_open_which_of_two_commands_failed() {
    let rules = ScriptRules {
        pin_change_bit: true,
        ..TWO_COMMANDS
    };
    let mut card = card();
    card.unlock(TRIES_MAX, NonZeroU8::MAX, &rules, NOW).unwrap();
    change(&mut card, &rules);
    let (_, delivery) = transact(&mut card, telling(silent(1), false), &rules);
    assert_eq!(delivery.script.unwrap().kind, ScriptKind::UnblockAndChangePin);
    let (resolutions, _) = transact(&mut card, telling(failed(2, 2), true), &rules);
    assert_eq!(ends(&resolutions), [ScriptEnd::FailedUnclear]);
    assert_eq!(possible(&card), [1, 2]);
}

#[test]
fn an_insertion_that_may_have_been_a_tap_proves_by_reports_only_and_carries_where_nothing_older_is_reported()
{
    let doubtful = |evidence| ChipEvidence {
        occasion: Occasion::ToldInserted,
        ..evidence
    };
    let mut card = card();
    change(&mut card, &RULES);
    let (_, delivery) = transact(&mut card, doubtful(silent(1)), &RULES);
    assert_eq!(delivery.script, None, "what the chip reports isn't known");
    assert!(delivery.authenticates);
    transact(&mut card, silent(2), &RULES);
    for evidence in [silent(3), failed(4, 1)] {
        let (resolutions, delivery) = transact(&mut card, doubtful(evidence), &RULES);
        assert_eq!(resolutions, []);
        assert_eq!(delivery.script, None, "one is in flight");
        assert!(delivery.authenticates, "else an inserted chip might decline");
    }
    let (resolutions, _) = transact(&mut card, silent(5), &RULES);
    assert_eq!(
        ends(&resolutions),
        [ScriptEnd::NotSeen],
        "an answer since may have ended the report"
    );
    let (resolutions, _) = transact(&mut card, doubtful(reporting(6, 1)), &RULES);
    assert_eq!(ends(&resolutions), [ScriptEnd::Applied]);
    assert_eq!(possible(&card), [2]);

    transact(&mut card, silent(7), &RULES);
    change(&mut card, &RULES);
    let (_, delivery) = transact(&mut card, doubtful(silent(8)), &RULES);
    assert!(
        delivery.script.is_some(),
        "it was silent, and nothing was sent since"
    );
}

#[test]
fn a_change_is_made_with_the_chips_pin_only_where_asked_for_known_and_first() {
    let rules = ScriptRules {
        with_current_pin: true,
        ..RULES
    };
    let sent = |card: &mut CardState, atc, rules| {
        let (_, delivery) = transact(card, silent(atc), rules);
        delivery.script.unwrap().kind
    };
    let mut card = card();
    change(&mut card, &RULES);
    assert_eq!(sent(&mut card.clone(), 1, &RULES), ScriptKind::ChangePin);
    assert_eq!(sent(&mut card, 1, &rules), ScriptKind::ChangeKnownPin);
    assert_eq!(
        sent(&mut card.clone(), 2, &rules),
        ScriptKind::ChangePin,
        "the first attempt came to nothing"
    );
    let unreliable = ScriptRules {
        report: ReportKept::Unreliable,
        ..rules
    };
    card.chip_spoke(silent(2), &unreliable, NOW);
    change(&mut card, &rules);
    assert_eq!(sent(&mut card, 3, &rules), ScriptKind::ChangePin, "one of two");
    transact(&mut card, reporting(4, 1), &rules);
    change(&mut card, &rules);
    assert_eq!(sent(&mut card, 5, &rules), ScriptKind::ChangeKnownPin);

    let mut without = CardState::delivered(CardStatus::Active, PinReference::None, TRIES_MAX);
    change(&mut without, &rules);
    assert_eq!(
        sent(&mut without, 1, &rules),
        ScriptKind::ChangePin,
        "it has none"
    );
}

#[test]
fn what_stops_being_sent_is_told_once() {
    let rules = ScriptRules {
        attempts_max: 1,
        ..RULES
    };
    let mut card = card();
    let told = |card: &mut CardState, evidence, now| {
        let before = card.clone();
        card.chip_spoke(evidence, &rules, now);
        card.deliver(evidence, &rules, now);
        card.stopped_since(&before, now)
    };
    change(&mut card, &rules);
    assert_eq!(told(&mut card, silent(1), NOW), []);
    let stopped = [(ScriptKind::ChangePin, Attention::AttemptsUsedUp)];
    assert_eq!(told(&mut card, failed(2, 1), NOW), stopped);
    assert_eq!(told(&mut card, silent(3), NOW), []);
    card.unlock(TRIES_MAX, NonZeroU8::MAX, &rules, NOW).unwrap();
    card.script.change = None;
    let late = NOW.plus_ms(rules.expires_after_ms);
    let tap = ChipEvidence {
        occasion: Occasion::Tapped,
        ..silent(4)
    };
    assert_eq!(told(&mut card, tap, late), []);
    let stopped = [(ScriptKind::UnblockPin, Attention::Expired)];
    assert_eq!(told(&mut card, silent(5), late), stopped);
    assert_eq!(told(&mut card, silent(6), late), []);
}

#[test]
fn taps_and_advices_may_prove_a_script_but_neither_disprove_nor_carry_one() {
    for occasion in [Occasion::Tapped, Occasion::Advised] {
        let mut card = card();
        change(&mut card, &RULES);
        let early = ChipEvidence {
            occasion,
            ..silent(4)
        };
        assert_eq!(transact(&mut card, early, &RULES).1.script, None);
        transact(&mut card, silent(5), &RULES);
        for evidence in [silent(6), failed(7, 1)] {
            let evidence = ChipEvidence { occasion, ..evidence };
            let (resolutions, delivery) = transact(&mut card, evidence, &RULES);
            assert_eq!(resolutions, [], "{occasion:?}");
            assert!(!delivery.authenticates, "the chip may not forget its report");
        }
        let proof = ChipEvidence {
            occasion,
            ..reporting(8, 1)
        };
        assert_eq!(ends(&card.chip_spoke(proof, &RULES, NOW)), [ScriptEnd::Applied]);
        assert_eq!(possible(&card), [2]);
    }
}

#[test]
fn a_late_advice_tells_only_of_what_was_in_flight_before_it() {
    let advised = |evidence| ChipEvidence {
        occasion: Occasion::Advised,
        ..evidence
    };
    let mut card = card();
    change(&mut card, &RULES);
    transact(&mut card, silent(5), &RULES);
    let blocked = ChipEvidence {
        pin_try_limit_exceeded: true,
        ..reporting(4, 1)
    };
    assert_eq!(card.chip_spoke(advised(blocked), &RULES, NOW), []);
    assert_eq!(card.atc_last, Some(5));
    assert!(!card.chip.pin_blocked, "that was before the last word");
    assert_eq!(card.chip_spoke(advised(reporting(5, 1)), &RULES, NOW), []);
    assert_eq!(
        ends(&card.chip_spoke(advised(reporting(6, 1)), &RULES, NOW)),
        [ScriptEnd::Applied]
    );
    assert_eq!(card.atc_last, Some(6));
}

#[test]
fn a_version_that_an_open_attempt_may_have_brought_is_not_struck_with_a_later_attempt() {
    let rules = ScriptRules {
        report: ReportKept::UntilNextOnline,
        ..RULES
    };
    let mut card = card();
    change(&mut card, &rules);
    transact(&mut card, silent(5), &rules);
    transact(&mut card, silent(7), &rules);
    assert_eq!(possible(&card), [1, 2]);
    let (resolutions, _) = transact(&mut card, silent(8), &rules);
    assert_eq!(ends(&resolutions), [ScriptEnd::NotApplied]);
    assert_eq!(
        possible(&card),
        [1, 2],
        "the attempt of transaction 5 may have come"
    );
}

#[test]
fn a_lost_script_is_sent_again_in_the_same_answer_that_shows_the_loss() {
    let mut card = card();
    change(&mut card, &RULES);
    transact(&mut card, silent(5), &RULES);
    let (_, delivery) = transact(&mut card, silent(6), &RULES);
    let again = delivery.script.unwrap();
    assert_eq!((again.atc, again.attempt, again.attempts), (6, 2, 2));
}

#[test]
fn an_old_report_is_never_taken_for_a_new_script() {
    let mut card = card();
    change(&mut card, &RULES);
    transact(&mut card, silent(5), &RULES);
    change(&mut card, &RULES);
    let (_, delivery) = transact(&mut card, reporting(6, 1), &RULES);
    assert_eq!(
        possible(&card),
        [2],
        "the report proves the script of transaction 5"
    );
    assert_eq!(delivery.script, None, "a reporting request carries nothing");
    assert_eq!(card.chip_spoke(reporting(7, 1), &RULES, NOW), []);
    transact(&mut card, silent(8), &RULES);
    transact(&mut card, reporting(9, 1), &RULES);
    assert_eq!(possible(&card), [3]);
}

#[test]
fn a_second_change_replaces_the_wish_of_the_first() {
    let mut card = card();
    change(&mut card, &RULES);
    change(&mut card, &RULES);
    transact(&mut card, silent(5), &RULES);
    assert_eq!(possible(&card), [1, 3]);
}

#[test]
fn a_new_pin_during_an_attempt_gets_attempts_of_its_own() {
    let mut card = card();
    change(&mut card, &RULES);
    transact(&mut card, silent(5), &RULES);
    change(&mut card, &RULES);
    let (resolutions, delivery) = transact(&mut card, silent(6), &RULES);
    assert_eq!(ends(&resolutions), [ScriptEnd::NotApplied]);
    let sent = delivery.script.unwrap();
    assert_eq!((sent.version, sent.attempts), (3, 1));
    assert_eq!(possible(&card), [1, 3]);
}

#[test]
fn a_reversal_leaves_the_chip_unknown_until_it_speaks() {
    let mut card = card();
    change(&mut card, &RULES);
    transact(&mut card, silent(5), &RULES);
    assert!(card.answer_reversed(5).is_some());
    assert!(
        card.answer_reversed(5).is_none(),
        "a repeated reversal changes nothing"
    );
    assert_eq!(card.chip.known(), None);
    transact(&mut card, reporting(6, 1), &RULES);
    assert_eq!(possible(&card), [2]);
}

#[test]
fn a_script_that_keeps_failing_asks_for_a_person_and_a_new_wish_revives_it() {
    let mut card = card();
    change(&mut card, &RULES);
    let mut atc = 0;
    while !card.script.needs_attention(NOW) {
        transact(&mut card, silent(atc + 1), &RULES);
        transact(&mut card, failed(atc + 2, 1), &RULES);
        atc += 2;
        assert!(atc < 100, "the retries are bounded");
    }
    assert_eq!(card.script.attempts_ever, u32::from(RULES.attempts_max));
    let mut resent = card.clone();
    let mut changed = card.clone();
    let mut unlocked = card.clone();
    assert_eq!(transact(&mut card, silent(200), &RULES).1.script, None);
    assert!(resent.resend(&RULES, NOW));
    assert!(!resent.resend(&RULES, NOW), "nothing more needs attention");
    let carries = |card: &mut _, rules| transact(card, silent(200), rules).1.script.unwrap().kind;
    assert_eq!(carries(&mut resent, &RULES), ScriptKind::ChangePin);
    change(&mut changed, &RULES);
    assert_eq!(carries(&mut changed, &RULES), ScriptKind::ChangePin);
    unlocked.unlock(TRIES_MAX, NonZeroU8::MAX, &RULES, NOW).unwrap();
    assert_eq!(
        carries(&mut unlocked, &RULES),
        ScriptKind::UnblockPin,
        "the unblock goes first where the chip has refused the change"
    );
}

#[test]
fn a_wish_too_old_is_not_sent_until_an_operator_resends_it() {
    let mut card = card();
    change(&mut card, &RULES);
    let late = NOW.plus_ms(RULES.expires_after_ms);
    assert!(!card.script.needs_attention(late.plus_ms(-1)));
    assert!(card.script.needs_attention(late));
    card.chip_spoke(silent(5), &RULES, late);
    assert_eq!(card.deliver(silent(5), &RULES, late).script, None);
    assert!(card.resend(&RULES, late));
    card.chip_spoke(silent(6), &RULES, late);
    assert!(card.deliver(silent(6), &RULES, late).script.is_some());
}

#[test]
fn a_script_under_way_when_its_wish_expires_may_still_be_confirmed() {
    let mut card = card();
    change(&mut card, &RULES);
    transact(&mut card, silent(5), &RULES);
    let late = NOW.plus_ms(RULES.expires_after_ms);
    assert!(!card.script.needs_attention(late));
    card.chip_spoke(reporting(6, 1), &RULES, late);
    assert!(!card.script.needs_attention(late));
    assert!(!card.chip_lags());
}

#[test]
fn a_change_serves_an_unblock_that_waits_with_it() {
    let mut card = card();
    change(&mut card, &RULES);
    card.unlock(TRIES_MAX, NonZeroU8::MAX, &RULES, NOW).unwrap();
    let (_, delivery) = transact(&mut card, silent(1), &RULES);
    assert_eq!(delivery.script.unwrap().kind, ScriptKind::ChangePin);
    transact(&mut card, reporting(2, 1), &RULES);
    assert_eq!((card.script.change, card.script.unblock), (None, None));
}

#[test]
fn an_unlock_during_an_attempt_is_not_served_by_it() {
    let mut card = card();
    change(&mut card, &RULES);
    transact(&mut card, silent(1), &RULES);
    card.unlock(TRIES_MAX, NonZeroU8::MAX, &RULES, NOW).unwrap();
    transact(&mut card, reporting(2, 1), &RULES);
    assert_eq!(card.script.change, None);
    assert_eq!(card.script.queued(), Some(ScriptKind::UnblockPin));
}

#[test]
fn an_unblock_by_card_status_update_rides_beside_a_change_and_needs_no_script() {
    let blocked = |atc| ChipEvidence {
        pin_try_limit_exceeded: true,
        ..silent(atc)
    };
    let mut card = card();
    card.unlock(TRIES_MAX, NonZeroU8::MAX, &CSU, NOW).unwrap();
    let (_, delivery) = transact(&mut card, blocked(1), &CSU);
    assert_eq!(delivery.script, None);
    assert!(delivery.csu.is_some());
    let (resolutions, delivery) = transact(&mut card, blocked(2), &CSU);
    assert_eq!(ends(&resolutions), [ScriptEnd::NotSeen]);
    assert!(delivery.csu.is_some(), "still blocked: again");
    change(&mut card, &CSU);
    let (resolutions, delivery) = transact(&mut card, silent(3), &CSU);
    assert_eq!(ends(&resolutions), [ScriptEnd::Applied]);
    assert_eq!(delivery.csu, None);
    assert_eq!(card.script.unblock, None);
    assert_eq!(delivery.script.unwrap().kind, ScriptKind::ChangePin);

    card.unlock(TRIES_MAX, NonZeroU8::MAX, &CSU, NOW).unwrap();
    let (_, delivery) = transact(&mut card, reporting(4, 1), &CSU);
    assert!(
        delivery.csu.is_some(),
        "it leaves no report, so a report doesn't stop it"
    );
}

#[test]
fn unblocks_by_card_status_update_are_bounded() {
    let mut card = card();
    card.unlock(TRIES_MAX, NonZeroU8::MAX, &CSU, NOW).unwrap();
    let mut refills = 0;
    for atc in 1..20 {
        let evidence = ChipEvidence {
            pin_try_limit_exceeded: true,
            ..silent(atc)
        };
        refills += u8::from(transact(&mut card, evidence, &CSU).1.csu.is_some());
    }
    assert_eq!(refills, CSU.attempts_max);
    assert!(card.script.needs_attention(NOW));
}

#[test]
fn a_new_plastic_starts_with_the_pin_it_was_personalised_with_and_the_tries_as_they_were() {
    let mut card = card();
    card.tries.charge(NOW);
    change(&mut card, &RULES);
    card.tries.charge(NOW);
    transact(&mut card, silent(5), &RULES);
    let kept = card.reissued(card.host_chip_version(), &RULES, NOW);
    assert_eq!((kept.chip.known(), kept.atc_last), (Some(2), None));
    assert_eq!((kept.script.change, kept.script.in_flight), (None, None));
    assert_eq!(kept.tries, card.tries);
    assert_eq!(
        kept.script.attempts_ever, 1,
        "numbers of attempts don't come twice"
    );
    assert!(!kept.chip_lags());

    let personalised = card.host_chip_version();
    change(&mut card, &RULES);
    let later = card.reissued(personalised, &RULES, NOW);
    assert_eq!(later.chip.known(), Some(2));
    assert_eq!(later.script.queued(), Some(ScriptKind::ChangePin));

    let none = ChipVersion {
        version: 0,
        sealed: None,
    };
    let mut without = card.reissued(none, &RULES, NOW);
    assert_eq!(without.host_chip_version().version, 0);
    assert!(!without.chip_lags());
    without.set_pin(sealed(9), TRIES_MAX, &RULES, NOW);
    assert_eq!(without.host.version, 4, "no version comes twice");
}

#[test]
fn a_counter_tells_how_far_it_is_ahead() {
    let mut card = card();
    assert_eq!(card.atc_jump(9), None, "the first");
    transact(&mut card, silent(9), &RULES);
    assert_eq!(
        [9, 10, 300].map(|atc| card.atc_jump(atc)),
        [None, Some(1), Some(291)]
    );
}
