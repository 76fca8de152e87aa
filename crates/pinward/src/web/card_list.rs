//! The cardmember's own cards, each with its one line of advice.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use cards::CardStatus;
use issuer::card_status::own_card_status;

use super::{
    Web,
    page::{CardView, Chrome, Place, html},
    session::SignedIn,
    told::PageError,
};

#[derive(Template)]
#[template(path = "web/card_list.html")]
struct CardListPage {
    chrome: Chrome,
    name: String,
    cards: Vec<CardView>,
}

/// Every card of the cardmember: never those of others on the same account.
pub(super) async fn show(State(web): State<Arc<Web>>, signed_in: SignedIn) -> Result<Response, PageError> {
    let now = web.now();
    let mut cards = Vec::new();
    for record in web.desk.store.cards_of(signed_in.actor.cardmember).await? {
        let report = own_card_status(&web.desk, record.key.row, &signed_in.actor, now).await?;
        cards.push(CardView::new(&web, &signed_in, &record, report));
    }
    let only = match cards.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    let chrome = Chrome::inside(&web, &signed_in, only, Place::Cards);
    let name = signed_in.cardmember.name;
    Ok(html(StatusCode::OK, &CardListPage { chrome, name, cards }))
}
