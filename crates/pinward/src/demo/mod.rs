//! The demo: a fictional issuer with everything around it, on one machine.
//!
//! The portal, the ISO 8583 host and the mail worker run in this process; the HSM and the simulators are children. On
//! first start an issuer is made: keys, cardmembers, cards, and plastic for them. Later starts keep it.

mod bench;
mod first_start;
mod issuer;
mod welcome;

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use hsm::RemoteHsm;

use crate::child::Child;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::serve::{self, DemoExtras, Listeners, listen};

/// Where things are in the data directory.
const WALLET: &str = "wallet";
const BENCH: &str = "bench";
const DEMO_FILE: &str = "wallet/demo.json";
const ACQUIRER_FILE: &str = "acquirer.json";
const API_TOKEN_FILE: &str = "api-token";
const MAIL_DIR: &str = "mail";
const LOG_DIR: &str = "log";

/// A demo to run. Addresses that aren't given are those of its configuration.
pub(crate) struct Demo {
    /// Absolute.
    pub(crate) data: PathBuf,
    pub(crate) web: Option<SocketAddr>,
    pub(crate) host: Option<SocketAddr>,
    pub(crate) sandbox: SocketAddr,
    pub(crate) mail: Option<SocketAddr>,
}

/// Ports that are taken, and the configuration with the addresses that apply.
pub(crate) struct Ready {
    listeners: Listeners,
    addresses: Addresses,
}

/// Where the demo is reached.
#[derive(Clone, Copy)]
struct Addresses {
    web: SocketAddr,
    host: SocketAddr,
    sandbox: SocketAddr,
    mail: SocketAddr,
}

impl Demo {
    /// Takes the ports, and makes sure that no other demo uses the data, before anything is started or deleted.
    pub(crate) async fn take_ports(&self) -> Result<Ready, Failure> {
        if RemoteHsm::connect(self.data.join(issuer::HSM_SOCKET))
            .await
            .is_ok()
        {
            let shown = self.data.display();
            return Err(Failure::Unavailable(format!(
                "a demo runs over {shown} already; --data chooses another"
            )));
        }
        let file = self.data.join(config::FILE_NAME);
        let config = if file.exists() {
            Some(Config::read(&file)?)
        } else {
            None
        };
        let addresses = self.addresses(config.as_ref())?;
        let listeners = Listeners {
            web: listen(addresses.web, "--web")?,
            links: vec![Some(listen(addresses.host, "--host")?)],
        };
        // The sandbox is a process of its own and takes these itself, a moment later.
        drop((
            listen(addresses.sandbox, "--sandbox")?,
            listen(addresses.mail, "--mail")?,
        ));
        Ok(Ready { listeners, addresses })
    }

    fn addresses(&self, config: Option<&Config>) -> Result<Addresses, Failure> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let configured_host = config
            .and_then(|config| config.host.links.first())
            .and_then(|link| link.listen);
        let configured_mail = match config {
            Some(config) => Some(mail_address(config)?),
            None => None,
        };
        Ok(Addresses {
            web: self
                .web
                .or(config.map(|config| config.web.listen))
                .unwrap_or(local(8080)),
            host: self.host.or(configured_host).unwrap_or(local(8583)),
            sandbox: self.sandbox,
            mail: self.mail.or(configured_mail).unwrap_or(local(2525)),
        })
    }

    /// Runs the demo until Ctrl-C. Makes its issuer first where there is none.
    pub(crate) async fn run(&self, ready: Ready, out: &mut dyn Write) -> Result<(), Failure> {
        let Ready { listeners, addresses } = ready;
        if !self.data.join(config::FILE_NAME).exists() {
            first_start::make(&self.data, out).await?;
        }
        let mut config = Config::read(&self.data.join(config::FILE_NAME))?;
        config.web.listen = addresses.web;
        config.mail.smtp_host = reachable(addresses.mail).ip().to_string();
        config.mail.smtp_port = addresses.mail.port();
        if let Some(link) = config.host.links.first_mut() {
            link.listen = Some(addresses.host);
        }
        config.host.links.truncate(1);
        issuer::tell_simulators(&self.data, reachable(addresses.web), reachable(addresses.host))?;

        let extras = DemoExtras {
            hsm_log: Some(self.data.join(LOG_DIR).join("hsm.log")),
            sandbox_url: Some(format!("http://{}", reachable(addresses.sandbox))),
        };
        let until_stopped = async {
            let mut sandbox = self.start_sandbox(addresses)?;
            welcome::say(&self.data, addresses, out)?;
            let stopped = tokio::select! {
                told = serve::told_to_stop() => told,
                error = sandbox.ended() => Err(Failure::Unavailable(format!("stopped, because {error}"))),
            };
            sandbox.stop().await;
            stopped
        };
        serve::serve(&config, listeners, extras, until_stopped).await
    }

    fn start_sandbox(&self, addresses: Addresses) -> Result<Child, Failure> {
        let file = |name: &str| self.data.join(name).display().to_string();
        let arguments = [
            "sim".to_owned(),
            "sandbox".to_owned(),
            "--stop-when-stdin-closes".to_owned(),
            format!("--wallet={}", file(WALLET)),
            format!("--bench={}", file(BENCH)),
            format!("--acquirer={}", file(ACQUIRER_FILE)),
            format!("--api-token={}", file(API_TOKEN_FILE)),
            format!("--mail-dir={}", file(MAIL_DIR)),
            format!("--listen={}", addresses.sandbox),
            format!("--mail-listen={}", addresses.mail),
            format!("--product=http://{}", reachable(addresses.web)),
        ];
        let log = self.data.join(LOG_DIR).join("sandbox.log");
        Ok(Child::start("sandbox", arguments, Some(&log))?)
    }
}

/// Refuses a directory that no demo made, so that `--fresh` never deletes anything else.
pub(crate) fn require_demo(data: &Path) -> Result<(), Failure> {
    if data.join(DEMO_FILE).exists() {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "{} isn't a demo's data directory; nothing was deleted",
        data.display()
    )))
}

fn mail_address(config: &Config) -> Result<SocketAddr, Failure> {
    let ip: IpAddr = config.mail.smtp_host.parse().map_err(|_| {
        Failure::BadData(
            "the demo brings its own mail server: mail.smtp_host must be an IP address".to_owned(),
        )
    })?;
    Ok(SocketAddr::new(ip, config.mail.smtp_port))
}

/// How this machine reaches an address that is listened on.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        return SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
    }
    address
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, content: &str) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt;

    let fail = |cause: std::io::Error| Failure::Unavailable(format!("{}: {cause}", path.display()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .map_err(fail)
}
