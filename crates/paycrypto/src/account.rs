//! The digits that bind a PIN block, a PVV or a card key to one account.

use std::fmt;

use cards::Pan;
use zeroize::{Zeroize, ZeroizeOnDrop};

const ACCOUNT_LEN_MIN_DIGITS: usize = 8;
const ACCOUNT_LEN_MAX_DIGITS: usize = 19;

/// An account number of 8 to 19 digits: a PAN, or the random token that stands for it between a browser and the HSM.
///
/// Unlike [`Pan`] it doesn't ask for a Luhn check digit, because tokens and the test cards of the standards have none; its
/// last digit is taken for the check digit all the same, as ISO 9564-1 does. Zeroises itself on drop; prints no digit.
///
/// ```
/// use cards::Pan;
/// use paycrypto::account::AccountDigits;
///
/// let pan = AccountDigits::from(&Pan::parse("4111111111111111").unwrap());
/// let token = AccountDigits::parse("1234567890123456").unwrap();
/// assert!(pan != token);
/// ```
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct AccountDigits {
    /// Values 0 to 9, then zeros.
    digits: [u8; ACCOUNT_LEN_MAX_DIGITS],
    len: usize,
}

impl AccountDigits {
    /// Parses ASCII digits. Refuses fewer than 8 or more than 19 characters, and anything but digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let right_length = (ACCOUNT_LEN_MIN_DIGITS..=ACCOUNT_LEN_MAX_DIGITS).contains(&text.len());
        if !right_length || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self::from_ascii_digits(text))
    }

    fn from_ascii_digits(text: &str) -> Self {
        let mut account = Self {
            digits: [0; ACCOUNT_LEN_MAX_DIGITS],
            len: text.len(),
        };
        for (to, from) in account.digits.iter_mut().zip(text.bytes()) {
            *to = from - b'0';
        }
        account
    }

    /// Digit values, check digit included.
    pub(crate) fn values(&self) -> &[u8] {
        self.digits
            .get(..self.len)
            .expect("len is at most 19 by construction")
    }

    /// The rightmost `N` digit values before the check digit; shorter accounts are filled with zeros on the left.
    pub(crate) fn rightmost_without_check_digit<const N: usize>(&self) -> [u8; N] {
        let mut rightmost = [0; N];
        let without_check_digit = self.values().iter().rev().skip(1);
        for (to, from) in rightmost.iter_mut().rev().zip(without_check_digit) {
            *to = *from;
        }
        rightmost
    }
}

impl From<&Pan> for AccountDigits {
    fn from(pan: &Pan) -> Self {
        Self::from_ascii_digits(pan.expose_digits())
    }
}

impl fmt::Debug for AccountDigits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountDigits(•)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_8_to_19_digits_and_prints_none() {
        assert!(AccountDigits::parse("1234567").is_none());
        assert!(AccountDigits::parse("12345678901234567890").is_none());
        assert!(AccountDigits::parse("12345678x").is_none());
        assert_eq!(
            format!("{:?}", AccountDigits::parse("12345678").unwrap()),
            "AccountDigits(•)"
        );
    }

    #[test]
    fn a_short_account_is_filled_with_zeros_on_the_left() {
        let account = AccountDigits::parse("123456789").unwrap();
        assert_eq!(
            account.rightmost_without_check_digit(),
            [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
        );
    }
}
