//! Cryptogram versions: which derivation, padding, data and script layout each one uses, as data.
//!
//! The schemes' own documents are under a non-disclosure agreement: each row rests on public text only.
//!
//! | rows | source | verified by |
//! |---|---|---|
//! | Visa 10, 18, 22, Interac 133, Mastercard 16, 17, 20, 21 | pyemv 1.5.0 and jPOS, which agree | `vectors/cvn.txt`, from a real HSM by way of pyemv |
//! | CCD with TDES | EMV Book 2 (8.1, 8.2.2, 9.2, 9.3, annexes A1, D2), in the reading of strexp/card42, which cites version 4.4 | parts of pyemv put together anew; no public vector of the whole |
//! | CCD with AES | as above (A1.2.2, A1.3.1, A1.4.3) | AES and CMAC of Python's `cryptography` put together anew; no public vector |
//! | EMV2000 | EMV Book 2 version 4.1 A1.3 for the keys | the keys against pyemv; the combination with M/Chip's layout is unverified |
//! | American Express | unverified: no public text shows it | nothing. It is Visa 10's construction, which public HSM documentation describes as the same for PIN changes |
//!
//! Unverified, because no public text that could be read settles it:
//!
//! - CCD: how a chip takes a new PIN. The book leaves P2 02 to the payment system; here it is an ISO 9564 format 2 block, always
//!   padded, as public descriptions of CPA have it. Script MACs have 8 bytes, of the 4 to 8 that the book allows
//! - EMV2000: ARPC under the session key, script keys from the tree, and the counted ARQC in the script MAC
//! - American Express: everything

use cards::Scheme;

use crate::emv_key::EmvAlgorithm;
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
    /// EMV Common Core Definitions, cryptogram version 5: TDES.
    CcdTdes,
    /// EMV Common Core Definitions, cryptogram version 6: AES.
    CcdAes,
    /// M/Chip layout with EMV2000 tree session keys (hex 12). Unverified but for its keys.
    Emv2000,
    /// American Express, built like Visa CVN 10. Unverified.
    AmexUnverified,
}

/// What a cryptogram version stands for. The computations take any that [`CvnProfile::is_sound`], not only those of
/// [`Cvn`]: a simulated card has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CvnProfile {
    /// How the card's master keys come from the issuer's.
    pub icc_key: IccKeyOption,
    /// How the cryptogram's session key comes from ICC MK-AC.
    pub ac_key: AcKeyMethod,
    /// Padding of the cryptogram's MAC with TDES; CMAC pads by itself.
    pub ac_padding: MacPadding,
    /// Which bytes of tag 9F10 enter the cryptogram.
    pub ac_iad: AcIad,
    /// How the issuer answers.
    pub arpc: ArpcMethod,
    /// How secure messaging keys come from ICC MK-SMI and MK-SMC.
    pub script_key: ScriptKeyMethod,
    /// Layout and encipherment of a new PIN.
    pub pin_change: PinChangeLayout,
    /// What the script MAC covers besides the command. `Chained` stands for secure messaging format 1, the others for
    /// format 2.
    pub script_mac: ScriptMacData,
}

/// Session key of the application cryptogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcKeyMethod {
    /// ICC MK-AC itself.
    MasterKey,
    /// [`crate::session_keys::common`] or [`crate::session_keys::common_aes`] with the ATC.
    Common,
    /// [`crate::session_keys::mastercard_skd`].
    MastercardSkd,
    /// [`crate::session_keys::emv2000_tree`] of height 8 and branch factor 4, with a zero IV.
    Emv2000Tree,
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
    /// [`crate::session_keys::emv2000_tree`] of height 8 and branch factor 4, with a zero IV.
    Emv2000Tree,
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
    /// ISO 9564 format 2 block, method 2 padding, CBC: 16 bytes. In data object 87 of secure messaging format 1.
    Ccd,
}

/// What a script MAC covers besides the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptMacData {
    /// ATC and ARQC, between header and data.
    AtcArqc,
    /// ATC, and ARQC plus the number of script commands sent before, between header and data.
    AtcArqcPlusCount,
    /// Nothing.
    Nothing,
    /// In front: the ARQC, or the MAC of the script command sent before. Secure messaging format 1.
    Chained,
}

impl CvnProfile {
    /// Algorithm of the card's keys.
    #[must_use]
    pub const fn algorithm(&self) -> EmvAlgorithm {
        self.icc_key.algorithm()
    }

    /// Whether its parts fit together: with AES keys, none that only TDES can do.
    ///
    /// ```
    /// use paycrypto::cvn::{Cvn, CvnProfile};
    /// use paycrypto::icc_keys::IccKeyOption;
    ///
    /// let with_aes = |cvn: Cvn| CvnProfile { icc_key: IccKeyOption::C, ..cvn.profile() };
    /// assert!(with_aes(Cvn::CcdTdes).is_sound());
    /// assert!(!with_aes(Cvn::Visa18).is_sound());
    /// ```
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        matches!(self.algorithm(), EmvAlgorithm::Tdes)
            || matches!(self.ac_key, AcKeyMethod::Common)
                && matches!(self.arpc, ArpcMethod::Method2)
                && matches!(
                    self.script_key,
                    ScriptKeyMethod::CommonArqc | ScriptKeyMethod::CommonArqcPlusCount
                )
                && matches!(self.pin_change, PinChangeLayout::Ccd)
    }
}

impl From<Cvn> for CvnProfile {
    fn from(cvn: Cvn) -> Self {
        cvn.profile()
    }
}

/// The cryptogram version of a programme's chip profile.
impl From<Scheme> for Cvn {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::VisaCvn10 => Self::Visa10,
            Scheme::VisaCvn18 => Self::Visa18,
            Scheme::VisaCvn22 => Self::Visa22,
            Scheme::MastercardCvn16 => Self::Mastercard16,
            Scheme::MastercardCvn17 => Self::Mastercard17,
            Scheme::MastercardCvn20 => Self::Mastercard20,
            Scheme::MastercardCvn21 => Self::Mastercard21,
            Scheme::InteracCvn133 => Self::Interac133,
            Scheme::CcdTdes => Self::CcdTdes,
            Scheme::CcdAes => Self::CcdAes,
            Scheme::Emv2000 => Self::Emv2000,
            Scheme::AmexUnverified => Self::AmexUnverified,
        }
    }
}

impl Cvn {
    /// Every version, once.
    pub const ALL: [Self; 12] = [
        Self::Visa10,
        Self::Visa18,
        Self::Visa22,
        Self::Interac133,
        Self::Mastercard16,
        Self::Mastercard17,
        Self::Mastercard20,
        Self::Mastercard21,
        Self::CcdTdes,
        Self::CcdAes,
        Self::Emv2000,
        Self::AmexUnverified,
    ];

    /// Its name in settings: scheme and decimal number, `visa-cvn18`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visa10 => "visa-cvn10",
            Self::Visa18 => "visa-cvn18",
            Self::Visa22 => "visa-cvn22",
            Self::Interac133 => "interac-cvn133",
            Self::Mastercard16 => "mastercard-cvn16",
            Self::Mastercard17 => "mastercard-cvn17",
            Self::Mastercard20 => "mastercard-cvn20",
            Self::Mastercard21 => "mastercard-cvn21",
            Self::CcdTdes => "ccd-tdes",
            Self::CcdAes => "ccd-aes",
            Self::Emv2000 => "emv2000",
            Self::AmexUnverified => "amex-unverified",
        }
    }

    /// The version of a name.
    ///
    /// ```
    /// use paycrypto::cvn::Cvn;
    ///
    /// assert_eq!(Cvn::named("visa-cvn18"), Some(Cvn::Visa18));
    /// assert_eq!(Cvn::named("visa"), None);
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cvn| cvn.name() == name)
    }

    /// Algorithm of the card's keys.
    #[must_use]
    pub const fn algorithm(self) -> EmvAlgorithm {
        self.profile().algorithm()
    }

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
                script_mac: ScriptMacData::AtcArqcPlusCount,
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
            Self::CcdTdes => CvnProfile {
                icc_key: IccKeyOption::B,
                ac_key: AcKeyMethod::Common,
                ac_padding: MacPadding::Method2,
                ac_iad: AcIad::Whole,
                arpc: ArpcMethod::Method2,
                script_key: ScriptKeyMethod::CommonArqc,
                pin_change: PinChangeLayout::Ccd,
                script_mac: ScriptMacData::Chained,
            },
            Self::CcdAes => CvnProfile {
                icc_key: IccKeyOption::C,
                ..Self::CcdTdes.profile()
            },
            Self::Emv2000 => CvnProfile {
                ac_key: AcKeyMethod::Emv2000Tree,
                arpc: ArpcMethod::Method1SessionKey,
                script_key: ScriptKeyMethod::Emv2000Tree,
                ..Self::Mastercard16.profile()
            },
            Self::AmexUnverified => Self::Visa10.profile(),
        }
    }
}

const _: () = {
    let mut rest: &[Cvn] = &Cvn::ALL;
    while let [cvn, others @ ..] = rest {
        assert!(cvn.profile().is_sound());
        rest = others;
    }
};
