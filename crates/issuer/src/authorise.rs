//! Decides authorisation requests: the hot path.
//!
//! A batch goes through few hops, each for all of it at once: card keys, card rows, cryptogram and PIN check, chip
//! answers, one durable commit. The comparison of a PIN is made before the commit and told after it; where the card
//! has changed in between, it is thrown away and made anew (I1).

mod chip_data;
mod judge;
mod request;

use cards::{CardKey, CardRef, CardState, ScriptKind, ScriptTemplate, Timestamp};
use emv::csu::Csu;
use emv::script::{IssuerScript, ScriptPhase};
use emv::tags::TAG_91_ISSUER_AUTHENTICATION_DATA;
use hsm::{
    CheckRequest, ChipAnswer, ChipAnswerRequest, ChipDecision, HsmFault, Item, ScriptOrder, StateToSeal,
};
use store::{AuditEvent, CardRecord, Commit, CommitOutcome, MessageRecord, NewState};

use crate::chip_profile::ChipProfile;
use crate::desk::OpenCard;
use crate::{Desk, Fault};
use chip_data::ChipData;
use judge::{Judgement, judge};
pub use request::{
    AuthorisationAnswer, AuthorisationRequest, Authority, CardEntry, Checked, Decision, MessageIdentity,
    PinCheck, RequestKind, Transaction,
};

/// How often a request is judged anew because its card changed under it. Each round some request of that card got
/// through; a request that loses this often is answered with [`Decision::SystemMalfunction`], its PIN untold.
const ROUNDS_MAX: usize = 64;

/// One request of the batch that still waits for its answer.
struct Waiting<'r> {
    index: usize,
    request: &'r AuthorisationRequest,
    chip: Result<Option<ChipData>, chip_data::Unusable>,
    key: CardKey,
}

/// Decides a batch and answers in its order. Answers leave only after everything they rest on is durable.
///
/// Fails as a whole only where the HSM or the store doesn't answer: then nothing was told and, unless the fault came
/// at the commit itself, nothing charged. A card whose record is damaged costs only its own requests their answer.
pub async fn authorise(
    desk: &Desk,
    requests: &[AuthorisationRequest],
    now: Timestamp,
) -> Result<Vec<AuthorisationAnswer>, Fault> {
    let mut answers: Vec<Option<AuthorisationAnswer>> = vec![None; requests.len()];
    let mut waiting = identify(desk, requests, now, &mut answers).await?;
    for _ in 0..ROUNDS_MAX {
        if waiting.is_empty() {
            break;
        }
        waiting = decide(desk, waiting, now, &mut answers).await?;
    }
    let unanswered = || AuthorisationAnswer::declined(Decision::SystemMalfunction);
    Ok(answers
        .into_iter()
        .map(|answer| answer.unwrap_or_else(unanswered))
        .collect())
}

/// Finds the cards. Requests for cards that aren't ours are answered, and on record, here.
async fn identify<'r>(
    desk: &Desk,
    requests: &'r [AuthorisationRequest],
    now: Timestamp,
    answers: &mut [Option<AuthorisationAnswer>],
) -> Result<Vec<(Waiting<'r>, CardRecord)>, Fault> {
    let pans = requests.iter().map(|request| request.pan.clone()).collect();
    let keys = desk.hsm.card_keys(pans).await?;
    let records = desk.store.cards(keys).await?;
    let mut waiting = Vec::with_capacity(requests.len());
    let mut strangers = Vec::new();
    for (index, ((request, record), answer)) in requests.iter().zip(records).zip(answers).enumerate() {
        match record {
            Some(record) => {
                let chip = request
                    .chip
                    .as_deref()
                    .map(|chip| ChipData::read(chip, request.entry))
                    .transpose();
                let key = record.key;
                let waits = Waiting {
                    index,
                    request,
                    chip,
                    key,
                };
                waiting.push((waits, record));
            }
            None => {
                *answer = Some(AuthorisationAnswer::declined(Decision::UnknownCard));
                strangers.push(stranger(request, now));
            }
        }
    }
    if !strangers.is_empty() {
        desk.store.append_audit(strangers).await?;
    }
    Ok(waiting)
}

fn stranger(request: &AuthorisationRequest, now: Timestamp) -> AuditEvent {
    AuditEvent {
        at: now,
        kind: "authorisation",
        card: None,
        actor: format!("link:{}", request.link),
        detail: format!(
            r#"{{"decision":"UnknownCard","last_four":"{}"}}"#,
            request.pan.last_four()
        ),
    }
}

/// One round: check, judge, commit. Returns the requests whose card changed meanwhile, with the card as it is now.
async fn decide<'r>(
    desk: &Desk,
    waiting: Vec<(Waiting<'r>, CardRecord)>,
    now: Timestamp,
    answers: &mut [Option<AuthorisationAnswer>],
) -> Result<Vec<(Waiting<'r>, CardRecord)>, Fault> {
    let mut open = Vec::with_capacity(waiting.len());
    for (waits, record) in waiting {
        match desk.open(record) {
            Ok(card) => open.push((waits, card)),
            Err(fault) => give_up(answers, &waits, &fault),
        }
    }
    let checks = open
        .iter()
        .map(|(waits, card)| check_request(waits, card, now))
        .collect();
    let replies = desk.hsm.check(checks).await?;
    let mut judged = Vec::with_capacity(open.len());
    for ((waits, card), reply) in open.into_iter().zip(replies) {
        match reply {
            Ok(reply) => {
                let judgement = judge(&card, waits.request, &waits.chip, &reply, now);
                judged.push((waits, card, judgement));
            }
            Err(refusal) => {
                let fault = Fault::of_card(refusal, card.record.key.row);
                give_up(answers, &waits, &fault);
            }
        }
    }
    let (chip_answers, new_states) = tokio::join!(answer_chips(desk, &judged), seal(desk, &judged));
    let (chip_answers, new_states) = (chip_answers?, new_states?);
    let mut proposed = Vec::with_capacity(judged.len());
    for (((waits, card, judgement), chip), new_state) in judged.into_iter().zip(chip_answers).zip(new_states)
    {
        match chip.transpose() {
            Ok(chip) => {
                let answer = answer(waits.request, &card, &judgement, chip);
                let commit = commit(waits.request, &card, judgement, new_state, &answer, now);
                proposed.push((waits, answer, commit));
            }
            Err(refusal) => give_up(answers, &waits, &Fault::of_card(refusal, card.record.key.row)),
        }
    }
    settle(desk, proposed, answers).await
}

/// Commits what was decided; answers what became durable.
async fn settle<'r>(
    desk: &Desk,
    proposed: Vec<(Waiting<'r>, AuthorisationAnswer, Commit)>,
    answers: &mut [Option<AuthorisationAnswer>],
) -> Result<Vec<(Waiting<'r>, CardRecord)>, Fault> {
    let mut commits = Vec::with_capacity(proposed.len());
    let mut decided = Vec::with_capacity(proposed.len());
    for (waits, answer, commit) in proposed {
        commits.push(commit);
        decided.push((waits, answer));
    }
    let outcomes = desk.store.commit(commits).await?;
    let mut again = Vec::new();
    for ((waits, answer), outcome) in decided.into_iter().zip(outcomes) {
        match outcome {
            CommitOutcome::Done { .. } => put(answers, waits.index, answer),
            CommitOutcome::Duplicate(recorded) => {
                put(answers, waits.index, repeated(waits.request.message, &recorded));
            }
            CommitOutcome::VersionConflict => again.push(waits),
            CommitOutcome::StepUpMissing => unreachable!("no network message spends a step-up"),
        }
    }
    reload(desk, again).await
}

async fn reload<'r>(desk: &Desk, again: Vec<Waiting<'r>>) -> Result<Vec<(Waiting<'r>, CardRecord)>, Fault> {
    if again.is_empty() {
        return Ok(Vec::new());
    }
    let records = desk
        .store
        .cards(again.iter().map(|waits| waits.key).collect())
        .await?;
    let now_there = |(waits, record): (Waiting<'r>, Option<CardRecord>)| record.map(|record| (waits, record));
    Ok(again.into_iter().zip(records).filter_map(now_there).collect())
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

fn put(answers: &mut [Option<AuthorisationAnswer>], index: usize, answer: AuthorisationAnswer) {
    *answers.get_mut(index).expect("indices come from this batch") = Some(answer);
}

/// A damaged card record: its request is refused, nothing is evaluated, the operator is told (I10).
fn give_up(answers: &mut [Option<AuthorisationAnswer>], waits: &Waiting<'_>, fault: &Fault) {
    tracing::error!(%fault, link = &*waits.request.link, "a request can't be decided");
    put(
        answers,
        waits.index,
        AuthorisationAnswer::declined(Decision::SystemMalfunction),
    );
}

/// What the HSM is to check. The card's MAC is checked even where nothing else is.
fn check_request(waits: &Waiting<'_>, card: &OpenCard<'_>, now: Timestamp) -> CheckRequest {
    let decidable = judge::refused_outright(card, waits.request, &waits.chip, now).is_none();
    let chip = waits
        .chip
        .as_ref()
        .ok()
        .and_then(Option::as_ref)
        .filter(|_| decidable);
    let proven_or_waived = chip.is_some() || card.programme.pin_without_chip;
    let comparable = decidable && proven_or_waived && card.state.tries.locked(now).is_none();
    CheckRequest {
        card: card.for_hsm(),
        cryptogram: chip.map(|chip| chip.cryptogram(card.programme.scheme)),
        pin: waits.request.pin.clone().filter(|_| comparable),
        new_pin: None,
    }
}

/// ARPC and script for each request whose chip proved itself; `None` for the others.
async fn answer_chips(
    desk: &Desk,
    judged: &[(Waiting<'_>, OpenCard<'_>, Judgement)],
) -> Result<Vec<Option<Item<ChipAnswer>>>, Fault> {
    let orders: Vec<Option<ChipAnswerRequest>> = judged.iter().map(chip_order).collect();
    let wanted: Vec<bool> = orders.iter().map(Option::is_some).collect();
    let orders: Vec<ChipAnswerRequest> = orders.into_iter().flatten().collect();
    let mut made = if orders.is_empty() {
        Vec::new()
    } else {
        desk.hsm.answer_chip(orders).await?
    }
    .into_iter();
    Ok(wanted
        .into_iter()
        .map(|wanted| if wanted { made.next() } else { None })
        .collect())
}

fn chip_order(
    (waits, card, judgement): &(Waiting<'_>, OpenCard<'_>, Judgement),
) -> Option<ChipAnswerRequest> {
    let chip = waits.chip.as_ref().ok()?.as_ref()?;
    let delivery = judgement.delivery.filter(|delivery| delivery.authenticates)?;
    let approved = judgement.decision == Decision::Approved;
    let csu = Csu {
        pin_try_counter: delivery.csu.map(|_| card.programme.tries_max),
        ..Csu::answer(approved)
    };
    let profile = ChipProfile::of(card.programme.scheme);
    Some(ChipAnswerRequest {
        card: card.for_hsm(),
        cryptogram: chip.cryptogram(card.programme.scheme),
        decisions: vec![ChipDecision {
            arc: if approved { profile.approved } else { profile.declined },
            csu: csu.to_bytes(),
        }],
        scripts: delivery
            .script
            .map_or_else(Vec::new, |sent| orders(sent.kind).to_vec()),
    })
}

/// The commands of a script, in their order.
fn orders(kind: ScriptKind) -> &'static [ScriptOrder] {
    match kind {
        ScriptKind::ChangePin => &[ScriptOrder::ChangePin],
        ScriptKind::UnblockPin => &[ScriptOrder::UnblockPin],
        ScriptKind::UnblockAndChangePin => &[ScriptOrder::UnblockPin, ScriptOrder::ChangePin],
        ScriptKind::UnblockByCsu => &[],
    }
}

/// The next states with their MACs; `None` where the card stays as it is. A missing MAC fails the whole batch: without
/// it a charge would be lost.
async fn seal(
    desk: &Desk,
    judged: &[(Waiting<'_>, OpenCard<'_>, Judgement)],
) -> Result<Vec<Option<NewState>>, Fault> {
    let states: Vec<Option<StateToSeal>> = judged
        .iter()
        .map(|(_, card, judgement)| judgement.next.as_ref().map(|next| card.to_seal(next)))
        .collect();
    let to_seal: Vec<StateToSeal> = states.iter().flatten().cloned().collect();
    let mut macs = if to_seal.is_empty() {
        Vec::new()
    } else {
        desk.hsm.seal_states(to_seal).await?
    }
    .into_iter();
    let mut seal_one = |(state, next): (StateToSeal, &CardState)| {
        let mac = macs
            .next()
            .ok_or_else(|| HsmFault("fewer MACs than states".to_owned()))?;
        Ok(NewState {
            version: next.version,
            state: state.state,
            mac: mac.0,
        })
    };
    states
        .into_iter()
        .zip(judged)
        .map(|(state, (_, _, judgement))| state.zip(judgement.next.as_ref()).map(&mut seal_one).transpose())
        .collect()
}

fn answer(
    request: &AuthorisationRequest,
    card: &OpenCard<'_>,
    judgement: &Judgement,
    chip: Option<ChipAnswer>,
) -> AuthorisationAnswer {
    let approved = judgement.decision == Decision::Approved;
    AuthorisationAnswer {
        decision: judgement.decision,
        checked: judgement.checked,
        approval_code: approved.then(|| approval_code(request.message.content)),
        balance_minor: (approved && request.transaction == Transaction::Balance)
            .then_some(card.programme.amount_max_minor),
        chip: chip.map(|chip| chip_bytes(chip, card.programme.script_rules().template)),
        chip_if_declined: None,
        atc: judgement.atc,
        signals: Vec::new(),
    }
}

fn chip_bytes(chip: ChipAnswer, template: ScriptTemplate) -> Vec<u8> {
    let mut bytes = Vec::new();
    for data in &chip.issuer_authentication_data {
        emv::tlv::put(&mut bytes, TAG_91_ISSUER_AUTHENTICATION_DATA, data);
    }
    if !chip.commands.is_empty() {
        let script = IssuerScript {
            phase: match template {
                ScriptTemplate::BeforeFinalAc => ScriptPhase::BeforeFinalAc,
                ScriptTemplate::AfterFinalAc => ScriptPhase::AfterFinalAc,
            },
            id: None,
            commands: chip.commands,
        };
        bytes.extend(
            script
                .to_bytes()
                .expect("a PIN change and an unblock together are below the limit"),
        );
    }
    bytes
}

/// Six digits out of the message's hash: the same for a repeat, unlike for another message.
fn approval_code(content: [u8; 32]) -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = content;
    [a, b, c, d, e, f].map(|byte| b'0' + byte % 10)
}

fn commit(
    request: &AuthorisationRequest,
    card: &OpenCard<'_>,
    judgement: Judgement,
    new_state: Option<NewState>,
    answer: &AuthorisationAnswer,
    now: Timestamp,
) -> Commit {
    let row: CardRef = card.record.key.row;
    let audit = judgement.audit(request, row, now);
    let attempts = judgement.attempts(now);
    let notices = judgement.notices(card, now);
    Commit {
        card: row,
        expected_version: card.record.version,
        new_state,
        message: Some(MessageRecord {
            identity: request.message.identity,
            content: request.message.content,
            answer: answer.encode(),
        }),
        tombstone: None,
        step_up: None,
        audit,
        attempts,
        notices,
    }
}
