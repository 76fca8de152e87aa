//! All messages that one read brought, decided together and answered in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use iso8583::build::MessageBuilder;
use iso8583::dialect::NetworkAct;
use iso8583::message::Message;
use iso8583::mti::{Class, Function, MTI_0800_NETWORK_REQUEST};
use iso8583::response_code::{
    RESPONSE_00_APPROVED, RESPONSE_91_ISSUER_INOPERATIVE, RESPONSE_96_SYSTEM_MALFUNCTION,
};
use issuer::authorise::{AuthorisationAnswer, AuthorisationRequest, Decision, authorise};
use issuer::reverse::{Reversal, ReversalOutcome, reverse};
use store::AuditEvent;

use super::answers::Answers;
use super::conversation::Listener;
use super::frames::Frames;
use super::inline::Inline;
use super::network::{self, KeyChange, Management};
use super::outgoing::Outgoing;
use super::refused::Refused;
use super::{CloseReason, HostLink, answer, dial, mac, request};

/// Messages that are malformed, or without a right MAC, answered on one connection before it is closed: each is a line in
/// the journal.
const UNREADABLE_MAX: u32 = 100;

/// Answers one connection.
pub(super) struct Batch<'l> {
    link: &'l HostLink,
    /// The peer has signed this connection off, on a link without MACs.
    signed_off: AtomicBool,
    unreadable: u32,
    outgoing: Arc<Outgoing>,
    answers: Answers,
    journal: Vec<AuditEvent>,
}

/// What a message asks.
#[expect(clippy::large_enum_variant, reason = "nearly all are of the largest")]
enum Asked {
    Authorisation(AuthorisationRequest),
    Reversal(Box<Reversal>),
    KeyChange(KeyChange),
    /// Network management that is done.
    Done,
    /// Not for the desk: the issuer's own host decides.
    NotJudged,
    Refused(Refused),
}

/// What was decided about it.
enum Decided {
    /// With whether money moves, which is the issuer's own host's to decide on an inline link.
    Authorisation(AuthorisationAnswer, bool),
    Reversal(ReversalOutcome),
    /// A new key's check value.
    KeyChanged(String),
    Done,
    NotJudged,
    Refused(Refused),
    Fault([u8; 2]),
}

impl<'l> Batch<'l> {
    pub(super) fn new(link: &'l HostLink, outgoing: Arc<Outgoing>) -> Self {
        Self {
            link,
            signed_off: AtomicBool::new(false),
            unreadable: 0,
            outgoing,
            answers: Answers::default(),
            journal: Vec::new(),
        }
    }
}

impl Listener for Batch<'_> {
    /// Answers what came, in order, up to the first frame that is no request. After such a frame the connection must end.
    async fn hear(&mut self, frames: &Frames) -> Option<CloseReason> {
        let mut messages = Vec::with_capacity(frames.len());
        let mut faults = Vec::with_capacity(frames.len());
        let mut end = None;
        for frame in frames.iter() {
            match Message::parse_readable(frame, &self.link.dialect) {
                Ok((message, fault)) if message.mti().response().is_some() => {
                    self.unreadable += u32::from(fault.is_some());
                    messages.push(message);
                    faults.push(fault.map(Refused::Unreadable));
                    if self.unreadable > UNREADABLE_MAX {
                        end = Some(CloseReason::BadMessage);
                    }
                }
                Ok((message, None)) if self.link.sign_on && is_network_answer(&message) => {
                    end = self.hear_sign_on(&message).await;
                }
                Ok(_) => end = Some(CloseReason::BadMessage),
                Err(error) => {
                    tracing::warn!(link = &*self.link.name, %error, "a frame that is no message");
                    end = Some(CloseReason::BadMessage);
                }
            }
            if end.is_some() {
                break;
            }
        }
        // What follows a new key may be under it already.
        let (mut messages, mut faults) = (&messages[..], &faults[..]);
        while !messages.is_empty() {
            let brings_key = |message| self.link.dialect.network_act(message) == Some(NetworkAct::KeyChange);
            let until = messages
                .iter()
                .position(brings_key)
                .map_or(messages.len(), |at| at + 1);
            let (now, later) = messages.split_at(until);
            let (faults_now, faults_later) = faults.split_at(until);
            self.answer(now, faults_now).await;
            (messages, faults) = (later, faults_later);
        }
        end.or((self.unreadable > UNREADABLE_MAX).then_some(CloseReason::BadMessage))
    }
}

/// What the desk makes of a request that the upstream decides in any case. A PIN service is the upstream's alone: what it
/// declines must not be done here.
fn judged_beside(message: &Message<'_>, link: &HostLink) -> Asked {
    request::transaction(message, link)
        .ok()
        .filter(|transaction| !transaction.is_pin_service())
        .and_then(|transaction| request::authorisation(message, transaction, link).ok())
        .map_or(Asked::NotJudged, Asked::Authorisation)
}

fn is_network_answer(message: &Message<'_>) -> bool {
    message.mti().class() == Class::NetworkManagement && message.mti().function() == Function::Response
}

impl Batch<'_> {
    /// The network's answer to our sign-on: agreed to only under a right MAC, where the link has them.
    async fn hear_sign_on(&mut self, answer: &Message<'_>) -> Option<CloseReason> {
        let checked = mac::check(std::slice::from_ref(answer), self.link).await;
        let Some(refused) = checked.into_iter().flatten().next() else {
            return dial::hear_sign_on(self.link, answer);
        };
        let line = refused.on_record(answer, self.link, (self.link.clock)());
        self.link.state.strangers.write(line, &mut self.journal);
        self.record(&[], &[]).await;
        Some(CloseReason::SignOnRefused)
    }

    fn is_signed_off(&self) -> bool {
        self.link.is_signed_off() || self.signed_off.load(Ordering::Relaxed)
    }

    async fn answer(&mut self, messages: &[Message<'_>], faults: &[Option<Refused>]) {
        let mut asked = Vec::with_capacity(messages.len());
        let macs = mac::check(messages, self.link).await;
        let forged = |mac: &&Option<Refused>| matches!(mac, Some(Refused::MacMissing | Refused::MacWrong));
        let forged = macs.iter().filter(forged).count();
        self.unreadable = self
            .unreadable
            .saturating_add(forged.try_into().unwrap_or(u32::MAX));
        for ((message, fault), mac) in messages.iter().zip(faults).zip(macs) {
            asked.push(match fault.or(mac) {
                Some(refused) => Asked::Refused(refused),
                None => self.asked(message).unwrap_or_else(Asked::Refused),
            });
        }
        let decided = self.decide(asked).await;
        let recorded = self.record(messages, &decided).await;
        let mut builder = MessageBuilder::new(&self.link.dialect, MTI_0800_NETWORK_REQUEST);
        for (message, decided) in messages.iter().zip(decided) {
            let decided = match decided {
                Decided::Refused(_)
                | Decided::KeyChanged(_)
                | Decided::Done
                | Decided::Authorisation(
                    AuthorisationAnswer {
                        decision: Decision::UnknownCard,
                        ..
                    },
                    _,
                ) if !recorded => Decided::Fault(RESPONSE_96_SYSTEM_MALFUNCTION),
                decided => decided,
            };
            self.write_answer(&mut builder, message, decided);
        }
        self.answers.send(self.link, Some(&self.outgoing)).await;
    }

    fn asked(&mut self, message: &Message<'_>) -> Result<Asked, Refused> {
        let link = self.link;
        let mti = message.mti();
        match (mti.class(), mti.function()) {
            (Class::NetworkManagement, Function::Request) => {
                let now = (link.clock)();
                Ok(
                    match network::manage(message, link, &self.signed_off, now, &mut self.journal)? {
                        Management::Done => Asked::Done,
                        Management::KeyChange(change) => Asked::KeyChange(change),
                    },
                )
            }
            (Class::Authorisation | Class::Financial, function) => {
                if self.is_signed_off() && function == Function::Request {
                    return Err(Refused::SignedOff);
                }
                if link.is_dual_run() {
                    return Ok(judged_beside(message, link));
                }
                let transaction = request::transaction(message, link)?;
                request::authorisation(message, transaction, link).map(Asked::Authorisation)
            }
            (Class::Reversal, _) => {
                request::reversal(message, link).map(|reversal| Asked::Reversal(Box::new(reversal)))
            }
            (
                Class::FileAction
                | Class::Reconciliation
                | Class::Administrative
                | Class::FeeCollection
                | Class::NetworkManagement,
                _,
            ) => match link.inline {
                Some(_) if mti.class() != Class::NetworkManagement => Ok(Asked::NotJudged),
                Some(_) | None => Err(Refused::NotServed),
            },
        }
    }

    /// Runs of authorisations are decided together; a reversal waits for those before it and goes before those after.
    async fn decide(&mut self, asked: Vec<Asked>) -> Vec<Decided> {
        let mut decided = Vec::with_capacity(asked.len());
        let mut run = Vec::new();
        let mut places = Vec::new();
        for each in asked {
            match each {
                Asked::Authorisation(request) => {
                    run.push(request);
                    places.push(decided.len());
                    decided.push(Decided::Fault(RESPONSE_96_SYSTEM_MALFUNCTION));
                }
                Asked::Reversal(reversal) => {
                    finish_run(&mut run, &mut places, &mut decided, self.link, &mut self.journal).await;
                    decided.push(take_back(&reversal, self.link).await);
                }
                Asked::KeyChange(change) => {
                    finish_run(&mut run, &mut places, &mut decided, self.link, &mut self.journal).await;
                    decided.push(self.change_key(change).await);
                }
                Asked::Done => decided.push(Decided::Done),
                Asked::NotJudged => decided.push(Decided::NotJudged),
                Asked::Refused(refused) => decided.push(Decided::Refused(refused)),
            }
        }
        finish_run(&mut run, &mut places, &mut decided, self.link, &mut self.journal).await;
        decided
    }

    async fn change_key(&mut self, change: KeyChange) -> Decided {
        let now = (self.link.clock)();
        match network::change_key(change, self.link, now, &mut self.journal).await {
            Ok(Ok(check_value)) => Decided::KeyChanged(check_value),
            Ok(Err(refused)) => Decided::Refused(refused),
            Err(fault) => {
                tracing::error!(%fault, link = &*self.link.name, "a key can't be changed");
                Decided::Fault(answer::fault_code(&fault))
            }
        }
    }

    /// Puts refusals and network management on record. Whether that is durable.
    async fn record(&mut self, messages: &[Message<'_>], decided: &[Decided]) -> bool {
        let now = (self.link.clock)();
        let strangers = &self.link.state.strangers;
        for (message, decided) in messages.iter().zip(decided) {
            if let Decided::Refused(refused) = decided {
                strangers.write(refused.on_record(message, self.link, now), &mut self.journal);
            }
        }
        if self.journal.is_empty() {
            return true;
        }
        let recorded = self
            .link
            .desk
            .store
            .append_audit(std::mem::take(&mut self.journal))
            .await;
        if let Err(fault) = &recorded {
            tracing::error!(%fault, link = &*self.link.name, "refusals can't be put on record");
        }
        recorded.is_ok()
    }

    fn write_answer(&mut self, builder: &mut MessageBuilder<'_>, message: &Message<'_>, decided: Decided) {
        let link = self.link;
        let decided = match &link.inline {
            Some(inline) => self.pass_on(inline, message, decided),
            None => Some(decided),
        };
        let Some(decided) = decided else {
            return;
        };
        builder.reset(message.mti().response().expect("only requests are answered"));
        let built = match &decided {
            Decided::Authorisation(answer, _) => answer::authorisation(builder, link, message, answer),
            Decided::Reversal(outcome) => answer::plain(
                builder,
                message,
                link.code_of(message, &answer::reversal_code(*outcome)),
            ),
            Decided::KeyChanged(check_value) => network::key_changed(builder, link, message, check_value),
            Decided::Done => answer::plain(builder, message, link.code_of(message, &RESPONSE_00_APPROVED)),
            Decided::NotJudged => answer::plain(
                builder,
                message,
                link.code_of(message, &RESPONSE_91_ISSUER_INOPERATIVE),
            ),
            Decided::Refused(refused) => {
                answer::plain(builder, message, link.code_of(message, &refused.code()))
            }
            Decided::Fault(code) => answer::plain(builder, message, link.code_of(message, code)),
        };
        built.expect("echoed fields fit the dialect that they were read in, and ours are made for it");
        self.answers.add(None, link, builder);
    }

    /// Passes on what the issuer's own host decides. `Some`: what it doesn't, to be answered here.
    fn pass_on(&mut self, inline: &Inline, message: &Message<'_>, decided: Decided) -> Option<Decided> {
        let judged = match decided {
            Decided::Authorisation(answer, moves_money) if inline.decides(answer.decision, moves_money) => {
                Some(answer)
            }
            Decided::Authorisation(answer, moves_money) => {
                if moves_money {
                    inline.tell_decline(self.link, message, &answer, &mut self.answers);
                }
                return Some(Decided::Authorisation(answer, moves_money));
            }
            Decided::Reversal(ReversalOutcome::UnknownCard)
                if inline.decides(Decision::UnknownCard, true) =>
            {
                Some(AuthorisationAnswer::declined(Decision::UnknownCard))
            }
            Decided::Reversal(ReversalOutcome::Accepted) | Decided::NotJudged => None,
            decided @ (Decided::Reversal(_)
            | Decided::KeyChanged(_)
            | Decided::Done
            | Decided::Refused(_)
            | Decided::Fault(_)) => return Some(decided),
        };
        inline.pass_on(self.link, message, judged, &self.outgoing, &mut self.answers);
        None
    }
}

async fn finish_run(
    run: &mut Vec<AuthorisationRequest>,
    places: &mut Vec<usize>,
    decided: &mut [Decided],
    link: &HostLink,
    journal: &mut Vec<AuditEvent>,
) {
    if run.is_empty() {
        return;
    }
    let mut put = |place: usize, what| {
        *decided
            .get_mut(place)
            .expect("places were handed out in this batch") = what;
    };
    let now = (link.clock)();
    match authorise(&link.desk, run, now).await {
        Ok(answers) => {
            for ((place, request), answer) in places.iter().zip(run.iter()).zip(answers) {
                let moves_money = !request.transaction.is_pin_service();
                let inline = link.inline.as_ref();
                let goes_on = inline.is_some_and(|inline| inline.decides(answer.decision, moves_money));
                if answer.decision == Decision::UnknownCard && !goes_on {
                    link.state.strangers.write(request.of_unknown_card(now), journal);
                }
                put(*place, Decided::Authorisation(answer, moves_money));
            }
        }
        Err(fault) => {
            tracing::error!(%fault, link = &*link.name, requests = run.len(), "requests can't be decided");
            for place in places.iter() {
                put(*place, Decided::Fault(answer::fault_code(&fault)));
            }
        }
    }
    run.clear();
    places.clear();
}

async fn take_back(reversal: &Reversal, link: &HostLink) -> Decided {
    match reverse(&link.desk, reversal, (link.clock)()).await {
        Ok(outcome) => Decided::Reversal(outcome),
        Err(fault) => {
            tracing::error!(%fault, link = &*link.name, "a reversal can't be taken");
            Decided::Fault(answer::fault_code(&fault))
        }
    }
}
