//! How a command ends badly, and the exit code for it.

use std::io;
use std::process::ExitCode;

use hsm::{HsmError, HsmFault};
use issuer::{ActError, Fault};
use store::StoreFault;

use crate::child::ChildError;
use crate::config::ConfigError;
use crate::hsm_link::HsmLinkError;

/// Why a command failed, as text for the operator. Clap itself ends with exit code 2 on a wrong command line.
///
/// | exit code | means |
/// |---|---|
/// | 0 | done |
/// | 1 | refused |
/// | 2 | wrong command line |
/// | 65 | input that can't be used (`EX_DATAERR`) |
/// | 69 | something that is needed isn't there (`EX_UNAVAILABLE`) |
/// | 70 | a fault (`EX_SOFTWARE`) |
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    BadData(String),
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Fault(String),
    /// Whoever read our output has seen enough: ends quietly.
    #[error("nobody reads the output any more")]
    OutputClosed,
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(_) | Self::OutputClosed => 1,
            Self::Usage(_) => 2,
            Self::BadData(_) => 65,
            Self::Unavailable(_) => 69,
            Self::Fault(_) => 70,
        })
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Read { .. } => Self::Unavailable(error.to_string()),
            ConfigError::Toml { .. } | ConfigError::Value { .. } => Self::BadData(error.to_string()),
        }
    }
}

impl From<HsmLinkError> for Failure {
    fn from(error: HsmLinkError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<ChildError> for Failure {
    fn from(error: ChildError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<StoreFault> for Failure {
    fn from(fault: StoreFault) -> Self {
        Self::Unavailable(fault.to_string())
    }
}

impl From<HsmFault> for Failure {
    fn from(fault: HsmFault) -> Self {
        Self::Unavailable(fault.to_string())
    }
}

impl From<HsmError> for Failure {
    fn from(error: HsmError) -> Self {
        match error {
            HsmError::Refused(refusal) => Self::Refused(refusal.to_string()),
            HsmError::Fault(fault) => fault.into(),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Hsm(fault) => fault.into(),
            Fault::Store(fault) => fault.into(),
            Fault::HsmRefused(_)
            | Fault::State { .. }
            | Fault::CardTampered(_)
            | Fault::RecordEdited { .. }
            | Fault::Programme { .. } => Self::Fault(fault.to_string()),
        }
    }
}

impl From<ActError> for Failure {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Refused(refusal) => Self::Refused(refusal.to_string()),
            ActError::Fault(fault) => fault.into(),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Fault(error.to_string()),
        }
    }
}
