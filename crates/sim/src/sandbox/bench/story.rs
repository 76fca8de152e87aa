//! The stories: what can happen to a PIN on its way to a chip.

use serde::Deserialize;

use super::player::Player;
use crate::sandbox::bank::BankError;
use crate::terminal::journey::{Faults, PullCard};

/// A story of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::sandbox) enum Story {
    /// A new PIN reaches the chip and is confirmed.
    Change,
    /// The chip's tries are used up and given back.
    Unlock,
    /// The card is pulled before, during and after the script.
    Tear,
    /// The bank's answer is lost.
    LostAnswer,
}

impl Story {
    pub(super) const ALL: [Self; 4] = [Self::Change, Self::Unlock, Self::Tear, Self::LostAnswer];

    /// Its name in addresses.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Unlock => "unlock",
            Self::Tear => "tear",
            Self::LostAnswer => "lost_answer",
        }
    }

    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Change => "Change",
            Self::Unlock => "Unlock",
            Self::Tear => "Card pulled",
            Self::LostAnswer => "Answer lost",
        }
    }

    /// How many new PINs the bank has afterwards.
    pub(super) fn new_pins(self) -> u32 {
        match self {
            Self::Change | Self::LostAnswer => 1,
            Self::Unlock => 0,
            Self::Tear => 3,
        }
    }

    /// Whether the chip runs out of tries in between.
    pub(super) fn uses_tries_up(self) -> bool {
        self == Self::Unlock
    }

    pub(super) async fn play(self, player: &mut Player<'_>) -> Result<(), BankError> {
        match self {
            Self::Change => change(player).await,
            Self::Unlock => unlock(player).await,
            Self::Tear => tear(player).await,
            Self::LostAnswer => lost_answer(player).await,
        }
    }
}

async fn change(player: &mut Player<'_>) -> Result<(), BankError> {
    player
        .change_at_atm("Change the PIN at the cash machine", Faults::default())
        .await?;
    player.insert("Insert the card in the shop").await?;
    Ok(())
}

async fn unlock(player: &mut Player<'_>) -> Result<(), BankError> {
    let wrong: Vec<_> = std::iter::repeat_with(|| player.new_pin()).take(3).collect();
    player.pay("Key three wrong PINs in the shop", &wrong).await?;
    player.unlock_at_atm("Unlock the PIN at the cash machine").await?;
    player.insert("Insert the card in the shop").await?;
    Ok(())
}

async fn tear(player: &mut Player<'_>) -> Result<(), BankError> {
    let moments = [
        (PullCard::BeforeScript, "before the script"),
        (PullCard::DuringScript, "during the script"),
        (PullCard::AfterScript, "after the script"),
    ];
    for (moment, words) in moments {
        let faults = Faults {
            pull_card: Some(moment),
            ..Faults::default()
        };
        player
            .change_at_atm(&format!("Change the PIN, and pull the card {words}"), faults)
            .await?;
        player.insert("Insert the card in the shop").await?;
        player.insert("Insert it again").await?;
    }
    Ok(())
}

async fn lost_answer(player: &mut Player<'_>) -> Result<(), BankError> {
    let faults = Faults {
        lose_answer: true,
        ..Faults::default()
    };
    player
        .change_at_atm("Change the PIN; the bank's answer is lost", faults)
        .await?;
    player.insert("Insert the card in the shop").await?;
    player.insert("Insert it again").await?;
    Ok(())
}
