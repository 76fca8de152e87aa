//! The configuration: one TOML file. Unknown keys are refused, secrets are given by path, relative paths start at the
//! file's own directory.
//!
//! `pinward.example.toml` in the repository shows every setting.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cards::{Programme, ProgrammeId, ReportKept};
use serde::Deserialize;

use crate::web::Colour;

mod host;

pub(crate) use host::{
    HostConfig, LinkConfig, OnLate, PinFormat, ProcessingCodes, UnknownCards, UpstreamConfig, dialect,
};

/// Name of the configuration file in a data directory.
pub(crate) const FILE_NAME: &str = "pinward.toml";

/// Longest path of a Unix socket, with room for the ending of a directory that is being made.
const SOCKET_LEN_MAX_BYTES: usize = 100;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) store: StoreConfig,
    pub(crate) hsm: HsmConfig,
    pub(crate) web: WebConfig,
    #[serde(default)]
    pub(crate) host: HostConfig,
    pub(crate) mail: MailConfig,
    /// `[[programme]]`, at least one. The fields are those of [`Programme`].
    #[serde(rename = "programme")]
    pub(crate) programmes: Vec<Programme>,
}

/// `[store]`: what Pinward remembers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreConfig {
    /// The SQLite file; made when there is none. Required.
    pub(crate) path: PathBuf,
}

/// `[hsm]`: where keys and PINs are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HsmConfig {
    /// Unix socket of the HSM process. Required; at most 100 bytes as an absolute path.
    pub(crate) socket: PathBuf,
    /// Key store of the software HSM. When given and no HSM answers on `socket`, Pinward starts one as its own child
    /// and ends it when it ends itself. Default: none, an HSM must be running.
    pub(crate) directory: Option<PathBuf>,
}

/// `[web]`: portal and JSON API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebConfig {
    /// Address and port. Default `127.0.0.1:8080`.
    #[serde(default = "default_web_listen")]
    pub(crate) listen: SocketAddr,
    /// The issuer as its cardmembers know it, in pages and mails. Required.
    pub(crate) issuer_name: String,
    /// Accent colour of the pages, `#rrggbb`. Default `#0b5c63`.
    #[serde(default = "default_accent")]
    pub(crate) accent: Colour,
    /// Whether cookies are sent over HTTPS only. Default true; false only without TLS on one's own machine.
    #[serde(default = "default_true")]
    pub(crate) secure_cookies: bool,
    /// A session ends after this long without a request, in minutes, 1 to 60. Default 10.
    #[serde(default = "default_session_idle_minutes")]
    pub(crate) session_idle_minutes: u16,
    /// A session ends this long after sign-in, in minutes, 1 to 1440. Default 60.
    #[serde(default = "default_session_max_minutes")]
    pub(crate) session_max_minutes: u16,
    /// File with the token that JSON API clients present, at least 32 characters in one line. Default: none, the API
    /// answers nobody.
    pub(crate) api_token_path: Option<PathBuf>,
}

/// `[mail]`: how notices leave.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailConfig {
    /// SMTP server. Required.
    pub(crate) smtp_host: String,
    /// Default 587.
    #[serde(default = "default_smtp_port")]
    pub(crate) smtp_port: u16,
    /// `tls`, `starttls`, or `none` for a server on the same machine. Default `starttls`.
    #[serde(default)]
    pub(crate) tls: MailTls,
    /// User name at the server. Default: none, no sign-in.
    pub(crate) user: Option<String>,
    /// File with the password, one line. Required with `user`.
    pub(crate) password_path: Option<PathBuf>,
    /// Sender, `Larkfield Bank <cards@larkfield.example>`. Required.
    pub(crate) from: String,
}

/// How the connection to the SMTP server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MailTls {
    None,
    #[default]
    Starttls,
    Tls,
}

/// The configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(
        "{path}: {cause}; --data or --config names an installation's pinward.toml, and pinward.example.toml shows one"
    )]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("{path}: {cause}")]
    Toml {
        path: PathBuf,
        cause: Box<toml::de::Error>,
    },
    #[error("{path}: {setting}: {reason}")]
    Value {
        path: PathBuf,
        setting: String,
        reason: &'static str,
    },
}

impl Config {
    /// Reads a file.
    ///
    /// Refuses: unknown keys and missing required ones; no programme; two programmes or links of one name; a value
    /// outside its documented range.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|cause| ConfigError::Read {
            path: path.to_owned(),
            cause,
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|cause| ConfigError::Toml {
            path: path.to_owned(),
            cause: Box::new(cause),
        })?;
        let directory = path.parent().unwrap_or(Path::new(""));
        config
            .check(directory)
            .map_err(|(setting, reason)| ConfigError::Value {
                path: path.to_owned(),
                setting,
                reason,
            })?;
        config.start_paths_at(directory);
        Ok(config)
    }

    /// The programmes by their names.
    pub(crate) fn programmes(&self) -> Arc<HashMap<ProgrammeId, Programme>> {
        let by_id = self
            .programmes
            .iter()
            .map(|programme| (programme.id.clone(), programme.clone()));
        Arc::new(by_id.collect())
    }

    /// Says in the log which programmes' chips can't prove by silence that they lack a script.
    pub(crate) fn warn_of_unreliable_reports(&self) {
        for programme in &self.programmes {
            if programme.script_rules().report == ReportKept::Unreliable {
                let (programme, profile) = (&programme.id.0, programme.scheme.name());
                tracing::warn!(
                    programme,
                    profile,
                    "script.report is unreliable: a chip that missed a script stays unknown until it confirms one"
                );
            }
        }
    }

    fn check(&self, directory: &Path) -> Result<(), (String, &'static str)> {
        if self.programmes.is_empty() {
            return Err(("programme".into(), "at least one is needed"));
        }
        if let Some(twice) = repeated(self.programmes.iter().map(|programme| programme.id.0.as_str())) {
            return Err((format!("programme {twice}"), "is there twice"));
        }
        for programme in &self.programmes {
            check_programme(programme)?;
        }
        if let Some(twice) = repeated(self.host.links.iter().map(|link| link.name.as_str())) {
            return Err((format!("host.link {twice}"), "is there twice"));
        }
        for link in &self.host.links {
            link.check(directory)?;
        }
        if !(1..=60).contains(&self.web.session_idle_minutes) {
            return Err(("web.session_idle_minutes".into(), "1 to 60"));
        }
        if !(1..=1440).contains(&self.web.session_max_minutes) {
            return Err(("web.session_max_minutes".into(), "1 to 1440"));
        }
        if self.mail.user.is_some() != self.mail.password_path.is_some() {
            return Err(("mail.user".into(), "user and password_path need each other"));
        }
        if self.mail.user.is_some() && self.mail.tls == MailTls::None {
            return Err(("mail.tls".into(), "a password is never sent without TLS"));
        }
        if self.mail.from.parse::<lettre::message::Mailbox>().is_err() {
            return Err(("mail.from".into(), "is not a mail address"));
        }
        let socket = std::path::absolute(directory.join(&self.hsm.socket));
        if socket.is_ok_and(|path| path.as_os_str().len() > SOCKET_LEN_MAX_BYTES) {
            return Err((
                "hsm.socket".into(),
                "is longer than 100 bytes as an absolute path: choose a shorter one, or a data directory nearer to the root",
            ));
        }
        Ok(())
    }

    fn start_paths_at(&mut self, directory: &Path) {
        let paths = [
            Some(&mut self.store.path),
            Some(&mut self.hsm.socket),
            self.hsm.directory.as_mut(),
            self.web.api_token_path.as_mut(),
            self.mail.password_path.as_mut(),
        ];
        for path in paths.into_iter().flatten() {
            *path = directory.join(&*path);
        }
        for link in &mut self.host.links {
            link.start_paths_at(directory);
        }
    }
}

fn check_programme(programme: &Programme) -> Result<(), (String, &'static str)> {
    let refuse = |setting: &str, reason| Err((format!("programme {}: {setting}", programme.id.0), reason));
    if !(12..=19).contains(&programme.pan_len_digits) {
        return refuse("pan_len_digits", "12 to 19");
    }
    if !(4..=12).contains(&programme.pin_len_digits) {
        return refuse("pin_len_digits", "4 to 12");
    }
    if !(1..=15).contains(&programme.tries_max) {
        return refuse("tries_max", "1 to 15");
    }
    if programme.currency > 999 {
        return refuse("currency", "an ISO 4217 code has three digits");
    }
    if let Err(error) = programme.check_script() {
        return refuse(&format!("script.{}", error.setting), error.wanted);
    }
    Ok(())
}

fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = std::collections::HashSet::new();
    let mut names = names;
    names.find(|name| !seen.insert(*name))
}

fn default_web_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

fn default_accent() -> Colour {
    Colour::rgb(0x0b, 0x5c, 0x63)
}

fn default_session_idle_minutes() -> u16 {
    10
}

fn default_session_max_minutes() -> u16 {
    60
}

fn default_true() -> bool {
    true
}

fn default_smtp_port() -> u16 {
    587
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../pinward.example.toml");

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("/etc/pinward/pinward.toml"))
    }

    #[test]
    fn the_example_is_a_configuration_and_its_paths_start_at_the_file() {
        let config = parse(EXAMPLE).unwrap();
        assert_eq!(config.store.path, Path::new("/etc/pinward/pinward.sqlite"));
        assert_eq!(config.host.links.len(), 2);
    }

    #[test]
    fn every_refusal_names_its_setting() {
        let rows = [
            ("[store]", "[store]\ncolour = 1", "colour"),
            ("tries_max = 3", "tries_max = 0", "tries_max"),
            ("pin_len_digits = 4", "pin_len_digits = 3", "pin_len_digits"),
            ("pan_len_digits = 16", "pan_len_digits = 20", "pan_len_digits"),
            ("currency = 978", "currency = 1000", "currency"),
            ("commands_max = 1", "commands_max = 3", "script.commands_max"),
            (
                "commands_max = 1",
                "commands_max = 2",
                "script.commands_max: 2 only with",
            ),
            ("csu_tries = 3", "pin_change_bit = true", "script.pin_change_bit"),
            ("attempts_max = 5", "attempts_max = 0", "script.attempts_max"),
            (
                "expires_after_days = 400",
                "expires_after_days = 0",
                "script.expires_after_days",
            ),
            ("accent = \"#0b5c63\"", "accent = \"teal\"", "accent"),
            (
                "dialect = \"ascii-1987\"",
                "dialect = \"ebcdic\"",
                "acquirer-1: dialect",
            ),
            (
                "dialect = \"ascii-1987\"",
                "dialect = \"./none.toml\"",
                "acquirer-1: dialect",
            ),
            (
                "listen = \"127.0.0.1:8583\"",
                "sign_on = true",
                "acquirer-1: listen",
            ),
            (
                "listen = \"127.0.0.1:8583\"",
                "connect = \"here\"",
                "acquirer-1: connect",
            ),
            (
                "listen = \"127.0.0.1:8584\"",
                "listen = \"127.0.0.1:8584\"\nsign_on = true",
                "acquirer-2: sign_on",
            ),
            (
                "connections_per_address = 256",
                "connections_per_address = 0",
                "acquirer-1: connections_per_address",
            ),
            (
                "first_message_seconds = 30",
                "first_message_seconds = 0",
                "acquirer-1: first_message_seconds",
            ),
            ("framing = \"binary2\"", "framing = \"binary3\"", "binary3"),
            (
                "pin_format = \"iso4\"",
                "pin_format = \"dukpt-aes\"",
                "acquirer-2: pin_format",
            ),
            (
                "new_pin_field = 125",
                "new_pin_field = 11",
                "acquirer-1: new_pin_field",
            ),
            (
                "pin_change = \"92\"",
                "pin_change = \"9\"",
                "acquirer-1: processing_codes.pin_change",
            ),
            (
                "pin_unblock = \"91\"",
                "pin_unblock = \"92\"",
                "acquirer-1: processing_codes.pin_unblock",
            ),
            (
                "CryptogramInvalid = \"82\"",
                "CryptogramWrong = \"82\"",
                "CryptogramWrong",
            ),
            (
                "CryptogramInvalid = \"82\"",
                "CryptogramInvalid = \"082\"",
                "response_codes.CryptogramInvalid",
            ),
            (
                "CryptogramInvalid = \"82\"",
                "CryptogramInvalid = \"00\"",
                "response_codes.CryptogramInvalid",
            ),
            (
                "address = \"127.0.0.1:9583\"",
                "address = \"nowhere\"",
                "acquirer-2: upstream.address",
            ),
            (
                "timeout_ms = 3000",
                "timeout_ms = 1",
                "acquirer-2: upstream.timeout_ms",
            ),
            (
                "connections = 2",
                "connections = 0",
                "acquirer-2: upstream.connections",
            ),
            (
                "in_flight_max = 10000",
                "in_flight_max = 0",
                "acquirer-2: upstream.in_flight_max",
            ),
            (
                "mark_field = 60",
                "mark_field = 52",
                "acquirer-2: upstream.mark_field",
            ),
            (
                "on_late = \"decline\"",
                "on_late = \"stand-in\"",
                "upstream.stand_in_amount_max_minor",
            ),
            (
                "tell_declines = false",
                "tell_declines = true\ndual_run = true",
                "upstream.dual_run",
            ),
            (
                "timeout_ms = 3000",
                "timeout_ms = 3000\ndialect = \"ascii-1993\"",
                "acquirer-2: upstream.dialect",
            ),
            ("tls = \"starttls\"", "tls = \"none\"", "mail.tls"),
            ("password_path", "# password_path", "mail.user"),
            ("<cards@larkfield.example>", "<nobody>", "mail.from"),
            ("name = \"acquirer-2\"", "name = \"acquirer-1\"", "acquirer-1"),
            ("id = \"charge\"", "id = \"credit\"", "programme credit"),
            ("smtp_host", "# smtp_host", "smtp_host"),
            (
                "socket = \"hsm.sock\"",
                "socket = \"/run/a-directory-whose-name-is-so-long-that-no-socket-can-be-bound-in-it-because-addresses-hold-108-bytes/hsm.sock\"",
                "hsm.socket",
            ),
            (
                "session_idle_minutes = 10",
                "session_idle_minutes = 0",
                "session_idle_minutes",
            ),
        ];
        for (present, instead, named) in rows {
            assert!(EXAMPLE.contains(present), "the example has {present}");
            let refusal = parse(&EXAMPLE.replace(present, instead)).unwrap_err().to_string();
            assert!(refusal.contains(named), "{instead}: {refusal}");
        }
    }
}
