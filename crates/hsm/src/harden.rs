//! What the HSM process does so that its memory stays its own (security.md A28).
//!
//! Not a protection against root or a debugger that is attached before the start.

use std::io::{self, Write};
use std::panic;
use std::path::Path;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Core dumps and inspection by other processes of the same user off, no memory in swap where the limit allows,
/// panics without their message.
///
/// Refuses to go on when core dumps can't be switched off.
pub(crate) fn protect_process() -> io::Result<()> {
    panic::set_hook(Box::new(|info| match info.location() {
        Some(place) => say(&format!("panicked at {place}")),
        None => say("panicked"),
    }));
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    lock_memory();
    Ok(())
}

/// With a limit, a later allocation would fail where it can't be locked; so locks only where there is none.
fn lock_memory() {
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    let unlimited = getrlimit(Resource::Memlock).current.is_none();
    if !unlimited || mlockall(flags).is_err() {
        say("memory isn't locked: keys may reach the swap (needs an unlimited RLIMIT_MEMLOCK)");
    }
}

/// Says on standard error what this is.
pub(crate) fn announce(directory: &Path, socket: &Path) {
    say(&format!(
        "a software HSM, for development, pilots and closed loops; keys in {}, listening on {}",
        directory.display(),
        socket.display()
    ));
}

/// On standard error, without the panic that `eprintln` has when nobody listens there any more.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "HSM: {line}");
}
