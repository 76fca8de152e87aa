//! One message as a reader sees it.

use mail_parser::{Address, MessageParser, MimeHeaders, PartType};

/// A parsed message. The HTML is the sender's: show it only where it can do nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub from: String,
    pub to: String,
    pub subject: String,
    /// RFC 3339; empty when there was none.
    pub date: String,
    /// Without angle brackets; empty when there was none.
    pub message_id: String,
    pub text: Option<String>,
    pub html: Option<String>,
    pub attachments: Vec<String>,
}

impl Mail {
    /// Parses RFC 5322 with MIME. `None` when there is not even one header.
    #[must_use]
    pub fn parse(raw: &[u8]) -> Option<Self> {
        let message = MessageParser::default().parse(raw)?;
        let text = message
            .text_body
            .iter()
            .find_map(|part| match &message.part(*part)?.body {
                PartType::Text(text) => Some(text.to_string()),
                _ => None,
            });
        let html = message
            .html_body
            .iter()
            .find_map(|part| match &message.part(*part)?.body {
                PartType::Html(html) => Some(html.to_string()),
                _ => None,
            });
        let attachments = message
            .attachments()
            .map(|part| part.attachment_name().unwrap_or("without a name").to_owned())
            .collect();
        Some(Self {
            from: people(message.from()),
            to: people(message.to()),
            subject: message.subject().unwrap_or("(no subject)").to_owned(),
            date: message.date().map(|date| date.to_rfc3339()).unwrap_or_default(),
            message_id: message.message_id().unwrap_or_default().to_owned(),
            text,
            html,
            attachments,
        })
    }
}

fn people(address: Option<&Address<'_>>) -> String {
    let one = |person: &mail_parser::Addr<'_>| match (person.name(), person.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (None, Some(address)) => address.to_owned(),
        (Some(name), None) => name.to_owned(),
        (None, None) => String::new(),
    };
    address
        .map(|address| address.iter().map(one).collect::<Vec<_>>().join(", "))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_of_an_alternative_are_found_and_decoded() {
        let raw = b"From: =?utf-8?q?Larkf=C3=AFeld?= <desk@larkfield.example>\r\nTo: ada@example.com\r\n\
            Subject: =?utf-8?q?Your_new_PIN_=E2=80=94_set?=\r\nMessage-ID: <1@x>\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/alternative; boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
            caf=C3=A9\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>hi</p>\r\n--b--\r\n";
        let mail = Mail::parse(raw).unwrap();
        assert_eq!(mail.from, "Larkfïeld <desk@larkfield.example>");
        assert_eq!(mail.subject, "Your new PIN — set");
        assert_eq!(mail.message_id, "1@x");
        assert_eq!(mail.text.as_deref().map(str::trim), Some("café"));
        assert_eq!(mail.html.as_deref().map(str::trim), Some("<p>hi</p>"));
    }

    #[test]
    fn a_plain_message_has_no_html_and_an_html_one_no_text() {
        let plain = Mail::parse(b"Subject: a\r\n\r\nhello\r\n").unwrap();
        assert_eq!((plain.text.is_some(), plain.html), (true, None));
        let html = Mail::parse(b"Subject: a\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n").unwrap();
        assert_eq!((html.text, html.html.is_some()), (None, true));
    }
}
