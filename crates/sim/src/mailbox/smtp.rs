//! One SMTP conversation, server side: RFC 5321 without relaying, with SIZE (RFC 1870), 8BITMIME (RFC 6152),
//! PIPELINING (RFC 2920) and enhanced status codes (RFC 2034).
//!
//! A line ends with CR LF and with nothing else. A message with a CR or LF on its own is refused, so that no
//! other reader can see its end elsewhere than we do.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};

use super::{Limits, Mailbox, Trouble};

/// Lines that are not understood before the peer is sent away.
const MISTAKES_MAX: u32 = 20;

/// Talks until QUIT, the end of the stream, or too many mistakes.
pub(super) async fn converse<R, W>(mailbox: &Mailbox, reader: R, writer: W) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut peer = Peer {
        reader: BufReader::new(reader),
        writer: BufWriter::new(writer),
    };
    peer.say("220 mailbox.localhost ESMTP Pinward demo mailbox")
        .await?;
    let mut session = Session::default();
    let mut mistakes = 0;
    while let Some(line) = peer.line(mailbox.limits().command_bytes).await? {
        match session.answer(&line, mailbox.limits()) {
            Next::Say(reply) => {
                if reply.starts_with('5') {
                    mistakes += 1;
                }
                peer.say(&reply).await?;
            }
            Next::Receive => {
                peer.say("354 end the message with a dot on a line of its own")
                    .await?;
                let envelope = std::mem::take(&mut session.envelope);
                match receive(mailbox, &mut peer, &envelope).await? {
                    Some(reply) => peer.say(&reply).await?,
                    None => return Ok(()),
                }
            }
            Next::Bye => return peer.say("221 2.0.0 bye").await,
        }
        if mistakes >= MISTAKES_MAX {
            return peer.say("421 4.7.0 too many mistakes").await;
        }
    }
    Ok(())
}

/// Takes one message to its dot and keeps it. `None` when the connection is to be closed without an answer.
async fn receive<R, W>(
    mailbox: &Mailbox,
    peer: &mut Peer<R, W>,
    envelope: &Envelope,
) -> io::Result<Option<String>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let limits = mailbox.limits();
    let mut message = envelope.trace_headers().into_bytes();
    let mut refusal = None;
    loop {
        let Some(line) = peer.line(limits.text_line_bytes).await? else {
            return Ok(None);
        };
        let text = match &line {
            Line::Whole(text) if text == b"." => break,
            Line::Whole(text) => text.strip_prefix(b".").unwrap_or(text),
            Line::TooLong => {
                refusal = Some("554 5.6.0 a line is longer than 1000 octets");
                continue;
            }
        };
        if text.contains(&b'\n') || text.contains(&b'\r') {
            refusal = Some("554 5.6.0 a CR or LF stands on its own");
        }
        if message.len().saturating_add(text.len()) > limits.message_bytes {
            refusal = Some("552 5.3.4 the message is too big");
        }
        if refusal.is_none() {
            message.extend_from_slice(text);
            message.extend_from_slice(b"\r\n");
        }
    }
    if let Some(refusal) = refusal {
        return Ok(Some(refusal.to_owned()));
    }
    let trouble = mailbox.trouble_now();
    match trouble {
        Some(Trouble::TryLater) => return Ok(Some("451 4.3.0 try again later".to_owned())),
        Some(Trouble::HangUpUnkept) => return Ok(None),
        Some(Trouble::HangUpKept) | None => {}
    }
    let kept = mailbox.keep(&message);
    if trouble == Some(Trouble::HangUpKept) {
        return Ok(None);
    }
    Ok(Some(match kept {
        Ok(number) => format!("250 2.0.0 kept as {number}"),
        Err(error) => {
            tracing::error!(%error, "mailbox: a message could not be kept");
            "452 4.3.1 the message could not be written".to_owned()
        }
    }))
}

/// Who the mail is from and for, as the commands said.
#[derive(Debug, Default)]
struct Envelope {
    from: Option<String>,
    to: Vec<String>,
}

impl Envelope {
    /// What a final delivery adds on top, RFC 5321 4.4. Addresses hold no line ends: a command line has none.
    fn trace_headers(&self) -> String {
        let mut headers = format!("Return-Path: <{}>\r\n", self.from.as_deref().unwrap_or_default());
        for to in &self.to {
            headers.push_str(&format!("Delivered-To: {to}\r\n"));
        }
        headers
    }
}

#[derive(Debug, Default)]
struct Session {
    greeted: bool,
    envelope: Envelope,
}

enum Next {
    Say(String),
    Receive,
    Bye,
}

impl Session {
    fn answer(&mut self, line: &Line, limits: Limits) -> Next {
        let Line::Whole(line) = line else {
            return say("500 5.5.2 the line is too long");
        };
        let Some(line) = str::from_utf8(line)
            .ok()
            .filter(|line| !line.contains(char::is_control))
        else {
            return say("500 5.5.2 commands are plain text");
        };
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => self.greet(&format!(
                "250-mailbox.localhost\r\n250-SIZE {}\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES",
                limits.message_bytes
            )),
            "HELO" => self.greet("250 mailbox.localhost"),
            "MAIL" => self.mail(rest, limits),
            "RCPT" => self.rcpt(rest, limits),
            "DATA" if self.envelope.to.is_empty() => say("503 5.5.1 MAIL and RCPT come first"),
            "DATA" => Next::Receive,
            "RSET" => {
                self.envelope = Envelope::default();
                say("250 2.0.0 forgotten")
            }
            "NOOP" => say("250 2.0.0 fine"),
            "VRFY" => say("252 2.5.0 everybody has a mailbox here"),
            "QUIT" => Next::Bye,
            _ => say("500 5.5.1 unknown command"),
        }
    }

    fn greet(&mut self, reply: &str) -> Next {
        self.greeted = true;
        self.envelope = Envelope::default();
        say(reply)
    }

    fn mail(&mut self, rest: &str, limits: Limits) -> Next {
        if !self.greeted {
            return say("503 5.5.1 EHLO comes first");
        }
        if self.envelope.from.is_some() {
            return say("503 5.5.1 one sender per message");
        }
        let Some((from, parameters)) = path(rest, "FROM:") else {
            return say("501 5.5.4 wanted MAIL FROM:<address>");
        };
        for parameter in parameters.split_ascii_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match (name.to_ascii_uppercase().as_str(), value) {
                ("BODY", "7BIT" | "8BITMIME") => {}
                ("SIZE", size) => match size.parse::<usize>() {
                    Ok(size) if size > limits.message_bytes => {
                        return say("552 5.3.4 the message is too big");
                    }
                    Ok(_) => {}
                    Err(_) => return say("501 5.5.4 SIZE wants a number"),
                },
                _ => return say("555 5.5.4 unknown parameter"),
            }
        }
        self.envelope.from = Some(from.to_owned());
        say("250 2.1.0 fine")
    }

    fn rcpt(&mut self, rest: &str, limits: Limits) -> Next {
        if self.envelope.from.is_none() {
            return say("503 5.5.1 MAIL comes first");
        }
        if self.envelope.to.len() >= limits.recipients {
            return say("452 4.5.3 too many recipients");
        }
        match path(rest, "TO:") {
            Some((to, "")) if !to.is_empty() => {
                self.envelope.to.push(to.to_owned());
                say("250 2.1.5 fine")
            }
            Some((to, _)) if !to.is_empty() => say("555 5.5.4 unknown parameter"),
            _ => say("501 5.5.4 wanted RCPT TO:<address>"),
        }
    }
}

fn say(reply: &str) -> Next {
    Next::Say(reply.to_owned())
}

/// `FROM:<address> parameters`, RFC 5321 4.1.2, without source routes. The address may be empty.
fn path<'a>(rest: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (head, tail) = rest.split_at_checked(name.len())?;
    let tail = head.eq_ignore_ascii_case(name).then_some(tail)?;
    let (address, parameters) = tail.trim_start().strip_prefix('<')?.split_once('>')?;
    let plain = !address.contains(|c: char| c.is_whitespace() || c == '<');
    plain.then_some((address, parameters.trim()))
}

/// A line without its CRLF, or the news that it was longer than allowed; it was read to its end.
enum Line {
    Whole(Vec<u8>),
    TooLong,
}

struct Peer<R, W> {
    reader: BufReader<R>,
    writer: BufWriter<W>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Peer<R, W> {
    /// Sends one reply of one or more lines.
    async fn say(&mut self, reply: &str) -> io::Result<()> {
        self.writer.write_all(reply.as_bytes()).await?;
        self.writer.write_all(b"\r\n").await?;
        self.writer.flush().await
    }

    /// The next line of at most `max` bytes, its CRLF counted. `None` at the end of the stream; what stood
    /// there without a CRLF is dropped.
    async fn line(&mut self, max: usize) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        let mut too_long = false;
        let mut last = 0;
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                return Ok(None);
            }
            let mut taken = 0;
            let mut ended = false;
            for byte in available {
                taken += 1;
                if line.len() < max {
                    line.push(*byte);
                } else {
                    too_long = true;
                }
                ended = last == b'\r' && *byte == b'\n';
                last = *byte;
                if ended {
                    break;
                }
            }
            self.reader.consume(taken);
            if ended {
                line.truncate(line.len().saturating_sub(2));
                return Ok(Some(if too_long {
                    Line::TooLong
                } else {
                    Line::Whole(line)
                }));
            }
        }
    }
}
