//! Passwords of cardmembers: argon2id, verified by a few threads that keep their memory.
//!
//! A verification takes 19 MiB and some tens of milliseconds of a core. Left to the runtime's blocking threads, each of
//! them comes to keep such a piece of memory; here a crowd waits in a short queue, and beyond that is told so.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        PasswordHasher,
        phc::{Output, PasswordHash},
    },
};
use tokio::sync::{mpsc, oneshot};
use zeroize::{Zeroize, Zeroizing};

/// Passwords verified at the same time.
const VERIFIERS: usize = 2;
/// Passwords that wait for a verifier: about half a second's work.
pub(super) const WAITING_MAX: usize = 32;

/// Verifies passwords, one cost for all, and a few at a time.
pub(super) struct PasswordGate {
    queue: mpsc::Sender<Task>,
    /// Stands in where there is no hash, so that a user who doesn't exist costs as much as one who does.
    nobodys_hash: String,
}

struct Task {
    hash: String,
    password: Zeroizing<String>,
    answer: oneshot::Sender<bool>,
}

/// Too many passwords wait already.
#[derive(Debug)]
pub(super) struct Crowded;

impl PasswordGate {
    /// Starts the verifiers; they end with the gate.
    pub(super) fn new() -> Self {
        let (queue, tasks) = mpsc::channel(WAITING_MAX);
        let tasks = Arc::new(Mutex::new(tasks));
        for _ in 0..VERIFIERS {
            let tasks = Arc::clone(&tasks);
            thread::Builder::new()
                .name("passwords".to_owned())
                .spawn(move || verify_all(&tasks))
                .expect("a program that starts can start a thread");
        }
        Self {
            queue,
            nobodys_hash: nobodys_hash(),
        }
    }

    /// A place in the queue, to be taken before a try is charged: whoever is turned away has lost none.
    pub(super) fn place(&self) -> Result<Place<'_>, Crowded> {
        let permit = self.queue.try_reserve().map_err(|_| Crowded)?;
        let gate = self;
        Ok(Place { gate, permit })
    }
}

/// A place in the queue of one password.
pub(super) struct Place<'g> {
    gate: &'g PasswordGate,
    permit: mpsc::Permit<'g, Task>,
}

impl Place<'_> {
    /// Whether the password is the one behind the hash. `None` takes as long and is never right.
    pub(super) async fn matches(self, hash: Option<String>, password: Zeroizing<String>) -> bool {
        let is_somebody = hash.is_some();
        let (answer, answered) = oneshot::channel();
        self.permit.send(Task {
            hash: hash.unwrap_or_else(|| self.gate.nobodys_hash.clone()),
            password,
            answer,
        });
        let is_right = answered.await.expect("verifying a password doesn't panic");
        is_right && is_somebody
    }
}

/// One verifier's life.
fn verify_all(tasks: &Mutex<mpsc::Receiver<Task>>) {
    let mut memory = vec![Block::new(); Params::DEFAULT.block_count()];
    let next = || {
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.blocking_recv()
    };
    while let Some(task) = next() {
        // Nobody waits any more: the request was given up.
        if task.answer.is_closed() {
            continue;
        }
        let is_right = is_behind(&task.password, &task.hash, &mut memory);
        memory.iter_mut().zeroize();
        let _ = task.answer.send(is_right);
    }
}

/// Refuses a hash that isn't argon2id or was made with more memory than [`hash`] takes.
fn is_behind(password: &str, hash: &str, memory: &mut [Block]) -> bool {
    let Ok(kept) = PasswordHash::new(hash) else {
        return false;
    };
    let (Some(salt), Some(wanted)) = (kept.salt, kept.hash) else {
        return false;
    };
    let (Ok(Algorithm::Argon2id), Ok(params)) = (
        Algorithm::try_from(kept.algorithm.as_str()),
        Params::try_from(&kept),
    ) else {
        return false;
    };
    let mut output = Zeroizing::new([0; Output::MAX_LENGTH]);
    let Some(output) = output.get_mut(..wanted.len()) else {
        return false;
    };
    let hashed = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        password.as_bytes(),
        &salt,
        output,
        memory,
    );
    // Outputs are compared in constant time.
    hashed.is_ok() && Output::new(output).is_ok_and(|output| output == wanted)
}

/// A hash of the same cost that no password is behind.
fn nobodys_hash() -> String {
    let mut random = [0; 32];
    getrandom::fill(&mut random).expect("the operating system has randomness");
    let (salt, output) = random.split_at(16);
    let params = Params::DEFAULT;
    format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        params.m_cost(),
        params.t_cost(),
        params.p_cost(),
        data_encoding::BASE64_NOPAD.encode(salt),
        data_encoding::BASE64_NOPAD.encode(&[output, output].concat()),
    )
}

/// Argon2id hash of a password in PHC format, with a fresh salt. Takes some tens of milliseconds of a core.
pub(crate) fn hash(password: &str) -> String {
    Argon2::default()
        .hash_password(password.as_bytes())
        .expect("a password shorter than 4 GiB is hashed with the default parameters")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    async fn check(gate: &PasswordGate, hash: Option<String>, password: &str, is_right: bool) {
        let place = gate.place().unwrap();
        assert_eq!(
            place.matches(hash.clone(), typed(password)).await,
            is_right,
            "{hash:?}"
        );
    }

    #[tokio::test]
    async fn only_the_right_password_matches_and_nobody_has_one() {
        let gate = PasswordGate::new();
        let hashed = hash("correct horse battery");
        check(&gate, Some(hashed.clone()), "correct horse battery", true).await;
        check(&gate, Some(hashed.clone()), "correct horse", false).await;
        check(&gate, None, "correct horse battery", false).await;
        for odd in [
            "not a hash".to_owned(),
            hashed.replace("argon2id", "argon2i"),
            hashed.replace("m=19456", "m=19457"),
            hashed.replace("m=19456", "m=4294967295"),
            hashed.replace("t=2", "t=3"),
        ] {
            check(&gate, Some(odd), "correct horse battery", false).await;
        }
        // The memory that all of them used is as good as new.
        check(&gate, Some(hashed), "correct horse battery", true).await;
    }

    #[test]
    fn nobodys_hash_costs_what_a_real_one_costs() {
        let [nobodys, real] = [nobodys_hash(), hash("a")].map(|text| PasswordHash::new(&text).unwrap());
        assert_eq!(nobodys.algorithm, real.algorithm);
        assert_eq!(nobodys.version, real.version);
        assert_eq!(nobodys.params, real.params);
        assert_eq!(nobodys.hash.unwrap().len(), real.hash.unwrap().len());
        assert_ne!(nobodys_hash(), nobodys_hash());
    }

    #[tokio::test]
    async fn a_crowd_is_turned_away_at_the_door_and_let_in_again_afterwards() {
        let gate = PasswordGate::new();
        let hashed = hash("a");
        let places: Vec<Place<'_>> = (0..WAITING_MAX).map(|_| gate.place().unwrap()).collect();
        assert!(gate.place().is_err());
        for place in places {
            assert!(place.matches(Some(hashed.clone()), typed("a")).await);
        }
        check(&gate, Some(hashed), "a", true).await;
    }

    #[test]
    fn a_password_is_kept_as_argon2id_with_its_own_salt() {
        assert!(hash("a").starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_ne!(hash("a"), hash("a"));
    }
}
