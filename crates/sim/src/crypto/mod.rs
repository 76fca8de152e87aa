//! `pinward sim crypto`: this repository's payment cryptography as a stream of test cases, for comparison with other tools.
//!
//! One JSON object a line on standard input, one answer a line on standard output, in order. A case that can't be computed
//! is answered with `{"error": …}`, which names the field and what it wants, and the stream goes on.
//!
//! It takes clear keys and PINs by design: test keys only. It exists only where the simulators are compiled in, and never
//! reads a key or a PIN from the command line.

use std::io::{self, BufRead, BufReader, Read, Write};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

mod arpc;
mod arqc;
mod case;
mod chip_keys;
mod dukpt;
mod ibm3624;
mod pinblock;
mod pvv;
mod script;
mod tr31;

use self::case::{Case, Refusal};

/// Longest line taken, in bytes. A key block of TR-31 has at most 9,999 characters.
const LINE_LEN_MAX_BYTES: u64 = 64 * 1024;

/// What is computed.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum CryptoCommand {
    /// Make and open PIN blocks, ISO 9564-1 formats 0 to 4
    #[command(long_about = pinblock::HELP)]
    Pinblock(Form),
    /// Make and verify PIN verification values (PVV) by the Visa method
    #[command(long_about = pvv::HELP)]
    Pvv(Form),
    /// Make and verify PINs and offsets by the IBM 3624 method
    #[command(long_about = ibm3624::HELP)]
    Ibm3624(Form),
    /// Open and make key blocks, TR-31:2018 versions A, B, C and D
    #[command(long_about = tr31::HELP)]
    Tr31(Form),
    /// Derive PIN keys by DUKPT, TDES and AES
    #[command(long_about = dukpt::HELP)]
    Dukpt(Form),
    /// Make and verify application cryptograms
    #[command(long_about = arqc::HELP)]
    Arqc(Form),
    /// Make and open issuer authentication data, tag 91
    #[command(long_about = arpc::HELP)]
    Arpc(Form),
    /// Make and open PIN CHANGE/UNBLOCK commands of issuer scripts
    #[command(long_about = script::HELP)]
    Script(Form),
}

/// The form of cases and answers.
#[derive(Args, Clone, Copy, Debug)]
pub struct Form {
    /// JSON objects, one a line, in and out: the only form there is
    #[arg(long, required = true)]
    pub json: bool,
}

/// Why the stream ended before its input did.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The cases can't be read.
    #[error("the cases can't be read: {0}")]
    Input(io::Error),
    /// The answers can't be written.
    #[error("the answers can't be written: {0}")]
    Output(io::Error),
}

/// Answers every line of `input` until it ends. Answers are written through whenever no further input is waiting, so that
/// a tool may as well send one case and wait for its answer.
pub fn answer_lines(
    command: CryptoCommand,
    input: impl Read,
    output: &mut impl Write,
) -> Result<(), StreamError> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut input).take(LINE_LEN_MAX_BYTES);
        if bounded.read_until(b'\n', &mut line).map_err(StreamError::Input)? == 0 {
            return output.flush().map_err(StreamError::Output);
        }
        let whole = line.ends_with(b"\n") || bounded.limit() > 0;
        let answer = if whole {
            answer(command, &line)
        } else {
            input.skip_until(b'\n').map_err(StreamError::Input)?;
            Err(format!("a line has at most {LINE_LEN_MAX_BYTES} bytes"))
        };
        let answer = answer.unwrap_or_else(|refusal| json!({ "error": refusal }));
        writeln!(output, "{answer}").map_err(StreamError::Output)?;
        if input.buffer().is_empty() {
            output.flush().map_err(StreamError::Output)?;
        }
    }
}

fn answer(command: CryptoCommand, line: &[u8]) -> Result<Value, Refusal> {
    let case = Case::parse(line)?;
    match command {
        CryptoCommand::Pinblock(_) => pinblock::answer(&case),
        CryptoCommand::Pvv(_) => pvv::answer(&case),
        CryptoCommand::Ibm3624(_) => ibm3624::answer(&case),
        CryptoCommand::Tr31(_) => tr31::answer(&case),
        CryptoCommand::Dukpt(_) => dukpt::answer(&case),
        CryptoCommand::Arqc(_) => arqc::answer(&case),
        CryptoCommand::Arpc(_) => arpc::answer(&case),
        CryptoCommand::Script(_) => script::answer(&case),
    }
}
