//! What identifies a card inside Pinward, without its PAN.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A card's key in the store: HMAC-SHA-256 of its PAN under a key that only the HSM has.
///
/// The first 64 bits are the row's number, the other 192 are checked on the row, so that two PANs that share
/// the first 64 bits are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CardKey {
    pub row: CardRef,
    pub check: [u8; 24],
}

/// The card's public reference: 16 lower-case hex digits in addresses, on the command line, in audit records.
///
/// Meaningless without the HSM's key, so it may be shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CardRef(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a card reference has 16 hexadecimal digits")]
pub struct ParseCardRefError;

impl FromStr for CardRef {
    type Err = ParseCardRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_ours = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(text, 16).map_err(|_| ParseCardRefError)?;
        is_ours.then_some(Self(number)).ok_or(ParseCardRefError)
    }
}

impl fmt::Display for CardRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for CardRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CardRef({self})")
    }
}

/// A PAN encrypted by the HSM: one AES block of length, BCD digits and random fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPan(pub [u8; 16]);

/// The store's number of a cardmember.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CardmemberId(pub i64);

/// Whose card it is within its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CardRole {
    Basic,
    Supplementary,
}

/// Whether the card may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CardStatus {
    /// As delivered: the cardmember hasn't activated it yet.
    Inactive,
    Active,
    /// Blocked by the issuer (lost, stolen, closed).
    Blocked,
}
