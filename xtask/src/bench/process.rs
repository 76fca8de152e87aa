//! The processes under load: what they have used, and that they end.

use std::fs;
use std::process::Child;
use std::thread;
use std::time::Duration;

use super::now;
use crate::run::program;

/// How long a host may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// How long a process may take to end when told to.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// A process that is ended when this is dropped.
pub(super) struct Running(pub(super) Child);

/// What a process has used so far.
#[derive(Clone, Copy)]
pub(super) struct Used {
    pub(super) cpu_ns: u64,
    pub(super) written: u64,
}

impl Drop for Running {
    /// Asks it to end, and kills it where that takes too long.
    fn drop(&mut self) {
        let asked = program("kill", &[&self.0.id().to_string()]).status();
        let ended = asked.is_ok()
            && wait_until(END_PATIENCE, || {
                self.0.try_wait().is_ok_and(|status| status.is_some())
            });
        if !ended {
            // It may have ended at this very moment: nothing is left to do then.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// From `/proc`: processor time in the kernel's hundredths of a second, and bytes that were sent to the disk.
pub(super) fn used(process: &Running) -> Result<Used, String> {
    const TICK_NS: u64 = 10_000_000;
    let read = |name: &str| {
        let path = format!("/proc/{}/{name}", process.0.id());
        fs::read_to_string(&path).map_err(|cause| format!("{path}: {cause}"))
    };
    let stat = read("stat")?;
    // The name, in brackets, may hold blanks; utime and stime are the 12th and 13th fields after it.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok());
    if after_name.trim_start().starts_with('Z') {
        return Err("it ended".to_owned());
    }
    // The HSM protects its process from being looked at, so only root may read this of it; nobody asks.
    let io = read("io").unwrap_or_default();
    let written = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
    Ok(Used {
        cpu_ns: ticks.sum::<u64>() * TICK_NS,
        written: written.unwrap_or_default(),
    })
}

pub(super) fn wait_for(ready: impl FnMut() -> bool) -> Result<(), String> {
    if wait_until(START_PATIENCE, ready) {
        Ok(())
    } else {
        Err("a host doesn't listen; its log is in target/bench".to_owned())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "another process tells no event when it listens or has ended"
)]
fn wait_until(patience: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let begin = now();
    while begin.elapsed() < patience {
        if ready() {
            return true;
        }
        thread::sleep(POLL);
    }
    false
}
