//! A chip of any profile reduced to what it computes: its cryptogram and report, and what it makes of the issuer's
//! answer. For a card with commands and files see [`super::terminal`].

use cards::{Pan, Scheme};
use emv::{
    bits::Tvr,
    csu::Csu,
    cvm::CvmResults,
    cvr::{
        Cvr, FirstAc, SecondAc,
        ccd::{CcdCvr, CcdCvrBit},
        mchip::{MChipCvr, MChipCvrBit},
    },
    field55::{CryptogramKind, Field55},
    iad::{CCI_A5_TDES, CCI_A6_AES, CcdIad, InteracIad, MChipIad, VisaIad},
    tags::TAG_91_ISSUER_AUTHENTICATION_DATA,
    tlv,
};
use paycrypto::{
    arpc::{AuthenticAnswer, open_issuer_authentication_data},
    cryptogram::{AcInput, AcSession},
    icc_keys::CardKeys,
    pin::Pin,
    script::{PIN_UNBLOCK, ScriptContext, open_pin_change, verify_mac_only},
};

use super::{chip_keys, psn, terminal};

/// A card's chip.
pub(crate) struct BareChip {
    scheme: Scheme,
    keys: CardKeys,
    pub(crate) atc: u16,
    pub(crate) pin: String,
    /// Script commands that it reports: received, with CCD performed.
    pub(crate) script_commands: u8,
    /// It reports that one of them failed.
    pub(crate) script_failed: bool,
    /// One of them changed the PIN, which M/Chip reports too.
    pub(crate) pin_changed: bool,
    pub(crate) pin_blocked: bool,
}

/// How the terminal goes about it.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) amount: [u8; 6],
    /// 5F2A.
    pub(crate) currency: [u8; 2],
    pub(crate) unpredictable_number: Option<[u8; 4]>,
    /// 9F39.
    pub(crate) entry_mode: Option<u8>,
    /// Data objects beside those of every terminal, BER-TLV.
    pub(crate) beside: &'static [u8],
    /// 9F34.
    pub(crate) claim: [u8; 3],
    /// The chip was given its PIN.
    pub(crate) offline_pin: bool,
    pub(crate) kind: CryptogramKind,
}

/// The chip inserted for nothing, and no PIN keyed.
pub(crate) const INSERTED: Manner = Manner {
    amount: [0; 6],
    currency: [0x09, 0x78],
    unpredictable_number: None,
    entry_mode: Some(0x05),
    beside: &[],
    claim: terminal::CLAIMS_NOTHING,
    offline_pin: false,
    kind: CryptogramKind::Arqc,
};

/// What the chip said in one transaction.
pub(crate) struct Spoken {
    pub(crate) field_55: Vec<u8>,
    pub(crate) atc: u16,
    arqc: [u8; 8],
    session: AcSession,
}

/// What the issuer's answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) approved: bool,
    pub(crate) tries_set: Option<u8>,
    pub(crate) commands: usize,
}

impl BareChip {
    pub(crate) fn new(scheme: Scheme, pan: &Pan, pin: &str) -> Self {
        Self {
            scheme,
            keys: chip_keys(scheme, pan),
            atc: 0,
            pin: pin.to_owned(),
            script_commands: 0,
            script_failed: false,
            pin_changed: false,
            pin_blocked: false,
        }
    }

    /// The next transaction's cryptogram.
    pub(crate) fn speak(&mut self, manner: Manner) -> Spoken {
        self.atc += 1;
        let iad = self.issuer_application_data(manner.offline_pin);
        let [high, low] = self.atc.to_be_bytes();
        let unpredictable_number = manner.unpredictable_number.unwrap_or([0x5A, 0xC0, high, low]);
        let input = AcInput {
            amount: manner.amount,
            amount_other: [0; 6],
            terminal_country: [0x03, 0x72],
            tvr: [0; 5],
            currency: manner.currency,
            date: [0x27, 0x01, 0x15],
            transaction_type: 0,
            unpredictable_number,
            aip: [0x18, 0x00],
            atc: self.atc,
            iad: &iad,
        };
        let session = AcSession::new(
            self.keys.profile(),
            self.keys.ac(),
            self.atc,
            unpredictable_number,
        )
        .unwrap();
        let arqc = session.generate(&input).unwrap();
        let field55 = Field55 {
            cryptogram: arqc,
            cid: manner.kind.code(),
            iad: &iad,
            unpredictable_number,
            atc: self.atc.to_be_bytes(),
            tvr: Tvr(input.tvr),
            date: input.date,
            transaction_type: input.transaction_type,
            amount: input.amount,
            amount_other: input.amount_other,
            currency: input.currency,
            aip: input.aip,
            terminal_country: input.terminal_country,
            cvm_results: Some(CvmResults::from_bytes(manner.claim)),
            terminal_type: None,
            psn: Some(psn().number()),
            entry_mode: manner.entry_mode,
            script_results: None,
            pan: None,
            track_2: None,
        };
        Spoken {
            field_55: [&field55.to_bytes(), manner.beside].concat(),
            atc: self.atc,
            arqc,
            session,
        }
    }

    /// Authenticates the issuer and performs the script. Panics where the answer is not for this transaction.
    pub(crate) fn take(&mut self, spoken: &Spoken, answer: &[u8]) -> Taken {
        self.take_until(spoken, answer, usize::MAX)
    }

    /// The same, but pulled out after so many commands.
    pub(crate) fn take_until(&mut self, spoken: &Spoken, answer: &[u8], commands_max: usize) -> Taken {
        let (approved, tries_set, mut commands) = self.authenticate(spoken, answer);
        commands.truncate(commands_max);
        let mut context = ScriptContext::first(spoken.atc, spoken.arqc);
        for command in &commands {
            self.perform(context, command);
            context = context.after(&self.keys, command);
            self.script_commands += 1;
            self.pin_blocked = false;
        }
        Taken {
            approved,
            tries_set,
            commands: commands.len(),
        }
    }

    /// The same, but pulled out while it performed the first command, where there is one: received, neither done nor failed.
    pub(crate) fn take_torn(&mut self, spoken: &Spoken, answer: &[u8]) {
        let (_, _, commands) = self.authenticate(spoken, answer);
        self.script_commands += u8::from(!commands.is_empty());
    }

    /// The same, but with one bit of the script's first command changed, where there is one: the chip refuses it, and an
    /// honest terminal goes no further.
    pub(crate) fn take_spoiled(&mut self, spoken: &Spoken, answer: &[u8], bit: usize) {
        let (_, _, mut commands) = self.authenticate(spoken, answer);
        let Some(command) = commands.first_mut() else {
            return;
        };
        let body = &mut command[5..];
        let bit = bit % (body.len() * 8);
        body[bit / 8] ^= 1 << (bit % 8);
        let context = ScriptContext::first(spoken.atc, spoken.arqc);
        let current = Pin::parse(&self.pin).unwrap();
        assert!(verify_mac_only(&self.keys, context, PIN_UNBLOCK, command).is_err());
        assert!(open_pin_change(&self.keys, context, command, &current).is_err());
        self.script_failed = true;
        let counts_successes = matches!(self.scheme, Scheme::CcdTdes | Scheme::CcdAes);
        self.script_commands += u8::from(!counts_successes);
    }

    /// Ends the report, as an authenticated issuer has seen it. Gives what the issuer decided, and its script.
    fn authenticate(&mut self, spoken: &Spoken, answer: &[u8]) -> (bool, Option<u8>, Vec<Vec<u8>>) {
        let tag_91 = tlv::find(answer, TAG_91_ISSUER_AUTHENTICATION_DATA)
            .unwrap()
            .unwrap();
        let (approved, tries_set) =
            match open_issuer_authentication_data(&spoken.session, spoken.arqc, tag_91) {
                Ok(AuthenticAnswer::ResponseCode(code)) => (matches!(&code, b"00" | [0x00, 0x10]), None),
                Ok(AuthenticAnswer::Csu { csu, .. }) => {
                    let csu = Csu::from_bytes(csu);
                    (csu.approved, csu.pin_try_counter)
                }
                Err(error) => panic!("{:?}: {error}", self.scheme),
            };
        self.pin_blocked &= tries_set.is_none();
        self.forget_report();
        let commands = terminal::script(answer).map_or_else(Vec::new, |script| script.commands);
        (approved, tries_set, commands)
    }

    /// Reports no script any more.
    pub(crate) fn forget_report(&mut self) {
        (self.script_commands, self.script_failed, self.pin_changed) = (0, false, false);
    }

    fn perform(&mut self, context: ScriptContext, command: &[u8]) {
        if verify_mac_only(&self.keys, context, PIN_UNBLOCK, command).is_ok() {
            return;
        }
        let current = Pin::parse(&self.pin).unwrap();
        let new = open_pin_change(&self.keys, context, command, &current)
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.scheme));
        self.pin_changed = true;
        self.pin = new
            .expose_digits()
            .iter()
            .map(|digit| char::from(b'0' + digit))
            .collect();
    }

    fn issuer_application_data(&self, offline_pin: bool) -> Vec<u8> {
        let visa = Cvr {
            offline_pin_performed: offline_pin,
            pin_try_limit_exceeded: self.pin_blocked,
            script_commands: self.script_commands,
            script_failed: self.script_failed,
            ..Cvr::arqc()
        };
        let of_visa = |cvn| {
            VisaIad {
                dki: 1,
                cvn,
                cvr: visa,
                issuer_data: &[],
            }
            .to_bytes()
        };
        match self.scheme {
            Scheme::VisaCvn10 | Scheme::AmexUnverified => of_visa(0x0A),
            Scheme::VisaCvn18 => of_visa(0x12),
            Scheme::VisaCvn22 => of_visa(0x16),
            Scheme::MastercardCvn16 => self.mchip(0x10, offline_pin),
            Scheme::MastercardCvn17 => self.mchip(0x11, offline_pin),
            Scheme::MastercardCvn20 => self.mchip(0x14, offline_pin),
            Scheme::MastercardCvn21 => self.mchip(0x15, offline_pin),
            Scheme::Emv2000 => self.mchip(0x12, offline_pin),
            Scheme::InteracCvn133 => InteracIad {
                dki: 1,
                cvn: 0x85,
                cvr: visa,
                cvr_byte_4: 0,
                issuer_data: &[0; 14],
            }
            .to_bytes(),
            Scheme::CcdTdes => self.ccd(CCI_A5_TDES, offline_pin),
            Scheme::CcdAes => self.ccd(CCI_A6_AES, offline_pin),
        }
    }

    fn mchip(&self, cvn: u8, offline_pin: bool) -> Vec<u8> {
        let mut cvr =
            MChipCvr::of_acs(SecondAc::NotRequested, FirstAc::Arqc).with_counters(self.script_commands, 3);
        let bits = [
            (MChipCvrBit::OfflinePinPerformed, offline_pin),
            (MChipCvrBit::OfflinePinSuccessful, offline_pin),
            (MChipCvrBit::PinTryLimitExceeded, self.pin_blocked),
            (MChipCvrBit::ScriptReceived, self.script_commands > 0),
            (MChipCvrBit::ScriptFailed, self.script_failed),
            (MChipCvrBit::OfflinePinChangeSuccessful, self.pin_changed),
        ];
        for (bit, _) in bits.into_iter().filter(|(_, on)| *on) {
            cvr = cvr.with(bit);
        }
        MChipIad {
            dki: 1,
            cvn,
            cvr,
            dac: [0; 2],
            counters: &[0; 8],
        }
        .to_bytes()
    }

    fn ccd(&self, cci: u8, offline_pin: bool) -> Vec<u8> {
        let mut cvr =
            CcdCvr::of_acs(SecondAc::NotRequested, FirstAc::Arqc).with_counters(self.script_commands, 3);
        let bits = [
            (CcdCvrBit::OfflinePinPerformed, offline_pin),
            (CcdCvrBit::PinTryLimitExceeded, self.pin_blocked),
            (CcdCvrBit::ScriptFailed, self.script_failed),
        ];
        for (bit, _) in bits.into_iter().filter(|(_, on)| *on) {
            cvr = cvr.with(bit);
        }
        CcdIad {
            cci,
            dki: 1,
            cvr,
            counters: [0; 8],
            issuer_data: [0; 15],
        }
        .to_bytes()
    }
}
