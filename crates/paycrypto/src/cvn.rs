//! Cryptogram versions: which derivation, padding, data and script layout each one uses, as data.
//!
//! The schemes' own documents are under a non-disclosure agreement; these rows come from two public implementations that
//! agree (pyemv 1.5.0, jPOS) and are shown right by `vectors/cvn.txt`, which come from a real HSM by way of pyemv.

use crate::icc_keys::IccKeyOption;
use crate::tdes_key::MacPadding;

/// A cryptogram version number with its scheme; the numbers are decimal, as the schemes write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cvn {
    /// Visa CVN 10 (hex 0A).
    Visa10,
    /// Visa CVN 18 (hex 12).
    Visa18,
    /// Visa CVN 22 (hex 16).
    Visa22,
    /// Interac CVN 133 (hex 85).
    Interac133,
    /// Mastercard CVN 16 (hex 10).
    Mastercard16,
    /// Mastercard CVN 17 (hex 11).
    Mastercard17,
    /// Mastercard CVN 20 (hex 14).
    Mastercard20,
    /// Mastercard CVN 21 (hex 15).
    Mastercard21,
}

/// What a cryptogram version stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CvnProfile {
    /// How the card's master keys come from the issuer's.
    pub icc_key: IccKeyOption,
    /// How the cryptogram's session key comes from ICC MK-AC.
    pub ac_key: AcKeyMethod,
    /// Padding of the cryptogram's MAC.
    pub ac_padding: MacPadding,
    /// Which bytes of tag 9F10 enter the cryptogram.
    pub ac_iad: AcIad,
    /// How the issuer answers.
    pub arpc: ArpcMethod,
    /// How secure messaging keys come from ICC MK-SMI and MK-SMC.
    pub script_key: ScriptKeyMethod,
    /// Layout and encipherment of a new PIN.
    pub pin_change: PinChangeLayout,
    /// Transaction data in the script MAC, between header and data.
    pub script_mac: ScriptMacData,
}

/// Session key of the application cryptogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcKeyMethod {
    /// ICC MK-AC itself.
    MasterKey,
    /// [`crate::session_keys::common_ac`].
    Common,
    /// [`crate::session_keys::mastercard_skd`].
    MastercardSkd,
}

/// Part of tag 9F10 in the cryptogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcIad {
    /// Visa CVR: bytes 4 to 7.
    VisaCvr,
    /// All of it.
    Whole,
    /// M/Chip CVR: bytes 3 to 8.
    MChipCvr,
    /// M/Chip CVR and counters: bytes 3 to 8 and 11 to 18.
    MChipCvrAndCounters,
}

/// How the authorisation response cryptogram is made, and with which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpcMethod {
    /// [`crate::arpc::method_1`] with ICC MK-AC.
    Method1MasterKey,
    /// [`crate::arpc::method_1`] with the cryptogram's session key.
    Method1SessionKey,
    /// [`crate::arpc::method_2`] with the cryptogram's session key.
    Method2,
}

/// Session keys of secure messaging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptKeyMethod {
    /// [`crate::session_keys::visa_atc_xor`].
    VisaAtcXor,
    /// [`crate::session_keys::common`] with the ARQC.
    CommonArqc,
    /// [`crate::session_keys::common`] with the ARQC plus the number of script commands sent before.
    CommonArqcPlusCount,
}

/// Clear layout and mode of the enciphered PIN in a PIN CHANGE command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinChangeLayout {
    /// VIS block, length byte in front, method 2 padding, ECB: 16 bytes.
    Vis,
    /// As `Vis`, but an ISO 9564 format 2 block where the current PIN isn't used.
    VisIso2,
    /// ISO 9564 format 2 block, CBC, no padding: 8 bytes.
    Iso2,
}

/// Transaction data that a script MAC covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptMacData {
    /// ATC and ARQC; where the key method counts commands, the ARQC counts with it.
    AtcArqc,
    /// None.
    Nothing,
}

impl Cvn {
    /// The row of this version.
    ///
    /// ```
    /// use paycrypto::cvn::{ArpcMethod, Cvn};
    ///
    /// assert_eq!(Cvn::Visa18.profile().arpc, ArpcMethod::Method2);
    /// assert_eq!(Cvn::Mastercard16.profile().arpc, ArpcMethod::Method1MasterKey);
    /// ```
    #[must_use]
    pub const fn profile(self) -> CvnProfile {
        match self {
            Self::Visa10 => CvnProfile {
                icc_key: IccKeyOption::A,
                ac_key: AcKeyMethod::MasterKey,
                ac_padding: MacPadding::Method1,
                ac_iad: AcIad::VisaCvr,
                arpc: ArpcMethod::Method1MasterKey,
                script_key: ScriptKeyMethod::VisaAtcXor,
                pin_change: PinChangeLayout::Vis,
                script_mac: ScriptMacData::AtcArqc,
            },
            Self::Visa18 => CvnProfile {
                icc_key: IccKeyOption::B,
                ac_key: AcKeyMethod::Common,
                ac_padding: MacPadding::Method2,
                ac_iad: AcIad::Whole,
                arpc: ArpcMethod::Method2,
                script_key: ScriptKeyMethod::VisaAtcXor,
                pin_change: PinChangeLayout::Vis,
                script_mac: ScriptMacData::AtcArqc,
            },
            Self::Visa22 => CvnProfile {
                script_key: ScriptKeyMethod::CommonArqc,
                pin_change: PinChangeLayout::VisIso2,
                ..Self::Visa18.profile()
            },
            Self::Interac133 => CvnProfile {
                ac_iad: AcIad::Whole,
                arpc: ArpcMethod::Method1SessionKey,
                script_key: ScriptKeyMethod::CommonArqc,
                script_mac: ScriptMacData::Nothing,
                ..Self::Mastercard16.profile()
            },
            Self::Mastercard16 => CvnProfile {
                icc_key: IccKeyOption::A,
                ac_key: AcKeyMethod::MastercardSkd,
                ac_padding: MacPadding::Method2,
                ac_iad: AcIad::MChipCvr,
                arpc: ArpcMethod::Method1MasterKey,
                script_key: ScriptKeyMethod::CommonArqcPlusCount,
                pin_change: PinChangeLayout::Iso2,
                script_mac: ScriptMacData::AtcArqc,
            },
            Self::Mastercard17 => CvnProfile {
                ac_iad: AcIad::MChipCvrAndCounters,
                ..Self::Mastercard16.profile()
            },
            Self::Mastercard20 => CvnProfile {
                ac_key: AcKeyMethod::Common,
                arpc: ArpcMethod::Method1SessionKey,
                ..Self::Mastercard16.profile()
            },
            Self::Mastercard21 => CvnProfile {
                ac_iad: AcIad::MChipCvrAndCounters,
                ..Self::Mastercard20.profile()
            },
        }
    }
}
