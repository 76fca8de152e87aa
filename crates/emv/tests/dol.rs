//! Data object lists: reading, filling by format, and finding a value again.

mod common;

use common::unhex;
use emv::dol::Dol;
use emv::tags::{
    TAG_5A_PAN, TAG_9A_TRANSACTION_DATE, TAG_9F1A_TERMINAL_COUNTRY, TAG_9F02_AMOUNT_AUTHORISED, TAG_9F36_ATC,
    TAG_9F37_UNPREDICTABLE_NUMBER, TAG_95_TVR,
};
use emv::tlv::{Tag, TlvError, TlvReason};
use proptest::prelude::*;

#[test]
fn a_cdol_is_filled_and_its_values_found_again() {
    let bytes = unhex("9F0206 9F1A02 9505 9A03 9F3704");
    let cdol = Dol::parse(&bytes).unwrap();
    assert_eq!(cdol.to_bytes(), bytes);
    assert_eq!(cdol.values_len(), 20);
    let values = [
        (TAG_9F02_AMOUNT_AUTHORISED, unhex("000000004000")),
        (TAG_9F1A_TERMINAL_COUNTRY, unhex("0124")),
        (TAG_95_TVR, unhex("8000048000")),
        (TAG_9F37_UNPREDICTABLE_NUMBER, unhex("52BF4585")),
    ];
    let joined = cdol.fill(|tag| {
        values
            .iter()
            .find(|(known, _)| *known == tag)
            .map(|(_, value)| value.as_slice())
    });
    assert_eq!(joined, unhex("000000004000 0124 8000048000 000000 52BF4585"));
    assert_eq!(cdol.value_in(&joined, TAG_95_TVR), Some(&unhex("8000048000")[..]));
    assert_eq!(
        cdol.value_in(&joined, TAG_9A_TRANSACTION_DATE),
        Some(&[0, 0, 0][..])
    );
    assert_eq!(cdol.value_in(&joined, TAG_9F36_ATC), None);
    assert_eq!(cdol.value_in(&joined[..19], TAG_9F37_UNPREDICTABLE_NUMBER), None);
}

#[test]
fn a_value_of_another_length_is_fitted_by_its_format() {
    let check = |tag: Tag, value: &str, len, fitted: &str| {
        let dol = Dol {
            entries: vec![(tag, len)],
        };
        let value = unhex(value);
        assert_eq!(dol.fill(|_| Some(&value)), unhex(fitted), "{tag} to {len}");
    };
    check(TAG_9F02_AMOUNT_AUTHORISED, "000000004000", 4, "00004000");
    check(TAG_9F02_AMOUNT_AUTHORISED, "4000", 6, "000000004000");
    check(TAG_5A_PAN, "4761", 4, "4761FFFF");
    check(TAG_5A_PAN, "47617394", 2, "4761");
    check(TAG_95_TVR, "80000480", 5, "8000048000");
    check(TAG_95_TVR, "8000048000", 1, "80");
    check(Tag::new(0xDF01), "AA", 2, "AA00");
    let missing = Dol {
        entries: vec![(TAG_5A_PAN, 2)],
    };
    assert_eq!(missing.fill(|_| None), [0, 0]);
}

#[test]
fn a_list_cut_short_is_refused_at_its_entry() {
    let bytes = unhex("9F0206 9505");
    let check = |len: usize, at, tag| {
        let reason = TlvReason::HeadTruncated;
        let error = TlvError { at, tag, reason };
        assert_eq!(Dol::parse(&bytes[..len]).unwrap_err(), error, "{len}");
    };
    check(1, 0, None);
    check(2, 0, Some(TAG_9F02_AMOUNT_AUTHORISED));
    check(4, 3, Some(TAG_95_TVR));
    assert_eq!(Dol::parse(&bytes[..3]).unwrap().entries.len(), 1);
    assert_eq!(Dol::parse(&[]).unwrap().entries, []);
    assert_eq!(
        Dol::parse(&unhex("DF81818101")).unwrap_err().reason,
        TlvReason::TagTooLong
    );
}

proptest! {
    #[test]
    fn a_filled_list_has_the_length_it_says(bytes in proptest::collection::vec(any::<u8>(), 0..60), value in proptest::collection::vec(any::<u8>(), 0..20)) {
        if let Ok(dol) = Dol::parse(&bytes) {
            prop_assert_eq!(dol.to_bytes(), bytes);
            prop_assert_eq!(dol.fill(|_| Some(&value)).len(), dol.values_len());
        }
    }
}
