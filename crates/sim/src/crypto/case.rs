//! One case: a JSON object, its fields taken by name. Each refusal names the field and what it wants.

use std::cell::RefCell;

use cards::Psn;
use data_encoding::{HEXUPPER, HEXUPPER_PERMISSIVE};
use paycrypto::account::AccountDigits;
use paycrypto::aes_key::AesKey;
use paycrypto::pin::Pin;
use paycrypto::tdes_key::Tdes2Key;
use serde_json::{Map, Value};

/// Why a case has no answer, as its error line says it.
pub(super) type Refusal = String;

/// The fields of one case, and which of them were read.
pub(super) struct Case {
    fields: Map<String, Value>,
    read: RefCell<Vec<&'static str>>,
}

impl Case {
    pub(super) fn parse(line: &[u8]) -> Result<Self, Refusal> {
        match serde_json::from_slice(line) {
            Ok(Value::Object(fields)) => Ok(Self {
                fields,
                read: RefCell::default(),
            }),
            Ok(_) => Err("a case is a JSON object on one line".to_owned()),
            Err(error) => Err(format!("a case is a JSON object on one line; {error}")),
        }
    }

    /// Refuses fields that nothing read: a misspelt one must not be taken for its default.
    pub(super) fn end(&self) -> Result<(), Refusal> {
        let read = self.read.borrow();
        match self.fields.keys().find(|name| !read.contains(&name.as_str())) {
            Some(name) => Err(format!("{name}: not a field of this case; leave it out")),
            None => Ok(()),
        }
    }

    pub(super) fn has(&self, name: &'static str) -> bool {
        self.field(name).is_some()
    }

    /// An absent field, and null, are `None`.
    pub(super) fn field(&self, name: &'static str) -> Option<&Value> {
        self.read.borrow_mut().push(name);
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// Takes a text field apart; `wants` says what it has to be.
    pub(super) fn parsed<T>(
        &self,
        name: &'static str,
        wants: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Refusal> {
        let value = self.field(name).ok_or_else(|| format!("{name}: give {wants}"))?;
        let parsed = value.as_str().and_then(parse);
        parsed.ok_or_else(|| format!("{name}: must be {wants}, as text"))
    }

    pub(super) fn bytes(&self, name: &'static str) -> Result<Vec<u8>, Refusal> {
        self.parsed(name, "hexadecimal digits, two for each byte", unhex)
    }

    pub(super) fn array<const N: usize>(&self, name: &'static str) -> Result<[u8; N], Refusal> {
        let wants = format!("{} hexadecimal digits", 2 * N);
        self.parsed(name, &wants, |text| unhex(text)?.try_into().ok())
    }

    /// As [`Case::array`], or zeros.
    pub(super) fn array_or_zeros<const N: usize>(&self, name: &'static str) -> Result<[u8; N], Refusal> {
        if self.has(name) {
            self.array(name)
        } else {
            Ok([0; N])
        }
    }

    /// A whole number.
    pub(super) fn number<T: TryFrom<u64>>(&self, name: &'static str, wants: &str) -> Result<T, Refusal> {
        let value = self.field(name).ok_or_else(|| format!("{name}: give {wants}"))?;
        let number = value.as_u64().and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("{name}: must be {wants}, as a number"))
    }

    pub(super) fn atc(&self) -> Result<u16, Refusal> {
        self.array("atc").map(u16::from_be_bytes)
    }

    pub(super) fn pin(&self, name: &'static str) -> Result<Pin, Refusal> {
        self.parsed(name, "4 to 12 decimal digits", Pin::parse)
    }

    pub(super) fn account(&self) -> Result<AccountDigits, Refusal> {
        self.parsed("account", "8 to 19 decimal digits", AccountDigits::parse)
    }

    /// `00` where it is absent.
    pub(super) fn psn(&self) -> Result<Psn, Refusal> {
        if !self.has("psn") {
            return Ok(Psn::default());
        }
        self.parsed("psn", "2 decimal digits", |text| {
            let two_digits = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit());
            Psn::new(text.parse().ok()?).filter(|_| two_digits)
        })
    }

    pub(super) fn tdes(&self, name: &'static str) -> Result<Tdes2Key, Refusal> {
        self.array(name).map(|bytes| Tdes2Key::from_bytes(&bytes))
    }

    pub(super) fn aes(&self, name: &'static str) -> Result<AesKey, Refusal> {
        let wants = "32, 48 or 64 hexadecimal digits";
        self.parsed(name, wants, |text| AesKey::from_bytes(&unhex(text)?))
    }

    /// What to do; `wants` lists the choices.
    pub(super) fn act(&self, wants: &str) -> Result<&str, Refusal> {
        let act = self.field("do").and_then(Value::as_str);
        act.ok_or_else(|| unknown_act(wants))
    }
}

/// The refusal of another `do` than the choices.
pub(super) fn unknown_act(wants: &str) -> Refusal {
    format!("do: must be one of {wants}")
}

/// Bytes of hexadecimal digits in either case.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    HEXUPPER_PERMISSIVE.decode(text.as_bytes()).ok()
}

/// Upper-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    HEXUPPER.encode(bytes)
}

/// Digit values as text.
pub(super) fn digits_text(digits: &[u8]) -> String {
    digits.iter().map(|digit| char::from(b'0' + digit)).collect()
}
