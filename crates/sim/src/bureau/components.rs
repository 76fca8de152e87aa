//! Key components: two secrets held by two people, whose XOR is the key exchange key.
//!
//! A file has two lines: 64 hexadecimal digits (32 bytes of AES-256), then the check value in 10: the leftmost 5 bytes
//! of the CMAC of one zero block (ANSI X9.24-1:2017 annex A).

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXUPPER_PERMISSIVE;
use paycrypto::aes_key::AesKey;
use zeroize::Zeroizing;

use crate::private_file;

/// Component files can't be made or read. Quotes nothing from them.
#[derive(Debug, thiserror::Error)]
pub enum ComponentsError {
    #[error("{path}: {cause}")]
    Io { path: PathBuf, cause: io::Error },
    #[error("{0}: exists already; a key is never overwritten")]
    Exists(PathBuf),
    #[error("{0}: two lines are wanted, 64 and 10 hexadecimal digits")]
    Shape(PathBuf),
    #[error("{0}: the check value doesn't fit the component")]
    CheckValue(PathBuf),
    #[error("at least two components are wanted")]
    TooFew,
    #[error("the system gives no random numbers")]
    Random,
}

/// Writes two new components, `component-1.txt` and `component-2.txt`, each readable by its owner only.
///
/// Refuses where one exists. Gives the paths.
pub fn generate(directory: &Path) -> Result<[PathBuf; 2], ComponentsError> {
    std::fs::create_dir_all(directory).map_err(|cause| ComponentsError::Io {
        path: directory.to_owned(),
        cause,
    })?;
    let paths = ["component-1.txt", "component-2.txt"].map(|name| directory.join(name));
    if let Some(path) = paths.iter().find(|path| path.exists()) {
        return Err(ComponentsError::Exists(path.clone()));
    }
    for path in &paths {
        let mut component = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *component).map_err(|_| ComponentsError::Random)?;
        let hex = Zeroizing::new(HEXUPPER_PERMISSIVE.encode(&*component));
        let text = Zeroizing::new(format!("{}\n{}\n", *hex, check_value(&component)));
        private_file::replace(path, text.as_bytes()).map_err(|cause| ComponentsError::Io {
            path: path.clone(),
            cause,
        })?;
    }
    Ok(paths)
}

/// The key exchange key of two or more component files.
///
/// Refuses fewer than two, a file of another shape, and a check value that doesn't fit.
pub fn combine(paths: &[PathBuf]) -> Result<AesKey, ComponentsError> {
    if paths.len() < 2 {
        return Err(ComponentsError::TooFew);
    }
    let mut key = Zeroizing::new([0_u8; 32]);
    for path in paths {
        let component = read(path)?;
        for (to, from) in key.iter_mut().zip(component.iter()) {
            *to ^= from;
        }
    }
    Ok(AesKey::from_bytes(&*key).expect("AES takes 32 bytes"))
}

fn read(path: &Path) -> Result<Zeroizing<[u8; 32]>, ComponentsError> {
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|cause| ComponentsError::Io {
            path: path.to_owned(),
            cause,
        })?;
    let shape = || ComponentsError::Shape(path.to_owned());
    let mut lines = text.lines();
    let (Some(hex), Some(check), None) = (lines.next(), lines.next(), lines.next()) else {
        return Err(shape());
    };
    let bytes = HEXUPPER_PERMISSIVE
        .decode(hex.trim().as_bytes())
        .map(Zeroizing::new);
    let bytes = bytes.map_err(|_| shape())?;
    let component: [u8; 32] = bytes.as_slice().try_into().map_err(|_| shape())?;
    let component = Zeroizing::new(component);
    if !check.trim().eq_ignore_ascii_case(&check_value(&component)) {
        return Err(ComponentsError::CheckValue(path.to_owned()));
    }
    Ok(component)
}

fn check_value(component: &[u8; 32]) -> String {
    let key = AesKey::from_bytes(component).expect("AES takes 32 bytes");
    HEXUPPER_PERMISSIVE.encode(&key.kcv())
}
