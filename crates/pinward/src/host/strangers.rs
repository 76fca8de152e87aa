//! Lines in the journal that anybody may cause who reaches a port: so many, and no more.
//!
//! A refusal, or a request for a card that isn't ours, is a line. Each link has room for a thousand at once and one more with every
//! second; what is beyond is counted, and one later line says how many there were. Lines about our own cards are never
//! left out.

use std::sync::{Mutex, PoisonError};

use cards::Timestamp;
use store::AuditEvent;

const LINES_MAX: u32 = 1_000;
const MS_PER_LINE: i64 = 1_000;

/// What a link's strangers may still write.
pub(super) struct Strangers(Mutex<Room>);

struct Room {
    lines: u32,
    /// Up to when room was given.
    until: Timestamp,
    left_out: u64,
}

impl Default for Strangers {
    fn default() -> Self {
        Self(Mutex::new(Room {
            lines: LINES_MAX,
            until: Timestamp(0),
            left_out: 0,
        }))
    }
}

impl Strangers {
    /// Puts a line into the journal if there is room for it, after one that tells of those left out before.
    pub(super) fn write(&self, line: AuditEvent, journal: &mut Vec<AuditEvent>) {
        let mut room = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        room.give(line.at);
        if room.lines == 0 {
            room.left_out += 1;
            return;
        }
        room.lines -= 1;
        journal.extend(room.left_out(line.at, &line.actor));
        journal.push(line);
    }

    /// The line about those left out, if there are any: for quiet times.
    pub(super) fn left_out(&self, now: Timestamp, actor: &str) -> Option<AuditEvent> {
        let mut room = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        room.left_out(now, actor)
    }
}

impl Room {
    fn give(&mut self, now: Timestamp) {
        let more = now.ms_since(self.until) / MS_PER_LINE;
        if more > 0 {
            let more = u32::try_from(more).unwrap_or(LINES_MAX);
            self.lines = self.lines.saturating_add(more).min(LINES_MAX);
            self.until = now;
        }
    }

    fn left_out(&mut self, now: Timestamp, actor: &str) -> Option<AuditEvent> {
        let lines = std::mem::take(&mut self.left_out);
        (lines > 0).then(|| AuditEvent {
            at: now,
            kind: "lines_left_out",
            card: None,
            actor: actor.to_owned(),
            detail: serde_json::json!({ "lines": lines }).to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: Timestamp) -> AuditEvent {
        AuditEvent {
            at,
            kind: "message_refused",
            card: None,
            actor: "link:north".to_owned(),
            detail: "{}".to_owned(),
        }
    }

    /// How many of each the journal has: lines, and those that it says were left out.
    fn counted(journal: &[AuditEvent]) -> (usize, u64) {
        let left_out = journal.iter().filter(|line| line.kind == "lines_left_out");
        let told = left_out.map(|line| {
            let detail: serde_json::Value = serde_json::from_str(&line.detail).unwrap();
            detail["lines"].as_u64().unwrap()
        });
        let lines = journal.iter().filter(|line| line.kind == "message_refused");
        (lines.count(), told.sum())
    }

    #[test]
    fn a_flood_leaves_a_thousand_lines_then_one_a_second_and_none_is_lost_count_of() {
        let strangers = Strangers::default();
        let begin = Timestamp(1_790_000_000_000);
        let mut journal = Vec::new();
        for _ in 0..5_000 {
            strangers.write(line(begin), &mut journal);
        }
        assert_eq!(counted(&journal), (1_000, 0));
        // A hundred a second for a minute.
        for at in 1..=6_050 {
            strangers.write(line(begin.plus_ms(at * 10)), &mut journal);
        }
        let (lines, told) = counted(&journal);
        assert_eq!(lines, 1_060);
        journal.extend(strangers.left_out(begin.plus_ms(61_000), "link:north"));
        let (_, told_in_the_end) = counted(&journal);
        assert!(told < told_in_the_end);
        assert_eq!(told_in_the_end, 11_050 - 1_060);
        assert_eq!(strangers.left_out(begin.plus_ms(62_000), "link:north"), None);
    }

    #[test]
    fn what_comes_slowly_is_written_whole_also_after_a_flood_and_when_the_clock_is_set_back() {
        let strangers = Strangers::default();
        let begin = Timestamp(1_790_000_000_000);
        let mut journal = Vec::new();
        for _ in 0..1_000 {
            strangers.write(line(begin), &mut journal);
        }
        strangers.write(line(begin.plus_ms(-5_000)), &mut journal);
        for second in 1..=100 {
            strangers.write(line(begin.plus_ms(second * 1_000)), &mut journal);
        }
        assert_eq!(counted(&journal), (1_100, 1));
    }
}
