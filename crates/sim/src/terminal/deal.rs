//! What a cardmember wants of a terminal.

use iso8583::mti::{MTI_0100_AUTHORISATION_REQUEST, MTI_0200_FINANCIAL_REQUEST, Mti};

use crate::acquirer::processing_codes::ProcessingCodes;

/// What the cardmember wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deal {
    /// Goods for an amount in minor units.
    Sale(u64),
    /// Cash, in minor units.
    Cash(u64),
    Balance,
    /// A new PIN, which travels beside the current one.
    PinChange,
    /// The PIN's tries, given back by its right PIN.
    PinUnblock,
}

impl Deal {
    /// Minor units; none but for goods and cash.
    pub(super) fn amount(self) -> u64 {
        match self {
            Self::Sale(amount) | Self::Cash(amount) => amount,
            Self::Balance | Self::PinChange | Self::PinUnblock => 0,
        }
    }

    /// The first two digits of DE3, which are tag 9C in BCD.
    pub(super) fn transaction_type(self, codes: &ProcessingCodes) -> u8 {
        match self {
            Self::Sale(_) => codes.purchase,
            Self::Cash(_) => codes.cash,
            Self::Balance => codes.balance,
            Self::PinUnblock => codes.pin_unblock,
            Self::PinChange => codes.pin_change,
        }
    }

    /// Message type of 1987.
    pub(super) fn mti(self) -> Mti {
        match self {
            Self::Sale(_) | Self::Balance | Self::PinChange | Self::PinUnblock => {
                MTI_0100_AUTHORISATION_REQUEST
            }
            Self::Cash(_) => MTI_0200_FINANCIAL_REQUEST,
        }
    }
}
