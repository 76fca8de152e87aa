//! Evidence that this crate computes what the standards say: published vectors, then a second implementation.
//!
//! `vectors/*.txt` hold records of `name value` lines, one blank line between records, each under a `# source:` line.

mod dukpt;
mod emv;
mod key_blocks;
mod oracle;

mod pin_blocks;
mod pin_verification;
mod translation;
mod vector_file;
