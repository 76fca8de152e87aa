//! The simulators, by what can be seen of them: APDUs, ISO 8583 messages, files.
#![cfg(test)]

mod bureau;
mod card;
mod card_files;
mod foreign_cards;
mod host;
mod issuer;
mod offline_auth;
mod profile_card;
mod profiles;
mod published_cards;
mod reader;
mod replay;
mod selection;
mod tearing;
mod terminal_profiles;
mod terminals;
mod truncated;
mod virtual_reader;
