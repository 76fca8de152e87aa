//! The data objects a terminal reads from the card: directory, file control information, application data.

use emv::cvm::{CvmList, CvmMethod, CvmRule};
use emv::dol::Dol;
use emv::tags::{
    TAG_4F_ADF_NAME, TAG_5A_PAN, TAG_5F2D_LANGUAGE_PREFERENCE, TAG_5F20_CARDHOLDER_NAME,
    TAG_5F24_EXPIRATION_DATE, TAG_5F28_ISSUER_COUNTRY, TAG_5F30_SERVICE_CODE, TAG_5F34_PSN,
    TAG_6F_FCI_TEMPLATE, TAG_8C_CDOL1, TAG_8D_CDOL2, TAG_8E_CVM_LIST, TAG_8F_CA_KEY_INDEX,
    TAG_9F07_APPLICATION_USAGE_CONTROL, TAG_9F08_CARD_APPLICATION_VERSION, TAG_9F32_ISSUER_KEY_EXPONENT,
    TAG_9F37_UNPREDICTABLE_NUMBER, TAG_9F42_APPLICATION_CURRENCY, TAG_9F46_ICC_CERTIFICATE,
    TAG_9F47_ICC_KEY_EXPONENT, TAG_9F48_ICC_KEY_REMAINDER, TAG_9F49_DDOL, TAG_50_APPLICATION_LABEL,
    TAG_57_TRACK_2, TAG_61_APPLICATION_TEMPLATE, TAG_70_RECORD_TEMPLATE, TAG_84_DF_NAME,
    TAG_87_APPLICATION_PRIORITY, TAG_88_SFI, TAG_90_ISSUER_CERTIFICATE, TAG_92_ISSUER_KEY_REMAINDER,
    TAG_A5_FCI_PROPRIETARY, TAG_BF0C_FCI_ISSUER_DISCRETIONARY,
};
use emv::tlv::{put, put_template};

use super::chip::Interface;
use super::perso::Perso;
use super::profile::{AuthenticationBy, Directory};

/// File of the contacts' directory.
const SFI_DIRECTORY: u8 = 1;

/// Cardholder verification and terminal risk management.
const AIP_BASE: u8 = 0x18;
/// Issuer authentication by EXTERNAL AUTHENTICATE.
const AIP_ISSUER_AUTHENTICATION: u8 = 0x04;
/// DDA and CDA, which a card with a certified key does.
const AIP_DDA_CDA: u8 = 0x21;

/// Application file locator: file 1, records 1 and 2; file 2, record 1.
const AFL_UNSIGNED: [u8; 8] = [0x08, 1, 2, 0, 0x10, 1, 1, 0];
/// The same records, covered by the card's certificate; file 3, records 1 and 2, with the certificates.
const AFL_SIGNED: [u8; 12] = [0x08, 1, 2, 2, 0x10, 1, 1, 1, 0x18, 1, 2, 0];

/// What the card signs for DDA, beside its own number: tag 9F49.
#[must_use]
pub fn ddol() -> Dol {
    let entries = vec![(TAG_9F37_UNPREDICTABLE_NUMBER, 4)];
    Dol { entries }
}

/// Chip, international use, no restriction (ISO/IEC 7813).
const SERVICE_CODE: &str = "201";

/// Application interchange profile, tag 82. At a tap nobody can authenticate the issuer, and the card isn't authenticated
/// offline.
#[must_use]
pub fn aip(perso: &Perso, interface: Interface) -> [u8; 2] {
    let by_command = perso.profile.issuer_authentication == AuthenticationBy::ExternalAuthenticate;
    let bit = |on: bool, mask: u8| if on { mask } else { 0 };
    match interface {
        Interface::Contact => [
            AIP_BASE
                | bit(by_command, AIP_ISSUER_AUTHENTICATION)
                | bit(perso.certified_key.is_some(), AIP_DDA_CDA),
            0,
        ],
        Interface::Contactless => [AIP_BASE, 0],
    }
}

/// Application file locator, tag 94.
#[must_use]
pub fn afl(perso: &Perso, interface: Interface) -> Vec<u8> {
    match interface {
        Interface::Contact if perso.certified_key.is_some() => AFL_SIGNED.to_vec(),
        Interface::Contact | Interface::Contactless => AFL_UNSIGNED.to_vec(),
    }
}

/// What the card's certificate covers: content of the records that the file locator marks, in its order (EMV Book 3, 10.3).
#[must_use]
pub fn authenticated(perso: &Perso) -> Vec<u8> {
    let mut out = Vec::new();
    for write in [account, card, rules] {
        write(perso, Interface::Contact, &mut out);
    }
    out
}

/// Answer to SELECT of a directory: that of the contacts names its file, that for taps has its entries in it.
#[must_use]
pub fn directory(perso: &Perso, directory: Directory) -> Vec<u8> {
    let mut out = Vec::new();
    put_template(&mut out, TAG_6F_FCI_TEMPLATE, |fci| {
        put(fci, TAG_84_DF_NAME, directory.name());
        put_template(fci, TAG_A5_FCI_PROPRIETARY, |proprietary| match directory {
            Directory::Pse => {
                put(proprietary, TAG_88_SFI, &[SFI_DIRECTORY]);
                put(proprietary, TAG_5F2D_LANGUAGE_PREFERENCE, b"en");
            }
            Directory::Ppse => put_template(proprietary, TAG_BF0C_FCI_ISSUER_DISCRETIONARY, |entries| {
                put_entry(perso, entries);
            }),
        });
    });
    out
}

/// A record of the contacts' directory; `None` where it has none of this number.
#[must_use]
pub fn directory_record(perso: &Perso, sfi: u8, number: u8) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    put_template(&mut out, TAG_70_RECORD_TEMPLATE, |entries| {
        put_entry(perso, entries)
    });
    ((sfi, number) == (SFI_DIRECTORY, 1)).then_some(out)
}

fn put_entry(perso: &Perso, out: &mut Vec<u8>) {
    put_template(out, TAG_61_APPLICATION_TEMPLATE, |entry| {
        put(entry, TAG_4F_ADF_NAME, &perso.aid);
        put(entry, TAG_50_APPLICATION_LABEL, perso.label.as_bytes());
        put(entry, TAG_87_APPLICATION_PRIORITY, &[1]);
    });
}

/// Answer to SELECT of the application.
#[must_use]
pub fn application(perso: &Perso) -> Vec<u8> {
    let mut out = Vec::new();
    put_template(&mut out, TAG_6F_FCI_TEMPLATE, |fci| {
        put(fci, TAG_84_DF_NAME, &perso.aid);
        fci.extend(proprietary_template(perso));
    });
    out
}

/// Template A5 of the application.
#[must_use]
pub fn proprietary_template(perso: &Perso) -> Vec<u8> {
    let mut out = Vec::new();
    put_template(&mut out, TAG_A5_FCI_PROPRIETARY, |proprietary| {
        put(proprietary, TAG_50_APPLICATION_LABEL, perso.label.as_bytes());
        put(proprietary, TAG_87_APPLICATION_PRIORITY, &[1]);
        put(proprietary, TAG_5F2D_LANGUAGE_PREFERENCE, b"en");
    });
    out
}

/// A record, in its template; `None` where the card has none of this number.
#[must_use]
pub fn record(perso: &Perso, interface: Interface, sfi: u8, number: u8) -> Option<Vec<u8>> {
    let write: fn(&Perso, Interface, &mut Vec<u8>) = match (sfi, number) {
        (1, 1) => account,
        (1, 2) => card,
        (2, 1) => rules,
        (3, 1) if perso.certified_key.is_some() => issuer_key,
        (3, 2) if perso.certified_key.is_some() => card_key,
        _ => return None,
    };
    let mut out = Vec::new();
    put_template(&mut out, TAG_70_RECORD_TEMPLATE, |content| {
        write(perso, interface, content)
    });
    Some(out)
}

fn account(perso: &Perso, _: Interface, out: &mut Vec<u8>) {
    put(out, TAG_57_TRACK_2, &digits(&track_2(perso).replace('=', "D")));
    put(out, TAG_5F20_CARDHOLDER_NAME, perso.cardholder_name.as_bytes());
}

fn card(perso: &Perso, _: Interface, out: &mut Vec<u8>) {
    put(out, TAG_5A_PAN, &digits(perso.pan.expose_digits()));
    put(
        out,
        TAG_5F24_EXPIRATION_DATE,
        &digits(&format!("{}28", perso.expiry.yymm())),
    );
    put(out, TAG_5F34_PSN, &bcd::<1>(perso.psn.number().into()));
    put(out, TAG_5F28_ISSUER_COUNTRY, &bcd::<2>(perso.country.into()));
    put(out, TAG_5F30_SERVICE_CODE, &digits(&format!("0{SERVICE_CODE}")));
    put(
        out,
        TAG_9F42_APPLICATION_CURRENCY,
        &bcd::<2>(perso.currency.into()),
    );
    put(
        out,
        TAG_9F07_APPLICATION_USAGE_CONTROL,
        &perso.profile.usage_control,
    );
    put(out, TAG_9F08_CARD_APPLICATION_VERSION, &perso.profile.version);
}

fn rules(perso: &Perso, interface: Interface, out: &mut Vec<u8>) {
    put(out, TAG_8C_CDOL1, &perso.profile.cdol1.to_bytes());
    put(out, TAG_8D_CDOL2, &perso.profile.cdol2.to_bytes());
    put(out, TAG_8E_CVM_LIST, &cvm_list(perso, interface).to_bytes());
}

fn issuer_key(perso: &Perso, _: Interface, out: &mut Vec<u8>) {
    let Some(key) = &perso.certified_key else { return };
    put(out, TAG_8F_CA_KEY_INDEX, &[key.ca_index]);
    put(out, TAG_90_ISSUER_CERTIFICATE, &key.issuer_certificate);
    put(out, TAG_9F32_ISSUER_KEY_EXPONENT, &key.issuer_exponent);
    if !key.issuer_remainder.is_empty() {
        put(out, TAG_92_ISSUER_KEY_REMAINDER, &key.issuer_remainder);
    }
}

fn card_key(perso: &Perso, _: Interface, out: &mut Vec<u8>) {
    let Some(key) = &perso.certified_key else { return };
    put(out, TAG_9F46_ICC_CERTIFICATE, &key.icc_certificate);
    put(out, TAG_9F47_ICC_KEY_EXPONENT, key.key.public().exponent());
    if !key.icc_remainder.is_empty() {
        put(out, TAG_9F48_ICC_KEY_REMAINDER, &key.icc_remainder);
    }
    put(out, TAG_9F49_DDOL, &ddol().to_bytes());
}

/// At the contacts: PIN checked by the host at a cash machine, else PIN checked by the chip (enciphered, where the card has
/// a key for it, else in the clear), else PIN checked by the host, else none. At a tap: none.
#[must_use]
pub fn cvm_list(perso: &Perso, interface: Interface) -> CvmList {
    const CONDITION_ALWAYS: u8 = 0;
    const CONDITION_UNATTENDED_CASH: u8 = 1;
    const CONDITION_IF_SUPPORTED: u8 = 3;
    let rule = |method, next_if_fails, condition| CvmRule {
        method,
        next_if_fails,
        condition,
    };
    let none = rule(CvmMethod::NoCvm, false, CONDITION_ALWAYS);
    let by_key = perso.certified_key.as_ref();
    let enciphered = by_key.map(|_| rule(CvmMethod::EncipheredPinOffline, true, CONDITION_IF_SUPPORTED));
    CvmList {
        amount_x: 0,
        amount_y: 0,
        rules: match interface {
            Interface::Contact => [rule(CvmMethod::PinOnline, false, CONDITION_UNATTENDED_CASH)]
                .into_iter()
                .chain(enciphered)
                .chain([
                    rule(CvmMethod::PlaintextPinOffline, true, CONDITION_IF_SUPPORTED),
                    rule(CvmMethod::PinOnline, true, CONDITION_IF_SUPPORTED),
                    none,
                ])
                .collect(),
            Interface::Contactless => vec![none],
        },
    }
}

/// Track 2 as ISO 8583 field 35 holds it: PAN, `=`, YYMM, service code, discretionary zeros. At most 37 characters.
#[must_use]
pub fn track_2(perso: &Perso) -> String {
    format!(
        "{}={}{SERVICE_CODE}00000",
        perso.pan.expose_digits(),
        perso.expiry.yymm()
    )
}

/// Hexadecimal digits two per byte, filled with `F` at the end.
fn digits(text: &str) -> Vec<u8> {
    let even = if text.len().is_multiple_of(2) { "" } else { "F" };
    let joined = format!("{text}{even}");
    data_encoding::HEXUPPER
        .decode(joined.as_bytes())
        .expect("an even number of decimal digits, D and F")
}

/// A number as decimal digits two per byte, zeros before; higher digits are cut.
#[must_use]
pub fn bcd<const LEN: usize>(number: u64) -> [u8; LEN] {
    let mut left = number;
    let mut out = [0; LEN];
    for byte in out.iter_mut().rev() {
        let pair = u8::try_from(left % 100).expect("a remainder of 100 fits a byte");
        *byte = ((pair / 10) << 4) | (pair % 10);
        left /= 100;
    }
    out
}
