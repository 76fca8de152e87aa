//! A card in the hands of a test: commands, statuses, cryptograms.

use emv::apdu::Command;
use emv::cvr::Cvr;
use emv::field55::CryptogramKind;
use emv::iad::VisaIad;
use emv::tags::{TAG_9F10_IAD, TAG_9F26_APPLICATION_CRYPTOGRAM, TAG_9F27_CID, TAG_9F36_ATC};
use emv::tlv;
use paycrypto::cryptogram::AcInput;
use paycrypto::pinblock::encode_iso2;
use sim::card::chip::{Chip, Interface};
use sim::card::records;

use crate::issuer;

pub(crate) const OK: u16 = 0x9000;

/// Values of CDOL1, as the vectors of pyemv give them.
pub(crate) const VALUES: [u8; 29] = [
    0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x24, 0x80, 0, 0x04, 0x80, 0, 0x01, 0x24, 0x19, 0x11, 0x05,
    0x01, 0x52, 0xBF, 0x45, 0x85,
];

pub(crate) struct Ac {
    pub(crate) atc: u16,
    pub(crate) ac: [u8; 8],
    pub(crate) cid: u8,
    pub(crate) iad: Vec<u8>,
}

impl Ac {
    pub(crate) fn cvr(&self) -> Cvr {
        VisaIad::parse(&self.iad).unwrap().cvr
    }
}

pub(crate) fn send(chip: &mut Chip, apdu: &[u8]) -> (Vec<u8>, u16) {
    let mut answer = chip.transmit(apdu);
    let status = answer.split_off(answer.len() - 2);
    (answer, u16::from_be_bytes(status.try_into().unwrap()))
}

pub(crate) fn status(chip: &mut Chip, apdu: &[u8]) -> u16 {
    send(chip, apdu).1
}

/// Power, SELECT, GET PROCESSING OPTIONS.
pub(crate) fn begin(chip: &mut Chip, interface: Interface) {
    chip.power_on(interface);
    let select = Command::select(&chip.perso().aid).to_bytes().unwrap();
    assert_eq!(status(chip, &select), OK);
    let options = Command::get_processing_options(&[0x83, 0x00]).to_bytes().unwrap();
    assert_eq!(status(chip, &options), OK);
}

pub(crate) fn verify(chip: &mut Chip, pin: &str) -> u16 {
    let block = encode_iso2(&issuer::pin(pin));
    status(chip, &Command::verify_plaintext(&block).to_bytes().unwrap())
}

pub(crate) fn generate_ac(chip: &mut Chip, kind: CryptogramKind, values: &[u8]) -> Result<Ac, u16> {
    let (data, status) = send(chip, &Command::generate_ac(kind, values).to_bytes().unwrap());
    if status != OK {
        return Err(status);
    }
    let value = |tag| tlv::find(&data, tag).unwrap().unwrap();
    Ok(Ac {
        atc: u16::from_be_bytes(value(TAG_9F36_ATC).try_into().unwrap()),
        ac: value(TAG_9F26_APPLICATION_CRYPTOGRAM).try_into().unwrap(),
        cid: value(TAG_9F27_CID)[0],
        iad: value(TAG_9F10_IAD).to_vec(),
    })
}

/// The first cryptogram; asserts that it is right.
pub(crate) fn arqc(chip: &mut Chip, interface: Interface) -> Ac {
    let ac = generate_ac(chip, CryptogramKind::Arqc, &VALUES).unwrap();
    let aip = records::aip(chip.perso(), interface);
    assert!(issuer::arqc_is_right(&input(&ac, aip), ac.ac));
    ac
}

pub(crate) fn input(ac: &Ac, aip: [u8; 2]) -> AcInput<'_> {
    AcInput {
        amount: VALUES[..6].try_into().unwrap(),
        amount_other: VALUES[6..12].try_into().unwrap(),
        terminal_country: VALUES[12..14].try_into().unwrap(),
        tvr: VALUES[14..19].try_into().unwrap(),
        currency: VALUES[19..21].try_into().unwrap(),
        date: VALUES[21..24].try_into().unwrap(),
        transaction_type: VALUES[24],
        unpredictable_number: VALUES[25..].try_into().unwrap(),
        aip,
        atc: ac.atc,
        iad: &ac.iad,
    }
}

pub(crate) fn authenticate(chip: &mut Chip, data: &[u8]) -> u16 {
    status(chip, &Command::external_authenticate(data).to_bytes().unwrap())
}

pub(crate) fn second_ac(chip: &mut Chip, kind: CryptogramKind) -> Result<Ac, u16> {
    generate_ac(chip, kind, &[b"00", &VALUES[..]].concat())
}

/// A whole transaction up to an authenticated issuer: `(ATC, ARQC)`.
pub(crate) fn up_to_issuer(chip: &mut Chip) -> Ac {
    begin(chip, Interface::Contact);
    let ac = arqc(chip, Interface::Contact);
    let data = issuer::authentication(ac.atc, ac.ac, issuer::CSU_APPROVE);
    assert_eq!(authenticate(chip, &data), OK);
    ac
}

/// A whole transaction that an issuer approves, without a script. Gives the report of its ARQC.
pub(crate) fn approved(chip: &mut Chip) -> Cvr {
    let ac = up_to_issuer(chip);
    assert_eq!(second_ac(chip, CryptogramKind::Tc).unwrap().cid, 0x40);
    ac.cvr()
}

pub(crate) fn pin_tries(chip: &mut Chip) -> u8 {
    let (data, status) = send(chip, &[0x80, 0xCA, 0x9F, 0x17, 0x00]);
    assert_eq!(status, OK);
    data[3]
}
