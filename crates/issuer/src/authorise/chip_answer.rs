//! What the answer holds for the chip: issuer authentication data for each decision it may be told, and the script.

use cards::{Delivery, Programme, ScriptKind, ScriptTemplate};
use emv::csu::Csu;
use emv::script::{IssuerScript, ScriptPhase};
use emv::tags::TAG_91_ISSUER_AUTHENTICATION_DATA;
use hsm::{ChipAnswer, ChipAnswerRequest, ChipDecision, HsmFault, ScriptOrder, StateMac};
use store::NewState;

use super::judge::Judgement;
use super::{Case, Decision};
use crate::chip_profile::ChipProfile;
use crate::counted::one_each;

/// Field 55 of the answer.
pub(super) struct ForChip {
    /// For the decision of the answer.
    pub(super) chip: Vec<u8>,
    /// For another host's declining.
    pub(super) if_declined: Option<Vec<u8>>,
}

/// What to make for a chip that proved itself in a request; a PIN that this transaction set is in the `new_state`.
pub(super) fn order(
    case: &Case<'_>,
    judgement: &Judgement,
    new_state: Option<&NewState>,
) -> Option<ChipAnswerRequest> {
    let delivery = judgement.delivery.filter(|delivery| delivery.authenticates)?;
    let chip = case.chip()?;
    let mut card = case.card.for_hsm();
    if let Some(new_state) = new_state {
        card.state.clone_from(&new_state.state);
        card.mac = StateMac(new_state.mac);
    }
    Some(ChipAnswerRequest {
        card,
        cryptogram: chip.cryptogram.clone(),
        decisions: told(case, judgement)
            .iter()
            .map(|approved| decision(case.card.programme, &delivery, *approved))
            .collect(),
        scripts: commands(&delivery).to_vec(),
    })
}

/// What the chip may be told: approved or not, or the one and the other where another host decides.
fn told(case: &Case<'_>, judgement: &Judgement) -> &'static [bool] {
    match judgement.decision == Decision::Approved {
        true if case.request.decided_here() => &[true],
        true => &[true, false],
        false => &[false],
    }
}

fn decision(programme: &Programme, delivery: &Delivery, approved: bool) -> ChipDecision {
    let profile = ChipProfile::of(programme.scheme);
    let csu = Csu {
        pin_try_counter: delivery.csu.map(|_| programme.script_rules().csu_tries),
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

/// The commands of the script, in their order.
fn commands(delivery: &Delivery) -> &'static [ScriptOrder] {
    match delivery.script.map(|sent| sent.kind) {
        Some(ScriptKind::ChangePin) => &[ScriptOrder::ChangePin],
        Some(ScriptKind::ChangeKnownPin) => &[ScriptOrder::ChangeKnownPin],
        Some(ScriptKind::UnblockPin) => &[ScriptOrder::UnblockPin],
        Some(ScriptKind::UnblockAndChangePin) => &[ScriptOrder::UnblockPin, ScriptOrder::ChangePin],
        Some(ScriptKind::UnblockByCsu) | None => &[],
    }
}

impl ForChip {
    /// Tag 91 and, where there are commands, the script's template; for each decision. Refuses what has not as many parts
    /// as were ordered: an attempt is on record as sent only when all of it went out.
    pub(super) fn read(made: ChipAnswer, case: &Case<'_>, judgement: &Judgement) -> Result<Self, HsmFault> {
        let ordered = judgement.delivery.as_ref().map_or(&[][..], commands);
        let commands = one_each(made.commands, ordered.len(), HsmFault::NoAnswer)?;
        let decisions = told(case, judgement).len();
        let authentications = one_each(made.issuer_authentication_data, decisions, HsmFault::NoAnswer)?;
        let script = script(commands, case.card.programme.script_rules().template);
        let mut each = authentications.iter().map(|authentication| {
            let mut bytes = Vec::with_capacity(2 + authentication.len() + script.len());
            emv::tlv::put(&mut bytes, TAG_91_ISSUER_AUTHENTICATION_DATA, authentication);
            bytes.extend_from_slice(&script);
            bytes
        });
        Ok(Self {
            chip: each.next().expect("every answer tells a decision"),
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
