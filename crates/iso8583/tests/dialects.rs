//! Dialect files: those that come with the product, and one row per refusal.

use iso8583::dialect::{Dialect, FieldSpec, Kind, Length};

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
    assert_eq!(aes.field(52), Some(FieldSpec { kind, length }));
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
    let error = Dialect::named("ascii-1993").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no dialect is named \"ascii-1993\"; there are: ascii-1987, ascii-1987-aes"
    );
}
