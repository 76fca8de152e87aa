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
    CardState, ChipEvidence, Delivery, NotMade, Occasion, ReportCounts, ReportKept, ScriptEnd, ScriptKind,
    ScriptRules, Unlocks,
};

use common::{NOW, RULES, TRIES_MAX, card, change, possible, silent};

const EVENTS: [Event; 21] = [
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
    Event::Tapped { reports: true },
    Event::Tapped { reports: false },
    Event::InsertedToldAsTap,
    Event::RequestLost,
    Event::StoodIn,
    Event::AdviceArrives,
    Event::Changed,
    Event::Unlocked,
    Event::ChipBlocked,
    Event::Reissued,
    Event::Forgets,
];

#[derive(Clone, Copy, Debug)]
enum Event {
    Inserted(Delivered),
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
}

/// What is played: the rules that the card's state goes by, how the chip really is, and weakenings for the controls.
#[derive(Clone, Copy)]
struct Setting {
    rules: ScriptRules,
    chip: (ReportKept, ReportCounts),
    rides_on_reports: bool,
    authenticates_taps: bool,
}

impl Setting {
    /// A chip that is as the rules say.
    const fn honest(rules: ScriptRules) -> Self {
        Self {
            rules,
            chip: (rules.report, rules.counts),
            rides_on_reports: false,
            authenticates_taps: false,
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
    /// A failure left the chip's PIN open.
    unclear: bool,
    told: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Chip {
    pin: u32,
    atc: u16,
    blocked: bool,
    commands: u8,
    failed: bool,
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
            },
            advices: Vec::new(),
            performed: Vec::new(),
            unclear: false,
            told: Vec::new(),
        }
    }

    /// Whether the event could happen here; an error where it showed something wrong.
    fn meets(&mut self, event: Event) -> Result<bool, String> {
        let rules = self.setting.rules;
        self.told.push(event);
        match event {
            Event::Inserted(delivered) => self.inserted(delivered)?,
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

    fn inserted(&mut self, delivered: Delivered) -> Result<(), String> {
        let evidence = self.begin();
        self.hear(evidence)?;
        let known = self.card.chip.known();
        self.unclear &= known.is_none();
        let lasts = self.setting.rules.report == ReportKept::UntilIssuerAuthenticated;
        if lasts && known.is_none() && !self.unclear {
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
            ..evidence
        };
        self.hear(evidence)?;
        let delivery = self.deliver(evidence);
        assert_eq!((delivery.script, delivery.csu), (None, None));
        self.forget_after(delivery.authenticates || self.setting.authenticates_taps);
        Ok(())
    }

    fn begin(&mut self) -> ChipEvidence {
        self.chip.atc += 1;
        ChipEvidence {
            script_commands: self.chip.commands,
            script_failed: self.chip.failed,
            pin_try_limit_exceeded: self.chip.blocked,
            ..silent(self.chip.atc)
        }
    }

    /// Takes the evidence in, and holds each resolution against what the chip did.
    fn hear(&mut self, evidence: ChipEvidence) -> Result<(), String> {
        for resolution in self.card.chip_spoke(evidence, &self.setting.rules, NOW) {
            let performed = self.performed.contains(&resolution.sent.attempt);
            let true_to_chip = match resolution.end {
                ScriptEnd::Applied => performed,
                ScriptEnd::Failed | ScriptEnd::NotApplied => !performed,
                ScriptEnd::FailedUnclear => {
                    self.unclear = true;
                    true
                }
                ScriptEnd::NotSeen => true,
            };
            if !true_to_chip {
                return Err(self.wrong(&format!("{resolution:?}")));
            }
        }
        Ok(())
    }

    fn deliver(&mut self, evidence: ChipEvidence) -> Delivery {
        let evidence = if self.setting.rides_on_reports {
            ChipEvidence {
                script_commands: 0,
                script_failed: false,
                ..evidence
            }
        } else {
            evidence
        };
        self.card.deliver(evidence, &self.setting.rules, NOW)
    }

    /// The chip gets the script's commands as far as they come. A terminal ends a script at its first failure, unless it
    /// is dishonest.
    fn perform(&mut self, delivery: Delivery, delivered: Delivered) {
        let Some(sent) = delivery.script else { return };
        let commands: &[Command] = match sent.kind {
            ScriptKind::ChangePin => &[Command::Change],
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
        };
        let counts_all = self.setting.chip.1 != ReportCounts::Succeeded;
        self.chip.failed |= spoiled;
        self.chip.commands += u8::from(spoiled && counts_all);
        for command in performed {
            self.chip.commands += 1;
            self.chip.blocked = false;
            if *command == Command::Change {
                self.chip.pin = sent.version;
            }
        }
        if performed.last() == commands.last() {
            self.performed.push(sent.attempt);
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
        (self.chip.commands, self.chip.failed) = (0, false);
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
            (advice.atc, advice.script_commands, advice.script_failed, blocked)
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
    advices: Vec<(u16, u8, bool, bool)>,
    performed: Vec<u32>,
    unclear: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Command {
    Unblock,
    Change,
}
