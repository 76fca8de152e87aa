//! Issuer scripts: commands from the issuer to the chip in templates 71 and 72, and the terminal's report on them (9F5B).

use thiserror::Error;

use crate::tags::{
    TAG_9F18_SCRIPT_ID, TAG_71_SCRIPT_BEFORE_FINAL_AC, TAG_72_SCRIPT_AFTER_FINAL_AC, TAG_86_SCRIPT_COMMAND,
};
use crate::tlv::{self, Tag, TlvError};

/// Most bytes of all scripts of one answer, with tags and lengths, that every authorisation protocol lets through.
pub const SCRIPTS_LEN_MAX: usize = 127;

/// An issuer script (EMV Book 3, 10.10; Book 4, 6.3.9).
///
/// | tag | bytes | meaning |
/// |---|---|---|
/// | 71 or 72 | | template |
/// | 9F18 | 4 | script identifier, first, optional |
/// | 86 | 4 to 123 | a whole command APDU; one or more |
///
/// ```
/// use emv::script::{IssuerScript, ScriptPhase};
/// let commands = vec![vec![0x84, 0x24, 0x00, 0x00, 0x08, 0xED, 0x0A, 0xB1, 0x62, 0xBA, 0xB1, 0xDE, 0x61]];
/// let unblock = IssuerScript { phase: ScriptPhase::AfterFinalAc, id: None, commands };
/// assert_eq!(unblock.to_bytes()?[..4], [0x72, 0x0F, 0x86, 0x0D]);
/// # Ok::<(), emv::script::ScriptError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct IssuerScript {
    /// When the terminal sends the commands.
    pub phase: ScriptPhase,
    /// Script identifier.
    pub id: Option<[u8; 4]>,
    /// Command APDUs, in order.
    pub commands: Vec<Vec<u8>>,
}

/// When the terminal sends a script's commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptPhase {
    /// Template 71: before the second GENERATE AC.
    BeforeFinalAc,
    /// Template 72: after it.
    AfterFinalAc,
}

/// Why bytes are not an issuer script, or a script cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ScriptError {
    /// The bytes are not BER-TLV.
    #[error(transparent)]
    Tlv(#[from] TlvError),
    /// More than [`SCRIPTS_LEN_MAX`] bytes.
    #[error("{got} bytes of script, at most {SCRIPTS_LEN_MAX} are sent")]
    TooLong {
        /// Bytes it has.
        got: usize,
    },
    /// Not exactly one template, 71 or 72.
    #[error("not one script template")]
    NotAScript,
    /// A data object that is not where or what a script may have.
    #[error("data object {0} is not allowed there")]
    Unexpected(Tag),
    /// No command.
    #[error("a script without commands")]
    NoCommand,
}

impl ScriptPhase {
    fn tag(self) -> Tag {
        match self {
            Self::BeforeFinalAc => TAG_71_SCRIPT_BEFORE_FINAL_AC,
            Self::AfterFinalAc => TAG_72_SCRIPT_AFTER_FINAL_AC,
        }
    }
}

impl IssuerScript {
    /// Reads one template 71 or 72.
    ///
    /// Refuses: more than [`SCRIPTS_LEN_MAX`] bytes; anything but one template; an identifier that is not first or not
    /// 4 bytes; other data objects; a command of fewer than 4 bytes; no command.
    pub fn parse(bytes: &[u8]) -> Result<Self, ScriptError> {
        let got = bytes.len();
        if got > SCRIPTS_LEN_MAX {
            return Err(ScriptError::TooLong { got });
        }
        let templates = tlv::parse(bytes)?;
        let [template] = templates.as_slice() else {
            return Err(ScriptError::NotAScript);
        };
        let phase = match template.tag {
            TAG_71_SCRIPT_BEFORE_FINAL_AC => ScriptPhase::BeforeFinalAc,
            TAG_72_SCRIPT_AFTER_FINAL_AC => ScriptPhase::AfterFinalAc,
            _ => return Err(ScriptError::NotAScript),
        };
        let (mut id, mut commands) = (None, Vec::new());
        for (index, object) in tlv::parse(template.value)?.into_iter().enumerate() {
            let unexpected = ScriptError::Unexpected(object.tag);
            match object.tag {
                TAG_9F18_SCRIPT_ID if index == 0 => {
                    id = Some(object.value.try_into().map_err(|_| unexpected)?);
                }
                TAG_86_SCRIPT_COMMAND if object.value.len() >= 4 => commands.push(object.value.to_vec()),
                _ => return Err(unexpected),
            }
        }
        if commands.is_empty() {
            return Err(ScriptError::NoCommand);
        }
        Ok(Self { phase, id, commands })
    }

    /// The template with its tag and length, for field 55. Refuses no command, and more than [`SCRIPTS_LEN_MAX`] bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ScriptError> {
        if self.commands.is_empty() {
            return Err(ScriptError::NoCommand);
        }
        let got = self.commands.iter().map(Vec::len).sum();
        if got > SCRIPTS_LEN_MAX {
            return Err(ScriptError::TooLong { got });
        }
        let mut out = Vec::new();
        tlv::put_template(&mut out, self.phase.tag(), |content| {
            if let Some(id) = self.id {
                tlv::put(content, TAG_9F18_SCRIPT_ID, &id);
            }
            for command in &self.commands {
                tlv::put(content, TAG_86_SCRIPT_COMMAND, command);
            }
        });
        let got = out.len();
        (got <= SCRIPTS_LEN_MAX)
            .then_some(out)
            .ok_or(ScriptError::TooLong { got })
    }
}

/// Shows when, which and how many, never the commands.
impl std::fmt::Debug for IssuerScript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "IssuerScript({:?}, {:?}, {} commands)",
            self.phase,
            self.id,
            self.commands.len()
        )
    }
}

/// What the terminal reports about one script (9F5B, 5 bytes each; EMV Book 4, Annex A5). A claim, not proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptResult {
    /// What became of it (byte 1, high nibble).
    pub outcome: ScriptOutcome,
    /// Number of the command that failed, from 1 (byte 1, low nibble): 0 unspecified, 15 the 15th or a later one.
    pub failed_command: u8,
    /// Script identifier (bytes 2 to 5), zeros if it had none.
    pub id: [u8; 4],
}

/// What became of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptOutcome {
    /// `0`.
    NotPerformed,
    /// `1`.
    Failed,
    /// `2`.
    Successful,
}

impl ScriptResult {
    /// Reads the value of 9F5B: one or more results of 5 bytes. `None` for another length, or an outcome above 2.
    pub fn parse_all(value: &[u8]) -> Option<Vec<Self>> {
        let (results, odd) = value.as_chunks::<5>();
        if !odd.is_empty() || results.is_empty() {
            return None;
        }
        results.iter().map(|&bytes| Self::from_bytes(bytes)).collect()
    }

    fn from_bytes([first, id @ ..]: [u8; 5]) -> Option<Self> {
        let outcome = match first >> 4 {
            0 => ScriptOutcome::NotPerformed,
            1 => ScriptOutcome::Failed,
            2 => ScriptOutcome::Successful,
            _ => return None,
        };
        let failed_command = first & 0x0F;
        Some(Self {
            outcome,
            failed_command,
            id,
        })
    }

    /// The 5 bytes.
    pub fn to_bytes(self) -> [u8; 5] {
        let outcome = match self.outcome {
            ScriptOutcome::NotPerformed => 0x00,
            ScriptOutcome::Failed => 0x10,
            ScriptOutcome::Successful => 0x20,
        };
        let [a, b, c, d] = self.id;
        [outcome | self.failed_command.min(15), a, b, c, d]
    }
}
