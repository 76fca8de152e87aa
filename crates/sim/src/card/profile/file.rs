//! A card profile as its file has it. Each name of a choice stands for one that `paycrypto` or `emv` carries out; what it
//! means, with its source, is told there: `paycrypto::cvn` and `emv::iad`.

use emv::iad::IadLayout;
use paycrypto::cvn::{AcIad, AcKeyMethod, ArpcMethod, PinChangeLayout, ScriptKeyMethod, ScriptMacData};
use paycrypto::icc_keys::IccKeyOption;
use paycrypto::tdes_key::MacPadding;
use serde::Deserialize;

use super::{AuthenticationBy, Directory};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileFile {
    pub(super) application: ApplicationSection,
    pub(super) issuer_data: IssuerDataSection,
    pub(super) cryptogram: CryptogramSection,
    pub(super) issuer_authentication: IssuerAuthenticationSection,
    pub(super) script: ScriptSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApplicationSection {
    pub(super) aid: String,
    pub(super) directories: Vec<Directory>,
    pub(super) usage_control: String,
    pub(super) version: String,
    pub(super) cdol1: String,
    pub(super) cdol2: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuerDataSection {
    #[serde(with = "Layout")]
    pub(super) layout: IadLayout,
    pub(super) cryptogram_version: String,
    pub(super) derivation_key_index: u8,
    pub(super) counters: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CryptogramSection {
    #[serde(with = "MasterKey")]
    pub(super) master_key: IccKeyOption,
    #[serde(with = "SessionKey")]
    pub(super) session_key: AcKeyMethod,
    #[serde(with = "Padding")]
    pub(super) padding: MacPadding,
    #[serde(with = "Covers")]
    pub(super) covers: AcIad,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuerAuthenticationSection {
    #[serde(with = "Arpc")]
    pub(super) arpc: ArpcMethod,
    pub(super) by: AuthenticationBy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptSection {
    pub(super) class: String,
    #[serde(with = "ScriptKeys")]
    pub(super) keys: ScriptKeyMethod,
    #[serde(with = "ScriptMac")]
    pub(super) mac: ScriptMacData,
    #[serde(with = "NewPin")]
    pub(super) new_pin: PinChangeLayout,
    pub(super) commands_max: u8,
}

/// `[issuer_data] layout`: of tag 9F10, and so how the card's verification results are written.
#[derive(Deserialize)]
#[serde(remote = "IadLayout", rename_all = "kebab-case")]
enum Layout {
    Visa,
    MChip,
    Interac,
    Ccd,
    Amex,
}

/// `[cryptogram] master_key`: how the issuer derived the card's keys (EMV Book 2 A1.4); C is AES.
#[derive(Deserialize)]
#[serde(remote = "IccKeyOption")]
enum MasterKey {
    #[serde(rename = "option-a")]
    A,
    #[serde(rename = "option-b")]
    B,
    #[serde(rename = "option-c")]
    C,
}

/// `[cryptogram] session_key`.
#[derive(Deserialize)]
#[serde(remote = "AcKeyMethod", rename_all = "kebab-case")]
enum SessionKey {
    #[serde(rename = "none")]
    MasterKey,
    Common,
    MastercardSkd,
    Emv2000Tree,
}

/// `[cryptogram] padding`, with TDES (ISO/IEC 9797-1:2011 6.3).
#[derive(Deserialize)]
#[serde(remote = "MacPadding")]
enum Padding {
    #[serde(rename = "method-1")]
    Method1,
    #[serde(rename = "method-2")]
    Method2,
}

/// `[cryptogram] covers`: which part of tag 9F10.
#[derive(Deserialize)]
#[serde(remote = "AcIad", rename_all = "kebab-case")]
enum Covers {
    VisaCvr,
    #[serde(rename = "all")]
    Whole,
    MChipCvr,
    MChipCvrAndCounters,
}

/// `[issuer_authentication] arpc` (EMV Book 2 8.2).
#[derive(Deserialize)]
#[serde(remote = "ArpcMethod")]
enum Arpc {
    #[serde(rename = "method-1-master-key")]
    Method1MasterKey,
    #[serde(rename = "method-1-session-key")]
    Method1SessionKey,
    #[serde(rename = "method-2")]
    Method2,
}

/// `[script] keys`.
#[derive(Deserialize)]
#[serde(remote = "ScriptKeyMethod", rename_all = "kebab-case")]
enum ScriptKeys {
    #[serde(rename = "atc-xor")]
    VisaAtcXor,
    CommonArqc,
    CommonArqcPlusCount,
    Emv2000Tree,
}

/// `[script] mac`: what it covers besides the command.
#[derive(Deserialize)]
#[serde(remote = "ScriptMacData", rename_all = "kebab-case")]
enum ScriptMac {
    AtcArqc,
    AtcArqcPlusCount,
    Nothing,
    Chained,
}

/// `[script] new_pin`: its block, wrapping and mode.
#[derive(Deserialize)]
#[serde(remote = "PinChangeLayout", rename_all = "kebab-case")]
enum NewPin {
    Vis,
    #[serde(rename = "vis-iso-2")]
    VisIso2,
    #[serde(rename = "iso-2")]
    Iso2,
    Ccd,
}
