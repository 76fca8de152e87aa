//! Evidence that this crate computes what the standards say: published vectors, then a second implementation.
//!
//! `vectors/*.txt` hold records of `name value` lines, one blank line between records, each under a `# source:` line.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy's exception for tests reaches only the test functions, not what they call"
)]

mod chip_oracle;
mod dukpt;
mod emv;
mod every_version;
mod key_blocks;
mod oracle;
mod pin_blocks;
mod pin_verification;
mod secrets;
mod translation;
mod vector_file;
