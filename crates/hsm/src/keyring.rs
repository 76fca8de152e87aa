//! The keys in memory, and the one place that decides whether a key may do what is asked: by purpose.

use std::collections::HashMap;
use std::sync::Arc;

use cards::Timestamp;
use paycrypto::aes_key::AesKey;
use paycrypto::tdes_key::Tdes2Key;

use crate::ecdh::IdentityKey;
use crate::ibm3624;
use crate::key_material::{Fingerprint, HmacKey, KeyMaterial};
use crate::seam::{HsmRefusal, KeyInfo, KeyName, KeyPurpose};

/// A key as the key store keeps it.
#[derive(Clone)]
pub(crate) struct StoredKey {
    pub(crate) name: KeyName,
    pub(crate) purpose: KeyPurpose,
    pub(crate) present: KeyValue,
    /// The value before its last replacement, for keys of a zone: it still reads.
    pub(crate) former: Option<KeyValue>,
    /// Fingerprints of the values before those, so that none comes back.
    pub(crate) past: Vec<Fingerprint>,
    /// By what rule it verifies, for [`KeyPurpose::PinVerificationIbm3624`].
    pub(crate) rule: Option<ibm3624::Rule>,
}

/// One value of a key.
#[derive(Clone)]
pub(crate) struct KeyValue {
    pub(crate) material: Arc<KeyMaterial>,
    /// Whether it may leave under a key exchange key.
    pub(crate) exportable: bool,
    pub(crate) created: Timestamp,
}

impl StoredKey {
    pub(crate) fn info(&self) -> KeyInfo {
        KeyInfo {
            name: self.name.clone(),
            purpose: self.purpose,
            algorithm: self.present.material.algorithm_name().to_owned(),
            kcv: self.present.material.kcv(),
            created: self.present.created,
            former_kcv: self.former.as_ref().map(|former| former.material.kcv()),
        }
    }

    /// The present value and, where there is one, the former.
    fn values(&self) -> impl Iterator<Item = &KeyMaterial> {
        std::iter::once(&self.present)
            .chain(&self.former)
            .map(|value| &*value.material)
    }
}

/// All keys at one moment. A change makes another ring, so that a batch sees one and the same.
#[derive(Clone, Default)]
pub(crate) struct KeyRing {
    by_name: HashMap<KeyName, Arc<StoredKey>>,
    singles: HashMap<KeyPurpose, Arc<StoredKey>>,
}

/// Purposes that one HSM has one key for.
pub(crate) const SINGLE_PURPOSES: [KeyPurpose; 12] = [
    KeyPurpose::IssuerCryptogram,
    KeyPurpose::IssuerScriptIntegrity,
    KeyPurpose::IssuerScriptConfidentiality,
    KeyPurpose::IssuerCryptogramAes,
    KeyPurpose::IssuerScriptIntegrityAes,
    KeyPurpose::IssuerScriptConfidentialityAes,
    KeyPurpose::PinVerificationIbm3624,
    KeyPurpose::PinStorage,
    KeyPurpose::PanStorage,
    KeyPurpose::CardIndex,
    KeyPurpose::RecordMac,
    KeyPurpose::EnvelopeIdentity,
];

impl KeyRing {
    /// Refuses with [`HsmRefusal::KeyExists`] a name that is taken, and a second key of a purpose that has one only.
    pub(crate) fn check_room_for(&self, name: &KeyName, purpose: KeyPurpose) -> Result<(), HsmRefusal> {
        let taken = self.by_name.contains_key(name) || self.singles.contains_key(&purpose);
        (!taken).then_some(()).ok_or(HsmRefusal::KeyExists)
    }

    /// Puts a key in, in the place of the one of this name if there is one.
    pub(crate) fn insert(&mut self, key: StoredKey) {
        let key = Arc::new(key);
        if SINGLE_PURPOSES.contains(&key.purpose) {
            self.singles.insert(key.purpose, Arc::clone(&key));
        }
        self.by_name.insert(key.name.clone(), key);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Every key, by name.
    pub(crate) fn infos(&self) -> Vec<KeyInfo> {
        let mut infos: Vec<_> = self.by_name.values().map(|key| key.info()).collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        infos
    }

    pub(crate) fn by_name(&self, name: &KeyName) -> Result<&StoredKey, HsmRefusal> {
        let key = self.by_name.get(name).ok_or(HsmRefusal::NoSuchKey)?;
        Ok(key)
    }

    /// The key of this name, if it is for this purpose.
    pub(crate) fn named(&self, name: &KeyName, purpose: KeyPurpose) -> Result<&StoredKey, HsmRefusal> {
        let key = self.by_name(name)?;
        let fits = key.purpose == purpose;
        fits.then_some(key).ok_or(HsmRefusal::NoSuchKey)
    }

    fn single(&self, purpose: KeyPurpose) -> Result<&KeyMaterial, HsmRefusal> {
        let key = self.singles.get(&purpose).ok_or(HsmRefusal::NoSuchKey)?;
        Ok(&key.present.material)
    }

    /// The IBM 3624 key with its rule. Answers [`HsmRefusal::NoSuchKey`] also as long as it has none.
    pub(crate) fn ibm3624(&self) -> Result<(&Tdes2Key, &ibm3624::Rule), HsmRefusal> {
        let key = self
            .singles
            .get(&KeyPurpose::PinVerificationIbm3624)
            .ok_or(HsmRefusal::NoSuchKey)?;
        Ok((
            as_tdes(&key.present.material)?,
            key.rule.as_ref().ok_or(HsmRefusal::NoSuchKey)?,
        ))
    }

    /// The AES key of a purpose that has one key only.
    pub(crate) fn aes(&self, purpose: KeyPurpose) -> Result<&AesKey, HsmRefusal> {
        as_aes(self.single(purpose)?)
    }

    /// The TDES key of a purpose that has one key only.
    pub(crate) fn tdes(&self, purpose: KeyPurpose) -> Result<&Tdes2Key, HsmRefusal> {
        as_tdes(self.single(purpose)?)
    }

    /// A named AES key.
    pub(crate) fn aes_named(&self, name: &KeyName, purpose: KeyPurpose) -> Result<&AesKey, HsmRefusal> {
        as_aes(&self.named(name, purpose)?.present.material)
    }

    /// A named TDES key.
    pub(crate) fn tdes_named(&self, name: &KeyName, purpose: KeyPurpose) -> Result<&Tdes2Key, HsmRefusal> {
        as_tdes(&self.named(name, purpose)?.present.material)
    }

    /// The values that a named AES key reads with: the present one first.
    pub(crate) fn aes_readers(
        &self,
        name: &KeyName,
        purpose: KeyPurpose,
    ) -> Result<impl Iterator<Item = &AesKey>, HsmRefusal> {
        let key = self.named(name, purpose)?;
        Ok(key.values().filter_map(|value| as_aes(value).ok()))
    }

    /// The values that a named TDES key reads with: the present one first.
    pub(crate) fn tdes_readers(
        &self,
        name: &KeyName,
        purpose: KeyPurpose,
    ) -> Result<impl Iterator<Item = &Tdes2Key>, HsmRefusal> {
        let key = self.named(name, purpose)?;
        Ok(key.values().filter_map(|value| as_tdes(value).ok()))
    }

    pub(crate) fn card_index(&self) -> Result<&HmacKey, HsmRefusal> {
        match self.single(KeyPurpose::CardIndex)? {
            KeyMaterial::Hmac(key) => Ok(key),
            KeyMaterial::Tdes(_) | KeyMaterial::Aes(_) | KeyMaterial::Identity(_) => {
                Err(HsmRefusal::NoSuchKey)
            }
        }
    }

    pub(crate) fn identity(&self) -> Result<&IdentityKey, HsmRefusal> {
        match self.single(KeyPurpose::EnvelopeIdentity)? {
            KeyMaterial::Identity(key) => Ok(key),
            KeyMaterial::Tdes(_) | KeyMaterial::Aes(_) | KeyMaterial::Hmac(_) => Err(HsmRefusal::NoSuchKey),
        }
    }
}

fn as_aes(material: &KeyMaterial) -> Result<&AesKey, HsmRefusal> {
    match material {
        KeyMaterial::Aes(key) => Ok(key),
        KeyMaterial::Tdes(_) | KeyMaterial::Hmac(_) | KeyMaterial::Identity(_) => Err(HsmRefusal::NoSuchKey),
    }
}

fn as_tdes(material: &KeyMaterial) -> Result<&Tdes2Key, HsmRefusal> {
    match material {
        KeyMaterial::Tdes(key) => Ok(key),
        KeyMaterial::Aes(_) | KeyMaterial::Hmac(_) | KeyMaterial::Identity(_) => Err(HsmRefusal::NoSuchKey),
    }
}
