//! The PIN desk with its surfaces, running: web, ISO 8583 host, outbox and history keeper over one store and one HSM.
//!
//! When the HSM process that this one started ends, it is started again; meanwhile every request is answered, by the code
//! that refuses it (I10).

use std::fs;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hsm::{KeyAdmin, RemoteHsm};
use iso8583::dialect::Dialect;
use issuer::Desk;
use sha2::{Digest, Sha256};
use store::{AuditEvent, SqliteStore, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::accept::Door;
use crate::clock;
use crate::config::{self, Config, LinkConfig, UpstreamConfig, WebConfig};
use crate::desk_lock::DeskLock;
use crate::failure::Failure;
use crate::file_limit;
use crate::history::{DeskJournal, HistoryKeeper};
use crate::host::{self, Admission, CloseCounts, HostLink, Inline, LinkState, ReadRoom, UpstreamSettings};
use crate::hsm_link::HsmLink;
use crate::outbox::{Outbox, Smtp};
use crate::web::{self, WebSettings, WebState};

/// How long requests under way may take when the desk stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Shortest token of the JSON API, in characters.
const API_TOKEN_LEN_MIN: usize = 32;

const MS_PER_MINUTE: i64 = 60_000;

/// The ports, taken before anything else is started.
pub(crate) struct Listeners {
    pub(crate) web: TcpListener,
    /// In the order of the configuration; `None` for a link that connects out.
    pub(crate) links: Vec<Option<TcpListener>>,
}

impl Listeners {
    /// Takes the ports of the configuration.
    pub(crate) fn bind(config: &Config) -> Result<Self, Failure> {
        let link = |link: &LinkConfig| {
            let setting = format!("listen of host.link {}", link.name);
            link.listen.map(|address| listen(address, &setting)).transpose()
        };
        Ok(Self {
            web: listen(config.web.listen, "web.listen")?,
            links: config.host.links.iter().map(link).collect::<Result<_, _>>()?,
        })
    }
}

/// Takes a port. The refusal names the setting that chooses another.
pub(crate) fn listen(address: SocketAddr, setting: &str) -> Result<TcpListener, Failure> {
    let bind = || -> io::Result<TcpListener> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|cause| {
        Failure::Unavailable(format!(
            "can't listen on {address} ({cause}); choose another with {setting}"
        ))
    })
}

/// What a demo adds to a desk.
#[derive(Default)]
pub(crate) struct DemoExtras {
    /// Where the HSM process writes its log; ours without one.
    pub(crate) hsm_log: Option<PathBuf>,
    /// Pages link to it.
    pub(crate) sandbox_url: Option<String>,
}

/// Serves until `until` ends, HSM processes don't last, or a surface fails.
pub(crate) async fn serve(
    config: &Config,
    listeners: Listeners,
    extras: DemoExtras,
    until: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let limits = file_limit::share_out(
        listeners.links.iter().flatten().count(),
        config.host.outgoing_connections(),
    )?;
    let settings = web_settings(&config.web, extras.sandbox_url)?;
    let smtp = Smtp::new(&config.mail).map_err(Failure::BadData)?;
    let _lock = DeskLock::take(&config.store.path)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.store.path)?);
    let log = extras.hsm_log.as_deref();
    let mut hsm = HsmLink::connect_or_start(&config.hsm, log, store.clone()).await?;
    let envelope_identity = hsm.remote.envelope_identity().await?;
    let desk = Desk {
        hsm: Arc::new(hsm.remote.clone()),
        store: store.clone(),
        programmes: config.programmes(),
        unpredictable_numbers: Arc::default(),
    };
    store.append_audit(vec![started()]).await?;

    let (stop, stopping) = watch::channel(false);
    let state = WebState {
        desk: desk.clone(),
        envelope_identity: envelope_identity.clone(),
        settings,
        clock: clock::now,
    };
    let mut web = tokio::spawn(serve_web(
        Door::new(listeners.web, "web")?,
        state,
        limits.web,
        stopping.clone(),
    ));
    let host_hsm = RemoteHsm::connect_with(&config.hsm.socket, Arc::new(DeskJournal(store.clone()))).await?;
    let connections = vec![hsm.remote.clone(), host_hsm.clone()];
    let history = HistoryKeeper::new(store.clone(), connections, clock::now);
    tell_missing_keys(config, &host_hsm).await?;
    let ways = ways(config, listeners.links, limits.each_link);
    let (host, host_failed) = start_host(config, ways, &desk, host_hsm, stopping.clone())?;
    let outbox = Outbox {
        store,
        smtp,
        issuer_name: config.web.issuer_name.clone(),
        clock: clock::now,
    };
    let outbox = tokio::spawn(outbox.deliver(stopping.clone()));
    let history = tokio::spawn(history.keep(stopping));

    let ended = tokio::select! {
        ended = until => ended,
        error = hsm.keep(&envelope_identity) => Err(Failure::Unavailable(format!("stopped: {error}"))),
        Ok(failure) = host_failed => Err(failure),
        failed = &mut web => Err(Failure::Fault(format!("the web stopped: {failed:?}"))),
    };
    // Nobody left to tell is what stopping is for.
    let _ = stop.send(true);
    if timeout(STOP_PATIENCE, web).await.is_err() {
        tracing::warn!("requests were under way when the web stopped");
    }
    // Their panics were told where they happened.
    let _ = host.join();
    let _ = outbox.await;
    if let Ok(history) = history.await {
        history.end().await;
    }
    hsm.close().await;
    ended
}

/// Ends when this process is told to: Ctrl-C or SIGTERM.
pub(crate) async fn told_to_stop() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("told to stop");
    Ok(())
}

fn started() -> AuditEvent {
    AuditEvent {
        at: clock::now(),
        kind: "desk_started",
        card: None,
        actor: "pinward".to_owned(),
        detail: serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }).to_string(),
    }
}

async fn serve_web(
    door: Door,
    state: WebState,
    connections_max: usize,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    tracing::info!(address = %door.address()?, connections_max, "web");
    let stopped = async move {
        // The sender is gone only when the desk is.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    web::serve(door, web::router(state), connections_max, stopped).await;
    Ok(())
}

fn web_settings(config: &WebConfig, demo_sandbox_url: Option<String>) -> Result<WebSettings, Failure> {
    Ok(WebSettings {
        issuer_name: config.issuer_name.clone(),
        accent: config.accent,
        session_idle_ms: i64::from(config.session_idle_minutes) * MS_PER_MINUTE,
        session_absolute_ms: i64::from(config.session_max_minutes) * MS_PER_MINUTE,
        secure_cookies: config.secure_cookies,
        api_token_sha256: config.api_token_path.as_deref().map(api_token).transpose()?,
        demo_sandbox_url,
    })
}

fn api_token(path: &Path) -> Result<[u8; 32], Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|cause| Failure::Unavailable(format!("{shown}: {cause}")))?;
    let token = text.trim();
    if token.len() < API_TOKEN_LEN_MIN {
        return Err(Failure::BadData(format!(
            "{shown}: a token has at least {API_TOKEN_LEN_MIN} characters"
        )));
    }
    Ok(Sha256::digest(token).into())
}

/// How a link and its network come together.
enum Way {
    Listen(TcpListener, Admission),
    Connect(String),
}

fn ways(config: &Config, listeners: Vec<Option<TcpListener>>, connections_max: usize) -> Vec<Way> {
    let links = config.host.links.iter().zip(listeners);
    let way = |(link, listener): (&LinkConfig, Option<TcpListener>)| match listener {
        Some(listener) => Way::Listen(listener, admission(link, connections_max)),
        None => Way::Connect(link.connect.clone().unwrap_or_default()),
    };
    links.map(way).collect()
}

fn admission(link: &LinkConfig, connections_max: usize) -> Admission {
    Admission {
        connections_max,
        address_max: link.connections_per_address.map(usize::from),
        first_message: Duration::from_secs(link.first_message_seconds.into()),
    }
}

/// Starts the ISO 8583 links on a thread and runtime of their own, so that pages never wait behind authorisations nor
/// the other way round. Their desk has a connection to the HSM of its own for the same reason; that one's reading and
/// writing is done by the program's other threads.
fn start_host(
    config: &Config,
    ways: Vec<Way>,
    desk: &Desk,
    hsm: RemoteHsm,
    stopping: watch::Receiver<bool>,
) -> Result<(JoinHandle<()>, oneshot::Receiver<Failure>), Failure> {
    let (failed, host_failed) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let desk = Desk {
        hsm: Arc::new(hsm.clone()),
        ..desk.clone()
    };
    let keys: Arc<dyn KeyAdmin> = Arc::new(hsm);
    let read_room = Arc::default();
    let mut links = Vec::with_capacity(ways.len());
    for (config, way) in config.host.links.iter().zip(ways) {
        let link = host_link(config, &desk, &keys, &read_room)?;
        links.push((Arc::new(link), way));
    }
    let serve = move || {
        if let Err(failure) = runtime.block_on(serve_links(links, stopping)) {
            // Nobody listens any more when the desk stops at this moment.
            let _ = failed.send(failure);
        }
    };
    let thread = thread::Builder::new().name("iso8583".to_owned()).spawn(serve)?;
    Ok((thread, host_failed))
}

/// Names the links' keys that the HSM doesn't have. They may come later: until then messages that need them are refused.
async fn tell_missing_keys(config: &Config, hsm: &dyn KeyAdmin) -> Result<(), Failure> {
    let there = hsm.keys().await?;
    for link in &config.host.links {
        let wanted = [
            ("zone_key", Some(&link.zone_key)),
            ("mac_key", link.mac_key.as_ref()),
            ("key_exchange_key", link.key_exchange_key.as_ref()),
        ];
        for (setting, key) in wanted {
            if let Some(key) = key.filter(|key| there.iter().all(|there| there.name != **key)) {
                tracing::error!(
                    link = link.name,
                    setting,
                    key = key.0,
                    "the HSM has no key of this name"
                );
            }
        }
    }
    Ok(())
}

async fn serve_links(
    links: Vec<(Arc<HostLink>, Way)>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let mut serving = tokio::task::JoinSet::new();
    for (link, way) in links {
        host::recall_owed(&link).await?;
        tokio::spawn(host::keep_upstream(link.clone()));
        tokio::spawn(host::tell_left_out(link.clone()));
        match way {
            Way::Listen(listener, admission) => {
                let door = Door::new(listener, &link.name)?;
                let (address, connections_max) = (door.address()?, admission.connections_max);
                tracing::info!(link = &*link.name, %address, connections_max, "ISO 8583 host");
                serving.spawn(host::serve(door, admission, link));
            }
            Way::Connect(address) => {
                serving.spawn(host::dial(address, link));
            }
        }
    }
    tokio::select! {
        _ = stopping.wait_for(|stopping| *stopping) => Ok(()),
        Some(ended) = serving.join_next() => Err(Failure::Fault(format!("the ISO 8583 host stopped: {ended:?}"))),
    }
}

fn host_link(
    config: &LinkConfig,
    desk: &Desk,
    keys: &Arc<dyn KeyAdmin>,
    read_room: &Arc<ReadRoom>,
) -> Result<HostLink, Failure> {
    let refused =
        |setting: &str, reason| Failure::BadData(format!("host.link {}: {setting}: {reason}", config.name));
    let dialect = config::dialect(&config.dialect).map_err(|reason| refused("dialect", reason))?;
    let inline = match &config.upstream {
        Some(upstream) => {
            let settings = upstream_settings(upstream, &dialect);
            Some(Inline::new(
                settings.map_err(|reason| refused("upstream.dialect", reason))?,
            ))
        }
        None => None,
    };
    Ok(HostLink {
        name: config.name.as_str().into(),
        network: config.network.as_deref().unwrap_or(&config.name).into(),
        framing: config.framing,
        zone_key: config.zone_key.clone(),
        pin_format: config.pin_format,
        new_pin_field: config.new_pin_field.or(dialect.places().new_pin),
        mac_key: config.mac_key.clone(),
        key_exchange_key: config.key_exchange_key.clone(),
        key_change_without_mac: config.key_change_without_mac,
        processing_codes: config.processing_codes.clone(),
        response_codes: config.response_codes.clone(),
        sign_on: config.sign_on,
        dialect,
        inline,
        desk: desk.clone(),
        keys: keys.clone(),
        clock: clock::now,
        closed: CloseCounts::default(),
        read_room: read_room.clone(),
        state: LinkState::default(),
    })
}

fn upstream_settings(config: &UpstreamConfig, link: &Dialect) -> Result<UpstreamSettings, &'static str> {
    let dialect = match &config.dialect {
        Some(dialect) => config::dialect(dialect)?,
        None => link.clone(),
    };
    Ok(UpstreamSettings {
        address: config.address.clone(),
        dialect,
        framing: config.framing,
        connections: config.connections,
        timeout: Duration::from_millis(config.timeout_ms.into()),
        in_flight_max: usize::try_from(config.in_flight_max).unwrap_or(usize::MAX),
        on_late: config.on_late,
        stand_in_amount_max_minor: config.stand_in_amount_max_minor.unwrap_or_default(),
        mark_field: config.mark_field,
        unknown_cards: config.unknown_cards,
        tell_declines: config.tell_declines,
        owed_max: usize::try_from(config.owed_max).unwrap_or(usize::MAX),
        owed_alarm_ms: i64::from(config.owed_alarm_seconds) * 1_000,
        dual_run: config.dual_run,
    })
}
