//! MACs of the desk's rows: whoever can write into its database, and can't ask the HSM, makes no password, session or
//! step-up that counts.
//!
//! AES-CMAC (NIST SP 800-38B) under the record MAC key over a label of the kind and the content. No label begins another,
//! nor those of card states and of the audit head, so that no MAC is good for something else.

use paycrypto::aes_key::AesKey;

use crate::seam::{DeskRecord, DeskRecordKind, DeskRecordMac};

/// The MAC of one row.
pub(crate) fn mac(record_mac: &AesKey, record: &DeskRecord) -> DeskRecordMac {
    DeskRecordMac(record_mac.cmac(&[label(record.kind), &record.content].concat()))
}

fn label(kind: DeskRecordKind) -> &'static [u8] {
    match kind {
        DeskRecordKind::Credential => b"pinward credential v1",
        DeskRecordKind::Session => b"pinward session v1",
        DeskRecordKind::StepUp => b"pinward step-up v1",
    }
}
