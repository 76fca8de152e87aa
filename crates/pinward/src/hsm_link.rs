//! The connection to the HSM: to the process that serves, or to one of our own, which is started again when it ends.

use std::ffi::OsStr;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hsm::{HsmFault, KeyAdmin, RemoteHsm};
use store::Store;
use tokio::time::{Instant, sleep, timeout};

use crate::child::{Child, ChildError};
use crate::config::HsmConfig;
use crate::history::DeskJournal;

/// How long a new HSM process may take until it answers.
const START_PATIENCE: Duration = Duration::from_secs(10);
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// Pause before an HSM process that ended is started again; doubled with each one that doesn't last.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(50);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);
/// An HSM process that was up for so long did last.
const LASTING: Duration = Duration::from_secs(60);
/// Processes in a row that don't last, after which the desk gives up.
const FAILURES_MAX: u32 = 10;

/// The connection, and the process where it is ours.
pub(crate) struct HsmLink {
    pub(crate) remote: RemoteHsm,
    own: Option<OwnHsm>,
}

/// An HSM process of ours.
struct OwnHsm {
    process: Child,
    place: HsmPlace,
}

/// From what one is started, and how it is reached.
struct HsmPlace {
    directory: PathBuf,
    socket: PathBuf,
    /// Where it writes its log; to our standard error without one.
    log: Option<PathBuf>,
    journal: Arc<DeskJournal>,
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
    #[error("{FAILURES_MAX} HSM processes in a row didn't last; of the last one: {0}")]
    DoesNotLast(Box<HsmLinkError>),
    #[error(
        "the HSM process that was started again signs with another key than the one before: were its keys replaced?"
    )]
    OtherKeys,
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
        let directory = match (found, &config.directory) {
            (Ok(remote), _) => return Ok(Self { remote, own: None }),
            (Err(fault), None) => return Err(HsmLinkError::NotRunning(fault)),
            (Err(_), Some(directory)) => directory.clone(),
        };
        let place = HsmPlace {
            directory,
            socket: config.socket.clone(),
            log: log.map(Path::to_owned),
            journal,
        };
        let (process, remote) = place.start().await?;
        let own = Some(OwnHsm { process, place });
        Ok(Self { remote, own })
    }

    /// Keeps the HSM process running where it is ours: starts it again when it ends, at first at once, then with growing
    /// pauses. Meanwhile calls end in [`HsmFault`], and nothing is evaluated. `identity`: what its successor must sign with
    /// too. Ends only with why it gives up.
    pub(crate) async fn keep(&mut self, identity: &[u8]) -> HsmLinkError {
        let Some(own) = &mut self.own else {
            return pending().await;
        };
        let mut failures = 0;
        loop {
            let begin = Instant::now();
            let mut cause = own.process.ended().await.into();
            if begin.elapsed() >= LASTING {
                failures = 0;
            }
            loop {
                failures += 1;
                tracing::error!(%cause, failures, "no HSM process; nothing is done about cards until there is one");
                if failures >= FAILURES_MAX {
                    return HsmLinkError::DoesNotLast(Box::new(cause));
                }
                sleep(restart_pause(failures)).await;
                match own.place.start().await {
                    Ok((process, remote)) => {
                        own.process = process;
                        match remote.envelope_identity().await {
                            Ok(signs_with) if signs_with == identity => {}
                            Ok(_) => return HsmLinkError::OtherKeys,
                            // Its end, if that is why, is seen above.
                            Err(fault) => tracing::error!(%fault, "the HSM process doesn't tell who it is"),
                        }
                        tracing::warn!("another HSM process took over");
                        break;
                    }
                    Err(error) => cause = error,
                }
            }
        }
    }

    /// Shows the HSM what was written meanwhile, and ends its process where it is ours.
    pub(crate) async fn close(self) {
        // What it has against the history, it has said to every call; and where it doesn't answer, whoever comes next shows.
        let _ = self.remote.show_history().await;
        drop(self.remote);
        if let Some(own) = self.own {
            own.process.stop().await;
        }
    }
}

impl HsmPlace {
    /// Starts a process, and connects to it as soon as it answers.
    async fn start(&self) -> Result<(Child, RemoteHsm), HsmLinkError> {
        let arguments = [
            OsStr::new("hsm"),
            "--data".as_ref(),
            self.directory.as_os_str(),
            "--socket".as_ref(),
            self.socket.as_os_str(),
            "--stop-when-stdin-closes".as_ref(),
        ];
        let mut process = Child::start("HSM", arguments, self.log.as_deref())?;
        let remote = tokio::select! {
            answered = timeout(START_PATIENCE, self.connect()) => {
                answered.map_err(|_| HsmLinkError::Silent(self.socket.display().to_string()))?
            }
            error = process.ended() => return Err(error.into()),
        };
        Ok((process, remote))
    }

    async fn connect(&self) -> RemoteHsm {
        loop {
            match RemoteHsm::connect_with(&self.socket, self.journal.clone()).await {
                Ok(remote) => return remote,
                Err(_) => sleep(RETRY_EVERY).await,
            }
        }
    }
}

fn restart_pause(failures: u32) -> Duration {
    let doubled = RESTART_PAUSE_MIN.saturating_mul(1 << (failures - 1).min(16));
    doubled.min(RESTART_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hsm_process_is_started_again_at_once_and_not_given_up_within_a_quarter_of_a_minute() {
        let pauses: Vec<Duration> = (1..FAILURES_MAX).map(restart_pause).collect();
        assert_eq!(pauses[0], RESTART_PAUSE_MIN);
        assert!(pauses.is_sorted() && pauses.iter().all(|pause| *pause <= RESTART_PAUSE_MAX));
        assert!(pauses.iter().sum::<Duration>() >= Duration::from_secs(15));
    }
}
