//! APDUs: the four cases, the commands a terminal sends, status words.

mod common;

use common::unhex;
use emv::apdu::{ApduError, Command, P2_00_UNBLOCK, Response, SW_6983_PIN_BLOCKED, SW_9000_OK, StatusWord};
use emv::field55::CryptogramKind;
use emv::tags::TAG_9F17_PIN_TRY_COUNTER;
use proptest::prelude::*;

#[test]
fn each_case_is_read_and_written() {
    let check = |digits: &str, data: &[u8], le| {
        let bytes = unhex(digits);
        let command = Command::parse(&bytes).unwrap();
        assert_eq!((command.data, command.le), (data, le), "{digits}");
        assert_eq!(command.to_bytes().unwrap(), bytes);
    };
    check("00A40400", &[], None);
    check("80CA9F1700", &[], Some(0));
    check("80CA9F1704", &[], Some(4));
    check("00A40400 02 AABB", &[0xAA, 0xBB], None);
    check("00A40400 02 AABB 00", &[0xAA, 0xBB], Some(0));
}

#[test]
fn each_malformed_command_is_refused() {
    let check =
        |digits: &str, error| assert_eq!(Command::parse(&unhex(digits)).unwrap_err(), error, "{digits}");
    check("", ApduError::TooShort { wanted: 4, got: 0 });
    check("00A404", ApduError::TooShort { wanted: 4, got: 3 });
    check("00A40400 02 AA", ApduError::Length { lc: 2, got: 1 });
    check("00A40400 02 AABB 0000", ApduError::Length { lc: 2, got: 4 });
    check("00A40400 00 0002 AABB", ApduError::Length { lc: 0, got: 4 });
    let (data, got) = ([0; 256], 256);
    assert_eq!(
        Command::select(&data).to_bytes(),
        Err(ApduError::DataTooLong { got })
    );
}

#[test]
fn a_terminal_writes_each_command_as_the_standard_has_it() {
    let check = |command: Command<'_>, digits: &str, title: &str| {
        assert_eq!(command.to_bytes().unwrap(), unhex(digits));
        assert_eq!(command.title(), Some(title));
    };
    check(
        Command::select(&unhex("A0000000031010")),
        "00A40400 07 A0000000031010 00",
        "SELECT",
    );
    check(
        Command::get_processing_options(&[0x83, 0x00]),
        "80A80000 02 8300 00",
        "GET PROCESSING OPTIONS",
    );
    check(Command::read_record(1, 2), "00B20114 00", "READ RECORD");
    check(
        Command::get_data(TAG_9F17_PIN_TRY_COUNTER),
        "80CA9F17 00",
        "GET DATA",
    );
    check(
        Command::verify_plaintext(&[0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        "00200080 08 241234FFFFFFFFFF",
        "VERIFY",
    );
    check(
        Command::generate_ac(CryptogramKind::Arqc, &[1, 2]),
        "80AE8000 02 0102 00",
        "GENERATE AC",
    );
    check(
        Command::generate_ac(CryptogramKind::Tc, &[1, 2]),
        "80AE4000 02 0102 00",
        "GENERATE AC",
    );
    check(
        Command::generate_ac_signed(CryptogramKind::Arqc, &[1, 2]),
        "80AE9000 02 0102 00",
        "GENERATE AC",
    );
    check(Command::get_challenge(), "00840000 00", "GET CHALLENGE");
    check(Command::verify_enciphered(&[7, 8]), "00200088 02 0708", "VERIFY");
    check(
        Command::internal_authenticate(&unhex("52BF4585")),
        "00880000 04 52BF4585 00",
        "INTERNAL AUTHENTICATE",
    );
    check(
        Command::external_authenticate(&unhex("B99B9A2F03920000")),
        "00820000 08 B99B9A2F03920000",
        "EXTERNAL AUTHENTICATE",
    );
    check(
        Command::pin_change_unblock(P2_00_UNBLOCK, &unhex("ED0AB162BAB1DE61")),
        "84240000 08 ED0AB162BAB1DE61",
        "PIN CHANGE/UNBLOCK",
    );
}

#[test]
fn commands_that_carry_a_pin_are_sensitive_and_debug_output_shows_no_data() {
    let block = [0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
    let verify = Command::verify_plaintext(&block);
    assert!(verify.is_sensitive());
    assert!(Command::pin_change_unblock(2, &[]).is_sensitive());
    assert!(!Command::select(&[]).is_sensitive());
    assert_eq!(format!("{verify:?}"), "Command(00 20 00 80, 8 bytes, Le None)");
    let response = Response {
        data: &[1, 2, 3],
        status: SW_9000_OK,
    };
    assert_eq!(format!("{response:?}"), "Response(3 bytes, 9000)");
}

#[test]
fn responses_are_data_and_status() {
    let bytes = unhex("9F170103 9000");
    let response = Response::parse(&bytes).unwrap();
    assert_eq!((response.data.len(), response.status), (4, SW_9000_OK));
    assert_eq!(response.to_bytes(), bytes);
    assert_eq!(
        Response::parse(&[0x90]),
        Err(ApduError::TooShort { wanted: 2, got: 1 })
    );
    assert_eq!(
        Response::parse(&[]),
        Err(ApduError::TooShort { wanted: 2, got: 0 })
    );
}

#[test]
fn a_wrong_pin_says_how_many_tries_are_left() {
    assert_eq!(StatusWord::wrong_pin(2), StatusWord(0x63C2));
    assert_eq!(StatusWord::wrong_pin(200), StatusWord(0x63CF));
    assert_eq!(StatusWord(0x63C0).tries_left(), Some(0));
    assert_eq!(StatusWord(0x6300).tries_left(), None);
    assert_eq!(SW_6983_PIN_BLOCKED.tries_left(), None);
}

#[test]
fn a_script_goes_on_after_90_62_and_63_alone() {
    for (status, continues) in [
        (0x9000, true),
        (0x6200, true),
        (0x63C1, true),
        (0x6988, false),
        (0x6400, false),
        (0x6985, false),
    ] {
        assert_eq!(
            StatusWord(status).lets_script_continue(),
            continues,
            "{status:04X}"
        );
    }
}

#[test]
fn status_words_have_titles() {
    assert_eq!(SW_6983_PIN_BLOCKED.title(), Some("PIN blocked"));
    assert_eq!(
        StatusWord(0x63C2).title(),
        Some("wrong PIN, tries left in the last digit")
    );
    assert_eq!(StatusWord(0x6FFF).title(), None);
}

proptest! {
    #[test]
    fn commands_are_read_back(head: [u8; 4], data in proptest::collection::vec(any::<u8>(), 0..=255), le: Option<u8>) {
        let [cla, ins, p1, p2] = head;
        let command = Command { cla, ins, p1, p2, data: &data, le };
        let bytes = command.to_bytes().unwrap();
        prop_assert_eq!(Command::parse(&bytes), Ok(command));
    }

    #[test]
    fn any_bytes_are_a_command_that_writes_them_or_a_refusal(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(command) = Command::parse(&bytes) {
            prop_assert_eq!(command.to_bytes().unwrap(), bytes);
        }
    }
}
