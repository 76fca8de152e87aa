//! Terminals of every kind with a card that can be authenticated: what they do offline, and what they tell the host of it.

use std::sync::OnceLock;

use emv::bits::{Tvr, TvrBit};
use emv::cvm::CvmMethod;
use emv::field55::Field55;
use emv::iad::VisaIad;
use emv::tags::TAG_9F4B_SIGNED_DYNAMIC_DATA;
use emv::tlv;
use sim::acquirer::Acquirer;
use sim::bureau::test_ca::TestCa;
use sim::card::certified_key::CertifiedKey;
use sim::card::chip::{Chip, Interface};
use sim::card::perso::Perso;
use sim::card::tear::Tear;
use sim::rsa::RsaPrivateKey;
use sim::terminal::contact::Contact;
use sim::terminal::deal::Deal;
use sim::terminal::journey::{Faults, Journey, ScriptReport, Trouble};
use sim::terminal::profile::TerminalProfile;
use sim::terminal::slot::Card;

use crate::host::{Host, Orders, Script};
use crate::issuer::{Folder, new_card, pin};

/// A card with a key (always the same: making one takes long), and a change to that key's data before the card is used.
fn certified(change: impl Fn(&mut Perso)) -> Folder {
    static MADE: OnceLock<CertifiedKey> = OnceLock::new();
    let folder = new_card(Some("7391"));
    let mut perso = Perso::read(&folder.perso).unwrap();
    let key = MADE.get_or_init(|| {
        let mut perso = Perso::read(&folder.perso).unwrap();
        TestCa::built_in().certify(&mut perso).unwrap();
        perso.certified_key.unwrap()
    });
    perso.certified_key = Some(key.clone());
    change(&mut perso);
    perso.write(&folder.perso).unwrap();
    folder
}

async fn pay(folder: &Folder, terminal: &str, keyed: &[&str], host: &Host) -> Journey {
    let keyed: Vec<_> = keyed.iter().map(|digits| pin(digits)).collect();
    let acquirer = host.acquirer();
    at(terminal, &acquirer).run(&mut folder.chip(), &keyed).await
}

fn at<'a>(terminal: &str, acquirer: &'a Acquirer) -> Contact<'a> {
    Contact {
        profile: TerminalProfile::open(terminal).unwrap(),
        deal: Deal::Sale(1250),
        new_pin: None,
        acquirer,
        faults: Faults::default(),
    }
}

/// What the only request told: TVR, method of verification, DE22, DE25, whether DE52 was there, and the chip's own word.
struct Told {
    tvr: Tvr,
    method: CvmMethod,
    entry: String,
    condition: String,
    online_pin: bool,
    verified_by_chip: bool,
}

fn told(host: &Host) -> Told {
    let [request] = host.got().try_into().expect("one request");
    let field = Field55::parse(request.field(55).unwrap()).unwrap();
    let text = |number| String::from_utf8(request.field(number).unwrap().to_vec()).unwrap();
    Told {
        tvr: field.tvr,
        method: field.cvm_results.unwrap().rule.method,
        entry: text(22),
        condition: text(25),
        online_pin: request.field(52).is_some(),
        verified_by_chip: VisaIad::parse(field.iad).unwrap().cvr.offline_pin_verified(),
    }
}

fn titles(journey: &Journey) -> Vec<&str> {
    journey.trace.iter().map(|step| step.title.as_str()).collect()
}

#[tokio::test]
async fn a_shop_enciphers_the_pin_and_takes_the_cryptogram_inside_a_signature() {
    let host = Host::start("ascii-1987").await;
    let journey = pay(&certified(|_| ()), "corner-shop", &["7391"], &host).await;
    assert!(journey.outcome.approved, "{:?}", journey.outcome);
    assert!(titles(&journey).contains(&"the card is authentic (CDA)"));
    let told = told(&host);
    assert_eq!(told.tvr, Tvr::default().with(TvrBit::FloorLimitExceeded));
    assert_eq!(told.method, CvmMethod::EncipheredPinOffline);
    assert!(told.verified_by_chip);
    let json = serde_json::to_string(&journey.trace).unwrap();
    assert!(!json.contains("7391FF"));
    // The account can be read in the card's certificate.
    let certificate = journey.trace.iter().flat_map(|step| &step.lines);
    let mut certificate = certificate.filter(|(label, _)| label.contains("9F46"));
    assert_eq!(certificate.next().unwrap().1, "not shown");
}

/// A card that is copied, or changed on its way, after its first cryptogram: a bit of its last signature is another.
struct Swapped {
    chip: Chip,
    cryptograms: usize,
}

impl Card for Swapped {
    fn power_on(&mut self, interface: Interface) {
        self.chip.power_on(interface);
    }

    fn power_off(&mut self) {
        self.chip.power_off();
    }

    fn tear(&mut self, tear: Tear) {
        self.chip.tear(tear);
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        let mut answer = self.chip.transmit(apdu);
        self.cryptograms += usize::from(apdu[1] == 0xAE);
        let signed = tlv::find(&answer[..answer.len() - 2], TAG_9F4B_SIGNED_DYNAMIC_DATA);
        if self.cryptograms == 2 && matches!(signed, Ok(Some(_))) {
            let at = answer.len() - 40;
            answer[at] ^= 1;
        }
        answer
    }
}

#[tokio::test]
async fn the_second_cryptogram_is_signed_as_well_and_declines_where_its_signature_fails() {
    let host = Host::start("ascii-1987").await;
    let script = || Orders {
        script: Some(Script::Change("9876")),
        ..Orders::default()
    };
    host.order(script());
    let folder = certified(|_| ());
    let journey = pay(&folder, "corner-shop", &["7391"], &host).await;
    assert!(journey.outcome.approved, "{:?}", journey.outcome);
    let authentic = titles(&journey);
    let authentic = authentic
        .iter()
        .filter(|title| **title == "the card is authentic (CDA)");
    assert_eq!(authentic.count(), 2);
    assert_eq!(host.got().len(), 1);

    host.order(script());
    let folder = certified(|_| ());
    let mut card = Swapped {
        chip: folder.chip(),
        cryptograms: 0,
    };
    let acquirer = host.acquirer();
    let journey = at("corner-shop", &acquirer).run(&mut card, &[pin("7391")]).await;
    assert!(!journey.outcome.approved);
    assert_eq!(journey.outcome.trouble, Some(Trouble::CardNotAuthentic));
    assert_eq!(journey.outcome.script, Some(ScriptReport::Successful));
    let [request, reversal] = host.got().try_into().unwrap();
    assert_eq!(
        (&request.mti.digits(), &reversal.mti.digits()),
        (b"0100", b"0420")
    );
    assert!(reversal.field(55).is_some(), "the script's result");
}

#[tokio::test]
async fn a_wrong_enciphered_pin_costs_a_try_and_is_told() {
    let host = Host::start("ascii-1987").await;
    let folder = certified(|_| ());
    let journey = pay(&folder, "corner-shop", &["0000"], &host).await;
    assert_eq!(journey.outcome.pin_tries_left, Some(2));
    assert!(host.got().is_empty());
    assert!(
        pay(&folder, "corner-shop", &["0000", "7391"], &host)
            .await
            .outcome
            .approved
    );
}

#[tokio::test]
async fn a_shop_that_only_sends_pins_to_the_bank_authenticates_by_dda() {
    let host = Host::start("ascii-1987").await;
    let journey = pay(&certified(|_| ()), "online-pin-shop", &["7391"], &host).await;
    assert!(journey.outcome.approved);
    assert!(titles(&journey).contains(&"the card is authentic (DDA)"));
    let told = told(&host);
    assert!(told.online_pin && !told.verified_by_chip);
    assert_eq!(told.method, CvmMethod::PinOnline);
    let wanted = Tvr::default()
        .with(TvrBit::FloorLimitExceeded)
        .with(TvrBit::OnlinePinEntered);
    assert_eq!(told.tvr, wanted);
}

#[tokio::test]
async fn a_pump_without_a_pin_pad_asks_for_none() {
    let host = Host::start("ascii-1987").await;
    let journey = pay(&certified(|_| ()), "fuel-pump", &["7391"], &host).await;
    assert!(journey.outcome.approved);
    let told = told(&host);
    assert_eq!((told.entry.as_str(), told.condition.as_str()), ("052", "02"));
    assert_eq!(told.method, CvmMethod::NoCvm);
    assert!(!told.online_pin && !told.verified_by_chip);
}

#[tokio::test]
async fn a_kiosk_that_never_goes_online_sends_nothing() {
    let host = Host::start("ascii-1987").await;
    let journey = pay(&certified(|_| ()), "offline-kiosk", &["7391"], &host).await;
    assert!(!journey.outcome.approved);
    assert_eq!(
        journey.outcome.display.last().unwrap(),
        "DECLINED, CARD WANTS ITS BANK"
    );
    assert!(host.got().is_empty());
}

#[tokio::test]
async fn a_card_whose_certificate_fails_is_told_and_goes_online_all_the_same() {
    for (terminal, failed) in [
        ("corner-shop", TvrBit::CdaFailed),
        ("online-pin-shop", TvrBit::DdaFailed),
    ] {
        let host = Host::start("ascii-1987").await;
        let folder = certified(|perso| {
            let key = perso.certified_key.as_mut().unwrap();
            *key.icc_certificate.last_mut().unwrap() ^= 1;
        });
        let journey = pay(&folder, terminal, &["7391"], &host).await;
        assert!(journey.outcome.approved, "{terminal}");
        let told = told(&host);
        assert!(told.tvr.has(failed), "{terminal}");
        assert!(!told.tvr.has(TvrBit::OfflineDataAuthenticationNotPerformed));
        // Without the card's key no PIN can be enciphered: the next method of the list is taken.
        let method = told.method;
        assert_ne!(method, CvmMethod::EncipheredPinOffline, "{terminal}");
        assert_ne!(method, CvmMethod::NoCvm, "{terminal}");
    }
}

#[tokio::test]
async fn a_card_of_an_unknown_authority_lacks_data() {
    let host = Host::start("ascii-1987").await;
    let folder = certified(|perso| perso.certified_key.as_mut().unwrap().ca_index = 0x99);
    assert!(
        pay(&folder, "corner-shop", &["7391"], &host)
            .await
            .outcome
            .approved
    );
    let told = told(&host);
    assert!(told.tvr.has(TvrBit::CdaFailed) && told.tvr.has(TvrBit::IccDataMissing));
}

#[tokio::test]
async fn a_copy_without_the_cards_key_is_declined_where_the_cryptogram_is_signed_and_told_elsewhere() {
    let copy = || {
        certified(|perso| {
            perso.certified_key.as_mut().unwrap().key = RsaPrivateKey::generate(128).unwrap();
        })
    };
    let host = Host::start("ascii-1987").await;
    let journey = pay(&copy(), "fuel-pump", &[], &host).await;
    assert!(!journey.outcome.approved);
    assert_eq!(journey.outcome.display, ["CARD NOT AUTHENTIC"]);
    assert!(host.got().is_empty());
    let journey = pay(&copy(), "online-pin-shop", &["7391"], &host).await;
    assert!(journey.outcome.approved);
    assert!(told(&host).tvr.has(TvrBit::DdaFailed));
}

#[tokio::test]
async fn a_card_without_a_key_is_not_authenticated() {
    let host = Host::start("ascii-1987").await;
    let journey = pay(&new_card(Some("7391")), "corner-shop", &["7391"], &host).await;
    assert!(journey.outcome.approved);
    let told = told(&host);
    assert!(told.tvr.has(TvrBit::OfflineDataAuthenticationNotPerformed));
    assert_eq!(told.method, CvmMethod::PlaintextPinOffline);
}
