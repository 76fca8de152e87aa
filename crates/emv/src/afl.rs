//! Application file locator, tag 94: which records the terminal reads (EMV Book 3, 10.2).

/// One entry: records of one file.
///
/// | byte | meaning |
/// |---|---|
/// | 1 | short file identifier, 1 to 30, in b8–b4 |
/// | 2 | first record, from 1 |
/// | 3 | last record |
/// | 4 | how many of them, from the first, take part in offline data authentication |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AflEntry {
    /// Short file identifier, 1 to 30.
    pub sfi: u8,
    /// First record.
    pub first: u8,
    /// Last record.
    pub last: u8,
    /// Records that take part in offline data authentication.
    pub authenticated: u8,
}

/// Reads the value of 94. `None` for a length that is not 4 to 252 in steps of 4, or an entry with a file outside 1 to
/// 30, a reserved bit, a record 0, records in the wrong order, or more authenticated than there are.
pub fn parse(value: &[u8]) -> Option<Vec<AflEntry>> {
    let (entries, odd) = value.as_chunks::<4>();
    if !odd.is_empty() || entries.is_empty() || value.len() > 252 {
        return None;
    }
    entries.iter().map(|&bytes| AflEntry::from_bytes(bytes)).collect()
}

impl AflEntry {
    fn from_bytes([file, first, last, authenticated]: [u8; 4]) -> Option<Self> {
        let sfi = file >> 3;
        let fits = file & 0x07 == 0
            && (1..=30).contains(&sfi)
            && (1..=last).contains(&first)
            && authenticated <= last - first + 1;
        fits.then_some(Self {
            sfi,
            first,
            last,
            authenticated,
        })
    }

    /// The 4 bytes.
    pub fn to_bytes(self) -> [u8; 4] {
        [self.sfi << 3, self.first, self.last, self.authenticated]
    }
}
