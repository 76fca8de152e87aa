//! The simulators, by what can be seen of them: APDUs, ISO 8583 messages, files.
#![cfg(test)]

mod bureau;
mod card;
mod host;
mod issuer;
mod offline_auth;
mod profiles;
mod reader;
mod terminals;
mod truncated;
mod virtual_reader;
