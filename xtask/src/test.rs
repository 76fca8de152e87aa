//! All that CI runs, in the order in which it fails fastest.

use crate::run::{cargo, program, root, run as command};
use crate::{install, tidy};

/// Runs everything; the first failure ends it.
pub(crate) fn run() -> Result<(), String> {
    let steps = [tidy::run, formatted, install::all, linted, rust_tests, module_tests, journeys];
    steps.iter().try_for_each(|step| step())
}

fn formatted() -> Result<(), String> {
    command(&mut cargo(&["fmt", "--all", "--check"]))
}

fn linted() -> Result<(), String> {
    command(&mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
}

fn rust_tests() -> Result<(), String> {
    let mut tests = cargo(&["test", "--workspace", "--locked"]);
    tests.env("PINWARD_ORACLE_PYTHON", install::oracle_python());
    command(&mut tests)
}

/// The browser's ES modules in Node's own runner, without npm.
fn module_tests() -> Result<(), String> {
    let folder = root().join("crates/pinward/web/tests");
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(".test.js"))
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    files.sort();
    let words: Vec<&str> = std::iter::once("--test").chain(files.iter().map(String::as_str)).collect();
    command(&mut program("node", &words))
}

/// The story in a real browser and over TCP, against the built program.
fn journeys() -> Result<(), String> {
    command(&mut cargo(&["build", "--locked", "--package", "pinward"]))?;
    command(&mut program("npm", &["test", "--prefix", "journeys"]))
}
