//! Issuer scripts: the published example, round trips, refusals; the terminal's results.

mod common;

use common::{published, unhex};
use emv::script::{IssuerScript, SCRIPTS_LEN_MAX, ScriptError, ScriptOutcome, ScriptPhase, ScriptResult};
use emv::tags::{TAG_8A_AUTHORISATION_RESPONSE_CODE, TAG_9F18_SCRIPT_ID, TAG_86_SCRIPT_COMMAND};
use proptest::prelude::*;

#[test]
fn the_published_script_is_read_and_written() {
    let bytes = published("script_72");
    let script = IssuerScript::parse(&bytes).unwrap();
    assert_eq!(script.phase, ScriptPhase::AfterFinalAc);
    assert_eq!(script.id, Some([0; 4]));
    assert_eq!(script.commands, [unhex("8424000008ED0AB162BAB1DE61")]);
    assert_eq!(script.to_bytes().unwrap(), bytes);
}

#[test]
fn a_script_cut_at_any_byte_is_refused() {
    let bytes = published("script_72");
    for len in 0..bytes.len() {
        assert!(IssuerScript::parse(&bytes[..len]).is_err(), "{len}");
    }
}

#[test]
fn each_malformed_script_is_refused() {
    let check = |digits: &str, error| assert_eq!(IssuerScript::parse(&unhex(digits)), Err(error), "{digits}");
    check("", ScriptError::NotAScript);
    check("860484240000", ScriptError::NotAScript);
    check("7206860484240000 7206860484240000", ScriptError::NotAScript);
    check("7200", ScriptError::NoCommand);
    check("72079F180400000000", ScriptError::NoCommand);
    check("72059F18020000", ScriptError::Unexpected(TAG_9F18_SCRIPT_ID));
    check(
        "720D860484240000 9F180400000000",
        ScriptError::Unexpected(TAG_9F18_SCRIPT_ID),
    );
    check("72058603842400", ScriptError::Unexpected(TAG_86_SCRIPT_COMMAND));
    check(
        "720A8A023030860484240000",
        ScriptError::Unexpected(TAG_8A_AUTHORISATION_RESPONSE_CODE),
    );
    check(&"00".repeat(128), ScriptError::TooLong { got: 128 });
}

#[test]
fn a_script_may_have_127_bytes_and_no_more() {
    let script = |len: usize| IssuerScript {
        phase: ScriptPhase::BeforeFinalAc,
        id: None,
        commands: vec![vec![0x84; len]],
    };
    // Tag and length of the template, then of the command.
    let most = SCRIPTS_LEN_MAX - 4;
    let bytes = script(most).to_bytes().unwrap();
    assert_eq!(bytes.len(), SCRIPTS_LEN_MAX);
    assert_eq!(IssuerScript::parse(&bytes), Ok(script(most)));
    assert_eq!(
        script(most + 1).to_bytes(),
        Err(ScriptError::TooLong { got: 128 })
    );
    assert_eq!(
        script(100_000).to_bytes(),
        Err(ScriptError::TooLong { got: 100_000 })
    );
    let empty = IssuerScript {
        phase: ScriptPhase::BeforeFinalAc,
        id: None,
        commands: vec![],
    };
    assert_eq!(empty.to_bytes(), Err(ScriptError::NoCommand));
}

#[test]
fn debug_output_shows_no_command() {
    let script = IssuerScript::parse(&published("script_72")).unwrap();
    assert_eq!(
        format!("{script:?}"),
        "IssuerScript(AfterFinalAc, Some([0, 0, 0, 0]), 1 commands)"
    );
}

#[test]
fn script_results_are_read_and_written() {
    let results = ScriptResult::parse_all(&unhex("20000000AB 11000000AC 0000000000")).unwrap();
    let wanted = [
        ScriptResult {
            outcome: ScriptOutcome::Successful,
            failed_command: 0,
            id: [0, 0, 0, 0xAB],
        },
        ScriptResult {
            outcome: ScriptOutcome::Failed,
            failed_command: 1,
            id: [0, 0, 0, 0xAC],
        },
        ScriptResult {
            outcome: ScriptOutcome::NotPerformed,
            failed_command: 0,
            id: [0; 4],
        },
    ];
    assert_eq!(results, wanted);
    assert_eq!(
        results
            .iter()
            .flat_map(|result| result.to_bytes())
            .collect::<Vec<_>>(),
        unhex("20000000AB 11000000AC 0000000000")
    );
    let late = ScriptResult {
        outcome: ScriptOutcome::Failed,
        failed_command: 40,
        id: [0; 4],
    };
    assert_eq!(late.to_bytes(), [0x1F, 0, 0, 0, 0]);
    for digits in ["", "20000000", "2000000000 20", "3000000000"] {
        assert_eq!(ScriptResult::parse_all(&unhex(digits)), None, "{digits}");
    }
}

proptest! {
    #[test]
    fn a_script_that_fits_is_read_back(id: Option<[u8; 4]>, after: bool, commands in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 4..40), 1..4)) {
        let phase = if after { ScriptPhase::AfterFinalAc } else { ScriptPhase::BeforeFinalAc };
        let script = IssuerScript { phase, id, commands };
        if let Ok(bytes) = script.to_bytes() {
            prop_assert_eq!(IssuerScript::parse(&bytes), Ok(script));
        }
    }
}
