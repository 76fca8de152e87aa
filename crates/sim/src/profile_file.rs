//! Profiles, of cards and of terminals, as TOML files: some come with the product, by name; one's own are taken by path.

use std::path::{Path, PathBuf};

use data_encoding::HEXUPPER_PERMISSIVE;
use serde::de::DeserializeOwned;

/// A kind of profile, and those that come with the product: name and text.
pub(crate) struct Shelf {
    pub(crate) kind: &'static str,
    pub(crate) files: &'static [(&'static str, &'static str)],
}

/// Why a profile can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("no {kind} is named {name:?}; there are: {known}. A file's name has a / in it or ends in .toml")]
    UnknownName {
        kind: &'static str,
        name: String,
        known: String,
    },
    #[error("{path}: {cause}")]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("{kind} {name}: {cause}")]
    Toml {
        kind: &'static str,
        name: String,
        cause: Box<toml::de::Error>,
    },
    #[error("{kind} {name}, {setting}: wanted is {wanted}")]
    Setting {
        kind: &'static str,
        name: String,
        setting: &'static str,
        wanted: &'static str,
    },
}

/// Whether this names a file rather than one of the product's profiles: with a `/`, or ending in `.toml`.
pub(crate) fn is_path(name_or_path: &str) -> bool {
    name_or_path.contains('/') || name_or_path.ends_with(".toml")
}

impl Shelf {
    /// The names of those that come with the product.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.files.iter().map(|(name, _)| *name)
    }

    /// Reads one of the product's by name, or a file by path, relative to `beside` or absolute.
    pub(crate) fn open<T: DeserializeOwned>(
        &self,
        name_or_path: &str,
        beside: &Path,
    ) -> Result<T, ProfileError> {
        if is_path(name_or_path) {
            let path = beside.join(name_or_path);
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|cause| ProfileError::Read { path, cause })?;
            return self.read(name_or_path, &text);
        }
        let known = self.files.iter().find(|(name, _)| *name == name_or_path);
        let (name, text) = known.ok_or_else(|| ProfileError::UnknownName {
            kind: self.kind,
            name: name_or_path.to_owned(),
            known: self.names().collect::<Vec<_>>().join(", "),
        })?;
        self.read(name, text)
    }

    /// Reads a text. Refuses unknown and missing settings, and values of another kind.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str, text: &str) -> Result<T, ProfileError> {
        toml::from_str(text).map_err(|cause| ProfileError::Toml {
            kind: self.kind,
            name: name.to_owned(),
            cause: Box::new(cause),
        })
    }

    /// The refusal of one setting.
    pub(crate) fn refusal(&self, name: &str, setting: &'static str, wanted: &'static str) -> ProfileError {
        ProfileError::Setting {
            kind: self.kind,
            name: name.to_owned(),
            setting,
            wanted,
        }
    }
}

/// An application identifier in hexadecimal, 5 to 16 bytes.
pub(crate) fn aid(digits: &str) -> Option<Vec<u8>> {
    let bytes = HEXUPPER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    (5..=16).contains(&bytes.len()).then_some(bytes)
}
