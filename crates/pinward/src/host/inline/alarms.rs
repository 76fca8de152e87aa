//! Alarms about what is owed to the upstream: in the journal when they begin and end, in the log every minute between.

use std::time::Duration;

use cards::Timestamp;
use store::AuditEvent;
use tokio::time::Instant;

use super::Inline;
use crate::host::HostLink;

const TELL_EVERY: Duration = Duration::from_secs(60);

/// No room for more: requests are declined at the door, declines are not told any more.
const OWED_FULL: &str = "owed_full";
/// The upstream doesn't take what it is owed.
const OWED_OLD: &str = "owed_old";

/// Which alarms are on, and when each was told last.
#[derive(Default)]
pub(super) struct Alarms {
    full: Option<Instant>,
    old: Option<Instant>,
}

impl Alarms {
    /// Looks at what is owed.
    pub(super) async fn look(&mut self, link: &HostLink, inline: &Inline, now: Instant) {
        let (owed, oldest) = inline.ledger().owed();
        if oldest.is_none() && self.full.is_none() && self.old.is_none() {
            return;
        }
        let clock = (link.clock)();
        let age_ms = oldest.map_or(0, |oldest| clock.ms_since(oldest));
        let is_full = owed >= inline.settings.owed_max;
        let is_old = oldest.is_some() && age_ms >= inline.settings.owed_alarm_ms;
        let mut changed = Vec::new();
        for (name, is_on, told) in [
            (OWED_FULL, is_full, &mut self.full),
            (OWED_OLD, is_old, &mut self.old),
        ] {
            let was_on = told.is_some();
            if is_on && told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY) {
                tracing::error!(
                    alarm = name,
                    link = &*link.name,
                    owed,
                    oldest_age_ms = age_ms,
                    "alarm"
                );
                *told = Some(now);
            } else if !is_on && was_on {
                tracing::info!(alarm = name, link = &*link.name, owed, "alarm ended");
                *told = None;
            }
            if is_on != was_on {
                changed.push(event(link, name, is_on, owed, age_ms, clock));
            }
        }
        if !changed.is_empty()
            && let Err(fault) = link.desk.store.append_audit(changed).await
        {
            tracing::error!(%fault, link = &*link.name, "an alarm can't be put on record");
        }
    }
}

fn event(link: &HostLink, name: &str, begins: bool, owed: usize, age_ms: i64, now: Timestamp) -> AuditEvent {
    AuditEvent {
        at: now,
        kind: if begins { "alarm_raised" } else { "alarm_ended" },
        card: None,
        actor: format!("link:{}", link.name),
        detail: serde_json::json!({ "alarm": name, "owed": owed, "oldest_age_ms": age_ms }).to_string(),
    }
}
