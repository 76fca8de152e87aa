//! Answers to networks, built one after the other, given their MACs together, and sent.

use std::sync::Arc;

use hsm::MessageToMac;
use iso8583::build::MessageBuilder;
use iso8583::mac::{MAC_LEN, split_mac};

use super::HostLink;
use super::inline::{Owed, StandIn};
use super::outgoing::Outgoing;

/// Framed answers that wait to be sent. Keeps its memory from one sending to the next.
#[derive(Default)]
pub(super) struct Answers {
    bytes: Vec<u8>,
    /// Where each answer ends, and where it goes; `None`: to whom it is sent by default.
    ends: Vec<(usize, Option<Arc<Outgoing>>)>,
    /// What the issuer's own host is owed once they are sent.
    owed: Vec<Owed>,
    /// What goes on record about approvals in its stead.
    stood_in: Vec<StandIn>,
}

impl Answers {
    /// Takes what was built, and room for its MAC where the link's messages carry one.
    pub(super) fn add(
        &mut self,
        to: Option<Arc<Outgoing>>,
        link: &HostLink,
        builder: &mut MessageBuilder<'_>,
    ) {
        if link.mac_key.is_some()
            && let Err(error) = builder.reserve_mac()
        {
            // An upstream's answer may leave no room for it.
            tracing::error!(%error, link = &*link.name, "an answer can't be sent without MAC");
            return;
        }
        link.framing
            .append(&mut self.bytes, |out| builder.write_to(out))
            .expect("the builder keeps messages within what is framed");
        self.ends.push((self.bytes.len(), to));
    }

    /// Takes what these answers make owed to the issuer's own host.
    pub(super) fn owe(&mut self, owed: Owed) {
        self.owed.push(owed);
    }

    /// Takes a line about an approval in the stead of the issuer's own host.
    pub(super) fn stand_in(&mut self, line: StandIn) {
        self.stood_in.push(line);
    }

    /// Sends everything, after what it makes owed is durable. Answers that can't be given their MACs, or whose debts can't be
    /// kept, are not sent: their askers ask again.
    pub(super) async fn send(&mut self, link: &HostLink, default: Option<&Outgoing>) {
        if self.ends.is_empty() && self.owed.is_empty() && self.stood_in.is_empty() {
            return;
        }
        if self.keep_owed(link).await && self.seal(link).await {
            let mut begin = 0;
            let mut gone = 0;
            // Nearly always all go the same way: one piece for each way in turn.
            for way in self
                .ends
                .chunk_by(|(_, one), (_, next)| same(one.as_ref(), next.as_ref()))
            {
                let Some((end, to)) = way.last() else {
                    continue;
                };
                let bytes = self.bytes.get(begin..*end).unwrap_or_default();
                begin = *end;
                let to = to.as_deref().or(default);
                let taken = to.is_some_and(|to| to.append(|out| out.extend_from_slice(bytes)));
                gone += if taken { 0 } else { way.len() };
            }
            if gone > 0 {
                tracing::debug!(link = &*link.name, answers = gone, "whoever asked is gone");
            }
        }
        self.bytes.clear();
        self.ends.clear();
    }

    async fn keep_owed(&mut self, link: &HostLink) -> bool {
        let (owed, stood_in) = (std::mem::take(&mut self.owed), std::mem::take(&mut self.stood_in));
        let keeps = !owed.is_empty() || !stood_in.is_empty();
        let Some(inline) = link.inline.as_ref().filter(|_| keeps) else {
            return true;
        };
        match inline.keep(link, owed, stood_in).await {
            Ok(()) => true,
            Err(fault) => {
                tracing::error!(%fault, link = &*link.name, answers = self.ends.len(), "what answers make owed can't be kept");
                false
            }
        }
    }

    async fn seal(&mut self, link: &HostLink) -> bool {
        let Some(key) = &link.mac_key else {
            return true;
        };
        let header_len = link.framing.header_len();
        let mut messages = Vec::with_capacity(self.ends.len());
        let mut begin = 0;
        for (end, _) in &self.ends {
            let covered = self.bytes.get(begin + header_len..end.saturating_sub(MAC_LEN));
            messages.push(MessageToMac {
                key: key.clone(),
                message: covered.unwrap_or_default().to_vec(),
            });
            begin = *end;
        }
        let macs = match link.desk.hsm.make_macs(messages).await {
            Ok(macs) => macs,
            Err(fault) => {
                tracing::error!(%fault, link = &*link.name, answers = self.ends.len(), "answers can't be sent without MAC");
                return false;
            }
        };
        for ((end, _), mac) in self.ends.iter().zip(macs) {
            let place = self.bytes.get_mut(..*end).and_then(split_mac);
            match (place, mac) {
                (Some((_, place)), Ok(mac)) => *place = mac,
                (_, Err(refusal)) => {
                    tracing::error!(%refusal, link = &*link.name, key = key.0, "answers can't be sent without MAC");
                    return false;
                }
                (None, Ok(_)) => unreachable!("every answer has room for its MAC"),
            }
        }
        true
    }
}

fn same(one: Option<&Arc<Outgoing>>, other: Option<&Arc<Outgoing>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (Some(_), None) | (None, Some(_)) => false,
    }
}
