//! Reads `vectors/*.txt`.

use std::collections::BTreeMap;
use std::path::Path;

use data_encoding::HEXUPPER;
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::pin::Pin;
use paycrypto::tdes_key::Tdes2Key;

pub(crate) struct Record {
    source: String,
    fields: BTreeMap<String, String>,
}

/// All records of a file, checked to carry a source each.
pub(crate) fn records(file: &str) -> Vec<Record> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut source = String::new();
    let mut records = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut fields = BTreeMap::new();
        for line in paragraph.lines() {
            if let Some(named) = line.strip_prefix("# source: ") {
                source = named.to_owned();
            } else if !line.starts_with('#') {
                let (name, value) = line.split_once(' ').unwrap();
                assert!(
                    fields.insert(name.to_owned(), value.to_owned()).is_none(),
                    "{file}: {name} twice"
                );
            }
        }
        if !fields.is_empty() {
            assert!(!source.is_empty(), "{file}: a record without a source");
            records.push(Record {
                source: source.clone(),
                fields,
            });
        }
    }
    records
}

/// As many bytes as upper-case hexadecimal digits say.
pub(crate) fn unhex<const N: usize>(digits: &str) -> [u8; N] {
    let bytes = HEXUPPER.decode(digits.as_bytes()).unwrap();
    bytes.try_into().unwrap()
}

impl Record {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .unwrap_or_else(|| panic!("{}: no {name}", self.source))
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        HEXUPPER.decode(self.text(name).as_bytes()).unwrap()
    }

    pub(crate) fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name)
            .try_into()
            .unwrap_or_else(|_| panic!("{}: {name} isn't {N} bytes", self.source))
    }

    pub(crate) fn number(&self, name: &str) -> u16 {
        u16::from_be_bytes(self.array(name))
    }

    pub(crate) fn tdes(&self, name: &str) -> Tdes2Key {
        Tdes2Key::from_bytes(&self.array(name))
    }

    pub(crate) fn aes(&self, name: &str) -> AesKey {
        AesKey::from_bytes(&self.bytes(name)).unwrap()
    }

    pub(crate) fn pin(&self, name: &str) -> Pin {
        Pin::parse(self.text(name)).unwrap()
    }

    pub(crate) fn account(&self) -> AccountDigits {
        AccountDigits::parse(self.text("account")).unwrap()
    }

    /// Whole name, and what follows the prefix in it, of each field whose name begins so.
    pub(crate) fn rows(&self, prefix: &str) -> Vec<(String, String)> {
        let names = self.fields.keys();
        names
            .filter_map(|name| Some((name.clone(), name.strip_prefix(prefix)?.to_owned())))
            .collect()
    }

    /// Compares and, where they differ, names the source and the step.
    pub(crate) fn expect(&self, name: &str, computed: &[u8]) {
        assert_eq!(
            HEXUPPER.encode(computed),
            self.text(name),
            "{}: {name}",
            self.source
        );
    }
}
