//! What the bank says of a card's PIN: `GET {product}/v1/cards/{card}/pin`, over plain HTTP on one's own machine.

use std::{fmt, path::PathBuf, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode, Uri, header},
};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use zeroize::Zeroizing;

/// How long one question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The product's API as a client sees it.
pub(super) struct Bank {
    authority: String,
    base_path: String,
    token_path: PathBuf,
}

/// The product's answer. Its words are shown as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BankView {
    pub(super) card: String,
    pub(super) last_four: String,
    pub(super) status: String,
    pub(super) host: HostView,
    pub(super) chip: ChipView,
    pub(super) script: ScriptView,
    pub(super) advice: AdviceView,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HostView {
    pub(super) version: u32,
    pub(super) state: String,
    pub(super) locked: bool,
    pub(super) tries_left: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ChipView {
    pub(super) state: String,
    pub(super) known_version: Option<u32>,
    pub(super) possible_versions: Vec<u32>,
}

/// The page needs to know only whether a script waits or travels, not which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ScriptView {
    pub(super) queued: Option<Value>,
    pub(super) in_flight: Option<Value>,
    pub(super) needs_attention: bool,
    #[serde(default)]
    pub(super) attempts: Vec<AttemptView>,
}

/// An attempt to tell the chip something, and the evidence for how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AttemptView {
    pub(super) attempt: u32,
    pub(super) kind: String,
    pub(super) version: u32,
    pub(super) atc: u16,
    pub(super) outcome: String,
    pub(super) evidence: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AdviceView {
    pub(super) code: String,
    pub(super) headline: String,
    pub(super) where_it_works: String,
    pub(super) next_step: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum BankError {
    #[error("the API token can't be read: {0}")]
    Token(std::io::Error),
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    #[error("no answer within {} seconds", ANSWER_TIMEOUT.as_secs())]
    Slow,
    #[error("the connection broke: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request can't be written: {0}")]
    Request(#[from] axum::http::Error),
    #[error("the answer is broken or longer than {ANSWER_BYTES_MAX} bytes")]
    Body,
    #[error("the answer has status {0}")]
    Status(StatusCode),
    #[error("the answer isn't the JSON of a card's PIN: {0}")]
    Json(#[from] serde_json::Error),
}

impl Bank {
    /// A client for an `http` address. `None` for any other.
    pub(super) fn new(product: &str, token_path: PathBuf) -> Option<Self> {
        let uri: Uri = product.parse().ok()?;
        if uri.scheme_str() != Some("http") || uri.query().is_some() {
            return None;
        }
        Some(Self {
            authority: uri.authority()?.to_string(),
            base_path: uri.path().trim_end_matches('/').to_owned(),
            token_path,
        })
    }

    /// Which PIN works where, for one card of the wallet.
    pub(super) async fn pin_status(&self, card: &str) -> Result<BankView, BankError> {
        let token = self.token()?;
        let answer = timeout(ANSWER_TIMEOUT, self.get(card, &token)).await;
        let body = answer.map_err(|_| BankError::Slow)??;
        Ok(serde_json::from_slice(&body)?)
    }

    async fn get(&self, card: &str, token: &str) -> Result<Bytes, BankError> {
        let port = if self.authority_has_port() { "" } else { ":80" };
        let stream = TcpStream::connect(format!("{}{port}", self.authority))
            .await
            .map_err(BankError::Connect)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let running = tokio::spawn(connection);
        let request = Request::get(format!("{}/v1/cards/{card}/pin", self.base_path))
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::ACCEPT, "application/json")
            .body(Body::empty())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        running.abort();
        if status != StatusCode::OK {
            return Err(BankError::Status(status));
        }
        Ok(body.map_err(|_| BankError::Body)?.to_bytes())
    }

    fn token(&self) -> Result<Zeroizing<String>, BankError> {
        let text = std::fs::read_to_string(&self.token_path)
            .map(Zeroizing::new)
            .map_err(BankError::Token)?;
        Ok(Zeroizing::new(
            text.lines().next().unwrap_or_default().trim().to_owned(),
        ))
    }

    fn authority_has_port(&self) -> bool {
        self.authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

impl fmt::Debug for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bank(http://{}{})", self.authority, self.base_path)
    }
}
