//! What Pinward remembers, behind one narrow trait of domain batches.
//!
//! [`Store`] speaks of cards, commits, sessions, notices and audit, never of SQL. [`SqliteStore`] is its embedded
//! implementation: one committer thread that takes everything waiting, writes it in one durable transaction and
//! only then answers, beside read-only connections. SQL lives nowhere else in the program.

mod chain;
mod seam;
mod sqlite;

pub use chain::{ChainBreak, ChainCheck};
pub use seam::*;
pub use sqlite::SqliteStore;
