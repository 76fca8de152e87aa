//! What a network calls each transaction: the first two digits of DE3, in BCD.

use serde::{Deserialize, Deserializer, de::Error};

/// Transaction types, BCD. In the acquirer's file two digits each, those left out by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessingCodes {
    /// Default `00`.
    #[serde(deserialize_with = "two_digits")]
    pub purchase: u8,
    /// Default `01`.
    #[serde(deserialize_with = "two_digits")]
    pub cash: u8,
    /// Default `31`.
    #[serde(deserialize_with = "two_digits")]
    pub balance: u8,
    /// Default `92`, Mastercard's.
    #[serde(deserialize_with = "two_digits")]
    pub pin_change: u8,
    /// Default `91`, Mastercard's.
    #[serde(deserialize_with = "two_digits")]
    pub pin_unblock: u8,
}

impl Default for ProcessingCodes {
    fn default() -> Self {
        Self {
            purchase: 0x00,
            cash: 0x01,
            balance: 0x31,
            pin_change: 0x92,
            pin_unblock: 0x91,
        }
    }
}

fn two_digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    let digits = String::deserialize(deserializer)?;
    let fits = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let code = fits.then(|| u8::from_str_radix(&digits, 16).ok()).flatten();
    code.ok_or_else(|| D::Error::custom("two digits are wanted"))
}
