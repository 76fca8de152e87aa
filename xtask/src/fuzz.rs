//! `cargo xtask fuzz`: millions of damaged inputs through every reader, on stable Rust (`fuzz/README.md`).

use crate::run::{cargo, run as command};

/// Runs `fuzz/targets` in release mode with the words given, such as `--inputs 70000`.
///
/// Its own target folder, so that another build can go on meanwhile.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let mut fuzz = cargo(&[
        "run",
        "--release",
        "--locked",
        "--manifest-path",
        "fuzz/targets/Cargo.toml",
        "--target-dir",
        "target/fuzz",
        "--",
    ]);
    fuzz.args(words);
    command(&mut fuzz)
}
