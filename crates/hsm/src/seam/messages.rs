//! Messages that outlive the program that keeps them.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// A message in clear, card number and all. Prints without it, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearMessage(#[serde(with = "crate::octets")] Vec<u8>);

impl ClearMessage {
    /// Any bytes that are no secret to the program itself.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for ClearMessage {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for ClearMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClearMessage({} bytes)", self.0.len())
    }
}
