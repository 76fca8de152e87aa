//! The connection to the HSM: to the process that serves, or to one started for the time being.

use std::ffi::OsStr;
use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hsm::{HsmFault, RemoteHsm};
use store::Store;
use tokio::time::{sleep, timeout};

use crate::child::{Child, ChildError};
use crate::config::HsmConfig;
use crate::history::DeskJournal;

/// How long a new HSM process may take until it answers.
const START_PATIENCE: Duration = Duration::from_secs(10);
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// The connection, and the process where it is ours.
pub(crate) struct HsmLink {
    pub(crate) remote: RemoteHsm,
    child: Option<Child>,
}

/// There is no HSM to talk to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HsmLinkError {
    #[error("{0}, and hsm.directory, from which to start one, is not set")]
    NotRunning(HsmFault),
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error("the HSM process doesn't answer on {0} after {wait} seconds", wait = START_PATIENCE.as_secs())]
    Silent(String),
}

impl HsmLink {
    /// Connects to the HSM that serves; starts one where none does and the configuration says from what.
    ///
    /// `store`: what the HSM is shown the history of. `log`: where the new process writes its log; without one, to our standard error.
    pub(crate) async fn connect_or_start(
        config: &HsmConfig,
        log: Option<&Path>,
        store: Arc<dyn Store>,
    ) -> Result<Self, HsmLinkError> {
        let journal = Arc::new(DeskJournal(store));
        let found = RemoteHsm::connect_with(&config.socket, journal.clone()).await;
        match (found, &config.directory) {
            (Ok(remote), _) => Ok(Self { remote, child: None }),
            (Err(fault), None) => Err(HsmLinkError::NotRunning(fault)),
            (Err(_), Some(directory)) => Self::start(directory, &config.socket, log, journal).await,
        }
    }

    async fn start(
        directory: &Path,
        socket: &Path,
        log: Option<&Path>,
        journal: Arc<DeskJournal>,
    ) -> Result<Self, HsmLinkError> {
        let arguments = [
            OsStr::new("hsm"),
            "--data".as_ref(),
            directory.as_os_str(),
            "--socket".as_ref(),
            socket.as_os_str(),
            "--stop-when-stdin-closes".as_ref(),
        ];
        let mut child = Child::start("HSM", arguments, log)?;
        let remote = tokio::select! {
            answered = timeout(START_PATIENCE, connect(socket, &journal)) => {
                answered.map_err(|_| HsmLinkError::Silent(socket.display().to_string()))?
            }
            error = child.ended() => return Err(error.into()),
        };
        Ok(Self {
            remote,
            child: Some(child),
        })
    }

    /// Waits for the end of the HSM process; for ever where it isn't ours.
    pub(crate) async fn child_ended(&mut self) -> ChildError {
        match &mut self.child {
            Some(child) => child.ended().await,
            None => pending().await,
        }
    }

    /// Shows the HSM what was written meanwhile, and ends its process where it is ours.
    pub(crate) async fn close(self) {
        // What it has against the history, it has said to every call; and where it doesn't answer, whoever comes next shows.
        let _ = self.remote.show_history().await;
        drop(self.remote);
        if let Some(child) = self.child {
            child.stop().await;
        }
    }
}

async fn connect(socket: &Path, journal: &Arc<DeskJournal>) -> RemoteHsm {
    loop {
        match RemoteHsm::connect_with(socket, journal.clone()).await {
            Ok(remote) => return remote,
            Err(_) => sleep(RETRY_EVERY).await,
        }
    }
}
