//! Outbound HTTP: the only way out of the process.
//!
//! Invariant: a call goes to an address that was vetted when the name was resolved, and to no
//! other: two clients exist, one that may reach private networks and one that may not, each with a
//! resolver that drops every address outside its reach. Redirects are not followed, the
//! environment's proxies are not used, an answer is read up to a limit. Nothing is retried here.
//! A crash leaves nothing behind; the upstream may have heard a call whose answer we never saw,
//! and [`EgressError::sent`] says when.

mod address;
mod error;
mod resolver;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, redirect};
use url::{Host, Url};

pub use address::{Reach, reach};
pub use error::{EgressError, EgressFault};
pub use resolver::{Found, Lookup, SystemLookup};

/// How calls are made.
#[derive(Clone)]
pub struct EgressOptions {
    /// Longest wait for a connection, name and TLS included.
    pub connect_timeout: Duration,
    /// Longest call, from begin to last byte, unless the request says otherwise.
    pub timeout: Duration,
    /// Longest answer in bytes.
    pub max_response: usize,
    /// Idle connections kept for each upstream.
    pub idle_per_host: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// How names are looked up.
    pub lookup: Arc<dyn Lookup>,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            max_response: 4 << 20,
            idle_per_host: 256,
            // Shorter than what servers usually keep, so that a call seldom meets a closing one.
            idle_timeout: Duration::from_secs(45),
            lookup: Arc::new(SystemLookup),
        }
    }
}

impl fmt::Debug for EgressOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressOptions")
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("max_response", &self.max_response)
            .finish_non_exhaustive()
    }
}

/// A call to be made.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Address: http or https, without user name.
    pub url: Url,
    /// Headers.
    pub headers: HeaderMap,
    /// Body; empty: none.
    pub body: Bytes,
    /// Longest call; absent: the default.
    pub timeout: Option<Duration>,
    /// Whether private and loopback addresses may be called.
    pub allow_private: bool,
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// The one way out. Cheap to clone.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    global: Client,
    private: Client,
    max_response: usize,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Egress")
    }
}

/// The clients could not be made.
#[derive(Debug, thiserror::Error)]
#[error("outbound HTTP could not be set up: {0}")]
pub struct EgressSetupError(reqwest::Error);

impl Egress {
    /// Sets the clients up. Installs ring as the process's TLS provider unless one is installed.
    ///
    /// # Errors
    /// The TLS layer could not be set up.
    pub fn new(options: EgressOptions) -> Result<Self, EgressSetupError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Losing a race means that another one is installed, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        Ok(Self(Arc::new(Inner {
            global: client(&options, false)?,
            private: client(&options, true)?,
            max_response: options.max_response,
        })))
    }

    /// Makes a call. Any status is an answer; what it means is the caller's business.
    ///
    /// # Errors
    /// No complete answer came; `sent` says whether the upstream may have heard the request.
    pub async fn send(&self, request: Request) -> Result<Response, EgressError> {
        check(&request.url, request.allow_private)?;
        let client = if request.allow_private {
            &self.0.private
        } else {
            &self.0.global
        };
        let mut call = client
            .request(request.method, request.url)
            .headers(request.headers);
        if !request.body.is_empty() {
            call = call.body(request.body);
        }
        if let Some(timeout) = request.timeout {
            call = call.timeout(timeout);
        }
        let mut answer = call
            .send()
            .await
            .map_err(|error| EgressError::from_client(error, None))?;
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        let body = self.read(answer, status).await?;
        Ok(Response {
            status,
            headers,
            body,
        })
    }

    async fn read(&self, mut answer: reqwest::Response, status: u16) -> Result<Bytes, EgressError> {
        let limit = self.0.max_response;
        let too_large = || EgressError {
            kind: EgressFault::TooLarge,
            sent: true,
            status: Some(status),
            message: format!("the answer is longer than {limit} bytes"),
        };
        if answer
            .content_length()
            .is_some_and(|length| length > limit as u64)
        {
            return Err(too_large());
        }
        let failed = |error| EgressError::from_client(error, Some(status));
        // Most answers are one piece, which is passed on as it is.
        let Some(first) = answer.chunk().await.map_err(failed)? else {
            return Ok(Bytes::new());
        };
        if first.len() > limit {
            return Err(too_large());
        }
        let Some(second) = answer.chunk().await.map_err(failed)? else {
            return Ok(first);
        };
        let mut body = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(piece) = next {
            if piece.len() > limit.saturating_sub(body.len()) {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
            next = answer.chunk().await.map_err(failed)?;
        }
        Ok(body.freeze())
    }
}

fn client(options: &EgressOptions, allow_private: bool) -> Result<Client, EgressSetupError> {
    let build = |own_roots: bool| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that makes clients"
        )]
        let mut builder = Client::builder()
            .dns_resolver(Arc::new(resolver::Vetted {
                lookup: Arc::clone(&options.lookup),
                allow_private,
            }))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("Signalbox/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            .pool_max_idle_per_host(options.idle_per_host)
            .pool_idle_timeout(options.idle_timeout)
            .tcp_nodelay(true)
            .http1_max_headers(128)
            .http2_max_header_list_size(64 << 10);
        if own_roots {
            builder = builder.tls_certs_only([]);
        }
        builder.build()
    };
    build(false)
        .or_else(|error| {
            // A machine without any root certificate still calls plain HTTP.
            tracing::warn!(%error, "no root certificates: https upstreams will not be trusted");
            build(true)
        })
        .map_err(EgressSetupError)
}

/// Refuses what needs no name to be refused. Address literals never reach the resolver.
fn check(url: &Url, allow_private: bool) -> Result<(), EgressError> {
    let invalid = |message: &str| Err(EgressError::before(EgressFault::Invalid, message));
    if !matches!(url.scheme(), "http" | "https") {
        return invalid("only http and https addresses are called");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("the address must not carry a user name or password");
    }
    let address = match url.host() {
        None => return invalid("the address has no host"),
        Some(Host::Domain(_)) => return Ok(()),
        Some(Host::Ipv4(address)) => address.into(),
        Some(Host::Ipv6(address)) => address.into(),
    };
    if reach(address).allows(allow_private) {
        return Ok(());
    }
    Err(EgressError::before(
        EgressFault::Blocked,
        "the address is private or special, and this connection may not call such addresses",
    ))
}

#[cfg(test)]
mod tests;
