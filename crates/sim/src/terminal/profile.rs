//! What a terminal is and where it stands: the parts of a transaction that come from neither card nor cardmember.
//!
//! A terminal is a TOML file; those of `crates/sim/terminals` come with the product, by name.

use std::path::{Path, PathBuf};

use data_encoding::{HEXUPPER, HEXUPPER_PERMISSIVE};
use serde::Deserialize;

use crate::card::perso::AID_PINWARD;

/// Terminals that come with the product.
const EMBEDDED: [(&str, &str); 6] = [
    ("corner-shop", include_str!("../../terminals/corner-shop.toml")),
    (
        "online-pin-shop",
        include_str!("../../terminals/online-pin-shop.toml"),
    ),
    ("fuel-pump", include_str!("../../terminals/fuel-pump.toml")),
    (
        "offline-kiosk",
        include_str!("../../terminals/offline-kiosk.toml"),
    ),
    ("cash-machine", include_str!("../../terminals/cash-machine.toml")),
    ("web-shop", include_str!("../../terminals/web-shop.toml")),
];

/// A terminal. Unknown settings are refused; all but `applications` are required.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminalProfile {
    /// Name on the receipt.
    pub name: String,
    /// DE41 and 9F1C, 8 characters.
    pub terminal_id: String,
    /// DE42 and 9F16, 15 characters.
    pub merchant_id: String,
    /// DE18 and 9F15, merchant category code, 4 digits.
    pub category: String,
    /// DE25: `00` normal, `02` unattended, `59` electronic commerce.
    pub condition: String,
    /// 9F35, 2 digits (EMV Book 4 A1): first `1` a bank's, `2` a merchant's, `3` a cardholder's; second `1` to `3` attended,
    /// `4` to `6` unattended, each in the order online only, offline with online, offline only.
    #[serde(rename = "type")]
    pub terminal_type: String,
    /// 9F1A and 5F2A, numeric.
    pub country: u16,
    pub currency: u16,
    /// How cardmembers are verified. Without any kind of PIN there is no PIN pad; empty where nobody can say, as on the web.
    pub cardholder_verification: Vec<VerifiedBy>,
    /// How cards are authenticated offline.
    pub card_authentication: Vec<AuthenticatedBy>,
    /// AIDs that it knows, in order of preference, hexadecimal, 5 to 16 bytes each. Default: that of the fictional scheme.
    #[serde(default = "fictional_scheme")]
    pub applications: Vec<String>,
}

fn fictional_scheme() -> Vec<String> {
    vec![HEXUPPER.encode(&AID_PINWARD)]
}

/// A way to verify a cardmember: a bit of 9F33 byte 2 (EMV Book 4 A2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerifiedBy {
    /// By the chip, from a PIN in the clear.
    PlaintextPin,
    /// By the chip, from a PIN enciphered with its key.
    EncipheredPin,
    /// By the bank.
    OnlinePin,
    /// Not at all.
    None,
}

/// A way to authenticate a card offline: a bit of 9F33 byte 3 (EMV Book 4 A2). Static authentication isn't offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthenticatedBy {
    /// By a signature over the terminal's number.
    Dda,
    /// By a cryptogram inside such a signature.
    Cda,
}

/// Why a terminal can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    #[error(
        "no terminal is named {name:?}; there are: {known}. A file's name has a / in it or ends in .toml"
    )]
    UnknownName { name: String, known: String },
    #[error("{path}: {cause}")]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("terminal {name}: {cause}")]
    Toml {
        name: String,
        cause: Box<toml::de::Error>,
    },
    #[error("terminal {name}, {setting}: {wanted} are wanted")]
    Setting {
        name: String,
        setting: &'static str,
        wanted: &'static str,
    },
}

impl TerminalProfile {
    /// The terminals that come with the product.
    pub fn names() -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(name, _)| *name)
    }

    /// One of the product's by name, or a file by path (with a `/` or ending in `.toml`).
    pub fn open(name_or_path: &str) -> Result<Self, TerminalError> {
        if Self::is_path(name_or_path) {
            let text = std::fs::read_to_string(name_or_path).map_err(|cause| TerminalError::Read {
                path: Path::new(name_or_path).to_owned(),
                cause,
            })?;
            return Self::parse(name_or_path, &text);
        }
        let embedded = EMBEDDED.iter().find(|(name, _)| *name == name_or_path);
        let (name, text) = embedded.ok_or_else(|| TerminalError::UnknownName {
            name: name_or_path.to_owned(),
            known: Self::names().collect::<Vec<_>>().join(", "),
        })?;
        Self::parse(name, text)
    }

    /// Whether this names a file rather than one of the product's terminals.
    #[must_use]
    pub fn is_path(name_or_path: &str) -> bool {
        name_or_path.contains('/') || name_or_path.ends_with(".toml")
    }

    /// A grocer's till with a PIN pad and a reader for contacts and taps.
    #[must_use]
    pub fn corner_shop() -> Self {
        Self::open("corner-shop").expect("the product's terminals are tested")
    }

    /// A bank's cash machine.
    #[must_use]
    pub fn cash_machine() -> Self {
        Self::open("cash-machine").expect("the product's terminals are tested")
    }

    /// A bookseller on the web.
    #[must_use]
    pub fn web_shop() -> Self {
        Self::open("web-shop").expect("the product's terminals are tested")
    }

    /// Whether the terminal verifies cardmembers this way.
    #[must_use]
    pub fn verifies_by(&self, way: VerifiedBy) -> bool {
        self.cardholder_verification.contains(&way)
    }

    /// Whether the terminal authenticates cards this way.
    #[must_use]
    pub fn authenticates_by(&self, way: AuthenticatedBy) -> bool {
        self.card_authentication.contains(&way)
    }

    /// Whether it never goes online.
    #[must_use]
    pub fn is_offline_only(&self) -> bool {
        matches!(self.terminal_type.as_bytes(), [_, b'3' | b'6'])
    }

    /// Whether it is a bank's unattended machine, where cash is "unattended cash" to a card.
    #[must_use]
    pub fn is_cash_machine(&self) -> bool {
        matches!(self.terminal_type.as_bytes(), [b'1', b'4'..=b'6'])
    }

    /// Whether a PIN can be keyed.
    #[must_use]
    pub fn has_pin_pad(&self) -> bool {
        let mut ways = self.cardholder_verification.iter();
        ways.any(|way| *way != VerifiedBy::None)
    }

    /// The AIDs as bytes.
    pub(super) fn application_names(&self) -> impl Iterator<Item = Vec<u8>> {
        self.applications.iter().filter_map(|name| aid(name))
    }

    /// DE22, last digit of 1987: `1` takes PINs, `2` doesn't, `0` nobody can say.
    #[must_use]
    pub(super) fn pin_capability(&self) -> u8 {
        match (self.has_pin_pad(), self.cardholder_verification.is_empty()) {
            (true, _) => b'1',
            (false, false) => b'2',
            (false, true) => b'0',
        }
    }

    /// Tag 9F35.
    #[must_use]
    pub(super) fn type_code(&self) -> u8 {
        u8::from_str_radix(&self.terminal_type, 16).expect("checked when it was read")
    }

    /// Tag 9F33: chip and stripe readers and keyed entry; verification; authentication (EMV Book 4 A2).
    #[must_use]
    pub(super) fn capabilities(&self) -> [u8; 3] {
        let verification = self.cardholder_verification.iter().map(|way| match way {
            VerifiedBy::PlaintextPin => 0x80,
            VerifiedBy::OnlinePin => 0x40,
            VerifiedBy::EncipheredPin => 0x10,
            VerifiedBy::None => 0x08,
        });
        let authentication = self.card_authentication.iter().map(|way| match way {
            AuthenticatedBy::Dda => 0x40,
            AuthenticatedBy::Cda => 0x08,
        });
        let join = |byte: u8, bit: u8| byte | bit;
        [0xE0, verification.fold(0, join), authentication.fold(0, join)]
    }

    fn parse(name: &str, text: &str) -> Result<Self, TerminalError> {
        let profile: Self = toml::from_str(text).map_err(|cause| TerminalError::Toml {
            name: name.to_owned(),
            cause: Box::new(cause),
        })?;
        let printable =
            |text: &str, len| text.len() == len && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let digits = |text: &str, len| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
        let type_code = profile.terminal_type.as_bytes();
        let settings = [
            (
                "terminal_id",
                printable(&profile.terminal_id, 8),
                "8 printable ASCII characters",
            ),
            (
                "merchant_id",
                printable(&profile.merchant_id, 15),
                "15 printable ASCII characters",
            ),
            ("category", digits(&profile.category, 4), "4 digits"),
            ("condition", digits(&profile.condition, 2), "2 digits"),
            (
                "type",
                matches!(type_code, [b'1'..=b'3', b'1'..=b'6']),
                "2 digits, 1 to 3 and 1 to 6,",
            ),
            ("country", profile.country <= 999, "at most 3 digits"),
            (
                "applications",
                !profile.applications.is_empty()
                    && profile.applications.iter().all(|name| aid(name).is_some()),
                "one or more AIDs of 5 to 16 bytes in hexadecimal",
            ),
            ("currency", profile.currency <= 999, "at most 3 digits"),
        ];
        match settings.into_iter().find(|(_, fits, _)| !fits) {
            None => Ok(profile),
            Some((setting, _, wanted)) => Err(TerminalError::Setting {
                name: name.to_owned(),
                setting,
                wanted,
            }),
        }
    }
}

fn aid(name: &str) -> Option<Vec<u8>> {
    let bytes = HEXUPPER_PERMISSIVE.decode(name.as_bytes()).ok()?;
    (5..=16).contains(&bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_terminal_of_the_product_can_be_used() {
        for name in TerminalProfile::names() {
            TerminalProfile::open(name).unwrap();
        }
        let capabilities = |name| TerminalProfile::open(name).unwrap().capabilities();
        assert_eq!(capabilities("corner-shop"), [0xE0, 0x98, 0x48]);
        assert_eq!(capabilities("cash-machine"), [0xE0, 0x40, 0x00]);
        assert_eq!(capabilities("fuel-pump"), [0xE0, 0x08, 0x48]);
    }

    #[test]
    fn a_wrong_setting_is_refused_by_its_name() {
        let text = include_str!("../../terminals/fuel-pump.toml");
        let refused = |from, to| {
            let error = TerminalProfile::parse("mine", &text.replace(from, to)).unwrap_err();
            error.to_string()
        };
        assert!(refused("\"25\"", "\"27\"").starts_with("terminal mine, type: "));
        assert!(refused("PUMP0001", "PUMP1").contains("terminal_id"));
        assert!(refused("category", "mcc").contains("mcc"));
        assert!(refused("[\"none\"]", "[\"signature\"]").contains("signature"));
        let unknown = TerminalProfile::open("grocer").unwrap_err().to_string();
        assert!(unknown.contains("corner-shop"), "{unknown}");
    }
}
