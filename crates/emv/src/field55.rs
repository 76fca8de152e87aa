//! Field 55 of an authorisation request: the chip data a host needs, read with types, and what the cryptogram covers.

use std::fmt;

use thiserror::Error;

use crate::bits::Tvr;
use crate::cvm::CvmResults;
use crate::iad::IAD_LEN_MAX;
use crate::tags::{
    TAG_5A_PAN, TAG_5F2A_TRANSACTION_CURRENCY, TAG_5F34_PSN, TAG_9A_TRANSACTION_DATE,
    TAG_9C_TRANSACTION_TYPE, TAG_9F1A_TERMINAL_COUNTRY, TAG_9F02_AMOUNT_AUTHORISED, TAG_9F03_AMOUNT_OTHER,
    TAG_9F5B_SCRIPT_RESULTS, TAG_9F10_IAD, TAG_9F26_APPLICATION_CRYPTOGRAM, TAG_9F27_CID,
    TAG_9F34_CVM_RESULTS, TAG_9F35_TERMINAL_TYPE, TAG_9F36_ATC, TAG_9F37_UNPREDICTABLE_NUMBER,
    TAG_9F39_ENTRY_MODE, TAG_57_TRACK_2, TAG_82_AIP, TAG_95_TVR, named,
};
use crate::tlv::{self, Object, Tag, TlvError};

/// Bytes of [`Field55::terminal_data`].
pub const TERMINAL_DATA_LEN: usize = 33;

/// Chip data of an authorisation request. Bytes are as on the wire: numbers are BCD or big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field55<'a> {
    /// 9F26: application cryptogram.
    pub cryptogram: [u8; 8],
    /// 9F27: cryptogram information data.
    pub cid: u8,
    /// 9F10: issuer application data, up to 32 bytes; [`crate::iad::ChipReport`] reads it.
    pub iad: &'a [u8],
    /// 9F37: unpredictable number.
    pub unpredictable_number: [u8; 4],
    /// 9F36: application transaction counter, big-endian.
    pub atc: [u8; 2],
    /// 95: terminal verification results.
    pub tvr: Tvr,
    /// 9A: transaction date, YYMMDD in BCD.
    pub date: [u8; 3],
    /// 9C: transaction type, BCD.
    pub transaction_type: u8,
    /// 9F02: amount authorised, 12 digits in BCD.
    pub amount: [u8; 6],
    /// 9F03: other amount, 12 digits in BCD.
    pub amount_other: [u8; 6],
    /// 5F2A: transaction currency, BCD.
    pub currency: [u8; 2],
    /// 82: application interchange profile.
    pub aip: [u8; 2],
    /// 9F1A: terminal country, BCD.
    pub terminal_country: [u8; 2],
    /// 9F34: CVM results, if sent.
    pub cvm_results: Option<CvmResults>,
    /// 9F35: terminal type, BCD, if sent: 14, 15 and 16 are a bank's unattended terminals.
    pub terminal_type: Option<u8>,
    /// 5F34: PAN sequence number, BCD, if sent.
    pub psn: Option<u8>,
    /// 9F39: entry mode, BCD, if sent: 05 contact chip, 07 contactless.
    pub entry_mode: Option<u8>,
    /// 9F5B: issuer script results, if sent; [`crate::script::ScriptResult`] reads them.
    pub script_results: Option<&'a [u8]>,
    /// 5A: the card's number, if sent.
    pub pan: Option<CardNumber<'a>>,
    /// 57: track 2 equivalent data, which begin with the card's number, if sent.
    pub track_2: Option<CardNumber<'a>>,
}

/// A card number in compressed digits, up to the first that is none. Its `Debug` shows nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CardNumber<'a>(&'a [u8]);

impl CardNumber<'_> {
    /// Whether these are its digits, in ASCII.
    pub fn is(&self, digits: &str) -> bool {
        let halves = self.0.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
        let number = halves.take_while(|half| *half < 10).map(|digit| b'0' + digit);
        number.eq(digits.bytes())
    }
}

impl fmt::Debug for CardNumber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardNumber(•)")
    }
}

/// Why chip data cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Field55Error {
    /// The bytes are not BER-TLV.
    #[error(transparent)]
    Tlv(#[from] TlvError),
    /// A tag comes twice: which of the two was signed would be a guess.
    #[error("data object {} at byte {at}: came before", named(*.tag))]
    Duplicate {
        /// Place where it comes again, in bytes from 0.
        at: usize,
        /// Its tag.
        tag: Tag,
    },
    /// A tag that is needed is missing.
    #[error("data object {} is missing", named(*.0))]
    Missing(Tag),
    /// A value has a length its tag does not allow.
    #[error("data object {} at byte {at}: wanted {wanted} bytes, got {got}", named(*.tag))]
    Length {
        /// Place where it begins, in bytes from 0.
        at: usize,
        /// Its tag.
        tag: Tag,
        /// Length wanted; for 9F10 the greatest.
        wanted: usize,
        /// Length that came.
        got: usize,
    },
}

/// Kind of an application cryptogram (9F27, b8–b7; P1 of GENERATE AC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CryptogramKind {
    /// `00`: declined.
    Aac,
    /// `40`: approved.
    Tc,
    /// `80`: go online.
    Arqc,
}

impl CryptogramKind {
    /// Reads cryptogram information data, or P1; `None` for the reserved `C0`.
    pub fn from_cid(cid: u8) -> Option<Self> {
        match cid & 0xC0 {
            0x00 => Some(Self::Aac),
            0x40 => Some(Self::Tc),
            0x80 => Some(Self::Arqc),
            _ => None,
        }
    }

    /// `00`, `40` or `80`.
    pub fn code(self) -> u8 {
        match self {
            Self::Aac => 0x00,
            Self::Tc => 0x40,
            Self::Arqc => 0x80,
        }
    }
}

impl<'a> Field55<'a> {
    /// Reads field 55 of a request. Other tags are let through.
    ///
    /// Refuses: bytes that are not BER-TLV; a tag that comes twice; one of 9F26, 9F27, 9F10, 9F37, 9F36, 95, 9A, 9C,
    /// 9F02, 9F03, 5F2A, 82, 9F1A missing; a value of the wrong length.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Field55Error> {
        let objects = tlv::parse(bytes)?;
        for (index, object) in objects.iter().enumerate() {
            if objects
                .iter()
                .take(index)
                .any(|earlier| earlier.tag == object.tag)
            {
                let (at, tag) = (object.at, object.tag);
                return Err(Field55Error::Duplicate { at, tag });
            }
        }
        let values = Values(&objects);
        let iad = values
            .of(TAG_9F10_IAD)
            .ok_or(Field55Error::Missing(TAG_9F10_IAD))?;
        if iad.value.len() > IAD_LEN_MAX {
            return Err(wrong_length(iad, IAD_LEN_MAX));
        }
        Ok(Self {
            cryptogram: values.exact(TAG_9F26_APPLICATION_CRYPTOGRAM)?,
            cid: values.byte(TAG_9F27_CID)?,
            iad: iad.value,
            unpredictable_number: values.exact(TAG_9F37_UNPREDICTABLE_NUMBER)?,
            atc: values.exact(TAG_9F36_ATC)?,
            tvr: Tvr(values.exact(TAG_95_TVR)?),
            date: values.exact(TAG_9A_TRANSACTION_DATE)?,
            transaction_type: values.byte(TAG_9C_TRANSACTION_TYPE)?,
            amount: values.exact(TAG_9F02_AMOUNT_AUTHORISED)?,
            amount_other: values.exact(TAG_9F03_AMOUNT_OTHER)?,
            currency: values.exact(TAG_5F2A_TRANSACTION_CURRENCY)?,
            aip: values.exact(TAG_82_AIP)?,
            terminal_country: values.exact(TAG_9F1A_TERMINAL_COUNTRY)?,
            cvm_results: values.optional(TAG_9F34_CVM_RESULTS)?.map(CvmResults::from_bytes),
            terminal_type: values.optional_byte(TAG_9F35_TERMINAL_TYPE)?,
            psn: values.optional_byte(TAG_5F34_PSN)?,
            entry_mode: values.optional_byte(TAG_9F39_ENTRY_MODE)?,
            script_results: values.of(TAG_9F5B_SCRIPT_RESULTS).map(|object| object.value),
            pan: values.of(TAG_5A_PAN).map(|object| CardNumber(object.value)),
            track_2: values.of(TAG_57_TRACK_2).map(|object| CardNumber(object.value)),
        })
    }

    /// What every cryptogram covers before the issuer application data, or the part of it that its version takes: 9F02
    /// 9F03 9F1A 95 5F2A 9A 9C 9F37 82 9F36 (EMV 4.4 Book 2, 8.1.1).
    pub fn terminal_data(&self) -> [u8; TERMINAL_DATA_LEN] {
        let parts: [&[u8]; 10] = [
            &self.amount,
            &self.amount_other,
            &self.terminal_country,
            &self.tvr.0,
            &self.currency,
            &self.date,
            &[self.transaction_type],
            &self.unpredictable_number,
            &self.aip,
            &self.atc,
        ];
        let mut data = [0; TERMINAL_DATA_LEN];
        for (to, from) in data.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        data
    }

    /// The bytes of field 55 with these data objects, as a terminal sends them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let needed: [(Tag, &[u8]); 13] = [
            (TAG_9F26_APPLICATION_CRYPTOGRAM, &self.cryptogram),
            (TAG_9F27_CID, &[self.cid]),
            (TAG_9F10_IAD, self.iad),
            (TAG_9F37_UNPREDICTABLE_NUMBER, &self.unpredictable_number),
            (TAG_9F36_ATC, &self.atc),
            (TAG_95_TVR, &self.tvr.0),
            (TAG_9A_TRANSACTION_DATE, &self.date),
            (TAG_9C_TRANSACTION_TYPE, &[self.transaction_type]),
            (TAG_9F02_AMOUNT_AUTHORISED, &self.amount),
            (TAG_9F03_AMOUNT_OTHER, &self.amount_other),
            (TAG_5F2A_TRANSACTION_CURRENCY, &self.currency),
            (TAG_82_AIP, &self.aip),
            (TAG_9F1A_TERMINAL_COUNTRY, &self.terminal_country),
        ];
        for (tag, value) in needed {
            tlv::put(&mut out, tag, value);
        }
        if let Some(results) = self.cvm_results {
            tlv::put(&mut out, TAG_9F34_CVM_RESULTS, &results.to_bytes());
        }
        let bytes = [
            (TAG_9F35_TERMINAL_TYPE, self.terminal_type),
            (TAG_5F34_PSN, self.psn),
            (TAG_9F39_ENTRY_MODE, self.entry_mode),
        ];
        for (tag, value) in bytes {
            if let Some(value) = value {
                tlv::put(&mut out, tag, &[value]);
            }
        }
        let others = [
            (TAG_9F5B_SCRIPT_RESULTS, self.script_results),
            (TAG_5A_PAN, self.pan.map(|number| number.0)),
            (TAG_57_TRACK_2, self.track_2.map(|number| number.0)),
        ];
        for (tag, value) in others {
            if let Some(value) = value {
                tlv::put(&mut out, tag, value);
            }
        }
        out
    }
}

fn wrong_length(object: &Object<'_>, wanted: usize) -> Field55Error {
    let (at, tag, got) = (object.at, object.tag, object.value.len());
    Field55Error::Length { at, tag, wanted, got }
}

/// Lookups in data objects without duplicates.
struct Values<'o, 'a>(&'o [Object<'a>]);

impl<'a> Values<'_, 'a> {
    fn of(&self, tag: Tag) -> Option<&Object<'a>> {
        self.0.iter().find(|object| object.tag == tag)
    }

    fn exact<const LEN: usize>(&self, tag: Tag) -> Result<[u8; LEN], Field55Error> {
        self.optional(tag)?.ok_or(Field55Error::Missing(tag))
    }

    fn byte(&self, tag: Tag) -> Result<u8, Field55Error> {
        self.optional_byte(tag)?.ok_or(Field55Error::Missing(tag))
    }

    fn optional<const LEN: usize>(&self, tag: Tag) -> Result<Option<[u8; LEN]>, Field55Error> {
        let value = |object: &Object<'a>| object.value.try_into().map_err(|_| wrong_length(object, LEN));
        self.of(tag).map(value).transpose()
    }

    fn optional_byte(&self, tag: Tag) -> Result<Option<u8>, Field55Error> {
        let value = self.optional::<1>(tag)?;
        Ok(value.map(|[byte]| byte))
    }
}
