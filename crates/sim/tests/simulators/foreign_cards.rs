//! A terminal with a card that came over the vpcd protocol: ours, in another thread, as if it were anybody's.

use emv::field55::Field55;
use emv::iad::VisaIad;
use sim::card::chip::ATR;
use sim::terminal::contact::Contact;
use sim::terminal::deal::Deal;
use sim::terminal::journey::{Faults, Journey, PullCard, ScriptReport, Trouble};
use sim::terminal::profile::TerminalProfile;
use sim::terminal::slot::Card;
use sim::vpcd;
use sim::vpcd::reader::ForeignCard;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::host::{Host, Orders, Script};
use crate::issuer::{Folder, new_card, pin};

/// One sale with the card connected to the terminal, which it leaves afterwards.
async fn pay(folder: &Folder, keyed: &str, host: &Host, pull_card: Option<PullCard>) -> Journey {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut chip = folder.chip();
    let serving = tokio::spawn(async move { vpcd::card::serve(&mut chip, &address).await });
    let mut card = ForeignCard::wait(&listener).await.unwrap();
    assert_eq!(card.atr(), ATR);
    let acquirer = host.acquirer();
    let contact = Contact {
        profile: TerminalProfile::corner_shop(),
        deal: Deal::Sale(1250),
        new_pin: None,
        acquirer: &acquirer,
        faults: Faults {
            lose_answer: false,
            pull_card,
        },
    };
    let journey = contact.run(&mut card, &[pin(keyed)]).await;
    drop(card);
    serving.await.unwrap().unwrap();
    journey
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_from_elsewhere_pays_takes_a_script_and_reports_it() {
    let host = Host::start("ascii-1987").await;
    let folder = new_card(Some("1234"));
    host.order(Orders {
        script: Some(Script::Change("9876")),
        ..Orders::default()
    });
    let journey = pay(&folder, "1234", &host, None).await;
    assert!(journey.outcome.approved, "{:?}", journey.outcome);
    assert_eq!(journey.outcome.script, Some(ScriptReport::Successful));
    host.order(Orders::default());
    host.got();
    assert!(pay(&folder, "9876", &host, None).await.outcome.approved);
    let [request] = host.got().try_into().unwrap();
    let field = Field55::parse(request.field(55).unwrap()).unwrap();
    assert_eq!(VisaIad::parse(field.iad).unwrap().cvr.script_commands, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_from_elsewhere_can_be_pulled_as_well() {
    let host = Host::start("ascii-1987").await;
    for (when, reported) in [
        (PullCard::BeforeScript, ScriptReport::NotPerformed),
        (PullCard::DuringScript, ScriptReport::Failed),
        (PullCard::AfterScript, ScriptReport::Failed),
    ] {
        let folder = new_card(Some("1234"));
        host.order(Orders {
            script: Some(Script::Change("9876")),
            ..Orders::default()
        });
        let journey = pay(&folder, "1234", &host, Some(when)).await;
        assert_eq!(journey.outcome.script, Some(reported), "{when:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_card_keeps_back_is_fetched_and_a_card_that_leaves_is_noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let foreign = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut heard = Vec::new();
        let answers: [Option<&[u8]>; 6] = [
            None,
            Some(b"\x3B\x00"),
            Some(b"\x61\x03"),
            Some(b"abc\x90\x00"),
            Some(b"\x6C\x05"),
            Some(b"\x90\x00"),
        ];
        for answer in answers {
            let len = stream.read_u16().await.unwrap();
            let mut message = vec![0; len.into()];
            stream.read_exact(&mut message).await.unwrap();
            heard.push(message);
            if let Some(answer) = answer {
                stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                stream.write_all(answer).await.unwrap();
            }
        }
        heard
    });
    let mut card = ForeignCard::wait(&listener).await.unwrap();
    assert_eq!(card.atr(), [0x3B, 0x00]);
    assert_eq!(card.transmit(&[0x00, 0xA4, 0x04, 0x00, 0x00]), b"abc\x90\x00");
    assert_eq!(card.transmit(&[0x00, 0xB2, 0x01, 0x0C, 0x00]), b"\x90\x00");
    let heard = foreign.await.unwrap();
    assert_eq!(heard[0], [0x01]);
    assert_eq!(heard[3], [0x00, 0xC0, 0x00, 0x00, 0x03]);
    assert_eq!(heard[5], [0x00, 0xB2, 0x01, 0x0C, 0x05]);
    assert!(card.transmit(&[0x00, 0xB2, 0x01, 0x0C, 0x00]).is_empty());
}

/// What connects says this, whatever it is asked, and is refused with this.
async fn refused(says: &'static [u8], wanted: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let peer = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(says).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // Until the terminal has had enough of it.
        let _ = stream.read_to_end(&mut rest).await;
    });
    let error = ForeignCard::wait(&listener).await.unwrap_err();
    assert!(error.to_string().contains(wanted), "{error}");
    peer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_card_is_refused_by_name() {
    refused(b"", "left").await;
    refused(b"\x00", "left").await;
    refused(b"\x00\x09\x3B\x07", "left").await;
    refused(b"GET / HTTP/1.1\r\n\r\n", "18245 bytes").await;
    refused(b"\x00\x22", "34 bytes").await;
    refused(b"\x00\x00", "answer to reset").await;
    refused(b"\x00\x01\x3B", "answer to reset").await;
    refused(b"\x00\x02\x00\x00", "answer to reset").await;
}

/// A card that answers to reset, and then every command with the same.
async fn pay_with(answer: &'static [u8]) -> Journey {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let foreign = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        while let Ok(len) = stream.read_u16().await {
            let mut message = vec![0; len.into()];
            stream.read_exact(&mut message).await.unwrap();
            let answer = match message.as_slice() {
                [4] => b"\x3B\x00",
                [_] => continue,
                _ => answer,
            };
            let len = u16::try_from(answer.len()).unwrap();
            if stream
                .write_all(&[&len.to_be_bytes()[..], answer].concat())
                .await
                .is_err()
            {
                return;
            }
        }
    });
    let mut card = ForeignCard::wait(&listener).await.unwrap();
    let host = Host::start("ascii-1987").await;
    let acquirer = host.acquirer();
    let contact = Contact {
        profile: TerminalProfile::corner_shop(),
        deal: Deal::Sale(1250),
        new_pin: None,
        acquirer: &acquirer,
        faults: Faults::default(),
    };
    let journey = contact.run(&mut card, &[pin("1234")]).await;
    drop(card);
    foreign.await.unwrap();
    assert!(host.got().is_empty());
    journey
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_is_no_payment_card_ends_the_transaction_by_name() {
    static LONG: [u8; 259] = [0x90; 259];
    for (answer, trouble) in [
        (&b"\x6A\x82"[..], Trouble::NoCommonApplication),
        (b"\x6D\x00", Trouble::NoCommonApplication),
        (b"\x6A\x81", Trouble::NoCommonApplication),
        (b"\x90\x00", Trouble::CardUnusable),
        (b"\x61\x10", Trouble::NoCommonApplication),
        (b"abcd\x90\x00", Trouble::CardUnusable),
        (b"\x90", Trouble::CardUnusable),
        (b"", Trouble::CardRemoved),
        (&LONG, Trouble::CardRemoved),
    ] {
        let journey = pay_with(answer).await;
        assert_eq!(journey.outcome.trouble, Some(trouble), "{answer:02X?}");
        assert!(!journey.outcome.approved);
        assert!(journey.trace.len() < 200, "{}", journey.trace.len());
    }
}
