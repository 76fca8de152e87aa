//! The software HSM: the two traits of the seam over the key store, the open envelopes and the acts.

use std::path::Path;

use async_trait::async_trait;
use cards::{CardKey, Pan, PinReference, Scheme, SealedPan, SealedPin, Timestamp};

use crate::ecdh::offer_message;
use crate::envelopes::{Envelope, Envelopes};
use crate::history::History;
use crate::keystore::{KeyStore, OpenError};
use crate::records::{self, AuthenticCard};
use crate::seam::{
    CheckReply, CheckRequest, ChipAnswer, ChipAnswerRequest, ClearMessage, DeskRecord, DeskRecordMac,
    EnvelopeOffer, EnvelopeRequest, HsmCard, HsmError, HsmFault, HsmRefusal, Ibm3624Rule, ImportPin, Item,
    KeyAdmin, KeyInfo, KeyName, KeyPurpose, MessageToMac, MessageWithMac, PaymentHsm, PersonalisedCard,
    PinChange, PinOperation, RevealWhich, RevealedPin, SealedEnvelope, StateMac, StateToSeal,
};
use crate::{chip, desk_records, key_admin, message_mac, pins, sealed_messages};
use paycrypto::pin::{PIN_LEN_MAX_DIGITS, PIN_LEN_MIN_DIGITS};

/// A payment HSM in software, for development, pilots and closed loops.
///
/// Its keys are in the memory of the process that holds it and, enciphered under a master key that lies beside them,
/// in its directory: who can read either has the keys. It can be used in the same process, as the tests of other
/// rooms do, or behind [`serve`](crate::serve()).
///
/// Its calls compute and never wait, so they may be run on any executor, or polled once.
///
/// In the same process nobody has to show it the desk's history: [`serve`](crate::serve()) asks for that.
pub struct SoftwareHsm {
    /// Closed before the key store, whose lock it relies on.
    pub(crate) history: History,
    keys: KeyStore,
    envelopes: Envelopes,
}

impl SoftwareHsm {
    /// Opens the key store in a directory; makes both on first start, without any key but the master key.
    ///
    /// Refuses: a directory that another HSM has open, a master key file that others may read or that is missing
    /// beside key files, and any key file that isn't a block under this master key for the key it is named after.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        let keys = KeyStore::open(directory.as_ref())?;
        Ok(Self {
            history: keys.open_history()?,
            keys,
            envelopes: Envelopes::default(),
        })
    }

    /// Makes the keys that are missing of those that an HSM needs for itself, and `pvk-1`: with them every call of
    /// the seam works, except those that name a zone key or a key exchange key.
    ///
    /// | name | purpose |
    /// |---|---|
    /// | `imk-ac`, `imk-smi`, `imk-smc` | the three issuer master keys |
    /// | `pin-storage`, `pan-storage`, `card-index`, `record-mac`, `envelope-identity` | local keys |
    /// | `pvk-1` | Visa PVV key of PVKI 1 |
    ///
    /// Does nothing when all are there.
    pub fn provision(&self, now: Timestamp) -> Result<(), HsmFault> {
        const KEYS: [(&str, KeyPurpose); 9] = [
            ("imk-ac", KeyPurpose::IssuerCryptogram),
            ("imk-smi", KeyPurpose::IssuerScriptIntegrity),
            ("imk-smc", KeyPurpose::IssuerScriptConfidentiality),
            ("pin-storage", KeyPurpose::PinStorage),
            ("pan-storage", KeyPurpose::PanStorage),
            ("card-index", KeyPurpose::CardIndex),
            ("record-mac", KeyPurpose::RecordMac),
            ("envelope-identity", KeyPurpose::EnvelopeIdentity),
            ("pvk-1", KeyPurpose::PinVerificationVisa),
        ];
        for (name, purpose) in KEYS {
            match key_admin::generate(&self.keys, KeyName(name.to_owned()), purpose, now) {
                Ok(_) | Err(HsmError::Refused(HsmRefusal::KeyExists)) => {}
                Err(HsmError::Refused(refusal)) => {
                    return Err(HsmFault::NoAnswer(format!("{name}: {refusal}")));
                }
                Err(HsmError::Fault(fault)) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Authenticates the card, then takes the envelope out.
    fn card_and_envelope(
        &self,
        card: &HsmCard,
        operation: PinOperation,
        sealed: &SealedEnvelope,
    ) -> Result<(AuthenticCard, Envelope), HsmRefusal> {
        let authentic = AuthenticCard::open(&self.keys.ring(), card)?;
        let envelope = self.envelopes.take(card.key.row, operation, sealed)?;
        Ok((authentic, envelope))
    }
}

/// For calls that can't refuse: without its own keys the HSM is broken.
fn needs_key(refusal: HsmRefusal) -> HsmFault {
    HsmFault::NoAnswer(format!("not provisioned: {refusal}"))
}

#[async_trait]
impl PaymentHsm for SoftwareHsm {
    async fn card_keys(&self, pans: Vec<Pan>) -> Result<Vec<CardKey>, HsmFault> {
        let ring = self.keys.ring();
        let key = ring.card_index().map_err(needs_key)?;
        Ok(pans.iter().map(|pan| records::card_key(key, pan)).collect())
    }

    async fn seal_pans(&self, pans: Vec<Pan>) -> Result<Vec<SealedPan>, HsmFault> {
        let ring = self.keys.ring();
        let key = ring.aes(KeyPurpose::PanStorage).map_err(needs_key)?;
        let seal = |pan: &Pan| records::seal_pan(key, pan.expose_digits());
        Ok(pans.iter().map(seal).collect())
    }

    async fn seal_states(&self, states: Vec<StateToSeal>) -> Result<Vec<StateMac>, HsmFault> {
        let ring = self.keys.ring();
        let key = ring.aes(KeyPurpose::RecordMac).map_err(needs_key)?;
        Ok(states
            .iter()
            .map(|state| records::state_mac(key, state))
            .collect())
    }

    async fn check(&self, requests: Vec<CheckRequest>) -> Result<Vec<Item<CheckReply>>, HsmFault> {
        let ring = self.keys.ring();
        Ok(requests
            .iter()
            .map(|request| chip::check(&ring, request))
            .collect())
    }

    async fn answer_chip(&self, requests: Vec<ChipAnswerRequest>) -> Result<Vec<Item<ChipAnswer>>, HsmFault> {
        let ring = self.keys.ring();
        Ok(requests
            .iter()
            .map(|request| chip::answer(&ring, request))
            .collect())
    }

    async fn make_macs(&self, messages: Vec<MessageToMac>) -> Result<Vec<Item<[u8; 8]>>, HsmFault> {
        let ring = self.keys.ring();
        Ok(messages
            .iter()
            .map(|message| message_mac::make(&ring, message))
            .collect())
    }

    async fn check_macs(&self, messages: Vec<MessageWithMac>) -> Result<Vec<Item<bool>>, HsmFault> {
        let ring = self.keys.ring();
        Ok(messages
            .iter()
            .map(|message| message_mac::check(&ring, message))
            .collect())
    }

    async fn import_pins(&self, imports: Vec<ImportPin>) -> Result<Vec<Item<SealedPin>>, HsmFault> {
        let ring = self.keys.ring();
        Ok(imports.iter().map(|import| pins::import(&ring, import)).collect())
    }

    async fn can_compare(&self, references: Vec<PinReference>) -> Result<Vec<Item<()>>, HsmFault> {
        let ring = self.keys.ring();
        Ok(references
            .iter()
            .map(|reference| pins::can_compare(&ring, reference))
            .collect())
    }

    async fn move_pin(&self, card: HsmCard, pan: Pan) -> Result<SealedPin, HsmError> {
        let ring = self.keys.ring();
        let card = AuthenticCard::open(&ring, &card)?;
        Ok(pins::move_to(&ring, &card, &pan)?)
    }

    async fn open_envelope(&self, request: EnvelopeRequest) -> Result<EnvelopeOffer, HsmError> {
        let possible_len = PIN_LEN_MIN_DIGITS..=PIN_LEN_MAX_DIGITS;
        if !possible_len.contains(&usize::from(request.pin_len_digits)) {
            return Err(HsmRefusal::PinBlock.into());
        }
        let ring = self.keys.ring();
        let identity = ring.identity()?;
        let envelope = Envelope::new(&request)?;
        let (account, expires) = (envelope.account.clone(), envelope.expires);
        let hsm_public = envelope.key.public().to_vec();
        let nonce = self.envelopes.keep(envelope, request.now)?;
        let message = offer_message(&nonce, request.operation, &account, expires, &hsm_public);
        Ok(EnvelopeOffer {
            nonce,
            operation: request.operation,
            account,
            expires,
            hsm_public,
            signature: identity.sign(&message)?,
        })
    }

    async fn create_pin(&self, card: HsmCard, sealed: SealedEnvelope) -> Result<SealedPin, HsmError> {
        let (card, envelope) = self.card_and_envelope(&card, PinOperation::CreatePin, &sealed)?;
        Ok(pins::create(&self.keys.ring(), &card, &envelope, &sealed)?)
    }

    async fn change_pin(&self, card: HsmCard, sealed: SealedEnvelope) -> Result<PinChange, HsmError> {
        let (card, envelope) = self.card_and_envelope(&card, PinOperation::ChangePin, &sealed)?;
        Ok(pins::change(&self.keys.ring(), &card, &envelope, &sealed)?)
    }

    async fn reveal_pin(
        &self,
        card: HsmCard,
        which: RevealWhich,
        sealed: SealedEnvelope,
    ) -> Result<RevealedPin, HsmError> {
        let (card, envelope) = self.card_and_envelope(&card, PinOperation::ViewPin, &sealed)?;
        Ok(pins::reveal(&self.keys.ring(), &card, which, &envelope, &sealed)?)
    }

    async fn seal_messages(&self, messages: Vec<ClearMessage>) -> Result<Vec<Vec<u8>>, HsmFault> {
        let ring = self.keys.ring();
        let key = ring.aes(KeyPurpose::PanStorage).map_err(needs_key)?;
        let seal = |message| sealed_messages::seal(key, message);
        messages.iter().map(seal).collect()
    }

    async fn open_messages(&self, sealed: Vec<Vec<u8>>) -> Result<Vec<Option<ClearMessage>>, HsmFault> {
        let ring = self.keys.ring();
        let key = ring.aes(KeyPurpose::PanStorage).map_err(needs_key)?;
        let open = |sealed: &Vec<u8>| sealed_messages::open(key, sealed);
        Ok(sealed.iter().map(open).collect())
    }

    async fn mac_desk_records(&self, records: Vec<DeskRecord>) -> Result<Vec<DeskRecordMac>, HsmFault> {
        let ring = self.keys.ring();
        let key = ring.aes(KeyPurpose::RecordMac).map_err(needs_key)?;
        Ok(records
            .iter()
            .map(|record| desk_records::mac(key, record))
            .collect())
    }

    async fn anchor_audit(&self, sequence: u64, hash: [u8; 32]) -> Result<[u8; 16], HsmFault> {
        let ring = self.keys.ring();
        let key = ring.aes(KeyPurpose::RecordMac).map_err(needs_key)?;
        Ok(records::audit_mac(key, sequence, &hash))
    }
}

#[async_trait]
impl KeyAdmin for SoftwareHsm {
    async fn keys(&self) -> Result<Vec<KeyInfo>, HsmFault> {
        Ok(self.keys.ring().infos())
    }

    async fn generate_key(
        &self,
        name: KeyName,
        purpose: KeyPurpose,
        now: Timestamp,
    ) -> Result<KeyInfo, HsmError> {
        key_admin::generate(&self.keys, name, purpose, now)
    }

    async fn load_components(
        &self,
        name: KeyName,
        component_paths: Vec<String>,
        now: Timestamp,
    ) -> Result<KeyInfo, HsmError> {
        key_admin::load_components(&self.keys, name, &component_paths, now)
    }

    async fn export_key(&self, name: KeyName, under: KeyName) -> Result<String, HsmError> {
        Ok(key_admin::export(&self.keys.ring(), &name, &under)?)
    }

    async fn import_key(
        &self,
        name: KeyName,
        purpose: KeyPurpose,
        block: String,
        under: KeyName,
        now: Timestamp,
    ) -> Result<KeyInfo, HsmError> {
        key_admin::import(&self.keys, name, purpose, &block, &under, now)
    }

    async fn replace_key(
        &self,
        name: KeyName,
        block: String,
        under: KeyName,
        kcv: Option<String>,
        now: Timestamp,
    ) -> Result<KeyInfo, HsmError> {
        key_admin::replace(&self.keys, &name, &block, &under, kcv.as_deref(), now)
    }

    async fn drop_former_key(&self, name: KeyName) -> Result<KeyInfo, HsmError> {
        key_admin::drop_former(&self.keys, &name)
    }

    async fn set_ibm3624_rule(&self, name: KeyName, rule: Ibm3624Rule) -> Result<KeyInfo, HsmError> {
        key_admin::set_ibm3624_rule(&self.keys, &name, rule)
    }

    async fn personalise(
        &self,
        card: HsmCard,
        scheme: Scheme,
        under: KeyName,
        zone_key: KeyName,
    ) -> Result<PersonalisedCard, HsmError> {
        let ring = self.keys.ring();
        let card = AuthenticCard::open(&ring, &card)?;
        Ok(key_admin::personalise(&ring, &card, scheme, &under, &zone_key)?)
    }

    async fn envelope_identity(&self) -> Result<Vec<u8>, HsmError> {
        Ok(self.keys.ring().identity()?.public().to_vec())
    }
}
