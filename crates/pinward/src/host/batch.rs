//! All requests that one read brought, decided together and answered in order.

use std::ops::Range;

use iso8583::build::MessageBuilder;
use iso8583::framing::{FrameReader, Framing};
use iso8583::message::Message;
use iso8583::mti::{
    MTI_0100_AUTHORISATION_REQUEST, MTI_0200_FINANCIAL_REQUEST, MTI_0400_REVERSAL_REQUEST,
    MTI_0420_REVERSAL_ADVICE, MTI_0800_NETWORK_REQUEST,
};
use iso8583::response_code::{
    RESPONSE_00_APPROVED, RESPONSE_12_INVALID_TRANSACTION, RESPONSE_96_SYSTEM_MALFUNCTION,
};
use issuer::authorise::{AuthorisationAnswer, AuthorisationRequest, authorise};
use issuer::reverse::{Reversal, reverse};

use super::request::NotARequest;
use super::{CloseReason, HostLink, answer, request};

/// Network management codes (DE70) that are answered: sign-on, sign-off, echo.
const NETWORK_CODES: [&[u8]; 3] = [b"001", b"002", b"301"];

/// Buffers of one connection, kept between batches.
pub(super) struct Batch<'l> {
    link: &'l HostLink,
    frames: Vec<u8>,
    ranges: Vec<Range<usize>>,
    answers: Vec<u8>,
}

/// What a message asks.
enum Asked {
    Authorisation(AuthorisationRequest),
    Reversal(Box<Reversal>),
    /// Answered at once with this code.
    Nothing([u8; 2]),
}

/// What was decided about it.
enum Decided {
    Authorisation(AuthorisationAnswer),
    Code([u8; 2]),
}

impl<'l> Batch<'l> {
    pub(super) fn new(link: &'l HostLink) -> Self {
        Self {
            link,
            frames: Vec::new(),
            ranges: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Takes every whole frame. Answers why the connection must end after those are answered, if it must.
    pub(super) fn gather(&mut self, reader: &mut FrameReader) -> Option<CloseReason> {
        self.frames.clear();
        self.ranges.clear();
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    let begin = self.frames.len();
                    self.frames.extend_from_slice(frame);
                    self.ranges.push(begin..self.frames.len());
                }
                Ok(None) => return None,
                Err(_) => return Some(CloseReason::BadFrame),
            }
        }
    }

    /// Whether no whole frame was gathered.
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Decides what was gathered, in order, up to the first frame that is no request, and gives the bytes to send. After
    /// such a frame the connection must end.
    pub(super) async fn answer(&mut self) -> (&[u8], Option<CloseReason>) {
        self.answers.clear();
        let messages: Vec<Message<'_>> = self
            .ranges
            .iter()
            .map_while(|range| Message::parse(self.frames.get(range.clone())?, &self.link.dialect).ok())
            .take_while(is_request)
            .collect();
        let end = (messages.len() < self.ranges.len()).then_some(CloseReason::BadMessage);
        let asked = messages.iter().map(|message| asked(message, self.link)).collect();
        let decided = decide(asked, self.link).await;
        let mut builder = MessageBuilder::new(&self.link.dialect, MTI_0800_NETWORK_REQUEST);
        for (message, decided) in messages.iter().zip(decided) {
            write_answer(&mut builder, message, &decided, &mut self.answers);
        }
        (&self.answers, end)
    }
}

fn is_request(message: &Message<'_>) -> bool {
    message.mti().response().is_some()
}

fn asked(message: &Message<'_>, link: &HostLink) -> Asked {
    let mti = message.mti().first_sent();
    let read = if mti == MTI_0100_AUTHORISATION_REQUEST || mti == MTI_0200_FINANCIAL_REQUEST {
        request::authorisation(message, link).map(Asked::Authorisation)
    } else if mti == MTI_0400_REVERSAL_REQUEST || mti == MTI_0420_REVERSAL_ADVICE {
        request::reversal(message, link).map(|reversal| Asked::Reversal(Box::new(reversal)))
    } else if mti == MTI_0800_NETWORK_REQUEST {
        let known = message
            .field(70)
            .is_some_and(|code| NETWORK_CODES.contains(&code));
        Ok(Asked::Nothing(if known {
            RESPONSE_00_APPROVED
        } else {
            RESPONSE_12_INVALID_TRANSACTION
        }))
    } else {
        Ok(Asked::Nothing(RESPONSE_12_INVALID_TRANSACTION))
    };
    read.unwrap_or_else(|NotARequest(code)| Asked::Nothing(code))
}

/// Runs of authorisations are decided together; a reversal waits for those before it and goes before those after.
async fn decide(asked: Vec<Asked>, link: &HostLink) -> Vec<Decided> {
    let mut decided = Vec::with_capacity(asked.len());
    let mut run = Vec::new();
    let mut places = Vec::new();
    for each in asked {
        match each {
            Asked::Authorisation(request) => {
                run.push(request);
                places.push(decided.len());
                decided.push(Decided::Code(RESPONSE_96_SYSTEM_MALFUNCTION));
            }
            Asked::Reversal(reversal) => {
                finish_run(&mut run, &mut places, &mut decided, link).await;
                decided.push(Decided::Code(take_back(&reversal, link).await));
            }
            Asked::Nothing(code) => decided.push(Decided::Code(code)),
        }
    }
    finish_run(&mut run, &mut places, &mut decided, link).await;
    decided
}

async fn finish_run(
    run: &mut Vec<AuthorisationRequest>,
    places: &mut Vec<usize>,
    decided: &mut [Decided],
    link: &HostLink,
) {
    if run.is_empty() {
        return;
    }
    let mut put = |place: usize, what| {
        *decided
            .get_mut(place)
            .expect("places were handed out in this batch") = what;
    };
    match authorise(&link.desk, run, (link.clock)()).await {
        Ok(answers) => {
            for (place, answer) in places.iter().zip(answers) {
                put(*place, Decided::Authorisation(answer));
            }
        }
        Err(fault) => {
            tracing::error!(%fault, link = &*link.name, requests = run.len(), "requests can't be decided");
            for place in places.iter() {
                put(*place, Decided::Code(answer::fault_code(&fault)));
            }
        }
    }
    run.clear();
    places.clear();
}

async fn take_back(reversal: &Reversal, link: &HostLink) -> [u8; 2] {
    match reverse(&link.desk, reversal, (link.clock)()).await {
        Ok(outcome) => answer::reversal_code(outcome),
        Err(fault) => {
            tracing::error!(%fault, link = &*link.name, "a reversal can't be taken");
            answer::fault_code(&fault)
        }
    }
}

fn write_answer(
    builder: &mut MessageBuilder<'_>,
    request: &Message<'_>,
    decided: &Decided,
    out: &mut Vec<u8>,
) {
    builder.reset(request.mti().response().expect("only requests were gathered"));
    let built = match decided {
        Decided::Authorisation(answer) => answer::authorisation(builder, request, answer),
        Decided::Code(code) => answer::plain(builder, request, *code),
    };
    built.expect("echoed fields fit the dialect that they were read in, and ours are made for it");
    Framing::Binary2
        .append(out, |out| builder.write_to(out))
        .expect("an answer is far below the longest message");
}
