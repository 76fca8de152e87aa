//! Rows of the desk's own database, beside cards, from which somebody's authority follows.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// What a row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeskRecordKind {
    /// Which password is whose.
    Credential,
    /// Whose a session is.
    Session,
    /// What a cardmember may do once, having given the password again.
    StepUp,
}

/// A row to authenticate. Prints without its content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskRecord {
    /// No MAC of one kind is one of another.
    pub kind: DeskRecordKind,
    /// The row in the desk's own encoding: the HSM only authenticates it.
    #[serde(with = "crate::octets")]
    pub content: Vec<u8>,
}

impl fmt::Debug for DeskRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeskRecord")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// AES-CMAC of a [`DeskRecord`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct DeskRecordMac(pub [u8; 16]);

impl DeskRecordMac {
    /// Whether a stored MAC is this one, in constant time.
    #[must_use]
    pub fn is(&self, stored: &[u8; 16]) -> bool {
        self.0.ct_eq(stored).into()
    }
}
