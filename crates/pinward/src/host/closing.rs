//! Why connections end, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The peer closed between frames.
    PeerClosed,
    /// The connection broke.
    PeerGone,
    /// Silent for too long.
    Idle,
    /// A newcomer that doesn't say anything.
    NoMessage,
    /// A frame was begun and not finished.
    HalfFrame,
    /// A frame header that is none, or announces more than a message may have.
    BadFrame,
    /// A frame that is no message of the link's dialect.
    BadMessage,
    /// The peer doesn't read its answers.
    SlowReader,
    TooManyConnections,
    /// One address has more than its share of the connections.
    TooManyOfAddress,
    /// The network doesn't agree to our sign-on, or doesn't answer it.
    SignOnRefused,
}

impl CloseReason {
    /// Whether the peer did nothing wrong.
    pub(crate) fn is_ordinary(self) -> bool {
        matches!(self, Self::PeerClosed | Self::PeerGone | Self::Idle)
    }
}

const REASONS: [CloseReason; 11] = [
    CloseReason::PeerClosed,
    CloseReason::PeerGone,
    CloseReason::Idle,
    CloseReason::NoMessage,
    CloseReason::HalfFrame,
    CloseReason::BadFrame,
    CloseReason::BadMessage,
    CloseReason::SlowReader,
    CloseReason::TooManyConnections,
    CloseReason::TooManyOfAddress,
    CloseReason::SignOnRefused,
];

/// How many connections of a link ended, by reason.
#[derive(Debug, Default)]
pub(crate) struct CloseCounts([AtomicU64; REASONS.len()]);

impl CloseCounts {
    /// Counts one, and says how many it makes for this reason.
    pub(crate) fn count(&self, reason: CloseReason) -> u64 {
        self.counter(reason).fetch_add(1, Ordering::Relaxed) + 1
    }

    fn counter(&self, reason: CloseReason) -> &AtomicU64 {
        let mut pairs = REASONS.iter().zip(&self.0);
        pairs
            .find_map(|(each, counter)| (*each == reason).then_some(counter))
            .expect("every reason has its counter")
    }
}
