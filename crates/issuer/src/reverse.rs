//! A network takes a transaction back: whether its script reached the chip is unknown from then on.

use std::sync::Arc;

use cards::{Pan, Timestamp};

use crate::authorise::MessageIdentity;
use crate::chip_results::{ChipResults, ChipResultsOutcome, ToldIn, TransactionEnd, take_in};
use crate::{Desk, Fault};

/// A reversal, request or advice.
#[derive(Clone, Debug)]
pub struct Reversal {
    /// Who it is itself.
    pub message: MessageIdentity,
    /// [`MessageIdentity::identity`] of the transaction that it takes back.
    pub original: [u8; 16],
    pub pan: Pan,
    /// Tag 9F5B as the terminal reports it: a claim, shown as such.
    pub script_results: Option<Vec<u8>>,
    /// Chip data with a cryptogram of the chip's, BER-TLV, as in ISO 8583 field 55: the one thing here that proves anything.
    pub chip: Option<Vec<u8>>,
    /// Name of the link, for the audit trail.
    pub link: Arc<str>,
}

/// How a reversal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReversalOutcome {
    /// Taken back, or never there: it won't be approved any more.
    Accepted,
    /// The card isn't ours.
    UnknownCard,
    /// Another message has this identity.
    DuplicateDiffers,
}

/// Takes a transaction back. What its chip data prove is taken in first. A script that rode on its answer is "unknown" until the chip itself tells; an original
/// that has not arrived yet will be answered as reversed. The online PIN is never touched.
pub async fn reverse(desk: &Desk, reversal: &Reversal, now: Timestamp) -> Result<ReversalOutcome, Fault> {
    let results = ChipResults {
        message: reversal.message,
        pan: reversal.pan.clone(),
        end: Some(TransactionEnd::Reversed(reversal.original)),
        script_results: reversal.script_results.clone(),
        chip: reversal.chip.clone(),
        link: Arc::clone(&reversal.link),
    };
    match take_in(desk, &results, ToldIn::Reversal, now).await? {
        ChipResultsOutcome::Accepted { .. } => Ok(ReversalOutcome::Accepted),
        ChipResultsOutcome::UnknownCard => Ok(ReversalOutcome::UnknownCard),
        ChipResultsOutcome::DuplicateDiffers => Ok(ReversalOutcome::DuplicateDiffers),
        ChipResultsOutcome::UnknownOriginal => unreachable!("a reversal may come before its original"),
    }
}
