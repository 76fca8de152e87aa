//! What the command line says when it can't begin: which setting, and what to do.
#![allow(clippy::unwrap_used, reason = "test helpers")]

use std::process::Command;

#[test]
fn a_command_that_can_not_begin_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let long = directory.path().join("s".repeat(120)).display().to_string();
    let data = directory.path().display().to_string();
    let nowhere = directory.path().join("nowhere").display().to_string();
    let rows: [(&[&str], i32, &str); 3] = [
        (
            &["keys", "list", "--data", &nowhere],
            69,
            "pinward.example.toml shows one",
        ),
        (
            &["hsm", "--data", &data, "--socket", &long],
            2,
            "choose a shorter path",
        ),
        (
            &["serve", "--config", &nowhere],
            69,
            "names an installation's pinward.toml",
        ),
    ];
    for (words, code, advice) in rows {
        let output = Command::new(env!("CARGO_BIN_EXE_pinward"))
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(advice), "{words:?}: {said}");
    }
}
