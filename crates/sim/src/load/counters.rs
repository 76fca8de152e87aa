//! What the reference host knows of its cards: PIN verification value and tries, in memory, by a keyed hash of the number.

use std::collections::HashMap;

use aws_lc_rs::hmac;
use cards::Pan;
use iso8583::message::Message;
use iso8583::response_code::{
    RESPONSE_00_APPROVED, RESPONSE_14_INVALID_CARD, RESPONSE_55_INCORRECT_PIN,
    RESPONSE_75_PIN_TRIES_EXCEEDED, RESPONSE_81_PIN_BLOCK_ERROR,
};
use paycrypto::account::AccountDigits;
use paycrypto::pinblock::{TdesFormat, decipher_tdes};
use paycrypto::pvv::{Pvki, generate_pvv, verify_pvv};
use paycrypto::tdes_key::Tdes2Key;

use super::stock::Stock;

const TRIES_MAX: u8 = 3;
const FIELD_2_PAN: u8 = 2;
const FIELD_52_PIN_BLOCK: u8 = 52;

/// The cards of a stock. PIN blocks are format 0 under a TDES zone key.
pub(super) struct Counters {
    zone_key: Tdes2Key,
    /// PIN verification key, made for this run.
    pvk: Tdes2Key,
    pvki: Pvki,
    index_key: hmac::Key,
    /// By the first 8 bytes of the HMAC-SHA-256 of the number.
    cards: HashMap<[u8; 8], Card>,
}

struct Card {
    /// The rest of the HMAC: a number that only shares its first bytes is another card.
    index_rest: [u8; 24],
    pvv: [u8; 4],
    tries: u8,
}

/// What was decided on one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    /// First bytes of the index of the card; zeros for a number that can't be one.
    pub(super) card: [u8; 8],
    /// Field 39.
    pub(super) code: [u8; 2],
    pub(super) tries: u8,
}

impl Counters {
    /// All cards of a stock with full tries; their right PINs are remembered as PVVs.
    ///
    /// `None` where a PIN block of the stock can't be deciphered, or the system gives no random numbers.
    pub(super) fn new(zone_key: Tdes2Key, stock: &Stock) -> Option<Self> {
        let (mut pvk, mut index_key) = ([0; 16], [0; 32]);
        getrandom::fill(&mut pvk).ok()?;
        getrandom::fill(&mut index_key).ok()?;
        let mut counters = Self {
            zone_key,
            pvk: Tdes2Key::from_bytes(&pvk),
            pvki: Pvki::new(1).expect("1 is an index"),
            index_key: hmac::Key::new(hmac::HMAC_SHA256, &index_key),
            cards: HashMap::with_capacity(stock.len()),
        };
        for card in (0..stock.len()).map(|place| stock.card(place)) {
            counters.add(&Pan::parse_bytes(card.pan).ok()?, card.right.try_into().ok()?)?;
        }
        Some(counters)
    }

    fn add(&mut self, pan: &Pan, right: [u8; 8]) -> Option<()> {
        let account = AccountDigits::from(pan);
        let pin = decipher_tdes(&self.zone_key, TdesFormat::Iso0, right, &account).ok()?;
        let (index, index_rest) = self.index(pan);
        let card = Card {
            index_rest,
            pvv: generate_pvv(&self.pvk, self.pvki, &account, &pin),
            tries: TRIES_MAX,
        };
        self.cards.insert(index, card);
        Some(())
    }

    fn index(&self, pan: &Pan) -> ([u8; 8], [u8; 24]) {
        let tag = hmac::sign(&self.index_key, pan.expose_digits().as_bytes());
        let (first, rest) = tag
            .as_ref()
            .split_first_chunk()
            .expect("HMAC-SHA-256 has 32 bytes");
        (*first, rest.try_into().expect("HMAC-SHA-256 has 32 bytes"))
    }

    /// Compares the PIN and charges or refills the card's tries.
    pub(super) fn judge(&mut self, request: &Message<'_>) -> Judgement {
        let mut judgement = Judgement {
            card: [0; 8],
            code: RESPONSE_14_INVALID_CARD,
            tries: 0,
        };
        let Some(pan) = request
            .field(FIELD_2_PAN)
            .and_then(|digits| Pan::parse_bytes(digits).ok())
        else {
            return judgement;
        };
        let (index, index_rest) = self.index(&pan);
        judgement.card = index;
        let Some(card) = self
            .cards
            .get_mut(&index)
            .filter(|card| card.index_rest == index_rest)
        else {
            return judgement;
        };
        let account = AccountDigits::from(&pan);
        let block = request
            .field(FIELD_52_PIN_BLOCK)
            .and_then(|block| block.try_into().ok());
        let pin =
            block.and_then(|block| decipher_tdes(&self.zone_key, TdesFormat::Iso0, block, &account).ok());
        judgement.code = match pin {
            _ if card.tries == 0 => RESPONSE_75_PIN_TRIES_EXCEEDED,
            None => RESPONSE_81_PIN_BLOCK_ERROR,
            Some(pin) if verify_pvv(&self.pvk, self.pvki, &account, &pin, card.pvv) => {
                card.tries = TRIES_MAX;
                RESPONSE_00_APPROVED
            }
            Some(_) => {
                card.tries -= 1;
                RESPONSE_55_INCORRECT_PIN
            }
        };
        judgement.tries = card.tries;
        judgement
    }
}

#[cfg(test)]
mod tests {
    use iso8583::dialect::Dialect;
    use paycrypto::pin::Pin;
    use paycrypto::pinblock::encipher_tdes;
    use tempfile::TempDir;

    use super::*;

    const PAN: &str = "9999010000000011";

    fn key() -> Tdes2Key {
        Tdes2Key::from_bytes(b"0123456789abcdef")
    }

    fn block(pin: &str) -> [u8; 8] {
        let account = AccountDigits::parse(PAN).unwrap();
        encipher_tdes(
            &key(),
            TdesFormat::Iso0,
            &Pin::parse(pin).unwrap(),
            &account,
            &[0; 10],
        )
    }

    fn counters() -> Counters {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("load-cards.csv");
        let hex = |pin| data_encoding::HEXUPPER.encode(&block(pin));
        let text = format!("pan,right,wrong\n{PAN},{},{}\n", hex("1234"), hex("4321"));
        std::fs::write(&path, text).unwrap();
        Counters::new(key(), &Stock::read(&path, 8).unwrap()).unwrap()
    }

    /// Code and tries left.
    fn judged(counters: &mut Counters, pan: &str, block: [u8; 8]) -> ([u8; 2], u8) {
        let dialect = Dialect::named("ascii-1987").unwrap();
        let mut request =
            crate::acquirer::message::Message::new(iso8583::mti::MTI_0100_AUTHORISATION_REQUEST);
        request.put(2, pan.as_bytes());
        request.put(52, block);
        let frame = request.to_frame(&dialect).unwrap();
        let judgement = counters.judge(&Message::parse(&frame, &dialect).unwrap());
        (judgement.code, judgement.tries)
    }

    #[test]
    fn a_right_pin_is_approved_and_a_wrong_one_is_charged_until_the_card_is_locked() {
        let mut counters = counters();
        // Another PIN has the same PVV once in 10,000: one that has it would be approved here, as it is by every PVV.
        let account = AccountDigits::parse(PAN).unwrap();
        let pvv = |pin: &str| generate_pvv(&counters.pvk, counters.pvki, &account, &Pin::parse(pin).unwrap());
        let wrong = ["4321", "4322", "4323"]
            .into_iter()
            .find(|wrong| pvv(wrong) != pvv("1234"))
            .unwrap();
        let story = [
            (wrong, "55", 2),
            ("1234", "00", 3),
            (wrong, "55", 2),
            (wrong, "55", 1),
            (wrong, "55", 0),
            ("1234", "75", 0),
        ];
        for (pin, code, tries) in story {
            let answer = judged(&mut counters, PAN, block(pin));
            assert_eq!(answer, (code.as_bytes().try_into().unwrap(), tries));
        }
    }

    #[test]
    fn an_unknown_card_and_a_block_that_is_none_are_declined() {
        let mut counters = counters();
        assert_eq!(
            judged(&mut counters, "9999010000000029", block("1234")),
            (*b"14", 0)
        );
        assert_eq!(judged(&mut counters, PAN, [0; 8]), (*b"81", 3));
    }
}
