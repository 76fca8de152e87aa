//! Connections to the web: HTTP/1.0 and HTTP/1.1, so many at a time, each with an end.
//!
//! | limit | what happens |
//! |---|---|
//! | too many connections | 503 with `Retry-After`, closed |
//! | a request's header takes too long, or a kept connection is silent | closed |
//! | a request takes too long, its body included | 503 (`TimeoutLayer`) |
//! | a connection is old | closed after the answer under way |
//! | that answer isn't read | closed |

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::REQUEST_TIMEOUT;
use crate::accept::Door;

/// How long a request's header may take, and how long a connection may be silent between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_LEN_MAX_BYTES: usize = 16 * 1024;
/// Age at which a connection is closed after its present answer.
const AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// How long that answer may take, to be made and to be read.
const LAST_ANSWER: Duration = Duration::from_secs(30);
const _: () = assert!(LAST_ANSWER.as_secs() > REQUEST_TIMEOUT.as_secs());

/// Peers that are told at the same time that there is no place; any further are closed without a word.
const TURNED_AWAY_MAX: usize = 32;
/// How long each of them may take to read it.
const TURN_AWAY_TIMEOUT: Duration = Duration::from_secs(1);
const NO_PLACE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\n\
    Cache-Control: no-store\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 69\r\n\r\n\
    Too many people are here right now. Nothing was changed. Try again.\r\n";

/// Serves until `stopped`, then until the requests under way are answered.
pub(crate) async fn serve(mut door: Door, router: Router, connections_max: usize, stopped: impl Future) {
    let places = Arc::new(Semaphore::new(connections_max));
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    let (stop, stopping) = watch::channel(());
    let mut stopped = pin!(stopped);
    loop {
        let (stream, _) = tokio::select! {
            accepted = door.next() => accepted,
            _ = &mut stopped => break,
        };
        if let Ok(place) = places.clone().try_acquire_owned() {
            tokio::spawn(converse(stream, router.clone(), place, stopping.clone()));
        } else if let Ok(place) = turned_away.clone().try_acquire_owned() {
            tracing::warn!(connections_max, "the web has no place for another connection");
            tokio::spawn(turn_away(stream, place));
        }
    }
    drop(door);
    drop(stop);
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    // Nobody closes the semaphore.
    let _ = places.acquire_many(all).await;
}

/// Answers on one connection until it ends; `stopping` ends when the web does.
async fn converse(
    stream: TcpStream,
    router: Router,
    place: OwnedSemaphorePermit,
    mut stopping: watch::Receiver<()>,
) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_LEN_MAX_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = sleep(AGE_MAX) => None,
        _ = stopping.changed() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_ANSWER, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        // Peers leave in the middle of things all the time.
        tracing::debug!(%error, "a web connection was closed");
    }
    drop(place);
}

/// Says that there is no place, and takes what was sent meanwhile, so that closing doesn't take the answer back.
async fn turn_away(mut stream: TcpStream, place: OwnedSemaphorePermit) {
    let say = async {
        stream.write_all(NO_PLACE).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    // Whether the peer heard it is its own matter.
    let _ = timeout(TURN_AWAY_TIMEOUT, say).await;
    drop(place);
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use axum::extract::DefaultBodyLimit;
    use axum::http::StatusCode;
    use axum::routing::{get, post};
    use tokio::sync::{Notify, oneshot};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;
    use tower_http::timeout::TimeoutLayer;

    use super::*;

    struct Served {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        serving: JoinHandle<()>,
        /// A request to `/slow` is there.
        begun: Arc<Notify>,
        /// Lets it be answered.
        go_on: Arc<Notify>,
    }

    fn served(connections_max: usize) -> Served {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let both = (begun.clone(), go_on.clone());
        let slow = move || {
            let (begun, go_on) = both.clone();
            async move {
                begun.notify_one();
                go_on.notified().await;
                "slow"
            }
        };
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/slow", get(slow))
            .route("/take", post(async |body: String| body))
            .layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                REQUEST_TIMEOUT,
            ))
            .layer(DefaultBodyLimit::max(16));
        let (stop, stopped) = oneshot::channel();
        let door = Door::new(listener, "web").unwrap();
        let serving = tokio::spawn(serve(door, router, connections_max, stopped));
        Served {
            address,
            stop,
            serving,
            begun,
            go_on,
        }
    }

    async fn send(address: SocketAddr, request: &str) -> TcpStream {
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(request.as_bytes()).await.unwrap();
        peer
    }

    async fn to_the_end(mut peer: TcpStream) -> String {
        let mut text = String::new();
        // A reset is an end too.
        let _ = peer.read_to_string(&mut text).await;
        text
    }

    /// Reads until this has come.
    async fn answer(peer: &mut TcpStream, end: &str) -> String {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if text.contains(end) {
                return text.into_owned();
            }
            assert_ne!(
                peer.read_buf(&mut bytes).await.unwrap(),
                0,
                "the connection ended"
            );
        }
    }

    #[test]
    fn the_words_for_a_full_web_are_as_long_as_announced() {
        let text = str::from_utf8(NO_PLACE).unwrap();
        let (header, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(header.contains(&format!("Content-Length: {}", body.len())));
    }

    #[tokio::test(start_paused = true)]
    async fn http_1_0_and_1_1_are_served_and_1_1_keeps_its_connection() {
        let web = served(4);
        let old = to_the_end(send(web.address, "GET / HTTP/1.0\r\n\r\n").await).await;
        assert!(old.starts_with("HTTP/1.0 200") && old.ends_with("here"), "{old}");
        let mut kept = send(web.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        for _ in 0..2 {
            assert!(answer(&mut kept, "here").await.starts_with("HTTP/1.1 200"));
            kept.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                .await
                .unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_does_not_end_and_a_silent_connection_are_closed() {
        let web = served(4);
        for request in [
            "",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            let begin = Instant::now();
            to_the_end(send(web.address, request).await).await;
            let took = begin.elapsed();
            assert!(
                (HEADER_TIMEOUT..2 * HEADER_TIMEOUT).contains(&took),
                "{request}: {took:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_answered_503_and_one_that_is_too_long_413() {
        let web = served(4);
        let head = "POST /take HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length:";
        let slow = to_the_end(send(web.address, &format!("{head} 9\r\n\r\nhalf")).await).await;
        assert!(slow.starts_with("HTTP/1.1 503"), "{slow}");
        let long = to_the_end(send(web.address, &format!("{head} 17\r\n\r\n12345678901234567")).await).await;
        assert!(long.starts_with("HTTP/1.1 413"), "{long}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_web_says_so_and_has_a_place_again_when_one_left() {
        let web = served(1);
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut first = send(web.address, request).await;
        answer(&mut first, "here").await;
        let refused = to_the_end(send(web.address, request).await).await;
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
        assert!(refused.contains("Retry-After"), "{refused}");
        drop(first);
        // The place comes back when the server has seen that the peer left.
        loop {
            let mut next = send(web.address, request).await;
            if answer(&mut next, "\r\n").await.starts_with("HTTP/1.1 200") {
                return;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_the_answer_under_way_and_for_no_idle_connection() {
        let web = served(4);
        let mut idle = send(web.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        answer(&mut idle, "here").await;
        let mut busy = send(web.address, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
        web.begun.notified().await;
        let begin = Instant::now();
        web.stop.send(()).unwrap();
        to_the_end(idle).await;
        assert!(!web.serving.is_finished());
        web.go_on.notify_one();
        assert!(answer(&mut busy, "slow").await.starts_with("HTTP/1.1 200"));
        web.serving.await.unwrap();
        assert!(begin.elapsed() < HEADER_TIMEOUT);
    }
}
