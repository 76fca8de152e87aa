//! Secure messaging of script commands: their two formats, their keys and their MACs. EMV Book 2 version 4.4 9.2 and 9.3.

use subtle::ConstantTimeEq;

use super::{ScriptContext, ScriptError};
use crate::cvn::{ScriptKeyMethod, ScriptMacData};
use crate::emv_key::EmvKey;
use crate::icc_keys::CardKeys;
use crate::session_keys::{TreeShape, common_of, emv2000_tree, visa_atc_xor};
use crate::tdes_key::MacPadding;

/// Bytes of a script MAC. EMV allows 4 to 8; all public sources use 8.
const MAC_LEN_BYTES: u8 = 8;

const CLA_FORMAT_1: u8 = 0x8C;
const CLA_FORMAT_2: u8 = 0x84;

const TAG_87_CRYPTOGRAM: u8 = 0x87;
const TAG_8E_MAC: u8 = 0x8E;
/// In front of the cryptogram in data object 87: padded by method 2.
const PADDING_INDICATOR: u8 = 0x01;

/// INS P1 P2 and the enciphered data, which may be empty.
pub(super) type Body<'a> = ([u8; 3], &'a [u8]);

/// How a command's data field is laid out.
#[derive(Clone, Copy)]
enum Format {
    /// Data objects: `87 L 01` cryptogram, where there is one, then `8E 08` MAC. The CLA says that the header is in the MAC.
    One,
    /// The cryptogram, where there is one, then the MAC.
    Two,
}

impl Format {
    fn of(keys: &CardKeys) -> Self {
        match keys.profile().script_mac {
            ScriptMacData::Chained => Self::One,
            ScriptMacData::AtcArqc | ScriptMacData::AtcArqcPlusCount | ScriptMacData::Nothing => Self::Two,
        }
    }

    fn cla(self) -> u8 {
        match self {
            Self::One => CLA_FORMAT_1,
            Self::Two => CLA_FORMAT_2,
        }
    }

    /// The data field up to the MAC.
    fn wrap(self, enciphered: &[u8]) -> Vec<u8> {
        match self {
            Self::One if !enciphered.is_empty() => {
                let len = u8::try_from(enciphered.len() + 1).expect("script data is shorter than 127 bytes");
                [&[TAG_87_CRYPTOGRAM, len, PADDING_INDICATOR], enciphered].concat()
            }
            Self::One | Self::Two => enciphered.to_vec(),
        }
    }

    /// What stands between the data and the MAC.
    fn mac_header(self) -> &'static [u8] {
        match self {
            Self::One => &[TAG_8E_MAC, MAC_LEN_BYTES],
            Self::Two => &[],
        }
    }

    /// The enciphered data of a data field up to the MAC.
    fn unwrap(self, field: &[u8]) -> Option<&[u8]> {
        match (self, field) {
            (Self::Two, enciphered) => Some(enciphered),
            (Self::One, []) => Some(&[]),
            (Self::One, [TAG_87_CRYPTOGRAM, len, PADDING_INDICATOR, enciphered @ ..]) => {
                (usize::from(*len) == enciphered.len() + 1 && !enciphered.is_empty()).then_some(enciphered)
            }
            (Self::One, _) => None,
        }
    }
}

/// The command: CLA INS P1 P2 Lc, the data, its MAC.
pub(super) fn seal(keys: &CardKeys, context: ScriptContext, body: Body<'_>) -> Vec<u8> {
    let format = Format::of(keys);
    let ([ins, p1, p2], enciphered) = body;
    let field = format.wrap(enciphered);
    let lc = field.len() + format.mac_header().len() + usize::from(MAC_LEN_BYTES);
    let lc = u8::try_from(lc).expect("script data is shorter than 127 bytes");
    let header = [format.cla(), ins, p1, p2, lc];
    let mac = transmitted(script_mac(keys, context, header, &field));
    [header.as_slice(), &field, format.mac_header(), &mac].concat()
}

/// A command taken apart, its MAC not yet checked.
pub(super) struct Sealed<'a> {
    pub(super) body: Body<'a>,
    header: [u8; 5],
    field: &'a [u8],
    mac: [u8; 8],
}

impl<'a> Sealed<'a> {
    /// Refuses another CLA than the format's, a length that contradicts Lc, and a data field of another shape.
    pub(super) fn split(keys: &CardKeys, command: &'a [u8]) -> Result<Self, ScriptError> {
        let format = Format::of(keys);
        let split = || {
            let (header, data) = command.split_first_chunk::<5>()?;
            let [cla, ins, p1, p2, lc] = *header;
            let (field, mac) = data.split_last_chunk::<8>()?;
            let field = field.strip_suffix(format.mac_header())?;
            let right = cla == format.cla() && usize::from(lc) == data.len();
            right.then_some(Self {
                body: ([ins, p1, p2], format.unwrap(field)?),
                header: *header,
                field,
                mac: *mac,
            })
        };
        split().ok_or(ScriptError::Header)
    }

    /// The right MAC in its full length, a block of the cipher, then zero bytes.
    pub(super) fn full_mac(&self, keys: &CardKeys, context: ScriptContext) -> [u8; 16] {
        script_mac(keys, context, self.header, self.field)
    }

    /// Compares in constant time.
    pub(super) fn check_mac(&self, keys: &CardKeys, context: ScriptContext) -> Result<(), ScriptError> {
        let expected = transmitted(self.full_mac(keys, context));
        let right = bool::from(expected.ct_eq(&self.mac));
        right.then_some(()).ok_or(ScriptError::Mac)
    }
}

/// Session key of one command, from ICC MK-SMI or ICC MK-SMC.
pub(super) fn script_key(keys: &CardKeys, master: &EmvKey, context: ScriptContext) -> EmvKey {
    let tdes = || {
        let key = master.as_tdes();
        key.expect("a sound version with these methods has TDES keys")
    };
    match keys.profile().script_key {
        ScriptKeyMethod::VisaAtcXor => EmvKey::Tdes(visa_atc_xor(tdes(), context.atc)),
        ScriptKeyMethod::CommonArqc => common_of(master, context.arqc),
        ScriptKeyMethod::CommonArqcPlusCount => common_of(master, counted_arqc(context)),
        ScriptKeyMethod::Emv2000Tree => {
            let key = emv2000_tree(tdes(), TreeShape::Height8Branch4, [0; 16], context.atc);
            EmvKey::Tdes(key)
        }
    }
}

/// The ARQC plus the number of commands before.
fn counted_arqc(context: ScriptContext) -> [u8; 8] {
    let arqc = u64::from_be_bytes(context.arqc);
    arqc.wrapping_add(u64::from(context.commands_before))
        .to_be_bytes()
}

/// The leftmost 8 bytes of a MAC.
fn transmitted(mac: [u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = mac;
    [a, b, c, d, e, f, g, h]
}

/// The MAC of a command: 8 bytes with TDES, then zeros; 16 with AES.
fn script_mac(keys: &CardKeys, context: ScriptContext, header: [u8; 5], field: &[u8]) -> [u8; 16] {
    let atc = context.atc.to_be_bytes();
    let key = script_key(keys, keys.smi(), context);
    let message = match keys.profile().script_mac {
        ScriptMacData::AtcArqc => [header.as_slice(), &atc, &context.arqc, field].concat(),
        ScriptMacData::AtcArqcPlusCount => [header.as_slice(), &atc, &counted_arqc(context), field].concat(),
        ScriptMacData::Nothing => [header.as_slice(), field].concat(),
        ScriptMacData::Chained => {
            return key.full_mac(
                MacPadding::Method1,
                &format_1_message(&key, context, header, field),
            );
        }
    };
    key.full_mac(MacPadding::Method2, &message)
}

/// Chaining value, header without Lc, data objects; the last two filled up to whole blocks of the cipher by method 2, so
/// that the MAC itself has nothing to fill up.
fn format_1_message(key: &EmvKey, context: ScriptContext, header: [u8; 5], field: &[u8]) -> Vec<u8> {
    let block_len = match key {
        EmvKey::Tdes(_) => 8,
        EmvKey::Aes(_) => 16,
    };
    let mut message = context.chaining_value.to_vec();
    message.truncate(block_len);
    let [cla, ins, p1, p2, _lc] = header;
    for part in [&[cla, ins, p1, p2], field] {
        if !part.is_empty() {
            message.extend_from_slice(part);
            message.push(0x80);
            message.resize(message.len().next_multiple_of(block_len), 0);
        }
    }
    message
}
