//! A card programme: the rules its cards share.

use serde::{Deserialize, Serialize};

use crate::FraudRules;

/// Short name, as in the configuration file and the import (`larkfield-credit`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProgrammeId(pub String);

/// How the programme's chips compute cryptograms and take scripts. One profile so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Visa cryptogram version 18: option B keys, common session key, ARPC method 2, script keys by ATC.
    VisaCvn18,
}

/// What an issuer sets for a programme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Programme {
    pub id: ProgrammeId,
    /// As the cardmember knows it ("Larkfield Credit").
    pub name: String,
    pub scheme: Scheme,
    /// Digits of this programme's PANs, 12 to 19.
    pub pan_len_digits: u8,
    /// Digits of a PIN, 4 to 12.
    pub pin_len_digits: u8,
    /// Wrong PINs in a row that lock the PIN.
    pub tries_max: u8,
    /// Largest amount approved, in minor units of `currency`.
    pub amount_max_minor: u64,
    /// Largest amount approved for a card present without any PIN, in minor units of `currency`.
    pub amount_without_pin_max_minor: u64,
    /// Whether an online PIN is compared without a chip's cryptogram (magnetic stripe, networks that prove the card
    /// by other means). Where it is, whoever sends requests on such a link can lock PINs.
    #[serde(default)]
    pub pin_without_chip: bool,
    /// ISO 4217 numeric code (978 is the euro).
    pub currency: u16,
    /// What follows from each fraud signal (`[programme.fraud]`).
    #[serde(default)]
    pub fraud: FraudRules,
}
