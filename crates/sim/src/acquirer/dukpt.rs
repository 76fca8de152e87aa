//! PIN blocks under keys that are used once: derived from a base key by a key serial number that goes along in clear
//! (ANSI X9.24-1:2009 and X9.24-3:2017).

use std::sync::atomic::{AtomicU32, Ordering};

use cards::Pan;
use paycrypto::dukpt::{aes, tdes};
use paycrypto::pin::Pin;

use super::AcquirerError;
use super::zone_key::ZoneKey;

const TDES_COUNTER_BITS: u32 = 21;
const TDES_COUNTER_ONES_MAX: u32 = 10;
const AES_COUNTER_ONES_MAX: u32 = 16;

/// A terminal's key serial number without its counter, and the counter, which goes up with every message.
#[derive(Debug)]
pub(super) struct KeySerial {
    serial: Vec<u8>,
    counter: AtomicU32,
}

impl KeySerial {
    /// `serial`: 10 bytes for TDES, of which the rightmost 21 bits are replaced by the counter, or the 8 bytes of an initial
    /// key id for AES. The counter begins at the second since 1970, so that no run uses another's keys again.
    ///
    /// Refuses another length than the base key's algorithm wants.
    pub(super) fn new(base_key: &ZoneKey, serial: Vec<u8>, now: u32) -> Result<Self, AcquirerError> {
        let wanted = match base_key {
            ZoneKey::Tdes(_) => 10,
            ZoneKey::Aes(_) => 8,
        };
        if serial.len() != wanted {
            return Err(AcquirerError::KeySerial { wanted });
        }
        Ok(Self {
            serial,
            counter: AtomicU32::new(now),
        })
    }

    /// Key serial number (10 bytes TDES, 12 AES) and PIN blocks of one message, all under its key.
    pub(super) fn pin_blocks(&self, base_key: &ZoneKey, pins: &[&Pin], pan: &Pan) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (serial, key) = match base_key {
            ZoneKey::Tdes(base_key) => {
                let counter = self.next(TDES_COUNTER_BITS, TDES_COUNTER_ONES_MAX);
                let serial = tdes_serial(&self.serial, counter);
                let key = tdes::pin_key(base_key, tdes::Ksn(serial)).expect("a counter that terminals use");
                (serial.to_vec(), ZoneKey::Tdes(key))
            }
            ZoneKey::Aes(base_key) => {
                let counter = self.next(u32::BITS, AES_COUNTER_ONES_MAX);
                let id = self
                    .serial
                    .as_slice()
                    .try_into()
                    .expect("checked when it was read");
                let key = aes::pin_key(base_key, id, counter).expect("an AES-128 key, and a usable counter");
                ([&id[..], &counter.to_be_bytes()].concat(), ZoneKey::Aes(key))
            }
        };
        let block = |pin: &&Pin| key.fresh_pin_block(pin, pan);
        (serial, pins.iter().map(block).collect())
    }

    /// The next counter that terminals use: those with too many one bits, and 0, are skipped.
    fn next(&self, bits: u32, ones_max: u32) -> u32 {
        let mask = u32::MAX >> (u32::BITS - bits);
        loop {
            let counter = self.counter.fetch_add(1, Ordering::Relaxed) & mask;
            if (1..=ones_max).contains(&counter.count_ones()) {
                return counter;
            }
        }
    }
}

fn tdes_serial(serial: &[u8], counter: u32) -> [u8; 10] {
    let [first, second, rest @ ..]: [u8; 10] = serial.try_into().expect("checked when it was read");
    let mask = (1_u64 << TDES_COUNTER_BITS) - 1;
    let rest = u64::from_be_bytes(rest) & !mask | u64::from(counter);
    let [a, b, c, d, e, f, g, h] = rest.to_be_bytes();
    [first, second, a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use paycrypto::tdes_key::Tdes2Key;

    use super::*;

    const BASE_KEY: u128 = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210;
    const SERIAL: [u8; 10] = *b"\xFF\xFF\x98\x76\x54\x32\x10\xE0\x00\x00";

    fn base_key() -> ZoneKey {
        ZoneKey::Tdes(Tdes2Key::from_bytes(&BASE_KEY.to_be_bytes()))
    }

    // source: ANSI X9.24-1:2009 A.4, by way of paycrypto's vectors/dukpt.txt.
    #[test]
    fn the_published_terminal_has_the_published_blocks_in_their_order() {
        let key = base_key();
        let serial = KeySerial::new(&key, SERIAL.to_vec(), 1).unwrap();
        let pan = Pan::parse("4012345678909").unwrap();
        let pin = Pin::parse("1234").unwrap();
        for (number, block) in [
            (1, 0x1B9C_1845_EB99_3A7A_u64),
            (2, 0x10A0_1C8D_02C6_9107),
            (3, 0x18DC_07B9_4797_B466),
        ] {
            let (told, blocks) = serial.pin_blocks(&key, &[&pin], &pan);
            assert_eq!(told.last(), Some(&number));
            assert_eq!(blocks, [block.to_be_bytes()]);
        }
    }

    #[test]
    fn counters_with_many_one_bits_are_skipped_and_the_serial_keeps_its_terminal() {
        let key = base_key();
        let serial = KeySerial::new(&key, SERIAL.to_vec(), 0x1F_F801).unwrap();
        assert_eq!(serial.next(TDES_COUNTER_BITS, TDES_COUNTER_ONES_MAX), 1);
        assert_eq!(tdes_serial(&SERIAL, 2)[..8], SERIAL[..8]);
        assert!(KeySerial::new(&key, vec![0; 8], 1).is_err());
    }
}
