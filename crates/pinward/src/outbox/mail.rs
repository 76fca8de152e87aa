//! What the notices say: who, which card, what, when, from where, what it means in a shop, and what to do if it wasn't
//! you. No link, so that nobody gets used to links that ask for secrets.
//!
//! The texts are in `templates/mail`, as pairs of text and HTML.

use askama::Template;
use serde::Deserialize;
use store::DueNotice;

use crate::clock;

/// Longest line of a text mail, in characters.
const LINE_LEN_MAX: usize = 60;

/// A mail, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mail {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// A notice that no mail is written for.
#[derive(Debug, thiserror::Error)]
pub(super) enum MailError {
    #[error("no mail is written for notices of the kind {0}")]
    Kind(String),
    #[error("the notice's particulars can't be read: {0}")]
    Detail(#[from] serde_json::Error),
    #[error(transparent)]
    Render(#[from] askama::Error),
}

/// What every mail tells.
struct Told<'a> {
    issuer: &'a str,
    name: &'a str,
    last_four: &'a str,
    /// `22 November 2026, 16:50 UTC`.
    when: String,
}

#[derive(Template)]
#[template(path = "mail/new_pin_set.txt")]
struct NewPinSetText<'a> {
    told: &'a Told<'a>,
    detail: &'a NewPinSet,
}

#[derive(Template)]
#[template(path = "mail/new_pin_set.html")]
struct NewPinSetHtml<'a> {
    told: &'a Told<'a>,
    detail: &'a NewPinSet,
}

#[derive(Template)]
#[template(path = "mail/chip_has_new_pin.txt")]
struct ChipHasNewPinText<'a> {
    told: &'a Told<'a>,
}

#[derive(Template)]
#[template(path = "mail/chip_has_new_pin.html")]
struct ChipHasNewPinHtml<'a> {
    told: &'a Told<'a>,
}

/// The particulars of a `new_pin_set`.
#[derive(Deserialize)]
struct NewPinSet {
    cause: Cause,
    channel: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Cause {
    Created,
    Changed,
}

impl NewPinSet {
    fn created(&self) -> bool {
        self.cause == Cause::Created
    }

    /// Where it was done, in a cardmember's words.
    fn place(&self) -> &str {
        match self.channel.as_str() {
            "web" => "Online Services, on the web",
            "app" => "our App",
            "phone" => "the phone",
            "atm" => "a cash machine",
            other => other,
        }
    }
}

/// Writes the mail of a notice.
pub(super) fn render(notice: &DueNotice, issuer: &str) -> Result<Mail, MailError> {
    let told = Told {
        issuer,
        name: &notice.name,
        last_four: &notice.last_four,
        when: clock::utc(notice.at, "%-d %B %Y, %H:%M UTC"),
    };
    let (subject, text, html) = match notice.kind.as_str() {
        "new_pin_set" => {
            let detail: NewPinSet = serde_json::from_str(&notice.detail)?;
            (
                format!("New PIN for your card ending in {}", told.last_four),
                NewPinSetText {
                    told: &told,
                    detail: &detail,
                }
                .render()?,
                NewPinSetHtml {
                    told: &told,
                    detail: &detail,
                }
                .render()?,
            )
        }
        "chip_has_new_pin" => (
            format!(
                "The chip of your card ending in {} has your new PIN",
                told.last_four
            ),
            ChipHasNewPinText { told: &told }.render()?,
            ChipHasNewPinHtml { told: &told }.render()?,
        ),
        other => return Err(MailError::Kind(other.to_owned())),
    };
    Ok(Mail {
        subject,
        text: wrap(&text),
        html,
    })
}

/// Breaks lines at blanks where they are too long, and indents what follows as far as the line's first two columns
/// (`When      22 November`) or its list mark do.
fn wrap(text: &str) -> String {
    let mut wrapped = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        let indent = if line.starts_with("- ") { "  " } else { "" };
        let mut rest = line.trim_end();
        let mut prefix = "";
        while let Some(at) = break_at(rest, LINE_LEN_MAX - prefix.len()) {
            let (head, tail) = rest.split_at(at);
            wrapped.extend([prefix, head.trim_end(), "\n"]);
            rest = tail.trim_start();
            prefix = indent;
        }
        wrapped.extend([prefix, rest, "\n"]);
    }
    wrapped
}

/// Where to break a line that has more than `len` characters: at its last blank within them. Words are never broken.
fn break_at(line: &str, len: usize) -> Option<usize> {
    let (end, _) = line.char_indices().nth(len)?;
    let head = line.get(..=end).or_else(|| line.get(..end))?;
    head.rfind(' ').filter(|at| *at > 0)
}
