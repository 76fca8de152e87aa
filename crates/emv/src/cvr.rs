//! Card verification results: what the chip itself says it did, inside the issuer application data it signs. Visa's are
//! here, [`mchip`] and [`ccd`] have the others'.

pub mod ccd;
pub mod mchip;

/// Card verification results of Visa VSDC, 4 bytes: `03` and 3 bytes of bits.
///
/// | byte | bits | meaning |
/// |---|---|---|
/// | 1 | | length, always `03` |
/// | 2 | b8–b7 | cryptogram of the second GENERATE AC: 00 AAC, 01 TC, 10 not requested |
/// | 2 | b6–b5 | cryptogram of the first GENERATE AC: 00 AAC, 01 TC, 10 ARQC |
/// | 2 | b4 `08` | issuer authentication performed and failed |
/// | 2 | b3 `04` | **offline PIN verification performed** |
/// | 2 | b2 `02` | **offline PIN verification failed** |
/// | 2 | b1 `01` | unable to go online |
/// | 3 | b8 `80` | last online transaction not completed |
/// | 3 | b7 `40` | **PIN try limit exceeded** |
/// | 3 | b6 `20` | velocity counters exceeded |
/// | 3 | b5 `10` | new card |
/// | 3 | b4 `08` | issuer authentication failed on the last online transaction |
/// | 3 | b3 `04` | issuer authentication not performed after online authorisation |
/// | 3 | b2 `02` | application blocked because the PIN try limit was exceeded |
/// | 3 | b1 `01` | offline static data authentication failed on the last transaction |
/// | 4 | b8–b5 | **number of issuer script commands** received in the last transaction |
/// | 4 | b4 `08` | **issuer script processing failed** |
/// | 4 | b3 `04` | offline dynamic data authentication failed on the last transaction |
/// | 4 | b2 `02` | offline dynamic data authentication performed |
/// | 4 | b1 `01` | PIN verification command not received though the card expects a PIN |
///
/// Source: the field tables of openemv's emv-utils, the only public ones found; they call their Visa rows unverified.
/// The host and the simulator act on the bold rows alone. The published example `03A06010` fits all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cvr {
    /// Cryptogram returned to the second GENERATE AC.
    pub second_ac: SecondAc,
    /// Cryptogram returned to the first GENERATE AC.
    pub first_ac: FirstAc,
    /// Issuer authentication performed and failed.
    pub issuer_authentication_failed: bool,
    /// Offline PIN verification performed.
    pub offline_pin_performed: bool,
    /// Offline PIN verification failed.
    pub offline_pin_failed: bool,
    /// Unable to go online.
    pub unable_to_go_online: bool,
    /// Last online transaction not completed.
    pub last_online_not_completed: bool,
    /// PIN try limit exceeded.
    pub pin_try_limit_exceeded: bool,
    /// Velocity counters exceeded.
    pub velocity_exceeded: bool,
    /// New card.
    pub new_card: bool,
    /// Issuer authentication failed on the last online transaction.
    pub issuer_authentication_failed_last: bool,
    /// Issuer authentication not performed after online authorisation.
    pub issuer_authentication_not_performed: bool,
    /// Application blocked because the PIN try limit was exceeded.
    pub application_blocked_by_pin: bool,
    /// Offline static data authentication failed on the last transaction.
    pub sda_failed_last: bool,
    /// Issuer script commands received in the last transaction, 0 to 15 (more is written as 15).
    pub script_commands: u8,
    /// Issuer script processing failed.
    pub script_failed: bool,
    /// Offline dynamic data authentication failed on the last transaction.
    pub dda_failed_last: bool,
    /// Offline dynamic data authentication performed.
    pub dda_performed: bool,
    /// PIN verification command not received though the card expects a PIN.
    pub pin_not_presented: bool,
}

/// Cryptogram of the first GENERATE AC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirstAc {
    /// Declined.
    #[default]
    Aac,
    /// Approved offline.
    Tc,
    /// Asked to go online.
    Arqc,
    /// `11`, which has no meaning.
    Reserved,
}

/// Cryptogram of the second GENERATE AC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecondAc {
    /// Declined.
    #[default]
    Aac,
    /// Approved.
    Tc,
    /// Not requested (yet).
    NotRequested,
    /// `11`, which has no meaning.
    Reserved,
}

const CVR_LEN_BYTE: u8 = 0x03;

impl Cvr {
    /// What a chip reports when nothing has happened but a first GENERATE AC that asked to go online: `03A00000`.
    pub fn arqc() -> Self {
        Self::of_bits([0xA0, 0, 0])
    }

    /// Reads 4 bytes; `None` where the first is not `03`.
    ///
    /// ```
    /// let cvr = emv::cvr::Cvr::parse([0x03, 0xA0, 0x60, 0x10]).ok_or("not a Visa CVR")?;
    /// assert!(cvr.pin_try_limit_exceeded);
    /// assert_eq!(cvr.script_commands, 1);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn parse([len, bits @ ..]: [u8; 4]) -> Option<Self> {
        (len == CVR_LEN_BYTE).then(|| Self::of_bits(bits))
    }

    /// Offline PIN verified by the chip in this transaction: performed and not failed. Only as good as the cryptogram.
    pub fn offline_pin_verified(&self) -> bool {
        self.offline_pin_performed && !self.offline_pin_failed
    }

    /// Reads bytes 2 to 4, without the length.
    pub(crate) fn of_bits([second, third, fourth]: [u8; 3]) -> Self {
        let (second_ac, first_ac) = acs_of(second);
        Self {
            second_ac,
            first_ac,
            issuer_authentication_failed: second & 0x08 != 0,
            offline_pin_performed: second & 0x04 != 0,
            offline_pin_failed: second & 0x02 != 0,
            unable_to_go_online: second & 0x01 != 0,
            last_online_not_completed: third & 0x80 != 0,
            pin_try_limit_exceeded: third & 0x40 != 0,
            velocity_exceeded: third & 0x20 != 0,
            new_card: third & 0x10 != 0,
            issuer_authentication_failed_last: third & 0x08 != 0,
            issuer_authentication_not_performed: third & 0x04 != 0,
            application_blocked_by_pin: third & 0x02 != 0,
            sda_failed_last: third & 0x01 != 0,
            script_commands: fourth >> 4,
            script_failed: fourth & 0x08 != 0,
            dda_failed_last: fourth & 0x04 != 0,
            dda_performed: fourth & 0x02 != 0,
            pin_not_presented: fourth & 0x01 != 0,
        }
    }

    /// The 4 bytes.
    pub fn to_bytes(&self) -> [u8; 4] {
        let bit = |on: bool, mask: u8| if on { mask } else { 0 };
        let second = acs_in(self.second_ac, self.first_ac)
            | bit(self.issuer_authentication_failed, 0x08)
            | bit(self.offline_pin_performed, 0x04)
            | bit(self.offline_pin_failed, 0x02)
            | bit(self.unable_to_go_online, 0x01);
        let third = bit(self.last_online_not_completed, 0x80)
            | bit(self.pin_try_limit_exceeded, 0x40)
            | bit(self.velocity_exceeded, 0x20)
            | bit(self.new_card, 0x10)
            | bit(self.issuer_authentication_failed_last, 0x08)
            | bit(self.issuer_authentication_not_performed, 0x04)
            | bit(self.application_blocked_by_pin, 0x02)
            | bit(self.sda_failed_last, 0x01);
        let fourth = self.script_commands.min(15) << 4
            | bit(self.script_failed, 0x08)
            | bit(self.dda_failed_last, 0x04)
            | bit(self.dda_performed, 0x02)
            | bit(self.pin_not_presented, 0x01);
        [CVR_LEN_BYTE, second, third, fourth]
    }
}

/// Both cryptograms of a byte whose b8–b7 are the second's and b6–b5 the first's, as all three layouts have them.
fn acs_of(byte: u8) -> (SecondAc, FirstAc) {
    let second_ac = match byte >> 6 {
        0 => SecondAc::Aac,
        1 => SecondAc::Tc,
        2 => SecondAc::NotRequested,
        _ => SecondAc::Reserved,
    };
    let first_ac = match byte >> 4 & 0x03 {
        0 => FirstAc::Aac,
        1 => FirstAc::Tc,
        2 => FirstAc::Arqc,
        _ => FirstAc::Reserved,
    };
    (second_ac, first_ac)
}

/// The byte of [`acs_of`], its low nibble zero.
fn acs_in(second_ac: SecondAc, first_ac: FirstAc) -> u8 {
    let second_ac = match second_ac {
        SecondAc::Aac => 0,
        SecondAc::Tc => 1,
        SecondAc::NotRequested => 2,
        SecondAc::Reserved => 3,
    };
    let first_ac = match first_ac {
        FirstAc::Aac => 0,
        FirstAc::Tc => 1,
        FirstAc::Arqc => 2,
        FirstAc::Reserved => 3,
    };
    second_ac << 6 | first_ac << 4
}
