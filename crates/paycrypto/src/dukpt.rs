//! Derived unique key per transaction: a terminal's PIN keys from one base key and a counter that goes along in clear.

pub mod aes;
pub mod tdes;
