//! Message types, original data, and the typed values of a few fields.

use iso8583::mti::{Class, Function, MTI_0421_REVERSAL_ADVICE_REPEAT, Mti, Origin};
use iso8583::original_data::{OriginalData, institution};
use iso8583::response_code;
use iso8583::values::{CardEntry, EntryMode, ProcessingCode, TransmissionTime, digits, number};

#[test]
fn each_message_type_has_its_response() {
    let check = |request: &str, response: Option<&str>| {
        let answer = Mti::parse(request.as_bytes()).unwrap().response();
        assert_eq!(
            answer.map(|mti| mti.to_string()).as_deref(),
            response,
            "{request}"
        );
    };
    check("0100", Some("0110"));
    check("0101", Some("0110"));
    check("0120", Some("0130"));
    check("0200", Some("0210"));
    check("0220", Some("0230"));
    check("0400", Some("0410"));
    check("0401", Some("0410"));
    check("0420", Some("0430"));
    check("0421", Some("0430"));
    check("0800", Some("0810"));
    check("0802", Some("0812"));
    check("0803", Some("0812"));
    for unanswered in ["0110", "0130", "0140", "0810"] {
        check(unanswered, None);
    }
}

#[test]
fn the_digits_of_a_message_type_have_meanings() {
    let check = |digits: &[u8], class, function, origin, repeat| {
        let mti = Mti::parse(digits).unwrap();
        assert_eq!(
            (mti.class(), mti.function(), mti.origin(), mti.is_repeat()),
            (class, function, origin, repeat)
        );
    };
    check(
        b"0100",
        Class::Authorisation,
        Function::Request,
        Origin::Acquirer,
        false,
    );
    check(
        b"0210",
        Class::Financial,
        Function::Response,
        Origin::Acquirer,
        false,
    );
    check(
        b"0302",
        Class::FileAction,
        Function::Request,
        Origin::CardIssuer,
        false,
    );
    check(b"0421", Class::Reversal, Function::Advice, Origin::Acquirer, true);
    check(
        b"0532",
        Class::Reconciliation,
        Function::AdviceResponse,
        Origin::CardIssuer,
        false,
    );
    check(
        b"0643",
        Class::Administrative,
        Function::Notification,
        Origin::CardIssuer,
        true,
    );
    check(
        b"0720",
        Class::FeeCollection,
        Function::Advice,
        Origin::Acquirer,
        false,
    );
    check(
        b"0804",
        Class::NetworkManagement,
        Function::Request,
        Origin::Other,
        false,
    );
    check(
        b"0805",
        Class::NetworkManagement,
        Function::Request,
        Origin::Other,
        true,
    );
}

#[test]
fn a_message_type_with_a_meaningless_digit_is_refused() {
    for digits in ["", "010", "01000", "0000", "0900", "0150", "0106", "x100", "0 00"] {
        assert_eq!(Mti::parse(digits.as_bytes()), None, "{digits:?}");
    }
}

#[test]
fn a_repeat_is_first_sent_as_its_original() {
    assert_eq!(MTI_0421_REVERSAL_ADVICE_REPEAT.first_sent().to_string(), "0420");
    assert_eq!(Mti::parse(b"0420").unwrap().first_sent().to_string(), "0420");
    assert_eq!(Mti::parse(b"0803").unwrap().first_sent().to_string(), "0802");
}

#[test]
fn original_data_is_read_and_written() {
    let field = b"010000004211221615000000012345600000000000";
    let original = OriginalData::parse(field).unwrap();
    assert_eq!(original.mti.to_string(), "0100");
    assert_eq!(&original.trace, b"000042");
    assert_eq!(&original.transmitted, b"1122161500");
    assert_eq!(original.acquirer, institution(b"123456").unwrap());
    assert_eq!(original.forwarder, institution(b"").unwrap());
    assert_eq!(&original.digits(), field);
}

#[test]
fn malformed_original_data_is_refused() {
    let whole = b"010000004211221615000000012345600000000000";
    for len in 0..whole.len() {
        assert_eq!(OriginalData::parse(&whole[..len]), None);
    }
    assert_eq!(OriginalData::parse(&[&whole[..], b"0"].concat()), None);
    assert_eq!(OriginalData::parse(&[b"0900", &whole[4..]].concat()), None);
    assert_eq!(OriginalData::parse(&[&whole[..41], b" "].concat()), None);
    assert_eq!(institution(b"123456789012"), None);
}

#[test]
fn numbers_are_digits_with_zeros_before() {
    assert_eq!(&digits::<12>(4000).unwrap(), b"000000004000");
    assert_eq!(&digits::<6>(999_999).unwrap(), b"999999");
    assert_eq!(digits::<6>(1_000_000), None);
    assert_eq!(number(b"000000004000"), Some(4000));
    assert_eq!(number(b"999999999999999999"), Some(999_999_999_999_999_999));
    for refused in [&b""[..], b"0000000000000000000", b"12a", b"-1", b" 1"] {
        assert_eq!(number(refused), None);
    }
}

#[test]
fn a_transmission_time_is_read_within_its_ranges() {
    let time = TransmissionTime {
        month: 11,
        day: 22,
        hour: 16,
        minute: 15,
        second: 9,
    };
    assert_eq!(TransmissionTime::parse(b"1122161509"), Some(time));
    assert_eq!(time.digits().as_ref(), Some(b"1122161509"));
    for refused in [
        "0022161509",
        "1322161509",
        "1100161509",
        "1132161509",
        "1122241509",
        "1122166009",
        "1122161560",
        "112216150",
        "11221615090",
        "112216150x",
    ] {
        assert_eq!(TransmissionTime::parse(refused.as_bytes()), None, "{refused}");
    }
    assert_eq!(TransmissionTime { second: 100, ..time }.digits(), None);
}

#[test]
fn processing_codes_and_entry_modes_are_read_and_written() {
    let code = ProcessingCode::parse(b"012030").unwrap();
    assert_eq!(
        code,
        ProcessingCode {
            transaction_type: *b"01",
            from: *b"20",
            to: *b"30"
        }
    );
    assert_eq!(&code.digits(), b"012030");
    assert_eq!(ProcessingCode::parse(b"01203"), None);
    assert_eq!(ProcessingCode::parse(b"01203x"), None);
    let modes = [
        (b"011", CardEntry::Manual),
        (b"051", CardEntry::ContactChip),
        (b"071", CardEntry::ContactlessChip),
        (b"100", CardEntry::CardOnFile),
        (b"801", CardEntry::Fallback),
        (b"812", CardEntry::Ecommerce),
        (b"901", CardEntry::MagneticStripe),
        (b"911", CardEntry::ContactlessMagneticStripe),
        (b"031", CardEntry::Other(*b"03")),
    ];
    for (field, card) in modes {
        let mode = EntryMode::parse(field).unwrap();
        assert_eq!(
            mode,
            EntryMode {
                card,
                pin_capability: field[2]
            }
        );
        assert_eq!(&mode.digits(), field);
    }
    let same = [
        (b"021", b"901"),
        (b"061", b"011"),
        (b"091", b"811"),
        (b"511", b"051"),
        (b"711", b"071"),
        (b"791", b"801"),
        (b"951", b"051"),
    ];
    for (other, usual) in same {
        assert_eq!(EntryMode::parse(other), EntryMode::parse(usual));
    }
    assert_eq!(EntryMode::parse(b"05"), None);
    assert_eq!(EntryMode::parse(b"05x"), None);
}

#[test]
fn entry_modes_of_visa_and_1993_say_the_same() {
    let visa = EntryMode::parse(b"0510").unwrap();
    assert_eq!(Some(visa), EntryMode::parse(b"051"));
    assert_eq!(visa.field(4).as_deref(), Some(&b"0510"[..]));
    assert_eq!(EntryMode::parse(b"051x"), None);
    let modes = [
        (b'1', b'0', CardEntry::Manual, b'2'),
        (b'6', b'1', CardEntry::Manual, b'0'),
        (b'2', b'4', CardEntry::MagneticStripe, b'1'),
        (b'B', b'4', CardEntry::MagneticStripe, b'1'),
        (b'5', b'C', CardEntry::ContactChip, b'1'),
        (b'C', b'C', CardEntry::ContactChip, b'1'),
        (b'7', b'0', CardEntry::CardOnFile, b'2'),
        (b'A', b'0', CardEntry::ContactlessMagneticStripe, b'2'),
        (b'M', b'6', CardEntry::ContactlessChip, b'1'),
        (b'S', b'0', CardEntry::Ecommerce, b'2'),
        (b'3', b'D', CardEntry::Other(*b" 3"), b'0'),
    ];
    for (input_mode, pin_capture, card, pin_capability) in modes {
        let field = [&b"210101"[..], &[input_mode], b"1330", &[pin_capture]].concat();
        let mode = EntryMode::parse(&field).unwrap();
        assert_eq!(mode, EntryMode { card, pin_capability });
        let written = mode.field(12).unwrap();
        assert_eq!(EntryMode::parse(&written), Some(mode));
    }
    let fallback = EntryMode::parse(b"510101213304").unwrap();
    assert_eq!(
        fallback.card,
        CardEntry::Fallback,
        "a stripe where chips are read"
    );
    assert_eq!(EntryMode::parse(&fallback.field(12).unwrap()), Some(fallback));
    assert_eq!(EntryMode::parse(b"51010151330 "), None);
    assert_eq!(EntryMode::parse(b"5101015133"), None);
    assert_eq!(visa.field(5), None);
}

#[test]
fn original_data_of_1993_has_a_year_and_a_length_inside() {
    let field = b"1100000042261122171500064711".to_vec();
    assert_eq!(
        OriginalData::parse_1993(&field),
        None,
        "six digits are announced, four are there"
    );
    let field = [&field[..22], b"044711"].concat();
    let original = OriginalData::parse_1993(&field).unwrap();
    assert_eq!(original.mti.to_string(), "1100");
    assert_eq!(&original.trace, b"000042");
    assert_eq!(&original.year, b"26");
    assert_eq!(&original.transmitted, b"1122171500");
    assert_eq!(original.acquirer, institution(b"4711").unwrap());
    let whole = original.digits_1993();
    assert_eq!(whole.len(), 35);
    assert_eq!(OriginalData::parse_1993(&whole), Some(original));
    for len in 0..field.len() {
        assert_eq!(OriginalData::parse_1993(&field[..len]), None);
    }
    assert_eq!(OriginalData::parse_1993(&[&whole[..34], b"x"].concat()), None);
    let longer = [&whole[..22], b"12000000004711"].concat();
    assert_eq!(OriginalData::parse_1993(&longer), None);
}

#[test]
fn response_codes_have_titles() {
    assert_eq!(
        response_code::title(&response_code::RESPONSE_55_INCORRECT_PIN),
        Some("incorrect PIN")
    );
    assert_eq!(response_code::title(b"00"), Some("approved"));
    assert_eq!(response_code::title(b"ZZ"), None);
    assert_eq!(response_code::title(b""), None);
}
