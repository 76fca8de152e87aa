//! Every order of events up to a length, played against a chip that the test can look into (invariant I7).
//!
//! Checked after each event: what the chip holds is among what the card's state calls possible, and each attempt ended as
//! its resolution says. At each insertion: the chip's PIN is known, where the profile's reports last (`ReportKept::
//! UntilIssuerAuthenticated`). From each state: a few undisturbed insertions bring the chip to the host's PIN.
//!
//! The controls weaken one rule each and must find a wrong "known".
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers")]

mod common;

use std::collections::HashSet;
use std::num::NonZeroU8;

use cards::{
    CardState, ChipEvidence, Delivery, NotMade, Occasion, Report, ReportCounts, ReportKept, ScriptEnd,
    ScriptKind, ScriptRules, ScriptTemplate, Unlocks, Wish,
};

use common::{NOW, RULES, TRIES_MAX, card, change, possible, silent};

const EVENTS: [Event; 27] = [
    Event::Inserted(Delivered::Whole),
    Event::Inserted(Delivered::WholeThenReversed),
    Event::Inserted(Delivered::Lost),
    Event::Inserted(Delivered::LostAndReversed),
    Event::Inserted(Delivered::PulledBeforeScript),
    Event::Inserted(Delivered::PulledAfterFirstCommand),
    Event::Inserted(Delivered::CommandSpoiled),
    Event::Inserted(Delivered::CommandSpoiledThenRight),
    Event::Inserted(Delivered::ScriptNotMade),
    Event::Inserted(Delivered::NothingMade),
    Event::Inserted(Delivered::TornInCommand),
    Event::InsertedInDoubt(Delivered::Whole),
    Event::InsertedInDoubt(Delivered::Lost),
    Event::TapToldAsInserted { reports: true },
    Event::TapToldAsInserted { reports: false },
    Event::Tapped { reports: true },
    Event::Tapped { reports: false },
    Event::InsertedToldAsTap,
    Event::RequestLost,
    Event::StoodIn,
    Event::AdviceArrives,
    Event::ReversedLate,
    Event::Changed,
    Event::Unlocked,
    Event::ChipBlocked,
    Event::Reissued,
    Event::Forgets,
];

#[derive(Clone, Copy, Debug)]
enum Event {
    Inserted(Delivered),
    /// Without a tag 9F39 that would say so.
    InsertedInDoubt(Delivered),
    /// The message says that a tapped card was inserted, and without 9F39 nothing contradicts it.
    TapToldAsInserted {
        reports: bool,
    },
    /// With the answer held to the chip, as some contactless kernels do. Some applications report scripts at a tap too.
    Tapped {
        reports: bool,
    },
    /// The terminal says that an inserted card was tapped.
    InsertedToldAsTap,
    /// The chip makes a cryptogram that we never see.
    RequestLost,
    /// Somebody who cannot authenticate to the chip answers for us and advises us later.
    StoodIn,
    AdviceArrives,
    /// A transaction with a script is taken back after later ones.
    ReversedLate,
    Changed,
    Unlocked,
    ChipBlocked,
    Reissued,
    /// Only a chip with an unreliable report does that.
    Forgets,
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
    /// A dishonest terminal: a spoiled command first, so that the chip reports a failure beside a success.
    CommandSpoiledThenRight,
    /// The HSM refused to make the script; the rest of the answer came.
    ScriptNotMade,
    /// The HSM made nothing: no script, no card status update, no issuer authentication data.
    NothingMade,
    /// Pulled while the chip changed its PIN: counted as received, neither done nor failed. Only a chip with a bit for the
    /// change itself may do that.
    TornInCommand,
}

/// When the chip sets its bit for a PIN change that succeeded, and for how long.
#[derive(Clone, Copy, PartialEq)]
enum ChangeBit {
    /// It has none.
    Absent,
    /// At a change, until its report ends.
    WithReport,
    /// At an unblock too.
    WithUnblock,
    /// At a change, and one transaction longer than its report.
    Lingering,
    /// At a change, for ever.
    Lasting,
}

/// What is played: the rules that the card's state goes by, how the chip really is, and weakenings for the controls.
#[derive(Clone, Copy)]
struct Setting {
    rules: ScriptRules,
    chip: (ReportKept, ReportCounts),
    bit: ChangeBit,
    /// Its own final cryptogram ends the report of a script that was performed before it (template 71).
    ends_own_report: bool,
    rides_on_reports: bool,
    authenticates_taps: bool,
    trusts_field_22: bool,
    rides_in_doubt: bool,
}

impl Setting {
    /// A chip that is as the rules say.
    const fn honest(rules: ScriptRules) -> Self {
        Self {
            rules,
            chip: (rules.report, rules.counts),
            bit: if rules.pin_change_bit {
                ChangeBit::WithReport
            } else {
                ChangeBit::Absent
            },
            ends_own_report: false,
            rides_on_reports: false,
            authenticates_taps: false,
            trusts_field_22: false,
            rides_in_doubt: false,
        }
    }
}

#[test]
fn reports_that_last_make_the_chip_known_at_every_insertion() {
    let worlds = explore(Setting::honest(RULES), 6).unwrap();
    assert!(worlds > 50_000, "only {worlds} different worlds");
}

#[test]
fn reports_that_last_make_the_chip_known_with_two_commands_and_with_card_status_updates() {
    let two_received = ScriptRules {
        commands_max: 2,
        ..RULES
    };
    let two_succeeded = ScriptRules {
        counts: ReportCounts::Succeeded,
        ..two_received
    };
    let csu = ScriptRules {
        unblock_by_csu: true,
        ..RULES
    };
    for rules in [two_received, two_succeeded, csu] {
        explore(Setting::honest(rules), 5).unwrap();
    }
}

#[test]
fn reports_that_end_with_the_next_transaction_never_make_the_chip_known_wrongly() {
    let rules = ScriptRules {
        report: ReportKept::UntilNextOnline,
        ..RULES
    };
    explore(Setting::honest(rules), 6).unwrap();
}

#[test]
fn no_other_rules_make_the_chip_known_wrongly() {
    for report in [ReportKept::UntilNextOnline, ReportKept::Unreliable] {
        for (counts, commands_max) in [
            (ReportCounts::Received, 2),
            (ReportCounts::Succeeded, 2),
            (ReportCounts::Unverified, 1),
        ] {
            let rules = ScriptRules {
                report,
                counts,
                commands_max,
                attempts_max: 2,
                unblock_by_csu: commands_max == 1,
                ..RULES
            };
            explore(Setting::honest(rules), 5).unwrap();
        }
    }
}

/// Whatever the counter counts, rules that say "unverified" are right about it.
#[test]
fn unverified_counts_are_safe_with_either_counter() {
    for counts in [ReportCounts::Received, ReportCounts::Succeeded] {
        let setting = Setting {
            chip: (ReportKept::UntilIssuerAuthenticated, counts),
            ..Setting::honest(ScriptRules {
                counts: ReportCounts::Unverified,
                ..RULES
            })
        };
        explore(setting, 5).unwrap();
    }
}

#[test]
fn a_bit_for_the_pin_change_never_makes_the_chip_known_wrongly_whenever_it_is_set_and_cleared() {
    for report in [
        ReportKept::UntilIssuerAuthenticated,
        ReportKept::UntilNextOnline,
        ReportKept::Unreliable,
    ] {
        for (counts, commands_max) in [(ReportCounts::Unverified, 1), (ReportCounts::Received, 2)] {
            for bit in [
                ChangeBit::WithReport,
                ChangeBit::WithUnblock,
                ChangeBit::Lingering,
                ChangeBit::Lasting,
            ] {
                let rules = ScriptRules {
                    report,
                    counts,
                    commands_max,
                    pin_change_bit: true,
                    attempts_max: 2,
                    ..RULES
                };
                explore(
                    Setting {
                        bit,
                        ..Setting::honest(rules)
                    },
                    4,
                )
                .unwrap();
            }
        }
    }
    let rules = ScriptRules {
        pin_change_bit: true,
        counts: ReportCounts::Unverified,
        ..RULES
    };
    explore(Setting::honest(rules), 5).unwrap();
}

/// Unreliable is what every profile's rules say with template 71 (`Programme::script_rules`).
#[test]
fn scripts_before_the_final_cryptogram_are_safe_even_if_that_ends_their_report() {
    let rules = ScriptRules {
        report: ReportKept::Unreliable,
        template: ScriptTemplate::BeforeFinalAc,
        ..RULES
    };
    for ends_own_report in [false, true] {
        let setting = Setting {
            ends_own_report,
            ..Setting::honest(rules)
        };
        explore(setting, 5).unwrap();
    }
}

#[test]
fn each_weakened_rule_makes_a_wrong_known() {
    let honest = Setting::honest(RULES);
    let controls = [
        (
            "silence after a gap counts, though the chip forgets at its next transaction",
            Setting {
                chip: (ReportKept::UntilNextOnline, ReportCounts::Received),
                ..honest
            },
        ),
        (
            "silence at the next transaction counts, though the chip may forget at any time",
            Setting {
                chip: (ReportKept::Unreliable, ReportCounts::Received),
                ..Setting::honest(ScriptRules {
                    report: ReportKept::UntilNextOnline,
                    ..RULES
                })
            },
        ),
        (
            "one failure among one command counts, though the chip counts successes",
            Setting {
                chip: (ReportKept::UntilIssuerAuthenticated, ReportCounts::Succeeded),
                ..honest
            },
        ),
        (
            "a script rides on a request that still reports an older one",
            Setting {
                rides_on_reports: true,
                ..honest
            },
        ),
        (
            "a tap is authenticated to while a script is in flight",
            Setting {
                authenticates_taps: true,
                ..honest
            },
        ),
        (
            "a change counts as applied without the chip's own bit for it",
            Setting {
                bit: ChangeBit::WithReport,
                ..honest
            },
        ),
        (
            "the silence of a card counts that field 22 alone says was inserted",
            Setting {
                trusts_field_22: true,
                ..honest
            },
        ),
        (
            "a script rides in doubt though the chip may have an older one to report",
            Setting {
                rides_in_doubt: true,
                ..honest
            },
        ),
        (
            "silence counts with template 71, though the chip's own final cryptogram ends the report",
            Setting {
                ends_own_report: true,
                ..Setting::honest(ScriptRules {
                    report: ReportKept::UntilNextOnline,
                    template: ScriptTemplate::BeforeFinalAc,
                    ..RULES
                })
            },
        ),
    ];
    for (weakness, setting) in controls {
        let found = explore(setting, 5);
        assert!(found.is_err(), "no wrong known found where {weakness}");
    }
}

/// Plays every sequence of `events_max` events; gives how many different worlds there were, or what went wrong and how.
fn explore(setting: Setting, events_max: usize) -> Result<usize, String> {
    let mut frontier = vec![World::new(setting)];
    let mut seen = HashSet::new();
    for _ in 0..events_max {
        let mut next = Vec::new();
        for world in &frontier {
            for event in EVENTS {
                let mut world = world.clone();
                if !world.meets(event)? {
                    continue;
                }
                if seen.insert(world.fingerprint()) {
                    world.clone().settles()?;
                    next.push(world);
                }
            }
        }
        frontier = next;
    }
    Ok(seen.len())
}

/// The card as we know it, the chip as it is, and what is between them.
#[derive(Clone)]
struct World {
    setting: Setting,
    card: CardState,
    chip: Chip,
    /// What stood-in transactions will tell, oldest first.
    advices: Vec<ChipEvidence>,
    /// Attempts whose change or unblock the chip made.
    performed: Vec<u32>,
    /// Something that proves nothing left the chip's PIN open.
    unclear: bool,
    /// Counters of transactions with a script that may still be taken back.
    reversible: Vec<u16>,
    told: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Chip {
    pin: u32,
    atc: u16,
    blocked: bool,
    commands: u8,
    failed: bool,
    /// The bit for a PIN change.
    changed: bool,
    /// A command was received and torn in the middle: neither done nor failed.
    torn: bool,
}

impl World {
    fn new(setting: Setting) -> Self {
        Self {
            setting,
            card: card(),
            chip: Chip {
                pin: 1,
                atc: 0,
                blocked: false,
                commands: 0,
                failed: false,
                changed: false,
                torn: false,
            },
            advices: Vec::new(),
            performed: Vec::new(),
            unclear: false,
            reversible: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Whether the event could happen here; an error where it showed something wrong.
    fn meets(&mut self, event: Event) -> Result<bool, String> {
        let rules = self.setting.rules;
        self.told.push(event);
        match event {
            Event::Inserted(Delivered::TornInCommand) if self.setting.bit == ChangeBit::Absent => {
                return Ok(false);
            }
            Event::Inserted(delivered) => self.inserted(delivered, Occasion::Inserted)?,
            Event::InsertedInDoubt(delivered) => self.inserted(delivered, self.in_doubt())?,
            Event::TapToldAsInserted { reports } => self.tapped(reports, self.in_doubt())?,
            Event::Tapped { reports } => self.tapped(reports, Occasion::Tapped)?,
            Event::InsertedToldAsTap => self.tapped(true, Occasion::Tapped)?,
            Event::RequestLost => {
                self.begin();
                self.forget_after(false);
            }
            Event::StoodIn => {
                let evidence = self.begin();
                self.advices.push(ChipEvidence {
                    occasion: Occasion::Advised,
                    ..evidence
                });
                self.forget_after(false);
            }
            Event::AdviceArrives if self.advices.is_empty() => return Ok(false),
            Event::AdviceArrives => {
                let evidence = self.advices.remove(0);
                self.hear(evidence)?;
                let delivery = self.card.deliver(evidence, &rules, NOW);
                assert_eq!((delivery.script, delivery.csu), (None, None));
            }
            Event::ReversedLate if self.reversible.is_empty() => return Ok(false),
            Event::ReversedLate => {
                let atc = self.reversible.remove(0);
                self.card.answer_reversed(atc);
            }
            Event::Changed => change(&mut self.card, &rules),
            Event::Unlocked => self.card.unlock(TRIES_MAX, NonZeroU8::MAX, &rules, NOW).unwrap(),
            Event::ChipBlocked if self.chip.blocked => return Ok(false),
            Event::ChipBlocked => self.chip.blocked = true,
            Event::Reissued => {
                let personalised = self.card.host_chip_version();
                self.chip = Chip {
                    pin: personalised.version,
                    ..Self::new(self.setting).chip
                };
                self.card = self.card.reissued(personalised, &rules, NOW);
                self.advices.clear();
                self.reversible.clear();
            }
            Event::Forgets if self.setting.chip.0 != ReportKept::Unreliable => return Ok(false),
            Event::Forgets => self.forget(),
        }
        let held = possible(&self.card);
        if held.contains(&self.chip.pin) {
            Ok(true)
        } else {
            Err(self.wrong(&format!("{held:?} lacks {}", self.chip.pin)))
        }
    }

    /// The occasion of a request that only field 22 calls an insertion.
    fn in_doubt(&self) -> Occasion {
        if self.setting.trusts_field_22 {
            Occasion::Inserted
        } else {
            Occasion::ToldInserted
        }
    }

    fn inserted(&mut self, delivered: Delivered, occasion: Occasion) -> Result<(), String> {
        let evidence = ChipEvidence {
            occasion,
            ..self.begin()
        };
        self.hear(evidence)?;
        let known = self.card.chip.known();
        self.unclear &= known.is_none();
        let lasts = self.setting.rules.report == ReportKept::UntilIssuerAuthenticated;
        if lasts && occasion == Occasion::Inserted && known.is_none() && !self.unclear {
            return Err(self.wrong("unknown at an insertion"));
        }
        let delivery = self.deliver(evidence);
        assert!(delivery.authenticates);
        let delivery = self.withhold(delivery, delivered);
        match delivered {
            Delivered::Lost | Delivered::LostAndReversed | Delivered::NothingMade => self.forget_after(false),
            Delivered::Whole
            | Delivered::WholeThenReversed
            | Delivered::PulledBeforeScript
            | Delivered::PulledAfterFirstCommand
            | Delivered::CommandSpoiled
            | Delivered::CommandSpoiledThenRight
            | Delivered::TornInCommand
            | Delivered::ScriptNotMade => {
                self.forget_after(true);
                if let Some(sent) = delivery.csu {
                    self.chip.blocked = false;
                    self.performed.push(sent.attempt);
                }
                self.perform(delivery, delivered);
            }
        }
        if [Delivered::WholeThenReversed, Delivered::LostAndReversed].contains(&delivered) {
            self.card.answer_reversed(self.chip.atc);
        }
        Ok(())
    }

    /// Takes back what the HSM didn't make.
    fn withhold(&mut self, delivery: Delivery, delivered: Delivered) -> Delivery {
        let (script, csu) = match delivered {
            Delivered::ScriptNotMade => (delivery.script, None),
            Delivered::NothingMade => (delivery.script, delivery.csu),
            _ => (None, None),
        };
        for sent in [script, csu].into_iter().flatten() {
            self.card.withhold(sent, NotMade::Refused, &self.setting.rules);
        }
        Delivery {
            script: delivery.script.filter(|_| script.is_none()),
            csu: delivery.csu.filter(|_| csu.is_none()),
            ..delivery
        }
    }

    /// The answer to a tap reaches the chip too, and what it may do it does.
    fn tapped(&mut self, reports: bool, occasion: Occasion) -> Result<(), String> {
        let evidence = self.begin();
        let evidence = ChipEvidence {
            occasion,
            script_commands: if reports { evidence.script_commands } else { 0 },
            script_failed: reports && evidence.script_failed,
            pin_change_told: evidence.pin_change_told.map(|told| reports && told),
            ..evidence
        };
        self.hear(evidence)?;
        let delivery = self.deliver(evidence);
        if occasion == Occasion::Tapped {
            assert_eq!((delivery.script, delivery.csu), (None, None));
        }
        self.forget_after(delivery.authenticates || self.setting.authenticates_taps);
        Ok(())
    }

    fn begin(&mut self) -> ChipEvidence {
        self.chip.atc += 1;
        ChipEvidence {
            script_commands: self.chip.commands,
            script_failed: self.chip.failed,
            pin_change_told: (self.setting.bit != ChangeBit::Absent).then_some(self.chip.changed),
            pin_try_limit_exceeded: self.chip.blocked,
            ..silent(self.chip.atc)
        }
    }

    /// Takes the evidence in, and holds each resolution against what the chip did.
    fn hear(&mut self, evidence: ChipEvidence) -> Result<(), String> {
        let bit_says_less = !matches!(self.setting.bit, ChangeBit::Absent | ChangeBit::WithReport);
        let in_doubt = self.card.report == Report::MayHaveEnded || self.chip.torn || bit_says_less;
        for resolution in self.card.chip_spoke(evidence, &self.setting.rules, NOW) {
            let performed = self.performed.contains(&resolution.sent.attempt);
            let true_to_chip = match resolution.end {
                ScriptEnd::Applied => performed,
                ScriptEnd::Failed | ScriptEnd::NotApplied => !performed,
                ScriptEnd::FailedUnclear => {
                    self.unclear = true;
                    true
                }
                ScriptEnd::NotSeen => {
                    self.unclear |= in_doubt;
                    true
                }
            };
            if !true_to_chip {
                return Err(self.wrong(&format!("{resolution:?}")));
            }
        }
        Ok(())
    }

    fn deliver(&mut self, evidence: ChipEvidence) -> Delivery {
        let mut evidence = evidence;
        if self.setting.rides_on_reports {
            (evidence.script_commands, evidence.script_failed) = (0, false);
            self.card.report = Report::None;
        }
        if self.setting.rides_in_doubt {
            self.card.script.in_flight = None;
            self.card.script.change = self.card.script.change.map(|wish| Wish {
                carried_by: None,
                ..wish
            });
            self.card.report = Report::None;
        }
        let delivery = self.card.deliver(evidence, &self.setting.rules, NOW);
        self.reversible.extend(delivery.script.map(|sent| sent.atc));
        delivery
    }

    /// A bit that outlives its report is in the way of the next script.
    fn keeps_bit(&self) -> bool {
        matches!(self.setting.bit, ChangeBit::Lingering | ChangeBit::Lasting)
    }

    /// The chip gets the script's commands as far as they come. A terminal ends a script at its first failure, unless it
    /// is dishonest.
    fn perform(&mut self, delivery: Delivery, delivered: Delivered) {
        let Some(sent) = delivery.script else { return };
        let commands: &[Command] = match sent.kind {
            ScriptKind::ChangePin | ScriptKind::ChangeKnownPin => &[Command::Change],
            ScriptKind::UnblockPin => &[Command::Unblock],
            ScriptKind::UnblockAndChangePin => &[Command::Unblock, Command::Change],
            ScriptKind::UnblockByCsu => unreachable!("a card status update is no script"),
        };
        let (spoiled, performed) = match delivered {
            Delivered::Whole | Delivered::WholeThenReversed => (false, commands),
            Delivered::PulledAfterFirstCommand => (false, &commands[..1]),
            Delivered::CommandSpoiled => (true, &[][..]),
            // Instead of the first of two: the second's MAC is right only in second place.
            Delivered::CommandSpoiledThenRight => (true, &commands[commands.len() - 1..]),
            Delivered::PulledBeforeScript
            | Delivered::Lost
            | Delivered::LostAndReversed
            | Delivered::ScriptNotMade
            | Delivered::NothingMade => (false, &[][..]),
            // Where an unblock sets the bit too, that of two commands says as little as none.
            Delivered::TornInCommand if self.setting.bit == ChangeBit::WithUnblock && commands.len() > 1 => {
                return;
            }
            Delivered::TornInCommand => (false, &commands[..commands.len() - 1]),
        };
        if delivered == Delivered::TornInCommand && sent.kind.changes_pin() {
            self.chip.commands += 1;
            self.chip.torn = true;
        }
        let counts_all = self.setting.chip.1 != ReportCounts::Succeeded;
        self.chip.failed |= spoiled;
        self.chip.commands += u8::from(spoiled && counts_all);
        for command in performed {
            self.chip.commands += 1;
            self.chip.blocked = false;
            let changes = *command == Command::Change;
            if changes {
                self.chip.pin = sent.version;
            }
            self.chip.changed |= match self.setting.bit {
                ChangeBit::Absent => false,
                ChangeBit::WithReport | ChangeBit::Lingering | ChangeBit::Lasting => changes,
                ChangeBit::WithUnblock => true,
            };
        }
        if performed.last() == commands.last() {
            self.performed.push(sent.attempt);
        }
        if self.setting.ends_own_report {
            self.forget();
        }
    }

    fn forget_after(&mut self, authenticated: bool) {
        match self.setting.chip.0 {
            ReportKept::UntilIssuerAuthenticated if !authenticated => {}
            ReportKept::Unreliable if !authenticated => {}
            ReportKept::UntilIssuerAuthenticated | ReportKept::UntilNextOnline | ReportKept::Unreliable => {
                self.forget();
            }
        }
    }

    fn forget(&mut self) {
        let reported = self.chip.commands > 0 || self.chip.failed;
        self.chip.changed &= match self.setting.bit {
            ChangeBit::Absent | ChangeBit::WithReport | ChangeBit::WithUnblock => false,
            ChangeBit::Lingering => reported,
            ChangeBit::Lasting => true,
        };
        (self.chip.commands, self.chip.failed, self.chip.torn) = (0, false, false);
    }

    /// Two insertions bring the host's PIN to the chip and its word back. One more goes to a report that the chip still
    /// repeats, two to an unblock that goes first.
    fn settles(mut self) -> Result<(), String> {
        let reports = self.chip.commands > 0 || self.chip.failed;
        let refused = self.chip.failed || self.card.script.change.is_some_and(|wish| wish.refused);
        let unblock_first =
            refused && self.card.script.unblock.is_some() && !self.setting.rules.unblock_by_csu;
        let undisturbed = 2 + usize::from(reports) + 2 * usize::from(unblock_first);
        for _ in 0..undisturbed {
            self.meets(Event::Inserted(Delivered::Whole))?;
        }
        let script = &self.card.script;
        // A bit that lasts is in the way of all that comes after it, and what ends before it is seen is never proven.
        if self.keeps_bit() || self.setting.ends_own_report {
            return Ok(());
        }
        let settled = self.card.chip.known() == Some(self.card.host.version)
            && (script.change, script.unblock) == (None, None);
        if settled || script.needs_attention(NOW) || self.setting.rides_on_reports {
            Ok(())
        } else {
            Err(self.wrong("not settled"))
        }
    }

    /// Equal for worlds in which the same would happen: how often it was unlocked, and why something wasn't made, decides
    /// nothing here.
    fn fingerprint(&self) -> Fingerprint {
        let advices = self.advices.iter().map(|advice| {
            let blocked = advice.pin_try_limit_exceeded;
            let told = advice.pin_change_told;
            (
                advice.atc,
                advice.script_commands,
                advice.script_failed,
                told,
                blocked,
            )
        });
        let card = CardState {
            unlocks: Unlocks::default(),
            not_made: None,
            ..self.card.clone()
        };
        Fingerprint {
            card: card.encode(),
            chip: self.chip.clone(),
            advices: advices.collect(),
            performed: self.performed.clone(),
            unclear: self.unclear,
            reversible: self.reversible.clone(),
        }
    }

    fn wrong(&self, what: &str) -> String {
        format!("{what}: {:?}", self.told)
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Fingerprint {
    card: Vec<u8>,
    chip: Chip,
    advices: Vec<(u16, u8, bool, Option<bool>, bool)>,
    performed: Vec<u32>,
    unclear: bool,
    reversible: Vec<u16>,
}

#[derive(Clone, Copy, PartialEq)]
enum Command {
    Unblock,
    Change,
}
