//! `pinward password USER_ID`: sets a cardmember's password.

use std::io::{self, Write};

use clap::Args;
use store::AuditEvent;
use zeroize::Zeroizing;

use super::place::{Place, operator};
use crate::failure::Failure;
use crate::{clock, web};

/// Shortest password, in characters.
const LEN_MIN_CHARS: usize = 12;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What the cardmember signs in with
    user_id: String,
    #[command(flatten)]
    place: Place,
}

/// Reads the new password from standard input: one line, at least 12 characters.
pub(crate) async fn run(arguments: Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let mut line = Zeroizing::new(String::new());
    io::stdin().read_line(&mut line)?;
    let new = line.trim_end_matches(['\r', '\n']);
    if new.chars().count() < LEN_MIN_CHARS {
        return Err(Failure::Refused(format!(
            "a password has at least {LEN_MIN_CHARS} characters"
        )));
    }
    let hash = web::hash_password(new);
    let opened = arguments.place.open().await?;
    let set = set(&opened.desk, &arguments.user_id, hash).await;
    opened.hsm.close().await;
    set?;
    writeln!(out, "{} has a new password.", arguments.user_id)?;
    Ok(())
}

async fn set(desk: &issuer::Desk, user_id: &str, hash: String) -> Result<(), Failure> {
    let found = desk.store.cardmember_by_user_id(user_id).await?;
    let cardmember = found.ok_or_else(|| Failure::Refused(format!("nobody signs in as {user_id}")))?;
    let audit = AuditEvent {
        at: clock::now(),
        kind: "password_set",
        card: None,
        actor: operator(),
        detail: format!(r#"{{"cardmember":{}}}"#, cardmember.id.0),
    };
    Ok(desk.set_password(&cardmember, hash, audit).await?)
}
