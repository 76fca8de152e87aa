//! The desk between a network and the issuer's own host, over TCP: what the host gets, what the network gets, and what
//! both get when the host is slow, late, down or speaks garbage.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use std::time::Duration;

use common::inline::{Inline, PIN, TIMEOUT_MS, WRONG, pipelined};
use common::upstream::Mood;
use iso8583::mti::{MTI_0120_AUTHORISATION_ADVICE, MTI_0400_REVERSAL_REQUEST, MTI_0420_REVERSAL_ADVICE, Mti};
use paycrypto::pin::Pin;
use sim::acquirer::message::Message;
use sim::terminal::journey::{Faults, ScriptReport};
use sim::terminal::{atm, pos};
use tokio::time::Instant;

const IN_FLIGHT: usize = 3_000;
/// A card that isn't the desk's.
const UNKNOWN_PAN: &str = "4539578763621486";

#[tokio::test(flavor = "multi_thread")]
async fn a_right_pin_goes_on_without_its_block_and_the_hosts_answer_comes_back_whole() {
    let inline = Inline::with_timeout("").await;
    let request = inline.cash(PIN, 1);
    let answer = inline.ask(&request).await;
    assert_eq!(answer.response_code().as_deref(), Some("00"));
    assert_eq!(
        answer.field(38),
        Some(&b"HOST42"[..]),
        "the host's own approval code"
    );
    assert_eq!(answer.field(44), Some(&b"from the issuer's host"[..]));
    let passed = &inline.heard_of(1)[0];
    assert_eq!(passed.mti, request.mti);
    for (number, value) in request.fields().filter(|(number, _)| ![52, 60].contains(number)) {
        assert_eq!(passed.field(number), Some(value), "field {number}");
    }
    assert_eq!(passed.field(52), None);
    assert_eq!(
        passed.field(60),
        Some(&b"PIN=match;AC=none;CHIP_PIN=no;DESK=Approved"[..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_desk_declines_never_reaches_the_host_and_no_pin_block_ever_does() {
    let inline = Inline::with_timeout("").await;
    let mut blocks = Vec::new();
    for (trace, pin, code) in [(1, PIN, "00"), (2, WRONG, "55"), (3, PIN, "00"), (4, WRONG, "55")] {
        let request = inline.cash(pin, trace);
        blocks.push(request.field(52).unwrap().to_vec());
        assert_eq!(inline.code(&request).await, code, "message {trace}");
        assert_eq!(inline.heard_of(trace).is_empty(), code == "55", "message {trace}");
    }
    // A PIN change is the desk's alone, with both its blocks.
    let mut change = inline.cash(PIN, 5);
    change.put(3, *b"920000");
    let new = Pin::parse("918273645019").unwrap();
    let acquirer = &inline.installation.acquirer;
    change.put(
        125,
        acquirer.zone_key().pin_block(&new, &inline.card().pan, &[0; 8]),
    );
    blocks.push(change.field(125).unwrap().to_vec());
    inline.ask(&change).await;
    assert!(inline.heard_of(5).is_empty());
    let raw = inline.upstream.raw();
    for block in blocks {
        let found = raw.windows(block.len()).any(|window| window == block);
        assert!(!found, "a PIN block reached the upstream");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_decline_is_the_networks_answer() {
    let inline = Inline::with_timeout("").await;
    inline.upstream.set(Mood::Answers("51"));
    assert_eq!(inline.code(&inline.cash(PIN, 1)).await, "51");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gets_the_desks_recorded_answer_and_the_host_is_asked_again_under_the_same_identity() {
    let inline = Inline::with_timeout("").await;
    let request = inline.cash(PIN, 1);
    assert_eq!(inline.code(&request).await, "00");
    assert_eq!(inline.code(&request).await, "00");
    let heard = inline.heard_of(1);
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0], heard[1]);
    let mut forged = inline.cash(PIN, 1);
    forged.put(4, *b"000000999900");
    assert_eq!(inline.code(&forged).await, "94");
    assert_eq!(inline.heard_of(1).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_host_is_taken_back_and_the_network_is_told_in_time() {
    let inline = Inline::with_timeout("").await;
    inline.upstream.set(Mood::AnswersAfter("00", 2 * TIMEOUT_MS));
    let begin = Instant::now();
    assert_eq!(inline.code(&inline.cash(PIN, 1)).await, "91");
    assert!(begin.elapsed() < Duration::from_millis(2 * TIMEOUT_MS));
    let reversal = inline
        .upstream
        .wait_for(MTI_0420_REVERSAL_ADVICE, b"000001")
        .await;
    assert_eq!(
        reversal.field(90),
        Some(&b"0100000001011512000000000123456"[..])
            .map(|head| [head, &[b'0'; 11]].concat())
            .as_deref()
    );
    assert_eq!(reversal.field(52), None);
    inline
        .installation
        .desk
        .wait_for("the upstream answered too late");
    inline.upstream.set(Mood::Answers("00"));
    assert_eq!(
        inline.code(&inline.cash(PIN, 2)).await,
        "00",
        "the next one is not disturbed"
    );
    assert_eq!(
        inline.code(&inline.cash(PIN, 1)).await,
        "91",
        "a repeat gets what the network was told"
    );
    let requests = inline.heard_of(1);
    let passed = requests.iter().filter(|message| message.field(90).is_none());
    assert_eq!(passed.count(), 1, "and must not meet its reversal at the host");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_a_hang_up_and_an_answer_without_a_code_cost_their_own_request_only() {
    let inline = Inline::with_timeout("connections = 1").await;
    for (trace, mood) in [(1, Mood::Garbage), (3, Mood::HangsUp), (5, Mood::Misfit)] {
        inline.upstream.set(mood);
        assert_eq!(inline.code(&inline.cash(PIN, trace)).await, "91", "{mood:?}");
        inline.upstream.set(Mood::Answers("00"));
        if mood != Mood::Misfit {
            inline.installation.desk.wait_for("connected to the upstream");
        }
        assert_eq!(
            inline.code(&inline.cash(PIN, trace + 1)).await,
            "00",
            "after {mood:?}"
        );
        let trace = format!("{trace:06}");
        inline
            .upstream
            .wait_for(MTI_0420_REVERSAL_ADVICE, trace.as_bytes())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_down_is_told_at_once() {
    let inline = Inline::with_timeout("connections = 1").await;
    inline.upstream.stop_accepting();
    inline.upstream.set(Mood::HangsUp);
    assert_eq!(inline.code(&inline.cash(PIN, 1)).await, "91");
    let begin = Instant::now();
    assert_eq!(inline.code(&inline.cash(PIN, 2)).await, "91");
    assert!(
        begin.elapsed() < Duration::from_millis(TIMEOUT_MS),
        "without waiting for it"
    );
    assert!(inline.heard_of(2).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_are_judged_whatever_the_transaction_is_called() {
    let inline = Inline::with_timeout("").await;
    let named = "PIN=match;AC=none;CHIP_PIN=no;DESK=Approved";
    let rows = [
        ("09", named.to_owned()),
        ("17", named.to_owned()),
        ("20", format!("{named};CODE=unlisted")),
    ];
    for (trace, (code, mark)) in (1..).step_by(2).zip(rows) {
        let fields = [&format!("{code}0000")[..], "000000002000", "901", "978"];
        let wrong = inline.request(trace, fields, Some(WRONG));
        assert_eq!(inline.code(&wrong).await, "55", "{code}");
        assert!(inline.heard_of(trace).is_empty(), "{code}");
        let right = inline.request(trace + 1, fields, Some(PIN));
        assert_eq!(inline.code(&right).await, "00", "{code}");
        assert_eq!(inline.mark_of(trace + 1), mark);
    }
    let bare = inline.request(9, ["200000", "000000002000", "901", "414"], None);
    assert_eq!(inline.code(&bare).await, "00", "money is the host's business");
    assert_eq!(
        inline.mark_of(9),
        "PIN=not_compared;AC=none;CHIP_PIN=no;DESK=Approved;CODE=unlisted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cryptograms_are_judged_and_answered_whatever_the_transaction_is_called() {
    let inline = Inline::with_timeout("").await;
    let acquirer = inline.acquirer_with_refunds();
    let mut chip = inline.installation.chip(inline.card()).await;
    let pin = Pin::parse(PIN).unwrap();
    let refunded = pos::buy(&mut chip, &[pin], 2_000, &acquirer, Faults::default())
        .await
        .outcome;
    assert!(refunded.approved, "{refunded:?}");
    assert_eq!(
        chip.state().last_online_atc,
        chip.state().atc,
        "the chip got its answer"
    );
    let passed = inline.upstream.heard().pop().unwrap();
    assert_eq!(passed.field(3), Some(&b"200000"[..]));
    assert_eq!(
        passed.field(60),
        Some(&b"PIN=not_compared;AC=valid;CHIP_PIN=yes;DESK=Approved;CODE=unlisted"[..])
    );
    let heard = inline.upstream.heard().len();
    let mut forged = passed.clone();
    forged.put(11, *b"999999");
    let mut chip_data = passed.field(55).unwrap().to_vec();
    let at = chip_data
        .windows(3)
        .position(|window| window == [0x9F, 0x26, 8])
        .unwrap();
    chip_data[at + 3] ^= 1;
    forged.put(55, chip_data);
    assert_eq!(inline.code(&forged).await, "88");
    assert_eq!(inline.upstream.heard().len(), heard);
    // A reversal's chip data aren't the host's to trust.
    let reversal = acquirer.reversal(
        &passed,
        MTI_0400_REVERSAL_REQUEST,
        passed.field(55).map(<[u8]>::to_vec),
    );
    assert_eq!(inline.code(&reversal).await, "00");
    let passed = inline.upstream.heard().pop().unwrap();
    assert_eq!(
        passed.field(60),
        Some(&b"PIN=not_compared;AC=not_checked;CHIP_PIN=no;DESK=NotJudged"[..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_that_the_desk_does_not_have_are_the_hosts_alone_and_marked() {
    for (setting, pin_goes_on) in [("", false), ("unknown_cards = \"pass-with-pin\"", true)] {
        let inline = Inline::with_timeout(setting).await;
        let acquirer = inline.installation.acquirer_at("network", "ascii-1987");
        let of_unknown = |trace| {
            let mut request = inline.cash(PIN, trace);
            request.put(2, UNKNOWN_PAN);
            request
        };
        let request = of_unknown(1);
        let mut advice = of_unknown(2);
        advice.mti = MTI_0120_AUTHORISATION_ADVICE;
        advice.put(39, *b"00");
        advice.remove(52);
        let reversal = acquirer.reversal(&request, MTI_0420_REVERSAL_ADVICE, None);
        for message in [&request, &advice, &reversal] {
            assert_eq!(inline.code(message).await, "00", "{message:?}");
            let passed = inline.upstream.heard().pop().unwrap();
            assert_eq!(passed.mti, message.mti);
            assert_eq!(
                passed.field(60),
                Some(&b"PIN=not_compared;AC=none;CHIP_PIN=no;DESK=UnknownCard"[..])
            );
            let pin = message.field(52).filter(|_| pin_goes_on);
            assert_eq!(passed.field(52), pin, "{message:?}");
        }
        let mut change = of_unknown(3);
        change.put(3, *b"920000");
        let code = if pin_goes_on { "00" } else { "14" };
        assert_eq!(inline.code(&change).await, code, "without its PINs it is nothing");
        inline.upstream.set(Mood::Silent);
        assert_eq!(inline.code(&of_unknown(4)).await, "91");
        inline
            .upstream
            .wait_for(MTI_0420_REVERSAL_ADVICE, b"000004")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_that_the_desk_does_not_have_are_refused_where_it_has_all() {
    let inline = Inline::with_timeout("unknown_cards = \"refuse\"").await;
    let mut request = inline.cash(PIN, 1);
    request.put(2, UNKNOWN_PAN);
    assert_eq!(inline.code(&request).await, "14");
    assert!(inline.upstream.heard().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn declines_are_told_where_the_host_wants_to_know() {
    let inline = Inline::with_timeout("tell_declines = true").await;
    assert_eq!(inline.code(&inline.cash(WRONG, 1)).await, "55");
    let advice = inline
        .upstream
        .wait_for(MTI_0120_AUTHORISATION_ADVICE, b"000001")
        .await;
    assert_eq!(advice.field(39), Some(&b"55"[..]));
    assert_eq!(
        advice.field(60),
        Some(&b"PIN=no_match;AC=none;CHIP_PIN=no;DESK=IncorrectPin"[..])
    );
    assert_eq!(advice.field(52), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn reversals_and_messages_that_the_desk_does_not_judge_go_through() {
    let inline = Inline::with_timeout("").await;
    let request = inline.cash(PIN, 1);
    assert_eq!(inline.code(&request).await, "00");
    let acquirer = inline.installation.acquirer_at("network", "ascii-1987");
    let reversal = acquirer.reversal(&request, MTI_0400_REVERSAL_REQUEST, None);
    let answer = inline.ask(&reversal).await;
    assert_eq!(answer.response_code().as_deref(), Some("00"));
    assert_eq!(
        answer.field(44),
        Some(&b"from the issuer's host"[..]),
        "the host took it back too"
    );
    let mut reconciliation = Message::new(Mti::parse(b"0500").unwrap());
    for number in [7, 32, 37] {
        reconciliation.put(number, request.field(number).unwrap());
    }
    reconciliation.put(11, *b"000003");
    assert_eq!(inline.code(&reconciliation).await, "00");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_wait_for_the_host_at_once_and_each_gets_its_own_answer() {
    let inline = Inline::start("timeout_ms = 60000\nconnections = 2").await;
    inline.upstream.set(Mood::WaitsFor(IN_FLIGHT));
    let network = inline.installation.links["network"];
    let dialect = inline.installation.acquirer.dialect();
    let traces: Vec<u32> = (1..).take(IN_FLIGHT).collect();
    let frames: Vec<Vec<u8>> = traces
        .iter()
        .map(|trace| inline.cash(PIN, *trace).to_frame(dialect).unwrap())
        .collect();
    let answers = pipelined(network, &frames).await;
    let mut answered: Vec<u32> = answers
        .iter()
        .map(|answer| {
            let answer = Message::parse(answer, dialect).unwrap();
            assert_eq!(answer.response_code().as_deref(), Some("00"));
            let reference = answer.field(37).unwrap();
            assert_eq!(&reference[6..], answer.field(11).unwrap(), "an answer of its own");
            String::from_utf8(answer.field(11).unwrap().to_vec())
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, traces);
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_limit_requests_are_refused_at_once() {
    let inline = Inline::with_timeout("in_flight_max = 5").await;
    inline.upstream.set(Mood::WaitsFor(5));
    let network = inline.installation.links["network"];
    let dialect = inline.installation.acquirer.dialect();
    let request = |trace| inline.cash(PIN, trace).to_frame(dialect).unwrap();
    let frames: Vec<Vec<u8>> = (1..=7).map(request).collect();
    let answers = pipelined(network, &frames).await;
    let codes: Vec<String> = answers
        .iter()
        .map(|answer| Message::parse(answer, dialect).unwrap().response_code().unwrap())
        .collect();
    assert_eq!(codes.iter().filter(|code| *code == "91").count(), 2, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| *code == "00").count(), 5, "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chip_gets_its_answer_and_script_by_the_hosts_decision() {
    let inline = Inline::with_timeout("").await;
    let acquirer = inline.installation.acquirer_at("network", "ascii-1987");
    let mut chip = inline.installation.chip(inline.card()).await;
    let (pin, new) = (Pin::parse(PIN).unwrap(), Pin::parse("918273645019").unwrap());
    let faults = Faults::default();

    let paid = atm::withdraw(&mut chip, &pin, 2_000, &acquirer, faults)
        .await
        .outcome;
    assert!(paid.approved, "{paid:?}");
    let passed = inline.upstream.heard().pop().unwrap();
    assert_eq!(
        passed.field(60),
        Some(&b"PIN=match;AC=valid;CHIP_PIN=no;DESK=Approved"[..])
    );
    assert!(passed.field(55).is_some(), "the chip's own words go on");

    inline.upstream.set(Mood::Answers("51"));
    let declined = atm::withdraw(&mut chip, &pin, 2_000, &acquirer, faults)
        .await
        .outcome;
    assert_eq!(declined.response_code.as_deref(), Some("51"));
    assert!(!declined.approved);
    assert_eq!(
        chip.state().last_online_atc,
        chip.state().atc,
        "the issuer's answer to the chip goes with the decline"
    );

    let heard = inline.upstream.heard().len();
    let changed = atm::change_pin(&mut chip, &pin, &new, &acquirer, faults)
        .await
        .outcome;
    assert_eq!(changed.response_code.as_deref(), Some("00"), "{changed:?}");
    assert_eq!(changed.script, Some(ScriptReport::Successful));
    assert_eq!(
        inline.upstream.heard().len(),
        heard,
        "a PIN change is the desk's alone"
    );

    inline.upstream.set(Mood::Answers("00"));
    assert!(
        atm::withdraw(&mut chip, &new, 2_000, &acquirer, faults)
            .await
            .outcome
            .approved
    );
    // The shop's PIN is the chip's: the script took.
    let bought = pos::buy(&mut chip, &[new], 2_000, &acquirer, faults)
        .await
        .outcome;
    assert!(bought.approved, "{bought:?}");
    let passed = inline.upstream.heard().pop().unwrap();
    assert_eq!(
        passed.field(60),
        Some(&b"PIN=not_compared;AC=valid;CHIP_PIN=yes;DESK=Approved"[..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_dual_run_the_host_gets_everything_and_decides_and_both_verdicts_are_on_record() {
    let inline = Inline::with_timeout("dual_run = true").await;
    for (trace, pin, theirs) in [(1, PIN, "00"), (2, PIN, "55"), (3, WRONG, "00"), (4, WRONG, "55")] {
        inline.upstream.set(Mood::Answers(theirs));
        let request = inline.cash(pin, trace);
        assert_eq!(inline.code(&request).await, theirs);
        assert_eq!(inline.heard_of(trace), [request], "unchanged");
    }
    let lines = inline.installation.journal("dual_run").await;
    let verdicts: Vec<_> = lines
        .iter()
        .map(|line| (line["ours"].as_str().unwrap(), line["theirs"].as_str().unwrap()))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("match", "match"),
            ("match", "no_match"),
            ("no_match", "match"),
            ("no_match", "no_match")
        ]
    );
}
