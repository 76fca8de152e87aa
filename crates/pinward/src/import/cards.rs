//! `cards.csv`.
//!
//! | column | value |
//! |---|---|
//! | `cardmember` | reference of its cardmember, imported before or in the same run |
//! | `pan` | card number, 12 to 19 digits, as many as its programme's have |
//! | `psn` | card sequence number, 0 to 99 |
//! | `expiry` | last month of validity, YYMM |
//! | `programme` | id of a configured programme |
//! | `role` | `basic` or `supplementary` |
//! | `status` | `inactive`, `active` or `blocked` |
//! | `pin` | `none`; `pvv:1:4021` (PVKI 1 to 6, Visa PVV); `ibm3624:1111` (IBM 3624 offset, 4 to 12 digits); `iso0:` or `iso3:` and 16, or `iso4:` and 32 hexadecimal digits: the PIN block of that ISO 9564-1:2017 format under the zone key |

use cards::{CardRole, CardStatus, Expiry, Pan, ProgrammeId, Psn};
use data_encoding::HEXUPPER_PERMISSIVE;
use hsm::{KeyName, ZonePin, ZonePinFormat};
use issuer::import::{NewCard, NewCardPin};

use super::cardmembers::printable;
use super::reader::Row;

pub(super) const COLUMNS: [&str; 8] = [
    "cardmember",
    "pan",
    "psn",
    "expiry",
    "programme",
    "role",
    "status",
    "pin",
];

pub(super) fn parse(row: &mut Row<'_>, zone_key: Option<&KeyName>) -> Option<NewCard> {
    let cardmember = row.get("cardmember", |text| printable(text, 64));
    let pan = row.get("pan", Pan::parse);
    let psn = row.get("psn", psn);
    let expiry = row.get("expiry", |text| {
        Expiry::parse_yymm(text).ok_or("four digits YYMM are wanted")
    });
    let programme = row.get("programme", |text| printable(text, 64).map(ProgrammeId));
    let role = row.get("role", role);
    let status = row.get("status", status);
    let pin = row.get("pin", |text| pin(text, zone_key));
    Some(NewCard {
        cardmember: cardmember?,
        pan: pan?,
        psn: psn?,
        expiry: expiry?,
        programme: programme?,
        role: role?,
        status: status?,
        pin: pin?,
    })
}

fn psn(text: &str) -> Result<Psn, &'static str> {
    text.parse().ok().and_then(Psn::new).ok_or("0 to 99 is wanted")
}

fn role(text: &str) -> Result<CardRole, &'static str> {
    match text {
        "basic" => Ok(CardRole::Basic),
        "supplementary" => Ok(CardRole::Supplementary),
        _ => Err("basic or supplementary is wanted"),
    }
}

fn status(text: &str) -> Result<CardStatus, &'static str> {
    match text {
        "inactive" => Ok(CardStatus::Inactive),
        "active" => Ok(CardStatus::Active),
        "blocked" => Ok(CardStatus::Blocked),
        _ => Err("inactive, active or blocked is wanted"),
    }
}

fn pin(text: &str, zone_key: Option<&KeyName>) -> Result<NewCardPin, &'static str> {
    let Some((form, rest)) = text.split_once(':') else {
        return if text == "none" {
            Ok(NewCardPin::None)
        } else {
            Err("none, pvv:, ibm3624:, iso0:, iso3: or iso4: is wanted")
        };
    };
    match form {
        "pvv" => pvv(rest).ok_or("pvv: wants a PVKI of 1 to 6, a colon and 4 digits"),
        "ibm3624" => offset(rest).ok_or("ibm3624: wants an offset of 4 to 12 digits"),
        "iso0" => block(rest, ZonePinFormat::Iso0, zone_key),
        "iso3" => block(rest, ZonePinFormat::Iso3, zone_key),
        "iso4" => block(rest, ZonePinFormat::Iso4, zone_key),
        _ => Err("none, pvv:, ibm3624:, iso0:, iso3: or iso4: is wanted"),
    }
}

fn pvv(text: &str) -> Option<NewCardPin> {
    let (pvki, digits) = text.split_once(':')?;
    let pvki = pvki.parse().ok().filter(|pvki| (1..=6).contains(pvki))?;
    let digits: [u8; 4] = digits.as_bytes().try_into().ok()?;
    let is_digits = digits.iter().all(u8::is_ascii_digit);
    is_digits.then(|| NewCardPin::Pvv {
        pvki,
        pvv: digits.map(|digit| digit - b'0'),
    })
}

fn offset(text: &str) -> Option<NewCardPin> {
    let is_offset = (4..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_offset.then(|| NewCardPin::Ibm3624 {
        offset: text.bytes().map(|digit| digit - b'0').collect(),
    })
}

fn block(text: &str, format: ZonePinFormat, zone_key: Option<&KeyName>) -> Result<NewCardPin, &'static str> {
    let (len, wanted) = match format {
        ZonePinFormat::Iso0 | ZonePinFormat::Iso3 => (8, "iso0 and iso3: want 16 hexadecimal digits"),
        ZonePinFormat::Iso4 => (16, "iso4: wants 32 hexadecimal digits"),
    };
    let block = HEXUPPER_PERMISSIVE
        .decode(text.as_bytes())
        .ok()
        .filter(|block| block.len() == len);
    let block = block.ok_or(wanted)?;
    let zone_key = zone_key.ok_or("a PIN block needs a zone key: --zone-key or --zone-key-block")?;
    Ok(NewCardPin::Block(ZonePin {
        zone_key: zone_key.clone(),
        format,
        ksn: None,
        block,
    }))
}
