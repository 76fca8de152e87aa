//! Dual running: while cards move from an existing PIN verifier to Pinward, both judge the same PINs, the existing one
//! decides, and every comparison is on record, so that an issuer sees when the existing verifier can go.

use cards::{Pan, Timestamp};
use hsm::HsmFault;
use store::AuditEvent;

use crate::authorise::{AuthorisationAnswer, Decision, PinCheck};
use crate::counted::only;
use crate::{Desk, Fault};

/// Kind of the journal's records. Their detail is `{"agree":…,"ours":"…","theirs":"…"}` with [`Verdict::name`]s; `agree` is
/// null where one of them didn't tell.
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
    /// What Pinward's own answer says of the PIN, for whatever else the request would have been declined.
    #[must_use]
    pub fn ours(answer: &AuthorisationAnswer) -> Self {
        match (answer.checked.pin, answer.decision) {
            (PinCheck::Match, _) => Self::Match,
            (PinCheck::NoMatch, _) => Self::NoMatch,
            (PinCheck::Unreadable, _) => Self::Unreadable,
            (PinCheck::NoReference, _) | (PinCheck::NotCompared, Decision::UnknownCard) => Self::NoReference,
            (PinCheck::NotCompared, Decision::PinTriesExceeded) => Self::Locked,
            (PinCheck::NotCompared, _) => Self::NotTold,
        }
    }

    /// Whether two verifiers say the same; `None` where one of them doesn't tell.
    #[must_use]
    pub fn agrees(self, other: Self) -> Option<bool> {
        (self != Self::NotTold && other != Self::NotTold).then_some(self == other)
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
    let key = only(desk.hsm.card_keys(vec![pan.clone()]).await?, HsmFault::NoAnswer)?;
    let agree = ours
        .agrees(theirs)
        .map_or_else(|| "null".to_owned(), |agree| agree.to_string());
    let event = AuditEvent {
        at: now,
        kind: AUDIT_KIND,
        card: Some(key.row),
        actor: format!("link:{link}"),
        detail: format!(
            r#"{{"agree":{agree},"ours":"{}","theirs":"{}"}}"#,
            ours.name(),
            theirs.name()
        ),
    };
    desk.store.append_audit(vec![event]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorise::Checked;

    fn check(pin: PinCheck, decision: Decision, expected: Verdict) {
        let answer = AuthorisationAnswer {
            checked: Checked {
                pin,
                ..Checked::default()
            },
            ..AuthorisationAnswer::declined(decision)
        };
        assert_eq!(Verdict::ours(&answer), expected, "{pin:?} {decision:?}");
    }

    #[test]
    fn the_pin_is_told_apart_from_what_else_the_request_is_declined_for() {
        check(PinCheck::Match, Decision::Approved, Verdict::Match);
        check(PinCheck::Match, Decision::CounterFarAhead, Verdict::Match);
        check(PinCheck::NoMatch, Decision::IncorrectPin, Verdict::NoMatch);
        check(PinCheck::NoReference, Decision::PinNotSet, Verdict::NoReference);
        check(
            PinCheck::Unreadable,
            Decision::PinBlockUnreadable,
            Verdict::Unreadable,
        );
        let not_compared = [
            (Decision::PinTriesExceeded, Verdict::Locked),
            (Decision::UnknownCard, Verdict::NoReference),
            (Decision::KeyMissing, Verdict::NotTold),
            (Decision::CryptogramInvalid, Verdict::NotTold),
            (Decision::Approved, Verdict::NotTold),
        ];
        for (decision, expected) in not_compared {
            check(PinCheck::NotCompared, decision, expected);
        }
    }

    #[test]
    fn two_verdicts_are_compared_only_where_both_are_told() {
        assert_eq!(Verdict::Match.agrees(Verdict::Match), Some(true));
        assert_eq!(Verdict::Match.agrees(Verdict::NoMatch), Some(false));
        assert_eq!(Verdict::NoMatch.agrees(Verdict::Locked), Some(false));
        assert_eq!(Verdict::Match.agrees(Verdict::NotTold), None);
        assert_eq!(Verdict::NotTold.agrees(Verdict::NotTold), None);
    }
}
