//! The key store's directory: a master key and one key block file per key.
//!
//! | file | content |
//! |---|---|
//! | `lmk` | 32 random bytes in hex, mode 0600: the key block protection key of all the others |
//! | `NAME.key` | one key block, or two while its former value is read, and fingerprints of older ones; see `key_block` |
//! | `history` | how far the desk's history has come; see `history` |
//! | `lock` | locked while an HSM has the directory open |
//!
//! The master key lies beside what it protects: this keeps keys apart from backups of the blocks and detects edits, but
//! it doesn't stop anybody who can read the directory. Only a certified HSM does.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use data_encoding::HEXLOWER;
use paycrypto::aes_key::AesKey;
use zeroize::Zeroizing;

use crate::history::History;
use crate::key_material::{Fingerprint, HmacKey, KeyMaterial};
use crate::keyring::{KeyRing, StoredKey};
use crate::seam::{HsmError, HsmFault, HsmRefusal, KeyInfo, KeyName};
use crate::{dice, key_block};

const MASTER_KEY_FILE: &str = "lmk";
const MASTER_KEY_LEN_BYTES: usize = 32;
const LOCK_FILE: &str = "lock";
const KEY_FILE_EXTENSION: &str = "key";
const NAME_LEN_MAX: usize = 64;

/// Why a key store can't be opened. Names the file; never what is in it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the error text of each variant says it")]
pub enum OpenError {
    #[error("can't use {path}: {cause}")]
    Io { path: PathBuf, cause: io::Error },
    #[error("another HSM process has the key store {0} open")]
    InUse(PathBuf),
    #[error("the master key {0} is missing although there are keys under it")]
    MasterKeyMissing(PathBuf),
    #[error("the master key {0} must be readable by its owner only (chmod 600)")]
    MasterKeyExposed(PathBuf),
    #[error("the master key {0} isn't 64 hexadecimal digits")]
    MasterKeyMalformed(PathBuf),
    #[error("{0} isn't a key of this key store: it was edited or renamed, or the master key is another one")]
    KeyFile(PathBuf),
    #[error("{0} is a second key for a purpose that has one key only")]
    SecondKey(PathBuf),
}

/// An open key store. Keys are parsed once, when it opens or when they come in.
pub(crate) struct KeyStore {
    directory: PathBuf,
    master_key: AesKey,
    /// Under it, what is remembered beside the keys.
    memory_key: HmacKey,
    ring: RwLock<Arc<KeyRing>>,
    /// Held while a key is added or changed.
    writing: Mutex<()>,
    /// Unlocks when it is closed.
    _lock: File,
}

impl KeyStore {
    pub(crate) fn open(directory: &Path) -> Result<Self, OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(at(directory))?;
        let lock = lock(directory)?;
        let files = key_files(directory)?;
        let master_key = master_key(directory, files.is_empty())?;
        let mut ring = KeyRing::default();
        for path in files {
            let key = read_key(&path, &master_key)?;
            ring.check_room_for(&key.name, key.purpose)
                .map_err(|_| OpenError::SecondKey(path))?;
            ring.insert(key);
        }
        Ok(Self {
            directory: directory.to_path_buf(),
            memory_key: HmacKey::for_memory(&master_key),
            master_key,
            ring: RwLock::new(Arc::new(ring)),
            writing: Mutex::new(()),
            _lock: lock,
        })
    }

    /// The keys at this moment.
    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The memory of the desk's history, beside the keys. While there is no key, the HSM is new and has seen nothing.
    pub(crate) fn open_history(&self) -> Result<History, OpenError> {
        let key = HmacKey::for_memory(&self.master_key);
        History::open(&self.directory, key, self.ring().is_empty()).map_err(at(&self.directory))
    }

    /// What is remembered of a value when it is gone.
    pub(crate) fn fingerprint(&self, material: &KeyMaterial) -> Fingerprint {
        material.fingerprint(&self.memory_key)
    }

    /// Writes a key and syncs it; only then can it be used.
    ///
    /// Refuses with [`HsmRefusal::KeyExists`] as [`KeyRing::check_room_for`] does.
    pub(crate) fn add(&self, key: StoredKey) -> Result<(), HsmError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.ring();
        ring.check_room_for(&key.name, key.purpose)?;
        self.write(&ring, key)
    }

    /// Puts what `change` makes of a key in its place, in one step: the old file or the new one. Refuses an unknown name,
    /// and whatever `change` refuses.
    pub(crate) fn change(
        &self,
        name: &KeyName,
        change: impl FnOnce(&StoredKey) -> Result<StoredKey, HsmRefusal>,
    ) -> Result<KeyInfo, HsmError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.ring();
        let changed = change(ring.by_name(name)?)?;
        let info = changed.info();
        self.write(&ring, changed)?;
        Ok(info)
    }

    fn write(&self, ring: &KeyRing, key: StoredKey) -> Result<(), HsmError> {
        let mut ring = ring.clone();
        let block = key_block::for_store(&self.master_key, &key);
        let file = format!("{}.{KEY_FILE_EXTENSION}", key.name.0);
        write_whole(&self.directory, &file, block.as_bytes())
            .map_err(|cause| HsmFault::NoAnswer(format!("can't write the key {}: {cause}", key.name.0)))?;
        ring.insert(key);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }
}

/// 1 to 64 of `a-z 0-9 -`: safe as a file name.
pub(crate) fn is_key_name(name: &str) -> bool {
    (1..=NAME_LEN_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_path_buf();
    |cause| OpenError::Io { path, cause }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(directory.to_path_buf())),
        Err(TryLockError::Error(cause)) => Err(OpenError::Io { path, cause }),
    }
}

fn key_files(directory: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(at(directory))? {
        let path = entry.map_err(at(directory))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == KEY_FILE_EXTENSION)
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn master_key(directory: &Path, may_make: bool) -> Result<AesKey, OpenError> {
    let path = directory.join(MASTER_KEY_FILE);
    if !path.exists() {
        if !may_make {
            return Err(OpenError::MasterKeyMissing(path));
        }
        let bytes = dice::secret_bytes(MASTER_KEY_LEN_BYTES);
        let hex = Zeroizing::new(HEXLOWER.encode(&bytes));
        write_whole(directory, MASTER_KEY_FILE, hex.as_bytes()).map_err(at(&path))?;
    }
    let mode = fs::metadata(&path).map_err(at(&path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(OpenError::MasterKeyExposed(path));
    }
    let hex = Zeroizing::new(fs::read(&path).map_err(at(&path))?);
    HEXLOWER
        .decode(hex.trim_ascii_end())
        .ok()
        .map(Zeroizing::new)
        .filter(|bytes| bytes.len() == MASTER_KEY_LEN_BYTES)
        .and_then(|bytes| AesKey::from_bytes(&bytes))
        .ok_or(OpenError::MasterKeyMalformed(path))
}

fn read_key(path: &Path, master_key: &AesKey) -> Result<StoredKey, OpenError> {
    let foreign = || OpenError::KeyFile(path.to_path_buf());
    let content = fs::read(path).map_err(at(path))?;
    let block = std::str::from_utf8(&content).map_err(|_| foreign())?;
    let key = key_block::from_store(master_key, block).ok_or_else(foreign)?;
    let named_after = path.file_stem().and_then(|stem| stem.to_str()) == Some(key.name.0.as_str());
    named_after.then_some(key).ok_or_else(foreign)
}

/// Writes a file, all of it or nothing, and syncs file and directory.
fn write_whole(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let unfinished = directory.join(format!("{name}.new"));
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, directory.join(name))?;
    File::open(directory)?.sync_all()
}
