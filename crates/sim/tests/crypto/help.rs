//! `--help` of the subcommands.

use clap::{CommandFactory, Parser};
use serde_json::Value;
use sim::crypto::CryptoCommand;

use crate::answers;

#[derive(Parser)]
struct Crypto {
    #[command(subcommand)]
    command: CryptoCommand,
}

#[test]
fn every_example_of_the_help_is_right_and_every_field_is_explained() {
    let mut subcommands = 0;
    for subcommand in Crypto::command().get_subcommands() {
        let name = subcommand.get_name();
        let help = subcommand.get_long_about().unwrap().to_string();
        assert!(help.contains("Test keys"), "{name}");
        let (rest, answer) = help.rsplit_once('\n').unwrap();
        let (explained, case) = rest.rsplit_once('\n').unwrap();
        let [case, answer]: [Value; 2] = [case, answer].map(|line| serde_json::from_str(line).unwrap());
        let command = Crypto::parse_from(["crypto", name, "--json"]).command;
        assert_eq!(answers(command, std::slice::from_ref(&case)), [answer], "{name}");
        for field in case.as_object().unwrap().keys() {
            assert!(explained.contains(field.as_str()), "{name}: {field}");
        }
        subcommands += 1;
    }
    assert_eq!(subcommands, 8);
}

#[test]
fn neither_a_key_nor_a_pin_is_taken_from_the_command_line() {
    for subcommand in Crypto::command().get_subcommands() {
        let options: Vec<_> = subcommand.get_arguments().map(clap::Arg::get_id).collect();
        assert_eq!(options, ["json"], "{}", subcommand.get_name());
    }
}
