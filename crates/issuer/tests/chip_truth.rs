//! The chip's PIN is never known wrongly (I7): random lives of cards of every profile, through the acts and the software
//! HSM, against chips that the test can look into.
//!
//! `crates/cards/tests/chip_truth.rs` plays every short order of events against a model; this walks long ones with real
//! cryptograms, scripts and records. A failure prints its seed and story.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use cards::{
    CardState, Programme, Report, ReportCounts, ReportKept, Scheme, ScriptKind, ScriptRules, ScriptSent,
    ScriptSettings, ScriptTemplate,
};
use issuer::{
    authorise::{AuthorisationAnswer, AuthorisationRequest, CardEntry, Decision, RequestKind},
    unlock_pin::{self, UnlockPin, unlock_pin},
};
use tempfile::TempDir;

use common::{
    Bank, NOW, TestCard,
    bare_chip::{BareChip, INSERTED, Manner, Spoken},
    dice::Dice,
    programme, terminal,
};

const CARDS: u32 = 8;
const STEPS: usize = 50;
const FIRST_PIN: &str = "7394";

/// More than a walk needs, so that no wish stops.
const ATTEMPTS_MAX: u8 = u8::MAX;

/// How long a chip of the walk reports a script.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reports {
    /// Until an issuer is authenticated in a later transaction.
    ToIssuer,
    /// In one transaction only.
    Once,
    /// With every other script its own final cryptogram ends the report, as template 71 might have it.
    OnceOrNever,
}

#[tokio::test]
async fn with_the_settings_of_its_profile_no_card_is_known_wrongly() {
    for scheme in Scheme::ALL {
        let settings = ScriptSettings {
            attempts_max: Some(ATTEMPTS_MAX),
            ..ScriptSettings::default()
        };
        walk(scheme, settings, Reports::Once).await;
    }
}

#[tokio::test]
async fn with_the_settings_of_its_profile_and_template_71_no_card_is_known_wrongly() {
    for scheme in Scheme::ALL {
        let settings = ScriptSettings {
            attempts_max: Some(ATTEMPTS_MAX),
            template: Some(ScriptTemplate::BeforeFinalAc),
            ..ScriptSettings::default()
        };
        walk(scheme, settings, Reports::OnceOrNever).await;
    }
}

#[tokio::test]
async fn where_reports_last_the_chip_is_known_at_every_insertion() {
    for scheme in Scheme::ALL {
        let counts = match scheme {
            Scheme::CcdTdes | Scheme::CcdAes => ReportCounts::Succeeded,
            Scheme::VisaCvn10
            | Scheme::VisaCvn18
            | Scheme::VisaCvn22
            | Scheme::MastercardCvn16
            | Scheme::MastercardCvn17
            | Scheme::MastercardCvn20
            | Scheme::MastercardCvn21
            | Scheme::InteracCvn133
            | Scheme::Emv2000
            | Scheme::AmexUnverified => ReportCounts::Received,
        };
        let settings = ScriptSettings {
            report: Some(ReportKept::UntilIssuerAuthenticated),
            counts: Some(counts),
            // Two with Mastercard and CCD with TDES, whose second MAC is settled; elsewhere it stays at one.
            commands_max: Some(2),
            // So that CCD has unblocks to put beside a change.
            unblock_by_csu: matches!(scheme, Scheme::CcdTdes | Scheme::CcdAes).then_some(false),
            attempts_max: Some(ATTEMPTS_MAX),
            ..ScriptSettings::default()
        };
        let walked = walk(scheme, settings, Reports::ToIssuer).await;
        let chains = matches!(
            scheme,
            Scheme::MastercardCvn16
                | Scheme::MastercardCvn17
                | Scheme::MastercardCvn20
                | Scheme::MastercardCvn21
                | Scheme::CcdTdes
        );
        assert_eq!(walked.two_commands > 0, chains, "{scheme:?}: {walked:?}");
    }
}

/// The control: rules that trust a report to last, with a chip that forgets it.
#[tokio::test]
#[should_panic(expected = "wrongly")]
async fn a_chip_that_forgets_though_its_rules_say_otherwise_is_found_out() {
    let settings = ScriptSettings {
        report: Some(ReportKept::UntilIssuerAuthenticated),
        attempts_max: Some(ATTEMPTS_MAX),
        ..ScriptSettings::default()
    };
    walk(Scheme::VisaCvn10, settings, Reports::Once).await;
}

/// The control: rules that take a command received for a PIN changed, with a chip that says itself that it wasn't.
#[tokio::test]
#[should_panic(expected = "wrongly")]
async fn a_chip_whose_own_bit_for_a_pin_change_is_ignored_is_found_out() {
    let settings = ScriptSettings {
        attempts_max: Some(ATTEMPTS_MAX),
        pin_change_bit: Some(false),
        ..ScriptSettings::default()
    };
    walk(Scheme::MastercardCvn21, settings, Reports::Once).await;
}

/// The control: rules that believe field 22 where taps are told as insertions.
#[tokio::test]
#[should_panic(expected = "wrongly")]
async fn a_tap_told_as_an_insertion_is_found_out_where_field_22_is_believed() {
    let settings = ScriptSettings {
        report: Some(ReportKept::UntilIssuerAuthenticated),
        attempts_max: Some(ATTEMPTS_MAX),
        contact_by_field_22: Some(true),
        ..ScriptSettings::default()
    };
    walk(Scheme::VisaCvn10, settings, Reports::ToIssuer).await;
}

/// How much a walk has shown.
#[derive(Debug, Default)]
struct Walked {
    scripts: usize,
    two_commands: usize,
    csu: usize,
    disproved: usize,
}

async fn walk(scheme: Scheme, script: ScriptSettings, reports: Reports) -> Walked {
    // In memory: the walk makes thousands of small files durable, and no power is cut here.
    let directory = TempDir::new_in("/dev/shm").unwrap();
    let programme = Programme {
        unlocks_max: std::num::NonZeroU8::MAX,
        scheme,
        script,
        ..programme()
    };
    let rules = programme.script_rules();
    let (bank, cards) = Bank::found(directory.path(), programme, CARDS, FIRST_PIN).await;
    let mut walked = Walked::default();
    for (seed, card) in (1..).zip(&cards) {
        let mut life = Life {
            bank: &bank,
            card,
            chip: BareChip::new(scheme, &card.pan, FIRST_PIN),
            rules,
            reports,
            pins: vec![FIRST_PIN.to_owned()],
            performed: Vec::new(),
            stood_in: Vec::new(),
            reversible: Vec::new(),
            scheme,
            unclear: false,
            walked: Walked::default(),
            seed,
            dice: Dice(seed),
            told: Vec::new(),
        };
        for _ in 0..STEPS {
            life.step().await;
            life.check().await;
        }
        life.settle().await;
        life.check_attempts().await;
        walked.scripts += life.walked.scripts;
        walked.two_commands += life.walked.two_commands;
        walked.csu += life.walked.csu;
        walked.disproved += life.walked.disproved;
    }
    let by_csu = rules.unblock_by_csu;
    assert!(walked.scripts > 30, "{scheme:?}: {walked:?}");
    assert_eq!(walked.csu > 0, by_csu, "{scheme:?}: {walked:?}");
    let disproves = rules.report != ReportKept::Unreliable;
    assert_eq!(walked.disproved > 0, disproves, "{scheme:?}: {walked:?}");
    walked
}

/// One card's life, and what the test knows of it.
struct Life<'a> {
    bank: &'a Bank,
    scheme: Scheme,
    card: &'a TestCard,
    chip: BareChip,
    rules: ScriptRules,
    reports: Reports,
    /// PIN of each version, from 1.
    pins: Vec<String>,
    /// Attempts that the chip performed.
    performed: Vec<u32>,
    /// Transactions that somebody answered for us, to be advised.
    stood_in: Vec<Vec<u8>>,
    /// Requests whose answers carried a script and that may still be taken back.
    reversible: Vec<AuthorisationRequest>,
    /// A failure left the chip's PIN open.
    unclear: bool,
    walked: Walked,
    seed: u64,
    dice: Dice,
    /// What happened, for a failure's message.
    told: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Delivered {
    Whole,
    WholeThenReversed,
    Lost,
    LostAndReversed,
    PulledBeforeScript,
    PulledAfterFirstCommand,
    CommandSpoiled,
    /// Of chips that say themselves whether their PIN was changed.
    TornInCommand,
}

const DELIVERIES: [Delivered; 11] = [
    Delivered::Whole,
    Delivered::Whole,
    Delivered::Whole,
    Delivered::Whole,
    Delivered::WholeThenReversed,
    Delivered::Lost,
    Delivered::LostAndReversed,
    Delivered::PulledBeforeScript,
    Delivered::PulledAfterFirstCommand,
    Delivered::CommandSpoiled,
    Delivered::TornInCommand,
];

/// Tag 9F66, as contactless terminals of Visa send it.
const CONTACTLESS: [u8; 7] = [0x9F, 0x66, 0x04, 0x36, 0x00, 0x40, 0x00];

impl Life<'_> {
    async fn step(&mut self) {
        match self.dice.throw(20) {
            0..10 => {
                let delivered = DELIVERIES[self.dice.throw(DELIVERIES.len())];
                // One terminal in four doesn't send 9F39.
                let entry_mode = (self.dice.throw(4) > 0).then_some(0x05);
                self.inserted(delivered, entry_mode).await;
            }
            10 => self.tapped().await,
            11 => {
                self.told.push("request lost".into());
                self.speak(INSERTED);
            }
            12 => {
                self.told.push("stood in".into());
                let spoken = self.speak(INSERTED);
                self.stood_in.push(spoken.field_55);
            }
            13 => self.advised().await,
            14..17 => self.changed().await,
            17 => self.blocked_and_unlocked().await,
            18 => self.tapped_without_report().await,
            _ => self.reversed_late().await,
        }
    }

    /// The chip's next cryptogram. A forgetful chip reports a script in one transaction only.
    fn speak(&mut self, manner: Manner) -> Spoken {
        let spoken = self.chip.speak(manner);
        if self.reports != Reports::ToIssuer {
            self.chip.forget_report();
        }
        spoken
    }

    async fn inserted(&mut self, delivered: Delivered, entry_mode: Option<u8>) {
        let says_itself = self.rules.report != ReportKept::UntilIssuerAuthenticated && is_mchip(self.scheme);
        let delivered = match delivered {
            Delivered::TornInCommand if !says_itself => Delivered::PulledBeforeScript,
            delivered => delivered,
        };
        self.told.push(format!("inserted {entry_mode:?}, {delivered:?}"));
        let spoken = self.speak(Manner {
            entry_mode,
            ..INSERTED
        });
        let request = self
            .bank
            .request(self.card, CardEntry::Contact, Some(spoken.field_55.clone()));
        let before = self.bank.state(self.card).await;
        let answer = self.bank.decide(&request).await;
        assert_eq!(answer.decision, Decision::Approved, "{}", self.story());
        let state = self.bank.state(self.card).await;
        if entry_mode.is_some() {
            self.check_known(&before, &state).await;
        }
        let rides = riding(state.script.in_flight, &spoken).is_some();
        let data = answer.chip.as_deref().expect("an inserted chip gets an answer");
        match delivered {
            Delivered::Lost => {}
            Delivered::LostAndReversed => self.bank.take_back(self.card, &request).await,
            Delivered::Whole | Delivered::WholeThenReversed => self.take(&spoken, data, usize::MAX, &state),
            Delivered::PulledBeforeScript => self.take(&spoken, data, 0, &state),
            Delivered::PulledAfterFirstCommand => self.take(&spoken, data, 1, &state),
            Delivered::TornInCommand => {
                self.chip.take_torn(&spoken, data);
                self.performed.extend(riding(state.script.csu_in_flight, &spoken));
            }
            Delivered::CommandSpoiled => {
                let bit = self.dice.throw(1 << 12);
                self.chip.take_spoiled(&spoken, data, bit);
                self.performed.extend(riding(state.script.csu_in_flight, &spoken));
            }
        }
        if delivered == Delivered::WholeThenReversed {
            self.bank.take_back(self.card, &request).await;
        } else if rides && delivered != Delivered::LostAndReversed {
            self.reversible.push(request);
        }
    }

    /// A transaction with a script is taken back after later ones; half of the reversals bring a cryptogram of the chip's.
    async fn reversed_late(&mut self) {
        if self.reversible.is_empty() {
            return;
        }
        self.told.push("reversed late".into());
        let request = self
            .reversible
            .swap_remove(self.dice.throw(self.reversible.len()));
        let chip = (self.dice.throw(2) == 0).then(|| self.speak(INSERTED).field_55);
        self.bank.take_back_with(self.card, &request, chip).await;
    }

    /// A tap of an application that reports no scripts, told as an insertion: by a terminal without 9F39, whose kernel's
    /// own data may give it away.
    async fn tapped_without_report(&mut self) {
        self.told.push("tapped without report".into());
        let reported = (
            self.chip.script_commands,
            self.chip.script_failed,
            self.chip.pin_changed,
        );
        self.chip.forget_report();
        let spoken = self.chip.speak(Manner {
            entry_mode: None,
            beside: [&CONTACTLESS[..], &[]][self.dice.throw(2)],
            ..INSERTED
        });
        if self.reports == Reports::ToIssuer {
            (
                self.chip.script_commands,
                self.chip.script_failed,
                self.chip.pin_changed,
            ) = reported;
        }
        self.authorise(CardEntry::Contact, &spoken).await;
    }

    fn take(&mut self, spoken: &Spoken, answer: &[u8], commands_max: usize, state: &CardState) {
        let taken = self.chip.take_until(spoken, answer, commands_max);
        let csu = riding(state.script.csu_in_flight, spoken);
        assert_eq!(taken.tries_set.is_some(), csu.is_some(), "{}", self.story());
        if self.reports == Reports::OnceOrNever && self.dice.throw(2) == 0 {
            self.chip.forget_report();
        }
        self.walked.csu += usize::from(csu.is_some());
        self.walked.scripts += usize::from(taken.commands > 0);
        self.walked.two_commands += usize::from(taken.commands > 1);
        self.performed.extend(csu);
        let script = state.script.in_flight.filter(|sent| sent.atc == spoken.atc);
        let all = |sent: &ScriptSent| taken.commands == usize::from(sent.kind.commands());
        self.performed.extend(script.filter(all).map(|sent| sent.attempt));
    }

    /// Half of the terminals hold the answer to the chip once more, where there is one.
    async fn tapped(&mut self) {
        self.told.push("tapped".into());
        let spoken = self.speak(Manner {
            entry_mode: Some(0x07),
            ..INSERTED
        });
        // DE22 of some terminals says "inserted" all the same.
        let entry = [CardEntry::Contactless, CardEntry::Contact][self.dice.throw(2)];
        let answer = self.authorise(entry, &spoken).await;
        if let Some(answer) = answer.chip.filter(|_| self.dice.throw(2) == 0) {
            assert!(terminal::script(&answer).is_none(), "{}", self.story());
            self.chip.take(&spoken, &answer);
        }
    }

    /// What others answered for us is told late, and not always in its order.
    async fn advised(&mut self) {
        if self.stood_in.is_empty() {
            return;
        }
        self.told.push("advised".into());
        let field_55 = self.stood_in.swap_remove(self.dice.throw(self.stood_in.len()));
        let mut advice = self.bank.request(self.card, CardEntry::Contact, Some(field_55));
        advice.kind = RequestKind::Advice;
        let answer = self.bank.decide(&advice).await;
        assert_eq!(answer.checked.cryptogram_valid, Some(true), "{}", self.story());
        assert_eq!(answer.chip, None, "{}", self.story());
    }

    async fn authorise(&self, entry: CardEntry, spoken: &Spoken) -> AuthorisationAnswer {
        let request = self.bank.request(self.card, entry, Some(spoken.field_55.clone()));
        self.bank.decide(&request).await
    }

    async fn changed(&mut self) {
        self.told.push("PIN changed".into());
        let new = format!("{:04}", 1_000 + self.pins.len());
        let current = self.pins.last().unwrap();
        self.bank.change_in_portal(self.card, current, &new).await;
        self.pins.push(new);
    }

    /// Wrong PINs at a terminal until the chip blocks, and the cardmember unlocks it in the portal.
    async fn blocked_and_unlocked(&mut self) {
        self.told.push("chip blocked and unlocked".into());
        self.chip.pin_blocked = true;
        self.inserted(Delivered::Lost, Some(0x05)).await;
        if !self.bank.state(self.card).await.chip.pin_blocked {
            return;
        }
        self.bank.step_up(self.card, unlock_pin::OPERATION, NOW).await;
        let unlock = UnlockPin {
            card: self.card.row,
            actor: self.card.actor.clone(),
        };
        unlock_pin(&self.bank.desk, unlock, NOW).await.unwrap();
    }

    /// What Pinward thinks includes what is; what it calls known is.
    async fn check(&self) -> CardState {
        let state = self.bank.state(self.card).await;
        let on_chip = self.pins.iter().position(|pin| *pin == self.chip.pin).unwrap() + 1;
        let truth = u32::try_from(on_chip).unwrap();
        let possible = state.chip.possible();
        assert!(
            possible.iter().any(|possible| possible.version == truth),
            "wrongly known: {possible:?} lacks {truth}: {}",
            self.story()
        );
        assert!(
            possible.iter().all(|possible| possible.sealed.is_some()),
            "a PIN that the chip may hold can't be looked up: {}",
            self.story()
        );
        state
    }

    /// Where reports last, an insertion leaves nothing open but what its own answer brings.
    async fn check_known(&mut self, before: &CardState, after: &CardState) {
        if self.rules.report != ReportKept::UntilIssuerAuthenticated {
            return;
        }
        let sent = after
            .script
            .in_flight
            .filter(|sent| after.atc_last == Some(sent.atc));
        let brought = usize::from(sent.is_some_and(|sent| sent.first_of_version));
        let open = after.chip.possible().len() - brought;
        if let Some(ended) = before.script.in_flight {
            // Of two commands one failed: the profile's report can't tell which.
            self.unclear |= ended.kind == ScriptKind::UnblockAndChangePin && open > 1;
        }
        // An answer since may have ended the report.
        self.unclear |= before.script.in_flight.is_some() && before.report == Report::MayHaveEnded;
        self.unclear &= open > 1;
        assert!(open == 1 || self.unclear, "{open} open: {}", self.story());
    }

    /// Two insertions bring the host's PIN to the chip and its word back; one more goes to a report that the chip still
    /// repeats, two to an unblock that goes first.
    async fn settle(&mut self) {
        self.reports = match self.reports {
            Reports::OnceOrNever => Reports::Once,
            reports => reports,
        };
        let state = self.check().await;
        let reports = self.chip.script_commands > 0 || self.chip.script_failed;
        let refused = self.chip.script_failed || state.script.change.is_some_and(|wish| wish.refused);
        let unblock_first = refused && state.script.unblock.is_some();
        for _ in 0..2 + usize::from(reports) + 2 * usize::from(unblock_first) {
            self.inserted(Delivered::Whole, Some(0x05)).await;
            self.check().await;
        }
        let state = self.check().await;
        let latest = u32::try_from(self.pins.len()).unwrap();
        assert_eq!(state.chip.known(), Some(latest), "{}", self.story());
        let wishes = (state.script.change, state.script.unblock);
        assert_eq!(wishes, (None, None), "{}", self.story());
        assert!(!self.chip.pin_blocked, "{}", self.story());
    }

    /// Each attempt on record ended as it says.
    async fn check_attempts(&mut self) {
        for attempt in self.bank.desk.store.attempts(self.card.row).await.unwrap() {
            let performed = self.performed.contains(&attempt.attempt);
            let is_true = match attempt.outcome.as_str() {
                "applied" => performed,
                "failed" | "not_applied" => !performed,
                "sent" | "reported" | "unknown" => true,
                other => panic!("{other}"),
            };
            assert!(is_true, "wrongly told: {attempt:?}: {}", self.story());
            self.walked.disproved += usize::from(attempt.outcome == "not_applied");
        }
    }

    /// For a failure's message: profile and seed are enough to see the same walk again.
    fn story(&self) -> String {
        format!("seed {}, {:?}: {}", self.seed, self.rules, self.told.join(", "))
    }
}

/// The attempt's number, if it rode on this transaction's answer.
fn riding(sent: Option<ScriptSent>, spoken: &Spoken) -> Option<u32> {
    sent.filter(|sent| sent.atc == spoken.atc)
        .map(|sent| sent.attempt)
}

/// Its chips say themselves whether their PIN was changed.
fn is_mchip(scheme: Scheme) -> bool {
    matches!(
        scheme,
        Scheme::MastercardCvn16
            | Scheme::MastercardCvn17
            | Scheme::MastercardCvn20
            | Scheme::MastercardCvn21
            | Scheme::Emv2000
    )
}
