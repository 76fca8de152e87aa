//! `cargo xtask fuzz`: mutated inputs through every target on stable Rust.
//!
//! Fails for a panic, for an input that takes more than 100 ms, and for memory that grows. What runs is the same for a seed.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use targets::mutate::{Dice, mutate};
use targets::{TARGETS, Target};

const INPUTS: u64 = 10_000_000;
const SEED: u64 = 0x8583_1993_9564_4E21;

/// No input may take longer.
const INPUT_TIME_MAX: Duration = Duration::from_millis(100);

/// What takes longer than this is run again, and its fastest time counts: else it is the machine that is measured.
const AGAIN: Duration = Duration::from_millis(1);
const TRIES: u32 = 5;

/// An input that doesn't end: the watchdog ends the process.
const WATCH: Duration = Duration::from_secs(10);

/// Most that resident memory may grow between a tenth of the inputs and the last, in KiB.
const GROWTH_MAX_KIB: u64 = 2048;

struct Figures {
    inputs: u64,
    read: u64,
    slowest: Duration,
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("fuzz: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: Vec<String>) -> Result<(), String> {
    let option = |name: &str, default: u64| match words.iter().position(|word| word == name) {
        None => Ok(default),
        Some(at) => {
            let value = words
                .get(at + 1)
                .and_then(|word| word.replace('_', "").parse().ok());
            value
                .filter(|value| *value > 0)
                .ok_or(format!("{name} wants a number above 0"))
        }
    };
    let (inputs, seed) = (option("--inputs", INPUTS)?, option("--seed", SEED)?);
    println!("seed {seed}, {inputs} inputs");
    let corpora = TARGETS.map(|(name, _)| corpus(name));
    let progress = Arc::new(AtomicU64::new(0));
    let watchdog = watch(Arc::clone(&progress));
    let (mut rss_early, begin) = (None, now());
    let mut figures = TARGETS.map(|_| Figures {
        inputs: 0,
        read: 0,
        slowest: Duration::ZERO,
    });
    let mut dice = Dice::new(seed);
    let mut input = Vec::new();
    // The targets take turns, so that memory is compared between two moments when all have run.
    for round in 0..inputs {
        let turn = usize::try_from(round).map_err(|error| error.to_string())? % TARGETS.len();
        let corpus = corpora[turn].as_ref().map_err(Clone::clone)?;
        mutate(corpus, &mut dice, &mut input);
        let (read, time) = once(TARGETS[turn], &input, seed, round)?;
        let figures = &mut figures[turn];
        figures.inputs += 1;
        figures.read += u64::from(read);
        figures.slowest = figures.slowest.max(time);
        progress.store(round + 1, Ordering::Relaxed);
        if round == inputs / 10 {
            rss_early = Some(rss_kib()?);
        }
    }
    drop(watchdog);
    let (early, late) = (rss_early.unwrap_or_default(), rss_kib()?);
    for ((name, _), figures) in TARGETS.iter().zip(&figures) {
        println!(
            "{name:8} {:9} inputs, {:9} read, the others refused, slowest {:?}",
            figures.inputs, figures.read, figures.slowest
        );
    }
    println!(
        "no panic; resident memory {early} KiB at a tenth, {late} KiB at the end; {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    if late > early + GROWTH_MAX_KIB {
        return Err(format!("memory grew by more than {GROWTH_MAX_KIB} KiB"));
    }
    for ((name, _), figures) in TARGETS.iter().zip(&figures) {
        if figures.inputs > 1000 && (figures.read == 0 || figures.read == figures.inputs) {
            return Err(format!(
                "{name}: {} of {} were read: the damage is of no use",
                figures.read, figures.inputs
            ));
        }
    }
    Ok(())
}

fn once((name, target): Target, input: &[u8], seed: u64, round: u64) -> Result<(bool, Duration), String> {
    let describe = |what: &str| {
        let digits = input.iter().fold(String::new(), |mut out, byte| {
            let _written = write!(out, "{byte:02x}");
            out
        });
        format!("{name}: {what}, input {round} of seed {seed}: {digits}")
    };
    let (mut is_read, mut fastest) = (false, Duration::MAX);
    for _ in 0..TRIES {
        let begin = now();
        let read = catch_unwind(AssertUnwindSafe(|| target(input)));
        fastest = fastest.min(begin.elapsed());
        is_read = read.map_err(|_| describe("panicked"))?;
        if fastest <= AGAIN {
            break;
        }
    }
    if fastest > INPUT_TIME_MAX {
        return Err(describe(&format!("took {fastest:?}")));
    }
    Ok((is_read, fastest))
}

/// Every file in the target's folder.
fn corpus(name: &str) -> Result<Vec<Vec<u8>>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .map_err(failed)?
        .map(|file| file.map(|file| file.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    files.sort();
    let inputs: Vec<Vec<u8>> = files
        .iter()
        .map(std::fs::read)
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    if inputs.is_empty() {
        return Err(format!("{}: no file", folder.display()));
    }
    Ok(inputs)
}

/// Ends the process when no input ends for a while. Stops when what it returns is dropped.
fn watch(progress: Arc<AtomicU64>) -> mpsc::Sender<()> {
    let (stop, stopped) = mpsc::channel();
    std::thread::spawn(move || {
        let mut before = None;
        while stopped.recv_timeout(WATCH) == Err(mpsc::RecvTimeoutError::Timeout) {
            let now = progress.load(Ordering::Relaxed);
            if before == Some(now) {
                eprintln!("fuzz: input {now} of its seed doesn't end");
                std::process::exit(1);
            }
            before = Some(now);
        }
    });
    stop
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is how long an input takes"
)]
fn now() -> Instant {
    Instant::now()
}

fn rss_kib() -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    number.ok_or("/proc/self/status has no VmRSS".to_owned())
}
