//! Cardholder verification: the chip's list of methods (tag 8E) and what the terminal reports (tag 9F34).

/// b7 of a rule's first byte.
const NEXT_IF_FAILS: u8 = 0x40;

/// A cardholder verification rule: 2 bytes (EMV Book 3, Annex C3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CvmRule {
    /// How the cardholder is verified.
    pub method: CvmMethod,
    /// Whether the next rule is tried where this one fails (byte 1, b7).
    pub next_if_fails: bool,
    /// When the rule applies (byte 2): `00` always, `01` unattended cash, `02` not cash, `03` if the terminal supports
    /// it, `04` manual cash, `05` purchase with cashback, `06`–`09` by amount X or Y.
    pub condition: u8,
}

/// How a cardholder is verified (byte 1, b6–b1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CvmMethod {
    /// `00`: fail.
    Fail,
    /// `01`: plaintext PIN verified by the chip.
    PlaintextPinOffline,
    /// `02`: enciphered PIN verified online.
    PinOnline,
    /// `03`: plaintext PIN verified by the chip, and signature.
    PlaintextPinOfflineAndSignature,
    /// `04`: enciphered PIN verified by the chip.
    EncipheredPinOffline,
    /// `05`: enciphered PIN verified by the chip, and signature.
    EncipheredPinOfflineAndSignature,
    /// `1E`: signature.
    Signature,
    /// `1F`: no verification needed.
    NoCvm,
    /// `3F`: none was performed (only in results).
    NotPerformed,
    /// Another value: b6–b1, and the reserved b8.
    Other(u8),
}

/// What became of the method (9F34, byte 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CvmOutcome {
    /// `00`: unknown, as for online PIN and signature.
    Unknown,
    /// `01`.
    Failed,
    /// `02`.
    Successful,
    /// Another value.
    Other(u8),
}

impl CvmMethod {
    /// Whether the chip itself verifies a PIN.
    pub fn is_offline_pin(self) -> bool {
        matches!(
            self,
            Self::PlaintextPinOffline
                | Self::PlaintextPinOfflineAndSignature
                | Self::EncipheredPinOffline
                | Self::EncipheredPinOfflineAndSignature
        )
    }

    fn from_code(code: u8) -> Self {
        match code {
            0x00 => Self::Fail,
            0x01 => Self::PlaintextPinOffline,
            0x02 => Self::PinOnline,
            0x03 => Self::PlaintextPinOfflineAndSignature,
            0x04 => Self::EncipheredPinOffline,
            0x05 => Self::EncipheredPinOfflineAndSignature,
            0x1E => Self::Signature,
            0x1F => Self::NoCvm,
            0x3F => Self::NotPerformed,
            other => Self::Other(other),
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Fail => 0x00,
            Self::PlaintextPinOffline => 0x01,
            Self::PinOnline => 0x02,
            Self::PlaintextPinOfflineAndSignature => 0x03,
            Self::EncipheredPinOffline => 0x04,
            Self::EncipheredPinOfflineAndSignature => 0x05,
            Self::Signature => 0x1E,
            Self::NoCvm => 0x1F,
            Self::NotPerformed => 0x3F,
            Self::Other(code) => code & !NEXT_IF_FAILS,
        }
    }
}

impl CvmRule {
    /// Reads 2 bytes. Where the reserved bit b8 of byte 1 is set, the method is another one.
    pub fn from_bytes([first, condition]: [u8; 2]) -> Self {
        Self {
            method: CvmMethod::from_code(first & !NEXT_IF_FAILS),
            next_if_fails: first & NEXT_IF_FAILS != 0,
            condition,
        }
    }

    /// The 2 bytes.
    pub fn to_bytes(self) -> [u8; 2] {
        let next = if self.next_if_fails { NEXT_IF_FAILS } else { 0 };
        [self.method.code() | next, self.condition]
    }
}

/// Cardholder verification method results, tag 9F34, 3 bytes: a claim of the terminal (EMV Book 4, Annex A4).
///
/// `410302`: plaintext PIN verified by the chip, successful. `420300`: online PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CvmResults {
    /// The rule that was performed last.
    pub rule: CvmRule,
    /// What became of it.
    pub outcome: CvmOutcome,
}

impl CvmResults {
    /// Reads 3 bytes.
    pub fn from_bytes([method, condition, outcome]: [u8; 3]) -> Self {
        Self {
            rule: CvmRule::from_bytes([method, condition]),
            outcome: match outcome {
                0 => CvmOutcome::Unknown,
                1 => CvmOutcome::Failed,
                2 => CvmOutcome::Successful,
                other => CvmOutcome::Other(other),
            },
        }
    }

    /// The 3 bytes.
    pub fn to_bytes(self) -> [u8; 3] {
        let [method, condition] = self.rule.to_bytes();
        let outcome = match self.outcome {
            CvmOutcome::Unknown => 0,
            CvmOutcome::Failed => 1,
            CvmOutcome::Successful => 2,
            CvmOutcome::Other(other) => other,
        };
        [method, condition, outcome]
    }

    /// Whether the terminal says that the chip verified a PIN. Not proof: see the CVR.
    pub fn claims_offline_pin(self) -> bool {
        self.rule.method.is_offline_pin() && self.outcome == CvmOutcome::Successful
    }
}

/// Cardholder verification method list, tag 8E: two amounts, then rules in order of preference (EMV Book 3, 10.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CvmList {
    /// Amount X, minor units of the application currency.
    pub amount_x: u32,
    /// Amount Y, minor units of the application currency.
    pub amount_y: u32,
    /// At least one rule.
    pub rules: Vec<CvmRule>,
}

impl CvmList {
    /// Reads the value of 8E: two amounts of 4 bytes, then 1 to 122 rules of 2. `None` for another length.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (&x, rest) = value.split_first_chunk()?;
        let (&y, rest) = rest.split_first_chunk()?;
        let (rules, odd) = rest.as_chunks::<2>();
        (odd.is_empty() && !rules.is_empty() && value.len() <= 252).then(|| Self {
            amount_x: u32::from_be_bytes(x),
            amount_y: u32::from_be_bytes(y),
            rules: rules.iter().copied().map(CvmRule::from_bytes).collect(),
        })
    }

    /// The value of 8E.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = [self.amount_x.to_be_bytes(), self.amount_y.to_be_bytes()].concat();
        out.extend(self.rules.iter().flat_map(|rule| rule.to_bytes()));
        out
    }
}
