//! Dialect files: those that come with the product, and one row per refusal.

use iso8583::build::MessageBuilder;
use iso8583::dialect::{Dialect, FieldSpec, Kind, Length, NetworkAct, Places};
use iso8583::message::Message;
use iso8583::mti::{Class, MTI_0800_NETWORK_REQUEST, Mti};
use iso8583::response_code;
use iso8583::wire::{BitmapEncoding, Encoding, Wire};

#[test]
fn the_default_dialect_has_126_fields_with_titles() {
    let dialect = Dialect::named("ascii-1987").unwrap();
    let fields: Vec<u8> = (0..=255)
        .filter(|&field| dialect.field(field).is_some())
        .collect();
    let wanted: Vec<u8> = (2..=128).filter(|&field| field != 65).collect();
    assert_eq!(fields, wanted);
    assert!(fields.iter().all(|&field| !dialect.title(field).is_empty()));
    assert_eq!(dialect.name(), "ascii-1987");
    assert_eq!(dialect.title(55), "Chip data");
    assert_eq!(dialect.title(65), "");
}

#[test]
fn the_aes_dialect_differs_in_the_pin_block_alone() {
    let [tdes, aes] = ["ascii-1987", "ascii-1987-aes"].map(|name| Dialect::named(name).unwrap());
    assert_eq!(aes.name(), "ascii-1987-aes");
    let differing: Vec<u8> = (2..=128)
        .filter(|&field| tdes.field(field) != aes.field(field))
        .collect();
    assert_eq!(differing, [52]);
    let (kind, length) = (Kind::B, Length::Fixed(16));
    assert_eq!(
        aes.field(52),
        Some(FieldSpec {
            kind,
            length,
            encoding: Encoding::Ascii
        })
    );
}

#[test]
fn each_malformed_dialect_is_refused_with_its_setting() {
    let check = |text: &str, message: &str| {
        let error = Dialect::parse(text).unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} lacks {message:?}");
    };
    let field = |number: &str, shape: &str| {
        format!("name = \"x\"\nmti_version = 0\n[fields]\n{number} = {{ title = \"t\", {shape} }}")
    };
    check("", "missing field `name`");
    check(
        "name = \"x\"\n[fields]",
        "mti_version: give either mti_version or extends",
    );
    check(
        "name = \"x\"\nmti_version = 10\n[fields]",
        "mti_version: must be 0 to 9",
    );
    check(
        "name = \"x\"\nmti_version = 0\nextends = \"ascii-1987\"\n[fields]",
        "give either",
    );
    check(
        "name = \"x\"\nextends = \"ebcdic\"\n[fields]",
        "no dialect is named \"ebcdic\"; there are: ascii-1987, ascii-1987-aes",
    );
    check(
        "name = \"x\"\nmti_version = 0\nbitmap = \"hex\"\n[fields]",
        "unknown field `bitmap`",
    );
    let extending = |settings: &str| format!("name = \"x\"\nextends = \"ascii-1987\"\n{settings}");
    check(
        &extending("[wire]\nbitmap = \"hex\""),
        "unknown variant `hex`, expected one of `binary`, `hex-ascii`, `hex-ebcdic`",
    );
    check(&extending("[wire]\nheader = \"ascii\""), "unknown field `header`");
    check(
        &extending("[wire]\ntext = \"bcd-f-after\""),
        "wire.text: text is ascii or ebcdic",
    );
    check(
        &extending("[places]\nnew_pin = 129"),
        "places.new_pin: the dialect does not have this field",
    );
    check(
        &extending("[places]\nkey_serial = 53"),
        "places.key_serial: the field must have kind b",
    );
    check(
        &extending("[places]\nkey_block = 96"),
        "places.key_block: the field must have kind an or ans",
    );
    check(
        &extending("[places]\nnetwork_code = 48"),
        "places.network_code: the field must have kind n",
    );
    check(
        &extending("[places]\noriginal_data = 4"),
        "places.original_data: must be 90 (1987) or 56 (1993)",
    );
    check(
        &extending("[network_codes]\necho = [\"31\"]"),
        "network_codes: places.network_code must name a field that holds each code",
    );
    check(
        &extending("[network_codes]\nhello = [\"301\"]"),
        "unknown variant `hello`",
    );
    check(
        &extending("[response_codes.all]\n055 = \"55\""),
        "response_codes.all.055: a code of 1987 has 2 characters",
    );
    check(
        &extending("[response_codes.all]\n88 = \"082\""),
        "response_codes.all.88: DE39 cannot hold this code",
    );
    check(
        "name = \"x\"\nextends = \"ascii-1993\"\n[response_codes.all]\n00 = \"000\"",
        "response_codes.all.05: is missing: DE39 has other than 2 characters",
    );
    check(
        &field("64", "kind = \"b\", len = 4"),
        "fields.64: a MAC has kind b and len 8",
    );
    check(
        &field("41", "kind = \"ans\", len = 8, encoding = \"bcd-zero-after\""),
        "fields.41: text is ascii or ebcdic",
    );
    check(
        &field("55", "kind = \"b\", lll = 255, encoding = \"ebcdic\""),
        "fields.55: kind b has no encoding",
    );
    check(
        &field("fifty", "kind = \"n\", len = 6"),
        "fields.fifty: a field name is a number",
    );
    check(
        &field("1", "kind = \"n\", len = 6"),
        "fields.1: fields are 2 to 64 and 66 to 128",
    );
    check(&field("65", "kind = \"b\", len = 8"), "fields.65: fields are");
    check(&field("129", "kind = \"n\", len = 6"), "fields.129: fields are");
    check(
        &field("3", "kind = \"n\""),
        "fields.3: give exactly one of len, ll, lll",
    );
    check(
        &field("3", "kind = \"n\", len = 6, ll = 6"),
        "fields.3: give exactly one",
    );
    check(
        &field("3", "kind = \"n\", len = 0"),
        "fields.3: len must be 1 to 999",
    );
    check(
        &field("3", "kind = \"n\", len = 1000"),
        "fields.3: len must be 1 to 999",
    );
    check(
        &field("3", "kind = \"n\", ll = 100"),
        "fields.3: ll must be 1 to 99",
    );
    check(
        &field("3", "kind = \"n\", lll = 1000"),
        "fields.3: lll must be 1 to 999",
    );
    check(&field("3", "kind = \"x\", len = 6"), "unknown variant `x`");
    check(
        &field("3", "kind = \"n\", len = 6, pad = 1"),
        "unknown field `pad`",
    );
    check(&field("3", "len = 6"), "missing field `kind`");
}

#[test]
fn an_unknown_name_is_refused_with_the_names_there_are() {
    let error = Dialect::named("ascii-2003").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no dialect is named \"ascii-2003\"; there are: ascii-1987, ascii-1987-aes, ascii-1987-dukpt, \
         ascii-1987-aes-dukpt, bcd-1987, ebcdic-1987, ascii-1993, bcd-1993"
    );
}

#[test]
fn every_dialect_has_the_name_it_is_asked_for_by_and_a_place_for_pin_services() {
    for name in Dialect::names() {
        let dialect = Dialect::named(name).unwrap();
        assert_eq!(dialect.name(), name);
        assert_eq!(dialect.places().new_pin, Some(125), "{name}");
        assert_eq!(dialect.places().key_block, Some(48), "{name}");
        let has_key_serial = name.contains("dukpt") || name.contains("1993");
        assert_eq!(dialect.places().key_serial.is_some(), has_key_serial, "{name}");
    }
}

#[test]
fn a_file_that_extends_a_dialect_changes_what_it_says_and_nothing_else() {
    let text = "name = \"network x\"\nextends = \"bcd-1987\"\n[wire]\nbitmap = \"hex-ascii\"\n[places]\nnew_pin = 126\n\
                [response_codes.all]\n88 = \"82\"\n[fields]\n126 = { title = \"New PIN\", kind = \"b\", ll = 16 }\n\
                2 = { title = \"PAN\", kind = \"n\", ll = 19, encoding = \"ascii\" }\n";
    let (own, base) = (Dialect::parse(text).unwrap(), Dialect::named("bcd-1987").unwrap());
    let differing: Vec<u8> = (2..=128)
        .filter(|&field| own.field(field) != base.field(field))
        .collect();
    assert_eq!(differing, [2, 126]);
    let (wanted, wire) = (own.wire(), base.wire());
    assert_eq!(
        wanted,
        Wire {
            bitmap: BitmapEncoding::HexAscii,
            ..wire
        }
    );
    let places = base.places();
    assert_eq!(
        own.places(),
        Places {
            new_pin: Some(126),
            ..places
        }
    );
    let code = |code| own.response_code(Class::Authorisation, code).unwrap();
    assert_eq!(code(b"88"), b"82");
    assert_eq!(code(b"55"), b"55");
}

#[test]
fn message_types_of_1987_and_1993_translate_both_ways() {
    let dialect = Dialect::named("ascii-1993").unwrap();
    let types = [
        "0100 1100",
        "0110 1110",
        "0200 1200",
        "0210 1210",
        "0120 1120",
        "0130 1130",
        "0220 1220",
        "0230 1230",
        "0400 1400",
        "0410 1410",
        "0420 1420",
        "0421 1421",
        "0430 1430",
        "0800 1804",
        "0801 1805",
        "0810 1814",
    ];
    for pair in types {
        let (of_1987, of_1993) = pair.split_once(' ').unwrap();
        let [of_1987, of_1993] = [of_1987, of_1993].map(|digits| Mti::parse(digits.as_bytes()).unwrap());
        assert_eq!(dialect.message_type(of_1987), of_1993);
        assert_eq!(of_1993.as_1987(), of_1987);
        assert_eq!(of_1987.as_1987(), of_1987);
        assert_eq!(
            of_1993.response().map(Mti::as_1987),
            of_1987.response(),
            "{of_1993}"
        );
    }
}

#[test]
fn response_codes_of_1993_have_three_digits_by_class_of_message() {
    let dialect = Dialect::named("ascii-1993").unwrap();
    let check = |class, of_1987: &[u8; 2], of_1993: &[u8], back: &[u8; 2]| {
        assert_eq!(dialect.response_code(class, of_1987), Some(of_1993));
        assert_eq!(dialect.response_code_1987(class, of_1993).as_ref(), Some(back));
    };
    check(Class::Authorisation, b"00", b"000", b"00");
    check(Class::Reversal, b"00", b"400", b"00");
    check(Class::NetworkManagement, b"00", b"800", b"00");
    check(Class::Financial, b"55", b"117", b"55");
    check(Class::Financial, b"75", b"106", b"75");
    check(Class::Reversal, b"25", b"914", b"25");
    // 1993 has no word for these: do not honour.
    check(Class::Authorisation, b"71", b"100", b"05");
    check(Class::Authorisation, b"72", b"100", b"05");
    assert_eq!(dialect.response_code(Class::Authorisation, b"ZZ"), None);
    assert_eq!(dialect.response_code_1987(Class::Authorisation, b"999"), None);
    for code in response_code::all() {
        let code = dialect.response_code(Class::Authorisation, &code);
        assert_eq!(code.map(<[u8]>::len), Some(3));
    }
}

#[test]
fn network_codes_are_read_and_written_as_acts() {
    let check = |name: &str, act, codes: &[&[u8]]| {
        let dialect = Dialect::named(name).unwrap();
        let (field, first) = dialect.network_code(act).unwrap();
        assert_eq!(first, codes[0]);
        for code in codes {
            let mti = dialect.message_type(MTI_0800_NETWORK_REQUEST);
            let mut builder = MessageBuilder::new(&dialect, mti);
            builder.set(field, code).unwrap();
            let mut frame = Vec::new();
            builder.write_to(&mut frame);
            let message = Message::parse(&frame, &dialect).unwrap();
            assert_eq!(dialect.network_act(&message), Some(act));
        }
    };
    for name in ["ascii-1987", "bcd-1987", "ebcdic-1987"] {
        check(name, NetworkAct::SignOn, &[b"001"]);
        check(name, NetworkAct::SignOff, &[b"002"]);
        check(name, NetworkAct::KeyChange, &[b"101", b"161"]);
        check(name, NetworkAct::Echo, &[b"301"]);
    }
    for name in ["ascii-1993", "bcd-1993"] {
        check(name, NetworkAct::SignOn, &[b"801"]);
        check(name, NetworkAct::SignOff, &[b"802"]);
        check(name, NetworkAct::KeyChange, &[b"811"]);
        check(name, NetworkAct::Echo, &[b"831"]);
    }
}
