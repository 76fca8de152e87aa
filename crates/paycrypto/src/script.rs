//! Issuer script commands that change or free the chip's PIN, from the issuer's side and from the card's.
//!
//! PIN CHANGE/UNBLOCK (INS 24) of EMV Book 3 version 4.4 6.5.10 under secure messaging (Book 2 9.2, 9.3). There is no Le.
//!
//! | format | command | MAC over |
//! |---|---|---|
//! | 2, all versions but CCD | `84 24 00` P2 Lc, enciphered PIN, 8-byte MAC | header with the final Lc, what the version adds of the transaction, enciphered PIN |
//! | 1, CCD | `8C 24 00` P2 Lc, `87 11 01` enciphered PIN, `8E 08` MAC | chaining value, header without Lc, data object 87; each in whole blocks |
//!
//! An unblock has no enciphered PIN and no data object 87. The chaining value has one block of the cipher: the ARQC, filled up
//! with zero bytes for AES, and for later commands the MAC of the command before in its full length (Book 2 9.2.3.1, annex
//! D2.3.1). A second implementation that cites version 4.4 of the book reads it the same way: strexp/card42.
//!
//! Both sides take the same [`ScriptContext`]: a command replayed in another transaction carries a wrong MAC there.
//! Send one command per transaction with Visa and American Express: no public source says how a second MAC is chained.

use crate::icc_keys::CardKeys;
use crate::pin::Pin;
use crate::pinblock::ClearBlock;

mod pin_data;
mod secure_messaging;

use self::secure_messaging::{Sealed, script_key, seal};

const INS_PIN_CHANGE_UNBLOCK: u8 = 0x24;
const P2_WITH_CURRENT_PIN: u8 = 0x01;
const P2_WITHOUT_CURRENT_PIN: u8 = 0x02;

/// INS P1 P2 of PIN UNBLOCK, for [`build_mac_only`].
pub const PIN_UNBLOCK: [u8; 3] = [INS_PIN_CHANGE_UNBLOCK, 0x00, 0x00];

/// The transaction that a script belongs to, and what of the script went before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptContext {
    /// Application transaction counter, tag 9F36.
    pub atc: u16,
    /// Cryptogram of the first GENERATE AC, tag 9F26.
    pub arqc: [u8; 8],
    /// Script commands already sent to the card in this transaction. Only Mastercard's versions and EMV2000 count them.
    pub commands_before: u8,
    /// What a format 1 MAC begins with, cut to one block of the cipher: the ARQC and zero bytes, then the full MAC of the
    /// command before.
    pub chaining_value: [u8; 16],
}

impl ScriptContext {
    /// The context of a transaction's first command.
    #[must_use]
    pub fn first(atc: u16, arqc: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = arqc;
        Self {
            atc,
            arqc,
            commands_before: 0,
            chaining_value: [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0],
        }
    }

    /// The context of the command that follows `command` in the same transaction. The chaining value stays as it is where
    /// `command` isn't one that these keys' version could have.
    ///
    /// ```
    /// use paycrypto::cvn::Cvn;
    /// use paycrypto::emv_key::{EmvAlgorithm, EmvKey};
    /// use paycrypto::icc_keys::CardKeys;
    /// use paycrypto::script::{PIN_UNBLOCK, ScriptContext, build_mac_only};
    ///
    /// let [ac, smi, smc] = [1, 2, 3].map(|byte| EmvKey::from_bytes(EmvAlgorithm::Tdes, &[byte; 16]).unwrap());
    /// let card = CardKeys::new(Cvn::CcdTdes, ac, smi, smc).unwrap();
    /// let first = ScriptContext::first(28, [7; 8]);
    /// let command = build_mac_only(&card, first, PIN_UNBLOCK);
    /// let second = first.after(&card, &command);
    /// assert_eq!((second.commands_before, &second.chaining_value[..8]), (1, &command[7..]));
    /// ```
    #[must_use]
    pub fn after(self, keys: &CardKeys, command: &[u8]) -> Self {
        let sealed = Sealed::split(keys, command).ok();
        Self {
            commands_before: self.commands_before.saturating_add(1),
            chaining_value: sealed.map_or(self.chaining_value, |sealed| sealed.full_mac(keys, self)),
            ..self
        }
    }
}

/// Why a card doesn't carry out a command, and the status word it answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// Not this command, or a wrong length: `6A86`.
    #[error("not a command of this kind")]
    Header,
    /// The MAC isn't of this card and transaction: `6988`.
    #[error("the MAC is wrong")]
    Mac,
    /// The MAC is right but the enciphered data holds no PIN: `6A80`.
    #[error("the enciphered data is wrong")]
    Data,
}

/// Builds a PIN CHANGE that doesn't depend on the chip's current PIN (P2 = 02): right whatever the chip holds now.
///
/// 29 bytes with Visa and American Express, 34 with CCD, 21 with the others.
///
/// Source: EMV Book 3 6.5.10 and the table of [`crate::cvn`]. Evidence: `vectors/cvn.txt`, second implementation pyemv.
///
/// ```
/// use paycrypto::cvn::Cvn;
/// use paycrypto::emv_key::{EmvAlgorithm, EmvKey};
/// use paycrypto::icc_keys::CardKeys;
/// use paycrypto::pin::Pin;
/// use paycrypto::script::{ScriptContext, ScriptError, build_pin_change, open_pin_change};
///
/// let [ac, smi, smc] = [1, 2, 3].map(|byte| EmvKey::from_bytes(EmvAlgorithm::Tdes, &[byte; 16]).unwrap());
/// let card = CardKeys::new(Cvn::Visa18, ac, smi, smc).unwrap();
/// let now = ScriptContext::first(0x001C, *b"\x7A\x78\x8E\xA6\xB8\xA3\xE7\x33");
/// let (new, current) = (Pin::parse("9999").unwrap(), Pin::parse("8888").unwrap());
///
/// let command = build_pin_change(&card, now, &new);
/// assert_eq!(open_pin_change(&card, now, &command, &current), Ok(new));
///
/// let later = ScriptContext { atc: 0x001D, ..now };
/// assert_eq!(open_pin_change(&card, later, &command, &current), Err(ScriptError::Mac));
/// ```
#[must_use]
pub fn build_pin_change(keys: &CardKeys, context: ScriptContext, new: &Pin) -> Vec<u8> {
    let block = pin_data::block(keys, new);
    seal_pin(keys, context, P2_WITHOUT_CURRENT_PIN, &block)
}

/// Builds a PIN CHANGE that only a chip holding `current` understands (P2 = 01).
///
/// Refuses (`None`) versions other than Visa's and American Express, for which no public source shows the layout.
///
/// Source and evidence as [`build_pin_change`].
///
/// ```
/// use paycrypto::cvn::Cvn;
/// use paycrypto::emv_key::{EmvAlgorithm, EmvKey};
/// use paycrypto::icc_keys::CardKeys;
/// use paycrypto::pin::Pin;
/// use paycrypto::script::{ScriptContext, build_pin_change_with_current, open_pin_change};
///
/// let [ac, smi, smc] = [1, 2, 3].map(|byte| EmvKey::from_bytes(EmvAlgorithm::Tdes, &[byte; 16]).unwrap());
/// let card = CardKeys::new(Cvn::Visa22, ac, smi, smc).unwrap();
/// let now = ScriptContext::first(28, [7; 8]);
/// let (new, current) = (Pin::parse("9999").unwrap(), Pin::parse("8888").unwrap());
/// let command = build_pin_change_with_current(&card, now, &new, &current).unwrap();
/// assert_eq!(open_pin_change(&card, now, &command, &current), Ok(new));
/// ```
#[must_use]
pub fn build_pin_change_with_current(
    keys: &CardKeys,
    context: ScriptContext,
    new: &Pin,
    current: &Pin,
) -> Option<Vec<u8>> {
    let block = pin_data::block_with_current(keys, new, current)?;
    Some(seal_pin(keys, context, P2_WITH_CURRENT_PIN, &block))
}

fn seal_pin(keys: &CardKeys, context: ScriptContext, p2: u8, block: &ClearBlock) -> Vec<u8> {
    let layout = keys.profile().pin_change;
    let enciphered = pin_data::encipher(layout, &script_key(keys, keys.smc(), context), block);
    seal(keys, context, ([INS_PIN_CHANGE_UNBLOCK, 0x00, p2], &enciphered))
}

/// The card's side of both PIN CHANGE commands: checks the MAC, deciphers the new PIN.
///
/// Refuses with [`ScriptError::Header`]: any header but the two, an Lc, length or data object other than the version's.
/// With [`ScriptError::Mac`]: another card, transaction or place in the script, or any bit changed. With
/// [`ScriptError::Data`]: what is deciphered isn't a PIN, as happens when the issuer was wrong about the current PIN.
pub fn open_pin_change(
    keys: &CardKeys,
    context: ScriptContext,
    command: &[u8],
    current: &Pin,
) -> Result<Pin, ScriptError> {
    let sealed = Sealed::split(keys, command)?;
    let layout = keys.profile().pin_change;
    let with_current = match sealed.body.0 {
        [INS_PIN_CHANGE_UNBLOCK, 0x00, P2_WITHOUT_CURRENT_PIN] => None,
        [INS_PIN_CHANGE_UNBLOCK, 0x00, P2_WITH_CURRENT_PIN] if pin_data::takes_current(layout) => {
            Some(current)
        }
        _ => return Err(ScriptError::Header),
    };
    let (_, enciphered) = sealed.body;
    if enciphered.len() != pin_data::enciphered_len_bytes(layout) {
        return Err(ScriptError::Header);
    }
    sealed.check_mac(keys, context)?;
    let block = pin_data::decipher(layout, &script_key(keys, keys.smc(), context), enciphered);
    let pin = block.and_then(|block| pin_data::open_block(keys, &block, with_current));
    pin.ok_or(ScriptError::Data)
}

/// Builds a command that carries nothing but its MAC: [`PIN_UNBLOCK`], or another INS P1 P2 such as APPLICATION UNBLOCK
/// `18 00 00`. 13 bytes, 15 with CCD.
///
/// Source: EMV Book 3 6.5.10. Evidence: `vectors/cvn.txt`, second implementation pyemv.
///
/// ```
/// use paycrypto::cvn::Cvn;
/// use paycrypto::emv_key::{EmvAlgorithm, EmvKey};
/// use paycrypto::icc_keys::CardKeys;
/// use paycrypto::script::{PIN_UNBLOCK, ScriptContext, build_mac_only, verify_mac_only};
///
/// let [ac, smi, smc] = [1, 2, 3].map(|byte| EmvKey::from_bytes(EmvAlgorithm::Aes, &[byte; 16]).unwrap());
/// let card = CardKeys::new(Cvn::CcdAes, ac, smi, smc).unwrap();
/// let now = ScriptContext::first(28, [7; 8]);
/// let command = build_mac_only(&card, now, PIN_UNBLOCK);
/// assert_eq!(command[..7], [0x8C, 0x24, 0x00, 0x00, 0x0A, 0x8E, 0x08]);
/// assert_eq!(verify_mac_only(&card, now, PIN_UNBLOCK, &command), Ok(()));
/// ```
#[must_use]
pub fn build_mac_only(keys: &CardKeys, context: ScriptContext, instruction: [u8; 3]) -> Vec<u8> {
    seal(keys, context, (instruction, &[]))
}

/// The card's side of [`build_mac_only`]. Refuses another instruction or length, and a wrong MAC.
pub fn verify_mac_only(
    keys: &CardKeys,
    context: ScriptContext,
    instruction: [u8; 3],
    command: &[u8],
) -> Result<(), ScriptError> {
    let sealed = Sealed::split(keys, command)?;
    if sealed.body != (instruction, [].as_slice()) {
        return Err(ScriptError::Header);
    }
    sealed.check_mac(keys, context)
}
