//! ICC master keys: the keys of one card, derived from the issuer's. EMV Book 2 version 4.4 A1.4.

use cards::Psn;
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::account::AccountDigits;
use crate::aes_key::AesKey;
use crate::tdes_key::{Tdes2Key, set_odd_parity};

/// How a TDES ICC master key is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IccKeyOption {
    /// EMV Book 2 A1.4.1.
    A,
    /// EMV Book 2 A1.4.2.
    B,
}

/// The three issuer master keys of a card range, or the three master keys of one card.
#[derive(Debug)]
pub struct EmvMasterKeys {
    /// Application cryptograms (IMK-AC, ICC MK-AC).
    pub ac: Tdes2Key,
    /// Secure messaging for integrity: script MACs (IMK-SMI, ICC MK-SMI).
    pub smi: Tdes2Key,
    /// Secure messaging for confidentiality: enciphered PINs (IMK-SMC, ICC MK-SMC).
    pub smc: Tdes2Key,
}

impl EmvMasterKeys {
    /// The card's three keys from the issuer's three.
    #[must_use]
    pub fn of_card(&self, option: IccKeyOption, account: &AccountDigits, psn: Psn) -> Self {
        let derivation = derivation_data(option, account, psn);
        Self {
            ac: derive_tdes(&self.ac, derivation),
            smi: derive_tdes(&self.smi, derivation),
            smc: derive_tdes(&self.smc, derivation),
        }
    }
}

/// One TDES ICC master key, with odd parity.
///
/// - option A: Y = the rightmost 16 digits of PAN ‖ PSN, zeros on the left; result TDES(Y) ‖ TDES(Y XOR FF…)
/// - option B: as A up to 16 PAN digits; beyond, Y = the first 16 decimal digits of the hexadecimal SHA-1 over BCD PAN ‖ PSN
///   (a zero in front of an odd number of PAN digits), completed by its letters a to f read as 0 to 5
///
/// Source: EMV Book 2 A1.4.1 and A1.4.2. Evidence: `vectors/cvn.txt`, second implementation pyemv.
///
/// ```
/// use cards::Psn;
/// use paycrypto::account::AccountDigits;
/// use paycrypto::icc_keys::{IccKeyOption, icc_master_key};
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let imk_ac = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
/// let account = AccountDigits::parse("1234567890123456").unwrap();
/// let key = icc_master_key(IccKeyOption::B, &imk_ac, &account, Psn::default());
/// assert_eq!(key.kcv()[..2], [0xBA, 0xB0]);
/// ```
#[must_use]
pub fn icc_master_key(
    option: IccKeyOption,
    issuer_key: &Tdes2Key,
    account: &AccountDigits,
    psn: Psn,
) -> Tdes2Key {
    derive_tdes(issuer_key, derivation_data(option, account, psn))
}

/// One AES ICC master key (option C), as long as the issuer's key.
///
/// Y = BCD PAN ‖ PSN, right-justified in 16 zero bytes; result the leftmost bytes of AES(Y) ‖ AES(Y XOR FF…).
///
/// Source: EMV Book 2 A1.4.3. Evidence: citation only; no public vector is known.
///
/// ```
/// use cards::Psn;
/// use paycrypto::account::AccountDigits;
/// use paycrypto::aes_key::AesKey;
/// use paycrypto::icc_keys::icc_master_key_c;
///
/// let issuer_key = AesKey::from_bytes(&[7; 16]).unwrap();
/// let account = AccountDigits::parse("4111111111111111").unwrap();
/// let key = icc_master_key_c(&issuer_key, &account, Psn::new(1).unwrap());
/// let y = 0x41_1111_1111_1111_1101_u128.to_be_bytes();
/// assert_eq!(key.expose_bytes(), issuer_key.encrypt_block(y));
/// ```
#[must_use]
pub fn icc_master_key_c(issuer_key: &AesKey, account: &AccountDigits, psn: Psn) -> AesKey {
    let y = bcd_right_justified::<16>(pan_and_psn(account, psn).rev());
    let mut bytes = Zeroizing::new([0; 32]);
    let (left, right) = bytes.split_at_mut(16);
    left.copy_from_slice(&issuer_key.encrypt_block(y));
    right.copy_from_slice(&issuer_key.encrypt_block(y.map(|byte| !byte)));
    let key_bytes = bytes
        .get(..issuer_key.expose_bytes().len())
        .expect("AES keys have at most 32 bytes");
    AesKey::from_bytes(key_bytes).expect("as long as an AES key")
}

fn derivation_data(option: IccKeyOption, account: &AccountDigits, psn: Psn) -> [u8; 8] {
    match option {
        IccKeyOption::B if account.values().len() > 16 => hashed(account, psn),
        IccKeyOption::A | IccKeyOption::B => bcd_right_justified(pan_and_psn(account, psn).rev()),
    }
}

fn hashed(account: &AccountDigits, psn: Psn) -> [u8; 8] {
    let digit_count = account.values().len() + 2;
    let bcd = bcd_right_justified::<11>(pan_and_psn(account, psn).rev());
    let (_, message) = bcd.split_at(bcd.len() - digit_count.div_ceil(2));
    let hash: [u8; 20] = Sha1::digest(message).into();
    let nibbles = || hash.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    let digits = nibbles().filter(|nibble| *nibble <= 9);
    let letters = nibbles().filter(|nibble| *nibble > 9).map(|letter| letter - 10);
    let mut pairs = digits.chain(letters);
    let mut y = [0; 8];
    for byte in &mut y {
        *byte = pairs.by_ref().take(2).fold(0, |byte, digit| byte << 4 | digit);
    }
    y
}

fn derive_tdes(issuer_key: &Tdes2Key, y: [u8; 8]) -> Tdes2Key {
    let left = issuer_key.encrypt_block(y);
    let right = issuer_key.encrypt_block(y.map(|byte| !byte));
    key_of_halves(left, right)
}

/// A derived key with odd parity.
pub(crate) fn key_of_halves(left: [u8; 8], right: [u8; 8]) -> Tdes2Key {
    let mut bytes = Zeroizing::new([0; 16]);
    for (to, from) in bytes.iter_mut().zip(left.into_iter().chain(right)) {
        *to = from;
    }
    set_odd_parity(bytes.as_mut());
    Tdes2Key::from_bytes(&bytes)
}

fn pan_and_psn(account: &AccountDigits, psn: Psn) -> impl DoubleEndedIterator<Item = u8> {
    let psn_digits = [psn.number() / 10, psn.number() % 10];
    account.values().iter().copied().chain(psn_digits)
}

/// Packs digits, given from the last one on, two per byte; zeros on the left, the first digits cut off where too many.
fn bcd_right_justified<const N: usize>(mut digits_reversed: impl Iterator<Item = u8>) -> [u8; N] {
    let mut bcd = [0; N];
    for byte in bcd.iter_mut().rev() {
        let low = digits_reversed.next().unwrap_or_default();
        let high = digits_reversed.next().unwrap_or_default();
        *byte = high << 4 | low;
    }
    bcd
}
