//! Values that both ends of a link read the same way: DE3, DE4, DE7, DE22.

/// Writes an amount in minor units, or another number, as `LEN` ASCII digits with zeros before (DE4: 12, DE11: 6).
///
/// `None` where it needs more digits.
pub fn digits<const LEN: usize>(number: u64) -> Option<[u8; LEN]> {
    let mut out = [b'0'; LEN];
    let mut left = number;
    for place in out.iter_mut().rev() {
        *place = b'0' + u8::try_from(left % 10).ok()?;
        left /= 10;
    }
    (left == 0).then_some(out)
}

/// Reads ASCII digits, such as DE4 in minor units. `None` for no bytes, more than 18, or one that is no digit.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0, |number, &digit| number * 10 + u64::from(digit - b'0')),
    )
}

/// DE3, processing code: 2 digits of transaction type, 2 of account from, 2 of account to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessingCode {
    /// What is done: `00` purchase, `01` cash, `31` balance inquiry; PIN services by network (`92` PIN change,
    /// `91` PIN unblock at Mastercard).
    pub transaction_type: [u8; 2],
    /// Account from.
    pub from: [u8; 2],
    /// Account to.
    pub to: [u8; 2],
}

impl ProcessingCode {
    /// Reads 6 ASCII digits; `None` for anything else.
    pub fn parse(field: &[u8]) -> Option<Self> {
        let &[t1, t2, f1, f2, o1, o2] = field else {
            return None;
        };
        field.iter().all(u8::is_ascii_digit).then_some(Self {
            transaction_type: [t1, t2],
            from: [f1, f2],
            to: [o1, o2],
        })
    }

    /// The 6 digits of DE3.
    pub fn digits(self) -> [u8; 6] {
        let ([t1, t2], [f1, f2], [o1, o2]) = (self.transaction_type, self.from, self.to);
        [t1, t2, f1, f2, o1, o2]
    }
}

/// DE7, transmission date and time, MMDDhhmmss in UTC. It has no year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransmissionTime {
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

impl TransmissionTime {
    /// Reads 10 ASCII digits. `None` for another length or character, or a part out of its range; the day is not
    /// checked against the month.
    pub fn parse(field: &[u8]) -> Option<Self> {
        if field.len() != 10 {
            return None;
        }
        let part = |at: usize, range: std::ops::RangeInclusive<u64>| {
            let value = number(field.get(at..at + 2)?).filter(|value| range.contains(value))?;
            u8::try_from(value).ok()
        };
        Some(Self {
            month: part(0, 1..=12)?,
            day: part(2, 1..=31)?,
            hour: part(4, 0..=23)?,
            minute: part(6, 0..=59)?,
            second: part(8, 0..=59)?,
        })
    }

    /// The 10 digits of DE7; `None` where a part has more than two digits.
    pub fn digits(self) -> Option<[u8; 10]> {
        let mut out = [0; 10];
        let parts = [self.month, self.day, self.hour, self.minute, self.second];
        for (place, part) in out.chunks_exact_mut(2).zip(parts) {
            place.copy_from_slice(&digits::<2>(part.into())?);
        }
        Some(out)
    }
}

/// DE22 of 1987, point of service entry mode: 2 digits say how the card was read, 1 what PIN entry the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryMode {
    /// How the card was read.
    pub card: CardEntry,
    /// ASCII digit: `1` the terminal takes PINs, `2` it does not, `0` unknown.
    pub pin_capability: u8,
}

/// How a card was read, digits 1 and 2 of DE22 (tag 9F39 has the same coding in BCD).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardEntry {
    /// `01`: keyed by hand.
    Manual,
    /// `05`: contact chip.
    ContactChip,
    /// `07`: contactless chip.
    ContactlessChip,
    /// `10`: electronic commerce with a card on file.
    CardOnFile,
    /// `81`: electronic commerce.
    Ecommerce,
    /// `80`: magnetic stripe after the chip failed.
    Fallback,
    /// `90`: magnetic stripe.
    MagneticStripe,
    /// `91`: contactless with magnetic stripe data.
    ContactlessMagneticStripe,
    /// Any other two digits, as they came.
    Other([u8; 2]),
}

impl EntryMode {
    /// Reads 3 ASCII digits; `None` for anything else.
    pub fn parse(field: &[u8]) -> Option<Self> {
        let &[first, second, pin_capability] = field else {
            return None;
        };
        let card = match &[first, second] {
            b"01" => CardEntry::Manual,
            b"05" => CardEntry::ContactChip,
            b"07" => CardEntry::ContactlessChip,
            b"10" => CardEntry::CardOnFile,
            b"81" => CardEntry::Ecommerce,
            b"80" => CardEntry::Fallback,
            b"90" => CardEntry::MagneticStripe,
            b"91" => CardEntry::ContactlessMagneticStripe,
            &other => CardEntry::Other(other),
        };
        field
            .iter()
            .all(u8::is_ascii_digit)
            .then_some(Self { card, pin_capability })
    }

    /// The 3 digits of DE22.
    pub fn digits(self) -> [u8; 3] {
        let [first, second] = match self.card {
            CardEntry::Manual => *b"01",
            CardEntry::ContactChip => *b"05",
            CardEntry::ContactlessChip => *b"07",
            CardEntry::CardOnFile => *b"10",
            CardEntry::Fallback => *b"80",
            CardEntry::Ecommerce => *b"81",
            CardEntry::MagneticStripe => *b"90",
            CardEntry::ContactlessMagneticStripe => *b"91",
            CardEntry::Other(digits) => digits,
        };
        [first, second, self.pin_capability]
    }
}
