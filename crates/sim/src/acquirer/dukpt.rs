//! PIN blocks under keys that are used once: derived from a base key by a key serial number that goes along in clear
//! (ANSI X9.24-1:2009 and X9.24-3:2017).
//!
//! A file beside the acquirer's has the last counter of each key serial number. It is replaced before a counter goes out,
//! under a lock, so that neither a crash nor another process uses one again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use cards::Pan;
use data_encoding::HEXUPPER;
use paycrypto::dukpt::{aes, tdes};
use paycrypto::pin::Pin;

use super::AcquirerError;
use super::zone_key::ZoneKey;
use crate::private_file;

const TDES_COUNTER_MAX: u32 = (1 << 21) - 1;
const TDES_COUNTER_ONES_MAX: u32 = 10;
const AES_COUNTER_ONES_MAX: u32 = 16;

/// Why a PIN can't be enciphered under a key of its own.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    #[error("{path}: {cause}")]
    File { path: PathBuf, cause: io::Error },
    #[error("{path}: not the JSON of key serial numbers with their last counters")]
    Json { path: PathBuf },
    /// A real terminal is given a new initial key then.
    #[error("every key of the key serial number has been used; the terminal needs another key_serial")]
    UsedUp,
}

/// A terminal's key serial number without its counter.
#[derive(Debug)]
pub(super) struct KeySerial {
    serial: Vec<u8>,
    /// The acquirer's file, which is locked while a counter is taken.
    acquirer: PathBuf,
}

impl KeySerial {
    /// `serial`: 10 bytes for TDES, of which the rightmost 21 bits are replaced by the counter, or the 8 bytes of an initial
    /// key id for AES. `acquirer`: the acquirer's file; `<name>.counters.json` beside it remembers what is used, and a key
    /// serial number that isn't in it is new and begins at 1.
    ///
    /// Refuses another length than the base key's algorithm wants.
    pub(super) fn new(base_key: &ZoneKey, serial: Vec<u8>, acquirer: &Path) -> Result<Self, AcquirerError> {
        let wanted = match base_key {
            ZoneKey::Tdes(_) => 10,
            ZoneKey::Aes(_) => 8,
        };
        if serial.len() != wanted {
            return Err(AcquirerError::KeySerial { wanted });
        }
        let acquirer = acquirer.to_owned();
        Ok(Self { serial, acquirer })
    }

    /// Key serial number (10 bytes TDES, 12 AES) and PIN blocks of one message, all under its key.
    pub(super) fn pin_blocks(
        &self,
        base_key: &ZoneKey,
        pins: &[&Pin],
        pan: &Pan,
    ) -> Result<(Vec<u8>, Vec<Vec<u8>>), CounterError> {
        let (serial, key) = match base_key {
            ZoneKey::Tdes(base_key) => {
                let name = tdes_serial(&self.serial, 0);
                let counter = self.take_counter(&name, TDES_COUNTER_MAX, TDES_COUNTER_ONES_MAX)?;
                let serial = tdes_serial(&self.serial, counter);
                let key = tdes::pin_key(base_key, tdes::Ksn(serial)).expect("a counter that terminals use");
                (serial.to_vec(), ZoneKey::Tdes(key))
            }
            ZoneKey::Aes(base_key) => {
                let counter = self.take_counter(&self.serial, u32::MAX, AES_COUNTER_ONES_MAX)?;
                let id = self.serial.as_slice();
                let id = id.try_into().expect("checked when it was read");
                let key = aes::pin_key(base_key, id, counter).expect("an AES-128 key, and a usable counter");
                ([&id[..], &counter.to_be_bytes()].concat(), ZoneKey::Aes(key))
            }
        };
        let block = |pin: &&Pin| key.fresh_pin_block(pin, pan);
        Ok((serial, pins.iter().map(block).collect()))
    }

    /// The next counter that terminals use, which are those with few one bits; durable before it is given.
    fn take_counter(&self, name: &[u8], max: u32, ones_max: u32) -> Result<u32, CounterError> {
        let path = self.acquirer.with_extension("counters.json");
        let failed = |cause| CounterError::File {
            path: path.clone(),
            cause,
        };
        let lock = File::open(&self.acquirer).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut last: BTreeMap<String, u32> = match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|_| CounterError::Json { path: path.clone() })?
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(cause) => return Err(failed(cause)),
        };
        let last_used = last.entry(HEXUPPER.encode(name)).or_default();
        let first = last_used.checked_add(1).ok_or(CounterError::UsedUp)?;
        let counter = (first..=max).find(|counter| counter.count_ones() <= ones_max);
        *last_used = counter.ok_or(CounterError::UsedUp)?;
        let counter = *last_used;
        let text = serde_json::to_vec_pretty(&last).expect("texts and numbers are JSON");
        private_file::replace(&path, &text).map_err(failed)?;
        Ok(counter)
    }
}

fn tdes_serial(serial: &[u8], counter: u32) -> [u8; 10] {
    let [first, second, rest @ ..]: [u8; 10] = serial.try_into().expect("checked when it was read");
    let rest = u64::from_be_bytes(rest) & !u64::from(TDES_COUNTER_MAX) | u64::from(counter);
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

    /// An acquirer's file, whose content doesn't matter here.
    fn acquirer() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acquirer.json");
        fs::write(&path, "{}").unwrap();
        (directory, path)
    }

    fn terminal(acquirer: &Path) -> KeySerial {
        KeySerial::new(&base_key(), SERIAL.to_vec(), acquirer).unwrap()
    }

    fn take(terminal: &KeySerial) -> Result<u32, CounterError> {
        terminal.take_counter(&SERIAL, TDES_COUNTER_MAX, TDES_COUNTER_ONES_MAX)
    }

    // source: ANSI X9.24-1:2009 A.4, by way of paycrypto's vectors/dukpt.txt.
    #[test]
    fn the_published_terminal_has_the_published_blocks_in_their_order() {
        let (_directory, path) = acquirer();
        let pan = Pan::parse("4012345678909").unwrap();
        let pin = Pin::parse("1234").unwrap();
        for (number, block) in [
            (1, 0x1B9C_1845_EB99_3A7A_u64),
            (2, 0x10A0_1C8D_02C6_9107),
            (3, 0x18DC_07B9_4797_B466),
        ] {
            // Each time another run.
            let (told, blocks) = terminal(&path).pin_blocks(&base_key(), &[&pin], &pan).unwrap();
            assert_eq!(told.last(), Some(&number));
            assert_eq!(blocks, [block.to_be_bytes()]);
        }
    }

    #[test]
    fn counters_with_many_one_bits_are_skipped_and_after_the_last_there_is_none() {
        let (_directory, path) = acquirer();
        let counters = path.with_extension("counters.json");
        let write =
            |last: u32| fs::write(&counters, format!(r#"{{"FFFF9876543210E00000": {last}}}"#)).unwrap();
        write(0x7FE);
        assert_eq!(take(&terminal(&path)).unwrap(), 0x800);
        write(0x1F_F800);
        assert!(matches!(take(&terminal(&path)), Err(CounterError::UsedUp)));
        write(u32::MAX);
        assert!(matches!(take(&terminal(&path)), Err(CounterError::UsedUp)));
        assert_eq!(tdes_serial(&SERIAL, 2)[..8], SERIAL[..8]);
        assert!(KeySerial::new(&base_key(), vec![0; 8], &path).is_err());
    }

    #[test]
    fn a_counter_that_cant_be_remembered_isnt_used() {
        let (_directory, path) = acquirer();
        fs::create_dir(path.with_extension("counters.json")).unwrap();
        assert!(matches!(take(&terminal(&path)), Err(CounterError::File { .. })));
        fs::remove_dir(path.with_extension("counters.json")).unwrap();
        fs::write(path.with_extension("counters.json"), "{").unwrap();
        assert!(matches!(take(&terminal(&path)), Err(CounterError::Json { .. })));
    }

    #[test]
    fn several_runs_at_once_never_use_a_counter_twice() {
        let (_directory, path) = acquirer();
        let runs: Vec<_> = (0..4)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || {
                    let terminal = terminal(&path);
                    (0..8).map(|_| take(&terminal).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut used: Vec<u32> = runs.into_iter().flat_map(|run| run.join().unwrap()).collect();
        used.sort_unstable();
        assert_eq!(used, (1..=32).collect::<Vec<_>>());
    }
}
