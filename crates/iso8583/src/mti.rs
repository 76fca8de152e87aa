//! Message type identifiers: version, class, function, origin (ISO 8583:1987, message type identifier).

use std::fmt;

/// `0100`: authorisation request.
pub const MTI_0100_AUTHORISATION_REQUEST: Mti = Mti(*b"0100");
/// `0110`: authorisation response.
pub const MTI_0110_AUTHORISATION_RESPONSE: Mti = Mti(*b"0110");
/// `0120`: authorisation advice.
pub const MTI_0120_AUTHORISATION_ADVICE: Mti = Mti(*b"0120");
/// `0200`: financial request.
pub const MTI_0200_FINANCIAL_REQUEST: Mti = Mti(*b"0200");
/// `0220`: financial advice.
pub const MTI_0220_FINANCIAL_ADVICE: Mti = Mti(*b"0220");
/// `0400`: reversal request.
pub const MTI_0400_REVERSAL_REQUEST: Mti = Mti(*b"0400");
/// `0420`: reversal advice.
pub const MTI_0420_REVERSAL_ADVICE: Mti = Mti(*b"0420");
/// `0421`: reversal advice, repeated.
pub const MTI_0421_REVERSAL_ADVICE_REPEAT: Mti = Mti(*b"0421");
/// `0800`: network management request.
pub const MTI_0800_NETWORK_REQUEST: Mti = Mti(*b"0800");
/// `0810`: network management response.
pub const MTI_0810_NETWORK_RESPONSE: Mti = Mti(*b"0810");

/// A message type identifier whose four digits all have a meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mti([u8; 4]);

/// Second digit: what the message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `x1xx`.
    Authorisation,
    /// `x2xx`.
    Financial,
    /// `x3xx`.
    FileAction,
    /// `x4xx`.
    Reversal,
    /// `x5xx`.
    Reconciliation,
    /// `x6xx`.
    Administrative,
    /// `x7xx`.
    FeeCollection,
    /// `x8xx`.
    NetworkManagement,
}

/// Third digit: what is asked of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `xx0x`: asks for a decision.
    Request,
    /// `xx1x`: answers a request.
    Response,
    /// `xx2x`: tells what was done; is answered.
    Advice,
    /// `xx3x`: answers an advice.
    AdviceResponse,
    /// `xx4x`: tells what was done; is not answered.
    Notification,
}

/// Fourth digit: who began the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `xxx0`, or `xxx1` repeated.
    Acquirer,
    /// `xxx2`, or `xxx3` repeated.
    CardIssuer,
    /// `xxx4`, or `xxx5` repeated.
    Other,
}

impl Mti {
    /// Reads 4 ASCII digits. `None` where a digit has no meaning: class 0 or 9, function above 4, origin above 5.
    pub fn parse(digits: &[u8]) -> Option<Self> {
        let digits: [u8; 4] = digits.try_into().ok()?;
        matches!(digits, [b'0'..=b'9', b'1'..=b'8', b'0'..=b'4', b'0'..=b'5']).then_some(Self(digits))
    }

    /// The 4 ASCII digits.
    pub fn digits(self) -> [u8; 4] {
        self.0
    }

    /// What the message is about.
    pub fn class(self) -> Class {
        let [_, class, _, _] = self.0;
        match class {
            b'1' => Class::Authorisation,
            b'2' => Class::Financial,
            b'3' => Class::FileAction,
            b'4' => Class::Reversal,
            b'5' => Class::Reconciliation,
            b'6' => Class::Administrative,
            b'7' => Class::FeeCollection,
            _ => Class::NetworkManagement,
        }
    }

    /// What is asked of the receiver.
    pub fn function(self) -> Function {
        let [_, _, function, _] = self.0;
        match function {
            b'0' => Function::Request,
            b'1' => Function::Response,
            b'2' => Function::Advice,
            b'3' => Function::AdviceResponse,
            _ => Function::Notification,
        }
    }

    /// Who began the exchange.
    pub fn origin(self) -> Origin {
        let [_, _, _, origin] = self.0;
        match origin {
            b'0' | b'1' => Origin::Acquirer,
            b'2' | b'3' => Origin::CardIssuer,
            _ => Origin::Other,
        }
    }

    /// Whether the sender says that it has sent this message before, as `0421` does for `0420`.
    pub fn is_repeat(self) -> bool {
        let [_, _, _, origin] = self.0;
        matches!(origin, b'1' | b'3' | b'5')
    }

    /// The message type of 1987 that means the same: 1100 gives 0100, 1421 gives 0421, and 1804, whose origin is neither
    /// acquirer nor issuer, gives 0800. What a host compares, so that it need not know the version.
    pub fn as_1987(self) -> Self {
        self.in_version(b'0')
    }

    /// In another version, an ASCII digit. Network management has origin 0 in 1987 and 4 later.
    pub(crate) fn in_version(self, version: u8) -> Self {
        let [_, class, function, origin] = self.0;
        let origin = match (class, version, origin) {
            (b'8', b'0', b'4' | b'5') => origin - 4,
            (b'8', b'1'..=b'9', b'0' | b'1') => origin + 4,
            _ => origin,
        };
        Self([version, class, function, origin])
    }

    /// The MTI as first sent: `0421` gives `0420`. A message and its repeats share this.
    pub fn first_sent(self) -> Self {
        let [version, class, function, origin] = self.0;
        Self([version, class, function, origin - u8::from(self.is_repeat())])
    }

    /// The MTI that answers this one: `0100` gives `0110`, `0420` and `0421` give `0430`. `None` for what is not answered.
    pub fn response(self) -> Option<Self> {
        let answer = match self.function() {
            Function::Request => b'1',
            Function::Advice => b'3',
            Function::Response | Function::AdviceResponse | Function::Notification => return None,
        };
        let [version, class, _, origin] = self.first_sent().0;
        Some(Self([version, class, answer, origin]))
    }
}

impl fmt::Display for Mti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|&digit| write!(f, "{}", char::from(digit)))
    }
}

impl fmt::Debug for Mti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mti({self})")
    }
}
