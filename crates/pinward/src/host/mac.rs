//! MACs of requests: on a link with a MAC key every message needs a right one.

use hsm::MessageWithMac;
use iso8583::message::Message;

use super::HostLink;
use super::refused::Refused;

/// Checks all MACs together; `None` for a message whose MAC is right, or on a link without.
pub(super) async fn check(messages: &[Message<'_>], link: &HostLink) -> Vec<Option<Refused>> {
    let Some(key) = &link.mac_key else {
        return vec![None; messages.len()];
    };
    let macs: Vec<_> = messages.iter().map(Message::mac).collect();
    let to_check = macs
        .iter()
        .flatten()
        .map(|mac| MessageWithMac {
            key: key.clone(),
            message: mac.covered.to_vec(),
            mac: mac.mac,
        })
        .collect();
    let mut checked = match link.desk.hsm.check_macs(to_check).await {
        Ok(checked) => checked.into_iter(),
        Err(fault) => {
            tracing::error!(%fault, link = &*link.name, "MACs can't be checked");
            return vec![Some(Refused::MacNotChecked); messages.len()];
        }
    };
    let verdict = |mac: &Option<_>| match mac {
        None => Some(Refused::MacMissing),
        Some(_) => match checked.next() {
            Some(Ok(true)) => None,
            Some(Ok(false)) => Some(Refused::MacWrong),
            Some(Err(_)) | None => Some(Refused::MacNotChecked),
        },
    };
    macs.iter().map(verdict).collect()
}
