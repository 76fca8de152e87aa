//! PIN blocks under both kinds of zone key, over the real links: ISO 9564 format 0 under TDES, format 4 under AES.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers"
)]

mod common;

use common::{Installation, TestCard, Wishes};
use iso8583::response_code::{
    RESPONSE_00_APPROVED, RESPONSE_55_INCORRECT_PIN, RESPONSE_75_PIN_TRIES_EXCEEDED,
    RESPONSE_81_PIN_BLOCK_ERROR,
};
use sim::acquirer::Acquirer;

const PIN: &str = "739482610574";
const WRONG: &str = "739482610575";

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_is_verified_alike_over_tdes_and_aes_links_and_both_charge_the_same_tries() {
    let installation = Installation::start(Wishes::cards(&[PIN.to_owned()])).await;
    let (tdes, aes) = (&installation.acquirer, &installation.acquirer_aes);
    let card = &installation.cards[0];
    let rows = [
        (tdes, PIN, RESPONSE_00_APPROVED),
        (aes, PIN, RESPONSE_00_APPROVED),
        (aes, WRONG, RESPONSE_55_INCORRECT_PIN),
        (tdes, WRONG, RESPONSE_55_INCORRECT_PIN),
        (aes, WRONG, RESPONSE_55_INCORRECT_PIN),
        (aes, PIN, RESPONSE_75_PIN_TRIES_EXCEEDED),
        (tdes, PIN, RESPONSE_75_PIN_TRIES_EXCEEDED),
    ];
    for (trace, (link, pin, expect)) in (1..).zip(rows) {
        assert_eq!(verify(link, card, pin, trace).await, expect, "message {trace}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_block_says_nothing_and_costs_no_try() {
    let installation = Installation::start(Wishes::cards(&[PIN.to_owned()])).await;
    let card = &installation.cards[0];
    for (trace, link) in (1..).zip([&installation.acquirer, &installation.acquirer_aes].repeat(4)) {
        let mut request = Installation::balance_inquiry_over(link, card, PIN, trace);
        let len = request.field(52).unwrap().len();
        request.put(52, vec![0xA5; len]);
        let answer = link.exchange(&request).await.unwrap();
        assert_eq!(
            answer.field(39),
            Some(&RESPONSE_81_PIN_BLOCK_ERROR[..]),
            "message {trace}"
        );
    }
    assert_eq!(
        verify(&installation.acquirer_aes, card, PIN, 99).await,
        RESPONSE_00_APPROVED
    );
}

async fn verify(link: &Acquirer, card: &TestCard, pin: &str, trace: u32) -> [u8; 2] {
    let request = Installation::balance_inquiry_over(link, card, pin, trace);
    let answer = link.exchange(&request).await.unwrap();
    answer.field(39).unwrap().try_into().unwrap()
}
