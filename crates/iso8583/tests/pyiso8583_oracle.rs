//! A second opinion: pyiso8583 reads what we build and builds what we read, in every dialect: messages made by dice, and
//! each field at its greatest length with every character of its kind.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use iso8583::build::MessageBuilder;
use iso8583::dialect::{Dialect, Kind, Length};
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
        let at_random = (0..MESSAGES).map(|_| message_by_dice(&dialect, &mut dice));
        let frames: Vec<Vec<u8>> = at_random
            .chain(fields().map(|field| message_of_longest(&dialect, field)))
            .collect();
        let answer = transcode(name, &frames);
        assert_eq!(answer.lines().count(), frames.len(), "{name}");
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

fn fields() -> impl Iterator<Item = u8> {
    (2..=128).filter(|&field| field != 65)
}

/// One field as long as it may be, with every character that it may hold.
fn message_of_longest(dialect: &Dialect, field: u8) -> Vec<u8> {
    let spec = dialect.field(field).expect("the field is of the dialect");
    let characters = match spec.kind {
        Kind::N => (b'0'..=b'9').collect(),
        Kind::Z => b"0123456789=".to_vec(),
        Kind::An => [b' ']
            .into_iter()
            .chain(b'0'..=b'9')
            .chain(b'A'..=b'Z')
            .chain(b'a'..=b'z')
            .collect(),
        Kind::Ans => (b' '..=b'~').collect(),
        Kind::B => (0..=0xFF).collect::<Vec<u8>>(),
    };
    let (Length::Fixed(longest) | Length::Ll(longest) | Length::Lll(longest)) = spec.length;
    let value: Vec<u8> = characters.into_iter().cycle().take(longest.into()).collect();
    let mut builder = MessageBuilder::new(dialect, dialect.message_type(MTI_0200_FINANCIAL_REQUEST));
    builder.set(field, &value).expect("the value fits");
    let mut frame = Vec::new();
    builder.write_to(&mut frame);
    frame
}

fn message_by_dice(dialect: &Dialect, dice: &mut TestRunner) -> Vec<u8> {
    let numbers: Vec<u8> = fields().collect();
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
