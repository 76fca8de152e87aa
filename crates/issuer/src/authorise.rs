//! Decides authorisation requests, and takes in advices of those decided elsewhere: the hot path.
//!
//! A batch goes through few hops, each for all of it at once: card keys, card rows, cryptogram and PIN check, chip
//! answers, one durable commit. The comparison of a PIN is made before the commit and told after it; where the card
//! has changed in between, it is thrown away and made anew (I1).

pub(crate) mod chip_data;

mod case;
mod chip_answer;
mod decline;
mod draft;
mod judge;
mod record;
mod request;

use cards::{Attention, CardKey, CardRef, ScriptKind, Timestamp};
use hsm::{CheckRequest, HsmError, HsmFault, HsmRefusal};
use store::{AuditEvent, Commit, CommitOutcome, MessageRecord, NewState, StoreFault};

use crate::chip_report::tell_stopped;
use crate::counted::one_each;
use crate::{Desk, Fault};
use case::Case;
use chip_data::ChipData;
use judge::{Found, Judgement, judge};
pub use request::{
    AuthorisationAnswer, AuthorisationRequest, Authority, CardEntry, Checked, Decision, MessageIdentity,
    PinCheck, RequestKind, Transaction,
};

/// How often a request is judged anew because its card changed under it. Each round some request of that card got
/// through; a request that loses this often is answered with [`Decision::SystemMalfunction`], its PIN untold.
const ROUNDS_MAX: usize = 64;

/// The answers of a batch so far, and what goes on record without a card's commit.
struct Answers {
    given: Vec<Option<AuthorisationAnswer>>,
    turned_away: Vec<AuditEvent>,
    now: Timestamp,
}

/// A request of the batch that has no answer so far.
struct Waiting<'a> {
    index: usize,
    request: &'a AuthorisationRequest,
    key: CardKey,
}

/// Decides a batch and answers in its order. Answers leave only after everything they rest on is durable.
///
/// Fails as a whole only where the HSM or the store doesn't answer, or not item by item: then nothing was told and, unless
/// the fault came at the commit itself, nothing charged. A card whose record is damaged, or a missing key, costs only its
/// own requests their answer; a script or issuer authentication data that the HSM doesn't make, none.
///
/// A request for a card that isn't ours is on record only once the caller has put
/// [`AuthorisationRequest::of_unknown_card`] there: anybody can send those, and the caller knows how many are enough.
pub async fn authorise(
    desk: &Desk,
    requests: &[AuthorisationRequest],
    now: Timestamp,
) -> Result<Vec<AuthorisationAnswer>, Fault> {
    let mut answers = Answers {
        given: vec![None; requests.len()],
        turned_away: Vec::new(),
        now,
    };
    let mut waiting = identify(desk, requests).await?;
    for _ in 0..ROUNDS_MAX {
        if waiting.is_empty() {
            break;
        }
        let cases = open_cards(desk, waiting, &mut answers).await?;
        waiting = decide(desk, &cases, &mut answers).await?;
    }
    for Waiting { index, request, key } in waiting {
        answers.turn_away(request, Some(key.row), index, Decision::SystemMalfunction);
    }
    if !answers.turned_away.is_empty() {
        desk.store.append_audit(answers.turned_away).await?;
    }
    let given = answers.given.into_iter();
    Ok(given
        .map(|answer| answer.expect("each request was answered, or waited until the end"))
        .collect())
}

/// Has the HSM derive the cards' keys, which stay the same whatever happens to the cards.
async fn identify<'a>(desk: &Desk, requests: &'a [AuthorisationRequest]) -> Result<Vec<Waiting<'a>>, Fault> {
    let pans = requests.iter().map(|request| request.pan.clone()).collect();
    let keys = one_each(
        desk.hsm.card_keys(pans).await?,
        requests.len(),
        HsmFault::NoAnswer,
    )?;
    let waiting = requests.iter().zip(keys).enumerate();
    Ok(waiting
        .map(|(index, (request, key))| Waiting { index, request, key })
        .collect())
}

/// Reads the cards as they are now. Requests for cards that aren't ours are answered here.
async fn open_cards<'a>(
    desk: &'a Desk,
    waiting: Vec<Waiting<'a>>,
    answers: &mut Answers,
) -> Result<Vec<Case<'a>>, Fault> {
    let keys = waiting.iter().map(|waiting| waiting.key).collect();
    let records = one_each(desk.store.cards(keys).await?, waiting.len(), StoreFault)?;
    let mut cases = Vec::with_capacity(waiting.len());
    for (Waiting { index, request, key }, record) in waiting.into_iter().zip(records) {
        match record.map(|record| desk.open(record)) {
            Some(Ok(card)) => cases.push(Case {
                index,
                request,
                chip: ChipData::of(request, &card),
                card,
            }),
            Some(Err(fault)) => answers.give_up(request, key.row, index, &fault),
            None => answers.put(index, AuthorisationAnswer::declined(Decision::UnknownCard)),
        }
    }
    Ok(cases)
}

/// One round: check, judge, commit. Returns the requests whose card changed meanwhile.
async fn decide<'a>(
    desk: &Desk,
    cases: &[Case<'a>],
    answers: &mut Answers,
) -> Result<Vec<Waiting<'a>>, Fault> {
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    let now = answers.now;
    let checks: Vec<CheckRequest> = cases.iter().map(|case| case.check(now)).collect();
    let replies = one_each(desk.hsm.check(checks).await?, cases.len(), HsmFault::NoAnswer)?;
    let mut judged = Vec::with_capacity(cases.len());
    for (case, reply) in cases.iter().zip(replies) {
        match reply {
            Ok(reply) => {
                let number_repeated = case.number_is_repeated(desk, reply.cryptogram_valid, now);
                let found = Found {
                    reply,
                    number_repeated,
                };
                judged.push((case, judge(case, found, now)));
            }
            Err(refusal) => answers.refuse(case, refusal),
        }
    }
    let mut proposed = Vec::with_capacity(judged.len());
    let mut commits = Vec::with_capacity(judged.len());
    for draft in draft::complete(desk, judged).await? {
        let case = draft.case;
        match draft.for_chip.transpose() {
            Ok(for_chip) => {
                let answer = answer(case, &draft.judgement, for_chip);
                let stopped = draft.judgement.stopped(case, now);
                commits.push(commit(case, draft.judgement, draft.new_state, &answer, now));
                proposed.push(Proposed {
                    case,
                    answer,
                    stopped,
                });
            }
            Err(HsmError::Refused(refusal)) => answers.refuse(case, refusal),
            Err(HsmError::Fault(fault)) => return Err(fault.into()),
        }
    }
    let asked = commits.len();
    let outcomes = one_each(desk.store.commit(commits).await?, asked, StoreFault)?;
    Ok(settle(proposed, outcomes, answers))
}

/// An answer whose commit is under way.
struct Proposed<'c, 'a> {
    case: &'c Case<'a>,
    answer: AuthorisationAnswer,
    /// What isn't sent to the chip any more, to be told once that is durable.
    stopped: Vec<(ScriptKind, Attention)>,
}

/// Answers what became durable, and returns the rest.
fn settle<'a>(
    proposed: Vec<Proposed<'_, 'a>>,
    outcomes: Vec<CommitOutcome>,
    answers: &mut Answers,
) -> Vec<Waiting<'a>> {
    let mut again = Vec::new();
    for (proposed, outcome) in proposed.into_iter().zip(outcomes) {
        let Proposed {
            case,
            answer,
            stopped,
        } = proposed;
        match outcome {
            CommitOutcome::Done { .. } => {
                tell_stopped(&stopped, case.card.row());
                answers.put(case.index, answer);
            }
            CommitOutcome::Duplicate(recorded) => {
                answers.put(case.index, repeated(case.request.message, &recorded));
            }
            CommitOutcome::VersionConflict => again.push(Waiting {
                index: case.index,
                request: case.request,
                key: case.card.record.key,
            }),
            CommitOutcome::StepUpMissing => unreachable!("no network message spends a step-up"),
        }
    }
    again
}

/// What a repeat gets: the recorded answer, if it is a repeat.
fn repeated(message: MessageIdentity, recorded: &MessageRecord) -> AuthorisationAnswer {
    let answer = AuthorisationAnswer::decode(recorded);
    match answer {
        Some(answer) if answer.decision == Decision::ReversedBefore => answer,
        Some(answer) if recorded.content == message.content => answer,
        Some(_) => AuthorisationAnswer::declined(Decision::DuplicateDiffers),
        None => AuthorisationAnswer::declined(Decision::SystemMalfunction),
    }
}

impl Answers {
    fn put(&mut self, index: usize, answer: AuthorisationAnswer) {
        *self.given.get_mut(index).expect("indices come from this batch") = Some(answer);
    }

    /// Answers a request that no card's commit can hold, and puts that on record.
    fn turn_away(
        &mut self,
        request: &AuthorisationRequest,
        card: Option<CardRef>,
        index: usize,
        decision: Decision,
    ) {
        self.turned_away
            .push(record::turned_away(request, card, decision, self.now));
        self.put(index, AuthorisationAnswer::declined(decision));
    }

    /// A damaged card record: its request is refused, nothing is evaluated, the operator is told (I10).
    fn give_up(&mut self, request: &AuthorisationRequest, card: CardRef, index: usize, fault: &Fault) {
        tracing::error!(%fault, link = &*request.link, "a request can't be decided");
        self.turn_away(request, Some(card), index, Decision::SystemMalfunction);
    }

    /// The HSM won't evaluate it: a missing key is named, anything else is the operator's.
    fn refuse(&mut self, case: &Case<'_>, refusal: HsmRefusal) {
        let row = case.card.row();
        if refusal == HsmRefusal::NoSuchKey {
            tracing::error!(card = %row, link = &*case.request.link, "a key is missing in the HSM");
            self.turn_away(case.request, Some(row), case.index, Decision::KeyMissing);
        } else {
            let fault = Fault::of_card(refusal, row);
            self.give_up(case.request, row, case.index, &fault);
        }
    }
}

fn answer(
    case: &Case<'_>,
    judgement: &Judgement,
    for_chip: Option<chip_answer::ForChip>,
) -> AuthorisationAnswer {
    let request = case.request;
    let asked = request.kind == RequestKind::Request;
    let granted = asked && judgement.decision == Decision::Approved && request.decided_here();
    let (chip, chip_if_declined) = for_chip.map_or((None, None), |made| (Some(made.chip), made.if_declined));
    AuthorisationAnswer {
        decision: judgement.decision,
        checked: judgement.checked,
        approval_code: granted.then(|| approval_code(request.message.content)),
        balance_minor: (granted && request.transaction == Transaction::Balance)
            .then_some(case.card.programme.amount_max_minor),
        chip,
        chip_if_declined,
        atc: judgement
            .proved
            .then(|| case.chip().map(|chip| chip.atc))
            .flatten(),
        signals: judgement.signals.clone(),
        may_stand_in: judgement.may_stand_in,
    }
}

/// Six digits out of the message's hash: the same for a repeat, unlike for another message.
fn approval_code(content: [u8; 32]) -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = content;
    [a, b, c, d, e, f].map(|byte| b'0' + byte % 10)
}

fn commit(
    case: &Case<'_>,
    judgement: Judgement,
    new_state: Option<NewState>,
    answer: &AuthorisationAnswer,
    now: Timestamp,
) -> Commit {
    let message = case.request.message;
    Commit {
        card: case.card.row(),
        expected_version: case.card.record.version,
        new_state,
        message: Some(MessageRecord {
            identity: message.identity,
            content: message.content,
            answer: answer.encode(),
        }),
        tombstone: None,
        step_up: None,
        audit: record::audit(case, &judgement, now),
        attempts: record::attempts(case, &judgement, now),
        notices: record::notices(case, &judgement, now),
    }
}
