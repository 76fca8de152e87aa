//! A second opinion: pyiso8583 reads what we build and builds what we read, for messages made by dice
//! in every dialect.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use iso8583::build::MessageBuilder;
use iso8583::dialect::Dialect;
use iso8583::message::Message;
use iso8583::mti::MTI_0200_FINANCIAL_REQUEST;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

const MESSAGES: usize = 300;

#[test]
fn pyiso8583_reads_and_writes_the_same_messages() {
    for name in Dialect::names() {
        let dialect = Dialect::named(name).unwrap();
        let mut dice = TestRunner::deterministic();
        let frames: Vec<Vec<u8>> = (0..MESSAGES)
            .map(|_| message_by_dice(&dialect, &mut dice))
            .collect();
        let answer = transcode(name, &frames);
        assert_eq!(answer.lines().count(), MESSAGES, "{name}");
        for (frame, line) in frames.iter().zip(answer.lines()) {
            let mut words = line.split(' ');
            assert_eq!(&common::unhex(words.next().unwrap()), frame, "{name}");
            let message = Message::parse(frame, &dialect).unwrap();
            assert_eq!(words.next().unwrap(), message.mti().to_string());
            let theirs: Vec<(u8, Vec<u8>)> = words
                .map(|word| word.split_once('=').unwrap())
                .map(|(field, value)| (field.parse().unwrap(), common::unhex(value)))
                .collect();
            let ours: Vec<(u8, Vec<u8>)> = message
                .fields()
                .map(|field| (field, message.field(field).unwrap().to_vec()))
                .collect();
            assert_eq!(ours, theirs, "{name}");
        }
    }
}

fn message_by_dice(dialect: &Dialect, dice: &mut TestRunner) -> Vec<u8> {
    let numbers: Vec<u8> = (2..=128).filter(|&field| field != 65).collect();
    let fields = draw(proptest::sample::subsequence(numbers, 0..20), dice);
    let mut builder = MessageBuilder::new(dialect, dialect.message_type(MTI_0200_FINANCIAL_REQUEST));
    for field in fields {
        let spec = dialect.field(field).expect("the field is of the dialect");
        let pattern = common::fitting(spec);
        let value = draw(
            proptest::string::bytes_regex(&pattern).expect("a valid pattern"),
            dice,
        );
        builder.set(field, &value).expect("the value fits");
    }
    let mut frame = Vec::new();
    builder.write_to(&mut frame);
    frame
}

fn draw<S: Strategy>(strategy: S, dice: &mut TestRunner) -> S::Value {
    strategy.new_tree(dice).expect("nothing is filtered").current()
}

/// What oracle/transcode.py answers.
fn transcode(dialect: &str, frames: &[Vec<u8>]) -> String {
    let python = std::env::var("PINWARD_ORACLE_PYTHON").expect(
        "PINWARD_ORACLE_PYTHON must name a Python with crates/iso8583/oracle/requirements.txt; `cargo xtask test` makes one",
    );
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/transcode.py"))
        .arg(dialect)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("PINWARD_ORACLE_PYTHON runs");
    let mut input = child.stdin.take().expect("piped");
    let lines: String = frames
        .iter()
        .flat_map(|frame| [common::hex(frame), "\n".to_owned()])
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("the oracle ends");
    writer
        .join()
        .expect("writing does not panic")
        .expect("the oracle reads all");
    assert!(output.status.success(), "the oracle failed");
    String::from_utf8(output.stdout).expect("ASCII")
}
