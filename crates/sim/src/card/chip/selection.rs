//! What a terminal reads: SELECT, GET PROCESSING OPTIONS, READ RECORD, GET DATA.

use emv::apdu::{
    Command, SW_6A80_WRONG_DATA, SW_6A82_FILE_NOT_FOUND, SW_6A83_RECORD_NOT_FOUND, SW_6A86_WRONG_PARAMETERS,
    SW_6A88_DATA_NOT_FOUND, SW_6985_CONDITIONS,
};
use emv::tags::{TAG_9F13_LAST_ONLINE_ATC, TAG_9F17_PIN_TRY_COUNTER, TAG_9F36_ATC, TAG_82_AIP, TAG_94_AFL};
use emv::tlv::put;

use super::{Answer, Chip, Interface, IssuerAuthentication, Power, Selected, Stage, Transaction, template};
use crate::card::profile::Directory;
use crate::card::records;
use crate::card::report::PinVerification;
use crate::card::state::ScriptCount;

/// P2 of SELECT: first or next application of a name (EMV Book 1 11.3.2).
const P2_00_FIRST: u8 = 0x00;
const P2_02_NEXT: u8 = 0x02;

impl Chip {
    /// By name; the name may be the beginning of the application's (EMV Book 1 12.3.1). There is no next one of any name.
    pub(super) fn select(&self, power: &mut Power, command: &Command<'_>) -> Answer {
        match (command.p1, command.p2) {
            (0x04, P2_00_FIRST) => {}
            (0x04, P2_02_NEXT) => return Err(SW_6A82_FILE_NOT_FOUND),
            _ => return Err(SW_6A86_WRONG_PARAMETERS),
        }
        power.transaction = None;
        power.selected = Selected::Nothing;
        if command.data.len() >= 5 && self.perso.aid.starts_with(command.data) {
            power.selected = Selected::Application;
            return Ok(records::application(&self.perso));
        }
        let directory = match power.interface {
            Interface::Contact => Directory::Pse,
            Interface::Contactless => Directory::Ppse,
        };
        if command.data != directory.name() || !self.perso.profile.directories.contains(&directory) {
            return Err(SW_6A82_FILE_NOT_FOUND);
        }
        if directory == Directory::Pse {
            power.selected = Selected::Pse;
        }
        Ok(records::directory(&self.perso, directory))
    }

    /// Begins a transaction: counts it, and moves what the last one's scripts did into the report.
    pub(super) fn get_processing_options(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        if (command.p1, command.p2) != (0, 0) {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        if power.selected != Selected::Application || power.transaction.is_some() {
            return Err(SW_6985_CONDITIONS);
        }
        if command.data != [0x83, 0x00] {
            return Err(SW_6A80_WRONG_DATA);
        }
        let mut state = self.state.clone();
        state.atc = state.atc.checked_add(1).ok_or(SW_6985_CONDITIONS)?;
        state.scripts = state.scripts.and(state.scripts_now);
        state.scripts_now = ScriptCount::default();
        self.remember(state)?;
        power.transaction = Some(Transaction {
            stage: Stage::Initiated,
            pin: PinVerification::NotPerformed,
            pin_enciphered: false,
            dynamic_number: None,
            issuer: IssuerAuthentication::NotPerformed,
            first: None,
        });
        let aip = records::aip(&self.perso, power.interface);
        let afl = records::afl(&self.perso, power.interface);
        Ok(template(&[(TAG_82_AIP, &aip), (TAG_94_AFL, &afl)]))
    }

    pub(super) fn read_record(&self, power: &Power, command: &Command<'_>) -> Answer {
        if command.p2 & 0x07 != 0x04 {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        let (sfi, number) = (command.p2 >> 3, command.p1);
        let record = match power.selected {
            Selected::Nothing => return Err(SW_6985_CONDITIONS),
            Selected::Pse => records::directory_record(&self.perso, sfi, number),
            Selected::Application => records::record(&self.perso, power.interface, sfi, number),
        };
        record.ok_or(SW_6A83_RECORD_NOT_FOUND)
    }

    pub(super) fn get_data(&self, power: &Power, command: &Command<'_>) -> Answer {
        if power.selected != Selected::Application {
            return Err(SW_6985_CONDITIONS);
        }
        let mut out = Vec::new();
        match (command.p1, command.p2) {
            (0x9F, 0x36) => put(&mut out, TAG_9F36_ATC, &self.state.atc.to_be_bytes()),
            (0x9F, 0x13) => put(
                &mut out,
                TAG_9F13_LAST_ONLINE_ATC,
                &self.state.last_online_atc.to_be_bytes(),
            ),
            (0x9F, 0x17) => put(&mut out, TAG_9F17_PIN_TRY_COUNTER, &[self.tries_to_offer()]),
            _ => return Err(SW_6A88_DATA_NOT_FOUND),
        }
        Ok(out)
    }

    /// A card without a PIN offers no try, so that a terminal asks for none.
    fn tries_to_offer(&self) -> u8 {
        self.state.pin.as_ref().map_or(0, |_| self.state.pin_tries_left)
    }
}
