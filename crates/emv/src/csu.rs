//! Card status update and issuer authentication data: what the issuer tells the chip with ARPC method 2.

/// Card status update: 4 bytes, authenticated by the ARPC (EMV Book 3, Annex C10; Book 2, 8.2.2).
///
/// | byte | bits | meaning |
/// |---|---|---|
/// | 1 | b8 | proprietary authentication data follows |
/// | 1 | b4–b1 | PIN try counter |
/// | 2 | b8 | issuer approves the online transaction |
/// | 2 | b7 | block the card |
/// | 2 | b6 | block the application |
/// | 2 | b5 | set the PIN try counter to byte 1 |
/// | 2 | b4 | go online at the next transaction |
/// | 2 | b3 | made by a proxy of the issuer |
/// | 2 | b2–b1 | offline counters |
/// | 3, 4 | | byte 3 reserved, byte 4 at the issuer's discretion: kept as they are |
///
/// ```
/// use emv::csu::Csu;
/// let unlock = Csu { pin_try_counter: Some(3), ..Csu::answer(true) };
/// assert_eq!(unlock.to_bytes(), [0x03, 0x90, 0x00, 0x00]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Csu {
    /// Proprietary authentication data follows the CSU in tag 91.
    pub proprietary_data: bool,
    /// What to set the PIN try counter to, 0 to 15 (more counts as 15); `None`: leave it.
    pub pin_try_counter: Option<u8>,
    /// Issuer approves the online transaction.
    pub approved: bool,
    /// Block the card.
    pub block_card: bool,
    /// Block the application.
    pub block_application: bool,
    /// Go online at the next transaction.
    pub go_online_next: bool,
    /// Made by a proxy of the issuer.
    pub made_by_proxy: bool,
    /// What to do with the offline counters.
    pub counters: OfflineCounters,
    /// Bytes 3 and 4.
    pub tail: [u8; 2],
}

/// What the chip does with its offline counters (CSU byte 2, b2–b1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflineCounters {
    /// `00`: leave them.
    Keep,
    /// `01`: set them to their upper limits.
    SetToUpperLimit,
    /// `10`: reset them to zero.
    Reset,
    /// `11`: add the transaction to them.
    Add,
}

impl Csu {
    /// A CSU that approves or refuses and changes nothing else in the chip.
    pub fn answer(approved: bool) -> Self {
        Self {
            proprietary_data: false,
            pin_try_counter: None,
            approved,
            block_card: false,
            block_application: false,
            go_online_next: false,
            made_by_proxy: false,
            counters: OfflineCounters::Keep,
            tail: [0; 2],
        }
    }

    /// Reads 4 bytes. Reserved bits of byte 1, and a counter value that byte 2 does not apply, are left out: what the
    /// ARPC covers is the bytes, not this.
    pub fn from_bytes([first, second, tail @ ..]: [u8; 4]) -> Self {
        let has = |mask: u8| second & mask != 0;
        Self {
            proprietary_data: first & 0x80 != 0,
            pin_try_counter: has(0x10).then_some(first & 0x0F),
            approved: has(0x80),
            block_card: has(0x40),
            block_application: has(0x20),
            go_online_next: has(0x08),
            made_by_proxy: has(0x04),
            counters: match second & 0x03 {
                0 => OfflineCounters::Keep,
                1 => OfflineCounters::SetToUpperLimit,
                2 => OfflineCounters::Reset,
                _ => OfflineCounters::Add,
            },
            tail,
        }
    }

    /// The 4 bytes.
    pub fn to_bytes(self) -> [u8; 4] {
        let bit = |on: bool, mask: u8| if on { mask } else { 0 };
        let first = bit(self.proprietary_data, 0x80) | self.pin_try_counter.unwrap_or(0).min(15);
        let counters = match self.counters {
            OfflineCounters::Keep => 0,
            OfflineCounters::SetToUpperLimit => 1,
            OfflineCounters::Reset => 2,
            OfflineCounters::Add => 3,
        };
        let second = bit(self.approved, 0x80)
            | bit(self.block_card, 0x40)
            | bit(self.block_application, 0x20)
            | bit(self.pin_try_counter.is_some(), 0x10)
            | bit(self.go_online_next, 0x08)
            | bit(self.made_by_proxy, 0x04)
            | counters;
        let [third, fourth] = self.tail;
        [first, second, third, fourth]
    }
}

/// Issuer authentication data (tag 91) of ARPC method 2: ARPC (4 bytes), CSU (4 bytes), proprietary data (0 to 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuerAuthenticationData<'a> {
    /// Authorisation response cryptogram.
    pub arpc: [u8; 4],
    /// The CSU's bytes, as the ARPC covers them; [`Csu::from_bytes`] reads them.
    pub csu: [u8; 4],
    /// Proprietary authentication data.
    pub proprietary: &'a [u8],
}

impl<'a> IssuerAuthenticationData<'a> {
    /// Reads 8 to 16 bytes; `None` for another length.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (&arpc, rest) = value.split_first_chunk()?;
        let (&csu, proprietary) = rest.split_first_chunk()?;
        (proprietary.len() <= 8).then_some(Self {
            arpc,
            csu,
            proprietary,
        })
    }

    /// The value of tag 91.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.arpc, &self.csu, self.proprietary].concat()
    }
}

/// Issuer authentication data (tag 91) of ARPC method 1: ARPC (8 bytes), authorisation response code (2). EMV 4.4 Book 2,
/// 8.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuerAuthenticationDataMethod1 {
    /// Authorisation response cryptogram.
    pub arpc: [u8; 8],
    /// Authorisation response code, as the ARPC covers it: two characters, or a scheme's bits (Mastercard's `0010`).
    pub response_code: [u8; 2],
}

impl IssuerAuthenticationDataMethod1 {
    /// Reads 10 bytes; `None` for another length.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (&arpc, response_code) = value.split_first_chunk()?;
        Some(Self {
            arpc,
            response_code: response_code.try_into().ok()?,
        })
    }

    /// The value of tag 91.
    pub fn to_bytes(self) -> [u8; 10] {
        let [a, b, c, d, e, f, g, h] = self.arpc;
        let [high, low] = self.response_code;
        [a, b, c, d, e, f, g, h, high, low]
    }
}
