//! The client that the rest of the program holds: [`RemoteHsm`].
//!
//! Calls of any number of tasks share one connection. Each takes an id; one task writes whatever frames are waiting
//! in one go, one task reads answers and wakes the callers.

mod link;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cards::{CardKey, Pan, PinReference, Scheme, SealedPan, SealedPin, Timestamp};
use serde::de::DeserializeOwned;

use crate::seam::{
    CheckReply, CheckRequest, ChipAnswer, ChipAnswerRequest, ClearMessage, DeskRecord, DeskRecordMac,
    EnvelopeOffer, EnvelopeRequest, HistoryFault, HistoryMark, HsmCard, HsmError, HsmFault, Ibm3624Rule,
    ImportPin, Item, Journal, KeyAdmin, KeyInfo, KeyName, KeyPurpose, MessageToMac, MessageWithMac,
    PaymentHsm, PersonalisedCard, PinChange, RevealWhich, RevealedPin, SealedEnvelope, StateMac, StateToSeal,
};
use crate::wire::Request;
use link::{Link, newest};

/// How long a call may take before it ends in an [`HsmFault`].
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A [`PaymentHsm`] and [`KeyAdmin`] that asks the HSM process at the other end of a Unix socket.
///
/// Clones share the connection. When it is lost, the calls under way end in an [`HsmFault`] and the next call
/// connects again. A call without an answer after 5 seconds ends in an [`HsmFault`].
///
/// Each connection begins with showing the HSM the desk's journal. Without one, and where the HSM refuses it, everything
/// about cards ends in [`HsmFault::History`].
#[derive(Clone)]
pub struct RemoteHsm {
    socket: Arc<PathBuf>,
    journal: Option<Arc<dyn Journal>>,
    link: Arc<tokio::sync::Mutex<Link>>,
}

impl RemoteHsm {
    /// Connects to the HSM process that listens on `socket`, without a journal: to look after keys. Needs a Tokio runtime.
    pub async fn connect(socket: impl AsRef<Path>) -> Result<Self, HsmFault> {
        Self::open(socket.as_ref(), None).await
    }

    /// Connects for a desk that has this journal. Needs a Tokio runtime.
    pub async fn connect_with(socket: impl AsRef<Path>, journal: Arc<dyn Journal>) -> Result<Self, HsmFault> {
        Self::open(socket.as_ref(), Some(journal)).await
    }

    async fn open(socket: &Path, journal: Option<Arc<dyn Journal>>) -> Result<Self, HsmFault> {
        let link = Link::open(socket, journal.as_deref()).await?;
        Ok(Self {
            socket: Arc::new(socket.to_path_buf()),
            journal,
            link: Arc::new(tokio::sync::Mutex::new(link)),
        })
    }

    /// How far the desk's history has come as the HSM remembers it; `None` when it has forgotten.
    pub async fn history_mark(&self) -> Result<Option<HistoryMark>, HsmFault> {
        self.ask(Request::HistoryMark).await
    }

    /// Shows the journal as it is now, so that the HSM's mark moves on. The mark is durable a moment later.
    ///
    /// Ends in [`HsmFault::History`] when the HSM refuses it; from then on so does everything about cards, until the HSM is
    /// shown the right one.
    pub async fn show_history(&self) -> Result<(), HsmFault> {
        let journal = self.journal.as_deref().ok_or(HistoryFault::NotShown)?;
        within_time(async { self.link().await?.show(journal).await.map(|_| ()) }).await
    }

    /// Has the HSM begin a new generation with the journal as it is now, in the place of what it was `told` to remember.
    /// For an operator who knows what was restored.
    ///
    /// Ends in [`HistoryFault::Moved`] when the mark isn't `told` any more.
    pub async fn accept_history(&self, told: Option<HistoryMark>) -> Result<HistoryMark, HsmFault> {
        let journal = self.journal.as_deref().ok_or(HistoryFault::NotShown)?;
        let newest = newest(journal).await?;
        self.ask(Request::AcceptHistory(told, newest.point)).await
    }

    /// One call: its answer is the very `Result` that the software HSM gave.
    async fn ask<T, E>(&self, request: Request) -> Result<T, E>
    where
        T: DeserializeOwned,
        E: DeserializeOwned + From<HsmFault>,
    {
        within_time(async { self.link().await?.ask(request).await }).await
    }

    /// The connection, opened anew when it was lost.
    async fn link(&self) -> Result<Link, HsmFault> {
        let mut link = self.link.lock().await;
        if link.is_lost() {
            *link = Link::open(&self.socket, self.journal.as_deref()).await?;
        }
        Ok(link.clone())
    }
}

async fn within_time<T, E: From<HsmFault>>(call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    tokio::time::timeout(CALL_TIMEOUT, call)
        .await
        .map_err(|_| HsmFault::NoAnswer("no answer within 5 seconds".into()))?
}

#[async_trait]
impl PaymentHsm for RemoteHsm {
    async fn card_keys(&self, pans: Vec<Pan>) -> Result<Vec<CardKey>, HsmFault> {
        self.ask(Request::CardKeys(pans)).await
    }

    async fn seal_pans(&self, pans: Vec<Pan>) -> Result<Vec<SealedPan>, HsmFault> {
        self.ask(Request::SealPans(pans)).await
    }

    async fn seal_states(&self, states: Vec<StateToSeal>) -> Result<Vec<StateMac>, HsmFault> {
        self.ask(Request::SealStates(states)).await
    }

    async fn check(&self, requests: Vec<CheckRequest>) -> Result<Vec<Item<CheckReply>>, HsmFault> {
        self.ask(Request::Check(requests)).await
    }

    async fn answer_chip(&self, requests: Vec<ChipAnswerRequest>) -> Result<Vec<Item<ChipAnswer>>, HsmFault> {
        self.ask(Request::AnswerChip(requests)).await
    }

    async fn make_macs(&self, messages: Vec<MessageToMac>) -> Result<Vec<Item<[u8; 8]>>, HsmFault> {
        self.ask(Request::MakeMacs(messages)).await
    }

    async fn check_macs(&self, messages: Vec<MessageWithMac>) -> Result<Vec<Item<bool>>, HsmFault> {
        self.ask(Request::CheckMacs(messages)).await
    }

    async fn import_pins(&self, pins: Vec<ImportPin>) -> Result<Vec<Item<SealedPin>>, HsmFault> {
        self.ask(Request::ImportPins(pins)).await
    }

    async fn can_compare(&self, references: Vec<PinReference>) -> Result<Vec<Item<()>>, HsmFault> {
        self.ask(Request::CanCompare(references)).await
    }

    async fn move_pin(&self, card: HsmCard, pan: Pan) -> Result<SealedPin, HsmError> {
        self.ask(Request::MovePin(card, pan)).await
    }

    async fn open_envelope(&self, request: EnvelopeRequest) -> Result<EnvelopeOffer, HsmError> {
        self.ask(Request::OpenEnvelope(request)).await
    }

    async fn create_pin(&self, card: HsmCard, envelope: SealedEnvelope) -> Result<SealedPin, HsmError> {
        self.ask(Request::CreatePin(card, envelope)).await
    }

    async fn change_pin(&self, card: HsmCard, envelope: SealedEnvelope) -> Result<PinChange, HsmError> {
        self.ask(Request::ChangePin(card, envelope)).await
    }

    async fn reveal_pin(
        &self,
        card: HsmCard,
        which: RevealWhich,
        envelope: SealedEnvelope,
    ) -> Result<RevealedPin, HsmError> {
        self.ask(Request::RevealPin(card, which, envelope)).await
    }

    async fn seal_messages(&self, messages: Vec<ClearMessage>) -> Result<Vec<Vec<u8>>, HsmFault> {
        self.ask(Request::SealMessages(messages)).await
    }

    async fn open_messages(&self, sealed: Vec<Vec<u8>>) -> Result<Vec<Option<ClearMessage>>, HsmFault> {
        self.ask(Request::OpenMessages(sealed)).await
    }

    async fn mac_desk_records(&self, records: Vec<DeskRecord>) -> Result<Vec<DeskRecordMac>, HsmFault> {
        self.ask(Request::MacDeskRecords(records)).await
    }

    async fn anchor_audit(&self, sequence: u64, hash: [u8; 32]) -> Result<[u8; 16], HsmFault> {
        self.ask(Request::AnchorAudit(sequence, hash)).await
    }
}

#[async_trait]
impl KeyAdmin for RemoteHsm {
    async fn keys(&self) -> Result<Vec<KeyInfo>, HsmFault> {
        self.ask(Request::Keys).await
    }

    async fn generate_key(
        &self,
        name: KeyName,
        purpose: KeyPurpose,
        now: Timestamp,
    ) -> Result<KeyInfo, HsmError> {
        self.ask(Request::GenerateKey(name, purpose, now)).await
    }

    async fn load_components(
        &self,
        name: KeyName,
        component_paths: Vec<String>,
        now: Timestamp,
    ) -> Result<KeyInfo, HsmError> {
        self.ask(Request::LoadComponents(name, component_paths, now))
            .await
    }

    async fn export_key(&self, name: KeyName, under: KeyName) -> Result<String, HsmError> {
        self.ask(Request::ExportKey(name, under)).await
    }

    async fn import_key(
        &self,
        name: KeyName,
        purpose: KeyPurpose,
        block: String,
        under: KeyName,
        now: Timestamp,
    ) -> Result<KeyInfo, HsmError> {
        self.ask(Request::ImportKey(name, purpose, block, under, now))
            .await
    }

    async fn replace_key(
        &self,
        name: KeyName,
        block: String,
        under: KeyName,
        kcv: Option<String>,
        now: Timestamp,
    ) -> Result<KeyInfo, HsmError> {
        self.ask(Request::ReplaceKey(name, block, under, kcv, now)).await
    }

    async fn drop_former_key(&self, name: KeyName) -> Result<KeyInfo, HsmError> {
        self.ask(Request::DropFormerKey(name)).await
    }

    async fn set_ibm3624_rule(&self, name: KeyName, rule: Ibm3624Rule) -> Result<KeyInfo, HsmError> {
        self.ask(Request::SetIbm3624Rule(name, rule)).await
    }

    async fn personalise(
        &self,
        card: HsmCard,
        scheme: Scheme,
        under: KeyName,
        zone_key: KeyName,
    ) -> Result<PersonalisedCard, HsmError> {
        self.ask(Request::Personalise(card, scheme, under, zone_key))
            .await
    }

    async fn envelope_identity(&self) -> Result<Vec<u8>, HsmError> {
        self.ask(Request::EnvelopeIdentity).await
    }
}
