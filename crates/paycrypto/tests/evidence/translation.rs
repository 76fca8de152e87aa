//! The whole space of translations: 5 formats in, 5 out, same account or not, TDES or AES.

use paycrypto::pinblock::translation::PinBlockFormat::{Iso0, Iso1, Iso2, Iso3, Iso4};
use paycrypto::pinblock::translation::{PanRelation, PinBlockFormat, PinCipher, Translation, translation};

const FORMATS: [PinBlockFormat; 5] = [Iso0, Iso1, Iso2, Iso3, Iso4];

/// PCI PIN 3-3 said as sentences, independently of the table's shape.
fn expected(from: PinBlockFormat, to: PinBlockFormat, pan: PanRelation, cipher: PinCipher) -> Translation {
    let bound = |format| matches!(format, Iso0 | Iso3 | Iso4);
    let cipher_fits = (to == Iso4) == (cipher == PinCipher::Aes);
    if pan == PanRelation::Other || !cipher_fits {
        return Translation::Never;
    }
    if to == Iso2 {
        return Translation::ToChipOnly;
    }
    let allowed = (bound(from) && bound(to)) || (from == Iso1 && (to == Iso1 || bound(to)));
    if allowed {
        Translation::Allowed
    } else {
        Translation::Never
    }
}

#[test]
fn all_100_translations_are_as_pci_pin_3_3_wants_them() {
    let mut allowed = 0;
    for from in FORMATS {
        for to in FORMATS {
            for pan in [PanRelation::Same, PanRelation::Other] {
                for cipher in [PinCipher::Tdes, PinCipher::Aes] {
                    let got = translation(from, to, pan, cipher);
                    assert_eq!(
                        got,
                        expected(from, to, pan, cipher),
                        "{from:?} {to:?} {pan:?} {cipher:?}"
                    );
                    allowed += u32::from(got == Translation::Allowed);
                }
            }
        }
    }
    assert_eq!(allowed, 13, "0, 3, 4 into 0, 3, 4, and 1 into 0, 1, 3, 4");
}
