//! The HSM process: a software HSM behind a Unix socket, in a process that doesn't dump its memory.
//!
//! Blocking, one thread per connection. Frames are in `wire`. A malformed frame closes its own connection only.

use std::fs::{self, Permissions};
use std::future::Future;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::history::Standing;
use crate::seam::{HistoryFault, HistoryMark, HistoryPoint, HsmFault, KeyAdmin, PaymentHsm, ShownHistory};
use crate::wire::{self, BadFrame, LENGTH_LEN_BYTES, Request};
use crate::{OpenError, SoftwareHsm, harden};

/// Connections open at one time; the next one is closed at once.
const CONNECTIONS_MAX: usize = 64;

/// Requests answered, in bytes, before their answers are written although more requests wait.
const GATHER_MAX_BYTES: usize = 8 * 1024;

/// Room for requests that wait in one connection.
const READ_AHEAD_BYTES: usize = 256 * 1024;

/// How the HSM process runs.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The key store's directory; made on first start.
    pub directory: PathBuf,
    /// Where to listen. A file of that name is replaced: the key store's lock already makes sure that no other HSM
    /// process serves this directory.
    pub socket: PathBuf,
    /// End when standard input closes, which is when the parent process ends, however it ends.
    pub stop_when_stdin_closes: bool,
}

/// The HSM process can't start or can't go on.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the error text of each variant says it")]
pub enum ServeError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("can't listen on {path}: {cause}")]
    Listen { path: PathBuf, cause: io::Error },
    #[error("can't protect the process: {0}")]
    Harden(io::Error),
}

/// Runs the HSM process.
///
/// Takes the process over: switches core dumps and memory inspection off, and replaces the panic hook by one that
/// tells the place but not the message. Returns when standard input closes, if asked to; otherwise not.
pub fn serve(options: &ServeOptions) -> Result<(), ServeError> {
    harden::protect_process().map_err(ServeError::Harden)?;
    let hsm = Arc::new(SoftwareHsm::open(&options.directory)?);
    let listener = listen(options)?;
    harden::announce(&options.directory, &options.socket);
    if options.stop_when_stdin_closes {
        let serving = Arc::clone(&hsm);
        thread::spawn(move || take_connections(&listener, &serving));
        // Nobody writes there: the read ends when the parent's end closes.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // A failure was told when it happened.
        let _ = hsm.history.write_down();
    } else {
        take_connections(&listener, &hsm);
    }
    Ok(())
}

fn listen(options: &ServeOptions) -> Result<UnixListener, ServeError> {
    let path = &options.socket;
    let fail = |cause| ServeError::Listen {
        path: path.clone(),
        cause,
    };
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(fail(cause)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fail)?;
    Ok(listener)
}

fn take_connections(listener: &UnixListener, hsm: &Arc<SoftwareHsm>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().flatten() {
        let place = Place::take(&open);
        let Some(place) = place else { continue };
        let hsm = Arc::clone(hsm);
        thread::spawn(move || {
            if let Err(end) = converse(&hsm, &stream) {
                tracing::warn!(%end, "an HSM connection was closed");
            }
            drop(place);
        });
    }
}

/// One of the [`CONNECTIONS_MAX`] places, given back on drop.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(open));
        (open.fetch_add(1, Ordering::Relaxed) < CONNECTIONS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a connection ended other than by its client.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    BadFrame(#[from] BadFrame),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Answers requests in order. Writes when no complete request waits, or enough work went into what has gathered: a
/// caller's batch isn't held back by the next caller's.
fn converse(hsm: &SoftwareHsm, stream: &UnixStream) -> Result<(), End> {
    let mut requests = BufReader::with_capacity(READ_AHEAD_BYTES, stream);
    let mut writer = stream;
    let mut answers = Vec::new();
    let mut gathered_bytes = 0;
    let mut standing = Standing::default();
    while !requests.fill_buf()?.is_empty() {
        let mut length = [0; LENGTH_LEN_BYTES];
        requests.read_exact(&mut length)?;
        let mut frame = Zeroizing::new(vec![0; wire::frame_len(length)?]);
        requests.read_exact(&mut frame)?;
        let (id, body) = wire::split_id(&frame)?;
        answer(hsm, &mut standing, id, wire::read_body(body)?, &mut answers)?;
        gathered_bytes += frame.len();
        if gathered_bytes >= GATHER_MAX_BYTES || !holds_a_frame(requests.buffer()) {
            writer.write_all(&answers)?;
            answers.clear();
            gathered_bytes = 0;
        }
    }
    Ok(())
}

/// Whether the next read would find a whole frame without waiting for the client.
fn holds_a_frame(buffered: &[u8]) -> bool {
    buffered
        .split_first_chunk()
        .is_some_and(|(length, rest)| wire::frame_len(*length).is_ok_and(|len| rest.len() >= len))
}

/// Answers one request. Whatever is about cards waits for the desk's history, before anything of it is looked at; the rest
/// (keys, MACs of messages, the history itself) doesn't.
fn answer(
    hsm: &SoftwareHsm,
    standing: &mut Standing,
    id: u64,
    request: Request,
    out: &mut Vec<u8>,
) -> Result<(), BadFrame> {
    let may = hsm.history.require(standing);
    match request {
        Request::CardKeys(pans) => put(out, id, only_if(may, hsm.card_keys(pans))),
        Request::SealPans(pans) => put(out, id, only_if(may, hsm.seal_pans(pans))),
        Request::SealStates(states) => put(out, id, only_if(may, hsm.seal_states(states))),
        Request::Check(requests) => put(out, id, only_if(may, hsm.check(requests))),
        Request::AnswerChip(requests) => put(out, id, only_if(may, hsm.answer_chip(requests))),
        Request::MakeMacs(messages) => put(out, id, hsm.make_macs(messages)),
        Request::CheckMacs(messages) => put(out, id, hsm.check_macs(messages)),
        Request::ImportPins(pins) => put(out, id, only_if(may, hsm.import_pins(pins))),
        Request::CanCompare(references) => put(out, id, hsm.can_compare(references)),
        Request::MovePin(card, pan) => put(out, id, only_if(may, hsm.move_pin(card, pan))),
        Request::OpenEnvelope(request) => put(out, id, only_if(may, hsm.open_envelope(request))),
        Request::CreatePin(card, envelope) => put(out, id, only_if(may, hsm.create_pin(card, envelope))),
        Request::ChangePin(card, envelope) => put(out, id, only_if(may, hsm.change_pin(card, envelope))),
        Request::RevealPin(card, which, envelope) => {
            put(out, id, only_if(may, hsm.reveal_pin(card, which, envelope)))
        }
        Request::SealMessages(messages) => put(out, id, only_if(may, hsm.seal_messages(messages))),
        Request::OpenMessages(sealed) => put(out, id, only_if(may, hsm.open_messages(sealed))),
        Request::MacDeskRecords(records) => put(out, id, only_if(may, hsm.mac_desk_records(records))),
        Request::AnchorAudit(sequence, hash) => put(out, id, hsm.anchor_audit(sequence, hash)),
        Request::Keys => put(out, id, hsm.keys()),
        Request::GenerateKey(name, purpose, now) => put(out, id, hsm.generate_key(name, purpose, now)),
        Request::LoadComponents(name, paths, now) => put(out, id, hsm.load_components(name, paths, now)),
        Request::ExportKey(name, under) => put(out, id, hsm.export_key(name, under)),
        Request::ImportKey(name, purpose, block, under, now) => {
            put(out, id, hsm.import_key(name, purpose, block, under, now))
        }
        Request::ReplaceKey(name, block, under, kcv, now) => {
            put(out, id, hsm.replace_key(name, block, under, kcv, now))
        }
        Request::DropFormerKey(name) => put(out, id, hsm.drop_former_key(name)),
        Request::SetIbm3624Rule(name, rule) => put(out, id, hsm.set_ibm3624_rule(name, rule)),
        Request::Personalise(card, scheme, under, zone_key) => put(
            out,
            id,
            only_if(may, hsm.personalise(card, scheme, under, zone_key)),
        ),
        Request::EnvelopeIdentity => put(out, id, hsm.envelope_identity()),
        Request::HistoryMark => wire::append_frame(out, id, &Ok::<_, HsmFault>(hsm.history.mark())),
        Request::ShowHistory(shown) => wire::append_frame(out, id, &show(hsm, standing, &shown)),
        Request::AcceptHistory(told, newest) => wire::append_frame(out, id, &accept(hsm, told, newest)),
    }
}

fn show(hsm: &SoftwareHsm, standing: &mut Standing, shown: &ShownHistory) -> Result<(), HsmFault> {
    let before = *standing;
    let outcome = hsm.history.show(standing, shown);
    if let Standing::Refused(fault) = *standing
        && *standing != before
    {
        tracing::error!(%fault, "nothing is done about cards for this desk");
    }
    Ok(outcome?)
}

fn accept(
    hsm: &SoftwareHsm,
    told: Option<HistoryMark>,
    newest: HistoryPoint,
) -> Result<HistoryMark, HsmFault> {
    let mark = hsm.history.accept(told, newest)?;
    let (generation, sequence) = (mark.generation, mark.newest.sequence);
    tracing::warn!(generation, sequence, "another history was accepted");
    Ok(mark)
}

async fn only_if<T, E: From<HsmFault>>(
    may: Result<(), HistoryFault>,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    may.map_err(HsmFault::from)?;
    call.await
}

fn put<R: Serialize>(out: &mut Vec<u8>, id: u64, call: impl Future<Output = R>) -> Result<(), BadFrame> {
    wire::append_frame(out, id, &finish(call))
}

/// Runs a call of the software HSM, which computes and never waits, on this thread.
fn finish<F: Future>(call: F) -> F::Output {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("SoftwareHsm awaits nothing"),
    }
}
