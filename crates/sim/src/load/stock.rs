//! Cards by the hundred thousand, each with a random PIN that nobody is told.
//!
//! | file | for |
//! |---|---|
//! | `cardmembers.csv`, `cards.csv` | `pinward import` |
//! | `load-cards.csv` | the load: card number, PIN block of the right PIN, PIN block of a wrong one |

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use cards::Pan;
use clap::Args;
use data_encoding::HEXUPPER;
use paycrypto::pin::Pin;

use crate::acquirer::zone_key::ZoneKey;
use crate::bureau::BureauError;
use crate::bureau::first_pins::{random_pin, read_zone_key};

/// Digits of every card number.
pub(super) const PAN_LEN_DIGITS: usize = 16;
/// Last month of validity of every card, YYMM.
pub(super) const EXPIRY: &str = "4912";
/// Issuer identification number from a range that no network uses.
const ISSUER_NUMBER: &str = "999901";
/// Card numbers that the digits between issuer number and check digit can tell apart.
const CARDS_MAX: u32 = 1_000_000_000;

/// Options of `pinward sim cards`.
#[derive(Args, Debug)]
pub struct StockOptions {
    /// How many cards
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..i64::from(CARDS_MAX)))]
    count: u32,
    /// Programme of the cards, as the issuer's configuration names it
    #[arg(long, value_name = "ID")]
    programme: String,
    /// The zone key: file with its TR-31 block
    #[arg(long, value_name = "FILE")]
    zone_key: PathBuf,
    /// A component file; give it twice or more
    #[arg(long = "component", value_name = "FILE", required = true)]
    components: Vec<PathBuf>,
    /// Folder for cardmembers.csv, cards.csv and load-cards.csv
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Makes the cards. Gives the paths.
pub fn make(options: &StockOptions) -> Result<[PathBuf; 3], BureauError> {
    let zone_key = read_zone_key(&options.zone_key, &options.components)?;
    let paths = ["cardmembers.csv", "cards.csv", "load-cards.csv"].map(|name| options.out.join(name));
    write_files(options, &zone_key, &paths).map_err(|cause| BureauError::Io {
        path: options.out.clone(),
        cause,
    })?;
    Ok(paths)
}

fn write_files(options: &StockOptions, zone_key: &ZoneKey, paths: &[PathBuf; 3]) -> io::Result<()> {
    fs::create_dir_all(&options.out)?;
    let [cardmembers, cards, load] = paths;
    let open = |path: &Path| io::Result::Ok(BufWriter::new(File::create(path)?));
    let (mut cardmembers, mut cards, mut load) = (open(cardmembers)?, open(cards)?, open(load)?);
    let format = match zone_key {
        ZoneKey::Tdes(_) => "iso0",
        ZoneKey::Aes(_) => "iso4",
    };
    let programme = &options.programme;
    writeln!(cardmembers, "reference,name,email,user_id")?;
    writeln!(cards, "cardmember,pan,psn,expiry,programme,role,status,pin")?;
    writeln!(load, "pan,right,wrong")?;
    for number in 0..options.count {
        let pan = card_number(number);
        let digits = pan.expose_digits();
        let (right, wrong) = two_pins().map_err(io::Error::other)?;
        let block = |pin| -> io::Result<String> {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(io::Error::other)?;
            Ok(HEXUPPER.encode(&zone_key.pin_block(pin, &pan, &random)))
        };
        let (right, wrong) = (block(&right)?, block(&wrong)?);
        writeln!(
            cardmembers,
            "L{number},Load {number},load-{number}@cards.example,"
        )?;
        writeln!(
            cards,
            "L{number},{digits},1,{EXPIRY},{programme},basic,active,{format}:{right}"
        )?;
        writeln!(load, "{digits},{right},{wrong}")?;
    }
    cardmembers.flush()?;
    cards.flush()?;
    load.flush()
}

/// Two PINs that differ.
fn two_pins() -> Result<(Pin, Pin), BureauError> {
    let right = random_pin()?;
    loop {
        let wrong = random_pin()?;
        if wrong.expose_digits() != right.expose_digits() {
            return Ok((right, wrong));
        }
    }
}

/// The card number of a serial number: issuer number, 9 digits, check digit.
fn card_number(serial: u32) -> Pan {
    let valid = |check| Pan::parse(&format!("{ISSUER_NUMBER}{serial:09}{check}")).ok();
    (0..10)
        .find_map(valid)
        .expect("one of the ten check digits is right")
}

/// The cards of `load-cards.csv`, in one piece of memory.
pub(super) struct Stock {
    bytes: Vec<u8>,
    block_len: usize,
}

/// One card: number in ASCII digits, PIN blocks of the right and of a wrong PIN.
#[derive(Clone, Copy)]
pub(super) struct LoadCard<'s> {
    pub(super) pan: &'s [u8],
    pub(super) right: &'s [u8],
    pub(super) wrong: &'s [u8],
}

impl Stock {
    /// Reads `load-cards.csv`.
    ///
    /// Refuses a file without cards, a line of another shape, and PIN blocks of another length than `block_len` bytes.
    pub(super) fn read(path: &Path, block_len: usize) -> io::Result<Self> {
        let mut bytes = Vec::new();
        for (number, line) in (2..).zip(BufReader::new(File::open(path)?).lines().skip(1)) {
            let refused = || {
                io::Error::other(format!(
                    "{}, line {number}: not a card of the load",
                    path.display()
                ))
            };
            append_card(&mut bytes, &line?, block_len).ok_or_else(refused)?;
        }
        if bytes.is_empty() {
            return Err(io::Error::other(format!("{}: no cards", path.display())));
        }
        Ok(Self { bytes, block_len })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.card_len()
    }

    /// The card at a place below [`Stock::len`].
    pub(super) fn card(&self, place: usize) -> LoadCard<'_> {
        let card = self.bytes.chunks_exact(self.card_len()).nth(place);
        let (pan, blocks) = card
            .and_then(|card| card.split_at_checked(PAN_LEN_DIGITS))
            .expect("the place is below the number of cards");
        let (right, wrong) = blocks.split_at(self.block_len);
        LoadCard { pan, right, wrong }
    }

    fn card_len(&self) -> usize {
        PAN_LEN_DIGITS + 2 * self.block_len
    }
}

fn append_card(bytes: &mut Vec<u8>, line: &str, block_len: usize) -> Option<()> {
    let mut columns = line.trim_end().split(',');
    let (pan, right, wrong) = (columns.next()?, columns.next()?, columns.next()?);
    let block = |hex: &str| {
        HEXUPPER
            .decode(hex.as_bytes())
            .ok()
            .filter(|block| block.len() == block_len)
    };
    let (right, wrong) = (block(right)?, block(wrong)?);
    let shaped = Pan::parse(pan).is_ok() && pan.len() == PAN_LEN_DIGITS && columns.next().is_none();
    shaped.then(|| {
        bytes.extend_from_slice(pan.as_bytes());
        bytes.extend_from_slice(&right);
        bytes.extend_from_slice(&wrong);
    })
}

#[cfg(test)]
mod tests {
    use paycrypto::account::AccountDigits;
    use paycrypto::pinblock::{TdesFormat, decipher_tdes};
    use paycrypto::tdes_key::Tdes2Key;
    use tempfile::TempDir;

    use super::*;

    fn key() -> Tdes2Key {
        Tdes2Key::from_bytes(b"0123456789abcdef")
    }

    #[test]
    fn the_import_and_the_load_get_the_same_cards_and_the_wrong_pin_is_wrong() {
        let directory = TempDir::new().unwrap();
        let paths =
            ["cardmembers.csv", "cards.csv", "load-cards.csv"].map(|name| directory.path().join(name));
        let options = StockOptions {
            count: 20,
            programme: "load".into(),
            zone_key: PathBuf::new(),
            components: Vec::new(),
            out: directory.path().to_path_buf(),
        };
        write_files(&options, &ZoneKey::Tdes(key()), &paths).unwrap();

        let stock = Stock::read(&paths[2], 8).unwrap();
        assert_eq!(stock.len(), 20);
        let imported = fs::read_to_string(&paths[1]).unwrap();
        for (place, line) in imported.lines().skip(1).enumerate() {
            let card = stock.card(place);
            let pan = Pan::parse_bytes(card.pan).unwrap();
            assert!(line.contains(pan.expose_digits()));
            assert!(line.ends_with(&format!("iso0:{}", HEXUPPER.encode(card.right))));
            let pin = |block: &[u8]| {
                let block = block.try_into().unwrap();
                decipher_tdes(&key(), TdesFormat::Iso0, block, &AccountDigits::from(&pan)).unwrap()
            };
            assert_ne!(pin(card.right).expose_digits(), pin(card.wrong).expose_digits());
        }
    }

    #[test]
    fn a_line_of_another_shape_is_refused_by_its_number() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("load-cards.csv");
        let good = "9999010000000011,0011223344556677,8899AABBCCDDEEFF";
        for bad in [
            "9999010000000012,0011223344556677,8899AABBCCDDEEFF",
            "9999010000000011,00,11",
            "",
        ] {
            fs::write(&path, format!("pan,right,wrong\n{good}\n{bad}\n")).unwrap();
            let refusal = Stock::read(&path, 8).err().unwrap().to_string();
            assert!(refusal.contains("line 3"), "{refusal}");
        }
    }
}
