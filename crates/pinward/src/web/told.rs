//! The one table of the web: how each refusal is told, as HTTP status, stable code and words that say what to do.

use std::fmt;

use axum::{
    Json,
    extract::rejection::{FormRejection, JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hsm::HsmFault;
use issuer::{ActError, Fault, Refusal};
use serde_json::json;
use store::StoreFault;

use super::password::Crowded;

/// What to do when nobody knows whether anything was done: right for who only looked, and for who changed something.
const LOOK_FIRST: &str = "open your cards again. If you were changing something, your card there tells whether the change was made.";

/// An answer that isn't what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) status: StatusCode,
    /// Stable, for programs.
    pub(super) code: &'static str,
    /// What happened, in one sentence.
    pub(super) headline: &'static str,
    /// What to do.
    pub(super) advice: String,
}

impl Told {
    fn new(
        status: StatusCode,
        code: &'static str,
        headline: &'static str,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            headline,
            advice: advice.into(),
        }
    }

    pub(super) fn no_such_page() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is no such page.",
            "Go back to your cards.",
        )
    }

    /// A request that no page of ours sends.
    pub(super) fn bad_request() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "We couldn't read that request.",
            "Nothing was changed. Go back to your cards and start again.",
        )
    }

    pub(super) fn unauthorised() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorised",
            "The bearer token is missing or wrong.",
            "Send the header Authorization: Bearer, with the token of this API.",
        )
    }

    pub(super) fn signed_out() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "signed_out",
            "You are signed out.",
            "Nothing was changed. Sign in and start again.",
        )
    }

    /// More passwords wait to be looked at than should.
    fn crowded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "Many people are signing in right now.",
            "Nothing was changed, and no try was counted. Wait ten seconds, then try again.",
        )
    }

    /// Whether it was told of a card that the cardmember has.
    pub(super) fn is_about_own_card(&self) -> bool {
        matches!(
            self.status,
            StatusCode::CONFLICT
                | StatusCode::LOCKED
                | StatusCode::FORBIDDEN
                | StatusCode::INTERNAL_SERVER_ERROR
        )
    }

    /// A plain answer for an error that came without words (a layer's, or the router's).
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Self {
                status,
                ..Self::no_such_page()
            },
            StatusCode::FORBIDDEN => Self::new(
                status,
                "cross_site",
                "That request came from another site.",
                "Nothing was changed. Start from your cards here.",
            ),
            StatusCode::SERVICE_UNAVAILABLE => Self::new(
                status,
                "too_slow",
                "That took too long, so we stopped waiting.",
                format!("Wait a minute and {LOOK_FIRST}"),
            ),
            _ => Self {
                status,
                ..Self::bad_request()
            },
        }
    }
}

impl From<Refusal> for Told {
    fn from(refusal: Refusal) -> Self {
        use StatusCode as S;
        match refusal {
            Refusal::NotYourCard => Self::new(
                S::NOT_FOUND,
                "card_not_found",
                "There is no such card among your cards.",
                "Go back to your cards and choose one. Each cardmember sees their own cards only.",
            ),
            Refusal::CardInactive => Self::new(
                S::CONFLICT,
                "card_inactive",
                "This card isn't active yet.",
                "Activate the card, then create its PIN.",
            ),
            Refusal::CardActive => Self::new(
                S::CONFLICT,
                "card_active",
                "This card is active already.",
                "There is nothing to do. Manage its PIN instead.",
            ),
            Refusal::CardBlocked => Self::new(
                S::CONFLICT,
                "card_blocked",
                "This card is blocked.",
                "Call the number on the back of the card.",
            ),
            Refusal::CardExpired => Self::new(
                S::CONFLICT,
                "card_expired",
                "This card has expired.",
                "Use the card that has taken its place. If none came, call the number on the back of the card.",
            ),
            Refusal::CardDetails => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "card_details_differ",
                "That isn't the expiry date of this card.",
                "Look at the front of the card: month and year, as in 08/29.",
            ),
            Refusal::NoPin => Self::new(
                S::CONFLICT,
                "no_pin",
                "This card has no PIN yet.",
                "Create a PIN first.",
            ),
            Refusal::PinExists => Self::new(
                S::CONFLICT,
                "pin_exists",
                "This card has a PIN already.",
                "Change it if you know it. View it if you have forgotten it.",
            ),
            Refusal::WrongPin { tries_left } => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "wrong_pin",
                "That isn't your current PIN.",
                wrong_pin_advice(tries_left),
            ),
            Refusal::PinLocked => Self::new(
                S::LOCKED,
                "pin_locked",
                "Your PIN is locked after too many wrong tries.",
                "Unlock it here, then insert your card at a cash machine or shop once.",
            ),
            Refusal::PinLockedUntil { until } => Self::new(
                S::LOCKED,
                "pin_locked_until",
                "Your PIN is locked: ten wrong tries within 30 days.",
                format!(
                    "It can be used again from {}. If those tries weren't yours, call the number on the back of the card.",
                    super::page::day_and_time(until),
                ),
            ),
            Refusal::PinWornOut => Self::new(
                S::LOCKED,
                "pin_worn_out",
                "Your PIN is locked: too many wrong tries against this PIN.",
                "It can't be unlocked any more. Create a new PIN.",
            ),
            Refusal::NotLocked => Self::new(
                S::CONFLICT,
                "not_locked",
                "Your PIN isn't locked.",
                "There is nothing to unlock. View your PIN if you have forgotten it.",
            ),
            Refusal::UnlocksUsedUp { until } => Self::new(
                S::LOCKED,
                "unlocks_used_up",
                "Your PIN was unlocked as often as 30 days allow.",
                format!(
                    "It can be unlocked again from {}. If you need it sooner, or didn't unlock it yourself, call the number on the back of the card.",
                    super::page::day_and_time(until),
                ),
            ),
            Refusal::StepUpNeeded => Self::new(
                S::FORBIDDEN,
                "step_up_needed",
                "We need your password once more.",
                "Nothing was changed. Open the page again and enter your password.",
            ),
            Refusal::EnvelopeInvalid => Self::new(
                S::CONFLICT,
                "envelope_invalid",
                "This page was open for too long.",
                "Nothing was changed. Enter the PIN again.",
            ),
            Refusal::PinUnreadable => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "pin_unreadable",
                "We couldn't take that PIN.",
                "Nothing was changed. Enter it again.",
            ),
            Refusal::TryAgain => Self::new(
                S::CONFLICT,
                "try_again",
                "Your card was used at the same moment.",
                "Nothing was changed. Do it again.",
            ),
            Refusal::PinNotViewable => Self::new(
                S::CONFLICT,
                "pin_not_viewable",
                "This PIN can't be shown.",
                "If you know it, you can change it; a PIN that you set here can be shown.",
            ),
        }
    }
}

fn wrong_pin_advice(tries_left: u8) -> String {
    match tries_left {
        0 => "That was the last try, so your PIN is locked now. Unlock it here.".to_owned(),
        1 => "You have 1 more try. If you have forgotten the PIN, view it instead.".to_owned(),
        more => format!("You have {more} more tries. If you have forgotten the PIN, view it instead."),
    }
}

impl From<Fault> for Told {
    /// Logs the cause, once, under the reference number that the person sees.
    fn from(fault: Fault) -> Self {
        let reference = Reference::random();
        tracing::error!(%reference, %fault, "a request failed");
        if matches!(fault, Fault::Hsm(HsmFault::History(_))) {
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "We can't look after PINs right now.",
                format!(
                    "Nothing was changed, and no try was used. Come back a little later. Reference: {reference}"
                ),
            );
        }
        let (status, code, headline) = match fault {
            Fault::Hsm(_) | Fault::Store(_) | Fault::RecordEdited { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unreachable",
                "We can't reach your cards right now.",
            ),
            Fault::HsmRefused(_) | Fault::State { .. } | Fault::CardTampered(_) | Fault::Programme { .. } => {
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "fault",
                    "Something went wrong on our side.",
                )
            }
        };
        let advice = format!("Wait a minute and {LOOK_FIRST} Reference: {reference}");
        Self::new(status, code, headline, advice)
    }
}

impl From<ActError> for Told {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Refused(refusal) => refusal.into(),
            ActError::Fault(fault) => fault.into(),
        }
    }
}

impl From<StoreFault> for Told {
    fn from(fault: StoreFault) -> Self {
        Fault::from(fault).into()
    }
}

impl From<Crowded> for Told {
    fn from(_: Crowded) -> Self {
        Self::crowded()
    }
}

impl From<FormRejection> for Told {
    fn from(_: FormRejection) -> Self {
        Self::bad_request()
    }
}

impl From<JsonRejection> for Told {
    fn from(_: JsonRejection) -> Self {
        Self::bad_request()
    }
}

/// What a person reads out to us when something broke: eight characters.
struct Reference(String);

impl Reference {
    fn random() -> Self {
        let mut random = [0; 5];
        getrandom::fill(&mut random).expect("the operating system has randomness");
        Self(data_encoding::BASE32_NOPAD.encode(&random))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Told on a page. The page itself is drawn by [`super::page::dress_errors`], which knows the issuer.
#[derive(Debug)]
pub(super) struct PageError(pub(super) Told);

impl<E> From<E> for PageError
where
    Told: From<E>,
{
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self.0);
        response
    }
}

/// Told to a program, or to our own script: `{"error":{"code":…,"message":…}}`.
#[derive(Debug)]
pub(super) struct JsonError(pub(super) Told);

impl<E> From<E> for JsonError
where
    Told: From<E>,
{
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for JsonError {
    fn into_response(self) -> Response {
        let Told {
            status,
            code,
            headline,
            advice,
        } = self.0;
        (
            status,
            Json(json!({ "error": { "code": code, "message": format!("{headline} {advice}") } })),
        )
            .into_response()
    }
}
