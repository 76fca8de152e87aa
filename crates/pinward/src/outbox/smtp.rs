//! Mails by SMTP (RFC 5321), over connections that are kept for the next ones.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use store::DueNotice;
use tokio::time::timeout;

use super::mail::Mail;
use crate::config::{MailConfig, MailTls};

/// How long the server may take for one mail, connection included.
pub(super) const SEND_PATIENCE: Duration = Duration::from_secs(12);

/// What is kept of a server's words about a failure, in characters.
const REASON_LEN_MAX: usize = 200;

/// A mail server and the sender's address.
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    /// Reads the password, connects to nothing yet. Refuses what can't be used, with the setting's name.
    pub(crate) fn new(config: &MailConfig) -> Result<Self, String> {
        let host = config.smtp_host.as_str();
        let builder = match config.tls {
            MailTls::None => Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)),
            MailTls::Starttls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host),
            MailTls::Tls => AsyncSmtpTransport::<Tokio1Executor>::relay(host),
        };
        let mut builder = builder
            .map_err(|error| format!("mail.smtp_host: {error}"))?
            .port(config.smtp_port)
            .timeout(Some(SEND_PATIENCE));
        if let (Some(user), Some(path)) = (&config.user, &config.password_path) {
            let password =
                fs::read_to_string(path).map_err(|cause| format!("{}: {cause}", path.display()))?;
            builder = builder.credentials(Credentials::new(user.clone(), password.trim_end().to_owned()));
        }
        let from = config
            .from
            .parse()
            .map_err(|error| format!("mail.from: {error}"))?;
        Ok(Self {
            transport: builder.build(),
            from,
        })
    }

    /// Sends a notice's mail. The refusal is the reason, shortened, for the operator.
    pub(super) async fn send(&self, notice: &DueNotice, mail: Mail) -> Result<(), String> {
        let message = self.message(notice, mail)?;
        match timeout(SEND_PATIENCE, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string().chars().take(REASON_LEN_MAX).collect()),
            Err(_) => Err(format!("no answer within {} seconds", SEND_PATIENCE.as_secs())),
        }
    }

    fn message(&self, notice: &DueNotice, mail: Mail) -> Result<Message, String> {
        let address: Address = notice
            .email
            .parse()
            .map_err(|error| format!("the mail address: {error}"))?;
        let told_at = u64::try_from(notice.at.0)
            .map(Duration::from_millis)
            .unwrap_or_default();
        // RFC 3834 5: no holiday notes in return.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(notice.name.clone()), address))
            .subject(mail.subject)
            .message_id(Some(notice.message_id.clone()))
            .date(UNIX_EPOCH + told_at)
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(mail.text, mail.html))
            .map_err(|error| error.to_string())
    }
}
