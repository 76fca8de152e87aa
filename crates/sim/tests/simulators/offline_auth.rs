//! Authenticating a card without its issuer: published signatures, the bureau's cards, and what must be refused.

use emv::apdu::Command;
use emv::field55::CryptogramKind;
use emv::iad::{ChipReport, IadLayout, OfflinePin};
use emv::tags::{
    TAG_9F4B_SIGNED_DYNAMIC_DATA, TAG_9F10_IAD, TAG_9F27_CID, TAG_9F32_ISSUER_KEY_EXPONENT, TAG_9F36_ATC,
    TAG_9F46_ICC_CERTIFICATE, TAG_9F47_ICC_KEY_EXPONENT, TAG_9F48_ICC_KEY_REMAINDER,
    TAG_90_ISSUER_CERTIFICATE, TAG_92_ISSUER_KEY_REMAINDER,
};
use emv::tlv::{self, Tag};
use sim::bureau::test_ca::{CA_INDEX, TestCa};
use sim::card::chip::{Chip, Interface};
use sim::card::perso::Perso;
use sim::card::records;
use sim::rsa::RsaPublicKey;
use sim::terminal::offline_auth::{
    Certificate, OfflineAuthError, encipher_pin, recover_icc_key, recover_issuer_key,
    verify_dynamic_signature, verify_signed_cryptogram,
};

use crate::issuer::{self, Folder, PAN, pin};
use crate::reader::{OK, VALUES, arqc, begin, pin_tries, second_ac, send, status};

const TODAY: [u8; 3] = [0x26, 0x11, 0x22];
const UNPREDICTABLE: [u8; 4] = [0x52, 0xBF, 0x45, 0x85];

fn published(name: &str) -> Vec<u8> {
    let text = include_str!("../vectors/offline_auth.txt");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let digits = line.expect("the value is in the file").trim();
    data_encoding::HEXUPPER
        .decode(digits.as_bytes())
        .expect("hexadecimal")
}

fn published_key(name: &str) -> RsaPublicKey {
    RsaPublicKey::new(&published(name), &[3]).expect("a key")
}

#[test]
fn the_published_issuer_certificates_hold_the_published_keys() {
    let check = |test: &str, pan: &str, today: [u8; 3]| {
        let certificate = published(&format!("{test}_issuer_certificate"));
        let issuer = Certificate {
            certificate: &certificate,
            remainder: &[],
            exponent: &[3],
        };
        let ca = published_key(&format!("{test}_ca_modulus"));
        let key = recover_issuer_key(&ca, issuer, pan, today);
        assert_eq!(key, Ok(published_key(&format!("{test}_issuer_modulus"))));
        assert_eq!(
            recover_issuer_key(&ca, issuer, "4000000000000002", today),
            Err(OfflineAuthError::Account)
        );
        assert_eq!(
            recover_issuer_key(&ca, issuer, pan, [0x49, 0x01, 0x01]),
            Err(OfflineAuthError::Expired)
        );
        let other = Certificate {
            exponent: &[1, 0, 1],
            ..issuer
        };
        assert_eq!(
            recover_issuer_key(&ca, other, pan, today),
            Err(OfflineAuthError::Hash)
        );
        let mut damaged = certificate.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let damaged = Certificate {
            certificate: &damaged,
            ..issuer
        };
        assert_eq!(
            recover_issuer_key(&ca, damaged, pan, today),
            Err(OfflineAuthError::Format)
        );
    };
    check("cda", "5413330089020011", [0x25, 0x05, 0x06]);
    check("dda", "4761739001010119", [0x31, 0x12, 0x31]);
}

#[test]
fn the_published_signatures_hold_the_published_numbers() {
    for test in ["cda", "dda"] {
        let key = published_key(&format!("{test}_icc_modulus"));
        let signature = published(&format!("{test}_signature"));
        let terminal_data = published(&format!("{test}_terminal_data"));
        assert_eq!(
            verify_dynamic_signature(&key, &signature, &terminal_data),
            Ok(published(&format!("{test}_number")))
        );
        assert_eq!(
            verify_dynamic_signature(&key, &signature, &[0; 4]),
            Err(OfflineAuthError::Hash)
        );
        let mut damaged = signature.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(
            verify_dynamic_signature(&key, &damaged, &terminal_data),
            Err(OfflineAuthError::Format)
        );
    }
}

/// A card with a certified key of its own.
fn certified_card() -> Folder {
    let folder = issuer::new_card(Some("1234"));
    let mut perso = Perso::read(&folder.perso).unwrap();
    TestCa::built_in().certify(&mut perso).unwrap();
    perso.write(&folder.perso).unwrap();
    folder
}

/// What a terminal reads of the card's keys, and the records that the certificate covers.
struct Read {
    objects: Vec<u8>,
    static_data: Vec<u8>,
}

impl Read {
    /// By the file locator of the card, as a terminal does.
    fn of(chip: &mut Chip) -> Self {
        let (mut objects, mut static_data) = (Vec::new(), Vec::new());
        for entry in emv::afl::parse(&records::afl(chip.perso(), Interface::Contact)).unwrap() {
            for number in entry.first..=entry.last {
                let command = Command::read_record(number, entry.sfi).to_bytes().unwrap();
                let (record, status) = send(chip, &command);
                assert_eq!(status, OK);
                let content = tlv::parse(&record).unwrap()[0].value.to_vec();
                if number < entry.first + entry.authenticated {
                    static_data.extend_from_slice(&content);
                }
                objects.extend(content);
            }
        }
        Self { objects, static_data }
    }

    fn value(&self, tag: Tag) -> &[u8] {
        tlv::find(&self.objects, tag).unwrap().unwrap_or_default()
    }

    fn issuer(&self) -> Certificate<'_> {
        Certificate {
            certificate: self.value(TAG_90_ISSUER_CERTIFICATE),
            remainder: self.value(TAG_92_ISSUER_KEY_REMAINDER),
            exponent: self.value(TAG_9F32_ISSUER_KEY_EXPONENT),
        }
    }

    fn icc(&self) -> Certificate<'_> {
        Certificate {
            certificate: self.value(TAG_9F46_ICC_CERTIFICATE),
            remainder: self.value(TAG_9F48_ICC_KEY_REMAINDER),
            exponent: self.value(TAG_9F47_ICC_KEY_EXPONENT),
        }
    }

    fn issuer_key(&self) -> RsaPublicKey {
        recover_issuer_key(TestCa::built_in().public_key(), self.issuer(), PAN, TODAY).expect("certified")
    }

    fn icc_key(&self) -> RsaPublicKey {
        recover_icc_key(&self.issuer_key(), self.icc(), PAN, &self.static_data, TODAY).expect("certified")
    }
}

#[test]
fn a_certified_card_proves_its_key_its_account_and_its_records() {
    let folder = certified_card();
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    assert_eq!(records::aip(chip.perso(), Interface::Contact), [0x3D, 0x00]);
    assert_eq!(records::aip(chip.perso(), Interface::Contactless), [0x18, 0x00]);
    let read = Read::of(&mut chip);
    assert_eq!(read.value(Tag::new(0x8F)), [CA_INDEX]);
    assert_eq!(read.static_data, records::authenticated(chip.perso()));
    assert_eq!(read.icc_key().modulus().len(), 128);
    let issuer = read.issuer_key();
    let refused = |pan: &str, static_data: &[u8], today: [u8; 3]| {
        recover_icc_key(&issuer, read.icc(), pan, static_data, today).unwrap_err()
    };
    assert_eq!(
        refused("4761739001010011", &read.static_data, TODAY),
        OfflineAuthError::Account
    );
    assert_eq!(
        refused(PAN, &read.static_data, [0x31, 0x01, 0x01]),
        OfflineAuthError::Expired
    );
    for bit in 0..read.static_data.len() * 8 {
        let mut changed = read.static_data.clone();
        changed[bit / 8] ^= 0x80 >> (bit % 8);
        assert_eq!(refused(PAN, &changed, TODAY), OfflineAuthError::Hash, "bit {bit}");
    }
    let ca = TestCa::built_in();
    assert!(recover_icc_key(ca.public_key(), read.icc(), PAN, &read.static_data, TODAY).is_err());
    assert!(recover_issuer_key(&issuer, read.issuer(), PAN, TODAY).is_err());
}

#[test]
fn certificates_and_keys_survive_the_cards_file() {
    let folder = certified_card();
    let first = Perso::read(&folder.perso).unwrap();
    first.write(&folder.perso).unwrap();
    let again = Perso::read(&folder.perso).unwrap();
    let (first, again) = (first.certified_key.unwrap(), again.certified_key.unwrap());
    assert_eq!(first.icc_certificate, again.icc_certificate);
    assert_eq!(first.key.public(), again.key.public());
    let text = std::fs::read_to_string(&folder.perso).unwrap();
    let broken = text.replacen("\"exponent\": \"03\"", "\"exponent\": \"010001\"", 1);
    assert_ne!(text, broken);
    std::fs::write(&folder.perso, broken).unwrap();
    assert!(Perso::read(&folder.perso).is_err());
}

#[test]
fn a_dynamic_signature_is_fresh_and_reported() {
    let folder = certified_card();
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    let key = Read::of(&mut chip).icc_key();
    let command = Command::internal_authenticate(&UNPREDICTABLE).to_bytes().unwrap();
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let (answer, status) = send(&mut chip, &command);
        assert_eq!(status, OK);
        let signature = tlv::find(&answer, TAG_9F4B_SIGNED_DYNAMIC_DATA).unwrap().unwrap();
        numbers.push(verify_dynamic_signature(&key, signature, &UNPREDICTABLE).unwrap());
        assert_eq!(
            verify_dynamic_signature(&key, signature, &[0; 4]),
            Err(OfflineAuthError::Hash)
        );
    }
    assert_ne!(numbers[0], numbers[1]);
    assert!(arqc(&mut chip, Interface::Contact).cvr().dda_performed);
    assert_eq!(status(&mut chip, &command), 0x6985);
}

/// A cryptogram inside signed data, checked as a terminal does; gives the cryptogram and 9F10.
fn signed_ac(
    chip: &mut Chip,
    key: &RsaPublicKey,
    kind: CryptogramKind,
    values: &[u8],
    before: &[u8],
) -> (CryptogramKind, [u8; 8], Vec<u8>) {
    let command = Command::generate_ac_signed(kind, values).to_bytes().unwrap();
    let (answer, status) = send(chip, &command);
    assert_eq!(status, OK);
    let value = |tag| tlv::find(&answer, tag).unwrap().unwrap();
    let mut told = [before, values].concat();
    for tag in [TAG_9F27_CID, TAG_9F36_ATC, TAG_9F10_IAD] {
        tlv::put(&mut told, tag, value(tag));
    }
    let (signature, cid) = (value(TAG_9F4B_SIGNED_DYNAMIC_DATA), value(TAG_9F27_CID)[0]);
    let check =
        |unpredictable, cid, told: &[u8]| verify_signed_cryptogram(key, signature, unpredictable, cid, told);
    assert_eq!(check([0; 4], cid, &told), Err(OfflineAuthError::Hash));
    assert_eq!(
        check(UNPREDICTABLE, cid ^ 0x40, &told),
        Err(OfflineAuthError::Hash)
    );
    assert_eq!(check(UNPREDICTABLE, cid, &told[1..]), Err(OfflineAuthError::Hash));
    let signed = check(UNPREDICTABLE, cid, &told).expect("the card's own signature");
    (signed.kind, signed.cryptogram, value(TAG_9F10_IAD).to_vec())
}

#[test]
fn both_cryptograms_can_come_inside_signed_data_and_are_the_right_ones() {
    let folder = certified_card();
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    let key = Read::of(&mut chip).icc_key();
    let (kind, ac, iad) = signed_ac(&mut chip, &key, CryptogramKind::Arqc, &VALUES, &[]);
    assert_eq!(kind, CryptogramKind::Arqc);
    let given = crate::reader::Ac {
        atc: 1,
        ac,
        cid: 0x80,
        iad,
    };
    let aip = records::aip(chip.perso(), Interface::Contact);
    assert!(issuer::arqc_is_right(&crate::reader::input(&given, aip), ac));
    let data = issuer::authentication(1, ac, issuer::CSU_APPROVE);
    assert_eq!(crate::reader::authenticate(&mut chip, &data), OK);
    let values = [b"00", &VALUES[..]].concat();
    let (kind, _, _) = signed_ac(&mut chip, &key, CryptogramKind::Tc, &values, &VALUES);
    assert_eq!(kind, CryptogramKind::Tc);
}

#[test]
fn a_refusal_comes_unsigned_and_a_tap_signs_nothing() {
    let folder = certified_card();
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    arqc(&mut chip, Interface::Contact);
    let values = [b"05", &VALUES[..]].concat();
    let command = Command::generate_ac_signed(CryptogramKind::Tc, &values);
    let (answer, status_word) = send(&mut chip, &command.to_bytes().unwrap());
    assert_eq!(status_word, OK);
    assert_eq!(tlv::find(&answer, TAG_9F4B_SIGNED_DYNAMIC_DATA), Ok(None));
    begin(&mut chip, Interface::Contactless);
    let command = Command::generate_ac_signed(CryptogramKind::Arqc, &VALUES);
    assert_eq!(status(&mut chip, &command.to_bytes().unwrap()), 0x6A86);
    let command = Command::internal_authenticate(&UNPREDICTABLE).to_bytes().unwrap();
    assert_eq!(status(&mut chip, &command), 0x6985);
}

fn challenge(chip: &mut Chip) -> [u8; 8] {
    let (challenge, status) = send(chip, &Command::get_challenge().to_bytes().unwrap());
    assert_eq!(status, OK);
    challenge.try_into().unwrap()
}

fn verify_enciphered(chip: &mut Chip, enciphered: &[u8]) -> u16 {
    status(chip, &Command::verify_enciphered(enciphered).to_bytes().unwrap())
}

#[test]
fn an_enciphered_pin_is_verified_and_reported() {
    let folder = certified_card();
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    let key = Read::of(&mut chip).icc_key();
    let enciphered = |chip: &mut Chip, digits: &str| {
        let challenge = challenge(chip);
        encipher_pin(&key, &pin(digits), challenge, &[0xA5; 128]).unwrap()
    };
    let wrong = enciphered(&mut chip, "9999");
    assert_eq!(verify_enciphered(&mut chip, &wrong), 0x63C2);
    let right = enciphered(&mut chip, "1234");
    assert_eq!(verify_enciphered(&mut chip, &right), OK);
    assert_eq!(pin_tries(&mut chip), 3);
    let ac = arqc(&mut chip, Interface::Contact);
    let report = ChipReport::read(IadLayout::Visa, &ac.iad).unwrap();
    assert_eq!(report.offline_pin, OfflinePin::Verified);
    assert_eq!(second_ac(&mut chip, CryptogramKind::Tc).unwrap().cid, 0x00);
}

#[test]
fn an_enciphered_pin_works_once_for_one_challenge_and_costs_a_try_only_where_it_is_one() {
    let folder = certified_card();
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    let key = Read::of(&mut chip).icc_key();
    let for_first = challenge(&mut chip);
    let first = encipher_pin(&key, &pin("9999"), for_first, &[0xA5; 128]).unwrap();
    challenge(&mut chip);
    assert_eq!(verify_enciphered(&mut chip, &first), 0x6A80);
    assert_eq!(verify_enciphered(&mut chip, &first), 0x6985);
    challenge(&mut chip);
    assert_eq!(verify_enciphered(&mut chip, &[0x11; 128]), 0x6A80);
    challenge(&mut chip);
    assert_eq!(verify_enciphered(&mut chip, &[0x11; 8]), 0x6A80);
    assert_eq!(pin_tries(&mut chip), 3);
    assert_eq!(encipher_pin(&key, &pin("1234"), for_first, &[0; 4]), None);
}

#[test]
fn a_card_without_a_key_signs_nothing_and_takes_no_enciphered_pin() {
    let folder = issuer::new_card(Some("1234"));
    let mut chip = folder.chip();
    begin(&mut chip, Interface::Contact);
    assert_eq!(chip.perso().profile.name, "visa-cvn18");
    assert_eq!(
        status(&mut chip, &Command::get_challenge().to_bytes().unwrap()),
        0x6D00
    );
    let command = Command::internal_authenticate(&UNPREDICTABLE).to_bytes().unwrap();
    assert_eq!(status(&mut chip, &command), 0x6D00);
    assert_eq!(verify_enciphered(&mut chip, &[0x11; 128]), 0x6A86);
    let command = Command::generate_ac_signed(CryptogramKind::Arqc, &VALUES);
    assert_eq!(status(&mut chip, &command.to_bytes().unwrap()), 0x6A86);
}
