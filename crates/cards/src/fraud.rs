//! What speaks against a transaction, and what a programme wants done about it.

use serde::{Deserialize, Serialize};

/// A named reason to distrust a transaction. Its name in settings, journal and API is its snake_case name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FraudSignal {
    /// The terminal claims a PIN that the chip verified; the chip's cryptogram says it verified none (`security.md`
    /// A16).
    Wedge,
    /// The chip's transaction counter is not above the last one seen: a replay, or an older cryptogram.
    AtcBehind,
    /// The counter is ahead of the last one seen by more than [`FraudRules::atc_far_ahead_by`].
    AtcFarAhead,
    /// The terminal gave two transactions the same unpredictable number, so the cryptogram may have been made before
    /// (`security.md` A14).
    RepeatedUnpredictableNumber,
    /// The message and the chip data name different ways in which card and terminal met.
    EntryModeDisagrees,
    /// The chip signed another amount than the message asks for, on the way to another host that decides about money.
    /// Where the desk decides, that is declined in any case.
    AmountDiffers,
    /// The magnetic stripe of a chip card was read because the chip is said to have failed.
    Fallback,
}

impl FraudSignal {
    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wedge => "wedge",
            Self::AtcBehind => "atc_behind",
            Self::AtcFarAhead => "atc_far_ahead",
            Self::RepeatedUnpredictableNumber => "repeated_unpredictable_number",
            Self::EntryModeDisagrees => "entry_mode_disagrees",
            Self::AmountDiffers => "amount_differs",
            Self::Fallback => "fallback",
        }
    }
}

/// What follows from a signal. It is on record either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FraudAction {
    /// The transaction is judged as if the signal weren't there.
    Allow,
    /// The transaction is declined.
    Decline,
}

/// A programme's answer to each signal. A counter that is behind has no entry: it is always refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FraudRules {
    /// Default `decline`.
    pub wedge: FraudAction,
    /// Default `allow`: a card that was used offline for long, or tapped much, is ahead honestly.
    pub atc_far_ahead: FraudAction,
    /// Counter steps since the last cryptogram seen that are still near. Default 500.
    pub atc_far_ahead_by: u16,
    /// Default `allow`: it says something about the terminal, not the card.
    pub repeated_unpredictable_number: FraudAction,
    /// Default `allow`: acquirers' messages are often wrong here. Such a transaction never carries a script.
    pub entry_mode_disagrees: FraudAction,
    /// Default `decline`: the cryptogram vouches for the amount that it covers, and for no other.
    pub amount_differs: FraudAction,
    /// Default `allow`.
    pub fallback: FraudAction,
}

impl Default for FraudRules {
    fn default() -> Self {
        Self {
            wedge: FraudAction::Decline,
            atc_far_ahead: FraudAction::Allow,
            atc_far_ahead_by: 500,
            repeated_unpredictable_number: FraudAction::Allow,
            entry_mode_disagrees: FraudAction::Allow,
            amount_differs: FraudAction::Decline,
            fallback: FraudAction::Allow,
        }
    }
}

impl FraudRules {
    /// Whether a transaction with this signal is declined.
    #[must_use]
    pub fn declines(&self, signal: FraudSignal) -> bool {
        let action = match signal {
            FraudSignal::AtcBehind => FraudAction::Decline,
            FraudSignal::Wedge => self.wedge,
            FraudSignal::AtcFarAhead => self.atc_far_ahead,
            FraudSignal::RepeatedUnpredictableNumber => self.repeated_unpredictable_number,
            FraudSignal::EntryModeDisagrees => self.entry_mode_disagrees,
            FraudSignal::AmountDiffers => self.amount_differs,
            FraudSignal::Fallback => self.fallback,
        };
        action == FraudAction::Decline
    }
}
