//! Issuer script commands that change or free the chip's PIN, from the issuer's side and from the card's.
//!
//! PIN CHANGE/UNBLOCK (INS 24) of EMV Book 3 version 4.4 6.5.10, secure messaging in format 2 (Book 2 9.2.1.2, 9.3.1.2).
//! A command is CLA INS P1 P2 Lc, the enciphered PIN where there is one, and an 8-byte MAC; there is no Le.
//! The MAC covers the final Lc, then what the profile adds of the transaction, then the enciphered PIN.
//!
//! Both sides take the same [`ScriptContext`]: a command replayed in another transaction carries a wrong MAC there.
//! With Visa profiles send one command per transaction: no public source says how a second MAC is chained.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::cvn::{Cvn, PinChangeLayout, ScriptKeyMethod, ScriptMacData};
use crate::icc_keys::EmvMasterKeys;
use crate::pin::Pin;
use crate::pinblock::{ClearBlock, decode, decode_iso2, encode, encode_iso2};
use crate::session_keys::{common, visa_atc_xor};
use crate::tdes_key::{MacPadding, Tdes2Key, xor8};

const CLA_FORMAT_2: u8 = 0x84;
const INS_PIN_CHANGE_UNBLOCK: u8 = 0x24;
const P2_WITH_CURRENT_PIN: u8 = 0x01;
const P2_WITHOUT_CURRENT_PIN: u8 = 0x02;

/// Header of PIN UNBLOCK: `84 24 00 00`, for [`build_mac_only`].
pub const PIN_UNBLOCK: [u8; 4] = [CLA_FORMAT_2, INS_PIN_CHANGE_UNBLOCK, 0x00, 0x00];

/// The transaction that a script belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptContext {
    /// Application transaction counter, tag 9F36.
    pub atc: u16,
    /// Cryptogram of the first GENERATE AC, tag 9F26.
    pub arqc: [u8; 8],
    /// Script commands already sent to the card in this transaction. Only Mastercard profiles count them.
    pub commands_before: u8,
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
/// 29 bytes with Visa profiles, 21 with the others. `keys` are the card's master keys.
///
/// Source: EMV Book 3 6.5.10 and the table of [`crate::cvn`]. Evidence: `vectors/cvn.txt`, second implementation pyemv.
///
/// ```
/// use paycrypto::cvn::Cvn;
/// use paycrypto::icc_keys::EmvMasterKeys;
/// use paycrypto::pin::Pin;
/// use paycrypto::script::{ScriptContext, ScriptError, build_pin_change, open_pin_change};
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let card = EmvMasterKeys {
///     ac: Tdes2Key::from_bytes(&[0x23; 16]),
///     smi: Tdes2Key::from_bytes(&[0x45; 16]),
///     smc: Tdes2Key::from_bytes(&[0x67; 16]),
/// };
/// let now = ScriptContext { atc: 0x001C, arqc: *b"\x7A\x78\x8E\xA6\xB8\xA3\xE7\x33", commands_before: 0 };
/// let (new, current) = (Pin::parse("9999").unwrap(), Pin::parse("8888").unwrap());
///
/// let command = build_pin_change(Cvn::Visa18, &card, now, &new);
/// assert_eq!(open_pin_change(Cvn::Visa18, &card, now, &command, &current), Ok(new));
///
/// let later = ScriptContext { atc: 0x001D, ..now };
/// assert_eq!(open_pin_change(Cvn::Visa18, &card, later, &command, &current), Err(ScriptError::Mac));
/// ```
#[must_use]
pub fn build_pin_change(cvn: Cvn, keys: &EmvMasterKeys, context: ScriptContext, new: &Pin) -> Vec<u8> {
    let block = match cvn.profile().pin_change {
        PinChangeLayout::Vis => vis_block(&keys.ac, new),
        PinChangeLayout::VisIso2 | PinChangeLayout::Iso2 => encode_iso2(new),
    };
    seal(cvn, keys, context, P2_WITHOUT_CURRENT_PIN, &block)
}

/// Builds a PIN CHANGE that only a chip holding `current` understands (P2 = 01).
///
/// Refuses (`None`) profiles other than Visa's, for which no public source shows the layout.
///
/// Source and evidence as [`build_pin_change`].
///
/// ```
/// use paycrypto::cvn::Cvn;
/// use paycrypto::icc_keys::EmvMasterKeys;
/// use paycrypto::pin::Pin;
/// use paycrypto::script::{ScriptContext, build_pin_change_with_current, open_pin_change};
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let card = EmvMasterKeys {
///     ac: Tdes2Key::from_bytes(&[0x23; 16]),
///     smi: Tdes2Key::from_bytes(&[0x45; 16]),
///     smc: Tdes2Key::from_bytes(&[0x67; 16]),
/// };
/// let now = ScriptContext { atc: 28, arqc: [7; 8], commands_before: 0 };
/// let (new, current) = (Pin::parse("9999").unwrap(), Pin::parse("8888").unwrap());
/// let command = build_pin_change_with_current(Cvn::Visa22, &card, now, &new, &current).unwrap();
/// assert_eq!(open_pin_change(Cvn::Visa22, &card, now, &command, &current), Ok(new));
/// ```
#[must_use]
pub fn build_pin_change_with_current(
    cvn: Cvn,
    keys: &EmvMasterKeys,
    context: ScriptContext,
    new: &Pin,
    current: &Pin,
) -> Option<Vec<u8>> {
    match cvn.profile().pin_change {
        PinChangeLayout::Vis | PinChangeLayout::VisIso2 => {
            let block = Zeroizing::new(xor8(*vis_block(&keys.ac, new), *left_justified(current)));
            Some(seal(cvn, keys, context, P2_WITH_CURRENT_PIN, &block))
        }
        PinChangeLayout::Iso2 => None,
    }
}

/// The card's side of both PIN CHANGE commands: checks the MAC, deciphers the new PIN.
///
/// Refuses with [`ScriptError::Header`]: any header but `84 24 00 01` and `84 24 00 02`, an Lc or length other than the
/// profile's. With [`ScriptError::Mac`]: another card, transaction or number of commands before, or any bit changed. With
/// [`ScriptError::Data`]: what is deciphered isn't a PIN, as happens when the issuer was wrong about the current PIN.
pub fn open_pin_change(
    cvn: Cvn,
    keys: &EmvMasterKeys,
    context: ScriptContext,
    command: &[u8],
    current: &Pin,
) -> Result<Pin, ScriptError> {
    let (header, data, mac) = split(command)?;
    let with_current = match header {
        [CLA_FORMAT_2, INS_PIN_CHANGE_UNBLOCK, 0x00, P2_WITH_CURRENT_PIN, _] => true,
        [
            CLA_FORMAT_2,
            INS_PIN_CHANGE_UNBLOCK,
            0x00,
            P2_WITHOUT_CURRENT_PIN,
            _,
        ] => false,
        _ => return Err(ScriptError::Header),
    };
    let layout = cvn.profile().pin_change;
    let right_length = match layout {
        PinChangeLayout::Vis | PinChangeLayout::VisIso2 => data.len() == 16,
        PinChangeLayout::Iso2 => data.len() == 8 && !with_current,
    };
    if !right_length {
        return Err(ScriptError::Header);
    }
    check_mac(cvn, keys, context, header, data, mac)?;
    let block = decipher(layout, &script_key(cvn, &keys.smc, context), data).ok_or(ScriptError::Data)?;
    let pin = match (layout, with_current) {
        (PinChangeLayout::Vis | PinChangeLayout::VisIso2, true) => {
            let block = Zeroizing::new(xor8(*block, *left_justified(current)));
            open_vis_block(&keys.ac, &block)
        }
        (PinChangeLayout::Vis, false) => open_vis_block(&keys.ac, &block),
        (PinChangeLayout::VisIso2 | PinChangeLayout::Iso2, _) => decode_iso2(&block).ok(),
    };
    pin.ok_or(ScriptError::Data)
}

/// Builds a command that carries nothing but its MAC: [`PIN_UNBLOCK`], or another header of CLA INS P1 P2 such as
/// APPLICATION UNBLOCK `84 18 00 00`. 13 bytes.
///
/// Source: EMV Book 3 6.5.10. Evidence: `vectors/cvn.txt`, second implementation pyemv.
///
/// ```
/// use paycrypto::cvn::Cvn;
/// use paycrypto::icc_keys::EmvMasterKeys;
/// use paycrypto::script::{PIN_UNBLOCK, ScriptContext, build_mac_only, verify_mac_only};
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let card = EmvMasterKeys {
///     ac: Tdes2Key::from_bytes(&[0x23; 16]),
///     smi: Tdes2Key::from_bytes(&[0x45; 16]),
///     smc: Tdes2Key::from_bytes(&[0x67; 16]),
/// };
/// let now = ScriptContext { atc: 28, arqc: [7; 8], commands_before: 0 };
/// let command = build_mac_only(Cvn::Mastercard16, &card, now, PIN_UNBLOCK);
/// assert_eq!(command[..5], [0x84, 0x24, 0x00, 0x00, 0x08]);
/// assert_eq!(verify_mac_only(Cvn::Mastercard16, &card, now, PIN_UNBLOCK, &command), Ok(()));
/// ```
#[must_use]
pub fn build_mac_only(cvn: Cvn, keys: &EmvMasterKeys, context: ScriptContext, header: [u8; 4]) -> [u8; 13] {
    let [cla, ins, p1, p2] = header;
    let header = [cla, ins, p1, p2, 8];
    let mac = script_mac(cvn, keys, context, header, &[]);
    let mut command = [0; 13];
    for (to, from) in command.iter_mut().zip(header.into_iter().chain(mac)) {
        *to = from;
    }
    command
}

/// The card's side of [`build_mac_only`]. Refuses another header or length, and a wrong MAC.
pub fn verify_mac_only(
    cvn: Cvn,
    keys: &EmvMasterKeys,
    context: ScriptContext,
    header: [u8; 4],
    command: &[u8],
) -> Result<(), ScriptError> {
    let (got, data, mac) = split(command)?;
    if !got.starts_with(&header) || !data.is_empty() {
        return Err(ScriptError::Header);
    }
    check_mac(cvn, keys, context, got, data, mac)
}

/// Enciphers the block and appends the MAC.
fn seal(cvn: Cvn, keys: &EmvMasterKeys, context: ScriptContext, p2: u8, block: &[u8; 8]) -> Vec<u8> {
    let data = encipher(
        cvn.profile().pin_change,
        &script_key(cvn, &keys.smc, context),
        block,
    );
    let lc = u8::try_from(data.len() + 8).expect("the data has 8 or 16 bytes");
    let header = [CLA_FORMAT_2, INS_PIN_CHANGE_UNBLOCK, 0x00, p2, lc];
    let mac = script_mac(cvn, keys, context, header, &data);
    [header.as_slice(), &data, &mac].concat()
}

/// CLA INS P1 P2 Lc, enciphered data, MAC.
type Parts<'a> = ([u8; 5], &'a [u8], [u8; 8]);

/// Refuses a length that contradicts Lc, and a command without room for a MAC.
fn split(command: &[u8]) -> Result<Parts<'_>, ScriptError> {
    let (header, body) = command.split_first_chunk::<5>().ok_or(ScriptError::Header)?;
    let [.., lc] = header;
    if usize::from(*lc) != body.len() {
        return Err(ScriptError::Header);
    }
    let (data, mac) = body.split_last_chunk::<8>().ok_or(ScriptError::Header)?;
    Ok((*header, data, *mac))
}

fn encipher(layout: PinChangeLayout, key: &Tdes2Key, block: &[u8; 8]) -> Vec<u8> {
    match layout {
        PinChangeLayout::Vis | PinChangeLayout::VisIso2 => {
            let [a, b, c, d, e, f, g, last] = *block;
            let wrapped = Zeroizing::new([[8, a, b, c, d, e, f, g], [last, 0x80, 0, 0, 0, 0, 0, 0]]);
            wrapped
                .iter()
                .flat_map(|clear| key.encrypt_block(*clear))
                .collect()
        }
        // One block in CBC with a zero IV.
        PinChangeLayout::Iso2 => key.encrypt_block(*block).to_vec(),
    }
}

fn decipher(layout: PinChangeLayout, key: &Tdes2Key, data: &[u8]) -> Option<ClearBlock> {
    let (blocks, _) = data.as_chunks::<8>();
    match (layout, blocks) {
        (PinChangeLayout::Vis | PinChangeLayout::VisIso2, [first, second]) => {
            let wrapped = Zeroizing::new([key.decrypt_block(*first), key.decrypt_block(*second)]);
            let [[len, a, b, c, d, e, f, g], [last, padding @ ..]] = *wrapped;
            let right = len == 8 && padding == [0x80, 0, 0, 0, 0, 0, 0];
            right.then(|| Zeroizing::new([a, b, c, d, e, f, g, last]))
        }
        (PinChangeLayout::Iso2, [block]) => Some(Zeroizing::new(key.decrypt_block(*block))),
        _ => None,
    }
}

/// `0 N PIN F…F` XOR four zero bytes ‖ rightmost four bytes of the left half of ICC MK-AC.
fn vis_block(icc_mk_ac: &Tdes2Key, pin: &Pin) -> ClearBlock {
    let field = encode::<8>(0, pin, |_| 0x0F);
    Zeroizing::new(xor8(*field, *authentication_code(icc_mk_ac)))
}

fn open_vis_block(icc_mk_ac: &Tdes2Key, block: &[u8; 8]) -> Option<Pin> {
    let field = Zeroizing::new(xor8(*block, *authentication_code(icc_mk_ac)));
    decode(0, &field, |fill| fill == 0x0F).ok()
}

fn authentication_code(icc_mk_ac: &Tdes2Key) -> ClearBlock {
    let [_, _, _, _, a, b, c, d, ..] = *icc_mk_ac.expose_bytes();
    Zeroizing::new([0, 0, 0, 0, a, b, c, d])
}

/// PIN digits two per byte from the left, then zeros.
fn left_justified(pin: &Pin) -> ClearBlock {
    let mut digits = pin.expose_digits().iter();
    let mut block = Zeroizing::new([0; 8]);
    for byte in block.iter_mut() {
        let high = digits.next().copied().unwrap_or_default();
        let low = digits.next().copied().unwrap_or_default();
        *byte = high << 4 | low;
    }
    block
}

fn script_key(cvn: Cvn, master: &Tdes2Key, context: ScriptContext) -> Tdes2Key {
    match cvn.profile().script_key {
        ScriptKeyMethod::VisaAtcXor => visa_atc_xor(master, context.atc),
        ScriptKeyMethod::CommonArqc | ScriptKeyMethod::CommonArqcPlusCount => {
            common(master, counted_arqc(cvn, context))
        }
    }
}

/// The ARQC, plus the number of commands before where the profile counts them.
fn counted_arqc(cvn: Cvn, context: ScriptContext) -> [u8; 8] {
    match cvn.profile().script_key {
        ScriptKeyMethod::CommonArqcPlusCount => {
            let arqc = u64::from_be_bytes(context.arqc);
            arqc.wrapping_add(u64::from(context.commands_before))
                .to_be_bytes()
        }
        ScriptKeyMethod::VisaAtcXor | ScriptKeyMethod::CommonArqc => context.arqc,
    }
}

fn check_mac(
    cvn: Cvn,
    keys: &EmvMasterKeys,
    context: ScriptContext,
    header: [u8; 5],
    data: &[u8],
    mac: [u8; 8],
) -> Result<(), ScriptError> {
    let expected = script_mac(cvn, keys, context, header, data);
    if expected.ct_eq(&mac).into() {
        Ok(())
    } else {
        Err(ScriptError::Mac)
    }
}

fn script_mac(
    cvn: Cvn,
    keys: &EmvMasterKeys,
    context: ScriptContext,
    header: [u8; 5],
    data: &[u8],
) -> [u8; 8] {
    let message = match cvn.profile().script_mac {
        ScriptMacData::AtcArqc => {
            let transaction = [context.atc.to_be_bytes().as_slice(), &counted_arqc(cvn, context)].concat();
            [header.as_slice(), &transaction, data].concat()
        }
        ScriptMacData::Nothing => [header.as_slice(), data].concat(),
    };
    script_key(cvn, &keys.smi, context).retail_mac(MacPadding::Method2, &message)
}
