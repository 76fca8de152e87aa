//! Transactions from the card in the reader to the receipt, against a host on a loopback port.

use emv::field55::Field55;
use emv::iad::VisaIad;
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::pinblock::{TdesFormat, decipher_tdes, iso4};
use paycrypto::tdes_key::Tdes2Key;
use sim::acquirer::Acquirer;
use sim::acquirer::link::ExchangeError;
use sim::acquirer::message::Message;
use sim::card::chip::Chip;
use sim::terminal::journey::{Faults, Journey, PullCard, Reversal, ScriptReport};
use sim::terminal::{atm, pos, shop, tap};

use crate::host::{Host, Orders, Script, ZONE_KEY_AES, ZONE_KEY_TDES, mti};
use crate::issuer::{PAN, change_script, new_card, pin};

const NO_FAULTS: Faults = Faults {
    lose_answer: false,
    pull_card: None,
};

async fn pay(chip: &mut Chip, keyed: &[&str], acquirer: &Acquirer, faults: Faults) -> Journey {
    let keyed: Vec<_> = keyed.iter().map(|digits| pin(digits)).collect();
    pos::buy(chip, &keyed, 1250, acquirer, faults).await
}

fn pulled(when: PullCard) -> Faults {
    Faults {
        lose_answer: false,
        pull_card: Some(when),
    }
}

fn changes_to(new: &'static str) -> Orders {
    Orders {
        script: Some(Script::Change(new)),
        ..Orders::default()
    }
}

fn text(message: &Message, field: u8) -> String {
    String::from_utf8(message.field(field).unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_sale_with_the_right_pin_is_approved_by_card_and_host() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    let journey = pay(&mut chip, &["1234"], &host.acquirer(), NO_FAULTS).await;
    assert!(journey.outcome.approved);
    assert_eq!(journey.outcome.response_code.as_deref(), Some("00"));
    assert!(journey.outcome.receipt.contains(&"SALE 12.50 EUR".to_owned()));
    assert!(
        journey
            .outcome
            .receipt
            .contains(&"PIN VERIFIED BY CARD".to_owned())
    );
    let [request] = host.got().try_into().unwrap();
    assert_eq!(request.mti, mti("0100"));
    let expected = [
        (2, PAN),
        (3, "000000"),
        (4, "000000001250"),
        (14, "3012"),
        (18, "5411"),
    ];
    for (field, value) in expected {
        assert_eq!(text(&request, field), value);
    }
    for (field, value) in [(22, "051"), (23, "000"), (25, "00"), (32, "12345"), (49, "978")] {
        assert_eq!(text(&request, field), value);
    }
    assert_eq!(text(&request, 35), format!("{PAN}D301220100000"));
    assert_eq!(request.field(52), None);
    let field = Field55::parse(request.field(55).unwrap()).unwrap();
    assert_eq!(field.entry_mode, Some(0x05));
    assert!(field.cvm_results.unwrap().claims_offline_pin());
    assert!(VisaIad::parse(field.iad).unwrap().cvr.offline_pin_verified());
}

#[tokio::test]
async fn a_script_rides_on_a_sale_and_the_next_sale_reports_it() {
    let host = Host::start("ascii-1987").await;
    let acquirer = host.acquirer();
    let folder = new_card(Some("1234"));
    host.order(changes_to("9876"));
    let journey = pay(&mut folder.chip(), &["1234"], &acquirer, NO_FAULTS).await;
    assert!(journey.outcome.approved);
    assert_eq!(journey.outcome.script, Some(ScriptReport::Successful));
    host.order(Orders::default());
    host.got();
    let journey = pay(&mut folder.chip(), &["9876"], &acquirer, NO_FAULTS).await;
    assert!(journey.outcome.approved);
    let [request] = host.got().try_into().unwrap();
    let field = Field55::parse(request.field(55).unwrap()).unwrap();
    let cvr = VisaIad::parse(field.iad).unwrap().cvr;
    assert_eq!((cvr.script_commands, cvr.script_failed), (1, false));
}

#[tokio::test]
async fn a_script_before_the_final_cryptogram_is_performed_too() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("1234"));
    host.order(Orders {
        script: Some(Script::ChangeBefore("9876")),
        ..Orders::default()
    });
    let journey = pay(&mut folder.chip(), &["1234"], &host.acquirer(), NO_FAULTS).await;
    assert!(journey.outcome.approved);
    assert_eq!(journey.outcome.script, Some(ScriptReport::Successful));
    assert!(folder.chip().state().pin == Some(pin("9876")));
}

#[tokio::test]
async fn a_replayed_script_fails_and_is_reported_as_failed() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    host.order(Orders {
        script: Some(Script::Replayed(change_script(1, [7; 8], "9876"))),
        ..Orders::default()
    });
    let journey = pay(&mut chip, &["1234"], &host.acquirer(), NO_FAULTS).await;
    assert!(journey.outcome.approved);
    assert_eq!(journey.outcome.script, Some(ScriptReport::Failed));
    assert!(chip.state().pin == Some(pin("1234")));
}

#[tokio::test]
async fn a_wrong_pin_that_nobody_corrects_sends_nothing_to_the_host() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    let journey = pay(&mut chip, &["0000"], &host.acquirer(), NO_FAULTS).await;
    assert!(!journey.outcome.approved);
    assert_eq!(journey.outcome.pin_tries_left, Some(2));
    assert!(host.got().is_empty());
    let journey = pay(&mut chip, &["0000", "1234"], &host.acquirer(), NO_FAULTS).await;
    assert!(journey.outcome.approved);
}

#[tokio::test]
async fn a_card_with_a_blocked_pin_still_goes_online_and_can_be_freed() {
    let host = Host::start("ascii-1987").await;
    let acquirer = host.acquirer();
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    host.order(Orders {
        code: Some("75"),
        script: Some(Script::Unblock),
        ..Orders::default()
    });
    let journey = pay(&mut chip, &["0000", "0001", "0002"], &acquirer, NO_FAULTS).await;
    assert!(!journey.outcome.approved);
    assert_eq!(journey.outcome.response_code.as_deref(), Some("75"));
    assert_eq!(journey.outcome.script, Some(ScriptReport::Successful));
    let [request] = host.got().try_into().unwrap();
    let field = Field55::parse(request.field(55).unwrap()).unwrap();
    assert!(field.tvr.has(emv::bits::TvrBit::PinTryLimitExceeded));
    assert!(VisaIad::parse(field.iad).unwrap().cvr.pin_try_limit_exceeded);
    host.order(Orders::default());
    assert!(
        pay(&mut chip, &["1234"], &acquirer, NO_FAULTS)
            .await
            .outcome
            .approved
    );
}

#[tokio::test]
async fn a_card_without_a_pin_and_a_pin_passed_over_go_online_without_one() {
    let host = Host::start("ascii-1987").await;
    let acquirer = host.acquirer();
    for (first, keyed) in [(None, &["1234"][..]), (Some("1234"), &[])] {
        let folder = new_card(first);
        let journey = pay(&mut folder.chip(), keyed, &acquirer, NO_FAULTS).await;
        assert!(journey.outcome.receipt.contains(&"NO PIN".to_owned()));
        let [request] = host.got().try_into().unwrap();
        let field = Field55::parse(request.field(55).unwrap()).unwrap();
        assert!(!VisaIad::parse(field.iad).unwrap().cvr.offline_pin_performed);
    }
}

#[tokio::test]
async fn a_tap_asks_for_no_pin_and_performs_no_script() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    host.order(changes_to("9876"));
    let journey = tap::buy(&mut chip, 900, &host.acquirer(), NO_FAULTS).await;
    assert!(journey.outcome.approved);
    assert_eq!(journey.outcome.script, None);
    let [request] = host.got().try_into().unwrap();
    assert_eq!(text(&request, 22), "071");
    let field = Field55::parse(request.field(55).unwrap()).unwrap();
    assert_eq!(field.entry_mode, Some(0x07));
    assert!(chip.state().pin == Some(pin("1234")));
}

#[tokio::test]
async fn a_cash_machine_sends_the_pin_under_the_zone_key() {
    let account = AccountDigits::parse(PAN).unwrap();
    for dialect in ["ascii-1987", "ascii-1987-aes"] {
        let host = Host::start(dialect).await;
        let folder = new_card(Some("1234"));
        let mut chip = folder.chip();
        let journey = atm::withdraw(&mut chip, &pin("5555"), 4000, &host.acquirer(), NO_FAULTS).await;
        assert!(journey.outcome.approved);
        let [request] = host.got().try_into().unwrap();
        assert_eq!(request.mti, mti("0200"));
        assert_eq!(text(&request, 3), "010000");
        assert_eq!(text(&request, 18), "6011");
        let block = request.field(52).unwrap();
        let keyed = match dialect {
            "ascii-1987" => {
                let key = Tdes2Key::from_bytes(&ZONE_KEY_TDES);
                decipher_tdes(&key, TdesFormat::Iso0, block.try_into().unwrap(), &account)
            }
            _ => {
                let key = AesKey::from_bytes(&ZONE_KEY_AES).unwrap();
                iso4::decipher(&key, block.try_into().unwrap(), &account)
            }
        };
        assert!(keyed == Ok(pin("5555")));
        assert_eq!(chip.state().pin_tries_left, 3);
    }
}

#[tokio::test]
async fn a_cash_machine_performs_scripts_and_shows_the_balance() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    host.order(Orders {
        balance: Some("0002978C000000123456"),
        ..changes_to("9876")
    });
    let journey = atm::balance(&mut chip, &pin("1234"), &host.acquirer(), NO_FAULTS).await;
    assert_eq!(journey.outcome.display.last().unwrap(), "BALANCE 1234.56 EUR");
    assert_eq!(journey.outcome.script, Some(ScriptReport::Successful));
    let [request] = host.got().try_into().unwrap();
    assert_eq!(text(&request, 3), "310000");
    assert!(chip.state().pin == Some(pin("9876")));
}

#[tokio::test]
async fn an_online_shop_sends_neither_chip_data_nor_pin() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("1234"));
    let chip = folder.chip();
    let journey = shop::buy(chip.perso(), 1999, &host.acquirer(), NO_FAULTS).await;
    assert!(journey.outcome.approved);
    let [request] = host.got().try_into().unwrap();
    assert_eq!(
        (text(&request, 22), text(&request, 25)),
        ("810".to_owned(), "59".to_owned())
    );
    assert_eq!(
        (request.field(52), request.field(55), request.field(35)),
        (None, None, None)
    );
}

#[tokio::test]
async fn a_lost_answer_is_reversed_and_leaves_the_script_undone() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    host.order(changes_to("9876"));
    let lost = Faults {
        lose_answer: true,
        pull_card: None,
    };
    let journey = pay(&mut chip, &["1234"], &host.acquirer(), lost).await;
    assert!(!journey.outcome.approved);
    assert!(journey.outcome.host_unreachable);
    let [request, reversal] = host.got().try_into().unwrap();
    assert_eq!(reversal.mti, mti("0400"));
    let original = format!("0100{}{}", text(&request, 11), text(&request, 7));
    assert!(text(&reversal, 90).starts_with(&original));
    assert_eq!(text(&reversal, 37), text(&request, 37));
    assert_eq!((reversal.field(52), reversal.field(35)), (None, None));
    assert!(chip.state().pin == Some(pin("1234")));
}

#[tokio::test]
async fn a_host_that_closes_without_an_answer_gets_a_reversal() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    host.order(Orders {
        mute: true,
        ..Orders::default()
    });
    let journey = pay(&mut chip, &["1234"], &host.acquirer(), NO_FAULTS).await;
    assert!(journey.outcome.host_unreachable);
    let got: Vec<_> = host.got().iter().map(|message| message.mti).collect();
    assert_eq!(got, [mti("0100"), mti("0400")]);
    let (sent, answered) = (1, true);
    assert_eq!(journey.outcome.reversal, Some(Reversal { sent, answered }));
}

#[tokio::test]
async fn a_reversal_is_repeated_until_it_is_answered_and_no_more_than_three_times() {
    for (mute_reversals, pull_card, sent, answered) in [
        (2, None, 3, true),
        (99, None, 4, false),
        (1, Some(PullCard::BeforeFinalAc), 2, true),
    ] {
        let host = Host::start("ascii-1987").await;
        let folder = new_card(Some("1234"));
        host.order(Orders {
            mute: pull_card.is_none(),
            mute_reversals,
            ..Orders::default()
        });
        let faults = Faults {
            lose_answer: false,
            pull_card,
        };
        let journey = pay(&mut folder.chip(), &["1234"], &host.acquirer(), faults).await;
        assert!(!journey.outcome.approved);
        let reversal = Some(Reversal { sent, answered });
        assert_eq!(journey.outcome.reversal, reversal);
        let [_, first, repeats @ ..] = &host.got()[..] else {
            panic!("a request and its reversal")
        };
        let (wanted, repeated) = match pull_card {
            None => ("0400", "0401"),
            Some(_) => ("0420", "0421"),
        };
        assert_eq!(first.mti, mti(wanted));
        assert_eq!(repeats.len() + 1, usize::from(sent));
        for repeat in repeats {
            assert_eq!(repeat.mti, mti(repeated));
            assert!(repeat.fields().eq(first.fields()), "the same but for its type");
        }
    }
}

#[tokio::test]
async fn a_card_pulled_before_the_final_cryptogram_has_its_sale_reversed() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    host.order(changes_to("9876"));
    let journey = pay(
        &mut chip,
        &["1234"],
        &host.acquirer(),
        pulled(PullCard::BeforeFinalAc),
    )
    .await;
    assert!(!journey.outcome.approved);
    let got: Vec<_> = host.got().iter().map(|message| message.mti).collect();
    assert_eq!(got, [mti("0100"), mti("0420")]);
    assert!(chip.state().pin == Some(pin("1234")));
}

#[tokio::test]
async fn a_card_pulled_around_the_script_keeps_its_sale_and_tells_the_truth_next_time() {
    let host = Host::start("ascii-1987").await;
    let acquirer = host.acquirer();
    let cases = [
        (PullCard::BeforeScript, ScriptReport::NotPerformed, "1234", 0),
        (PullCard::AfterScript, ScriptReport::Failed, "9876", 1),
    ];
    for (when, reported, holds, commands) in cases {
        let folder = new_card(Some("1234"));
        host.order(changes_to("9876"));
        let journey = pay(&mut folder.chip(), &["1234"], &acquirer, pulled(when)).await;
        assert!(journey.outcome.approved);
        assert_eq!(journey.outcome.script, Some(reported));
        host.order(Orders::default());
        host.got();
        let journey = pay(&mut folder.chip(), &[holds], &acquirer, NO_FAULTS).await;
        assert!(journey.outcome.approved);
        let [request] = host.got().try_into().unwrap();
        let field = Field55::parse(request.field(55).unwrap()).unwrap();
        let cvr = VisaIad::parse(field.iad).unwrap().cvr;
        assert_eq!((cvr.script_commands, cvr.script_failed), (commands, false));
    }
}

#[tokio::test]
async fn a_host_that_does_not_authenticate_itself_is_declined_by_the_card() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    host.order(Orders {
        no_authentication: true,
        ..changes_to("9876")
    });
    let journey = pay(&mut chip, &["1234"], &host.acquirer(), NO_FAULTS).await;
    assert!(!journey.outcome.approved);
    assert_eq!(journey.outcome.script, Some(ScriptReport::Failed));
    assert_eq!(journey.outcome.display.last().unwrap(), "DECLINED BY CARD");
    let got: Vec<_> = host.got().iter().map(|message| message.mti).collect();
    assert_eq!(got, [mti("0100"), mti("0420")]);
}

#[tokio::test]
async fn a_host_that_is_not_there_is_said_to_be_unreachable() {
    let host = Host::start("ascii-1987").await;
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let acquirer = host.moved_to(free).acquirer();
    let folder = new_card(Some("1234"));
    let mut chip = folder.chip();
    let journey = pay(&mut chip, &["1234"], &acquirer, NO_FAULTS).await;
    assert!(journey.outcome.host_unreachable);
    assert_eq!(journey.outcome.response_code, None);
    let echo = acquirer.network_message(*b"301");
    let refused = acquirer.exchange(&echo).await;
    assert!(matches!(refused, Err(ExchangeError::Unreachable(_))));
}

#[tokio::test]
async fn network_messages_are_answered_and_numbers_never_repeat() {
    let host = Host::start("ascii-1987").await;
    let acquirer = host.acquirer();
    let (first, second) = (
        acquirer.network_message(*b"301"),
        acquirer.network_message(*b"301"),
    );
    assert_ne!(first.field(11), second.field(11));
    let answer = acquirer.exchange(&first).await.unwrap();
    assert_eq!(answer.mti, mti("0810"));
    assert_eq!(answer.field(11), first.field(11));
    let frame = second.to_frame(acquirer.dialect()).unwrap();
    let raw = acquirer.exchange_raw(&frame).await.unwrap();
    assert!(raw.starts_with(b"0810"));
}

#[tokio::test]
async fn no_trace_shows_a_pin_a_block_a_track_or_a_full_pan() {
    let host = Host::start("ascii-1987").await;
    let acquirer = host.acquirer();
    let folder = new_card(Some("7391"));
    let mut chip = folder.chip();
    host.order(changes_to("8264"));
    let mut journeys = vec![pay(&mut chip, &["7391"], &acquirer, NO_FAULTS).await];
    journeys.push(atm::withdraw(&mut chip, &pin("8264"), 2000, &acquirer, NO_FAULTS).await);
    journeys.push(tap::buy(&mut chip, 500, &acquirer, NO_FAULTS).await);
    journeys.push(shop::buy(chip.perso(), 500, &acquirer, NO_FAULTS).await);
    let pin_block = host.got()[1].field(52).unwrap().to_vec();
    let json = serde_json::to_string(&journeys).unwrap();
    assert!(json.contains("…0010"));
    for secret in [
        PAN,
        "7391FF",
        "8264FF",
        &data_encoding::HEXUPPER.encode(&pin_block),
    ] {
        assert!(!json.contains(secret), "a secret of {} characters", secret.len());
    }
    let values = journeys
        .iter()
        .flat_map(|journey| &journey.trace)
        .flat_map(|step| &step.lines);
    for (label, value) in values {
        let hidden = ["DE52", "DE35", " 57 ", " 5F20 "]
            .iter()
            .any(|name| format!(" {label} ").contains(name));
        assert!(!hidden || value == "not shown", "{label}");
    }
}
