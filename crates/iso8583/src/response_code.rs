//! Response codes of DE39, two characters (ISO 8583:1987 and its 2003-style PIN codes). Networks differ in some.

/// Approved.
pub const RESPONSE_00_APPROVED: [u8; 2] = *b"00";
/// Do not honour.
pub const RESPONSE_05_DO_NOT_HONOUR: [u8; 2] = *b"05";
/// Invalid transaction.
pub const RESPONSE_12_INVALID_TRANSACTION: [u8; 2] = *b"12";
/// Invalid card number.
pub const RESPONSE_14_INVALID_CARD: [u8; 2] = *b"14";
/// Unable to locate the original of a reversal.
pub const RESPONSE_25_ORIGINAL_NOT_FOUND: [u8; 2] = *b"25";
/// Format error.
pub const RESPONSE_30_FORMAT_ERROR: [u8; 2] = *b"30";
/// Expired card, pick up.
pub const RESPONSE_33_EXPIRED_PICK_UP: [u8; 2] = *b"33";
/// Restricted card, pick up.
pub const RESPONSE_36_RESTRICTED_PICK_UP: [u8; 2] = *b"36";
/// PIN tries exceeded, pick up.
pub const RESPONSE_38_PIN_TRIES_EXCEEDED_PICK_UP: [u8; 2] = *b"38";
/// Lost card.
pub const RESPONSE_41_LOST_CARD: [u8; 2] = *b"41";
/// Stolen card.
pub const RESPONSE_43_STOLEN_CARD: [u8; 2] = *b"43";
/// Insufficient funds, or above what the card may spend.
pub const RESPONSE_51_INSUFFICIENT_FUNDS: [u8; 2] = *b"51";
/// Expired card.
pub const RESPONSE_54_EXPIRED_CARD: [u8; 2] = *b"54";
/// Incorrect PIN.
pub const RESPONSE_55_INCORRECT_PIN: [u8; 2] = *b"55";
/// Suspected fraud.
pub const RESPONSE_59_SUSPECTED_FRAUD: [u8; 2] = *b"59";
/// Exceeds the amount limit.
pub const RESPONSE_61_AMOUNT_LIMIT_EXCEEDED: [u8; 2] = *b"61";
/// Restricted card.
pub const RESPONSE_62_RESTRICTED_CARD: [u8; 2] = *b"62";
/// Security violation.
pub const RESPONSE_63_SECURITY_VIOLATION: [u8; 2] = *b"63";
/// PIN data required.
pub const RESPONSE_70_PIN_DATA_REQUIRED: [u8; 2] = *b"70";
/// New PIN invalid.
pub const RESPONSE_71_NEW_PIN_INVALID: [u8; 2] = *b"71";
/// PIN change required.
pub const RESPONSE_72_PIN_CHANGE_REQUIRED: [u8; 2] = *b"72";
/// PIN not allowed.
pub const RESPONSE_73_PIN_NOT_ALLOWED: [u8; 2] = *b"73";
/// PIN length error.
pub const RESPONSE_74_PIN_LENGTH_ERROR: [u8; 2] = *b"74";
/// PIN tries exceeded.
pub const RESPONSE_75_PIN_TRIES_EXCEEDED: [u8; 2] = *b"75";
/// PIN block or PIN key error.
pub const RESPONSE_81_PIN_BLOCK_ERROR: [u8; 2] = *b"81";
/// Chip cryptogram failed; networks also use 82, 05 and 59.
pub const RESPONSE_88_CRYPTOGRAM_FAILED: [u8; 2] = *b"88";
/// Issuer or switch inoperative.
pub const RESPONSE_91_ISSUER_INOPERATIVE: [u8; 2] = *b"91";
/// Duplicate transmission.
pub const RESPONSE_94_DUPLICATE: [u8; 2] = *b"94";
/// System malfunction.
pub const RESPONSE_96_SYSTEM_MALFUNCTION: [u8; 2] = *b"96";

const TITLES: [([u8; 2], &str); 29] = [
    (RESPONSE_00_APPROVED, "approved"),
    (RESPONSE_05_DO_NOT_HONOUR, "do not honour"),
    (RESPONSE_12_INVALID_TRANSACTION, "invalid transaction"),
    (RESPONSE_14_INVALID_CARD, "invalid card number"),
    (RESPONSE_25_ORIGINAL_NOT_FOUND, "original not found"),
    (RESPONSE_30_FORMAT_ERROR, "format error"),
    (RESPONSE_33_EXPIRED_PICK_UP, "expired card, pick up"),
    (RESPONSE_36_RESTRICTED_PICK_UP, "restricted card, pick up"),
    (
        RESPONSE_38_PIN_TRIES_EXCEEDED_PICK_UP,
        "PIN tries exceeded, pick up",
    ),
    (RESPONSE_41_LOST_CARD, "lost card"),
    (RESPONSE_43_STOLEN_CARD, "stolen card"),
    (RESPONSE_51_INSUFFICIENT_FUNDS, "insufficient funds"),
    (RESPONSE_54_EXPIRED_CARD, "expired card"),
    (RESPONSE_55_INCORRECT_PIN, "incorrect PIN"),
    (RESPONSE_59_SUSPECTED_FRAUD, "suspected fraud"),
    (RESPONSE_61_AMOUNT_LIMIT_EXCEEDED, "amount limit exceeded"),
    (RESPONSE_62_RESTRICTED_CARD, "restricted card"),
    (RESPONSE_63_SECURITY_VIOLATION, "security violation"),
    (RESPONSE_70_PIN_DATA_REQUIRED, "PIN data required"),
    (RESPONSE_71_NEW_PIN_INVALID, "new PIN invalid"),
    (RESPONSE_72_PIN_CHANGE_REQUIRED, "PIN change required"),
    (RESPONSE_73_PIN_NOT_ALLOWED, "PIN not allowed"),
    (RESPONSE_74_PIN_LENGTH_ERROR, "PIN length error"),
    (RESPONSE_75_PIN_TRIES_EXCEEDED, "PIN tries exceeded"),
    (RESPONSE_81_PIN_BLOCK_ERROR, "PIN block or key error"),
    (RESPONSE_88_CRYPTOGRAM_FAILED, "chip cryptogram failed"),
    (RESPONSE_91_ISSUER_INOPERATIVE, "issuer inoperative"),
    (RESPONSE_94_DUPLICATE, "duplicate transmission"),
    (RESPONSE_96_SYSTEM_MALFUNCTION, "system malfunction"),
];

/// All codes of this list.
pub fn all() -> impl Iterator<Item = [u8; 2]> {
    TITLES.iter().map(|(code, _)| *code)
}

/// What a DE39 says, for people; `None` for a code that is not listed here.
pub fn title(code: &[u8]) -> Option<&'static str> {
    TITLES
        .iter()
        .find_map(|(known, title)| (known == code).then_some(*title))
}
