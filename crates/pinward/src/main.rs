//! Pinward, the PIN desk of a card issuer: the program that puts the rooms together.
//!
//! | room | holds |
//! |---|---|
//! | [`cli`] | one command per file |
//! | [`config`] | the configuration file |
//! | [`serve`] | the desk with its surfaces, as one running program |
//! | [`web`] | the portal and the JSON API |
//! | [`host`] | the ISO 8583 ports |
//! | [`outbox`] | notices by mail |
//! | [`history`] | the desk's history, shown to the HSM, and its anchors |
//! | [`import`] | cardmembers and cards from CSV files |
//! | [`demo`] | an issuer to play with, made on first start |
//! | [`accept`], [`file_limit`] | connections that come in, and how many there may be |
//! | [`desk_lock`] | one desk per database |
//! | [`hsm_link`] | the connection to the HSM |
//! | [`child`] | processes of this same executable: the HSM, the simulators |
//! | [`failure`] | how a command ends badly, and the table of exit codes |
//! | [`clock`], [`logging`] | the edges |
//!
//! No key and no clear PIN is ever in this program: `paycrypto` is not among its dependencies.

use std::process::ExitCode;

mod accept;
mod child;
mod cli;
mod clock;
mod config;
#[cfg(feature = "simulators")]
mod demo;
mod desk_lock;
mod failure;
mod file_limit;
mod history;
mod host;
mod hsm_link;
mod import;
mod logging;
mod outbox;
mod serve;
mod web;

fn main() -> ExitCode {
    keep_files_to_ourselves();
    cli::run()
}

/// Names, addresses, hashes and logs are nobody else's: every file that this process and its children make is readable by
/// its owner only, whoever makes it (SQLite does too).
fn keep_files_to_ourselves() {
    use rustix::fs::Mode;

    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}
