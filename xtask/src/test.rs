//! All that CI runs, in the order in which it fails fastest.

use crate::run::{cargo, program, root, run as command};
use crate::{fuzz, install, tidy};

/// Runs everything; the first failure ends it.
pub(crate) fn run() -> Result<(), String> {
    let steps = [
        tidy::run,
        install::rust_components,
        formatted,
        install::all,
        linted,
        rust_tests,
        fuzzed,
        module_tests,
        journeys,
    ];
    steps.iter().try_for_each(|step| step())
}

fn formatted() -> Result<(), String> {
    command(&mut cargo(&["fmt", "--all", "--check"]))
}

fn linted() -> Result<(), String> {
    command(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    let without_simulators = [
        "clippy",
        "--package",
        "pinward",
        "--no-default-features",
        "--locked",
    ];
    command(&mut cargo(
        &[&without_simulators[..], &["--", "-D", "warnings"]].concat(),
    ))
}

fn rust_tests() -> Result<(), String> {
    let mut tests = cargo(&["test", "--workspace", "--locked"]);
    tests.env("PINWARD_ORACLE_PYTHON", install::oracle_python());
    command(&mut tests)
}

/// A share of what `cargo xtask fuzz` runs.
fn fuzzed() -> Result<(), String> {
    fuzz::run(&["--inputs".to_owned(), "350000".to_owned()])
}

/// Where the browsers' ES modules keep their tests.
const MODULE_TESTS: [&str; 2] = ["crates/pinward/web/tests", "crates/sim/assets/tests"];

/// The ES modules in Node's own runner, without npm.
fn module_tests() -> Result<(), String> {
    let mut files = Vec::new();
    for folder in MODULE_TESTS {
        let entries = std::fs::read_dir(root().join(folder)).map_err(|error| format!("{folder}: {error}"))?;
        let paths = entries.filter_map(|file| Some(file.ok()?.path().to_string_lossy().into_owned()));
        files.extend(paths.filter(|path| path.ends_with(".test.js")));
    }
    files.sort();
    let words: Vec<&str> = std::iter::once("--test")
        .chain(files.iter().map(String::as_str))
        .collect();
    command(&mut program("node", &words))
}

/// The story in a real browser and over TCP, against the built program.
fn journeys() -> Result<(), String> {
    command(&mut cargo(&["build", "--locked", "--package", "pinward"]))?;
    command(&mut program("npm", &["test", "--prefix", "journeys"]))
}
