//! Load: requests with PINs in great numbers, and a reference host to measure the issuer's host beside.
//!
//! | file | holds |
//! |---|---|
//! | [`stock`] | cards by the hundred thousand, as import files and as a file for the load |
//! | [`frame`] | one request, written once and then patched for each message |
//! | [`client`] | the closed loop: so many connections, so many requests under way on each |
//! | [`report`] | what was measured |
//! | [`reference`] | a host that reads, appends and syncs, and for `raw` checks the PIN |
//! | [`counters`] | the cards of that host: PVVs and tries in memory |
//!
//! Client and reference host each run on one thread, so that on a small machine they leave the rest to the host that
//! is measured.

pub mod client;
mod counters;
mod frame;
pub mod reference;
pub mod report;
pub mod stock;

use std::future::Future;

/// Runs a future on a thread and runtime of its own, so that its tasks never move between threads.
async fn on_one_thread<T, F>(work: impl FnOnce() -> F + Send + 'static) -> std::io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = std::io::Result<T>>,
{
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        tokio::task::LocalSet::new().block_on(&runtime, work())
    };
    tokio::task::spawn_blocking(run)
        .await
        .map_err(std::io::Error::other)?
}
