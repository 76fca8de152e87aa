//! Host and card of every cryptogram version, one against the other: what the one makes the other takes, and nothing else.

use paycrypto::arpc::{
    ArpcError, AuthenticAnswer, IssuerAnswer, issuer_authentication_data, open_issuer_authentication_data,
};
use paycrypto::cryptogram::AcSession;
use paycrypto::cvn::{ArpcMethod, Cvn, ScriptMacData};
use paycrypto::emv_key::{EmvAlgorithm, EmvKey, WrongAlgorithm};
use paycrypto::icc_keys::CardKeys;
use paycrypto::pin::Pin;
use paycrypto::script::{
    PIN_UNBLOCK, ScriptContext, ScriptError, build_mac_only, build_pin_change, build_pin_change_with_current,
    open_pin_change, verify_mac_only,
};

const ARQC: [u8; 8] = [0x9A, 0xC3, 0x51, 0x00, 0x7E, 0x22, 0xF1, 0xFF];
const ANSWER: IssuerAnswer<'static> = IssuerAnswer {
    response_code: *b"00",
    csu: [0x83, 0x92, 0x00, 0x00],
    proprietary: &[0xDA, 0x7A],
};

fn now() -> ScriptContext {
    ScriptContext::first(0x0102, ARQC)
}

fn keys(cvn: Cvn, seed: u8) -> CardKeys {
    let key = |n| EmvKey::from_bytes(cvn.algorithm(), &[seed ^ n; 16]).unwrap();
    CardKeys::new(cvn, key(1), key(2), key(3)).unwrap()
}

fn session(cvn: Cvn, seed: u8, atc: u16) -> AcSession {
    AcSession::new(cvn, keys(cvn, seed).ac(), atc, [1, 2, 3, 4]).unwrap()
}

fn pin(digits: &str) -> Pin {
    Pin::parse(digits).unwrap()
}

#[test]
fn the_card_takes_every_versions_commands_and_no_other_transactions() {
    for cvn in Cvn::ALL {
        let keys = keys(cvn, 0x40);
        let change = build_pin_change(&keys, now(), &pin("739158"));
        assert_eq!(
            open_pin_change(&keys, now(), &change, &pin("1111")),
            Ok(pin("739158")),
            "{cvn:?}"
        );
        let unblock = build_mac_only(&keys, now(), PIN_UNBLOCK);
        assert_eq!(
            verify_mac_only(&keys, now(), PIN_UNBLOCK, &unblock),
            Ok(()),
            "{cvn:?}"
        );
        let later = ScriptContext::first(0x0103, [0x11; 8]);
        assert_eq!(
            open_pin_change(&keys, later, &change, &pin("1111")),
            Err(ScriptError::Mac),
            "{cvn:?}"
        );
        assert_eq!(
            verify_mac_only(&keys, later, PIN_UNBLOCK, &unblock),
            Err(ScriptError::Mac),
            "{cvn:?}"
        );
    }
}

#[test]
fn the_card_refuses_every_versions_commands_changed_truncated_or_longer() {
    for cvn in Cvn::ALL {
        let keys = keys(cvn, 0x40);
        let change = build_pin_change(&keys, now(), &pin("7391"));
        let with_current = build_pin_change_with_current(&keys, now(), &pin("7391"), &pin("1111"));
        for command in [Some(change), with_current].into_iter().flatten() {
            for flipped in single_bit_flips(&command) {
                let opened = open_pin_change(&keys, now(), &flipped, &pin("1111"));
                assert!(opened.is_err(), "{cvn:?} {flipped:02X?}");
            }
            for len in 0..command.len() {
                let opened = open_pin_change(&keys, now(), &command[..len], &pin("1111"));
                assert_eq!(opened, Err(ScriptError::Header), "{cvn:?} {len}");
            }
            let longer = [command.as_slice(), &[0]].concat();
            let opened = open_pin_change(&keys, now(), &longer, &pin("1111"));
            assert_eq!(opened, Err(ScriptError::Header), "{cvn:?}");
        }
        for flipped in single_bit_flips(&build_mac_only(&keys, now(), PIN_UNBLOCK)) {
            let verified = verify_mac_only(&keys, now(), PIN_UNBLOCK, &flipped);
            assert!(verified.is_err(), "{cvn:?} {flipped:02X?}");
        }
    }
}

#[test]
fn a_command_is_as_long_as_the_documentation_says() {
    for cvn in Cvn::ALL {
        let expected = match cvn {
            Cvn::Visa10 | Cvn::Visa18 | Cvn::Visa22 | Cvn::AmexUnverified => (29, 13),
            Cvn::CcdTdes | Cvn::CcdAes => (34, 15),
            Cvn::Interac133
            | Cvn::Mastercard16
            | Cvn::Mastercard17
            | Cvn::Mastercard20
            | Cvn::Mastercard21
            | Cvn::Emv2000 => (21, 13),
        };
        let keys = keys(cvn, 0x40);
        let change = build_pin_change(&keys, now(), &pin("123456789012"));
        let unblock = build_mac_only(&keys, now(), PIN_UNBLOCK);
        assert_eq!((change.len(), unblock.len()), expected, "{cvn:?}");
    }
}

#[test]
fn only_counted_and_chained_versions_tell_a_second_command_from_a_first() {
    for cvn in Cvn::ALL {
        let keys = keys(cvn, 0x40);
        let first = build_mac_only(&keys, now(), PIN_UNBLOCK);
        let second = build_mac_only(&keys, now().after(&keys, &first), PIN_UNBLOCK);
        let distinct = matches!(
            cvn,
            Cvn::Mastercard16
                | Cvn::Mastercard17
                | Cvn::Mastercard20
                | Cvn::Mastercard21
                | Cvn::Emv2000
                | Cvn::CcdTdes
                | Cvn::CcdAes
        );
        assert_eq!(first != second, distinct, "{cvn:?}");
        let verified = verify_mac_only(&keys, now().after(&keys, &first), PIN_UNBLOCK, &second);
        assert_eq!(verified, Ok(()), "{cvn:?}");
    }
}

#[test]
fn the_highest_cryptogram_plus_one_command_counts_on_from_zero() {
    for cvn in Cvn::ALL {
        let after_one = ScriptContext {
            commands_before: 1,
            ..ScriptContext::first(0xFFFF, [0xFF; 8])
        };
        let zero = ScriptContext::first(0xFFFF, [0; 8]);
        let keys = keys(cvn, 0x40);
        let same =
            build_pin_change(&keys, after_one, &pin("7391")) == build_pin_change(&keys, zero, &pin("7391"));
        let counted = cvn.profile().script_mac == ScriptMacData::AtcArqcPlusCount;
        assert_eq!(same, counted, "{cvn:?}");
    }
}

#[test]
fn the_card_takes_every_versions_answer_and_no_other() {
    for cvn in Cvn::ALL {
        let session_now = session(cvn, 0x40, 0x0102);
        let tag_91 = issuer_authentication_data(&session_now, ARQC, &ANSWER).unwrap();
        let (expected, len) = match cvn.profile().arpc {
            ArpcMethod::Method1MasterKey | ArpcMethod::Method1SessionKey => {
                (AuthenticAnswer::ResponseCode(ANSWER.response_code), 10)
            }
            ArpcMethod::Method2 => {
                let (csu, proprietary) = (ANSWER.csu, ANSWER.proprietary);
                (AuthenticAnswer::Csu { csu, proprietary }, 10)
            }
        };
        assert_eq!(tag_91.len(), len, "{cvn:?}");
        let open = |session, arqc, data| open_issuer_authentication_data(session, arqc, data);
        assert_eq!(open(&session_now, ARQC, &tag_91), Ok(expected), "{cvn:?}");
        assert_eq!(
            open(&session_now, [0x11; 8], &tag_91),
            Err(ArpcError::Arpc),
            "{cvn:?}: another cryptogram"
        );
        assert_eq!(
            open(&session(cvn, 0x42, 0x0102), ARQC, &tag_91),
            Err(ArpcError::Arpc),
            "{cvn:?}: another card"
        );
        for flipped in single_bit_flips(&tag_91) {
            let opened = open_issuer_authentication_data(&session_now, ARQC, &flipped);
            assert_eq!(opened, Err(ArpcError::Arpc), "{cvn:?} {flipped:02X?}");
        }
    }
}

#[test]
fn issuer_authentication_data_of_another_length_is_refused() {
    for cvn in Cvn::ALL {
        let session = session(cvn, 0x40, 1);
        let lengths = match cvn.profile().arpc {
            ArpcMethod::Method1MasterKey | ArpcMethod::Method1SessionKey => 10..=10,
            ArpcMethod::Method2 => 8..=16,
        };
        for len in 0..=20 {
            let opened = open_issuer_authentication_data(&session, ARQC, &[0x55; 20][..len]);
            let error = if lengths.contains(&len) {
                ArpcError::Arpc
            } else {
                ArpcError::Length
            };
            assert_eq!(opened, Err(error), "{cvn:?} {len}");
        }
    }
    let answer = IssuerAnswer {
        proprietary: &[0; 9],
        ..ANSWER
    };
    let session = session(Cvn::CcdAes, 0x40, 1);
    assert!(issuer_authentication_data(&session, ARQC, &answer).is_err());
}

#[test]
fn a_key_of_the_other_algorithm_is_refused_by_name() {
    for cvn in Cvn::ALL {
        let other = match cvn.algorithm() {
            EmvAlgorithm::Tdes => EmvAlgorithm::Aes,
            EmvAlgorithm::Aes => EmvAlgorithm::Tdes,
        };
        let wrong = || EmvKey::from_bytes(other, &[7; 16]).unwrap();
        let right = || EmvKey::from_bytes(cvn.algorithm(), &[7; 16]).unwrap();
        assert_eq!(
            AcSession::new(cvn, &wrong(), 1, [0; 4]).err(),
            Some(WrongAlgorithm)
        );
        for keys in [
            [wrong(), right(), right()],
            [right(), wrong(), right()],
            [right(), right(), wrong()],
        ] {
            let [ac, smi, smc] = keys;
            assert_eq!(
                CardKeys::new(cvn, ac, smi, smc).err(),
                Some(WrongAlgorithm),
                "{cvn:?}"
            );
        }
    }
}

fn single_bit_flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}
