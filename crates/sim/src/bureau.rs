//! The personalisation bureau: it shares a key exchange key with the issuer, and makes cards of what it gets.

pub mod components;
