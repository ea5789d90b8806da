//! Handing a mail to the mail server.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use crate::settings::{Settings, SmtpTls};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time for a mail that somebody waits for.
pub(super) const SHORT: Duration = Duration::from_secs(20);
/// Longest time for a mail of the outbox: some servers let strangers wait.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// Longest reason that is kept.
const REASON: usize = 300;

/// Why a mail was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Trying again would not help.
    pub permanent: bool,
    /// What went wrong, in our words; nothing that the server said.
    pub summary: String,
    /// What the server said, on one line. It may name the recipient.
    pub said: String,
}

impl Refusal {
    /// One that no server has to do with; trying again would not help.
    pub(super) fn ours(summary: &str) -> Self {
        Self {
            permanent: true,
            summary: summary.to_owned(),
            said: String::new(),
        }
    }

    /// All of it, for the row and the command line.
    pub fn text(&self) -> String {
        if self.said.is_empty() {
            self.summary.clone()
        } else {
            format!("{} ({})", self.summary, self.said)
        }
    }
}

/// The server. It is connected to for each mail: there are few.
pub(super) struct Smtp(AsyncSmtpTransport<Tokio1Executor>);

impl Smtp {
    /// By these settings, which have been checked.
    ///
    /// # Errors
    /// The certificate of `smtp_ca` cannot be used.
    pub fn of(settings: &Settings) -> Result<Self, String> {
        let host = settings.smtp_host.as_str();
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port(settings))
            .tls(tls(settings, host)?)
            .hello_name(hello(settings))
            .timeout(Some(CONNECT));
        if let (false, Some(password)) = (settings.smtp_user.is_empty(), &settings.smtp_password) {
            server = server.credentials(Credentials::new(
                settings.smtp_user.clone(),
                password.reveal().to_owned(),
            ));
        }
        Ok(Self(server.build()))
    }

    /// Hands a mail over, within a time.
    ///
    /// # Errors
    /// It was not taken, as far as is known.
    pub async fn hand_over(&self, mail: lettre::Message, within: Duration) -> Result<(), Refusal> {
        match tokio::time::timeout(within, self.0.send(mail)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refusal(&error)),
            Err(_) => Err(Refusal {
                permanent: false,
                summary: "the mail server took too long".to_owned(),
                said: String::new(),
            }),
        }
    }
}

/// The port, or the usual one.
pub(super) fn port(settings: &Settings) -> u16 {
    match (u16::try_from(settings.smtp_port), settings.smtp_tls) {
        (Ok(port), _) if port > 0 => port,
        (_, SmtpTls::Starttls) => 587,
        (_, SmtpTls::Implicit) => 465,
        (_, SmtpTls::None) => 25,
    }
}

fn tls(settings: &Settings, host: &str) -> Result<Tls, String> {
    if settings.smtp_tls == SmtpTls::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(path) = &settings.smtp_ca {
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let pem = std::fs::read(path).map_err(|error| fault(&error))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| fault(&error))?;
        parameters = parameters
            .certificate_store(CertificateStore::None)
            .add_root_certificate(certificate);
    }
    let parameters = parameters
        .build_rustls()
        .map_err(|error| error.to_string())?;
    Ok(match settings.smtp_tls {
        SmtpTls::Implicit => Tls::Wrapper(parameters),
        _ => Tls::Required(parameters),
    })
}

/// The name that we give the server: the setting, or the host of our own address.
fn hello(settings: &Settings) -> ClientId {
    let own = url::Url::parse(&settings.public_url).ok();
    let own = own
        .as_ref()
        .and_then(url::Url::host_str)
        .unwrap_or("localhost");
    let name = if settings.smtp_hello.is_empty() {
        own
    } else {
        &settings.smtp_hello
    };
    match name.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(v4)) => ClientId::Ipv4(v4),
        Ok(IpAddr::V6(v6)) => ClientId::Ipv6(v6),
        Err(_) => ClientId::Domain(name.to_owned()),
    }
}

fn refusal(error: &lettre::transport::smtp::Error) -> Refusal {
    let code = error.status().map(u16::from);
    let summary = match code {
        Some(code @ (530 | 534 | 535 | 538)) => {
            format!("the mail server refused the user or the password ({code})")
        }
        Some(code) => format!("the mail server refused the mail ({code})"),
        None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
        None if error.is_tls() || causes(error).any(is_tls) => {
            "no trusted connection to the mail server: its certificate or TLS does not fit"
                .to_owned()
        }
        None if error.is_client() => {
            "the mail server does not offer what the settings ask for".to_owned()
        }
        None if error.is_response() => "the answer is not that of a mail server".to_owned(),
        None => "the mail server could not be reached".to_owned(),
    };
    // A password that is wrong today may be right tomorrow; an address that is unknown may not.
    let about_us = matches!(code, Some(530 | 534 | 535 | 538));
    Refusal {
        permanent: error.is_permanent() && !about_us,
        summary,
        said: said(error),
    }
}

type Cause = dyn std::error::Error + 'static;

fn causes(error: &lettre::transport::smtp::Error) -> impl Iterator<Item = &Cause> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this)
    })
}

/// TLS faults reach us inside an I/O error, whose chain skips its own content.
fn is_tls(cause: &Cause) -> bool {
    cause.is::<rustls::Error>()
        || cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .is_some_and(|inner| inner.is::<rustls::Error>())
}

/// The last cause, on one line.
fn said(error: &lettre::transport::smtp::Error) -> String {
    let text = causes(error)
        .last()
        .map_or_else(String::new, ToString::to_string);
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(REASON)
        .collect()
}
