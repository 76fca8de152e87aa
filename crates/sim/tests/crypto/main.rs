//! `pinward sim crypto`, without a process: published vectors, a second implementation, and what it says to bad cases.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy's exception for tests reaches only the test functions, not what they call"
)]

mod help;
mod oracle;
mod refusals;
mod vectors;

use serde_json::Value;
use sim::crypto::{CryptoCommand, Form, answer_lines};

const FORM: Form = Form { json: true };

/// One answer for each case.
fn answers(command: CryptoCommand, cases: &[Value]) -> Vec<Value> {
    let lines: String = cases.iter().map(|case| format!("{case}\n")).collect();
    let answers = answers_to(command, lines.as_bytes());
    assert_eq!(answers.len(), cases.len());
    answers
}

fn answers_to(command: CryptoCommand, input: &[u8]) -> Vec<Value> {
    let mut output = Vec::new();
    answer_lines(command, input, &mut output).unwrap();
    let output = String::from_utf8(output).unwrap();
    output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
