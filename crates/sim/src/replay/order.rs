//! One transaction as it is ordered: on the command line, or by a line of a log.

use std::path::{Path, PathBuf};

use paycrypto::pin::Pin;
use serde::{Deserialize, Serialize};

use crate::acquirer::Acquirer;
use crate::card::chip::Chip;
use crate::profile_file::ProfileError;
use crate::terminal::contact::Contact;
use crate::terminal::deal::Deal;
use crate::terminal::journey::{Faults, Journey};
use crate::terminal::profile::TerminalProfile;
use crate::terminal::slot::Card;
use crate::terminal::{shop, tap};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Goods, with the card in the reader.
    Pay,
    /// Goods, with a tap.
    Tap,
    /// Goods, by the card's number.
    Web,
    Cash,
    Balance,
    ChangePin,
    Unlock,
}

/// A transaction to run.
pub struct Order<'a> {
    pub act: Act,
    pub profile: TerminalProfile,
    /// Minor units; without meaning but for goods and cash.
    pub amount: u64,
    /// Keyed one after the other.
    pub pins: &'a [Pin],
    /// The PIN to change to.
    pub new_pin: Option<&'a Pin>,
    pub faults: Faults,
}

impl Act {
    /// The terminal of this name or path; where none is told, the product's own for this act.
    pub fn terminal(self, name_or_path: Option<&str>) -> Result<TerminalProfile, ProfileError> {
        let usual = match self {
            Self::Pay | Self::Tap => "corner-shop",
            Self::Web => "web-shop",
            Self::Cash | Self::Balance | Self::ChangePin | Self::Unlock => "cash-machine",
        };
        TerminalProfile::open(name_or_path.unwrap_or(usual))
    }

    /// Whether it is for an amount.
    #[must_use]
    pub fn has_amount(self) -> bool {
        match self {
            Self::Pay | Self::Tap | Self::Web | Self::Cash => true,
            Self::Balance | Self::ChangePin | Self::Unlock => false,
        }
    }
}

impl Order<'_> {
    /// Runs it with a card of ours.
    pub async fn run(&self, chip: &mut Chip, acquirer: &Acquirer) -> Journey {
        match self.act {
            Act::Tap => tap::buy_at(&self.profile, chip, self.amount, acquirer, self.faults).await,
            Act::Web => shop::buy_at(&self.profile, chip.perso(), self.amount, acquirer, self.faults).await,
            Act::Pay | Act::Cash | Act::Balance | Act::ChangePin | Act::Unlock => {
                self.insert(chip, acquirer).await
            }
        }
    }

    /// Runs it with any card in the terminal's reader, whatever the act says of taps.
    pub async fn insert(&self, card: &mut dyn Card, acquirer: &Acquirer) -> Journey {
        let contact = Contact {
            profile: self.profile.clone(),
            deal: self.deal(),
            new_pin: self.new_pin,
            acquirer,
            faults: self.faults,
        };
        contact.run(card, self.pins).await
    }

    fn deal(&self) -> Deal {
        match self.act {
            Act::Pay | Act::Tap | Act::Web => Deal::Sale(self.amount),
            Act::Cash => Deal::Cash(self.amount),
            Act::Balance => Deal::Balance,
            Act::ChangePin => Deal::PinChange,
            Act::Unlock => Deal::PinUnblock,
        }
    }
}

/// Parses `12`, `12.5` or `12.50` into minor units.
pub fn minor_units(text: &str) -> Result<u64, &'static str> {
    const REFUSED: &str = "an amount looks like 12.50, and is less than 10,000,000,000.00";
    const MINOR_UNITS_MAX: u64 = 999_999_999_999;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "00"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 2 {
        return Err(REFUSED);
    }
    let amount: u64 = format!("{whole}{decimals:0<2}").parse().map_err(|_| REFUSED)?;
    (amount <= MINOR_UNITS_MAX).then_some(amount).ok_or(REFUSED)
}

/// The memory's file of a card: `<card>.state.json` beside `<card>.perso.json`.
#[must_use]
pub fn state_path(perso: &Path) -> PathBuf {
    let name = perso.file_name().unwrap_or_default().to_string_lossy();
    let card = name.strip_suffix(".perso.json").or(name.strip_suffix(".json"));
    perso.with_file_name(format!("{}.state.json", card.unwrap_or(&name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cards_memory_is_beside_it_by_default() {
        assert_eq!(
            state_path(Path::new("wallet/a.perso.json")),
            Path::new("wallet/a.state.json")
        );
        assert_eq!(state_path(Path::new("b.json")), Path::new("b.state.json"));
    }

    #[test]
    fn an_amount_has_at_most_two_decimals() {
        assert_eq!(minor_units("12.50"), Ok(1250));
        assert_eq!(minor_units("12.5"), Ok(1250));
        assert_eq!(minor_units("12"), Ok(1200));
        for refused in ["", ".50", "12.", "12.500", "-1", "1e3", "10000000000.00"] {
            assert!(minor_units(refused).is_err(), "{refused}");
        }
    }
}
