//! Script settings: what each profile does by default, and what is refused.

mod common;

use cards::{Programme, ReportCounts, ReportKept, Scheme, ScriptSettings, ScriptTemplate};

use common::TRIES_MAX;

#[test]
fn two_commands_and_the_card_status_update_are_used_only_where_the_profile_has_them() {
    for scheme in Scheme::ALL {
        let mut programme = programme(scheme);
        let rules = programme.script_rules();
        assert_eq!(rules.commands_max, 1, "{scheme:?}");
        programme.script.commands_max = Some(2);
        programme.script.counts = Some(ReportCounts::Received);
        programme.script.unblock_by_csu = Some(true);
        let asked = programme.script_rules();
        let name = format!("{scheme:?}");
        let chains = name.starts_with("Mastercard") || name == "CcdTdes";
        assert_eq!(asked.commands_max == 2, chains, "{scheme:?}");
        assert_eq!(asked.unblock_by_csu, rules.unblock_by_csu, "{scheme:?}");
        programme.script.counts = Some(ReportCounts::Unverified);
        assert_eq!(programme.script_rules().commands_max, 1);
    }
}

#[test]
fn a_script_before_the_final_cryptogram_is_reported_unreliably_unless_the_issuer_says_otherwise() {
    for scheme in Scheme::ALL {
        let mut programme = programme(scheme);
        programme.script.template = Some(ScriptTemplate::BeforeFinalAc);
        assert_eq!(programme.script_rules().report, ReportKept::Unreliable);
        programme.script.report = Some(ReportKept::UntilNextOnline);
        assert_eq!(programme.script_rules().report, ReportKept::UntilNextOnline);
    }
}

#[test]
fn what_a_profile_cannot_do_is_refused_by_its_name() {
    let check = |scheme, script| {
        let programme = Programme {
            script,
            ..programme(scheme)
        };
        programme.check_script().map_err(|error| error.setting)
    };
    let said = ScriptSettings::default();
    let two = ScriptSettings {
        commands_max: Some(2),
        counts: Some(ReportCounts::Received),
        ..said
    };
    let rows = [
        (Scheme::CcdTdes, two, Ok(())),
        (Scheme::VisaCvn18, two, Err("commands_max")),
        (
            Scheme::MastercardCvn17,
            ScriptSettings { counts: None, ..two },
            Err("commands_max"),
        ),
        (Scheme::MastercardCvn17, two, Ok(())),
        (
            Scheme::VisaCvn10,
            ScriptSettings {
                unblock_by_csu: Some(true),
                ..said
            },
            Err("unblock_by_csu"),
        ),
        (
            Scheme::VisaCvn10,
            ScriptSettings {
                unblock_by_csu: Some(false),
                ..said
            },
            Ok(()),
        ),
        (
            Scheme::CcdAes,
            ScriptSettings {
                csu_tries: Some(16),
                ..said
            },
            Err("csu_tries"),
        ),
        (
            Scheme::Emv2000,
            ScriptSettings {
                csu_tries: Some(3),
                ..said
            },
            Err("csu_tries"),
        ),
        (
            Scheme::CcdAes,
            ScriptSettings {
                pin_change_bit: Some(true),
                ..said
            },
            Err("pin_change_bit"),
        ),
        (
            Scheme::MastercardCvn21,
            ScriptSettings {
                with_current_pin: Some(true),
                ..said
            },
            Err("with_current_pin"),
        ),
        (
            Scheme::VisaCvn22,
            ScriptSettings {
                with_current_pin: Some(true),
                ..said
            },
            Ok(()),
        ),
        (
            Scheme::VisaCvn22,
            ScriptSettings {
                attempts_max: Some(0),
                ..said
            },
            Err("attempts_max"),
        ),
        (
            Scheme::VisaCvn22,
            ScriptSettings {
                expires_after_days: Some(0),
                ..said
            },
            Err("expires_after_days"),
        ),
    ];
    for (scheme, script, wanted) in rows {
        assert_eq!(check(scheme, script), wanted, "{scheme:?} {script:?}");
    }
    for scheme in Scheme::ALL {
        assert_eq!(check(scheme, said), Ok(()), "{scheme:?}");
    }
}

fn programme(scheme: Scheme) -> Programme {
    Programme {
        id: cards::ProgrammeId("credit".into()),
        name: "Credit".into(),
        scheme,
        pan_len_digits: 16,
        pin_len_digits: 4,
        tries_max: TRIES_MAX,
        unlocks_max: cards::UNLOCKS_MAX,
        amount_max_minor: 0,
        amount_without_pin_max_minor: 0,
        pin_without_chip: false,
        currency: 978,
        script: cards::ScriptSettings::default(),
        fraud: cards::FraudRules::default(),
        reissue: cards::ReissueRules::default(),
    }
}
