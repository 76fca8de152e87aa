//! A card programme: the rules its cards share.

use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

use crate::{FraudRules, ScriptSettings, UNLOCKS_MAX};

/// Short name, as in the configuration file and the import (`larkfield-credit`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProgrammeId(pub String);

/// How the programme's chips compute cryptograms and take scripts: the chip profile, by scheme and cryptogram version
/// number (decimal, as the schemes write it). Its name in settings is the kebab-case one: `visa-cvn18`.
///
/// What each stands for is in the tables of `paycrypto::cvn` (computation) and of `issuer` (scripts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Visa CVN 10: option A keys, cryptogram under the card's master key, ARPC method 1.
    VisaCvn10,
    /// Visa CVN 18: option B keys, common session key, ARPC method 2, script keys by ATC.
    VisaCvn18,
    /// Visa CVN 22: as CVN 18, script keys by ARQC.
    VisaCvn22,
    /// M/Chip CVN 16: Mastercard session key, ARPC method 1 under the card's master key.
    MastercardCvn16,
    /// M/Chip CVN 17: as CVN 16, counters in the cryptogram.
    MastercardCvn17,
    /// M/Chip CVN 20: EMV common session key, ARPC method 1 under it.
    MastercardCvn20,
    /// M/Chip CVN 21: as CVN 20, counters in the cryptogram.
    MastercardCvn21,
    /// Interac CVN 133.
    InteracCvn133,
    /// EMV Common Core Definitions, cryptogram version 5: TDES.
    CcdTdes,
    /// EMV Common Core Definitions, cryptogram version 6: AES, option C keys.
    CcdAes,
    /// M/Chip layout, CVN hex 12, with EMV2000 tree session keys.
    Emv2000,
    /// American Express, built like Visa's published construction. Unverified: no public source confirms it.
    AmexUnverified,
}

impl Scheme {
    /// Every chip profile.
    pub const ALL: [Self; 12] = [
        Self::VisaCvn10,
        Self::VisaCvn18,
        Self::VisaCvn22,
        Self::MastercardCvn16,
        Self::MastercardCvn17,
        Self::MastercardCvn20,
        Self::MastercardCvn21,
        Self::InteracCvn133,
        Self::CcdTdes,
        Self::CcdAes,
        Self::Emv2000,
        Self::AmexUnverified,
    ];

    /// Its name in settings and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VisaCvn10 => "visa-cvn10",
            Self::VisaCvn18 => "visa-cvn18",
            Self::VisaCvn22 => "visa-cvn22",
            Self::MastercardCvn16 => "mastercard-cvn16",
            Self::MastercardCvn17 => "mastercard-cvn17",
            Self::MastercardCvn20 => "mastercard-cvn20",
            Self::MastercardCvn21 => "mastercard-cvn21",
            Self::InteracCvn133 => "interac-cvn133",
            Self::CcdTdes => "ccd-tdes",
            Self::CcdAes => "ccd-aes",
            Self::Emv2000 => "emv2000",
            Self::AmexUnverified => "amex-unverified",
        }
    }
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
    /// Unlocks of a card within 30 days, by all channels together. Default 2.
    #[serde(default = "unlocks_max")]
    pub unlocks_max: NonZeroU8,
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
    /// Where its chips take scripts differently from their profile (`[programme.script]`).
    #[serde(default)]
    pub script: ScriptSettings,
    /// What follows from each fraud signal (`[programme.fraud]`).
    #[serde(default)]
    pub fraud: FraudRules,
    /// What goes along to a new plastic (`[programme.reissue]`).
    #[serde(default)]
    pub reissue: ReissueRules,
}

fn unlocks_max() -> NonZeroU8 {
    UNLOCKS_MAX
}

/// Whether a PIN goes along to a new plastic. Tries always do (I9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReissueRules {
    /// The same card number on a new plastic is personalised with the PIN. Default true; where false, the cardmember
    /// creates one.
    pub reissue_keeps_pin: bool,
    /// The PIN of a lost or stolen card goes along to its new number. Default false.
    pub replacement_keeps_pin: bool,
}

impl Default for ReissueRules {
    fn default() -> Self {
        Self {
            reissue_keeps_pin: true,
            replacement_keeps_pin: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};

    use super::*;

    #[test]
    fn every_profile_has_its_name_in_settings() {
        let names = [
            "visa-cvn10",
            "visa-cvn18",
            "visa-cvn22",
            "mastercard-cvn16",
            "mastercard-cvn17",
            "mastercard-cvn20",
            "mastercard-cvn21",
            "interac-cvn133",
            "ccd-tdes",
            "ccd-aes",
            "emv2000",
            "amex-unverified",
        ];
        for (name, scheme) in names.into_iter().zip(Scheme::ALL) {
            let deserializer: StrDeserializer<'_, Error> = name.into_deserializer();
            assert_eq!(Scheme::deserialize(deserializer), Ok(scheme));
            assert_eq!(scheme.name(), name);
        }
    }
}
