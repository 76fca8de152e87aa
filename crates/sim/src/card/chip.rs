//! The card's commands: which it takes when, and what each changes.
//!
//! ```text
//! SELECT -> GET PROCESSING OPTIONS -> READ RECORD…, INTERNAL AUTHENTICATE, VERIFY… -> GENERATE AC (ARQC)
//!        -> [EXTERNAL AUTHENTICATE] -> [script 71] -> GENERATE AC (TC or AAC) -> [script 72]
//! ```
//!
//! At a tap the transaction ends with the first cryptogram: no PIN, no issuer, no script.
//!
//! | file | holds |
//! |---|---|
//! | `selection` | SELECT, GET PROCESSING OPTIONS, READ RECORD, GET DATA |
//! | `pin` | VERIFY, GET CHALLENGE |
//! | `cryptograms` | both GENERATE AC, EXTERNAL AUTHENTICATE |
//! | `signatures` | INTERNAL AUTHENTICATE, signed cryptograms |
//! | `scripts` | PIN CHANGE/UNBLOCK |

use std::fmt;
use std::path::Path;

use emv::apdu::{
    Command, INS_20_VERIFY, INS_24_PIN_CHANGE_UNBLOCK, INS_82_EXTERNAL_AUTHENTICATE, INS_84_GET_CHALLENGE,
    INS_88_INTERNAL_AUTHENTICATE, INS_A4_SELECT, INS_A8_GET_PROCESSING_OPTIONS, INS_AE_GENERATE_AC,
    INS_B2_READ_RECORD, INS_CA_GET_DATA, Response, SW_6D00_UNKNOWN_INSTRUCTION, SW_6E00_UNKNOWN_CLASS,
    SW_6700_WRONG_LENGTH, SW_9000_OK, StatusWord,
};
use emv::cvr::FirstAc;
use emv::tags::TAG_77_RESPONSE_FORMAT_2;
use emv::tlv::{Tag, put, put_template};
use paycrypto::cryptogram::AcSession;
use paycrypto::script::ScriptContext;

use super::perso::{CardFileError, Perso};
use super::report::PinVerification;
use super::state::{ChipState, StateFile};
use super::tear::{Ordered, Tear};

mod cryptograms;
mod pin;
#[cfg(test)]
mod published_tests;
mod scripts;
mod selection;
mod signatures;

/// Answer to reset: direct convention, no interface bytes (so T=0), 7 historical bytes (ISO/IEC 7816-3:2006 8.2).
pub const ATR: [u8; 9] = *b"\x3B\x07PINWARD";

/// Memory failure: the card's state couldn't be made durable, so nothing was done.
pub const SW_6581_MEMORY_FAILURE: StatusWord = StatusWord(0x6581);

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
    tear: Option<Ordered>,
}

/// What is forgotten when the power goes.
struct Power {
    interface: Interface,
    selected: Selected,
    transaction: Option<Transaction>,
    /// Answer to the last GET CHALLENGE, until it is used.
    challenge: Option<[u8; 8]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Selected {
    Nothing,
    /// The directory of the contacts, which has a record to read.
    Pse,
    Application,
}

/// One transaction, from GET PROCESSING OPTIONS on.
struct Transaction {
    stage: Stage,
    pin: PinVerification,
    pin_enciphered: bool,
    /// The card's dynamic number, where it was asked to sign one before the first cryptogram.
    dynamic_number: Option<[u8; 8]>,
    issuer: IssuerAuthentication,
    /// From the first GENERATE AC on.
    first: Option<FirstCryptogram>,
}

/// What the first GENERATE AC leaves behind.
struct FirstCryptogram {
    kind: FirstAc,
    session: AcSession,
    /// Values of CDOL1.
    values: Vec<u8>,
    ac: [u8; 8],
    /// What the next script command's MAC depends on.
    script: ScriptContext,
    /// Script commands performed.
    scripts_performed: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Initiated,
    OnlineRequested,
    Completed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IssuerAuthentication {
    NotPerformed,
    Failed,
    Passed(IssuerDecision),
}

/// What an authenticated issuer told the card.
#[derive(Clone, Copy, PartialEq, Eq)]
struct IssuerDecision {
    approved: bool,
    /// What to set the PIN try counter to; only a card status update can say.
    pin_tries: Option<u8>,
    /// The next transaction has to go online; only a card status update can say.
    go_online_next: Option<bool>,
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
            tear: None,
        })
    }

    /// Puts the card into a reader or a field; cuts the power first where it was on. Gives the answer to reset.
    pub fn power_on(&mut self, interface: Interface) -> [u8; 9] {
        self.power = Some(Power {
            interface,
            selected: Selected::Nothing,
            transaction: None,
            challenge: None,
        });
        ATR
    }

    /// Takes the card out. Whatever was not made durable is forgotten.
    pub fn power_off(&mut self) {
        self.power = None;
    }

    /// Has the power cut at a moment from now on, whoever sends commands then. Once: afterwards the card takes power again.
    pub fn tear(&mut self, tear: Tear) {
        self.tear = Some(Ordered::new(tear));
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
    /// Gives at least 2 bytes; none where the card has no power, or loses it before the whole answer is out.
    pub fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        let Some(mut power) = self.power.take() else {
            return Vec::new();
        };
        if self
            .tear
            .as_mut()
            .is_some_and(|tear| tear.cuts_command(apdu.len()))
        {
            self.tear = None;
            return Vec::new();
        }
        let answer = match Command::parse(apdu) {
            Ok(command) => self.perform(&mut power, &command),
            Err(_) => Err(SW_6700_WRONG_LENGTH),
        };
        let (data, status) = match &answer {
            Ok(data) => (data.as_slice(), SW_9000_OK),
            Err(status) => (&[][..], *status),
        };
        let answer = Response { data, status }.to_bytes();
        if self
            .tear
            .as_mut()
            .is_some_and(|tear| tear.cuts_answer(answer.len()))
        {
            self.tear = None;
            return Vec::new();
        }
        self.power = Some(power);
        answer
    }

    fn perform(&mut self, power: &mut Power, command: &Command<'_>) -> Answer {
        let script_class = self.perso.profile.script_class;
        match (command.cla, command.ins) {
            (0x00, INS_A4_SELECT) => self.select(power, command),
            (0x80, INS_A8_GET_PROCESSING_OPTIONS) => self.get_processing_options(power, command),
            (0x00, INS_B2_READ_RECORD) => self.read_record(power, command),
            (0x80, INS_CA_GET_DATA) => self.get_data(power, command),
            (0x00, INS_84_GET_CHALLENGE) => self.get_challenge(power, command),
            (0x00, INS_20_VERIFY) => self.verify(power, command),
            (0x00, INS_88_INTERNAL_AUTHENTICATE) => self.internal_authenticate(power, command),
            (0x80, INS_AE_GENERATE_AC) => self.generate_ac(power, command),
            (0x00, INS_82_EXTERNAL_AUTHENTICATE) => self.external_authenticate(power, command),
            (class, INS_24_PIN_CHANGE_UNBLOCK) if class == script_class => {
                self.pin_change_unblock(power, command)
            }
            (0x00 | 0x80, _) => Err(SW_6D00_UNKNOWN_INSTRUCTION),
            (class, _) if class == script_class => Err(SW_6D00_UNKNOWN_INSTRUCTION),
            _ => Err(SW_6E00_UNKNOWN_CLASS),
        }
    }

    /// Makes a new state durable, then the card's own.
    fn remember(&mut self, state: ChipState) -> Result<(), StatusWord> {
        if state != self.state {
            if self.tear.as_mut().is_some_and(Ordered::cuts_write) {
                return Err(SW_6581_MEMORY_FAILURE);
            }
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
