//! Answers in the making: what the HSM makes for chip and card once a request is judged, and what becomes of an answer
//! for which it doesn't (`docs/adr/0012-scripts-not-made.md`).

use cards::{CardState, NotMade};
use hsm::{ChipAnswer, ChipAnswerRequest, HsmError, HsmFault, HsmRefusal};
use store::{CardRecord, NewState};

use super::Case;
use super::chip_answer::{self, ForChip};
use super::judge::Judgement;
use crate::counted::one_each;
use crate::{Desk, Fault};

/// A judged request on its way to a commit.
pub(super) struct Draft<'c, 'a> {
    pub(super) case: &'c Case<'a>,
    pub(super) judgement: Judgement,
    /// The card's next state with its MAC; `None` where the card stays as it is.
    pub(super) new_state: Option<NewState>,
    /// What the chip gets. An error is left only where the HSM doubts the card's record or the database.
    pub(super) for_chip: Option<Result<ForChip, HsmError>>,
}

/// Has the HSM make what the answers need.
///
/// A missing MAC of a next state fails the whole batch: without it a charge would be lost. A missing script or missing
/// issuer authentication data cost no decision, which rests on neither.
pub(super) async fn complete<'c, 'a>(
    desk: &Desk,
    judged: Vec<(&'c Case<'a>, Judgement)>,
) -> Result<Vec<Draft<'c, 'a>>, Fault> {
    let mut drafts: Vec<Draft<'c, 'a>> = judged
        .into_iter()
        .map(|(case, judgement)| Draft {
            case,
            judgement,
            new_state: None,
            for_chip: None,
        })
        .collect();
    let present_pins = drafts.iter().map(|draft| draft.order(false)).collect();
    let states = drafts.iter().map(Draft::moved_card).collect();
    let (made, sealed) = tokio::join!(answer_chips(desk, present_pins), seal(desk, states));
    let sealed = sealed?;
    for ((draft, made), new_state) in drafts.iter_mut().zip(made).zip(sealed) {
        draft.take(made);
        draft.new_state = new_state;
    }
    // These are made from the card's next state, so that has its MAC by now.
    let new_pins = drafts.iter().map(|draft| draft.order(true)).collect();
    for (draft, made) in drafts.iter_mut().zip(answer_chips(desk, new_pins).await) {
        draft.take(made);
    }
    go_on_without(desk, &mut drafts).await?;
    Ok(drafts)
}

/// Takes back what the HSM didn't make: first the script, and where the rest is refused too, all that was for the chip.
async fn go_on_without(desk: &Desk, drafts: &mut [Draft<'_, '_>]) -> Result<(), Fault> {
    let mut lacking: Vec<&mut Draft<'_, '_>> = drafts
        .iter_mut()
        .filter(|draft| draft.not_made().is_some())
        .collect();
    let again = lacking.iter_mut().map(|draft| draft.without_script()).collect();
    for (draft, made) in lacking.iter_mut().zip(answer_chips(desk, again).await) {
        draft.take(made);
        draft.without_authentication();
    }
    let states = lacking.iter().map(|draft| draft.moved_card()).collect();
    let sealed = seal(desk, states).await?;
    for (draft, new_state) in lacking.into_iter().zip(sealed) {
        draft.new_state = new_state;
    }
    Ok(())
}

impl Draft<'_, '_> {
    /// What to make for the chip: of the answers that carry a PIN set by this very transaction, or of the others.
    fn order(&self, with_new_pin: bool) -> Option<ChipAnswerRequest> {
        let order = chip_answer::order(self.case, &self.judgement, self.new_state.as_ref());
        order.filter(|_| self.judgement.sets_pin() == with_new_pin)
    }

    fn take(&mut self, made: Option<Result<ChipAnswer, HsmError>>) {
        if let Some(made) = made {
            let read = |made| ForChip::read(made, self.case, &self.judgement).map_err(HsmError::Fault);
            self.for_chip = Some(made.and_then(read));
        }
    }

    /// The card with its next state, where anything of it changes.
    fn moved_card(&self) -> Option<(&CardRecord, &CardState)> {
        Some((&self.case.card.record, self.judgement.next.as_ref()?))
    }

    /// Why the HSM made nothing for the chip. Doubt about the card's record, or about the database, isn't among it: nothing
    /// is answered then (I10).
    fn not_made(&self) -> Option<NotMade> {
        match self.for_chip.as_ref()?.as_ref().err()? {
            HsmError::Refused(HsmRefusal::CardTampered) => None,
            HsmError::Refused(HsmRefusal::NoSuchKey) => Some(NotMade::KeyMissing),
            HsmError::Refused(HsmRefusal::Unsupported) => Some(NotMade::Unsupported),
            HsmError::Refused(_) => Some(NotMade::Refused),
            HsmError::Fault(HsmFault::NoAnswer(_)) => Some(NotMade::NoAnswer),
            HsmError::Fault(HsmFault::History(_)) => None,
        }
    }

    /// Takes the script back, if there is one. What to ask the HSM for then: nothing, where it gave no answer at all.
    fn without_script(&mut self) -> Option<ChipAnswerRequest> {
        let why = self.not_made()?;
        self.tell("no answer for the chip was made as ordered");
        let withheld = self.judgement.withhold_script(self.case, why);
        if !withheld || why == NotMade::NoAnswer {
            return None;
        }
        chip_answer::order(self.case, &self.judgement, None)
    }

    /// Lets the answer go out without field 55, where it still has none.
    fn without_authentication(&mut self) {
        if let Some(why) = self.not_made() {
            self.tell("the chip gets no issuer authentication data");
            self.judgement.withhold_authentication(self.case, why);
            self.for_chip = None;
        }
    }

    fn tell(&self, what: &'static str) {
        if let Some(Err(cause)) = &self.for_chip {
            let (card, link) = (self.case.card.row(), &*self.case.request.link);
            tracing::error!(%card, link, %cause, "{what}");
        }
    }
}

/// Makes the ordered answers, each in the place of its order. A call that fails as a whole fails each of them.
async fn answer_chips(
    desk: &Desk,
    orders: Vec<Option<ChipAnswerRequest>>,
) -> Vec<Option<Result<ChipAnswer, HsmError>>> {
    let places: Vec<bool> = orders.iter().map(Option::is_some).collect();
    let ordered: Vec<ChipAnswerRequest> = orders.into_iter().flatten().collect();
    if ordered.is_empty() {
        return places.iter().map(|_| None).collect();
    }
    let asked = ordered.len();
    let made = desk.hsm.answer_chip(ordered).await;
    match made.and_then(|made| one_each(made, asked, HsmFault::NoAnswer)) {
        Ok(made) => {
            let made = made.into_iter().map(|item| item.map_err(HsmError::Refused));
            in_places(&places, made)
        }
        Err(fault) => in_places(&places, std::iter::repeat_with(|| Err(fault.clone().into()))),
    }
}

/// The next states with their MACs, each in its place.
async fn seal(
    desk: &Desk,
    moved: Vec<Option<(&CardRecord, &CardState)>>,
) -> Result<Vec<Option<NewState>>, HsmFault> {
    let places: Vec<bool> = moved.iter().map(Option::is_some).collect();
    let moved: Vec<(&CardRecord, &CardState)> = moved.into_iter().flatten().collect();
    if moved.is_empty() {
        return Ok(places.iter().map(|_| None).collect());
    }
    let new_states = desk.seal_all(&moved).await?;
    Ok(in_places(&places, new_states.into_iter()))
}

fn in_places<T>(places: &[bool], mut answers: impl Iterator<Item = T>) -> Vec<Option<T>> {
    let in_place = |taken: &bool| if *taken { answers.next() } else { None };
    places.iter().map(in_place).collect()
}
