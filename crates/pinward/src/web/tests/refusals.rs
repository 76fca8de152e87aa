//! The table of refusals.

use std::collections::HashSet;

use axum::http::StatusCode;
use hsm::{HistoryFault, HsmFault};
use issuer::{Fault, Refusal};

use super::NOW;
use crate::web::told::Told;

/// Every refusal. The compiler asks for a new one in `Told::from`; this list asks for its row in the test.
const ALL: [(Refusal, StatusCode, &str); 19] = [
    (Refusal::NotYourCard, StatusCode::NOT_FOUND, "card_not_found"),
    (Refusal::CardInactive, StatusCode::CONFLICT, "card_inactive"),
    (Refusal::CardActive, StatusCode::CONFLICT, "card_active"),
    (Refusal::CardBlocked, StatusCode::CONFLICT, "card_blocked"),
    (Refusal::CardExpired, StatusCode::CONFLICT, "card_expired"),
    (
        Refusal::CardDetails,
        StatusCode::UNPROCESSABLE_ENTITY,
        "card_details_differ",
    ),
    (Refusal::NoPin, StatusCode::CONFLICT, "no_pin"),
    (Refusal::PinExists, StatusCode::CONFLICT, "pin_exists"),
    (
        Refusal::WrongPin { tries_left: 2 },
        StatusCode::UNPROCESSABLE_ENTITY,
        "wrong_pin",
    ),
    (Refusal::PinLocked, StatusCode::LOCKED, "pin_locked"),
    (
        Refusal::PinLockedUntil { until: NOW },
        StatusCode::LOCKED,
        "pin_locked_until",
    ),
    (Refusal::PinWornOut, StatusCode::LOCKED, "pin_worn_out"),
    (Refusal::NotLocked, StatusCode::CONFLICT, "not_locked"),
    (
        Refusal::UnlocksUsedUp { until: NOW },
        StatusCode::LOCKED,
        "unlocks_used_up",
    ),
    (Refusal::StepUpNeeded, StatusCode::FORBIDDEN, "step_up_needed"),
    (Refusal::EnvelopeInvalid, StatusCode::CONFLICT, "envelope_invalid"),
    (
        Refusal::PinUnreadable,
        StatusCode::UNPROCESSABLE_ENTITY,
        "pin_unreadable",
    ),
    (Refusal::TryAgain, StatusCode::CONFLICT, "try_again"),
    (Refusal::PinNotViewable, StatusCode::CONFLICT, "pin_not_viewable"),
];

#[test]
fn each_refusal_has_its_own_code_and_says_what_to_do() {
    for (refusal, status, code) in ALL {
        let told = Told::from(refusal);
        assert_eq!((told.status, told.code), (status, code));
        for words in [told.headline, told.advice.as_str()] {
            assert!(words.ends_with('.') && words.len() > 10, "{code}: {words}");
            assert!(!words.contains('!'), "{code}: {words}");
        }
    }
    let codes: HashSet<&str> = ALL.iter().map(|(_, _, code)| *code).collect();
    assert_eq!(codes.len(), ALL.len());
}

#[test]
fn a_wrong_pin_tells_the_tries_that_are_left() {
    let advice = |tries_left| Told::from(Refusal::WrongPin { tries_left }).advice;
    assert!(advice(2).contains("2 more tries"));
    assert!(advice(1).contains("1 more try"));
    assert!(advice(0).contains("locked now"));
}

#[test]
fn a_fault_shows_a_reference_and_nothing_of_its_cause() {
    let fault = || {
        Told::from(Fault::Hsm(HsmFault::NoAnswer(
            "socket /run/pinward/hsm refused".to_owned(),
        )))
    };
    let told = fault();
    assert_eq!(
        (told.status, told.code),
        (StatusCode::SERVICE_UNAVAILABLE, "unreachable")
    );
    assert!(!told.advice.contains("socket"));
    assert!(told.advice.contains("If you were changing something"));
    assert_ne!(told.advice, fault().advice);
}

#[test]
fn a_database_that_the_hsm_refuses_is_told_as_out_of_service_and_nothing_more() {
    let behind = HistoryFault::Behind { newest: 41, seen: 97 };
    let told = Told::from(Fault::Hsm(behind.into()));
    assert_eq!(
        (told.status, told.code),
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    );
    assert!(told.advice.contains("no try was used"), "{}", told.advice);
    assert!(!told.advice.contains("97") && !told.headline.contains("older"));
}
