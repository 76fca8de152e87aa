//! Installs what the tests need: Debian packages by name, Python oracles, the browser driver; and makes sure of rustfmt and
//! clippy.
//!
//! There is no `rust-toolchain.toml`: it would have rustup fetch another toolchain on every machine that has a newer one, and
//! fail where rustup's server can't be reached. `rust-version` in Cargo.toml says from which Rust on all this builds.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use crate::run::{answers, cargo, program, root, run, say, succeeds};

/// A program that the tests call, the question it must answer, and the Debian package that brings it.
const PROGRAMS: [(&str, &str, &str); 6] = [
    ("chromium", "--version", "chromium"),
    ("strace", "--version", "strace"),
    ("tcpdump", "--version", "tcpdump"),
    ("node", "--version", "nodejs"),
    ("npm", "--version", "npm"),
    ("script", "--version", "bsdutils"),
];

/// `cargo` commands that the tests call, and the rustup component and Debian package that bring each.
const CARGO_COMMANDS: [(&str, &str, &str); 2] =
    [("fmt", "rustfmt", "rustfmt"), ("clippy", "clippy", "rust-clippy")];

/// Where rustup gets components.
const RUSTUP_SERVER: &str = "static.rust-lang.org:443";
const RUSTUP_SERVER_PATIENCE: Duration = Duration::from_secs(5);

/// Adds rustfmt and clippy where they are missing and rustup can. Where they are there, nothing is asked of anybody.
pub(crate) fn rust_components() -> Result<(), String> {
    let missing: Vec<_> = CARGO_COMMANDS
        .iter()
        .filter(|(command, ..)| !succeeds(&mut cargo(&[command, "--version"])))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let components: Vec<&str> = missing.iter().map(|(_, component, _)| *component).collect();
    let packages: Vec<&str> = missing.iter().map(|(.., package)| *package).collect();
    let by_hand = format!(
        "add them with `rustup component add {}`, or as Debian packages {} beside Debian's own Rust",
        components.join(" "),
        packages.join(" ")
    );
    let names = components.join(" and ");
    if !answers("rustup", "--version") {
        return Err(format!("missing in this Rust: {names}; {by_hand}"));
    }
    if !reaches(RUSTUP_SERVER) {
        return Err(format!(
            "missing in this Rust: {names}; {RUSTUP_SERVER}, where rustup would get them, can't be reached from here; {by_hand}"
        ));
    }
    run(program("rustup", &["component", "add"]).args(&components))
}

fn reaches(server: &str) -> bool {
    let Ok(mut addresses) = server.to_socket_addrs() else {
        return false;
    };
    addresses.any(|address| TcpStream::connect_timeout(&address, RUSTUP_SERVER_PATIENCE).is_ok())
}

/// Installs what is missing.
pub(crate) fn all() -> Result<(), String> {
    debian_packages()?;
    python_oracles()?;
    browser_driver()
}

fn debian_packages() -> Result<(), String> {
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(name, question, _)| !answers(name, question))
        .map(|(_, _, package)| *package)
        .collect();
    if !answers("fc-list", "--version") {
        missing.push("fontconfig");
    }
    if !std::path::Path::new("/usr/share/fonts/truetype/dejavu").exists() {
        missing.push("fonts-dejavu-core");
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !answers("apt-get", "--version") {
        return Err(format!(
            "these programs are missing, install them: {}",
            missing.join(", ")
        ));
    }
    say(&format!("installing with apt-get: {}", missing.join(" ")));
    run(program("apt-get", &["update", "-qq"]).env("DEBIAN_FRONTEND", "noninteractive"))?;
    let words = [&["install", "-y", "-qq", "--no-install-recommends"][..], &missing].concat();
    run(program("apt-get", &words).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Python of the environment that holds the independent implementations (psec, pyemv, pyiso8583).
pub(crate) fn oracle_python() -> PathBuf {
    root().join("target/oracle-venv/bin/python")
}

fn python_oracles() -> Result<(), String> {
    let venv = root().join("target/oracle-venv");
    let venv_text = venv.to_string_lossy().into_owned();
    if !oracle_python().exists() && run(&mut program("python3", &["-m", "venv", &venv_text])).is_err() {
        run(&mut program(
            "apt-get",
            &["install", "-y", "-qq", "python3-venv", "python3-pip"],
        ))?;
        run(&mut program("python3", &["-m", "venv", &venv_text]))?;
    }
    let python = oracle_python().to_string_lossy().into_owned();
    for requirements in requirement_files()? {
        let requirements = requirements.to_string_lossy().into_owned();
        run(&mut program(
            &python,
            &[
                "-m",
                "pip",
                "install",
                "-q",
                "--disable-pip-version-check",
                "-r",
                &requirements,
            ],
        ))?;
    }
    Ok(())
}

fn requirement_files() -> Result<Vec<PathBuf>, String> {
    let crates = root().join("crates");
    let folders = std::fs::read_dir(&crates).map_err(|error| format!("{}: {error}", crates.display()))?;
    let mut files: Vec<PathBuf> = folders
        .filter_map(|folder| Some(folder.ok()?.path().join("oracle/requirements.txt")))
        .filter(|file| file.exists())
        .collect();
    files.sort();
    Ok(files)
}

fn browser_driver() -> Result<(), String> {
    run(&mut program(
        "npm",
        &[
            "ci",
            "--prefix",
            "journeys",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
        ],
    ))
}
