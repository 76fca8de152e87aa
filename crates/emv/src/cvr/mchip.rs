//! M/Chip card verification results, 6 bytes.
//!
//! | byte | bits | meaning |
//! |---|---|---|
//! | 1 | b8–b5 | cryptograms of the second and the first GENERATE AC, as Visa's byte 2 |
//! | 3 | b8–b5 | script counter, its low nibble |
//! | 3 | b4–b1 | PIN tries left |
//! | | others | [`MChipCvrBit`] |
//!
//! Source: the field tables of openemv's emv-utils. The published example `A00003220000` (3 tries, offline PIN not
//! performed, domestic) fits them. No public source says when the script counter goes back to zero.

use super::{FirstAc, SecondAc, acs_in, acs_of};
use crate::bits::named_bits;

named_bits! {
    /// Card verification results of M/Chip 4 and M/Chip Advance; see the [module](self).
    MChipCvr, 6, MChipCvrBit,
    DateCheckFailed = (1, 0x08, "date check failed"),
    OfflinePinPerformed = (1, 0x04, "offline PIN verification performed"),
    OfflinePinEnciphered = (1, 0x02, "offline enciphered PIN verification performed"),
    OfflinePinSuccessful = (1, 0x01, "offline PIN verification successful"),
    DdaReturned = (2, 0x80, "DDA returned"),
    CdaInFirstAc = (2, 0x40, "CDA returned in first GENERATE AC"),
    CdaInSecondAc = (2, 0x20, "CDA returned in second GENERATE AC"),
    IssuerAuthenticationPerformed = (2, 0x10, "issuer authentication performed"),
    DefaultSkippedOnCat3 = (2, 0x08, "card issuer action code default skipped on CAT3"),
    OfflinePinChangeSuccessful = (2, 0x04, "offline change PIN result successful"),
    LastOnlineNotCompleted = (4, 0x80, "last online transaction not completed"),
    UnableToGoOnline = (4, 0x40, "unable to go online"),
    OfflinePinNotPerformed = (4, 0x20, "offline PIN verification not performed"),
    OfflinePinFailed = (4, 0x10, "offline PIN verification failed"),
    PinTryLimitExceeded = (4, 0x08, "PIN try limit exceeded"),
    International = (4, 0x04, "international transaction"),
    Domestic = (4, 0x02, "domestic transaction"),
    TerminalWrongAboutOfflinePin = (4, 0x01, "terminal erroneously considers offline PIN OK"),
    LowerCountExceeded = (5, 0x80, "lower consecutive offline limit exceeded"),
    UpperCountExceeded = (5, 0x40, "upper consecutive offline limit exceeded"),
    LowerAmountExceeded = (5, 0x20, "lower cumulative offline limit exceeded"),
    UpperAmountExceeded = (5, 0x10, "upper cumulative offline limit exceeded"),
    GoOnlineNext = (5, 0x08, "go online on next transaction was set"),
    IssuerAuthenticationFailed = (5, 0x04, "issuer authentication failed"),
    ScriptReceived = (5, 0x02, "script received"),
    ScriptFailed = (5, 0x01, "script failed"),
    LowerCount2Exceeded = (6, 0x80, "lower limit of counter 2 exceeded"),
    UpperCount2Exceeded = (6, 0x40, "upper limit of counter 2 exceeded"),
    LowerAmount2Exceeded = (6, 0x20, "lower limit of accumulator 2 exceeded"),
    UpperAmount2Exceeded = (6, 0x10, "upper limit of accumulator 2 exceeded"),
    TransactionAmountExceeded = (6, 0x08, "maximum transaction amount exceeded"),
    DaysOfflineExceeded = (6, 0x04, "number of days offline exceeded"),
    CheckTableMatch = (6, 0x02, "match found in additional check table"),
    CheckTableNoMatch = (6, 0x01, "no match found in additional check table"),
}

impl MChipCvr {
    /// With these cryptograms; all bits clear and both counters zero.
    pub fn of_acs(second_ac: SecondAc, first_ac: FirstAc) -> Self {
        Self([acs_in(second_ac, first_ac), 0, 0, 0, 0, 0])
    }

    /// Cryptograms of the second and the first GENERATE AC.
    pub fn acs(self) -> (SecondAc, FirstAc) {
        let [first, ..] = self.0;
        acs_of(first)
    }

    /// Low nibble of the script counter.
    pub fn script_counter(self) -> u8 {
        let [_, _, counters, ..] = self.0;
        counters >> 4
    }

    /// PIN tries left; 15 stands for 15 or more.
    pub fn pin_tries_left(self) -> u8 {
        let [_, _, counters, ..] = self.0;
        counters & 0x0F
    }

    /// With these counters: of the script counter the low nibble, of the tries at most 15.
    #[must_use]
    pub fn with_counters(mut self, script_counter: u8, pin_tries_left: u8) -> Self {
        let [_, _, counters, ..] = &mut self.0;
        *counters = script_counter << 4 | pin_tries_left.min(15);
        self
    }
}
