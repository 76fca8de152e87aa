//! Dual running: while cards move from an existing PIN verifier to Pinward, both judge the same PINs, the existing one
//! decides, and every comparison is on record, so that an issuer sees when the existing verifier can go.

use cards::{Pan, Timestamp};
use store::AuditEvent;

use crate::authorise::{AuthorisationAnswer, Decision};
use crate::{Desk, Fault};

/// Kind of the journal's records. Their detail is `{"agree":…,"ours":"…","theirs":"…"}` with [`Verdict::name`]s.
pub const AUDIT_KIND: &str = "dual_run";

/// What a verifier says of one PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The PIN is right.
    Match,
    /// It is wrong.
    NoMatch,
    /// Nothing is compared any more: too many wrong PINs.
    Locked,
    /// The PIN block can't be read.
    Unreadable,
    /// It has no PIN of this card, or doesn't know the card.
    NoReference,
    /// The request was refused, or went unanswered, for another reason: nothing is said about the PIN.
    NotTold,
}

impl Verdict {
    /// What Pinward's own answer says of the PIN.
    #[must_use]
    pub fn ours(answer: &AuthorisationAnswer) -> Self {
        match answer.decision {
            Decision::Approved => Self::Match,
            Decision::IncorrectPin => Self::NoMatch,
            Decision::PinTriesExceeded => Self::Locked,
            Decision::PinBlockUnreadable => Self::Unreadable,
            Decision::PinNotSet | Decision::UnknownCard => Self::NoReference,
            _ => Self::NotTold,
        }
    }

    /// Its name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::NoMatch => "no_match",
            Self::Locked => "locked",
            Self::Unreadable => "unreadable",
            Self::NoReference => "no_reference",
            Self::NotTold => "not_told",
        }
    }
}

/// Records how two verifiers judged the same PIN.
pub async fn compare(
    desk: &Desk,
    pan: &Pan,
    link: &str,
    ours: Verdict,
    theirs: Verdict,
    now: Timestamp,
) -> Result<(), Fault> {
    let key = desk.hsm.card_keys(vec![pan.clone()]).await?.pop();
    let event = AuditEvent {
        at: now,
        kind: AUDIT_KIND,
        card: key.map(|key| key.row),
        actor: format!("link:{link}"),
        detail: format!(
            r#"{{"agree":{},"ours":"{}","theirs":"{}"}}"#,
            ours == theirs,
            ours.name(),
            theirs.name()
        ),
    };
    desk.store.append_audit(vec![event]).await?;
    Ok(())
}
