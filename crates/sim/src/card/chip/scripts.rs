//! Issuer scripts: PIN CHANGE/UNBLOCK.

use emv::apdu::{
    Command, P2_00_UNBLOCK, P2_02_CHANGE, SW_6A80_WRONG_DATA, SW_6A86_WRONG_PARAMETERS, SW_6700_WRONG_LENGTH,
    SW_6984_REFERENCE_INVALIDATED, SW_6985_CONDITIONS, SW_6988_SECURE_MESSAGING, StatusWord,
};
use paycrypto::pin::Pin;
use paycrypto::script::{PIN_UNBLOCK, ScriptContext, ScriptError, open_pin_change, verify_mac_only};

use super::{Answer, Chip, IssuerAuthentication, Power, at_contacts};
use crate::card::state::{ChipState, ScriptCount};

impl Chip {
    /// Only for an issuer that was authenticated in this transaction. Every command let this far is counted, and one
    /// that fails is remembered as failed.
    pub(super) fn pin_change_unblock(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        let transaction = at_contacts(power)
            .filter(|transaction| matches!(transaction.issuer, IssuerAuthentication::Passed(_)))
            .ok_or(SW_6985_CONDITIONS)?;
        let first = transaction.first.as_mut().ok_or(SW_6985_CONDITIONS)?;
        let bytes = Command { le: None, ..*command }.to_bytes();
        let bytes = bytes.map_err(|_| SW_6700_WRONG_LENGTH)?;
        let mut state = self.state.clone();
        let performed = if first.scripts_performed < self.perso.profile.script_commands_max {
            self.perform_script(first.script, command.p2, &bytes, &mut state)
        } else {
            Err(SW_6985_CONDITIONS)
        };
        let done = performed.is_ok();
        state.scripts_now = state.scripts_now.and(ScriptCount {
            commands: 1,
            succeeded: u8::from(done),
            failed: !done,
            pin_changed: done && command.p2 != P2_00_UNBLOCK,
        });
        self.remember(state)?;
        if done {
            first.script = first.script.after(&self.perso.keys, &bytes);
            first.scripts_performed += 1;
        }
        performed.map(|()| Vec::new())
    }

    /// Checks the MAC with this transaction's ATC and ARQC, changes the PIN (P2 01 or 02) and resets its tries.
    fn perform_script(
        &self,
        context: ScriptContext,
        p2: u8,
        bytes: &[u8],
        state: &mut ChipState,
    ) -> Result<(), StatusWord> {
        let keys = &self.perso.keys;
        let refused = |refusal| match refusal {
            ScriptError::Header => SW_6A86_WRONG_PARAMETERS,
            ScriptError::Mac => SW_6988_SECURE_MESSAGING,
            ScriptError::Data => SW_6A80_WRONG_DATA,
        };
        if p2 == P2_00_UNBLOCK {
            verify_mac_only(keys, context, PIN_UNBLOCK, bytes).map_err(refused)?;
        } else {
            let current = match &state.pin {
                Some(pin) => pin.clone(),
                None if p2 == P2_02_CHANGE => no_current_pin(),
                None => return Err(SW_6984_REFERENCE_INVALIDATED),
            };
            let new = open_pin_change(keys, context, bytes, &current).map_err(refused)?;
            state.pin = Some(new);
        }
        state.pin_tries_left = self.perso.pin_try_limit;
        Ok(())
    }
}

/// Stands where a card has no PIN yet: a change without the current PIN doesn't look at it.
fn no_current_pin() -> Pin {
    Pin::from_digits(&[0; 4]).expect("four digits are a PIN")
}
