//! Which application card and terminal agree on: by directory, by name, by the beginning of a name, or none.

use cards::Scheme;
use emv::apdu::Command;
use sim::card::chip::Interface;
use sim::card::perso::{AID_PINWARD, Perso};
use sim::card::profile::CardProfile;
use sim::card::tear::Tear;
use sim::terminal::contact::Contact;
use sim::terminal::deal::Deal;
use sim::terminal::journey::{Faults, Journey, Trouble};
use sim::terminal::profile::TerminalProfile;
use sim::terminal::slot::Card;
use sim::terminal::tap;

use crate::host::Host;
use crate::issuer::{Folder, new_card, pin};
use crate::profile_card::Card as ProfileCard;
use crate::reader::{OK, send, status};

const VISA: &[u8] = b"\xA0\x00\x00\x00\x03\x10\x10";
const VISA_LONGER: &[u8] = b"\xA0\x00\x00\x00\x03\x10\x10\x01";
const MASTERCARD: &[u8] = b"\xA0\x00\x00\x00\x04\x10\x10";

fn card(change: impl Fn(&mut Perso)) -> Folder {
    let folder = new_card(Some("7391"));
    let mut perso = Perso::read(&folder.perso).unwrap();
    change(&mut perso);
    perso.write(&folder.perso).unwrap();
    folder
}

/// A shop that takes these applications, as its file writes them.
fn shop(applications: &[&str]) -> TerminalProfile {
    let mut profile = TerminalProfile::corner_shop();
    let known = applications
        .iter()
        .map(|name| (*name).to_owned().try_into().unwrap());
    profile.applications = known.collect();
    profile
}

async fn pay(card: &mut dyn Card, profile: TerminalProfile, host: &Host) -> Journey {
    let acquirer = host.acquirer();
    let contact = Contact {
        profile,
        deal: Deal::Sale(1250),
        new_pin: None,
        acquirer: &acquirer,
        faults: Faults::default(),
    };
    contact.run(card, &[pin("7391")]).await
}

fn commands(journey: &Journey) -> Vec<&str> {
    let steps = journey.trace.iter().map(|step| step.title.as_str());
    steps
        .take_while(|title| !title.starts_with("GET PROCESSING"))
        .collect()
}

#[tokio::test]
async fn a_card_with_a_directory_is_selected_by_it_and_one_without_by_the_terminals_names() {
    let host = Host::start("ascii-1987").await;
    for (directories, selects, reads) in [(r#"["pse", "ppse"]"#, 2, 2), ("[]", 4, 0)] {
        let folder = card(|perso| perso.aid = MASTERCARD.to_vec());
        let text = include_str!("../../cards/visa-cvn18.toml").replace(r#"["pse", "ppse"]"#, directories);
        std::fs::write(folder.perso.with_file_name("mine.toml"), text).unwrap();
        let perso = std::fs::read_to_string(&folder.perso).unwrap();
        let own = perso.replace(r#""visa-cvn18""#, r#""./mine.toml""#);
        std::fs::write(&folder.perso, own).unwrap();
        let known = shop(&["A0000000031010*", "A0000000041010*"]);
        let journey = pay(&mut folder.chip(), known, &host).await;
        assert!(journey.outcome.approved, "{:?}", journey.outcome);
        let sent = commands(&journey);
        let count = |title| sent.iter().filter(|sent| **sent == title).count();
        assert_eq!(
            (count("SELECT"), count("READ RECORD")),
            (selects, reads),
            "{sent:?}"
        );

        let acquirer = host.acquirer();
        let tapped = tap::buy(&mut folder.chip(), 500, &acquirer, Faults::default()).await;
        let trouble = (directories == "[]").then_some(Trouble::NoCommonApplication);
        assert_eq!(tapped.outcome.trouble, trouble);
        assert_eq!(tapped.outcome.approved, trouble.is_none());
    }
}

#[tokio::test]
async fn a_longer_name_is_taken_where_the_terminal_takes_its_beginning_and_a_shorter_one_never() {
    let host = host_of_none().await;
    for (on_card, in_terminal, approved) in [
        (VISA_LONGER, "A0000000031010*", true),
        (VISA_LONGER, "A0000000031010", false),
        (VISA_LONGER, "A000000003101001", true),
        (VISA, "A000000003101001*", false),
        (VISA, "A0000000041010*", false),
    ] {
        // The one has a directory, of the other names have to be tried.
        for scheme in [Scheme::VisaCvn18, Scheme::CcdTdes] {
            let folder = ProfileCard::new(scheme);
            folder.change_perso(|perso| perso.aid = on_card.to_vec());
            let journey = pay(&mut folder.chip(), shop(&[in_terminal]), &host).await;
            let trouble = (!approved).then_some(Trouble::NoCommonApplication);
            assert_eq!(journey.outcome.trouble, trouble, "{scheme:?} {in_terminal}");
            if !approved {
                assert_eq!(journey.outcome.display, ["CARD NOT ACCEPTED"]);
            }
        }
    }
}

/// A host that can't be reached: what the card was selected for shows before.
async fn host_of_none() -> Host {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    Host::start("ascii-1987").await.moved_to(address)
}

#[test]
fn a_directory_is_read_at_the_contacts_and_told_at_once_at_a_tap() {
    let folder = card(|perso| perso.aid = VISA.to_vec());
    let mut chip = folder.chip();
    let select = |name: &[u8]| Command::select(name).to_bytes().unwrap();
    let record = |number| Command::read_record(number, 1).to_bytes().unwrap();
    chip.power_on(Interface::Contact);
    assert_eq!(status(&mut chip, &select(b"2PAY.SYS.DDF01")), 0x6A82);
    let (directory, told) = send(&mut chip, &select(b"1PAY.SYS.DDF01"));
    assert_eq!(told, OK);
    assert!(!directory.windows(VISA.len()).any(|part| part == VISA));
    let (entry, told) = send(&mut chip, &record(1));
    assert_eq!(told, OK);
    assert!(entry.windows(VISA.len()).any(|part| part == VISA));
    assert_eq!(status(&mut chip, &record(2)), 0x6A83);
    // The directory is no application.
    let options = Command::get_processing_options(&[0x83, 0x00]).to_bytes().unwrap();
    assert_eq!(status(&mut chip, &options), 0x6985);
    chip.power_on(Interface::Contactless);
    assert_eq!(status(&mut chip, &select(b"1PAY.SYS.DDF01")), 0x6A82);
    let (directory, told) = send(&mut chip, &select(b"2PAY.SYS.DDF01"));
    assert_eq!(told, OK);
    assert!(directory.windows(VISA.len()).any(|part| part == VISA));
    assert_eq!(status(&mut chip, &record(1)), 0x6985);
}

/// A card that answers as it was told, and keeps what it was asked.
struct Told {
    answers: Vec<(Vec<u8>, Vec<u8>)>,
    asked: Vec<Vec<u8>>,
}

impl Card for Told {
    fn power_on(&mut self, _: Interface) {}

    fn power_off(&mut self) {}

    fn tear(&mut self, _: Tear) {}

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        self.asked.push(apdu.to_vec());
        let told = self.answers.iter().find(|(command, _)| command == apdu);
        told.map_or(vec![0x6A, 0x82], |(_, answer)| answer.clone())
    }
}

fn with_status(data: &[u8]) -> Vec<u8> {
    [data, &[0x90, 0x00]].concat()
}

fn entry(name: &[u8], priority: u8) -> Vec<u8> {
    let len = u8::try_from(name.len()).unwrap();
    let content = [&[0x4F, len], name, &[0x87, 1, priority]].concat();
    [&[0x61, len + 5][..], &content].concat()
}

/// The names that are selected of a directory's entries, in order.
async fn selected(entries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let entries = entries.concat();
    let record = [&[0x70, u8::try_from(entries.len()).unwrap()][..], &entries].concat();
    let directory = b"\x6F\x15\x84\x0E1PAY.SYS.DDF01\xA5\x03\x88\x01\x01";
    let mut told = Told {
        answers: vec![
            (
                Command::select(b"1PAY.SYS.DDF01").to_bytes().unwrap(),
                with_status(directory),
            ),
            (
                Command::read_record(1, 1).to_bytes().unwrap(),
                with_status(&record),
            ),
        ],
        asked: Vec::new(),
    };
    let host = host_of_none().await;
    let journey = pay(&mut told, shop(&["A0000000031010*", "A0000000041010"]), &host).await;
    let trouble = Some(Trouble::NoCommonApplication);
    assert_eq!(journey.outcome.trouble, trouble);
    let by_name = told.asked.iter().filter(|apdu| apdu[1] == 0xA4).skip(1);
    by_name.map(|apdu| apdu[5..apdu.len() - 1].to_vec()).collect()
}

#[tokio::test]
async fn of_several_applications_the_cards_first_is_tried_and_then_the_next() {
    let entries = [
        entry(VISA, 0),
        entry(MASTERCARD, 2),
        entry(b"\xA0\x00\x00\x00\x25\x01", 1),
        entry(VISA_LONGER, 1),
    ];
    assert_eq!(selected(&entries).await, [VISA_LONGER, MASTERCARD, VISA]);
}

#[tokio::test]
async fn an_application_that_wants_the_cardmembers_confirmation_is_passed_over() {
    let entries = [entry(VISA, 0x81), entry(MASTERCARD, 2)];
    assert_eq!(selected(&entries).await, [MASTERCARD]);
}

#[tokio::test]
async fn next_applications_of_one_name_are_found_and_a_card_without_end_is_left() {
    let information = |name: &[u8]| {
        let len = u8::try_from(name.len()).unwrap();
        let content = [&[0x84, len], name].concat();
        with_status(&[&[0x6F, len + 2][..], &content].concat())
    };
    let mut next = Command::select(VISA);
    next.p2 = 0x02;
    let mut told = Told {
        answers: vec![
            (
                Command::select(VISA).to_bytes().unwrap(),
                information(VISA_LONGER),
            ),
            (next.to_bytes().unwrap(), information(&[VISA, &[0x02]].concat())),
        ],
        asked: Vec::new(),
    };
    let host = host_of_none().await;
    pay(&mut told, shop(&["A0000000031010*"]), &host).await;
    let nexts = told.asked.iter().filter(|apdu| apdu[..4] == [0, 0xA4, 4, 2]);
    assert_eq!(nexts.count(), 15);
    assert!(told.asked.len() < 25, "{}", told.asked.len());
}

#[tokio::test]
async fn a_card_that_is_blocked_or_knows_no_select_is_asked_once() {
    let mut told = Told {
        answers: vec![(
            Command::select(b"1PAY.SYS.DDF01").to_bytes().unwrap(),
            vec![0x6A, 0x81],
        )],
        asked: Vec::new(),
    };
    let host = host_of_none().await;
    let journey = pay(&mut told, TerminalProfile::corner_shop(), &host).await;
    assert_eq!(told.asked.len(), 1);
    assert_eq!(journey.outcome.display, ["CARD NOT ACCEPTED"]);
    let last = journey.trace.last().unwrap();
    assert_eq!(last.title, "card and terminal have no application in common");
}

#[test]
fn the_products_shops_take_every_product_card() {
    let profile = TerminalProfile::corner_shop();
    for scheme in Scheme::ALL {
        let aid = CardProfile::of(scheme).aid;
        let taken = profile.applications.iter().any(|known| known.takes(&aid));
        assert!(taken, "{scheme:?}");
    }
    assert!(profile.applications.iter().any(|known| known.takes(&AID_PINWARD)));
}
