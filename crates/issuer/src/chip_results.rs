//! What is told about an authorisation afterwards: how it ended, what the terminal claims of its script, and what the
//! chip signed. The act behind `POST /v1/chip/results`, and behind reversals.

use std::sync::Arc;

use cards::{CardRef, CardState, Pan, Resolution, ScriptSent, Timestamp};
use hsm::{CheckRequest, HsmFault};
use store::{AttemptWrite, AuditEvent, Commit, CommitOutcome, MessageRecord, StoreFault};

use crate::authorise::chip_data::{ChipData, Unusable};
use crate::authorise::{AuthorisationAnswer, CardEntry, Decision, MessageIdentity};
use crate::chip_report::{
    attempt_detail, proof_notices, reported_attempt, resolution_attempt, resolution_audit,
};
use crate::counted::only;
use crate::desk::OpenCard;
use crate::{Desk, Fault};

/// How often the results are tried anew because their card changed under them.
const ROUNDS_MAX: usize = 64;

/// What is told about one authorisation.
#[derive(Clone, Debug)]
pub struct ChipResults {
    /// Who this message is itself.
    pub message: MessageIdentity,
    pub pan: Pan,
    /// How the transaction ended, if that is told.
    pub end: Option<TransactionEnd>,
    /// Tag 9F5B: a claim of the terminal, shown as such.
    pub script_results: Option<Vec<u8>>,
    /// Chip data with the chip's final or a later cryptogram: BER-TLV, as in ISO 8583 field 55. The one thing here that
    /// proves anything.
    pub chip: Option<Vec<u8>>,
    /// Name of the client, for the audit trail.
    pub link: Arc<str>,
}

/// How a transaction ended, as the host says, and which: the [`MessageIdentity::identity`] of its authorisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionEnd {
    Completed([u8; 16]),
    /// Taken back: whether its answer reached the chip is anybody's guess.
    Reversed([u8; 16]),
}

/// What became of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChipResultsOutcome {
    /// On record. The verdict on the chip's cryptogram, where one came that can be read.
    Accepted { cryptogram_valid: Option<bool> },
    /// The card isn't ours.
    UnknownCard,
    /// No authorisation with that identity was answered, so it can't have been completed.
    UnknownOriginal,
    /// Another message has this identity.
    DuplicateDiffers,
}

/// Which message tells it.
#[derive(Clone, Copy)]
pub(crate) enum ToldIn {
    Results,
    Reversal,
}

/// Takes results in. The chip's valid cryptogram resolves script attempts, also late; a claim of the terminal is
/// recorded as "reported" and resolves nothing; a reversal leaves the script of that authorisation unknown, and has it
/// declined where it hasn't arrived yet. The online PIN is never touched.
pub async fn take_chip_results(
    desk: &Desk,
    results: &ChipResults,
    now: Timestamp,
) -> Result<ChipResultsOutcome, Fault> {
    take_in(desk, results, ToldIn::Results, now).await
}

/// The same, whichever message tells it.
pub(crate) async fn take_in(
    desk: &Desk,
    results: &ChipResults,
    told_in: ToldIn,
    now: Timestamp,
) -> Result<ChipResultsOutcome, Fault> {
    let key = only(
        desk.hsm.card_keys(vec![results.pan.clone()]).await?,
        HsmFault::NoAnswer,
    )?;
    for _ in 0..ROUNDS_MAX {
        let Some(record) = only(desk.store.cards(vec![key]).await?, StoreFault)? else {
            return Ok(ChipResultsOutcome::UnknownCard);
        };
        let original = original(desk, results.end).await?;
        if matches!(results.end, Some(TransactionEnd::Completed(_))) && original.is_none() {
            return Ok(ChipResultsOutcome::UnknownOriginal);
        }
        let card = desk.open(record)?;
        let heard = hear(desk, &card, results).await?;
        let cryptogram_valid = heard.cryptogram_valid;
        let told = Told {
            results,
            told_in,
            original,
            heard,
        };
        let commit = commit(desk, &card, &told, now).await?;
        match only(desk.store.commit(vec![commit]).await?, StoreFault)? {
            CommitOutcome::Done { .. } => return Ok(ChipResultsOutcome::Accepted { cryptogram_valid }),
            CommitOutcome::Duplicate(recorded) if recorded.content == results.message.content => {
                let told = AuthorisationAnswer::decode(&recorded);
                let cryptogram_valid = told.and_then(|answer| answer.checked.cryptogram_valid);
                return Ok(ChipResultsOutcome::Accepted { cryptogram_valid });
            }
            CommitOutcome::Duplicate(_) => return Ok(ChipResultsOutcome::DuplicateDiffers),
            CommitOutcome::VersionConflict => {}
            CommitOutcome::StepUpMissing => unreachable!("no network message spends a step-up"),
        }
    }
    Err(Fault::Store(StoreFault(
        "the card kept changing under what was told of its transaction".to_owned(),
    )))
}

/// The answer that the transaction got.
async fn original(desk: &Desk, end: Option<TransactionEnd>) -> Result<Option<AuthorisationAnswer>, Fault> {
    let (TransactionEnd::Completed(identity) | TransactionEnd::Reversed(identity)) = match end {
        Some(end) => end,
        None => return Ok(None),
    };
    let recorded = only(desk.store.messages(vec![identity]).await?, StoreFault)?;
    Ok(recorded.as_ref().and_then(AuthorisationAnswer::decode))
}

/// The chip's own word, as far as it can be read and proved.
struct Heard {
    chip: Result<Option<ChipData>, Unusable>,
    cryptogram_valid: Option<bool>,
}

/// Everything that is known of a transaction once its results are heard.
struct Told<'a> {
    results: &'a ChipResults,
    told_in: ToldIn,
    /// The answer that the transaction got.
    original: Option<AuthorisationAnswer>,
    heard: Heard,
}

/// What the results change about script attempts.
struct Turn {
    /// Ended by the chip's own word.
    resolutions: Vec<Resolution>,
    /// The transaction's own attempt, still open: the one that a terminal's claim is about.
    claimed: Option<ScriptSent>,
    /// Left unknown by the reversal.
    doubtful: Option<ScriptSent>,
}

/// Has the HSM check the card's record and the cryptogram, if there is one.
async fn hear(desk: &Desk, card: &OpenCard<'_>, results: &ChipResults) -> Result<Heard, Fault> {
    let read = |bytes: &Vec<u8>| ChipData::read(bytes, &results.pan, card, CardEntry::Contact);
    let chip = results.chip.as_ref().map(read).transpose();
    let cryptogram = chip.as_ref().ok().and_then(Option::as_ref);
    let check = CheckRequest {
        card: card.for_hsm(),
        cryptogram: cryptogram.map(|chip| chip.cryptogram.clone()),
        pin: None,
        new_pin: None,
    };
    let reply = only(desk.hsm.check(vec![check]).await?, HsmFault::NoAnswer)?;
    let reply = reply.map_err(|refusal| Fault::of_card(refusal, card.row()))?;
    Ok(Heard {
        chip,
        cryptogram_valid: reply.cryptogram_valid,
    })
}

async fn commit(desk: &Desk, card: &OpenCard<'_>, told: &Told<'_>, now: Timestamp) -> Result<Commit, Fault> {
    let mut next = card.state.next();
    let turn = told.turn(card, &mut next, now);
    let changed = next.script != card.state.script || next.atc_last != card.state.atc_last;
    let new_state = if changed {
        Some(desk.seal(card, &next).await?)
    } else {
        None
    };
    let mut answer = AuthorisationAnswer::declined(Decision::Approved);
    answer.checked.cryptogram_valid = told.heard.cryptogram_valid;
    Ok(Commit {
        card: card.row(),
        expected_version: card.record.version,
        new_state,
        message: Some(MessageRecord {
            identity: told.results.message.identity,
            content: told.results.message.content,
            answer: answer.encode(),
        }),
        tombstone: told.reversed().map(|identity| MessageRecord {
            identity,
            content: [0; 32],
            answer: told.as_reversed().encode(),
        }),
        step_up: None,
        audit: told.audit(card.row(), &turn, now),
        attempts: told.attempts(&turn, now),
        notices: proof_notices(card, &turn.resolutions, now),
    })
}

impl Told<'_> {
    /// The chip's word first, then the reversal's doubt about what it left open.
    fn turn(&self, card: &OpenCard<'_>, next: &mut CardState, now: Timestamp) -> Turn {
        let rules = card.programme.script_rules();
        let resolutions = self.proved().map_or_else(Vec::new, |chip| {
            next.chip_spoke(chip.evidence(false), &rules, now)
        });
        let atc = self.original.as_ref().and_then(|answer| answer.atc);
        let claimed = next.script.in_flight.filter(|sent| atc == Some(sent.atc));
        let doubtful = self.reversed().and(atc).and_then(|atc| next.answer_reversed(atc));
        Turn {
            resolutions,
            claimed,
            doubtful,
        }
    }

    /// What a repeat of the transaction gets from now on. A further reversal still finds its counter.
    fn as_reversed(&self) -> AuthorisationAnswer {
        AuthorisationAnswer {
            atc: self.original.as_ref().and_then(|answer| answer.atc),
            ..AuthorisationAnswer::declined(Decision::ReversedBefore)
        }
    }

    fn proved(&self) -> Option<&ChipData> {
        let chip = self.heard.chip.as_ref().ok()?.as_ref();
        chip.filter(|_| self.heard.cryptogram_valid == Some(true))
    }

    fn reversed(&self) -> Option<[u8; 16]> {
        match self.results.end {
            Some(TransactionEnd::Reversed(identity)) => Some(identity),
            Some(TransactionEnd::Completed(_)) | None => None,
        }
    }

    fn attempts(&self, turn: &Turn, now: Timestamp) -> Vec<AttemptWrite> {
        let message = match self.told_in {
            ToldIn::Results => "the results",
            ToldIn::Reversal => "the reversal",
        };
        let evidence = self.proved().map_or_else(String::new, |chip| {
            format!("CVR {} in {message} with ATC {:04X}", chip.report.cvr, chip.atc)
        });
        let resolved = turn
            .resolutions
            .iter()
            .map(|resolution| resolution_attempt(*resolution, evidence.clone(), now));
        let claim = self.results.script_results.as_deref();
        let reported = turn
            .claimed
            .zip(claim)
            .and_then(|(sent, claim)| reported_attempt(sent, claim, message, now));
        let unknown = turn.doubtful.map(|sent| AttemptWrite::Resolved {
            attempt: sent.attempt,
            outcome: "unknown",
            evidence: "the transaction was reversed".to_owned(),
            at: now,
        });
        resolved.chain(reported.or(unknown)).collect()
    }

    fn audit(&self, card: CardRef, turn: &Turn, now: Timestamp) -> Vec<AuditEvent> {
        let by_link = |kind, detail| AuditEvent {
            at: now,
            kind,
            card: Some(card),
            actor: ["link:", &self.results.link].concat(),
            detail,
        };
        let kind = match self.told_in {
            ToldIn::Results => "chip_results",
            ToldIn::Reversal => "reversal",
        };
        let mut events = vec![by_link(kind, self.detail())];
        let ended = turn.resolutions.iter();
        events.extend(ended.map(|resolution| resolution_audit(*resolution, card, now)));
        events.extend(
            turn.doubtful
                .map(|sent| by_link("script_unknown", attempt_detail(sent))),
        );
        events
    }

    fn detail(&self) -> String {
        let end = match self.results.end {
            Some(TransactionEnd::Completed(_)) => r#""end":"completed""#.to_owned(),
            Some(TransactionEnd::Reversed(_)) => {
                let found = self.original.is_some();
                format!(r#""end":"reversed","original_found":{found}"#)
            }
            None => r#""end":"not_told""#.to_owned(),
        };
        let chip = match (&self.heard.chip, self.heard.cryptogram_valid) {
            (Err(unusable), _) => format!(r#","chip_data":"{unusable}""#),
            (Ok(_), Some(valid)) => format!(r#","cryptogram_valid":{valid}"#),
            (Ok(_), None) => String::new(),
        };
        format!("{{{end}{chip}}}")
    }
}
