//! Chores of this repository, as `cargo xtask NAME`.
//!
//! `test` installs what the tests need and runs all that CI runs; `tidy` checks the house rules;
//! `bench` loads the host; `fuzz` damages what its readers read.

mod bench;
mod fuzz;
mod install;
mod run;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str =
    "usage: cargo xtask test | tidy | fuzz [--inputs N] [--seed S] | bench [--cards N] [--seconds S]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        Some("test") => test::run(),
        Some("tidy") => tidy::run(),
        Some("fuzz") => fuzz::run(words.get(1..).unwrap_or_default()),
        Some("bench") => bench::run(words.get(1..).unwrap_or_default()),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            run::say(&format!("xtask: {why}"));
            ExitCode::FAILURE
        }
    }
}
