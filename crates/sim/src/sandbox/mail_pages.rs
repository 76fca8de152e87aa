//! The mailbox's pages. A mail's HTML is its sender's: it is shown in a frame that may do nothing.

use std::{io, sync::Arc};

use askama::Template;
use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    BANK_NAME, Sandbox,
    pages::{missing, page, unread},
};
use crate::mailbox::Mail;

/// Mails listed on the page; older ones stay in the folder.
const MAILS_LISTED_MAX: usize = 100;

/// The mail may be styled and hold its own pictures, and that is all.
const MAIL_POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'self'";

#[derive(Template)]
#[template(path = "mails.html")]
struct MailsPage {
    bank: &'static str,
    here: &'static str,
    unread: usize,
    has_bench: bool,
    mails: Vec<MailLine>,
    older: usize,
}

struct MailLine {
    number: u32,
    from: String,
    to: String,
    subject: String,
    date: String,
    shown_date: String,
    unread: bool,
}

pub(super) async fn list(State(sandbox): State<Arc<Sandbox>>) -> Response {
    let rows = match sandbox.mailbox.rows() {
        Ok(rows) => rows,
        Err(error) => return unreadable(&error),
    };
    let older = rows.len().saturating_sub(MAILS_LISTED_MAX);
    let mails = rows.into_iter().take(MAILS_LISTED_MAX).map(|row| MailLine {
        number: row.number,
        from: row.from,
        to: row.to,
        subject: row.subject,
        shown_date: shown(&row.date),
        date: row.date,
        unread: row.unread,
    });
    page(
        StatusCode::OK,
        &MailsPage {
            bank: BANK_NAME,
            here: "mail",
            unread: unread(&sandbox),
            has_bench: sandbox.bench.is_some(),
            mails: mails.collect(),
            older,
        },
    )
}

#[derive(Template)]
#[template(path = "mail.html")]
struct MailPage {
    bank: &'static str,
    here: &'static str,
    unread: usize,
    has_bench: bool,
    number: u32,
    mail: Mail,
    shown_date: String,
}

pub(super) async fn one(State(sandbox): State<Arc<Sandbox>>, Path(number): Path<u32>) -> Response {
    let mail = match sandbox.mailbox.open_mail(number) {
        Ok(Some(mail)) => mail,
        Ok(None) => return no_mail(),
        Err(error) => return unreadable(&error),
    };
    page(
        StatusCode::OK,
        &MailPage {
            bank: BANK_NAME,
            here: "mail",
            unread: unread(&sandbox),
            has_bench: sandbox.bench.is_some(),
            number,
            shown_date: shown(&mail.date),
            mail,
        },
    )
}

pub(super) async fn html(State(sandbox): State<Arc<Sandbox>>, Path(number): Path<u32>) -> Response {
    match sandbox.mailbox.open_mail(number) {
        Ok(Some(Mail { html: Some(html), .. })) => {
            ([(header::CONTENT_SECURITY_POLICY, MAIL_POLICY)], Html(html)).into_response()
        }
        Ok(_) => no_mail(),
        Err(error) => unreadable(&error),
    }
}

pub(super) async fn source(State(sandbox): State<Arc<Sandbox>>, Path(number): Path<u32>) -> Response {
    match sandbox.mailbox.raw(number) {
        Ok(Some(raw)) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], raw).into_response(),
        Ok(None) => no_mail(),
        Err(error) => unreadable(&error),
    }
}

fn no_mail() -> Response {
    missing(
        StatusCode::NOT_FOUND,
        "There is no such mail.",
        "It may have been removed from the mail folder.",
    )
}

fn unreadable(error: &io::Error) -> Response {
    tracing::error!(%error, "sandbox: the mail folder can't be read");
    missing(
        StatusCode::INTERNAL_SERVER_ERROR,
        "The mail folder can't be read.",
        "The sandbox's log says why. No mail is lost by this.",
    )
}

/// Day and time on this machine's clock; what isn't RFC 3339 is shown as it is.
fn shown(date: &str) -> String {
    date.parse::<Timestamp>().map_or_else(
        |_| date.to_owned(),
        |moment| {
            let here = moment.to_zoned(TimeZone::system());
            here.strftime("%-d %b %Y, %H:%M").to_string()
        },
    )
}
