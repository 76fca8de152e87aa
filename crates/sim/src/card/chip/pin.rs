//! Offline PIN: VERIFY, plaintext and enciphered, and the challenge that an enciphered PIN has to carry.

use emv::apdu::{
    Command, P2_80_PLAINTEXT_PIN, P2_88_ENCIPHERED_PIN, SW_6A80_WRONG_DATA, SW_6A86_WRONG_PARAMETERS,
    SW_6D00_UNKNOWN_INSTRUCTION, SW_6700_WRONG_LENGTH, SW_6983_PIN_BLOCKED, SW_6984_REFERENCE_INVALIDATED,
    SW_6985_CONDITIONS, StatusWord,
};
use paycrypto::pin::Pin;
use paycrypto::pinblock::decode_iso2;

use super::{Answer, Chip, Power, SW_6581_MEMORY_FAILURE, Stage, at_contacts};
use crate::card::report::PinVerification;

impl Chip {
    /// 8 random bytes, for one enciphered PIN.
    pub(super) fn get_challenge(&self, power: &mut Power, command: &Command<'_>) -> Answer {
        if (command.p1, command.p2) != (0, 0) {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        if self.perso.certified_key.is_none() {
            return Err(SW_6D00_UNKNOWN_INSTRUCTION);
        }
        at_contacts(power).ok_or(SW_6985_CONDITIONS)?;
        let mut challenge = [0; 8];
        getrandom::fill(&mut challenge).map_err(|_| SW_6581_MEMORY_FAILURE)?;
        power.challenge = Some(challenge);
        Ok(challenge.to_vec())
    }

    /// Plaintext PIN, format 2, or such a block enciphered with the card's key and its challenge. The try is charged,
    /// durably, before the PIN is looked at; a block that isn't one costs nothing and says nothing.
    pub(super) fn verify(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        let challenge = match (command.p1, command.p2) {
            (0, P2_80_PLAINTEXT_PIN) => None,
            (0, P2_88_ENCIPHERED_PIN) => Some(power.challenge.take()),
            _ => return Err(SW_6A86_WRONG_PARAMETERS),
        };
        let transaction = at_contacts(power)
            .filter(|transaction| transaction.stage == Stage::Initiated)
            .ok_or(SW_6985_CONDITIONS)?;
        let reference = self.state.pin.clone().ok_or(SW_6984_REFERENCE_INVALIDATED)?;
        if self.state.pin_tries_left == 0 {
            return Err(SW_6983_PIN_BLOCKED);
        }
        let presented = match challenge {
            None => plaintext_pin(command.data)?,
            Some(challenge) => self.enciphered_pin(command.data, challenge)?,
        };
        let mut charged = self.state.clone();
        charged.pin_tries_left -= 1;
        self.remember(charged)?;
        transaction.pin_enciphered = challenge.is_some();
        if presented != reference {
            transaction.pin = PinVerification::Failed;
            return Err(StatusWord::wrong_pin(self.state.pin_tries_left));
        }
        let mut refunded = self.state.clone();
        refunded.pin_tries_left = self.perso.pin_try_limit;
        self.remember(refunded)?;
        transaction.pin = PinVerification::Passed;
        Ok(Vec::new())
    }

    fn enciphered_pin(&self, enciphered: &[u8], challenge: Option<[u8; 8]>) -> Result<Pin, StatusWord> {
        let key = self
            .perso
            .certified_key
            .as_ref()
            .ok_or(SW_6A86_WRONG_PARAMETERS)?;
        let challenge = challenge.ok_or(SW_6985_CONDITIONS)?;
        let block = key
            .decipher_pin(enciphered, challenge)
            .ok_or(SW_6A80_WRONG_DATA)?;
        decode_iso2(&block).map_err(|_| SW_6A80_WRONG_DATA)
    }
}

fn plaintext_pin(data: &[u8]) -> Result<Pin, StatusWord> {
    let block = data.try_into().map_err(|_| SW_6700_WRONG_LENGTH)?;
    decode_iso2(block).map_err(|_| SW_6A80_WRONG_DATA)
}
