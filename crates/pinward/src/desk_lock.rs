//! One desk per database: a second one would deliver every notice and owe every reversal twice.
//!
//! Commands that only open the database beside a running desk don't need it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use crate::failure::Failure;

/// Held as long as the desk runs; the system gives it back however the process ends.
pub(crate) struct DeskLock(#[expect(dead_code, reason = "its being open is the lock")] File);

impl DeskLock {
    /// Takes the lock beside the database: a file of its name, ending in `.lock`, that holds the process number.
    ///
    /// Refuses where another process has it, and names that.
    pub(crate) fn take(database: &Path) -> Result<Self, Failure> {
        let path = database.with_extension("lock");
        let fail = |cause: io::Error| Failure::Unavailable(format!("{}: {cause}", path.display()));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).unwrap_or_default();
                return Err(Failure::Unavailable(format!(
                    "another desk (process {}) works with {} already: stop it, or set store.path of another database",
                    holder.trim(),
                    database.display()
                )));
            }
            Err(TryLockError::Error(cause)) => return Err(fail(cause)),
        }
        file.set_len(0).map_err(fail)?;
        writeln!(file, "{}", std::process::id()).map_err(fail)?;
        Ok(Self(file))
    }
}
