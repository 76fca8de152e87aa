//! Command and response APDUs, short form (ISO/IEC 7816-4:2020 5; EMV Book 3, 6), and the commands a terminal sends.

use std::fmt;

use thiserror::Error;

/// Makes constants, and the function that gives their titles.
macro_rules! titled {
    ($title_of:ident($type:ty), $($name:ident = $value:expr, $title:literal;)+) => {
        $(#[doc = concat!($title, ".")] pub const $name: $type = $value;)+

        fn $title_of(value: $type) -> Option<&'static str> {
            match value {
                $($name => Some($title),)+
                _ => None,
            }
        }
    };
}

titled! {
    instruction_title(u8),
    INS_A4_SELECT = 0xA4, "SELECT";
    INS_A8_GET_PROCESSING_OPTIONS = 0xA8, "GET PROCESSING OPTIONS";
    INS_B2_READ_RECORD = 0xB2, "READ RECORD";
    INS_CA_GET_DATA = 0xCA, "GET DATA";
    INS_20_VERIFY = 0x20, "VERIFY";
    INS_AE_GENERATE_AC = 0xAE, "GENERATE AC";
    INS_82_EXTERNAL_AUTHENTICATE = 0x82, "EXTERNAL AUTHENTICATE";
    INS_84_GET_CHALLENGE = 0x84, "GET CHALLENGE";
    INS_88_INTERNAL_AUTHENTICATE = 0x88, "INTERNAL AUTHENTICATE";
    INS_24_PIN_CHANGE_UNBLOCK = 0x24, "PIN CHANGE/UNBLOCK";
    INS_18_APPLICATION_UNBLOCK = 0x18, "APPLICATION UNBLOCK";
    INS_1E_APPLICATION_BLOCK = 0x1E, "APPLICATION BLOCK";
    INS_16_CARD_BLOCK = 0x16, "CARD BLOCK";
}

/// Class of script commands with secure messaging format 2.
pub const CLA_84_SECURE_MESSAGING: u8 = 0x84;
/// Class of script commands with secure messaging format 1.
pub const CLA_8C_SECURE_MESSAGING_BER_TLV: u8 = 0x8C;
/// P2 of PIN CHANGE/UNBLOCK: only reset the PIN try counter.
pub const P2_00_UNBLOCK: u8 = 0x00;
/// P2 of PIN CHANGE/UNBLOCK: change, without the current PIN.
pub const P2_02_CHANGE: u8 = 0x02;
/// P2 of VERIFY: plaintext PIN.
pub const P2_80_PLAINTEXT_PIN: u8 = 0x80;
/// P2 of VERIFY: enciphered PIN.
pub const P2_88_ENCIPHERED_PIN: u8 = 0x88;
/// Bit of P1 of GENERATE AC: the cryptogram is wanted inside signed dynamic data (CDA).
pub const P1_10_CDA_REQUESTED: u8 = 0x10;

/// A command, its data borrowed. Its `Debug` shows no data: VERIFY carries a PIN, and wiping it is its owner's part.
///
/// | case | header | Lc | data | Le |
/// |---|---|---|---|---|
/// | 1 | CLA INS P1 P2 | | | |
/// | 2 | CLA INS P1 P2 | | | 1 byte |
/// | 3 | CLA INS P1 P2 | 1 byte | Lc bytes | |
/// | 4 | CLA INS P1 P2 | 1 byte | Lc bytes | 1 byte |
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// Class.
    pub cla: u8,
    /// Instruction.
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// Data, 0 to 255 bytes; empty: no Lc.
    pub data: &'a [u8],
    /// Greatest length wanted in the response; 0 stands for 256; `None`: no Le.
    pub le: Option<u8>,
}

/// Why bytes are not a short command APDU, or not a response APDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ApduError {
    /// Fewer bytes than a header, or than a status word.
    #[error("wanted at least {wanted} bytes, got {got}")]
    TooShort {
        /// Bytes wanted.
        wanted: usize,
        /// Bytes that came.
        got: usize,
    },
    /// Lc does not agree with the number of bytes, or the command has an extended length.
    #[error("Lc says {lc} bytes of data, {got} bytes follow it")]
    Length {
        /// Lc.
        lc: u8,
        /// Bytes after Lc.
        got: usize,
    },
    /// More data than a short command holds.
    #[error("{got} bytes of data, a short command holds 255")]
    DataTooLong {
        /// Bytes of data.
        got: usize,
    },
}

impl<'a> Command<'a> {
    /// Reads a command of case 1 to 4. Refuses fewer than 4 bytes, an Lc that disagrees, and extended lengths.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ApduError> {
        let &[cla, ins, p1, p2, ref body @ ..] = bytes else {
            let got = bytes.len();
            return Err(ApduError::TooShort { wanted: 4, got });
        };
        let (data, le): (&[u8], _) = match body {
            [] => (&[], None),
            [le] => (&[], Some(*le)),
            [lc @ 1..=0xFF, rest @ ..] if rest.len() == usize::from(*lc) => (rest, None),
            [lc @ 1..=0xFF, data @ .., le] if data.len() == usize::from(*lc) => (data, Some(*le)),
            [lc, rest @ ..] => {
                return Err(ApduError::Length {
                    lc: *lc,
                    got: rest.len(),
                });
            }
        };
        Ok(Self {
            cla,
            ins,
            p1,
            p2,
            data,
            le,
        })
    }

    /// The bytes of the command. Refuses more than 255 bytes of data.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ApduError> {
        let got = self.data.len();
        let lc = u8::try_from(got).map_err(|_| ApduError::DataTooLong { got })?;
        let mut out = Vec::with_capacity(6 + got);
        out.extend_from_slice(&[self.cla, self.ins, self.p1, self.p2]);
        if lc > 0 {
            out.push(lc);
            out.extend_from_slice(self.data);
        }
        out.extend(self.le);
        Ok(out)
    }

    /// SELECT an application by its AID or the name of a directory.
    pub fn select(name: &'a [u8]) -> Self {
        Self::new(0x00, INS_A4_SELECT, 0x04, 0x00, name, Some(0))
    }

    /// GET PROCESSING OPTIONS with a command template (tag 83 around the PDOL's values).
    pub fn get_processing_options(template: &'a [u8]) -> Self {
        Self::new(0x80, INS_A8_GET_PROCESSING_OPTIONS, 0x00, 0x00, template, Some(0))
    }

    /// READ RECORD of a short file identifier, 1 to 30.
    pub fn read_record(record: u8, sfi: u8) -> Self {
        Self::new(0x00, INS_B2_READ_RECORD, record, sfi << 3 | 0x04, &[], Some(0))
    }

    /// GET DATA of a data object with a tag of at most 2 bytes, such as `9F17`; a third byte is cut off.
    pub fn get_data(tag: crate::tlv::Tag) -> Self {
        let [_, _, p1, p2] = tag.code().to_be_bytes();
        Self::new(0x80, INS_CA_GET_DATA, p1, p2, &[], Some(0))
    }

    /// VERIFY with a plaintext PIN block (ISO 9564-1:2017 format 2).
    pub fn verify_plaintext(block: &'a [u8; 8]) -> Self {
        Self::new(0x00, INS_20_VERIFY, 0x00, P2_80_PLAINTEXT_PIN, block, None)
    }

    /// GET CHALLENGE: the chip's unpredictable number, 8 bytes, for an enciphered PIN.
    pub fn get_challenge() -> Self {
        Self::new(0x00, INS_84_GET_CHALLENGE, 0x00, 0x00, &[], Some(0))
    }

    /// VERIFY with an enciphered PIN, as long as the modulus of the chip's key (EMV 4.4 Book 2, 7.2).
    pub fn verify_enciphered(enciphered: &'a [u8]) -> Self {
        Self::new(0x00, INS_20_VERIFY, 0x00, P2_88_ENCIPHERED_PIN, enciphered, None)
    }

    /// INTERNAL AUTHENTICATE with the DDOL's values.
    pub fn internal_authenticate(ddol_values: &'a [u8]) -> Self {
        Self::new(
            0x00,
            INS_88_INTERNAL_AUTHENTICATE,
            0x00,
            0x00,
            ddol_values,
            Some(0),
        )
    }

    /// GENERATE AC as [`Command::generate_ac`], the answer inside signed dynamic data (CDA).
    pub fn generate_ac_signed(kind: crate::field55::CryptogramKind, cdol_values: &'a [u8]) -> Self {
        let p1 = kind.code() | P1_10_CDA_REQUESTED;
        Self::new(0x80, INS_AE_GENERATE_AC, p1, 0x00, cdol_values, Some(0))
    }

    /// GENERATE AC, asking for one kind of cryptogram, with the CDOL's values.
    pub fn generate_ac(kind: crate::field55::CryptogramKind, cdol_values: &'a [u8]) -> Self {
        Self::new(0x80, INS_AE_GENERATE_AC, kind.code(), 0x00, cdol_values, Some(0))
    }

    /// EXTERNAL AUTHENTICATE with issuer authentication data (tag 91).
    pub fn external_authenticate(issuer_authentication_data: &'a [u8]) -> Self {
        Self::new(
            0x00,
            INS_82_EXTERNAL_AUTHENTICATE,
            0x00,
            0x00,
            issuer_authentication_data,
            None,
        )
    }

    /// PIN CHANGE/UNBLOCK with secure messaging format 2: enciphered data, if any, then the MAC.
    pub fn pin_change_unblock(p2: u8, data_and_mac: &'a [u8]) -> Self {
        Self::new(
            CLA_84_SECURE_MESSAGING,
            INS_24_PIN_CHANGE_UNBLOCK,
            0x00,
            p2,
            data_and_mac,
            None,
        )
    }

    fn new(cla: u8, ins: u8, p1: u8, p2: u8, data: &'a [u8], le: Option<u8>) -> Self {
        Self {
            cla,
            ins,
            p1,
            p2,
            data,
            le,
        }
    }

    /// Name of the command for people; `None` for an instruction not listed here.
    pub fn title(&self) -> Option<&'static str> {
        instruction_title(self.ins)
    }

    /// Whether the data is never displayed or logged: VERIFY, and PIN CHANGE/UNBLOCK.
    pub fn is_sensitive(&self) -> bool {
        matches!(self.ins, INS_20_VERIFY | INS_24_PIN_CHANGE_UNBLOCK)
    }
}

/// Shows header and length, never data.
impl fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cla,
            ins,
            p1,
            p2,
            data,
            le,
        } = self;
        write!(
            f,
            "Command({cla:02X} {ins:02X} {p1:02X} {p2:02X}, {} bytes, Le {le:?})",
            data.len()
        )
    }
}

/// A response: data, then 2 bytes of status.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// Data, 0 to 256 bytes.
    pub data: &'a [u8],
    /// Status word.
    pub status: StatusWord,
}

impl<'a> Response<'a> {
    /// Reads a response. Refuses fewer than 2 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ApduError> {
        let [data @ .., sw1, sw2] = bytes else {
            let got = bytes.len();
            return Err(ApduError::TooShort { wanted: 2, got });
        };
        let status = StatusWord(u16::from_be_bytes([*sw1, *sw2]));
        Ok(Self { data, status })
    }

    /// The bytes of the response.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.data, &self.status.0.to_be_bytes()].concat()
    }
}

/// Shows length and status, never data.
impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({} bytes, {})", self.data.len(), self.status)
    }
}

/// Status word SW1 SW2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusWord(pub u16);

titled! {
    status_title(StatusWord),
    SW_9000_OK = StatusWord(0x9000), "done";
    SW_6300_AUTHENTICATION_FAILED = StatusWord(0x6300), "issuer authentication failed";
    SW_6700_WRONG_LENGTH = StatusWord(0x6700), "wrong length";
    SW_6982_SECURITY_STATUS = StatusWord(0x6982), "security status not satisfied";
    SW_6983_PIN_BLOCKED = StatusWord(0x6983), "PIN blocked";
    SW_6984_REFERENCE_INVALIDATED = StatusWord(0x6984), "reference data invalidated";
    SW_6985_CONDITIONS = StatusWord(0x6985), "conditions of use not satisfied";
    SW_6988_SECURE_MESSAGING = StatusWord(0x6988), "secure messaging MAC wrong";
    SW_6A80_WRONG_DATA = StatusWord(0x6A80), "wrong data";
    SW_6A81_NOT_SUPPORTED = StatusWord(0x6A81), "not supported";
    SW_6A82_FILE_NOT_FOUND = StatusWord(0x6A82), "file or application not found";
    SW_6A83_RECORD_NOT_FOUND = StatusWord(0x6A83), "record not found";
    SW_6A86_WRONG_PARAMETERS = StatusWord(0x6A86), "wrong P1 or P2";
    SW_6A88_DATA_NOT_FOUND = StatusWord(0x6A88), "data not found";
    SW_6D00_UNKNOWN_INSTRUCTION = StatusWord(0x6D00), "unknown instruction";
    SW_6E00_UNKNOWN_CLASS = StatusWord(0x6E00), "unknown class";
}

impl StatusWord {
    /// `63Cx`: the PIN was wrong, `tries_left` (0 to 15; more counts as 15) tries are left.
    pub fn wrong_pin(tries_left: u8) -> Self {
        Self(0x63C0 | u16::from(tries_left.min(15)))
    }

    /// Tries left, of `63Cx`.
    pub fn tries_left(self) -> Option<u8> {
        let [_, low] = self.0.to_be_bytes();
        (self.0 & 0xFFF0 == 0x63C0).then_some(low & 0x0F)
    }

    /// Whether a terminal goes on with a script after this status: SW1 is 90, 62 or 63 (EMV Book 4, 6.3.9).
    pub fn lets_script_continue(self) -> bool {
        let [sw1, _] = self.0.to_be_bytes();
        matches!(sw1, 0x90 | 0x62 | 0x63)
    }

    /// What it says, for people; `None` for a status not listed here.
    pub fn title(self) -> Option<&'static str> {
        if self.tries_left().is_some() {
            return Some("wrong PIN, tries left in the last digit");
        }
        status_title(self)
    }
}

/// As hexadecimal digits: `9000`.
impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}
