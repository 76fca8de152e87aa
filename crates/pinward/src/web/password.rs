//! Passwords of cardmembers: argon2id, at most two at a time.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier},
};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Passwords verified at the same time. Each takes 19 MiB and some tens of milliseconds of a core.
const PARALLEL_MAX: usize = 2;

/// Verifies passwords, one cost for all, and a few at a time.
pub(super) struct PasswordGate {
    permits: Semaphore,
    /// Stands in where there is no hash, so that a user who doesn't exist costs as much as one who does.
    nobodys_hash: String,
}

impl PasswordGate {
    pub(super) fn new() -> Self {
        Self {
            permits: Semaphore::new(PARALLEL_MAX),
            nobodys_hash: hash(&nobodys_password()),
        }
    }

    /// Whether the password is the one behind the hash. `None` takes as long and is never right.
    pub(super) async fn matches(&self, hash: Option<String>, password: Zeroizing<String>) -> bool {
        let _permit = self
            .permits
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let is_somebody = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobodys_hash.clone());
        let verify = move || {
            Argon2::default()
                .verify_password(password.as_bytes(), hash.as_str())
                .is_ok()
        };
        let right = tokio::task::spawn_blocking(verify)
            .await
            .expect("verifying a password doesn't panic");
        right && is_somebody
    }
}

fn nobodys_password() -> String {
    let mut random = [0; 32];
    getrandom::fill(&mut random).expect("the operating system has randomness");
    data_encoding::HEXLOWER.encode(&random)
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

    #[tokio::test]
    async fn only_the_right_password_matches_and_nobody_has_one() {
        let gate = PasswordGate::new();
        let hashed = hash("correct horse battery");
        let typed = |text: &str| Zeroizing::new(text.to_owned());
        assert!(
            gate.matches(Some(hashed.clone()), typed("correct horse battery"))
                .await
        );
        assert!(!gate.matches(Some(hashed), typed("correct horse")).await);
        assert!(!gate.matches(None, typed("correct horse battery")).await);
        assert!(
            !gate
                .matches(Some("not a hash".to_owned()), typed("correct horse battery"))
                .await
        );
    }

    #[test]
    fn a_password_is_kept_as_argon2id_with_its_own_salt() {
        assert!(hash("a").starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_ne!(hash("a"), hash("a"));
    }
}
