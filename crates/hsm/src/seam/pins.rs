//! Enciphered PINs as they cross a network, and how one compares.

use std::fmt;

use cards::{Pan, SealedPin};
use serde::{Deserialize, Serialize};

use super::KeyName;

/// How DE52 is formatted and enciphered on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZonePinFormat {
    /// ISO 9564-1:2017 9.3.2 format 0 under TDES, 8 bytes.
    Iso0,
    /// ISO 9564-1:2017 9.4 format 4 under AES, 16 bytes.
    Iso4,
    /// ISO 9564-1:2017 9.3.5 format 3 under TDES, 8 bytes.
    Iso3,
}

/// An enciphered PIN as it arrived from a network.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZonePin {
    /// The key that the block is under: a zone PIN key or, with a `ksn`, a DUKPT base derivation key.
    pub zone_key: KeyName,
    /// Its format, and by that the algorithm of its key.
    pub format: ZonePinFormat,
    /// Key serial number of a terminal whose PIN keys are derived: 10 bytes for TDES (ANSI X9.24-1:2009 annex A), 8
    /// bytes of initial key id and 4 of transaction counter for AES (ANSI X9.24-3:2017 6.3). `None` under a zone PIN
    /// key. Of another length, or with a counter that terminals skip, the PIN is [`PinVerdict::Unreadable`].
    pub ksn: Option<Vec<u8>>,
    /// 8 bytes for [`ZonePinFormat::Iso0`] and [`ZonePinFormat::Iso3`], 16 for [`ZonePinFormat::Iso4`].
    #[serde(with = "crate::octets")]
    pub block: Vec<u8>,
}

impl fmt::Debug for ZonePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZonePin")
            .field("zone_key", &self.zone_key.0)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// The PIN that shall take the current one's place, as an ATM sends both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewZonePin {
    /// For the same PAN as the current one.
    pub pin: ZonePin,
    /// Digits that it must have (the programme's), 4 to 12.
    pub len_digits: u8,
}

/// The result of comparing one PIN with the card's reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinVerdict {
    /// It is the card's PIN.
    Match,
    /// It is another PIN: to be charged before anybody is told.
    NoMatch,
    /// The block is malformed, or under another key: says nothing about the PIN (and is never charged).
    Unreadable,
    /// The card has no PIN.
    NoReference,
}

/// What became of the new PIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewPinVerdict {
    /// The current PIN matched; here is the new one for the card's state.
    Sealed(SealedPin),
    /// The block is malformed, under another key, for another PAN, or its PIN has the wrong number of digits: one
    /// answer for all of them. Judged before the comparison, which then doesn't take place: it says nothing about the
    /// card's PIN.
    Unacceptable,
}

/// A PIN brought in with a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPin {
    /// The PAN that the block was made with, and will be sealed for.
    pub pan: Pan,
    /// The PIN as it came.
    pub pin: ZonePin,
    /// Digits that it must have (the programme's), 4 to 12. Another number is a fault of the block like every other.
    pub len_digits: u8,
}
