//! Messages that are refused before any card is looked at: why, by name, with their response code. Each is on record.

use cards::Timestamp;
use iso8583::message::{Message, ParseError};
use iso8583::response_code::{
    RESPONSE_12_INVALID_TRANSACTION, RESPONSE_14_INVALID_CARD, RESPONSE_30_FORMAT_ERROR,
    RESPONSE_63_SECURITY_VIOLATION, RESPONSE_91_ISSUER_INOPERATIVE, RESPONSE_96_SYSTEM_MALFUNCTION,
};
use store::AuditEvent;

use super::HostLink;

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The frame can't be read from this field on: a field that the dialect doesn't have, a wrong length, a wrong character.
    Unreadable(ParseError),
    /// A needed field is missing, or means nothing.
    FormatError {
        field: u8,
    },
    /// DE2 or DE35 holds no card number.
    CardNumberInvalid,
    /// A transaction, message type or network code that isn't served.
    NotServed,
    SignedOff,
    MacMissing,
    MacWrong,
    /// The HSM has no such MAC key, or can't be asked.
    MacNotChecked,
    KeyChangeNotOffered,
    /// The link has no MAC key, and its settings don't say that key changes are taken all the same.
    KeyChangeWithoutMac,
    /// Not authentic under the key exchange key, or of another use than the link's keys.
    BadKeyBlock,
    /// The key's check value isn't the one told.
    KeyCheckValueDiffers,
    /// The key has, or had before, this value.
    KeyUnchanged,
}

impl Refused {
    /// Its name on record.
    fn name(self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::FormatError { .. } => "format_error",
            Self::CardNumberInvalid => "card_number_invalid",
            Self::NotServed => "not_served",
            Self::SignedOff => "signed_off",
            Self::MacMissing => "mac_missing",
            Self::MacWrong => "mac_wrong",
            Self::MacNotChecked => "mac_not_checked",
            Self::KeyChangeNotOffered => "key_change_not_offered",
            Self::KeyChangeWithoutMac => "key_change_without_mac",
            Self::BadKeyBlock => "bad_key_block",
            Self::KeyCheckValueDiffers => "key_check_value_differs",
            Self::KeyUnchanged => "key_unchanged",
        }
    }

    /// DE39, as in 1987 (`docs/standards.md`, response codes).
    pub(super) fn code(self) -> [u8; 2] {
        match self {
            Self::Unreadable(_) | Self::FormatError { .. } => RESPONSE_30_FORMAT_ERROR,
            Self::CardNumberInvalid => RESPONSE_14_INVALID_CARD,
            Self::NotServed | Self::KeyChangeNotOffered => RESPONSE_12_INVALID_TRANSACTION,
            Self::SignedOff => RESPONSE_91_ISSUER_INOPERATIVE,
            Self::MacMissing
            | Self::MacWrong
            | Self::KeyChangeWithoutMac
            | Self::BadKeyBlock
            | Self::KeyCheckValueDiffers
            | Self::KeyUnchanged => RESPONSE_63_SECURITY_VIOLATION,
            Self::MacNotChecked => RESPONSE_96_SYSTEM_MALFUNCTION,
        }
    }

    fn unreadable(self) -> Option<ParseError> {
        if let Self::Unreadable(error) = self {
            Some(error)
        } else {
            None
        }
    }

    fn field(self) -> Option<u8> {
        match self {
            Self::Unreadable(error) => Some(error.field),
            Self::FormatError { field } => Some(field),
            Self::CardNumberInvalid
            | Self::NotServed
            | Self::SignedOff
            | Self::MacMissing
            | Self::MacWrong
            | Self::MacNotChecked
            | Self::KeyChangeNotOffered
            | Self::KeyChangeWithoutMac
            | Self::BadKeyBlock
            | Self::KeyCheckValueDiffers
            | Self::KeyUnchanged => None,
        }
    }

    /// The line in the journal.
    pub(super) fn on_record(self, message: &Message<'_>, link: &HostLink, now: Timestamp) -> AuditEvent {
        let trace = message.field(11).unwrap_or_default();
        // What was wanted, and at which byte; never what came.
        let why = self.unreadable().map(|error| error.to_string());
        let detail = serde_json::json!({
            "reason": self.name(),
            "field": self.field(),
            "why": why,
            "message": message.mti().to_string(),
            "trace": String::from_utf8_lossy(trace),
            "code": String::from_utf8_lossy(link.code_of(message, &self.code())),
        });
        AuditEvent {
            at: now,
            kind: "message_refused",
            card: None,
            actor: format!("link:{}", link.name),
            detail: detail.to_string(),
        }
    }
}
