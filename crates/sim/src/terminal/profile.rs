//! What a terminal is and where it stands: the parts of a transaction that come from neither card nor cardmember.
//!
//! A terminal is a TOML file; those of `crates/sim/terminals` come with the product, by name.

use std::path::Path;

use serde::Deserialize;

use crate::profile_file::{ProfileError, Shelf, aid};

const SHELF: Shelf = Shelf {
    kind: "terminal",
    files: &[
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
    ],
};

/// A terminal. Every setting is required, and no other is taken.
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
    /// Applications that it takes; empty where it has no reader, as on the web.
    pub applications: Vec<Application>,
}

/// An application that a terminal takes: an AID in hexadecimal, 5 to 16 bytes. With a `*` behind, a card's AID may go on
/// (partial selection, EMV Book 1 12.3.1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Application {
    pub aid: Vec<u8>,
    pub partial: bool,
}

impl Application {
    /// Whether it is a card's application of this name.
    #[must_use]
    pub fn takes(&self, name: &[u8]) -> bool {
        name == self.aid || self.partial && name.starts_with(&self.aid)
    }
}

impl TryFrom<String> for Application {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.strip_suffix('*');
        let aid = aid(digits.unwrap_or(&text)).ok_or("an AID of 5 to 16 bytes in hexadecimal is wanted")?;
        Ok(Self {
            aid,
            partial: digits.is_some(),
        })
    }
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

impl TerminalProfile {
    /// One of the product's by name, or a file by path (with a `/` or ending in `.toml`).
    ///
    /// Refuses what isn't such a file, and by its name each setting that can't be.
    pub fn open(name_or_path: &str) -> Result<Self, ProfileError> {
        SHELF
            .open(name_or_path, Path::new(""))
            .and_then(|profile| Self::check(name_or_path, profile))
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

    fn check(name: &str, profile: Self) -> Result<Self, ProfileError> {
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
            ("currency", profile.currency <= 999, "at most 3 digits"),
        ];
        match settings.into_iter().find(|(_, fits, _)| !fits) {
            None => Ok(profile),
            Some((setting, _, wanted)) => Err(SHELF.refusal(name, setting, wanted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_terminal_of_the_product_can_be_used() {
        for name in SHELF.names() {
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
            let read = SHELF.read("mine", &text.replace(from, to));
            let refused = read.and_then(|profile| TerminalProfile::check("mine", profile));
            refused.unwrap_err().to_string()
        };
        assert!(refused("\"25\"", "\"27\"").starts_with("terminal mine, type: "));
        assert!(refused("PUMP0001", "PUMP1").contains("terminal_id"));
        assert!(refused("category", "mcc").contains("mcc"));
        assert!(refused("[\"none\"]", "[\"signature\"]").contains("signature"));
        assert!(refused("A00000002501", "A0000000").contains("AID"));
        let unknown = TerminalProfile::open("grocer").unwrap_err().to_string();
        assert!(unknown.contains("corner-shop"), "{unknown}");
    }
}
