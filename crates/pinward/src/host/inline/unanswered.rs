//! What the network is told, and the upstream owed, when the upstream doesn't answer or can't be asked.

use std::sync::atomic::Ordering;

use iso8583::build::MessageBuilder;
use iso8583::message::Message;
use iso8583::mti::{Class, Function, MTI_0810_NETWORK_RESPONSE, Mti};
use iso8583::response_code::{
    RESPONSE_30_FORMAT_ERROR, RESPONSE_91_ISSUER_INOPERATIVE, RESPONSE_94_DUPLICATE,
};
use issuer::authorise::AuthorisationAnswer;
use tokio::time::Instant;

use super::flights::Flown;
use super::owed::Owed;
use super::stand_in::{self, StandIn};
use super::{Inline, NotPassed, Passed, read_again};
use crate::host::answers::Answers;
use crate::host::{HostLink, answer};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Not answered in time.
    Late,
    /// Its connection was lost.
    Lost,
    /// Its answer can't be passed on.
    Unusable,
}

impl Inline {
    /// Ends what the upstream left unanswered: an answer to the network, a reversal to the upstream.
    pub(super) async fn give_up(
        &self,
        link: &HostLink,
        flown: Vec<Flown>,
        why: Unanswered,
        answers: &mut Answers,
    ) {
        if flown.is_empty() {
            answers.send(link, None).await;
            return;
        }
        let mut builder = MessageBuilder::new(&link.dialect, MTI_0810_NETWORK_RESPONSE);
        let (mut network, mut own) = (0_u64, 0_u64);
        for flown in flown {
            match flown {
                Flown::Network(passed) => {
                    network += 1;
                    self.answer_instead(link, passed, &mut builder, answers);
                }
                Flown::Own(message) => {
                    own += 1;
                    self.ledger().try_again(message, Instant::now());
                }
            }
        }
        let counter = match why {
            Unanswered::Late => &self.counts.late,
            Unanswered::Lost => &self.counts.lost,
            Unanswered::Unusable => &self.counts.unusable,
        };
        let so_far = counter.fetch_add(network, Ordering::Relaxed) + network;
        tracing::warn!(
            link = &*link.name,
            ?why,
            requests = network,
            own,
            so_far,
            "the upstream left requests unanswered"
        );
        answers.send(link, None).await;
    }

    /// Answers what was not passed on: nothing has to be taken back.
    pub(super) fn answer_unpassed(
        &self,
        link: &HostLink,
        why: NotPassed,
        passed: Passed,
        answers: &mut Answers,
    ) {
        if matches!(why, NotPassed::Down | NotPassed::Full | NotPassed::OwedFull) {
            let so_far = self.counts.refused.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(link = &*link.name, ?why, so_far, "a request is not passed on");
        }
        let (approves, code) = match why {
            NotPassed::Down | NotPassed::Full => (passed.stands_in, RESPONSE_91_ISSUER_INOPERATIVE),
            NotPassed::GivenUp { stood_in } => (stood_in, RESPONSE_91_ISSUER_INOPERATIVE),
            NotPassed::OwedFull => (false, RESPONSE_91_ISSUER_INOPERATIVE),
            NotPassed::Unfit => (false, RESPONSE_30_FORMAT_ERROR),
            NotPassed::Differs => (false, RESPONSE_94_DUPLICATE),
        };
        let mut builder = MessageBuilder::new(&link.dialect, MTI_0810_NETWORK_RESPONSE);
        let request = read_again(&passed.frame, link);
        match stand_in::approval(&passed).filter(|_| approves) {
            Some(approved) => {
                approve(link, &request, &approved, &mut builder);
                // Of what was given up the upstream is told already.
                if !matches!(why, NotPassed::GivenUp { .. }) {
                    self.tell_stand_in(link, &request, &approved, answers);
                }
            }
            None => decline(link, &request, &passed, code, &mut builder),
        }
        answers.add(Some(passed.to), link, &mut builder);
    }

    /// Answers what was passed on and never answered. The upstream may have approved it: it is told what holds.
    fn answer_instead(
        &self,
        link: &HostLink,
        passed: Passed,
        builder: &mut MessageBuilder<'_>,
        answers: &mut Answers,
    ) {
        let request = read_again(&passed.frame, link);
        if let Some(approved) = stand_in::approval(&passed).filter(|_| passed.stands_in) {
            approve(link, &request, &approved, builder);
            if !passed.repeats {
                self.tell_stand_in(link, &request, &approved, answers);
            }
        } else {
            decline(link, &request, &passed, RESPONSE_91_ISSUER_INOPERATIVE, builder);
            let is_request = matches!(request.mti().class(), Class::Authorisation | Class::Financial)
                && request.mti().function() == Function::Request;
            if is_request && !passed.repeats {
                self.owe_reversal(link, &request, answers);
            }
        }
        answers.add(Some(passed.to), link, builder);
    }

    /// An approval in the upstream's stead: a line in the journal, and an advice.
    fn tell_stand_in(
        &self,
        link: &HostLink,
        request: &Message<'_>,
        approved: &AuthorisationAnswer,
        answers: &mut Answers,
    ) {
        answers.stand_in(StandIn::approved(request, approved));
        self.owe_advice(link, request, approved, answers);
    }

    /// Tells the upstream by an advice what the desk declined, where it wants to know.
    pub(in crate::host) fn tell_decline(
        &self,
        link: &HostLink,
        message: &Message<'_>,
        decided: &AuthorisationAnswer,
        answers: &mut Answers,
    ) {
        if !self.settings.tell_declines || message.mti().function() != Function::Request {
            return;
        }
        if self.room_for_debts() == 0 {
            let so_far = self.counts.untold.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(
                link = &*link.name,
                so_far,
                "no room to tell the upstream of a decline"
            );
            return;
        }
        self.owe_advice(link, message, decided, answers);
    }

    pub(super) fn owe_reversal(&self, link: &HostLink, request: &Message<'_>, answers: &mut Answers) {
        owe(Owed::reversal(request, link, &self.settings), link, answers);
    }

    fn owe_advice(
        &self,
        link: &HostLink,
        request: &Message<'_>,
        decided: &AuthorisationAnswer,
        answers: &mut Answers,
    ) {
        let code = link.decision_code(request, decided.decision);
        owe(
            Owed::advice(request, decided, code, link, &self.settings),
            link,
            answers,
        );
    }
}

fn owe(owed: Option<Owed>, link: &HostLink, answers: &mut Answers) {
    match owed {
        Some(owed) => answers.owe(owed),
        None => tracing::error!(
            link = &*link.name,
            "a message to the upstream doesn't fit its dialect: it won't be told"
        ),
    }
}

const FITS: &str = "echoed fields fit the dialect that they were read in, and ours are made for it";

fn approve(
    link: &HostLink,
    request: &Message<'_>,
    decided: &AuthorisationAnswer,
    builder: &mut MessageBuilder<'_>,
) {
    builder.reset(answer_type(request));
    answer::authorisation(builder, link, request, decided).expect(FITS);
}

fn decline(
    link: &HostLink,
    request: &Message<'_>,
    passed: &Passed,
    code: [u8; 2],
    builder: &mut MessageBuilder<'_>,
) {
    builder.reset(answer_type(request));
    let code = link.code_of(request, &code);
    match &passed.decided {
        Some(decided) => answer::declined_later(builder, request, code, decided),
        None => answer::plain(builder, request, code),
    }
    .expect(FITS);
}

fn answer_type(request: &Message<'_>) -> Mti {
    request.mti().response().expect("only requests are passed on")
}
