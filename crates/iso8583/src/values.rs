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

/// DE22: how a card was read, and what PIN entry the terminal has, whatever its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryMode {
    /// How the card was read.
    pub card: CardEntry,
    /// ASCII digit: `1` the terminal takes PINs, `2` it does not, `0` unknown.
    pub pin_capability: u8,
}

/// How a card was read, digits 1 and 2 of DE22 in 1987 (tag 9F39 has the same coding in BCD), character 7 in 1993.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardEntry {
    /// `01`, and `06`: keyed by hand.
    Manual,
    /// `05`; `51` with a PIN at a cash machine; `95` with card verification data that may be wrong: contact chip.
    ContactChip,
    /// `07`; `71` with a PIN at a cash machine: contactless chip.
    ContactlessChip,
    /// `10`: electronic commerce with a card on file.
    CardOnFile,
    /// `81`; `09` with a cryptogram: electronic commerce.
    Ecommerce,
    /// `80`: magnetic stripe after the chip failed; `79`: keyed by hand after chip and stripe failed.
    Fallback,
    /// `90`; `02` without the whole of its data: magnetic stripe.
    MagneticStripe,
    /// `91`: contactless with magnetic stripe data.
    ContactlessMagneticStripe,
    /// Any other code, as it came: two digits, or character 7 after a blank.
    Other([u8; 2]),
}

impl EntryMode {
    /// Reads DE22 by its length; `None` for other lengths, and for characters that are no digits (3, 4) or no letters or
    /// digits (12).
    ///
    /// | length | form |
    /// |---|---|
    /// | 3 | 1987: 2 digits how the card was read, 1 PIN entry capability |
    /// | 4 | Visa: the same, then a filler that is not looked at |
    /// | 12 | 1993, point of service data code: character 7 card data input mode, 12 PIN capture capability |
    ///
    /// Input modes of 1993: ISO 8583:1993 has 1, 2, 5 and 6; the letters and 7 are Mastercard's, as processors publish them. A
    /// fallback is a stripe (2, B) at a terminal that reads chips (character 1 is 5).
    pub fn parse(field: &[u8]) -> Option<Self> {
        match *field {
            [first, second, pin_capability] | [first, second, pin_capability, b'0'..=b'9'] => {
                field.iter().all(u8::is_ascii_digit).then_some(Self {
                    card: CardEntry::of_1987([first, second]),
                    pin_capability,
                })
            }
            [capability, _, _, _, _, _, input_mode, _, _, _, _, pin_capture] => {
                field.iter().all(u8::is_ascii_alphanumeric).then_some(Self {
                    card: CardEntry::of_1993(capability, input_mode),
                    pin_capability: match pin_capture {
                        b'0' => b'2',
                        b'4'..=b'9' | b'A'..=b'C' => b'1',
                        _ => b'0',
                    },
                })
            }
            _ => None,
        }
    }

    /// The 3 digits of 1987.
    pub fn digits(self) -> [u8; 3] {
        let [first, second] = self.card.digits();
        [first, second, self.pin_capability]
    }

    /// DE22 of a length that [`EntryMode::parse`] reads: in 4 the filler is 0; in 12 what is not known here is 0, for
    /// unspecified, and a PIN capture capability is 12 digits. `None` for other lengths.
    pub fn field(self, len: usize) -> Option<Vec<u8>> {
        let pin_capture = match self.pin_capability {
            b'1' => b'C',
            b'2' => b'0',
            _ => b'1',
        };
        match len {
            3 => Some(self.digits().to_vec()),
            4 => Some([&self.digits()[..], b"0"].concat()),
            12 => {
                let capability = match self.card {
                    CardEntry::Fallback => CAPABILITY_5_CHIP,
                    _ => b'0',
                };
                let input_mode = self.card.input_mode();
                Some(
                    [
                        &[capability],
                        &b"00000"[..],
                        &[input_mode],
                        b"0000",
                        &[pin_capture],
                    ]
                    .concat(),
                )
            }
            _ => None,
        }
    }
}

/// Character 1 in 1993: the terminal reads chips.
const CAPABILITY_5_CHIP: u8 = b'5';

impl CardEntry {
    fn of_1987(digits: [u8; 2]) -> Self {
        match &digits {
            b"01" | b"06" => Self::Manual,
            b"05" | b"51" | b"95" => Self::ContactChip,
            b"07" | b"71" => Self::ContactlessChip,
            b"10" => Self::CardOnFile,
            b"09" | b"81" => Self::Ecommerce,
            b"79" | b"80" => Self::Fallback,
            b"02" | b"90" => Self::MagneticStripe,
            b"91" => Self::ContactlessMagneticStripe,
            &other => Self::Other(other),
        }
    }

    fn of_1993(capability: u8, input_mode: u8) -> Self {
        match input_mode {
            b'1' | b'6' => Self::Manual,
            b'2' | b'B' if capability == CAPABILITY_5_CHIP => Self::Fallback,
            b'2' | b'B' => Self::MagneticStripe,
            b'5' | b'C' | b'F' => Self::ContactChip,
            b'7' => Self::CardOnFile,
            b'A' => Self::ContactlessMagneticStripe,
            b'M' => Self::ContactlessChip,
            b'R' | b'S' => Self::Ecommerce,
            other => Self::Other([b' ', other]),
        }
    }

    fn digits(self) -> [u8; 2] {
        match self {
            Self::Manual => *b"01",
            Self::ContactChip => *b"05",
            Self::ContactlessChip => *b"07",
            Self::CardOnFile => *b"10",
            Self::Fallback => *b"80",
            Self::Ecommerce => *b"81",
            Self::MagneticStripe => *b"90",
            Self::ContactlessMagneticStripe => *b"91",
            Self::Other([b' ', _]) => *b"00",
            Self::Other(digits) => digits,
        }
    }

    fn input_mode(self) -> u8 {
        match self {
            Self::Manual => b'6',
            Self::ContactChip => b'5',
            Self::ContactlessChip => b'M',
            Self::CardOnFile => b'7',
            Self::Ecommerce => b'S',
            Self::Fallback | Self::MagneticStripe => b'2',
            Self::ContactlessMagneticStripe => b'A',
            Self::Other([b' ', mode]) => mode,
            Self::Other(_) => b'0',
        }
    }
}
