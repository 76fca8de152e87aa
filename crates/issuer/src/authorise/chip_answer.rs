//! What the answer holds for the chip: issuer authentication data for each decision it may be told, and the script.

use cards::{Delivery, Programme, ScriptKind, ScriptTemplate};
use emv::csu::Csu;
use emv::script::{IssuerScript, ScriptPhase};
use emv::tags::TAG_91_ISSUER_AUTHENTICATION_DATA;
use hsm::{ChipAnswer, ChipAnswerRequest, ChipDecision, HsmRefusal, Item, ScriptOrder, StateMac};
use store::NewState;

use super::judge::{Judgement, PinService};
use super::{Case, Decision};
use crate::chip_profile::ChipProfile;
use crate::{Desk, Fault};

/// Field 55 of the answer.
pub(super) struct ForChip {
    /// For the decision of the answer.
    pub(super) chip: Vec<u8>,
    /// For another host's declining.
    pub(super) if_declined: Option<Vec<u8>>,
}

/// Answers for the chips that proved themselves, `None` for the others and for those that get a new PIN.
pub(super) async fn with_present_pins(
    desk: &Desk,
    judged: &[(&Case<'_>, Judgement)],
) -> Result<Vec<Option<Item<ForChip>>>, Fault> {
    let orders = judged
        .iter()
        .map(|(case, judgement)| order(case, judgement, None).filter(|_| !sets_pin(judgement)));
    make(desk, orders).await
}

/// Fills in the answers that carry a PIN set by this very transaction. They are made from the card's next state, so
/// that has its MAC by now.
pub(super) async fn with_new_pins(
    desk: &Desk,
    judged: &[(&Case<'_>, Judgement)],
    new_states: &[Option<NewState>],
    answers: &mut [Option<Item<ForChip>>],
) -> Result<(), Fault> {
    if !judged.iter().any(|(_, judgement)| sets_pin(judgement)) {
        return Ok(());
    }
    let orders = judged
        .iter()
        .zip(new_states)
        .map(|((case, judgement), new_state)| {
            let new_state = new_state.as_ref().filter(|_| sets_pin(judgement))?;
            order(case, judgement, Some(new_state))
        });
    let made = make(desk, orders).await?;
    for (answer, made) in answers.iter_mut().zip(made) {
        if made.is_some() {
            *answer = made;
        }
    }
    Ok(())
}

fn sets_pin(judgement: &Judgement) -> bool {
    matches!(judgement.pin_service, Some(PinService::Changed { .. }))
}

async fn make(
    desk: &Desk,
    orders: impl Iterator<Item = Option<(ChipAnswerRequest, ScriptTemplate)>>,
) -> Result<Vec<Option<Item<ForChip>>>, Fault> {
    let mut requests = Vec::new();
    let templates: Vec<Option<ScriptTemplate>> = orders
        .map(|order| {
            let (request, template) = order?;
            requests.push(request);
            Some(template)
        })
        .collect();
    let made = if requests.is_empty() {
        Vec::new()
    } else {
        desk.hsm.answer_chip(requests).await?
    };
    let mut made = made.into_iter();
    let mut next = |template| Some(made.next()?.and_then(|answer| ForChip::read(answer, template)));
    Ok(templates
        .into_iter()
        .map(|template| template.and_then(&mut next))
        .collect())
}

/// What to make for a chip that proved itself in a request; a PIN that this transaction set is in the `new_state`.
fn order(
    case: &Case<'_>,
    judgement: &Judgement,
    new_state: Option<&NewState>,
) -> Option<(ChipAnswerRequest, ScriptTemplate)> {
    let delivery = judgement.delivery.filter(|delivery| delivery.authenticates)?;
    let chip = case.chip()?;
    let mut card = case.card.for_hsm();
    if let Some(new_state) = new_state {
        card.state.clone_from(&new_state.state);
        card.mac = StateMac(new_state.mac);
    }
    let approved = judgement.decision == Decision::Approved;
    let either = approved && !case.request.decided_here();
    let told: &[bool] = if either { &[true, false] } else { &[approved] };
    let request = ChipAnswerRequest {
        card,
        cryptogram: chip.cryptogram.clone(),
        decisions: told
            .iter()
            .map(|approved| decision(case.card.programme, &delivery, *approved))
            .collect(),
        scripts: delivery
            .script
            .map_or_else(Vec::new, |sent| commands(sent.kind).to_vec()),
    };
    Some((request, case.card.programme.script_rules().template))
}

fn decision(programme: &Programme, delivery: &Delivery, approved: bool) -> ChipDecision {
    let profile = ChipProfile::of(programme.scheme);
    let csu = Csu {
        pin_try_counter: delivery.csu.map(|_| programme.tries_max),
        ..Csu::answer(approved)
    };
    ChipDecision {
        arc: if approved {
            profile.approved
        } else {
            profile.declined
        },
        csu: csu.to_bytes(),
    }
}

/// The commands of a script, in their order.
fn commands(kind: ScriptKind) -> &'static [ScriptOrder] {
    match kind {
        ScriptKind::ChangePin => &[ScriptOrder::ChangePin],
        ScriptKind::UnblockPin => &[ScriptOrder::UnblockPin],
        ScriptKind::UnblockAndChangePin => &[ScriptOrder::UnblockPin, ScriptOrder::ChangePin],
        ScriptKind::UnblockByCsu => &[],
    }
}

impl ForChip {
    /// Tag 91 and, where there are commands, the script's template; for each decision. An HSM that made none is refused
    /// like one that can't.
    fn read(made: ChipAnswer, template: ScriptTemplate) -> Item<Self> {
        let script = script(made.commands, template);
        let mut each = made.issuer_authentication_data.iter().map(|authentication| {
            let mut bytes = Vec::with_capacity(2 + authentication.len() + script.len());
            emv::tlv::put(&mut bytes, TAG_91_ISSUER_AUTHENTICATION_DATA, authentication);
            bytes.extend_from_slice(&script);
            bytes
        });
        Ok(Self {
            chip: each.next().ok_or(HsmRefusal::Unsupported)?,
            if_declined: each.next(),
        })
    }
}

fn script(commands: Vec<Vec<u8>>, template: ScriptTemplate) -> Vec<u8> {
    if commands.is_empty() {
        return Vec::new();
    }
    let script = IssuerScript {
        phase: match template {
            ScriptTemplate::BeforeFinalAc => ScriptPhase::BeforeFinalAc,
            ScriptTemplate::AfterFinalAc => ScriptPhase::AfterFinalAc,
        },
        id: None,
        commands,
    };
    script
        .to_bytes()
        .expect("a PIN change and an unblock together are below the limit")
}
