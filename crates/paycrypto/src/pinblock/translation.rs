//! Which PIN block may be turned into which other: PCI PIN Security v3.1 requirement 3-3, as a table without an off switch.
//!
//! Covers translation alone. Putting a new PIN in a card's reference, where the browser's token and the card's PAN meet
//! inside the HSM, is an act of issuance and not a translation.

/// The five formats of ISO 9564-1:2017.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinBlockFormat {
    /// 9.3.2.
    Iso0,
    /// 9.3.3.
    Iso1,
    /// 9.3.4.
    Iso2,
    /// 9.3.5.
    Iso3,
    /// 9.4.
    Iso4,
}

/// What both blocks say about the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanRelation {
    /// The block made is for the account of the transaction that brought the other.
    Same,
    /// It is for another account.
    Other,
}

/// Cipher of the block made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinCipher {
    /// TDES ECB: formats 0 to 3.
    Tdes,
    /// AES: format 4.
    Aes,
}

/// Where a translation may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// Anywhere a PIN block may go.
    Allowed,
    /// Only into a command for a chip (requirement 3-2).
    ToChipOnly,
    /// Nowhere.
    Never,
}

use Translation::{Allowed as Yes, Never as No, ToChipOnly as Chip};

/// Rows: format in, 0 to 4. Columns: format out, 0 to 4. For the same account.
pub const TRANSLATIONS: [[Translation; 5]; 5] = [
    [Yes, No, Chip, Yes, Yes],
    [Yes, Yes, Chip, Yes, Yes],
    [No, No, Chip, No, No],
    [Yes, No, Chip, Yes, Yes],
    [Yes, No, Chip, Yes, Yes],
];

/// Looks a translation up.
///
/// Another account, format 4 under TDES, and formats 0 to 3 under AES are never allowed.
///
/// Source: PCI PIN Security v3.1, 2-3, 3-2, 3-3. Format 2 to format 2 isn't in the public excerpt of the table; it is taken as
/// the other rows of that column.
///
/// ```
/// use paycrypto::pinblock::translation::{PanRelation, PinBlockFormat, PinCipher, Translation, translation};
///
/// let upgrade = translation(PinBlockFormat::Iso0, PinBlockFormat::Iso4, PanRelation::Same, PinCipher::Aes);
/// assert_eq!(upgrade, Translation::Allowed);
/// let unbound = translation(PinBlockFormat::Iso0, PinBlockFormat::Iso1, PanRelation::Same, PinCipher::Tdes);
/// assert_eq!(unbound, Translation::Never);
/// ```
#[must_use]
pub const fn translation(
    from: PinBlockFormat,
    to: PinBlockFormat,
    pan: PanRelation,
    cipher: PinCipher,
) -> Translation {
    let [row_0, row_1, row_2, row_3, row_4] = TRANSLATIONS;
    let [to_0, to_1, to_2, to_3, to_4] = match from {
        PinBlockFormat::Iso0 => row_0,
        PinBlockFormat::Iso1 => row_1,
        PinBlockFormat::Iso2 => row_2,
        PinBlockFormat::Iso3 => row_3,
        PinBlockFormat::Iso4 => row_4,
    };
    match (pan, cipher, to) {
        (PanRelation::Same, PinCipher::Tdes, PinBlockFormat::Iso0) => to_0,
        (PanRelation::Same, PinCipher::Tdes, PinBlockFormat::Iso1) => to_1,
        (PanRelation::Same, PinCipher::Tdes, PinBlockFormat::Iso2) => to_2,
        (PanRelation::Same, PinCipher::Tdes, PinBlockFormat::Iso3) => to_3,
        (PanRelation::Same, PinCipher::Aes, PinBlockFormat::Iso4) => to_4,
        (PanRelation::Other, _, _) | (_, PinCipher::Aes, _) | (_, PinCipher::Tdes, PinBlockFormat::Iso4) => {
            Translation::Never
        }
    }
}
