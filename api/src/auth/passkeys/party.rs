//! Who we are to authenticators.

use openapi::problem::Code;
use url::{Host, Url};
use webauthn_rp::request::{AsciiDomain, RpId};

use crate::http::problem::{ApiError, ApiResult};
use crate::settings::Settings;

/// The relying party: the host of our public address, and the one origin whose pages may ask.
pub(super) struct Party {
    pub id: RpId,
    pub origin: String,
}

impl Party {
    /// By these settings.
    ///
    /// # Errors
    /// 409 when people reach this server by an address without a name, or without TLS.
    pub fn of(settings: &Settings) -> ApiResult<Self> {
        let url = Url::parse(&settings.public_url).ok();
        let name = url.as_ref().and_then(|url| match url.host() {
            Some(Host::Domain(name)) => Some(name.to_owned()),
            _ => None,
        });
        let (Some(url), Some(name)) = (url, name) else {
            return Err(unusable());
        };
        if url.scheme() != "https" && name != "localhost" {
            return Err(unusable());
        }
        Ok(Self {
            id: RpId::Domain(AsciiDomain::try_from(name).map_err(|_| unusable())?),
            origin: url.origin().ascii_serialization(),
        })
    }
}

fn unusable() -> ApiError {
    ApiError::new(Code::Conflict).detail(
        "Passkeys need a public_url with a name and https, as https://signalbox.example.com.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Given;

    fn party(public_url: &str) -> Option<(String, String)> {
        let mut settings = Settings::load(&Given::default()).unwrap().settings;
        settings.public_url = public_url.to_owned();
        let party = Party::of(&settings).ok()?;
        let id: &str = party.id.as_ref();
        Some((id.to_owned(), party.origin))
    }

    #[test]
    fn the_party_is_the_host_of_our_address() {
        let found = |id: &str, origin: &str| Some((id.to_owned(), origin.to_owned()));
        let origin = "https://box.example.com:8443";
        assert_eq!(party(origin), found("box.example.com", origin));
        assert_eq!(
            party("http://localhost:8080"),
            found("localhost", "http://localhost:8080")
        );
        for bad in [
            "http://box.example.com",
            "https://192.0.2.7",
            "http://[::1]:8080",
        ] {
            assert_eq!(party(bad), None, "{bad}");
        }
    }
}
