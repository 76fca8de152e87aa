//! ICC master keys: the keys of one card, derived from the issuer's. EMV Book 2 version 4.4 A1.4.

use cards::Psn;
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::account::AccountDigits;
use crate::aes_key::AesKey;
use crate::cvn::CvnProfile;
use crate::emv_key::{EmvAlgorithm, EmvKey, WrongAlgorithm};
use crate::tdes_key::{Tdes2Key, joined_with_odd_parity};

/// How an ICC master key is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IccKeyOption {
    /// EMV Book 2 A1.4.1, for TDES.
    A,
    /// EMV Book 2 A1.4.2, for TDES.
    B,
    /// EMV Book 2 A1.4.3, for AES.
    C,
}

impl IccKeyOption {
    /// Algorithm of the keys it derives.
    #[must_use]
    pub const fn algorithm(self) -> EmvAlgorithm {
        match self {
            Self::A | Self::B => EmvAlgorithm::Tdes,
            Self::C => EmvAlgorithm::Aes,
        }
    }
}

/// An issuer master key, wherever it is kept.
#[derive(Clone, Copy, Debug)]
pub enum IssuerKey<'a> {
    /// Double-length TDES, for options A and B.
    Tdes(&'a Tdes2Key),
    /// AES, for option C.
    Aes(&'a AesKey),
}

/// The three issuer master keys of a card range.
#[derive(Clone, Copy, Debug)]
pub struct IssuerKeys<'a> {
    /// Application cryptograms (IMK-AC).
    pub ac: IssuerKey<'a>,
    /// Secure messaging for integrity: script MACs (IMK-SMI).
    pub smi: IssuerKey<'a>,
    /// Secure messaging for confidentiality: enciphered PINs (IMK-SMC).
    pub smc: IssuerKey<'a>,
}

impl IssuerKeys<'_> {
    /// The card's three keys. Refuses keys of another algorithm than the version's.
    pub fn of_card(
        &self,
        version: impl Into<CvnProfile>,
        account: &AccountDigits,
        psn: Psn,
    ) -> Result<CardKeys, WrongAlgorithm> {
        let profile = version.into();
        let derive = |issuer_key| icc_master_key(profile.icc_key, issuer_key, account, psn);
        CardKeys::new(profile, derive(self.ac)?, derive(self.smi)?, derive(self.smc)?)
    }
}

/// The three master keys of one card, each of the algorithm that the card's cryptogram version wants.
#[derive(Debug)]
pub struct CardKeys {
    profile: CvnProfile,
    ac: EmvKey,
    smi: EmvKey,
    smc: EmvKey,
}

impl CardKeys {
    /// Takes keys for cryptograms (ICC MK-AC), script MACs (ICC MK-SMI) and script encipherment (ICC MK-SMC).
    ///
    /// Refuses keys of another algorithm than the version's, and a version that isn't sound.
    ///
    /// ```
    /// use paycrypto::cvn::Cvn;
    /// use paycrypto::emv_key::{EmvAlgorithm, EmvKey, WrongAlgorithm};
    /// use paycrypto::icc_keys::CardKeys;
    ///
    /// let [ac, smi, smc] = [1, 2, 3].map(|byte| EmvKey::from_bytes(EmvAlgorithm::Tdes, &[byte; 16]).unwrap());
    /// assert_eq!(CardKeys::new(Cvn::CcdAes, ac, smi, smc).err(), Some(WrongAlgorithm));
    /// ```
    pub fn new(
        version: impl Into<CvnProfile>,
        ac: EmvKey,
        smi: EmvKey,
        smc: EmvKey,
    ) -> Result<Self, WrongAlgorithm> {
        let profile = version.into();
        let fit = [&ac, &smi, &smc].map(EmvKey::algorithm) == [profile.algorithm(); 3];
        (fit && profile.is_sound())
            .then_some(Self {
                profile,
                ac,
                smi,
                smc,
            })
            .ok_or(WrongAlgorithm)
    }

    /// What the card's cryptogram version stands for.
    #[must_use]
    pub fn profile(&self) -> CvnProfile {
        self.profile
    }

    /// ICC MK-AC.
    #[must_use]
    pub fn ac(&self) -> &EmvKey {
        &self.ac
    }

    /// ICC MK-SMI.
    #[must_use]
    pub fn smi(&self) -> &EmvKey {
        &self.smi
    }

    /// ICC MK-SMC.
    #[must_use]
    pub fn smc(&self) -> &EmvKey {
        &self.smc
    }
}

/// One ICC master key; TDES with odd parity, AES as long as the issuer's key.
///
/// - option A: Y = the rightmost 16 digits of PAN ‖ PSN, zeros on the left; result TDES(Y) ‖ TDES(Y XOR FF…)
/// - option B: as A up to 16 PAN digits; beyond, Y = the first 16 decimal digits of the hexadecimal SHA-1 over BCD PAN ‖ PSN
///   (a zero in front of an odd number of PAN digits), completed by its letters a to f read as 0 to 5
/// - option C: Y = BCD PAN ‖ PSN, right-justified in 16 zero bytes; result the leftmost bytes of AES(Y) ‖ AES(Y XOR FF…)
///
/// Refuses an issuer key that isn't of the option's algorithm.
///
/// Source: EMV Book 2 A1.4.1 to A1.4.3. Evidence: A and B `vectors/cvn.txt` and pyemv; C AES of Python's `cryptography`,
/// no public vector is known.
///
/// ```
/// use cards::Psn;
/// use paycrypto::account::AccountDigits;
/// use paycrypto::aes_key::AesKey;
/// use paycrypto::icc_keys::{IccKeyOption, IssuerKey, icc_master_key};
/// use paycrypto::tdes_key::Tdes2Key;
///
/// let imk_ac = Tdes2Key::from_bytes(&0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes());
/// let account = AccountDigits::parse("1234567890123456").unwrap();
/// let key = icc_master_key(IccKeyOption::B, IssuerKey::Tdes(&imk_ac), &account, Psn::default()).unwrap();
/// assert_eq!(key.kcv()[..2], [0xBA, 0xB0]);
///
/// let imk_ac = AesKey::from_bytes(&[7; 16]).unwrap();
/// let key = icc_master_key(IccKeyOption::C, IssuerKey::Aes(&imk_ac), &account, Psn::new(1).unwrap()).unwrap();
/// assert_eq!(key.expose_bytes(), imk_ac.encrypt_block(0x12_3456_7890_1234_5601_u128.to_be_bytes()));
/// assert!(icc_master_key(IccKeyOption::A, IssuerKey::Aes(&imk_ac), &account, Psn::default()).is_err());
/// ```
pub fn icc_master_key(
    option: IccKeyOption,
    issuer_key: IssuerKey<'_>,
    account: &AccountDigits,
    psn: Psn,
) -> Result<EmvKey, WrongAlgorithm> {
    match (option, issuer_key) {
        (IccKeyOption::B, IssuerKey::Tdes(key)) if account.values().len() > 16 => {
            Ok(EmvKey::Tdes(derive_tdes(key, hashed(account, psn))))
        }
        (IccKeyOption::A | IccKeyOption::B, IssuerKey::Tdes(key)) => {
            let y = bcd_right_justified(pan_and_psn(account, psn).rev());
            Ok(EmvKey::Tdes(derive_tdes(key, y)))
        }
        (IccKeyOption::C, IssuerKey::Aes(key)) => {
            let y = bcd_right_justified(pan_and_psn(account, psn).rev());
            Ok(EmvKey::Aes(derive_aes(key, y, y.map(|byte| !byte))))
        }
        (IccKeyOption::A | IccKeyOption::B, IssuerKey::Aes(_)) | (IccKeyOption::C, IssuerKey::Tdes(_)) => {
            Err(WrongAlgorithm)
        }
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
    let encipher = |y| Zeroizing::new(issuer_key.encrypt_block(y));
    joined_with_odd_parity(encipher(y), encipher(y.map(|byte| !byte)))
}

/// The leftmost bytes of AES(first) ‖ AES(second), as many as `key` has: for AES-128 the first block alone.
pub(crate) fn derive_aes(key: &AesKey, first: [u8; 16], second: [u8; 16]) -> AesKey {
    let mut bytes = Zeroizing::new([0; 32]);
    let (left, right) = bytes.split_at_mut(16);
    left.copy_from_slice(&key.encrypt_block(first));
    right.copy_from_slice(&key.encrypt_block(second));
    let derived = bytes.get(..key.expose_bytes().len());
    AesKey::from_bytes(derived.expect("AES keys have at most 32 bytes")).expect("as long as an AES key")
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
