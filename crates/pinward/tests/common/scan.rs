//! Looks for secrets in memory, files and captured traffic, in every form that a program might hold them in.

use std::{
    fmt,
    fs::{self, File},
    io::Read,
    os::unix::fs::FileExt,
    path::Path,
};

use aho_corasick::AhoCorasick;
use cards::Pan;
use data_encoding::{BASE64, HEXLOWER};

/// Bytes scanned at a time.
const CHUNK_LEN: usize = 4 << 20;
/// Longer than every pattern: chunks overlap by this, so that none is cut.
const OVERLAP_LEN: usize = 256;

/// What is looked for.
pub(crate) struct Scanner {
    patterns: AhoCorasick,
    secrets: Vec<Secret>,
}

struct Secret {
    /// Which one, and in which form.
    name: String,
    /// For digits in nibbles that begin in the middle of a byte: what the nibble before and the one after the found
    /// bytes must be.
    nibbles: Option<(u8, u8)>,
}

/// A secret that was found.
pub(crate) struct Hit {
    pub(crate) secret: String,
    pub(crate) place: String,
}

impl fmt::Debug for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.secret, self.place)
    }
}

/// Collects patterns for a [`Scanner`].
#[derive(Default)]
pub(crate) struct Patterns {
    bytes: Vec<Vec<u8>>,
    secrets: Vec<Secret>,
}

impl Patterns {
    /// A PIN of 12 digits: text, numbers, nibbles, and the clear block of ISO 9564 format 0 with each of these cards.
    ///
    /// In nibbles it is also the clear field of formats 0 to 4 before any account is mixed in.
    pub(crate) fn pin(&mut self, number: usize, digits: &str, pans: &[&Pan]) {
        let values: Vec<u8> = digits.bytes().map(|digit| digit - b'0').collect();
        let integer: u64 = digits.parse().unwrap();
        let bcd: Vec<u8> = values
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect();
        let shifted: Vec<u8> = values[1..11]
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect();
        let forms = [
            ("text", digits.as_bytes().to_vec()),
            ("UTF-16", digits.bytes().flat_map(|digit| [digit, 0]).collect()),
            ("hex of text", HEXLOWER.encode(digits.as_bytes()).into_bytes()),
            ("base64 of text", BASE64.encode(digits.as_bytes()).into_bytes()),
            ("digits as bytes", values.clone()),
            ("little-endian integer", integer.to_le_bytes().to_vec()),
            ("big-endian integer", integer.to_be_bytes().to_vec()),
            ("nibbles", bcd.clone()),
        ];
        for (form, bytes) in forms {
            self.add(format!("PIN {number} as {form}"), bytes, None);
        }
        let ends = Some((values[0], values[11]));
        self.add(format!("PIN {number} as nibbles across bytes"), shifted, ends);
        for pan in pans {
            let name = format!("PIN {number} as clear block for …{}", pan.last_four());
            self.add(name, clear_iso0_block(&bcd, pan), None);
        }
    }

    /// A key, as it is and in hexadecimal digits.
    pub(crate) fn key(&mut self, name: &str, key: &[u8]) {
        self.add(format!("{name} as it is"), key.to_vec(), None);
        self.add(format!("{name} in hex"), HEXLOWER.encode(key).into_bytes(), None);
        self.add(
            format!("{name} in upper-case hex"),
            HEXLOWER.encode(key).to_uppercase().into_bytes(),
            None,
        );
    }

    /// A card number in digits.
    pub(crate) fn pan(&mut self, pan: &Pan) {
        self.add(
            format!("PAN …{}", pan.last_four()),
            pan.expose_digits().as_bytes().to_vec(),
            None,
        );
    }

    /// A card number of which records may show the last four digits: every run of eight digits in a text, and the whole in
    /// nibbles. For random numbers only: parts of others are found by chance.
    pub(crate) fn pan_but_last_four(&mut self, pan: &Pan) {
        let name = format!("PAN …{}", pan.last_four());
        let digits = pan.expose_digits().as_bytes();
        for run in digits.windows(8) {
            self.add(format!("{name}, in part"), run.to_vec(), None);
            let hex = HEXLOWER.encode(run).into_bytes();
            self.add(format!("{name}, in part, in hex"), hex, None);
        }
        let nibbles = digits
            .chunks_exact(2)
            .map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0'));
        self.add(format!("{name} as nibbles"), nibbles.collect(), None);
    }

    /// Any bytes that have to be found, to show that a place is really looked at.
    pub(crate) fn mark(&mut self, name: &str, bytes: &[u8]) {
        self.add(name.to_owned(), bytes.to_vec(), None);
    }

    fn add(&mut self, name: String, bytes: Vec<u8>, nibbles: Option<(u8, u8)>) {
        self.secrets.push(Secret { name, nibbles });
        self.bytes.push(bytes);
    }

    pub(crate) fn scanner(self) -> Scanner {
        Scanner {
            patterns: AhoCorasick::new(&self.bytes).unwrap(),
            secrets: self.secrets,
        }
    }
}

/// ISO 9564-1:2017 9.3.2: the PIN field `0 ‖ length ‖ PIN ‖ F…`, XORed with the 12 rightmost PAN digits without the check
/// digit.
fn clear_iso0_block(pin_bcd: &[u8], pan: &Pan) -> Vec<u8> {
    let digits = pan.expose_digits().as_bytes();
    let account = &digits[digits.len() - 13..digits.len() - 1];
    let account = account
        .chunks_exact(2)
        .map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0'));
    let account = [0, 0].into_iter().chain(account);
    let pin = [0x0C].into_iter().chain(pin_bcd.iter().copied()).chain([0xFF]);
    pin.zip(account).map(|(pin, account)| pin ^ account).collect()
}

impl Scanner {
    /// Everything that a process can read of its own memory.
    pub(crate) fn scan_memory(&self, process: u32) -> Scanned {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let memory = File::open(format!("/proc/{process}/mem")).unwrap();
        let mut scanned = Scanned::default();
        for map in maps.lines() {
            let mut fields = map.split_whitespace();
            let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
            let name = fields.nth(3).unwrap_or("anonymous");
            if !rights.starts_with('r') || name.starts_with("[v") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let (mut at, end) = (address(from), address(to));
            let mut chunk = vec![0; CHUNK_LEN];
            while at < end {
                let len = CHUNK_LEN.min(usize::try_from(end - at).unwrap());
                // A mapping may be gone, or be one that can't be read, by the time it is looked at.
                let Ok(read) = memory.read_at(&mut chunk[..len], at) else {
                    break;
                };
                if read == 0 {
                    break;
                }
                self.scan_chunk(&chunk[..read], &format!("memory {at:x} ({name})"), &mut scanned);
                if at + u64::try_from(read).unwrap() >= end {
                    break;
                }
                at += u64::try_from(read.saturating_sub(OVERLAP_LEN).max(1)).unwrap();
            }
        }
        scanned
    }

    /// A file, or all files below a directory.
    pub(crate) fn scan_files(&self, path: &Path) -> Scanned {
        let mut scanned = Scanned::default();
        self.scan_into(path, &mut scanned);
        scanned
    }

    fn scan_into(&self, path: &Path, scanned: &mut Scanned) {
        let kind = fs::symlink_metadata(path).unwrap().file_type();
        if kind.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                self.scan_into(&entry.unwrap().path(), scanned);
            }
        } else if kind.is_file() {
            let mut content = Vec::new();
            File::open(path).unwrap().read_to_end(&mut content).unwrap();
            self.scan_chunk(&content, &path.display().to_string(), scanned);
        }
    }

    fn scan_chunk(&self, bytes: &[u8], place: &str, scanned: &mut Scanned) {
        scanned.bytes += bytes.len();
        for found in self.patterns.find_overlapping_iter(bytes) {
            let secret = &self.secrets[found.pattern().as_usize()];
            let whole = secret.nibbles.is_none_or(|(before, after)| {
                let first = found.start().checked_sub(1).and_then(|at| bytes.get(at));
                let last = bytes.get(found.end());
                first.is_some_and(|byte| byte & 0x0F == before) && last.is_some_and(|byte| byte >> 4 == after)
            });
            if whole {
                let place = format!("{place} at {}", found.start());
                scanned.hits.push(Hit {
                    secret: secret.name.clone(),
                    place,
                });
            }
        }
    }
}

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub(crate) bytes: usize,
    pub(crate) hits: Vec<Hit>,
}

fn address(hex: &str) -> u64 {
    u64::from_str_radix(hex, 16).unwrap()
}
