//! Files that only their owner may read, replaced as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const OWNER_ONLY: u32 = 0o600;

/// Replaces a file: writes `<name>.tmp` beside it, syncs, renames, syncs the directory.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut new_name = path.as_os_str().to_owned();
    new_name.push(".tmp");
    let new_path = Path::new(&new_name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(OWNER_ONLY)
        .open(new_path)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(new_path, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
