//! RSA as EMV uses it: bare exponentiation of blocks as long as the modulus (EMV 4.4 Book 2, B2.1). What is in the blocks
//! is their maker's matter.
//!
//! For test keys only: time and memory tell about the private exponent. Keys are as short as cards have them.

use std::fmt;

use num_bigint::BigUint;

/// Bytes of the longest modulus that EMV has room for.
pub const MODULUS_LEN_MAX: usize = 248;

/// Bytes of the shortest modulus that is taken: a signature holds 24 bytes of its own around the data.
pub const MODULUS_LEN_MIN: usize = 64;

/// Exponent of the keys made here, one of the two that EMV allows.
const EXPONENT: u8 = 3;

/// Rounds of Miller and Rabin for each prime.
const PRIMALITY_ROUNDS: usize = 16;

/// Numbers tried for one prime; of 512 bits, about one in 180 odd numbers is prime.
const CANDIDATES_MAX: usize = 100_000;

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPublicKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// A private key with its public half.
#[derive(Clone)]
pub struct RsaPrivateKey {
    public: RsaPublicKey,
    exponent: BigUint,
}

impl RsaPublicKey {
    /// Takes modulus and exponent, big-endian.
    ///
    /// Refuses a modulus of fewer than [`MODULUS_LEN_MIN`] or more than [`MODULUS_LEN_MAX`] bytes, one that is even or
    /// begins `00`, and an exponent of no bytes or more than 3.
    #[must_use]
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let begins = modulus.first().is_some_and(|first| *first != 0);
        let odd = modulus.last().is_some_and(|last| last & 1 == 1);
        let fits = (MODULUS_LEN_MIN..=MODULUS_LEN_MAX).contains(&modulus.len());
        (begins && odd && fits && (1..=3).contains(&exponent.len())).then(|| Self {
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
        })
    }

    /// Big-endian, without leading zeros.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// Big-endian.
    #[must_use]
    pub fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    /// Raises a block to the public exponent. Refuses another length than the modulus's, and a block above it.
    #[must_use]
    pub fn apply(&self, block: &[u8]) -> Option<Vec<u8>> {
        raise(block, &BigUint::from_bytes_be(&self.exponent), &self.modulus)
    }
}

impl RsaPrivateKey {
    /// Makes a key of so many bytes, with exponent 3. `None` where the system gives no random numbers, or the length is
    /// odd or not one of [`RsaPublicKey::new`].
    #[must_use]
    pub fn generate(modulus_len: usize) -> Option<Self> {
        let fits = (MODULUS_LEN_MIN..=MODULUS_LEN_MAX).contains(&modulus_len);
        if !fits || !modulus_len.is_multiple_of(2) {
            return None;
        }
        let one = BigUint::from(1_u8);
        let p = prime(modulus_len / 2)?;
        let q = prime(modulus_len / 2)?;
        let private = BigUint::from(EXPONENT).modinv(&((&p - &one) * (&q - &one)))?;
        Self::from_parts(&(p * q).to_bytes_be(), &[EXPONENT], &private.to_bytes_be())
    }

    /// Takes modulus and both exponents, big-endian. Refuses what [`RsaPublicKey::new`] refuses, and exponents that don't
    /// undo each other.
    #[must_use]
    pub fn from_parts(modulus: &[u8], exponent: &[u8], private_exponent: &[u8]) -> Option<Self> {
        let key = Self {
            public: RsaPublicKey::new(modulus, exponent)?,
            exponent: BigUint::from_bytes_be(private_exponent),
        };
        let mut block = vec![0; modulus.len()];
        *block.last_mut()? = 2;
        let back = key.public.apply(&key.apply(&block)?)?;
        (back == block).then_some(key)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &RsaPublicKey {
        &self.public
    }

    /// The private exponent, big-endian: for the card's own file.
    #[must_use]
    pub fn expose_exponent(&self) -> Vec<u8> {
        self.exponent.to_bytes_be()
    }

    /// Raises a block to the private exponent. Refuses another length than the modulus's, and a block above it.
    #[must_use]
    pub fn apply(&self, block: &[u8]) -> Option<Vec<u8>> {
        raise(block, &self.exponent, &self.public.modulus)
    }
}

/// Shows the length, no number.
impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPrivateKey({} bytes)", self.public.modulus.len())
    }
}

fn raise(block: &[u8], exponent: &BigUint, modulus: &[u8]) -> Option<Vec<u8>> {
    let base = BigUint::from_bytes_be(block);
    let modulus_number = BigUint::from_bytes_be(modulus);
    if block.len() != modulus.len() || base >= modulus_number {
        return None;
    }
    let result = base.modpow(exponent, &modulus_number).to_bytes_be();
    let zeros = modulus.len() - result.len();
    Some([vec![0; zeros], result].concat())
}

/// A prime of so many bytes, its two highest bits set, so that a product of two has no leading zeros; one above a number
/// that 3 doesn't divide, so that the exponent 3 can be undone.
fn prime(len: usize) -> Option<BigUint> {
    let three = BigUint::from(EXPONENT);
    for _ in 0..CANDIDATES_MAX {
        let mut bytes = vec![0; len];
        getrandom::fill(&mut bytes).ok()?;
        *bytes.first_mut()? |= 0xC0;
        *bytes.last_mut()? |= 0x01;
        let candidate = BigUint::from_bytes_be(&bytes);
        if &candidate % &three == BigUint::from(2_u8) && is_prime(&candidate)? {
            return Some(candidate);
        }
    }
    None
}

/// Divides by small numbers, then Miller and Rabin with random bases. `None` where the system gives no random numbers.
fn is_prime(candidate: &BigUint) -> Option<bool> {
    let divisible = |divisor: u32| (candidate % divisor) == BigUint::ZERO;
    if (3..2000).step_by(2).any(divisible) {
        return Some(false);
    }
    let one = BigUint::from(1_u8);
    let below = candidate - &one;
    let twos = below.trailing_zeros()?;
    let odd = &below >> twos;
    let len = candidate.to_bytes_be().len();
    for _ in 0..PRIMALITY_ROUNDS {
        let mut bytes = vec![0; len];
        getrandom::fill(&mut bytes).ok()?;
        let base = BigUint::from_bytes_be(&bytes) % &below + &one;
        let mut power = base.modpow(&odd, candidate);
        let mut witness = power != one && power != below;
        for _ in 1..twos {
            if !witness {
                break;
            }
            power = &power * &power % candidate;
            witness = power != below;
        }
        if witness {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_undoes_itself_and_differs_each_time() {
        let (first, second) = (
            RsaPrivateKey::generate(128).unwrap(),
            RsaPrivateKey::generate(128).unwrap(),
        );
        assert_ne!(first.public(), second.public());
        assert_eq!(first.public().modulus().len(), 128);
        let block = [&[0x6A][..], &[0x5A; 126], &[0xBC]].concat();
        let signed = first.apply(&block).unwrap();
        assert_ne!(signed, block);
        assert_eq!(first.public().apply(&signed), Some(block.clone()));
        assert_ne!(second.public().apply(&signed), Some(block));
    }

    #[test]
    fn a_block_of_another_length_or_above_the_modulus_is_refused() {
        let key = RsaPrivateKey::generate(64).unwrap();
        assert_eq!(key.apply(&[1; 63]), None);
        assert_eq!(key.public().apply(&[1; 65]), None);
        assert_eq!(key.apply(key.public().modulus()), None);
    }

    #[test]
    fn parts_that_do_not_fit_together_are_no_key() {
        let key = RsaPrivateKey::generate(64).unwrap();
        let (modulus, private) = (key.public().modulus(), key.expose_exponent());
        assert!(RsaPrivateKey::from_parts(modulus, &[3], &private).is_some());
        assert!(RsaPrivateKey::from_parts(modulus, &[1, 0, 1], &private).is_none());
        assert!(RsaPublicKey::new(&modulus[1..], &[3]).is_none());
        assert!(RsaPublicKey::new(modulus, &[]).is_none());
        assert!(RsaPrivateKey::generate(65).is_none());
    }

    #[test]
    fn small_primes_and_their_products_are_told_apart() {
        let number = |value: u64| BigUint::from(value);
        assert_eq!(is_prime(&number(1_000_000_007)), Some(true));
        assert_eq!(is_prime(&number(4_294_967_291)), Some(true));
        assert_eq!(is_prime(&number(1_000_000_007 * 4)), Some(false));
        // 10007 * 10009 has no divisor below 2000.
        assert_eq!(is_prime(&number(10_007 * 10_009)), Some(false));
    }

    #[test]
    fn a_private_key_shows_no_number() {
        let key = RsaPrivateKey::generate(64).unwrap();
        assert_eq!(format!("{key:?}"), "RsaPrivateKey(64 bytes)");
    }
}
