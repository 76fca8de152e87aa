//! Terminal verification results and transaction status information: one named bit per event (EMV Book 3, Annex C5, C6).

/// Makes a byte string with named bits: the type, the enum of its bits, and their titles.
macro_rules! named_bits {
    ($(#[$doc:meta])* $type:ident, $len:literal, $bit:ident, $($name:ident = ($byte:literal, $mask:literal, $title:literal),)+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $type(pub [u8; $len]);

        #[doc = concat!("A bit of [`", stringify!($type), "`].")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $bit {
            $(#[doc = concat!("Byte ", stringify!($byte), ", `", stringify!($mask), "`: ", $title, ".")] $name,)+
        }

        impl $bit {
            /// All of them, from byte 1 bit 8 on.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// What the bit says when it is set, for people.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// Byte, counted from 1, and mask.
            fn place(self) -> (usize, u8) {
                match self { $(Self::$name => ($byte, $mask),)+ }
            }
        }

        impl $type {
            /// Whether a bit is set.
            pub fn has(self, bit: $bit) -> bool {
                let (byte, mask) = bit.place();
                self.0.get(byte - 1).is_some_and(|byte| byte & mask != 0)
            }

            /// The same with one more bit set.
            #[must_use]
            pub fn with(mut self, bit: $bit) -> Self {
                let (byte, mask) = bit.place();
                if let Some(byte) = self.0.get_mut(byte - 1) {
                    *byte |= mask;
                }
                self
            }

            /// The bits that are set and have a name.
            pub fn set_bits(self) -> impl Iterator<Item = $bit> {
                $bit::ALL.iter().copied().filter(move |&bit| self.has(bit))
            }
        }
    };
}

pub(crate) use named_bits;

named_bits! {
    /// Terminal verification results, tag 95: what the terminal says went wrong. A claim of the terminal, covered by
    /// the cryptogram only as what the card was told.
    Tvr, 5, TvrBit,
    OfflineDataAuthenticationNotPerformed = (1, 0x80, "offline data authentication was not performed"),
    SdaFailed = (1, 0x40, "SDA failed"),
    IccDataMissing = (1, 0x20, "ICC data missing"),
    CardOnExceptionFile = (1, 0x10, "card appears on terminal exception file"),
    DdaFailed = (1, 0x08, "DDA failed"),
    CdaFailed = (1, 0x04, "CDA failed"),
    SdaSelected = (1, 0x02, "SDA selected"),
    VersionsDiffer = (2, 0x80, "ICC and terminal have different application versions"),
    ApplicationExpired = (2, 0x40, "expired application"),
    ApplicationNotYetEffective = (2, 0x20, "application not yet effective"),
    ServiceNotAllowed = (2, 0x10, "requested service not allowed for card product"),
    NewCard = (2, 0x08, "new card"),
    CvmNotSuccessful = (3, 0x80, "cardholder verification was not successful"),
    CvmUnknown = (3, 0x40, "unrecognised CVM"),
    PinTryLimitExceeded = (3, 0x20, "PIN try limit exceeded"),
    PinPadMissing = (3, 0x10, "PIN entry required and PIN pad not present or not working"),
    PinNotEntered = (3, 0x08, "PIN entry required, PIN pad present, but PIN was not entered"),
    OnlinePinEntered = (3, 0x04, "online PIN entered"),
    FloorLimitExceeded = (4, 0x80, "transaction exceeds floor limit"),
    LowerOfflineLimitExceeded = (4, 0x40, "lower consecutive offline limit exceeded"),
    UpperOfflineLimitExceeded = (4, 0x20, "upper consecutive offline limit exceeded"),
    SelectedAtRandom = (4, 0x10, "transaction selected randomly for online processing"),
    MerchantForcedOnline = (4, 0x08, "merchant forced transaction online"),
    DefaultTdolUsed = (5, 0x80, "default TDOL used"),
    IssuerAuthenticationFailed = (5, 0x40, "issuer authentication failed"),
    ScriptFailedBeforeFinalAc = (5, 0x20, "script processing failed before final GENERATE AC"),
    ScriptFailedAfterFinalAc = (5, 0x10, "script processing failed after final GENERATE AC"),
}

named_bits! {
    /// Transaction status information, tag 9B: what the terminal performed.
    Tsi, 2, TsiBit,
    OfflineDataAuthentication = (1, 0x80, "offline data authentication was performed"),
    CardholderVerification = (1, 0x40, "cardholder verification was performed"),
    CardRiskManagement = (1, 0x20, "card risk management was performed"),
    IssuerAuthentication = (1, 0x10, "issuer authentication was performed"),
    TerminalRiskManagement = (1, 0x08, "terminal risk management was performed"),
    ScriptProcessing = (1, 0x04, "script processing was performed"),
}
