//! Processes of this same executable, as children: the HSM and the simulators.
//!
//! A child that serves holds its end of a pipe as standard input and ends when the pipe closes, so it never outlives
//! its parent, however the parent ends. Children have a process group of their own: Ctrl-C reaches the parent only,
//! which then ends them in order.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

#[cfg(feature = "simulators")]
use tokio::io::AsyncWriteExt;
use tokio::process::{Child as Process, ChildStdin, Command};
use tokio::time::timeout;

/// How long a child may take to end after its standard input closed, before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Lines of a child's log that are quoted when it ends unasked.
const LOG_LINES_SHOWN: usize = 5;

/// A child that serves until it is stopped or dropped.
pub(crate) struct Child {
    /// For people: `HSM`, `sandbox`.
    name: &'static str,
    process: Process,
    /// Nothing is ever written there; closing it asks the child to end.
    input: Option<ChildStdin>,
    log: Option<Log>,
}

/// Where a child's standard error goes.
struct Log {
    path: PathBuf,
    /// What is before it is another child's.
    start: usize,
}

/// A child failed. The text holds its own last words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChildError {
    #[error("the {name} process can't be started: {cause}")]
    Start { name: &'static str, cause: io::Error },
    #[error("the {name} process ended ({status}){last_words}")]
    Ended {
        name: &'static str,
        status: ExitStatus,
        last_words: String,
    },
}

impl Child {
    /// Starts `pinward <arguments>`. Its standard error goes to the file `log`, or to ours without one.
    pub(crate) fn start<S: AsRef<OsStr>>(
        name: &'static str,
        arguments: impl IntoIterator<Item = S>,
        log: Option<&Path>,
    ) -> Result<Self, ChildError> {
        let mut kept = None;
        let start = || -> io::Result<Process> {
            let stderr = match log {
                Some(path) => {
                    let file = OpenOptions::new().create(true).append(true).open(path)?;
                    let start = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
                    kept = Some(Log {
                        path: path.to_owned(),
                        start,
                    });
                    Stdio::from(file)
                }
                None => Stdio::inherit(),
            };
            Command::new(std::env::current_exe()?)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(stderr)
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
        };
        let mut process = start().map_err(|cause| ChildError::Start { name, cause })?;
        // Taken out, because waiting for the process would close it.
        let input = process.stdin.take();
        Ok(Self {
            name,
            process,
            input,
            log: kept,
        })
    }

    /// Waits until it ends, which no child does unasked.
    pub(crate) async fn ended(&mut self) -> ChildError {
        match self.process.wait().await {
            Ok(status) => ChildError::Ended {
                name: self.name,
                status,
                last_words: self.last_words(),
            },
            Err(cause) => ChildError::Start {
                name: self.name,
                cause,
            },
        }
    }

    /// Closes its standard input and waits for its end; kills it where that takes too long.
    pub(crate) async fn stop(mut self) {
        drop(self.input.take());
        if timeout(END_PATIENCE, self.process.wait()).await.is_err() {
            tracing::warn!(child = self.name, "had to be killed");
            // It may have ended at this very moment: nothing is left to do then.
            let _ = self.process.kill().await;
        }
    }

    fn last_words(&self) -> String {
        let Some(log) = &self.log else {
            return String::new();
        };
        let text = std::fs::read(&log.path).unwrap_or_default();
        let text = String::from_utf8_lossy(text.get(log.start..).unwrap_or_default());
        let lines: Vec<&str> = text.lines().rev().take(LOG_LINES_SHOWN).collect();
        lines.iter().rev().map(|line| format!("\n  {line}")).collect()
    }
}

/// Runs `pinward <arguments>` to its end, with `input` as standard input; gives its standard output. Its standard error
/// is quoted when it fails.
#[cfg(feature = "simulators")]
pub(crate) async fn run<S: AsRef<OsStr>>(
    name: &'static str,
    arguments: impl IntoIterator<Item = S>,
    input: &str,
) -> Result<String, ChildError> {
    let start_error = |cause| ChildError::Start { name, cause };
    let executable = std::env::current_exe().map_err(start_error)?;
    let mut process = Command::new(executable)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start_error)?;
    let mut to_process = process.stdin.take().expect("asked for above");
    // A process that ends without reading all of it has its reasons, and tells them.
    let _ = to_process.write_all(input.as_bytes()).await;
    drop(to_process);
    let output = process.wait_with_output().await.map_err(start_error)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let last_words = format!("\n  {}", String::from_utf8_lossy(&output.stderr).trim());
    Err(ChildError::Ended {
        name,
        status: output.status,
        last_words,
    })
}
