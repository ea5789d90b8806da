//! From a text to a mail.

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use uuid::Uuid;

use super::smtp::Refusal;
use crate::settings::Settings;

/// Says that no person wrote it, so that no machine answers.
const AUTOMATIC: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// Who the mails are from.
pub(super) struct Composer {
    from: Mailbox,
    reply_to: Option<Mailbox>,
}

impl Composer {
    /// By these settings; none: no mail server is set. The settings have been checked.
    pub fn of(settings: &Settings) -> Option<Self> {
        if settings.smtp_host.is_empty() {
            return None;
        }
        Some(Self {
            from: settings.mail_from.parse().ok()?,
            reply_to: settings.mail_reply_to.parse().ok(),
        })
    }

    /// The address that mails come from.
    pub fn sender(&self) -> String {
        self.from.to_string()
    }

    /// The mail, with a message id that stays the same however often it is sent.
    pub fn compose(
        &self,
        id: Uuid,
        at: chrono::DateTime<chrono::Utc>,
        to: &str,
        subject: &str,
        text: &str,
    ) -> Result<lettre::Message, Refusal> {
        let form = |_| Refusal::ours("the mail has a bad form");
        let to: Mailbox = to
            .parse()
            .map_err(|_| Refusal::ours("the address cannot be used"))?;
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(subject)
            .date(at.into())
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())));
        if let Some(reply_to) = &self.reply_to {
            mail = mail.reply_to(reply_to.clone());
        }
        let mut mail = mail
            .multipart(MultiPart::alternative_plain_html(
                text.to_owned(),
                html(text),
            ))
            .map_err(form)?;
        mail.headers_mut()
            .insert_raw(HeaderValue::new(AUTOMATIC, "auto-generated".to_owned()));
        Ok(mail)
    }
}

/// The text as a page: paragraphs, and addresses in lines of their own as links.
fn html(text: &str) -> String {
    let mut page = String::from("<!doctype html><html lang=\"en\"><body>");
    for paragraph in text.split("\n\n").filter(|p| !p.trim().is_empty()) {
        page.push_str("<p>");
        let lines: Vec<String> = paragraph.trim().lines().map(line).collect();
        page.push_str(&lines.join("<br>"));
        page.push_str("</p>");
    }
    page.push_str("</body></html>");
    page
}

fn line(line: &str) -> String {
    let safe = escape(line.trim());
    let is_address = line.starts_with("https://") || line.starts_with("http://");
    if is_address && !line.trim().contains(char::is_whitespace) {
        format!("<a href=\"{safe}\">{safe}</a>")
    } else {
        safe
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(to: &str, subject: &str, text: &str) -> Result<String, Refusal> {
        let composer = Composer {
            from: "Signalbox <box@example.com>".parse().unwrap(),
            reply_to: Some("help@example.com".parse().unwrap()),
        };
        let at = chrono::DateTime::from_timestamp(1_767_268_800, 0).unwrap();
        let mail = composer.compose(Uuid::nil(), at, to, subject, text)?;
        Ok(String::from_utf8(mail.formatted()).unwrap())
    }

    #[test]
    fn a_mail_has_its_headers() {
        let mail = composed(
            "ann@example.com",
            "Grüße",
            "Hello\n\nhttps://x.example/a?b=c&d",
        )
        .unwrap();
        for part in [
            "From: Signalbox <box@example.com>\r\n",
            "To: ann@example.com\r\n",
            "Reply-To: help@example.com\r\n",
            "Message-ID: <00000000-0000-0000-0000-000000000000@example.com>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Date: Thu, 01 Jan 2026 12:00:00 +0000\r\n",
        ] {
            assert!(mail.contains(part), "{part} {mail}");
        }
        assert!(mail.contains("Subject: =?utf-8?"), "{mail}");
    }

    #[test]
    fn nobody_adds_a_header() {
        let evil = "hello\r\nBcc: eve@example.com";
        // Even if a check before this one were left out.
        if let Ok(mail) = composed("ann@example.com", evil, "text") {
            let (head, _) = mail.split_once("\r\n\r\n").unwrap();
            assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        }
        assert!(composed("ann@example.com\r\nBcc: eve@example.com", "s", "t").is_err());
        let mail = composed(
            "ann@example.com",
            "s",
            "\r\nBcc: eve@example.com\r\n.\r\nQUIT",
        )
        .unwrap();
        let (head, _) = mail.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("Bcc"), "{head}");
    }

    #[test]
    fn a_page_holds_no_markup_of_the_text() {
        let page = html("<script>\"&'\n\nhttps://x.example/?a=\"b\"\nhttps://two words");
        assert!(!page.contains("<script>"), "{page}");
        assert!(
            page.contains("<a href=\"https://x.example/?a=&quot;b&quot;\">"),
            "{page}"
        );
        assert!(page.contains("<br>https://two words"), "{page}");
    }
}
