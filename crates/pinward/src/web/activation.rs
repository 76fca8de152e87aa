//! Activates a card that was delivered inactive.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::{Path, State, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use cards::{CardStatus, Expiry};
use issuer::{
    ActError, Refusal,
    activate_card::{ActivateCard, activate_card},
};
use serde::Deserialize;

use super::{
    Web,
    page::{CardView, Chrome, Place, html, own_card},
    session::SignedIn,
    told::{PageError, Told},
};

#[derive(Template)]
#[template(path = "web/activate.html")]
struct ActivatePage {
    chrome: Chrome,
    card: CardView,
    expiry: String,
    /// What to mend; empty before the first try.
    error: String,
}

/// The form. A card that is active already says so.
pub(super) async fn form(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Path(card): Path<String>,
) -> Result<Response, PageError> {
    let card = own_card(&web, &signed_in, &card).await?;
    match card.status {
        _ if card.is_expired() => Err(Refusal::CardExpired.into()),
        CardStatus::Inactive => Ok(show(&web, &signed_in, card, String::new(), String::new())),
        CardStatus::Active => Err(Refusal::CardActive.into()),
        CardStatus::Blocked => Err(Refusal::CardBlocked.into()),
    }
}

fn show(web: &Web, signed_in: &SignedIn, card: CardView, expiry: String, error: String) -> Response {
    let status = if error.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let chrome = Chrome::inside(web, signed_in, Some(&card), Place::Activate);
    html(
        status,
        &ActivatePage {
            chrome,
            card,
            expiry,
            error,
        },
    )
}

#[derive(Deserialize)]
pub(super) struct ActivateForm {
    expiry: String,
}

/// Activates it, and leads to its PIN.
pub(super) async fn activate(
    State(web): State<Arc<Web>>,
    signed_in: SignedIn,
    Path(card): Path<String>,
    form: Result<Form<ActivateForm>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(form) = form?;
    let card = own_card(&web, &signed_in, &card).await?;
    let Some(expiry) = parse_printed(&form.expiry) else {
        let error = "That isn't a month and a year.".to_owned();
        return Ok(show(&web, &signed_in, card, form.expiry, error));
    };
    let request = ActivateCard {
        card: card.row,
        actor: signed_in.actor.clone(),
        expiry,
    };
    match activate_card(&web.desk, request, web.now()).await {
        Ok(()) => Ok(Redirect::to(&format!("/cards/{}/pin?done=activated", card.reference)).into_response()),
        Err(ActError::Refused(refusal @ Refusal::CardDetails)) => {
            let Told { headline, .. } = refusal.into();
            Ok(show(&web, &signed_in, card, form.expiry, headline.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Month and year as people type them: `08/29`, `0829`, `8/29`, `08 / 2029`.
fn parse_printed(text: &str) -> Option<Expiry> {
    let compact: String = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    let (month, year) = match compact.split_once(['/', '-', '.']) {
        Some(parts) => parts,
        None => (compact.get(..2)?, compact.get(2..)?),
    };
    let year = match year.len() {
        4 => year.strip_prefix("20")?,
        _ => year,
    };
    Expiry::parse_yymm(&format!("{year}{month:0>2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_understood_however_people_type_it() {
        let wanted = Expiry::parse_yymm("2908");
        for typed in ["08/29", "0829", "8/29", "08 / 2029", "08-29", " 08.29 "] {
            assert_eq!(parse_printed(typed), wanted, "{typed}");
        }
        for typed in ["", "1", "13/29", "29/08", "08/1929", "08/2", "ab/cd"] {
            assert_eq!(parse_printed(typed), None, "{typed}");
        }
    }
}
