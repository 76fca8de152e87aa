//! Tags with their titles (EMV Book 3, Annex A), how their values are padded, and which are never displayed.

use self::Format::{B, Cn, N};
use self::Visibility::{Hidden, Shown};
use crate::tlv::Tag;

/// How a value is cut or filled to another length (EMV Book 3, 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Digits, right-justified: cut and zero-filled on the left.
    N,
    /// Digits, left-justified: cut on the right, filled there with `F`.
    Cn,
    /// Anything else: cut and zero-filled on the right.
    B,
}

#[derive(PartialEq, Eq)]
enum Visibility {
    Shown,
    Hidden,
}

/// Name of a data object for people, such as `Application transaction counter`; `None` for a tag not listed here.
pub fn title(tag: Tag) -> Option<&'static str> {
    row(tag).map(|(_, title, _, _)| *title)
}

/// Tag and, where it is listed here, title: `9F36 (Application transaction counter)`.
pub(crate) fn named(tag: Tag) -> String {
    title(tag).map_or_else(|| tag.to_string(), |title| format!("{tag} ({title})"))
}

/// Format of a data object; [`Format::B`] for a tag not listed here.
pub fn format(tag: Tag) -> Format {
    row(tag).map_or(B, |(_, _, format, _)| *format)
}

/// Whether the value is never displayed or logged: account number, tracks, name, PIN data.
pub fn is_sensitive(tag: Tag) -> bool {
    row(tag).is_some_and(|(_, _, _, visibility)| *visibility == Hidden)
}

fn row(tag: Tag) -> Option<&'static (Tag, &'static str, Format, Visibility)> {
    let at = TAGS.binary_search_by_key(&tag, |row| row.0).ok()?;
    TAGS.get(at)
}

/// Makes the constants of the tags, and the table of what is known of them.
macro_rules! tags {
    ($($name:ident = $code:literal, $title:literal, $format:ident, $visibility:ident;)+) => {
        $(#[doc = concat!($title, ".")] pub const $name: Tag = Tag::new($code);)+

        const TAGS: &[(Tag, &str, Format, Visibility)] = &[$(($name, $title, $format, $visibility),)+];
    };
}

tags! {
    TAG_4F_ADF_NAME = 0x4F, "Application identifier (card)", B, Shown;
    TAG_50_APPLICATION_LABEL = 0x50, "Application label", B, Shown;
    TAG_56_TRACK_1 = 0x56, "Track 1 data", B, Hidden;
    TAG_57_TRACK_2 = 0x57, "Track 2 equivalent data", B, Hidden;
    TAG_5A_PAN = 0x5A, "Application primary account number", Cn, Hidden;
    TAG_61_APPLICATION_TEMPLATE = 0x61, "Application template", B, Shown;
    TAG_6F_FCI_TEMPLATE = 0x6F, "File control information template", B, Shown;
    TAG_70_RECORD_TEMPLATE = 0x70, "READ RECORD response template", B, Shown;
    TAG_71_SCRIPT_BEFORE_FINAL_AC = 0x71, "Issuer script template 1", B, Shown;
    TAG_72_SCRIPT_AFTER_FINAL_AC = 0x72, "Issuer script template 2", B, Shown;
    TAG_77_RESPONSE_FORMAT_2 = 0x77, "Response message template format 2", B, Shown;
    TAG_80_RESPONSE_FORMAT_1 = 0x80, "Response message template format 1", B, Shown;
    TAG_82_AIP = 0x82, "Application interchange profile", B, Shown;
    TAG_83_COMMAND_TEMPLATE = 0x83, "Command template", B, Shown;
    TAG_84_DF_NAME = 0x84, "Dedicated file name", B, Shown;
    TAG_86_SCRIPT_COMMAND = 0x86, "Issuer script command", B, Shown;
    TAG_87_APPLICATION_PRIORITY = 0x87, "Application priority indicator", B, Shown;
    TAG_88_SFI = 0x88, "Short file identifier", B, Shown;
    TAG_89_AUTHORISATION_CODE = 0x89, "Authorisation code", B, Shown;
    TAG_8A_AUTHORISATION_RESPONSE_CODE = 0x8A, "Authorisation response code", B, Shown;
    TAG_8C_CDOL1 = 0x8C, "Card risk management data object list 1", B, Shown;
    TAG_8D_CDOL2 = 0x8D, "Card risk management data object list 2", B, Shown;
    TAG_8E_CVM_LIST = 0x8E, "Cardholder verification method list", B, Shown;
    TAG_8F_CA_KEY_INDEX = 0x8F, "Certification authority public key index", B, Shown;
    TAG_90_ISSUER_CERTIFICATE = 0x90, "Issuer public key certificate", B, Shown;
    TAG_91_ISSUER_AUTHENTICATION_DATA = 0x91, "Issuer authentication data", B, Shown;
    TAG_92_ISSUER_KEY_REMAINDER = 0x92, "Issuer public key remainder", B, Shown;
    TAG_93_SIGNED_STATIC_DATA = 0x93, "Signed static application data", B, Shown;
    TAG_94_AFL = 0x94, "Application file locator", B, Shown;
    TAG_95_TVR = 0x95, "Terminal verification results", B, Shown;
    TAG_97_TDOL = 0x97, "Transaction certificate data object list", B, Shown;
    TAG_98_TC_HASH = 0x98, "Transaction certificate hash value", B, Shown;
    TAG_99_TRANSACTION_PIN = 0x99, "Transaction PIN data", B, Hidden;
    TAG_9A_TRANSACTION_DATE = 0x9A, "Transaction date", N, Shown;
    TAG_9B_TSI = 0x9B, "Transaction status information", B, Shown;
    TAG_9C_TRANSACTION_TYPE = 0x9C, "Transaction type", N, Shown;
    TAG_9D_DDF_NAME = 0x9D, "Directory definition file name", B, Shown;
    TAG_A5_FCI_PROPRIETARY = 0xA5, "FCI proprietary template", B, Shown;
    TAG_5F20_CARDHOLDER_NAME = 0x5F20, "Cardholder name", B, Hidden;
    TAG_5F24_EXPIRATION_DATE = 0x5F24, "Application expiration date", N, Shown;
    TAG_5F25_EFFECTIVE_DATE = 0x5F25, "Application effective date", N, Shown;
    TAG_5F28_ISSUER_COUNTRY = 0x5F28, "Issuer country code", N, Shown;
    TAG_5F2A_TRANSACTION_CURRENCY = 0x5F2A, "Transaction currency code", N, Shown;
    TAG_5F2D_LANGUAGE_PREFERENCE = 0x5F2D, "Language preference", B, Shown;
    TAG_5F30_SERVICE_CODE = 0x5F30, "Service code", N, Shown;
    TAG_5F34_PSN = 0x5F34, "Application PAN sequence number", N, Shown;
    TAG_9F01_ACQUIRER_ID = 0x9F01, "Acquirer identifier", N, Shown;
    TAG_9F02_AMOUNT_AUTHORISED = 0x9F02, "Amount, authorised", N, Shown;
    TAG_9F03_AMOUNT_OTHER = 0x9F03, "Amount, other", N, Shown;
    TAG_9F06_AID_TERMINAL = 0x9F06, "Application identifier (terminal)", B, Shown;
    TAG_9F07_APPLICATION_USAGE_CONTROL = 0x9F07, "Application usage control", B, Shown;
    TAG_9F08_CARD_APPLICATION_VERSION = 0x9F08, "Application version number (card)", B, Shown;
    TAG_9F09_TERMINAL_APPLICATION_VERSION = 0x9F09, "Application version number (terminal)", B, Shown;
    TAG_9F0B_CARDHOLDER_NAME_EXTENDED = 0x9F0B, "Cardholder name, extended", B, Hidden;
    TAG_9F0D_IAC_DEFAULT = 0x9F0D, "Issuer action code, default", B, Shown;
    TAG_9F0E_IAC_DENIAL = 0x9F0E, "Issuer action code, denial", B, Shown;
    TAG_9F0F_IAC_ONLINE = 0x9F0F, "Issuer action code, online", B, Shown;
    TAG_9F10_IAD = 0x9F10, "Issuer application data", B, Shown;
    TAG_9F11_ISSUER_CODE_TABLE = 0x9F11, "Issuer code table index", N, Shown;
    TAG_9F12_PREFERRED_NAME = 0x9F12, "Application preferred name", B, Shown;
    TAG_9F13_LAST_ONLINE_ATC = 0x9F13, "Last online ATC register", B, Shown;
    TAG_9F14_LOWER_OFFLINE_LIMIT = 0x9F14, "Lower consecutive offline limit", B, Shown;
    TAG_9F15_MCC = 0x9F15, "Merchant category code", N, Shown;
    TAG_9F16_MERCHANT_ID = 0x9F16, "Merchant identifier", B, Shown;
    TAG_9F17_PIN_TRY_COUNTER = 0x9F17, "PIN try counter", B, Shown;
    TAG_9F18_SCRIPT_ID = 0x9F18, "Issuer script identifier", B, Shown;
    TAG_9F1A_TERMINAL_COUNTRY = 0x9F1A, "Terminal country code", N, Shown;
    TAG_9F1B_FLOOR_LIMIT = 0x9F1B, "Terminal floor limit", B, Shown;
    TAG_9F1C_TERMINAL_ID = 0x9F1C, "Terminal identification", B, Shown;
    TAG_9F1E_INTERFACE_DEVICE_SERIAL = 0x9F1E, "Interface device serial number", B, Shown;
    TAG_9F1F_TRACK_1_DISCRETIONARY = 0x9F1F, "Track 1 discretionary data", B, Hidden;
    TAG_9F20_TRACK_2_DISCRETIONARY = 0x9F20, "Track 2 discretionary data", Cn, Hidden;
    TAG_9F21_TRANSACTION_TIME = 0x9F21, "Transaction time", N, Shown;
    TAG_9F23_UPPER_OFFLINE_LIMIT = 0x9F23, "Upper consecutive offline limit", B, Shown;
    TAG_9F26_APPLICATION_CRYPTOGRAM = 0x9F26, "Application cryptogram", B, Shown;
    TAG_9F27_CID = 0x9F27, "Cryptogram information data", B, Shown;
    TAG_9F2D_ICC_PIN_KEY_CERTIFICATE = 0x9F2D, "ICC PIN encipherment public key certificate", B, Shown;
    TAG_9F2E_ICC_PIN_KEY_EXPONENT = 0x9F2E, "ICC PIN encipherment public key exponent", B, Shown;
    TAG_9F2F_ICC_PIN_KEY_REMAINDER = 0x9F2F, "ICC PIN encipherment public key remainder", B, Shown;
    TAG_9F32_ISSUER_KEY_EXPONENT = 0x9F32, "Issuer public key exponent", B, Shown;
    TAG_9F33_TERMINAL_CAPABILITIES = 0x9F33, "Terminal capabilities", B, Shown;
    TAG_9F34_CVM_RESULTS = 0x9F34, "Cardholder verification method results", B, Shown;
    TAG_9F35_TERMINAL_TYPE = 0x9F35, "Terminal type", N, Shown;
    TAG_9F36_ATC = 0x9F36, "Application transaction counter", B, Shown;
    TAG_9F37_UNPREDICTABLE_NUMBER = 0x9F37, "Unpredictable number", B, Shown;
    TAG_9F38_PDOL = 0x9F38, "Processing options data object list", B, Shown;
    TAG_9F39_ENTRY_MODE = 0x9F39, "Point of service entry mode", N, Shown;
    TAG_9F40_TERMINAL_CAPABILITIES_ADDITIONAL = 0x9F40, "Additional terminal capabilities", B, Shown;
    TAG_9F41_TRANSACTION_SEQUENCE = 0x9F41, "Transaction sequence counter", N, Shown;
    TAG_9F42_APPLICATION_CURRENCY = 0x9F42, "Application currency code", N, Shown;
    TAG_9F44_APPLICATION_CURRENCY_EXPONENT = 0x9F44, "Application currency exponent", N, Shown;
    TAG_9F45_DATA_AUTHENTICATION_CODE = 0x9F45, "Data authentication code", B, Shown;
    TAG_9F46_ICC_CERTIFICATE = 0x9F46, "ICC public key certificate", B, Shown;
    TAG_9F47_ICC_KEY_EXPONENT = 0x9F47, "ICC public key exponent", B, Shown;
    TAG_9F48_ICC_KEY_REMAINDER = 0x9F48, "ICC public key remainder", B, Shown;
    TAG_9F49_DDOL = 0x9F49, "Dynamic data authentication data object list", B, Shown;
    TAG_9F4A_SDA_TAG_LIST = 0x9F4A, "Static data authentication tag list", B, Shown;
    TAG_9F4B_SIGNED_DYNAMIC_DATA = 0x9F4B, "Signed dynamic application data", B, Shown;
    TAG_9F4C_ICC_DYNAMIC_NUMBER = 0x9F4C, "ICC dynamic number", B, Shown;
    TAG_9F4E_MERCHANT_NAME = 0x9F4E, "Merchant name and location", B, Shown;
    TAG_9F53_TRANSACTION_CATEGORY = 0x9F53, "Transaction category code", B, Shown;
    TAG_9F5B_SCRIPT_RESULTS = 0x9F5B, "Issuer script results", B, Shown;
    TAG_9F66_TTQ = 0x9F66, "Terminal transaction qualifiers", B, Shown;
    TAG_9F6B_TRACK_2_CONTACTLESS = 0x9F6B, "Track 2 data, contactless", B, Hidden;
    TAG_9F6C_CTQ = 0x9F6C, "Card transaction qualifiers", B, Shown;
    TAG_9F6E_FORM_FACTOR = 0x9F6E, "Form factor indicator", B, Shown;
    TAG_9F7C_CUSTOMER_EXCLUSIVE = 0x9F7C, "Customer exclusive data", B, Shown;
    TAG_BF0C_FCI_ISSUER_DISCRETIONARY = 0xBF0C, "FCI issuer discretionary data", B, Shown;
}

/// In ascending order, so that a tag is found by bisection.
const _: () = {
    let mut rest = TAGS;
    while let [(before, ..), others @ ..] = rest {
        if let [(after, ..), ..] = others {
            assert!(before.code() < after.code());
        }
        rest = others;
    }
};
