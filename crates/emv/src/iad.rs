//! Issuer application data (tag 9F10): the layouts of the schemes, and one reading of what the chip reports in them.

use crate::cvr::Cvr;
use crate::cvr::ccd::{CcdCvr, CcdCvrBit};
use crate::cvr::mchip::{MChipCvr, MChipCvrBit};

/// Cryptogram version number 10: ARPC method 1, no session key.
pub const CVN_0A_10: u8 = 0x0A;
/// Cryptogram version number 18: ARPC method 2, EMV common session key.
pub const CVN_12_18: u8 = 0x12;
/// Cryptogram version number 22: as 18, with script keys from the ARQC.
pub const CVN_16_22: u8 = 0x16;

/// Longest issuer application data, in bytes.
pub const IAD_LEN_MAX: usize = 32;

/// Who laid out tag 9F10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IadLayout {
    /// [`VisaIad`].
    Visa,
    /// [`MChipIad`].
    MChip,
    /// [`InteracIad`]; what its CVR bits mean is unverified.
    Interac,
    /// [`CcdIad`].
    Ccd,
    /// Amex, read as [`VisaIad`]: unverified, no public source shows it.
    Amex,
}

/// What a chip reports in its issuer application data, the same for every layout. Only as good as the cryptogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChipReport {
    /// Derivation key index.
    pub dki: u8,
    /// Cryptogram version number as it stands in the data: `12` for Visa's 18, `A5` for CCD's TDES. Whoever reads
    /// compares it with the version that the card's programme has.
    pub cvn: u8,
    /// Card verification results, as they came.
    pub cvr: CvrBytes,
    /// Offline PIN verification in this transaction.
    pub offline_pin: OfflinePin,
    /// PIN try limit exceeded.
    pub pin_try_limit_exceeded: bool,
    /// PIN tries left, at most 15; `None` where the layout doesn't tell.
    pub pin_tries_left: Option<u8>,
    /// Issuer script commands since the chip last cleared its report, 0 to 15. Visa counts those received, CCD those that
    /// succeeded. Of M/Chip at least 1 where its "script received" is set, else 0: when its counter itself goes back to
    /// zero is unverified.
    pub script_commands: u8,
    /// A script command failed.
    pub script_failed: bool,
    /// The chip says that its PIN was changed offline; `None` where the layout has no such bit.
    pub pin_change_reported: Option<bool>,
    /// The last online transaction was not completed.
    pub last_online_not_completed: bool,
    /// Issuer authentication failed, in this or the last online transaction.
    pub issuer_authentication_failed: bool,
    /// An issuer has asked for this transaction to go online; `None` where the layout doesn't tell.
    pub go_online_next: Option<bool>,
}

/// Offline PIN verification, as the chip itself reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflinePin {
    /// No PIN was presented to the chip.
    NotPerformed,
    /// Performed, and failed.
    Failed,
    /// Performed, and not failed.
    Verified,
}

/// Card verification results as they came: 4 bytes of Visa, Interac and Amex, 6 of M/Chip, 5 of CCD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CvrBytes {
    bytes: [u8; 6],
    len: usize,
}

impl ChipReport {
    /// Reads the value of 9F10; `None` where it isn't of the layout.
    ///
    /// ```
    /// use emv::iad::{ChipReport, IadLayout, OfflinePin};
    /// let report = ChipReport::read(IadLayout::Visa, &[0x06, 0x01, 0x0A, 0x03, 0xA4, 0x00, 0x10]).ok_or("not Visa's")?;
    /// assert_eq!((report.cvn, report.script_commands), (0x0A, 1));
    /// assert_eq!(report.offline_pin, OfflinePin::Verified);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn read(layout: IadLayout, iad: &[u8]) -> Option<Self> {
        match layout {
            IadLayout::Visa | IadLayout::Amex => VisaIad::parse(iad).map(|iad| {
                let cvr = CvrBytes::of(&iad.cvr.to_bytes());
                Self::of_visa_bits(iad.dki, iad.cvn, cvr, &iad.cvr)
            }),
            IadLayout::Interac => InteracIad::parse(iad).map(|iad| {
                let cvr = CvrBytes::of(&iad.cvr_bytes());
                Self::of_visa_bits(iad.dki, iad.cvn, cvr, &iad.cvr)
            }),
            IadLayout::MChip => MChipIad::parse(iad).map(|iad| Self::of_mchip(&iad)),
            IadLayout::Ccd => CcdIad::parse(iad).map(|iad| Self::of_ccd(&iad)),
        }
    }

    fn of_visa_bits(dki: u8, cvn: u8, bytes: CvrBytes, cvr: &Cvr) -> Self {
        Self {
            dki,
            cvn,
            cvr: bytes,
            offline_pin: OfflinePin::of(
                cvr.offline_pin_performed || cvr.offline_pin_failed,
                cvr.offline_pin_failed,
            ),
            pin_try_limit_exceeded: cvr.pin_try_limit_exceeded,
            pin_tries_left: None,
            script_commands: cvr.script_commands,
            script_failed: cvr.script_failed,
            pin_change_reported: None,
            last_online_not_completed: cvr.last_online_not_completed,
            issuer_authentication_failed: cvr.issuer_authentication_failed
                || cvr.issuer_authentication_failed_last,
            go_online_next: None,
        }
    }

    fn of_mchip(iad: &MChipIad<'_>) -> Self {
        let has = |bit| iad.cvr.has(bit);
        let script_commands = if has(MChipCvrBit::ScriptReceived) {
            iad.cvr.script_counter().max(1)
        } else {
            0
        };
        let successful = has(MChipCvrBit::OfflinePinSuccessful);
        Self {
            dki: iad.dki,
            cvn: iad.cvn,
            cvr: CvrBytes::of(&iad.cvr.0),
            offline_pin: OfflinePin::of(
                has(MChipCvrBit::OfflinePinPerformed) || has(MChipCvrBit::OfflinePinFailed),
                has(MChipCvrBit::OfflinePinFailed) || !successful,
            ),
            pin_try_limit_exceeded: has(MChipCvrBit::PinTryLimitExceeded),
            pin_tries_left: Some(iad.cvr.pin_tries_left()),
            script_commands,
            script_failed: has(MChipCvrBit::ScriptFailed),
            pin_change_reported: Some(has(MChipCvrBit::OfflinePinChangeSuccessful)),
            last_online_not_completed: has(MChipCvrBit::LastOnlineNotCompleted),
            issuer_authentication_failed: has(MChipCvrBit::IssuerAuthenticationFailed),
            go_online_next: Some(has(MChipCvrBit::GoOnlineNext)),
        }
    }

    fn of_ccd(iad: &CcdIad) -> Self {
        let has = |bit| iad.cvr.has(bit);
        Self {
            dki: iad.dki,
            cvn: iad.cci,
            cvr: CvrBytes::of(&iad.cvr.0),
            offline_pin: OfflinePin::of(
                has(CcdCvrBit::OfflinePinPerformed) || has(CcdCvrBit::OfflinePinFailed),
                has(CcdCvrBit::OfflinePinFailed),
            ),
            pin_try_limit_exceeded: has(CcdCvrBit::PinTryLimitExceeded),
            pin_tries_left: Some(iad.cvr.pin_tries_left()),
            script_commands: iad.cvr.script_commands(),
            script_failed: has(CcdCvrBit::ScriptFailed),
            pin_change_reported: None,
            last_online_not_completed: has(CcdCvrBit::LastOnlineNotCompleted),
            issuer_authentication_failed: has(CcdCvrBit::IssuerAuthenticationFailed),
            go_online_next: Some(has(CcdCvrBit::GoOnlineNext)),
        }
    }
}

impl OfflinePin {
    fn of(performed: bool, failed: bool) -> Self {
        match (performed, failed) {
            (false, _) => Self::NotPerformed,
            (true, true) => Self::Failed,
            (true, false) => Self::Verified,
        }
    }
}

impl CvrBytes {
    fn of(cvr: &[u8]) -> Self {
        let mut bytes = [0; 6];
        for (to, from) in bytes.iter_mut().zip(cvr) {
            *to = *from;
        }
        let len = cvr.len().min(6);
        Self { bytes, len }
    }

    /// The 4 to 6 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// As hexadecimal digits.
impl std::fmt::Display for CvrBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// Issuer application data of Visa VSDC, format 0/1/3.
///
/// | part | bytes | meaning |
/// |---|---|---|
/// | length | 1 | of the next three parts, always `06` |
/// | DKI | 1 | derivation key index |
/// | CVN | 1 | cryptogram version number, `0A`, `12` or `16` for 10, 18, 22 |
/// | CVR | 4 | card verification results, beginning `03` |
/// | issuer discretionary data | 0 to 25 | its own length and content, if any |
///
/// Source: the field tables of openemv's emv-utils, which call their Visa rows unverified; the published CVN 18 vector
/// `06011203A0B800` fits them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisaIad<'a> {
    /// Derivation key index.
    pub dki: u8,
    /// Cryptogram version number.
    pub cvn: u8,
    /// Card verification results.
    pub cvr: Cvr,
    /// Issuer discretionary data, with its length byte; empty if none.
    pub issuer_data: &'a [u8],
}

const VISA_DATA_LEN: u8 = 0x06;

impl<'a> VisaIad<'a> {
    /// Reads the value of 9F10. `None` for less than 7 or more than [`IAD_LEN_MAX`] bytes, a length other than `06`
    /// (other schemes' and Visa's token formats), or a CVR that does not begin `03`.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let &[VISA_DATA_LEN, dki, cvn, a, b, c, d, ref issuer_data @ ..] = value else {
            return None;
        };
        let cvr = Cvr::parse([a, b, c, d])?;
        (value.len() <= IAD_LEN_MAX).then_some(Self {
            dki,
            cvn,
            cvr,
            issuer_data,
        })
    }

    /// The value of 9F10.
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = [VISA_DATA_LEN, self.dki, self.cvn];
        [&head[..], &self.cvr.to_bytes(), self.issuer_data].concat()
    }
}

/// Issuer application data of M/Chip 4 and M/Chip Advance.
///
/// | part | bytes | meaning |
/// |---|---|---|
/// | DKI | 1 | derivation key index |
/// | CVN | 1 | b8–b5 `0001`; b3–b2 session key, 00 Mastercard's own, 10 EMV common; b1 the counters are in the cryptogram. `10`, `11`, `14`, `15` for 16, 17, 20, 21 |
/// | CVR | 6 | card verification results |
/// | DAC | 2 | data authentication code, or ICC dynamic number |
/// | counters | 8, 10, 16 or 18 | plain or enciphered |
///
/// Source: the field tables of openemv's emv-utils. EMV2000 session keys under b3–b2 01 (CVN `12`) are unverified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MChipIad<'a> {
    /// Derivation key index.
    pub dki: u8,
    /// Cryptogram version number.
    pub cvn: u8,
    /// Card verification results.
    pub cvr: MChipCvr,
    /// Data authentication code.
    pub dac: [u8; 2],
    /// Counters: 8, 10, 16 or 18 bytes.
    pub counters: &'a [u8],
}

impl<'a> MChipIad<'a> {
    /// Reads the value of 9F10. `None` for a length other than 18, 20, 26 or 28, or a CVN outside `10` to `1F`.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let &[dki, cvn, ref rest @ ..] = value else {
            return None;
        };
        let (&cvr, rest) = rest.split_first_chunk()?;
        let (&dac, counters) = rest.split_first_chunk()?;
        let fits = matches!(counters.len(), 8 | 10 | 16 | 18) && cvn & 0xF0 == 0x10;
        fits.then_some(Self {
            dki,
            cvn,
            cvr: MChipCvr(cvr),
            dac,
            counters,
        })
    }

    /// The value of 9F10.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[self.dki, self.cvn][..], &self.cvr.0, &self.dac, self.counters].concat()
    }
}

/// Issuer application data of Interac.
///
/// | part | bytes | meaning |
/// |---|---|---|
/// | length | 1 | of all that follows: `15` in the published example |
/// | DKI | 1 | derivation key index |
/// | CVN | 1 | cryptogram version number, `85` for 133 |
/// | length | 1 | of the CVR, always `04` |
/// | CVR | 4 | card verification results |
/// | issuer discretionary data | 0 to 24 | |
///
/// The layout is that of the one published example, `1501850440B100000000B0…`. What the CVR bits mean is **unverified**:
/// bytes 1 to 3 are read as Visa's bytes 2 to 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InteracIad<'a> {
    /// Derivation key index.
    pub dki: u8,
    /// Cryptogram version number.
    pub cvn: u8,
    /// CVR bytes 1 to 3, read as Visa's bytes 2 to 4.
    pub cvr: Cvr,
    /// CVR byte 4.
    pub cvr_byte_4: u8,
    /// Issuer discretionary data.
    pub issuer_data: &'a [u8],
}

const INTERAC_CVR_LEN: u8 = 0x04;

impl<'a> InteracIad<'a> {
    /// Reads the value of 9F10. `None` for more than [`IAD_LEN_MAX`] bytes, or a length byte that doesn't agree.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let &[
            len,
            dki,
            cvn,
            INTERAC_CVR_LEN,
            a,
            b,
            c,
            cvr_byte_4,
            ref issuer_data @ ..,
        ] = value
        else {
            return None;
        };
        let fits = value.len() <= IAD_LEN_MAX && usize::from(len) == value.len() - 1;
        fits.then_some(Self {
            dki,
            cvn,
            cvr: Cvr::of_bits([a, b, c]),
            cvr_byte_4,
            issuer_data,
        })
    }

    /// The value of 9F10; of the issuer discretionary data at most 24 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let issuer_data = self.issuer_data.get(..24).unwrap_or(self.issuer_data);
        let len = u8::try_from(7 + issuer_data.len()).expect("7 and at most 24 bytes");
        let head = [len, self.dki, self.cvn, INTERAC_CVR_LEN];
        [&head[..], &self.cvr_bytes(), issuer_data].concat()
    }

    fn cvr_bytes(&self) -> [u8; 4] {
        let [_, a, b, c] = self.cvr.to_bytes();
        [a, b, c, self.cvr_byte_4]
    }
}

/// Issuer application data of the Common Core Definitions, 32 bytes (EMV 4.4 Book 3, Annex C9.2).
///
/// | part | bytes | meaning |
/// |---|---|---|
/// | length | 1 | of the next four parts, always `0F` |
/// | CCI | 1 | common core identifier: `A5` cryptograms by TDES, `A6` by AES |
/// | DKI | 1 | derivation key index |
/// | CVR | 5 | card verification results |
/// | counters | 8 | |
/// | length | 1 | of the last part, always `0F` |
/// | issuer discretionary data | 15 | |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CcdIad {
    /// Common core identifier.
    pub cci: u8,
    /// Derivation key index.
    pub dki: u8,
    /// Card verification results.
    pub cvr: CcdCvr,
    /// Counters.
    pub counters: [u8; 8],
    /// Issuer discretionary data.
    pub issuer_data: [u8; 15],
}

/// Common core identifier of format A, cryptogram version 5: TDES.
pub const CCI_A5_TDES: u8 = 0xA5;
/// Common core identifier of format A, cryptogram version 6: AES.
pub const CCI_A6_AES: u8 = 0xA6;

const CCD_PART_LEN: u8 = 0x0F;

impl CcdIad {
    /// Reads the value of 9F10. `None` for a length other than 32, length bytes other than `0F`, or an identifier other
    /// than `A5` and `A6`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let &[CCD_PART_LEN, cci @ (CCI_A5_TDES | CCI_A6_AES), dki, ref rest @ ..] = value else {
            return None;
        };
        let (&cvr, rest) = rest.split_first_chunk()?;
        let (&counters, rest) = rest.split_first_chunk()?;
        let (&[CCD_PART_LEN], issuer_data) = rest.split_first_chunk()? else {
            return None;
        };
        Some(Self {
            cci,
            dki,
            cvr: CcdCvr(cvr),
            counters,
            issuer_data: issuer_data.try_into().ok()?,
        })
    }

    /// The value of 9F10.
    pub fn to_bytes(&self) -> Vec<u8> {
        [
            &[CCD_PART_LEN, self.cci, self.dki][..],
            &self.cvr.0,
            &self.counters,
            &[CCD_PART_LEN],
            &self.issuer_data,
        ]
        .concat()
    }
}
