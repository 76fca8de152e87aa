//! Approvals in the stead of an issuer's own host that doesn't answer, over TCP: of what, and what becomes of them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use common::inline::{Inline, PIN, TIMEOUT_MS, pipelined};
use common::upstream::Mood;
use iso8583::mti::{
    MTI_0100_AUTHORISATION_REQUEST, MTI_0120_AUTHORISATION_ADVICE, MTI_0420_REVERSAL_ADVICE, Mti,
};
use paycrypto::pin::Pin;
use sim::acquirer::message::Message;
use sim::terminal::journey::Faults;
use sim::terminal::pos;

/// With a limit above the programme's.
const STAND_IN: &str = "connections = 1\non_late = \"stand-in\"\nstand_in_amount_max_minor = 300000";

#[tokio::test(flavor = "multi_thread")]
async fn the_desk_stands_in_up_to_its_limit_and_tells_the_host_by_an_advice() {
    let inline = Inline::with_timeout("on_late = \"stand-in\"\nstand_in_amount_max_minor = 2000").await;
    inline.upstream.set(Mood::Silent);
    assert_eq!(inline.code(&inline.cash(PIN, 1)).await, "00");
    let advice = inline
        .upstream
        .wait_for(MTI_0120_AUTHORISATION_ADVICE, b"000001")
        .await;
    assert_eq!(advice.field(39), Some(&b"00"[..]));
    assert_eq!(advice.field(52), None);
    let mut above = inline.cash(PIN, 2);
    above.put(4, *b"000000002001");
    assert_eq!(inline.code(&above).await, "91");
    inline
        .upstream
        .wait_for(MTI_0420_REVERSAL_ADVICE, b"000002")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desk_stands_in_only_where_it_checked_a_proof_and_the_programme_approves() {
    let inline = Inline::with_timeout(STAND_IN).await;
    inline.upstream.set(Mood::Silent);
    let rows = [
        (
            "e-commerce in another currency",
            ["000000", "000000002000", "810", "414"],
            None,
        ),
        ("e-commerce", ["000000", "000000002000", "810", "978"], None),
        ("fallback", ["000000", "000000002000", "801", "978"], None),
        (
            "a stripe without PIN",
            ["000000", "000000002000", "901", "978"],
            None,
        ),
        (
            "another currency",
            ["000000", "000000002000", "901", "840"],
            Some(PIN),
        ),
        (
            "above the programme's limit",
            ["000000", "000000200001", "901", "978"],
            Some(PIN),
        ),
        ("a refund", ["200000", "000000002000", "901", "978"], Some(PIN)),
        ("a balance", ["310000", "000000000000", "901", "978"], Some(PIN)),
    ];
    for (trace, (what, fields, pin)) in (1..).zip(rows) {
        assert_eq!(
            inline.code(&inline.request(trace, fields, pin)).await,
            "91",
            "{what}"
        );
        let trace = format!("{trace:06}");
        inline
            .upstream
            .wait_for(MTI_0420_REVERSAL_ADVICE, trace.as_bytes())
            .await;
    }
    assert!(inline.installation.journal("stood_in").await.is_empty());
    let at_the_limit = inline.request(20, ["090000", "000000200000", "901", "978"], Some(PIN));
    let answer = inline.ask(&at_the_limit).await;
    assert_eq!(answer.response_code().as_deref(), Some("00"));
    let lines = inline.installation.journal("stood_in").await;
    let code = std::str::from_utf8(answer.field(38).unwrap()).unwrap();
    assert_eq!(
        lines,
        [serde_json::json!({
            "trace": "000020", "amount_minor": 200_000, "currency": "978", "approval_code": code,
        })]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chip_that_proves_itself_is_stood_in_for_up_to_what_its_own_pin_is_good_for() {
    let inline = Inline::with_timeout(STAND_IN).await;
    inline.upstream.set(Mood::Silent);
    let acquirer = inline.installation.acquirer_at("network", "ascii-1987");
    let mut chip = inline.installation.chip(inline.card()).await;
    let pin = Pin::parse(PIN).unwrap();
    for (keyed, amount, code) in [
        (vec![pin.clone()], 20_000, "00"),
        (vec![], 5_000, "00"),
        (vec![], 5_001, "91"),
        (vec![pin], 200_001, "91"),
    ] {
        let bought = pos::buy(&mut chip, &keyed, amount, &acquirer, Faults::default())
            .await
            .outcome;
        assert_eq!(bought.response_code.as_deref(), Some(code), "{amount} {bought:?}");
        assert_eq!(chip.state().last_online_atc, chip.state().atc, "{amount}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_approved_in_the_hosts_stead_is_never_taken_back_whatever_the_host_says_too_late() {
    for (late, approves) in [("00", true), ("51", false)] {
        let inline = Inline::with_timeout(STAND_IN).await;
        inline.upstream.set(Mood::AnswersAfter(late, 2 * TIMEOUT_MS));
        let request = inline.cash(PIN, 1);
        let answer = inline.ask(&request).await;
        assert_eq!(answer.response_code().as_deref(), Some("00"));
        let advice = inline
            .upstream
            .wait_for(MTI_0120_AUTHORISATION_ADVICE, b"000001")
            .await;
        assert!(answer.field(38).is_some());
        assert_eq!(advice.field(38), answer.field(38));
        inline
            .installation
            .desk
            .wait_for("the upstream answered too late");
        inline.upstream.set(Mood::Answers("00"));
        // The only connection has brought what came before this answer.
        assert_eq!(inline.code(&inline.cash(PIN, 2)).await, "00");
        assert_eq!(
            inline.installation.journal("stood_in_answered").await,
            [serde_json::json!({ "trace": "000001", "approved": approves, "code": late })]
        );
        assert_eq!(inline.ask(&request).await, answer, "a repeat gets the same");
        inline.assert_not_taken_back(1);
        assert_eq!(inline.heard_of(1).len(), 2, "the request and the advice");
        assert_eq!(inline.installation.journal("stood_in").await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_network_takes_back_while_it_waits_is_not_approved_any_more() {
    let inline = Inline::with_timeout(STAND_IN).await;
    inline.upstream.set(Mood::Silent);
    let acquirer = inline.installation.acquirer_at("network", "ascii-1987");
    let request = inline.cash(PIN, 1);
    let reversal = acquirer.reversal(&request, MTI_0420_REVERSAL_ADVICE, None);
    let dialect = acquirer.dialect();
    let frames = [&request, &reversal].map(|message| message.to_frame(dialect).unwrap());
    let answers = pipelined(inline.installation.links["network"], &frames).await;
    let codes: Vec<_> = answers
        .iter()
        .map(|answer| Message::parse(answer, dialect).unwrap().response_code().unwrap())
        .collect();
    assert_eq!(codes, ["00", "91"], "the reversal's first");
    assert!(inline.installation.journal("stood_in").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_in_the_hosts_stead_outlives_a_restart() {
    let mut inline = Inline::with_timeout(STAND_IN).await;
    inline.upstream.set(Mood::Deaf);
    let request = inline.cash(PIN, 1);
    let answer = inline.ask(&request).await;
    assert_eq!(answer.response_code().as_deref(), Some("00"));
    inline.installation.kill_and_restart_desk();
    inline.installation.desk.wait_for("connected to the upstream");
    let repeated = inline
        .upstream
        .wait_for(Mti::parse(b"0121").unwrap(), b"000001")
        .await;
    assert_eq!(repeated.field(38), answer.field(38));
    assert_eq!(inline.ask(&request).await, answer);
    inline.assert_not_taken_back(1);
    let heard = inline.heard_of(1);
    let asked = heard
        .iter()
        .filter(|message| message.mti == MTI_0100_AUTHORISATION_REQUEST);
    assert_eq!(asked.count(), 1, "a repeat must not meet its advice at the host");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_approved_without_asking_the_host_is_not_asked_when_it_is_repeated() {
    let inline = Inline::with_timeout(&format!("{STAND_IN}\nin_flight_max = 1")).await;
    inline.upstream.set(Mood::Silent);
    let network = inline.installation.links["network"];
    let dialect = inline.installation.acquirer.dialect();
    let requests = [1, 2].map(|trace| inline.cash(PIN, trace));
    let frames = requests
        .each_ref()
        .map(|request| request.to_frame(dialect).unwrap());
    let answers = pipelined(network, &frames).await;
    let answers: Vec<Message> = answers
        .iter()
        .map(|answer| Message::parse(answer, dialect).unwrap())
        .collect();
    assert_eq!(
        answers[0].field(11),
        Some(&b"000002"[..]),
        "at once, as one waits already"
    );
    inline
        .upstream
        .wait_for(MTI_0120_AUTHORISATION_ADVICE, b"000002")
        .await;
    inline.upstream.set(Mood::Answers("51"));
    assert_eq!(inline.ask(&requests[1]).await, answers[0]);
    assert_eq!(inline.heard_of(2).len(), 1, "nothing but the advice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_that_cannot_be_passed_on_is_not_made_an_approval() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("without-field-44.toml");
    let ours = include_str!("../../iso8583/dialects/ascii-1987.toml");
    let lines = ours.lines().filter(|line| !line.starts_with("44 ="));
    std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let settings = format!("timeout_ms = {TIMEOUT_MS}\ndialect = \"ascii-1987\"\n{STAND_IN}");
    let inline = Inline::start_in(path.to_str().unwrap(), &settings).await;
    for (trace, theirs, code) in [(1, "51", "91"), (2, "00", "00")] {
        inline.upstream.set(Mood::Answers(theirs));
        assert_eq!(inline.code(&inline.cash(PIN, trace)).await, code, "{theirs}");
    }
    inline
        .upstream
        .wait_for(MTI_0420_REVERSAL_ADVICE, b"000001")
        .await;
    inline
        .upstream
        .wait_for(MTI_0120_AUTHORISATION_ADVICE, b"000002")
        .await;
    inline.assert_not_taken_back(2);
}
