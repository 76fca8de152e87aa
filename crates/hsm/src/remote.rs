//! The client that the rest of the program holds: [`RemoteHsm`].
//!
//! Calls of any number of tasks share one connection. Each takes an id; one task writes whatever frames are waiting
//! in one go, one task reads answers and wakes the callers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cards::{CardKey, Pan, Scheme, SealedPan, SealedPin, Timestamp};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::seam::{
    CheckReply, CheckRequest, ChipAnswer, ChipAnswerRequest, ClearMessage, EnvelopeOffer, EnvelopeRequest,
    HistoryFault, HistoryMark, HistoryPoint, HsmCard, HsmError, HsmFault, Ibm3624Rule, ImportPin, Item,
    Journal, JournalFault, JournalRecord, KeyAdmin, KeyInfo, KeyName, KeyPurpose, MessageToMac,
    MessageWithMac, PaymentHsm, PersonalisedCard, PinChange, RevealWhich, RevealedPin, SealedEnvelope,
    ShownHistory, StateMac, StateToSeal,
};
use crate::wire::{self, LENGTH_LEN_BYTES, Request};

/// How long a call may take before it ends in an [`HsmFault`].
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Calls that may wait for the writer before further callers wait for room.
const CALLS_QUEUED_MAX: usize = 1024;

/// The writer doesn't gather more than this before it writes.
const WRITE_GATHER_MAX_BYTES: usize = 256 * 1024;

/// How often a history is shown anew, because the HSM was shown more in the same moment, before it is left at that.
const SHOWS_MAX: usize = 5;

/// By how much the journal may be ahead of the HSM's mark when a connection opens. A desk that runs shows it far more
/// often, so more means that the HSM is not as it was.
const AHEAD_MAX_MS: i64 = 60_000;

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

fn lost() -> HsmFault {
    HsmFault::NoAnswer("the connection to the HSM process was lost".into())
}

/// The newest record, or what stands before the first.
async fn newest(journal: &dyn Journal) -> Result<JournalRecord, HsmFault> {
    let newest = journal.newest().await.map_err(unreadable)?;
    Ok(newest.unwrap_or(JournalRecord {
        point: HistoryPoint::START,
        at: Timestamp(0),
    }))
}

fn unreadable(fault: JournalFault) -> HsmFault {
    HsmFault::NoAnswer(format!("nothing can be shown to it: {fault}"))
}

/// One connection, with its reader and writer task.
#[derive(Clone)]
struct Link {
    to_writer: mpsc::Sender<Vec<u8>>,
    calls: Arc<Mutex<Calls>>,
}

/// The calls that wait for their answers. `None` once the connection is lost.
struct Calls {
    waiting: Option<HashMap<u64, oneshot::Sender<Vec<u8>>>>,
    id_last: u64,
}

impl Link {
    /// Connects, and shows the journal before anything else. What the HSM has against it, it says to every call.
    async fn open(socket: &Path, journal: Option<&dyn Journal>) -> Result<Self, HsmFault> {
        let link = Self::connect(socket).await?;
        let Some(journal) = journal else {
            return Ok(link);
        };
        match link.show(journal).await {
            Ok(mark) => tell_when_far_ahead(journal, &mark).await?,
            Err(fault @ (HsmFault::NoAnswer(_) | HsmFault::History(HistoryFault::Moved))) => {
                return Err(fault);
            }
            Err(HsmFault::History(fault)) => {
                tracing::error!(%fault, "the HSM doesn't take the desk's history")
            }
        }
        Ok(link)
    }

    /// Shows the journal; gives the mark that it was compared with.
    async fn show(&self, journal: &dyn Journal) -> Result<HistoryMark, HsmFault> {
        for _ in 0..SHOWS_MAX {
            let told: Option<HistoryMark> = self.ask::<_, HsmFault>(Request::HistoryMark).await?;
            let told = told.ok_or(HistoryFault::Forgotten)?;
            let at_mark = match told.newest.sequence {
                0 => Some(HistoryPoint::START),
                sequence => journal
                    .record(sequence)
                    .await
                    .map_err(unreadable)?
                    .map(|record| record.point),
            };
            let shown = ShownHistory {
                told,
                hash_at_mark: at_mark.map(|point| point.hash),
                newest: newest(journal).await?.point,
            };
            match self.ask::<(), HsmFault>(Request::ShowHistory(shown)).await {
                Err(HsmFault::History(HistoryFault::Moved)) => {}
                outcome => return outcome.map(|()| told),
            }
        }
        Err(HistoryFault::Moved.into())
    }

    async fn connect(socket: &Path) -> Result<Self, HsmFault> {
        let stream = UnixStream::connect(socket).await.map_err(|cause| {
            HsmFault::NoAnswer(format!("no HSM process at {}: {cause}", socket.display()))
        })?;
        let (reading, writing) = stream.into_split();
        let (to_writer, frames) = mpsc::channel(CALLS_QUEUED_MAX);
        let calls = Arc::new(Mutex::new(Calls {
            waiting: Some(HashMap::new()),
            id_last: 0,
        }));
        let writer = tokio::spawn(write_frames(writing, frames));
        let calls_of_reader = Arc::clone(&calls);
        tokio::spawn(async move {
            read_answers(reading, &calls_of_reader).await;
            lock(&calls_of_reader).waiting = None;
            writer.abort();
        });
        Ok(Self { to_writer, calls })
    }

    async fn ask<T, E>(&self, request: Request) -> Result<T, E>
    where
        T: DeserializeOwned,
        E: DeserializeOwned + From<HsmFault>,
    {
        let answer = self.exchange(request).await?;
        wire::split_id(&answer)
            .and_then(|(_, body)| wire::read_body::<Result<T, E>>(body))
            .map_err(|bad| HsmFault::NoAnswer(bad.to_string()))?
    }

    async fn exchange(&self, request: Request) -> Result<Vec<u8>, HsmFault> {
        let (id, waiting) = self.expect_answer()?;
        let forget_when_dropped = Forget {
            calls: Arc::clone(&self.calls),
            id,
        };
        let mut frame = Vec::new();
        wire::append_frame(&mut frame, id, &request).map_err(|bad| HsmFault::NoAnswer(bad.to_string()))?;
        drop(request);
        self.to_writer.send(frame).await.map_err(|_| lost())?;
        let answer = waiting.await.map_err(|_| lost());
        drop(forget_when_dropped);
        answer
    }

    fn is_lost(&self) -> bool {
        lock(&self.calls).waiting.is_none()
    }

    fn expect_answer(&self) -> Result<(u64, oneshot::Receiver<Vec<u8>>), HsmFault> {
        let mut calls = lock(&self.calls);
        calls.id_last += 1;
        let id = calls.id_last;
        let (answer, waiting) = oneshot::channel();
        calls.waiting.as_mut().ok_or_else(lost)?.insert(id, answer);
        Ok((id, waiting))
    }
}

/// Says so when the journal goes on long after the mark: the HSM was restored from an older backup, or something else
/// than a desk wrote the journal. No try is given back by that, so it is no reason to refuse.
async fn tell_when_far_ahead(journal: &dyn Journal, mark: &HistoryMark) -> Result<(), HsmFault> {
    let seen = mark.newest.sequence;
    let first_unseen = journal.record(seen.saturating_add(1)).await.map_err(unreadable)?;
    let newest = newest(journal).await?;
    if let Some(first_unseen) = first_unseen
        && newest.at.0.saturating_sub(first_unseen.at.0) > AHEAD_MAX_MS
    {
        let newest = newest.point.sequence;
        tracing::error!(
            seen,
            newest,
            "the HSM has seen far less than the database holds: was the HSM restored from a backup?"
        );
    }
    Ok(())
}

/// Takes a call that ended, or was given up, out of the waiting ones.
struct Forget {
    calls: Arc<Mutex<Calls>>,
    id: u64,
}

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(waiting) = &mut lock(&self.calls).waiting {
            waiting.remove(&self.id);
        }
    }
}

fn lock(calls: &Mutex<Calls>) -> std::sync::MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes frames, all that wait together, until the connection or the last [`RemoteHsm`] is gone.
async fn write_frames(mut stream: OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut gathered) = frames.recv().await {
        while gathered.len() < WRITE_GATHER_MAX_BYTES
            && let Ok(frame) = frames.try_recv()
        {
            gathered.extend_from_slice(&frame);
        }
        if stream.write_all(&gathered).await.is_err() {
            return;
        }
    }
}

/// Hands answers to their callers until the connection ends or sends something that is no frame.
async fn read_answers(stream: OwnedReadHalf, calls: &Mutex<Calls>) {
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    loop {
        let mut length = [0; LENGTH_LEN_BYTES];
        if stream.read_exact(&mut length).await.is_err() {
            return;
        }
        let Ok(len) = wire::frame_len(length) else { return };
        let mut frame = vec![0; len];
        if stream.read_exact(&mut frame).await.is_err() {
            return;
        }
        let Ok((id, _)) = wire::split_id(&frame) else {
            return;
        };
        let caller = lock(calls)
            .waiting
            .as_mut()
            .and_then(|waiting| waiting.remove(&id));
        if let Some(caller) = caller {
            // A caller that gave up in this moment doesn't want it.
            let _ = caller.send(frame);
        }
    }
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
