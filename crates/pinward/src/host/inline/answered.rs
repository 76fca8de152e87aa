//! What the upstream answers: to the network, or too late.

use std::sync::atomic::Ordering;

use iso8583::build::MessageBuilder;
use iso8583::message::Message;
use iso8583::mti::MTI_0810_NETWORK_RESPONSE;
use tokio::time::Instant;

use super::flights::{ExchangeKey, Flown};
use super::stand_in::StandIn;
use super::unanswered::Unanswered;
use super::{Inline, dual_run, pass_on, read_again};
use crate::host::HostLink;
use crate::host::answers::Answers;

impl Inline {
    /// Answers of the upstream that one read brought.
    pub(super) async fn take_answers<'m>(
        &self,
        link: &HostLink,
        messages: impl Iterator<Item = &'m Message<'m>>,
        answers: &mut Answers,
    ) {
        let mut unusable = Vec::new();
        let mut judged_twice = Vec::new();
        let mut settled = false;
        let mut builder = MessageBuilder::new(&link.dialect, MTI_0810_NETWORK_RESPONSE);
        for message in messages {
            let key = ExchangeKey::of(message);
            let landed = key.and_then(|key| Some((key, self.flights().land(key)?)));
            let Some((key, flown)) = landed else {
                self.after_the_end(link, message, answers);
                continue;
            };
            for flown in flown {
                let mut passed = match flown {
                    Flown::Network(passed) => passed,
                    Flown::Own(debt) => {
                        self.ledger().settle(&debt);
                        settled = true;
                        continue;
                    }
                };
                let request = read_again(&passed.frame, link);
                match pass_on::answer(&mut builder, &request, message, &passed, link, &self.settings) {
                    Ok(()) => {
                        if self.settings.dual_run {
                            judged_twice.extend(dual_run::judged(
                                &request,
                                message,
                                &passed,
                                &self.settings.dialect,
                            ));
                        }
                        answers.add(Some(passed.to), link, &mut builder);
                    }
                    Err(error) => {
                        tracing::warn!(link = &*link.name, %error, "the upstream's answer can't be passed on");
                        passed.stands_in &= !pass_on::declines(message, &self.settings.dialect);
                        self.flights().give_up(key, &passed);
                        unusable.push(passed);
                    }
                }
            }
        }
        if settled {
            self.send_owed(link, Instant::now());
        }
        dual_run::record(judged_twice, link).await;
        if unusable.is_empty() {
            answers.send(link, None).await;
        } else {
            let unusable = unusable.into_iter().map(Flown::Network).collect();
            self.give_up(link, unusable, Unanswered::Unusable, answers).await;
        }
    }

    /// An answer that nobody waits for any more. The first that approves is taken back, but not where the network was told of an
    /// approval: that stands, whatever the upstream says, which has its advice.
    fn after_the_end(&self, link: &HostLink, message: &Message<'_>, answers: &mut Answers) {
        let approved = pass_on::approves(message, &self.settings.dialect);
        let mut flights = self.flights();
        let given_up = ExchangeKey::of(message).and_then(|key| flights.given_up(key));
        let Some(given_up) = given_up else {
            let so_far = self.counts.unmatched.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::debug!(so_far, "an answer of the upstream that nobody waits for");
            return;
        };
        let so_far = self.counts.late_answers.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(approved, so_far, "the upstream answered too late");
        let stood_in = given_up.stood_in;
        let Some(frame) = given_up.frame.take_if(|_| approved || stood_in) else {
            return;
        };
        drop(flights);
        let request = read_again(&frame, link);
        if stood_in {
            answers.stand_in(StandIn::answered_late(&request, message, approved));
        } else {
            self.owe_reversal(link, &request, answers);
        }
    }
}
