//! Choosing the application (EMV Book 1 12.3, 12.4): by the card's directory where it has one, else by trying the terminal's
//! names.

use emv::apdu::{Command, SW_6A81_NOT_SUPPORTED, SW_9000_OK};
use emv::tags::{
    TAG_4F_ADF_NAME, TAG_61_APPLICATION_TEMPLATE, TAG_84_DF_NAME, TAG_87_APPLICATION_PRIORITY, TAG_88_SFI,
};
use emv::tlv;

use super::journey::{Party, Trouble};
use super::profile::{Application, TerminalProfile};
use super::reader::CardReader;
use crate::card::chip::Interface;
use crate::card::profile::Directory;

/// P2 of SELECT for the next application whose name begins so.
const P2_02_NEXT: u8 = 0x02;

/// Files whose records a directory may have (EMV Book 1 12.2.3).
const SFI_DIRECTORY_MAX: u8 = 10;

/// Records of a directory that are read, and applications of one name that are looked at.
const ENTRIES_MAX: u8 = 16;

/// An application of the card that the terminal takes.
struct Candidate {
    name: Vec<u8>,
    /// Tag 87: 1 is the first, 15 the last, 0 none.
    priority: u8,
    /// Nobody confirms here, so that such an application can't be taken.
    needs_confirmation: bool,
}

impl CardReader<'_> {
    /// Selects the application that card and terminal both have, of several the one that the card prefers. Gives the card's
    /// answer.
    pub(super) fn select_application(&mut self, profile: &TerminalProfile) -> Result<Vec<u8>, Trouble> {
        let mut candidates = match self.interface {
            Interface::Contact => self.at_contacts(&profile.applications)?,
            Interface::Contactless => self.listed_in_ppse()?,
        };
        let taken = |candidate: &Candidate| {
            profile
                .applications
                .iter()
                .any(|known| known.takes(&candidate.name))
        };
        candidates.retain(|candidate| !candidate.needs_confirmation && taken(candidate));
        candidates.sort_by_key(|candidate| candidate.priority.wrapping_sub(1));
        for candidate in candidates {
            // One that the card lists and doesn't let be selected is passed over (12.4).
            if let (selected, SW_9000_OK) = self.send(&Command::select(&candidate.name))? {
                return Ok(selected);
            }
        }
        let told = "card and terminal have no application in common";
        self.trace.event(Party::Terminal, Party::Terminal, told);
        Err(Trouble::NoCommonApplication)
    }

    /// What the directory lists; where there is none or nothing in it, what answers to the terminal's names.
    fn at_contacts(&mut self, known: &[Application]) -> Result<Vec<Candidate>, Trouble> {
        let (directory, status) = self.send(&Command::select(Directory::Pse.name()))?;
        if status == SW_6A81_NOT_SUPPORTED {
            return Ok(Vec::new());
        }
        let mut listed = Vec::new();
        if let (SW_9000_OK, Some(&[sfi @ 1..=SFI_DIRECTORY_MAX])) = (status, find(&directory, TAG_88_SFI)) {
            listed = self.listed_in_pse(sfi)?;
        }
        if listed.is_empty() {
            return self.found_by_name(known);
        }
        Ok(listed)
    }

    fn listed_in_pse(&mut self, sfi: u8) -> Result<Vec<Candidate>, Trouble> {
        let mut listed = Vec::new();
        for number in 1..=ENTRIES_MAX {
            let (record, SW_9000_OK) = self.send(&Command::read_record(number, sfi))? else {
                break;
            };
            listed.extend(entries(&record)?);
        }
        Ok(listed)
    }

    fn listed_in_ppse(&mut self) -> Result<Vec<Candidate>, Trouble> {
        match self.send(&Command::select(Directory::Ppse.name()))? {
            (directory, SW_9000_OK) => entries(&directory),
            _ => Ok(Vec::new()),
        }
    }

    /// What answers to the terminal's names, in their order.
    fn found_by_name(&mut self, known: &[Application]) -> Result<Vec<Candidate>, Trouble> {
        let mut found: Vec<Candidate> = Vec::new();
        for application in known {
            let mut select = Command::select(&application.aid);
            for _ in 0..ENTRIES_MAX {
                let (information, status) = self.send(&select)?;
                if status != SW_9000_OK {
                    break;
                }
                let name = find(&information, TAG_84_DF_NAME).ok_or(Trouble::CardUnusable)?;
                if !found.iter().any(|candidate| candidate.name == name) {
                    found.push(Candidate::new(
                        name,
                        find(&information, TAG_87_APPLICATION_PRIORITY),
                    ));
                }
                if name == application.aid {
                    break;
                }
                select.p2 = P2_02_NEXT;
            }
        }
        Ok(found)
    }
}

impl Candidate {
    fn new(name: &[u8], indicator: Option<&[u8]>) -> Self {
        let indicator = indicator.and_then(<[u8]>::first).copied().unwrap_or_default();
        Self {
            name: name.to_vec(),
            priority: indicator & 0x0F,
            needs_confirmation: indicator & 0x80 != 0,
        }
    }
}

/// The entries of a directory's record, or of its file control information.
fn entries(bytes: &[u8]) -> Result<Vec<Candidate>, Trouble> {
    let objects = tlv::parse_nested(bytes).map_err(|_| Trouble::CardUnusable)?;
    let entries = objects
        .into_iter()
        .filter(|(_, object)| object.tag == TAG_61_APPLICATION_TEMPLATE);
    let read = |(_, entry): (usize, tlv::Object<'_>)| {
        let name = find(entry.value, TAG_4F_ADF_NAME)?;
        Some(Candidate::new(
            name,
            find(entry.value, TAG_87_APPLICATION_PRIORITY),
        ))
    };
    Ok(entries.filter_map(read).collect())
}

fn find(bytes: &[u8], wanted: tlv::Tag) -> Option<&[u8]> {
    tlv::find(bytes, wanted).ok().flatten()
}
