//! What a terminal reads: SELECT, GET PROCESSING OPTIONS, READ RECORD, GET DATA.

use emv::apdu::{
    Command, SW_6A80_WRONG_DATA, SW_6A82_FILE_NOT_FOUND, SW_6A83_RECORD_NOT_FOUND, SW_6A86_WRONG_PARAMETERS,
    SW_6A88_DATA_NOT_FOUND, SW_6985_CONDITIONS,
};
use emv::tags::{TAG_9F13_LAST_ONLINE_ATC, TAG_9F17_PIN_TRY_COUNTER, TAG_9F36_ATC, TAG_82_AIP, TAG_94_AFL};
use emv::tlv::put;

use super::{Answer, Chip, Interface, IssuerAuthentication, Power, Stage, Transaction, template};
use crate::card::records::{self, NAME_PPSE};
use crate::card::report::PinVerification;
use crate::card::state::ScriptCount;

impl Chip {
    /// By name; the name may be the beginning of the application's (EMV Book 1 12.3.1).
    pub(super) fn select(&self, power: &mut Power, command: &Command<'_>) -> Answer {
        if (command.p1, command.p2) != (0x04, 0x00) {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        power.transaction = None;
        power.selected = command.data.len() >= 5 && self.perso.aid.starts_with(command.data);
        if power.selected {
            return Ok(records::application(&self.perso));
        }
        if power.interface == Interface::Contactless && command.data == NAME_PPSE {
            return Ok(records::directory(&self.perso));
        }
        Err(SW_6A82_FILE_NOT_FOUND)
    }

    /// Begins a transaction: counts it, and moves what the last one's scripts did into the report.
    pub(super) fn get_processing_options(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        if (command.p1, command.p2) != (0, 0) {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        if !power.selected || power.transaction.is_some() {
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
        if !power.selected {
            return Err(SW_6985_CONDITIONS);
        }
        if command.p2 & 0x07 != 0x04 {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        records::record(&self.perso, power.interface, command.p2 >> 3, command.p1)
            .ok_or(SW_6A83_RECORD_NOT_FOUND)
    }

    pub(super) fn get_data(&self, power: &Power, command: &Command<'_>) -> Answer {
        if !power.selected {
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
