//! Loads the host over TCP, beside two reference hosts in the same run: `raw` checks the PIN in memory, appends and syncs;
//! `bare` only appends and syncs.
//!
//! Everything is real: release build, HSM process, imported cards, PIN blocks under a zone key, SQLite with full syncs. The
//! hosts take turns, so that a disk or machine that changes its mood changes it for all. `docs/performance.md` says how to read it.

mod figures;
mod installation;
mod process;

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::run::{cargo, root, run as run_program, say};
use figures::{Report, Round, Turn, print_medians, print_round};
use process::{Running, used, wait_for};

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

const SYNCS: usize = 200;

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

/// The hosts, and the HSM of the first.
struct Hosts {
    product: Running,
    raw: Running,
    bare: Running,
    hsm: Running,
}

impl Bench {
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

#[expect(clippy::disallowed_methods, reason = "a measuring instrument reads the clock")]
fn now() -> Instant {
    Instant::now()
}
