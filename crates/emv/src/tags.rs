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

/// `4F`: application identifier (card).
pub const TAG_4F_ADF_NAME: Tag = Tag::new(0x4F);
/// `50`: application label.
pub const TAG_50_APPLICATION_LABEL: Tag = Tag::new(0x50);
/// `56`: track 1 data.
pub const TAG_56_TRACK_1: Tag = Tag::new(0x56);
/// `57`: track 2 equivalent data.
pub const TAG_57_TRACK_2: Tag = Tag::new(0x57);
/// `5A`: application primary account number.
pub const TAG_5A_PAN: Tag = Tag::new(0x5A);
/// `5F20`: cardholder name.
pub const TAG_5F20_CARDHOLDER_NAME: Tag = Tag::new(0x5F20);
/// `5F24`: application expiration date.
pub const TAG_5F24_EXPIRATION_DATE: Tag = Tag::new(0x5F24);
/// `5F25`: application effective date.
pub const TAG_5F25_EFFECTIVE_DATE: Tag = Tag::new(0x5F25);
/// `5F28`: issuer country code.
pub const TAG_5F28_ISSUER_COUNTRY: Tag = Tag::new(0x5F28);
/// `5F2A`: transaction currency code.
pub const TAG_5F2A_TRANSACTION_CURRENCY: Tag = Tag::new(0x5F2A);
/// `5F2D`: language preference.
pub const TAG_5F2D_LANGUAGE_PREFERENCE: Tag = Tag::new(0x5F2D);
/// `5F30`: service code.
pub const TAG_5F30_SERVICE_CODE: Tag = Tag::new(0x5F30);
/// `5F34`: application PAN sequence number.
pub const TAG_5F34_PSN: Tag = Tag::new(0x5F34);
/// `61`: application template.
pub const TAG_61_APPLICATION_TEMPLATE: Tag = Tag::new(0x61);
/// `6F`: file control information template.
pub const TAG_6F_FCI_TEMPLATE: Tag = Tag::new(0x6F);
/// `70`: READ RECORD response template.
pub const TAG_70_RECORD_TEMPLATE: Tag = Tag::new(0x70);
/// `71`: issuer script template 1.
pub const TAG_71_SCRIPT_BEFORE_FINAL_AC: Tag = Tag::new(0x71);
/// `72`: issuer script template 2.
pub const TAG_72_SCRIPT_AFTER_FINAL_AC: Tag = Tag::new(0x72);
/// `77`: response message template format 2.
pub const TAG_77_RESPONSE_FORMAT_2: Tag = Tag::new(0x77);
/// `80`: response message template format 1.
pub const TAG_80_RESPONSE_FORMAT_1: Tag = Tag::new(0x80);
/// `82`: application interchange profile.
pub const TAG_82_AIP: Tag = Tag::new(0x82);
/// `83`: command template.
pub const TAG_83_COMMAND_TEMPLATE: Tag = Tag::new(0x83);
/// `84`: dedicated file name.
pub const TAG_84_DF_NAME: Tag = Tag::new(0x84);
/// `86`: issuer script command.
pub const TAG_86_SCRIPT_COMMAND: Tag = Tag::new(0x86);
/// `87`: application priority indicator.
pub const TAG_87_APPLICATION_PRIORITY: Tag = Tag::new(0x87);
/// `88`: short file identifier.
pub const TAG_88_SFI: Tag = Tag::new(0x88);
/// `89`: authorisation code.
pub const TAG_89_AUTHORISATION_CODE: Tag = Tag::new(0x89);
/// `8A`: authorisation response code.
pub const TAG_8A_AUTHORISATION_RESPONSE_CODE: Tag = Tag::new(0x8A);
/// `8C`: card risk management data object list 1.
pub const TAG_8C_CDOL1: Tag = Tag::new(0x8C);
/// `8D`: card risk management data object list 2.
pub const TAG_8D_CDOL2: Tag = Tag::new(0x8D);
/// `8E`: cardholder verification method list.
pub const TAG_8E_CVM_LIST: Tag = Tag::new(0x8E);
/// `8F`: certification authority public key index.
pub const TAG_8F_CA_KEY_INDEX: Tag = Tag::new(0x8F);
/// `90`: issuer public key certificate.
pub const TAG_90_ISSUER_CERTIFICATE: Tag = Tag::new(0x90);
/// `91`: issuer authentication data.
pub const TAG_91_ISSUER_AUTHENTICATION_DATA: Tag = Tag::new(0x91);
/// `92`: issuer public key remainder.
pub const TAG_92_ISSUER_KEY_REMAINDER: Tag = Tag::new(0x92);
/// `93`: signed static application data.
pub const TAG_93_SIGNED_STATIC_DATA: Tag = Tag::new(0x93);
/// `94`: application file locator.
pub const TAG_94_AFL: Tag = Tag::new(0x94);
/// `95`: terminal verification results.
pub const TAG_95_TVR: Tag = Tag::new(0x95);
/// `97`: transaction certificate data object list.
pub const TAG_97_TDOL: Tag = Tag::new(0x97);
/// `98`: transaction certificate hash value.
pub const TAG_98_TC_HASH: Tag = Tag::new(0x98);
/// `99`: transaction PIN data.
pub const TAG_99_TRANSACTION_PIN: Tag = Tag::new(0x99);
/// `9A`: transaction date.
pub const TAG_9A_TRANSACTION_DATE: Tag = Tag::new(0x9A);
/// `9B`: transaction status information.
pub const TAG_9B_TSI: Tag = Tag::new(0x9B);
/// `9C`: transaction type.
pub const TAG_9C_TRANSACTION_TYPE: Tag = Tag::new(0x9C);
/// `9D`: directory definition file name.
pub const TAG_9D_DDF_NAME: Tag = Tag::new(0x9D);
/// `9F01`: acquirer identifier.
pub const TAG_9F01_ACQUIRER_ID: Tag = Tag::new(0x9F01);
/// `9F02`: amount, authorised.
pub const TAG_9F02_AMOUNT_AUTHORISED: Tag = Tag::new(0x9F02);
/// `9F03`: amount, other.
pub const TAG_9F03_AMOUNT_OTHER: Tag = Tag::new(0x9F03);
/// `9F06`: application identifier (terminal).
pub const TAG_9F06_AID_TERMINAL: Tag = Tag::new(0x9F06);
/// `9F07`: application usage control.
pub const TAG_9F07_APPLICATION_USAGE_CONTROL: Tag = Tag::new(0x9F07);
/// `9F08`: application version number (card).
pub const TAG_9F08_CARD_APPLICATION_VERSION: Tag = Tag::new(0x9F08);
/// `9F09`: application version number (terminal).
pub const TAG_9F09_TERMINAL_APPLICATION_VERSION: Tag = Tag::new(0x9F09);
/// `9F0B`: cardholder name, extended.
pub const TAG_9F0B_CARDHOLDER_NAME_EXTENDED: Tag = Tag::new(0x9F0B);
/// `9F0D`: issuer action code, default.
pub const TAG_9F0D_IAC_DEFAULT: Tag = Tag::new(0x9F0D);
/// `9F0E`: issuer action code, denial.
pub const TAG_9F0E_IAC_DENIAL: Tag = Tag::new(0x9F0E);
/// `9F0F`: issuer action code, online.
pub const TAG_9F0F_IAC_ONLINE: Tag = Tag::new(0x9F0F);
/// `9F10`: issuer application data.
pub const TAG_9F10_IAD: Tag = Tag::new(0x9F10);
/// `9F11`: issuer code table index.
pub const TAG_9F11_ISSUER_CODE_TABLE: Tag = Tag::new(0x9F11);
/// `9F12`: application preferred name.
pub const TAG_9F12_PREFERRED_NAME: Tag = Tag::new(0x9F12);
/// `9F13`: last online ATC register.
pub const TAG_9F13_LAST_ONLINE_ATC: Tag = Tag::new(0x9F13);
/// `9F14`: lower consecutive offline limit.
pub const TAG_9F14_LOWER_OFFLINE_LIMIT: Tag = Tag::new(0x9F14);
/// `9F15`: merchant category code.
pub const TAG_9F15_MCC: Tag = Tag::new(0x9F15);
/// `9F16`: merchant identifier.
pub const TAG_9F16_MERCHANT_ID: Tag = Tag::new(0x9F16);
/// `9F17`: PIN try counter.
pub const TAG_9F17_PIN_TRY_COUNTER: Tag = Tag::new(0x9F17);
/// `9F18`: issuer script identifier.
pub const TAG_9F18_SCRIPT_ID: Tag = Tag::new(0x9F18);
/// `9F1A`: terminal country code.
pub const TAG_9F1A_TERMINAL_COUNTRY: Tag = Tag::new(0x9F1A);
/// `9F1B`: terminal floor limit.
pub const TAG_9F1B_FLOOR_LIMIT: Tag = Tag::new(0x9F1B);
/// `9F1C`: terminal identification.
pub const TAG_9F1C_TERMINAL_ID: Tag = Tag::new(0x9F1C);
/// `9F1E`: interface device serial number.
pub const TAG_9F1E_INTERFACE_DEVICE_SERIAL: Tag = Tag::new(0x9F1E);
/// `9F1F`: track 1 discretionary data.
pub const TAG_9F1F_TRACK_1_DISCRETIONARY: Tag = Tag::new(0x9F1F);
/// `9F20`: track 2 discretionary data.
pub const TAG_9F20_TRACK_2_DISCRETIONARY: Tag = Tag::new(0x9F20);
/// `9F21`: transaction time.
pub const TAG_9F21_TRANSACTION_TIME: Tag = Tag::new(0x9F21);
/// `9F23`: upper consecutive offline limit.
pub const TAG_9F23_UPPER_OFFLINE_LIMIT: Tag = Tag::new(0x9F23);
/// `9F26`: application cryptogram.
pub const TAG_9F26_APPLICATION_CRYPTOGRAM: Tag = Tag::new(0x9F26);
/// `9F27`: cryptogram information data.
pub const TAG_9F27_CID: Tag = Tag::new(0x9F27);
/// `9F2D`: ICC PIN encipherment public key certificate.
pub const TAG_9F2D_ICC_PIN_KEY_CERTIFICATE: Tag = Tag::new(0x9F2D);
/// `9F2E`: ICC PIN encipherment public key exponent.
pub const TAG_9F2E_ICC_PIN_KEY_EXPONENT: Tag = Tag::new(0x9F2E);
/// `9F2F`: ICC PIN encipherment public key remainder.
pub const TAG_9F2F_ICC_PIN_KEY_REMAINDER: Tag = Tag::new(0x9F2F);
/// `9F32`: issuer public key exponent.
pub const TAG_9F32_ISSUER_KEY_EXPONENT: Tag = Tag::new(0x9F32);
/// `9F33`: terminal capabilities.
pub const TAG_9F33_TERMINAL_CAPABILITIES: Tag = Tag::new(0x9F33);
/// `9F34`: cardholder verification method results.
pub const TAG_9F34_CVM_RESULTS: Tag = Tag::new(0x9F34);
/// `9F35`: terminal type.
pub const TAG_9F35_TERMINAL_TYPE: Tag = Tag::new(0x9F35);
/// `9F36`: application transaction counter.
pub const TAG_9F36_ATC: Tag = Tag::new(0x9F36);
/// `9F37`: unpredictable number.
pub const TAG_9F37_UNPREDICTABLE_NUMBER: Tag = Tag::new(0x9F37);
/// `9F38`: processing options data object list.
pub const TAG_9F38_PDOL: Tag = Tag::new(0x9F38);
/// `9F39`: point of service entry mode.
pub const TAG_9F39_ENTRY_MODE: Tag = Tag::new(0x9F39);
/// `9F40`: additional terminal capabilities.
pub const TAG_9F40_TERMINAL_CAPABILITIES_ADDITIONAL: Tag = Tag::new(0x9F40);
/// `9F41`: transaction sequence counter.
pub const TAG_9F41_TRANSACTION_SEQUENCE: Tag = Tag::new(0x9F41);
/// `9F42`: application currency code.
pub const TAG_9F42_APPLICATION_CURRENCY: Tag = Tag::new(0x9F42);
/// `9F44`: application currency exponent.
pub const TAG_9F44_APPLICATION_CURRENCY_EXPONENT: Tag = Tag::new(0x9F44);
/// `9F45`: data authentication code.
pub const TAG_9F45_DATA_AUTHENTICATION_CODE: Tag = Tag::new(0x9F45);
/// `9F46`: ICC public key certificate.
pub const TAG_9F46_ICC_CERTIFICATE: Tag = Tag::new(0x9F46);
/// `9F47`: ICC public key exponent.
pub const TAG_9F47_ICC_KEY_EXPONENT: Tag = Tag::new(0x9F47);
/// `9F48`: ICC public key remainder.
pub const TAG_9F48_ICC_KEY_REMAINDER: Tag = Tag::new(0x9F48);
/// `9F49`: dynamic data authentication data object list.
pub const TAG_9F49_DDOL: Tag = Tag::new(0x9F49);
/// `9F4A`: static data authentication tag list.
pub const TAG_9F4A_SDA_TAG_LIST: Tag = Tag::new(0x9F4A);
/// `9F4B`: signed dynamic application data.
pub const TAG_9F4B_SIGNED_DYNAMIC_DATA: Tag = Tag::new(0x9F4B);
/// `9F4C`: ICC dynamic number.
pub const TAG_9F4C_ICC_DYNAMIC_NUMBER: Tag = Tag::new(0x9F4C);
/// `9F4E`: merchant name and location.
pub const TAG_9F4E_MERCHANT_NAME: Tag = Tag::new(0x9F4E);
/// `9F53`: transaction category code.
pub const TAG_9F53_TRANSACTION_CATEGORY: Tag = Tag::new(0x9F53);
/// `9F5B`: issuer script results.
pub const TAG_9F5B_SCRIPT_RESULTS: Tag = Tag::new(0x9F5B);
/// `9F66`: terminal transaction qualifiers.
pub const TAG_9F66_TTQ: Tag = Tag::new(0x9F66);
/// `9F6B`: track 2 data, contactless.
pub const TAG_9F6B_TRACK_2_CONTACTLESS: Tag = Tag::new(0x9F6B);
/// `9F6C`: card transaction qualifiers.
pub const TAG_9F6C_CTQ: Tag = Tag::new(0x9F6C);
/// `9F6E`: form factor indicator.
pub const TAG_9F6E_FORM_FACTOR: Tag = Tag::new(0x9F6E);
/// `9F7C`: customer exclusive data.
pub const TAG_9F7C_CUSTOMER_EXCLUSIVE: Tag = Tag::new(0x9F7C);
/// `A5`: FCI proprietary template.
pub const TAG_A5_FCI_PROPRIETARY: Tag = Tag::new(0xA5);
/// `BF0C`: FCI issuer discretionary data.
pub const TAG_BF0C_FCI_ISSUER_DISCRETIONARY: Tag = Tag::new(0xBF0C);

/// In ascending order of the tag.
static TAGS: [(Tag, &str, Format, Visibility); 108] = [
    (TAG_4F_ADF_NAME, "Application identifier (card)", B, Shown),
    (TAG_50_APPLICATION_LABEL, "Application label", B, Shown),
    (TAG_56_TRACK_1, "Track 1 data", B, Hidden),
    (TAG_57_TRACK_2, "Track 2 equivalent data", B, Hidden),
    (TAG_5A_PAN, "Application primary account number", Cn, Hidden),
    (TAG_61_APPLICATION_TEMPLATE, "Application template", B, Shown),
    (TAG_6F_FCI_TEMPLATE, "File control information template", B, Shown),
    (TAG_70_RECORD_TEMPLATE, "READ RECORD response template", B, Shown),
    (
        TAG_71_SCRIPT_BEFORE_FINAL_AC,
        "Issuer script template 1",
        B,
        Shown,
    ),
    (TAG_72_SCRIPT_AFTER_FINAL_AC, "Issuer script template 2", B, Shown),
    (
        TAG_77_RESPONSE_FORMAT_2,
        "Response message template format 2",
        B,
        Shown,
    ),
    (
        TAG_80_RESPONSE_FORMAT_1,
        "Response message template format 1",
        B,
        Shown,
    ),
    (TAG_82_AIP, "Application interchange profile", B, Shown),
    (TAG_83_COMMAND_TEMPLATE, "Command template", B, Shown),
    (TAG_84_DF_NAME, "Dedicated file name", B, Shown),
    (TAG_86_SCRIPT_COMMAND, "Issuer script command", B, Shown),
    (
        TAG_87_APPLICATION_PRIORITY,
        "Application priority indicator",
        B,
        Shown,
    ),
    (TAG_88_SFI, "Short file identifier", B, Shown),
    (TAG_89_AUTHORISATION_CODE, "Authorisation code", B, Shown),
    (
        TAG_8A_AUTHORISATION_RESPONSE_CODE,
        "Authorisation response code",
        B,
        Shown,
    ),
    (TAG_8C_CDOL1, "Card risk management data object list 1", B, Shown),
    (TAG_8D_CDOL2, "Card risk management data object list 2", B, Shown),
    (TAG_8E_CVM_LIST, "Cardholder verification method list", B, Shown),
    (
        TAG_8F_CA_KEY_INDEX,
        "Certification authority public key index",
        B,
        Shown,
    ),
    (
        TAG_90_ISSUER_CERTIFICATE,
        "Issuer public key certificate",
        B,
        Shown,
    ),
    (
        TAG_91_ISSUER_AUTHENTICATION_DATA,
        "Issuer authentication data",
        B,
        Shown,
    ),
    (
        TAG_92_ISSUER_KEY_REMAINDER,
        "Issuer public key remainder",
        B,
        Shown,
    ),
    (
        TAG_93_SIGNED_STATIC_DATA,
        "Signed static application data",
        B,
        Shown,
    ),
    (TAG_94_AFL, "Application file locator", B, Shown),
    (TAG_95_TVR, "Terminal verification results", B, Shown),
    (TAG_97_TDOL, "Transaction certificate data object list", B, Shown),
    (TAG_98_TC_HASH, "Transaction certificate hash value", B, Shown),
    (TAG_99_TRANSACTION_PIN, "Transaction PIN data", B, Hidden),
    (TAG_9A_TRANSACTION_DATE, "Transaction date", N, Shown),
    (TAG_9B_TSI, "Transaction status information", B, Shown),
    (TAG_9C_TRANSACTION_TYPE, "Transaction type", N, Shown),
    (TAG_9D_DDF_NAME, "Directory definition file name", B, Shown),
    (TAG_A5_FCI_PROPRIETARY, "FCI proprietary template", B, Shown),
    (TAG_5F20_CARDHOLDER_NAME, "Cardholder name", B, Hidden),
    (TAG_5F24_EXPIRATION_DATE, "Application expiration date", N, Shown),
    (TAG_5F25_EFFECTIVE_DATE, "Application effective date", N, Shown),
    (TAG_5F28_ISSUER_COUNTRY, "Issuer country code", N, Shown),
    (
        TAG_5F2A_TRANSACTION_CURRENCY,
        "Transaction currency code",
        N,
        Shown,
    ),
    (TAG_5F2D_LANGUAGE_PREFERENCE, "Language preference", B, Shown),
    (TAG_5F30_SERVICE_CODE, "Service code", N, Shown),
    (TAG_5F34_PSN, "Application PAN sequence number", N, Shown),
    (TAG_9F01_ACQUIRER_ID, "Acquirer identifier", N, Shown),
    (TAG_9F02_AMOUNT_AUTHORISED, "Amount, authorised", N, Shown),
    (TAG_9F03_AMOUNT_OTHER, "Amount, other", N, Shown),
    (
        TAG_9F06_AID_TERMINAL,
        "Application identifier (terminal)",
        B,
        Shown,
    ),
    (
        TAG_9F07_APPLICATION_USAGE_CONTROL,
        "Application usage control",
        B,
        Shown,
    ),
    (
        TAG_9F08_CARD_APPLICATION_VERSION,
        "Application version number (card)",
        B,
        Shown,
    ),
    (
        TAG_9F09_TERMINAL_APPLICATION_VERSION,
        "Application version number (terminal)",
        B,
        Shown,
    ),
    (
        TAG_9F0B_CARDHOLDER_NAME_EXTENDED,
        "Cardholder name, extended",
        B,
        Hidden,
    ),
    (TAG_9F0D_IAC_DEFAULT, "Issuer action code, default", B, Shown),
    (TAG_9F0E_IAC_DENIAL, "Issuer action code, denial", B, Shown),
    (TAG_9F0F_IAC_ONLINE, "Issuer action code, online", B, Shown),
    (TAG_9F10_IAD, "Issuer application data", B, Shown),
    (TAG_9F11_ISSUER_CODE_TABLE, "Issuer code table index", N, Shown),
    (TAG_9F12_PREFERRED_NAME, "Application preferred name", B, Shown),
    (TAG_9F13_LAST_ONLINE_ATC, "Last online ATC register", B, Shown),
    (
        TAG_9F14_LOWER_OFFLINE_LIMIT,
        "Lower consecutive offline limit",
        B,
        Shown,
    ),
    (TAG_9F15_MCC, "Merchant category code", N, Shown),
    (TAG_9F16_MERCHANT_ID, "Merchant identifier", B, Shown),
    (TAG_9F17_PIN_TRY_COUNTER, "PIN try counter", B, Shown),
    (TAG_9F18_SCRIPT_ID, "Issuer script identifier", B, Shown),
    (TAG_9F1A_TERMINAL_COUNTRY, "Terminal country code", N, Shown),
    (TAG_9F1B_FLOOR_LIMIT, "Terminal floor limit", B, Shown),
    (TAG_9F1C_TERMINAL_ID, "Terminal identification", B, Shown),
    (
        TAG_9F1E_INTERFACE_DEVICE_SERIAL,
        "Interface device serial number",
        B,
        Shown,
    ),
    (
        TAG_9F1F_TRACK_1_DISCRETIONARY,
        "Track 1 discretionary data",
        B,
        Hidden,
    ),
    (
        TAG_9F20_TRACK_2_DISCRETIONARY,
        "Track 2 discretionary data",
        Cn,
        Hidden,
    ),
    (TAG_9F21_TRANSACTION_TIME, "Transaction time", N, Shown),
    (
        TAG_9F23_UPPER_OFFLINE_LIMIT,
        "Upper consecutive offline limit",
        B,
        Shown,
    ),
    (
        TAG_9F26_APPLICATION_CRYPTOGRAM,
        "Application cryptogram",
        B,
        Shown,
    ),
    (TAG_9F27_CID, "Cryptogram information data", B, Shown),
    (
        TAG_9F2D_ICC_PIN_KEY_CERTIFICATE,
        "ICC PIN encipherment public key certificate",
        B,
        Shown,
    ),
    (
        TAG_9F2E_ICC_PIN_KEY_EXPONENT,
        "ICC PIN encipherment public key exponent",
        B,
        Shown,
    ),
    (
        TAG_9F2F_ICC_PIN_KEY_REMAINDER,
        "ICC PIN encipherment public key remainder",
        B,
        Shown,
    ),
    (
        TAG_9F32_ISSUER_KEY_EXPONENT,
        "Issuer public key exponent",
        B,
        Shown,
    ),
    (TAG_9F33_TERMINAL_CAPABILITIES, "Terminal capabilities", B, Shown),
    (
        TAG_9F34_CVM_RESULTS,
        "Cardholder verification method results",
        B,
        Shown,
    ),
    (TAG_9F35_TERMINAL_TYPE, "Terminal type", N, Shown),
    (TAG_9F36_ATC, "Application transaction counter", B, Shown),
    (TAG_9F37_UNPREDICTABLE_NUMBER, "Unpredictable number", B, Shown),
    (TAG_9F38_PDOL, "Processing options data object list", B, Shown),
    (TAG_9F39_ENTRY_MODE, "Point of service entry mode", N, Shown),
    (
        TAG_9F40_TERMINAL_CAPABILITIES_ADDITIONAL,
        "Additional terminal capabilities",
        B,
        Shown,
    ),
    (
        TAG_9F41_TRANSACTION_SEQUENCE,
        "Transaction sequence counter",
        N,
        Shown,
    ),
    (
        TAG_9F42_APPLICATION_CURRENCY,
        "Application currency code",
        N,
        Shown,
    ),
    (
        TAG_9F44_APPLICATION_CURRENCY_EXPONENT,
        "Application currency exponent",
        N,
        Shown,
    ),
    (
        TAG_9F45_DATA_AUTHENTICATION_CODE,
        "Data authentication code",
        B,
        Shown,
    ),
    (TAG_9F46_ICC_CERTIFICATE, "ICC public key certificate", B, Shown),
    (TAG_9F47_ICC_KEY_EXPONENT, "ICC public key exponent", B, Shown),
    (TAG_9F48_ICC_KEY_REMAINDER, "ICC public key remainder", B, Shown),
    (
        TAG_9F49_DDOL,
        "Dynamic data authentication data object list",
        B,
        Shown,
    ),
    (
        TAG_9F4A_SDA_TAG_LIST,
        "Static data authentication tag list",
        B,
        Shown,
    ),
    (
        TAG_9F4B_SIGNED_DYNAMIC_DATA,
        "Signed dynamic application data",
        B,
        Shown,
    ),
    (TAG_9F4C_ICC_DYNAMIC_NUMBER, "ICC dynamic number", B, Shown),
    (TAG_9F4E_MERCHANT_NAME, "Merchant name and location", B, Shown),
    (
        TAG_9F53_TRANSACTION_CATEGORY,
        "Transaction category code",
        B,
        Shown,
    ),
    (TAG_9F5B_SCRIPT_RESULTS, "Issuer script results", B, Shown),
    (TAG_9F66_TTQ, "Terminal transaction qualifiers", B, Shown),
    (
        TAG_9F6B_TRACK_2_CONTACTLESS,
        "Track 2 data, contactless",
        B,
        Hidden,
    ),
    (TAG_9F6C_CTQ, "Card transaction qualifiers", B, Shown),
    (TAG_9F6E_FORM_FACTOR, "Form factor indicator", B, Shown),
    (TAG_9F7C_CUSTOMER_EXCLUSIVE, "Customer exclusive data", B, Shown),
    (
        TAG_BF0C_FCI_ISSUER_DISCRETIONARY,
        "FCI issuer discretionary data",
        B,
        Shown,
    ),
];
