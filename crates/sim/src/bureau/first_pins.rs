//! First PINs: chosen by chance, and never told but as PIN blocks. The card's file and its letter get them from the
//! issuer's export.

use std::path::{Path, PathBuf};

use cards::Pan;
use data_encoding::HEXUPPER;
use paycrypto::pin::Pin;
use zeroize::Zeroizing;

use super::BureauError;
use super::components;
use crate::acquirer::zone_key::ZoneKey;

/// Digits of a first PIN.
const PIN_LEN_DIGITS: usize = 4;

/// Bytes of 250 and above would favour the low digits.
const BYTE_MAX: u8 = 249;

/// Opens the zone key under which PIN blocks go to the issuer.
///
/// Refuses unreadable files, components that don't fit their check values, and a block of another use.
pub fn read_zone_key(block: &Path, component_paths: &[PathBuf]) -> Result<ZoneKey, BureauError> {
    let text = std::fs::read_to_string(block).map_err(|cause| BureauError::Io {
        path: block.to_owned(),
        cause,
    })?;
    let exchange_key = components::combine(component_paths)?;
    ZoneKey::unwrap(&exchange_key, text.trim()).map_err(|_| BureauError::ZoneKey)
}

/// A random PIN for a card, as an import file's `pin` column has it: `iso0:` and 16, or `iso4:` and 32 hexadecimal digits.
pub fn pin_block(zone_key: &ZoneKey, pan: &Pan) -> Result<String, BureauError> {
    let pin = random_pin()?;
    let mut filler = [0; 8];
    getrandom::fill(&mut filler).map_err(|_| BureauError::Random)?;
    let block = zone_key.pin_block(&pin, pan, &filler);
    let format = match zone_key {
        ZoneKey::Tdes(_) => "iso0",
        ZoneKey::Aes(_) => "iso4",
    };
    Ok(format!("{format}:{}", HEXUPPER.encode(&block)))
}

pub(crate) fn random_pin() -> Result<Pin, BureauError> {
    let mut digits = Zeroizing::new(Vec::with_capacity(PIN_LEN_DIGITS));
    while digits.len() < PIN_LEN_DIGITS {
        let mut byte = Zeroizing::new([0]);
        getrandom::fill(&mut *byte).map_err(|_| BureauError::Random)?;
        let [byte] = *byte;
        if byte <= BYTE_MAX {
            digits.push(byte % 10);
        }
    }
    Ok(Pin::from_digits(&digits).expect("four digits are a PIN"))
}

#[cfg(test)]
mod tests {
    use paycrypto::account::AccountDigits;
    use paycrypto::pinblock::{TdesFormat, decipher_tdes};
    use paycrypto::tdes_key::Tdes2Key;

    use super::*;

    #[test]
    fn a_first_pin_is_in_its_block_and_differs_from_card_to_card() {
        let pan = Pan::parse("9999010000000011").unwrap();
        let key = || Tdes2Key::from_bytes(b"0123456789abcdef");
        let zone_key = ZoneKey::Tdes(key());
        let blocks: std::collections::HashSet<String> =
            (0..20).map(|_| pin_block(&zone_key, &pan).unwrap()).collect();
        assert!(blocks.len() > 10);
        for block in &blocks {
            let hex = block.strip_prefix("iso0:").unwrap();
            let block: [u8; 8] = HEXUPPER.decode(hex.as_bytes()).unwrap().try_into().unwrap();
            let pin = decipher_tdes(&key(), TdesFormat::Iso0, block, &AccountDigits::from(&pan)).unwrap();
            assert_eq!(pin.len_digits(), PIN_LEN_DIGITS);
        }
    }
}
