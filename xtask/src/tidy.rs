//! The house rules that a machine can check.
//!
//! Which room may use which (`docs/architecture.md`), that each room is on the map and each room on the map exists,
//! that no promise is left in the code.

use std::path::{Path, PathBuf};

use crate::run::{root, say};

/// Room, and the rooms of the workspace that it may use. Tests are free: they play both sides.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("cards", &[]),
    ("emv", &[]),
    ("iso8583", &[]),
    ("paycrypto", &["cards"]),
    ("hsm", &["cards", "paycrypto"]),
    ("store", &["cards"]),
    ("issuer", &["cards", "emv", "hsm", "store"]),
    ("sim", &["cards", "emv", "iso8583", "paycrypto"]),
    (
        "pinward",
        &["cards", "emv", "iso8583", "hsm", "store", "issuer", "sim"],
    ),
];

/// Words that promise instead of doing. Split, so that this list doesn't find itself.
const PROMISES: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("todo", "!("),
    concat!("unimple", "mented!("),
    concat!("for", " now"),
    concat!("in a", " real system"),
];

/// Files longer than this want to be two.
const FILE_LINES_MAX: usize = 800;

/// Checks the rules; names every breach.
pub(crate) fn run() -> Result<(), String> {
    let mut breaches = Vec::new();
    for (room, allowed) in MAY_USE {
        breaches.extend(forbidden_dependencies(room, allowed)?);
    }
    breaches.extend(rooms_missing_on_the_map()?);
    for file in sources(&root())? {
        breaches.extend(breaches_in(&file)?);
    }
    for breach in &breaches {
        say(&format!("tidy: {breach}"));
    }
    if breaches.is_empty() {
        Ok(())
    } else {
        Err(format!("{} breaches of the house rules", breaches.len()))
    }
}

fn forbidden_dependencies(room: &str, allowed: &[&str]) -> Result<Vec<String>, String> {
    let manifest = read(&root().join("crates").join(room).join("Cargo.toml"))?;
    let manifest: toml::Table = manifest
        .parse()
        .map_err(|error| format!("crates/{room}/Cargo.toml: {error}"))?;
    let is_room = |name: &str| MAY_USE.iter().any(|(other, _)| *other == name);
    let named = |section: &str| -> Vec<String> {
        let table = manifest.get(section).and_then(toml::Value::as_table);
        table
            .map(|table| table.keys().cloned().collect())
            .unwrap_or_default()
    };
    let used = named("dependencies")
        .into_iter()
        .chain(named("build-dependencies"));
    Ok(used
        .filter(|name| is_room(name) && !allowed.contains(&name.as_str()))
        .map(|name| format!("crates/{room} may not use {name}"))
        .collect())
}

fn rooms_missing_on_the_map() -> Result<Vec<String>, String> {
    let map = read(&root().join("docs/architecture.md"))?;
    let folders = std::fs::read_dir(root().join("crates")).map_err(|error| format!("crates: {error}"))?;
    let mut rooms: Vec<String> = folders
        .filter_map(|folder| folder.ok()?.file_name().into_string().ok())
        .collect();
    rooms.sort();
    let unmapped = rooms
        .iter()
        .filter(|room| !map.contains(&format!("`{room}`")))
        .map(|room| format!("crates/{room} is not on the map of docs/architecture.md"));
    let unlisted = rooms
        .iter()
        .filter(|room| !MAY_USE.iter().any(|(known, _)| known == room))
        .map(|room| format!("crates/{room} has no rule in xtask/src/tidy.rs"));
    let gone = MAY_USE
        .iter()
        .filter(|(known, _)| !rooms.iter().any(|room| room == known))
        .map(|(known, _)| format!("the room {known} doesn't exist"));
    Ok(unmapped.chain(unlisted).chain(gone).collect())
}

fn breaches_in(file: &Path) -> Result<Vec<String>, String> {
    let text = read(file)?;
    let name = file.strip_prefix(root()).unwrap_or(file).display().to_string();
    let promises = text.lines().enumerate().flat_map(|(at, line)| {
        let name = &name;
        PROMISES
            .iter()
            .filter(move |promise| line.contains(**promise))
            .map(move |promise| format!("{name}:{}: {promise:?}", at + 1))
    });
    let too_long = (text.lines().count() > FILE_LINES_MAX).then(|| {
        format!("{name} has more than {FILE_LINES_MAX} lines: two files would be easier to live in")
    });
    Ok(promises.chain(too_long).collect())
}

/// All Rust, JavaScript and template files of ours.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry
            .map_err(|error| format!("{}: {error}", folder.display()))?
            .path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if path.is_dir() {
            let ours = !name.starts_with('.')
                && name != "target"
                && name != "node_modules"
                && name != "pinward-data";
            if ours {
                found.extend(sources(&path)?);
            }
        } else if [".rs", ".js", ".html", ".css"]
            .iter()
            .any(|ending| name.ends_with(ending))
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}
