//! Who and what a terminal is: the parts of a request that come from neither card nor cardmember.

/// A terminal and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merchant {
    /// DE41, 8 characters.
    pub terminal_id: [u8; 8],
    /// DE42, 15 characters.
    pub merchant_id: [u8; 15],
    /// Name on the receipt.
    pub name: &'static str,
    /// DE18, merchant category code.
    pub category: [u8; 4],
    /// DE25: `00` normal, `02` unattended, `59` electronic commerce.
    pub condition: [u8; 2],
    /// 9F35, BCD: `22` attended, online and offline capable merchant; `14` a bank's unattended, online only.
    pub terminal_type: u8,
    /// 9F1A and 5F2A, numeric.
    pub country: u16,
    pub currency: u16,
    /// DE22 position 3.
    pub pin_capability: u8,
}

/// A grocer's till with an offline PIN pad and a reader for contacts and taps.
#[must_use]
pub fn grocer() -> Merchant {
    Merchant {
        terminal_id: *b"POS00001",
        merchant_id: *b"CORNERSHOP00001",
        name: "CORNER SHOP",
        category: *b"5411",
        condition: *b"00",
        terminal_type: 0x22,
        country: 372,
        currency: 978,
        pin_capability: b'1',
    }
}

/// A bank's cash machine.
#[must_use]
pub fn cash_machine() -> Merchant {
    Merchant {
        terminal_id: *b"ATM00001",
        merchant_id: *b"HIGHSTREETBANK1",
        name: "HIGH STREET BANK",
        category: *b"6011",
        condition: *b"02",
        terminal_type: 0x14,
        ..grocer()
    }
}

/// A bookseller on the web.
#[must_use]
pub fn online_shop() -> Merchant {
    Merchant {
        terminal_id: *b"WEB00001",
        merchant_id: *b"BOOKSONLINE0001",
        name: "BOOKS ONLINE",
        category: *b"5942",
        condition: *b"59",
        pin_capability: b'0',
        ..grocer()
    }
}

impl Merchant {
    /// Whether it is a cash machine, whose PINs the host checks.
    #[must_use]
    pub fn is_cash_machine(&self) -> bool {
        self.category == *b"6011"
    }

    /// Tag 9F33: chip and stripe readers; PIN pad for the host at a cash machine, for the chip and no verification
    /// elsewhere; no offline authentication of cards (EMV Book 4 A2).
    #[must_use]
    pub(super) fn capabilities(&self) -> [u8; 3] {
        let verification = if self.is_cash_machine() { 0x40 } else { 0x88 };
        [0xE0, verification, 0x00]
    }
}
