//! Track 2 (DE35) beside the card number (DE2) and the expiry (DE14): what one message says twice must be the same.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use common::{Installation, Wishes};

const PIN: &str = "394857610284";
/// As every card of an installation has it.
const EXPIRY: &str = "3912";

#[tokio::test(flavor = "multi_thread")]
async fn a_track_that_contradicts_the_message_is_a_format_error_and_its_expiry_counts() {
    let pins = [PIN.to_owned(), PIN.to_owned()];
    let installation = Installation::start(Wishes::cards(&pins)).await;
    let [card, other] = &installation.cards[..] else {
        panic!("two cards")
    };
    let (pan, other) = (card.pan.expose_digits(), other.pan.expose_digits());
    // DE35, DE14, whether DE2 is there; the response code.
    let rows = [
        (format!("{pan}={EXPIRY}201"), Some(EXPIRY), true, "00"),
        (format!("{pan}={EXPIRY}201"), None, true, "00"),
        (format!("{pan}={EXPIRY}201"), None, false, "00"),
        (format!("{pan}D{EXPIRY}201"), Some(EXPIRY), false, "00"),
        // Another expiry than the card's.
        (format!("{pan}=3911201"), None, true, "14"),
        (format!("{pan}=3911201"), None, false, "14"),
        (format!("{other}={EXPIRY}201"), None, true, "30"),
        (format!("{pan}=3911201"), Some(EXPIRY), true, "30"),
        (format!("{pan}=3911201"), Some(EXPIRY), false, "30"),
        (format!("{pan}=3913201"), None, true, "30"),
        (pan.to_owned(), None, true, "30"),
    ];
    for (trace, (track, expiry, has_pan, code)) in (1..).zip(rows) {
        let mut request = installation.balance_inquiry(card, PIN, trace);
        request.put(35, track);
        if !has_pan {
            request.remove(2);
        }
        match expiry {
            Some(expiry) => request.put(14, expiry),
            None => request.remove(14),
        }
        let answer = installation.acquirer.exchange(&request).await.unwrap();
        assert_eq!(answer.response_code().unwrap(), code, "row {trace}");
    }
}
