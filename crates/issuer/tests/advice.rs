//! What is told after the fact: advices, and results from hosts that speak JSON. Evidence without an answer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use cards::{CardState, Programme, Scheme};
use emv::{
    field55::CryptogramKind,
    script::{ScriptOutcome, ScriptResult},
    tags::TAG_9F5B_SCRIPT_RESULTS,
    tlv,
};
use issuer::{
    authorise::{AuthorisationRequest, CardEntry, Decision, PinCheck, RequestKind},
    chip_results::{ChipResults, ChipResultsOutcome, TransactionEnd, take_chip_results},
};
use tempfile::TempDir;

use common::{
    Bank, NOW, Spoil, TRIES_MAX, TestCard,
    bare_chip::{BareChip, INSERTED, Manner},
    programme, zone_pin,
};

const FIRST_PIN: &str = "7394";
const NEW_PIN: &str = "2580";

/// The chip approves by itself, or after the issuer's answer.
const COMPLETED: Manner = Manner {
    kind: CryptogramKind::Tc,
    ..INSERTED
};

#[tokio::test]
async fn an_advice_of_a_later_transaction_proves_the_script() {
    for scheme in Scheme::ALL {
        let mut story = Story::of_sent_script(scheme, true).await;
        let field_55 = story.chip.speak(COMPLETED).field_55;
        let advice = story.advice(field_55);
        let answer = story.bank.decide(&advice).await;
        assert_eq!((answer.decision, answer.chip), (Decision::Approved, None));
        assert_eq!(answer.checked.cryptogram_valid, Some(true));
        assert_eq!(story.state().await.chip.known(), Some(2), "{scheme:?}");
        assert_eq!(story.outcomes().await, ["applied"]);
    }
}

#[tokio::test]
async fn an_advice_may_come_late_and_still_prove() {
    let mut story = Story::of_sent_script(Scheme::VisaCvn18, true).await;
    let late = story.chip.speak(COMPLETED).field_55;
    story.chip.atc += 3;
    let tap = Manner {
        entry_mode: Some(0x07),
        ..INSERTED
    };
    story.chip.script_commands = 0;
    let tapped = story.chip.speak(tap).field_55;
    let request = story
        .bank
        .request(&story.card, CardEntry::Contactless, Some(tapped));
    let answer = story.bank.decide(&request).await;
    assert_eq!(
        answer.chip, None,
        "a tap isn't authenticated to while a script is in flight"
    );
    let atc_last = story.state().await.atc_last;

    let advice = story.advice(late);
    assert_eq!(story.bank.decide(&advice).await.decision, Decision::Approved);
    let state = story.state().await;
    assert_eq!(state.chip.known(), Some(2));
    assert_eq!(state.atc_last, atc_last, "the highest counter stays");
}

#[tokio::test]
async fn an_advice_compares_no_pin_and_refuses_nothing() {
    let mut story = Story::of_sent_script(Scheme::VisaCvn18, false).await;
    let spoken = story.chip.speak(COMPLETED).field_55;
    let rows: [(&str, Spoil); 5] = [
        ("a wrong PIN", |advice| {
            advice.pin = Some(zone_pin(&advice.pan, "1111"))
        }),
        ("an amount far above the limit", |advice| {
            advice.amount_minor = 99_999_999
        }),
        ("another currency", |advice| advice.currency = 840),
        ("no chip data", |advice| advice.chip = None),
        ("chip data that can't be read", |advice| {
            advice.chip = Some(vec![0x9F])
        }),
    ];
    for (what, spoil) in rows {
        let mut advice = story.advice(spoken.clone());
        spoil(&mut advice);
        let answer = story.bank.decide(&advice).await;
        assert_eq!(answer.decision, Decision::Approved, "{what}");
        assert_eq!(answer.checked.pin, PinCheck::NotCompared, "{what}");
        assert_eq!((answer.chip, answer.approval_code), (None, None), "{what}");
        assert_eq!(story.state().await.tries.left(), TRIES_MAX, "{what}");
    }
    let journal = story.bank.journal().await;
    let advices: Vec<&str> = journal
        .iter()
        .filter(|record| record.kind == "advice")
        .map(|record| record.detail.as_str())
        .collect();
    assert_eq!(advices.len(), rows.len(), "each is on record");
    assert!(advices[4].contains("chip_data"), "{}", advices[4]);
}

#[tokio::test]
async fn a_forged_advice_proves_nothing() {
    let mut story = Story::of_sent_script(Scheme::VisaCvn18, false).await;
    story.chip.script_commands = 1;
    let mut field_55 = story.chip.speak(COMPLETED).field_55;
    let place = field_55.windows(2).position(|tag| tag == [0x9F, 0x26]).unwrap();
    field_55[place + 3] ^= 1;
    let before = story.state().await;
    let answer = story.bank.decide(&story.advice(field_55)).await;
    assert_eq!(answer.checked.cryptogram_valid, Some(false));
    assert_eq!(story.state().await, before);
}

#[tokio::test]
async fn what_the_terminal_of_an_advice_claims_is_reported_and_no_more() {
    let mut story = Story::of_sent_script(Scheme::VisaCvn18, false).await;
    story.chip.atc -= 1;
    let mut field_55 = story.chip.speak(COMPLETED).field_55;
    tlv::put(&mut field_55, TAG_9F5B_SCRIPT_RESULTS, &successful());
    let advice = story.advice(field_55);
    story.bank.decide(&advice).await;
    assert_eq!(story.outcomes().await, ["reported"]);
    assert_eq!(story.state().await.chip.known(), None);
}

#[tokio::test]
async fn results_are_evidence_only_where_the_chip_signed_them() {
    let mut story = Story::of_sent_script(Scheme::VisaCvn18, true).await;
    let mut told = story.results(Some(TransactionEnd::Completed));
    told.script_results = Some(successful().to_vec());
    assert_eq!(story.take(&told).await, accepted(None));
    assert_eq!(story.outcomes().await, ["reported"]);
    assert_eq!(story.state().await.chip.known(), None);

    let mut forged = story.results(Some(TransactionEnd::Completed));
    forged.chip = Some(story.chip.speak(COMPLETED).field_55);
    let place = forged
        .chip
        .as_ref()
        .unwrap()
        .windows(2)
        .position(|tag| tag == [0x9F, 0x26]);
    forged.chip.as_mut().unwrap()[place.unwrap() + 3] ^= 1;
    assert_eq!(story.take(&forged).await, accepted(Some(false)));
    assert_eq!(story.state().await.chip.known(), None);

    let mut signed = story.results(None);
    signed.chip = Some(story.chip.speak(COMPLETED).field_55);
    assert_eq!(story.take(&signed).await, accepted(Some(true)));
    assert_eq!(story.take(&signed).await, accepted(Some(true)), "a repeat");
    let state = story.state().await;
    assert_eq!(state.chip.known(), Some(2));
    assert_eq!(story.outcomes().await, ["applied"]);
}

#[tokio::test]
async fn a_reversal_among_the_results_leaves_the_chip_unknown_and_the_hosts_pin_alone() {
    let story = Story::of_sent_script(Scheme::MastercardCvn16, false).await;
    let reversed = story.results(Some(TransactionEnd::Reversed));
    assert_eq!(story.take(&reversed).await, accepted(None));
    let state = story.state().await;
    assert!(state.script.in_flight.unwrap().reversed);
    assert_eq!((state.chip.known(), state.host.version), (None, 2));
    assert_eq!(story.outcomes().await, ["unknown"]);
}

#[tokio::test]
async fn a_reversal_that_comes_first_has_its_authorisation_declined() {
    let mut story = Story::of_sent_script(Scheme::VisaCvn18, false).await;
    let field_55 = story.chip.speak(INSERTED).field_55;
    let late = story
        .bank
        .request(&story.card, CardEntry::Contact, Some(field_55));
    let reversed = ChipResults {
        end: Some(TransactionEnd::Reversed(late.message.identity)),
        ..story.results(None)
    };
    assert_eq!(story.take(&reversed).await, accepted(None));
    assert_eq!(story.bank.decide(&late).await.decision, Decision::ReversedBefore);
}

#[tokio::test]
async fn results_of_nothing_known_are_refused() {
    let story = Story::of_sent_script(Scheme::VisaCvn18, false).await;
    let told = story.results(Some(TransactionEnd::Completed));
    let unknown = ChipResults {
        end: Some(TransactionEnd::Completed([9; 16])),
        ..told.clone()
    };
    assert_eq!(story.take(&unknown).await, ChipResultsOutcome::UnknownOriginal);
    let stranger = ChipResults {
        pan: cards::Pan::parse("4761739001010010").unwrap(),
        ..told.clone()
    };
    assert_eq!(story.take(&stranger).await, ChipResultsOutcome::UnknownCard);
    story.take(&told).await;
    let mut differs = told;
    differs.message.content[31] ^= 1;
    assert_eq!(story.take(&differs).await, ChipResultsOutcome::DuplicateDiffers);
}

/// A card whose changed PIN has gone out in an answer.
struct Story {
    bank: Bank,
    card: TestCard,
    chip: BareChip,
    /// The request that the script rode on.
    carrier: AuthorisationRequest,
    _directory: TempDir,
}

impl Story {
    async fn of_sent_script(scheme: Scheme, arrived: bool) -> Self {
        let directory = TempDir::new_in("/dev/shm").unwrap();
        let programme = Programme {
            scheme,
            ..programme()
        };
        let (bank, mut cards) = Bank::found(directory.path(), programme, 1, FIRST_PIN).await;
        let card = cards.remove(0);
        let mut chip = BareChip::new(scheme, &card.pan, FIRST_PIN);
        bank.change_in_portal(&card, FIRST_PIN, NEW_PIN).await;
        let spoken = chip.speak(INSERTED);
        let carrier = bank.request(&card, CardEntry::Contact, Some(spoken.field_55.clone()));
        let answer = bank.decide(&carrier).await;
        if arrived {
            chip.take(&spoken, &answer.chip.unwrap());
            assert_eq!(chip.pin, NEW_PIN);
        }
        Self {
            bank,
            card,
            chip,
            carrier,
            _directory: directory,
        }
    }

    fn advice(&self, field_55: Vec<u8>) -> AuthorisationRequest {
        AuthorisationRequest {
            kind: RequestKind::Advice,
            ..self.bank.request(&self.card, CardEntry::Contact, Some(field_55))
        }
    }

    fn results(&self, end: Option<fn([u8; 16]) -> TransactionEnd>) -> ChipResults {
        ChipResults {
            message: self.bank.request(&self.card, CardEntry::Contact, None).message,
            pan: self.card.pan.clone(),
            end: end.map(|end| end(self.carrier.message.identity)),
            script_results: None,
            chip: None,
            link: "api".into(),
        }
    }

    async fn take(&self, results: &ChipResults) -> ChipResultsOutcome {
        take_chip_results(&self.bank.desk, results, NOW).await.unwrap()
    }

    async fn state(&self) -> CardState {
        self.bank.state(&self.card).await
    }

    async fn outcomes(&self) -> Vec<String> {
        let attempts = self.bank.desk.store.attempts(self.card.row).await.unwrap();
        attempts.into_iter().map(|attempt| attempt.outcome).collect()
    }
}

fn successful() -> [u8; 5] {
    ScriptResult {
        outcome: ScriptOutcome::Successful,
        failed_command: 0,
        id: [0; 4],
    }
    .to_bytes()
}

fn accepted(cryptogram_valid: Option<bool>) -> ChipResultsOutcome {
    ChipResultsOutcome::Accepted { cryptogram_valid }
}
