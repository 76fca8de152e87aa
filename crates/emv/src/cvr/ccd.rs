//! Card verification results of the Common Core Definitions, 5 bytes (EMV 4.4 Book 3, Annex C9.3).
//!
//! | byte | bits | meaning |
//! |---|---|---|
//! | 1 | b8–b5 | cryptograms of the second and the first GENERATE AC, as Visa's byte 2 |
//! | 2 | b8–b5 | PIN tries left, low nibble |
//! | 4 | b8–b5 | script commands with secure messaging that succeeded |
//! | 5 | | reserved |
//! | | others | [`CcdCvrBit`] |

use super::{FirstAc, SecondAc, acs_in, acs_of};
use crate::bits::named_bits;

named_bits! {
    /// Card verification results of the Common Core Definitions; see the [module](self).
    CcdCvr, 5, CcdCvrBit,
    CdaPerformed = (1, 0x08, "CDA performed"),
    DdaPerformed = (1, 0x04, "offline DDA performed"),
    IssuerAuthenticationNotPerformed = (1, 0x02, "issuer authentication not performed"),
    IssuerAuthenticationFailed = (1, 0x01, "issuer authentication failed"),
    OfflinePinPerformed = (2, 0x08, "offline PIN verification performed"),
    OfflinePinFailed = (2, 0x04, "offline PIN verification performed and PIN not successfully verified"),
    PinTryLimitExceeded = (2, 0x02, "PIN try limit exceeded"),
    LastOnlineNotCompleted = (2, 0x01, "last online transaction not completed"),
    LowerCountExceeded = (3, 0x80, "lower offline transaction count limit exceeded"),
    UpperCountExceeded = (3, 0x40, "upper offline transaction count limit exceeded"),
    LowerAmountExceeded = (3, 0x20, "lower cumulative offline amount limit exceeded"),
    UpperAmountExceeded = (3, 0x10, "upper cumulative offline amount limit exceeded"),
    IssuerDiscretionary1 = (3, 0x08, "issuer-discretionary bit 1"),
    IssuerDiscretionary2 = (3, 0x04, "issuer-discretionary bit 2"),
    IssuerDiscretionary3 = (3, 0x02, "issuer-discretionary bit 3"),
    IssuerDiscretionary4 = (3, 0x01, "issuer-discretionary bit 4"),
    ScriptFailed = (4, 0x08, "issuer script processing failed"),
    OfflineAuthenticationFailedLast = (4, 0x04, "offline data authentication failed on previous transaction"),
    GoOnlineNext = (4, 0x02, "go online on next transaction was set"),
    UnableToGoOnline = (4, 0x01, "unable to go online"),
}

impl CcdCvr {
    /// With these cryptograms; all bits clear and both counters zero.
    pub fn of_acs(second_ac: SecondAc, first_ac: FirstAc) -> Self {
        Self([acs_in(second_ac, first_ac), 0, 0, 0, 0])
    }

    /// Cryptograms of the second and the first GENERATE AC.
    pub fn acs(self) -> (SecondAc, FirstAc) {
        let [first, ..] = self.0;
        acs_of(first)
    }

    /// PIN tries left, low nibble.
    pub fn pin_tries_left(self) -> u8 {
        let [_, second, ..] = self.0;
        second >> 4
    }

    /// Script commands that succeeded; 15 stands for 15 or more.
    pub fn script_commands(self) -> u8 {
        let [_, _, _, fourth, _] = self.0;
        fourth >> 4
    }

    /// With these counters, each at most 15.
    #[must_use]
    pub fn with_counters(mut self, script_commands: u8, pin_tries_left: u8) -> Self {
        let [_, second, _, fourth, _] = &mut self.0;
        *second = *second & 0x0F | pin_tries_left.min(15) << 4;
        *fourth = *fourth & 0x0F | script_commands.min(15) << 4;
        self
    }
}
