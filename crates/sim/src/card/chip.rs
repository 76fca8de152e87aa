//! The card's commands: which it takes when, and what each changes.
//!
//! ```text
//! SELECT -> GET PROCESSING OPTIONS -> READ RECORD…, VERIFY… -> GENERATE AC (ARQC) -> EXTERNAL AUTHENTICATE
//!        -> [script 71] -> GENERATE AC (TC or AAC) -> [script 72]
//! ```
//!
//! At a tap the transaction ends with the first cryptogram: no PIN, no issuer, no script.

use std::fmt;
use std::path::Path;

use emv::apdu::{
    CLA_84_SECURE_MESSAGING, Command, INS_20_VERIFY, INS_24_PIN_CHANGE_UNBLOCK, INS_82_EXTERNAL_AUTHENTICATE,
    INS_A4_SELECT, INS_A8_GET_PROCESSING_OPTIONS, INS_AE_GENERATE_AC, INS_B2_READ_RECORD, INS_CA_GET_DATA,
    P2_00_UNBLOCK, P2_02_CHANGE, P2_80_PLAINTEXT_PIN, Response, SW_6A80_WRONG_DATA, SW_6A82_FILE_NOT_FOUND,
    SW_6A83_RECORD_NOT_FOUND, SW_6A86_WRONG_PARAMETERS, SW_6A88_DATA_NOT_FOUND, SW_6D00_UNKNOWN_INSTRUCTION,
    SW_6E00_UNKNOWN_CLASS, SW_6300_AUTHENTICATION_FAILED, SW_6700_WRONG_LENGTH, SW_6983_PIN_BLOCKED,
    SW_6984_REFERENCE_INVALIDATED, SW_6985_CONDITIONS, SW_6988_SECURE_MESSAGING, SW_9000_OK, StatusWord,
};
use emv::csu::Csu;
use emv::cvr::{Cvr, FirstAc, SecondAc};
use emv::field55::CryptogramKind;
use emv::iad::{CVN_12_18, VisaIad};
use emv::tags::{
    TAG_9F10_IAD, TAG_9F13_LAST_ONLINE_ATC, TAG_9F17_PIN_TRY_COUNTER, TAG_9F26_APPLICATION_CRYPTOGRAM,
    TAG_9F27_CID, TAG_9F36_ATC, TAG_77_RESPONSE_FORMAT_2, TAG_82_AIP, TAG_94_AFL,
};
use emv::tlv::{Tag, put, put_template};
use paycrypto::arpc::{ArpcError, AuthenticAnswer, open_issuer_authentication_data};
use paycrypto::cryptogram::{AcInput, AcSession};
use paycrypto::pin::Pin;
use paycrypto::pinblock::decode_iso2;
use paycrypto::script::{PIN_UNBLOCK, ScriptContext, ScriptError, open_pin_change, verify_mac_only};

use super::perso::{CardFileError, Perso};
use super::records::{self, AFL, AIP_CONTACT, AIP_CONTACTLESS, NAME_PPSE};
use super::state::{ChipState, ScriptCount, StateFile};

/// Answer to reset: direct convention, no interface bytes (so T=0), 7 historical bytes (ISO/IEC 7816-3:2006 8.2).
pub const ATR: [u8; 9] = *b"\x3B\x07PINWARD";

/// Memory failure: the card's state couldn't be made durable, so nothing was done.
pub const SW_6581_MEMORY_FAILURE: StatusWord = StatusWord(0x6581);

/// Derivation key index, the first of its issuer.
const DKI: u8 = 1;

/// Transactions since the last issuer that the card reports as many (9F14, lower consecutive offline limit).
const TRANSACTIONS_OFFLINE_MAX: u16 = 10;

/// Between the card and the terminal: contacts or field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    Contact,
    Contactless,
}

/// A card with its memory.
pub struct Chip {
    perso: Perso,
    file: StateFile,
    state: ChipState,
    power: Option<Power>,
}

/// What is forgotten when the power goes.
struct Power {
    interface: Interface,
    selected: bool,
    transaction: Option<Transaction>,
}

/// One transaction, from GET PROCESSING OPTIONS on.
struct Transaction {
    stage: Stage,
    pin: PinVerification,
    issuer: IssuerAuthentication,
    arqc: [u8; 8],
    /// Keys of the cryptograms. Version 18 takes no unpredictable number into them.
    session: AcSession,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Initiated,
    OnlineRequested,
    Completed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PinVerification {
    NotPerformed,
    Failed,
    Passed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IssuerAuthentication {
    NotPerformed,
    Failed,
    Passed(Csu),
}

/// Data of an answer with status 9000, or another status.
type Answer = Result<Vec<u8>, StatusWord>;

impl Chip {
    /// A card from its two files: `<card>.perso.json` and its memory, which begins at the first change.
    pub fn open(perso_path: &Path, state_path: &Path) -> Result<Self, CardFileError> {
        let perso = Perso::read(perso_path)?;
        let (file, state) = StateFile::open(state_path, &perso)?;
        Ok(Self {
            perso,
            file,
            state,
            power: None,
        })
    }

    /// Puts the card into a reader or a field; cuts the power first where it was on. Gives the answer to reset.
    pub fn power_on(&mut self, interface: Interface) -> [u8; 9] {
        self.power = Some(Power {
            interface,
            selected: false,
            transaction: None,
        });
        ATR
    }

    /// Takes the card out. Whatever was not made durable is forgotten.
    pub fn power_off(&mut self) {
        self.power = None;
    }

    /// Who the card is, as its bureau wrote it.
    #[must_use]
    pub fn perso(&self) -> &Perso {
        &self.perso
    }

    /// What the card remembers: for a view of the simulated card, which no terminal has.
    #[must_use]
    pub fn state(&self) -> &ChipState {
        &self.state
    }

    /// Answers one command APDU. What the command changed is durable before this returns.
    ///
    /// Gives at least 2 bytes; none where the card has no power.
    pub fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        let Some(mut power) = self.power.take() else {
            return Vec::new();
        };
        let answer = match Command::parse(apdu) {
            Ok(command) => self.perform(&mut power, &command),
            Err(_) => Err(SW_6700_WRONG_LENGTH),
        };
        self.power = Some(power);
        let (data, status) = match &answer {
            Ok(data) => (data.as_slice(), SW_9000_OK),
            Err(status) => (&[][..], *status),
        };
        Response { data, status }.to_bytes()
    }

    fn perform(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        match (command.cla, command.ins) {
            (0x00, INS_A4_SELECT) => self.select(power, command),
            (0x80, INS_A8_GET_PROCESSING_OPTIONS) => self.get_processing_options(power, command),
            (0x00, INS_B2_READ_RECORD) => self.read_record(power, command),
            (0x80, INS_CA_GET_DATA) => self.get_data(power, command),
            (0x00, INS_20_VERIFY) => self.verify(power, command),
            (0x80, INS_AE_GENERATE_AC) => self.generate_ac(power, command),
            (0x00, INS_82_EXTERNAL_AUTHENTICATE) => self.external_authenticate(power, command),
            (CLA_84_SECURE_MESSAGING, INS_24_PIN_CHANGE_UNBLOCK) => self.pin_change_unblock(power, command),
            (0x00 | 0x80 | CLA_84_SECURE_MESSAGING, _) => Err(SW_6D00_UNKNOWN_INSTRUCTION),
            _ => Err(SW_6E00_UNKNOWN_CLASS),
        }
    }

    /// By name; the name may be the beginning of the application's (EMV Book 1 12.3.1).
    fn select(&self, power: &mut Power, command: &Command<'_>) -> Answer {
        if (command.p1, command.p2) != (0x04, 0x00) {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        power.transaction = None;
        power.selected = command.data.len() >= 5 && self.perso.aid.starts_with(command.data);
        if power.selected {
            return Ok(records::application(&self.perso));
        }
        if power.interface == Interface::Contactless && command.data == NAME_PPSE {
            return Ok(records::directory(&self.perso));
        }
        Err(SW_6A82_FILE_NOT_FOUND)
    }

    /// Begins a transaction: counts it, and moves what the last one's scripts did into the report.
    fn get_processing_options(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        if (command.p1, command.p2) != (0, 0) {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        if !power.selected || power.transaction.is_some() {
            return Err(SW_6985_CONDITIONS);
        }
        if command.data != [0x83, 0x00] {
            return Err(SW_6A80_WRONG_DATA);
        }
        let mut state = self.state.clone();
        state.atc = state.atc.checked_add(1).ok_or(SW_6985_CONDITIONS)?;
        state.scripts = state.scripts.and(state.scripts_now);
        state.scripts_now = ScriptCount::default();
        self.remember(state)?;
        power.transaction = Some(Transaction {
            stage: Stage::Initiated,
            pin: PinVerification::NotPerformed,
            issuer: IssuerAuthentication::NotPerformed,
            arqc: [0; 8],
            session: self.session(),
        });
        let aip = aip(power.interface);
        Ok(template(&[(TAG_82_AIP, &aip), (TAG_94_AFL, &AFL)]))
    }

    fn session(&self) -> AcSession {
        let keys = &self.perso.keys;
        let session = AcSession::new(keys.cvn(), keys.ac(), self.state.atc, [0; 4]);
        session.expect("card keys are of their version's algorithm")
    }

    fn read_record(&self, power: &Power, command: &Command<'_>) -> Answer {
        if !power.selected {
            return Err(SW_6985_CONDITIONS);
        }
        if command.p2 & 0x07 != 0x04 {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        records::record(&self.perso, power.interface, command.p2 >> 3, command.p1)
            .ok_or(SW_6A83_RECORD_NOT_FOUND)
    }

    fn get_data(&self, power: &Power, command: &Command<'_>) -> Answer {
        if !power.selected {
            return Err(SW_6985_CONDITIONS);
        }
        let mut out = Vec::new();
        match (command.p1, command.p2) {
            (0x9F, 0x36) => put(&mut out, TAG_9F36_ATC, &self.state.atc.to_be_bytes()),
            (0x9F, 0x13) => put(
                &mut out,
                TAG_9F13_LAST_ONLINE_ATC,
                &self.state.last_online_atc.to_be_bytes(),
            ),
            (0x9F, 0x17) => put(&mut out, TAG_9F17_PIN_TRY_COUNTER, &[self.tries_to_offer()]),
            _ => return Err(SW_6A88_DATA_NOT_FOUND),
        }
        Ok(out)
    }

    /// A card without a PIN offers no try, so that a terminal asks for none.
    fn tries_to_offer(&self) -> u8 {
        self.state.pin.as_ref().map_or(0, |_| self.state.pin_tries_left)
    }

    /// Plaintext PIN, format 2. The try is charged, durably, before the PIN is looked at; a block that isn't one costs
    /// nothing and says nothing.
    fn verify(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        let transaction = at_contacts(power)
            .filter(|transaction| transaction.stage == Stage::Initiated)
            .ok_or(SW_6985_CONDITIONS)?;
        if (command.p1, command.p2) != (0, P2_80_PLAINTEXT_PIN) {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        let block = command.data.try_into().map_err(|_| SW_6700_WRONG_LENGTH)?;
        let reference = self.state.pin.clone().ok_or(SW_6984_REFERENCE_INVALIDATED)?;
        if self.state.pin_tries_left == 0 {
            return Err(SW_6983_PIN_BLOCKED);
        }
        let presented = decode_iso2(block).map_err(|_| SW_6A80_WRONG_DATA)?;
        let mut charged = self.state.clone();
        charged.pin_tries_left -= 1;
        self.remember(charged)?;
        if presented != reference {
            transaction.pin = PinVerification::Failed;
            return Err(StatusWord::wrong_pin(self.state.pin_tries_left));
        }
        let mut refunded = self.state.clone();
        refunded.pin_tries_left = self.perso.pin_try_limit;
        self.remember(refunded)?;
        transaction.pin = PinVerification::Passed;
        Ok(Vec::new())
    }

    fn generate_ac(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        let asked = CryptogramKind::from_cid(command.p1)
            .filter(|kind| kind.code() == command.p1 && command.p2 == 0)
            .ok_or(SW_6A86_WRONG_PARAMETERS)?;
        let interface = power.interface;
        let transaction = power.transaction.as_mut().ok_or(SW_6985_CONDITIONS)?;
        match transaction.stage {
            Stage::Initiated => self.first_ac(transaction, interface, asked, command.data),
            Stage::OnlineRequested if interface == Interface::Contact => {
                self.second_ac(transaction, asked, command.data)
            }
            Stage::OnlineRequested | Stage::Completed => Err(SW_6985_CONDITIONS),
        }
    }

    /// The card never approves by itself: where the terminal would, it asks to go online.
    fn first_ac(
        &mut self,
        transaction: &mut Transaction,
        interface: Interface,
        asked: CryptogramKind,
        values: &[u8],
    ) -> Answer {
        let (kind, first_ac) = match asked {
            CryptogramKind::Aac => (CryptogramKind::Aac, FirstAc::Aac),
            CryptogramKind::Tc | CryptogramKind::Arqc => (CryptogramKind::Arqc, FirstAc::Arqc),
        };
        let cvr = Cvr {
            first_ac,
            second_ac: SecondAc::NotRequested,
            ..self.report(transaction)
        };
        let (answer, arqc) = self.cryptogram(&transaction.session, kind, cvr, values, aip(interface))?;
        if kind == CryptogramKind::Arqc && interface == Interface::Contact {
            let mut state = self.state.clone();
            state.online_not_completed = true;
            self.remember(state)?;
        }
        transaction.arqc = arqc;
        transaction.stage = match kind {
            CryptogramKind::Arqc => Stage::OnlineRequested,
            CryptogramKind::Aac | CryptogramKind::Tc => Stage::Completed,
        };
        Ok(answer)
    }

    /// Approves only where the terminal asks for it and an authenticated issuer approved. With an authenticated issuer,
    /// the online transaction has ended well: the issuer has seen what was reported, and its update is applied.
    fn second_ac(&mut self, transaction: &mut Transaction, asked: CryptogramKind, values: &[u8]) -> Answer {
        let (_response_code, values) = values.split_at_checked(2).ok_or(SW_6700_WRONG_LENGTH)?;
        let approved = matches!(transaction.issuer, IssuerAuthentication::Passed(csu) if csu.approved);
        let (kind, second_ac) = match asked {
            CryptogramKind::Tc if approved => (CryptogramKind::Tc, SecondAc::Tc),
            CryptogramKind::Tc | CryptogramKind::Aac => (CryptogramKind::Aac, SecondAc::Aac),
            CryptogramKind::Arqc => return Err(SW_6A86_WRONG_PARAMETERS),
        };
        let cvr = Cvr {
            first_ac: FirstAc::Arqc,
            second_ac,
            ..self.report(transaction)
        };
        let (answer, _) = self.cryptogram(&transaction.session, kind, cvr, values, AIP_CONTACT)?;
        if let IssuerAuthentication::Passed(csu) = transaction.issuer {
            let mut state = self.state.clone();
            state.scripts = ScriptCount::default();
            state.online_not_completed = false;
            state.issuer_authentication_failed = false;
            state.last_online_atc = state.atc;
            if let Some(tries) = csu.pin_try_counter {
                state.pin_tries_left = tries.min(self.perso.pin_try_limit);
            }
            self.remember(state)?;
        }
        transaction.stage = Stage::Completed;
        Ok(answer)
    }

    /// What the card says it did, but for the cryptograms.
    fn report(&self, transaction: &Transaction) -> Cvr {
        let scripts = self.state.scripts.and(self.state.scripts_now);
        Cvr {
            issuer_authentication_failed: transaction.issuer == IssuerAuthentication::Failed,
            offline_pin_performed: transaction.pin != PinVerification::NotPerformed,
            offline_pin_failed: transaction.pin == PinVerification::Failed,
            last_online_not_completed: self.state.online_not_completed
                && transaction.stage == Stage::Initiated,
            velocity_exceeded: self.state.atc.saturating_sub(self.state.last_online_atc)
                > TRANSACTIONS_OFFLINE_MAX,
            pin_try_limit_exceeded: self.state.is_pin_blocked(),
            new_card: self.state.last_online_atc == 0,
            issuer_authentication_failed_last: self.state.issuer_authentication_failed,
            script_commands: scripts.commands,
            script_failed: scripts.failed,
            pin_not_presented: self.state.pin.is_some() && transaction.pin == PinVerification::NotPerformed,
            ..Cvr::arqc()
        }
    }

    fn cryptogram(
        &self,
        session: &AcSession,
        kind: CryptogramKind,
        cvr: Cvr,
        values: &[u8],
        aip: [u8; 2],
    ) -> Result<(Vec<u8>, [u8; 8]), StatusWord> {
        let iad = VisaIad {
            dki: DKI,
            cvn: CVN_12_18,
            cvr,
            issuer_data: &[],
        }
        .to_bytes();
        let atc = self.state.atc;
        let input = ac_input(values, aip, atc, &iad).ok_or(SW_6700_WRONG_LENGTH)?;
        let ac = session
            .generate(&input)
            .expect("version 18 takes issuer application data as it is");
        let answer = template(&[
            (TAG_9F27_CID, &[kind.code()]),
            (TAG_9F36_ATC, &atc.to_be_bytes()),
            (TAG_9F26_APPLICATION_CRYPTOGRAM, &ac),
            (TAG_9F10_IAD, &iad),
        ]);
        Ok((answer, ac))
    }

    /// Once per transaction, after the ARQC.
    fn external_authenticate(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        let transaction = at_contacts(power)
            .filter(|transaction| transaction.stage == Stage::OnlineRequested)
            .filter(|transaction| transaction.issuer == IssuerAuthentication::NotPerformed)
            .ok_or(SW_6985_CONDITIONS)?;
        if (command.p1, command.p2) != (0, 0) {
            return Err(SW_6A86_WRONG_PARAMETERS);
        }
        match open_issuer_authentication_data(&transaction.session, transaction.arqc, command.data) {
            Ok(AuthenticAnswer::Csu { csu, .. }) => {
                transaction.issuer = IssuerAuthentication::Passed(Csu::from_bytes(csu));
                return Ok(Vec::new());
            }
            Err(ArpcError::Length) => return Err(SW_6700_WRONG_LENGTH),
            Ok(AuthenticAnswer::ResponseCode(_)) | Err(ArpcError::Arpc) => {}
        }
        transaction.issuer = IssuerAuthentication::Failed;
        let mut state = self.state.clone();
        state.issuer_authentication_failed = true;
        self.remember(state)?;
        Err(SW_6300_AUTHENTICATION_FAILED)
    }

    /// Only for an issuer that was authenticated in this transaction. Every command let this far is counted, and one
    /// that fails is remembered as failed.
    fn pin_change_unblock(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        let transaction = at_contacts(power)
            .filter(|transaction| matches!(transaction.issuer, IssuerAuthentication::Passed(_)))
            .ok_or(SW_6985_CONDITIONS)?;
        let mut state = self.state.clone();
        let performed = self.perform_script(transaction.arqc, command, &mut state);
        state.scripts_now = state.scripts_now.and(ScriptCount {
            commands: 1,
            failed: performed.is_err(),
        });
        self.remember(state)?;
        performed.map(|()| Vec::new())
    }

    /// Checks the MAC with this transaction's ATC and ARQC, changes the PIN (P2 01 or 02) and resets its tries.
    fn perform_script(
        &self,
        arqc: [u8; 8],
        command: &Command<'_>,
        state: &mut ChipState,
    ) -> Result<(), StatusWord> {
        let keys = &self.perso.keys;
        let context = ScriptContext::first(state.atc, arqc);
        let bytes = Command { le: None, ..*command }.to_bytes();
        let bytes = bytes.map_err(|_| SW_6700_WRONG_LENGTH)?;
        let refused = |refusal| match refusal {
            ScriptError::Header => SW_6A86_WRONG_PARAMETERS,
            ScriptError::Mac => SW_6988_SECURE_MESSAGING,
            ScriptError::Data => SW_6A80_WRONG_DATA,
        };
        if command.p2 == P2_00_UNBLOCK {
            verify_mac_only(keys, context, PIN_UNBLOCK, &bytes).map_err(refused)?;
        } else {
            let current = match &state.pin {
                Some(pin) => pin.clone(),
                None if command.p2 == P2_02_CHANGE => no_current_pin(),
                None => return Err(SW_6984_REFERENCE_INVALIDATED),
            };
            let new = open_pin_change(keys, context, &bytes, &current).map_err(refused)?;
            state.pin = Some(new);
        }
        state.pin_tries_left = self.perso.pin_try_limit;
        Ok(())
    }

    /// Makes a new state durable, then the card's own.
    fn remember(&mut self, state: ChipState) -> Result<(), StatusWord> {
        if state != self.state {
            self.file.save(&state).map_err(|_| SW_6581_MEMORY_FAILURE)?;
            self.state = state;
        }
        Ok(())
    }
}

/// The transaction under way, where the card is at its contacts.
fn at_contacts(power: &mut Power) -> Option<&mut Transaction> {
    let contact = power.interface == Interface::Contact;
    power.transaction.as_mut().filter(|_| contact)
}

/// The values of CDOL1 ([`records::CDOL1`]), in its order; `None` for another number of bytes.
fn ac_input<'a>(values: &[u8], aip: [u8; 2], atc: u16, iad: &'a [u8]) -> Option<AcInput<'a>> {
    let (&amount, rest) = values.split_first_chunk()?;
    let (&amount_other, rest) = rest.split_first_chunk()?;
    let (&terminal_country, rest) = rest.split_first_chunk()?;
    let (&tvr, rest) = rest.split_first_chunk()?;
    let (&currency, rest) = rest.split_first_chunk()?;
    let (&date, rest) = rest.split_first_chunk()?;
    let (&[transaction_type], rest) = rest.split_first_chunk()?;
    Some(AcInput {
        amount,
        amount_other,
        terminal_country,
        tvr,
        currency,
        date,
        transaction_type,
        unpredictable_number: rest.try_into().ok()?,
        aip,
        atc,
        iad,
    })
}

/// Stands where a card has no PIN yet: a change without the current PIN doesn't look at it.
fn no_current_pin() -> Pin {
    Pin::from_digits(&[0; 4]).expect("four digits are a PIN")
}

fn aip(interface: Interface) -> [u8; 2] {
    match interface {
        Interface::Contact => AIP_CONTACT,
        Interface::Contactless => AIP_CONTACTLESS,
    }
}

fn template(objects: &[(Tag, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    put_template(&mut out, TAG_77_RESPONSE_FORMAT_2, |content| {
        for (tag, value) in objects {
            put(content, *tag, value);
        }
    });
    out
}

impl fmt::Debug for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chip({:?}, {:?})", self.perso, self.state)
    }
}
