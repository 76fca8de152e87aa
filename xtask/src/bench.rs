//! Loads the host over TCP, beside two reference hosts in the same run: `raw` checks the PIN in memory, appends and syncs;
//! `bare` only appends and syncs.
//!
//! Everything is real: release build, HSM process, imported cards, PIN blocks under a zone key, SQLite with full syncs. The
//! hosts take turns, so that a disk or machine that changes its mood changes it for all. `docs/performance.md` says how to read it.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::run::{cargo, program, root, run as run_program, say};

/// Cards where `--cards` doesn't say otherwise.
const CARDS: u32 = 200_000;
/// Seconds of each load where `--seconds` doesn't say otherwise.
const SECONDS: u32 = 10;
const ROUNDS: usize = 3;
/// Connections, and requests under way on each.
const SHAPES: [(u32, u32); 2] = [(16, 128), (8, 1)];

/// One request in so many has a wrong PIN.
const WRONG_PIN_EVERY: u64 = 50;

const PRODUCT_PORT: u16 = 18583;
const RAW_PORT: u16 = 18584;
const BARE_PORT: u16 = 18585;
const WEB_PORT: u16 = 18580;

/// How long a host may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// How long a process may take to end when told to.
const END_PATIENCE: Duration = Duration::from_secs(10);

const SYNCS: usize = 200;

/// The keys that a desk needs, and the zone key of the bench.
const KEYS: [(&str, &str); 9] = [
    ("imk-ac", "issuer-cryptogram"),
    ("imk-smi", "issuer-script-integrity"),
    ("imk-smc", "issuer-script-confidentiality"),
    ("pin-storage", "pin-storage"),
    ("pan-storage", "pan-storage"),
    ("card-index", "card-index"),
    ("record-mac", "record-mac"),
    ("envelope-identity", "envelope-identity"),
    ("zpk-bench", "zone-pin-tdes"),
];

/// Builds, prepares, measures, prints. `words` are the arguments after `bench`.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let cards = option(words, "--cards", CARDS)?;
    let seconds = option(words, "--seconds", SECONDS)?;
    run_program(&mut cargo(&[
        "build",
        "--release",
        "--locked",
        "--package",
        "pinward",
    ]))?;
    let bench = Bench {
        program: root().join("target/release/pinward"),
        folder: root().join("target/bench"),
        seconds,
    };
    bench.prepare(cards)?;
    let hosts = bench.start()?;
    say(&format!(
        "\n{cards} cards, {seconds} seconds each; {}",
        environment(&bench.folder)?
    ));
    for (connections, outstanding) in SHAPES {
        bench.measure(&hosts, connections, outstanding)?;
    }
    Ok(())
}

fn option(words: &[String], name: &str, default: u32) -> Result<u32, String> {
    let Some(at) = words.iter().position(|word| word == name) else {
        return Ok(default);
    };
    let value = words
        .get(at + 1)
        .and_then(|value| value.parse().ok())
        .filter(|value| *value > 0);
    value.ok_or_else(|| format!("{name} wants a number"))
}

struct Bench {
    program: PathBuf,
    folder: PathBuf,
    seconds: u32,
}

/// A process that is ended when this is dropped.
struct Running(Child);

/// The hosts, and the HSM of the first.
struct Hosts {
    product: Running,
    raw: Running,
    bare: Running,
    hsm: Running,
}

/// What `pinward sim load --json` prints; its own documentation says what each is.
#[derive(Deserialize)]
struct Report {
    answers: u64,
    answers_per_second: u64,
    p50_us: u32,
    p99_us: u32,
    right_pins_declined: u64,
    wrong_pins_approved: u64,
    locked: u64,
    client_cpu_ns: u64,
}

/// One load on one host.
struct Round {
    report: Report,
    /// Of the host's process, in nanoseconds per answer.
    cpu_ns: u64,
    /// Of the HSM process.
    hsm_cpu_ns: u64,
    /// Bytes that the host's process had written to the disk, per answer.
    written: u64,
}

/// One load on each host, one after the other.
struct Turn {
    product: Round,
    raw: Round,
    bare: Round,
}

/// What a process has used so far.
#[derive(Clone, Copy)]
struct Used {
    cpu_ns: u64,
    written: u64,
}

impl Bench {
    /// A fresh installation with its keys and cards.
    fn prepare(&self, cards: u32) -> Result<(), String> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .map_err(|cause| format!("{}: {cause}", self.folder.display()))?;
        }
        self.write("data/pinward.toml", &configuration())?;
        self.command(&["sim", "components", "--out", "keys"])?;
        self.command(&[
            "keys",
            "load",
            "kek-bench",
            "keys/component-1.txt",
            "keys/component-2.txt",
        ])?;
        for (name, purpose) in KEYS {
            self.command(&["keys", "generate", name, "--purpose", purpose])?;
        }
        let block = self.command(&["keys", "export", "zpk-bench", "--under", "kek-bench"])?;
        let block = block.trim();
        self.write("keys/zpk.tr31", block)?;
        for (name, port) in [("product", PRODUCT_PORT), ("raw", RAW_PORT), ("bare", BARE_PORT)] {
            self.write(&format!("{name}.json"), &acquirer(port, block))?;
        }
        let components = [
            "--component",
            "keys/component-1.txt",
            "--component",
            "keys/component-2.txt",
        ];
        let count = cards.to_string();
        let make = [
            "sim",
            "cards",
            "--count",
            &count,
            "--programme",
            "load",
            "--zone-key",
            "keys/zpk.tr31",
            "--out",
            ".",
        ];
        self.command(&[&make[..], &components[..]].concat())?;
        let told = self.command(&[
            "import",
            "cardmembers.csv",
            "cards.csv",
            "--zone-key",
            "zpk-bench",
        ])?;
        say(told.trim_end());
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.folder.join(name);
        let folder = path.parent().expect("a file of the folder");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|cause| format!("{}: {cause}", path.display()))
    }

    /// Runs `pinward` in the folder, on the installation in `data`; gives its standard output.
    fn command(&self, words: &[&str]) -> Result<String, String> {
        let line = words.join(" ");
        let (first, rest) = words.split_first().expect("every command has a name");
        let place: &[&str] = if *first == "sim" { &[] } else { &["--data", "data"] };
        let mut command = Command::new(&self.program);
        command
            .arg(first)
            .args(place)
            .args(rest)
            .current_dir(&self.folder);
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|cause| format!("pinward {line}: {cause}"))?;
        if !output.status.success() {
            return Err(format!("pinward {line}: {}", output.status));
        }
        String::from_utf8(output.stdout).map_err(|_| format!("pinward {line}: not text"))
    }

    fn start(&self) -> Result<Hosts, String> {
        let hsm = self.spawn("hsm", &["hsm", "--data", "data/hsm", "--socket", "data/hsm.sock"])?;
        wait_for(|| std::os::unix::net::UnixStream::connect(self.folder.join("data/hsm.sock")).is_ok())?;
        let product = self.spawn("product", &["serve", "--config", "data/pinward.toml"])?;
        let raw = self.spawn_reference("raw", RAW_PORT)?;
        let bare = self.spawn_reference("bare", BARE_PORT)?;
        for port in [PRODUCT_PORT, RAW_PORT, BARE_PORT] {
            wait_for(|| TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        }
        Ok(Hosts {
            product,
            raw,
            bare,
            hsm,
        })
    }

    fn spawn_reference(&self, policy: &str, port: u16) -> Result<Running, String> {
        let (listen, acquirer) = (format!("127.0.0.1:{port}"), format!("{policy}.json"));
        let journal = format!("{policy}.journal");
        let words = [
            "sim",
            "reference-host",
            "--policy",
            policy,
            "--listen",
            &listen,
            "--acquirer",
            &acquirer,
            "--cards",
            "load-cards.csv",
            "--journal",
            &journal,
        ];
        self.spawn(policy, &words)
    }

    fn spawn(&self, name: &str, words: &[&str]) -> Result<Running, String> {
        let path = self.folder.join(format!("{name}.log"));
        let log = File::create(&path).map_err(|cause| format!("{}: {cause}", path.display()))?;
        Command::new(&self.program)
            .args(words)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map(Running)
            .map_err(|cause| format!("{name}: {cause}"))
    }

    /// The hosts in turn, after a warm-up of each.
    fn measure(&self, hosts: &Hosts, connections: u32, outstanding: u32) -> Result<(), String> {
        say(&format!(
            "\n{connections} connections, {outstanding} under way on each"
        ));
        say(
            "round      host       answers/s    p50 µs    p99 µs  host CPU µs  HSM CPU µs  client µs  bytes written",
        );
        let mut turns = Vec::new();
        for number in 0..=ROUNDS {
            let shape = (connections, outstanding);
            let turn = Turn {
                product: self.round(hosts, Some(&hosts.hsm), &hosts.product, "product", shape)?,
                raw: self.round(hosts, None, &hosts.raw, "raw", shape)?,
                bare: self.round(hosts, None, &hosts.bare, "bare", shape)?,
            };
            turn.check()?;
            let name = if number == 0 {
                "warm-up".to_owned()
            } else {
                number.to_string()
            };
            for (host, round) in [
                ("product", &turn.product),
                ("raw", &turn.raw),
                ("bare", &turn.bare),
            ] {
                print_round(&name, host, round);
            }
            if number > 0 {
                turns.push(turn);
            }
        }
        print_medians(&turns);
        Ok(())
    }

    fn round(
        &self,
        hosts: &Hosts,
        hsm: Option<&Running>,
        host: &Running,
        name: &str,
        (connections, outstanding): (u32, u32),
    ) -> Result<Round, String> {
        hosts.alive()?;
        let before = (used(host)?, hsm.map(used).transpose()?);
        let acquirer = format!("{name}.json");
        let (connections, outstanding) = (connections.to_string(), outstanding.to_string());
        let seconds = self.seconds.to_string();
        let wrong_pin_every = WRONG_PIN_EVERY.to_string();
        let words = [
            "sim",
            "load",
            "--acquirer",
            &acquirer,
            "--cards",
            "load-cards.csv",
            "--connections",
            &connections,
            "--outstanding",
            &outstanding,
            "--seconds",
            &seconds,
            "--wrong-pin-every",
            &wrong_pin_every,
            "--json",
        ];
        let report: Report = serde_json::from_str(&self.command(&words)?)
            .map_err(|cause| format!("the load's report: {cause}"))?;
        let after = (used(host)?, hsm.map(used).transpose()?);
        let each = |total: u64| total / report.answers.max(1);
        let hsm_cpu = after
            .1
            .zip(before.1)
            .map_or(0, |(after, before)| after.cpu_ns - before.cpu_ns);
        Ok(Round {
            cpu_ns: each(after.0.cpu_ns - before.0.cpu_ns),
            hsm_cpu_ns: each(hsm_cpu),
            written: each(after.0.written - before.0.written),
            report,
        })
    }
}

impl Turn {
    /// The two hosts that compare PINs did.
    fn check(&self) -> Result<(), String> {
        if self.product.report.wrong_pins_approved > 0 {
            return Err("the product approved a wrong PIN".to_owned());
        }
        // One wrong PIN in 10,000 has the right one's PVV; cards are few, so allow for a hundred times as many.
        if self.raw.report.wrong_pins_approved > self.raw.report.answers / (WRONG_PIN_EVERY * 100) {
            return Err("the raw host doesn't compare PINs".to_owned());
        }
        for (name, round) in [("product", &self.product), ("raw host", &self.raw)] {
            if round.report.right_pins_declined > round.report.locked {
                return Err(format!("the {name} declined a right PIN"));
            }
        }
        Ok(())
    }
}

impl Hosts {
    fn alive(&self) -> Result<(), String> {
        for (name, host) in [
            ("pinward serve", &self.product),
            ("the raw host", &self.raw),
            ("the bare host", &self.bare),
            ("pinward hsm", &self.hsm),
        ] {
            used(host).map_err(|_| format!("{name} ended; its log is in target/bench"))?;
        }
        Ok(())
    }
}

impl Drop for Running {
    /// Asks it to end, and kills it where that takes too long.
    fn drop(&mut self) {
        let asked = program("kill", &[&self.0.id().to_string()]).status();
        let ended = asked.is_ok()
            && wait_until(END_PATIENCE, || {
                self.0.try_wait().is_ok_and(|status| status.is_some())
            });
        if !ended {
            // It may have ended at this very moment: nothing is left to do then.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn configuration() -> String {
    format!(
        r#"[store]
path = "pinward.sqlite"

[hsm]
socket = "hsm.sock"
directory = "hsm"

[web]
listen = "127.0.0.1:{WEB_PORT}"
issuer_name = "Bench"
secure_cookies = false

[[host.link]]
name = "bench"
listen = "127.0.0.1:{PRODUCT_PORT}"
dialect = "ascii-1987"
zone_key = "zpk-bench"
pin_format = "iso0"

[mail]
smtp_host = "127.0.0.1"
smtp_port = 1
tls = "none"
from = "bench@cards.example"

[[programme]]
id = "load"
name = "Load"
scheme = "visa-cvn18"
pan_len_digits = 16
pin_len_digits = 4
tries_max = 3
amount_max_minor = 200000
amount_without_pin_max_minor = 0
pin_without_chip = true
currency = 978
"#
    )
}

fn acquirer(port: u16, zone_key: &str) -> String {
    format!(
        r#"{{
  "host": "127.0.0.1:{port}",
  "dialect": "ascii-1987",
  "acquirer_id": "123456",
  "zone_key": "{zone_key}",
  "component_paths": ["keys/component-1.txt", "keys/component-2.txt"]
}}
"#
    )
}

/// From `/proc`: processor time in the kernel's hundredths of a second, and bytes that were sent to the disk.
fn used(process: &Running) -> Result<Used, String> {
    const TICK_NS: u64 = 10_000_000;
    let read = |name: &str| {
        let path = format!("/proc/{}/{name}", process.0.id());
        fs::read_to_string(&path).map_err(|cause| format!("{path}: {cause}"))
    };
    let stat = read("stat")?;
    // The name, in brackets, may hold blanks; utime and stime are the 12th and 13th fields after it.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok());
    if after_name.trim_start().starts_with('Z') {
        return Err("it ended".to_owned());
    }
    // The HSM protects its process from being looked at, so only root may read this of it; nobody asks.
    let io = read("io").unwrap_or_default();
    let written = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
    Ok(Used {
        cpu_ns: ticks.sum::<u64>() * TICK_NS,
        written: written.unwrap_or_default(),
    })
}

/// Cores, and how long a sync takes on this disk in this minute.
fn environment(folder: &Path) -> Result<String, String> {
    let cores = thread::available_parallelism().map_or(0, |cores| cores.get());
    let measured = || -> std::io::Result<Vec<Duration>> {
        let mut file = File::create(folder.join("sync"))?;
        (0..SYNCS)
            .map(|_| {
                let begin = now();
                file.write_all(&[0; 4096])?;
                file.sync_data()?;
                Ok(begin.elapsed())
            })
            .collect()
    };
    let mut syncs = measured().map_err(|cause| format!("{}: {cause}", folder.display()))?;
    syncs.sort_unstable();
    let at = |permille: usize| syncs.get(SYNCS * permille / 1000).map_or(0, Duration::as_micros);
    Ok(format!(
        "{cores} cores; 4 KiB and fdatasync: p50 {} µs, p99 {} µs",
        at(500),
        at(990)
    ))
}

fn print_round(number: &str, host: &str, round: &Round) {
    let report = &round.report;
    say(&format!(
        "{number:<10} {host:<10} {:>9} {:>9} {:>9} {:>12} {:>11} {:>10} {:>14}",
        report.answers_per_second,
        report.p50_us,
        report.p99_us,
        thousandths(round.cpu_ns),
        thousandths(round.hsm_cpu_ns),
        thousandths(report.client_cpu_ns),
        round.written,
    ));
}

fn print_medians(turns: &[Turn]) {
    let of_product = |figure: fn(&Round) -> u64| median(turns.iter().map(|turn| figure(&turn.product)));
    let of_raw = |figure: fn(&Round) -> u64| median(turns.iter().map(|turn| figure(&turn.raw)));
    let of_bare = |figure: fn(&Round) -> u64| median(turns.iter().map(|turn| figure(&turn.bare)));
    let ratio = |figure: fn(&Round) -> u64, reference: fn(&Turn) -> &Round| {
        let of_turn = |turn: &Turn| figure(&turn.product) * 1000 / figure(reference(turn)).max(1);
        thousandths(median(turns.iter().map(of_turn)))
    };
    let rate: fn(&Round) -> u64 = |round| round.report.answers_per_second;
    let p50: fn(&Round) -> u64 = |round| u64::from(round.report.p50_us);
    let cpu: fn(&Round) -> u64 = |round| round.cpu_ns + round.hsm_cpu_ns;
    let against = |name: &str, does: &str, reference: fn(&Turn) -> &Round| {
        say(&format!(
            "against {name} ({does}): rate {}, p50 {}, CPU {}",
            ratio(rate, reference),
            ratio(p50, reference),
            ratio(cpu, reference),
        ));
    };
    say(&format!(
        "medians    product {} durable PIN verifications/s with {} µs of host and {} µs of HSM CPU and {} bytes written for each; \
         raw {}/s with {} µs; bare {}/s with {} µs; {} locked",
        of_product(rate),
        thousandths(of_product(|round| round.cpu_ns)),
        thousandths(of_product(|round| round.hsm_cpu_ns)),
        of_product(|round| round.written),
        of_raw(rate),
        thousandths(of_raw(cpu)),
        of_bare(rate),
        thousandths(of_bare(cpu)),
        turns.iter().map(|turn| turn.product.report.locked).sum::<u64>(),
    ));
    against("raw", "checks the PIN in memory, appends, syncs", |turn| {
        &turn.raw
    });
    against("bare", "appends and syncs only", |turn| &turn.bare);
}

/// `1234` as `1.23`.
fn thousandths(number: u64) -> String {
    format!("{}.{:02}", number / 1000, number % 1000 / 10)
}

fn median(figures: impl Iterator<Item = u64>) -> u64 {
    let mut figures: Vec<u64> = figures.collect();
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn wait_for(ready: impl FnMut() -> bool) -> Result<(), String> {
    if wait_until(START_PATIENCE, ready) {
        Ok(())
    } else {
        Err("a host doesn't listen; its log is in target/bench".to_owned())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "another process tells no event when it listens or has ended"
)]
fn wait_until(patience: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let begin = now();
    while begin.elapsed() < patience {
        if ready() {
            return true;
        }
        thread::sleep(POLL);
    }
    false
}

#[expect(clippy::disallowed_methods, reason = "a measuring instrument reads the clock")]
fn now() -> Instant {
    Instant::now()
}
