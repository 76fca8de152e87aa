//! The sandbox: a web page with a wallet, a shop terminal, a cash machine, an online shop and a mailbox.
//!
//! Served by the simulator's own process, so that the product never sees a PIN keyed at a simulated terminal. What
//! the bank knows comes from the product's public API; what the plastic holds comes from the simulated card's files.
//! For demos on one's own machine: it knows no sign-in, and its door (`door`) turns other web sites away.
//!
//! | file | holds |
//! |---|---|
//! | `wallet` | the cards, their PIN letters and the demo's sign-ins |
//! | `bank` | the product's answer to "which PIN works where" |
//! | `acts` | what the buttons do |
//! | `bench` | the test bench: stories with a card of every chip profile |
//! | `status` | what the page asks for every two seconds |
//! | `pages`, `mail_pages`, `assets` | what a browser is served |
//! | `door` | who may ask, and the headers of every answer |

mod acts;
mod assets;
mod bank;
mod bench;
mod door;
mod mail_pages;
mod pages;
mod status;
mod wallet;

#[cfg(test)]
mod tests;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Json, Router,
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::net::TcpListener;

use self::{acts::CardsInUse, bank::Bank, wallet::Wallet};
use crate::{
    acquirer::{Acquirer, AcquirerError},
    mailbox::{Limits, Mailbox},
};

/// The name on the cards. Fictional.
const BANK_NAME: &str = "Larkfield Bank";

/// Longest request body, in bytes: an act is far shorter.
const BODY_BYTES_MAX: usize = 4096;

/// Where the sandbox finds its cards, its bank and its acquirer.
#[derive(clap::Args, Clone, Debug)]
pub struct SandboxOptions {
    /// Folder of personalised cards: `<card>.perso.json`, `<card>.state.json`, and optionally `demo.json`
    #[arg(long, value_name = "DIR")]
    pub wallet: PathBuf,
    /// Folder of the test bench's cards, one of each chip profile; without it, the bench is empty
    #[arg(long, value_name = "DIR")]
    pub bench: Option<PathBuf>,
    /// The acquirer's file: host, dialect and zone key
    #[arg(long, value_name = "FILE")]
    pub acquirer: PathBuf,
    /// Address of the sandbox's web page
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// Address of the mailbox's SMTP server
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2525")]
    pub mail_listen: SocketAddr,
    /// Folder of the mails; without it, `mail` beside the wallet
    #[arg(long, value_name = "DIR")]
    pub mail_dir: Option<PathBuf>,
    /// The product's API, http only
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub product: String,
    /// File whose first line is the token for the product's API; read anew for each question
    #[arg(long, value_name = "FILE")]
    pub api_token: PathBuf,
    /// End when standard input closes, as it does when the parent process ends
    #[arg(long)]
    pub stop_when_stdin_closes: bool,
}

/// Why the sandbox can't run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("can't listen on {address}: {cause}. Choose another address with {flag}.")]
    Listen {
        flag: &'static str,
        address: SocketAddr,
        cause: io::Error,
    },
    #[error("--product {given}: an address such as http://127.0.0.1:8080 is wanted")]
    ProductAddress { given: String },
    #[error("--wallet {}: {cause}", path.display())]
    Wallet { path: PathBuf, cause: io::Error },
    #[error("--bench {}: {cause}", path.display())]
    Bench { path: PathBuf, cause: io::Error },
    #[error("the mail folder {}: {cause}. Choose another with --mail-dir.", path.display())]
    MailFolder { path: PathBuf, cause: io::Error },
    #[error("--acquirer: {0}")]
    Acquirer(#[from] AcquirerError),
    #[error("the web server ended: {0}")]
    Serve(io::Error),
}

/// Runs the web page and the mailbox until the process ends, or standard input where that is asked for.
///
/// Refuses before it serves anything: a folder that can't be read or made, an acquirer's file that can't be used, a
/// port that is taken.
pub async fn run(options: SandboxOptions) -> Result<(), SandboxError> {
    let mail_dir = options
        .mail_dir
        .clone()
        .unwrap_or_else(|| beside(&options.wallet, "mail"));
    let mailbox = Mailbox::open(&mail_dir, Limits::default()).map_err(|cause| SandboxError::MailFolder {
        path: mail_dir,
        cause,
    })?;
    let sandbox = Sandbox {
        wallet: Wallet::open(&options.wallet).map_err(|cause| SandboxError::Wallet {
            path: options.wallet.clone(),
            cause,
        })?,
        bench: match &options.bench {
            Some(path) => Some(Wallet::open(path).map_err(|cause| SandboxError::Bench {
                path: path.clone(),
                cause,
            })?),
            None => None,
        },
        acquirer: Acquirer::open(&options.acquirer)?,
        bank: Bank::new(&options.product, options.api_token).ok_or(SandboxError::ProductAddress {
            given: options.product,
        })?,
        mailbox: mailbox.clone(),
        in_use: CardsInUse::default(),
    };
    let mail_listener = listen("--mail-listen", options.mail_listen).await?;
    let web_listener = listen("--listen", options.listen).await?;
    tracing::info!(web = %options.listen, mail = %options.mail_listen, "sandbox is open");
    tokio::spawn(mailbox.serve(mail_listener));
    tokio::select! {
        served = async { axum::serve(web_listener, router(Arc::new(sandbox))).await } => served.map_err(SandboxError::Serve),
        () = stdin_closed(), if options.stop_when_stdin_closes => Ok(()),
    }
}

/// Ends when standard input does. Nothing is expected there.
async fn stdin_closed() {
    // A reader of its own: a pool's thread would be waited for when the process ends otherwise.
    let (closed, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = closed.send(());
    });
    let _ = wait.await;
}

/// What every page and act works with.
#[derive(Debug)]
struct Sandbox {
    wallet: Wallet,
    bench: Option<Wallet>,
    acquirer: Acquirer,
    bank: Bank,
    mailbox: Mailbox,
    in_use: CardsInUse,
}

fn router(sandbox: Arc<Sandbox>) -> Router {
    Router::new()
        .route("/", get(pages::sandbox))
        .route("/assets/{name}", get(assets::asset))
        .route("/mail", get(mail_pages::list))
        .route("/mail/{number}", get(mail_pages::one))
        .route("/mail/{number}/html", get(mail_pages::html))
        .route("/mail/{number}/source", get(mail_pages::source))
        .route("/api/state", get(status::state))
        .route("/api/letters/{card}", post(acts::open_letter))
        .route("/api/shop/insert", post(acts::insert_in_shop))
        .route("/api/shop/tap", post(acts::tap_in_shop))
        .route("/api/atm", post(acts::use_cash_machine))
        .route("/api/online", post(acts::buy_online))
        .route("/bench", get(bench::bench))
        .route("/api/bench/{card}/{story}", post(bench::play))
        .fallback(pages::no_such_page)
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(door::guard))
        .with_state(sandbox)
}

async fn listen(flag: &'static str, address: SocketAddr) -> Result<TcpListener, SandboxError> {
    TcpListener::bind(address)
        .await
        .map_err(|cause| SandboxError::Listen { flag, address, cause })
}

fn beside(wallet: &Path, name: &str) -> PathBuf {
    wallet
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
        .join(name)
}

/// A refusal as the page's script reads it: a status and one sentence for the person.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    error: &'static str,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(serde_json::json!({ "error": self.error }))).into_response()
    }
}
