//! The data objects a terminal reads from the card: directory, file control information, application data.

use emv::cvm::{CvmList, CvmMethod, CvmRule};
use emv::dol::Dol;
use emv::tags::{
    TAG_4F_ADF_NAME, TAG_5A_PAN, TAG_5F2A_TRANSACTION_CURRENCY, TAG_5F2D_LANGUAGE_PREFERENCE,
    TAG_5F20_CARDHOLDER_NAME, TAG_5F24_EXPIRATION_DATE, TAG_5F28_ISSUER_COUNTRY, TAG_5F30_SERVICE_CODE,
    TAG_5F34_PSN, TAG_6F_FCI_TEMPLATE, TAG_8A_AUTHORISATION_RESPONSE_CODE, TAG_8C_CDOL1, TAG_8D_CDOL2,
    TAG_8E_CVM_LIST, TAG_9A_TRANSACTION_DATE, TAG_9C_TRANSACTION_TYPE, TAG_9F1A_TERMINAL_COUNTRY,
    TAG_9F02_AMOUNT_AUTHORISED, TAG_9F03_AMOUNT_OTHER, TAG_9F07_APPLICATION_USAGE_CONTROL,
    TAG_9F08_CARD_APPLICATION_VERSION, TAG_9F37_UNPREDICTABLE_NUMBER, TAG_9F42_APPLICATION_CURRENCY,
    TAG_50_APPLICATION_LABEL, TAG_57_TRACK_2, TAG_61_APPLICATION_TEMPLATE, TAG_70_RECORD_TEMPLATE,
    TAG_84_DF_NAME, TAG_87_APPLICATION_PRIORITY, TAG_95_TVR, TAG_A5_FCI_PROPRIETARY,
    TAG_BF0C_FCI_ISSUER_DISCRETIONARY,
};
use emv::tlv::{Tag, put, put_template};

use super::chip::Interface;
use super::perso::Perso;

/// Name of the contactless directory (EMV Contactless Book B 3.3).
pub const NAME_PPSE: &[u8] = b"2PAY.SYS.DDF01";

/// Application interchange profile at the contacts: cardholder verification, terminal risk management, and issuer
/// authentication by EXTERNAL AUTHENTICATE.
pub const AIP_CONTACT: [u8; 2] = [0x1C, 0x00];
/// Application interchange profile at a tap: nobody can authenticate the issuer there.
pub const AIP_CONTACTLESS: [u8; 2] = [0x18, 0x00];

/// Application file locator: file 1, records 1 and 2; file 2, record 1. None take part in offline authentication.
pub const AFL: [u8; 8] = [0x08, 1, 2, 0, 0x10, 1, 1, 0];

/// Chip, international use, no restriction (ISO/IEC 7813).
const SERVICE_CODE: &str = "201";

/// What both cryptograms cover, in the order of version 18: 29 bytes of values.
pub const CDOL1: [(Tag, u8); 8] = [
    (TAG_9F02_AMOUNT_AUTHORISED, 6),
    (TAG_9F03_AMOUNT_OTHER, 6),
    (TAG_9F1A_TERMINAL_COUNTRY, 2),
    (TAG_95_TVR, 5),
    (TAG_5F2A_TRANSACTION_CURRENCY, 2),
    (TAG_9A_TRANSACTION_DATE, 3),
    (TAG_9C_TRANSACTION_TYPE, 1),
    (TAG_9F37_UNPREDICTABLE_NUMBER, 4),
];

/// [`CDOL1`] as tag 8C holds it.
#[must_use]
pub fn cdol1() -> Dol {
    Dol {
        entries: CDOL1.to_vec(),
    }
}

/// The authorisation response code, then [`CDOL1`].
#[must_use]
pub fn cdol2() -> Dol {
    let response_code = (TAG_8A_AUTHORISATION_RESPONSE_CODE, 2);
    Dol {
        entries: [&[response_code][..], &CDOL1].concat(),
    }
}

/// Answer to SELECT of the contactless directory.
#[must_use]
pub fn directory(perso: &Perso) -> Vec<u8> {
    let mut out = Vec::new();
    put_template(&mut out, TAG_6F_FCI_TEMPLATE, |fci| {
        put(fci, TAG_84_DF_NAME, NAME_PPSE);
        put_template(fci, TAG_A5_FCI_PROPRIETARY, |proprietary| {
            put_template(proprietary, TAG_BF0C_FCI_ISSUER_DISCRETIONARY, |applications| {
                put_template(applications, TAG_61_APPLICATION_TEMPLATE, |entry| {
                    put(entry, TAG_4F_ADF_NAME, &perso.aid);
                    put(entry, TAG_50_APPLICATION_LABEL, perso.label.as_bytes());
                    put(entry, TAG_87_APPLICATION_PRIORITY, &[1]);
                });
            });
        });
    });
    out
}

/// Answer to SELECT of the application.
#[must_use]
pub fn application(perso: &Perso) -> Vec<u8> {
    let mut out = Vec::new();
    put_template(&mut out, TAG_6F_FCI_TEMPLATE, |fci| {
        put(fci, TAG_84_DF_NAME, &perso.aid);
        put_template(fci, TAG_A5_FCI_PROPRIETARY, |proprietary| {
            put(proprietary, TAG_50_APPLICATION_LABEL, perso.label.as_bytes());
            put(proprietary, TAG_87_APPLICATION_PRIORITY, &[1]);
            put(proprietary, TAG_5F2D_LANGUAGE_PREFERENCE, b"en");
        });
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
    put(out, TAG_9F07_APPLICATION_USAGE_CONTROL, &[0xFF, 0x80]);
    put(out, TAG_9F08_CARD_APPLICATION_VERSION, &[0x00, 0x96]);
}

fn rules(_: &Perso, interface: Interface, out: &mut Vec<u8>) {
    put(out, TAG_8C_CDOL1, &cdol1().to_bytes());
    put(out, TAG_8D_CDOL2, &cdol2().to_bytes());
    put(out, TAG_8E_CVM_LIST, &cvm_list(interface).to_bytes());
}

/// At the contacts: PIN checked by the host at a cash machine, else PIN checked by the chip, else PIN checked by the
/// host, else none. At a tap: none.
#[must_use]
pub fn cvm_list(interface: Interface) -> CvmList {
    const CONDITION_ALWAYS: u8 = 0;
    const CONDITION_UNATTENDED_CASH: u8 = 1;
    const CONDITION_IF_SUPPORTED: u8 = 3;
    let rule = |method, next_if_fails, condition| CvmRule {
        method,
        next_if_fails,
        condition,
    };
    let none = rule(CvmMethod::NoCvm, false, CONDITION_ALWAYS);
    CvmList {
        amount_x: 0,
        amount_y: 0,
        rules: match interface {
            Interface::Contact => vec![
                rule(CvmMethod::PinOnline, false, CONDITION_UNATTENDED_CASH),
                rule(CvmMethod::PlaintextPinOffline, true, CONDITION_IF_SUPPORTED),
                rule(CvmMethod::PinOnline, true, CONDITION_IF_SUPPORTED),
                none,
            ],
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
