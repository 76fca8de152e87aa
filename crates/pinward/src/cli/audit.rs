//! `pinward audit verify`: follows the audit chain from its first record to its last.

use std::io::Write;

use clap::Subcommand;
use data_encoding::HEXLOWER;
use hsm::PaymentHsm;
use store::{AuditAnchor, ChainCheck, Store};

use super::place::Place;
use crate::failure::Failure;

/// Records read at a time.
const PAGE_LEN: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no record was changed, removed or cut off
    Verify(Place),
}

pub(crate) async fn run(command: AuditCommand, out: &mut dyn Write) -> Result<(), Failure> {
    let AuditCommand::Verify(place) = command;
    let opened = place.open().await?;
    let verified = verify(opened.desk.hsm.as_ref(), opened.desk.store.as_ref(), out).await;
    opened.hsm.close().await;
    verified
}

async fn verify(hsm: &dyn PaymentHsm, store: &dyn Store, out: &mut dyn Write) -> Result<(), Failure> {
    let anchors = store.anchors().await?;
    for anchor in &anchors {
        require_genuine(hsm, anchor).await?;
    }
    let broken = |at| Failure::Refused(format!("the audit chain is broken: {at}"));
    let mut check = ChainCheck::new(&anchors);
    let mut next = 1;
    let mut head = None;
    loop {
        let page = store.audit_from(next, PAGE_LEN).await?;
        let Some(last) = page.last() else { break };
        next = last.sequence + 1;
        head = Some((last.sequence, last.hash));
        for record in &page {
            check.follow(record).map_err(broken)?;
        }
    }
    let records = check.end().map_err(broken)?;
    let (anchored, head) = (
        anchors.iter().map(|anchor| anchor.sequence).max(),
        head.map(|(_, hash)| hash),
    );
    writeln!(out, "The audit chain holds: {records} records.")?;
    if let Some(hash) = head {
        writeln!(out, "head     {}", HEXLOWER.encode(&hash))?;
    }
    match anchored {
        Some(sequence) => writeln!(out, "anchors  {}, the last at record {sequence}", anchors.len())?,
        None => writeln!(out, "anchors  none yet: a cut at the end would not show")?,
    }
    Ok(())
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
