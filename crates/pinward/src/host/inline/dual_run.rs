//! Dual running: the upstream verifies PINs as it did before, and what the desk says of the same PINs is put on record.
//!
//! Its answers go back unchanged: the desk adds no script, as the chip's answer is the upstream's.

use cards::Pan;
use iso8583::dialect::Dialect;
use iso8583::message::Message;
use issuer::dual_run::{Verdict, compare};

use super::Passed;
use crate::host::HostLink;

/// What both said of one PIN.
pub(super) struct JudgedTwice {
    pan: Pan,
    ours: Verdict,
    theirs: Verdict,
}

/// What both say of a request's PIN; `None` where none came, or the desk didn't judge it.
pub(super) fn judged(
    request: &Message<'_>,
    answer: &Message<'_>,
    passed: &Passed,
    dialect: &Dialect,
) -> Option<JudgedTwice> {
    let decided = passed.decided.as_deref().filter(|_| passed.had_pin)?;
    let code = dialect.response_code_1987(answer.mti().class(), answer.field(39)?);
    let theirs = match code.as_ref() {
        Some(b"00") => Verdict::Match,
        Some(b"55") => Verdict::NoMatch,
        Some(b"75" | b"38") => Verdict::Locked,
        Some(b"63" | b"81" | b"86") => Verdict::Unreadable,
        Some(b"14") => Verdict::NoReference,
        Some(_) | None => Verdict::NotTold,
    };
    Some(JudgedTwice {
        pan: crate::host::request::pan(request)?,
        ours: Verdict::ours(decided),
        theirs,
    })
}

/// Puts them on record.
pub(super) async fn record(judged: Vec<JudgedTwice>, link: &HostLink) {
    for JudgedTwice { pan, ours, theirs } in judged {
        let compared = compare(&link.desk, &pan, &link.name, ours, theirs, (link.clock)()).await;
        if let Err(fault) = compared {
            tracing::error!(%fault, link = &*link.name, "a comparison can't be put on record");
        }
    }
}
