//! Each fraud signal: named in the answer, on record with what followed, and declined where the programme says so.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use cards::{FraudAction, FraudRules, FraudSignal, Programme, Scheme};
use issuer::authorise::{AuthorisationAnswer, Authority, CardEntry, Decision};
use tempfile::TempDir;

use common::{
    Bank, TestCard,
    bare_chip::{BareChip, INSERTED, Manner},
    programme,
    terminal::CLAIMS_OFFLINE_PIN,
    zone_pin,
};

const PIN: &str = "7394";

#[tokio::test]
async fn a_signal_is_told_and_on_record_and_declines_by_the_programmes_table() {
    for (signal, decision) in [
        (FraudSignal::Wedge, Decision::OfflinePinClaimFalse),
        (FraudSignal::AtcFarAhead, Decision::CounterFarAhead),
        (
            FraudSignal::RepeatedUnpredictableNumber,
            Decision::UnpredictableNumberRepeated,
        ),
        (FraudSignal::EntryModeDisagrees, Decision::EntryModeDisagrees),
        (FraudSignal::AmountDiffers, Decision::AmountDiffers),
        (FraudSignal::Fallback, Decision::FallbackRefused),
    ] {
        for action in [FraudAction::Allow, FraudAction::Decline] {
            let mut shop = Shop::open(rules(signal, action)).await;
            shop.present(INSERTED).await;
            let answer = shop.provoke(signal).await;
            let expected = match action {
                FraudAction::Allow => Decision::Approved,
                FraudAction::Decline => decision,
            };
            assert_eq!(answer.decision, expected, "{signal:?} {action:?}");
            assert_eq!(answer.signals, [signal], "{action:?}");
            let named = match action {
                FraudAction::Allow => "allow",
                FraudAction::Decline => "decline",
            };
            let recorded = format!(r#"{{"signal":"{}","action":"{named}"}}"#, signal.name());
            assert_eq!(shop.recorded().await, [recorded]);
        }
    }
}

#[tokio::test]
async fn a_counter_that_is_behind_is_always_declined() {
    let everything_allowed = FraudRules {
        wedge: FraudAction::Allow,
        ..FraudRules::default()
    };
    let mut shop = Shop::open(everything_allowed).await;
    shop.chip.atc = 8;
    shop.present(INSERTED).await;
    shop.chip.atc = 5;
    let answer = shop.present(INSERTED).await;
    assert_eq!(answer.decision, Decision::CryptogramReplayed);
    assert_eq!(answer.signals, [FraudSignal::AtcBehind]);
    assert_eq!(
        shop.recorded().await,
        [r#"{"signal":"atc_behind","action":"decline"}"#]
    );
}

#[tokio::test]
async fn honest_transactions_raise_no_signal() {
    let mut shop = Shop::open(FraudRules::default()).await;
    let offline_pin = Manner {
        claim: CLAIMS_OFFLINE_PIN,
        offline_pin: true,
        ..INSERTED
    };
    let no_entry_mode = Manner {
        entry_mode: None,
        ..INSERTED
    };
    for _ in 0..20 {
        for manner in [INSERTED, offline_pin, no_entry_mode] {
            let answer = shop.present(manner).await;
            assert_eq!(
                (answer.decision, answer.signals),
                (Decision::Approved, Vec::new())
            );
        }
        shop.chip.atc += 400;
    }
    assert!(shop.recorded().await.is_empty());
}

#[tokio::test]
async fn a_retransmission_is_no_repeated_number_and_a_forger_cant_raise_signals() {
    let mut shop = Shop::open(FraudRules::default()).await;
    let spoken = shop.chip.speak(INSERTED);
    let request = shop
        .bank
        .request(&shop.card, CardEntry::Contact, Some(spoken.field_55));
    for _ in 0..3 {
        let answer = shop.bank.decide(&request).await;
        assert!(answer.signals.is_empty());
    }
    let fixed = Manner {
        unpredictable_number: Some([7; 4]),
        claim: CLAIMS_OFFLINE_PIN,
        ..INSERTED
    };
    for ahead in [1_000, 0] {
        let mut forged = BareChip::new(
            Scheme::VisaCvn18,
            &cards::Pan::parse("4761739001010010").unwrap(),
            PIN,
        );
        forged.atc = ahead;
        let field_55 = forged.speak(fixed).field_55;
        let request = shop.bank.request(&shop.card, CardEntry::Contact, Some(field_55));
        let answer = shop.bank.decide(&request).await;
        assert_eq!(
            (answer.decision, answer.signals),
            (Decision::CryptogramInvalid, Vec::new())
        );
    }
    assert!(shop.recorded().await.is_empty());
}

#[tokio::test]
async fn a_declined_signal_of_the_message_keeps_the_pin_from_being_compared() {
    let fallback = FraudRules {
        fallback: FraudAction::Decline,
        ..FraudRules::default()
    };
    let shop = Shop::open(fallback).await;
    let mut request = shop.bank.request(&shop.card, CardEntry::Fallback, None);
    request.pin = Some(zone_pin(&shop.card.pan, "1111"));
    let answer = shop.bank.decide(&request).await;
    assert_eq!(answer.decision, Decision::FallbackRefused);
    assert_eq!(shop.bank.state(&shop.card).await.tries.left(), common::TRIES_MAX);
}

fn rules(signal: FraudSignal, action: FraudAction) -> FraudRules {
    let mut rules = FraudRules::default();
    let place = match signal {
        FraudSignal::Wedge => &mut rules.wedge,
        FraudSignal::AtcFarAhead => &mut rules.atc_far_ahead,
        FraudSignal::RepeatedUnpredictableNumber => &mut rules.repeated_unpredictable_number,
        FraudSignal::EntryModeDisagrees => &mut rules.entry_mode_disagrees,
        FraudSignal::AmountDiffers => &mut rules.amount_differs,
        FraudSignal::Fallback => &mut rules.fallback,
        FraudSignal::AtcBehind => panic!("it has no setting"),
    };
    *place = action;
    rules
}

/// A shop with one card, and a programme that compares PINs without a chip too.
struct Shop {
    bank: Bank,
    card: TestCard,
    chip: BareChip,
    _directory: TempDir,
}

impl Shop {
    async fn open(fraud: FraudRules) -> Self {
        let directory = TempDir::new_in("/dev/shm").unwrap();
        let programme = Programme {
            pin_without_chip: true,
            fraud,
            ..programme()
        };
        let (bank, mut cards) = Bank::found(directory.path(), programme, 1, PIN).await;
        let card = cards.remove(0);
        let chip = BareChip::new(Scheme::VisaCvn18, &card.pan, PIN);
        Self {
            bank,
            card,
            chip,
            _directory: directory,
        }
    }

    async fn present(&mut self, manner: Manner) -> AuthorisationAnswer {
        let field_55 = self.chip.speak(manner).field_55;
        let request = self.bank.request(&self.card, CardEntry::Contact, Some(field_55));
        self.bank.decide(&request).await
    }

    /// A transaction that shows this and nothing else.
    async fn provoke(&mut self, signal: FraudSignal) -> AuthorisationAnswer {
        let manner = match signal {
            FraudSignal::Wedge => Manner {
                claim: CLAIMS_OFFLINE_PIN,
                ..INSERTED
            },
            FraudSignal::EntryModeDisagrees => Manner {
                entry_mode: Some(0x07),
                ..INSERTED
            },
            FraudSignal::RepeatedUnpredictableNumber => Manner {
                unpredictable_number: Some([0x5A, 0xC0, 0, 1]),
                ..INSERTED
            },
            FraudSignal::AtcFarAhead => {
                self.chip.atc += 500;
                INSERTED
            }
            FraudSignal::AmountDiffers => {
                let field_55 = self.chip.speak(INSERTED).field_55;
                let mut request = self.bank.request(&self.card, CardEntry::Contact, Some(field_55));
                request.authority = Authority::Elsewhere;
                request.amount_minor += 1;
                return self.bank.decide(&request).await;
            }
            FraudSignal::Fallback => {
                let mut request = self.bank.request(&self.card, CardEntry::Fallback, None);
                request.pin = Some(zone_pin(&self.card.pan, PIN));
                return self.bank.decide(&request).await;
            }
            FraudSignal::AtcBehind => panic!("has a test of its own"),
        };
        self.present(manner).await
    }

    /// The details of all signals in the journal.
    async fn recorded(&self) -> Vec<String> {
        let journal = self.bank.journal().await;
        let signals = journal.into_iter().filter(|record| record.kind == "fraud_signal");
        signals.map(|record| record.detail).collect()
    }
}
