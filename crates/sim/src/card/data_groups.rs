//! A card's whole personalisation as data groups (EMV Card Personalization Specification 1.1, 3.1 and annex A), for card
//! simulators of others.
//!
//! | DGI | content |
//! |---|---|
//! | `0101`, `0102`, `0201`, `0301`, `0302` | a record, in template 70: file and record in the identifier |
//! | `9102` | file control information of the application: template A5 |
//! | `9104` | 82 and 94 at the contacts |
//! | `9010` | PIN try counter, PIN try limit, 1 byte each |
//! | `8010` | PIN block, ISO 9564-1:2017 format 2 |
//! | `8000` | keys for cryptograms, script MAC and script encipherment, joined |
//! | `8101`, `8103` | exponent and modulus of the card's RSA key |
//!
//! Keys and PIN are in the clear: a bureau would have them under a key of the card's maker. The records are those at the
//! contacts; a tap's are the same but for 82, 94 and 8E.

use data_encoding::HEXUPPER;
use emv::tags::{TAG_82_AIP, TAG_94_AFL};
use emv::tlv::put;
use paycrypto::pinblock::encode_iso2;
use serde::Serialize;

use super::chip::Interface;
use super::perso::Perso;
use super::records;

/// One data group.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct DataGroup {
    /// Identifier, 4 hexadecimal digits.
    pub dgi: String,
    pub title: &'static str,
    /// Hexadecimal.
    pub data: String,
}

/// All data groups of a card, its keys and its PIN among them.
#[must_use]
pub fn expose_all(perso: &Perso) -> Vec<DataGroup> {
    let mut groups = Vec::new();
    for (file, number) in [(1, 1), (1, 2), (2, 1), (3, 1), (3, 2)] {
        if let Some(record) = records::record(perso, Interface::Contact, file, number) {
            groups.push(group(u16::from_be_bytes([file, number]), "record", &record));
        }
    }
    let mut options = Vec::new();
    put(&mut options, TAG_82_AIP, &records::aip(perso, Interface::Contact));
    put(&mut options, TAG_94_AFL, &records::afl(perso, Interface::Contact));
    groups.extend([
        group(
            0x9102,
            "file control information",
            &records::proprietary_template(perso),
        ),
        group(0x9104, "processing options", &options),
        group(
            0x9010,
            "PIN try counter and limit",
            &[perso.pin_try_limit, perso.pin_try_limit],
        ),
    ]);
    if let Some(pin) = &perso.pin {
        groups.push(group(0x8010, "PIN block", &*encode_iso2(pin)));
    }
    let keys = [perso.keys.ac(), perso.keys.smi(), perso.keys.smc()].map(|key| key.expose_bytes());
    groups.push(group(0x8000, "block cipher keys", &keys.concat()));
    if let Some(certified) = &perso.certified_key {
        let exponent = certified.key.expose_exponent();
        groups.push(group(0x8101, "RSA private exponent", &exponent));
        groups.push(group(0x8103, "RSA modulus", certified.key.public().modulus()));
    }
    groups
}

fn group(dgi: u16, title: &'static str, data: &[u8]) -> DataGroup {
    DataGroup {
        dgi: format!("{dgi:04X}"),
        title,
        data: HEXUPPER.encode(data),
    }
}

/// Shows which, never the data.
impl std::fmt::Debug for DataGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataGroup({}, {})", self.dgi, self.title)
    }
}
