//! `[host]`: the links on which networks ask, and the issuer's own host behind a link.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hsm::{KeyName, ZonePinFormat};
use iso8583::dialect::{Dialect, Kind};
use iso8583::framing::Framing;
use issuer::authorise::Decision;
use serde::de::value::{Error as NameError, StrDeserializer};
use serde::{Deserialize, Deserializer};

/// A setting and what is wrong with it.
type Refused = (String, &'static str);

/// Longest `timeout_ms` of an upstream: no network waits longer for an answer.
const TIMEOUT_MAX_MS: u32 = 60_000;
const CONNECTIONS_MAX: u16 = 64;
const IN_FLIGHT_MAX: u32 = 100_000;
const OWED_MAX: u32 = 100_000;
const SECONDS_PER_DAY: u32 = 86_400;
const PER_ADDRESS_MAX: u16 = 8_192;

/// DE39 of 1987 that approve; in 1993 all that begin with 0 do.
const APPROVING: [&str; 4] = ["00", "08", "10", "11"];

/// `[host]`: ISO 8583.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostConfig {
    /// `[[host.link]]`, one per network. Default: none.
    #[serde(default, rename = "link")]
    pub(crate) links: Vec<LinkConfig>,
}

/// One network's link.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkConfig {
    /// Names the link in logs and audit records. Required, unique.
    pub(crate) name: String,
    /// Name of the network, the same for links over which one network sends: a message, its repeat and its reversal are known
    /// to each other within a network only. Default: the link's name.
    pub(crate) network: Option<String>,
    /// Address and port where the network connects to. This or `connect` is required.
    pub(crate) listen: Option<SocketAddr>,
    /// Connections that one address may have at a time, 1 to 8,192. Default: a quarter of what the link can have, at most 256.
    pub(crate) connections_per_address: Option<u16>,
    /// How long a connection may take until its first whole message, in seconds, 1 to 86,400. Default 30.
    #[serde(default = "default_first_message_seconds")]
    pub(crate) first_message_seconds: u32,
    /// `host:port` of the network, where it expects to be connected to; tried again when it is lost.
    pub(crate) connect: Option<String>,
    /// Whether a sign-on is sent after connecting. Needs `connect`. Default false.
    #[serde(default)]
    pub(crate) sign_on: bool,
    /// How messages are told apart: `binary2`, `ascii4`, `bcd2` or `binary2-zero2`. Default `binary2`.
    #[serde(default, deserialize_with = "framing")]
    pub(crate) framing: Framing,
    /// Message format: one of ours by name, or a TOML file by path (with a `/` or ending in `.toml`). Required.
    pub(crate) dialect: String,
    /// Name of the zone PIN key in the HSM; with a DUKPT `pin_format`, of the base derivation key. Required.
    pub(crate) zone_key: KeyName,
    /// Format of PIN blocks: `iso0` or `iso3` (TDES zone key), `iso4` (AES zone key), `dukpt-tdes` or `dukpt-aes` (a key
    /// serial number comes with each message). Required.
    pub(crate) pin_format: PinFormat,
    /// Name of the zone MAC key. Default: none. With one, every message needs a right MAC in DE64 or DE128, and every
    /// answer carries one.
    pub(crate) mac_key: Option<KeyName>,
    /// Name of the key exchange key under which the network sends new zone keys. Default: none, key changes are refused.
    pub(crate) key_exchange_key: Option<KeyName>,
    /// Whether a key change is taken on a link without `mac_key`, where whoever reaches the port may send one. Default false,
    /// key changes are refused.
    #[serde(default)]
    pub(crate) key_change_without_mac: bool,
    /// Field of the new PIN block in a PIN change. Default: the dialect's.
    pub(crate) new_pin_field: Option<u8>,
    /// First two digits of DE3, by transaction.
    #[serde(default)]
    pub(crate) processing_codes: ProcessingCodes,
    /// DE39 by reason, where the network's differs from the dialect's. Reasons are named as in the journal.
    #[serde(default, deserialize_with = "response_codes")]
    pub(crate) response_codes: Vec<(Decision, String)>,
    /// The issuer's own host, for a link that checks PIN and chip before it. Default: none, the desk decides all.
    pub(crate) upstream: Option<UpstreamConfig>,
}

/// How a link's PIN blocks are formatted and enciphered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PinFormat {
    /// ISO 9564 format 0 under a TDES zone key.
    Iso0,
    /// ISO 9564 format 3 under a TDES zone key.
    Iso3,
    /// ISO 9564 format 4 under an AES zone key.
    Iso4,
    /// ISO 9564 format 0 under keys derived as ANSI X9.24-1 tells.
    DukptTdes,
    /// ISO 9564 format 4 under keys derived as ANSI X9.24-3 tells.
    DukptAes,
}

impl PinFormat {
    /// The block's format by itself.
    pub(crate) fn block(self) -> ZonePinFormat {
        match self {
            Self::Iso0 | Self::DukptTdes => ZonePinFormat::Iso0,
            Self::Iso3 => ZonePinFormat::Iso3,
            Self::Iso4 | Self::DukptAes => ZonePinFormat::Iso4,
        }
    }

    /// Whether each message tells the key serial number of its PIN key.
    pub(crate) fn is_dukpt(self) -> bool {
        match self {
            Self::DukptTdes | Self::DukptAes => true,
            Self::Iso0 | Self::Iso3 | Self::Iso4 => false,
        }
    }
}

/// `[host.link.processing_codes]`: two digits each, one or a list, all different.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProcessingCodes {
    /// Default `00`, and `09`, with cash.
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) purchase: Vec<String>,
    /// Default `01`, and `17`, at a counter.
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) cash: Vec<String>,
    /// Default `31`, and `30`, available funds.
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) balance: Vec<String>,
    /// Default `92`, Mastercard's. Elsewhere 70, 65 or 94 are in use.
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) pin_change: Vec<String>,
    /// Default `91`, Mastercard's. Elsewhere 72 is in use.
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) pin_unblock: Vec<String>,
}

impl Default for ProcessingCodes {
    fn default() -> Self {
        let codes = |codes: &[&str]| codes.iter().copied().map(str::to_owned).collect();
        Self {
            purchase: codes(&["00", "09"]),
            cash: codes(&["01", "17"]),
            balance: codes(&["31", "30"]),
            pin_change: codes(&["92"]),
            pin_unblock: codes(&["91"]),
        }
    }
}

/// `[host.link.upstream]`: the issuer's own host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamConfig {
    /// `host:port`. Required.
    pub(crate) address: String,
    /// Its message format, of the same version of ISO 8583 as the link's. Default: the link's.
    pub(crate) dialect: Option<String>,
    /// As for the link. Default `binary2`.
    #[serde(default, deserialize_with = "framing")]
    pub(crate) framing: Framing,
    /// Connections kept open to it, 1 to 64. Default 2.
    #[serde(default = "default_connections")]
    pub(crate) connections: u16,
    /// How long it may take to answer, in milliseconds, 10 to 60,000. Default 3,000.
    #[serde(default = "default_timeout_ms")]
    pub(crate) timeout_ms: u32,
    /// Requests that may wait for it at a time, 1 to 100,000; more are declined with 91. Default 10,000.
    #[serde(default = "default_in_flight_max")]
    pub(crate) in_flight_max: u32,
    /// What the network is told when it doesn't answer in time or at all: `decline`, or `stand-in`, which approves up to
    /// `stand_in_amount_max_minor`, and tells it by an advice, payments with a right PIN or a valid cryptogram that the card's
    /// programme would approve by itself. Default `decline`.
    #[serde(default)]
    pub(crate) on_late: OnLate,
    /// Needed with `stand-in`, and only then.
    pub(crate) stand_in_amount_max_minor: Option<u64>,
    /// Field that tells it what the PIN desk found (`PIN=match;AC=valid;…`), of kind `ans`. What a network sends in it is
    /// never passed on. Default 60.
    #[serde(default = "default_mark_field")]
    pub(crate) mark_field: u8,
    /// What becomes of a card that Pinward doesn't have: `pass` (to it, marked, without PIN block), `pass-with-pin` (as the network
    /// sent it, PIN block too: it shares the zone key) or `refuse` (14). Default `pass`.
    #[serde(default)]
    pub(crate) unknown_cards: UnknownCards,
    /// Whether it is told by an advice what the PIN desk declined. Default false.
    #[serde(default)]
    pub(crate) tell_declines: bool,
    /// Messages that may be owed to it at a time (reversals and advices that it hasn't answered, and requests that may have to be
    /// taken back), 1 to 100,000; beyond, requests are declined with 91. Default 100,000.
    #[serde(default = "default_owed_max")]
    pub(crate) owed_max: u32,
    /// Age of the oldest of them at which an alarm is raised, in seconds, 1 to 86,400. Default 600.
    #[serde(default = "default_owed_alarm_seconds")]
    pub(crate) owed_alarm_seconds: u32,
    /// Whether it still verifies PINs itself, while cards move from it to the PIN desk: requests then go to it unchanged,
    /// PIN block and all, its answers go back unchanged, and what both say of a PIN is put on record. Not with
    /// `tell_declines` or `stand-in`. Default false.
    #[serde(default)]
    pub(crate) dual_run: bool,
}

/// What a network is told when the issuer's own host doesn't answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnLate {
    #[default]
    Decline,
    StandIn,
}

/// What becomes of a card that isn't Pinward's, on a link with an issuer's own host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UnknownCards {
    #[default]
    Pass,
    PassWithPin,
    Refuse,
}

impl HostConfig {
    /// Connections that the links make themselves.
    pub(crate) fn outgoing_connections(&self) -> usize {
        let of_link = |link: &LinkConfig| {
            let upstream = link.upstream.as_ref().map(|upstream| upstream.connections);
            usize::from(link.connect.is_some()) + usize::from(upstream.unwrap_or_default())
        };
        self.links.iter().map(of_link).sum()
    }
}

impl LinkConfig {
    /// Refuses, naming the setting: neither or both of `listen` and `connect`; a dialect that can't be used or hasn't
    /// the fields that the other settings need; codes that are none, approve what is declined or are there twice; values outside their ranges.
    pub(super) fn check(&self, beside: &Path) -> Result<(), Refused> {
        let refuse = |setting: &str, reason| Err((format!("host.link {}: {setting}", self.name), reason));
        if self.listen.is_some() == self.connect.is_some() {
            return refuse("listen", "give either listen or connect");
        }
        if self.sign_on && self.connect.is_none() {
            return refuse("sign_on", "needs connect");
        }
        if self
            .connect
            .as_deref()
            .is_some_and(|address| !is_address(address))
        {
            return refuse("connect", "is not host:port");
        }
        if self
            .connections_per_address
            .is_some_and(|most| !(1..=PER_ADDRESS_MAX).contains(&most))
        {
            return refuse("connections_per_address", "1 to 8,192");
        }
        if !(1..=SECONDS_PER_DAY).contains(&self.first_message_seconds) {
            return refuse("first_message_seconds", "1 to 86,400");
        }
        let dialect = match load_dialect(&self.dialect, beside) {
            Ok(dialect) => dialect,
            Err(reason) => return refuse("dialect", reason),
        };
        if let Err((setting, reason)) = self.processing_codes.check() {
            return refuse(&format!("processing_codes.{setting}"), reason);
        }
        let code_len = dialect.field(39).map(|field| field.length);
        if let Some((decision, _)) = self.response_codes.iter().find(|(_, code)| {
            code_len
                != u16::try_from(code.len())
                    .ok()
                    .map(iso8583::dialect::Length::Fixed)
        }) {
            return refuse(
                &format!("response_codes.{decision:?}"),
                "is no DE39 of the dialect",
            );
        }
        let approves = |code: &str| code.starts_with('0') && code.len() == 3 || APPROVING.contains(&code);
        if let Some((decision, _)) = self
            .response_codes
            .iter()
            .find(|(decision, code)| *decision != Decision::Approved && approves(code))
        {
            return refuse(&format!("response_codes.{decision:?}"), "would approve");
        }
        if let Some(field) = self.new_pin_field
            && (field == 52 || dialect.field(field).is_none_or(|spec| spec.kind != Kind::B))
        {
            return refuse(
                "new_pin_field",
                "is not a field of kind b of the dialect beside 52",
            );
        }
        if self.pin_format.is_dukpt() && dialect.places().key_serial.is_none() {
            return refuse("pin_format", "the dialect has no place for a key serial number");
        }
        let has_mac_place = |field| dialect.field(field).is_some_and(|spec| spec.kind == Kind::B);
        if self.mac_key.is_some() && ![64, 128].into_iter().all(has_mac_place) {
            return refuse(
                "mac_key",
                "the dialect has no DE64 or no DE128: add both to it (kind b, 8 bytes), or leave mac_key out",
            );
        }
        if self.key_change_without_mac && self.mac_key.is_some() {
            return refuse("key_change_without_mac", "goes with a link that has no mac_key");
        }
        if self.key_exchange_key.is_some() && dialect.places().key_block.is_none() {
            return refuse("key_exchange_key", "the dialect has no place for a key block");
        }
        match &self.upstream {
            Some(upstream) => upstream
                .check(&dialect, beside)
                .or_else(|(setting, reason)| refuse(&format!("upstream.{setting}"), reason)),
            None => Ok(()),
        }
    }

    pub(super) fn start_paths_at(&mut self, directory: &Path) {
        let upstream = self
            .upstream
            .as_mut()
            .and_then(|upstream| upstream.dialect.as_mut());
        for dialect in [Some(&mut self.dialect), upstream].into_iter().flatten() {
            if is_dialect_path(dialect) {
                *dialect = directory.join(&*dialect).display().to_string();
            }
        }
    }
}

impl ProcessingCodes {
    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let all = [
            ("purchase", &self.purchase),
            ("cash", &self.cash),
            ("balance", &self.balance),
            ("pin_change", &self.pin_change),
            ("pin_unblock", &self.pin_unblock),
        ];
        let mut earlier = Vec::new();
        for (name, codes) in all {
            for code in codes {
                if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err((name, "two digits"));
                }
                if earlier.contains(&code) {
                    return Err((name, "is there twice, or another transaction's code already"));
                }
                earlier.push(code);
            }
        }
        Ok(())
    }
}

impl UpstreamConfig {
    fn check(&self, link: &Dialect, beside: &Path) -> Result<(), (&'static str, &'static str)> {
        if !is_address(&self.address) {
            return Err(("address", "is not host:port"));
        }
        let own = match &self.dialect {
            Some(name) => Some(load_dialect(name, beside).map_err(|reason| ("dialect", reason))?),
            None => None,
        };
        let dialect = own.as_ref().unwrap_or(link);
        let request = iso8583::mti::MTI_0100_AUTHORISATION_REQUEST;
        if dialect.message_type(request) != link.message_type(request) {
            return Err(("dialect", "is of another version of ISO 8583 than the link's"));
        }
        if dialect
            .field(self.mark_field)
            .is_none_or(|spec| spec.kind != Kind::Ans)
        {
            return Err(("mark_field", "is not a field of kind ans of its dialect"));
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            return Err(("connections", "1 to 64"));
        }
        if !(10..=TIMEOUT_MAX_MS).contains(&self.timeout_ms) {
            return Err(("timeout_ms", "10 to 60,000"));
        }
        if !(1..=IN_FLIGHT_MAX).contains(&self.in_flight_max) {
            return Err(("in_flight_max", "1 to 100,000"));
        }
        if !(1..=OWED_MAX).contains(&self.owed_max) {
            return Err(("owed_max", "1 to 100,000"));
        }
        if !(1..=SECONDS_PER_DAY).contains(&self.owed_alarm_seconds) {
            return Err(("owed_alarm_seconds", "1 to 86,400"));
        }
        if dialect.places().original_data.is_none() {
            return Err(("dialect", "has no place for what a reversal says of its original"));
        }
        if self.dual_run && (self.tell_declines || self.on_late == OnLate::StandIn) {
            return Err((
                "dual_run",
                "not with tell_declines or stand-in: the upstream decides all",
            ));
        }
        if self.dual_run && self.unknown_cards == UnknownCards::Refuse {
            return Err(("unknown_cards", "not with dual_run: the upstream decides all"));
        }
        if self.stand_in_amount_max_minor.is_some() != (self.on_late == OnLate::StandIn) {
            return Err(("stand_in_amount_max_minor", "goes with on_late = \"stand-in\""));
        }
        Ok(())
    }
}

/// A dialect of ours, or one from a file.
pub(crate) fn dialect(name_or_path: &str) -> Result<Dialect, &'static str> {
    load_dialect(name_or_path, Path::new(""))
}

fn load_dialect(name_or_path: &str, beside: &Path) -> Result<Dialect, &'static str> {
    if !is_dialect_path(name_or_path) {
        return Dialect::named(name_or_path).map_err(|_| "is none of ours, nor a path");
    }
    let path: PathBuf = beside.join(name_or_path);
    let text = fs::read_to_string(path).map_err(|_| "the file can't be read")?;
    Dialect::parse(&text).map_err(|error| {
        tracing::error!(%error, dialect = name_or_path, "not a dialect");
        "the file is not a dialect"
    })
}

fn is_dialect_path(name: &str) -> bool {
    name.contains('/') || name.ends_with(".toml")
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn framing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Framing, D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.as_str() {
        "binary2" => Ok(Framing::Binary2),
        "ascii4" => Ok(Framing::Ascii4),
        "bcd2" => Ok(Framing::Bcd2),
        "binary2-zero2" => Ok(Framing::Binary2Zero2),
        _ => Err(serde::de::Error::custom(
            "framing is one of binary2, ascii4, bcd2, binary2-zero2",
        )),
    }
}

fn response_codes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(Decision, String)>, D::Error> {
    let named = BTreeMap::<String, String>::deserialize(deserializer)?;
    let decision = |(name, code): (String, String)| {
        let decision = Decision::deserialize(StrDeserializer::<NameError>::new(&name));
        let decision = decision.map_err(|_| {
            serde::de::Error::custom(format!("response_codes.{name}: no decision has this name"))
        })?;
        Ok((decision, code))
    };
    named.into_iter().map(decision).collect()
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "two digits, or a list of such codes")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(code) => vec![code],
        OneOrMore::More(codes) => codes,
    })
}

fn default_first_message_seconds() -> u32 {
    30
}

fn default_connections() -> u16 {
    2
}

fn default_timeout_ms() -> u32 {
    3_000
}

fn default_in_flight_max() -> u32 {
    10_000
}

fn default_mark_field() -> u8 {
    60
}

fn default_owed_max() -> u32 {
    OWED_MAX
}

fn default_owed_alarm_seconds() -> u32 {
    600
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_MACS: &str = r#"
name = "no-macs"
mti_version = 0
[places]
original_data = 90
network_code = 70
[network_codes]
echo = ["301"]
[fields]
2 = { title = "Primary account number", kind = "n", ll = 19 }
11 = { title = "Trace number", kind = "n", len = 6 }
39 = { title = "Response code", kind = "an", len = 2 }
52 = { title = "PIN block", kind = "b", len = 8 }
64 = { title = "Message authentication code", kind = "b", len = 8 }
70 = { title = "Network code", kind = "n", len = 3 }
90 = { title = "Original data", kind = "n", len = 42 }
"#;

    fn check(dialect: &str, more: &str) -> Result<(), Refused> {
        let text = format!(
            "name = \"north\"\nlisten = \"127.0.0.1:1\"\ndialect = \"{dialect}\"\nzone_key = \"zpk\"\npin_format = \"iso0\"\n{more}"
        );
        toml::from_str::<LinkConfig>(&text).unwrap().check(Path::new(""))
    }

    #[test]
    fn a_mac_key_needs_a_dialect_with_places_for_macs_and_the_refusal_says_what_to_do() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("no-macs.toml");
        fs::write(&path, NO_MACS).unwrap();
        let path = path.display().to_string();
        check(&path, "").unwrap();
        check("ascii-1987", "mac_key = \"zmac\"").unwrap();
        let (setting, reason) = check(&path, "mac_key = \"zmac\"").unwrap_err();
        assert_eq!(setting, "host.link north: mac_key");
        assert!(reason.contains("DE64 or no DE128: add both"), "{reason}");
    }

    #[test]
    fn a_key_change_without_mac_is_allowed_only_where_there_are_no_macs() {
        check("ascii-1987", "key_change_without_mac = true").unwrap();
        let more = "key_change_without_mac = true\nmac_key = \"zmac\"";
        let (setting, _) = check("ascii-1987", more).unwrap_err();
        assert_eq!(setting, "host.link north: key_change_without_mac");
    }
}
