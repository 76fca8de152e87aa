//! `pinward audit verify`: follows the audit chain from its first record to its last. `pinward audit accept`: has the HSM
//! take the present database for the desk's history, after a restore.

use std::io::{self, BufRead, Write};

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use hsm::{HistoryMark, HsmFault, PaymentHsm, RemoteHsm};
use store::{AuditAnchor, AuditEvent, AuditRecord, ChainBreak, ChainCheck, Store};

use super::place::{Place, operator};
use crate::clock;
use crate::failure::Failure;

/// Records read at a time.
const PAGE_LEN: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no record was changed, removed or cut off
    Verify(Place),
    /// Go on with a restored database, which the HSM refuses because it has seen a newer one
    Accept(Accept),
}

#[derive(Debug, Args)]
pub(crate) struct Accept {
    /// What was restored and why; goes into the audit chain
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn run(command: AuditCommand, out: &mut dyn Write) -> Result<(), Failure> {
    let place = match &command {
        AuditCommand::Verify(place) => place,
        AuditCommand::Accept(accept) => &accept.place,
    };
    let opened = place.open().await?;
    let (hsm, store) = (&opened.hsm.remote, opened.desk.store.as_ref());
    let done = match &command {
        AuditCommand::Verify(_) => verify(hsm, store, out).await,
        AuditCommand::Accept(accept) => {
            let answers = &mut io::stdin().lock();
            accept_history(hsm, store, &accept.reason, answers, out).await
        }
    };
    opened.hsm.close().await;
    done
}

async fn verify(hsm: &RemoteHsm, store: &dyn Store, out: &mut dyn Write) -> Result<(), Failure> {
    let mark = hsm.history_mark().await?;
    let anchors = store.anchors().await?;
    let chain = follow(hsm, store, &anchors, mark.as_ref()).await?;
    writeln!(out, "The audit chain holds: {} records.", chain.records)?;
    if let Some(head) = chain.head {
        writeln!(out, "head     {}", HEXLOWER.encode(&head.hash))?;
    }
    match anchors.iter().map(|anchor| anchor.sequence).max() {
        Some(sequence) => writeln!(out, "anchors  {}, the last at record {sequence}", anchors.len())?,
        None => writeln!(out, "anchors  none yet")?,
    }
    let Some(mark) = mark else {
        return Ok(writeln!(
            out,
            "HSM      has no memory of it: a cut at the end would not show"
        )?);
    };
    let seen = mark.newest.sequence;
    if chain.marked {
        return Ok(writeln!(
            out,
            "HSM      has seen record {seen}, which is in the chain"
        )?);
    }
    Err(Failure::Refused(format!(
        "this is not the history that the HSM has seen: its record {seen} is not in the chain"
    )))
}

/// Asks for the number of the last record before it does anything: whoever types it has looked at what it is about.
async fn accept_history(
    hsm: &RemoteHsm,
    store: &dyn Store,
    reason: &str,
    answers: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let told = hsm.history_mark().await?;
    let fault = match hsm.show_history().await {
        Ok(()) => {
            return Err(Failure::Refused(
                "the HSM takes this database already; nothing is to be accepted".to_owned(),
            ));
        }
        Err(HsmFault::History(fault)) => fault,
        Err(fault) => return Err(fault.into()),
    };
    let anchors = store.anchors().await?;
    let chain = follow(hsm, store, &anchors, told.as_ref()).await?;
    let last = chain.head.map_or(0, |head| head.sequence);
    writeln!(out, "{fault}.")?;
    writeln!(out, "The audit chain of this database holds: {last} records.")?;
    writeln!(
        out,
        "Accepted, every card is again as it is there: its PIN, its chip, its blocks and its PIN tries,"
    )?;
    writeln!(
        out,
        "also where more tries were used since. Whoever saw to that could guess again."
    )?;
    writeln!(out, "Type the number of its last record to accept it: ")?;
    out.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    if answer.trim() != last.to_string() {
        return Err(Failure::Refused("not accepted; nothing was changed".to_owned()));
    }
    store.append_audit(vec![accepted(told, reason)]).await?;
    let mark = hsm.accept_history(told).await?;
    hsm.show_history().await?;
    let (generation, sequence) = (mark.generation, mark.newest.sequence);
    writeln!(
        out,
        "Accepted: generation {generation} begins with record {sequence}."
    )?;
    Ok(())
}

fn accepted(told: Option<HistoryMark>, reason: &str) -> AuditEvent {
    let given_up = told.map(|mark| {
        serde_json::json!({
            "generation": mark.generation,
            "sequence": mark.newest.sequence,
            "hash": HEXLOWER.encode(&mark.newest.hash),
        })
    });
    AuditEvent {
        at: clock::now(),
        kind: "history_accepted",
        card: None,
        actor: operator(),
        detail: serde_json::json!({ "reason": reason, "given_up": given_up }).to_string(),
    }
}

/// A chain that holds.
struct Chain {
    records: u64,
    head: Option<AuditRecord>,
    /// Whether the record that the HSM has seen is in it.
    marked: bool,
}

/// Follows the whole chain. Refuses a broken one, and anchors that aren't the HSM's.
async fn follow(
    hsm: &dyn PaymentHsm,
    store: &dyn Store,
    anchors: &[AuditAnchor],
    mark: Option<&HistoryMark>,
) -> Result<Chain, Failure> {
    for anchor in anchors {
        require_genuine(hsm, anchor).await?;
    }
    let broken = |at: ChainBreak| Failure::Refused(format!("the audit chain is broken: {at}"));
    let newest = mark.map(|mark| mark.newest);
    let mut marked = newest.is_some_and(|newest| newest.sequence == 0);
    let mut check = ChainCheck::new(anchors);
    let mut next = 1;
    let mut head = None;
    loop {
        let page = store.audit_from(next, PAGE_LEN).await?;
        for record in page {
            check.follow(&record).map_err(broken)?;
            marked |=
                newest.is_some_and(|newest| (newest.sequence, newest.hash) == (record.sequence, record.hash));
            head = Some(record);
        }
        match &head {
            Some(head) if head.sequence >= next => next = head.sequence + 1,
            _ => break,
        }
    }
    Ok(Chain {
        records: check.end().map_err(broken)?,
        head,
        marked,
    })
}

async fn require_genuine(hsm: &dyn PaymentHsm, anchor: &AuditAnchor) -> Result<(), Failure> {
    let mac = hsm.anchor_audit(anchor.sequence, anchor.hash).await?;
    if mac == anchor.mac {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "the anchor at audit record {} is not the HSM's",
        anchor.sequence
    )))
}

fn reason(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    match text.chars().count() {
        1..=200 => Ok(text.to_owned()),
        _ => Err("1 to 200 characters"),
    }
}
